"""HTTP sessions without retries or cookies; connections with deadlines; bodies with a limit.

Knows HTTP and nothing of the service: no keys, no answers, no meaning of failures.

A socket's timeout restarts with each byte, so a header of a byte a second would hold a caller for hours. Here each of
the three parts of an exchange has its own deadline: the connection (name, addresses, proxy, handshake), every block
that is sent, and the answer from its first byte to its last.
"""

from __future__ import annotations

import http.client
import io
import queue
import socket
import threading
import time
from collections.abc import Callable, Sequence
from http.cookiejar import DefaultCookiePolicy
from ipaddress import ip_address
from typing import Any, Literal
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    LocationParseError,
    NameResolutionError,
    NewConnectionError,
)
from urllib3.util.connection import allowed_gai_family, create_connection

from kontext_lab.redaction import redact_logs

__all__ = [
    "SENT_AT_ONCE",
    "BodyError",
    "CountedBody",
    "Guard",
    "addresses",
    "new_session",
    "proxies_for",
    "read_body",
]

Guard = Callable[[str, Sequence[str]], Sequence[str]]
"""Takes a host's name and addresses; returns the addresses that may be connected to, or raises if none may."""

_BLOCK = 64 * 1024

SENT_AT_ONCE = 128 * 1024
"""Bytes of a request's body per system call: http.client's 16 kB mean forty calls for a reference, and each waits for
the interpreter's lock while other threads compute. Each call may take the connect timeout."""

_BASE64 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=-_\\"
"""Both alphabets, and the backslash with which JSON escapes a slash or a line end."""


class BodyError(Exception):
    """A body that could not be read to its end.

    Attributes:
        kind: `large` (more than the limit), `slow` (no end by the deadline) or `broken`.
        partial: the bytes that were read.
        cause: the exception that cut it off, or None.
    """

    def __init__(
        self, kind: Literal["large", "slow", "broken"], partial: bytes, cause: Exception | None = None
    ) -> None:
        super().__init__(kind, partial, cause)
        self.kind = kind
        self.partial = partial
        self.cause = cause


class CountedBody(io.BytesIO):
    """A request body that knows if any of it was read for sending.

    As a file it is sent block by block, each with the connection's timeout; `bytes` would have to be sent as a whole
    within it, which takes too long for tens of megabytes of references on a slow line.
    """

    taken = False

    def read(self, size: int | None = -1, /) -> bytes:
        """The next bytes, as any file gives them."""
        self.taken = True
        return super().read(size)


class _Session(requests.Session):
    """Ignores redirects; requests would read a redirect's whole body, however long."""

    def get_redirect_target(self, resp: requests.Response) -> None:
        """Find no target."""


def new_session(pool: int, guard: Guard | None = None) -> requests.Session:
    """A session for `pool` threads: no retries, no cookies, proxies from the environment.

    `guard` selects addresses. It is never asked if a proxy carries the request: only the proxy knows the address.
    """
    redact_logs("urllib3.connectionpool")  # its debug lines hold every address in full
    session = _Session()
    adapter = _Adapter(guard, pool_connections=pool, pool_maxsize=pool, max_retries=0, pool_block=False)
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    return session


class _Adapter(HTTPAdapter):
    """Sends bodies in larger blocks, over connections with deadlines."""

    def __init__(self, guard: Guard | None, **options: Any) -> None:
        self._guard = guard
        super().__init__(**options)

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, **options, blocksize=SENT_AT_ONCE)
        self._time(self.poolmanager)

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        manager = super().proxy_manager_for(proxy, **options, blocksize=SENT_AT_ONCE)
        self._time(manager)
        return manager

    def _time(self, manager: Any) -> None:
        """Have a manager make connections with deadlines; may be called again, since threads share it."""
        pools = manager.pool_classes_by_scheme
        if any(issubclass(pool.ConnectionCls, _TimedConnection) for pool in pools.values()):
            return
        guard = {"guard": staticmethod(self._guard)} if self._guard is not None else {}
        timed_pools = {}
        for scheme, pool in pools.items():
            connection = type(pool.ConnectionCls.__name__, (_TimedConnection, pool.ConnectionCls), guard)
            timed_pools[scheme] = type(pool.__name__, (pool,), {"ConnectionCls": connection})
        manager.pool_classes_by_scheme = timed_pools


class _TimedReader(io.RawIOBase):
    """Bytes of a socket until a deadline, however slowly they arrive."""

    def __init__(self, connected: socket.socket, seconds: float) -> None:
        self._socket = connected
        self._file = connected.makefile("rb", buffering=0)
        self._deadline = time.monotonic() + seconds

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int | None:
        """Read as any raw stream does; raise TimeoutError after the deadline."""
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        self._socket.settimeout(left)
        return self._file.readinto(buffer)

    def close(self) -> None:
        """Release the socket."""
        self._file.close()
        super().close()


