"""The visible state of a run: cells, notes, the reason of a stop. Calls observers in order."""

from __future__ import annotations

from collections.abc import Sequence

from kontext_lab.redaction import get_logger
from kontext_lab.results import CellResult, Results, State
from kontext_lab.runner.protocols import Observer

__all__ = ["RunState"]

log = get_logger(__name__)


class RunState:
    """Results as they change.

    Args:
        results: one waiting cell per task.
        observers: told of every cell whose state changed.

    Attributes:
        results: the same.
    """

    def __init__(self, results: Results, observers: Sequence[Observer]) -> None:
        self.results = results
        self._observers = list(observers)
        self._why = ""

    def __getitem__(self, place: int) -> CellResult:
        return self.results[place]

    @property
    def stopped(self) -> bool:
        """Whether nothing more is to be sent."""
        return bool(self.results.stopped)

    def stop(self, word: str, why: str) -> None:
        """Send nothing more; the first reason counts."""
        if not self.results.stopped:
            self.results.stopped = word
            self._why = why
            self.note(why)

    def note(self, line: str) -> None:
        """A line that a person should read, once."""
        if line not in self.results.notes:
            self.results.notes.append(line)

    def end(self, place: int, state: State, reason: str, note: str = "") -> None:
        """A cell ends without an answer."""
        self.results[place].end(state, reason, note)
        self.tell(self.results[place])

    def cancel(self, place: int) -> None:
        """A cell is left for the next run, since this one stopped."""
        self.end(place, State.CANCELLED, "stopped", self._why)

    def tell(self, cell: CellResult) -> None:
        """A cell's state changed."""
        for observer in self._observers:
            try:
                observer(cell)
            except Exception:  # a broken display must not cost a picture
                log.warning("an observer failed on cell %s", cell.title, exc_info=True)
