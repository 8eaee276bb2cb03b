"""Pictures at the size they are measured at: the reference's frame, longest side 512 pixels.

Smaller than they came, since an encoder's blocks are no change, and quick; every place is a fraction of the
reference afterwards.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from skimage.color import rgb2lab

__all__ = ["SIDE", "Pixels", "reference_pixels", "scaled_to"]

SIDE = 512
"""Longest side of a reference while it is measured, in pixels."""

Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Pixels:
    """A picture as numbers.

    Attributes:
        rgb: height × width × 3, from 0 to 1.
        full: width and height of the picture it was made from, in pixels.
    """

    rgb: Floats
    full: tuple[int, int]

    @cached_property
    def lab(self) -> Floats:
        """CIE L*a*b* under D65, height × width × 3: L from 0 to 100, a and b around 0."""
        return np.asarray(rgb2lab(self.rgb), dtype=np.float32)

    @property
    def lightness(self) -> Floats:
        """L* from 0 to 100, height × width."""
        return self.lab[..., 0]

    @property
    def size(self) -> tuple[int, int]:
        """Width and height, in pixels."""
        return self.rgb.shape[1], self.rgb.shape[0]


def reference_pixels(picture: Image.Image) -> Pixels:
    """A reference at the size it is measured at."""
    scale = SIDE / max(picture.size)
    return scaled_to(picture, (max(8, round(picture.width * scale)), max(8, round(picture.height * scale))))


def scaled_to(picture: Image.Image, size: tuple[int, int]) -> Pixels:
    """A picture at a size."""
    # The gap: a picture three times as large is brought near by averaging first, four times as quick and as good.
    small = picture.resize(size, Image.Resampling.BICUBIC, reducing_gap=2.0)
    return Pixels(np.asarray(small, dtype=np.float32) / 255, picture.size)
