"""One axis as a contact sheet: tiles wrapped into rows, each under its label. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from kontext_lab.figures import sizing, text
from kontext_lab.figures.block import Block, tile_of
from kontext_lab.figures.geometry import Label, Rect
from kontext_lab.figures.matrix import NAME_POINTS
from kontext_lab.figures.ratios import Ratios
from kontext_lab.figures.sizing import GAP
from kontext_lab.figures.table import Table

__all__ = ["lay_sheet", "split_sheet"]

_SIZES = (9.0, 8.5, 8.0, 7.5, 7.0, 6.5, 6.0)
_LABEL_LINES = 2
_ROW_GAP = 0.1
_MOST_ROWS = 30


def split_sheet(table: Table, per_page: int | None, cell: float | None) -> list[Table]:
    """The pages of a contact sheet: even runs of tiles."""
    smallest = cell or (sizing.SMALLEST if per_page is None else sizing.SMALLEST / 2)
    label = text.height(1, _SIZES[-1]) if any(any(entry.labels) for entry in table.rows) else 0.0
    across = max(1, int(sizing.MAX_WIDTH / (smallest + GAP)))
    down = max(1, int(sizing.MAX_HEIGHT / (smallest + _ROW_GAP + label)))
    most = min(across * down, per_page or across * down)
    pages = math.ceil(len(table.rows) / most) or 1
    each = math.ceil(len(table.rows) / pages)
    return [
        _part(table, range(at, min(at + each, len(table.rows)))) for at in range(0, len(table.rows), each)
    ]


def lay_sheet(table: Table, ratios: Ratios, cell: float | None) -> Block:
    """Give every tile its place; the block's top left is the origin.

    Tiles of one ratio stand in columns; different ratios fill rows of one width, like photos on a wall.
    """
    found = [ratios.of(table.places[at, 0]) for at in range(len(table.rows))]
    words = [" · ".join(entry.labels) for entry in table.rows]
    labelled = any(words)
    rows, heights = _rows(found, labelled, cell)
    labels: list[Label] = []
    top = 0.0
    if table.row_names:
        name = text.shorten(text.clean(table.row_names[0]), NAME_POINTS, sizing.USUAL_WIDTH)
        labels.append(Label((name,), 0.0, 0.0, NAME_POINTS, "name"))
        top = text.height(1, NAME_POINTS)
    tiles = []
    width = 0.0
    rooms = [heights[row] * found[at] for row, run in enumerate(rows) for at in run]
    points = text.fitting_size(words, _SIZES, rooms, _LABEL_LINES)
    made = [
        Label(text.wrap(one, points, room, _LABEL_LINES), 0.0, 0.0, points, "value")
        for one, room in zip(words, rooms, strict=True)
    ]
    for row, run in enumerate(rows):
        deep = max(made[at].height for at in run) + 0.02 if labelled else 0.0
        left = 0.0
        for at in run:
            rect = Rect(left, top + deep, rooms[at], heights[row])
            tiles.append(tile_of(table.places[at, 0], row, at - run[0], rect))
            if labelled:
                labels.append(made[at].moved(left, top + deep - 0.02 - made[at].height))
            left += rooms[at] + GAP
        width = max(width, left - GAP)
        top += deep + heights[row] + (_ROW_GAP if labelled else GAP)
    return Block(width, top - (_ROW_GAP if labelled else GAP), tuple(tiles), tuple(labels))


def _part(table: Table, run: range) -> Table:
    places = {(at - run.start, 0): table.places[at, 0] for at in run}
    return replace(table, rows=tuple(table.rows[at] for at in run), places=places)


def _rows(ratios: Sequence[float], labelled: bool, cell: float | None) -> tuple[list[range], list[float]]:
    """Which tiles stand in which row, and how high each row is."""
    best: tuple[list[range], list[float]] = ([], [])
    label = text.height(1, _SIZES[0]) if labelled else 0.0
    if cell is not None:
        across = max(1, int((sizing.MAX_WIDTH + GAP) / (cell * math.sqrt(max(ratios)) + GAP)))
        runs = _split(ratios, math.ceil(len(ratios) / across))
        return runs, [cell / math.sqrt(sum(ratios[at] for at in run) / len(run)) for run in runs]
    usual = (sizing.USUAL_WIDTH, sizing.USUAL_HEIGHT, sizing.LARGEST)
    largest = (sizing.MAX_WIDTH, sizing.MAX_HEIGHT, sizing.COMFORTABLE)
    for width, height, most in (usual, largest):
        for count in range(1, min(len(ratios), _MOST_ROWS) + 1):
            runs = _split(ratios, count)
            heights = _heights(ratios, runs, (width, height, most), label)
            if not best[1] or _area(ratios, runs, heights) > 1.02 * _area(ratios, *best):
                best = (runs, heights)
        if _area(ratios, *best) >= sizing.COMFORTABLE**2 * 0.98:
            break
    return best


def _split(ratios: Sequence[float], count: int) -> list[range]:
    """Tiles in at most `count` rows of about equal width, in order."""
    if max(ratios) < 1.02 * min(ratios):
        each = math.ceil(len(ratios) / count)
        return [range(at, min(at + each, len(ratios))) for at in range(0, len(ratios), each)]
    runs: list[range] = []
    start, filled = 0, 0.0
    for at, ratio in enumerate(ratios):
        share = sum(ratios) * (len(runs) + 1) / count
        if at > start and filled + ratio / 2 > share:
            runs.append(range(start, at))
            start = at
        filled += ratio
    return [*runs, range(start, len(ratios))]


def _heights(
    ratios: Sequence[float], runs: Sequence[range], room: tuple[float, float, float], label: float
) -> list[float]:
    """Rows as wide as the widest may be, all of them together no higher than the room."""
    width, height, most = room
    gaps = max(len(run) for run in runs) * GAP
    full = max(sum(ratios[at] for at in run) for run in runs)
    # The last row, or one of few narrow tiles, is not blown up to the full width.
    least = full if max(ratios) < 1.02 * min(ratios) else 0.72 * full
    heights = []
    for run in runs:
        across = sum(ratios[at] for at in run)
        heights.append((width - gaps) / max(across, least))
    largest = max(high * math.sqrt(ratios[at]) for high, run in zip(heights, runs, strict=True) for at in run)
    free = height - len(runs) * (label + _ROW_GAP)
    factor = min(1.0, most / largest, max(free, 0.2) / sum(heights))
    return [high * factor for high in heights]


def _area(ratios: Sequence[float], runs: Sequence[range], heights: Sequence[float]) -> float:
    """The area of a tile on average: what the number of rows is chosen by."""
    total = sum(high * high * sum(ratios[at] for at in run) for high, run in zip(heights, runs, strict=True))
    return total / len(ratios)
