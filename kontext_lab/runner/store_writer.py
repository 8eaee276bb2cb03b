"""The store writer: writes outcomes to the store, one after another, in a thread of its own.

A store that fails costs no picture: what could not be written stays in its folder and is tried again, while the
sweep goes on. Knows the recorder and the book; decides nothing about sending.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic
from typing import Any

from kontext_lab.errors import TrackingError
from kontext_lab.request.attempt import Attempt
from kontext_lab.results import CellResult
from kontext_lab.runner.protocols import Callback, JournalProtocol, Recorder

__all__ = ["PendingWrite", "StoreWriter"]

HANG_SECONDS = 20.0
"""A failure that takes this long is one of the whole store: the next outcome would take as long."""


@dataclass
class PendingWrite:
    """An outcome to be written.

    Attributes:
        place: the cell's.
        cell: with the attempt applied.
        attempt: how it ended.
        attempt_folder: where its bytes lie until it is written.
        tries: how often writing failed.
    """

    place: int
    cell: CellResult
    attempt: Attempt
    attempt_folder: Any
    tries: int = 0


class StoreWriter:
    """Owns the one thread that writes to the store.

    Every method is called on the coordinator's thread, and so is everything that is posted.

    Args:
        recorder: the store.
        journal: where outcomes lie until the store has them.
        post: hands an event to the coordinator.
        trouble: told of a failure in a line.
        written: told of the place of every cell that the store has taken.

    Attributes:
        pending: jobs under way.
        backlog: what the store did not take yet.
        down: the store is not tried until `retry`.
        failures: in a row.
    """

    def __init__(
        self,
        recorder: Recorder,
        journal: JournalProtocol,
        post: Callable[[Callback], None],
        trouble: Callable[[str], None],
        written: Callable[[int], None],
    ) -> None:
        self._recorder = recorder
        self._journal = journal
        self._post = post
        self._trouble = trouble
        self._told = written
        # No pool: those take nothing any more once Python is about to end, when what came must still be written.
        self._jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self.pending = 0
        self.backlog: list[PendingWrite] = []
        self.down = False
        self.failures = 0
        self._owed: set[int] = set()

    @property
    def writing(self) -> int:
        """How many outcomes wait for the store in memory."""
        return len(self._owed) - len(self.backlog)

    def owes(self, place: int) -> bool:
        """Whether a cell's outcome has not reached the store yet."""
        return place in self._owed

    def open(self) -> None:
        """Start the thread."""
        threading.Thread(target=self._write_all, name="kontext-lab store").start()

    def close(self) -> None:
        """End the thread once it has nothing left to do."""
        self._jobs.put(None)

    def _write_all(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()

    def do(self, job: Callable[[], None], then: Callable[[TrackingError | None], None]) -> None:
        """Do something with the store; `then` is told of its failure, or of None."""

        def run() -> None:
            failure: TrackingError | None = None
            try:
                job()
            except TrackingError as error:
                failure = error
            except Exception as error:  # a bug on this side of the store must not cost a picture either
                failure = TrackingError(f"{type(error).__name__}: {error}")
            self._post(Callback(lambda: done(failure)))

        def done(failure: TrackingError | None) -> None:
            self.pending -= 1
            then(failure)

        self.pending += 1
        self._jobs.put(run)

    def write(self, write: PendingWrite) -> None:
        """Write an outcome, or keep it for later while the store is down."""
        self._owed.add(write.place)
        if self.down:
            self._shelve(write)
            return
        self.do(lambda: self._log(write), lambda failure: self._written(write, failure))

    def retry(self) -> None:
        """Try the store again, if it answers at all, with everything it did not take."""
        answers: list[bool] = []
        self.do(lambda: answers.append(self._recorder.reachable()), lambda _: self._resume(any(answers)))

    def _resume(self, answers: bool) -> None:
        if not answers:
            self.failures += 1
            return
        self.down = False
        # What failed for a reason of its own must not keep the rest waiting.
        pages, self.backlog = sorted(self.backlog, key=lambda write: write.tries), []
        for write in pages:
            self.write(write)

    def _log(self, write: PendingWrite) -> None:
        if self.down:  # found out while this one waited for its turn
            raise TrackingError("MLflow does not answer")
        began = monotonic()
        try:
            self._recorder.log(write.place, write.cell, write.attempt)
        except TrackingError:
            hangs = monotonic() - began > HANG_SECONDS
            self.down = self.down or hangs or not self._recorder.reachable()
            raise
        self._journal.drop(write.attempt_folder)

    def _written(self, write: PendingWrite, failure: TrackingError | None) -> None:
        if failure is None:
            self.failures = 0
            self._owed.discard(write.place)
            self._told(write.place)
            return
        write.tries += 1
        if not self.backlog:
            self.failures += 1
            self._trouble(f"{failure}; pictures are safe in the journal, the sweep goes on")
        self._shelve(write)

    def _shelve(self, write: PendingWrite) -> None:
        write.attempt = self._journal.shelve(write.cell, write.attempt)
        self.backlog.append(write)
