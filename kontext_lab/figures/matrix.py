"""A table of rows and columns as geometry: headings, brackets around groups, tiles. Pure."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from kontext_lab.figures import sizing, text
from kontext_lab.figures.geometry import Block, Label, Line, Rect
from kontext_lab.figures.sizing import PageSize, Sides
from kontext_lab.figures.table import Ratios, Side, Table, tile_of
from kontext_lab.images import Reference

__all__ = ["lay_matrix", "name_label", "split_matrix"]

NAME_POINTS = 8.0
_VALUE_SIZES = (9.0, 8.5, 8.0, 7.5, 7.0, 6.5)
_ROW_SIZES = (9.0, 8.5, 8.0)
_WIDEST_LABEL, _ROW_SHARE = 1.7, 0.45
"""Inches that row labels may take, and the part of the sheet that all of their levels may."""
_COLUMN_LINES, _ROW_LINES = 2, 3
_NARROWEST = 0.3
_BESIDE = 0.09
_UNDER = 0.05


@dataclass(frozen=True)
class _RowLevel:
    """One level of rows: the labels of its runs, broken to fit `room` inches, and the edge they are aligned to."""

    name: str
    runs: list[range]
    words: list[str]
    lines: list[tuple[str, ...]]
    among: tuple[str, ...]
    points: float
    room: float
    right: float


def split_matrix(table: Table, ratios: Ratios, per_page: int | None, space: PageSize) -> list[Table]:
    """The pages of a table: runs of rows by runs of columns, references on every page."""
    widths, heights = _units(table, ratios)
    smallest, least = space.smallest(per_page), _least(table)

    def fitting(side: Side, units: Sequence[float], least: float, room: float) -> int:
        sizes, first = [max(least, smallest * one) for one in units], side.references
        references = sum(sizes[:first]) + sum(side.gaps[:first])
        return sizing.fitting(sizes[first:], side.gaps[first:], room - references)

    most = (
        fitting(table.rows, heights, least[1], space.tallest - _header_height(table)),
        fitting(table.columns, widths, least[0], space.widest - _row_labels_width(table, space)),
    )
    rows, columns = (len(side.entries) - side.references for side in (table.rows, table.columns))
    down, across = sizing.shared_out(rows, columns, most, per_page)
    pages = itertools.product(table.rows.pages(down), table.columns.pages(across))
    return [table.part(*page) for page in pages]


def lay_matrix(table: Table, ratios: Ratios, space: PageSize) -> Block:
    """Give everything on a page its place; the block's top left is the origin."""
    before, levels = _row_levels(table, space)
    gaps = (table.columns.gaps, table.rows.gaps)
    taken = (before + sum(gaps[0]), _header_height(table) + sum(gaps[1]))
    widths, heights = sizing.largest_sides(_units(table, ratios), _least(table), taken, space)
    lefts = _starts(before, widths, gaps[0])
    header, labels, lines = _headings(table, lefts, widths)
    tops = _starts(header, heights, gaps[1])
    for level in levels:
        level_labels, level_lines = _row_labels(level, tops, heights)
        # The name of a level stands above its labels.
        above = header - _UNDER - text.height(1, NAME_POINTS)
        if level.name:
            labels.append(Label((level.name,), level.right, above, NAME_POINTS, "name", "right"))
        labels += level_labels
        lines += level_lines if level is not levels[-1] else []
    first_row, first_column = table.rows.references, table.columns.references
    tiles = []
    for (row, column), content in sorted(table.places.items(), key=lambda item: item[0]):
        box = Rect(lefts[column], tops[row], widths[column], heights[row])
        tiles.append(tile_of(content, row - first_row, column - first_column, box.fitted(ratios.of(content))))
    return Block(
        width=lefts[-1] + widths[-1],
        height=tops[-1] + heights[-1],
        tiles=tuple(tiles),
        labels=tuple(labels),
        lines=tuple(lines),
    )


def _units(table: Table, ratios: Ratios) -> Sides:
    """Units shared out among the shots; references are about as large as the tiles beside or below them."""
    first_row, first_column = table.rows.references, table.columns.references
    own = {
        (row - first_row, column - first_column): ratios.of_box(content)
        for (row, column), content in table.places.items()
        if not isinstance(content, Reference)
    }
    rows, columns = len(table.rows.entries) - first_row, len(table.columns.entries) - first_column
    widths, heights = sizing.units(own, rows, columns)
    # Beside the tiles as high as they are, above them as wide, but not much larger than they are.
    references = [
        (at, ratios.of_box(content)) for at, content in table.places.items() if isinstance(content, Reference)
    ]
    if first_column:
        widest = max([0.1, *(ratio * heights[row] for (row, _), ratio in references)])
        widths = [min(widest, 1.2 * max(widths))] * first_column + widths
    elif first_row:
        highest = max([0.1, *(widths[column] / ratio for (_, column), ratio in references)])
        heights = [min(highest, 1.2 * max(heights))] * first_row + heights
    return widths, heights


def _least(table: Table) -> tuple[float, float]:
    """The least width of columns and height of rows whose labels are legible: a few digits, a line."""
    return (
        _NARROWEST if table.columns.names else 0.0,
        text.height(1, _ROW_SIZES[-1]) if table.rows.names else 0.0,
    )


def _starts(first: float, sizes: Sequence[float], gaps: Sequence[float]) -> list[float]:
    steps = (size + gap for size, gap in zip(sizes, gaps, strict=False))
    return list(itertools.accumulate(steps, initial=first))


