"""The plan of one page of a grid, made of results: numbers and text, nothing drawn.

Steps: values of the parameters, the choice of rows and columns, a table of the outputs, its pages, the geometry
of one page, and the text around it. Another module draws the plan.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from kontext_lab.errors import SweepError, WrongType
from kontext_lab.figures import captions, text
from kontext_lab.figures.axis_values import Keys, Shot, Values, choose
from kontext_lab.figures.contact_sheet import lay_sheet, split_sheet
from kontext_lab.figures.geometry import Block, Crop, GridPlan, Label, Over, Tile
from kontext_lab.figures.matrix import lay_matrix, split_matrix
from kontext_lab.figures.sizing import PageSize
from kontext_lab.figures.table import Ratios, make_table
from kontext_lab.figures.value_frames import Frames, Show, View, frames_of, view_of
from kontext_lab.results import Results

__all__ = ["FULL", "check_crop", "plan_grid"]

FULL: Crop = (0.0, 0.0, 1.0, 1.0)
"""The whole picture."""

_MARGIN, _LIVE_MARGIN = 0.2, 0.04
"""Inches around the sheet; a notebook's page has a margin of its own."""
_NARROWEST = 5.0
_SHORT_LEGEND = 1.2
"""Inches of a legend for which there is paper enough below the tiles; a longer one takes theirs."""


def plan_grid(
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
    left_out: str = "",
    page_size: PageSize | None = None,
    live: bool = False,
    criterion: str | None = None,
    show: Show = "output",
    over: Over = "reference",
    frame: str | None = None,
) -> GridPlan:
    """Plan one page of a grid; `figures.grid` explains the arguments.

    `left_out` replaces "page 1 of 3" in the caption of a grid with further pages; `{shown}` and `{all}` in it stand
    for numbers of pictures. `page_size` is the space for the tiles. `live` plans for a sheet that fills while it is
    looked at: no wider than the page size, and nothing moves when pictures arrive. `criterion` is the one whose
    verdicts are shown; None for all.

    Raises:
        NotFound: no such parameter or value; names those that exist.
        SweepError: a page, crop, size or parameter is impossible.
        ConfigError: the content or the frames asked for do not exist.
    """
    if not isinstance(results, Results):
        raise WrongType(
            f"results must be kl.Results, not {type(results).__name__} (lab.run and lab.load return them)"
        )
    part = check_crop(crop)
    _check_sizes(per_page, cell_inches)
    space = replace(page_size or PageSize(), cell=cell_inches)
    # On a notebook's page the width is fixed: tiles that don't fit go to another page.
    space = replace(space, widest=space.width) if live else space
    view = view_of(results, show, over)
    values = Values(results)
    choice = choose(values, rows, columns, where)
    title = text.clean(results.name if title is None else title)
    if not choice.shots:
        _check_page(page, 1)
        return _empty(title)
    table = make_table(values, choice, reference=reference)
    ratios = Ratios(table.places.values(), part, view)
    frames = frames_of(values, choice.shots, frame)
    named = len(captions.spelled_out(values, choice.shots))
    space = _above_legend(space, named)
    if table.sheet and named > captions.LINE_LIMIT:
        per_page = min(per_page or captions.LINE_LIMIT, captions.LINE_LIMIT)
    split, lay = (split_sheet, lay_sheet) if table.sheet else (split_matrix, lay_matrix)
    pages = split(table, ratios, per_page, space)
    _check_page(page, len(pages))
    table = pages[page - 1]
    tiles = lay(table, ratios, space)
    tiles = replace(tiles, tiles=tuple(_marked(tile, criterion, view, frames) for tile in tiles.tiles))
    shots = [content for content in table.places.values() if isinstance(content, Shot)]
    further = left_out.format(shown=len(shots), all=len(choice.shots) - table.hidden)
    mark = captions.mark_of(shots, live)
    notes = captions.notes_of(choice, table, page, len(pages), further, live=live)
    entries = captions.legend_entries(values, shots, title)
    width = max(tiles.width, min(space.widest, _NARROWEST))
    return replace(
        _stacked(
            captions.header(title, mark, notes, width),
            captions.colour_key(view, frames, frame, width),
            tiles,
            captions.legend(entries, captions.marks_of(tiles.tiles, criterion), width, live=live),
            _LIVE_MARGIN if live else _MARGIN,
        ),
        rows=table.rows.entries[table.rows.references :],
        columns=table.columns.entries[table.columns.references :],
        row_names=table.rows.names,
        column_names=table.columns.names,
        notes=tuple(note for note in (mark, *notes) if note),
        legend=entries,
        crop=part,
        page=page,
        pages=len(pages),
    )


