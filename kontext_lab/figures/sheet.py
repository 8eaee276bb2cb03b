"""One axis as a contact sheet: tiles wrapped into rows, each under its label. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from kontext_lab.figures import sizing, text
from kontext_lab.figures.block import Block, tile_of
from kontext_lab.figures.geometry import Label, Rect, Tile
from kontext_lab.figures.matrix import NAME_POINTS
from kontext_lab.figures.ratios import Ratios
from kontext_lab.figures.sizing import GAP, Room
from kontext_lab.figures.table import Table

__all__ = ["lay_sheet", "split_sheet"]

_SIZES = (9.0, 8.5, 8.0, 7.5, 7.0, 6.5)
_LABEL_LINES = 2
_ROW_GAP = 0.1
_UNDER = 0.02
_MOST_ROWS = 30


def split_sheet(table: Table, per_page: int | None, room: Room) -> list[Table]:
    """The pages of a contact sheet: even runs of tiles, references on every page."""
    smallest = room.cell or (sizing.SMALLEST if per_page is None else sizing.SMALLEST / 2)
    label = text.height(1, _SIZES[-1]) if any(any(entry.labels) for entry in table.rows) else 0.0
    across = max(1, int(room.widest / (smallest + GAP)))
    down = max(1, int(sizing.MAX_HEIGHT / (smallest + _ROW_GAP + label)))
    most = min(across * down, per_page or across * down)
    fixed = [at for at, entry in enumerate(table.rows) if entry.reference]
    runs = sizing.even(len(table.rows) - len(fixed), max(1, most - len(fixed)))
    return [_part(table, [*fixed, *(at + len(fixed) for at in run)]) for run in runs]


def lay_sheet(table: Table, ratios: Ratios, room: Room) -> Block:
    """Give every tile its place; the block's top left is the origin.

    Tiles of one ratio stand in columns; different ratios fill rows of one width, like photos on a wall.
    """
    contents = [table.places[at, 0] for at in range(len(table.rows))]
    found = [ratios.of_box(content) for content in contents]
    words = [" · ".join(entry.labels) for entry in table.rows]
    runs, heights = _rows(found, any(words), room)
    widths = [heights[row] * found[at] for row, run in enumerate(runs) for at in run]
    above = _labels(words, widths)
    top = text.height(1, NAME_POINTS) if table.row_names else 0.0
    rects: list[Rect] = []
    tiles: list[Tile] = []
    for row, run in enumerate(runs):
        top += max(above[at].height for at in run) + (_UNDER if any(words) else 0.0)
        left = 0.0
        for at in run:
            rects.append(Rect(left, top, widths[at], heights[row]))
            rect = sizing.fitted_rect(ratios.of(contents[at]), rects[at])
            tiles.append(tile_of(contents[at], row, at - run[0], rect))
            left += widths[at] + GAP
        top += heights[row] + (_ROW_GAP if any(words) else GAP)
    labels = [
        label.moved(rect.left, rect.top - _UNDER - label.height)
        for label, rect in zip(above, rects, strict=True)
        if any(label.lines)
    ]
    first = rects[_first_of_row(table, runs[0])].left
    labels += [_name(name, first, room.width) for name in table.row_names]
    return Block(max(rect.right for rect in rects), rects[-1].bottom, tuple(tiles), tuple(labels))


def _labels(words: Sequence[str], widths: Sequence[float]) -> list[Label]:
    points = text.fitting_size(words, _SIZES, widths, _LABEL_LINES)
    return [
        Label(text.wrap(one, points, width, _LABEL_LINES) if one else (), 0.0, 0.0, points, "value")
        for one, width in zip(words, widths, strict=True)
    ]


def _first_of_row(table: Table, run: range) -> int:
    """The first tile of a row that the parameter's name holds for."""
    return next((at for at in run if not table.rows[at].reference), run[0])


def _name(name: str, left: float, room: float) -> Label:
    return Label((text.shorten(text.clean(name), NAME_POINTS, room),), left, 0.0, NAME_POINTS, "name")


def _part(table: Table, kept: Sequence[int]) -> Table:
    places = {(new, 0): table.places[old, 0] for new, old in enumerate(kept)}
    return replace(table, rows=tuple(table.rows[at] for at in kept), places=places)


def _rows(ratios: Sequence[float], labelled: bool, room: Room) -> tuple[list[range], list[float]]:
    """Which tiles stand in which row, and how high each row is."""
    best: tuple[list[range], list[float]] = ([], [])
    label = text.height(1, _SIZES[0]) if labelled else 0.0
    if room.cell is not None:
        cell = room.cell
        across = max(1, int((room.widest + GAP) / (cell * math.sqrt(max(ratios)) + GAP)))
        runs = _split(ratios, math.ceil(len(ratios) / across))
        return runs, [cell / math.sqrt(sum(ratios[at] for at in run) / len(run)) for run in runs]
    for tier in room.tiers:
        # A larger sheet is only worth it for larger tiles.
        if best[1] and _area(ratios, *best) >= 0.9 * tier[2] ** 2:
            break
        for count in range(1, min(len(ratios), _MOST_ROWS) + 1):
            runs = _split(ratios, count)
            heights = _heights(ratios, runs, tier, label)
            if not best[1] or _worth(ratios, runs, heights) > 1.02 * _worth(ratios, *best):
                best = (runs, heights)
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


def _worth(ratios: Sequence[float], runs: Sequence[range], heights: Sequence[float]) -> float:
    """What the number of rows is chosen by: large tiles, and few places left empty in the last row."""
    widths = [high * sum(ratios[at] for at in run) for high, run in zip(heights, runs, strict=True)]
    filled = sum(widths) / (max(widths) * len(widths))
    return math.sqrt(_area(ratios, runs, heights)) * filled**2


def _area(ratios: Sequence[float], runs: Sequence[range], heights: Sequence[float]) -> float:
    """The area of a tile on average."""
    total = sum(high * high * sum(ratios[at] for at in run) for high, run in zip(heights, runs, strict=True))
    return total / len(ratios)
