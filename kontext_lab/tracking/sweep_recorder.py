"""Records one run of a sweep in MLflow: its cells as they come, and its end. One thread writes through it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress

from mlflow.entities import Run

from kontext_lab.errors import TrackingError
from kontext_lab.request.attempt import Attempt
from kontext_lab.results import CellResult, Results, State, TrackedCell
from kontext_lab.results.states import MISSING
from kontext_lab.tracking import reading, writing
from kontext_lab.tracking.artifacts import Artifact
from kontext_lab.tracking.store import Store, check_reachable, mlflow_trouble
from kontext_lab.tracking.writing import Slot

__all__ = ["ENDED", "SweepRecorder", "end_run"]

_UNSENT = (State.CANCELLED, State.SKIPPED, State.WAITING)

ENDED = ("FINISHED", "FAILED", "KILLED")
"""MLflow's words for a run that is not running."""


class SweepRecorder:
    """The recorder of one run of a sweep.

    Args:
        store: where.
        run_id: the sweep's parent run, just begun.
        children: its cells' runs of earlier times, by place.
        context: user and source tags.
        draw: draws the grid that is logged at the end, as PNG.

    Attributes:
        finished: True once `finish` has ended the run, or failed to.
    """

    def __init__(
        self,
        store: Store,
        run_id: str,
        children: Mapping[int, Run],
        context: Mapping[str, str],
        draw: Callable[[Results], bytes],
    ) -> None:
        self.store, self.run_id = store, run_id
        self._children, self._context, self._draw = dict(children), context, draw
        self._ended: set[int] = set()
        self.finished = False

    def reachable(self) -> bool:
        """True if the store can be spoken to at all; quick, and raises nothing."""
        try:
            check_reachable(self.store.uri, opened=True)
        except TrackingError:
            return False
        return True

    def has_outcome(self, place: int, request_id: str, *, answered: bool) -> bool:
        """True if a cell holds the whole outcome of an attempt.

        One that was answered, and is written as in doubt, was written before its answer came.
        """
        run = self._children.get(place)
        known = None if run is None else reading.known_of(run)
        if known is None or known.request_id != request_id:
            return False
        return not (answered and known.state is State.IN_DOUBT and not known.cost)

    def log(self, place: int, cell: CellResult, attempt: Attempt) -> None:
        """Write a cell that was sent; its bytes are then loaded from the store when asked for."""
        with mlflow_trouble(f"cell {cell.title} can't be recorded in MLflow"):
            writing.log_cell(self.store, self._slot(place), cell, attempt, self._opened(place, cell))
            self._ended.add(place)
            root = self._children[place].info.artifact_uri
            for output in cell.outputs:
                if output.sha256:
                    path, size = f"outputs/{output.file_name}", len(output.bytes)
                    output.release(Artifact(self.store.uri, cell.run_id, root, path, output.sha256, size))

    def copy(self, place: int, cell: CellResult, source: TrackedCell) -> None:
        """Write a cell that is reused from another run, and take over what that run holds."""
        with mlflow_trouble(f"cell {cell.title} can't be copied in MLflow"):
            writing.copy_cell(self.store, self._slot(place), cell, source, self._opened(place, cell))
            self._ended.add(place)

    def settle(self, cell: CellResult, outcome: tuple[State, str, str], cost: float) -> None:
        """Write what became of a cell in doubt: state, reason, note, and US dollars it cost after all."""
        with mlflow_trouble(f"run {cell.run_id[:8]} can't be recorded in MLflow"):
            writing.settle_cell(self.store, cell.run_id, outcome, cost)

    def take(self, cell: CellResult, run_id: str) -> None:
        """Fill a cell from its own run, where the same sweep was run before."""
        with mlflow_trouble(f"cell {cell.title} can't be read from MLflow"):
            known = {run.info.run_id: run for run in list(self._children.values())}
            run = known.get(run_id) or self.store.client.get_run(run_id)
            cell.take(reading.cell_of(self.store, run))

    def finish(self, results: Results, *, stopped: bool, seconds: float, quick: bool = False) -> None:
        """Sum up on the parent run and end it: FINISHED, FAILED where a cell did, KILLED where it stopped.

        Args:
            results: of the run.
            stopped: it ended before all was sent.
            seconds: it took.
            quick: without table and figure, which take longer than all else.
        """
        counts = results.counts
        failed = counts[State.FAILED] + counts[State.IN_DOUBT]
        failed += sum(1 for cell in results if cell.reason == MISSING)
        # Cells beyond a limit were left out by choice: no reason to call the run killed.
        through = ("limit", MISSING)
        unsent = sum(1 for cell in results if cell.state in _UNSENT and cell.reason not in through)
        status = "KILLED" if stopped or unsent else "FAILED" if failed else "FINISHED"
        grid = b"" if quick else self._draw(results)
        try:
            with mlflow_trouble("the sweep's end can't be recorded in MLflow"):
                # Children that a crash cut off, and that this run had no reason to go on with, are not running.
                for place, run in self._children.items():
                    if run.info.status not in ENDED and place not in self._ended:
                        self.store.client.set_terminated(run.info.run_id, "KILLED")
                writing.finish_sweep(self.store, results, status, seconds=seconds, grid=grid, table=not quick)
        except TrackingError:
            end_run(self.store, self.run_id)  # the next run sums up; until then nothing is running
            self.finished = True
            raise
        self.finished = True

    def _opened(self, place: int, cell: CellResult) -> writing.Opened:
        def remember(run: Run) -> None:
            self._children[place] = run
            cell.run_id = str(run.info.run_id)

        return remember

    def _slot(self, place: int) -> Slot:
        existing = self._children.get(place)
        if existing is not None and place in self._ended:
            # Written before by this very recorder: what it remembers is the run as it was made.
            existing = self.store.client.get_run(existing.info.run_id)
        return Slot(self.run_id, place, self._context, existing)


def end_run(store: Store, run_id: str) -> bool:
    """End a sweep that was begun and could not be started or summed up; returns whether the store knows now."""
    with suppress(TrackingError), mlflow_trouble("the sweep's end can't be recorded in MLflow"):
        store.client.set_terminated(run_id, "KILLED")
        return True
    return False
