"""Fetching pictures by URL: outputs from wherever the service put them, references from anywhere.

Knows neither the key nor the service: nothing here can send a key to a picture's host. A fetch never raises;
what went wrong is a reason and a line.
"""

from __future__ import annotations

import hashlib
import re
import time
from dataclasses import dataclass, field
from urllib.parse import urljoin, urlsplit

import requests
from urllib3.exceptions import HTTPError

from kontext_lab.answer import Picture, Reason
from kontext_lab.client.failures import one_line, why
from kontext_lab.client.keys import NoAuth
from kontext_lab.client.settings import MIB, ClientSettings
from kontext_lab.client.transport import BodyError, proxies_for, read_body
from kontext_lab.errors import ImageError
from kontext_lab.images import examine
from kontext_lab.redaction import masked

__all__ = ["Download", "download", "picture_of"]

_REDIRECTS = (301, 302, 303, 307, 308)


@dataclass(frozen=True)
class Download:
    """What a fetch brought.

    Attributes:
        data: the exact bytes; with a reason, what came of them.
        reason: None for a complete body, else EXPIRED (the host does not serve it) or CORRUPT.
        note: one line for a person where there is a reason.
        status: the last HTTP status, or None where no host answered.
        again: the same fetch may bring it later.
    """

    data: bytes = field(default=b"", repr=False)
    reason: Reason | None = None
    note: str = ""
    status: int | None = None
    again: bool = False


_LATER = (404, 408, 425, 429)
"""Statuses that may pass by themselves, besides all from 500 on; hosts of copies first know nothing of a new one."""


def download(session: requests.Session, url: str, limit: int, settings: ClientSettings) -> Download:
    """GET a picture without any key, following a few redirects; never raises for what a host does.

    Args:
        session: what to send with.
        url: http or https.
        limit: most bytes to accept, counted after decompression.
        settings: waiting times and the number of redirects; `read_timeout` holds for the whole fetch.
    """
    deadline = time.monotonic() + settings.read_timeout
    for _ in range(settings.max_redirects + 1):
        try:
            parts = urlsplit(url)
            host = _host(url)
        except ValueError:
            return Download(reason=Reason.EXPIRED, note="the address is malformed")
        if parts.scheme.lower() not in ("http", "https") or not host:
            note = f"{one_line(masked(url), 80)!r} is no http or https address and was not opened"
            return Download(reason=Reason.EXPIRED, note=note)
        outcome = _hop(session, url, limit, settings, deadline)
        if isinstance(outcome, Download):
            return outcome
        url = outcome
    note = f"{host} redirected more than {settings.max_redirects} times"
    return Download(reason=Reason.EXPIRED, note=note)


def _hop(
    session: requests.Session, url: str, limit: int, settings: ClientSettings, deadline: float
) -> Download | str:
    """One GET: what it brought, or the address it redirects to."""
    host = _host(url)
    left = deadline - time.monotonic()
    if left <= 0:
        return Download(reason=Reason.EXPIRED, note=_slow(host, settings.read_timeout), again=True)
    try:
        response = session.get(
            url,
            # None takes a header away, should a borrowed session bring one along.
            headers={
                "User-Agent": settings.user_agent,
                "Accept": "image/*,*/*;q=0.8",
                "Accept-Encoding": "identity",
                "Authorization": None,
            },
            auth=NoAuth(),
            timeout=(min(settings.connect_timeout, left), left),
            allow_redirects=False,
            stream=True,
            proxies=proxies_for(url),
        )
    # ValueError: what requests makes of a host name that cannot be encoded.
    except (requests.RequestException, HTTPError, OSError, ValueError) as error:
        note = f"{host} could not be reached ({why(error)})"
        return Download(reason=Reason.EXPIRED, note=note, again=True)
    try:
        return _read(response, url, limit, settings, deadline)
    finally:
        response.close()


