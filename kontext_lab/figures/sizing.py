"""How large rows, columns and tiles are, and how many fit a sheet. Numbers only, in inches."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from kontext_lab.errors import SweepError
from kontext_lab.figures.geometry import Rect

__all__ = [
    "GAP",
    "GROUP_GAP",
    "LARGEST",
    "MAX_HEIGHT",
    "MAX_WIDTH",
    "SMALLEST",
    "USUAL_HEIGHT",
    "USUAL_WIDTH",
    "Units",
    "blocks",
    "check_page",
    "fitted_rect",
    "scale",
    "units",
]

USUAL_WIDTH, USUAL_HEIGHT = 10.0, 7.0
"""What tiles take where that leaves them large enough: the width of a notebook, the height of a screen."""

MAX_WIDTH, MAX_HEIGHT = 13.4, 17.5
"""What tiles may take at most; the rest goes to the next page."""

LARGEST, COMFORTABLE, SMALLEST = 4.5, 1.0, 0.62
"""Sides of a square tile: never larger, larger sheets before this, further pages before this."""

GAP, GROUP_GAP = 0.06, 0.2

_STEEPEST = 16 / 9
"""How much longer than its fellows a tile may be to fill its row or column; extreme ones leave some free."""

Place = tuple[int, int]


@dataclass(frozen=True)
class Units:
    """Widths of columns and heights of rows for tiles of one square unit on average."""

    widths: tuple[float, ...]
    heights: tuple[float, ...]


def units(ratios: Mapping[Place, float], rows: int, columns: int) -> Units:
    """Share out space so that little is left unused.

    Where the ratio only changes from column to column, all tiles are equally high; where it only changes from
    row to row, equally wide; else all have the same area.

    Args:
        ratios: (row, column) to width by height.
        rows: how many rows.
        columns: how many columns.
    """
    by_row = [[ratio for (row, _), ratio in ratios.items() if row == at] for at in range(rows)]
    by_column = [[ratio for (_, column), ratio in ratios.items() if column == at] for at in range(columns)]
    if all(_alike(found) for found in by_column):
        widths, heights = _capped([found[0] if found else 1.0 for found in by_column]), [1.0] * rows
    elif all(_alike(found) for found in by_row):
        widths, heights = [1.0] * columns, _capped([1 / found[0] if found else 1.0 for found in by_row])
    else:
        widths = [max((math.sqrt(ratio) for ratio in found), default=1.0) for found in by_column]
        heights = [max((1 / math.sqrt(ratio) for ratio in found), default=1.0) for found in by_row]
    unit = math.sqrt(fmean(widths) * fmean(heights)) if widths and heights else 1.0
    return Units(tuple(width / unit for width in widths), tuple(height / unit for height in heights))


def _capped(sides: Sequence[float]) -> list[float]:
    largest = _STEEPEST * max(1.0, min(sides))
    return [min(side, largest) for side in sides]


def _alike(ratios: Sequence[float]) -> bool:
    return not ratios or max(ratios) < 1.02 * min(ratios)


def fitted_rect(ratio: float, box: Rect) -> Rect:
    """The largest rectangle of a ratio in the middle of a box."""
    width = min(box.width, box.height * ratio)
    height = width / ratio
    return Rect(box.left + (box.width - width) / 2, box.top + (box.height - height) / 2, width, height)


def scale(across: float, down: float, gaps: tuple[float, float], taken: tuple[float, float]) -> float:
    """Inches per unit: as large as a screen allows, on a larger sheet where that would be too small.

    Args:
        across: units side by side.
        down: units one below the other.
        gaps: inches between them, across and down.
        taken: inches that labels take, across and down.
    """

    def fitting(width: float, height: float) -> float:
        return min((width - gaps[0] - taken[0]) / across, (height - gaps[1] - taken[1]) / down)

    usual = min(LARGEST, fitting(USUAL_WIDTH, USUAL_HEIGHT))
    return max(usual, min(COMFORTABLE, fitting(MAX_WIDTH, MAX_HEIGHT)), 0.2)


def blocks(sizes: Sequence[float], room: float, most: int | None = None) -> list[range]:
    """Indices in as few even runs as fit `room` inches each, and hold at most `most`."""
    largest = max(sizes, default=1.0) + GAP
    fit = max(1, int((room + GAP) / largest))
    if most is not None:
        fit = max(1, min(fit, most))
    count = max(1, math.ceil(len(sizes) / fit))
    each = math.ceil(len(sizes) / count)
    return [range(at, min(at + each, len(sizes))) for at in range(0, max(1, len(sizes)), max(1, each))]


def check_page(page: int, pages: int) -> None:
    """The page exists.

    Raises:
        SweepError: it doesn't; says how many there are.
    """
    if isinstance(page, bool) or not isinstance(page, int) or not 1 <= page <= pages:
        there = "there is only page 1" if pages == 1 else f"there are pages 1 to {pages}"
        raise SweepError(f"page: {page!r}, {there}")
