"""Numbers without sense and answers that are broken or endless: what can be used of them is, within bounds."""

from __future__ import annotations

import base64
import json
import math
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest
from client_calls import edit
from raw_server import Peer, RawServer

from kontext_lab.client import KontextClient
from kontext_lab.client.account import read_balance, read_logs, read_price
from kontext_lab.client.answers import ParsedAnswer, read_object
from kontext_lab.client.failures import retry_after
from kontext_lab.errors import InDoubt
from kontext_lab.request import EditRequest
from kontext_lab.request.attempt import RawAnswer, Reason

Connect = Callable[..., KontextClient]


def filled(text: str, *parts: object) -> str:
    """A text with its parts in place of each `%s`: JSON holds too many braces for anything newer."""
    for part in parts:
        text = text.replace("%s", str(part), 1)
    return text


A, B = "https://cdn.example/a.png", "https://cdn.example/b.png"
MIB = 1024 * 1024
ITEM = filled('{"url": "%s"}', A)

NONSENSE = [
    *(
        "1e308",
        "-1e308",
        "1e999",
        "-1e999",
        "NaN",
        "Infinity",
        "-Infinity",
        "-0.06",
        "9" * 5000,
        "1" + "0" * 400,
    ),
    *(
        '"1e308"',
        '"1e999"',
        '"inf"',
        '"nan"',
        '"-5"',
        '"' + "9" * 5000 + '"',
        '""',
        '"free"',
        "true",
        "[1]",
        "{}",
    ),
    *("null", "1000001", "0x10"),
]


@pytest.fixture
def read(connect: Connect, plain_request: EditRequest) -> Callable[..., ParsedAnswer]:
    """What the client understands of an answer."""
    client = connect("http://127.0.0.1:9")
    return lambda body, headers=None: client.read(
        RawAnswer(200, body if isinstance(body, bytes) else body.encode(), headers or {}), plain_request
    )


@pytest.mark.parametrize("number", NONSENSE)
def test_a_cost_is_an_amount_of_money(read: Callable[..., ParsedAnswer], number: str) -> None:
    """Whatever the service says it charged, what is counted is finite, not negative and no fortune."""
    usage = filled(
        '{"images": [%s], "meta": {"usage": {"usd_spent": %s, "credits_used": %s}}}',
        ITEM,
        number,
        number,
    )
    for headers in ({}, {"x-aimlapi-usd-spent": number.strip('"'), "x-aimlapi-credits-used": number}):
        found = read(usage, headers)
        assert (True, [A]) == (0 <= found.answer.cost_usd <= 1e6, [item.url for item in found.items] or [A])


@pytest.mark.parametrize("number", ["1e308", "1e999", "Infinity", "9" * 5000, '"1e308"', '"inf"', "1000001"])
def test_an_absurd_cost_is_told(read: Callable[..., ParsedAnswer], number: str) -> None:
    """An amount that nobody pays is told in a line, and the planned price counts."""
    found = read(filled('{"images": [], "meta": {"usage": {"usd_spent": %s}}}', number))
    assert (0.052, "price", True) == (
        found.answer.cost_usd,
        found.answer.cost_source,
        "says that it charged" in found.answer.cost_note,
    )


@pytest.mark.parametrize("number", ["0", "0.06", "0.4", "1000000", "-1e308", "NaN", '"nan"', "null", "true"])
def test_other_costs_are_not(read: Callable[..., ParsedAnswer], number: str) -> None:
    """Amounts, and what is no number at all, are none of that."""
    assert "" == read(filled('{"images": [], "meta": {"usage": {"usd_spent": %s}}}', number)).answer.cost_note


@pytest.mark.parametrize("number", NONSENSE)
def test_no_optional_answer_gives_nonsense(number: str) -> None:
    """Balance, price and the log's costs are finite amounts or nothing."""
    balance = read_balance(b'{"current_balance": %s}' % number.encode())
    unit = '{"data": [{"id": "m", "pricing": {"units": [{"name": "image", "price": %s, "per": %s}]}}]}'
    prices = [
        read_price(filled(unit, *both).encode(), "m") for both in ((number, 1), (1, number), (number, number))
    ]
    row = '{"data": [{"client_request_id": "kl-1", "status": "succeeded", "cost": {"usd": %s, "credits": %s}, "created": %s}]}'
    page = read_logs(filled(row, number, number, number).encode())
    assert page is None or 0 <= page[0]["kl-1"].cost_usd <= 1e6
    assert all(price is None or 0 <= price <= 1e6 for price in prices)
    assert balance is None or math.isfinite(balance)


