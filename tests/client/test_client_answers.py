"""Reading answers: every shape that is known, and no exception for any other."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kontext_lab.client import ClientSettings, KontextClient
from kontext_lab.client.answers import ParsedAnswer, number_of
from kontext_lab.images import load_reference
from kontext_lab.request import EditRequest
from kontext_lab.request.attempt import RawAnswer, Reason

A, B = "https://cdn.example/a.png", "https://cdn.example/b.png"
REFERENCE = load_reference(
    base64.b64decode(
        "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4//8/AAX+Av4N70a4AAAAAElFTkSuQmCC"
    )
)
REQUEST = EditRequest(prompt="x", image=REFERENCE, num_images=2)
CLIENT = KontextClient(ClientSettings())


def read(body: Any, headers: dict[str, str] | None = None) -> ParsedAnswer:
    """What the client understands of an answer."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return CLIENT.read(RawAnswer(200, content, headers or {}), REQUEST)


def urls(body: Any) -> list[str | None]:
    """The addresses an answer lists."""
    return [item.url for item in read(body).items]


@pytest.mark.parametrize(
    "body",
    [
        {"images": [{"url": A}, {"url": B}]},
        {"data": [{"url": A}, {"url": B}]},
        {"images": [{"url": A}, {"url": B}], "data": [{"url": A}, {"url": B}]},
        {"images": [{"url": A}, {"url": B}], "data": [{"url": B}, {"url": A}]},
        {"images": [{"url": A}], "data": [{"url": A}, {"url": B}]},
        {"images": [], "data": [{"url": A}, {"url": B}]},
        {"images": None, "data": [{"url": A}, {"url": B}]},
        {"images": [{"url": A}, {"url": B}, {"url": A}]},
        {"images": [A, B]},
        {"images": [{"url": f" {A}\n"}, {"url": B}]},
        {"images": [{"url": A, "b64_json": None}, {"url": B, "image_base64": ""}], "new": {"field": [1]}},
        {"images": [{"url": A}, None], "data": [{"url": A}, {"url": B}]},
        {"images": [{"url": None}, {}], "data": [{"url": A}, {"url": B}]},
    ],
)
def test_the_same_pictures_are_found_once_each(body: object) -> None:
    """Whatever lists them, and however often, there are two pictures, in order."""
    assert urls(body) == [A, B]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"null",
        b"3",
        b'"text"',
        b"<html>",
        b"\xff\xfe",
        b"{",
        b'{"result": []}',
        b"{}",
        b'{"images": {}}',
        b'{"images": "text"}',
        b"1" * 5000,
        b"[" * 100_000,
        b'{"images":' * 50_000,
    ],
)
def test_an_unknown_shape_is_unreadable(body: bytes) -> None:
    """What no shape fits is told as such, billed at the price."""
    parsed = read(body)
    assert (parsed.reason, parsed.items, parsed.answer.cost_source) == (Reason.UNREADABLE, (), "price")
    assert parsed.note


@pytest.mark.parametrize("body", [{"images": []}, {"data": []}, {"data": None}, {"images": [], "data": []}])
def test_an_empty_list_is_an_answer_without_pictures(body: object) -> None:
    """An empty list is readable: it just holds nothing."""
    answer = CLIENT.collect(RawAnswer(200, json.dumps(body).encode()), REQUEST)
    assert [picture.reason for picture in answer.pictures] == [Reason.EMPTY, Reason.EMPTY]


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        (None, Reason.EMPTY),
        ({"url": None}, Reason.EMPTY),
        ({"url": ""}, Reason.EMPTY),
        ({"b64_json": None}, Reason.EMPTY),
        ({"uri": A}, Reason.UNREADABLE),
        (7, Reason.UNREADABLE),
        ([A], Reason.UNREADABLE),
        ({"b64_json": "%%%"}, Reason.CORRUPT),
        ({"b64_json": "data:image/png;base64,"}, Reason.CORRUPT),
        ("file:///etc/passwd", Reason.EXPIRED),
        ({"url": "file:///etc/passwd"}, Reason.EXPIRED),
        ({"url": "ftp://host/a.png"}, Reason.EXPIRED),
        ({"url": "javascript:alert(1)"}, Reason.EXPIRED),
        ({"url": "/relative.png"}, Reason.EXPIRED),
        ({"url": "https://"}, Reason.EXPIRED),
        ({"url": "http://["}, Reason.EXPIRED),
        ({"url": "\ud800"}, Reason.EXPIRED),
    ],
)
def test_an_entry_without_picture_says_why(entry: object, reason: Reason) -> None:
    """Each entry that brings nothing keeps its place, its reason and a line; no file is opened."""
    item = read({"images": [entry]}).items[0]
    assert (reason, None, b"") == (item.reason, item.url, item.data)
    assert len(item.note.splitlines()) == 1


