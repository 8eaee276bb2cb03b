"""What the sandbox's own tests share: a running sandbox, a client made of plain `requests`, references."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import requests
from PIL import Image

from kontext_lab.sandbox import Sandbox

AGENT = "sandbox-tests/1"
KEY = "test-key"


class Client:
    """Plain requests against one sandbox: no retries, no pooling surprises, its own User-Agent."""

    def __init__(self, box: Sandbox, reference: str) -> None:
        self.box = box
        self.reference = reference
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.headers["User-Agent"] = AGENT

    def body(self, **fields: Any) -> dict[str, Any]:
        """A valid body; a field given as `...` is left out."""
        body = {
            "model": "flux/kontext-pro/image-to-image",
            "prompt": "Add a bird to the photo.",
            "image_url": self.reference,
            "seed": 1,
            **fields,
        }
        return {name: value for name, value in body.items() if value is not ...}

    def post(
        self, *, headers: dict[str, str | None] | None = None, timeout: float = 20, **fields: Any
    ) -> Any:
        """POST a generation."""
        sent = {"Authorization": f"Bearer {KEY}", **(headers or {})}
        url = f"{self.box.url}/v1/images/generations"
        return self.session.post(url, json=self.body(**fields), headers=sent, timeout=timeout)

    def get(self, path: str, *, key: bool = True, **options: Any) -> requests.Response:
        """GET a path of the sandbox or a whole URL."""
        url = path if path.startswith("http") else f"{self.box.url}{path}"
        headers = {"Authorization": f"Bearer {KEY}"} if key else {}
        headers |= options.pop("headers", {})
        return self.session.get(url, headers=headers, timeout=20, **options)

    def pictures(self, answer: requests.Response) -> list[bytes]:
        """Download the pictures of an answer of any shape."""
        body = answer.json()
        items = body.get("images") or body["data"]
        return [self.get(item["url"], key=False).content for item in items]

    def image(self, **fields: Any) -> np.ndarray:
        """The pixels of the first picture made for these fields."""
        return decode(self.pictures(self.post(**fields))[0])

    def script(self, *faults: Any) -> None:
        """Let the next requests meet these faults."""
        self.box.script(faults)


def decode(data: bytes) -> np.ndarray:
    """Pixels of an encoded picture."""
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("RGB"))


def photo(width: int, height: int, shift: float = 0.0) -> Image.Image:
    """A smooth made-up photograph."""
    y, x = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    planes = [
        120 + 90 * np.sin(3 * x + shift),
        110 + 80 * np.cos(4 * y - shift),
        100 + 60 * np.sin(5 * (x + y)),
    ]
    return Image.fromarray(np.stack(planes, axis=-1).clip(0, 255).astype(np.uint8))


def data_uri(image: Image.Image, kind: str = "PNG") -> str:
    """A picture as a data: URI."""
    buffer = io.BytesIO()
    image.save(buffer, kind)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(buffer.getvalue()).decode()}"


@pytest.fixture(scope="session")
def make_uri() -> Callable[..., str]:
    """Makes a data: URI of a made-up photograph: (width, height, shift, kind)."""

    def make(width: int = 96, height: int = 72, shift: float = 0.0, kind: str = "PNG") -> str:
        return data_uri(photo(width, height, shift), kind)

    return make


@pytest.fixture
def make_client(make_uri: Callable[..., str]) -> Iterator[Callable[..., Client]]:
    """Starts sandboxes with settings and stops them afterwards."""
    clients: list[Client] = []

    def make(**settings: Any) -> Client:
        client = Client(Sandbox(**settings).start(), make_uri())
        clients.append(client)
        return client

    yield make
    for client in clients:
        client.session.close()
        client.box.stop()


@pytest.fixture
def client(make_client: Callable[..., Client]) -> Client:
    """A client of a fresh sandbox with default settings."""
    return make_client()


@pytest.fixture(scope="module")
def shared_box() -> Iterator[Sandbox]:
    """One sandbox for a whole module."""
    with Sandbox() as box:
        yield box


@pytest.fixture
def shared(shared_box: Sandbox, make_uri: Callable[..., str]) -> Iterator[Client]:
    """A client of the module's sandbox, for tests that look only at their own answer."""
    client = Client(shared_box, make_uri())
    yield client
    client.session.close()
