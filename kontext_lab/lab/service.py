"""The connection to the service, the real API or the sandbox. Reads the environment when it is made, never at import."""

from __future__ import annotations

import ipaddress
import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from kontext_lab.client import SANDBOX_KEY, ClientSettings, KontextClient, key_from_environment
from kontext_lab.client.keys import GivenKey
from kontext_lab.client.settings import HOSTS_NAME, read_hosts
from kontext_lab.errors import ConfigError, ServiceError

if TYPE_CHECKING:
    from kontext_lab.sandbox import Sandbox

__all__ = ["SANDBOX", "ServiceConnection", "connect", "name_of", "picture_hosts", "wants_sandbox"]

SANDBOX = "sandbox"
"""The sandbox's name in fingerprints and tags, wherever it listens."""

MOST_AT_ONCE = 64
"""As many connections are kept as any run may use: each call of `run` sets its own concurrency."""

SANDBOX_LATENCY = 0.25
"""Seconds the sandbox takes for an answer: long enough to watch a grid fill, short enough to wait for."""


@dataclass
class ServiceConnection:
    """A client and its service, `sandbox` or an origin; `box` is the sandbox that this process started, if any."""

    client: KontextClient
    name: str
    box: Sandbox | None = None

    @property
    def simulated(self) -> bool:
        """True if the sandbox answers."""
        return self.name == SANDBOX

    def close(self) -> None:
        """Close the client's connections, and stop the sandbox if it is ours."""
        self.client.close()
        if self.box is not None:
            self.box.stop()


def wants_sandbox(service: str) -> bool:
    """True if this choice means the sandbox: by name, or `auto` without a key in the environment."""
    if service not in ("auto", "api", "sandbox"):
        raise ConfigError(f"service must be auto, api or sandbox, not {service!r:.60}")
    return service == "sandbox" or (service == "auto" and key_from_environment() is None)


def name_of(service: str) -> str:
    """Return `sandbox`, or the origin of the service's address as it is set; opens nothing."""
    return SANDBOX if wants_sandbox(service) else _api_settings().service


def connect(service: str, key: str | None = None) -> ServiceConnection:
    """Connect to the chosen service: `auto`, `api` or `sandbox`; a key for the API goes before the environment's.

    Raises:
        ConfigError: `api` without a key, or an address or key that can't be used.
    """
    if wants_sandbox(service):
        from kontext_lab.sandbox import Sandbox  # noqa: PLC0415 - the web framework loads only where it serves

        # A balance that is never used up: this sandbox is a place to try things.
        # It loads references itself: the client does so as well, to measure against the same picture.
        box = Sandbox(latency=SANDBOX_LATENCY, balance=1e9, fetch=True).start()
        settings = ClientSettings(base_url=box.url, pool=MOST_AT_ONCE)
        return ServiceConnection(KontextClient(settings, SANDBOX_KEY), SANDBOX, box)
    key = key_from_environment() if key is None else GivenKey(key)
    if key is None:
        raise ConfigError(
            "no API key: set AIMLAPI_API_KEY for the AI/ML API, or use the sandbox (simulated pictures, free)"
        )
    client = KontextClient(_api_settings(), key)
    return ServiceConnection(client, SANDBOX if _is_sandbox(client) else client.service)


def _api_settings() -> ClientSettings:
    address = os.environ.get("AIMLAPI_BASE_URL")
    settings = ClientSettings(pool=MOST_AT_ONCE, picture_hosts=picture_hosts())
    if not address:
        return settings
    try:
        return replace(settings, base_url=address)
    except ConfigError as error:
        raise ConfigError(f"AIMLAPI_BASE_URL: {error}") from None


def picture_hosts() -> tuple[str, ...]:
    """List the hosts that pictures may come from although they are not public, as the environment names them."""
    return read_hosts(os.environ.get(HOSTS_NAME, ""))


def _is_sandbox(client: KontextClient) -> bool:
    """A sandbox in another process is known by its answers; it listens on loopback only."""
    host = urlsplit(client.settings.base_url).hostname or ""
    try:
        loopback = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        loopback = False
    if not loopback:
        return False
    try:
        client.ping()
    except ServiceError:
        return False  # sending something will tell
    return bool(client.simulated)
