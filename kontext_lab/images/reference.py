"""References: pictures given to the model, read and prepared once, identified by a digest.

The digest is computed from the bytes or pixels given plus the preparation that took effect, never from the output of an
encoder, so that no upgrade of a library changes it. Nothing here opens a connection.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote, unquote_to_bytes, urlsplit, urlunsplit
from urllib.request import url2pathname

from PIL import Image

from kontext_lab.errors import ImageError, shown, visible
from kontext_lab.images.conversion import (
    MAX_MEGAPIXELS,
    clean_png,
    from_array,
    refuse_bomb,
    scaled,
    scaled_size,
    to_rgb,
    upright,
)
from kontext_lab.images.formats import Opened, open_picture
from kontext_lab.images.source_file import MAX_REFERENCE_BYTES, encodable, read_file, too_large

__all__ = ["Origin", "Reference", "load_reference", "origins_of", "picture_of"]

_RECIPE = b"kontext-reference/1"
_DIGEST = re.compile(r"[0-9a-f]{64}")
_RUN_ID = re.compile(r"[0-9A-Za-z_-]{1,64}")
_OUTPUT_NUMBER = re.compile(r"[1-9][0-9]?")
_WEB = re.compile(r"https?://", re.IGNORECASE)
_SCHEME = re.compile(r"([a-z][a-z0-9+.-]+)://", re.IGNORECASE)
_BARE_BASE64 = ("iVBORw0KGgo", "/9j/", "R0lGOD", "UklGR")
"""First characters of PNG, JPEG, GIF and WebP files in base64."""


@dataclass(frozen=True)
class Origin:
    """The output that a reference was taken from; it links the edits of a chain."""

    run_id: str
    output: int
    sha256: str = field(default="", compare=False)

    def __str__(self) -> str:
        return f"{self.run_id}/{self.output}"

    @classmethod
    def parse(cls, text: str) -> Origin:
        """Parse an origin as written in tags and files: `<run id>/<number>`.

        Raises:
            ImageError: the text is not an origin.
        """
        run_id, _, number = text.partition("/")
        if not (_RUN_ID.fullmatch(run_id) and _OUTPUT_NUMBER.fullmatch(number)):
            raise ImageError(
                f"image: origin must be a run's id, a slash and an output's number, not {text!r:.80}"
            )
        return cls(run_id, int(number))


@dataclass(frozen=True)
class Reference:
    """A picture given to the model.

    Attributes:
        name: short label, from the file's name where there is one.
        source: the source in words fit for a log: a path, a URL as it may be shown, "bytes", "array" …; never picture data.
        digest: hex sha256 that identifies the picture in fingerprints; empty for a URL not fetched yet.
        png: the picture as sent and logged, without any metadata; empty for a URL not fetched yet.
        original_size: (width, height) in pixels as given, upright.
        sent_size: (width, height) in pixels as sent.
        url: the http(s) URL sent in place of the picture, or None; it may hold a password or a token and is never shown.
        origin: the tracked output it was taken from, or None.
        sha256: hex digest of the exact bytes given or served, by which a tracked output is recognised; empty for arrays and
            PIL images.
        outside: the file itself, links followed, if a sweep file named it and it lies outside the folder of that file; else
            empty.

    Example:
        >>> reference = kl.sample("rocket")
        >>> reference.name, reference.original_size, reference.image.mode
        ('rocket', (640, 427), 'RGB')
    """

    name: str
    source: str = field(compare=False)
    digest: str = ""
    png: bytes = field(default=b"", repr=False, compare=False)
    original_size: tuple[int, int] = field(default=(0, 0), compare=False)
    sent_size: tuple[int, int] = field(default=(0, 0), compare=False)
    url: str | None = field(default=None, repr=False)
    origin: Origin | None = field(default=None, compare=False)
    sha256: str = field(default="", compare=False)
    outside: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        # A file's name may hold any byte, and this one goes into tables, titles, tags and terminals.
        name = visible(self.name.replace("\n", " ").replace("\t", " "))
        object.__setattr__(self, "name", name)

    @property
    def image(self) -> Image.Image:
        """The picture as it is sent, in RGB.

        Raises:
            ImageError: a URL that was not fetched yet.
        """
        return picture_of(self)

    @cached_property
    def uri(self) -> str:
        """The value of `image_url`: the URL itself, or a `data:` URI."""
        return self.url or "data:image/png;base64," + base64.b64encode(self.png).decode("ascii")

    @property
    def address(self) -> str:
        """The URL as it may be shown, without a password and without the values of its query; "" without one."""
        return "" if self.url is None else _shown_address(self.url)

    @property
    def signed(self) -> bool:
        """True if the URL may hold a password or a token: it is then neither shown nor stored as it is."""
        return self.url is not None and self.url != self.address

    @property
    def resolved(self) -> bool:
        """False for a URL whose picture has not been fetched yet."""
        return bool(self.digest)

    def resolve(self, fetch: Callable[[str], bytes]) -> Reference:
        """Fetch the picture of a URL; returns the reference itself if nothing is missing.

        Args:
            fetch: GETs a URL and returns the body; raises if it can't.

        Raises:
            ImageError: what the URL serves is not a picture.
        """
        if self.resolved or self.url is None:
            return self
        data = fetch(self.url)
        opened = open_picture(data, self.source)
        # The service fetches the URL itself and sees the picture as it is: no preparation enters the digest.
        return replace(
            self,
            digest=_digest(b"url-content", data),
            png=clean_png(to_rgb(opened.picture, self.source)),
            original_size=opened.size,
            sent_size=opened.size,
            sha256=hashlib.sha256(data).hexdigest(),
        )


def origins_of(references: Iterable[Reference]) -> tuple[Origin, ...]:
    """Return the tracked outputs among some references, in their order."""
    return tuple(reference.origin for reference in references if reference.origin is not None)


def load_reference(
    source: Any,
    *,
    max_megapixels: float = MAX_MEGAPIXELS,
    name: str | None = None,
    digest: str | None = None,
) -> Reference:
    """Read and prepare a reference.

    Args:
        source: a path, an http(s) URL (not fetched here), a `data:` URI, bytes, a PIL image, an array
            (H×W, H×W×3 or H×W×4; uint8, uint16, bool or float in 0…1), an output, or a Reference.
        max_megapixels: larger pictures are scaled down to this many million pixels.
        name: label to use in place of the file's name.
        digest: for a prepared picture that was read back from the store: its original digest.

    Raises:
        ImageError: it is not a picture, damaged, larger than 32 MiB, too large to decode, or the path is not that of a
            regular file.
    """
    if not max_megapixels > 0:
        raise ImageError(f"image: max_megapixels must be a number above 0, not {max_megapixels!r}")
    if digest is not None and not _DIGEST.fullmatch(digest):
        raise ImageError(f"image: digest must be 64 hexadecimal digits, not {digest!r:.80}")
    if isinstance(source, Reference):
        made = replace(source, name=name) if name else source
    elif isinstance(source, str) and _WEB.match(source.strip()):
        made = _from_url(source.strip(), name)
    else:
        made = _prepared(_given(source), name, max_megapixels)
    # With a digest these are the bytes that were sent; the source had others.
    return made if digest is None else replace(made, digest=digest, sha256="")


def picture_of(source: Any) -> Image.Image:
    """Open any picture for display: upright, in RGB, transparent parts on white.

    Args:
        source: a Reference, or anything `load_reference` takes but an http(s) URL, which is not fetched.

    Raises:
        ImageError: it is not a picture, larger than 32 MiB, not a regular file, or a reference that was not loaded.
        KontextLabError: an output has no picture; its class says why.
    """
    if isinstance(source, Reference):
        if not source.png:
            raise ImageError(f"{source.name}: was not loaded")
        return to_rgb(open_picture(source.png, source.name).picture, source.name)
    given = _given(source)
    if isinstance(given.content, bytes):
        return to_rgb(open_picture(given.content, given.where).picture, given.where)
    return to_rgb(_decoded(given.content, given.source), given.where)


class _Given(NamedTuple):
    """A picture as it was given: its bytes or pixels, its source in words, a name and its origin."""

    content: bytes | Image.Image
    source: str
    name: str = "picture"
    origin: Origin | None = None

    @property
    def where(self) -> str:
        """The name in an error: its path, or the form in which it was given."""
        return self.source if Path(self.source).is_absolute() else f"image ({self.source})"


def _given(source: Any) -> _Given:
    """Read a picture from anything but a Reference and a URL, without decoding it."""
    if isinstance(source, str):
        return _from_text(source)
    if isinstance(source, os.PathLike):
        return _from_path(Path(source))
    if isinstance(source, bytes | bytearray | memoryview):
        _check_length(memoryview(source).nbytes, "image: the bytes")
        return _Given(bytes(source), "bytes")
    if isinstance(source, Image.Image):
        return _Given(source, "PIL image")
    # An output, of a room above this one; asked once, since its bytes may have to be loaded.
    if hasattr(source, "origin") and isinstance(data := getattr(source, "bytes", None), bytes):
        return _Given(data, "output", "output", source.origin)
    if hasattr(source, "__array__") or hasattr(source, "__array_interface__"):
        return _Given(from_array(source), "array", "array")
    raise ImageError(
        f"image must be a path, URL, data: URI, bytes, PIL image, array or Output, not {type(source).__name__}"
    )


def _from_text(text: str) -> _Given:
    stripped = text.strip()
    scheme = stripped[:8].lower()
    if scheme.startswith("data:"):
        data = _decode_data_uri(stripped)
        _check_length(len(data), "image: the data: URI")
        return _Given(data, "data: URI")
    if scheme.startswith("file://"):
        return _from_path(Path(url2pathname(stripped[len("file://") :])))
    if _WEB.match(stripped):
        raise ImageError(
            f"image: {shown(_shown_address(stripped))} is not fetched here; give a file or bytes"
        )
    if found := _SCHEME.match(stripped):
        raise ImageError(
            f"image: URL must begin with http:// or https://, not {found[1]}:// ({shown(stripped)})"
        )
    if not stripped:
        raise ImageError("image must be a path, an http(s) URL or a data: URI, not empty text")
    if len(stripped) > 60 and stripped.startswith(_BARE_BASE64):
        raise ImageError("image: is bare base64, write data:image/png;base64, before it")
    return _from_path(Path(text))


def _from_path(path: Path) -> _Given:
    # Bare base64 lands here too: a file name is never that long.
    short = repr(text if len(text := str(path)) <= 200 else text[:60] + "…")
    try:
        path = encodable(path.expanduser())
        data = read_file(path)
    except FileNotFoundError:
        raise ImageError(f"image: no file {short}") from None
    except (OSError, ValueError, RuntimeError) as error:  # RuntimeError: ~ without a home
        reason = getattr(error, "strerror", None) or error
        raise ImageError(f"image: {short} can't be read: {reason}") from None
    return _Given(data, str(path.absolute()), os.fsencode(path.stem).decode("utf-8", "replace"))


def _check_length(length: int, what: str) -> None:
    if length > MAX_REFERENCE_BYTES:
        raise ImageError(f"{what} can't be read: {too_large(length)}")


def _from_url(url: str, name: str | None) -> Reference:
    try:
        parts = urlsplit(url)
        _ = parts.port  # a ValueError where it is none
    except ValueError as error:
        raise ImageError(f"image: {shown(url)} is no address: {error}") from None
    if not parts.hostname:
        raise ImageError(f"image: {shown(url)} names no host")
    if len(url.split()) > 1 or not url.isprintable():
        raise ImageError(f"image: {shown(url)} holds blanks or control characters, write a blank as %20")
    name = name or Path(unquote(parts.path)).stem or parts.hostname
    return Reference(name=name, source=_shown_address(url), url=url)


def _shown_address(url: str) -> str:
    parts = urlsplit(url)
    userinfo, at, host = parts.netloc.rpartition("@")
    # Signatures and passwords are in the query or before the host.
    query = "&".join(f"{part.partition('=')[0]}=…" if "=" in part else "…" for part in parts.query.split("&"))
    return urlunsplit(
        (parts.scheme, f"…@{host}" if userinfo or at else host, parts.path, parts.query and query, "")
    )


def _decoded(picture: Image.Image, source: str) -> Image.Image:
    """A picture of Pillow's, which may not have been decoded yet, upright."""
    what = f"image: the {source}"
    try:
        refuse_bomb(picture.size)
        picture.load()
    except ImageError as error:
        raise ImageError(f"{what}: {error}") from None
    except Exception as error:  # Pillow's decoders raise many kinds for broken data
        raise ImageError(f"{what} can't be decoded: {error}") from None
    if 0 in picture.size:
        raise ImageError(f"{what} has no pixels, it is {picture.width}x{picture.height}")
    return upright(picture)


