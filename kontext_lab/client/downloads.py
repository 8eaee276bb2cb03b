"""Downloads of pictures by URL: outputs from the service's hosts, references from anywhere.

Knows neither the key nor the service's answers: nothing here can send a key to a picture's host. A fetch never raises;
a failure is a reason and a line.

The service chooses the address of an output, and every redirect its target. An answer could send this machine to its own
ports, to a router or to a cloud's metadata service, and the result would be stored and shown as a picture. So these
addresses must be public, unless the service itself is there or a person allowed the host. The address of a reference is
free, since a person chose it.
"""

from __future__ import annotations

import hashlib
import ipaddress
import socket
import time
from collections.abc import Sequence
from dataclasses import replace
from urllib.parse import urljoin, urlsplit

import requests
from requests.utils import select_proxy
from urllib3.exceptions import HTTPError

from kontext_lab.client.failures import connection_cause, one_line
from kontext_lab.client.http_session import BodyError, addresses, new_session, proxies_for, read_body
from kontext_lab.client.keys import no_auth
from kontext_lab.client.settings import HOSTS_NAME, MIB, ClientSettings, network_of
from kontext_lab.errors import ImageError
from kontext_lab.images import examine
from kontext_lab.redaction import masked
from kontext_lab.request.attempt import Picture, Reason

__all__ = ["AddressRefused", "Downloads", "PictureHosts", "examined", "is_public", "literal_address"]

_REDIRECTS = (301, 302, 303, 307, 308)
# Statuses that may pass, besides all from 500 on; hosts of copies don't know a new file at first.
_TEMPORARY = (404, 408, 425, 429)
_LOOKUP_SECONDS = 5.0

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_TRANSLATED = ipaddress.ip_network("64:ff9b::/96")
_COMPATIBLE = ipaddress.ip_network("::/96")
# Programs that tunnel a whole machine's traffic give every name an address in here, the service's too.
_TUNNEL_NAMES = ipaddress.ip_network("198.18.0.0/15")


class Downloads:
    """Fetches without a key, following a few redirects; shared by threads. The session stays the caller's."""

    def __init__(self, settings: ClientSettings, session: requests.Session) -> None:
        self._settings = settings
        self._hosts = PictureHosts(settings.base_url, settings.picture_hosts)
        self._unguarded = session
        self._guarded = new_session(settings.pool, self._hosts.choose)
        for name in ("verify", "cert", "proxies", "trust_env"):
            setattr(self._guarded, name, getattr(session, name))

    def close(self) -> None:
        """Close its own connections."""
        self._guarded.close()

    def output(self, url: str, seconds: float) -> Picture:
        """Fetch an output, as a picture that is not examined yet; never raises for a host's behaviour."""
        return self._fetch(url, self._settings.max_output_bytes, seconds, chosen_host=None)

    def reference(self, url: str) -> Picture:
        """Fetch a reference from an address that a person chose; redirects lead to its host or to public addresses."""
        try:
            host = urlsplit(url).hostname
        except ValueError:
            host = None
        settings = self._settings
        return self._fetch(url, settings.max_reference_bytes, settings.read_timeout, chosen_host=host)

    def _fetch(self, url: str, limit: int, seconds: float, chosen_host: str | None) -> Picture:
        deadline = time.monotonic() + seconds
        for _ in range(self._settings.max_redirects + 1):
            try:
                parts = urlsplit(url)
                host = _host(url)
            except ValueError:
                return Picture(reason=Reason.EXPIRED, note="the address is malformed")
            if parts.scheme.lower() not in ("http", "https") or not host:
                note = f"{one_line(masked(url), 80)!r} is not an http or https address and was not opened"
                return Picture(reason=Reason.EXPIRED, note=note)
            guarded = chosen_host is None or parts.hostname != chosen_host
            slow = Picture(
                reason=Reason.EXPIRED,
                note=f"{host} did not deliver it within {seconds:.3g} s",
                again=True,
                unreached=True,
            )
            if deadline <= time.monotonic():
                return slow
            try:
                response = self._get(url, deadline - time.monotonic(), guarded=guarded)
            except AddressRefused as error:
                note = one_line(str(error))
                return Picture(reason=Reason.EXPIRED, note=note, unreached=True, refused=True)
            # ValueError: requests' error for a host name that cannot be encoded.
            except (requests.RequestException, HTTPError, OSError, ValueError) as error:
                if deadline <= time.monotonic():
                    return slow
                cause = connection_cause(error)
                note = f"{host} could not be reached ({cause.words}): {cause.way_out}"
                return Picture(reason=Reason.EXPIRED, note=note, again=True, unreached=True)
            try:
                outcome = _read(response, url, limit, deadline, slow)
            finally:
                response.close()
            if isinstance(outcome, Picture):
                return outcome
            url = outcome
        note = f"{host} redirected more than {self._settings.max_redirects} times"
        return Picture(reason=Reason.EXPIRED, note=note)

    def _get(self, url: str, seconds: float, *, guarded: bool) -> requests.Response:
        session = self._guarded if guarded else self._unguarded
        proxies = proxies_for(url)
        if guarded:
            # As requests reads it: an address may be spelled in other letters than a URL's.
            target = requests.Request("GET", url).prepare().url or url
            around = session.merge_environment_settings(target, dict(proxies or {}), True, None, None)
            if select_proxy(target, around["proxies"]):
                self._hosts.check_literal(urlsplit(target).hostname or "")
        return session.get(
            url,
            # None removes a header of a caller's own session.
            headers={
                "User-Agent": self._settings.user_agent,
                "Accept": "image/*,*/*;q=0.8",
                "Accept-Encoding": "identity",
                "Authorization": None,
            },
            auth=no_auth,
            timeout=(min(self._settings.connect_timeout, seconds), seconds),
            allow_redirects=False,
            stream=True,
            proxies=proxies,
        )