@pytest.mark.parametrize("number", NONSENSE)
def test_a_seed_is_a_number_of_a_seed_s_size(read: Callable[..., ParsedAnswer], number: str) -> None:
    """A seed that no service draws is none; the picture beside it counts."""
    found = read(filled('{"seed": %s, "images": [%s]}', number, ITEM))
    assert found.answer.seed is None or 0 <= found.answer.seed < 10**40


@pytest.mark.parametrize(
    ("header", "most"),
    [
        *((text, 0) for text in ("1e308", "-1", "nan", "inf", "9" * 400, "Mon, 99 Foo 9999 99:99:99 GMT")),
        ("999999999", 1e9),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 3e11),
        ("Fri, 31 Dec 9999 23:59:59 -2359", 3e11),
    ],
)
def test_a_wait_is_finite(header: str, most: float) -> None:
    """A Retry-After is seconds or nothing; how many are waited has a bound of its own."""
    found = retry_after(header)
    assert found is None or 0 <= found <= most


WHOLE = filled('{"images": [%s, {"url": "%s"}], "seed": 7, "prompt": "a \\" ] } b"}', ITEM, B)


@pytest.mark.parametrize("length", range(len(WHOLE) + 1))
def test_what_came_whole_counts(length: int) -> None:
    """Wherever an answer is cut, what is read of it is part of the whole."""
    found = read_object(WHOLE[:length].encode())
    whole = json.loads(WHOLE)
    assert found.get("images", []) == [one for one in whole["images"][: len(found.get("images", []))] if one]
    assert {name: whole[name] for name in found if name != "images"} == {
        name: value for name, value in found.items() if name != "images"
    }
    if length > WHOLE.index(A) + len(A):
        assert {"url": A} == found["images"][0]


@pytest.mark.parametrize(
    "text",
    [
        filled('{"images": [%s]} and more', ITEM),
        filled('{"images": [%s]}{"images": []}', ITEM),
        filled('{"images": [%s], "deep": %s', ITEM, "[" * 100_000),
        filled('{"deep": %s%s, "images": [%s]}', "[" * 5000, "]" * 5000, ITEM),
        filled('{"deep": %s1%s, "images": [%s]}', '{"a":' * 5000, "}" * 5000, ITEM),
        filled('{"images": [%s], "number": %s}', ITEM, "9" * 10_000),
        filled('{"number": %s, "images": [%s]}', "9" * 10_000, ITEM),
        filled('{"images": [%s], "images": null}', ITEM),
        filled('{"images": [], "images": [%s]}', ITEM),
        filled('{"images": [%s], "odd": NaN, "odder": -1e999}', ITEM),
        filled('{"images": [%s], "broken": tru', ITEM),
        filled('{"images": [%s], "broken": [1, 2}', ITEM),
        filled('{"images": [%s], "lone": "\\ud800"}', ITEM),
        filled('{"images": [%s], "more": [%s', ITEM, "0, " * MIB),
        filled('{"images": [%s], "more": "%s', ITEM, "word " * MIB),
        filled('{"images": [%s], "more": "%s', ITEM, '\\"' * MIB),
        filled('{"images": [%s], "more": [%s', ITEM, ("x" * 4000 + " ") * 1000),
    ],
)
def test_the_picture_of_a_broken_answer_counts(read: Callable[..., ParsedAnswer], text: str) -> None:
    """Garbage behind it, depth, digits and names that come twice take no picture away."""
    assert [A] == [item.url for item in read(text).items]


@pytest.mark.parametrize(
    "text", ["", "[]", "[[", "null", '"', "{", '{"', '{"a"', "}", "<html>", '{"images": [tru']
)
def test_what_holds_nothing_is_nothing(text: str) -> None:
    """A text without an object, or without anything whole in it, gives none."""
    assert not read_object(text.encode()).get("images")