def _prepared(given: _Given, name: str | None, max_megapixels: float) -> Reference:
    content, sha256 = given.content, ""
    if isinstance(content, bytes):
        # Twice the width and height that are sent, so that the last step of scaling is ours.
        opened = open_picture(content, given.where, 4 * max_megapixels)
        digest, sha256 = _digest(b"bytes", content), hashlib.sha256(content).hexdigest()
    else:
        turned = _decoded(content, given.source)
        opened = Opened(turned, "", turned.size)
        digest = _digest(b"pixels", *_meaning(content))
    size = scaled_size(opened.size, max_megapixels)
    if size != opened.size:
        digest = _digest(b"scaled", digest.encode(), settings=b"%dx%d" % size)
    png = clean_png(scaled(opened.picture, size, given.where))
    if len(png) > MAX_REFERENCE_BYTES:
        # It is written beside a sweep as it is sent, and has to be readable from there.
        wide = f"{size[0]}x{size[1]} pixels"
        raise ImageError(f"image: {wide} can't be sent: {too_large(len(png))} as PNG; lower max_megapixels")
    return Reference(
        name=name or given.name,
        source=given.source,
        digest=digest,
        png=png,
        original_size=opened.size,
        sent_size=size,
        origin=given.origin,
        sha256=sha256,
    )


