"""The tab Effects: the effect of each axis on a measured value of the results on show, and the cells of a point."""

from __future__ import annotations

import html
import time
from collections.abc import Callable, Sequence
from functools import partial

from ipywidgets import HTML

from kontext_lab import figures
from kontext_lab.errors import KontextLabError
from kontext_lab.figures import EffectsView, PointPlace
from kontext_lab.figures.grid import small_png
from kontext_lab.panel.browser import Chart, ClickTarget, PageFrame
from kontext_lab.panel.session import Session
from kontext_lab.panel.widgets import (
    NO_CHOICE,
    Section,
    TextLine,
    close_widgets,
    column,
    jpeg_tag,
    picker,
    plain,
    row,
    set_options,
    show_if,
)
from kontext_lab.results import CellResult, Output, Results
from kontext_lab.statistics import Effects, effects_of, measured
from kontext_lab.sweep.wording import shortened

__all__ = ["EffectsTab", "MeasureBar"]

_NEEDS = "Effects need measured pictures: how much each one changed, and how well the rest was kept. Verdicts count as well."
_FIRST = ("change/area", "preserve/ssim")
_MOST_BYTES = 400_000
_LONGEST = 40
_NARROWEST, _WIDEST = 4.5, 9.0
_MARGIN = 75
"""Pixels of the panel's width beside the figure."""
_PAUSE = 1.0
"""Seconds between two updates while cells arrive."""
_THUMBNAIL = 128
_MOST_CELLS = 24
_BATCH = 6
"""Cells that are measured before the next check for *Stop measuring*."""


