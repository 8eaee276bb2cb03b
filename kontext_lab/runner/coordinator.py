"""The coordinator: owns the state of a running sweep, in one thread.

Sends what the plan says in its order, takes over what comes back, writes it down through the recorder, and
stops sending when it is told to or when no further request can succeed. Workers never see any of this.
"""

from __future__ import annotations

import logging
import queue
import uuid
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, Executor, Future
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum, auto
from time import monotonic
from typing import Protocol

from kontext_lab.answer import Attempt
from kontext_lab.errors import InDoubt, ServiceUnavailable, StopSweep, TrackingError
from kontext_lab.request import EditRequest
from kontext_lab.results import CellResult, Known, Results, State

__all__ = ["Coordinator", "Make", "Observer", "Recorder", "Task"]

log = logging.getLogger(__name__)

Make = Callable[[EditRequest, str], Attempt]
"""Makes one attempt at a request, under an id of its own; runs in a worker, so it pickles."""

Observer = Callable[[CellResult], None]
"""Told of every cell whose state changed, in order, on the coordinator's thread."""


_RESUMABLE = "stopped; run the same sweep again to send the rest"


UNREACHABLE_IN_A_ROW = 3
"""After so many requests that could not even be sent, the rest is left for later instead of failed."""


class Recorder(Protocol):
    """Where outcomes are written; bound to one sweep."""

    def log(self, index: int, cell: CellResult, attempt: Attempt) -> None:
        """Write a cell that was sent."""

    def copy(self, index: int, cell: CellResult, source: Known) -> None:
        """Write a cell that is reused from elsewhere."""

    def take(self, cell: CellResult, run_id: str) -> None:
        """Fill a cell from its own earlier run."""

    def finish(self, results: Results, *, stopped: bool, seconds: float) -> None:
        """Sum up."""


@dataclass(frozen=True)
class Task:
    """What is to be done about one cell: exactly one of the four below.

    Attributes:
        send: send its request, expected to cost this many US dollars; None for not.
        keep: take its outcome from its own run.
        copy: take it from another run.
        leader: take it from the earlier cell at this place, once that has ended.
        leave: end it as skipped, for this reason.
    """

    send: float | None = None
    keep: Known | None = None
    copy: Known | None = None
    leader: int | None = None
    leave: str = ""


class _Signal(Enum):
    STOP = auto()
    LEAVE = auto()


