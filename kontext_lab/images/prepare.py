"""From any picture a person has to the one that is sent: upright, sRGB, 8 bits, no alpha, no metadata.

Knows pixels only: neither where a picture came from nor what it will be used for.
"""

from __future__ import annotations

import io
import warnings
from typing import Any

import numpy as np
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from kontext_lab.errors import ImageError

__all__ = [
    "MAX_MEGAPIXELS",
    "clean_png",
    "from_array",
    "open_picture",
    "scaled_size",
    "to_rgb",
    "upright",
]

MAX_MEGAPIXELS = 2.0
"""References above this many million pixels are scaled down before sending: outputs have about one."""

BOMB_PIXELS = 100_000_000
"""A picture that claims more pixels than this is refused before it is decoded (300 MB as RGB)."""


def open_picture(data: bytes, where: str) -> Image.Image:
    """Decode a whole picture, first frame, upright.

    Args:
        data: the file's bytes.
        where: what to call it in an error.

    Raises:
        ImageError: no picture, a truncated one, one too large to decode, or HEIC without its plug-in.
    """
    try:
        with warnings.catch_warnings():
            # What Pillow thinks of a file's metadata doesn't matter: none of it is sent.
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            picture = Image.open(io.BytesIO(data))
            _refuse_bomb(picture.size, where)
            picture.load()
            return upright(picture)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise ImageError(
            f"{where}: claims more than {BOMB_PIXELS // 1_000_000} megapixels, a decompression bomb"
        ) from None
    except ImageError:
        raise
    except Exception as error:  # Pillow's decoders raise many kinds for broken data
        if _is_heif(data):
            return _open_heif(data, where)
        raise ImageError(f"{where}: {_why_unreadable(data, error)}") from None


def from_array(array: Any, where: str = "array") -> Image.Image:
    """A picture from an array.

    Args:
        array: H×W, H×W×1, H×W×3 or H×W×4; bool, uint8, uint16, or float in 0…1.
        where: what to call it in an error.

    Raises:
        ImageError: another shape, type or range.
    """
    try:
        pixels = np.asarray(array)
    except Exception as error:  # whatever the conversion of a foreign type finds to say
        raise ImageError(f"{where}: {type(array).__name__} can't be read as an array: {error}") from None
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[:, :, 0]
    if not (pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[2] in (3, 4))) or 0 in pixels.shape:
        raise ImageError(f"{where}: shape {pixels.shape}, allowed are H×W, H×W×1, H×W×3 and H×W×4")
    _refuse_bomb((pixels.shape[1], pixels.shape[0]), where)
    if pixels.dtype == bool:
        pixels = pixels.astype(np.uint8) * 255
    elif pixels.dtype == np.uint16:
        pixels = _rounded(pixels / 257.0)
    elif np.issubdtype(pixels.dtype, np.floating):
        if not np.isfinite(pixels).all() or pixels.min() < 0 or pixels.max() > 1:
            raise ImageError(f"{where}: floats from {pixels.min():g} to {pixels.max():g}, allowed is 0 to 1")
        pixels = _rounded(pixels * 255.0)
    elif pixels.dtype != np.uint8:
        raise ImageError(
            f"{where}: {pixels.dtype} values, allowed are bool, uint8, uint16 and float in 0 to 1"
        )
    return Image.fromarray(np.ascontiguousarray(pixels))


def upright(picture: Image.Image) -> Image.Image:
    """The picture turned as its EXIF orientation says; itself where it says nothing."""
    try:
        return ImageOps.exif_transpose(picture)
    except Exception:  # a broken EXIF block says nothing about the pixels
        return picture


def to_rgb(picture: Image.Image) -> Image.Image:
    """The picture as 8-bit sRGB: wide-gamut profiles converted, 16 bits scaled, alpha laid on white."""
    picture = _to_srgb(picture)
    if picture.mode.startswith("I;16"):
        return Image.fromarray(_rounded(np.asarray(picture, dtype=np.float64) / 257.0)).convert("RGB")
    if picture.mode in ("I", "F"):
        return Image.fromarray(_rounded(_stretched(np.asarray(picture, dtype=np.float64)))).convert("RGB")
    if picture.has_transparency_data:
        if picture.mode in ("La", "RGBa"):
            picture = picture.convert({"La": "LA", "RGBa": "RGBA"}[picture.mode])
        layer = picture.convert("RGBA")
        white = Image.new("RGBA", layer.size, "white")
        return Image.alpha_composite(white, layer).convert("RGB")
    try:
        return picture.convert("RGB")
    except ValueError:
        raise ImageError(f"image: colour mode {picture.mode} can't be converted to RGB") from None


