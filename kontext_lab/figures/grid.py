"""A sweep as a figure: the public call. It plans, makes a figure, and has the plan drawn."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure
from PIL import Image

from kontext_lab.errors import SweepError
from kontext_lab.figures.axis_choice import Keys
from kontext_lab.figures.drawing import NotebookFigure, draw, new_figure
from kontext_lab.figures.geometry import Over
from kontext_lab.figures.grid_plan import plan_grid
from kontext_lab.figures.overlays import compare_ahead
from kontext_lab.figures.value_frames import Show
from kontext_lab.results import Results

__all__ = ["grid", "grid_pages"]

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
    """How many pages `grid` has of these results.

    Args:
        results: the cells to show.
        sides: rows, columns and where, as `grid` takes them.
        how: what else `grid` takes but for `dpi` and `dark`, such as `per_page`.

    Example:
        >>> kl.grid_pages(kl.Results([]))
        1
    """
    return plan_grid(results, *sides, **how).pages
