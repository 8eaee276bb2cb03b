"""Two pictures in one frame: the pixels of an output in its reference's frame, and where each picture lies in a common one.

An upright map, as the service's are, is a box of the output that is brought to a size: one interpolation from a picture
nearly twice as large. Any other is followed place by place.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from kontext_lab.images import Box, Boxes
from kontext_lab.metrics.keypoints import Matrix
from kontext_lab.metrics.pixels import Floats, Mask, Pixels

__all__ = ["Affine", "Placement", "boxes_in_output", "in_output", "moved", "placed"]

_AS_GOOD = 0.02
"""Pixels by which a map may differ from a shift by whole ones and be taken for it."""
_BEYOND = 0.1
"""Pixels by which a place may reach over the border."""

_SLIVER = 0.01
"""Share of a side by which one picture may reach over the other without making the frame larger."""

_SEEN = 0.5
"""Share of a box that an output shows at least, else it has lost the box."""

Size = tuple[int, int]
Affine = tuple[float, float, float, float, float, float]
"""a, b, c, d, e, f as in CSS: x = a u + c v + e and y = b u + d v + f."""


@dataclass(frozen=True)
class Placement:
    """Two pictures in a frame that holds both, neither of them out of shape.

    Attributes:
        registered: the same things lie in the same places; else both pictures are centred and of the same area.
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
        boxes = (_bounds(_as_matrix(one)) for one in (self.first, self.second))
        slack = _SLIVER * max(self.size)
        full = all(np.allclose(box, (0, 0, *self.size), rtol=0, atol=slack) for box in boxes)
        return "" if full else "striped: not part of this picture"


def placed(first: Size, second: Size, matrix: Matrix | None) -> Placement:
    """The frame of two pictures, and the place of each in it.

    Args:
        first: width and height in pixels, such as a reference's.
        second: width and height in pixels, such as an output's.
        matrix: from fractions of the first picture to fractions of the second; None where they are not registered.
    """
    there = np.diag([*second, 1.0])
    here = there @ matrix if matrix is not None else _centred(first, second)
    low, high = _bounds(here)[:2], _bounds(here)[2:]
    # Without its slivers: the frame ends where the second picture does.
    slack = _SLIVER * np.array(second)
    start = np.where(low < -slack, low, 0.0)
    end = np.where(high > second + slack, high, second)
    moved_by = np.eye(3)
    moved_by[:2, 2] = -start
    width, height = (float(side) for side in end - start)
    return Placement(matrix is not None, (width, height), _affine(moved_by @ here), _affine(moved_by @ there))


def in_output(plane: Floats | Mask, matrix: Matrix, size: Size) -> tuple[Floats, Mask]:
    """A change map in its output's frame.

    Args:
        plane: height × width, in the reference's frame.
        matrix: from fractions of the reference to fractions of the output.
        size: width and height of the result.

    Returns:
        The values, 0 where the output shows what the reference doesn't; and where it shows what the reference does.
    """
    height, width = plane.shape
    back = np.diag([width, height, 1.0]) @ np.linalg.inv(matrix) @ np.diag([1 / size[0], 1 / size[1], 1.0])
    picture = Image.fromarray(np.asarray(plane, dtype=np.float32))
    found, covered = (
        one.transform(size, Image.Transform.AFFINE, tuple(back[:2].ravel()), how)
        for one, how in (
            (picture, Image.Resampling.BILINEAR),
            (Image.new("L", (width, height), 255), Image.Resampling.NEAREST),
        )
    )
    return np.asarray(found), np.asarray(covered) > 0


def boxes_in_output(boxes: Boxes, matrix: Matrix) -> dict[str, Box]:
    """Boxes of a reference as boxes of its output; without those that it shows less than half of.

    Args:
        boxes: fractions of the reference.
        matrix: from fractions of the reference to fractions of the output.
    """
    found = {}
    for name, (x0, y0, x1, y1) in boxes.items():
        box = _bounds(matrix @ np.array([[x1 - x0, 0, x0], [0, y1 - y0, y0], [0, 0, 1]]))
        left, top, right, bottom = (round(float(side), 4) for side in box.clip(0, 1))
        whole = (box[2] - box[0]) * (box[3] - box[1])
        if left < right and top < bottom and (right - left) * (bottom - top) >= _SEEN * whole:
            found[name] = (left, top, right, bottom)
    return found


def _centred(first: Size, second: Size) -> Matrix:
    scale = np.sqrt(np.prod(second, dtype=float) / np.prod(first, dtype=float))
    size = np.array(first) * scale
    found = np.diag([*size, 1.0])
    found[:2, 2] = (second - size) / 2
    return found


def _bounds(matrix: Matrix) -> Matrix:
    """Left, top, right and bottom of a picture."""
    corners = matrix[:2] @ np.array([[0, 1, 0, 1], [0, 0, 1, 1], [1, 1, 1, 1]])
    return np.concatenate([corners.min(axis=1), corners.max(axis=1)])


def _affine(matrix: Matrix) -> Affine:
    (a, c, e), (b, d, f) = (tuple(round(float(part), 4) for part in row) for row in matrix[:2])
    return a, b, c, d, e, f


def _as_matrix(affine: Affine) -> Matrix:
    a, b, c, d, e, f = affine
    return np.array([[a, c, e], [b, d, f], [0, 0, 1]])


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
