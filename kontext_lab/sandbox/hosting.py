"""The picture host: outputs by name for a limited time, with the damage that a fault does to a download.

Also keeps masks of every picture by its digest. It must not know how pictures are made, nor their price.
"""

from __future__ import annotations

import hashlib
import io
import secrets
import threading
import time
from dataclasses import dataclass, replace
from itertools import repeat
from typing import Final
from urllib.parse import urlsplit

import numpy as np
from cachetools import FIFOCache
from numpy.typing import NDArray
from PIL import Image

from kontext_lab.sandbox.faults import Fault
from kontext_lab.sandbox.http_server import Delivery
from kontext_lab.sandbox.replies import Reply

__all__ = ["Hosting", "MaskStore"]

Mask = NDArray[np.bool_]

_MAX_HELD: Final = 256 * 1024 * 1024  # bytes of pictures kept; the oldest go first
_MAX_MASKS: Final = 40_000
_MEGABYTE: Final = bytes(2**20)
_HTML_PAGE: Final = (
    b"<!DOCTYPE html><html><head><title>Error</title></head><body>Not a picture.</body></html>"
)
_KEPT_HEAD: Final = 20  # bytes of a corrupt picture that survive: enough to look like one


@dataclass
class _Hosted:
    data: bytes
    content_type: str
    fault: Fault
    expires: float
    fetches: int = 0


class Hosting:
    """Pictures by name, for `lifetime` seconds."""

    def __init__(self, lifetime: float) -> None:
        self._lifetime = lifetime
        self._lock = threading.Lock()
        self._pictures: FIFOCache[str, _Hosted] = FIFOCache(_MAX_HELD, lambda hosted: len(hosted.data))

    def put(self, data: bytes, content_type: str, fault: Fault) -> str:
        """Host a picture; returns its name, unguessable like a CDN's."""
        name = f"{secrets.token_urlsafe(16)}.{content_type.rpartition('/')[2]}"
        with self._lock:
            self._pictures[name] = _Hosted(data, content_type, fault, time.monotonic() + self._lifetime)
        return name

    def get(self, name: str, hop: int, base_url: str) -> Reply:
        """Answer the download of a picture, to which `hop` redirects led.

        `base_url` is the address the request came to, to redirect within and away from it.
        """
        with self._lock:
            hosted = self._pictures.get(name)
            if hosted is None:
                return _page(404)
            hosted.fetches += 1
            fetches, expired = hosted.fetches, time.monotonic() >= hosted.expires
        if expired:
            return _page(410)
        return _reply(hosted, fetches, f"{base_url.rstrip('/')}/outputs/{name}", hop)


def _page(status: int) -> Reply:
    page = (
        f'<?xml version="1.0" encoding="UTF-8"?><html><head><title>{status}</title></head>'
        f"<body><h1>{status}</h1><p>The picture is not here (any more).</p></body></html>"
    )
    return Reply(status, page.encode(), "text/html; charset=utf-8")


def _reply(hosted: _Hosted, fetches: int, url: str, hop: int) -> Reply:
    """Answer the download number `fetches` of a picture, after `hop` redirects, as its fault wants it."""
    data, fault = hosted.data, hosted.fault
    whole = Reply(200, data, hosted.content_type)
    match fault.kind, fault.variant:
        case "expired", _:
            return _page(fault.status or 404)
        case "download_5xx", _:
            return _page(fault.status or 503) if fetches <= fault.times else whole
        case "download_redirect", variant if hop < fault.times:
            here, there = ("127.0.0.1", "localhost") if "127.0.0.1" in url else ("localhost", "127.0.0.1")
            # The same machine under another name: to a client it is another host.
            target = url.replace(here, there) if variant == "host" else urlsplit(url).path
            return Reply(302, b"", "text/html; charset=utf-8", {"Location": f"{target}?hop={hop + 1}"})
        case "download_huge", "length":
            return replace(whole, body=repeat(_MEGABYTE, 200), headers={"Content-Length": str(200 * 2**20)})
        case "download_huge", _:
            return replace(whole, body=repeat(_MEGABYTE, 1024))
        case "download_slow", _:
            return replace(whole, delivery=Delivery(hold=fault.seconds or 1.0))
        case "truncated", "connection":
            return replace(whole, delivery=Delivery(cut="close", limit=len(data) * 6 // 10))
        case "truncated", _:
            return replace(whole, body=data[: len(data) * 6 // 10])
        case "corrupt", "html":
            return Reply(200, _HTML_PAGE, "text/html; charset=utf-8")
        case "corrupt", _:
            seed = int.from_bytes(hashlib.sha256(data).digest()[:8])
            noise = np.random.default_rng(seed).bytes(max(0, len(data) - _KEPT_HEAD))
            return replace(whole, body=data[:_KEPT_HEAD] + noise)
    return whole


class MaskStore:
    """Masks "truth" and "mark" by the SHA-256 of the picture; as PNG of one bit, since a sweep makes many."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._files: FIFOCache[tuple[str, str], bytes] = FIFOCache(_MAX_MASKS)

    def put(self, sha256: str, **masks: Mask) -> None:
        """Store masks of a picture by their names."""
        for name, mask in masks.items():
            buffer = io.BytesIO()
            Image.fromarray(mask).save(buffer, "PNG", compress_level=1)
            with self._lock:
                self._files[name, sha256] = buffer.getvalue()

    def get(self, name: str, sha256: str) -> Mask:
        """Return a mask of a picture; raises `KeyError` if no picture with this digest was made here."""
        with self._lock:
            file = self._files[name, sha256]
        return np.asarray(Image.open(io.BytesIO(file)))
