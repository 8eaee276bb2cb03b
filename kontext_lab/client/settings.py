"""Where the service is and how long to wait for it: plain values that may be pickled, printed and logged.

Knows no key and opens no connection.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from importlib import metadata
from urllib.parse import urlsplit

from kontext_lab.client.hosts import read_hosts
from kontext_lab.client.transport import SENT_AT_ONCE
from kontext_lab.errors import ConfigError
from kontext_lab.images import MAX_REFERENCE_BYTES

__all__ = ["ClientSettings", "origin_of"]

MIB = 1024 * 1024

_DEFAULT_PORTS = {"http": 80, "https": 443}


def _user_agent() -> str:
    # The API and its CDN refuse the user agents of Python's own HTTP libraries.
    try:
        return f"kontext-lab/{metadata.version('kontext-lab')}"
    except metadata.PackageNotFoundError:
        return "kontext-lab/0"


@dataclass(frozen=True)
class ClientSettings:
    """Address, waiting times and limits of a client.

    Attributes:
        base_url: where the service is; a trailing `/v1` is dropped, since every path brings its own.
        connect_timeout: seconds for a connection: name, addresses, proxy and handshake. Every 128 KiB of a request
            that are sent have as long, so that tens of megabytes get through a slow line (13 kB/s) and a service
            that stops reading is noticed.
        read_timeout: seconds from having sent a request to having read the last byte of its answer, and for all
            pictures of one answer together, redirects included; the slowest bytes make it no longer.
        pool: connections kept open, as many as there are workers.
        max_output_bytes: largest output that is accepted, after decompression.
        max_redirects: how many redirects of a picture host are followed.
        max_reference_bytes: largest reference that is fetched by URL.
        user_agent: what the client calls itself.
        picture_hosts: names, addresses and networks that pictures may come from although they are not public;
            where the service is itself, they always may.

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
                raise ConfigError(f"{name}: {value!r}, allowed is a number above 0")
        if self.max_redirects < 0:
            raise ConfigError(f"max_redirects: {self.max_redirects!r}, allowed is a whole number from 0")
        if not (self.user_agent.isascii() and self.user_agent.isprintable() and self.user_agent.strip()):
            raise ConfigError("user_agent: allowed is a line of printable ASCII text")

    @property
    def service(self) -> str:
        """The base URL's origin: `scheme://host[:port]`, lower case, without the scheme's own port."""
        return origin_of(self.base_url)

    def exchange_seconds(self, size: int) -> float:
        """The longest that a request may take from its first byte to the last byte of its answer.

        Args:
            size: bytes of the request's body.
        """
        # A connection waits for its name, its addresses and its handshake, each block for as long as that.
        waits = 3 + math.ceil(size / SENT_AT_ONCE)
        return waits * self.connect_timeout + self.read_timeout

    def address(self, path: str) -> str:
        """The full URL of one of the service's paths, which start with a slash."""
        return self.base_url + path


def origin_of(url: str) -> str:
    """The origin of an http(s) URL: `scheme://host[:port]`, lower case, default port dropped.

    Raises:
        ValueError: no URL with a host, or a port out of range.
    """
    parts = urlsplit(url)
    scheme = parts.scheme.lower()
    if not parts.hostname:
        raise ValueError("the URL names no host")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    port = "" if parts.port in (None, _DEFAULT_PORTS.get(scheme)) else f":{parts.port}"
    return f"{scheme}://{host}{port}"


def _clean_base_url(given: str) -> str:
    url = given.strip()
    allowed = "allowed is an http or https address such as https://api.aimlapi.com"
    try:
        parts = urlsplit(url)
        origin = origin_of(url)
    except ValueError as error:
        named = "" if "@" in url else f" {url[:100]!r},"  # what stands before an @ may be a secret
        raise ConfigError(f"base URL:{named} {error}; {allowed}") from None
    if parts.username is not None or parts.password is not None:
        # Not shown: what stands there may be a secret.
        raise ConfigError(f"base URL: holds a user name or password; {allowed}")
    if parts.scheme.lower() not in _DEFAULT_PORTS or parts.query or parts.fragment:
        raise ConfigError(f"base URL: {url[:100]!r}, {allowed}")
    return origin + parts.path.rstrip("/").removesuffix("/v1").rstrip("/")
