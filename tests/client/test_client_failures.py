"""Failures in words: envelopes, issue lists, proxies' pages, and how long to wait."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kontext_lab.client.failures import from_answer, one_line, read_envelope, retry_after
from kontext_lab.errors import (
    InDoubt,
    ModelWithdrawn,
    OutOfCredits,
    RequestRefused,
    ServiceError,
    ServiceUnavailable,
    Unauthorized,
)
from kontext_lab.request.attempt import RawAnswer


def envelope(status: int, **more: object) -> bytes:
    """An error in the service's newer envelope."""
    return json.dumps({"title": "T", "status": status, "requestId": "r-9", **more}).encode()


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"message": "Too Many Requests"}', "Too Many Requests"),
        (b'{"message": ["prompt: Required", "model: Required"]}', "prompt: Required; model: Required"),
        (b'{"error": {"message": "inner"}}', "inner"),
        (b'{"error": "just text"}', "just text"),
        (b'{"title": "Unauthorized"}', "Unauthorized"),
        (b"<html><title>502 Bad&nbsp;Gateway</title></html>", "502 Bad Gateway, a web page"),
        (b"<p>error\n  code</p>: 1010", "error code : 1010"),
        (b"error code: 1010", "error code: 1010"),
        (b"", ""),
        (b"\xff\xfe\x00", "��"),
        (b'{"a": 1}', '{"a": 1}'),
        (b"[1]", "[1]"),
    ],
)
def test_every_body_has_its_words(body: bytes, words: str) -> None:
    """Envelopes, pages and plain text are told in one line."""
    assert words == read_envelope(body).words


def test_issues_are_told_field_by_field() -> None:
    """A Zod issue list names fields, list places and what is wrong."""
    issues = [
        {"path": ["guidance_scale"], "message": "Number must be less than or equal to 20"},
        {"path": ["image_url", 1, "x"], "message": "Invalid url"},
        {"path": [], "message": "Required"},
        {"message": "No path"},
        "nonsense",
        {"path": ["a"]},
    ]
    body = envelope(400, error={"name": "BadRequestException", "message": "m", "data": issues})
    assert read_envelope(body).words == (
        "guidance_scale: Number must be less than or equal to 20; image_url[1].x: Invalid url; Required; No path"
    )


CREDIT_WORDS = "You've run out of credits. Please top up"


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, envelope(400), RequestRefused),
        (401, b"", Unauthorized),
        (402, b"", OutOfCredits),
        (403, envelope(403, message=CREDIT_WORDS), OutOfCredits),
        (403, envelope(403, message="insufficient funds"), OutOfCredits),
        (403, envelope(403, error={"data": {"kind": "err_insufficent_credits"}}), OutOfCredits),
        (403, b'{"error": {"data": {"kind": "err_insufficent_credits"}}}', OutOfCredits),
        (403, CREDIT_WORDS.encode(), RequestRefused),
        (403, envelope(403, message="No permission for fundamental models"), RequestRefused),
        (403, b"error code: 1010", RequestRefused),
        (404, envelope(404), ModelWithdrawn),
        (404, b"<html>", ModelWithdrawn),
        (405, b"", RequestRefused),
        (413, b"", RequestRefused),
        (418, b"", RequestRefused),
        (422, envelope(422), RequestRefused),
        (408, envelope(408), ServiceUnavailable),
        (408, b"", InDoubt),
        (500, envelope(500), ServiceUnavailable),
        (500, b'{"requestId": "r", "statusCode": 500}', ServiceUnavailable),
        (500, b'{"requestId": "", "statusCode": 500}', InDoubt),
        (500, b"", InDoubt),
        (524, b"error code: 524", InDoubt),
        (101, b"", InDoubt),
        (999, b"", InDoubt),
    ],
)
def test_status_and_envelope_decide(status: int, body: bytes, kind: type[ServiceError]) -> None:
    """The class follows from status and envelope alone."""
    error = from_answer(RawAnswer(status, body), "host")
    assert (kind, status) == (type(error), error.status)


def test_an_error_carries_the_services_id() -> None:
    """The id comes from the envelope, else from the header."""
    headers = {"x-request-id": "from-header"}
    assert from_answer(RawAnswer(400, envelope(400), headers), "host").request_id == "r-9"
    assert from_answer(RawAnswer(400, b"", headers), "host").request_id == "from-header"


def test_an_error_carries_the_beginning_of_the_body() -> None:
    """The body is kept to 2000 characters."""
    assert from_answer(RawAnswer(400, b"x" * 5000), "host").body == "x" * 2000


@given(st.integers(100, 999), st.binary(max_size=300), st.text(max_size=40))
def test_no_answer_raises(status: int, body: bytes, header: str) -> None:
    """Any answer becomes an error of one line."""
    error = from_answer(RawAnswer(status, body, {"retry-after": header, "location": header}), "host")
    assert len(str(error).splitlines()) == 1


NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("", None),
        ("0", 0.0),
        ("7", 7.0),
        (" 7 ", 7.0),
        ("1.5", 1.5),
        ("-1", None),
        ("soon", None),
        ("nan", None),
        ("inf", None),
        ("1e9", None),
        ("9999999999999", None),
        ("Sun, 01 Mar 2026 12:00:30 GMT", 30.0),
        ("Sun, 01 Mar 2026 14:00:30 +0200", 30.0),
        ("Sunday, 01-Mar-26 12:00:30 GMT", 30.0),
        ("Sun, 01 Mar 2026 11:59:59 GMT", None),
        ("Sun, 99 Mar 2026 12:00:30 GMT", None),
        ("2026-03-01T12:00:30Z", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(header: str | None, seconds: float | None) -> None:
    """Both forms are read; what is negative, past or garbage is ignored."""
    assert seconds == retry_after(header, NOW)


@pytest.mark.parametrize(
    ("text", "line"), [("a\nb\r\n\tc", "a b c"), ("x" * 20, "xxxxxxxxx…"), ("\x1b[31mred\ud800", "[31mred")]
)
def test_one_line_is_one_line(text: str, line: str) -> None:
    """Line ends, control characters and lone surrogates go, length is limited."""
    assert line == one_line(text, 10)
