"""Assigns each output to a row and a column of the grid, with headings and aspect ratios; no sizes yet. Pure."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from statistics import median

from kontext_lab.figures.axis_choice import Choice
from kontext_lab.figures.axis_values import Shot, Value, Values
from kontext_lab.figures.geometry import Crop, Label, Line, Rect, Tile
from kontext_lab.figures.placeholder_cards import card_of, fitted
from kontext_lab.figures.value_frames import View
from kontext_lab.images import Reference
from kontext_lab.request import SIZES

__all__ = ["Block", "Content", "Entry", "Ratios", "Table", "make_table", "tile_of"]


Content = Shot | Reference
"""What a tile shows."""


@dataclass(frozen=True)
class Entry:
    """One row or column.

    Attributes:
        labels: one per level, the outermost first.
        reference: whether it holds references: then it has this one label only.
    """

    labels: tuple[str, ...]
    reference: bool = False


@dataclass(frozen=True)
class Table:
    """Rows, columns and what stands where they meet.

    Attributes:
        row_names: the parameters of the rows' levels.
        column_names: the parameters of the columns' levels.
        rows: in order.
        columns: in order.
        row_values: the labels of each of the rows' levels, those of all pages.
        column_values: the same of the columns'.
        places: (row, column) to what stands there; combinations that don't exist are missing.
        sheet: whether it is a contact sheet: one column of labelled tiles, to be wrapped.
        hidden: how many shots stand behind others at their place.
        no_reference: why references that were asked for are missing, or "".
    """

    row_names: tuple[str, ...] = ()
    column_names: tuple[str, ...] = ()
    rows: tuple[Entry, ...] = ()
    columns: tuple[Entry, ...] = ()
    row_values: tuple[tuple[str, ...], ...] = ()
    column_values: tuple[tuple[str, ...], ...] = ()
    places: dict[tuple[int, int], Content] = field(default_factory=dict)
    sheet: bool = False
    hidden: int = 0
    no_reference: str = ""


def make_table(values: Values, choice: Choice, *, reference: bool) -> Table:
    """Place the chosen shots, and their references where they are asked for."""
    if reference and choice.sheet == "image":
        # Under each reference what became of it: a sheet would tear them apart.
        choice = replace(choice, sheet="", columns=("image",))
    table = _sheet(values, choice) if not (choice.rows or choice.columns) else _matrix(values, choice)
    return _with_references(table) if reference else table


def _matrix(values: Values, choice: Choice) -> Table:
    rows, row_entries = _entries(values, choice, choice.rows)
    columns, column_entries = _entries(values, choice, choice.columns)
    places: dict[tuple[int, int], Content] = {}
    for shot in choice.shots:
        at = (
            rows[_combination(values, shot, choice.rows)],
            columns[_combination(values, shot, choice.columns)],
        )
        places.setdefault(at, shot)
    hidden = len(choice.shots) - len(places)
    return Table(
        choice.rows,
        choice.columns,
        row_entries,
        column_entries,
        _levels(row_entries),
        _levels(column_entries),
        places,
        hidden=hidden,
    )


def _sheet(values: Values, choice: Choice) -> Table:
    keys = (choice.sheet,) if choice.sheet else ()
    rows, entries = _entries(values, choice, keys)
    places: dict[tuple[int, int], Content] = {}
    for shot in choice.shots:
        places.setdefault((rows[_combination(values, shot, keys)], 0), shot)
    hidden = len(choice.shots) - len(places)
    values_of = _levels(entries)
    return Table(keys, (), entries, (Entry(()),), values_of, places=places, sheet=True, hidden=hidden)


def _levels(entries: Sequence[Entry]) -> tuple[tuple[str, ...], ...]:
    """The labels of each level, each once."""
    return tuple(tuple(dict.fromkeys(level)) for level in zip(*(one.labels for one in entries), strict=True))


def _combination(values: Values, shot: Shot, keys: Sequence[str]) -> tuple[Value, ...]:
    return tuple(values.value(shot, key) for key in keys)


def _entries(
    values: Values, choice: Choice, keys: Sequence[str]
) -> tuple[dict[tuple[Value, ...], int], tuple[Entry, ...]]:
    """The combinations of the keys' values that occur, in order, and their headings."""
    first = {_combination(values, shot, keys): shot for shot in reversed(choice.shots)}
    levels = [values.present(choice.shots, key) for key in keys]
    order = [combination for combination in itertools.product(*levels) if combination in first]
    together = _varying_with(values, choice, keys)
    entries = []
    for combination in order:
        labels = [value.label for value in combination]
        if together and labels:
            also = (f"{key} {values.value(first[combination], key).label}" for key in together)
            labels[-1] = " · ".join((labels[-1], *also))
        entries.append(Entry(tuple(labels)))
    return {combination: at for at, combination in enumerate(order)}, tuple(entries)


def _varying_with(values: Values, choice: Choice, keys: Sequence[str]) -> list[str]:
    """Parameters without a place of their own that follow these keys: paired values."""
    found = []
    for key in values.axes:
        if key in choice.placed or len(values.present(choice.shots, key)) < 2:
            continue
        by_keys: dict[tuple[Value, ...], set[Value]] = {}
        for shot in choice.shots:
            by_keys.setdefault(_combination(values, shot, keys), set()).add(values.value(shot, key))
        if all(len(seen) == 1 for seen in by_keys.values()):
            found.append(key)
    return found


