"""An output laid into its reference's frame by a map.

An upright map, as the service's are, is a box of the output that is brought to a size: one interpolation from a picture
nearly twice as large. Any other is followed place by place.
"""

from __future__ import annotations

import numpy as np
from PIL import Image

from kontext_lab.metrics.pixels import Mask, Pixels
from kontext_lab.metrics.points import Matrix

__all__ = ["moved"]

_AS_GOOD = 0.02
"""Pixels by which a map may differ from a shift by whole ones and be taken for it."""
_BEYOND = 0.1
"""Pixels by which a place may reach over the border."""

Size = tuple[int, int]


def moved(output: Pixels, matrix: Matrix, size: Size) -> Pixels:
    """The output in the frame of its reference.

    Args:
        output: as `framed` makes it.
        matrix: from the reference's pixels, counted from their middles, to the output's.
        size: width and height of the reference.
    """
    whole = np.eye(3)
    whole[:2, 2] = np.round(matrix[:2, 2])
    if np.abs((matrix - whole) @ [*size, 1]).max() <= _AS_GOOD:
        return _shifted(output, whole, size)
    upright = not matrix[0, 1] and not matrix[1, 0]
    # Pillow counts from the pixels' corners.
    corners = np.column_stack([matrix[:2, :2], matrix[:2, 2] + 0.5 - 0.5 * matrix[:2, :2].sum(axis=1)])
    found = _boxed(output, corners, size) if upright else _turned(output, corners, size)
    if output.seen.all():
        return found
    shown = _as_picture(output.seen).transform(
        size, Image.Transform.AFFINE, tuple(corners.ravel()), Image.Resampling.BILINEAR
    )
    return Pixels(found.picture, found.seen & (np.asarray(shown) == 255))


def _shifted(output: Pixels, matrix: Matrix, size: Size) -> Pixels:
    left, top = (int(part) for part in matrix[:2, 2])
    box = (left, top, left + size[0], top + size[1])
    return Pixels(output.picture.crop(box), np.asarray(_as_picture(output.seen).crop(box)) > 0)


def _boxed(output: Pixels, corners: Matrix, size: Size) -> Pixels:
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


def _turned(output: Pixels, corners: Matrix, size: Size) -> Pixels:
    picture = output.picture.transform(
        size, Image.Transform.AFFINE, tuple(corners.ravel()), Image.Resampling.BICUBIC
    )
    across, down = np.arange(size[0], dtype=np.float32), np.arange(size[1], dtype=np.float32)[:, None]
    seen = np.ones(size[::-1], bool)
    for (by_x, by_y, start), length in zip(corners.astype(np.float32), output.size, strict=True):
        place = (by_x * (across + 0.5) + start) + by_y * (down + 0.5)
        seen &= (place >= 0.5 - _BEYOND) & (place <= length - 0.5 + _BEYOND)
    return Pixels(picture, seen)


def _as_picture(mask: Mask) -> Image.Image:
    return Image.fromarray(mask.astype(np.uint8) * 255)