class EffectsTab(Section):
    """Effects in the results on show; `show_cell` shows an output in the tab Grid."""

    def __init__(self, session: Session, frame: PageFrame, show_cell: Callable[[Output], None]) -> None:
        super().__init__(session.dispatcher)
        self._session, self._frame, self._show_cell = session, frame, show_cell
        self._results: Results | None = None
        self.numbers: Effects | None = None
        self._view: EffectsView | None = None
        self._cost = 0.0  # seconds that the last figure took
        self.metric = picker("Value", "What was measured")
        self.rows = picker("Together", "Two axes together: the one down the side")
        self.columns = picker("and", "Two axes together: the one across")
        self.axis = picker("Cells of", "Which axis")
        self.value = picker("at", "Which value of it")
        for choice in (self.metric, self.rows, self.columns):
            self.on_change(choice, self._compute)
        self.on_change(self.axis, self._offer_values)
        self.on_change(self.value, self._show_point)
        self.empty, self.busy = TextLine(_NEEDS, "muted"), TextLine(kind="muted")
        self.measuring = MeasureBar(session, self.update_soon)
        self.chart = Chart()
        self.chart.on_pick(self.guarded(self._on_pick))
        self.sentences, self.cells = HTML(**plain(HTML)), Section()
        head = row(self.metric, self.rows, self.columns, name="kl-arranging")
        foot = row(self.axis, self.value, name="kl-arranging")
        self._content = [head, self.busy, self.chart, foot, self.cells, self.sentences]
        self.fill([self.empty, self.measuring, *self._content])
        self.follow(frame, self._draw, "dark")
        self.follow(frame, self._draw_later, "width")
        self._offer(())

    # The numbers.

    def put(self, results: Results | None) -> None:
        """Show the effects in these results, as they are now."""
        self._results = results
        self.measuring.refresh()
        self._offer(measured(results) if results is not None else ())
        self._compute()

    def update_soon(self) -> None:
        """Show the results on show in a moment; seldom enough to be followed while cells arrive."""
        # A figure that takes long is drawn seldom, so that clicks are answered between two of them.
        pause = max(_PAUSE, 10 * self._cost)
        put = self.watched(lambda: self.put(self._session.results))
        self.dispatcher.later(pause, put, key=(id(self), "put"))

    def _offer(self, names: Sequence[str]) -> None:
        """Offer measured values."""
        with self.filling():
            first = next((name for name in _FIRST if name in names), names[0] if names else NO_CHOICE)
            set_options(self.metric, [(name, name) for name in names] or [(NO_CHOICE, NO_CHOICE)], first)
        show_if(not names, self.empty)
        show_if(names, *self._content)

    def _compute(self) -> None:
        results, metric = self._results, self.metric.value
        if results is None or metric == NO_CHOICE:
            return
        known = {axis.name for axis in self.numbers.axes} if self.numbers is not None else set()
        both = (self.rows.value, self.columns.value)
        interaction = both if both[0] != both[1] and set(both) <= known else None
        self.busy.say("computing …")
        self.background(
            lambda: effects_of(results, metric, interaction=interaction),
            self._on_numbers,
            key="effects",
            busy=self.busy,
        )

    def _on_numbers(self, numbers: Effects) -> None:
        self.clear_trouble()
        self.numbers = numbers
        names = [axis.name for axis in numbers.axes]
        options = list(zip(shortened(names, _LONGEST), names, strict=True))
        nothing = [(NO_CHOICE, NO_CHOICE)]
        with self.filling():
            for choice in (self.rows, self.columns):
                set_options(choice, nothing + options)
            set_options(self.axis, options or nothing, names[0] if names else NO_CHOICE)
        show_if(len(names) > 1, self.rows, self.columns)
        show_if(names, self.axis, self.value)
        self._draw()
        self._offer_values()

    # The figure.

    def _draw_later(self) -> None:
        self.dispatcher.later(_PAUSE, self.watched(self._draw), key=(id(self), "resized"), move=True)

    def _draw(self) -> None:
        numbers = self.numbers
        if numbers is None:
            return
        started = time.monotonic()
        # In inches: a figure that is scaled down to fit can't be read.
        width = max(_NARROWEST, min(_WIDEST, ((self._frame.width or 1000) - _MARGIN) / 100))
        view = self._view = figures.effects_view(numbers, dark=self._frame.dark, width=width)
        data = view._repr_png_()
        picture = data if len(data) <= _MOST_BYTES else small_png(view.figure, _MOST_BYTES)

        def click_target(place: PointPlace) -> ClickTarget:
            points = numbers.axis(place.axis).points
            point = points[place.at]
            (label,) = shortened([point.label], _LONGEST, [one.label for one in points])
            mean = "" if point.mean is None else f": {point.mean:.3g}"
            outputs = "1 output" if point.n == 1 else f"{point.n} outputs"
            return ClickTarget(place.x, place.y, f"{place.axis} {label}{mean}, {outputs}")

        targets = [click_target(place) for place in view.points]
        self.chart.show(picture, targets, alt=f"{numbers.metric}: effects")
        self._cost = time.monotonic() - started
        self._mark()
        lines = "".join(f"<li>{html.escape(sentence)}</li>" for sentence in numbers.sentences)
        self.sentences.value = f'<ul class="kl-findings">{lines}</ul>'

    def _mark(self) -> None:
        """Mark the chosen point on the chart."""
        points = self._view.points if self._view is not None else ()
        chosen = (self.axis.value, self.value.value)
        self.chart.picked = next((at for at, one in enumerate(points) if (one.axis, one.at) == chosen), -1)

    def _on_pick(self, number: int) -> None:
        if self._view is None:
            return
        point = self._view.points[number]
        with self.filling():
            self.axis.value = point.axis
        self._offer_values(point.at)

    # The cells of a point.

    def _offer_values(self, chosen: int | None = None) -> None:
        """Offer the values of the chosen axis, and choose one."""
        numbers = self.numbers
        if numbers is None:
            return
        with self.filling():
            points = numbers.axis(self.axis.value).points if self.axis.value != NO_CHOICE else ()
            short = shortened([point.label for point in points], _LONGEST)
            options = [
                (f"{label} ({point.n})", at)
                for at, (label, point) in enumerate(zip(short, points, strict=True))
                if point.outputs
            ]
            set_options(self.value, options or [(NO_CHOICE, -1)], options[0][1] if options else -1)
            if chosen in [at for _, at in options]:
                self.value.value = chosen
        self._show_point()

    @property
    def outputs(self) -> tuple[Output, ...]:
        """The outputs of the chosen point."""
        numbers, at = self.numbers, self.value.value
        if numbers is None or self.axis.value == NO_CHOICE or at in (-1, None, NO_CHOICE):
            return ()
        outputs: tuple[Output, ...] = numbers.axis(self.axis.value).points[at].outputs
        return outputs

    def _show_point(self) -> None:
        """Show the cells of the chosen point as small pictures with buttons that lead to the grid."""
        self._mark()
        before, outputs = self.cells.parts, self.outputs
        shown = outputs[:_MOST_CELLS]
        numbers = [f" · {output.number}" if len(output.cell.outputs) > 1 else "" for output in shown]
        titles = [output.cell.title + number for output, number in zip(shown, numbers, strict=True)]
        names = shortened([" ".join(title.split()) for title in titles], _LONGEST)
        pictures = [HTML(**plain(HTML)) for _ in shown]
        cells = []
        for output, picture, name in zip(shown, pictures, names, strict=True):
            show = partial(self._show_cell, output)
            button = self.cells.button(name, show, f"Show {name} in the grid", small=True)
            cells.append(column(picture, button, name="kl-strip-cell", width="auto"))
        more = len(outputs) - len(shown)
        rest = [TextLine(f"and {more} more in the tab Grid", "muted")] if more > 0 else []
        self.cells.fill([row(*cells, *rest)] if cells else [])
        close_widgets(*before)

        def on_loaded(tags: Sequence[str]) -> None:
            for picture, tag in zip(pictures, tags, strict=True):
                picture.value = tag

        self.background(lambda: [_thumbnail(output) for output in shown], on_loaded, key="cells")


