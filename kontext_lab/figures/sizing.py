"""Sizes of rows, columns and pages of a grid. Numbers only, in inches."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from statistics import fmean

__all__ = ["GAP", "PageSize", "Sides", "even", "fitting", "largest_sides", "shared_out", "units"]

MAX_WIDTH, MAX_HEIGHT = 14.0, 14.0
"""Inches that tiles and their labels may take; the rest goes to the next page."""

SMALLEST = 0.6
"""Side of a square tile below which there is a further page instead."""

GAP = 0.05

_FLOOR = 0.15
"""Side of a square tile where labels leave less on the page."""

_HALVINGS = 24

_STEEPEST = 1.87
"""Factor by which a tile may be longer than others to fill its row or column; longer ones leave some space free."""

Sides = tuple[list[float], list[float]]
"""Widths of columns and heights of rows."""


@dataclass(frozen=True)
class PageSize:
    """The space for tiles: the width of a notebook and the height of a screen, or more if tiles get too small.

    Attributes:
        width: inches.
        height: inches.
        largest: largest side of a square tile.
        cell: the side itself, if it was given and a page has room for it.
        widest: largest width, for any number of tiles.
        tallest: largest height, for any number of tiles.
    """

    width: float = 10.0
    height: float = 7.0
    largest: float = 4.5
    cell: float | None = None
    widest: float = MAX_WIDTH
    tallest: float = MAX_HEIGHT

    @property
    def tiers(self) -> tuple[tuple[float, float, float], ...]:
        """Width, height and largest side of a tile: a longer sheet before tiles get small, then a wider."""
        if self.cell is not None:
            return ((self.widest, self.tallest, self.cell),)
        return (
            (self.width, min(self.height, self.tallest), self.largest),
            (self.width, self.tallest, min(1.25, self.largest)),
            (self.widest, self.tallest, min(1.0, self.largest)),
        )

    def smallest(self, per_page: int | None) -> float:
        """Side of a square tile that pages are made for; smaller if the number of tiles is given."""
        return self.cell or (SMALLEST if per_page is None else SMALLEST / 2)


def units(ratios: Mapping[tuple[int, int], float], rows: int, columns: int) -> Sides:
    """Share out space so that little is left unused, for tiles of one square unit on average.

    Where the ratio (width by height, by row and column) only changes from column to column, all tiles are equally
    high; where it only changes from row to row, equally wide; else all have the same area.
    """
    by_row = [[ratio for (row, _), ratio in ratios.items() if row == at] for at in range(rows)]
    by_column = [[ratio for (_, column), ratio in ratios.items() if column == at] for at in range(columns)]
    if all(_alike(found) for found in by_column):
        widths, heights = _capped([found[0] if found else 1.0 for found in by_column]), [1.0] * rows
    elif all(_alike(found) for found in by_row):
        # Beside the flattest rows, the others must not become giants.
        widths, heights = [1.0] * columns, _capped([1 / found[0] if found else 1.0 for found in by_row], 3.2)
    else:
        widths = [max((math.sqrt(ratio) for ratio in found), default=1.0) for found in by_column]
        heights = [max((1 / math.sqrt(ratio) for ratio in found), default=1.0) for found in by_row]
    unit = math.sqrt(fmean(widths) * fmean(heights)) if widths and heights else 1.0
    return [width / unit for width in widths], [height / unit for height in heights]


def _capped(sides: Sequence[float], times: float = math.inf) -> list[float]:
    largest = min(_STEEPEST * max(1.0, min(sides)), times * min(sides))
    return [min(side, largest) for side in sides]


def _alike(ratios: Sequence[float]) -> bool:
    return not ratios or max(ratios) < 1.02 * min(ratios)


def largest_sides(
    units: Sides, least: tuple[float, float], taken: tuple[float, float], space: PageSize
) -> Sides:
    """Widths of columns and heights of rows in inches: as large as a screen allows, else on a larger sheet.

    `least` are the sides that labels leave legible, `taken` is what labels and gaps take, both across and down.
    """

    def sides(side: float) -> Sides:
        return [max(least[0], side * one) for one in units[0]], [
            max(least[1], side * one) for one in units[1]
        ]

    def fits(side: float, width: float, height: float) -> bool:
        across, down = sides(side)
        return sum(across) <= width - taken[0] and sum(down) <= height - taken[1]

    def largest(width: float, height: float, most: float) -> float:
        if fits(most, width, height):
            return most
        low, high = 0.0, most
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            low, high = (middle, high) if fits(middle, width, height) else (low, middle)
        return low

    return sides(max(_FLOOR, *(largest(*tier) for tier in space.tiers)))


def fitting(sizes: Sequence[float], gaps: Sequence[float], room: float) -> int:
    """The number of neighbours that fit `room` inches wherever a page begins, at least one; gaps stand between them."""
    starts = list(
        accumulate((size + gap for size, gap in zip(sizes, (*gaps, GAP), strict=True)), initial=0.0)
    )

    def longest(count: int) -> float:
        return max(after - before for before, after in zip(starts, starts[count:], strict=False)) - GAP

    return max(1, bisect_right(range(1, len(sizes) + 1), room, key=longest))


def shared_out(rows: int, columns: int, most: tuple[int, int], per_page: int | None) -> tuple[int, int]:
    """Rows and columns of a page: few pages, none of them a long strip, with at most `most` (rows, columns) each."""
    shapes = [
        (down, across)
        for across in range(1, most[1] + 1)
        for down in [most[0] if per_page is None else min(most[0], per_page // across)]
        if down
    ]
    pages = {shape: math.ceil(rows / shape[0]) * math.ceil(columns / shape[1]) for shape in shapes}
    return min(shapes, key=lambda shape: pages[shape] * (1 + abs(math.log(shape[1] / shape[0] / 1.4)) / 2))


def even(count: int, most: int) -> list[range]:
    """Indices in as few runs of at most `most` as possible, all about equally long."""
    each = max(1, math.ceil(count / max(1, math.ceil(count / most))))
    return [range(at, min(at + each, count)) for at in range(0, count, each)]
