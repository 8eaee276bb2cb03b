"""A server that demands a name and a password, and passes on what comes with them: what teams put before MLflow."""

from __future__ import annotations

import threading
import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@contextmanager
def guard(target: str, name: str, password: str) -> Iterator[int]:
    """Listen on a port of 127.0.0.1; whoever is refused gets his own Authorization header back, as some servers do."""
    ticket = "Basic " + b64encode(f"{name}:{password}".encode()).decode()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _pass_on(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            given = self.headers.get("Authorization") or self.headers.get("Proxy-Authorization") or ""
            if given != ticket or not target:
                refused = 401 if target else 407
                self._answer(
                    refused, f"refused: Authorization: {given} of {self.path}".encode(), "text/plain"
                )
                return
            asked = urllib.request.Request(target + self.path, body or None, method=self.command)
            asked.add_header("Content-Type", self.headers.get("Content-Type") or "application/json")
            try:
                with urllib.request.urlopen(asked) as came:
                    self._answer(came.status, came.read(), came.headers.get("Content-Type") or "")
            except urllib.error.HTTPError as came:
                self._answer(came.code, came.read(), came.headers.get("Content-Type") or "")

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_CONNECT = _pass_on  # noqa: N815 - http.server's own names

        def _answer(self, status: int, body: bytes, kind: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        running.daemon_threads = True
        thread = threading.Thread(target=running.serve_forever, daemon=True)
        thread.start()
        yield running.server_address[1]
        running.shutdown()
        thread.join()
