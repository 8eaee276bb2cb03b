"""Positions of two pictures in a common frame, and change maps and boxes in the frame of an output.

The panel and the report need these before anybody measures: this module loads neither scipy nor scikit-image.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from kontext_lab.images import Box, Boxes

__all__ = ["Affine", "Matrix", "Placement", "Size", "boxes_in_output", "in_output", "placed"]

_SLIVER = 0.01
"""Share of a side by which one picture may extend beyond the other without enlarging the frame."""

_SEEN = 0.5
"""Share of a box that an output must show; else the box counts as lost."""

Size = tuple[int, int]
Matrix = NDArray[np.float64]
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
    """Place two pictures, such as a reference and its output, in a common frame.

    The matrix leads from fractions of the first to fractions of the second; it is None if they are not registered.
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


def in_output(
    plane: NDArray[Any], matrix: Matrix, size: Size
) -> tuple[NDArray[np.floating[Any]], NDArray[np.bool_]]:
    """Warp a change map into its output's frame, by the matrix from fractions of the reference to those of the output.

    Returns the values, and a mask of the pixels that the reference covers; outside of it values are 0.
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
    """Convert boxes of a reference to boxes of its output, without those of which less than half is shown."""
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