def _read(response: requests.Response, url: str, limit: int, deadline: float, slow: Picture) -> Picture | str:
    """The picture in a response, or the address it redirects to."""
    host, status = _host(url), response.status_code
    location = response.headers.get("Location")
    if status in _REDIRECTS and location:
        try:
            return urljoin(url, location)
        except ValueError:
            return Picture(reason=Reason.EXPIRED, note=f"{host} redirected to a malformed address")
    if not 200 <= status < 300:
        again = status in _TEMPORARY or status >= 500
        return Picture(reason=Reason.EXPIRED, note=f"{host} answered {status}", again=again)
    length = response.headers.get("Content-Length", "")
    announced = int(length) if length.isdecimal() and len(length) < 19 else None
    size = f"{limit // MIB} MiB" if limit >= MIB else f"{limit:,} bytes"
    large = Picture(reason=Reason.CORRUPT, note=f"the file at {host} is larger than {size}")
    if announced is not None and announced > limit:
        return large
    try:
        data = read_body(response, limit, max(0.0, deadline - time.monotonic()))
    except BodyError as error:
        if error.kind == "large":
            return large
        if error.kind == "slow" or (
            error.cause is not None and connection_cause(error.cause).words == "no answer in time"
        ):
            return replace(slow, data=error.partial)
        received = f"{len(error.partial):,}" + (f" of {announced:,}" if announced is not None else "")
        note = f"{host} broke off after {received} bytes"
        return Picture(data=error.partial, reason=Reason.CORRUPT, note=note, again=True)
    if not data:
        note = f"{host} answered {status} with 0 bytes"
        return Picture(reason=Reason.CORRUPT, note=note, again=True)
    return Picture(data=data)


def _host(url: str) -> str:
    """Name of the host in a line: the service chose it, so it is one printable line at most."""
    return one_line(urlsplit(url).hostname or "", 100)


def examined(received: Picture, *, flagged: bool, fetched: bool = True) -> Picture:
    """A received picture with its digest, format, size, preview, and any damage.

    `fetched` is True if a host sent it, which may have sent less than it has; inline bytes stay as they are.
    """
    data = received.data
    if flagged:
        note = "flagged by the service's moderation"
        received = Picture(data=data, reason=Reason.MODERATED, note=note)
    received = replace(received, sha256=hashlib.sha256(data).hexdigest() if data else "")
    if not data:
        return replace(received, reason=received.reason or Reason.EMPTY)
    if received.reason is not None and not flagged:
        return received
    try:
        seen = examine(data)
    except (ImageError, OSError, ValueError, MemoryError) as error:
        if flagged:
            return received
        return replace(received, reason=Reason.CORRUPT, note=one_line(str(error)), again=fetched)
    if seen.black and not flagged:
        received = replace(received, reason=Reason.MODERATED, note="black picture")
    return replace(
        received,
        format=seen.format,
        width=seen.width,
        height=seen.height,
        preview=seen.preview,
        phash=seen.phash,
    )


