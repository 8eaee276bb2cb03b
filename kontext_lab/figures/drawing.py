"""Draws a plan on a figure: one Axes in inches for everything, pictures placed by their extent.

No pyplot, no setting left changed. An Axes for each cell would cost 7 ms apiece.
"""

from __future__ import annotations

import io
from typing import Any, TypeVar

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from kontext_lab.errors import KontextLabError
from kontext_lab.figures import placeholder_cards
from kontext_lab.figures.geometry import GridPlan, Tile
from kontext_lab.figures.painter import Painter, plain_settings, sheet_axes, snapped
from kontext_lab.figures.pictures import pixels_of
from kontext_lab.figures.placeholder_cards import PlaceholderCard
from kontext_lab.figures.theme import DARK, LIGHT, Font, Theme

__all__ = ["NotebookFigure", "draw", "new_figure"]

F = TypeVar("F", bound=Figure)


class NotebookFigure(Figure):
    """A figure that shows itself as a cell's value, also where pyplot was never imported."""

    def _repr_png_(self) -> bytes:
        buffer = io.BytesIO()
        # What a notebook has set for the files that it saves is no matter of this one.
        with mpl.rc_context({"savefig.bbox": None, "savefig.facecolor": "auto", "savefig.edgecolor": "auto"}):
            self.savefig(buffer, format="png", dpi="figure", transparent=False)
        return buffer.getvalue()


def draw(plan: GridPlan, figure: Figure, *, dark: bool = False) -> dict[int, AxesImage]:
    """Draw a plan; the figure takes the plan's size.

    Args:
        plan: what goes where.
        figure: an empty figure on any canvas.
        dark: on dark paper.

    Returns:
        The picture of each tile by its place in `plan.tiles`, for whoever changes pictures later.
    """
    with plain_settings():
        return _Sheet(plan, figure, DARK if dark else LIGHT).drawn()


def new_figure(kind: type[F], plan: GridPlan, dpi: float) -> F:
    """An empty figure of a plan's size that no layout engine will rearrange."""
    with plain_settings():
        return kind(figsize=(plan.width, plan.height), dpi=dpi)


class _Sheet:
    """A plan being drawn."""

    def __init__(self, plan: GridPlan, figure: Figure, theme: Theme) -> None:
        self.plan, self.figure = plan, figure
        self.axes = sheet_axes(figure, (plan.width, plan.height), theme, figure.dpi)
        self.painter = Painter(self.axes, theme)
        self.loaded: dict[str, Any] = {}

    def drawn(self) -> dict[int, AxesImage]:
        """Everything, in the order it lies."""
        images: dict[int, AxesImage] = {}
        said: list[tuple[Tile, PlaceholderCard]] = []
        for number, tile in enumerate(self.plan.tiles):
            shown = self._picture(tile) if tile.card is None else tile.card
            if isinstance(shown, PlaceholderCard):
                said.append((tile, shown))
            else:
                images[number] = shown
        words = [line for label in self.plan.labels for line in label.lines]
        words += [line for _, card in said for line in (*card.heading_lines, *card.note_lines)]
        lettering = Font(words)
        for tile, card in said:
            self.painter.card(tile.rect, card, lettering)
        self.painter.corners([tile.rect for tile in self.plan.tiles if tile.reused])
        self.painter.verdicts([(tile.rect, tile.verdicts) for tile in self.plan.tiles])
        self.painter.values([(tile.rect, tile.frame) for tile in self.plan.tiles if tile.frame is not None])
        self.painter.bars(self.plan.bars)
        self.painter.brackets(self.plan.lines)
        for label in self.plan.labels:
            self.painter.label(label, lettering)
        return images

    def _picture(self, tile: Tile) -> AxesImage | PlaceholderCard:
        dpi = self.figure.dpi
        rect = snapped(tile.rect, dpi)
        size = (round(rect.width * dpi), round(rect.height * dpi))
        # A reference stands before many rows; its pixels are made and held once.
        key = f"{tile.reference.digest} {size}" if tile.reference is not None else ""
        try:
            pixels = self.loaded.get(key) if key else None
            if pixels is None:
                pixels = pixels_of(tile, size, self.plan.crop)
                if isinstance(pixels, PlaceholderCard):
                    return placeholder_cards.fitted(pixels, tile.rect.width, tile.rect.height)
        except KontextLabError as error:
            return placeholder_cards.fitted(
                placeholder_cards.unreadable(error), tile.rect.width, tile.rect.height
            )
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
