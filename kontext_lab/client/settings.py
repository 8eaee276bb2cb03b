"""Settings of a client: address, timeouts, limits, allowed picture hosts. Plain values that pickle, print and log.

Knows no key and opens no connection.
"""

from __future__ import annotations

import ipaddress
import math
from dataclasses import dataclass, field
from importlib import metadata
from urllib.parse import urlsplit

from kontext_lab.client.http_session import SENT_AT_ONCE
from kontext_lab.errors import ConfigError, shown
from kontext_lab.images import MAX_REFERENCE_BYTES

__all__ = ["HOSTS_NAME", "MIB", "ClientSettings", "network_of", "origin_of", "read_hosts"]

MIB = 1024 * 1024
HOSTS_NAME = "AIMLAPI_PICTURE_HOSTS"  # the environment variable that allows further picture hosts
_DEFAULT_PORTS = {"http": 80, "https": 443}


def _user_agent() -> str:
    # The API and its CDN refuse the user agents of Python's own HTTP libraries.
    try:
        return f"kontext-lab/{metadata.version('kontext-lab')}"
    except metadata.PackageNotFoundError:
        return "kontext-lab/0"


@dataclass(frozen=True)
class ClientSettings:
    """Address, timeouts and limits of a client.

    Attributes:
        base_url: address of the service; a trailing `/v1` is dropped, since every path starts with its version.
        connect_timeout: seconds for a connection: name, addresses, proxy and handshake. Every 128 KiB of a request
            may take as long, so that tens of megabytes get through a slow line (13 kB/s) while a service that stops
            reading is noticed.
        read_timeout: seconds from the end of a request to the last byte of its answer; also for all pictures of one
            answer together, redirects included. Slow bytes don't extend it.
        pool: connections kept open, one per worker.
        max_output_bytes: largest output accepted, after decompression.
        max_redirects: redirects of a picture host that are followed.
        max_reference_bytes: largest reference fetched by URL.
        user_agent: name of the client in its requests.
        picture_hosts: names, addresses and networks that may serve pictures although they are not public. The
            service's own host always may.

    Raises:
        ConfigError: a value that cannot be used.
    """

    base_url: str = "https://api.aimlapi.com"
    connect_timeout: float = 10.0
    read_timeout: float = 180.0
    pool: int = 8
    max_output_bytes: int = 64 * MIB
    max_redirects: int = 3
    max_reference_bytes: int = MAX_REFERENCE_BYTES
    user_agent: str = field(default_factory=_user_agent)
    picture_hosts: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "base_url", _clean_base_url(self.base_url))
        object.__setattr__(self, "picture_hosts", read_hosts(",".join(self.picture_hosts)))
        for name in ("connect_timeout", "read_timeout", "pool", "max_output_bytes", "max_reference_bytes"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise ConfigError(f"{name} must be a number above 0, not {value!r}")
        if self.max_redirects < 0:
            raise ConfigError(f"max_redirects must be a whole number from 0, not {self.max_redirects!r}")
        if not (self.user_agent.isascii() and self.user_agent.isprintable() and self.user_agent.strip()):
            raise ConfigError("user_agent must be one line of printable ASCII text")

    @property
    def service(self) -> str:
        """The base URL's origin: `scheme://host[:port]`, lower case, without the scheme's default port."""
        return origin_of(self.base_url)

    def exchange_seconds(self, size: int) -> float:
        """Longest time from the first byte of a request, of `size` bytes, to the last byte of its answer."""
        # Name, addresses and handshake may each take the connect timeout, and so may every block that is sent.
        return (3 + math.ceil(size / SENT_AT_ONCE)) * self.connect_timeout + self.read_timeout


def origin_of(url: str) -> str:
    """The origin of an http(s) URL: `scheme://host[:port]`, lower case, default port dropped.

    Raises `ValueError` for a URL without a host, or with a port out of range.
    """
    parts = urlsplit(url)
    scheme = parts.scheme.lower()
    if not parts.hostname:
        raise ValueError("the URL names no host")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    port = "" if parts.port in (None, _DEFAULT_PORTS.get(scheme)) else f":{parts.port}"
    return f"{scheme}://{host}{port}"


def _clean_base_url(text: str) -> str:
    url = text.strip()
    way_out = "give an http or https address such as https://api.aimlapi.com"
    try:
        parts = urlsplit(url)
        origin = origin_of(url)
    except ValueError as error:
        named = "" if "@" in url else f" {url[:100]!r}"  # the part before an @ may be a secret
        raise ConfigError(f"base URL{named}: {error}; {way_out}") from None
    if parts.username is not None or parts.password is not None:
        # Not shown, since it may hold a secret.
        raise ConfigError(f"the base URL must not hold a user name or password; {way_out}")
    if parts.scheme.lower() not in _DEFAULT_PORTS or parts.query or parts.fragment:
        raise ConfigError(f"base URL {url[:100]!r} can't be used; {way_out}")
    return origin + parts.path.rstrip("/").removesuffix("/v1").rstrip("/")


def read_hosts(text: str) -> tuple[str, ...]:
    """Names, addresses and networks out of a comma list; raises `ConfigError` for anything else."""
    hosts = []
    for part in filter(None, map(str.strip, text.split(","))):
        host = part.lower().rstrip(".").strip("[]")
        is_name = host and host.isascii() and host.isprintable() and not set("/:@*? ") & set(host)
        if network_of(host) is None and not is_name:
            raise ConfigError(
                f"{HOSTS_NAME}: {shown(part)} is not a host; give host names, addresses and networks with "
                "commas between, such as pictures.internal, 10.1.2.3 or 10.0.0.0/8"
            )
        hosts.append(host)
    return tuple(hosts)


def network_of(host: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    """The network that an address or a network in CIDR notation stands for; None for a name."""
    try:
        return ipaddress.ip_network(host, strict=False)
    except ValueError:
        return None
