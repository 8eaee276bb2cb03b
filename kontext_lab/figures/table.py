"""Assigns each output to a row and a column of the grid, with headings and aspect ratios; no sizes yet. Pure."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from statistics import median

from kontext_lab.figures.axis_values import Choice, Shot, Value, Values
from kontext_lab.figures.geometry import Crop, Rect, Tile, card_of
from kontext_lab.figures.sizing import GAP, even
from kontext_lab.figures.value_frames import View
from kontext_lab.images import Reference
from kontext_lab.request import SIZES

__all__ = ["Ratios", "Side", "Table", "make_table", "tile_of"]

_GROUP_GAP = 0.18
_STRIP = 4.0

Content = Shot | Reference
"""The content of a tile."""


@dataclass(frozen=True)
class Side:
    """The rows or the columns of a table.

    Attributes:
        names: the parameter of each level, the outermost first.
        entries: the labels of each row or column, one per level; a single one for references.
        labels: of each level, those of all pages.
        references: number of entries with references; they stand first.
    """

    names: tuple[str, ...]
    entries: tuple[tuple[str, ...], ...]
    labels: tuple[tuple[str, ...], ...]
    references: int = 0

    @property
    def gaps(self) -> list[float]:
        """Inches after each entry: more for every outer level that changes, and after references."""
        gaps = []
        for at, (one, other) in enumerate(itertools.pairwise(self.entries), 1):
            changed = sum(one[:level] != other[:level] for level in range(1, len(one)))
            gaps.append(GAP + (_GROUP_GAP - GAP) * max(changed, at == self.references))
        return gaps

    def runs(self, level: int) -> list[range]:
        """Neighbours that share their labels down to a level, without references."""
        own = range(self.references, len(self.entries))
        by_labels = itertools.groupby(own, key=lambda at: self.entries[at][: level + 1])
        groups = (list(group) for _, group in by_labels)
        return [range(group[0], group[-1] + 1) for group in groups]

    def pages(self, most: int) -> list[list[int]]:
        """The entries of each page, at most `most` besides the references, which stand on every page."""
        first = self.references
        return [[*range(first), *(first + at for at in run)] for run in even(len(self.entries) - first, most)]


@dataclass(frozen=True)
class Table:
    """Rows, columns and the content of their places; combinations that don't exist are missing.

    Attributes:
        sheet: whether it is a contact sheet: one column of labelled tiles, to be wrapped.
        hidden: number of shots that stand behind others at their place.
        no_reference: the reason why references that were asked for are missing, or "".
    """

    rows: Side
    columns: Side
    places: dict[tuple[int, int], Content] = field(default_factory=dict)
    sheet: bool = False
    hidden: int = 0
    no_reference: str = ""

    def part(self, rows: Sequence[int], columns: Sequence[int]) -> Table:
        """The table of some rows and columns only."""
        return replace(
            self,
            rows=replace(self.rows, entries=tuple(self.rows.entries[at] for at in rows)),
            columns=replace(self.columns, entries=tuple(self.columns.entries[at] for at in columns)),
            places={
                (new_row, new_column): self.places[row, column]
                for new_row, row in enumerate(rows)
                for new_column, column in enumerate(columns)
                if (row, column) in self.places
            },
        )

    def flipped(self) -> Table:
        """The table with rows as columns."""
        places = {(column, row): content for (row, column), content in self.places.items()}
        return replace(self, rows=self.columns, columns=self.rows, places=places)


def make_table(values: Values, choice: Choice, *, reference: bool) -> Table:
    """Place the chosen shots, and their references where they are asked for."""
    if reference and choice.sheet == "image":
        # Under each reference its outputs: a sheet would tear them apart.
        choice = replace(choice, sheet="", columns=("image",))
    row_keys = (choice.sheet,) if choice.sheet else choice.rows
    rows, row_of = _side(values, choice, row_keys)
    columns, column_of = _side(values, choice, choice.columns)
    places: dict[tuple[int, int], Content] = {}
    for shot in choice.shots:
        at = (row_of[values.combination(shot, row_keys)], column_of[values.combination(shot, choice.columns)])
        places.setdefault(at, shot)
    sheet = not (choice.rows or choice.columns)
    table = Table(rows, columns, places, sheet, hidden=len(choice.shots) - len(places))
    return _with_references(table) if reference else table


def _side(values: Values, choice: Choice, keys: Sequence[str]) -> tuple[Side, dict[tuple[Value, ...], int]]:
    """The combinations of the keys' values that occur, in order, and the index of each."""
    first = {values.combination(shot, keys): shot for shot in reversed(choice.shots)}
    levels = [values.present(choice.shots, key) for key in keys]
    order = [combination for combination in itertools.product(*levels) if combination in first]
    # Paired values: parameters without a place of their own that follow these keys.
    together = [
        key
        for key in values.axes
        if keys
        and key not in choice.placed
        and len(values.present(choice.shots, key)) > 1
        and values.determines(choice.shots, keys, key)
    ]
    entries = []
    for combination in order:
        labels = [value.label for value in combination]
        also = [f"{key} {values.value(first[combination], key).label}" for key in together]
        if also:
            labels[-1] = " · ".join((labels[-1], *also))
        entries.append(tuple(labels))
    by_level = tuple(tuple(dict.fromkeys(labels)) for labels in zip(*entries, strict=True))
    side = Side(tuple(keys), tuple(entries), by_level)
    return side, {combination: at for at, combination in enumerate(order)}