@pytest.mark.parametrize(
    "text",
    [
        "cGljdHVyZT8/Pg==",
        "data:image/png;base64,cGljdHVyZT8/Pg==",
        "cGljdHVyZT8/Pg",
        "cGljdHVyZT8_Pg==",
        "cGlj\ndHVyZT8/\r\nPg==",
    ],
)
@pytest.mark.parametrize("name", ["b64_json", "image_base64"])
def test_inline_pictures_are_decoded(text: str, name: str) -> None:
    """Base64 is read with or without prefix, padding and line ends, in both alphabets."""
    assert read({"data": [{name: text}]}).items[0].data == b"picture??>"


def test_a_data_uri_as_address_is_an_inline_picture() -> None:
    """An item's url may carry the picture itself."""
    assert read({"images": [{"url": "data:image/png;base64,cGljdHVyZQ=="}]}).items[0].data == b"picture"


def test_what_came_along_goes_before_an_address() -> None:
    """Bytes in the answer cannot expire, so their address is not opened."""
    assert read({"data": [{"url": A, "b64_json": "cGljdHVyZQ=="}]}).items[0].data == b"picture"


def test_an_address_helps_out_damaged_bytes() -> None:
    """Where the bytes in the answer are damaged, the address is used."""
    assert urls({"data": [{"url": A, "b64_json": "%"}]}) == [A]


def test_an_inline_picture_beyond_the_limit_is_not_kept() -> None:
    """The limit holds for inline pictures too."""
    client = KontextClient(ClientSettings(max_output_bytes=10))
    body = json.dumps({"data": [{"b64_json": "A" * 8000}]}).encode()
    assert client.read(RawAnswer(200, body), REQUEST).items[0].reason == Reason.CORRUPT


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ([False, True], (False, True)),
        ([True], (True, False)),
        ([], (False, False)),
        (None, (False, False)),
        (True, (True, True)),
        (False, (False, False)),
        ("yes", (False, False)),
        ([True, True, True], (True, True)),
        ([None, {}], (False, False)),
    ],
)
def test_flags_may_be_short_missing_or_single(flags: object, expected: tuple[bool, bool]) -> None:
    """Moderation flags are optional in every respect."""
    items = read({"images": [{"url": A}, {"url": B}], "has_nsfw_concepts": flags}).items
    assert expected == tuple(item.flagged for item in items)


def test_a_flagged_item_without_picture_is_moderated() -> None:
    """Withheld by moderation is told apart from forgotten."""
    body = {"images": [{"url": None}], "has_nsfw_concepts": [True]}
    answer = CLIENT.collect(RawAnswer(200, json.dumps(body).encode()), REQUEST)
    assert [picture.reason for picture in answer.pictures] == [Reason.MODERATED, Reason.EMPTY]


@pytest.mark.parametrize(
    ("seed", "expected"),
    [
        (1, 1),
        (3959063143, 3959063143),
        (2**64, 2**64),
        (5.0, 5),
        ("7", 7),
        (5.5, None),
        (True, None),
        (None, None),
        ("x", None),
        (-1, None),
        ([1], None),
        (float("nan"), None),
    ],
)
def test_seeds_are_whole_numbers_or_nothing(seed: object, expected: int | None) -> None:
    """A seed is read exactly or not at all."""
    assert expected == read({"images": [], "seed": seed}).answer.seed


USD, CREDITS = "x-aimlapi-usd-spent", "x-aimlapi-credits-used"


@pytest.mark.parametrize(
    ("headers", "usage", "expected"),
    [
        ({USD: "0.06"}, {"usd_spent": 0.9}, (0.06, "header")),
        ({CREDITS: "120000"}, {"usd_spent": 0.9}, (0.06, "header")),
        ({USD: "0.06", CREDITS: "1"}, {}, (0.06, "header")),
        ({USD: "0"}, {"usd_spent": 0.9}, (0.0, "header")),
        ({USD: "-1", CREDITS: "120000"}, {}, (0.06, "header")),
        ({USD: "nan"}, {"usd_spent": 0.9}, (0.9, "usage")),
        ({USD: "inf"}, {"credits_used": 120000}, (0.06, "usage")),
        ({USD: "free"}, {"usd_spent": "0.06"}, (0.06, "usage")),
        ({USD: "1_0"}, {}, (0.104, "price")),
        ({USD: ""}, {"usd_spent": None, "credits_used": True}, (0.104, "price")),
        ({}, {"usd_spent": -0.06, "credits_used": float("inf")}, (0.104, "price")),
        ({}, "usage", (0.104, "price")),
        ({}, None, (0.104, "price")),
    ],
)
def test_the_cost_is_header_then_usage_then_price(
    headers: dict[str, str], usage: object, expected: tuple[float, str]
) -> None:
    """The first source with a usable number wins."""
    parsed = read({"images": [], "meta": {"usage": usage}}, headers)
    assert expected == (pytest.approx(parsed.answer.cost_usd), parsed.answer.cost_source)


