"""Pictures at the size they are measured at: the reference's frame, longest side 512 pixels.

Smaller than they came, since an encoder's blocks are no change, and quick; every place is a fraction of the
reference afterwards.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from skimage.color import xyz_tristimulus_values
from skimage.color.colorconv import xyz_from_rgb

from kontext_lab.metrics.filters import Floats, window_mean

__all__ = ["SIDE", "Floats", "Mask", "Pixels", "reference_pixels", "scaled_to"]

SIDE = 512
"""Longest side of a reference while it is measured, in pixels."""

Mask = NDArray[np.bool_]


def _linear() -> Floats:
    """The light of each of the 256 levels of sRGB, 0 to 1 (IEC 61966-2-1)."""
    level = np.arange(256) / 255
    return np.where(level > 0.04045, ((level + 0.055) / 1.055) ** 2.4, level / 12.92).astype(np.float32)


_LIGHT = _linear()
_XYZ = (xyz_from_rgb / xyz_tristimulus_values(illuminant="D65", observer="2")[:, None]).astype(np.float32)
"""From light in red, green, blue to X, Y, Z as parts of white."""
_SMOOTH = 13
"""Pixels; what is larger is no detail."""
_DARK, _SLOPE = np.float32((6 / 29) ** 3), np.float32((29 / 6) ** 2 / 3)
"""Of the cube root in CIE L*a*b*: the part of white below which it goes on as a straight line, and how steep."""


@dataclass(frozen=True)
class Pixels:
    """A picture as numbers. Its colours are worked out once asked for: a tenth of a measurement.

    Attributes:
        picture: red, green, blue, 8 bits.
        seen: height × width, which of its places show something.
        larger: the same picture, up to twice as large or larger, to be brought to another size again.
        zoom: how much larger, across and down.
    """

    picture: Image.Image
    seen: Mask
    larger: Image.Image | None = None
    zoom: tuple[float, float] = (1.0, 1.0)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height, in pixels."""
        return self.picture.size

    @cached_property
    def rgb(self) -> NDArray[np.uint8]:
        """Height × width × 3, 0 to 255."""
        return np.asarray(self.picture)

    @cached_property
    def lightness(self) -> Floats:
        """CIE L* from 0 to 100, height × width."""
        return 116 * _root(self._light @ _XYZ[1]).reshape(self.seen.shape) - 16

    @cached_property
    def detail(self) -> Floats:
        """Lightness without what is smooth, height × width: of a sky nothing, of its horizon the edge."""
        return self.lightness - window_mean(self.lightness, _SMOOTH)

    @cached_property
    def lab(self) -> Floats:
        """CIE L*a*b* under D65, 3 × height × width: L from 0 to 100, a and b around 0."""
        x, z = _root(_XYZ[::2] @ self._light.T).reshape(2, *self.seen.shape)
        y = (self.lightness + 16) / 116
        return np.stack([self.lightness, 500 * (x - y), 200 * (y - z)])

    @cached_property
    def _light(self) -> Floats:
        return _LIGHT[self.rgb].reshape(-1, 3)


def _root(part: Floats) -> Floats:
    """Of a part of white, as CIE L*a*b* takes it: the line is a tangent, so one is added to the other."""
    found: Floats = np.cbrt(np.maximum(part, _DARK)) + _SLOPE * (np.minimum(part, _DARK) - _DARK)
    return found


def reference_pixels(picture: Image.Image) -> Pixels:
    """A reference at the size it is measured at."""
    scale = SIDE / max(picture.size)
    size = max(8, round(picture.width * scale)), max(8, round(picture.height * scale))
    found = scaled_to(picture, size)
    return Pixels(found.picture, found.seen)


def scaled_to(picture: Image.Image, size: tuple[int, int]) -> Pixels:
    """A picture at a size."""
    # Averaging first what is twice as large or more is three times as quick and nearly as good.
    whole = max(1, min(picture.width // size[0], picture.height // size[1]))
    larger = picture.reduce(whole) if whole > 1 else picture
    # The last pixels of what was averaged may stand for less than a pixel.
    across, down = picture.width / whole, picture.height / whole
    small = larger.resize(size, Image.Resampling.BICUBIC, box=(0, 0, across, down))
    return Pixels(small, np.ones(size[::-1], bool), larger, (across / size[0], down / size[1]))