class AddressRefused(Exception):
    """A host that may not be connected to; its text is a line for a person, with the way out."""

    def __init__(self, host: str, address: str) -> None:
        super().__init__(host, address)
        self.host = host
        self.address = address

    def __str__(self) -> str:
        address = _inner(ipaddress.ip_address(self.address))
        if address.is_loopback or address.is_unspecified:
            where = "on this machine"
        elif address.is_link_local:
            where = "at a link-local address"
        else:
            where = "on a private network" if address.is_private else "at an address that is not public"
        at = "" if self.host.strip("[]") == self.address else f" ({self.address})"
        return f"{self.host} is {where}{at} and was not fetched: add it to {HOSTS_NAME}"


class PictureHosts:
    """The addresses that one service's pictures may come from.

    Args:
        base_url: the service's address.
        allowed: names, addresses and networks that a person allowed; see `settings.read_hosts`.
    """

    def __init__(self, base_url: str, allowed: Sequence[str]) -> None:
        self._service = urlsplit(base_url).hostname or ""
        networks = {host: network_of(host) for host in allowed}
        self._networks = [network for network in networks.values() if network is not None]
        self._names = {host for host, network in networks.items() if network is None}

    def choose(self, host: str, found: Sequence[str]) -> list[str]:
        """The addresses of a host that may be connected to; raises `AddressRefused` if none may."""
        if host.lower().rstrip(".") in self._names:
            return list(found)
        refused = [address for address in found if not self._is_allowed(ipaddress.ip_address(address))]
        if refused:
            try:
                service = [ipaddress.ip_address(one) for one in addresses(self._service, 0, _LOOKUP_SECONDS)]
            except Exception:  # an unknown name has no address
                service = []
            refused = [one for one in refused if not _same_place(ipaddress.ip_address(one), service)]
        if found and len(refused) == len(found):
            raise AddressRefused(host, refused[0])
        return [address for address in found if address not in refused]

    def check_literal(self, host: str) -> None:
        """Refuse an address in place of a name; no name is looked up, since a proxy does that."""
        address, service = literal_address(host), literal_address(self._service)
        if address is None or self._is_allowed(address) or host.lower() in self._names:
            return
        if service is None or not _same_place(address, [service]):
            raise AddressRefused(host, str(address))

    def _is_allowed(self, address: _Address) -> bool:
        if is_public(address):
            return True
        return any(address in network or _inner(address) in network for network in self._networks)


def is_public(address: _Address) -> bool:
    """True for an address of the public internet; an IPv6 address may stand for an IPv4 address, which then counts."""
    address = _inner(address)
    # Python calls group addresses global, and former site-local addresses.
    others = (address.is_multicast, address.is_reserved, address.is_unspecified)
    site = isinstance(address, ipaddress.IPv6Address) and address.is_site_local
    return address.is_global and not site and not any(others)


def _inner(address: _Address) -> _Address:
    """The IPv4 address at which packets to an IPv6 address end: mapped, tunnelled or translated."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    inner = address.ipv4_mapped or address.sixtofour
    if inner is None and (address in _TRANSLATED or (address in _COMPATIBLE and int(address) > 0xFFFF)):
        inner = ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    return inner or address


def _same_place(address: _Address, service: Sequence[_Address]) -> bool:
    """True if the service is at this address; all addresses of this machine itself count as one."""
    address = _inner(address)
    return any(
        address == other
        or (address.is_loopback and other.is_loopback)
        or (address in _TUNNEL_NAMES and other in _TUNNEL_NAMES)
        for other in map(_inner, service)
    )


def literal_address(host: str) -> _Address | None:
    """The address written in place of a name, also as `127.1`, `2130706433` or `0x7f.0.0.1`; None for a name."""
    host = host.strip("[]")
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        pass
    try:
        return ipaddress.IPv4Address(socket.inet_aton(host))
    except (OSError, ValueError):  # ValueError: a NUL
        return None
