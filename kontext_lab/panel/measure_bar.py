"""Measures what is on show and was not measured yet: pictures of earlier days, or of a run that was told not to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from kontext_lab.panel.layouts import show_if
from kontext_lab.panel.session import Session
from kontext_lab.panel.widgets import Section, TextLine, row
from kontext_lab.results import CellResult, Results

if TYPE_CHECKING:
    from kontext_lab.lab import Lab

__all__ = ["MeasureBar"]

_AT_ONCE = 6
"""Cells between two looks at whether to go on."""


class MeasureBar(Section):
    """Says how much is not measured, and does it.

    Args:
        session: whose results and lab.
        measured: called whenever there is something new.
    """

    def __init__(self, session: Session, measured: Callable[[], None]) -> None:
        super().__init__()
        self._session, self._measured = session, measured
        self._working: Results | None = None
        self._total = 0
        self.line = TextLine(kind="muted")
        self.start = self.button("Measure", self.measure, "Measure what each edit changed and what it kept")
        self.stop = self.button("Stop measuring", self._stop, "What was measured stays", small=True)
        self.fill([row(self.start, self.stop, self.line)])
        self.look()

    def look(self) -> None:
        """See what is on show now."""
        results = self._session.results
        if self._working is not None and results is not self._working:
            self._working = None  # something else is on show: nobody waits for that any more
        missing = _unmeasured(results) if results is not None else []
        busy = self._session.busy
        working = self._working is not None
        if working:
            self.line.say(f"measuring: {self._total - len(missing)} of {self._total} cells")
        elif missing and busy:
            self.line.say("pictures are measured as they come" if self._measures else "")
        else:
            cells = "1 cell is" if len(missing) == 1 else f"{len(missing)} cells are"
            self.line.say(f"{cells} not measured" if missing else "")
        show_if(missing and not working and not busy, self.start)
        show_if(working, self.stop)

    @property
    def _measures(self) -> bool:
        order = self._session.order
        return bool(order and order.plan.options.measure)

    def measure(self) -> None:
        """Measure what was not."""
        results = self._session.results
        if results is None:
            return
        self._working = results
        self._total = len(_unmeasured(results))
        self._on()

    def _on(self) -> None:
        """The next few, elsewhere."""
        results = self._working
        if results is None:
            return
        lab: Lab = self._session.lab
        some = _unmeasured(results)[:_AT_ONCE]
        if not some:
            self._end()
            return
        part = Results(some, name=results.name, run_id=results.run_id)
        self._session.post.background(
            lambda: lab.measure(part, progress=False),
            self.watched(lambda done: self._did(results, done)),
            self._failed,
            lane="measure",
        )
        self.look()

    def _did(self, results: Results, part: Results) -> None:
        if self._working is not results:
            return
        for cell in part:
            self._session.touch(cell)
        self._measured()
        if part.notes and any(cell in _unmeasured(results) for cell in part):
            # What could not be measured once can't be the second time: going on would never end.
            self._end(" · ".join(part.notes))
        else:
            self._on()

    def _failed(self, error: Exception) -> None:
        self._working = None
        self.look()
        self.show(error)

    def _stop(self) -> None:
        self._end()

    def _end(self, line: str = "") -> None:
        self._working = None
        self.look()
        if line:
            self.line.say(line)


def _unmeasured(results: Sequence[CellResult]) -> list[CellResult]:
    return [
        cell
        for cell in results
        if any(output.is_picture and "align/registered" not in output.metrics for output in cell.outputs)
    ]