def _with_references(table: Table) -> Table:
    """The same with references: one column where each row has its own, else one row."""
    if any(isinstance(shot, Shot) and not _references(shot) for shot in table.places.values()):
        return replace(table, no_reference="the references are not held by these results")
    by_row = _common(table, 0)
    if table.sheet:
        if len(set(by_row.values())) != 1:
            return replace(table, no_reference=_MIXED)
        return _flipped(_beside(_flipped(table), {0: next(iter(by_row.values()))}))
    if by_row:
        return _beside(table, by_row)
    by_column = _common(table, 1)
    if by_column:
        return _flipped(_beside(_flipped(table), by_column))
    return replace(table, no_reference=_MIXED) if table.places else table


_MIXED = "the references differ within rows and columns: put image on rows or columns"


def _references(shot: Shot) -> tuple[Reference, ...]:
    held = shot.cell.request.images if shot.cell.request is not None else ()
    return held if all(reference.png for reference in held) else ()


def _common(table: Table, side: int) -> dict[int, tuple[Reference, ...]]:
    """The references of each row (side 0) or column (1); nothing where they differ within one."""
    found: dict[int, tuple[Reference, ...]] = {}
    for at, shot in table.places.items():
        if isinstance(shot, Shot) and found.setdefault(at[side], _references(shot)) != _references(shot):
            return {}
    return found


def _beside(table: Table, by_row: dict[int, tuple[Reference, ...]]) -> Table:
    count = max(len(references) for references in by_row.values())
    places: dict[tuple[int, int], Content] = {
        (row, column + count): content for (row, column), content in table.places.items()
    }
    for row, references in by_row.items():
        places.update({(row, column): reference for column, reference in enumerate(references)})
    columns = tuple(Entry((name,), reference=True) for name in _reference_names(count))
    return replace(table, columns=(*columns, *table.columns), places=places)


def _reference_names(count: int) -> list[str]:
    return ["reference"] if count == 1 else [f"reference {number}" for number in range(1, count + 1)]


def _flipped(table: Table) -> Table:
    return replace(
        table,
        row_names=table.column_names,
        column_names=table.row_names,
        rows=table.columns,
        columns=table.rows,
        row_values=table.column_values,
        column_values=table.row_values,
        places={(column, row): content for (row, column), content in table.places.items()},
    )


@dataclass(frozen=True)
class Block:
    """Tiles with their headings, measured from their own top left."""

    width: float
    height: float
    tiles: tuple[Tile, ...] = ()
    labels: tuple[Label, ...] = ()
    lines: tuple[Line, ...] = ()


def tile_of(content: Content, row: int, column: int, rect: Rect) -> Tile:
    """The tile of a shot or a reference, its words broken to fit."""
    if isinstance(content, Reference):
        return Tile(row, column, rect, reference=content)
    card = card_of(content.cell, content.output)
    return Tile(
        row,
        column,
        rect,
        content.cell,
        content.output,
        card=fitted(card, rect.width, rect.height) if card else None,
        reused=card is None and bool(content.cell.reused_from),
    )


_STRIP = 4.0


class Ratios:
    """Width by height of what a table shows, after cropping."""

    def __init__(self, contents: Iterable[Content], crop: Crop, view: View | None = None) -> None:
        self._view = view or View()
        self._factor = (crop[2] - crop[0]) / (crop[3] - crop[1])
        known = [
            ratio
            for content in contents
            if isinstance(content, Shot) and (ratio := _known(content, self._view))
        ]
        # What nothing is known of yet is most likely like the rest.
        self._usual = median(known) if known else 1.0

    def of(self, content: Content) -> float:
        """The ratio of one picture."""
        if isinstance(content, Reference):
            width, height = content.sent_size
            ratio = width / height if height else self._usual
        else:
            ratio = _known(content, self._view) or self._usual
        return ratio * self._factor

    def of_box(self, content: Content) -> float:
        """The ratio of the room a tile gets: a sliver of a picture gets more than it fills."""
        return min(max(self.of(content), 1 / _STRIP), _STRIP)


def _known(shot: Shot, view: View) -> float:
    # What moderation leaves has a size of its own: such a tile keeps the place of the picture asked for.
    if card_of(shot.cell, shot.output) is not None:
        return _asked(shot) or _received(shot)
    width, height = view.size_of(shot.cell, _received_size(shot))
    return width / height if width and height else _asked(shot)


def _received(shot: Shot) -> float:
    width, height = _received_size(shot)
    return width / height if width and height else 0.0


def _received_size(shot: Shot) -> tuple[int, int]:
    found = (output for output in shot.cell.outputs if output.number == shot.output)
    return next(((output.width, output.height) for output in found), (0, 0))


def _asked(shot: Shot) -> float:
    width, height = SIZES.get(str(shot.cell.params.get("aspect_ratio")), (0, 0))
    if not height and shot.cell.request is not None:
        width, height = shot.cell.request.expected_size
    return width / height if height else 0.0
