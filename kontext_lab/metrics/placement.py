"""Two pictures in one frame: an output warped into its reference's frame, and the position of both in a common one.

An upright map, as the service's are, crops and resizes the output: one interpolation from a picture nearly twice as large.
Any other map is applied pixel by pixel.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from kontext_lab.images import Box, Boxes
from kontext_lab.metrics.keypoints import Matrix
from kontext_lab.metrics.pixels import Floats, Mask, Pixels

__all__ = ["Affine", "Placement", "boxes_in_output", "in_output", "placed", "warped"]

_AS_GOOD = 0.02
"""Pixels by which a map may differ from a shift by whole pixels and be taken for it."""
_BEYOND = 0.1
"""Pixels by which a sampled position may lie beyond the border."""

_SLIVER = 0.01
"""Share of a side by which one picture may extend beyond the other without enlarging the frame."""

_SEEN = 0.5
"""Share of a box that an output must show; else the box counts as lost."""

Size = tuple[int, int]
Affine = tuple[float, float, float, float, float, float]
"""a, b, c, d, e, f as in CSS: x = a u + c v + e and y = b u + d v + f."""


@dataclass(frozen=True)
class Placement:
    """The positions of two pictures in a frame that holds both undistorted.

    Attributes:
        registered: the pictures are aligned; else both are centred and of the same area.
        size: width and height of the frame, in pixels of the second picture.
        first: from fractions of the first picture to pixels of the frame.
        second: from fractions of the second picture to pixels of the frame.
    """

    registered: bool
    size: tuple[float, float]
    first: Affine
    second: Affine

    @property
    def note(self) -> str:
        """The meaning of the stripes, in words; "" where both pictures fill the frame."""
        if not self.registered:
            return "not aligned: each picture is shown whole"
        # Column by column, as CSS writes them.
        boxes = (_bounds(np.reshape(affine, (3, 2)).T) for affine in (self.first, self.second))
        slack = _SLIVER * max(self.size)
        full = all(np.allclose(box, (0, 0, *self.size), rtol=0, atol=slack) for box in boxes)
        return "" if full else "striped: not part of this picture"


def placed(first: Size, second: Size, matrix: Matrix | None) -> Placement:
    """Place two pictures in a common frame.

    Args:
        first: width and height in pixels, such as a reference's.
        second: width and height in pixels, such as an output's.
        matrix: from fractions of the first picture to fractions of the second; None if they are not registered.
    """
    there = np.diag([*second, 1.0])
    if matrix is not None:
        here = there @ matrix
    else:  # centred, with the same area
        size = np.array(first) * np.sqrt(np.prod(second, dtype=float) / np.prod(first, dtype=float))
        here = np.diag([*size, 1.0])
        here[:2, 2] = (second - size) / 2
    low, high = _bounds(here)[:2], _bounds(here)[2:]
    # Slivers are cut off: there the frame ends with the second picture.
    slack = _SLIVER * np.array(second)
    start = np.where(low < -slack, low, 0.0)
    end = np.where(high > second + slack, high, second)
    shift = np.eye(3)
    shift[:2, 2] = -start
    width, height = (float(side) for side in end - start)
    return Placement(matrix is not None, (width, height), _affine(shift @ here), _affine(shift @ there))


def in_output(plane: Floats | Mask, matrix: Matrix, size: Size) -> tuple[Floats, Mask]:
    """Warp a change map into its output's frame.

    Args:
        plane: height × width, in the reference's frame.
        matrix: from fractions of the reference to fractions of the output.
        size: width and height of the result.

    Returns:
        The values, and a mask of the pixels that the reference covers; outside of it values are 0.
    """
    height, width = plane.shape
    back = np.diag([width, height, 1.0]) @ np.linalg.inv(matrix) @ np.diag([1 / size[0], 1 / size[1], 1.0])
    picture = Image.fromarray(np.asarray(plane, dtype=np.float32))
    values, covered = (
        one.transform(size, Image.Transform.AFFINE, tuple(back[:2].ravel()), how)
        for one, how in (
            (picture, Image.Resampling.BILINEAR),
            (Image.new("L", (width, height), 255), Image.Resampling.NEAREST),
        )
    )
    return np.asarray(values), np.asarray(covered) > 0


def boxes_in_output(boxes: Boxes, matrix: Matrix) -> dict[str, Box]:
    """Convert boxes of a reference to boxes of its output, without those of which less than half is shown.

    Args:
        boxes: fractions of the reference.
        matrix: from fractions of the reference to fractions of the output.
    """
    converted = {}
    for name, (x0, y0, x1, y1) in boxes.items():
        box = _bounds(matrix @ np.array([[x1 - x0, 0, x0], [0, y1 - y0, y0], [0, 0, 1]]))
        left, top, right, bottom = (round(float(side), 4) for side in box.clip(0, 1))
        whole = (box[2] - box[0]) * (box[3] - box[1])
        if left < right and top < bottom and (right - left) * (bottom - top) >= _SEEN * whole:
            converted[name] = (left, top, right, bottom)
    return converted


def _bounds(matrix: Matrix) -> Matrix:
    """Left, top, right and bottom of a mapped picture."""
    corners = matrix[:2] @ np.array([[0, 1, 0, 1], [0, 0, 1, 1], [1, 1, 1, 1]])
    return np.concatenate([corners.min(axis=1), corners.max(axis=1)])


def _affine(matrix: Matrix) -> Affine:
    a, b, c, d, e, f = (round(float(part), 4) for part in matrix[:2].T.ravel())
    return a, b, c, d, e, f


def warped(output: Pixels, matrix: Matrix, size: Size) -> Pixels:
    """Warp an output into the frame of its reference.

    Args:
        output: scaled to its reference.
        matrix: from the reference's pixels, counted from their centres, to the output's.
        size: width and height of the reference.
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
