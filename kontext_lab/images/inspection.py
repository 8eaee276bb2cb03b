"""Received pictures: decoding them once, small versions to show, and hashes by which copies are found.

Runs inside workers: takes bytes, gives plain values that pickle. The bytes themselves are never changed.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import cast

import numpy as np
from PIL import Image

from kontext_lab.errors import ImageError
from kontext_lab.images.conversion import AVERAGED, to_rgb
from kontext_lab.images.formats import open_picture

__all__ = [
    "PREVIEW_BOX",
    "SAME_PICTURE",
    "Examined",
    "bits_apart",
    "examine",
    "perceptual_hash",
    "squares_apart",
    "thumbnail",
]

PREVIEW_BOX = 512
"""Longest side in pixels of a preview, which the tracker shows beside a run and figures draw."""

BLACK_LEVEL = 8
"""A picture with no channel of any pixel above this (of 255) is black; JPEG noise stays below it."""

HASH_SIDE = 16
"""16 x 16 bits: with 8 x 8 most siblings in a sweep share one hash."""

SQUARES = 24
"""Squares along each side in which pictures are compared: a small object fills one, the noise of JPEG averages out."""

SAME_PICTURE = 5.3 / 255
"""Largest difference of a square between copies. Measured on pictures of the service and the sandbox, saved as JPEG of quality
30 to 90 or WebP, enlarged, or shrunk to 160 pixels: copies stay below 4.7 of 255, the closest siblings differ by 6.0. Cropped
copies are not found."""

RATIO_TOLERANCE = 0.03
"""Rounding to whole pixels changes a ratio by 1 % at 100 pixels; the service's ratios are 6 % apart and more."""


@dataclass(frozen=True)
class Examined:
    """Facts about a received picture.

    Attributes:
        format: lower-case name that also serves as file suffix (`jpeg`, `png`, `webp` …).
        black: every channel of every pixel is within noise of zero, as moderation leaves it.
        preview: a WebP whose longest side is at most 512 pixels.
        phash: its perceptual hash; empty for a black picture, as all of these are alike.
    """

    format: str
    width: int
    height: int
    black: bool
    preview: bytes
    phash: str = ""


def examine(data: bytes) -> Examined:
    """Decode a received picture completely, once; an ImageError if it is not a picture, or is truncated or damaged."""
    try:
        opened = open_picture(data)
        # Copied only if necessary: many workers examine pictures at once.
        picture = opened.picture if opened.picture.mode in ("RGB", "RGBA") else to_rgb(opened.picture)
        extrema = cast(tuple[tuple[int, int], ...], picture.getextrema())[:3]
        preview = _reduced(picture, PREVIEW_BOX, Image.Resampling.BILINEAR, 1.0)
    except ImageError as error:
        raise ImageError(f"the received picture is damaged: it {str(error).partition('; ')[0]}") from None
    black = all(brightest <= BLACK_LEVEL for _, brightest in extrema)
    buffer = io.BytesIO()
    # Method 0 is the fastest of WebP's encoders (7 ms, against 32 for the default) at 25 % more bytes.
    preview.save(buffer, format="WEBP", quality=85, method=0)
    phash = "" if black else perceptual_hash(preview)
    return Examined(opened.format.lower(), *opened.size, black, buffer.getvalue(), phash)


def thumbnail(data: bytes, box: int) -> Image.Image:
    """Make a small RGB version, longest side at most `box` pixels; an ImageError if the bytes are not a whole picture."""
    try:
        picture = open_picture(data, megapixels=box * box / 1e6).picture  # JPEGs are decoded at reduced size
        return _reduced(picture, box, Image.Resampling.BICUBIC, 2.0)
    except ImageError as error:
        raise ImageError(f"the picture is damaged: it {str(error).partition('; ')[0]}") from None


def _reduced(picture: Image.Image, box: int, filtered: Image.Resampling, gap: float) -> Image.Image:
    """Make a small version in sRGB; the given picture itself may be scaled down.

    Averaged first, then filtered: bilinear with a gap of 1 takes 7 ms for a megapixel, Pillow's default 24.
    """
    if picture.mode not in AVERAGED or "transparency" in picture.info:
        picture = to_rgb(picture)
    picture.thumbnail((box, box), filtered, reducing_gap=gap)
    return to_rgb(picture)


def perceptual_hash(picture: Image.Image) -> str:
    """Compute a hash of 64 hexadecimal digits that stays nearly the same if the picture is saved again or resized."""
    # Gradients rather than imagehash's DCT: as good here, and without 0.4 s for importing scipy.
    import imagehash  # noqa: PLC0415 - takes a while to load

    # Shrunk first: 0.7 ms in place of 2.4.
    small = picture.convert("L").resize((64, 64), Image.Resampling.BILINEAR, reducing_gap=1.0)
    return str(imagehash.dhash(small, hash_size=HASH_SIDE))


def bits_apart(one: str, other: str) -> int | None:
    """Hamming distance of two perceptual hashes, 0 to 256; None if either is missing or of another kind."""
    if len(one) != len(other) or not one:
        return None
    try:
        return (int(one, 16) ^ int(other, 16)).bit_count()
    except ValueError:
        return None


def squares_apart(one: Image.Image, other: Image.Image) -> tuple[float, float]:
    """Compare two pictures of any size: difference of the worst square, and root mean square over all.

    Returns:
        Both from 0 to 1; 1 if their ratios differ. Copies have a first value up to `SAME_PICTURE`; the second ranks them.
    """
    if abs(one.width * other.height / (other.width * one.height) - 1) > RATIO_TOLERANCE:
        return 1.0, 1.0
    # Scaled to the smaller size first, so that the squares have the same edges.
    size = min(one.size, other.size)
    pictures = [picture.convert("RGB") for picture in (one, other)]
    aligned = [
        picture if picture.size == size else picture.resize(size, Image.Resampling.LANCZOS)
        for picture in pictures
    ]
    # Bilinear weighs fractions of pixels; Pillow's box filter takes whole ones, with three times the error.
    squares = [picture.resize((SQUARES, SQUARES), Image.Resampling.BILINEAR) for picture in aligned]
    first, second = (np.asarray(picture, dtype=np.float32) for picture in squares)
    difference = (first - second) / 255.0
    worst = float(np.abs(difference).mean(axis=-1).max())
    return worst, float(np.sqrt((difference**2).mean()))