class _TimedResponse(http.client.HTTPResponse):
    """An answer whose status, headers, body and trailers share the socket's timeout at the start."""

    def __init__(self, sock: socket.socket, *args: Any, **options: Any) -> None:
        super().__init__(sock, *args, **options)
        seconds = sock.gettimeout()
        if seconds is not None:
            self.fp.close()
            self.fp = io.BufferedReader(_TimedReader(sock, seconds))

    def _read_status(self) -> tuple[str, int, str]:
        # http.client mistakes 102 and 103, which only announce an answer, for the answer itself.
        while True:
            version, status, reason = super()._read_status()  # type: ignore[misc]
            if not 102 <= status < 200:
                return version, status, reason
            http.client._read_headers(self.fp)  # type: ignore[attr-defined]


class _TimedConnection(HTTPConnection):
    """A urllib3 connection with a deadline for each of its parts; mixed into urllib3's classes."""

    response_class = _TimedResponse
    guard: Guard | None = None

    def _new_conn(self) -> socket.socket:
        if hasattr(self, "_socks_options"):
            return super()._new_conn()  # PySocks connects to a SOCKS proxy
        deadline = time.monotonic() + float(self.timeout or 0.0)
        try:
            hosts: Sequence[str] = addresses(self._dns_host, self.port, float(self.timeout or 0.0))
            if self.guard is not None and self.proxy is None:
                hosts = self.guard(self.host, hosts)
            return self._connect_to_first(hosts, deadline)
        except socket.gaierror as error:
            raise NameResolutionError(self.host, self, error) from error
        except TimeoutError as error:
            raise ConnectTimeoutError(self, f"Connection to {self.host} timed out") from error
        except OSError as error:
            raise NewConnectionError(self, f"Failed to establish a new connection: {error}") from error

    def _connect_to_first(self, hosts: Sequence[str], deadline: float) -> socket.socket:
        """Connect to the first address that answers; each gets its share of the remaining time."""
        failure = OSError("the host has no address")
        for number, address in enumerate(hosts):
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError("timed out")
            try:
                connected = create_connection(
                    (address, self.port),
                    left / (len(hosts) - number),
                    source_address=self.source_address,
                    socket_options=self.socket_options,
                )
            except OSError as error:
                failure = error
                continue
            # A proxy's answer or a handshake comes next, and is part of connecting.
            connected.settimeout(max(deadline - time.monotonic(), 0.001))
            return connected
        raise failure

    def send(self, data: Any) -> None:
        """Send a block within the timeout; TLS would give each of its records that long."""
        if not isinstance(data, bytes) or self.timeout is None:
            super().send(data)
            return
        if self.sock is None:
            self.connect()
        deadline = time.monotonic() + float(self.timeout)
        left = memoryview(data)
        while left:
            self.sock.settimeout(max(deadline - time.monotonic(), 0.001))
            left = left[self.sock.send(left) :]


def addresses(host: str, port: int, seconds: float) -> list[str]:
    """A host's addresses, each once, in the system's order, looked up in a thread: the system may take minutes.

    Raises:
        OSError: an unknown name; TimeoutError if the lookup took more than `seconds`.
        LocationParseError: a text that can't be a host's name.
    """
    host = host.strip("[]")
    try:
        host.encode("idna")
    except UnicodeError:
        raise LocationParseError(f"{host!r}, label empty or too long") from None
    results: queue.SimpleQueue[list[Any] | Exception] = queue.SimpleQueue()

    def look() -> None:
        try:
            results.put(socket.getaddrinfo(host, port, allowed_gai_family(), socket.SOCK_STREAM))
        except Exception as error:  # raised below, in the thread that waits
            results.put(error)

    threading.Thread(target=look, name="kontext-lab-lookup", daemon=True).start()
    try:
        result = results.get(timeout=seconds)
    except queue.Empty:
        raise TimeoutError("the host's name was not found in time") from None
    if isinstance(result, Exception):
        raise result
    return list(dict.fromkeys(str(entry[4][0]) for entry in result))


def proxies_for(url: str) -> dict[str, str] | None:
    """The `proxies` argument for requests: no proxy for this machine itself, None to follow the environment."""
    host = urlsplit(url).hostname or ""
    try:
        local = ip_address(host).is_loopback
    except ValueError:
        local = host == "localhost"
    return {"no_proxy": host} if local else None


def read_body(
    response: requests.Response, limit: int, seconds: float, text_limit: int | None = None
) -> bytes:
    """The whole body, decompressed.

    Args:
        response: an answer, requested with `stream=True`.
        limit: largest number of bytes accepted, counted after decompression.
        seconds: longest time for the whole body; a single silence may last as long as the read timeout.
        text_limit: largest number of bytes in blocks that hold more than base64; None for `limit`.

    Raises:
        BodyError: more bytes than the limit, no end in time, a broken connection, or not the announced length.
    """
    deadline = time.monotonic() + seconds
    body, text = io.BytesIO(), 0  # a BytesIO returns its content without a copy
    try:
        # read1 returns after each piece that arrives; read would wait for a full block, byte by byte.
        while block := response.raw.read1(_BLOCK, decode_content=True):
            body.write(block)
            text += len(block) if text_limit is not None and block.translate(None, _BASE64) else 0
            if body.tell() > limit or text > (text_limit or limit):
                body.truncate(limit)
                raise BodyError("large", body.getvalue())
            if time.monotonic() > deadline:
                raise BodyError("slow", body.getvalue())
    except (HTTPError, OSError) as error:
        raise BodyError("broken", body.getvalue(), error) from None
    return body.getvalue()
