"""The supported formats, and the one function that opens a picture file.

Pillow's own `Image.open` tries every registered reader: for a drawing it starts other programs, and its limit on pixels warns
through filters that all threads share. Here the first bytes choose the reader, and the header decides whether it is used.
"""

from __future__ import annotations

import io
import math
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from PIL import Image, ImageFile

from kontext_lab.errors import ImageError
from kontext_lab.images.conversion import BOMB_PIXELS, coded_profile, orientation_of, refuse_bomb, upright

__all__ = ["FORMATS", "Opened", "open_picture"]

MOST_PIXELS = 1_000_000_000
"""Pictures of more pixels are not even scaled while they are read."""

_SHARES = {"WEBP": 0.5, "TIFF": 0.89}
"""Parts of the limit: WebP's decoder takes 1.5 GB for 100 megapixels; Pillow warns of tiles beyond 89."""

FORMATS: dict[str, tuple[str, str, tuple[bytes, ...]]] = {
    "JPEG": ("PIL.JpegImagePlugin", "JpegImageFile", (b"\xff\xd8\xff",)),
    "PNG": ("PIL.PngImagePlugin", "PngImageFile", (b"\x89PNG\r\n\x1a\n",)),
    "WEBP": ("PIL.WebPImagePlugin", "WebPImageFile", (b"RIFF",)),
    "GIF": ("PIL.GifImagePlugin", "GifImageFile", (b"GIF87a", b"GIF89a")),
    "AVIF": ("PIL.AvifImagePlugin", "AvifImageFile", ()),
    "HEIC": ("pillow_heif", "HeifImageFile", ()),
    "TIFF": ("PIL.TiffImagePlugin", "TiffImageFile", (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")),
    "JPEG2000": (
        "PIL.Jpeg2KImagePlugin",
        "Jpeg2KImageFile",
        (b"\0\0\0\x0cjP  \r\n\x87\n", b"\xff\x4f\xff\x51"),
    ),
    "BMP": ("PIL.BmpImagePlugin", "BmpImageFile", (b"BM",)),
    "PPM": ("PIL.PpmImagePlugin", "PpmImageFile", (b"P1", b"P2", b"P3", b"P4", b"P5", b"P6", b"Pf")),
    "TGA": ("PIL.TgaImagePlugin", "TgaImageFile", ()),
}
"""Each supported format: its reader, and the first bytes of its files. AVIF and HEIC are told apart by their brands; TGA has no
first bytes of its own and is tried last."""

_EXPORT = "export it as JPEG or PNG"
_FRAME = "save one picture of it as JPEG or PNG"
_UNPACK = "unpack it, and give a picture"

_OTHERS = (
    (8, b"CR\x02\0", "a Canon raw file (CR2)", _EXPORT),
    (0, b"FUJIFILMCCD-RAW", "a Fujifilm raw file (RAF)", _EXPORT),
    (0, b"IIRO", "an Olympus raw file (ORF)", _EXPORT),
    (0, b"IIU\0", "a Panasonic raw file (RW2)", _EXPORT),
    (0, b"\xff\x0a", "a JPEG XL picture", _EXPORT),
    (0, b"\0\0\0\x0cJXL \r\n\x87\n", "a JPEG XL picture", _EXPORT),
    (0, b"8BPS", "a Photoshop file (PSD)", _EXPORT),
    (0, b"gimp xcf", "a GIMP file (XCF)", _EXPORT),
    (0, b"\x76\x2f\x31\x01", "an OpenEXR picture", _EXPORT),
    (128, b"DICM", "a DICOM file", _EXPORT),
    (0, b"\0\0\1\0", "a Windows icon", _EXPORT),
    (0, b"%!", "a PostScript drawing (EPS)", _EXPORT),
    (0, b"\xc5\xd0\xd3\xc6", "a PostScript drawing (EPS)", _EXPORT),
    (0, b"\xd7\xcd\xc6\x9a", "a Windows drawing (WMF)", _EXPORT),
    (0, b"\1\0\x09\0", "a Windows drawing (WMF)", _EXPORT),
    (40, b" EMF", "a Windows drawing (EMF)", _EXPORT),
    (0, b"%PDF", "a PDF document", "export the page as PNG"),
    (0, b"\x1aE\xdf\xa3", "a film (WebM or Matroska)", _FRAME),
    (8, b"AVI ", "a film (AVI)", _FRAME),
    (0, b"PK\x03\x04", "a ZIP archive", _UNPACK),
    (0, b"\x1f\x8b", "a gzip archive", _UNPACK),
    (0, b"\0\5\x16\7", "what macOS notes beside a file (its name begins with ._)", "give the file itself"),
    (0, b"version https://git-lfs", "a Git LFS pointer", "fetch the file with git lfs pull"),
)
"""Other kinds of files: position and bytes by which they are recognised, their name, and the way out."""

_SUPPORTED = "give a JPEG, PNG, WebP, GIF, AVIF, HEIC, TIFF or other bitmap"

_HEIC_BRANDS = frozenset((b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"hevm", b"hevs"))
_FILM_BOXES = (b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot")
_KIND, _BITS, _COMPRESSION, _PHOTOMETRIC = 254, 258, 259, 262
_MAKER, _SUBPICTURES, _DNG = 271, 330, 50706
_TAGS = (_KIND, _BITS, _COMPRESSION, _PHOTOMETRIC, _MAKER, _SUBPICTURES, _DNG)
_RAW_COMPRESSIONS = (32767, 32769, 34713, 65000, 65535)


@dataclass(frozen=True)
class Opened:
    """A decoded file: its first frame, upright, of any mode and perhaps scaled down, its format and its own size in pixels."""

    picture: Image.Image
    format: str
    size: tuple[int, int]


def open_picture(data: bytes, where: str = "", megapixels: float = math.inf) -> Opened:
    """Decode a picture file.

    Args:
        data: the file's bytes.
        where: its name in an error.
        megapixels: size that is enough: if the format allows it, a larger picture is scaled down while it is read, to no
            less than this. A picture beyond the limit always is.

    Raises:
        ImageError: it is not a picture, of an unsupported format, truncated, too large to decode, or HEIC without its
            plug-in.
    """
    try:
        form = _format(data)
        picture = _header(data, form)
        size = picture.size
        _scale(picture, form, megapixels)
        picture.load()
    except ImageError as error:
        raise ImageError(f"{where}: {error}" if where else str(error)) from None
    except Exception as error:  # Pillow's decoders raise many kinds for broken data
        reason = _why_unreadable(data, form, error)
        raise ImageError(f"{where}: {reason}" if where else reason) from None
    if form == "TIFF" and picture.mode.startswith("I;16") and _first_tags(data).get(_PHOTOMETRIC) == 0:
        # White is zero, which Pillow respects for 8 bits only.
        picture.frombytes(picture.tobytes().translate(bytes(range(255, -1, -1))))
    return Opened(upright(picture), form, size[::-1] if orientation_of(picture) > 4 else size)


def _header(data: bytes, form: str) -> ImageFile.ImageFile:
    """Open a picture without decoding it; its colours are described as Pillow and our conversion expect."""
    module, name, _ = FORMATS[form]
    try:
        reader: Callable[[io.BytesIO], ImageFile.ImageFile] = getattr(import_module(module), name)
    except ImportError:
        raise ImageError('HEIC needs the extra "heic": pip install "kontext-lab[heic]"') from None
    tags = _first_tags(data) if form == "TIFF" else {}
    # A camera's raw file looks like a TIFF, and its first picture is only a thumbnail.
    preview = _SUBPICTURES in tags and tags.get(_KIND, 0) & 1
    if _DNG in tags or preview or tags.get(_COMPRESSION) in _RAW_COMPRESSIONS:
        maker = str(tags.get(_MAKER, "")).strip("\0 ").partition(" ")[0].title()
        raise ImageError(f"is a camera's raw file ({'DNG' if _DNG in tags else maker or 'TIFF'}); {_EXPORT}")
    picture = reader(io.BytesIO(data))
    # A PNG's transparent colour becomes 8 bits, as Pillow converts its pixels.
    depth, key = data[24] if form == "PNG" else 8, picture.info.get("transparency")
    if picture.mode == "L" and isinstance(key, int) and depth in (2, 4):
        picture.info["transparency"] = key * 255 // (2**depth - 1)
    elif picture.mode == "RGB" and isinstance(key, tuple) and depth == 16:
        picture.info["transparency"] = tuple(value >> 8 for value in key)
    codes = _colour_codes(data, form, "icc_profile" in picture.info)
    if codes and (profile := coded_profile(*codes)) is not None:
        picture.info |= {"icc_profile": profile, "srgb": 0}
    return picture


def _colour_codes(data: bytes, form: str, profiled: bool) -> tuple[int, int] | None:
    """Codes for primaries and transfer, which replace a profile: always in PNG, elsewhere only without a profile."""
    if form == "PNG":
        at = data.find(b"\0\0\0\4cICP", 33, data.find(b"IDAT"))
        return (data[at + 8], data[at + 9]) if at > 0 else None
    at = data.find(b"colrnclx", 0, 65536) if form in ("AVIF", "HEIC") and not profiled else -1
    found: tuple[int, int] | None = struct.unpack(">HH", data[at + 8 : at + 12]) if at > 0 else None
    return found


def _scale(picture: ImageFile.ImageFile, form: str, megapixels: float) -> None:
    """Let the decoder scale the picture if it is larger than needed; an ImageError if it is still too large to decode."""
    pixels = picture.width * picture.height
    most = round(BOMB_PIXELS * _SHARES.get(form, 1))
    # Scaling halves each side, so that a picture is refused below only if it has more than four times that.
    wanted = min(megapixels * 1e6, pixels if pixels <= most else most / 4)
    # A progressive JPEG is held whole before it is scaled.
    if wanted < pixels <= MOST_PIXELS and not (picture.info.get("progressive") and pixels > most):
        factor = (wanted / pixels) ** 0.5
        picture.draft(None, (math.ceil(picture.width * factor), math.ceil(picture.height * factor)))
    refuse_bomb(
        picture.size, most, "; save it smaller" + (", or as baseline JPEG" if pixels <= MOST_PIXELS else "")
    )


def _format(data: bytes) -> str:
    """The name in `FORMATS`; raises ImageError for what is none of these."""
    if not data:
        raise ImageError("is empty (0 bytes)")
    for at, begin, words, way_out in _OTHERS:
        if data.startswith(begin, at):
            raise ImageError(f"is {words}; {way_out}")
    for form, (_, _, beginnings) in FORMATS.items():
        if data.startswith(beginnings):
            return form
    text = data[:4096].lstrip(b"\xef\xbb\xbf \t\r\n")
    if text.startswith(b"<"):
        raise ImageError(
            f"is an SVG drawing; {_EXPORT}" if b"<svg" in text else f"is a web page; {_SUPPORTED}"
        )
    if data[4:8] in _FILM_BOXES:
        raise ImageError(f"is a film (QuickTime); {_FRAME}")
    if data[4:8] != b"ftyp":
        return "TGA"
    # A file made of boxes, which says in its first one what it is.
    length, brand = int.from_bytes(data[:4]), data[8:12]
    brands = {data[at : at + 4] for at in range(8, min(length, len(data), 256), 4)}
    if brand in (b"avif", b"avis") or (b"avif" in brands and not brands & _HEIC_BRANDS):
        return "AVIF"
    if brands & _HEIC_BRANDS or brand in (b"mif1", b"mif2", b"msf1"):
        return "HEIC"
    if brand == b"crx ":
        raise ImageError(f"is a Canon raw file (CR3); {_EXPORT}")
    raise ImageError(f"is a film ({'QuickTime' if brand == b'qt  ' else 'MP4'}); {_FRAME}")


def _first_tags(data: bytes) -> Mapping[int, Any]:
    """The tags of a TIFF's first picture; empty if they are damaged."""
    from PIL import TiffImagePlugin  # noqa: PLC0415 - few pictures are TIFFs

    try:
        tags = TiffImagePlugin.ImageFileDirectory_v2(data[: 16 if 43 in data[2:4] else 8])
        stream = io.BytesIO(data)
        stream.seek(tags.next)
        tags.load(stream)
        return {number: tags[number] for number in _TAGS if number in tags}
    except Exception:  # damaged tags may raise anything
        return {}


def _why_unreadable(data: bytes, form: str, error: Exception) -> str:
    if isinstance(error, SyntaxError) and form in ("TGA", "GIF", "BMP", "PPM"):  # text may begin like these
        return f"is not a picture; {_SUPPORTED}"
    if form == "TIFF" and isinstance(error, SyntaxError) and (tags := _first_tags(data)):
        bits = tags.get(_BITS, 1)
        bits = ", ".join(str(one) for one in (bits if isinstance(bits, tuple) else (bits,)))
        return (
            f"is a TIFF of a kind that can't be read ({bits} bits); save it with 8 bits a channel, or as PNG"
        )
    if isinstance(error, Image.DecompressionBombError):
        return f"claims more pixels than the {BOMB_PIXELS // 1_000_000} megapixels that are read"
    reason = (str(error).splitlines() or [type(error).__name__])[0]
    return f"is damaged or truncated ({reason})"