def _meaning(picture: Image.Image) -> Iterator[bytes]:
    """Everything that affects the look of a picture: pixels, palette, colour space and the transparent colour."""
    palette = picture.palette.tobytes() if picture.palette else b""
    orientation = str(picture.getexif().get(0x0112, 1)).encode()
    yield b"%s %dx%d %s\0%s\0" % (picture.mode.encode(), *picture.size, orientation, palette)
    yield picture.tobytes()
    info = picture.info
    profile, transparent = info.get("icc_profile"), info.get("transparency")
    if isinstance(profile, bytes):
        yield b"\0profile " + profile
    if transparent is not None:
        yield b"\0transparent " + repr(transparent).encode()
    elif not isinstance(profile, bytes) and "srgb" not in info:
        described = (info.get(name) for name in ("gamma", "chromaticity"))
        yield from (b"\0" + repr(one).encode() for one in described if one is not None)


def _digest(kind: bytes, *content: bytes, settings: bytes = b"") -> str:
    found = hashlib.sha256(b"\0".join((_RECIPE, kind, settings, b"")))
    for part in content:  # megabytes, which are not copied for this
        found.update(part)
    return found.hexdigest()


def _decode_data_uri(uri: str) -> bytes:
    head, comma, body = uri.partition(",")
    if not comma:
        raise ImageError("image: a data: URI needs a comma before its data")
    packed = head.lower().endswith(";base64")
    # Computed before anything is decoded: an escaped character takes three.
    length = len(body) - 2 * body.count("%") - sum(body.count(blank) for blank in " \t\r\n")
    _check_length(length * 3 // 4 - 2 if packed else length, "image: the data: URI")
    if not packed:
        return unquote_to_bytes(body)
    text = "".join(unquote(body).split())
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise ImageError("image: the data: URI's base64 is damaged") from None
