"""A photograph with two marks, and where a page shows them."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from skimage import data

from kontext_lab.sandbox.painting import RATIO_SIZES

RATIOS = tuple(RATIO_SIZES)
MARKS = ((0.44, 0.34), (0.56, 0.66))
"""Their middles as fractions of width and height: within every one of the nine ratios."""
COLOUR = (255, 0, 255)


def marked() -> Image.Image:
    """Three to two, with a disc of a colour of its own at each mark."""
    picture = Image.fromarray(data.coffee())
    draw = ImageDraw.Draw(picture)
    for x, y in MARKS:
        middle, reach = (x * picture.width, y * picture.height), 9
        box = [side + by * reach for by in (-1, 1) for side in middle]
        draw.ellipse(box, fill=COLOUR)
    return picture


def places(png: bytes) -> NDArray[np.float64]:
    """The middles of the marks in a screenshot, the upper one first: x and y as fractions of its width."""
    pixels = np.asarray(Image.open(io.BytesIO(png)).convert("RGB"), dtype=int)
    rows, columns = np.nonzero(np.abs(pixels - COLOUR).sum(axis=2) < 120)
    assert len(rows), "no mark is to be seen"
    upper = rows < (rows.min() + rows.max()) / 2
    found = [(columns[part].mean(), rows[part].mean()) for part in (upper, ~upper)]
    return np.array(found) / pixels.shape[1]


def spans(found: NDArray[np.float64]) -> float:
    """Height by width of the marks' distance: 0.89 in the photograph, else the picture is out of shape."""
    (x, y), (right, below) = found
    return float((below - y) / (right - x))


TRUE_SPAN = (MARKS[1][1] - MARKS[0][1]) / (MARKS[1][0] - MARKS[0][0]) * 2 / 3
