"""Sorting failures by what they mean for the money: refused, wait, stop, or in doubt.

Pure functions: an answer's status, headers and body, or an exception with its causes, become one error of the
tree. The rule behind every line here: what may have been accepted is in doubt unless something proves that it
was not billed, and only the service's own envelope or a request that never left proves that.
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
from typing import Any
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

__all__ = ["Envelope", "from_answer", "from_exception", "one_line", "read_envelope", "retry_after", "why"]

MAX_BODY = 2000
"""Characters of a body that an error carries."""

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
    """What an error's body says.

    Attributes:
        own: it is the service's own envelope, not a page of something in front of it.
        words: one line for a person.
        kind: the service's machine-readable kind, or empty.
        request_id: the service's id, or None.
    """

    own: bool = False
    words: str = ""
    kind: str = ""
    request_id: str | None = None


def from_answer(raw: RawAnswer, host: str) -> ServiceError:
    """The error of the tree for an answer that is not 2xx.

    Args:
        raw: the answer, with any key already blackened.
        host: what to call the service in the message.
    """
    said = read_envelope(raw.body)
    kind, message = _sorted(raw, said, host)
    return kind(
        message,
        raw.status,
        said.request_id or raw.headers.get("x-request-id"),
        raw.body.decode("utf-8", "replace")[:MAX_BODY],
        retry_after(raw.headers.get("retry-after")),
    )


def _sorted(raw: RawAnswer, said: Envelope, host: str) -> tuple[type[ServiceError], str]:
    status = raw.status
    words = said.words.removeprefix(f"{status} ")
    told = f"({status}: {words})" if words else f"({status})"
    if 300 <= status < 400:
        return RequestRefused, _redirected(raw, host)
    if status == 401:
        return Unauthorized, f"{host} does not accept the API key {told}: check AIMLAPI_API_KEY"
    if status == 402 or (status == 403 and _about_credits(said)):
        return OutOfCredits, f"no credits are left at {host} {told}: top up the account"
    if status == 404:
        return ModelWithdrawn, f"{host} knows no such model or address {told}: check model and base URL"
    if status == 429:
        return RateLimited, f"{host} asks to slow down {told}: nothing was billed, try again later"
    if status == 407:
        way_out = "put both before its host in HTTP_PROXY, a : between them and an @ behind"
        return RequestRefused, f"the proxy before {host} asks for a name and a password {told}: {way_out}"
    if status == 413:
        return RequestRefused, f"{host} finds the request too large {told}: send fewer or smaller references"
    if said.own and (status >= 500 or status == 408):
        return ServiceUnavailable, f"{host} reports a failure {told}: nothing was billed, try again later"
    if status >= 500 or status == 408 or status < 200:
        return InDoubt, f"something in front of {host} answered in its place {told}: {_DOUBT}"
    return RequestRefused, f"{host} refused the request {told}: change it before sending it again"


def _about_credits(said: Envelope) -> bool:
    return said.kind in _CREDIT_KINDS or (said.own and bool(_CREDIT_WORDS.search(said.words)))


def _redirected(raw: RawAnswer, host: str) -> str:
    # Not followed: a redirected POST may arrive twice, and the key must stay at its own origin.
    try:
        target = urlsplit(urljoin(f"https://{host}/", raw.headers.get("location", ""))).netloc
    except ValueError:
        target = ""
    where = f" to {one_line(target.rpartition('@')[2], 100)}" if target else ""
    return f"{host} redirects requests{where} ({raw.status}): the base URL is wrong, check AIMLAPI_BASE_URL"


def read_envelope(body: bytes) -> Envelope:
    """What an error's body says, in either envelope or none; never raises."""
    text = body.decode("utf-8", "replace")
    try:
        return _envelope(json.loads(text), text)
    except (ValueError, RecursionError):  # what was just read may still be too deep to be written
        return Envelope(words=_page_words(text))


