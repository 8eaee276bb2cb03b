"""Still figures of results: a grid, its pages, and the small preview in a notebook.

A plan is drawn on one Axes in inches, pictures placed by their extent: an Axes for each cell would cost 7 ms apiece.
No pyplot, no setting left changed.
"""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from PIL import Image

from kontext_lab.errors import KontextLabError, SweepError
from kontext_lab.figures.axis_values import Keys
from kontext_lab.figures.geometry import GridPlan, Over, PlaceholderCard, Tile, unreadable
from kontext_lab.figures.grid_plan import plan_grid
from kontext_lab.figures.painter import Painter, plain_settings, settings, sheet_axes, whole_pixels
from kontext_lab.figures.pictures import Pixels, compare_ahead, pixels_of
from kontext_lab.figures.sizing import PageSize
from kontext_lab.figures.theme import DARK, LIGHT, Font, mixed
from kontext_lab.figures.value_frames import Show
from kontext_lab.results import Results

__all__ = ["NotebookFigure", "draw", "grid", "grid_pages", "preview_png", "small_png"]

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

    Without `rows` and `columns`, suitable parameters are picked; a single axis is wrapped into a contact sheet. Of the
    other parameters the first value is shown, and the caption names it.

    Args:
        results: the cells to show.
        rows: the parameter down the side, or several to be nested, the outermost first; an empty list for
            none. Parameters are request fields, words of the prompt, `image`, and `output`: the number of a
            cell's picture.
        columns: the same across the top.
        where: parameters to values, names of values or lists of these: shows only cells that have them.
        crop: the part of every picture to show: left, top, right and bottom as fractions.
        reference: show the references, too.
        page: number of the page, from 1, if not everything fits one; the caption tells the number of pages, `grid_pages`
            returns it.
        per_page: at most so many pictures on a page; None for as many as stay readable.
        title: None for the name of the sweep, "" for none.
        cell_inches: side of a square tile, others have about its area, as far as a page has room; None for as large as
            the page allows.
        dpi: pixels per inch of the figure.
        dark: on dark paper.
        show: `output`; `change`: where each output differs from its reference and how much, measured now, which
            takes a moment a picture; `reference`: the reference of each.
        over: the picture under a change map: `reference`, or `output` where it has the reference's ratio and crop.
        frame: a measured value, such as `change/area` or a verdict, as a coloured frame around each picture.

    Returns:
        A figure that belongs to no pyplot: show it as a cell's value, or `savefig` it.

    Raises:
        NotFound: no such parameter or value; names those that exist.
        SweepError: a page, crop or size is impossible.
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
    with plain_settings():
        figure = NotebookFigure(dpi=dpi or _DPI)
    draw(plan, figure, dark=dark)
    return figure


def grid_pages(results: Results, *sides: Any, **how: Any) -> int:
    """Number of pages that `grid` has for these results.

    Args:
        results: the cells to show.
        sides: rows, columns and where, as `grid` takes them.
        how: other arguments of `grid`, such as `per_page`; not `dpi` and `dark`.

    Example:
        >>> kl.grid_pages(kl.Results([]))
        1
    """
    return plan_grid(results, *sides, **how).pages


class NotebookFigure(Figure):
    """A figure that shows itself as a cell's value, also where pyplot was never imported."""

    def _repr_png_(self) -> bytes:
        buffer = io.BytesIO()
        # A notebook's settings for the files that it saves do not apply.
        with settings({"savefig.bbox": None, "savefig.facecolor": "auto", "savefig.edgecolor": "auto"}):
            self.savefig(buffer, format="png", dpi="figure", transparent=False)
        return buffer.getvalue()


def draw(plan: GridPlan, figure: Figure, *, dark: bool = False) -> dict[int, AxesImage]:
    """Draw a plan on an empty figure, which takes the plan's size; return the pictures by their place in `plan.tiles`."""
    theme = DARK if dark else LIGHT
    images: dict[int, AxesImage] = {}
    cards: list[tuple[Tile, PlaceholderCard]] = []
    held: dict[str, Pixels] = {}
    with plain_settings():
        painter = Painter(sheet_axes(figure, (plan.width, plan.height), theme, figure.dpi), theme)
        for number, tile in enumerate(plan.tiles):
            shown = tile.card or _pixels(tile, plan, figure.dpi, held)
            if isinstance(shown, PlaceholderCard):
                cards.append((tile, shown))
            else:
                images[number] = painter.picture(tile.rect, shown, figure.dpi)
        words = [line for label in plan.labels for line in label.lines]
        words += [line for _, card in cards for line in (*card.heading_lines, *card.note_lines)]
        font = Font(words)
        for tile, card in cards:
            painter.card(tile.rect, card, font)
        painter.corners([(tile.rect, tile.reused) for tile in plan.tiles])
        painter.verdicts([(tile.rect, tile.verdicts) for tile in plan.tiles])
        painter.values([(tile.rect, tile.frame) for tile in plan.tiles if tile.frame is not None])
        painter.bars(plan.bars)
        painter.brackets(plan.lines)
        for label in plan.labels:
            painter.label(label, font)
    return images


