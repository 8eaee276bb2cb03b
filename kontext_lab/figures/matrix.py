"""A table of rows and columns as geometry: headings, brackets around groups, tiles. Pure."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace

from kontext_lab.figures import sizing, text
from kontext_lab.figures.geometry import Label, Line, Rect
from kontext_lab.figures.sizing import GAP, GROUP_GAP, PageSize, Units
from kontext_lab.figures.table import Block, Entry, Ratios, Table, tile_of
from kontext_lab.images import Reference

__all__ = ["lay_matrix", "split_matrix"]

NAME_POINTS = 8.0
_VALUE_SIZES = (9.0, 8.5, 8.0, 7.5, 7.0, 6.5)
_GUTTER_SIZES = (9.0, 8.5, 8.0)
_WIDEST_LABEL, _GUTTER_SHARE = 1.7, 0.45
"""Inches that row labels may take, and the part of the sheet that all of their levels may."""
_COLUMN_LINES, _ROW_LINES = 2, 3
_NARROWEST = 0.3
_BESIDE = 0.09
_UNDER = 0.05


@dataclass(frozen=True)
class _Gutter:
    """The labels of one level of rows.

    Attributes:
        name: of the parameter, "" for none.
        runs: the rows of each label.
        words: the labels.
        lines: the same broken to fit.
        among: the labels of all pages.
        points: type size.
        room: inches a label may take: where rows leave fewer lines, it is cut further.
        right: the edge they are aligned to.
    """

    name: str
    runs: tuple[range, ...]
    words: tuple[str, ...]
    lines: tuple[tuple[str, ...], ...]
    among: tuple[str, ...]
    points: float
    room: float
    right: float


def split_matrix(table: Table, ratios: Ratios, per_page: int | None, room: PageSize) -> list[Table]:
    """The pages of a table: runs of rows by runs of columns, references on every page."""
    units = _units(table, ratios)
    smallest, least = room.smallest(per_page), _least(table)
    fixed_columns = [at for at, entry in enumerate(table.columns) if entry.reference]
    fixed_rows = [at for at, entry in enumerate(table.rows) if entry.reference]
    widths = [max(least[0], width * smallest) for width in units.widths]
    heights = [max(least[1], height * smallest) for height in units.heights]
    gaps_across, gaps_down = _gaps(table.columns), _gaps(table.rows)
    first_row, first_column = len(fixed_rows), len(fixed_columns)
    beside = sum(widths[at] + gaps_across[at] for at in fixed_columns) + _gutter_width(table, room)
    above = sum(heights[at] + gaps_down[at] for at in fixed_rows) + _header_height(table)
    own_rows, own_columns = heights[first_row:], widths[first_column:]
    most = (
        sizing.fitting(own_rows, gaps_down[first_row:], room.tallest - above),
        sizing.fitting(own_columns, gaps_across[first_column:], room.widest - beside),
    )
    each = sizing.shared_out(len(own_rows), len(own_columns), most, per_page)
    down, across = sizing.even(len(own_rows), each[0]), sizing.even(len(own_columns), each[1])
    return [
        _part(
            table,
            [*fixed_rows, *(at + first_row for at in rows)],
            [*fixed_columns, *(at + first_column for at in columns)],
        )
        for rows, columns in itertools.product(down, across)
    ]


def lay_matrix(table: Table, ratios: Ratios, room: PageSize) -> Block:
    """Give everything its place; the block's top left is the origin.

    Args:
        table: one page.
        ratios: width by height of what it shows.
        room: what there is for the tiles.
    """
    units = _units(table, ratios)
    gutter, levels = _gutter(table, room)
    gaps_across, gaps_down = _gaps(table.columns), _gaps(table.rows)
    taken = (gutter + sum(gaps_across), _header_height(table) + sum(gaps_down))
    widths, heights = sizing.sized(units, _least(table), taken, room)
    lefts = _starts(gutter, widths, gaps_across)
    header, labels, lines = _headings(table, lefts, widths)
    tops = _starts(header, heights, gaps_down)
    side_labels, side_lines = _row_labels(levels, tops, heights)
    # The names of the row levels stand above their labels.
    above = header - _UNDER - text.height(1, NAME_POINTS)
    names = [
        Label((level.name,), level.right, above, NAME_POINTS, "name", "right")
        for level in levels
        if level.name
    ]
    tiles = tuple(
        tile_of(
            content,
            row - _reference_count(table.rows),
            column - _reference_count(table.columns),
            sizing.fitted_rect(
                ratios.of(content), Rect(lefts[column], tops[row], widths[column], heights[row])
            ),
        )
        for (row, column), content in sorted(table.places.items(), key=lambda item: item[0])
    )
    return Block(
        width=lefts[-1] + widths[-1],
        height=tops[-1] + heights[-1],
        tiles=tiles,
        labels=(*labels, *names, *side_labels),
        lines=(*lines, *side_lines),
    )


def _units(table: Table, ratios: Ratios) -> Units:
    """Units shared out among the shots; references take what that leaves sensible for them."""
    rows, columns = len(table.rows), len(table.columns)
    first_row, first_column = _reference_count(table.rows), _reference_count(table.columns)
    own = {
        (row - first_row, column - first_column): ratios.of_box(content)
        for (row, column), content in table.places.items()
        if not isinstance(content, Reference)
    }
    units = sizing.units(own, rows - first_row, columns - first_column)
    if not (first_row or first_column):
        return units
    # Beside the tiles as high as they are, above them as wide, but not much larger than they are.
    widths, heights = [0.1], [0.1]
    for (row, column), content in table.places.items():
        if isinstance(content, Reference) and first_column:
            widths.append(ratios.of_box(content) * units.heights[row])
        elif isinstance(content, Reference):
            heights.append(units.widths[column] / ratios.of_box(content))
    width = min(max(widths), 1.2 * max(units.widths))
    height = min(max(heights), 1.2 * max(units.heights))
    return Units((width,) * first_column + units.widths, (height,) * first_row + units.heights)


def _least(table: Table) -> tuple[float, float]:
    """The least width of columns and height of rows whose labels are legible: a few digits, a line."""
    return (
        _NARROWEST if table.column_names else 0.0,
        text.height(1, _GUTTER_SIZES[-1]) if table.row_names else 0.0,
    )


def _reference_count(entries: Sequence[Entry]) -> int:
    return sum(entry.reference for entry in entries)


def _part(table: Table, rows: Sequence[int], columns: Sequence[int]) -> Table:
    new_row = {old: new for new, old in enumerate(rows)}
    new_column = {old: new for new, old in enumerate(columns)}
    return replace(
        table,
        rows=tuple(table.rows[at] for at in rows),
        columns=tuple(table.columns[at] for at in columns),
        places={
            (new_row[row], new_column[column]): content
            for (row, column), content in table.places.items()
            if row in new_row and column in new_column
        },
    )


def _gaps(entries: Sequence[Entry]) -> list[float]:
    """The gap after each entry: wider where an outer level changes, and after references."""
    return [
        GAP + (GROUP_GAP - GAP) * max(one.reference != other.reference, _outer_changes(one, other))
        for one, other in itertools.pairwise(entries)
    ]


def _outer_changes(one: Entry, other: Entry) -> int:
    """How many of the outer levels begin anew between two neighbours."""
    same = itertools.takewhile(lambda pair: pair[0] == pair[1], zip(one.labels, other.labels, strict=False))
    return max(0, len(one.labels) - 1 - len(list(same)))


def _starts(first: float, sizes: Sequence[float], gaps: Sequence[float]) -> list[float]:
    steps = (size + gap for size, gap in zip(sizes, gaps, strict=False))
    return list(itertools.accumulate(steps, initial=first))


def _runs(entries: Sequence[Entry], level: int) -> list[range]:
    """Neighbours that share their labels down to a level, without references."""
    runs: list[range] = []
    for at, entry in enumerate(entries):
        if entry.reference:
            continue
        head = entry.labels[: level + 1]
        if runs and runs[-1].stop == at and entries[runs[-1].start].labels[: level + 1] == head:
            runs[-1] = range(runs[-1].start, at + 1)
        else:
            runs.append(range(at, at + 1))
    return runs


def _headings(
    table: Table, lefts: Sequence[float], widths: Sequence[float]
) -> tuple[float, list[Label], list[Line]]:
    """Names and values above the columns, the outermost level on top; also how high they are."""
    labels: list[Label] = []
    lines: list[Line] = []
    # The names of the rows stand on the same lines: they need one even where columns have no names.
    top = 0.0 if table.column_names or not table.row_names else text.height(1, NAME_POINTS)
    first = _reference_count(table.columns)
    for level, name in enumerate(table.column_names):
        labels.append(_name(name, lefts[first], top, max(1.0, lefts[-1] + widths[-1] - lefts[first])))
        top += text.height(1, NAME_POINTS)
        runs = _runs(table.columns, level)
        innermost = level == len(table.column_names) - 1
        rooms = [lefts[run[-1]] + widths[run[-1]] - lefts[run[0]] for run in runs]
        made = _values(
            [table.columns[run[0]].labels[level] for run in runs], rooms, table.column_values[level]
        )
        deep = max(label.height for label in made)
        for run, room, label in zip(runs, rooms, made, strict=True):
            # Values stand on their tiles, whatever the number of their lines.
            labels.append(label.moved(lefts[run[0]] + room / 2, top + deep - label.height))
            if not innermost:
                lines.append(Line(lefts[run[0]], top + deep, lefts[run[0]] + room, top + deep))
        top += deep + (0.0 if innermost else _UNDER)
    references = [at for at in range(len(table.columns)) if table.columns[at].reference]
    if references:
        made = _values([table.columns[at].labels[0] for at in references], [widths[at] for at in references])
        deep = max(label.height for label in made)
        top = max(top, deep)
        labels.extend(
            label.moved(lefts[at] + widths[at] / 2, top - label.height)
            for at, label in zip(references, made, strict=True)
        )
    return top + (_UNDER if top else 0.0), labels, lines


def _header_height(table: Table) -> float:
    """What the headings take at most, whatever the widths of the columns."""
    level = text.height(1, NAME_POINTS) + text.height(_COLUMN_LINES, _VALUE_SIZES[0]) + _UNDER
    return max(
        level * len(table.column_names), level if _reference_count(table.columns) or table.row_names else 0.0
    )


def _values(texts: Sequence[str], rooms: Sequence[float], among: Sequence[str] = ()) -> list[Label]:
    points = text.fitting_size(texts, _VALUE_SIZES, rooms, _COLUMN_LINES)
    lines = text.labelled(texts, points, rooms, _COLUMN_LINES, among)
    return [Label(one, 0.0, 0.0, points, "value", "center") for one in lines]


def _name(name: str, x: float, top: float, room: float) -> Label:
    return Label((text.shorten(text.clean(name), NAME_POINTS, room),), x, top, NAME_POINTS, "name")


def _gutter_width(table: Table, room: PageSize) -> float:
    """What the row labels and the space before the tiles take at most, whatever their type size."""
    widest = _widest_label(table, room)
    levels = [
        min(max(text.width(text.clean(name), NAME_POINTS), text.widest(values, _GUTTER_SIZES[0])), widest)
        for name, values in zip(table.row_names, table.row_values, strict=True)
    ]
    return sum(levels) + _BESIDE * max(0, 2 * len(levels) - 1)


def _widest_label(table: Table, room: PageSize) -> float:
    return min(_WIDEST_LABEL, _GUTTER_SHARE * room.widest / max(1, len(table.row_names)))


def _gutter(table: Table, room: PageSize) -> tuple[float, list[_Gutter]]:
    """The levels of row labels, and how wide they are together with the space before the tiles."""
    if not table.row_names and not _reference_count(table.rows):
        return 0.0, []
    levels: list[_Gutter] = []
    right, widest = 0.0, _widest_label(table, room)
    names = [text.clean(name) for name in table.row_names] or [""]
    short = text.labelled(names, NAME_POINTS, [widest] * len(names), 1)
    for level, (name,) in enumerate(short):
        runs = _runs(table.rows, level) if table.row_names else []
        words = [table.rows[run[0]].labels[level] for run in runs]
        if level == len(names) - 1:
            runs += [range(at, at + 1) for at, entry in enumerate(table.rows) if entry.reference]
            words += [entry.labels[0] for entry in table.rows if entry.reference]
        among = table.row_values[level] if table.row_names else ()
        rooms = [widest] * len(words)
        points = text.fitting_size(words, _GUTTER_SIZES, rooms, _ROW_LINES)
        lines = text.labelled(words, points, rooms, _ROW_LINES, among)
        own = text.widest((line for entry in lines for line in entry), points)
        wide = max(own, text.width(name, NAME_POINTS))
        right += (_BESIDE * 2 if level else 0.0) + wide
        levels.append(_Gutter(name, tuple(runs), tuple(words), tuple(lines), among, points, wide, right))
    return right + _BESIDE, levels


def _row_labels(
    levels: Sequence[_Gutter], tops: Sequence[float], heights: Sequence[float]
) -> tuple[list[Label], list[Line]]:
    """Values before the rows, in the middle of what they stand for."""
    labels: list[Label] = []
    lines: list[Line] = []
    for gutter in levels:
        innermost = gutter is levels[-1]
        for run, whole, broken in zip(gutter.runs, gutter.words, gutter.lines, strict=True):
            top, bottom = tops[run[0]], tops[run[-1]] + heights[run[-1]]
            most = max(1, int((bottom - top) / text.height(1, gutter.points)))
            fits = len(broken) <= most
            words = (
                broken
                if fits
                else text.labelled([whole], gutter.points, [gutter.room], most, gutter.among)[0]
            )
            label = Label(words, gutter.right, 0.0, gutter.points, "value", "right")
            labels.append(label.moved(0.0, (top + bottom - label.height) / 2))
            if not innermost:
                lines.append(Line(gutter.right + _BESIDE, top, gutter.right + _BESIDE, bottom))
    return labels, lines
