"""The optional addresses: useful where they are, harmless where they are not."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from client_calls import attempt, edit
from raw_server import Peer, RawServer

from kontext_lab.client import KontextClient
from kontext_lab.client.account import log_period, read_balance, read_logs, read_price
from kontext_lab.errors import Unauthorized
from kontext_lab.request import EditRequest
from kontext_lab.request.attempt import BillingOutcome
from kontext_lab.sandbox import Sandbox

Connect = Callable[..., KontextClient]
MODEL = "flux/kontext-pro/image-to-image"


def test_the_balance_is_told(client: KontextClient, box: Sandbox, plain_request: EditRequest) -> None:
    """The account's balance, after a paid request too."""
    edit(client, plain_request)
    assert client.balance() == pytest.approx(box.balance) == 99.948


def test_the_price_is_told(client: KontextClient) -> None:
    """The price per picture of a known model, None for another."""
    assert (client.price(MODEL), client.price("no/such-model")) == (0.052, None)


def test_the_log_tells_what_became_of_a_lost_answer(
    connect: Connect, box: Sandbox, plain_request: EditRequest
) -> None:
    """Lost and billed, lost and failed, never arrived: three different stories in the log."""
    client = connect(box.url, read_timeout=0.7)
    for number, preset in enumerate(["lost", "lost_failed", "cut_before"]):
        box.script([preset])
        attempt(client, plain_request, f"kl-{number}")
    outcomes = client.logs()
    assert outcomes == {"kl-0": BillingOutcome(True, 0.052), "kl-1": BillingOutcome(False, 0.0)}


def test_the_log_is_read_over_all_pages(
    connect: Connect, box: Sandbox, make_request: Callable[..., EditRequest]
) -> None:
    """More rows than a page holds are all found, the oldest too."""
    client = connect(box.url)
    bad = make_request().model_copy(update={"guidance_scale": 99.0})
    for number in range(205):
        attempt(client, bad, f"kl-{number}")
    assert {f"kl-{number}" for number in range(205)} == set(client.logs() or {})


def test_ping_notes_the_sandbox(client: KontextClient) -> None:
    """A client knows after a ping whether the sandbox answers."""
    client.ping()
    assert client.simulated is True


def test_another_service_is_not_the_sandbox(connect: Connect) -> None:
    """Without the sandbox's header an answer is real."""
    with RawServer(_always(404)) as server:
        client = connect(server.url)
        client.ping()
        assert client.simulated is False


def test_a_wrong_key_is_told_by_the_balance(connect: Connect, box: Sandbox) -> None:
    """The balance tells a wrong key before anything is paid."""
    with pytest.raises(Unauthorized):
        connect(box.url, with_key="another-key-altogether").balance()


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (401, b"{}"),
        (403, b"error code: 1010"),
        (404, b"{}"),
        (429, b"{}"),
        (500, b""),
        (302, b""),
        (204, b""),
        (200, b""),
        (200, b"<html>"),
        (200, b"[]"),
        (200, b"{}"),
        (200, b'{"data": 3, "current_balance": "much"}'),
        (200, b'{"data": {"id": 1}, "current_balance": true}'),
        (200, b"[" * 100_000),
    ],
)
def test_missing_addresses_are_harmless(connect: Connect, status: int, body: bytes) -> None:
    """Whatever an optional address answers, the client says that it doesn't know."""
    with RawServer(_always(status, body)) as server:
        client = connect(server.url)
        client.ping()
        assert client.price(MODEL) is None
        assert client.logs() is None
        if status != 401:
            assert client.balance() is None


def test_a_dead_service_is_harmless_too(connect: Connect) -> None:
    """Nobody there: nothing known, nothing raised."""
    client = connect("http://127.0.0.1:9")
    assert (client.balance(), client.price(MODEL), client.logs()) == (None, None, None)