class Coordinator:
    """One run of one sweep.

    Args:
        results: one waiting cell per task; written here and nowhere else.
        tasks: what to do about each.
        make: makes one attempt.
        recorder: where outcomes are written.
        executor: any; not shut down here.
        concurrency: how many attempts at once.
        budget: US dollars that may be spent, or None.
        observers: told of every change.
    """

    def __init__(
        self,
        results: Results,
        tasks: Sequence[Task],
        *,
        make: Make,
        recorder: Recorder,
        executor: Executor,
        concurrency: int,
        budget: float | None = None,
        observers: Sequence[Observer] = (),
    ) -> None:
        self.results = results
        self._tasks = list(tasks)
        self._make = make
        self._recorder = recorder
        self._executor = executor
        self._concurrency = max(1, concurrency)
        self._left = budget
        self._observers = list(observers)
        self._events: queue.SimpleQueue[_Signal | tuple[int, str, Future[Attempt]]] = queue.SimpleQueue()
        self._flying: dict[int, tuple[str, float]] = {}
        self._arrivals: deque[tuple[int, Attempt]] = deque()
        self._unrecorded: dict[int, Attempt] = {}
        self._why_stopped = ""
        self._refused = 0

    def stop(self) -> None:
        """Send nothing more; what is in flight is waited for and kept. Safe from any thread."""
        self._events.put(_Signal.STOP)

    def leave(self) -> None:
        """Stop without waiting: what is in flight ends in doubt. Safe from any thread."""
        self._events.put(_Signal.LEAVE)

    def run(self) -> None:
        """Do all tasks; returns when every cell has ended and the recorder has everything it would take."""
        began = monotonic()
        to_send = deque(place for place, task in enumerate(self._tasks) if task.send is not None)
        at_hand = deque(
            place for place, task in enumerate(self._tasks) if task.keep or task.copy or task.leave
        )
        while to_send or at_hand or self._flying or self._arrivals:
            self._launch(to_send)
            # What came back is looked at first, so that its place in the air is taken at once; writing it
            # down, and copies, are done while the next requests are under way.
            if not self._events.empty():
                self._handle(self._events.get())
            elif self._arrivals:
                self._record(*self._arrivals.popleft())
            elif at_hand:
                self._settle(at_hand.popleft())
            elif self._flying:
                self._handle(self._events.get())
        self._follow_leaders()
        self._record_again()
        sent = any(task.send is not None for task in self._tasks)
        self._finish(monotonic() - began if sent else 0.0)

    def _launch(self, to_send: deque[int]) -> None:
        while to_send and self._has_room() and not self.results.stopped:
            place = to_send.popleft()
            price = self._tasks[place].send or 0.0
            if self._left is not None and price > self._left + 1e-9:
                self._end(place, State.SKIPPED, "budget", "does not fit into the budget")
                continue
            if self._left is not None:
                self._left -= price
            self._submit(place, price)
        while to_send and self.results.stopped:
            self._end(to_send.popleft(), State.CANCELLED, "stopped", self._why_stopped)

    def _has_room(self) -> bool:
        # A store slower than the service must not fill the memory with pictures.
        return len(self._flying) < self._concurrency and len(self._arrivals) < 2 * self._concurrency

    def _submit(self, place: int, price: float) -> None:
        cell = self.results[place]
        assert cell.request is not None, "only cells of a sweep are sent"
        request_id = f"kl-{uuid.uuid4().hex}"
        self._flying[place] = (request_id, price)
        cell.state = State.RUNNING
        self._tell(cell)
        try:
            future = self._executor.submit(self._make, cell.request, request_id)
        except RuntimeError as error:  # shut down or broken: nothing was sent
            del self._flying[place]
            self._end(place, State.FAILED, "executor", f"the executor takes no work: {error}")
            self._stop("executor", f"the executor takes no work: {error}")
            return
        future.add_done_callback(lambda done: self._events.put((place, request_id, done)))

    def _handle(self, event: _Signal | tuple[int, str, Future[Attempt]]) -> None:
        if event is _Signal.STOP:
            self._stop("asked", _RESUMABLE)
        elif event is _Signal.LEAVE:
            self._stop("asked", _RESUMABLE)
            for place, (request_id, _) in list(self._flying.items()):
                error = InDoubt("left while the request was under way: it may have been billed")
                self._arrived(place, Attempt(request_id, error=error))
        elif isinstance(event, tuple):
            place, request_id, future = event
            if place in self._flying:
                self._arrived(place, _attempt_of(request_id, future))

    def _arrived(self, place: int, attempt: Attempt) -> None:
        _, reserved = self._flying.pop(place)
        cell = self.results[place]
        cell.apply(attempt, datetime.now(UTC))
        if self._left is not None and cell.state is not State.IN_DOUBT:
            self._left += reserved - cell.cost  # in doubt counts as spent
        self.results.spent = round(self.results.spent + cell.cost, 6)
        self._arrivals.append((place, attempt))
        self._refused = self._refused + 1 if _unreachable(attempt) else 0
        if self._refused >= UNREACHABLE_IN_A_ROW:
            self._stop("unreachable", str(attempt.error))
        if isinstance(attempt.error, StopSweep):
            self._stop(type(attempt.error).__name__, str(attempt.error))

    def _stop(self, word: str, why: str) -> None:
        if not self.results.stopped:
            self.results.stopped = word
            self._why_stopped = why
            self._note_once(why)

    def _settle(self, place: int) -> None:
        """Take over what is known without sending anything."""
        task, cell = self._tasks[place], self.results[place]
        try:
            if task.keep is not None:
                self._recorder.take(cell, task.keep.run_id)
            elif task.copy is not None:
                self._recorder.copy(place, cell, task.copy)
            else:
                cell.end(State.SKIPPED, task.leave)
        except TrackingError as error:
            self._note_once(str(error))
            cell.end(State.CANCELLED, "tracking", str(error))
        self._tell(cell)

    def _follow_leaders(self) -> None:
        for place, task in enumerate(self._tasks):
            if task.leader is None:
                continue
            leader = self.results[task.leader]
            if leader.run_id and leader.state.is_finished:
                known = Known(
                    run_id=leader.run_id,
                    parent_id=self.results.run_id,
                    index=task.leader,
                    fingerprint=leader.fingerprint,
                    state=leader.state,
                    reason=leader.reason,
                    when=leader.arrived or datetime.now(UTC),
                )
                self._tasks[place] = Task(copy=known)
                self._settle(place)
            else:
                self._end(place, leader.state, leader.reason, leader.note)

    def _end(self, place: int, state: State, reason: str, note: str = "") -> None:
        self.results[place].end(state, reason, note)
        self._tell(self.results[place])

    def _record(self, place: int, attempt: Attempt) -> None:
        try:
            self._recorder.log(place, self.results[place], attempt)
        except TrackingError as error:
            # The picture stays in memory; recording is tried once more at the end.
            self._unrecorded[place] = attempt
            self._note_once(str(error))
        self._tell(self.results[place])

    def _record_again(self) -> None:
        waiting, self._unrecorded = self._unrecorded, {}
        for place, attempt in waiting.items():
            self._record(place, attempt)
        if self._unrecorded:
            count = len(self._unrecorded)
            self._note_once(f"{count} cells are not recorded in MLflow: results.save(folder) keeps them")

    def _finish(self, seconds: float) -> None:
        try:
            self._recorder.finish(self.results, stopped=bool(self.results.stopped), seconds=seconds)
        except TrackingError as error:
            self._note_once(str(error))

    def _note_once(self, line: str) -> None:
        if line not in self.results.notes:
            self.results.notes.append(line)

    def _tell(self, cell: CellResult) -> None:
        for observer in self._observers:
            try:
                observer(cell)
            except Exception:  # a broken display must not cost a picture
                log.warning("an observer failed on cell %s", cell.title, exc_info=True)


def _unreachable(attempt: Attempt) -> bool:
    return isinstance(attempt.error, ServiceUnavailable) and attempt.error.status is None


def _attempt_of(request_id: str, future: Future[Attempt]) -> Attempt:
    """How an attempt ended, also where its worker did not live to say so."""
    try:
        return future.result(timeout=0)
    except CancelledError:
        return Attempt(request_id, error=ServiceUnavailable("cancelled by its executor before it was sent"))
    except Exception as error:  # a dead process pool, a request that doesn't pickle, a bug in a worker
        return Attempt(
            request_id,
            error=InDoubt(
                f"the worker failed, the request may have been sent: {type(error).__name__}: {error}"
            ),
        )
