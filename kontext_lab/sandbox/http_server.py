"""HTTP on the socket: a threaded loopback server that keeps connections alive and can really cut them.

It reads requests, runs a WSGI application and writes the application's answer as its `Delivery` says: whole, partly,
late or never. It must not know the requests' meaning.

Werkzeug's own request handler closes every connection after one answer and cannot leave an answer
unfinished, so the writing is done here; parsing and the WSGI environment stay Werkzeug's.
"""

from __future__ import annotations

import errno
import io
import logging
import os
import selectors
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final, Literal

from werkzeug.serving import ThreadedWSGIServer, WSGIRequestHandler

__all__ = ["DELIVERY", "TOO_LARGE", "Delivery", "LoopbackServer", "PortInUseError"]

logger = logging.getLogger(__name__)

HOST: Final = "127.0.0.1"
MAX_BODY: Final = 25 * 1024 * 1024
DELIVERY: Final = "kontext_lab.delivery"
TOO_LARGE: Final = "kontext_lab.too_large"
_MAX_DRAIN: Final = 256 * 1024 * 1024
_CHUNK: Final = 64 * 1024
_IDLE_S: Final = 75.0
_JOIN_S: Final = 2.0


class PortInUseError(OSError):
    """The wanted port is taken by another program."""


@dataclass(frozen=True)
class Delivery:
    """Way of writing an answer; the application puts one into the WSGI environment."""

    hold: float = 0.0  # seconds to hold the connection silently, at most until the client has gone
    # End the connection afterwards, by a reset or by a plain close.
    cut: Literal["reset", "close"] | None = None
    # Number of bytes of the body to write; None means all. 0 with `cut` means no answer at all.
    limit: int | None = None
    # Called once with True if the whole answer was written to a client that was still there.
    done: Callable[[bool], None] | None = None

    @property
    def silent(self) -> bool:
        """True if nothing of the answer is written, not even its status."""
        return self.cut is not None and self.limit == 0


