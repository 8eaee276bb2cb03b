"""Output sizes, and re-framing of a reference to one of them.

Pure functions over sizes and Pillow images. It must not know edits, requests or HTTP.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

__all__ = ["RATIO_SIZES", "TRAINED_SIZES", "output_size", "reframe"]

RATIO_SIZES: Final[dict[str, tuple[int, int]]] = {
    "21:9": (1568, 672),
    "16:9": (1392, 752),
    "4:3": (1184, 880),
    "3:2": (1248, 832),
    "1:1": (1024, 1024),
    "2:3": (832, 1248),
    "3:4": (880, 1184),
    "9:16": (752, 1392),
    "9:21": (672, 1568),
}
TRAINED_SIZES: Final[tuple[tuple[int, int], ...]] = (
    (672, 1568),
    (688, 1504),
    (720, 1456),
    (752, 1392),
    (800, 1328),
    (832, 1248),
    (880, 1184),
    (944, 1104),
    (1024, 1024),
    (1104, 944),
    (1184, 880),
    (1248, 832),
    (1328, 800),
    (1392, 752),
    (1456, 720),
    (1504, 688),
    (1568, 672),
)
_MAX_STRETCH: Final = 1.03  # beyond this a picture is cropped, not stretched


def output_size(aspect_ratio: str | None, reference: tuple[int, int]) -> tuple[int, int]:
    """Return width and height of the output: the ratio's size, or the trained size nearest to the reference."""
    if aspect_ratio is not None:
        return RATIO_SIZES[aspect_ratio]
    ratio = reference[0] / reference[1]
    return min(TRAINED_SIZES, key=lambda size: (abs(ratio - size[0] / size[1]), size))


def reframe(image: Image.Image, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Bring an RGB image to a size as the service does: slightly stretched if near, else cropped to cover.

    Returns:
        Array of shape (height, width, 3).
    """
    width, height = size
    stretch = (image.width / image.height) / (width / height)
    box: tuple[float, float, float, float] | None = None
    if not 1 / _MAX_STRETCH <= stretch <= _MAX_STRETCH:
        kept_width = min(image.width, image.height * width / height)
        kept_height = min(image.height, image.width * height / width)
        left, top = (image.width - kept_width) / 2, (image.height - kept_height) / 2
        box = (left, top, left + kept_width, top + kept_height)
    return np.asarray(image.resize(size, Image.Resampling.LANCZOS, box=box))
