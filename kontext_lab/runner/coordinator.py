"""The coordinator: owns the state of a running sweep, in one thread.

It has the dispatcher send the plan's requests, applies their outcomes, has the store writer write them, and stops on
request or when no further request can succeed. Workers and the store writer never see this state. Every wait has a
deadline and ends at a stop.
"""

from __future__ import annotations

import queue
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from datetime import UTC, datetime
from time import monotonic

from kontext_lab.errors import OutputMissing, TrackingError
from kontext_lab.request.attempt import Attempt, BillingOutcome
from kontext_lab.results import Results, State, TrackedCell
from kontext_lab.results.states import MISSING, PAID_AGAIN, outcome_by_log
from kontext_lab.runner.budget import Budget, CircuitBreaker
from kontext_lab.runner.dispatcher import Dispatcher
from kontext_lab.runner.measure_queue import MeasureQueue
from kontext_lab.runner.protocols import (
    InFlight,
    JournalProtocol,
    MeasurerProtocol,
    Observer,
    Permits,
    Recorder,
    Task,
    WorkerProtocol,
)
from kontext_lab.runner.retry_policy import Pacing
from kontext_lab.runner.run_state import RunState, Timers
from kontext_lab.runner.store_writer import PendingWrite, StoreWriter

__all__ = ["Coordinator"]

RESUMABLE = "stopped; run the same sweep again to send the rest"

LOG_SECONDS = 35.0
"""Longest wait for the service's log at the end of a sweep."""


