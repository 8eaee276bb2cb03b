"""The coordinator: owns the state of a running sweep, in one thread.

Has the dispatch send what the plan says, takes over what comes back, has it written down, and stops when it is
told to or when no further request can succeed. Workers and the store writer never see any of this; no wait here is
without a deadline or deaf to a stop.
"""

from __future__ import annotations

import queue
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Executor, Future
from datetime import UTC, datetime
from time import monotonic

from kontext_lab.errors import OutputMissing, TrackingError
from kontext_lab.request.attempt import Attempt, BillingOutcome
from kontext_lab.results import Results, State, TrackedCell
from kontext_lab.results.states import MISSING, PAID_AGAIN, outcome_by_log
from kontext_lab.runner.budget import Budget
from kontext_lab.runner.circuit_breaker import CircuitBreaker, StopReason
from kontext_lab.runner.dispatcher import Dispatcher
from kontext_lab.runner.measure_queue import Measuring
from kontext_lab.runner.protocols import (
    AttemptFinished,
    Callback,
    Event,
    InFlight,
    JournalProtocol,
    LogAnswered,
    MeasurerProtocol,
    Observer,
    Permits,
    Recorder,
    StopRequested,
    Task,
    WorkerProtocol,
)
from kontext_lab.runner.retry_policy import Pacing
from kontext_lab.runner.run_state import RunState
from kontext_lab.runner.store_writer import PendingWrite, StoreWriter
from kontext_lab.runner.timers import Timers
from kontext_lab.runner.unknown_outcomes import UnknownOutcomes

__all__ = ["Coordinator"]

RESUMABLE = "stopped; run the same sweep again to send the rest"

LOG_SECONDS = 35.0
"""How long the end of a sweep waits for the service's log."""


