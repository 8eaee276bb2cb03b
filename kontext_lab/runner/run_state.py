"""State of a run: cells and notes that observers see, and timers."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from kontext_lab.redaction import get_logger
from kontext_lab.results import CellResult, Results, State
from kontext_lab.runner.protocols import Observer

__all__ = ["RunState", "Timers"]

log = get_logger(__name__)


class RunState:
    """Results as they change, one cell per task; calls observers in order."""

    def __init__(self, results: Results, observers: Sequence[Observer]) -> None:
        self.results = results
        self._observers = list(observers)
        self._stop_line = ""

    def __getitem__(self, place: int) -> CellResult:
        return self.results[place]

    @property
    def stopped(self) -> bool:
        """True once nothing more is to be sent."""
        return bool(self.results.stopped)

    def stop(self, word: str, line: str) -> None:
        """Send nothing more; the first reason counts."""
        if not self.results.stopped:
            self.results.stopped = word
            self._stop_line = line
            self.note(line)

    def note(self, line: str) -> None:
        """Add a line for a person, once."""
        if line not in self.results.notes:
            self.results.notes.append(line)

    def end(self, place: int, state: State, reason: str, note: str = "") -> None:
        """End a cell without an answer."""
        self.results[place].end(state, reason, note)
        self.notify(self.results[place])

    def cancel(self, place: int) -> None:
        """Leave a cell to the next run, since this one stopped."""
        self.end(place, State.CANCELLED, "stopped", self._stop_line)

    def notify(self, cell: CellResult) -> None:
        """Tell observers that a cell's state changed."""
        for observer in self._observers:
            try:
                observer(cell)
            except Exception:  # a broken display must not cost a picture
                log.warning("an observer failed on cell %s", cell.title, exc_info=True)


class Timers:
    """Timers by name; setting one again moves it."""

    def __init__(self) -> None:
        self._timers: dict[str, tuple[float, Callable[[], None]]] = {}

    def set(self, name: str, moment: float, act: Callable[[], None]) -> None:
        """Call `act` at a moment of the monotonic clock."""
        self._timers[name] = (moment, act)

    def has(self, name: str) -> bool:
        """True if this timer is set."""
        return name in self._timers

    def cancel(self, name: str) -> None:
        """Remove a timer."""
        self._timers.pop(name, None)

    def seconds(self, now: float, most: float = 60.0) -> float:
        """Seconds until the next timer is due, at most `most`."""
        return max(0.0, min((most, *(moment - now for moment, _ in self._timers.values()))))

    def due(self, now: float) -> list[Callable[[], None]]:
        """Remove the timers that are due; returns their calls in the order of their moments."""
        names = [name for name, (moment, _) in self._timers.items() if moment <= now]
        timers = sorted((self._timers.pop(name) for name in names), key=lambda timer: timer[0])
        return [act for _, act in timers]
