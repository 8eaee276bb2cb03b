"""References: from the URIs of a request to decoded pictures.

Decodes data: URIs, fetches from this machine and, where that is allowed, from public addresses. Otherwise a public
address gets a stand-in photograph. It must not know answers or edits.
"""

from __future__ import annotations

import binascii
import hashlib
import http.client
import io
import ipaddress
import logging
import socket
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.resources import files
from queue import Empty, SimpleQueue
from typing import Final
from urllib.parse import quote, unquote_to_bytes, urljoin, urlsplit

import numpy as np
from PIL import Image, ImageOps

from kontext_lab.sandbox.cache import Cache

__all__ = ["DecodedReference", "ReferenceLoader", "ReferenceRefusedError", "record_of_uri"]

logger = logging.getLogger(__name__)

FORMATS: Final = ("JPEG", "PNG", "WEBP", "GIF", "AVIF")
MAX_PIXELS: Final = 50_000_000
MAX_BYTES: Final = 25 * 1024 * 1024
_FETCH_S: Final = 10.0  # a whole fetch: name, connection, redirects, body
_REDIRECTS: Final = 5
_DRAFT: Final = (2048, 2048)  # a JPEG of twice that or more is decoded at a fraction of its size
_PHOTOGRAPHS: Final = ("astronaut.png", "chelsea.png", "coffee.png", "rocket.jpg")
_STAND_IN_SIZE: Final = (1024, 768)
_STAND_IN: Final = "%s was not loaded: a stand-in photograph takes its place (--fetch loads public addresses)"
_TRANSLATED: Final = ipaddress.ip_network("64:ff9b::/96")

_URL: Final = "/:?[]@!$&'()*+,;=%"  # what stays as it is in an address

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class ReferenceRefusedError(Exception):
    """A reference that cannot be used; the message says why, for the client."""


@dataclass(frozen=True, eq=False)
class DecodedReference:
    """A decoded reference.

    Attributes:
        sha256: Digest of the bytes it came in; of a stand-in, of its pixels.
        image: The picture, upright and RGB.
        stand_in: The address that a stand-in stands for, as it may be shown; "" for a picture that was read.
    """

    sha256: str
    image: Image.Image
    stand_in: str = ""


class ReferenceLoader:
    """Loads references and remembers the latest decoded ones.

    Args:
        fetch: Whether public addresses are loaded; otherwise each gets a stand-in photograph.
    """

    def __init__(self, fetch: bool = False) -> None:
        self._fetch = fetch
        self._decoded: Cache[DecodedReference] = Cache(12)
        self._told: set[bytes] = set()

    def load(self, uri: str) -> DecodedReference:
        """Decode a data: URI, fetch and decode a URL, or take the stand-in for it.

        Raises:
            ReferenceRefusedError: Not a picture of a known format, or not to be had.
        """
        if uri[:5].lower() == "data:":
            # A sweep sends the same long URI with every request: it is read once.
            return self._decoded.get(uri, lambda: _read(_data_of(uri)))
        if not self._fetch and _names_public(urlsplit(uri).hostname or ""):
            return self._stand_in(uri)
        data = _fetch(uri, _is_open if self._fetch else _is_loopback)
        return self._decoded.get(hashlib.sha256(data).digest(), lambda: _read(data))

    def _stand_in(self, uri: str) -> DecodedReference:
        key = hashlib.sha256(b"stand-in for " + uri.encode("utf-8", "surrogatepass")).digest()

        def make() -> DecodedReference:
            if key not in self._told:  # once, also where a long sweep makes it again
                self._told.add(key)
                logger.warning(_STAND_IN, shown(uri))
            return _photograph(key, shown(uri))

        return self._decoded.get(key, make)


def record_of_uri(uri: str) -> str:
    """A reference in a call's record: a digest in place of picture data, an address without its secrets."""
    return _digests.get(uri, lambda: _digest(uri)) if uri[:5].lower() == "data:" else shown(uri)


_digests: Final[Cache[str]] = Cache(12)


def shown(url: str) -> str:
    """An address as it may be shown: printable ASCII, at most 300 characters, no password, no values of its query."""
    parts = urlsplit(url)
    place = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
    return quote(place, safe=_URL, errors="replace")[:300] + ("?..." if parts.query else "")


def _digest(uri: str) -> str:
    try:
        data = _data_of(uri)
    except ReferenceRefusedError:
        data = uri.encode("utf-8", "surrogatepass")
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def _read(data: bytes) -> DecodedReference:
    return DecodedReference(hashlib.sha256(data).hexdigest(), _decode(data))


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
            opened.draft("RGB", _DRAFT)
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


# Stand-ins


def _photograph(key: bytes, name: str) -> DecodedReference:
    """A photograph cut, mirrored and tinted by a digest: 4:3, as the references of the service's own examples."""
    draws = np.frombuffer(key, ">u2") / 65535
    with Image.open(str(files("skimage") / "data" / _PHOTOGRAPHS[key[17] % len(_PHOTOGRAPHS)])) as opened:
        whole = opened.convert("RGB")
    width, height = _STAND_IN_SIZE
    scale = min(whole.width / width, whole.height / height) * (0.72 + 0.28 * draws[1])
    left, top = (whole.width - width * scale) * draws[2], (whole.height - height * scale) * draws[3]
    box = (left, top, left + width * scale, top + height * scale)
    cut = np.asarray(whole.resize(_STAND_IN_SIZE, Image.Resampling.LANCZOS, box=box))
    cut = cut[:, ::-1] if draws[4] < 0.5 else cut
    pixels = np.clip(cut * (0.85 + 0.27 * draws[5:8]), 0, 255).astype(np.uint8)
    return DecodedReference(hashlib.sha256(pixels.tobytes()).hexdigest(), Image.fromarray(pixels), name)


