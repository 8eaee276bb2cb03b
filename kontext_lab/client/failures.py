"""Failures sorted by what they mean for the money: refused, wait, stop, or in doubt.

Pure functions: an answer's status, headers and body, or an exception with its causes, become one error of the tree. The
rule behind every line: a request that may have been accepted is in doubt unless something proves that it was not
billed. Only the service's own envelope, or a request that never left, proves that.
"""

from __future__ import annotations

import html
import json
import math
import re
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import urljoin, urlsplit

import requests
import urllib3.exceptions as causes

from kontext_lab.errors import (
    Cause,
    InDoubt,
    ModelWithdrawn,
    OutOfCredits,
    RateLimited,
    RequestRefused,
    ServiceError,
    ServiceUnavailable,
    Unauthorized,
    cause_of,
    chained,
)
from kontext_lab.redaction import masked
from kontext_lab.request.attempt import RawAnswer

__all__ = [
    "Envelope",
    "connection_cause",
    "from_answer",
    "from_exception",
    "one_line",
    "read_envelope",
    "retry_after",
]

MAX_BODY = 2000  # characters of a body that an error carries
# The first is the service's own spelling.
_CREDIT_KINDS = ("err_insufficent_credits", "err_insufficient_credits")
_CREDIT_WORDS = re.compile(r"\b(credits?|funds?)\b", re.IGNORECASE)
_DOUBT = "the request may have been accepted and billed; look into the service's log before sending it again"
_BEFORE_SENDING = (
    causes.NewConnectionError,
    causes.ConnectTimeoutError,
    causes.ProxyError,
    requests.exceptions.ProxyError,
    requests.exceptions.InvalidURL,
    requests.exceptions.InvalidSchema,
    requests.exceptions.MissingSchema,
    requests.exceptions.InvalidHeader,
    ssl.SSLCertVerificationError,
)


@dataclass(frozen=True)
class Envelope:
    """Content of an error's body."""

    own: bool = False  # true for the service's own envelope, False for a page of something in front of it
    words: str = ""  # one line for a person
    kind: str = ""  # the service's machine-readable kind, or empty
    request_id: str | None = None  # the service's id, or None


def from_answer(raw: RawAnswer, host: str) -> ServiceError:
    """The error of the tree for an answer that is not 2xx; any key in it is masked already."""
    envelope = read_envelope(raw.body)
    error, message = _sorted(raw, envelope, host)
    return error(
        message,
        raw.status,
        envelope.request_id or raw.headers.get("x-request-id"),
        raw.body.decode("utf-8", "replace")[:MAX_BODY],
        retry_after(raw.headers.get("retry-after")),
    )


def _sorted(raw: RawAnswer, envelope: Envelope, host: str) -> tuple[type[ServiceError], str]:
    status = raw.status
    words = envelope.words.removeprefix(f"{status} ")
    cited = f"({status}: {words})" if words else f"({status})"
    no_credits = envelope.kind in _CREDIT_KINDS or (envelope.own and _CREDIT_WORDS.search(envelope.words))
    if 300 <= status < 400:
        # Not followed: a redirected POST may arrive twice, and the key must stay at its own origin.
        try:
            target = urlsplit(urljoin(f"https://{host}/", raw.headers.get("location", ""))).netloc
        except ValueError:
            target = ""
        where = f" to {one_line(target.rpartition('@')[2], 100)}" if target else ""
        way_out = "the base URL is wrong, check AIMLAPI_BASE_URL"
        return RequestRefused, f"{host} redirects requests{where} ({status}): {way_out}"
    if status == 401:
        return Unauthorized, f"{host} does not accept the API key {cited}: check AIMLAPI_API_KEY"
    if status == 402 or (status == 403 and no_credits):
        return OutOfCredits, f"no credits are left at {host} {cited}: top up the account"
    if status == 404:
        return ModelWithdrawn, f"{host} knows no such model or address {cited}: check model and base URL"
    if status == 429:
        return RateLimited, f"{host} asks to slow down {cited}: nothing was billed, try again later"
    if status == 407:
        way_out = "write both before its host in HTTP_PROXY, with a : between them and an @ after them"
        return RequestRefused, f"the proxy before {host} asks for a name and a password {cited}: {way_out}"
    if status == 413:
        return RequestRefused, f"{host} finds the request too large {cited}: send fewer or smaller references"
    if envelope.own and (status >= 500 or status == 408):
        return ServiceUnavailable, f"{host} reports a failure {cited}: nothing was billed, try again later"
    if status >= 500 or status == 408 or status < 200:
        return InDoubt, f"something in front of {host} answered in its place {cited}: {_DOUBT}"
    return RequestRefused, f"{host} refused the request {cited}: change it before sending it again"


