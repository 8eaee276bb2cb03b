"""How large rows, columns and tiles are, and how many fit a sheet. Numbers only, in inches."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from statistics import fmean

from kontext_lab.errors import SweepError
from kontext_lab.figures.geometry import Rect

__all__ = [
    "GAP",
    "GROUP_GAP",
    "MAX_HEIGHT",
    "MAX_WIDTH",
    "SMALLEST",
    "PageSize",
    "Units",
    "check_page",
    "even",
    "fitted_rect",
    "fitting",
    "shared_out",
    "sized",
    "units",
]

MAX_WIDTH, MAX_HEIGHT = 14.0, 14.0
"""Inches that tiles and their labels may take; the rest goes to the next page."""

SMALLEST = 0.6
"""Side of a square tile below which there is a further page instead."""

GAP, GROUP_GAP = 0.05, 0.18

_FLOOR = 0.15
"""Side of a square tile where labels leave less on the page."""

_HALVINGS = 24

_STEEPEST = 1.87
"""How much longer than its fellows a tile may be to fill its row or column; extreme ones leave some free."""

Place = tuple[int, int]
Across = tuple[float, float]
"""Inches across and down."""


@dataclass(frozen=True)
class PageSize:
    """What tiles take where that leaves them large enough: the width of a notebook, the height of a screen.

    Attributes:
        width: inches.
        height: inches.
        largest: side of a square tile that is never exceeded.
        cell: the side itself, where it was asked for and a page has room for it.
        widest: inches that are not exceeded, for however many tiles.
        tallest: the same downwards.
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
        """Side of a square tile that pages are made for; people who say how many they want get smaller ones."""
        return self.cell or (SMALLEST if per_page is None else SMALLEST / 2)


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
        # Beside the flattest rows, the others must not become giants.
        widths, heights = [1.0] * columns, _capped([1 / found[0] if found else 1.0 for found in by_row], 3.2)
    else:
        widths = [max((math.sqrt(ratio) for ratio in found), default=1.0) for found in by_column]
        heights = [max((1 / math.sqrt(ratio) for ratio in found), default=1.0) for found in by_row]
    unit = math.sqrt(fmean(widths) * fmean(heights)) if widths and heights else 1.0
    return Units(tuple(width / unit for width in widths), tuple(height / unit for height in heights))


def _capped(sides: Sequence[float], times: float = math.inf) -> list[float]:
    largest = min(_STEEPEST * max(1.0, min(sides)), times * min(sides))
    return [min(side, largest) for side in sides]


def _alike(ratios: Sequence[float]) -> bool:
    return not ratios or max(ratios) < 1.02 * min(ratios)


def fitted_rect(ratio: float, box: Rect) -> Rect:
    """The largest rectangle of a ratio in the middle of a box."""
    width = min(box.width, box.height * ratio)
    height = width / ratio
    return Rect(box.left + (box.width - width) / 2, box.top + (box.height - height) / 2, width, height)


def sized(units: Units, least: Across, taken: Across, room: PageSize) -> tuple[list[float], list[float]]:
    """Widths of columns and heights of rows in inches: as large as a screen allows, else on a larger sheet.

    Args:
        units: what they are in units.
        least: the least width and the least height that labels leave legible.
        taken: inches that labels and gaps take, across and down.
        room: what there is.
    """

    def sides(side: float) -> tuple[list[float], list[float]]:
        return [max(least[0], side * one) for one in units.widths], [
            max(least[1], side * one) for one in units.heights
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

    return sides(max(_FLOOR, *(largest(*tier) for tier in room.tiers)))


def fitting(sizes: Sequence[float], gaps: Sequence[float], room: float) -> int:
    """How many neighbours fit `room` inches wherever a page begins; at least one.

    Args:
        sizes: inches of each.
        gaps: inches after each but the last.
        room: inches.
    """
    starts = list(
        accumulate((size + gap for size, gap in zip(sizes, (*gaps, GAP), strict=True)), initial=0.0)
    )

    def longest(count: int) -> float:
        return max(after - before for before, after in zip(starts, starts[count:], strict=False)) - GAP

    return max(1, bisect_right(range(1, len(sizes) + 1), room, key=longest))


def shared_out(rows: int, columns: int, most: tuple[int, int], per_page: int | None) -> tuple[int, int]:
    """How many rows and columns a page gets: few pages, and none of them a long strip.

    Args:
        rows: all of them.
        columns: all of them.
        most: how many of each fit a page.
        per_page: how many tiles a page may have.
    """
    shapes = [
        (down, across)
        for across in range(1, most[1] + 1)
        for down in [most[0] if per_page is None else min(most[0], per_page // across)]
        if down
    ]
    pages = {shape: math.ceil(rows / shape[0]) * math.ceil(columns / shape[1]) for shape in shapes}
    return min(shapes, key=lambda shape: pages[shape] * (1 + abs(math.log(shape[1] / shape[0] / 1.4)) / 2))


def even(count: int, most: int) -> list[range]:
    """Indices in as few runs of at most `most` as may be, all about equally long."""
    each = max(1, math.ceil(count / max(1, math.ceil(count / most))))
    return [range(at, min(at + each, count)) for at in range(0, count, each)]


def check_page(page: int, pages: int) -> None:
    """The page exists.

    Raises:
        SweepError: it doesn't; says how many there are.
    """
    if isinstance(page, bool) or not isinstance(page, int) or not 1 <= page <= pages:
        there = "there is only page 1" if pages == 1 else f"there are pages 1 to {pages}"
        raise SweepError(f"page: {page!r}, {there}")
