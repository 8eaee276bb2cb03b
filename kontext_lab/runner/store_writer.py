"""The store writer: writes outcomes to the store, one after another, in a thread of its own.

A store that fails costs no picture: an outcome that could not be written stays in its folder and is retried, while the
sweep goes on. Knows the recorder and the journal; decides nothing about sending.
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
from kontext_lab.runner.protocols import JournalProtocol, Post, Recorder

__all__ = ["PendingWrite", "StoreWriter"]

HANG_SECONDS = 20.0
"""A failure that takes this long means that the whole store hangs: the next outcome would take as long."""


@dataclass
class PendingWrite:
    """An outcome to be written: the cell with its last attempt applied, and the number of failed tries."""

    place: int
    cell: CellResult
    attempt: Attempt
    attempt_folder: Any
    tries: int = 0


class StoreWriter:
    """Owns the one thread that writes to the store.

    All methods and posted calls run on the coordinator's thread.

    Args:
        recorder, journal, post: see their protocols.
        on_failure: called with a line for a person.
        on_written: called with the place of every cell that the store has taken.

    Attributes:
        pending: jobs under way.
        backlog: outcomes that the store did not take yet.
        down: the store is not tried until `retry`.
        failures: in a row.
    """

    def __init__(
        self,
        recorder: Recorder,
        journal: JournalProtocol,
        post: Post,
        on_failure: Callable[[str], None],
        on_written: Callable[[int], None],
    ) -> None:
        self._recorder = recorder
        self._journal = journal
        self._post = post
        self._on_failure = on_failure
        self._on_written = on_written
        # Not a pool: it takes no jobs once Python is about to end, when outcomes must still be written.
        self._jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self.pending = 0
        self.backlog: list[PendingWrite] = []
        self.down = False
        self.failures = 0
        self._owed: set[int] = set()

    @property
    def writing(self) -> int:
        """Number of outcomes in memory that wait for the store."""
        return len(self._owed) - len(self.backlog)

    def owes(self, place: int) -> bool:
        """True until a cell's outcome has reached the store."""
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
        """Run a job with the store, then call `then` with its failure, or None."""

        def run() -> None:
            failure: TrackingError | None = None
            try:
                job()
            except TrackingError as error:
                failure = error
            except Exception as error:  # a bug on this side of the store must not cost a picture either
                failure = TrackingError(f"{type(error).__name__}: {error}")
            self._post(lambda: done(failure))

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
        """Try the store again with the whole backlog, if it answers."""
        answers: list[bool] = []
        self.do(lambda: answers.append(self._recorder.reachable()), lambda _: self._resume(any(answers)))

    def _resume(self, answers: bool) -> None:
        if not answers:
            self.failures += 1
            return
        self.down = False
        # An outcome that fails for its own reason must not delay the rest.
        writes, self.backlog = sorted(self.backlog, key=lambda write: write.tries), []
        for write in writes:
            self.write(write)

    def _log(self, write: PendingWrite) -> None:
        if self.down:  # noticed while this one waited for its turn
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
            self._on_written(write.place)
            return
        write.tries += 1
        if not self.backlog:
            self.failures += 1
            self._on_failure(f"{failure}; pictures are safe in the journal, the sweep goes on")
        self._shelve(write)

    def _shelve(self, write: PendingWrite) -> None:
        write.attempt = self._journal.shelve(write.cell, write.attempt)
        self.backlog.append(write)