def _pixels(tile: Tile, plan: GridPlan, dpi: float, held: dict[str, Pixels]) -> Pixels | PlaceholderCard:
    """The pixels of a tile, or the card that replaces them."""
    *_, width, height = whole_pixels(tile.rect, dpi)
    # A reference stands before many rows; its pixels are made and held once.
    key = f"{tile.reference.digest} {width} {height}" if tile.reference is not None else ""
    if key in held:
        return held[key]
    try:
        pixels = pixels_of(tile, (width, height), plan.crop)
    except KontextLabError as error:
        pixels = unreadable(error)
    if isinstance(pixels, PlaceholderCard):
        return pixels.fitted(tile.rect)
    if key:
        held[key] = pixels
    return pixels


MAX_BYTES = 150_000
_PREVIEW_TILES = 40
_PREVIEW_DPI = 100
_PREVIEW_PIXELS = 210_000
"""Pixels of all tiles together: photographs in 256 colours take about 0.7 bytes a pixel."""
_LEFT_OUT = "{shown} of {all} pictures – kl.grid(results) shows all"


def preview_png(results: Results) -> bytes:
    """A PNG below 150 kB of the first cells, no wider than a notebook: it may be saved with the notebook."""
    tiles = len(_preview_plan(results, 1.0).tiles)
    side = math.sqrt(_PREVIEW_PIXELS / max(tiles, 1)) / _PREVIEW_DPI
    data = b""
    # Smaller tiles first; fewer colours only where the pictures are little but noise.
    for shrink, colours in ((1.0, 256), (0.85, 256), (0.72, 256), (0.6, 128), (0.45, 64), (0.3, 32)):
        with plain_settings():
            figure = Figure(dpi=_PREVIEW_DPI)
        draw(_preview_plan(results, side * shrink), figure)
        data = _png(_rendered(figure), colours)
        if len(data) <= MAX_BYTES:
            break
    return data


def _preview_plan(results: Results, largest: float) -> GridPlan:
    size = PageSize(8.0, 6.0, largest)
    return plan_grid(results, per_page=_PREVIEW_TILES, left_out=_LEFT_OUT, page_size=size)


def small_png(figure: Figure, most: int) -> bytes:
    """A figure as it is, as a PNG of at most about so many bytes: first fewer colours, then fewer pixels."""
    picture = _rendered(figure)
    data = _png(picture, 256)
    if len(data) > most:
        data = _png(picture, 64)
    while len(data) > most and min(picture.size) > 100:
        side = max(0.3, 0.95 * math.sqrt(most / len(data)))
        picture = picture.resize((round(picture.width * side), round(picture.height * side)))
        data = _png(picture, 64)
    return data


def _rendered(figure: Figure) -> Image.Image:
    # Not savefig: it would apply a notebook's settings for its own files.
    canvas = FigureCanvasAgg(figure)
    canvas.draw()  # type: ignore[no-untyped-call]
    return Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")  # type: ignore[no-untyped-call]


def _png(picture: Image.Image, colours: int) -> bytes:
    # The tones of text are kept free: photographs would leave no greys in the palette.
    inks = (LIGHT.text, LIGHT.muted, LIGHT.mark)
    shades = (mixed(LIGHT.paper, ink, step / 6) for ink in inks for step in range(7))
    tones = [round(channel * 255) for shade in shades for channel in shade]
    own = picture.quantize(colours - len(tones) // 3, method=Image.Quantize.MEDIANCUT)
    palette = Image.new("P", (1, 1))
    palette.putpalette([*tones, *(own.getpalette() or [])[: 3 * colours - len(tones)]])
    # Without dithering: its noise doubles the size of a PNG.
    reduced = np.array(picture.quantize(palette=palette, dither=Image.Dither.NONE))
    # Pillow looks colours up by their upper bits: paper would come out as its greyish neighbour.
    reduced[(np.asarray(picture) == tones[:3]).all(axis=2)] = 0
    small = Image.fromarray(reduced)
    small.putpalette(palette.getpalette() or [])
    buffer = io.BytesIO()
    small.save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()
