"""The plan of a figure as plain values: where every tile, word and line goes, in inches from the top left.

Computed without drawing, so that it can be tested as numbers and drawn on any canvas.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

from kontext_lab.figures import text
from kontext_lab.figures.placeholder_cards import PlaceholderCard
from kontext_lab.images import Reference
from kontext_lab.results import CellResult, Output

if TYPE_CHECKING:
    from kontext_lab.metrics import Comparison

__all__ = [
    "ColourBar",
    "Crop",
    "GridPlan",
    "Label",
    "Line",
    "Over",
    "Overlay",
    "Rect",
    "Role",
    "Tile",
    "TileFrame",
]

Crop = tuple[float, float, float, float]
"""Left, top, right, bottom as fractions of a picture."""

Over = Literal["reference", "output"]

Role = Literal["title", "mark", "note", "name", "value", "legend"]


@dataclass(frozen=True)
class Rect:
    """A place on the sheet in inches, from its top left."""

    left: float
    top: float
    width: float
    height: float

    @property
    def right(self) -> float:
        """Where it ends to the right."""
        return self.left + self.width

    @property
    def bottom(self) -> float:
        """Where it ends below."""
        return self.top + self.height

    def moved(self, right: float, down: float) -> Rect:
        """The same elsewhere."""
        return replace(self, left=self.left + right, top=self.top + down)


@dataclass(frozen=True)
class Overlay:
    """What changed, to be laid over a picture.

    Attributes:
        comparison: measures an output; may take long.
        over: which picture it is laid over.
    """

    comparison: Callable[[Output], Comparison] = field(repr=False)
    over: Over = "reference"


@dataclass(frozen=True)
class TileFrame:
    """A measured value around a picture.

    Attributes:
        colour: `#rrggbb`.
        words: the value itself.
    """

    colour: str
    words: str


@dataclass(frozen=True)
class ColourBar:
    """A strip of colours in a key.

    Attributes:
        rect: where it is drawn.
        colours: `#rrggbb` from left to right, evenly apart; a single one fills it.
    """

    rect: Rect
    colours: tuple[str, ...]

    def moved(self, right: float, down: float) -> ColourBar:
        """The same elsewhere."""
        return replace(self, rect=self.rect.moved(right, down))


@dataclass(frozen=True)
class Tile:
    """One picture's place, or that of what there is to say in its stead.

    Attributes:
        row: from 0 on this page; -1 for a reference above the columns.
        column: from 0 on this page; -1 and below for references before the rows.
        rect: where it is drawn.
        cell: the cell shown; None for a reference beside the cells.
        number: which output of the cell, from 1; 0 for a reference beside the cells.
        reference: the reference shown, also in the place of the cell's output, or None.
        card: what is said where there is no picture to show, or None.
        reused: whether the picture was paid for by an earlier run.
        verdicts: signs of what people said of it, in the order they are drawn.
        overlay: what changed is shown in the place of the output, or None.
        frame: a measured value around it, or None.
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
    """Lines of text.

    Attributes:
        lines: already broken to fit.
        x: the edge or the middle the lines are aligned to.
        top: the top of the first line.
        points: type size.
        role: what kind of text it is.
        align: which part of the lines is at `x`.
    """

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

    def moved(self, right: float, down: float) -> Label:
        """The same elsewhere."""
        return replace(self, x=self.x + right, top=self.top + down)


@dataclass(frozen=True)
class Line:
    """A thin straight line that brackets a group."""

    x0: float
    y0: float
    x1: float
    y1: float

    def moved(self, right: float, down: float) -> Line:
        """The same elsewhere."""
        return Line(self.x0 + right, self.y0 + down, self.x1 + right, self.y1 + down)


@dataclass(frozen=True)
class GridPlan:
    """One page of a grid.

    Attributes:
        width: of the sheet in inches.
        height: of the sheet in inches.
        tiles: every tile; places without one are combinations that don't exist.
        labels: all text outside tiles.
        lines: brackets of groups.
        bars: what colours mean.
        rows: the labels of each row on this page, one per level; of each tile for a contact sheet.
        columns: the labels of each column on this page, one per level.
        row_names: parameters on the rows, the outermost first.
        column_names: parameters on the columns, the outermost first.
        notes: what the figure says about itself, above the tiles.
        legend: names and what they stand for, below the tiles.
        crop: the part of every picture that is shown.
        page: which page it is, from 1.
        pages: how many there are.
    """

    width: float
    height: float
    tiles: tuple[Tile, ...] = ()
    labels: tuple[Label, ...] = ()
    lines: tuple[Line, ...] = ()
    bars: tuple[ColourBar, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    columns: tuple[tuple[str, ...], ...] = ()
    row_names: tuple[str, ...] = ()
    column_names: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    legend: tuple[tuple[str, str], ...] = field(default=())
    crop: Crop = (0.0, 0.0, 1.0, 1.0)
    page: int = 1
    pages: int = 1

    def tile(self, row: int, column: int) -> Tile | None:
        """What stands at a place of this page, or None."""
        return next((tile for tile in self.tiles if (tile.row, tile.column) == (row, column)), None)

    def at(self, x: float, y: float) -> Tile | None:
        """The tile at a point in inches from the top left, or None."""
        for tile in self.tiles:
            rect = tile.rect
            if rect.left <= x <= rect.right and rect.top <= y <= rect.bottom:
                return tile
        return None