def scaled_size(size: tuple[int, int], max_megapixels: float) -> tuple[int, int]:
    """The size a picture is sent at: its own, or scaled to at most `max_megapixels`, ratio kept."""
    width, height = size
    factor = (max_megapixels * 1e6 / (width * height)) ** 0.5
    if factor >= 1:
        return size
    return max(1, int(width * factor)), max(1, int(height * factor))


def clean_png(picture: Image.Image) -> bytes:
    """The picture as PNG, holding pixels and nothing else."""
    # A fresh picture made from pixels carries no info dict, so no profile, text or EXIF can slip through.
    bare = Image.fromarray(np.asarray(picture))
    buffer = io.BytesIO()
    bare.save(buffer, format="PNG")
    return buffer.getvalue()


def _refuse_bomb(size: tuple[int, int], where: str) -> None:
    if size[0] * size[1] > BOMB_PIXELS:
        raise ImageError(
            f"{where}: {size[0]}x{size[1]} pixels, at most {BOMB_PIXELS // 1_000_000} megapixels are read"
        )


def _to_srgb(picture: Image.Image) -> Image.Image:
    profile = picture.info.get("icc_profile")
    if not profile or picture.mode not in ("RGB", "RGBA", "CMYK", "L"):
        return picture
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        mode = "RGBA" if picture.mode == "RGBA" else "RGB"
        # Relative colorimetric, the rendering intent browsers use.
        converted = ImageCms.profileToProfile(
            picture,
            source,
            ImageCms.createProfile("sRGB"),
            renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
            outputMode=mode,
        )
    except (ImageCms.PyCMSError, OSError, ValueError):
        return picture  # an unreadable profile: take the numbers as sRGB, as viewers do
    return converted if converted is not None else picture


def _rounded(values: np.ndarray) -> np.ndarray:
    rounded: np.ndarray = np.clip(np.rint(values), 0, 255).astype(np.uint8)
    return rounded


def _stretched(values: np.ndarray) -> np.ndarray:
    """32-bit greys have no fixed white: 0…1 and 0…255 are taken as such, the rest as 16 bits."""
    top = float(values.max(initial=0))
    if top <= 1:
        return values * 255.0
    return values if top <= 255 else values / 257.0


def _is_heif(data: bytes) -> bool:
    return data[4:8] == b"ftyp" and data[8:12] in (
        b"heic",
        b"heix",
        b"hevc",
        b"heim",
        b"heis",
        b"mif1",
        b"msf1",
    )


def _open_heif(data: bytes, where: str) -> Image.Image:
    try:
        import pillow_heif  # noqa: PLC0415 - an extra, needed by few
    except ImportError:
        raise ImageError(f'{where}: HEIC needs the extra "heic": pip install "kontext-lab[heic]"') from None
    try:
        found = pillow_heif.open_heif(data, convert_hdr_to_8bit=True)
        _refuse_bomb(found.size, where)
        picture: Image.Image = found.to_pillow()
    except ImageError:
        raise
    except Exception as error:  # a broken file, in whatever words libheif finds
        raise ImageError(f"{where}: {_why_unreadable(data, error)}") from None
    return upright(picture)


def _why_unreadable(data: bytes, error: Exception) -> str:
    if not data:
        return "is empty (0 bytes)"
    if data.lstrip()[:1] == b"<":
        return "is a web page or SVG, not a picture; allowed are JPEG, PNG, WebP, GIF, AVIF and other bitmaps"
    if isinstance(error, UnidentifiedImageError) and data[4:8] != b"ftyp":
        return "is not a picture; allowed are JPEG, PNG, WebP, GIF, AVIF and other bitmaps"
    reason = (str(error).splitlines() or [type(error).__name__])[0]
    return f"is a damaged or truncated picture ({reason})"
