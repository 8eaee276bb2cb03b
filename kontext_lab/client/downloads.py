"""Fetching pictures by URL: outputs from wherever the service put them, references from anywhere.

Knows neither the key nor the service: nothing here can send a key to a picture's host. A fetch never raises;
what went wrong is a reason and a line. The service chooses where an output lies, and every redirect its target, so
these lead to public addresses only; where a reference lies, a person chose.
"""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass, field, replace
from urllib.parse import urljoin, urlsplit

import requests
from requests.utils import select_proxy
from urllib3.exceptions import HTTPError

from kontext_lab.client.failures import one_line, why
from kontext_lab.client.hosts import AddressRefused, PictureHosts
from kontext_lab.client.keys import NoAuth
from kontext_lab.client.settings import MIB, ClientSettings
from kontext_lab.client.transport import BodyError, new_session, proxies_for, read_body
from kontext_lab.errors import ImageError
from kontext_lab.images import examine
from kontext_lab.redaction import masked
from kontext_lab.request.attempt import Picture, Reason

__all__ = ["Download", "Downloads", "picture_of"]

_REDIRECTS = (301, 302, 303, 307, 308)


@dataclass(frozen=True)
class Download:
    """What a fetch brought.

    Attributes:
        data: the exact bytes; with a reason, what came of them.
        reason: None for a complete body, else EXPIRED (the host does not serve it) or CORRUPT.
        note: one line for a person where there is a reason.
        status: the last HTTP status, or None where no host answered.
        again: the same fetch may bring it in a moment.
        unreached: it was not had from a host that may have it all the same.
        refused: its host may not be connected to, so nobody tried.
    """

    data: bytes = field(default=b"", repr=False)
    reason: Reason | None = None
    note: str = ""
    status: int | None = None
    again: bool = False
    unreached: bool = False
    refused: bool = False


_LATER = (404, 408, 425, 429)
"""Statuses that may pass by themselves, besides all from 500 on; hosts of copies first know nothing of a new one."""


class Downloads:
    """Fetches without any key, following a few redirects; shared by threads.

    Args:
        settings: waiting times, limits, and the hosts that are allowed.
        session: what is free to connect to any address; it stays the caller's.
    """

    def __init__(self, settings: ClientSettings, session: requests.Session) -> None:
        self._settings = settings
        self._hosts = PictureHosts(settings.base_url, settings.picture_hosts)
        self._free = session
        self._guarded = new_session(settings.pool, self._hosts.choose)
        for name in ("verify", "cert", "proxies", "trust_env"):
            setattr(self._guarded, name, getattr(session, name))

    def close(self) -> None:
        """Close the connections of its own."""
        self._guarded.close()

    def output(self, url: str, seconds: float) -> Download:
        """Fetch an output; never raises for what a host does.

        Args:
            url: http or https, as the service named it.
            seconds: for all of it.
        """
        return self._fetch(url, self._settings.max_output_bytes, seconds, named=None)

    def reference(self, url: str) -> Download:
        """Fetch a reference from wherever a person said; its redirects lead to public addresses, or stay there."""
        try:
            named = urlsplit(url).hostname
        except ValueError:
            named = None
        limits = (self._settings.max_reference_bytes, self._settings.read_timeout)
        return self._fetch(url, *limits, named=named)

    def _fetch(self, url: str, limit: int, seconds: float, named: str | None) -> Download:
        deadline = _Deadline(seconds)
        for _ in range(self._settings.max_redirects + 1):
            try:
                parts = urlsplit(url)
                host = _host(url)
            except ValueError:
                return Download(reason=Reason.EXPIRED, note="the address is malformed")
            if parts.scheme.lower() not in ("http", "https") or not host:
                note = f"{one_line(masked(url), 80)!r} is no http or https address and was not opened"
                return Download(reason=Reason.EXPIRED, note=note)
            free = named is not None and parts.hostname == named
            outcome = self._hop(url, limit, deadline, free=free)
            if isinstance(outcome, Download):
                return outcome
            url = outcome
        note = f"{host} redirected more than {self._settings.max_redirects} times"
        return Download(reason=Reason.EXPIRED, note=note)

    def _hop(self, url: str, limit: int, deadline: _Deadline, *, free: bool) -> Download | str:
        """One GET: what it brought, or the address it redirects to."""
        host = _host(url)
        if deadline.left <= 0:
            return _slow(host, deadline)
        try:
            response = self._get(url, deadline, free=free)
        except AddressRefused as error:
            note = one_line(str(error))
            return Download(reason=Reason.EXPIRED, note=note, unreached=True, refused=True)
        # ValueError: what requests makes of a host name that cannot be encoded.
        except (requests.RequestException, HTTPError, OSError, ValueError) as error:
            if deadline.left <= 0:
                return _slow(host, deadline)
            cause = why(error)
            note = f"{host} could not be reached ({cause.words}): {cause.way_out}"
            return Download(reason=Reason.EXPIRED, note=note, again=True, unreached=True)
        try:
            return _read(response, url, limit, deadline)
        finally:
            response.close()

    def _get(self, url: str, deadline: _Deadline, *, free: bool) -> requests.Response:
        session = self._free if free else self._guarded
        proxies = proxies_for(url)
        if not free:
            # As requests reads it: an address may be spelled in other letters than a URL's.
            target = requests.Request("GET", url).prepare().url or url
            around = session.merge_environment_settings(target, dict(proxies or {}), True, None, None)
            if select_proxy(target, around["proxies"]):
                self._hosts.check_literal(urlsplit(target).hostname or "")
        return session.get(
            url,
            # None takes a header away, should a borrowed session bring one along.
            headers={
                "User-Agent": self._settings.user_agent,
                "Accept": "image/*,*/*;q=0.8",
                "Accept-Encoding": "identity",
                "Authorization": None,
            },
            auth=NoAuth(),
            timeout=(min(self._settings.connect_timeout, deadline.left), deadline.left),
            allow_redirects=False,
            stream=True,
            proxies=proxies,
        )