def test_an_unreadable_answer_still_has_its_cost() -> None:
    """The header counts whatever the body is."""
    assert (read(b"<html>", {USD: "0.06"}).answer.cost_usd, read(b"", {USD: "0.06"}).answer.cost_source) == (
        0.06,
        "header",
    )


@pytest.mark.parametrize("value", ["1e400", "9" * 400, 10**400, "0x10", "١", " ", "1,5", [], {}, b"1"])
def test_odd_numbers_are_no_numbers(value: object) -> None:
    """Numbers too large, or in another notation, are ignored."""
    assert number_of(value) is None


def test_the_text_keeps_all_but_pictures() -> None:
    """Inline pictures become the digest of their bytes, the rest stays to the letter."""
    picture = bytes(range(256)) * 40
    text = base64.b64encode(picture).decode()
    body = f'{{ "data" : [{{"b64_json":"{text}"}}],\n "prompt":"ä ☃" }}'.encode()
    digest = hashlib.sha256(picture).hexdigest()
    assert read(body).answer.raw == f'{{ "data" : [{{"b64_json":"sha256:{digest}"}}],\n "prompt":"ä ☃" }}'


@pytest.mark.parametrize(
    "wrap",
    [
        lambda text: json.dumps({"somewhere": ["data:image/png;base64," + text]}),
        lambda text: json.dumps({"data": [{"b64_json": text}]}).replace("/", "\\/"),
        lambda text: text,
        lambda text: '{"b64_json": "' + text,
    ],
)
def test_pictures_in_unknown_places_stay_out_of_the_text(wrap: Callable[[str], str]) -> None:
    """Long base64 never reaches a log, wherever it stands and however the answer is broken."""
    picture = bytes(range(256)) * 40
    parsed = read(wrap(base64.b64encode(picture).decode()).encode())
    assert len(parsed.answer.raw) < 200
    assert hashlib.sha256(picture).hexdigest() in parsed.answer.raw


def test_a_long_text_is_cut() -> None:
    """The text is kept to a sane length, and says that it was cut."""
    parsed = read(b"word " * 100_000)
    assert len(parsed.answer.raw) < 201_000
    assert parsed.answer.raw.endswith("cut here, 500000 characters in all")


def test_a_flood_of_pictures_is_limited() -> None:
    """An answer with more pictures than anybody asked for is read up to a limit."""
    assert len(read({"images": [{"url": f"{A}?{number}"} for number in range(10_000)]}).items) == 64


def test_more_pictures_than_asked_for_are_kept() -> None:
    """What came is kept: as many pictures as asked for or received, whichever is more."""
    body = {"data": [{"b64_json": base64.b64encode(bytes([number])).decode()} for number in range(3)]}
    assert len(CLIENT.collect(RawAnswer(200, json.dumps(body).encode()), REQUEST).pictures) == 3


NAMES = [
    "images",
    "data",
    "url",
    "b64_json",
    "image_base64",
    "has_nsfw_concepts",
    "seed",
    "meta",
    "usage",
    "usd_spent",
    "credits_used",
    "other",
]
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from([A, "data:,x", "AAAA"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(NAMES),
            inner,
            max_size=5,
        )
    ),
    max_leaves=20,
)
HEADERS = st.dictionaries(st.sampled_from([USD, CREDITS, "content-type"]), st.text())


def _is_sound(parsed: ParsedAnswer) -> bool:
    return (
        parsed.answer.cost_usd >= 0
        and parsed.answer.cost_usd < float("inf")
        and all(
            (item.url or item.data or item.reason) and (item.note or not item.reason) for item in parsed.items
        )
    )


@pytest.mark.slow
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.dictionaries(st.sampled_from(["images", "data", "meta", "seed", "has_nsfw_concepts"]), JSON), HEADERS
)
def test_no_json_raises(body: object, headers: dict[str, str]) -> None:
    """Any JSON is read into something sound."""
    assert _is_sound(read(body, headers))


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=2000), HEADERS)
def test_no_bytes_raise(body: bytes, headers: dict[str, str]) -> None:
    """Any bytes are read into something sound."""
    assert _is_sound(read(body, headers))
