"""Measures pictures on show that have not been measured: older ones, or those of a run without measuring."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from kontext_lab.panel.session import Session
from kontext_lab.panel.widgets import Section, TextLine, row, show_if
from kontext_lab.results import CellResult, Results

__all__ = ["MeasureBar"]

_BATCH = 6
"""Cells that are measured before the next check for *Stop measuring*."""


class MeasureBar(Section):
    """Says how many cells are not measured, and measures them.

    Args:
        session: whose results and lab.
        measured: called after every batch.
    """

    def __init__(self, session: Session, measured: Callable[[], None]) -> None:
        super().__init__()
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
        self._session.dispatcher.background(
            lambda: lab.measure(batch, progress=False),
            self.watched(partial(self._on_measured, results)),
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
