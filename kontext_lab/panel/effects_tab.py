"""The tab Effects: what each axis does to a measured value of the results on show, and the way to a point's cells.

Numbers are computed on another thread, the figure is drawn on the widgets' one, as every figure of the panel.
"""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from ipywidgets import HTML, Dropdown

from kontext_lab import figures
from kontext_lab.figures import EffectsView, Mark, PointPlace
from kontext_lab.figures.axis_values import Shot, Values
from kontext_lab.figures.results_preview import small_png
from kontext_lab.panel.browser import Chart, ClickTarget, PageFrame
from kontext_lab.panel.grid_tab import Grid
from kontext_lab.panel.layouts import plain, show_if
from kontext_lab.panel.measure_bar import MeasureBar
from kontext_lab.panel.session import Session
from kontext_lab.panel.thumbnail_strip import ThumbnailStrip
from kontext_lab.panel.widgets import Section, TextLine, row
from kontext_lab.results import Output, Results
from kontext_lab.statistics import Effects, effects_of, measured
from kontext_lab.sweep.wording import shortened

__all__ = ["EffectsRoom", "reveal"]

_NEEDS = "Effects need measured pictures: how much each one changed, and how well the rest was kept. Verdicts count as well."
_NONE = "–"
_FIRST = ("change/area", "preserve/ssim")
_MOST_BYTES = 400_000
_LONGEST = 40
_NARROWEST, _WIDEST = 4.5, 9.0
_AROUND = 75
"""Pixels of the panel beside the figure."""
_REST = 1.0
"""Seconds between two looks while cells arrive."""


class EffectsRoom(Section):
    """Effects of what is on show.

    Args:
        session: whose results are on show.
        frame: knows the theme of the page.
        show_cell: shows an output in the tab Grid.
    """

    def __init__(self, session: Session, frame: PageFrame, show_cell: Callable[[Output], None]) -> None:
        super().__init__()
        self._session, self._post, self._frame = session, session.post, frame
        self._results: Results | None = None
        self._filling = False
        self.numbers: Effects | None = None
        self.metric = _picker("Value", "What was measured")
        self.rows = _picker("Together", "Two axes together: which is down the side")
        self.columns = _picker("and", "Two axes together: which is across")
        self.axis = _picker("Cells of", "Which axis")
        self.value = _picker("at", "Which value of it")
        for picker in (self.metric, self.rows, self.columns):
            picker.observe(self.guarded(lambda _: self._picked()), names="value")
        self.axis.observe(self.guarded(lambda _: self._offer_values()), names="value")
        self.value.observe(self.guarded(lambda _: self._offer_cells()), names="value")
        self.empty, self.busy = TextLine(_NEEDS, "muted"), TextLine(kind="muted")
        self.measuring = MeasureBar(session, lambda: self.take_soon(lambda: session.results))
        self.chart = Chart()
        self.chart.on_pick(self.guarded(self._clicked))
        self._view: EffectsView | None = None
        self.sentences = HTML(**plain(HTML))
        self.cells = ThumbnailStrip(session.post, show_cell)
        head, foot = row(self.metric, self.rows, self.columns), row(self.axis, self.value)
        for part in (head, foot):
            part.add_class("kl-arranging")
        self._parts = [head, self.busy, self.chart, foot, self.cells, self.sentences]
        self.fill([self.empty, self.measuring, *self._parts])
        frame.observe(self.watched(lambda _: self._draw()), names="dark")
        frame.observe(self.watched(lambda _: self._resized()), names="width")
        self._offer(())

    def take(self, results: Results | None) -> None:
        """Look at these results, as they are now."""
        self._results = results
        self.measuring.look()
        self._offer(measured(results) if results is not None else ())
        self._compute()

    def take_soon(self, results: Callable[[], Results | None]) -> None:
        """The same in a moment, with what is on show then; not more often than can be followed while cells arrive."""
        self._post.later(_REST, self.watched(lambda: self.take(results())), key=(id(self), "take"))

    def _offer(self, names: Sequence[str]) -> None:
        """The values there are; the one that was picked stays where it is still there."""
        self._filling = True
        try:
            first = next((name for name in _FIRST if name in names), names[0] if names else _NONE)
            _offered(self.metric, [(name, name) for name in names] or [(_NONE, _NONE)], first)
        finally:
            self._filling = False
        show_if(not names, self.empty)
        show_if(names, *self._parts)

    def _picked(self) -> None:
        if not self._filling:
            self._compute()

    @property
    def together(self) -> tuple[str, str] | None:
        """The two axes that are looked at together, or None."""
        both = (self.rows.value, self.columns.value)
        return None if _NONE in both or both[0] == both[1] else both

    def _compute(self) -> None:
        results, metric = self._results, self.metric.value
        if results is None or metric == _NONE:
            return
        there = [axis.name for axis in self.numbers.axes] if self.numbers is not None else []
        both = self.together if self.together and set(self.together) <= set(there) else None
        self.busy.say("computing …")
        self._post.background(
            partial(_computed, results, metric, both),
            self.watched(self._computed),
            self._failed,
            key=(id(self), "effects"),
        )

    def _failed(self, error: Exception) -> None:
        self.busy.say("")
        self.show(error)

    def _computed(self, numbers: Effects) -> None:
        self.busy.say("")
        self.forget_trouble()
        self.numbers = numbers
        names = [axis.name for axis in numbers.axes]
        self._filling = True
        try:
            for picker in (self.rows, self.columns):
                _offered(picker, [(_NONE, _NONE), *_named(names)], _NONE)
            _offered(
                self.axis,
                _named(names) or [(_NONE, _NONE)],
                names[0] if names else _NONE,
            )
        finally:
            self._filling = False
        show_if(len(names) > 1, self.rows, self.columns)
        show_if(names, self.axis, self.value)
        self._draw()
        self._offer_values()

    @property
    def _width(self) -> float:
        """Inches that the panel has room for: letters shrunk to fit can't be read."""
        room = (self._frame.width or 1000) - _AROUND
        return max(_NARROWEST, min(_WIDEST, room / 100))

    def _resized(self) -> None:
        self._post.later(_REST, self.watched(self._draw), key=(id(self), "resized"), move=True)

    def _draw(self) -> None:
        numbers = self.numbers
        if numbers is None:
            return
        view = self._view = figures.effects_view(numbers, dark=self._frame.dark, width=self._width)
        data = view._repr_png_()
        picture = data if len(data) <= _MOST_BYTES else small_png(view.figure, _MOST_BYTES)
        self.chart.show(
            picture, [_spot(numbers, one) for one in view.points], alt=f"{numbers.metric}: effects"
        )
        self._mark()
        lines = "".join(f"<li>{html.escape(sentence)}</li>" for sentence in numbers.sentences)
        self.sentences.value = f'<ul class="kl-findings">{lines}</ul>'

    # From a point to its cells.

    def _offer_values(self, at: int | None = None) -> None:
        """The values of the axis that is picked; `at` picks one."""
        numbers = self.numbers
        if numbers is None or self._filling:
            return
        self._filling = True
        try:
            points = numbers.axis(self.axis.value).points if self.axis.value != _NONE else ()
            short = shortened([point.label for point in points], _LONGEST)
            options = [
                (f"{label} ({point.n})", place)
                for place, (label, point) in enumerate(zip(short, points, strict=True))
                if point.outputs
            ]
            _offered(self.value, options or [(_NONE, -1)], options[0][1] if options else -1)
            if at in [place for _, place in options]:
                self.value.value = at
        finally:
            self._filling = False
        self._offer_cells()

    @property
    def outputs(self) -> tuple[Output, ...]:
        """The outputs of the point that is picked."""
        numbers, at = self.numbers, self.value.value
        if numbers is None or self.axis.value == _NONE or at in (-1, None, _NONE):
            return ()
        found: tuple[Output, ...] = numbers.axis(self.axis.value).points[at].outputs
        return found

    def _offer_cells(self) -> None:
        """The cells of the point that is picked."""
        if not self._filling:
            self._mark()
            self.cells.put(self.outputs)

    def _mark(self) -> None:
        """The point that is picked, on the chart."""
        points = self._view.points if self._view is not None else ()
        found = [
            place
            for place, one in enumerate(points)
            if (one.axis, one.at) == (self.axis.value, self.value.value)
        ]
        self.chart.picked = found[0] if found else -1

    def _clicked(self, place: int) -> None:
        """A point of the chart was picked."""
        point = self._view.points[place] if self._view is not None else None
        if point is None:
            return
        self._filling = True
        try:
            self.axis.value = point.axis
        finally:
            self._filling = False
        self._offer_values(point.at)


