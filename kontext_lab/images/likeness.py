"""Is this the same picture, saved again or made smaller? A short hash to search by, and pixels to be sure.

Outputs of one sweep look alike: the hash only says which few are worth a closer look. The limits were measured
on pictures of the real service and the sandbox's, saved as JPEG of quality 30 to 90, as WebP, enlarged, and
shrunk to 160 pixels; what was cropped is not found.
"""

from __future__ import annotations

import numpy as np
from PIL import Image

__all__ = ["SAME_PICTURE", "bits_apart", "perceptual_hash", "squares_apart"]

HASH_SIDE = 16
"""16 x 16 bits: with 8 x 8 most siblings in a sweep share one hash."""

SQUARES = 24
"""Pictures are compared in this many squares along each side: a small object fills one, JPEG's noise averages out."""

SAME_PICTURE = 5.3 / 255
"""How far apart a square may be: saved-again pictures stay below 4.7 of 255, the closest siblings differ by 6.0."""

RATIO_TOLERANCE = 0.03
"""Rounding to whole pixels changes a ratio by 1 % at 100 pixels; the service's ratios are 6 % apart and more."""


def perceptual_hash(picture: Image.Image) -> str:
    """A hash of 64 hexadecimal digits that stays nearly the same when the picture is saved again or resized."""
    # Gradients rather than imagehash's DCT: as good at this, and without 0.4 s for importing scipy.
    import imagehash  # noqa: PLC0415 - only who looks at pictures needs it

    # Shrunk first: 0.7 ms in place of 2.4.
    small = picture.convert("L").resize((64, 64), Image.Resampling.BILINEAR, reducing_gap=1.0)
    return str(imagehash.dhash(small, hash_size=HASH_SIDE))


def bits_apart(one: str, other: str) -> int | None:
    """In how many of 256 bits two hashes differ; None where one is none, or made differently."""
    if len(one) != len(other) or not one:
        return None
    try:
        return (int(one, 16) ^ int(other, 16)).bit_count()
    except ValueError:
        return None


def squares_apart(one: Image.Image, other: Image.Image) -> tuple[float, float]:
    """How far two pictures of any size are apart: in the worst square, and over all (root mean square).

    Returns:
        Both from 0 to 1; 1 where even their ratios differ. The first decides, against `SAME_PICTURE`; the
        second ranks.
    """
    if abs(one.width * other.height / (other.width * one.height) - 1) > RATIO_TOLERANCE:
        return 1.0, 1.0
    # On the same grid of pixels first, the smaller one's: else edges of squares fall differently.
    size = min(one.size, other.size)
    difference = (_squares(one, size) - _squares(other, size)) / 255.0
    worst = float(np.abs(difference).mean(axis=-1).max())
    return worst, float(np.sqrt((difference**2).mean()))


def _squares(picture: Image.Image, size: tuple[int, int]) -> np.ndarray:
    aligned = picture.convert("RGB")
    if picture.size != size:
        aligned = aligned.resize(size, Image.Resampling.LANCZOS)
    # Bilinear weighs fractions of pixels; Pillow's box filter takes whole ones, three times as far off.
    return np.asarray(aligned.resize((SQUARES, SQUARES), Image.Resampling.BILINEAR), dtype=np.float32)
