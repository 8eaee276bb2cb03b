"""Conversion of any picture to the one that is sent: sRGB, 8 bits, no alpha, no metadata. Knows pixels only."""

from __future__ import annotations

import io
import math
import struct
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from kontext_lab.errors import ImageError

__all__ = [
    "AVERAGED",
    "BOMB_PIXELS",
    "MAX_MEGAPIXELS",
    "clean_png",
    "coded_profile",
    "from_array",
    "orientation_of",
    "refuse_bomb",
    "scaled",
    "scaled_size",
    "to_rgb",
    "upright",
]

MAX_MEGAPIXELS = 2.0
"""References of more million pixels are scaled down before sending; outputs have about one."""

BOMB_PIXELS = 100_000_000
"""Pictures of more pixels are not decoded (300 MB as RGB)."""

AVERAGED = ("RGB", "RGBA", "L", "LA", "CMYK")
"""Modes whose values can be averaged as they are, unless a single colour is transparent."""

_BLOCK = 1 << 22
"""Values of an array that are converted at once."""

_OUTLIERS = 0.01
"""Share of the values that may lie beyond the assumed white of a 32-bit picture."""

_SRGB = (0.3127, 0.329, 0.64, 0.33, 0.3, 0.6, 0.15, 0.06)
"""Chromaticities of white, red, green and blue, x and y each."""

_PRIMARIES = {
    1: _SRGB,
    9: (0.3127, 0.329, 0.708, 0.292, 0.17, 0.797, 0.131, 0.046),
    12: (0.3127, 0.329, 0.68, 0.32, 0.265, 0.69, 0.15, 0.06),
}
"""The same by code point of ITU-T H.273: Rec. 709, Rec. 2020, Display P3."""

_TRANSFERS = {1: None, 4: 2.2, 6: None, 8: 1.0, 13: None, 14: None, 15: None}
"""Exponents by code point; None is sRGB's curve, as browsers take that of video."""


def from_array(array: Any) -> Image.Image:
    """Convert an array, H×W, H×W×1, H×W×3 or H×W×4 of bool, uint8, uint16 or float in 0…1; any other is an ImageError."""
    _check_shape(getattr(array, "shape", None))  # before an array on a disk is read
    try:
        pixels = np.asarray(array)
    except Exception as error:  # the conversion of a foreign type may raise anything
        raise ImageError(f"array: {type(array).__name__} can't be read as an array: {error}") from None
    _check_shape(pixels.shape)
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[:, :, 0]
    if pixels.dtype == bool:
        pixels = pixels.astype(np.uint8) * 255
    elif pixels.dtype == np.uint16:
        pixels = _bytes_of(pixels, 1 / 257)
    elif np.issubdtype(pixels.dtype, np.floating):
        # NaN passes through both.
        low, high = float(pixels.min()), float(pixels.max())
        if not (low >= 0 and high <= 1):
            raise ImageError(f"array: floats must be from 0 to 1, not {low:g} to {high:g}")
        pixels = _bytes_of(pixels, 255)
    elif pixels.dtype != np.uint8:
        raise ImageError(
            f"array: values must be bool, uint8, uint16 or float from 0 to 1, not {pixels.dtype}"
        )
    return Image.fromarray(np.ascontiguousarray(pixels))


def upright(picture: Image.Image) -> Image.Image:
    """Turn the picture as its EXIF orientation says, if it has one."""
    return picture if orientation_of(picture) == 1 else ImageOps.exif_transpose(picture)


def orientation_of(picture: Image.Image) -> int:
    """EXIF orientation from 1 (upright) to 8; from 5 on width and height are exchanged."""
    try:
        found = picture.getexif().get(0x0112)
    except Exception:  # a broken EXIF block says nothing about the pixels
        return 1
    return found if isinstance(found, int) and 1 <= found <= 8 else 1


def to_rgb(picture: Image.Image, where: str = "image") -> Image.Image:
    """Convert a picture of any mode to 8-bit sRGB: apply its profile or gamma, then lay transparent parts on white.

    Raises:
        ImageError: its mode or its values can't be converted; begins with `where`.
    """
    try:
        colours, alpha = _separated(picture)
        rgb = _to_srgb(colours, _profile(picture.info, grey=colours.mode in ("L", "I;16")))
    except ImageError as error:
        raise ImageError(f"{where}: {error}") from None
    except (ValueError, TypeError, OSError) as error:
        raise ImageError(f"{where}: colour mode {picture.mode} can't be converted to RGB ({error})") from None
    if alpha is None:
        return rgb
    return Image.composite(rgb, Image.new("RGB", rgb.size, "white"), alpha)


def scaled_size(size: tuple[int, int], max_megapixels: float) -> tuple[int, int]:
    """The size at which a picture is sent: its own, or scaled to at most `max_megapixels`, ratio kept."""
    width, height = size
    factor = (max_megapixels * 1e6 / (width * height)) ** 0.5
    if factor >= 1:
        return size
    return max(1, int(width * factor)), max(1, int(height * factor))


