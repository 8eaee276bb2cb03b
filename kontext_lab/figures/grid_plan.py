"""From results to the plan of one page: numbers and words, nothing drawn.

The way there: values of the parameters, the choice of what stands where, a table of who stands where, its
page, its geometry, and the words around it. What draws the plan is another module.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from kontext_lab.errors import SweepError, WrongType
from kontext_lab.figures import captions, sizing, text
from kontext_lab.figures.axis_choice import Keys, choose
from kontext_lab.figures.axis_values import Shot, Values
from kontext_lab.figures.captions import Key, key_of, verdicts_of, verdicts_words
from kontext_lab.figures.contact_sheet import lay_sheet, split_sheet
from kontext_lab.figures.geometry import Crop, GridPlan, Label, Over, Role, Tile
from kontext_lab.figures.matrix import lay_matrix, split_matrix
from kontext_lab.figures.sizing import PageSize
from kontext_lab.figures.table import Block, Ratios, Table, make_table
from kontext_lab.figures.value_frames import Frames, Show, View, frames_of, view_of
from kontext_lab.results import Results

__all__ = ["FULL", "check_crop", "plan_grid"]

FULL: Crop = (0.0, 0.0, 1.0, 1.0)
"""The whole picture."""

_MARGIN, _LIVE_MARGIN = 0.2, 0.04
_NARROWEST = 5.0
_LINE_LIMIT, _MOST_LINES = 30, 6
"""Lines of a legend, and of one of its texts; what a page has more names of is another page's, or left to the table."""
_SHORT_LEGEND = 1.2
"""Inches of a legend for which there is paper enough below the tiles; what is longer takes theirs."""
_POINTS: dict[Role, float] = {"title": 11.5, "mark": 8.5, "note": 8.5, "legend": 8.5}


@dataclass(frozen=True)
class _Around:
    """The words around the tiles."""

    title: str
    mark: str
    notes: tuple[str, ...]
    legend: tuple[tuple[str, str], ...]
    marks: str
    key: Callable[[float], Key]
    narrowest: float
    live: bool = False

    @property
    def margin(self) -> float:
        """Around the sheet; in a page there is paper enough."""
        return _LIVE_MARGIN if self.live else _MARGIN


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
    room: PageSize | None = None,
    live: bool = False,
    criterion: str | None = None,
    show: Show = "output",
    over: Over = "reference",
    frame: str | None = None,
) -> GridPlan:
    """Plan one page of a grid; `figures.grid` says what the arguments mean.

    `left_out` are the caption's words where there are further pages, in place of "page 1 of 3"; `{shown}`
    and `{all}` in it stand for numbers of pictures. `room` is what tiles should take. `live` plans for a sheet
    that fills while it is looked at: no wider than the room, and nothing moves when pictures arrive. `criterion`
    is the one whose verdicts are shown; None for all.

    Raises:
        NotFound: no such parameter or value; names what there is.
        SweepError: a page, crop, size or parameter that cannot be.
        ConfigError: what is to be shown, or framed, is not there.
    """
    if not isinstance(results, Results):
        raise WrongType(
            f"results must be kl.Results, not {type(results).__name__} (lab.run and lab.load return them)"
        )
    part = check_crop(crop)
    _check_sizes(per_page, cell_inches)
    space = replace(room or PageSize(), cell=cell_inches)
    # A page of a notebook is as wide as it is: what doesn't fit is another page.
    space = replace(space, widest=space.width) if live else space
    view = view_of(results, show, over)
    values = Values(results)
    choice = choose(values, rows, columns, where)
    table = make_table(values, choice, reference=reference)
    ratios = Ratios(table.places.values(), part, view)
    frames = frames_of(values, choice.shots, frame) if choice.shots else None
    if not choice.shots:
        sizing.check_page(page, 1)
        return _empty(results, title)
    named = captions.named_prompts(values, choice.shots)
    lines = min(_LINE_LIMIT + _MOST_LINES, _MOST_LINES * named)
    legend = text.height(lines, _POINTS["legend"]) + 0.03 * lines
    space = replace(space, tallest=space.tallest - max(0.0, legend - _SHORT_LEGEND))
    if table.sheet and named > _LINE_LIMIT:
        per_page = min(per_page or _LINE_LIMIT, _LINE_LIMIT)
    split = split_sheet if table.sheet else split_matrix
    pages = split(table, ratios, per_page, space)
    sizing.check_page(page, len(pages))
    shown = pages[page - 1]
    block = lay_sheet(shown, ratios, space) if table.sheet else lay_matrix(shown, ratios, space)
    block = replace(block, tiles=tuple(_marked(tile, criterion, view, frames) for tile in block.tiles))
    shots = [content for content in shown.places.values() if isinstance(content, Shot)]
    further = left_out.format(shown=len(shots), all=len(choice.shots) - table.hidden)
    around = _Around(
        title=text.clean(title if title is not None else results.name),
        mark=captions.mark_of(shots, live),
        notes=captions.notes_of(choice, table, page, len(pages), further, live=live),
        legend=captions.legend_of(values, shots, text.clean(title if title is not None else results.name)),
        marks=_marks(block.tiles, criterion),
        key=partial(key_of, view, frames, frame),
        narrowest=min(space.widest, _NARROWEST),
        live=live,
    )
    return _composed(block, around, shown, part, (page, len(pages)))