def test_a_log_that_breaks_off_is_no_log(connect: Connect) -> None:
    """A first page alone proves nothing about a request that is not on it."""
    page = json.dumps(
        {"data": [{"client_request_id": "kl-2", "status": "failed"}], "pagination": {"has_more": True}}
    ).encode()
    answers = iter([(200, page), (429, b"")])

    def act(peer: Peer) -> None:
        peer.read_request()
        peer.answer(*next(answers))

    with RawServer(act) as server:
        assert connect(server.url).logs() is None


def test_an_endless_log_ends(connect: Connect) -> None:
    """A log that always claims another page is given up."""
    page = json.dumps(
        {"data": [{"client_request_id": "kl-2", "status": "failed"}], "pagination": {"has_more": True}}
    ).encode()
    with RawServer(_always(200, page)) as server:
        assert connect(server.url).logs() is None
        assert server.connections == 50


@pytest.mark.parametrize(
    ("pricing", "price"),
    [
        ({"kind": "fixed", "units": [{"name": "image", "price": 0.052, "per": 1}]}, 0.052),
        ({"kind": "fixed", "units": [{"name": "image", "price": 52, "per": 1000}]}, 0.052),
        ({"kind": "fixed", "units": [{"name": "image", "price": 0.052}]}, 0.052),
        ({"kind": "fixed", "units": [{"name": "megapixel", "price": 0.04, "per": 1}]}, None),
        ({"kind": "fixed", "units": [{"name": "image", "price": -1, "per": 1}]}, None),
        ({"kind": "fixed", "units": [{"name": "image", "price": 1, "per": 0}]}, None),
        ({"kind": "fixed", "units": []}, None),
        ({"kind": "variable"}, None),
        ({"kind": "variants", "variants": [{"when": {}, "price": 0.05, "unit": "image", "per": 1}]}, 0.05),
        (
            {
                "kind": "variants",
                "variants": [
                    {"price": 0.05, "unit": "image", "per": 1},
                    {"price": 0.1, "unit": "image", "per": 1},
                ],
            },
            None,
        ),
        ("0.05", None),
        (None, None),
    ],
)
def test_a_price_is_read_only_where_it_is_sure(pricing: object, price: float | None) -> None:
    """One rate per picture is a price; rates per something else, or several, are not."""
    body = json.dumps(
        {"data": [{"id": "other"}, {"id": "m", "aliases": [MODEL], "pricing": pricing}]}
    ).encode()
    assert price == read_price(body, MODEL)


def test_a_log_row_may_be_incomplete() -> None:
    """A row without an id or a final status says nothing; a cost of another type is none."""
    rows = [
        {},
        3,
        {"client_request_id": "a", "cost": {"credits": 2_000_000}},
        {"client_request_id": "b", "status": "succeeded", "cost": {"credits": 2_000_000}},
        {"client_request_id": "c", "status": "failed", "cost": "much"},
    ]
    outcomes = {"b": BillingOutcome(True, 1.0), "c": BillingOutcome(False, 0.0)}
    assert (outcomes, False) == read_logs(json.dumps({"data": rows}).encode())


@pytest.mark.parametrize(
    ("body", "balance"), [(b'{"current_balance": -2}', -2.0), (b'{"current_balance": 1e999}', None)]
)
def test_a_balance_may_be_negative_but_finite(body: bytes, balance: float | None) -> None:
    """Debts are told, nonsense is not."""
    assert balance == read_balance(body)


NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("since", "period"),
    [
        (None, "25h"),
        (NOW - timedelta(minutes=5), "2h"),
        (NOW - timedelta(days=7), "169h"),
        (NOW - timedelta(days=400), "2208h"),
        (NOW + timedelta(days=1), "1h"),
    ],
)
def test_the_logs_window_reaches_back_far_enough(since: datetime | None, period: str) -> None:
    """The window covers the moment asked for, with an hour to spare, and at most 92 days."""
    assert period == log_period(since, NOW)


def _always(status: int, body: bytes = b"") -> Callable[[Peer], None]:
    def act(peer: Peer) -> None:
        peer.read_request()
        peer.answer(status, body, Location="http://127.0.0.1:9/")

    return act
