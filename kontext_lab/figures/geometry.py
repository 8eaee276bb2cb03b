"""The plan of a figure as plain values: the place of every tile, text and line, in inches from the top left.

Computed without drawing, so that it can be tested as numbers and drawn on any canvas.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

from kontext_lab.errors import OutputMissing
from kontext_lab.figures import text
from kontext_lab.images import Reference
from kontext_lab.results import CellResult, Output, State

if TYPE_CHECKING:
    from kontext_lab.metrics import Comparison

__all__ = [
    "Block",
    "ColourBar",
    "Crop",
    "GridPlan",
    "Label",
    "Line",
    "Over",
    "Overlay",
    "PlaceholderCard",
    "Rect",
    "Role",
    "Tile",
    "TileFrame",
    "card_of",
    "unreadable",
]

Crop = tuple[float, float, float, float]
"""Left, top, right, bottom as fractions of a picture."""

Over = Literal["reference", "output"]

Role = Literal["title", "mark", "note", "name", "value", "legend"]

_SIZES = (8.0, 7.5, 7.0, 6.5, 6.0, 5.5)
_NOTE_SIZES = (7.5, 7.0, 6.5, 6.0)
_PADDING = 0.07
_MODERATED = "moderated"


@dataclass(frozen=True)
class Rect:
    """A rectangle on the sheet, in inches from its top left."""

    left: float
    top: float
    width: float
    height: float

    @property
    def right(self) -> float:
        """The right edge."""
        return self.left + self.width

    @property
    def bottom(self) -> float:
        """The lower edge."""
        return self.top + self.height

    def moved(self, right: float, down: float) -> Rect:
        """The same rectangle elsewhere."""
        return replace(self, left=self.left + right, top=self.top + down)

    def inset(self, by: float) -> Rect:
        """The rectangle without a margin on all four sides."""
        return Rect(self.left + by, self.top + by, self.width - 2 * by, self.height - 2 * by)

    def fitted(self, ratio: float) -> Rect:
        """The largest rectangle with this ratio of width to height, in the middle of this one."""
        width = min(self.width, self.height * ratio)
        height = width / ratio
        return Rect(
            self.left + (self.width - width) / 2, self.top + (self.height - height) / 2, width, height
        )


@dataclass(frozen=True)
class PlaceholderCard:
    """Text in place of a picture, and as much of it as fits the tile: the state and the reason, a short note.

    `kind` names its colour: a state, or `moderated`.
    """

    kind: str
    heading: str
    note: str = ""
    heading_lines: tuple[str, ...] = ()
    note_lines: tuple[str, ...] = ()
    heading_points: float = _SIZES[0]
    note_points: float = _NOTE_SIZES[0]

    def fitted(self, rect: Rect) -> PlaceholderCard:
        """The card with its text broken into lines that fit a tile."""
        room, high = (max(side - 2 * min(_PADDING, side / 20), 0.1) for side in (rect.width, rect.height))
        points = text.fitting_size((self.heading,), _SIZES, (room,), 2)
        most = max(1, int(high / text.height(1, points)))
        heading: tuple[str, ...] = (self.heading,)
        if text.width(self.heading, points) > room:
            # State and reason on lines of their own.
            parts = self.heading.split(" · ")
            heading = tuple(line for part in parts for line in text.wrap(part, points, room, 2))[:most]
        left = high - text.height(len(heading), points) - 0.02
        note_points = text.fitting_size((self.note,), _NOTE_SIZES, (room,), 4)
        lines = min(5, int(left / text.height(1, note_points)))
        # Two words of a note are of no use: the table has the note of a tile this small.
        readable = rect.width >= 0.9 and lines >= 1 and self.note
        note = text.wrap(self.note, note_points, room, lines) if readable else ()
        return replace(
            self, heading_lines=heading, note_lines=note, heading_points=points, note_points=note_points
        )


def card_of(cell: CellResult, output: Output | None) -> PlaceholderCard | None:
    """The card of a cell's output; None if there is a picture to show."""
    if cell.state is State.WAITING and cell.reused_from:
        return PlaceholderCard("waiting", "reused", _note(cell.note, "reused"))
    if cell.state is not State.DONE:
        heading = " · ".join(part for part in (cell.state.replace("_", " "), cell.reason) if part)
        kind = cell.reason if cell.reason == _MODERATED else str(cell.state)
        return PlaceholderCard(kind, heading, _note(cell.note, cell.reason))
    if output is None:
        return PlaceholderCard("failed", "no picture", "the answer held none")
    if output.is_picture and output.format:
        return None
    kind = output.reason if output.reason == _MODERATED else "failed"
    return PlaceholderCard(kind, output.reason or "no picture", _note(output.note, output.reason))


def unreadable(error: Exception) -> PlaceholderCard:
    """The card of a picture that exists but could not be loaded."""
    heading = "missing" if isinstance(error, OutputMissing) else "not loaded"
    return PlaceholderCard("failed", heading, text.clean(str(error)))


