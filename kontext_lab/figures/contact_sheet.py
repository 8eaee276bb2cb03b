"""One axis as a contact sheet: tiles wrapped into rows, each under its label. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean

from kontext_lab.figures import text
from kontext_lab.figures.geometry import Block, Label, Rect, Tile
from kontext_lab.figures.matrix import NAME_POINTS, name_label
from kontext_lab.figures.sizing import GAP, PageSize
from kontext_lab.figures.table import Ratios, Table, tile_of

__all__ = ["lay_sheet", "split_sheet"]

_SIZES = (9.0, 8.5, 8.0, 7.5, 7.0, 6.5)
_LABEL_LINES = 2
_ROW_GAP = 0.1
_UNDER = 0.02
_MOST_ROWS = 60
_NARROWEST = 0.1


def split_sheet(table: Table, ratios: Ratios, per_page: int | None, space: PageSize) -> list[Table]:
    """The pages of a contact sheet: even runs of tiles, references on every page."""
    smallest = space.smallest(per_page)
    root = math.sqrt(fmean(ratios.of_box(content) for content in table.places.values()))
    label = _label_height([" · ".join(labels) for labels in table.rows.entries], smallest * root)
    across = max(1, int((space.widest + GAP) / (smallest * root + GAP)))
    down = max(1, int((space.tallest - _name_height(table)) / (smallest / root + _ROW_GAP + label)))
    most = min(across * down, per_page or across * down)
    return [table.part(rows, [0]) for rows in table.rows.pages(max(1, most - table.rows.references))]


def lay_sheet(table: Table, ratios: Ratios, space: PageSize) -> Block:
    """Give every tile its place; the block's top left is the origin.

    Tiles of one ratio stand in columns; different ratios fill rows of one width, like photos on a wall.
    """
    contents = [table.places[at, 0] for at in range(len(table.rows.entries))]
    found = [ratios.of_box(content) for content in contents]
    words = [" · ".join(labels) for labels in table.rows.entries]
    runs, heights = _rows(found, words, space, _name_height(table))
    widths = [heights[row] * found[at] for row, run in enumerate(runs) for at in run]
    points = text.fitting_size(words, _SIZES, widths, _LABEL_LINES)
    among = table.rows.labels[0] if table.rows.labels else ()
    broken = text.labelled(words, points, widths, _LABEL_LINES, among)
    under = _UNDER if any(words) else 0.0
    top, right = _name_height(table), 0.0
    tiles: list[Tile] = []
    labels: list[Label] = []
    for row, run in enumerate(runs):
        top += max(text.height(len(broken[at]) if words[at] else 0, points) for at in run) + under
        left = 0.0
        for at in run:
            box = Rect(left, top, widths[at], heights[row])
            tiles.append(tile_of(contents[at], row, at - run[0], box.fitted(ratios.of(contents[at]))))
            if words[at]:
                above = top - _UNDER - text.height(len(broken[at]), points)
                labels.append(Label(broken[at], left, above, points, "value"))
            left, right = box.right + GAP, max(right, box.right)
        top += heights[row] + (_ROW_GAP if any(words) else GAP)
    # The parameter's name stands above the first tile that it holds for.
    before = table.rows.references if table.rows.references < len(runs[0]) else 0
    first = sum(widths[at] + GAP for at in range(before))
    labels += [name_label(name, first, 0.0, space.width) for name in table.rows.names]
    return Block(right, box.bottom, tuple(tiles), tuple(labels))


def _name_height(table: Table) -> float:
    return text.height(1, NAME_POINTS) if table.rows.names else 0.0


def _label_height(words: Sequence[str], width: float) -> float:
    """Inches that the labels of a row take above tiles of a width, the space below them included."""
    if not any(words):
        return 0.0
    lines = 1 if text.widest(words, _SIZES[0]) <= width else _LABEL_LINES
    return text.height(lines, _SIZES[0]) + _UNDER


def _rows(
    ratios: Sequence[float], words: Sequence[str], space: PageSize, above: float
) -> tuple[list[range], list[float]]:
    """The tiles of each row, and its height; `above` inches of the space are taken."""
    best: tuple[list[range], list[float]] = ([], [])
    for width, height, most in space.tiers:
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
    """The measure that the number of rows is chosen by: large tiles, and few empty places in the last row."""
    widths = [high * sum(ratios[at] for at in run) for high, run in zip(heights, runs, strict=True)]
    filled = sum(widths) / (max(widths) * len(widths))
    return math.sqrt(_area(ratios, runs, heights)) * filled**2


def _area(ratios: Sequence[float], runs: Sequence[range], heights: Sequence[float]) -> float:
    """The area of a tile on average."""
    total = sum(high * high * sum(ratios[at] for at in run) for high, run in zip(heights, runs, strict=True))
    return total / len(ratios)