# Fetching


def _names_public(host: str) -> bool:
    """Whether a host, by its name alone, is neither this machine nor a private address; nothing is looked up."""
    name = host.lower().rstrip(".")
    if name == "localhost" or name.endswith(".localhost"):
        return False
    try:
        return _is_public(ipaddress.ip_address(name))
    except ValueError:
        return True


def _is_loopback(address: _Address) -> bool:
    return _inner(address).is_loopback


def _is_public(address: _Address) -> bool:
    address = _inner(address)
    # Python calls group addresses global, and those that once were a site's own.
    site = getattr(address, "is_site_local", False)
    return address.is_global and not (site or address.is_multicast or address.is_reserved)


def _inner(address: _Address) -> _Address:
    """The IPv4 address at which packets to an IPv6 address end: mapped, tunnelled or translated."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    inner = address.ipv4_mapped or address.sixtofour
    if inner is None and address in _TRANSLATED:
        inner = ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    return inner or address


def _is_open(address: _Address) -> bool:
    return _is_loopback(address) or _is_public(address)


def _could_not_fetch(url: str, why: object) -> ReferenceRefusedError:
    return ReferenceRefusedError(f"could not fetch {shown(url)}: {why}")


def _fetch(url: str, allowed: Callable[[_Address], bool]) -> bytes:
    """The bytes at an address, in at most ten seconds; a silent host or resolver is left behind in its thread."""
    came: SimpleQueue[bytes | Exception] = SimpleQueue()

    def work() -> None:
        try:
            came.put(_follow(url, allowed, time.monotonic() + _FETCH_S))
        except Exception as error:
            came.put(error)

    threading.Thread(target=work, name="sandbox-fetch", daemon=True).start()
    try:
        found = came.get(timeout=_FETCH_S)
    except Empty:
        raise _could_not_fetch(url, f"it took longer than {_FETCH_S:g} s") from None
    if isinstance(found, OSError | ValueError | http.client.HTTPException):
        raise _could_not_fetch(url, found) from None
    if isinstance(found, Exception):
        raise found
    return found


def _follow(url: str, allowed: Callable[[_Address], bool], deadline: float) -> bytes:
    """GET an address and where it redirects to. A redirect leads to this machine only from this machine."""
    target = url
    for _ in range(_REDIRECTS + 1):
        sock, address = _connect(url, target, allowed, deadline)
        with sock, _ask(sock, target) as response:
            location = response.headers.get("Location")
            if not (300 <= response.status < 400 and location):
                return _body(url, response, deadline)
        target = urljoin(target, location)
        allowed = allowed if _is_loopback(address) else _is_public
    raise _could_not_fetch(url, f"more than {_REDIRECTS} redirects")


def _connect(
    url: str, target: str, allowed: Callable[[_Address], bool], deadline: float
) -> tuple[socket.socket, _Address]:
    """An open connection, never by a proxy, to an address that was checked; and that address."""
    parts = urlsplit(target)
    host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    if parts.scheme not in ("http", "https") or (allowed is _is_loopback and _names_public(host)):
        raise _could_not_fetch(url, f"it redirects to {shown(target)}")
    entries = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    found = [ipaddress.ip_address(str(entry[4][0]).partition("%")[0]) for entry in entries]
    usable = [address for address in found if allowed(address)]
    if not usable:
        raise _could_not_fetch(url, f"{found[0]} is not public; send the picture as a data: URI")
    for address in usable:
        try:
            sock = socket.create_connection((str(address), port), max(0.1, deadline - time.monotonic()))
            break
        except OSError:
            if address == usable[-1]:
                raise
    if parts.scheme == "https":
        sock = ssl.create_default_context().wrap_socket(sock, server_hostname=host)
    return sock, address


def _ask(sock: socket.socket, url: str) -> http.client.HTTPResponse:
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname or "", parts.port)
    connection.sock = sock  # connected, and to an address that was checked
    target = quote(parts.path or "/", safe=_URL) + (
        "?" + quote(parts.query, safe=_URL) if parts.query else ""
    )
    connection.request(
        "GET", target, headers={"User-Agent": "kontext-sandbox", "Accept-Encoding": "identity"}
    )
    return connection.getresponse()


def _body(url: str, response: http.client.HTTPResponse, deadline: float) -> bytes:
    if response.status != 200:
        raise _could_not_fetch(url, f"HTTP {response.status}")
    data = bytearray()
    while block := response.read1(64 * 1024):
        data += block
        if len(data) > MAX_BYTES:
            raise _could_not_fetch(url, f"larger than {MAX_BYTES} bytes")
        if time.monotonic() > deadline:
            raise _could_not_fetch(url, f"it took longer than {_FETCH_S:g} s")
    return bytes(data)