def read_envelope(body: bytes) -> Envelope:
    """Content of an error's body, in either envelope or none; never raises."""
    text = body.decode("utf-8", "replace")
    try:
        found = json.loads(text)
        if not isinstance(found, dict):
            return Envelope(words=one_line(text))
        error = found.get("error")
        inner = error if isinstance(error, dict) else {}
        data = inner.get("data")
        kind = data.get("kind") if isinstance(data, dict) else None
        message = found.get("message") or inner.get("message") or error or found.get("title")
        words = _issue_words(data)
        if not words and isinstance(message, list):
            parts = (part if isinstance(part, str) else json.dumps(part) for part in message)
            words = one_line("; ".join(parts), 600)
        elif not words and isinstance(message, str):
            words = one_line(message)
        request_id = found.get("requestId")
        return Envelope(
            own=bool(request_id) and ("statusCode" in found or "status" in found),
            words=words or one_line(text),
            kind=kind if isinstance(kind, str) else "",
            request_id=one_line(request_id, 128) if isinstance(request_id, str) and request_id else None,
        )
    except (ValueError, RecursionError):  # JSON that could be read may still be too deep to be written
        # A proxy's page: its title, else its text.
        title = re.search(r"<title[^>]*>(.*?)</title", text[:20_000], re.IGNORECASE | re.DOTALL)
        if title:
            return Envelope(words=one_line(html.unescape(title[1])) + ", a web page")
        return Envelope(words=one_line(re.sub(r"<[^>]*>", " ", text[:20_000])))


def _issue_words(data: object) -> str:
    """A Zod issue list in words: `guidance_scale: Number must be less than or equal to 20`."""
    lines = []
    for issue in data[:8] if isinstance(data, list) else ():
        if isinstance(issue, dict) and isinstance(issue.get("message"), str):
            path = issue.get("path")
            steps = path if isinstance(path, list) else ()
            where = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps)
            where = where.removeprefix(".")
            lines.append(f"{where}: {issue['message']}" if where else issue["message"])
    return one_line("; ".join(lines), 600)


def one_line(text: str, length: int = 300) -> str:
    """Any text as one printable line of at most `length` characters."""
    flat = " ".join("".join(c if c.isprintable() else " " for c in text[: length * 10]).split())
    return flat if len(flat) <= length else flat[: length - 1] + "…"


def retry_after(value: str | None, now: datetime | None = None) -> float | None:
    """Seconds to wait, from a Retry-After header in seconds or as an HTTP date.

    None without a header, for a header that makes no sense, or for a date before `now`, by default the clock's.
    """
    text = (value or "").strip()
    if re.fullmatch(r"[0-9]{1,9}(\.[0-9]+)?", text):
        return float(text)
    try:
        when = parsedate_to_datetime(text)
        when = when if when.tzinfo else when.replace(tzinfo=UTC)
        seconds = (when - (now or datetime.now(UTC))).total_seconds()
    except (TypeError, ValueError, OverflowError):
        return None
    return seconds if math.isfinite(seconds) and seconds >= 0 else None


def from_exception(error: BaseException, host: str, *, sent: bool | None) -> ServiceError:
    """The error of the tree for a request that brought no answer.

    `sent` is True if some of the request's body was read for sending. False proves that the service holds no complete
    request. None means unknown: then the causes decide.
    """
    chain, cause = list(chained(error)), connection_cause(error)
    if sent is None:
        sent = not any(isinstance(link, _BEFORE_SENDING) for link in chain)
    if not sent:
        return ServiceUnavailable(
            f"could not connect to {host} ({cause.words}): nothing was sent, {cause.way_out}"
        )
    if any(isinstance(link, causes.ReadTimeoutError | requests.exceptions.ReadTimeout) for link in chain):
        return InDoubt(f"{host} did not answer in time: {_DOUBT}")
    return InDoubt(f"the connection to {host} broke before the answer was read ({cause.words}): {_DOUBT}")


def connection_cause(error: BaseException) -> Cause:
    """Cause of a connection's failure in a few words, without addresses of objects in memory, and the way out."""
    chain = list(chained(error))
    # urllib3 counts every failed connection among the timeouts.
    if any(type(link) is causes.ConnectTimeoutError for link in chain):
        return Cause("no connection in time", "check the address, the network and its firewall")
    known = cause_of(error)
    timed_out = any(isinstance(link, TimeoutError) for link in chain)
    if timed_out and (known is None or known.words == "timed out"):
        return Cause("it did not take the request in time")
    return known or Cause(f"{type(chain[-1]).__name__}: {one_line(masked(str(chain[-1])), 100)}")