def scaled(picture: Image.Image, size: tuple[int, int], where: str = "image") -> Image.Image:
    """Convert a picture to 8-bit sRGB at a size up to its own; raises as `to_rgb`."""
    across, down = (max(1, given // (3 * wanted)) for given, wanted in zip(picture.size, size, strict=True))
    box = (0.0, 0.0, float(picture.width), float(picture.height))
    if across * down > 1 and picture.mode in AVERAGED and "transparency" not in picture.info:
        # Averaged before the conversion of colours, which takes several times the memory of a picture.
        box = (0.0, 0.0, picture.width / across, picture.height / down)
        picture = picture.reduce((across, down))
    rgb = to_rgb(picture, where)
    if rgb.size == size:
        return rgb
    return rgb.resize(size, Image.Resampling.LANCZOS, box=box, reducing_gap=3.0)


def clean_png(picture: Image.Image) -> bytes:
    """Encode the pixels of a picture as PNG, without any metadata."""
    buffer = io.BytesIO()
    # A new picture made from pixels has no info dict, so no profile, text or EXIF can slip through.
    Image.fromarray(np.asarray(picture)).save(buffer, format="PNG")
    return buffer.getvalue()


def refuse_bomb(size: tuple[int, int], most: int | None = None, way_out: str = "", where: str = "") -> None:
    """Raise ImageError if a picture has too many pixels to be decoded."""
    most = BOMB_PIXELS if most is None else most
    if size[0] * size[1] > most:
        begin = f"{where}: " if where else ""
        raise ImageError(
            f"{begin}has {size[0]}x{size[1]} pixels, at most {most / 1e6:g} megapixels are read{way_out}"
        )


def coded_profile(primaries: int, transfer: int) -> bytes | None:
    """The colour profile of two code points of ITU-T H.273: empty for sRGB, None for unknown ones."""
    if primaries not in _PRIMARIES or transfer not in _TRANSFERS:
        return None
    if primaries == 1 and _TRANSFERS[transfer] is None:
        return b""
    return _made_profile(_PRIMARIES[primaries], _TRANSFERS[transfer])


def _check_shape(shape: Any) -> None:
    if not isinstance(shape, tuple):
        return
    if not (len(shape) == 2 or (len(shape) == 3 and shape[2] in (1, 3, 4))) or 0 in shape:
        raise ImageError(f"array: shape must be H×W, H×W×1, H×W×3 or H×W×4, not {tuple(shape)}")
    refuse_bomb((shape[1], shape[0]), where="array")


def _separated(picture: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    """Colours as L, I;16, RGB or CMYK, and the alpha channel or None."""
    mode, key = picture.mode, picture.info.get("transparency")
    if mode in ("La", "RGBa"):
        picture = picture.convert(mode.upper())
    elif mode in ("P", "PA"):
        transparent = mode == "PA" or key is not None or picture.has_transparency_data
        picture = picture.convert("RGBA" if transparent else "RGB")
    elif mode == "1":
        picture = picture.convert("L")
    elif mode in ("I", "F"):
        return _from_values(np.asarray(picture))
    # The key is a colour of the file, so it is applied before colours are converted.
    if mode in ("1", "L", "RGB") and key is not None:
        return picture, _keyed(np.asarray(picture), key)
    if picture.mode.startswith("I;16"):
        plain = np.asarray(picture).astype(np.uint16, copy=False)
        return Image.fromarray(plain), None if key is None else _keyed(plain, key)
    if picture.mode in ("LA", "RGBA"):
        return picture.convert(picture.mode[:-1]), picture.getchannel("A")
    if picture.mode not in ("L", "RGB", "CMYK"):
        picture = picture.convert("RGB")
    return picture, None


def _keyed(pixels: np.ndarray, key: Any) -> Image.Image:
    """The alpha channel of a picture with one transparent colour."""
    differs = np.atleast_3d(pixels != key).any(axis=2)
    return Image.fromarray(np.where(differs, np.uint8(255), np.uint8(0)))


def _from_values(values: np.ndarray) -> tuple[Image.Image, Image.Image | None]:
    """A grey picture from 32-bit values, which have no fixed white; NaN is transparent."""
    known = np.isfinite(values)
    numbers = values[known]

    def rare(chosen: np.ndarray) -> bool:
        return float(chosen.mean()) <= _OUTLIERS

    # White is 1, 255 or 65535: the first that nearly all values stay below, unless most are far below.
    white = (
        next((one for one in (1.0, 255.0, 65535.0) if rare(numbers > one)), None) if numbers.size else None
    )
    if white is not None and (not rare(numbers < 0) or (white > 1 and rare(numbers >= white / 16))):
        white = None
    if white is None:
        low, high = (float(numbers.min()), float(numbers.max())) if numbers.size else (math.nan, math.nan)
        raise ImageError(
            f"32-bit values from {low:g} to {high:g} don't say what is white; save it with 8 or 16 bits"
        )
    grey = Image.fromarray(_bytes_of(np.nan_to_num(values, nan=0.0, posinf=white, neginf=0.0), 255 / white))
    missing = np.isnan(values)
    return grey, Image.fromarray(np.where(missing, np.uint8(0), np.uint8(255))) if missing.any() else None


def _bytes_of(values: np.ndarray, factor: float) -> np.ndarray:
    """Values times a factor as rounded bytes, a few rows at a time."""
    pixels = np.empty(values.shape, np.uint8)
    rows = max(1, _BLOCK // values[0].size)
    for at in range(0, len(values), rows):
        pixels[at : at + rows] = np.clip(np.rint(values[at : at + rows] * factor), 0, 255)
    return pixels


def _profile(info: dict[Any, Any], *, grey: bool) -> bytes | None:
    """The colour profile of a picture, or one made from PNG's gamma and chromaticities."""
    profile = info.get("icc_profile")
    if profile or "srgb" in info:
        return profile if isinstance(profile, bytes) else None
    gamma, corners = info.get("gamma"), info.get("chromaticity")
    exponent = 1 / gamma if isinstance(gamma, float) and gamma > 0 else None
    if exponent and abs(exponent / 2.2 - 1) < 0.05:
        exponent = None  # encoders write sRGB as 1/2.2
    corners = corners if isinstance(corners, tuple) and len(corners) == 8 and not grey else _SRGB
    if exponent is None and np.allclose(corners, _SRGB, atol=2e-3):
        return None
    try:
        return _made_profile(corners, exponent, grey=grey)
    except (np.linalg.LinAlgError, ZeroDivisionError, struct.error):
        return None  # impossible colours


@lru_cache(maxsize=16)
def _made_profile(corners: Sequence[float], exponent: float | None, *, grey: bool = False) -> bytes:
    """An ICC profile (version 4) of chromaticities as in `_SRGB` and a curve, which is sRGB's without an exponent."""
    d50 = (0.9642, 1.0, 0.8249)

    def fixed(*values: float) -> bytes:
        return struct.pack(f">{len(values)}i", *(round(value * 65536) for value in values))

    white, *primaries = (
        (x / y, 1.0, (1 - x - y) / y) for x, y in zip(corners[::2], corners[1::2], strict=True)
    )
    bradford = np.array(((0.8951, 0.2664, -0.1614), (-0.7502, 1.7135, 0.0367), (0.0389, -0.0685, 1.0296)))
    adapted = np.linalg.inv(bradford) @ np.diag(bradford @ d50 / (bradford @ white)) @ bradford
    columns = np.array(primaries).T
    columns = adapted @ (columns * np.linalg.solve(columns, np.array(white)))
    curve = (
        struct.pack(">4s4xHxx", b"para", 3) + fixed(2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
        if exponent is None
        else struct.pack(">4s4xHxx", b"para", 0) + fixed(exponent)
    )
    tags = {b"wtpt": struct.pack(">4s4x", b"XYZ ") + fixed(*d50)}
    if grey:
        tags[b"kTRC"] = curve
    else:
        for letter, column in zip((b"r", b"g", b"b"), columns.T, strict=True):
            tags |= {letter + b"XYZ": struct.pack(">4s4x", b"XYZ ") + fixed(*column), letter + b"TRC": curve}
    at, table = 132 + 12 * len(tags), b""
    for name, content in tags.items():
        table += struct.pack(">4sII", name, at, len(content))
        at += len(content)
    space = b"GRAY" if grey else b"RGB "
    head = struct.pack(">I4xI4s4s4s12x4s28x", at, 0x04300000, b"mntr", space, b"XYZ ", b"acsp")
    return head + fixed(*d50) + bytes(48) + struct.pack(">I", len(tags)) + table + b"".join(tags.values())


def _to_srgb(picture: Image.Image, profile: bytes | None) -> Image.Image:
    """Convert L, I;16, RGB or CMYK to RGB; a profile that is damaged, or of another kind of colours, is ignored."""
    from PIL import ImageCms  # noqa: PLC0415 - for start-up

    plain = picture
    if picture.mode == "I;16":
        plain = Image.fromarray(_bytes_of(np.asarray(picture), 1 / 257))
    if profile:
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            space = source.profile.xcolor_space.strip()
            if space == "RGB" and plain.mode == "L":
                picture = plain = plain.convert("RGB")
            if picture.mode in {"GRAY": ("L", "I;16"), "RGB": ("RGB",), "CMYK": ("CMYK",)}.get(space, ()):
                # Relative colorimetric, the rendering intent browsers use.
                transform = ImageCms.buildTransform(
                    source,
                    ImageCms.createProfile("sRGB"),
                    picture.mode,
                    "RGB",
                    renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
                )
                return ImageCms.applyTransform(picture, transform) or picture
        except (ImageCms.PyCMSError, OSError, ValueError):
            pass  # unreadable: the values are taken as sRGB, as viewers do
    return plain.convert("RGB")