def _envelope(found: object, text: str) -> Envelope:
    if not isinstance(found, dict):
        return Envelope(words=one_line(text))
    error = found.get("error")
    inner = error if isinstance(error, dict) else {}
    data = inner.get("data")
    kind = data.get("kind") if isinstance(data, dict) else None
    request_id = found.get("requestId")
    message = found.get("message") or inner.get("message") or error or found.get("title")
    return Envelope(
        own=bool(request_id) and ("statusCode" in found or "status" in found),
        words=_issue_words(data) or _message_words(message) or one_line(text),
        kind=kind if isinstance(kind, str) else "",
        request_id=one_line(request_id, 128) if isinstance(request_id, str) and request_id else None,
    )


def _issue_words(data: object) -> str:
    """A Zod issue list in words: `guidance_scale: Number must be less than or equal to 20`."""
    if not isinstance(data, list):
        return ""
    told = []
    for issue in data[:8]:
        if isinstance(issue, dict) and isinstance(issue.get("message"), str):
            path = issue.get("path")
            where = _path_words(path) if isinstance(path, list) else ""
            told.append(f"{where}: {issue['message']}" if where else issue["message"])
    return one_line("; ".join(told), 600)


def _path_words(path: list[Any]) -> str:
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).removeprefix(".")


def _message_words(message: object) -> str:
    if isinstance(message, list):
        return one_line(
            "; ".join(part if isinstance(part, str) else json.dumps(part) for part in message), 600
        )
    return one_line(message) if isinstance(message, str) else ""


def _page_words(text: str) -> str:
    """The gist of a proxy's page: its title, else its text."""
    title = re.search(r"<title[^>]*>(.*?)</title", text[:20_000], re.IGNORECASE | re.DOTALL)
    if title:
        return one_line(html.unescape(title[1])) + ", a web page"
    return one_line(re.sub(r"<[^>]*>", " ", text[:20_000]))


def one_line(text: str, length: int = 300) -> str:
    """Any text as one printable line of at most `length` characters."""
    flat = " ".join("".join(c if c.isprintable() else " " for c in text[: length * 10]).split())
    return flat if len(flat) <= length else flat[: length - 1] + "…"


def retry_after(value: str | None, now: datetime | None = None) -> float | None:
    """Seconds a Retry-After header asks to wait, given as seconds or as an HTTP date.

    Args:
        value: the header, or None.
        now: the present, with its time zone; the clock's unless given.

    Returns:
        None where there is no header, or one that makes no sense, or a date that has passed.
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

    Args:
        error: what requests or urllib3 raised.
        host: what to call the service in the message.
        sent: whether some of the request's body was taken for sending; False is proof that the service
            holds no complete request. None where nobody knows: then the causes decide.
    """
    chain, found = list(chained(error)), why(error)
    if sent is None:
        sent = not any(isinstance(one, _BEFORE_SENDING) for one in chain)
    if not sent:
        return ServiceUnavailable(
            f"could not connect to {host} ({found.words}): nothing was sent, {found.way_out}"
        )
    if any(isinstance(one, causes.ReadTimeoutError | requests.exceptions.ReadTimeout) for one in chain):
        return InDoubt(f"{host} did not answer in time: {_DOUBT}")
    return InDoubt(f"the connection to {host} broke before the answer was read ({found.words}): {_DOUBT}")


def why(error: BaseException) -> Cause:
    """The cause of a connection's failure in a few words, without addresses of objects in memory, and the way out."""
    chain = list(chained(error))
    # urllib3 counts every failed connection among the timeouts.
    if any(type(one) is causes.ConnectTimeoutError for one in chain):
        return Cause("no connection in time", "check the address, the network and its firewall")
    known = cause_of(error)
    if (known is None or known.words == "timed out") and any(isinstance(one, TimeoutError) for one in chain):
        return Cause("it did not take the request in time")
    return known or Cause(f"{type(chain[-1]).__name__}: {one_line(masked(str(chain[-1])), 100)}")