@pytest.mark.parametrize(
    "framing", [b"Content-Length: 5000", b"Transfer-Encoding: chunked", b"Content-Length: 5000\r\nX: y"]
)
@pytest.mark.parametrize("end", ["close", "reset", "silence"])
def test_a_picture_of_a_broken_off_answer_is_had(
    connect: Connect, plain_request: EditRequest, framing: bytes, end: str
) -> None:
    """An address that came whole is a picture that is paid for: the request is not in doubt."""

    def act(peer: Peer) -> None:
        if not peer.read_request().startswith("POST"):
            peer.answer(200, b"bytes")
            return
        part = b'{"images": [{"url": "%s/a.png"}], "seed": 1' % server.url.encode()
        part = b"%x\r\n%b\r\n" % (len(part), part) if b"chunked" in framing else part
        peer.send(b"HTTP/1.1 200 OK\r\n" + framing + b"\r\n\r\n" + part)
        if end == "silence":
            peer.stopped.wait(5)
        elif end == "reset":
            peer.stopped.wait(0.2)  # a reset takes away what was not read yet
            peer.reset()

    with RawServer(act) as server:
        picture = edit(connect(server.url, read_timeout=0.5), plain_request).pictures[0]
    assert b"bytes" == picture.data


def test_an_address_that_came_in_part_is_in_doubt(connect: Connect, plain_request: EditRequest) -> None:
    """Half an address is none."""

    def act(peer: Peer) -> None:
        peer.read_request()
        peer.send(
            b'HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n{"images": [{"url": "http://cdn.example/a.p'
        )

    with RawServer(act) as server, pytest.raises(InDoubt):
        edit(connect(server.url), plain_request)


def _peak(action: Callable[[], Any]) -> tuple[Any, float]:
    """What an action gives, and the most memory that it took besides, in MiB."""
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    found = action()
    peak = tracemalloc.get_traced_memory()[1] - before
    tracemalloc.stop()
    return found, peak / MIB


@pytest.mark.slow
@pytest.mark.parametrize("piece", [b"0, ", b"{}, "])
def test_a_flood_takes_little_memory(connect: Connect, plain_request: EditRequest, piece: bytes) -> None:
    """A hundred megabytes of values behind the picture's address are left unread."""

    def act(peer: Peer) -> None:
        peer.read_request()
        start = b'{"images": [%s], "more": [' % ITEM.encode()
        peer.send(b"HTTP/1.1 200 OK\r\n\r\n" + start)
        for _ in range(100):
            peer.send(piece * (MIB // len(piece)))

    with RawServer(act) as server:
        client = connect(server.url, read_timeout=60.0)
        raw, peak = _peak(lambda: client.post(plain_request, "kl-1"))
        found, more = _peak(lambda: client.read(raw, plain_request))
    assert [A] == [item.url for item in found.items]
    assert (True, True) == (peak < 30, more < 100), (peak, more)


def test_a_large_inline_picture_is_had_within_bounds(connect: Connect, plain_request: EditRequest) -> None:
    """The largest picture that is accepted comes along as base64, in four times its text's size at most."""
    picture = bytes(range(256)) * (60 * 4 * 1024)
    body = b'{"data": [{"b64_json": "%b"}]}' % base64.b64encode(picture)
    client = connect("http://127.0.0.1:9")
    found, peak = _peak(lambda: client.read(RawAnswer(200, body), plain_request))
    assert picture == found.items[0].data
    assert peak < 4 * len(body) / MIB, peak


def test_an_inline_picture_in_pieces_is_had(read: Callable[..., ParsedAnswer]) -> None:
    """Blanks inside base64 are passed over, however long the runs between them."""
    picture = bytes(range(256)) * 64
    text = base64.b64encode(picture).decode()
    assert (
        picture == read(filled('{"data": [{"b64_json": "%s  %s"}]}', text[:9001], text[9001:])).items[0].data
    )


def test_the_digest_of_another_picture_is_no_picture(read: Callable[..., ParsedAnswer]) -> None:
    """A digest that a service writes itself stands for nothing."""
    found = read(filled('{"data": [{"b64_json": "sha256:%s"}]}', "0" * 64))
    assert Reason.CORRUPT == found.items[0].reason