def check_crop(crop: Sequence[float] | None) -> Crop:
    """The crop as four fractions; the whole picture for None.

    Raises:
        SweepError: it is not a part of a picture.
    """
    if crop is None:
        return FULL
    allowed = "allowed are (left, top, right, bottom) as fractions from 0 to 1, left < right and top < bottom"
    try:
        x0, y0, x1, y1 = (float(edge) for edge in crop)
    except (TypeError, ValueError):
        raise SweepError(f"crop: {crop!r:.60}, {allowed}") from None
    if not (0 <= x0 < x1 <= 1 and 0 <= y0 < y1 <= 1):
        raise SweepError(f"crop: {crop!r:.60}, {allowed}")
    return (x0, y0, x1, y1)


def _check_sizes(per_page: int | None, cell_inches: float | None) -> None:
    if per_page is not None and (isinstance(per_page, bool) or not isinstance(per_page, int) or per_page < 1):
        raise SweepError(f"per_page: {per_page!r}, allowed is a whole number from 1")
    if cell_inches is not None and not (
        isinstance(cell_inches, int | float) and math.isfinite(cell_inches) and 0.2 <= cell_inches <= 12
    ):
        raise SweepError(f"cell_inches: {cell_inches!r}, allowed is a number from 0.2 to 12")


def _check_page(page: int, pages: int) -> None:
    if isinstance(page, bool) or not isinstance(page, int) or not 1 <= page <= pages:
        there = "there is only page 1" if pages == 1 else f"there are pages 1 to {pages}"
        raise SweepError(f"page: {page!r}, {there}")


def _above_legend(space: PageSize, named: int) -> PageSize:
    """The space that a legend of so many names leaves for the tiles."""
    lines = min(captions.LINE_LIMIT + captions.MOST_LINES, captions.MOST_LINES * named)
    height = text.height(lines, captions.POINTS) + 0.03 * lines
    return replace(space, tallest=space.tallest - max(0.0, height - _SHORT_LEGEND))


def _marked(tile: Tile, criterion: str | None, view: View, frames: Frames | None) -> Tile:
    """The tile with its view, verdicts and frame."""
    shot = Shot(tile.cell, tile.number) if tile.cell is not None else None
    return replace(
        view.on(tile),
        verdicts=captions.verdicts_of(tile.output, criterion),
        frame=frames.of(shot) if frames is not None and shot is not None else None,
    )


def _stacked(header: Block, key: Block, tiles: Block, legend: Block, margin: float) -> GridPlan:
    """The blocks one below the other, with margins around them."""
    key_top = margin + header.height
    tiles_top = key_top + (0.09 if header.height else 0.0)
    if key.height:
        tiles_top = key_top + key.height + 0.06
    bottom = tiles_top + tiles.height
    parts = (
        header.moved(margin, margin),
        key.moved(margin, key_top),
        tiles.moved(margin, tiles_top),
        legend.moved(margin, bottom + 0.14),
    )
    return GridPlan(
        width=header.width + 2 * margin,
        height=bottom + (0.11 + legend.height if legend.height else 0.0) + margin,
        tiles=parts[2].tiles,
        labels=tuple(label for part in parts for label in part.labels),
        lines=parts[2].lines,
        bars=parts[1].bars,
    )


def _empty(title: str) -> GridPlan:
    """A small sheet that says there is nothing to show."""
    header = captions.header(title, "", (), _NARROWEST)
    top = _MARGIN + (header.height + 0.02 if title else 0.0)
    label = Label(("There are no cells to show.",), _MARGIN, top, 10.0, "value")
    labels = (*header.moved(_MARGIN, _MARGIN).labels, label)
    return GridPlan(_NARROWEST + 2 * _MARGIN, label.bottom + _MARGIN, labels=labels)
