"""The picture host: outputs by name for a limited time, with whatever damage a fault does to a download.

Also keeps the ground truth of every picture by its digest. It must not know how pictures are made or what
was paid for them.
"""

from __future__ import annotations

import hashlib
import io
import secrets
import threading
import time
import zlib
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from kontext_lab.sandbox.faults import DOWNLOAD_KINDS, Fault
from kontext_lab.sandbox.http_server import Delivery

__all__ = ["HostedFile", "Hosting", "TruthStore"]

Mask = NDArray[np.bool_]

_MAX_HELD: Final = 256 * 1024 * 1024  # bytes of pictures kept; the oldest go first
_MAX_TRUTHS: Final = 20_000
_HUGE: Final = 200 * 1024 * 1024
_ENDLESS: Final = 1024 * 1024 * 1024
_HTML_PAGE: Final = (
    b"<!DOCTYPE html><html><head><title>Error</title></head><body>Not a picture.</body></html>"
)
_KEPT_HEAD: Final = 20  # bytes of a corrupt picture that survive: enough to look like one


@dataclass(frozen=True)
class HostedFile:
    """The answer to a GET of a hosted picture."""

    status: int
    body: bytes | Iterable[bytes]
    content_type: str
    headers: dict[str, str] = field(default_factory=dict)
    delivery: Delivery = field(default_factory=Delivery)


@dataclass
class _Hosted:
    data: bytes
    content_type: str
    fault: Fault | None
    expires: float
    fetches: int = 0


@dataclass(frozen=True)
class _Get:
    """One download: of what, for the how-manieth time, after how many redirects, by which address."""

    name: str
    fetches: int
    hop: int
    base_url: str


class Hosting:
    """Pictures by name, for `lifetime` seconds."""

    def __init__(self, lifetime: float) -> None:
        self._lifetime = lifetime
        self._lock = threading.Lock()
        self._pictures: OrderedDict[str, _Hosted] = OrderedDict()
        self._held = 0

    def put(self, data: bytes, content_type: str, fault: Fault | None) -> str:
        """Host a picture.

        Returns:
            Its name, unguessable like a CDN's.
        """
        name = f"{secrets.token_urlsafe(16)}.{content_type.rpartition('/')[2]}"
        fault = fault if fault is not None and fault.kind in DOWNLOAD_KINDS else None
        with self._lock:
            self._pictures[name] = _Hosted(data, content_type, fault, time.monotonic() + self._lifetime)
            self._held += len(data)
            while self._held > _MAX_HELD and len(self._pictures) > 1:
                self._held -= len(self._pictures.popitem(last=False)[1].data)
        return name

    def get(self, name: str, hop: int, base_url: str) -> HostedFile:
        """Answer a download.

        Args:
            name: The picture's name.
            hop: How many redirects led here.
            base_url: The address the request came to, to redirect within and away from it.
        """
        with self._lock:
            hosted = self._pictures.get(name)
            if hosted is None:
                return _page(404)
            hosted.fetches += 1
            fetches, expired = hosted.fetches, time.monotonic() >= hosted.expires
        if expired:
            return _page(410)
        if hosted.fault is None:
            return HostedFile(200, hosted.data, hosted.content_type)
        request = _Get(name, fetches, hop, base_url)
        return _damaged(hosted, hosted.fault, request)


def _damaged(hosted: _Hosted, fault: Fault, request: _Get) -> HostedFile:
    whole = HostedFile(200, hosted.data, hosted.content_type)
    match fault.kind:
        case "expired":
            return _page(fault.status or 404)
        case "download_5xx":
            return _page(fault.status or 503) if request.fetches <= fault.times else whole
        case "download_redirect":
            return _redirect(fault, request) if request.hop < fault.times else whole
        case "download_huge":
            return _huge(fault, hosted.content_type)
        case "download_slow":
            return HostedFile(
                200, hosted.data, hosted.content_type, delivery=Delivery(hold=fault.seconds or 1.0)
            )
        case "truncated":
            return _truncated(fault, hosted)
        case _:
            return _corrupt(fault, hosted)


def _page(status: int) -> HostedFile:
    page = (
        f'<?xml version="1.0" encoding="UTF-8"?><html><head><title>{status}</title></head>'
        f"<body><h1>{status}</h1><p>The picture is not here (any more).</p></body></html>"
    )
    return HostedFile(status, page.encode(), "text/html; charset=utf-8")


def _redirect(fault: Fault, request: _Get) -> HostedFile:
    base_url = request.base_url
    target = f"/outputs/{request.name}?hop={request.hop + 1}"
    if fault.variant == "host":
        # The same machine under another name: to a client it is another host.
        here, there = ("127.0.0.1", "localhost") if "127.0.0.1" in base_url else ("localhost", "127.0.0.1")
        target = base_url.rstrip("/").replace(here, there) + target
    return HostedFile(302, b"", "text/html; charset=utf-8", {"Location": target})


def _huge(fault: Fault, content_type: str) -> HostedFile:
    if fault.variant == "length":
        return HostedFile(200, _zeros(_HUGE), content_type, {"Content-Length": str(_HUGE)})
    return HostedFile(200, _zeros(_ENDLESS), content_type)


def _zeros(size: int) -> Iterator[bytes]:
    block = bytes(1024 * 1024)
    for _ in range(size // len(block)):
        yield block


def _truncated(fault: Fault, hosted: _Hosted) -> HostedFile:
    cut = len(hosted.data) * 6 // 10
    if fault.variant == "connection":
        return HostedFile(200, hosted.data, hosted.content_type, delivery=Delivery(cut="close", limit=cut))
    return HostedFile(200, hosted.data[:cut], hosted.content_type)


def _corrupt(fault: Fault, hosted: _Hosted) -> HostedFile:
    if fault.variant == "html":
        return HostedFile(200, _HTML_PAGE, "text/html; charset=utf-8")
    seed = int.from_bytes(hashlib.sha256(hosted.data).digest()[:8])
    noise = np.random.default_rng(seed).bytes(max(0, len(hosted.data) - _KEPT_HEAD))
    return HostedFile(200, hosted.data[:_KEPT_HEAD] + noise, hosted.content_type)


class TruthStore:
    """Which pixels were edited, by the SHA-256 of the picture; packed, since a sweep makes many."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._masks: OrderedDict[str, tuple[tuple[int, int], bytes]] = OrderedDict()

    def put(self, sha256: str, mask: Mask) -> None:
        """Keep a mask."""
        packed = zlib.compress(np.packbits(mask).tobytes(), level=1)
        height, width = mask.shape
        with self._lock:
            self._masks[sha256] = ((height, width), packed)
            while len(self._masks) > _MAX_TRUTHS:
                self._masks.popitem(last=False)

    def get(self, sha256: str) -> Mask:
        """The mask of a picture.

        Raises:
            KeyError: No picture with this digest was made here.
        """
        with self._lock:
            (height, width), packed = self._masks[sha256]
        bits = np.frombuffer(zlib.decompress(packed), np.uint8)
        return np.unpackbits(bits, count=height * width).reshape(height, width).astype(bool)


def mask_png(mask: Mask) -> bytes:
    """A mask as a black-and-white PNG, white where it is true."""
    buffer = io.BytesIO()
    Image.fromarray(mask.astype(np.uint8) * 255).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()
