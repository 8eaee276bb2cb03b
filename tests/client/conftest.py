"""What the client's tests share: a clean environment, a reference, requests, the sandbox in each shape."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from kontext_lab.client import ClientSettings, KontextClient
from kontext_lab.images import Reference, load_reference
from kontext_lab.request import EditRequest
from kontext_lab.sandbox import Sandbox

KEY = "sk-0123456789abcdef-secret"


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    """No real key, proxy or .netrc reaches a test."""
    for name in list(os.environ):
        if name.upper().endswith("_PROXY") or name.startswith(("AIML", "NETRC", "KONTEXT_LAB")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.fixture
def key() -> str:
    """A key the sandbox accepts."""
    return KEY


@pytest.fixture(scope="session")
def reference() -> Reference:
    """A small picture with some structure."""
    rows, columns = np.mgrid[0:48, 0:64]
    pixels = np.stack([rows * 5, columns * 4, (rows + columns) * 2], axis=2).astype(np.uint8)
    return load_reference(pixels, name="ramp")


@pytest.fixture
def make_request(reference: Reference) -> Callable[..., EditRequest]:
    """Requests that differ from a plain one in the given fields."""

    def make(**fields: object) -> EditRequest:
        return EditRequest(**{"prompt": "Add a bird.", "image": reference, "aspect_ratio": "1:1", **fields})

    return make


@pytest.fixture
def plain_request(make_request: Callable[..., EditRequest]) -> EditRequest:
    """A request with one reference and one output."""
    return make_request()


@pytest.fixture(params=["legacy", "hybrid", "current"])
def shape(request: pytest.FixtureRequest) -> str:
    """Each of the three shapes an answer comes in."""
    return str(request.param)


@pytest.fixture
def box(key: str) -> Iterator[Sandbox]:
    """A sandbox that accepts one key."""
    with Sandbox(keys={key}) as sandbox:
        yield sandbox


@pytest.fixture
def shaped_box(shape: str, key: str) -> Iterator[Sandbox]:
    """A sandbox in each of the shapes."""
    with Sandbox(keys={key}, shape=shape) as sandbox:
        yield sandbox


@pytest.fixture
def connect(key: str) -> Iterator[Callable[..., KontextClient]]:
    """Clients of an address, with short waiting times."""
    made: list[KontextClient] = []

    def make(url: str, with_key: str | None = key, **settings: object) -> KontextClient:
        waits = {"connect_timeout": 1.0, "read_timeout": 2.0, **settings}
        made.append(KontextClient(ClientSettings(base_url=url, **waits), with_key))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for client in made:
        client.close()


@pytest.fixture
def client(box: Sandbox, connect: Callable[..., KontextClient]) -> KontextClient:
    """A client of the sandbox."""
    return connect(box.url, read_timeout=20.0)