def reveal(grid: Grid, results: Results, output: Output) -> None:
    """Turn the grid's sliders and pages to where an output stands."""
    values, shot = Values(results), Shot(output.cell, output.number)
    for key, slider in grid.arranging.sliders.items():
        token = values.value(shot, key).token
        found = [at for at, (_, value) in enumerate(slider.kl_values) if value.token == token]
        slider.index = found[0] if found else slider.index
    mark = Mark(output.cell, output.number)
    grid.arranging.page = 1
    grid.redraw()
    while grid.plan is not None and not any(mark.is_on(tile) for tile in grid.plan.tiles):
        if grid.arranging.page >= grid.arranging.pages:
            return  # the grid shows something else, such as a plan of other cells
        grid.arranging.turn(1)


def _spot(numbers: Effects, place: PointPlace) -> ClickTarget:
    points = numbers.axis(place.axis).points
    point = points[place.at]
    (label,) = shortened([point.label], _LONGEST, [one.label for one in points])
    mean = "" if point.mean is None else f": {point.mean:.3g}"
    outputs = "1 output" if point.n == 1 else f"{point.n} outputs"
    return ClickTarget(place.x, place.y, f"{place.axis} {label}{mean}, {outputs}")


def _computed(results: Results, metric: str, both: tuple[str, str] | None) -> Effects:
    return effects_of(results, metric, interaction=both)


def _picker(name: str, tooltip: str) -> Dropdown:
    return Dropdown(
        options=[(_NONE, _NONE)],
        value=_NONE,
        description=name,
        tooltip=tooltip,
        **plain(Dropdown, width="auto"),
    )


def _offered(picker: Dropdown, options: Sequence[tuple[str, Any]], usual: Any) -> None:
    """Give a picker other options; what is picked stays where it can."""
    if tuple(options) == tuple(picker.options):
        return
    kept = picker.value
    picker.options = options
    picker.value = kept if kept in [value for _, value in options] else usual


def _named(names: Sequence[str]) -> list[tuple[str, str]]:
    """Options of a picker: short names that differ."""
    return list(zip(shortened(names, _LONGEST), names, strict=True))
