"""Hosts of pictures: which addresses a picture's address, chosen by the service, may lead to.

An answer could send this machine to its own ports, to a router or to a cloud's metadata service, and what came
would be stored and shown as a picture. So addresses that are not public are refused, unless the service itself is
there or a person named the host. Knows addresses and no HTTP.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Sequence
from urllib.parse import urlsplit

from kontext_lab.client.transport import addresses
from kontext_lab.errors import ConfigError, shown

__all__ = ["HOSTS_NAME", "AddressRefused", "PictureHosts", "is_public", "literal_address", "read_hosts"]

HOSTS_NAME = "AIMLAPI_PICTURE_HOSTS"
"""The environment's name for the hosts that are allowed besides."""

_LOOKUP_SECONDS = 5.0

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_TRANSLATED = ipaddress.ip_network("64:ff9b::/96")
_COMPATIBLE = ipaddress.ip_network("::/96")
_INVENTED = ipaddress.ip_network("198.18.0.0/15")
"""Where programs that tunnel a whole machine's traffic place every name, the service's too."""


class AddressRefused(Exception):
    """A host that may not be connected to; its text is a line for a person, and names the way out."""

    def __init__(self, host: str, address: str) -> None:
        super().__init__(host, address)
        self.host = host
        self.address = address

    def __str__(self) -> str:
        at = "" if self.host.strip("[]") == self.address else f" ({self.address})"
        place = _place(ipaddress.ip_address(self.address))
        return f"{self.host} is {place}{at} and was not fetched: add it to {HOSTS_NAME}"


def _place(address: _Address) -> str:
    address = _inner(address)
    if address.is_loopback or address.is_unspecified:
        return "on this machine"
    if address.is_link_local:
        return "at a link-local address"
    return "on a private network" if address.is_private else "at an address that is not public"


class PictureHosts:
    """Decides about the hosts of one service's pictures.

    Args:
        base_url: the service's address.
        allowed: names, addresses and networks that a person named; see `read_hosts`.
    """

    def __init__(self, base_url: str, allowed: Sequence[str]) -> None:
        self._service = urlsplit(base_url).hostname or ""
        self._networks = [network for one in allowed if (network := _network(one)) is not None]
        self._names = {one for one in allowed if _network(one) is None}

    def choose(self, host: str, found: Sequence[str]) -> list[str]:
        """Those of a host's addresses that may be connected to.

        Raises:
            AddressRefused: none may.
        """
        if host.lower().rstrip(".") in self._names:
            return list(found)
        refused = [one for one in found if not self._may(ipaddress.ip_address(one))]
        if refused:
            there = self._service_addresses()
            refused = [one for one in refused if not _same_place(ipaddress.ip_address(one), there)]
        if found and len(refused) == len(found):
            raise AddressRefused(host, refused[0])
        return [one for one in found if one not in refused]

    def check_literal(self, host: str) -> None:
        """Refuse an address given in place of a name; nothing is looked up, since a proxy does that.

        Raises:
            AddressRefused: it is an address, and not one to connect to.
        """
        address, service = literal_address(host), literal_address(self._service)
        if address is None or self._may(address) or host.lower() in self._names:
            return
        if service is None or not _same_place(address, [service]):
            raise AddressRefused(host, str(address))

    def _may(self, address: _Address) -> bool:
        return is_public(address) or any(_holds(network, address) for network in self._networks)

    def _service_addresses(self) -> list[_Address]:
        try:
            found = addresses(self._service, 0, _LOOKUP_SECONDS)
        except Exception:  # a name that nobody knows is no place
            return []
        return [ipaddress.ip_address(one) for one in found]


def is_public(address: _Address) -> bool:
    """Whether an address belongs to the public internet, also the one that another one stands for."""
    address = _inner(address)
    # Python calls group addresses global, and those that once were a site's own.
    others = (address.is_multicast, address.is_reserved, address.is_unspecified)
    site = isinstance(address, ipaddress.IPv6Address) and address.is_site_local
    return address.is_global and not site and not any(others)


def _inner(address: _Address) -> _Address:
    """The IPv4 address that packets to an IPv6 address end at: mapped, tunnelled or translated."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    inner = address.ipv4_mapped or address.sixtofour
    if inner is None and (address in _TRANSLATED or (address in _COMPATIBLE and int(address) > 0xFFFF)):
        inner = ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    return inner or address


def _same_place(address: _Address, there: Sequence[_Address]) -> bool:
    """Whether the service is at this address; all addresses of this machine itself are one place."""
    address = _inner(address)
    return any(
        address == one
        or (address.is_loopback and one.is_loopback)
        or (_holds(_INVENTED, address) and _holds(_INVENTED, one))
        for one in map(_inner, there)
    )


def _holds(network: ipaddress.IPv4Network | ipaddress.IPv6Network, address: _Address) -> bool:
    return address in network or _inner(address) in network


def literal_address(host: str) -> _Address | None:
    """The address that stands in place of a name, also as `127.1`, `2130706433` or `0x7f.0.0.1`, or None."""
    host = host.strip("[]")
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        pass
    try:
        return ipaddress.IPv4Address(socket.inet_aton(host))
    except (OSError, ValueError):  # ValueError: a NUL
        return None


def read_hosts(text: str) -> tuple[str, ...]:
    """Hosts as the environment lists them, with commas between: names, addresses and networks.

    Raises:
        ConfigError: an entry that is none of these.
    """
    return tuple(_entry(one) for part in text.split(",") if (one := part.strip()))


def _entry(text: str) -> str:
    entry = text.lower().rstrip(".").strip("[]")
    plain = entry.isascii() and entry and not any(sign in entry for sign in "/:@*? ") and entry.isprintable()
    if _network(entry) is None and not plain:
        raise ConfigError(
            f"{HOSTS_NAME}: {shown(text)}, allowed are host names, addresses and networks with commas "
            "between, such as pictures.internal, 10.1.2.3 or 10.0.0.0/8"
        )
    return entry


def _network(entry: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(entry, strict=False)
    except ValueError:
        return None