class _Deadline:
    """The end of a fetch.

    Attributes:
        seconds: that it has in all.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._end = time.monotonic() + seconds

    @property
    def left(self) -> float:
        """Seconds to go, less than 0 afterwards."""
        return self._end - time.monotonic()


def _read(response: requests.Response, url: str, limit: int, deadline: _Deadline) -> Download | str:
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
        data = read_body(response, limit, max(0.0, deadline.left))
    except BodyError as error:
        return _broken(error, response, host, limit, deadline)
    if not data:
        note = f"{host} answered {status} with 0 bytes"
        return Download(reason=Reason.CORRUPT, note=note, status=status, again=True)
    return Download(data, status=status)


def _broken(
    error: BodyError, response: requests.Response, host: str, limit: int, deadline: _Deadline
) -> Download:
    status = response.status_code
    if error.kind == "large":
        return Download(reason=Reason.CORRUPT, note=_large(host, limit), status=status)
    if error.kind == "slow" or (error.cause is not None and why(error.cause).words == "no answer in time"):
        return replace(_slow(host, deadline), data=error.partial, status=status)
    announced = _announced(response)
    size = f"{len(error.partial):,}" + (f" of {announced:,}" if announced is not None else "")
    return Download(error.partial, Reason.CORRUPT, f"{host} broke off after {size} bytes", status, again=True)


def _host(url: str) -> str:
    """What a line calls the host: the service chose its name, so it is one printable line at most."""
    return one_line(urlsplit(url).hostname or "", 100)


def _announced(response: requests.Response) -> int | None:
    length = response.headers.get("Content-Length", "")
    return int(length) if length.isdecimal() and len(length) < 19 else None


def _slow(host: str, deadline: _Deadline) -> Download:
    note = f"{host} did not deliver it within {deadline.seconds:.3g} s"
    return Download(reason=Reason.EXPIRED, note=note, again=True, unreached=True)


def _large(host: str, limit: int) -> str:
    size = f"{limit // MIB} MiB" if limit >= MIB else f"{limit:,} bytes"
    return f"what {host} serves is larger than {size}"


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
            unreached=found.unreached and not flagged,
            refused=found.refused and not flagged,
        )
    try:
        seen = examine(found.data)
    except (ImageError, OSError, ValueError, MemoryError) as error:
        return Picture(
            data=found.data,
            sha256=sha256,
            reason=reason or Reason.CORRUPT,
            note=note or one_line(str(error)),
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
