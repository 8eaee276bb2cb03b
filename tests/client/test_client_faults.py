"""Each failure of the service becomes the class of the tree that says what it means for the money."""

from __future__ import annotations

import pickle
from collections.abc import Callable

import pytest
from client_calls import attempt, edit

from kontext_lab.client import KontextClient
from kontext_lab.errors import (
    ConfigError,
    InDoubt,
    ModelWithdrawn,
    OutOfCredits,
    RateLimited,
    RequestRefused,
    ServiceError,
    ServiceUnavailable,
    Unauthorized,
)
from kontext_lab.request import EditRequest
from kontext_lab.sandbox import FAULTS, Fault, Sandbox

Connect = Callable[..., KontextClient]

ERRORS: dict[str, tuple[type[ServiceError], int | None]] = {
    "bad_request": (RequestRefused, 400),
    "unauthorized": (Unauthorized, 401),
    "out_of_credits": (OutOfCredits, 403),
    "forbidden": (RequestRefused, 403),
    "blocked": (RequestRefused, 403),
    "not_found": (ModelWithdrawn, 404),
    "too_large": (RequestRefused, 413),
    "rate_limited": (RateLimited, 429),
    "rate_limited_wait": (RateLimited, 429),
    "server_error": (ServiceUnavailable, 500),
    "bad_gateway": (ServiceUnavailable, 502),
    "unavailable": (ServiceUnavailable, 503),
    "generation_timeout": (ServiceUnavailable, 504),
    "proxy_timeout": (InDoubt, 504),
    "proxy_524": (InDoubt, 524),
    "proxy_bad_gateway": (InDoubt, 502),
    "proxy_empty": (InDoubt, 502),
    "lost": (InDoubt, None),
    "lost_failed": (InDoubt, None),
    "cut_before": (InDoubt, None),
    "cut_before_close": (InDoubt, None),
    "cut_after": (InDoubt, None),
    "cut_after_close": (InDoubt, None),
    "cut_middle": (InDoubt, None),
}
BILLED = {
    "slow", "cut_late", "moderated", "no_picture", "black", "unreadable", "not_json", "b64", "image_base64",
    "missing_one",
    "missing_one_black", "truncated", "download_cut", "corrupt", "html_picture", "expired", "expired_403",
    "expired_410", "download_5xx", "download_redirect", "download_redirect_host", "download_redirect_loop",
    "download_huge", "download_endless", "download_slow",
}  # fmt: skip


def test_every_preset_of_the_sandbox_is_tried() -> None:
    """No preset is forgotten here or in the contract suite."""
    assert set(FAULTS) == set(ERRORS) | BILLED


@pytest.mark.parametrize("envelope", ["new", "old"])
@pytest.mark.parametrize("preset", ERRORS)
def test_a_failure_has_its_class_and_status(
    connect: Connect, plain_request: EditRequest, key: str, preset: str, envelope: str
) -> None:
    """Each failure is told by its class, in both envelopes, with one clear line."""
    with Sandbox(keys={key}, envelope=envelope, faults=[preset]) as box:
        outcome = attempt(connect(box.url, read_timeout=0.7), plain_request, "kl-1")
    # What was billed is never called free.
    assert box.bill == 0 or isinstance(outcome.error, InDoubt)
    assert outcome.answer is None
    assert ERRORS[preset] == (type(outcome.error), outcome.error and outcome.error.status)
    message = str(outcome.error)
    assert len(message.splitlines()) == 1
    assert "127.0.0.1" in message
    assert key not in message


@pytest.mark.parametrize("envelope", ["new", "old"])
def test_a_refusal_names_field_and_limit(
    connect: Connect, make_request: Callable[..., EditRequest], key: str, envelope: str
) -> None:
    """The service's issue list comes through in words, in both envelopes."""
    request = make_request().model_copy(update={"guidance_scale": 21.0})
    with Sandbox(keys={key}, envelope=envelope) as box:
        error = attempt(connect(box.url), request, "kl-1").error
    assert "guidance_scale: Number must be less than or equal to 20" in str(error)


def test_a_wrong_key_is_told(connect: Connect, box: Sandbox, plain_request: EditRequest) -> None:
    """A key the service does not know ends in Unauthorized, with where to set it."""
    with pytest.raises(Unauthorized, match="AIMLAPI_API_KEY"):
        edit(connect(box.url, with_key="another-key-altogether"), plain_request)


def test_no_key_is_told(connect: Connect, box: Sandbox, plain_request: EditRequest) -> None:
    """Without a key, none is invented: the service refuses."""
    with pytest.raises(Unauthorized):
        edit(connect(box.url, with_key=None), plain_request)


def test_an_empty_account_is_told(connect: Connect, plain_request: EditRequest, key: str) -> None:
    """A balance below the price ends in OutOfCredits."""
    with Sandbox(keys={key}, balance=0.01) as box, pytest.raises(OutOfCredits):
        edit(connect(box.url), plain_request)


def test_a_withdrawn_model_is_told(connect: Connect, plain_request: EditRequest, key: str) -> None:
    """A model the service does not have ends in ModelWithdrawn."""
    with Sandbox(keys={key}, prices={"another/model": 0.01}) as box, pytest.raises(ModelWithdrawn):
        edit(connect(box.url), plain_request)


def test_retry_after_comes_through(connect: Connect, box: Sandbox, plain_request: EditRequest) -> None:
    """The seconds the service asks to wait are on the error."""
    box.script([Fault("error", status=429, retry_after=7)])
    error = attempt(connect(box.url), plain_request, "kl-1").error
    assert error is not None
    assert error.retry_after == 7.0


def test_errors_survive_pickling(connect: Connect, box: Sandbox, plain_request: EditRequest) -> None:
    """An attempt that failed travels between processes unchanged."""
    box.script(["rate_limited_wait"])
    outcome = attempt(connect(box.url), plain_request, "kl-1")
    error = pickle.loads(pickle.dumps(outcome)).error
    assert (str(outcome.error), 429, 1.0) == (str(error), error.status, error.retry_after)


def test_an_attempt_keeps_the_id_and_the_time(client: KontextClient, plain_request: EditRequest) -> None:
    """An attempt knows its id and how long it took."""
    outcome = attempt(client, plain_request, "kl-42")
    assert outcome.client_request_id == "kl-42"
    assert outcome.answer is not None
    assert 0 < outcome.answer.latency_s <= outcome.seconds


def test_other_exceptions_propagate(client: KontextClient) -> None:
    """What is no error of the service, such as a mistake in a caller, is not swallowed."""
    with pytest.raises(AttributeError):
        attempt(client, "not a request", "kl-1")  # type: ignore[arg-type]


@pytest.mark.parametrize("wrong", ["", "a b", "ä", "x" * 129, "line\nbreak"])
def test_an_id_that_cannot_be_sent_is_refused(
    client: KontextClient, box: Sandbox, plain_request: EditRequest, wrong: str
) -> None:
    """A malformed id is refused before anything is sent."""
    with pytest.raises(ConfigError, match="client_request_id"):
        client.post(plain_request, wrong)
    assert box.calls == []