def _with_references(table: Table) -> Table:
    """The same with references: one column where each row has its own, else one row."""
    if any(isinstance(shot, Shot) and not _references(shot) for shot in table.places.values()):
        return replace(table, no_reference="the references are not held by these results")
    by_row = {} if table.sheet else _common(table, 0)
    if by_row:
        return _beside(table, by_row)
    by_column = _common(table, 1)
    if by_column:
        return _beside(table.flipped(), by_column).flipped()
    mixed = "the references differ within rows and columns: put image on rows or columns"
    return replace(table, no_reference=mixed) if table.places else table


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
    """The table with the references of each row in columns before the others."""
    count = max(len(references) for references in by_row.values())
    places: dict[tuple[int, int], Content] = {
        (row, column + count): content for (row, column), content in table.places.items()
    }
    for row, references in by_row.items():
        places.update({(row, column): reference for column, reference in enumerate(references)})
    names = ["reference"] if count == 1 else [f"reference {number}" for number in range(1, count + 1)]
    entries = (*((name,) for name in names), *table.columns.entries)
    return replace(table, columns=replace(table.columns, entries=entries, references=count), places=places)


def tile_of(content: Content, row: int, column: int, rect: Rect) -> Tile:
    """The tile of a shot or a reference; a card is broken into lines that fit."""
    if isinstance(content, Reference):
        return Tile(row, column, rect, reference=content)
    cell, number = content.cell, content.output
    card = card_of(cell, content.picture)
    if card is not None:
        return Tile(row, column, rect, cell, number, card=card.fitted(rect))
    return Tile(row, column, rect, cell, number, reused=bool(cell.reused_from))


class Ratios:
    """Width by height of a table's pictures, after cropping."""

    def __init__(self, contents: Iterable[Content], crop: Crop, view: View) -> None:
        self._view = view
        self._factor = (crop[2] - crop[0]) / (crop[3] - crop[1])
        shots = (content for content in contents if isinstance(content, Shot))
        known = [ratio for shot in shots if (ratio := self._known(shot))]
        # A picture of unknown size is most likely like the rest.
        self._usual = median(known) if known else 1.0

    def of(self, content: Content) -> float:
        """The ratio of one picture."""
        known = _ratio(*content.sent_size) if isinstance(content, Reference) else self._known(content)
        return (known or self._usual) * self._factor

    def of_box(self, content: Content) -> float:
        """The ratio of the space for a tile: a very long picture gets more space than it fills."""
        return min(max(self.of(content), 1 / _STRIP), _STRIP)

    def _known(self, shot: Shot) -> float:
        """The ratio as far as it is known, else 0."""
        cell, output = shot.cell, shot.picture
        asked = _ratio(*SIZES.get(str(cell.params.get("aspect_ratio")), (0, 0)))
        if not asked and cell.request is not None:
            asked = _ratio(*cell.request.expected_size)
        received = (output.width, output.height) if output is not None else (0, 0)
        # A moderated picture has a size of its own: its tile keeps the place of the picture asked for.
        if card_of(cell, output) is not None:
            return asked or _ratio(*received)
        return _ratio(*self._view.size_of(cell, received)) or asked


def _ratio(width: float, height: float) -> float:
    return width / height if width and height else 0.0