def _headings(
    table: Table, lefts: Sequence[float], widths: Sequence[float]
) -> tuple[float, list[Label], list[Line]]:
    """Names and values above the columns, the outermost level on top; also their height."""
    side = table.columns
    rights = [left + width for left, width in zip(lefts, widths, strict=True)]
    labels: list[Label] = []
    lines: list[Line] = []

    def add_values(runs: Sequence[range], level: int, top: float, among: Sequence[str] = ()) -> float:
        """Add the labels of runs of columns; return their height."""
        rooms = [rights[run[-1]] - lefts[run[0]] for run in runs]
        words = [side.entries[run[0]][level] for run in runs]
        points = text.fitting_size(words, _VALUE_SIZES, rooms, _COLUMN_LINES)
        broken = text.labelled(words, points, rooms, _COLUMN_LINES, among)
        deep = text.height(max(map(len, broken)), points)
        for run, room, one in zip(runs, rooms, broken, strict=True):
            # Values stand on their tiles, whatever the number of their lines.
            under = deep - text.height(len(one), points)
            labels.append(Label(one, lefts[run[0]] + room / 2, top + under, points, "value", "center"))
        return deep

    # The names of the rows stand on the same lines: they need one even where columns have no names.
    top = 0.0 if side.names or not table.rows.names else text.height(1, NAME_POINTS)
    first = lefts[side.references]
    for level, name in enumerate(side.names):
        labels.append(name_label(name, first, top, max(1.0, rights[-1] - first)))
        top += text.height(1, NAME_POINTS)
        runs = side.runs(level)
        top += add_values(runs, level, top, side.labels[level])
        if level < len(side.names) - 1:
            lines += [Line(lefts[run[0]], top, rights[run[-1]], top) for run in runs]
            top += _UNDER
    if side.references:
        references = [range(at, at + 1) for at in range(side.references)]
        before = len(labels)
        deep = add_values(references, 0, 0.0)
        labels[before:] = [label.moved(0.0, max(top, deep) - deep) for label in labels[before:]]
        top = max(top, deep)
    return top + (_UNDER if top else 0.0), labels, lines


def _header_height(table: Table) -> float:
    """The height of the headings at most, whatever the widths of the columns."""
    level = text.height(1, NAME_POINTS) + text.height(_COLUMN_LINES, _VALUE_SIZES[0]) + _UNDER
    return level * max(len(table.columns.names), 1 if table.columns.references or table.rows.names else 0)


def name_label(name: str, x: float, top: float, room: float) -> Label:
    """The name of a parameter, cut to `room` inches."""
    return Label((text.shorten(text.clean(name), NAME_POINTS, room),), x, top, NAME_POINTS, "name")


def _row_labels_width(table: Table, space: PageSize) -> float:
    """The width of the row labels and the space before the tiles at most, whatever their type size."""
    widest = _widest_label(table, space)
    levels = [
        min(max(text.width(text.clean(name), NAME_POINTS), text.widest(labels, _ROW_SIZES[0])), widest)
        for name, labels in zip(table.rows.names, table.rows.labels, strict=True)
    ]
    return sum(levels) + _BESIDE * max(0, 2 * len(levels) - 1)


def _widest_label(table: Table, space: PageSize) -> float:
    return min(_WIDEST_LABEL, _ROW_SHARE * space.widest / max(1, len(table.rows.names)))


def _row_levels(table: Table, space: PageSize) -> tuple[float, list[_RowLevel]]:
    """The levels of row labels, and their width together with the space before the tiles."""
    side = table.rows
    if not side.names and not side.references:
        return 0.0, []
    levels: list[_RowLevel] = []
    right, widest = 0.0, _widest_label(table, space)
    names = [text.clean(name) for name in side.names] or [""]
    short = text.labelled(names, NAME_POINTS, [widest] * len(names), 1)
    for level, (name,) in enumerate(short):
        runs = side.runs(level) if side.names else []
        words = [side.entries[run[0]][level] for run in runs]
        if level == len(names) - 1:
            runs += [range(at, at + 1) for at in range(side.references)]
            words += [entry[0] for entry in side.entries[: side.references]]
        among = side.labels[level] if side.names else ()
        rooms = [widest] * len(words)
        points = text.fitting_size(words, _ROW_SIZES, rooms, _ROW_LINES)
        broken = text.labelled(words, points, rooms, _ROW_LINES, among)
        own = text.widest((line for lines in broken for line in lines), points)
        wide = max(own, text.width(name, NAME_POINTS))
        right += (_BESIDE * 2 if level else 0.0) + wide
        levels.append(_RowLevel(name, runs, words, broken, among, points, wide, right))
    return right + _BESIDE, levels


def _row_labels(
    level: _RowLevel, tops: Sequence[float], heights: Sequence[float]
) -> tuple[list[Label], list[Line]]:
    """Values before the rows, in the middle of the rows they stand for, and brackets behind the values."""
    labels: list[Label] = []
    lines: list[Line] = []
    for run, words, broken in zip(level.runs, level.words, level.lines, strict=True):
        top, bottom = tops[run[0]], tops[run[-1]] + heights[run[-1]]
        most = max(1, int((bottom - top) / text.height(1, level.points)))
        fits = len(broken) <= most
        short = broken if fits else text.labelled([words], level.points, [level.room], most, level.among)[0]
        middle = (top + bottom - text.height(len(short), level.points)) / 2
        labels.append(Label(short, level.right, middle, level.points, "value", "right"))
        lines.append(Line(level.right + _BESIDE, top, level.right + _BESIDE, bottom))
    return labels, lines