class Coordinator:
    """One run of one sweep.

    Args:
        results: one waiting cell per task; only this class and the recorder write to it.
        tasks: one task per cell.
        worker, recorder, journal, permits: see their protocols.
        executor: any; sends. Not shut down here, like `local` and `measure_pool`.
        local: threads of this process, for free work.
        concurrency: limit of requests at once.
        budget, pacing: of the run.
        pause_after: number of outcomes in a row, billed without a picture or refused alike, that end the run.
        observers: called with every changed cell.
        measurer: measures pictures in the store; None to measure nothing.
        measure_pool: runs the measurer.

    Attributes:
        summed_up: True if the store knows how the run ended.
        failed: True if a mistake in this program ended the run.
    """

    def __init__(
        self,
        results: Results,
        tasks: Sequence[Task],
        *,
        worker: WorkerProtocol,
        recorder: Recorder,
        journal: JournalProtocol,
        permits: Permits,
        executor: Executor,
        local: Executor,
        concurrency: int,
        budget: Budget,
        pacing: Pacing,
        pause_after: int = 5,
        observers: Sequence[Observer] = (),
        measurer: MeasurerProtocol | None = None,
        measure_pool: Executor | None = None,
    ) -> None:
        self.results = results
        self._tasks = list(tasks)
        self._recorder = recorder
        self._journal = journal
        self._budget = budget
        self._pacing = pacing
        self._max_writing = 2 * concurrency
        self._reusable = deque(place for place, task in enumerate(self._tasks) if task.keep or task.copy)
        self._worker, self._local = worker, local
        self._calls: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        post = self._calls.put
        self._timers = Timers()
        self._state = RunState(results, observers)
        self._circuit_breaker = CircuitBreaker(pause_after, self._state.stop)
        self._store_writer = StoreWriter(recorder, journal, post, self._state.note, self._measure)
        self._measuring = MeasureQueue(self._state, self._store_writer, post, measurer, measure_pool)
        self._doubtful: dict[str, InFlight] = {}
        self._undelivered: set[int] = set()
        self._unkept: set[int] = set()
        self._dispatcher = Dispatcher(
            self._state,
            worker=worker,
            journal=journal,
            permits=permits,
            executor=executor,
            local=local,
            on_end=self._conclude,
            on_doubt=self._add_doubt,
            budget=budget,
            pacing=pacing,
            concurrency=concurrency,
            timers=self._timers,
            post=post,
        )
        self._asked = 0
        self._asking = False
        self._left = False
        self._all_ended = False
        self._abandoned: list[InFlight] = []
        self.summed_up = False
        self.failed = False

    # from any thread

    def stop(self, *, leave: bool = False) -> None:
        """Send nothing more; requests in flight are waited for, or with `leave` stay in the journal."""
        self._calls.put(lambda: self._stop(leave))

    # the run, in one thread

    def run(self) -> None:
        """Do all tasks; returns when every cell has ended and the store has taken all it would."""
        self._store_writer.open()
        try:
            self._run()
        except BaseException:
            self.failed = True
            self._abandoned += self._dispatcher.abandon()
            raise
        finally:
            self._store_writer.close()

    def _run(self) -> None:
        began = monotonic()
        for place, task in enumerate(self._tasks):
            if task.send is not None:
                self._dispatcher.add(InFlight(place, self._state[place], task.send))
            if task.leave:
                self._state.end(place, State.SKIPPED, task.leave, task.note)
            if task.leave == "recover":
                self._undelivered.add(place)
        self._work()
        while self._ask_at_the_end():
            self._work()
        self._follow_leaders()
        self._work()
        if self._store_writer.backlog and not self._left:
            self._store_writer.retry()
            self._work()
        sent = any(task.send is not None for task in self._tasks)
        seconds = monotonic() - began if sent else 0.0
        self._all_ended = True
        while self._measuring.pending:
            self._wait()
            self._measuring.hurry(monotonic())
        self._measuring.close()
        self._finish(seconds)

    def _work(self) -> None:
        """Send, reuse and make posted calls until nothing is under way."""
        while True:
            # A stop that was requested comes before anything new is sent.
            while not self._calls.empty():
                self._wait()
            # A store slower than the service must not fill the memory with pictures.
            if self._store_writer.writing < self._max_writing or self._state.stopped:
                self._dispatcher.launch()
            # Known cells are reused while requests are under way; new pictures go first.
            if self._reusable and not self._store_writer.pending:
                place = self._reusable.popleft()
                self._reuse(place, self._tasks[place])
            if not (self._dispatcher.busy or self._store_writer.pending or self._reusable):
                return
            self._wait()

    def _wait(self, most: float = 60.0) -> None:
        """Make the next posted call and the calls of the timers that are due."""
        try:
            call = self._calls.get(timeout=self._timers.seconds(monotonic(), most))
        except queue.Empty:
            pass
        else:
            call()
        for act in self._timers.due(monotonic()):
            act()
        # Not while it writes: a store slower than the timer would be retried forever before it has finished.
        if self._store_writer.backlog and not (self._store_writer.pending or self._timers.has("store")):
            wait = self._pacing.before_store(max(1, self._store_writer.failures))
            self._timers.set("store", monotonic() + wait, self._store_writer.retry)

    def _stop(self, leave: bool) -> None:
        self._measuring.drop("stopped")
        if self._all_ended:
            self._left = self._left or leave
            return  # every cell has ended: nothing to send again
        self._state.stop("asked", RESUMABLE)
        if leave:
            self._leave()

    def _measure(self, place: int) -> None:
        self._measuring.enqueue(place)

    def _leave(self) -> None:
        self._left = True
        self.results.stopped = "left"
        for place in self._reusable:
            self._state.cancel(place)
        self._reusable.clear()
        line = "left while it was under way: the next run of the sweep looks for its answer in the journal"
        under_way = self._dispatcher.abandon()
        self._abandoned += under_way
        for in_flight in under_way:
            self._undelivered.add(in_flight.place)
            self._state.end(in_flight.place, State.IN_DOUBT, "left", line)

    @property
    def left_behind(self) -> list[Future[Attempt]]:
        """Attempts that are no longer waited for; they still write to their folders."""
        return [in_flight.future for in_flight in self._abandoned if in_flight.future is not None]

    def keep_late(self) -> None:
        """Write down the answers of `left_behind` that came meanwhile. In any thread, once the run has ended."""
        for in_flight in self._abandoned:
            self._dispatcher.keep_late(in_flight)

    def _conclude(self, in_flight: InFlight, attempt: Attempt) -> None:
        """Apply a request's last attempt to its cell, budget and store."""
        cell = in_flight.cell
        # An answer may come although its task was lost.
        self._doubtful.pop(in_flight.request_id, None)
        cell.apply(attempt, datetime.now(UTC))
        self.results.spent = round(self.results.spent + cell.cost, 6)
        if cell.state is State.IN_DOUBT:
            # In doubt counts as spent, so its reservation stays.
            if not in_flight.stays:
                self._add_doubt(in_flight)
        else:
            self._budget.settle(in_flight.price, cell.cost)
        self._budget.learn(in_flight.request, attempt)
        self._circuit_breaker.record(cell, attempt, self._tasks[in_flight.place].send or 0.0)
        if attempt.answer is not None and attempt.answer.stand_ins:
            self._state.note(
                f"the sandbox took another photograph for {attempt.answer.stand_ins}: measurements against it "
                "mean nothing (start the sandbox with --fetch)"
            )
        unreached = attempt.answer is not None and attempt.answer.unreached
        if in_flight.stays or (unreached and not attempt.trouble):
            # Paid for and perhaps still there: it stays in its folder, and every later run tries again.
            cell.note = f"{cell.note}; its answer stays in the journal, the next run tries again"
            self._undelivered.add(in_flight.place)
            self._state.notify(cell)
            return
        if attempt.free:
            # Nothing is owed for it, also if the store never gets it.
            self._journal.drop(in_flight.attempt_folder)
        elif attempt.trouble and not self._journal.answered(in_flight.attempt_folder):
            self._unkept.add(in_flight.place)
        self._state.notify(cell)
        self._store_writer.write(PendingWrite(in_flight.place, cell, attempt, in_flight.attempt_folder))

    # answers that were lost

    def _add_doubt(self, in_flight: InFlight) -> None:
        self._doubtful[in_flight.request_id] = in_flight
        self._asked = 0  # a doubt that joins others is asked about as often as the first
        self._ask_later()

    def _ask_later(self) -> None:
        if self._asked >= len(self._pacing.asks) or self._timers.has("ask"):
            return

        def ask() -> None:
            self._asked += 1
            self._ask_log()
            self._ask_later()

        self._timers.set("ask", monotonic() + self._pacing.asks[self._asked], ask)

    def _ask_log(self) -> bool:
        """Ask the service's log about all requests in doubt; False if there is nothing to ask, or no thread for it."""
        if not self._doubtful:
            return False
        now = datetime.now(UTC)
        sent = {request_id: in_flight.when or now for request_id, in_flight in self._doubtful.items()}
        try:
            future = self._local.submit(self._worker.ask, sent)
        except RuntimeError:
            return False

        def answered() -> None:
            self._asking = False
            # A question that fails is a question without an answer.
            if not future.cancelled() and future.exception() is None:
                for request_id, outcome in future.result().items():
                    self._apply_outcome(request_id, outcome)

        self._asking = True
        future.add_done_callback(lambda _: self._calls.put(answered))
        return True

    def _ask_at_the_end(self) -> bool:
        """Ask once more about requests in doubt; True if that puts something under way again."""
        if self._left or not self._ask_log():
            return False
        deadline = monotonic() + LOG_SECONDS
        while self._asking and not self._left and monotonic() < deadline:
            self._wait(max(0.0, deadline - monotonic()))
        return self._dispatcher.busy or bool(self._store_writer.pending)

    def _apply_outcome(self, request_id: str, outcome: BillingOutcome) -> None:
        in_flight = self._doubtful.pop(request_id, None)
        if in_flight is None:
            return
        if self._dispatcher.shorten_wait(in_flight):
            self._doubtful[request_id] = in_flight  # its cell is not written yet: ask again afterwards
            return
        cell_end = outcome_by_log(outcome)
        cell = in_flight.cell

        def then(failure: TrackingError | None) -> None:
            # A cell stays in doubt until the store knows its outcome: the next run asks again.
            if failure is None and not self._store_writer.owes(in_flight.place):
                cell.end(*cell_end)
                self._apply_charge(in_flight, outcome)

        self._store_writer.do(lambda: self._recorder.settle(cell, cell_end, outcome.cost_usd), then)

    def _apply_charge(self, in_flight: InFlight, outcome: BillingOutcome) -> None:
        """Count a charge that the store knows, or send an unbilled request again; its money is still reserved."""
        cell = in_flight.cell
        planned = self._tasks[in_flight.place].send or 0.0
        self._circuit_breaker.check_charge(cell, outcome.cost_usd, planned)
        cell.cost = round(cell.cost + outcome.cost_usd, 6)
        self.results.spent = round(self.results.spent + outcome.cost_usd, 6)
        self._state.notify(cell)
        if outcome.billed or self._state.stopped or in_flight.attempts >= self._pacing.attempts:
            self._budget.settle(in_flight.price, outcome.cost_usd)
        else:
            again = InFlight(in_flight.place, cell, in_flight.price, attempts=in_flight.attempts)
            self._dispatcher.add(again)

    # cells without a request

    def _reuse(self, place: int, task: Task) -> None:
        """Fill a cell from the store."""
        cell = self._state[place]
        # Each try would wait for a store that is away; the next run reuses these cells.
        if self._store_writer.down:
            self._state.end(place, State.CANCELLED, "tracking", "MLflow does not answer")
            return

        def job() -> None:
            if task.keep is not None:
                self._recorder.take(cell, task.keep.run_id)
            elif task.copy is not None:
                self._recorder.copy(place, cell, task.copy)

        def then(failure: TrackingError | None) -> None:
            if isinstance(failure, OutputMissing):
                cell.end(State.SKIPPED, MISSING, f"{failure}: {PAID_AGAIN}")
            elif failure is not None:
                self._state.note(str(failure))
                cell.end(State.CANCELLED, "tracking", str(failure))
            self._state.notify(cell)
            self._measuring.enqueue(place)

        self._store_writer.do(job, then)

    def _follow_leaders(self) -> None:
        for place, task in enumerate(self._tasks):
            if task.leader is None:
                continue
            leader = self._state[task.leader]
            if not (leader.run_id and leader.state.is_finished):
                self._state.end(place, leader.state, leader.reason, leader.note)
                continue
            if self._left or self._store_writer.owes(task.leader):
                self._state.end(place, State.CANCELLED, "tracking", "its picture is not in MLflow yet")
                continue
            known = TrackedCell(
                run_id=leader.run_id,
                parent_id=self.results.run_id,
                index=task.leader,
                fingerprint=leader.fingerprint,
                state=leader.state,
                reason=leader.reason,
                when=leader.arrived or datetime.now(UTC),
            )
            self._reuse(place, Task(copy=known))

    # the end

    def _finish(self, seconds: float) -> None:
        # Cells that are paid for, or may be, and are not in the store.
        owed = {write.place for write in self._store_writer.backlog if not write.attempt.free}
        unkept = owed & self._unkept
        self.results.unkept = len(unkept)
        self.results.undelivered = len((owed | self._undelivered) - unkept)
        stopped = self._state.stopped

        def finish() -> None:
            self._recorder.finish(self.results, stopped=stopped, seconds=seconds, quick=self._left)

        def then(failure: TrackingError | None) -> None:
            if failure is not None:
                self._state.note(str(failure))
            self.summed_up = failure is None

        if not self._store_writer.down:  # don't wait for it again: the next run sums up
            self._store_writer.do(finish, then)
            self._work()
        self.results.unended = not self.summed_up
        if self.results.undelivered_line:
            self._state.note(self.results.undelivered_line)
