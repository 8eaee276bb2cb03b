"""Pictures at the size they are measured at: the reference's frame, longest side 512 pixels.

They are scaled down for speed, and because the blocks of an encoder are not a change.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage
from skimage.color import xyz_tristimulus_values
from skimage.color.colorconv import xyz_from_rgb

from kontext_lab.metrics.placement import Matrix, Size

__all__ = ["SIDE", "Floats", "Mask", "Pixels", "reference_pixels", "scaled_to", "warped"]

SIDE = 512
"""Longest side of a reference while it is measured, in pixels."""

Floats = NDArray[np.floating[Any]]
Mask = NDArray[np.bool_]

_LEVEL = np.arange(256) / 255
_LIGHT = np.where(_LEVEL > 0.04045, ((_LEVEL + 0.055) / 1.055) ** 2.4, _LEVEL / 12.92).astype(np.float32)
"""Linear light of each of the 256 levels of sRGB, 0 to 1 (IEC 61966-2-1)."""
_XYZ = (xyz_from_rgb / xyz_tristimulus_values(illuminant="D65", observer="2")[:, None]).astype(np.float32)
"""From linear red, green and blue to X, Y and Z as parts of white."""
_SMOOTH = 13
"""Side in pixels of the window whose mean is subtracted to leave the detail."""
_DARK, _SLOPE = np.float32((6 / 29) ** 3), np.float32((29 / 6) ** 2 / 3)
"""CIE L*a*b*: the part of white below which a straight line replaces the cube root, and the slope of that line."""
_AS_GOOD = 0.02
"""Pixels by which a map may differ from a shift by whole pixels and be taken for it."""
_BEYOND = 0.1
"""Pixels by which a sampled position may lie beyond the border."""


@dataclass(frozen=True)
class Pixels:
    """A picture as numbers. Its colours are computed on first use: they take a tenth of a measurement.

    Attributes:
        picture: red, green, blue, 8 bits.
        seen: height × width, the pixels that show something.
        larger: the same picture at a larger size, to be resized from; None if there is none.
        zoom: its scale, across and down.
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
        """Lightness minus its local mean, height × width: nothing of a smooth sky, the edge of its horizon."""
        return np.asarray(self.lightness - ndimage.uniform_filter(self.lightness, _SMOOTH))

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
    """The cube root of CIE L*a*b*, with its straight line for dark values (a tangent, so both parts add up)."""
    return np.asarray(np.cbrt(np.maximum(part, _DARK)) + _SLOPE * (np.minimum(part, _DARK) - _DARK))


def reference_pixels(picture: Image.Image) -> Pixels:
    """Scale a reference to the size it is measured at."""
    scale = SIDE / max(picture.size)
    size = max(8, round(picture.width * scale)), max(8, round(picture.height * scale))
    return Pixels(scaled_to(picture, size).picture, np.ones(size[::-1], bool))


def scaled_to(picture: Image.Image, size: tuple[int, int]) -> Pixels:
    """Scale a picture to a width and height."""
    # Averaging a picture of at least twice the size first is three times as fast and nearly as good.
    whole = max(1, min(picture.width // size[0], picture.height // size[1]))
    larger = picture.reduce(whole) if whole > 1 else picture
    # The last row and column of the averaged picture may stand for less than a pixel.
    across, down = picture.width / whole, picture.height / whole
    small = larger.resize(size, Image.Resampling.BICUBIC, box=(0, 0, across, down))
    return Pixels(small, np.ones(size[::-1], bool), larger, (across / size[0], down / size[1]))


def warped(output: Pixels, matrix: Matrix, size: Size) -> Pixels:
    """Warp an output, scaled to its reference, into the reference's frame of this size.

    The matrix leads from the reference's pixels, counted from their centres, to the output's. An upright one, as the service's
    are, crops and resizes: one interpolation from a picture nearly twice as large. Any other is applied pixel by pixel.
    """
    seen = Image.fromarray(output.seen.astype(np.uint8) * 255)
    left, top = (round(float(part)) for part in matrix[:2, 2])
    shift = np.array([[1, 0, left], [0, 1, top], [0, 0, 1]])
    if np.abs((matrix - shift) @ [*size, 1]).max() <= _AS_GOOD:
        box = (left, top, left + size[0], top + size[1])
        return Pixels(output.picture.crop(box), np.asarray(seen.crop(box)) > 0)
    upright = not matrix[0, 1] and not matrix[1, 0]
    # Pillow counts from the corners of pixels.
    corners = np.column_stack([matrix[:2, :2], matrix[:2, 2] + 0.5 - 0.5 * matrix[:2, :2].sum(axis=1)])
    pixels = _cropped_and_resized(output, corners, size) if upright else _transformed(output, corners, size)
    if output.seen.all():
        return pixels
    shown = seen.transform(size, Image.Transform.AFFINE, tuple(corners.ravel()), Image.Resampling.BILINEAR)
    return Pixels(pixels.picture, pixels.seen & (np.asarray(shown) == 255))


def _cropped_and_resized(output: Pixels, corners: Matrix, size: Size) -> Pixels:
    scales, starts = np.diag(corners), corners[:, 2]
    first = np.maximum(0, np.ceil(-starts / scales - _BEYOND)).astype(int)
    last = np.minimum(size, np.floor((output.size - starts) / scales + _BEYOND)).astype(int)
    picture, seen = Image.new("RGB", size), np.zeros(size[::-1], bool)
    if (last > first).all():
        large = output.larger or output.picture
        box = np.clip([starts + scales * first, starts + scales * last], 0, output.size)
        box *= output.zoom
        part = large.resize(tuple(last - first), Image.Resampling.BICUBIC, box=tuple(box.ravel()))
        picture.paste(part, tuple(first))
        seen[first[1] : last[1], first[0] : last[0]] = True
    return Pixels(picture, seen)


def _transformed(output: Pixels, corners: Matrix, size: Size) -> Pixels:
    picture = output.picture.transform(
        size, Image.Transform.AFFINE, tuple(corners.ravel()), Image.Resampling.BICUBIC
    )
    across, down = np.arange(size[0], dtype=np.float32), np.arange(size[1], dtype=np.float32)[:, None]
    seen = np.ones(size[::-1], bool)
    for (by_x, by_y, start), length in zip(corners.astype(np.float32), output.size, strict=True):
        position = (by_x * (across + 0.5) + start) + by_y * (down + 0.5)
        seen &= (position >= 0.5 - _BEYOND) & (position <= length - 0.5 + _BEYOND)
    return Pixels(picture, seen)
