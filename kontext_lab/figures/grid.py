"""A sweep as a figure: plans a grid, and draws the plan on one Axes in inches, pictures placed by their extent.

No pyplot, no setting left changed. An Axes for each cell would cost 7 ms apiece.
"""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from PIL import Image

from kontext_lab.errors import KontextLabError, SweepError
from kontext_lab.figures import placeholder_cards
from kontext_lab.figures.axis_choice import Keys
from kontext_lab.figures.geometry import GridPlan, Over, Tile
from kontext_lab.figures.grid_plan import plan_grid
from kontext_lab.figures.painter import Painter, plain_settings, settings, sheet_axes, snapped
from kontext_lab.figures.pictures import compare_ahead, pixels_of
from kontext_lab.figures.placeholder_cards import PlaceholderCard
from kontext_lab.figures.theme import DARK, LIGHT, Font, Theme
from kontext_lab.figures.value_frames import Show
from kontext_lab.results import Results

__all__ = ["NotebookFigure", "draw", "grid", "grid_pages", "new_figure"]

_DPI = 110.0


def grid(
    results: Results,
    rows: Keys = None,
    columns: Keys = None,
    where: Mapping[str, Any] | None = None,
    *,
    crop: Sequence[float] | None = None,
    reference: bool = False,
    page: int = 1,
    per_page: int | None = None,
    title: str | None = None,
    cell_inches: float | None = None,
    dpi: float | None = None,
    dark: bool = False,
    show: Show = "output",
    over: Over = "reference",
    frame: str | None = None,
) -> Figure:
    """Draw a sweep's pictures in rows and columns.

    Parameters that are named nowhere: rows and columns are picked, a single axis is wrapped into a contact
    sheet, and of the others the first value is shown, which the caption says.

    Args:
        results: the cells to show.
        rows: the parameter down the side, or several to be nested, the outermost first; an empty list for
            none. Parameters are request fields, words of the prompt, `image`, and `output`: which picture of
            a cell.
        columns: the same across the top.
        where: parameters to values, names of values or lists of these: shows only cells that have them.
        crop: the part of every picture to show: left, top, right and bottom as fractions.
        reference: show what was given to the model, too.
        page: which page, from 1, where not everything fits one; the caption says how many there are, `grid_pages`
            returns it.
        per_page: at most so many pictures on a page; None for as many as stay readable.
        title: None for the name of the sweep, "" for none.
        cell_inches: side of a square tile, others have about its area, as far as a page has room; None for what suits.
        dpi: pixels per inch of the figure.
        dark: on dark paper.
        show: `output`; `change`: where each output differs from its reference and how much, measured now, which
            takes a moment a picture; `reference`: what each was made from.
        over: what changes are laid over: `reference`, or `output` where it has the reference's ratio and crop.
        frame: a measured value, such as `change/area` or a verdict, as a coloured frame around each picture.

    Returns:
        A figure that belongs to no pyplot: show it as a cell's value, or `savefig` it.

    Raises:
        NotFound: no such parameter or value; names what there is.
        SweepError: a page, crop or size that cannot be.
        ConfigError: these results can't be compared with their references, or nothing of that name was measured.

    Example:
        >>> with kl.Lab("sandbox", quiet=True, measure=False) as lab:
        ...     results = lab.run(kl.Sweep("Add a bird.", kl.sample("coffee"), axes={"seed": [1, 2]}), progress=False)
        >>> figure = kl.grid(results, columns="seed")
        >>> figure.savefig("birds.png")
    """
    if dpi is not None and not (isinstance(dpi, int | float) and math.isfinite(dpi) and 20 <= dpi <= 1200):
        raise SweepError(f"dpi: {dpi!r}, allowed is a number from 20 to 1200")
    if show != "output" and isinstance(results, Results) and results.comparison_source is not None:
        results.comparison_source.know(results)
    plan = plan_grid(
        results,
        rows,
        columns,
        where,
        crop=crop,
        reference=reference,
        page=page,
        per_page=per_page,
        title=title,
        cell_inches=cell_inches,
        show=show,
        over=over,
        frame=frame,
    )
    most = Image.MAX_IMAGE_PIXELS or math.inf
    if plan.width * plan.height * (dpi or _DPI) ** 2 > most:
        there = int(math.sqrt(most / (plan.width * plan.height)))
        raise SweepError(
            f"dpi: {dpi!r} makes this page more pixels than Pillow reads back, allowed here is up to {there}"
        )
    compare_ahead(plan.tiles)
    figure = new_figure(NotebookFigure, plan, dpi or _DPI)
    draw(plan, figure, dark=dark)
    return figure


def grid_pages(results: Results, *sides: Any, **how: Any) -> int:
    """Number of pages that `grid` has for these results.

    Args:
        results: the cells to show.
        sides: rows, columns and where, as `grid` takes them.
        how: what else `grid` takes but for `dpi` and `dark`, such as `per_page`.

    Example:
        >>> kl.grid_pages(kl.Results([]))
        1
    """
    return plan_grid(results, *sides, **how).pages


F = TypeVar("F", bound=Figure)


class NotebookFigure(Figure):
    """A figure that shows itself as a cell's value, also where pyplot was never imported."""

    def _repr_png_(self) -> bytes:
        buffer = io.BytesIO()
        # What a notebook has set for the files that it saves is no matter of this one.
        with settings({"savefig.bbox": None, "savefig.facecolor": "auto", "savefig.edgecolor": "auto"}):
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
        font = Font(words)
        for tile, card in said:
            self.painter.card(tile.rect, card, font)
        self.painter.corners([tile.rect for tile in self.plan.tiles if tile.reused])
        self.painter.verdicts([(tile.rect, tile.verdicts) for tile in self.plan.tiles])
        self.painter.values([(tile.rect, tile.frame) for tile in self.plan.tiles if tile.frame is not None])
        self.painter.bars(self.plan.bars)
        self.painter.brackets(self.plan.lines)
        for label in self.plan.labels:
            self.painter.label(label, font)
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
