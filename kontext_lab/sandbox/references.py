"""References: from the URIs of a request to decoded pictures.

Decodes data: URIs and fetches from loopback addresses only, because the sandbox never touches the
internet. It must not know answers or edits.
"""

from __future__ import annotations

import binascii
import hashlib
import io
import ipaddress
import urllib.request
from dataclasses import dataclass
from typing import Any, Final
from urllib.error import HTTPError
from urllib.parse import unquote_to_bytes, urlsplit

from PIL import Image, ImageOps

from kontext_lab.sandbox.cache import Cache

__all__ = ["Reference", "ReferenceRefusedError", "References", "digest_of_uri"]

FORMATS: Final = ("JPEG", "PNG", "WEBP", "GIF", "AVIF")
MAX_PIXELS: Final = 50_000_000
MAX_BYTES: Final = 25 * 1024 * 1024
_FETCH_TIMEOUT_S: Final = 3.0
_ONLY_LOOPBACK: Final = "the sandbox reaches this machine only"


class ReferenceRefusedError(Exception):
    """A reference that cannot be used; the message says why, for the client."""


@dataclass(frozen=True, eq=False)
class Reference:
    """A decoded reference: upright, RGB, and the SHA-256 of the bytes it came in."""

    sha256: str
    image: Image.Image


class References:
    """Loads references and remembers the latest decoded ones."""

    def __init__(self) -> None:
        self._decoded: Cache[Reference] = Cache(12)

    def load(self, uri: str) -> Reference:
        """Decode a data: URI, or fetch and decode a loopback URL.

        Raises:
            ReferenceRefusedError: Not a picture of a known format, or not to be had.
        """
        if uri[:5].lower() == "data:":
            # A sweep sends the same long URI with every request: it is read once.
            return self._decoded.get(uri, lambda: _read(_data_of(uri)))
        data = _fetch(uri)
        return self._decoded.get(hashlib.sha256(data).digest(), lambda: _read(data))


def digest_of_uri(uri: str) -> str:
    """What a call's record keeps instead of picture data: a digest; other URLs stay as they are."""
    return _digests.get(uri, lambda: _digest(uri)) if uri[:5].lower() == "data:" else uri[:500]


_digests: Final[Cache[str]] = Cache(12)


def _digest(uri: str) -> str:
    try:
        data = _data_of(uri)
    except ReferenceRefusedError:
        data = uri.encode("utf-8", "surrogatepass")
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def _read(data: bytes) -> Reference:
    return Reference(hashlib.sha256(data).hexdigest(), _decode(data))


def _data_of(uri: str) -> bytes:
    head, _, payload = uri.partition(",")
    if not head.lower().endswith(";base64"):
        return unquote_to_bytes(payload)
    try:
        # Ten times as fast as base64.b64decode(validate=True), and as strict.
        return binascii.a2b_base64(payload.encode("ascii"), strict_mode=True)
    except (binascii.Error, ValueError):
        raise ReferenceRefusedError("Invalid base64 in data URI") from None


def _decode(data: bytes) -> Image.Image:
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as opened:
            if opened.width * opened.height > MAX_PIXELS:
                raise ReferenceRefusedError(f"Image has more than {MAX_PIXELS} pixels")
            upright = ImageOps.exif_transpose(opened)
            return _on_white(upright)
    except (
        OSError,
        ValueError,
        SyntaxError,
        EOFError,
        Image.DecompressionBombError,
        Image.DecompressionBombWarning,
    ):
        raise ReferenceRefusedError("Could not decode image; use jpg, png, webp, gif or avif") from None


def _on_white(image: Image.Image) -> Image.Image:
    """RGB, with anything transparent laid on white."""
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        image = image.convert("RGBA")
        ground = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(ground, image).convert("RGB")
    return image.convert("RGB")


def _is_loopback(host: str | None) -> bool:
    if host is None:
        return False
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class _StayOnLoopback(urllib.request.HTTPRedirectHandler):
    """Follows redirects only while they stay on this machine."""

    def redirect_request(self, *args: Any) -> Any:
        """Refuse to leave the machine; the last argument is the new address."""
        if not _is_loopback(urlsplit(args[-1]).hostname):
            raise ReferenceRefusedError(_could_not_fetch(args[-1], _ONLY_LOOPBACK))
        return super().redirect_request(*args)


def _could_not_fetch(url: str, why: object) -> str:
    return f"could not fetch {url[:200]}: {why}"


def _fetch(url: str) -> bytes:
    if not _is_loopback(urlsplit(url).hostname):
        raise ReferenceRefusedError(_could_not_fetch(url, _ONLY_LOOPBACK))
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), _StayOnLoopback)
    request = urllib.request.Request(url, headers={"User-Agent": "kontext-sandbox"})
    try:
        with opener.open(request, timeout=_FETCH_TIMEOUT_S) as answer:
            data: bytes = answer.read(MAX_BYTES + 1)
    except HTTPError as error:
        error.close()
        raise ReferenceRefusedError(_could_not_fetch(url, f"HTTP {error.code}")) from None
    except (OSError, ValueError) as error:
        raise ReferenceRefusedError(_could_not_fetch(url, error)) from None
    if len(data) > MAX_BYTES:
        raise ReferenceRefusedError(_could_not_fetch(url, f"larger than {MAX_BYTES} bytes"))
    return data
