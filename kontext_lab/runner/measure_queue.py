"""Queues pictures for measuring once the store has them, in a pool apart from the requests.

The store writer records the values between outcomes. A failure costs values, never a picture, and never delays sending.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor, Future
from time import monotonic
from typing import Any

from kontext_lab.errors import TrackingError
from kontext_lab.runner.protocols import MeasurerProtocol, Post
from kontext_lab.runner.run_state import RunState
from kontext_lab.runner.store_writer import StoreWriter

__all__ = ["MeasureQueue"]

_LATER = "`lab.measure(results)` or `kontext-lab measure` does it later"

_MOST_LINES = 3
"""Lines about failed measurements; further ones seldom have another reason."""

PATIENCE = 600.0
"""Longest wait for the next cell at the end of a run, in seconds: a person's own metric may load a model, or hang."""


class MeasureQueue:
    """Queue of cells to be measured. All methods and posted calls run on the coordinator's thread.

    Without a measurer nothing is measured; the pool, which runs it, is not shut down here.
    """

    def __init__(
        self,
        state: RunState,
        store_writer: StoreWriter,
        post: Post,
        measurer: MeasurerProtocol | None,
        pool: Executor | None,
    ) -> None:
        self._state = state
        self._store_writer = store_writer
        self._post = post
        self._measurer = measurer
        self._pool = pool
        self._under_way: dict[int, Future[Any]] = {}
        self._recording: set[int] = set()
        self._lines = 0
        self._lost = 0
        self._drop_reason = ""
        self._refused = False
        self._last_result = monotonic()

    @property
    def pending(self) -> int:
        """Number of cells under way."""
        return len(self._under_way) + len(self._recording)

    def enqueue(self, place: int) -> None:
        """Measure a cell that is in the store, unless it was measured before."""
        cell = self._state[place]
        if self._measurer is None or self._pool is None or not self._measurer.wants(cell):
            return
        if self._drop_reason:
            self._lost += 1
            return
        try:
            future = self._pool.submit(self._measurer.measure, cell)
        except RuntimeError:  # Python is about to end: paid pictures come first
            self._lost += 1
            self.drop("Python ends")
            return
        self._under_way[place] = future
        self._last_result = monotonic()
        self._count()
        future.add_done_callback(lambda _: self._post(lambda: self._measured(place, future)))

    def _measured(self, place: int, future: Future[Any]) -> None:
        if self._under_way.get(place) is not future:
            return  # dropped
        del self._under_way[place]
        self._last_result = monotonic()
        self._count()
        measurer, cell = self._measurer, self._state[place]
        try:
            found = future.result(timeout=0)
        # A bug in a metric must not cost a sweep, not even one that ends its thread.
        except BaseException as error:
            self._trouble([f"{cell.title}: not measured: {type(error).__name__}: {error}"])
            return
        self._trouble(found.trouble)
        if measurer is None or not found.values:
            return
        if self._store_writer.down:
            self._lost += 1
            self.drop("MLflow does not answer")
            return
        self._recording.add(place)
        self._count()

        def record() -> None:
            # Each try may wait a minute for a store that is locked, and pictures wait behind it.
            if self._refused:
                raise TrackingError("MLflow did not take earlier measurements")
            try:
                measurer.record(cell, found)
            except BaseException:
                self._refused = True
                raise

        self._store_writer.do(record, lambda failure: self._recorded(place, failure))

    def _trouble(self, lines: Sequence[str]) -> None:
        for line in lines:
            if line in self._state.results.notes:
                continue
            self._lines += 1
            if self._lines <= _MOST_LINES:
                self._state.note(line)
            elif self._lines == _MOST_LINES + 1:
                self._state.note("more could not be measured: `lab.measure(results)` names every failure")

    def _recorded(self, place: int, failure: TrackingError | None) -> None:
        self._recording.discard(place)
        self._count()
        if failure is None:
            self._state.notify(self._state[place])
        else:
            self._lost += 1
            self.drop(str(failure))

    def hurry(self, now: float) -> None:
        """Give up cells that have hung for PATIENCE seconds, when nothing else is waited for."""
        if self._under_way and now - self._last_result > PATIENCE:
            self.drop(f"nothing came of it for {PATIENCE / 60:.0f} minutes")

    def drop(self, reason: str) -> None:
        """Measure nothing more in this run; results of running measurements are ignored."""
        self._drop_reason = self._drop_reason or reason
        under_way, self._under_way = self._under_way, {}
        for future in under_way.values():
            future.cancel()
        self._lost += len(under_way)
        self._count()

    def close(self) -> None:
        """Note how many cells were not measured."""
        if self._lost:
            cells = "1 cell was" if self._lost == 1 else f"{self._lost} cells were"
            self._state.note(f"{cells} not measured ({self._drop_reason}): {_LATER}")

    def _count(self) -> None:
        self._state.results.measuring = self.pending
