"""One axis as a contact sheet: tiles wrapped into rows, each under its label. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from statistics import fmean

from kontext_lab.figures import sizing, text
from kontext_lab.figures.geometry import Label, Rect, Tile
from kontext_lab.figures.matrix import NAME_POINTS
from kontext_lab.figures.sizing import GAP, PageSize
from kontext_lab.figures.table import Block, Ratios, Table, tile_of

__all__ = ["lay_sheet", "split_sheet"]

_SIZES = (9.0, 8.5, 8.0, 7.5, 7.0, 6.5)
_LABEL_LINES = 2
_ROW_GAP = 0.1
_UNDER = 0.02
_MOST_ROWS = 60
_NARROWEST = 0.1


def split_sheet(table: Table, ratios: Ratios, per_page: int | None, room: PageSize) -> list[Table]:
    """The pages of a contact sheet: even runs of tiles, references on every page."""
    smallest = room.smallest(per_page)
    root = math.sqrt(fmean(ratios.of_box(content) for content in table.places.values()))
    label = _label_height([" · ".join(entry.labels) for entry in table.rows], smallest * root)
    across = max(1, int((room.widest + GAP) / (smallest * root + GAP)))
    down = max(1, int((room.tallest - _name_height(table)) / (smallest / root + _ROW_GAP + label)))
    most = min(across * down, per_page or across * down)
    fixed = [at for at, entry in enumerate(table.rows) if entry.reference]
    runs = sizing.even(len(table.rows) - len(fixed), max(1, most - len(fixed)))
    pages = []
    for run in runs:
        kept = [*fixed, *(at + len(fixed) for at in run)]
        places = {(new, 0): table.places[old, 0] for new, old in enumerate(kept)}
        pages.append(replace(table, rows=tuple(table.rows[at] for at in kept), places=places))
    return pages


def lay_sheet(table: Table, ratios: Ratios, room: PageSize) -> Block:
    """Give every tile its place; the block's top left is the origin.

    Tiles of one ratio stand in columns; different ratios fill rows of one width, like photos on a wall.
    """
    contents = [table.places[at, 0] for at in range(len(table.rows))]
    found = [ratios.of_box(content) for content in contents]
    words = [" · ".join(entry.labels) for entry in table.rows]
    runs, heights = _rows(found, words, room, _name_height(table))
    widths = [heights[row] * found[at] for row, run in enumerate(runs) for at in run]
    points = text.fitting_size(words, _SIZES, widths, _LABEL_LINES)
    among = table.row_values[0] if table.row_values else ()
    broken = text.labelled(words, points, widths, _LABEL_LINES, among)
    above = [
        Label(lines if one else (), 0.0, 0.0, points, "value")
        for one, lines in zip(words, broken, strict=True)
    ]
    top = _name_height(table)
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
    # The parameter's name stands above the first tile that it holds for.
    first = rects[next((at for at in runs[0] if not table.rows[at].reference), runs[0][0])].left
    for name in table.row_names:
        short = text.shorten(text.clean(name), NAME_POINTS, room.width)
        labels.append(Label((short,), first, 0.0, NAME_POINTS, "name"))
    return Block(max(rect.right for rect in rects), rects[-1].bottom, tuple(tiles), tuple(labels))


def _name_height(table: Table) -> float:
    return text.height(1, NAME_POINTS) if table.row_names else 0.0


def _label_height(words: Sequence[str], width: float) -> float:
    """What the labels of a row take above tiles of a width, the space below them included."""
    if not any(words):
        return 0.0
    lines = 1 if text.widest(words, _SIZES[0]) <= width else _LABEL_LINES
    return text.height(lines, _SIZES[0]) + _UNDER


def _rows(
    ratios: Sequence[float], words: Sequence[str], room: PageSize, above: float
) -> tuple[list[range], list[float]]:
    """Which tiles stand in which row, and how high each row is.

    Args:
        ratios: width by height of each tile.
        words: the tiles' labels.
        room: what there is for rows and labels.
        above: inches of it that are taken.
    """
    best: tuple[list[range], list[float]] = ([], [])
    for width, height, most in room.tiers:
        # A larger sheet is only worth it for larger tiles.
        if best[1] and _area(ratios, *best) >= 0.9 * most**2:
            break
        for count in range(1, min(len(ratios), _MOST_ROWS) + 1):
            runs = _split(ratios, count)
            heights = _heights(ratios, runs, words, (width, height - above, most))
            if heights and (not best[1] or _worth(ratios, runs, heights) > 1.02 * _worth(ratios, *best)):
                best = (runs, heights)
    return best


def _split(ratios: Sequence[float], count: int) -> list[range]:
    """Tiles in at most `count` rows of about equal width, in order."""
    if max(ratios) < 1.02 * min(ratios):
        each = math.ceil(len(ratios) / count)
        return [range(at, min(at + each, len(ratios))) for at in range(0, len(ratios), each)]
    runs: list[range] = []
    start, filled, total = 0, 0.0, sum(ratios)
    for at, ratio in enumerate(ratios):
        share = total * (len(runs) + 1) / count
        if at > start and filled + ratio / 2 > share:
            runs.append(range(start, at))
            start = at
        filled += ratio
    return [*runs, range(start, len(ratios))]


def _heights(
    ratios: Sequence[float], runs: Sequence[range], words: Sequence[str], room: tuple[float, float, float]
) -> list[float]:
    """Rows as wide as the widest may be, all of them together no higher than the room; none where they don't fit."""
    width, height, most = room
    gaps = max(len(run) for run in runs) * GAP
    full = max(sum(ratios[at] for at in run) for run in runs)
    # The last row, or one of few narrow tiles, is not blown up to the full width.
    least = full if max(ratios) < 1.02 * min(ratios) else 0.72 * full
    heights = [(width - gaps) / max(sum(ratios[at] for at in run), least) for run in runs]
    if min(heights) <= 0:
        return []
    largest = max(high * math.sqrt(ratios[at]) for high, run in zip(heights, runs, strict=True) for at in run)
    narrowest = min(high * ratios[at] for high, run in zip(heights, runs, strict=True) for at in run)
    factor = min(1.0, most / largest)
    labels = _label_height(words, factor * narrowest)
    free = height - len(runs) * (labels + (_ROW_GAP if labels else GAP))
    factor = min(factor, free / sum(heights))
    return [high * factor for high in heights] if factor * narrowest >= _NARROWEST else []


def _worth(ratios: Sequence[float], runs: Sequence[range], heights: Sequence[float]) -> float:
    """What the number of rows is chosen by: large tiles, and few places left empty in the last row."""
    widths = [high * sum(ratios[at] for at in run) for high, run in zip(heights, runs, strict=True)]
    filled = sum(widths) / (max(widths) * len(widths))
    return math.sqrt(_area(ratios, runs, heights)) * filled**2


def _area(ratios: Sequence[float], runs: Sequence[range], heights: Sequence[float]) -> float:
    """The area of a tile on average."""
    total = sum(high * high * sum(ratios[at] for at in run) for high, run in zip(heights, runs, strict=True))
    return total / len(ratios)
