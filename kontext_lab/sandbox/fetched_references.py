"""References: from the URIs of a request to decoded pictures.

Decodes data: URIs, loads from this machine and, if that is allowed, from public addresses; otherwise a public
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
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from importlib.resources import files
from queue import Empty, SimpleQueue
from threading import Condition
from typing import Any, Final
from urllib.parse import quote, unquote_to_bytes, urljoin, urlsplit

import numpy as np
from cachetools import LRUCache, cached
from PIL import Image, ImageOps

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

# The latest references of all sandboxes: those of data: URIs are in it twice, by URI and by bytes.
_decoded: Final[LRUCache[Hashable, Any]] = LRUCache(24)
_changed: Final = Condition()


class ReferenceRefusedError(Exception):
    """A reference that cannot be used; the message tells the client why."""


@dataclass(frozen=True, eq=False)
class DecodedReference:
    """A decoded reference."""

    sha256: str  # digest of the bytes it came in; of a stand-in, of its pixels
    image: Image.Image  # the picture, upright and RGB
    # The address that a stand-in stands for, as it may be shown; "" for a picture that was read.
    stand_in: str = ""


class ReferenceLoader:
    """Loads references; those at public addresses only if `fetch` is true, otherwise each gets a stand-in photograph."""

    def __init__(self, fetch: bool = False) -> None:
        self.fetch = fetch
        self._warned: set[bytes] = set()

    def load(self, uri: str) -> DecodedReference:
        """Decode a data: URI, load and decode a URL, or take its stand-in; raises `ReferenceRefusedError`."""
        if uri[:5].lower() == "data:":
            return _read_uri(uri)
        if self.fetch:
            return _read(_fetch(uri, lambda address: _is_loopback(address) or _is_public(address)))
        if not _names_public(urlsplit(uri).hostname or ""):
            return _read(_fetch(uri, _is_loopback))
        key = _stand_in_key(uri)
        if key not in self._warned:  # a line once for each address, also of a long sweep
            self._warned.add(key)
            logger.warning(_STAND_IN, shown(uri))
        return _stand_in(uri)


@cached(LRUCache(12), condition=Condition())
def record_of_uri(uri: str) -> str:
    """Return a reference for a call's record: a digest for picture data, an address without its secrets."""
    if uri[:5].lower() != "data:":
        return shown(uri)
    try:
        data = _data_of(uri)
    except ReferenceRefusedError:
        data = uri.encode("utf-8", "surrogatepass")
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def _stand_in_key(uri: str) -> bytes:
    return hashlib.sha256(b"stand-in for " + uri.encode("utf-8", "surrogatepass")).digest()


@cached(_decoded, _stand_in_key, condition=_changed)
def _stand_in(uri: str) -> DecodedReference:
    """Cut, mirror and tint a photograph by a digest: 4:3, as the references of the service's own examples."""
    key = _stand_in_key(uri)
    draws = np.frombuffer(key, ">u2") / 65535
    name = _PHOTOGRAPHS[key[17] % len(_PHOTOGRAPHS)]
    with Image.open(str(files("skimage") / "data" / name)) as opened:
        whole = opened.convert("RGB")
    width, height = _STAND_IN_SIZE
    scale = min(whole.width / width, whole.height / height) * (0.72 + 0.28 * draws[1])
    left, top = (whole.width - width * scale) * draws[2], (whole.height - height * scale) * draws[3]
    box = (left, top, left + width * scale, top + height * scale)
    cut = np.asarray(whole.resize(_STAND_IN_SIZE, Image.Resampling.LANCZOS, box=box))
    cut = cut[:, ::-1] if draws[4] < 0.5 else cut
    pixels = np.clip(cut * (0.85 + 0.27 * draws[5:8]), 0, 255).astype(np.uint8)
    digest = hashlib.sha256(pixels.tobytes()).hexdigest()
    return DecodedReference(digest, Image.fromarray(pixels), shown(uri))


@cached(_decoded, condition=_changed)
def _read_uri(uri: str) -> DecodedReference:
    """Read a data: URI once: a sweep sends the same long one with every request."""
    return _read(_data_of(uri))


def shown(url: str) -> str:
    """Return an address for people: printable ASCII, at most 300 characters, no password, no values of its query."""
    parts = urlsplit(url)
    place = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
    return quote(place, safe=_URL, errors="replace")[:300] + ("?..." if parts.query else "")


