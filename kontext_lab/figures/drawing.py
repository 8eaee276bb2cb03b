"""Draws a plan on a figure: one Axes in inches for everything, pictures placed by their extent.

No pyplot, no setting left changed. An Axes for each cell would cost 7 ms apiece.
"""

from __future__ import annotations

import math
from contextlib import AbstractContextManager
from typing import Any, TypeVar

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patches import FancyBboxPatch

from kontext_lab.errors import KontextLabError
from kontext_lab.figures import cards, text
from kontext_lab.figures.cards import Card
from kontext_lab.figures.fonts import Lettering
from kontext_lab.figures.geometry import GridPlan, Label, Rect, Tile
from kontext_lab.figures.pictures import pixels_of
from kontext_lab.figures.theme import DARK, LIGHT, STATE_COLOURS, Theme, mixed

__all__ = ["draw", "new_figure"]

F = TypeVar("F", bound=Figure)

_BASELINE = 0.98
_TRIANGLE = 0.09


def draw(plan: GridPlan, figure: Figure, *, dark: bool = False) -> dict[int, AxesImage]:
    """Draw a plan; the figure takes the plan's size.

    Args:
        plan: what goes where.
        figure: an empty figure on any canvas.
        dark: on dark paper.

    Returns:
        The picture of each tile by its place in `plan.tiles`, for whoever changes pictures later.
    """
    with _plain_settings():
        return _Sheet(plan, figure, DARK if dark else LIGHT).drawn()


def new_figure(kind: type[F], plan: GridPlan, dpi: float) -> F:
    """An empty figure of a plan's size that no layout engine will rearrange."""
    with _plain_settings():
        return kind(figsize=(plan.width, plan.height), dpi=dpi)


def _plain_settings() -> AbstractContextManager[None]:
    """What artists take from the settings at their making, whatever a notebook has set."""
    return mpl.rc_context(
        {
            "path.sketch": None,
            "path.effects": [],
            "text.usetex": False,
            "figure.frameon": True,
            "figure.autolayout": False,
            "figure.constrained_layout.use": False,
        }
    )


