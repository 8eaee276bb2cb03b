"""Looking at received bytes: are they a whole picture, how large, is it black; and small versions to show.

Runs inside workers: takes bytes, gives plain values that pickle. The bytes themselves are never changed.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import cast

from PIL import Image

from kontext_lab.errors import ImageError
from kontext_lab.images.likeness import perceptual_hash
from kontext_lab.images.prepare import BOMB_PIXELS

__all__ = ["PREVIEW_BOX", "Examined", "examine", "thumbnail"]

PREVIEW_BOX = 512
"""Longest side of a preview in pixels: what the tracker shows next to other runs, and figures draw."""

BLACK_LEVEL = 8
"""A picture whose every channel stays at or below this (of 255) is black; JPEG noise stays below it."""

_SUFFIXES = {"JPEG": "jpeg", "PNG": "png", "WEBP": "webp", "GIF": "gif", "AVIF": "avif"}


@dataclass(frozen=True)
class Examined:
    """What a look at a received picture found.

    Attributes:
        format: lower-case name that also serves as file suffix (`jpeg`, `png`, `webp` …).
        width: pixels.
        height: pixels.
        black: every channel of every pixel is within noise of zero: what moderation leaves.
        preview: a WebP whose longest side is at most 512 pixels.
        phash: by which a copy is found that was saved again or made smaller; empty for a black picture.
    """

    format: str
    width: int
    height: int
    black: bool
    preview: bytes
    phash: str = ""


def examine(data: bytes) -> Examined:
    """Decode a received picture completely, once.

    Raises:
        ImageError: not a picture, or a truncated or damaged one.
    """
    try:
        with Image.open(io.BytesIO(data)) as picture:
            if picture.width * picture.height > BOMB_PIXELS:
                raise ImageError(f"it claims {picture.width}x{picture.height} pixels")
            picture.load()
            suffix = _SUFFIXES.get(picture.format or "", (picture.format or "bin").lower())
            size = picture.size
            # No copy where none is needed: many workers look at their pictures at once.
            rgb = picture if picture.mode == "RGB" else picture.convert("RGB")
    except Exception as error:  # Pillow's decoders raise many kinds for broken data
        raise ImageError(f"the received picture is damaged: {error}") from None
    extrema = cast(tuple[tuple[int, int], ...], rgb.getextrema())
    black = all(brightest <= BLACK_LEVEL for _, brightest in extrema)
    # Halved by averaging first, then bilinear: 7 ms for a megapixel, against 24 for the default.
    rgb.thumbnail((PREVIEW_BOX, PREVIEW_BOX), Image.Resampling.BILINEAR, reducing_gap=1.0)
    buffer = io.BytesIO()
    # Method 0 is the fastest of WebP's encoders (7 ms, against 32 for the default) at 25 % more bytes.
    rgb.save(buffer, format="WEBP", quality=85, method=0)
    # All black pictures are alike: nothing is found by that.
    return Examined(suffix, *size, black, buffer.getvalue(), "" if black else perceptual_hash(rgb))


def thumbnail(data: bytes, box: int) -> Image.Image:
    """A small RGB version, longest side at most `box` pixels; JPEGs are decoded at reduced size.

    Raises:
        ImageError: the bytes are not a whole picture.
    """
    try:
        with Image.open(io.BytesIO(data)) as picture:
            picture.draft("RGB", (box, box))
            small = picture.convert("RGB")
    except Exception as error:  # Pillow's decoders raise many kinds for broken data
        raise ImageError(f"the picture is damaged: {error}") from None
    small.thumbnail((box, box), reducing_gap=2.0)
    return small
