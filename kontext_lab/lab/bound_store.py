"""The store and the journal as the runner sees them, each bound to one sweep."""

from __future__ import annotations

import io
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from kontext_lab.errors import OutputUnavailable, TrackingError, shown
from kontext_lab.journal import AttemptFolder, Intent, SweepJournal
from kontext_lab.lab.worker import keep_answer
from kontext_lab.redaction import get_logger
from kontext_lab.request.attempt import Attempt
from kontext_lab.results import CellResult, Output, Results, State, TrackedCell
from kontext_lab.tracking import Tracker

__all__ = ["BoundJournal", "BoundStore", "grid_png"]

log = get_logger(__name__)


class BoundStore:
    """The tracker, bound to one parent run."""

    def __init__(self, tracker: Tracker, parent_id: str) -> None:
        self._tracker = tracker
        self._parent_id = parent_id

    def log(self, place: int, cell: CellResult, attempt: Attempt) -> None:
        """Write a cell that was sent."""
        self._tracker.log(self._parent_id, place, cell, attempt)

    def settle(self, cell: CellResult, outcome: tuple[State, str, str], cost: float) -> None:
        """Write what became of a cell in doubt."""
        self._tracker.settle(cell.run_id, outcome, cost)

    def copy(self, place: int, cell: CellResult, source: TrackedCell) -> None:
        """Write a cell that is reused from elsewhere."""
        self._tracker.copy(self._parent_id, place, cell, source)

    def take(self, cell: CellResult, run_id: str) -> None:
        """Fill a cell from its own earlier run."""
        self._tracker.take(cell, run_id)

    def reachable(self) -> bool:
        """Whether the store can be spoken to at all."""
        return self._tracker.reachable()

    def finish(self, results: Results, *, stopped: bool, seconds: float, quick: bool = False) -> None:
        """Sum up; quickly without table and figure, which take longer than all else."""
        grid = b"" if quick else grid_png(results)
        try:
            self._tracker.finish(results, stopped=stopped, seconds=seconds, grid=grid, table=not quick)
        except TrackingError:
            self._tracker.abandon(self._parent_id)  # the next run sums up; until then nothing is running
            raise


class BoundJournal:
    """The journal, bound to one sweep."""

    def __init__(self, journal: SweepJournal) -> None:
        self._journal = journal

    def intend(self, place: int, cell: CellResult, request_id: str, price: float) -> AttemptFolder:
        """Write down what is about to be sent."""
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        intent = Intent(place, cell.title, request_id, cell.fingerprint, price, now)
        return self._journal.intend(intent, outputs=cell.request.pictures if cell.request else 1)

    def answered(self, attempt_folder: AttemptFolder) -> bool:
        """Whether an answer lies there."""
        return attempt_folder.answer is not None

    def keep(self, attempt_folder: AttemptFolder, attempt: Attempt) -> Attempt:
        """Write down an answer that its worker could not write down itself."""
        return keep_answer(attempt, attempt_folder)

    def drop(self, attempt_folder: AttemptFolder) -> None:
        """The store has it, or nothing was billed."""
        self._journal.drop(attempt_folder)

    def shelve(self, cell: CellResult, attempt: Attempt) -> Attempt:
        """Let go of the bytes that lie in an attempt folder."""
        if attempt.answer is None:
            return attempt
        pictures = list(attempt.answer.pictures)
        for place, (output, picture) in enumerate(zip(cell.outputs, pictures, strict=True)):
            if picture.kept_at:
                pictures[place] = replace(picture, data=b"")
                output.release(partial(_from_desk, picture.kept_at, output))
        return replace(attempt, answer=replace(attempt.answer, pictures=tuple(pictures)))


def _from_desk(path: str, output: Output) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        reason = error.strerror or str(error)
        raise OutputUnavailable(f"{output!r} can't be read from the journal: {reason}") from None


def grid_png(results: Results) -> bytes:
    """The grid that is logged with a sweep, of many cells its first page; empty where a picture can't be loaded back."""
    from kontext_lab.figures import grid  # noqa: PLC0415 - as above

    buffer = io.BytesIO()
    try:
        # Level 1: half a second less at the end of a sweep, for a tenth more bytes.
        grid(results).savefig(buffer, format="png", pil_kwargs={"compress_level": 1})
    except Exception as error:  # whatever a picture does to a figure, it must not keep a sweep from ending
        log.warning("the grid of %s can't be drawn: %s", results.name, shown(error, 200))
        log.debug("what kept the grid from being drawn", exc_info=True)
        return b""
    return buffer.getvalue()