def _read(
    response: requests.Response, url: str, limit: int, settings: ClientSettings, deadline: float
) -> Download | str:
    host, status = _host(url), response.status_code
    location = response.headers.get("Location")
    if status in _REDIRECTS and location:
        try:
            return urljoin(url, location)
        except ValueError:
            return Download(
                reason=Reason.EXPIRED, note=f"{host} redirected to a malformed address", status=status
            )
    if not 200 <= status < 300:
        later = status in _LATER or status >= 500
        return Download(reason=Reason.EXPIRED, note=f"{host} answered {status}", status=status, again=later)
    announced = _announced(response)
    if announced is not None and announced > limit:
        return Download(reason=Reason.CORRUPT, note=_large(host, limit), status=status)
    try:
        data = read_body(response, limit, max(0.0, deadline - time.monotonic()))
    except BodyError as error:
        return _broken(error, response, host, (limit, settings.read_timeout))
    if not data:
        note = f"{host} answered {status} with 0 bytes"
        return Download(reason=Reason.CORRUPT, note=note, status=status, again=True)
    return Download(data, status=status)


def _broken(error: BodyError, response: requests.Response, host: str, limits: tuple[int, float]) -> Download:
    limit, seconds = limits
    status = response.status_code
    if error.kind == "large":
        return Download(reason=Reason.CORRUPT, note=_large(host, limit), status=status)
    if error.kind == "slow" or (error.cause is not None and why(error.cause) == "no answer in time"):
        return Download(error.partial, Reason.EXPIRED, _slow(host, seconds), status, again=True)
    announced = _announced(response)
    size = f"{len(error.partial):,}" + (f" of {announced:,}" if announced is not None else "")
    return Download(error.partial, Reason.CORRUPT, f"{host} broke off after {size} bytes", status, again=True)


def _host(url: str) -> str:
    """What a line calls the host: the service chose its name, so it is one printable line at most."""
    return one_line(urlsplit(url).hostname or "", 100)


def _announced(response: requests.Response) -> int | None:
    length = response.headers.get("Content-Length", "")
    return int(length) if length.isdecimal() and len(length) < 19 else None


def _slow(host: str, seconds: float) -> str:
    return f"{host} did not deliver it within {seconds:g} s"


def _large(host: str, limit: int) -> str:
    size = f"{limit // MIB} MiB" if limit >= MIB else f"{limit:,} bytes"
    return f"what {host} serves is larger than {size}"


def _damage(data: bytes, error: Exception) -> str:
    if data.lstrip()[:1] == b"<":
        return "a web page came in the picture's place"
    # Pillow names the object in memory it read from.
    return one_line(re.sub(r" ?<_io[^>]*>", "", str(error))) or "the received picture is damaged"


def picture_of(found: Download, flagged: bool) -> Picture:
    """Examine received bytes once: format, size, black or not, preview, and what is wrong with them.

    Args:
        found: the bytes of one output, or why there are none.
        flagged: the service's moderation flagged it.
    """
    sha256 = hashlib.sha256(found.data).hexdigest() if found.data else ""
    reason, note = found.reason, found.note
    if flagged:
        reason, note = Reason.MODERATED, "flagged by the service's moderation"
    if not found.data or (found.reason is not None and not flagged):
        again = found.again and not flagged
        return Picture(
            data=found.data,
            sha256=sha256,
            reason=reason or Reason.EMPTY,
            note=note,
            again=again,
            unreached=again and found.status is None,
        )
    try:
        seen = examine(found.data)
    except (ImageError, OSError, ValueError, MemoryError) as error:
        return Picture(
            data=found.data,
            sha256=sha256,
            reason=reason or Reason.CORRUPT,
            note=note or _damage(found.data, error),
            # The host may have sent less than it has; what came along inside the answer stays as it is.
            again=found.status is not None and not flagged,
        )
    if seen.black and not flagged:
        reason, note = Reason.MODERATED, "black picture"
    return Picture(
        data=found.data,
        sha256=sha256,
        format=seen.format,
        width=seen.width,
        height=seen.height,
        preview=seen.preview,
        phash=seen.phash,
        reason=reason,
        note=note,
    )
