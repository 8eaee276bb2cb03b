"""A lab on a sandbox of the test's own, whose calls can be read back."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

import kontext_lab as kl
from kontext_lab.sandbox import Sandbox


@pytest.fixture
def box() -> Iterator[Sandbox]:
    """A sandbox without latency."""
    with Sandbox() as running:
        yield running


@pytest.fixture
def api(box: Sandbox, store_uri: str, monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    """The sandbox as the API that the environment names, with a key."""
    monkeypatch.setenv("AIMLAPI_BASE_URL", box.url)
    monkeypatch.setenv("AIMLAPI_API_KEY", "marked-key-4711")
    return box


@pytest.fixture
def lab(api: Sandbox) -> Iterator[kl.Lab]:
    """A lab that sends to it."""
    with kl.Lab() as made:
        yield made


@pytest.fixture
def make_sweep(photo_file: Path) -> Callable[..., kl.Sweep]:
    """Makes a sweep over the photograph: 2 x 2 x 2 cells unless told otherwise."""

    def make(**changes: object) -> kl.Sweep:
        given: dict[str, object] = {
            "prompt": "Add a {animal}.",
            "image": photo_file,
            "axes": {"guidance_scale": [2, 5], "seed": [1, 2], "animal": ["bird", "crab"]},
            "aspect_ratio": "1:1",
        }
        return kl.Sweep(**{**given, **changes})

    return make


@pytest.fixture
def served_photo(photo_file: Path) -> Iterator[tuple[str, list[str]]]:
    """The photograph at a URL, and the user agents that asked for it."""
    agents: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            agents.append(self.headers.get("User-Agent", ""))
            data = photo_file.read_bytes()
            self.send_response(200)
            self.send_header("Content-Type", "image/jpeg")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/photo.jpg?size=full", agents
    server.shutdown()
    server.server_close()
    thread.join()