def _data_of(uri: str) -> bytes:
    head, _, payload = uri.partition(",")
    if not head.lower().endswith(";base64"):
        return unquote_to_bytes(payload)
    try:
        # Ten times as fast as base64.b64decode(validate=True), and as strict.
        return binascii.a2b_base64(payload.encode("ascii"), strict_mode=True)
    except (binascii.Error, ValueError):
        raise ReferenceRefusedError("Invalid base64 in data URI") from None


@cached(_decoded, lambda data: hashlib.sha256(data).digest(), condition=_changed)
def _read(data: bytes) -> DecodedReference:
    """Decode a picture: upright, RGB, transparent parts on white."""
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as opened:
            opened.draft("RGB", _DRAFT)
            if opened.width * opened.height > MAX_PIXELS:
                raise ReferenceRefusedError(f"Image has more than {MAX_PIXELS} pixels")
            image: Image.Image = ImageOps.exif_transpose(opened)
            if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
                image = image.convert("RGBA")
                image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
            return DecodedReference(hashlib.sha256(data).hexdigest(), image.convert("RGB"))
    except (
        OSError,
        ValueError,
        SyntaxError,
        EOFError,
        Image.DecompressionBombError,
        Image.DecompressionBombWarning,
    ):
        raise ReferenceRefusedError("Could not decode image; use jpg, png, webp, gif or avif") from None


def _names_public(host: str) -> bool:
    """True if a host, by its name alone, is neither this machine nor a private address; nothing is looked up."""
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
    """Return the IPv4 address at which packets to an IPv6 address end: mapped, tunnelled or translated."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    inner = address.ipv4_mapped or address.sixtofour
    if inner is None and address in _TRANSLATED:
        inner = ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    return inner or address


def _fetch(url: str, allowed: Callable[[_Address], bool]) -> bytes:
    """Load the bytes at an address in at most ten seconds; a silent host or resolver is left behind in its thread."""
    outcomes: SimpleQueue[bytes | Exception] = SimpleQueue()

    def work() -> None:
        try:
            outcomes.put(_follow(url, allowed, time.monotonic() + _FETCH_S))
        except Exception as error:
            outcomes.put(error)

    threading.Thread(target=work, name="sandbox-fetch", daemon=True).start()
    try:
        outcome = outcomes.get(timeout=_FETCH_S)
    except Empty:
        outcome = TimeoutError(f"it took longer than {_FETCH_S:g} s")
    if isinstance(outcome, OSError | ValueError | http.client.HTTPException):
        raise ReferenceRefusedError(f"could not fetch {shown(url)}: {outcome}")
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


def _follow(url: str, allowed: Callable[[_Address], bool], deadline: float) -> bytes:
    """GET an address and its redirects. A redirect leads to this machine only from this machine."""
    target = url
    for _ in range(_REDIRECTS + 1):
        parts = urlsplit(target)
        sock, address = _connect(target, allowed, deadline)
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        connection = kind(parts.hostname or "", parts.port)
        connection.sock = sock  # connected, and to an address that was checked
        query = "?" + quote(parts.query, safe=_URL) if parts.query else ""
        headers = {"User-Agent": "kontext-sandbox", "Accept-Encoding": "identity"}
        with sock:
            connection.request("GET", quote(parts.path or "/", safe=_URL) + query, headers=headers)
            with connection.getresponse() as response:
                location = response.headers.get("Location")
                if not (300 <= response.status < 400 and location):
                    if response.status != 200:
                        raise OSError(f"HTTP {response.status}")
                    data = bytearray()
                    while block := response.read1(64 * 1024):
                        data += block
                        if len(data) > MAX_BYTES:
                            raise OSError(f"larger than {MAX_BYTES} bytes")
                        if time.monotonic() > deadline:
                            raise TimeoutError(f"it took longer than {_FETCH_S:g} s")
                    return bytes(data)
        target = urljoin(target, location)
        allowed = allowed if _is_loopback(address) else _is_public
    raise OSError(f"more than {_REDIRECTS} redirects")


def _connect(
    target: str, allowed: Callable[[_Address], bool], deadline: float
) -> tuple[socket.socket, _Address]:
    """Connect, never by a proxy, to a checked address; returns the connection and that address."""
    parts = urlsplit(target)
    host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    if parts.scheme not in ("http", "https") or (allowed is _is_loopback and _names_public(host)):
        raise OSError(f"it redirects to {shown(target)}")
    entries = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = [ipaddress.ip_address(str(entry[4][0]).partition("%")[0]) for entry in entries]
    usable = [address for address in addresses if allowed(address)]
    if not usable:
        raise OSError(f"{addresses[0]} is not public; send the picture as a data: URI")
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