def check_crop(crop: Sequence[float] | None) -> Crop:
    """The crop as four fractions; the whole picture for None.

    Raises:
        SweepError: it is no part of a picture.
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


def _marked(tile: Tile, criterion: str | None, view: View, frames: Frames | None) -> Tile:
    shot = Shot(tile.cell, tile.number) if tile.cell is not None else None
    return replace(
        view.on(tile),
        verdicts=verdicts_of(tile.output, criterion),
        frame=frames.of(shot) if frames is not None and shot is not None else None,
    )


def _marks(tiles: Sequence[Tile], criterion: str | None) -> str:
    """What the small marks on tiles mean."""
    reused = sum(tile.reused for tile in tiles)
    cells = sum(tile.cell is not None for tile in tiles)
    words = f"◥ reused from an earlier run: {reused} of {cells}" if reused else ""
    missing = sum(tile.output is not None and tile.output.is_missing for tile in tiles)
    gone = f"missing in the store, shown as previews: {missing} of {cells}" if missing else ""
    verdicts = verdicts_words((tile.verdicts for tile in tiles), criterion)
    return " · ".join(part for part in (words, gone, verdicts) if part)


def _composed(block: Block, around: _Around, table: Table, crop: Crop, pages: tuple[int, int]) -> GridPlan:
    """Words above, tiles, words below, margins around."""
    room, margin = max(block.width, around.narrowest), around.margin
    above = _above(around, room)
    key, key_top = around.key(room), _under(above) if above else 0.0
    tiles_top = margin + (_under(above) + 0.09 if above else 0.0)
    if key.height:
        above += [label.moved(0.0, key_top) for label in key.labels]
        tiles_top = margin + key_top + key.height + 0.06
    below = _below(around, room)
    if around.live and not around.marks:
        # Their line is kept free: the first verdict must not move what is below the sheet.
        below.append(Label((" ",), 0.0, _under(below), _POINTS["legend"], "note"))
    labels = [label.moved(margin, margin) for label in above]
    labels += [label.moved(margin, tiles_top) for label in block.labels]
    bottom = tiles_top + block.height + 0.14
    labels += [label.moved(margin, bottom) for label in below]
    lowest = bottom + max(label.top + label.height for label in below) if below else bottom - 0.14
    return GridPlan(
        width=room + 2 * margin,
        height=lowest + margin,
        tiles=tuple(replace(tile, rect=tile.rect.moved(margin, tiles_top)) for tile in block.tiles),
        labels=tuple(labels),
        lines=tuple(line.moved(margin, tiles_top) for line in block.lines),
        bars=tuple(bar.moved(margin, margin + key_top) for bar in key.bars),
        rows=tuple(entry.labels for entry in table.rows if not entry.reference),
        columns=tuple(entry.labels for entry in table.columns if not entry.reference),
        row_names=table.row_names,
        column_names=table.column_names,
        notes=tuple(note for note in (around.mark, *around.notes) if note),
        legend=around.legend,
        crop=crop,
        page=pages[0],
        pages=pages[1],
    )


def _above(around: _Around, room: float) -> list[Label]:
    """Title, mark and notes, one below the other."""
    labels: list[Label] = []
    top = 0.0
    parts: list[tuple[Role, str, int]] = [
        ("title", around.title, 1),
        ("mark", around.mark, 1),
        ("note", " · ".join(around.notes), 4),
    ]
    for role, words, most in parts:
        if words:
            labels.append(Label(text.wrap(words, _POINTS[role], room, most), 0.0, top, _POINTS[role], role))
            top += labels[-1].height + 0.02
    return labels


def _below(around: _Around, room: float) -> list[Label]:
    """The legend, and what the marks on tiles mean."""
    points = _POINTS["legend"]
    labels = _legend(around.legend, points, room) if around.legend else []
    if around.marks:
        words = text.wrap(around.marks, points, room, 2)
        labels.append(Label(words, 0.0, _under(labels), points, "note"))
    return labels


def _under(labels: Sequence[Label]) -> float:
    """Where the next line below them begins."""
    return max((label.top + label.height + 0.03 for label in labels), default=0.0)


def _legend(entries: Sequence[tuple[str, str]], points: float, room: float) -> list[Label]:
    """Names and what they stand for with hanging indents; many short ones in two columns."""
    if len(entries) > _LINE_LIMIT:
        more = len(entries) - _LINE_LIMIT + 1
        entries = [*entries[: _LINE_LIMIT - 1], ("…", f"and {more} more: results.to_frame() has them")]
    names, texts = zip(*entries, strict=True)
    widest = min(text.widest(names, points), room / 4)
    indent = widest + 0.12
    columns = 2 if len(entries) > 8 and text.widest(texts, points) < room / 2 - indent - 0.2 else 1
    most = min(_MOST_LINES, max(1, _LINE_LIMIT // len(entries)))
    short = text.labelled(names, points, [widest] * len(names), 1)
    lines = text.labelled(texts, points, [room - indent] * len(texts), most)
    # The others say what they have that the first has not.
    lines[0] = text.wrap(texts[0], points, room - indent, _MOST_LINES)
    labels: list[Label] = []
    for column, run in enumerate(sizing.even(len(entries), math.ceil(len(entries) / columns))):
        left, top = column * room / 2, 0.0
        for at in run:
            labels.append(Label(short[at], left, top, points, "name"))
            labels.append(Label(lines[at], left + indent, top, points, "legend"))
            top += labels[-1].height + 0.03
    return labels


def _empty(results: Results, title: str | None) -> GridPlan:
    """A small sheet that says there is nothing to show."""
    words = text.clean(title if title is not None else results.name)
    labels = [Label(("There are no cells to show.",), _MARGIN, _MARGIN, 10.0, "value")]
    if words:
        lines = text.wrap(words, _POINTS["title"], _NARROWEST, 1)
        labels = [
            Label(lines, _MARGIN, _MARGIN, _POINTS["title"], "title"),
            labels[0].moved(0.0, text.height(1, _POINTS["title"]) + 0.05),
        ]
    bottom = labels[-1].top + labels[-1].height
    return GridPlan(_NARROWEST + 2 * _MARGIN, bottom + _MARGIN, labels=tuple(labels))