class Handler(WSGIRequestHandler):
    """Serves the requests of one connection."""

    protocol_version = "HTTP/1.1"
    timeout = _IDLE_S
    disable_nagle_algorithm = True
    server: LoopbackServer

    def run_wsgi(self) -> None:
        """Serve one request."""
        if self.headers.get("Expect", "").strip().lower() == "100-continue":
            self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        environ = self.environ = self.make_environ()
        body = self._read_body(environ)
        environ[TOO_LARGE] = body is None
        environ["wsgi.input"] = io.BytesIO(body or b"")
        environ["CONTENT_LENGTH"] = str(len(body or b""))
        environ.pop("HTTP_TRANSFER_ENCODING", None)
        environ["wsgi.input_terminated"] = True
        delivered = False
        delivery = Delivery()
        head: list[Any] = []

        def start_response(status: str, headers: list[tuple[str, str]], _: Any = None) -> Any:
            head[:] = status, headers

        try:
            result = self.server.app(environ, start_response)
            delivery = environ.get(DELIVERY, delivery)
            delivered = self._deliver(delivery, head[0], head[1], result)
        except OSError:
            self.close_connection = True  # the client went away, or the server is being stopped
        finally:
            if delivery.done is not None:
                delivery.done(delivered)

    def _read_body(self, environ: dict[str, Any]) -> bytes | None:
        """Read the request's body; None if it is over the limit (then drained, so that the client sees why)."""
        length = environ.get("CONTENT_LENGTH") or "0"
        chunked = bool(environ.get("wsgi.input_terminated"))
        if not (chunked or length.isdigit()):
            self.close_connection = True
            return b""
        left = _MAX_DRAIN if chunked else int(length)
        data = bytes(environ["wsgi.input"].read(min(left, MAX_BODY + 1)))
        if len(data) <= MAX_BODY:
            if not chunked and len(data) < left:
                raise ConnectionResetError("the client went away while sending")
            return data
        self.close_connection = True
        left = min(left, _MAX_DRAIN) - len(data)
        while left > 0 and (block := environ["wsgi.input"].read(min(left, _CHUNK))):
            left -= len(block)
        return None

    def _deliver(
        self, delivery: Delivery, status: str, headers: list[tuple[str, str]], result: Iterable[bytes]
    ) -> bool:
        """Write the answer as `delivery` says; True if all of it was written to a client that was still there."""
        try:
            if delivery.hold:
                self._hold(delivery.hold)
            if self.server.stopping.is_set() or delivery.silent:
                self._cut(delivery.cut or "close")
                return False
            # Asked before writing: afterwards a client that has read everything may already have closed.
            gone = self._client_gone()
            whole = self._write(status, headers, result, delivery.limit)
            if delivery.cut is not None:
                self._cut(delivery.cut)
                return False
            return whole and not gone
        finally:
            close = getattr(result, "close", None)
            if close is not None:
                close()

    def _write(
        self, status: str, headers: list[tuple[str, str]], result: Iterable[bytes], limit: int | None
    ) -> bool:
        code, _, reason = status.partition(" ")
        names = {name.lower() for name, _ in headers}
        self.send_response(int(code), reason)
        for name, value in headers:
            self.send_header(name, value)
        if "content-length" not in names:
            self.close_connection = True  # the end of the connection is the end of the body
        if self.close_connection and "connection" not in names:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command == "HEAD":
            return True
        left = limit
        for chunk in result:
            if self.server.stopping.is_set():
                self.close_connection = True
                return False
            part = chunk if left is None else chunk[:left]
            self.wfile.write(part)
            if left is not None:
                left -= len(part)
                if left <= 0:
                    return False
        return True

    def _hold(self, seconds: float) -> None:
        """Stay silent for a while; ends early when the client goes away or the server stops."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and not self._client_gone():
            if self.server.stopping.wait(0.02):
                return

    def _client_gone(self) -> bool:
        """True if the client has closed its side of the connection."""
        try:
            with selectors.DefaultSelector() as selector:
                selector.register(self.connection, selectors.EVENT_READ)
                if not selector.select(0):
                    return False
            return bool(self.connection.recv(1, socket.MSG_PEEK) == b"")
        except (OSError, ValueError):
            return True

    def _cut(self, how: Literal["reset", "close"]) -> None:
        """End the connection at once; a reset discards unsent data, a close ends it in order."""
        self.close_connection = True
        if how == "reset":
            linger = struct.pack("hh" if os.name == "nt" else "ii", 1, 0)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            # The connection's file objects hold it open: without closing them no reset is sent.
            self.rfile.close()
            self.wfile.close()
            self.connection.close()
        else:
            self.connection.shutdown(socket.SHUT_RDWR)

    def log(self, *args: Any) -> None:
        """Stay silent on the terminal; the first argument is Werkzeug's level."""
        logger.debug(*args[1:])


class LoopbackServer(ThreadedWSGIServer):
    """Threaded server on 127.0.0.1 that knows its open connections, so that it can be stopped at once."""

    def __init__(self, port: int, app: Callable[..., Iterable[bytes]]) -> None:
        """Bind the port, 0 takes a free one; raises `PortInUseError`."""
        self.stopping = threading.Event()
        self._connections: dict[socket.socket, threading.Thread] = {}
        self._connections_lock = threading.Lock()
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
            if os.name != "nt":  # on Windows this option would let two programs share the port
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                listener.bind((HOST, port))
                listener.listen(128)
            except OSError as error:
                if error.errno in (errno.EADDRINUSE, errno.EACCES):
                    message = f"port {port} on {HOST} is in use or not allowed"
                    raise PortInUseError(error.errno, message) from None
                raise
            super().__init__(HOST, port, app, Handler, fd=listener.fileno())

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serve a connection to its end, unless the server was stopped before this thread began."""
        thread = threading.current_thread()
        thread.name = "sandbox-connection"
        with self._connections_lock:
            self._connections[request] = thread
        try:
            if self.stopping.is_set():
                self.shutdown_request(request)
            else:
                super().process_request_thread(request, client_address)
        finally:
            with self._connections_lock:
                self._connections.pop(request, None)

    def handle_error(self, *_: Any) -> None:
        """Log an error outside of any request; vanished clients are nothing unusual."""
        logger.debug("a connection failed", exc_info=True)

    def abort_connections(self) -> None:
        """Close every open connection and wait shortly for their threads."""
        self.stopping.set()
        with self._connections_lock:
            open_now = dict(self._connections)
        for connection in open_now:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue  # already closed
        deadline = time.monotonic() + _JOIN_S
        for thread in open_now.values():
            thread.join(max(0.0, deadline - time.monotonic()))