class MeasureBar(Section):
    """Counts cells that are not measured, and measures them; calls `measured` after every batch."""

    def __init__(self, session: Session, measured: Callable[[], None]) -> None:
        super().__init__(session.dispatcher)
        self._session, self._measured = session, measured
        self._current: Results | None = None
        self._total = 0
        self.line = TextLine(kind="muted")
        self.start = self.button("Measure", self.measure, "Measure what each edit changed and what it kept")
        self.stop = self.button("Stop measuring", self._end, "Measured values stay", small=True)
        self.fill([row(self.start, self.stop, self.line)])
        self.refresh()

    def refresh(self) -> None:
        """Follow the results on show."""
        results, busy, run = self._session.results, self._session.busy, self._session.order
        if results is not self._current:
            self._current = None  # other results are on show: measuring stops
        missing = _unmeasured(results) if results is not None else []
        working = self._current is not None
        if working:
            self.line.say(f"measuring: {self._total - len(missing)} of {self._total} cells")
        elif missing and busy:
            measures = bool(run and run.plan.options.measure)
            self.line.say("pictures are measured as they come" if measures else "")
        else:
            cells = "1 cell is" if len(missing) == 1 else f"{len(missing)} cells are"
            self.line.say(f"{cells} not measured" if missing else "")
        show_if(missing and not working and not busy, self.start)
        show_if(working, self.stop)

    def measure(self) -> None:
        """Measure all cells that have not been measured."""
        results = self._session.results
        if results is not None:
            self._current = results
            self._total = len(_unmeasured(results))
            self._measure_batch(results)

    def _measure_batch(self, results: Results) -> None:
        lab, cells = self._session.lab, _unmeasured(results)[:_BATCH]
        if not cells:
            self._end()
            return
        batch = Results(cells, name=results.name, run_id=results.run_id)
        self.background(
            lambda: lab.measure(batch, progress=False),
            partial(self._on_measured, results),
            self._on_error,
            lane="measure",
        )
        self.refresh()

    def _on_measured(self, results: Results, batch: Results) -> None:
        if self._current is not results:
            return
        for cell in batch:
            self._session.touch(cell)
        self._measured()
        missing = _unmeasured(results)
        if batch.notes and any(cell in missing for cell in batch):
            self._end(" · ".join(batch.notes))  # these cells would fail again, for ever
        else:
            self._measure_batch(results)

    def _on_error(self, error: Exception) -> None:
        self._end()
        self.show(error)

    def _end(self, line: str = "") -> None:
        self._current = None
        self.refresh()
        if line:
            self.line.say(line)


def _unmeasured(results: Sequence[CellResult]) -> list[CellResult]:
    return [
        cell
        for cell in results
        if any(output.is_picture and "align/registered" not in output.metrics for output in cell.outputs)
    ]


def _thumbnail(output: Output) -> str:
    """A picture of a few kilobytes as HTML, saved with the notebook; words if there is none."""
    try:
        picture = output.thumbnail(_THUMBNAIL)
    except KontextLabError as error:
        return f'<div class="kl-muted">{html.escape(str(error))}</div>'
    return jpeg_tag(picture, output.cell.title + (", simulated" if output.cell.simulated else ""))