class _Sheet:
    """A plan being drawn."""

    def __init__(self, plan: GridPlan, figure: Figure, theme: Theme) -> None:
        self.plan, self.figure, self.theme = plan, figure, theme
        # Whole pixels: otherwise every picture would lie between two rows of them, and blur.
        width, height = (math.ceil(side * figure.dpi) / figure.dpi for side in (plan.width, plan.height))
        figure.set_size_inches(width, height)
        figure.set_facecolor(theme.paper)
        self.axes: Axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
        self.axes.set_axis_off()
        self.axes.set_xlim(0.0, width)
        self.axes.set_ylim(height, 0.0)
        self.loaded: dict[str, Any] = {}

    def drawn(self) -> dict[int, AxesImage]:
        """Everything, in the order it lies."""
        images: dict[int, AxesImage] = {}
        said: list[tuple[Tile, Card]] = []
        for number, tile in enumerate(self.plan.tiles):
            shown = self._picture(tile) if tile.card is None else tile.card
            if isinstance(shown, Card):
                said.append((tile, shown))
            else:
                images[number] = shown
        words = [line for label in self.plan.labels for line in label.lines]
        words += [line for _, card in said for line in (*card.heading_lines, *card.note_lines)]
        self.lettering = Lettering(words)
        for tile, card in said:
            self._card(tile, card)
        self._marks()
        self._brackets()
        for label in self.plan.labels:
            self._label(label)
        return images

    def _picture(self, tile: Tile) -> AxesImage | Card:
        dpi = self.figure.dpi
        rect = _snapped(tile.rect, dpi)
        size = (round(rect.width * dpi), round(rect.height * dpi))
        # A reference stands before many rows; its pixels are made and held once.
        key = f"{tile.reference.digest} {size}" if tile.reference is not None else ""
        try:
            pixels = self.loaded.get(key) if key else None
            if pixels is None:
                pixels = pixels_of(tile, size, self.plan.crop)
        except KontextLabError as error:
            return cards.fitted(cards.unreadable(error), tile.rect.width, tile.rect.height)
        if key:
            self.loaded[key] = pixels
        image = AxesImage(
            self.axes,
            extent=(rect.left, rect.right, rect.bottom, rect.top),
            origin="upper",
            interpolation="auto",
            resample=True,
        )
        image.set_data(pixels)
        image.set_clip_path(None)
        self.axes.add_image(image)
        return image

    def _card(self, tile: Tile, card: Card) -> None:
        theme, rect = self.theme, tile.rect
        tone = STATE_COLOURS.get(card.kind, STATE_COLOURS["failed"])
        quiet = card.kind in ("waiting", "cancelled", "skipped")
        self.axes.add_patch(
            FancyBboxPatch(
                (rect.left + 0.01, rect.top + 0.01),
                rect.width - 0.02,
                rect.height - 0.02,
                boxstyle="round,pad=0,rounding_size=0.04",
                facecolor=mixed(theme.paper, tone, 0.06 if quiet else 0.12),
                edgecolor=mixed(theme.paper, tone, 0.45 if quiet else 0.8),
                linewidth=0.8,
                linestyle=(0, (3, 2)) if card.kind == "waiting" else "solid",
            )
        )
        heading = text.height(len(card.heading_lines), card.heading_points)
        note = text.height(len(card.note_lines), card.note_points) + (0.03 if card.note_lines else 0.0)
        top = rect.top + (rect.height - heading - note) / 2
        middle = rect.left + rect.width / 2
        words = mixed(theme.text, tone, 0.35)
        below = top + heading + 0.03
        self._label(Label(card.heading_lines, middle, top, card.heading_points, "value", "center"), words)
        self._label(Label(card.note_lines, middle, below, card.note_points, "note", "center"))

    def _marks(self) -> None:
        """A small corner on pictures that were reused."""
        reused = [tile.rect for tile in self.plan.tiles if tile.reused]
        # Paper around the mark: it is seen on any picture.
        for size, colour in ((_TRIANGLE * 1.6, self.theme.paper), (_TRIANGLE, self.theme.muted)):
            self._corners(reused, size, colour)

    def _corners(self, rects: list[Rect], size: float, colour: str) -> None:
        corners = [
            [(rect.right - size, rect.top), (rect.right, rect.top), (rect.right, rect.top + size)]
            for rect in rects
        ]
        if corners:
            marks = PolyCollection(corners, facecolors=colour, edgecolors="none", zorder=3)
            self.axes.add_collection(marks, autolim=False)

    def _brackets(self) -> None:
        if self.plan.lines:
            segments = [[(line.x0, line.y0), (line.x1, line.y1)] for line in self.plan.lines]
            self.axes.add_collection(
                LineCollection(segments, colors=self.theme.line, linewidths=0.9), autolim=False
            )

    def _label(self, label: Label, colour: Any = None) -> None:
        usual = {"mark": self.theme.mark, "note": self.theme.muted, "name": self.theme.muted}
        for at, line in enumerate(label.lines):
            self.axes.text(
                label.x,
                label.top + text.height(at, label.points) + _BASELINE * label.points / 72,
                self.lettering.drawable(line),
                fontfamily=self.lettering.families,
                fontsize=label.points,
                color=colour or usual.get(label.role, self.theme.text),
                horizontalalignment=label.align,
                verticalalignment="baseline",
                parse_math=False,
            )


def _snapped(rect: Rect, dpi: float) -> Rect:
    """The rectangle on whole pixels: pictures are drawn as they were scaled, not scaled twice."""
    left, top = round(rect.left * dpi), round(rect.top * dpi)
    right, bottom = max(left + 1, round(rect.right * dpi)), max(top + 1, round(rect.bottom * dpi))
    return Rect(left / dpi, top / dpi, (right - left) / dpi, (bottom - top) / dpi)