def _note(note: str, reason: str) -> str:
    """The note on one line, unless it only repeats the reason."""
    line = text.clean(note)
    return "" if line.lower() == reason.lower() else line


@dataclass(frozen=True)
class Overlay:
    """A change map over a picture; `comparison` measures an output and may take long."""

    comparison: Callable[[Output], Comparison] = field(repr=False)
    over: Over = "reference"


@dataclass(frozen=True)
class TileFrame:
    """A measured value around a picture: its colour as `#rrggbb`, and the value in words."""

    colour: str
    words: str


@dataclass(frozen=True)
class ColourBar:
    """A strip of colours in a key: `#rrggbb` from left to right, evenly apart; a single one fills it."""

    rect: Rect
    colours: tuple[str, ...]


@dataclass(frozen=True)
class Tile:
    """The place of one picture, or of the card that replaces it.

    Attributes:
        row: from 0 on this page; -1 for a reference above the columns.
        column: from 0 on this page; -1 and below for references before the rows.
        cell: the cell shown; None for a reference beside the cells.
        number: number of the cell's output, from 1; 0 for a reference beside the cells.
        reference: the reference shown, also in the place of the cell's output, or None.
        reused: whether the picture was paid for by an earlier run.
        verdicts: signs of people's verdicts, in the order they are drawn.
    """

    row: int
    column: int
    rect: Rect
    cell: CellResult | None = None
    number: int = 0
    reference: Reference | None = None
    card: PlaceholderCard | None = None
    reused: bool = False
    verdicts: str = ""
    overlay: Overlay | None = None
    frame: TileFrame | None = None

    @property
    def output(self) -> Output | None:
        """The output to draw, or None."""
        if self.cell is None or self.card is not None:
            return None
        return next((output for output in self.cell.outputs if output.number == self.number), None)


@dataclass(frozen=True)
class Label:
    """Lines of text, already broken to fit; `x` is the edge or the middle they are aligned to, `role` sets the colour."""

    lines: tuple[str, ...]
    x: float
    top: float
    points: float
    role: Role
    align: Literal["left", "center", "right"] = "left"

    @property
    def height(self) -> float:
        """Inches from the first line's top to the last one's bottom."""
        return text.height(len(self.lines), self.points)

    @property
    def bottom(self) -> float:
        """The bottom of the last line."""
        return self.top + self.height

    def moved(self, right: float, down: float) -> Label:
        """The same label elsewhere."""
        return replace(self, x=self.x + right, top=self.top + down)


@dataclass(frozen=True)
class Line:
    """A thin straight line that brackets a group."""

    x0: float
    y0: float
    x1: float
    y1: float


@dataclass(frozen=True)
class Block:
    """Tiles, text, brackets of groups and strips of colours with a common top left corner; sizes in inches."""

    width: float
    height: float
    tiles: tuple[Tile, ...] = ()
    labels: tuple[Label, ...] = ()
    lines: tuple[Line, ...] = ()
    bars: tuple[ColourBar, ...] = ()

    def moved(self, right: float, down: float) -> Block:
        """The same block elsewhere."""
        return Block(
            self.width,
            self.height,
            tuple(replace(tile, rect=tile.rect.moved(right, down)) for tile in self.tiles),
            tuple(label.moved(right, down) for label in self.labels),
            tuple(Line(one.x0 + right, one.y0 + down, one.x1 + right, one.y1 + down) for one in self.lines),
            tuple(replace(bar, rect=bar.rect.moved(right, down)) for bar in self.bars),
        )


@dataclass(frozen=True)
class GridPlan(Block):
    """One page of a grid; places without a tile are combinations that don't exist.

    Attributes:
        rows: the labels of each row on this page, one per level; of each tile for a contact sheet.
        columns: the labels of each column on this page, one per level.
        row_names: parameters on the rows, the outermost first.
        column_names: the same on the columns.
        notes: the caption above the tiles.
        legend: names and the texts they stand for, below the tiles.
        crop: the part of every picture that is shown.
    """

    rows: tuple[tuple[str, ...], ...] = ()
    columns: tuple[tuple[str, ...], ...] = ()
    row_names: tuple[str, ...] = ()
    column_names: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    legend: tuple[tuple[str, str], ...] = ()
    crop: Crop = (0.0, 0.0, 1.0, 1.0)
    page: int = 1
    pages: int = 1

    def tile(self, row: int, column: int) -> Tile | None:
        """The tile at a place of this page, or None."""
        return next((tile for tile in self.tiles if (tile.row, tile.column) == (row, column)), None)

    def at(self, x: float, y: float) -> Tile | None:
        """The tile at a point in inches from the top left, or None."""
        for tile in self.tiles:
            rect = tile.rect
            if rect.left <= x <= rect.right and rect.top <= y <= rect.bottom:
                return tile
        return None