class Coordinator:
    """One run of one sweep.

    Args:
        results: one waiting cell per task; written here and by the recorder, nowhere else.
        tasks: what to do about each.
        worker: makes attempts.
        recorder: the store.
        journal: where what was sent lies until the store has it.
        permits: the right to send each attempt.
        executor: any; sends; not shut down here.
        local: threads of this process, for what is free; not shut down here.
        concurrency: how many requests at once, at most.
        budget: the money.
        pacing: what is tried again, and when.
        pause_after: outcomes in a row that are billed without a picture, or refused alike, which end the run.
        observers: told of every change.
        measurer: measures what is in the store; None where nothing is to be measured.
        measure_pool: runs it; not shut down here.

    Attributes:
        left_behind: what nobody waits for any more; it still writes to its folder.
        summed_up: the store knows how the run ended.
        failed: a mistake in this program ended it.
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
        self._most_writing = 2 * concurrency
        self._at_hand = deque(place for place, task in enumerate(self._tasks) if task.keep or task.copy)
        self._circuit_breaker = CircuitBreaker(pause_after)
        self._events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._timers = Timers()
        self._state = RunState(results, observers)
        self._store_writer = StoreWriter(recorder, journal, self._events.put, self._state.note, self._written)
        self._measuring = Measuring(self._state, self._store_writer, self._events.put, measurer, measure_pool)
        self._unknown_outcomes = UnknownOutcomes(worker, local, self._events.put)
        self._undelivered: set[int] = set()
        self._unkept: set[int] = set()
        self._dispatcher = Dispatcher(
            self._state,
            worker=worker,
            journal=journal,
            permits=permits,
            executor=executor,
            local=local,
            doubted=self._doubt,
            budget=budget,
            pacing=pacing,
            concurrency=concurrency,
            clock=self._timers,
            post=self._events.put,
        )
        self._asking = False
        self._left = False
        self._through = False
        self._late: list[InFlight] = []
        self.left_behind: list[Future[Attempt]] = []
        self.summed_up = False
        self.failed = False

    # from any thread

    def stop(self) -> None:
        """Send nothing more; what is in flight is waited for and kept. Safe from any thread."""
        self._events.put(StopRequested())

    def leave(self) -> None:
        """Stop without waiting: what is in flight stays in the journal. Safe from any thread."""
        self._events.put(StopRequested(leave=True))

    # the run, in one thread

    def run(self) -> None:
        """Do all tasks; returns when every cell has ended and the store has everything it would take."""
        self._store_writer.open()
        try:
            self._run()
        except BaseException:
            self.failed = True
            self._leave_behind()
            raise
        finally:
            self._store_writer.close()

    def _run(self) -> None:
        began = monotonic()
        sends = [place for place, task in enumerate(self._tasks) if task.send is not None]
        for place in sends:
            self._dispatcher.add(InFlight(place, self._tasks[place].send or 0.0))
        self._end_left_out()
        self._work()
        while self._ask_at_the_end():
            self._work()
        self._follow_leaders()
        self._work()
        self._deliver_backlog()
        seconds = monotonic() - began if sends else 0.0
        self._through = True
        while self._measuring.pending:
            self._wait()
            self._measuring.hurry(monotonic())
        self._measuring.close()
        self._finish(seconds)

    def _work(self) -> None:
        """Until nothing is under way any more."""
        while True:
            # A stop that is on its way already comes before anything new is sent.
            while not self._events.empty():
                self._wait()
            # A store slower than the service must not fill the memory with pictures.
            if self._store_writer.writing < self._most_writing or self._state.stopped:
                self._dispatcher.launch()
            # What is known already is taken over while requests are under way; new pictures go first.
            if self._at_hand and not self._store_writer.pending:
                place = self._at_hand.popleft()
                self._take_over(place, self._tasks[place])
            if not (self._dispatcher.busy or self._store_writer.pending or self._at_hand):
                return
            self._wait()

    def _wait(self, most: float = 60.0) -> None:
        """Handle the next event, or what is due."""
        try:
            event = self._events.get(timeout=self._timers.seconds(monotonic(), most))
        except queue.Empty:
            event = Callback(lambda: None)
        if isinstance(event, StopRequested):
            self._interrupted(event)
        elif isinstance(event, AttemptFinished):
            attempt = self._dispatcher.attempt_finished(event)
            if attempt is not None:
                self._conclude(event.in_flight, attempt)
        elif isinstance(event, LogAnswered):
            self._asking = False
            for request_id, fate in event.fates.items():
                self._learn_fate(request_id, fate)
        else:
            event.act()
        for act in self._timers.due(monotonic()):
            act()
        # Not while it writes: a store slower than the timer would be tried again before it was through, for ever.
        if self._store_writer.backlog and not (self._store_writer.pending or self._timers.has("store")):
            wait = self._pacing.before_store(max(1, self._store_writer.failures))
            self._timers.set("store", monotonic() + wait, self._store_writer.retry)

    def _interrupted(self, signal: StopRequested) -> None:
        self._measuring.drop("stopped")
        if self._through:
            self._left = self._left or signal.leave
            return  # every cell has ended: there is nothing to be sent again
        self._state.stop("asked", RESUMABLE)
        if signal.leave:
            self._leave()

    def _written(self, place: int) -> None:
        self._measuring.consider(place)

    def _leave(self) -> None:
        self._left = True
        self.results.stopped = "left"
        for place in self._at_hand:
            self._state.cancel(place)
        self._at_hand.clear()
        under_way = self._leave_behind()
        for in_flight in under_way:
            line = (
                "left while it was under way: the next run of the sweep looks for its answer in the journal"
            )
            self._undelivered.add(in_flight.place)
            self._state.end(in_flight.place, State.IN_DOUBT, "left", line)

    def _leave_behind(self) -> list[InFlight]:
        self._late = self._dispatcher.abandon()
        self.left_behind = [in_flight.future for in_flight in self._late if in_flight.future is not None]
        return self._late

    def keep_late(self) -> None:
        """Write down what came of `left_behind` meanwhile. In any thread, once the run has ended."""
        for in_flight in self._late:
            self._dispatcher.keep_late(in_flight)

    def _conclude(self, in_flight: InFlight, attempt: Attempt) -> None:
        """A request's last attempt is the cell's outcome."""
        cell = self._state[in_flight.place]
        # Its answer may have come although its task was lost.
        self._unknown_outcomes.resolve(in_flight.request_id)
        cell.apply(attempt, datetime.now(UTC))
        self.results.spent = round(self.results.spent + cell.cost, 6)
        if cell.state is State.IN_DOUBT:
            # Counts as spent until it is known; so its reservation stays.
            if not in_flight.stays:
                self._doubt(in_flight)
        else:
            self._budget.settle(in_flight.price, cell.cost)
        if cell.request is not None:
            self._budget.learn(cell.request, attempt)
        self._heed(self._circuit_breaker.hear(cell, attempt, self._planned(in_flight)))
        if attempt.answer is not None and attempt.answer.stand_ins:
            self._state.note(
                f"the sandbox took another photograph for {attempt.answer.stand_ins}: what is measured against it "
                "means nothing (start the sandbox with --fetch)"
            )
        unreached = attempt.answer is not None and attempt.answer.unreached
        if in_flight.stays or (unreached and not attempt.trouble):
            # Paid for and perhaps still there: it stays in its folder, and every later run tries again.
            cell.note = f"{cell.note}; what came of it stays in the journal, the next run tries again"
            self._undelivered.add(in_flight.place)
            self._state.tell(cell)
            return
        if attempt.free:
            # Nothing is owed for it, whether or not the store hears of it.
            self._journal.drop(in_flight.attempt_folder)
        elif attempt.trouble and not self._journal.answered(in_flight.attempt_folder):
            self._unkept.add(in_flight.place)
        self._state.tell(cell)
        self._store_writer.write(PendingWrite(in_flight.place, cell, attempt, in_flight.attempt_folder))

    def _planned(self, in_flight: InFlight) -> float:
        return self._tasks[in_flight.place].send or 0.0

    def _heed(self, alarm: StopReason | None) -> None:
        if alarm is not None:
            self._state.stop(alarm.word, alarm.line)

    # answers that were lost

    def _doubt(self, in_flight: InFlight) -> None:
        self._unknown_outcomes.add(in_flight)
        self._ask_later(0)

    def _ask_later(self, turn: int) -> None:
        if turn >= len(self._pacing.asks) or self._timers.has("ask"):
            return

        def ask() -> None:
            self._asking = self._unknown_outcomes.ask() or self._asking
            self._ask_later(turn + 1)

        self._timers.set("ask", monotonic() + self._pacing.asks[turn], ask)

    def _ask_at_the_end(self) -> bool:
        """Ask once more about what is in doubt; True where something is under way again because of it."""
        if self._left or not self._unknown_outcomes.ask():
            return False
        self._asking = True
        deadline = monotonic() + LOG_SECONDS
        while self._asking and not self._left and monotonic() < deadline:
            self._wait(max(0.0, deadline - monotonic()))
        return self._dispatcher.busy or bool(self._store_writer.pending)

    def _learn_fate(self, request_id: str, fate: BillingOutcome) -> None:
        in_flight = self._unknown_outcomes.resolve(request_id)
        if in_flight is None:
            return
        if self._dispatcher.hurry(in_flight):
            self._unknown_outcomes.add(in_flight)  # its cell is not written yet: asked again once it is
            return
        outcome = outcome_by_log(fate)
        cell = self._state[in_flight.place]

        def then(failure: TrackingError | None) -> None:
            # What the store was not told stays in doubt: the next run asks again.
            if failure is None and not self._store_writer.owes(in_flight.place):
                cell.end(*outcome)
                self._settled(in_flight, fate)

        self._store_writer.do(lambda: self._recorder.settle(cell, outcome, fate.cost_usd), then)

    def _settled(self, in_flight: InFlight, fate: BillingOutcome) -> None:
        """The store knows: what was billed is counted, what was not is sent again; it is still reserved for."""
        cell = self._state[in_flight.place]
        self._heed(self._circuit_breaker.charge(cell, fate.cost_usd, self._planned(in_flight)))
        cell.cost = round(cell.cost + fate.cost_usd, 6)
        self.results.spent = round(self.results.spent + fate.cost_usd, 6)
        self._state.tell(cell)
        if fate.billed or self._state.stopped or in_flight.attempts >= self._pacing.attempts:
            self._budget.settle(in_flight.price, fate.cost_usd)
        else:
            self._dispatcher.add(InFlight(in_flight.place, in_flight.price, attempts=in_flight.attempts))

    def _not_written(self, failure: TrackingError | None) -> None:
        if failure is not None:
            self._state.note(str(failure))

    # cells that nothing is sent for

    def _end_left_out(self) -> None:
        for place, task in enumerate(self._tasks):
            if task.leave:
                self._state.end(place, State.SKIPPED, task.leave, task.note)
            if task.leave == "recover":
                self._undelivered.add(place)

    def _take_over(self, place: int, task: Task) -> None:
        """Take what is known of a cell from the store."""
        cell = self._state[place]
        # Each try would wait for a store that is away; the next run takes them over.
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
            self._state.tell(cell)
            self._measuring.consider(place)

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
            self._take_over(place, Task(copy=known))

    # the end

    def _deliver_backlog(self) -> None:
        if self._store_writer.backlog and not self._left:
            self._store_writer.retry()
            self._work()

    def _finish(self, seconds: float) -> None:
        self._count_undelivered()
        stopped = self._state.stopped

        def finish() -> None:
            self._recorder.finish(self.results, stopped=stopped, seconds=seconds, quick=self._left)

        def then(failure: TrackingError | None) -> None:
            self._not_written(failure)
            self.summed_up = failure is None

        if not self._store_writer.down:  # waiting for it once more would help nobody: the next run sums up
            self._store_writer.do(finish, then)
            self._work()
        self.results.unended = not self.summed_up
        if self.results.undelivered_line:
            self._state.note(self.results.undelivered_line)

    def _count_undelivered(self) -> None:
        """Count what is paid for, or may be, and is not in the store."""
        owed = {page.place for page in self._store_writer.backlog if not page.attempt.free}
        unkept = owed & self._unkept
        self.results.unkept = len(unkept)
        self.results.undelivered = len((owed | self._undelivered) - unkept)
