"""The coordinator: owns the state of a running sweep, in one thread.

Has the dispatch send what the plan says, takes over what comes back, has it written down, and stops when it is
told to or when no further request can succeed. Workers and the scribe never see any of this; no wait here is
without a deadline or deaf to a stop.
"""

from __future__ import annotations

import queue
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Executor, Future
from datetime import UTC, datetime
from time import monotonic

from kontext_lab.answer import Attempt, Fate
from kontext_lab.errors import OutputMissing, TrackingError
from kontext_lab.pacing import Pacing
from kontext_lab.results import Known, Results, State
from kontext_lab.results.states import MISSING, PAID_AGAIN, fate_of
from kontext_lab.runner.alarms import Alarm, Alarms
from kontext_lab.runner.clockwork import Clockwork
from kontext_lab.runner.dispatch import Dispatch
from kontext_lab.runner.doubts import Doubts
from kontext_lab.runner.measuring import Measuring
from kontext_lab.runner.parts import (
    Book,
    Event,
    Flight,
    Gauge,
    Landed,
    Observer,
    Permits,
    Recorder,
    Signal,
    Task,
    Told,
    Worker,
)
from kontext_lab.runner.purse import Purse
from kontext_lab.runner.scribe import Page, Scribe
from kontext_lab.runner.sheet import Sheet

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
        book: where what was sent lies until the store has it.
        permits: the right to send each attempt.
        executor: any; sends; not shut down here.
        local: threads of this process, for what is free; not shut down here.
        concurrency: how many requests at once, at most.
        purse: the money.
        pacing: what is tried again, and when.
        pause_after: outcomes in a row that are billed without a picture, or refused alike, which end the run.
        observers: told of every change.
        gauge: measures what is in the store; None where nothing is to be measured.
        gauging: runs it; not shut down here.

    Attributes:
        left_behind: what nobody waits for any more; it still writes to its desks.
        summed_up: the store knows how the run ended.
        failed: a mistake in this program ended it.
    """

    def __init__(
        self,
        results: Results,
        tasks: Sequence[Task],
        *,
        worker: Worker,
        recorder: Recorder,
        book: Book,
        permits: Permits,
        executor: Executor,
        local: Executor,
        concurrency: int,
        purse: Purse,
        pacing: Pacing,
        pause_after: int = 5,
        observers: Sequence[Observer] = (),
        gauge: Gauge | None = None,
        gauging: Executor | None = None,
    ) -> None:
        self.results = results
        self._tasks = list(tasks)
        self._recorder = recorder
        self._book = book
        self._purse = purse
        self._pacing = pacing
        self._most_writing = 2 * concurrency
        self._at_hand = deque(place for place, task in enumerate(self._tasks) if task.keep or task.copy)
        self._alarms = Alarms(pause_after)
        self._events: queue.SimpleQueue[Signal | Landed | Told | Event] = queue.SimpleQueue()
        self._clock = Clockwork()
        self._sheet = Sheet(results, observers)
        self._scribe = Scribe(recorder, book, self._events.put, self._sheet.note, self._written)
        self._measuring = Measuring(self._sheet, self._scribe, self._events.put, gauge, gauging)
        self._doubts = Doubts(worker, local, self._events.put)
        self._undelivered: set[int] = set()
        self._unkept: set[int] = set()
        self._dispatch = Dispatch(
            self._sheet,
            worker=worker,
            book=book,
            permits=permits,
            executor=executor,
            local=local,
            doubted=self._doubt,
            purse=purse,
            pacing=pacing,
            concurrency=concurrency,
            clock=self._clock,
            post=self._events.put,
        )
        self._asking = False
        self._left = False
        self._through = False
        self._late: list[Flight] = []
        self.left_behind: list[Future[Attempt]] = []
        self.summed_up = False
        self.failed = False

    # from any thread

    def stop(self) -> None:
        """Send nothing more; what is in flight is waited for and kept. Safe from any thread."""
        self._events.put(Signal())

    def leave(self) -> None:
        """Stop without waiting: what is in flight stays in the journal. Safe from any thread."""
        self._events.put(Signal(leave=True))

    # the run, in one thread

    def run(self) -> None:
        """Do all tasks; returns when every cell has ended and the store has everything it would take."""
        self._scribe.open()
        try:
            self._run()
        except BaseException:
            self.failed = True
            self._leave_behind()
            raise
        finally:
            self._scribe.close()

    def _run(self) -> None:
        began = monotonic()
        sends = [place for place, task in enumerate(self._tasks) if task.send is not None]
        for place in sends:
            self._dispatch.add(Flight(place, self._tasks[place].send or 0.0))
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
            if self._scribe.writing < self._most_writing or self._sheet.stopped:
                self._dispatch.launch()
            # What is known already is taken over while requests are under way; new pictures go first.
            if self._at_hand and not self._scribe.pending:
                place = self._at_hand.popleft()
                self._take_over(place, self._tasks[place])
            if not (self._dispatch.busy or self._scribe.pending or self._at_hand):
                return
            self._wait()

    def _wait(self, most: float = 60.0) -> None:
        """Handle the next event, or what is due."""
        try:
            event = self._events.get(timeout=self._clock.seconds(monotonic(), most))
        except queue.Empty:
            event = Event(lambda: None)
        if isinstance(event, Signal):
            self._interrupted(event)
        elif isinstance(event, Landed):
            attempt = self._dispatch.landed(event)
            if attempt is not None:
                self._conclude(event.flight, attempt)
        elif isinstance(event, Told):
            self._asking = False
            for request_id, fate in event.fates.items():
                self._learn_fate(request_id, fate)
        else:
            event.act()
        for act in self._clock.due(monotonic()):
            act()
        # Not while it writes: a store slower than the timer would be tried again before it was through, for ever.
        if self._scribe.backlog and not (self._scribe.pending or self._clock.has("store")):
            wait = self._pacing.before_store(max(1, self._scribe.failures))
            self._clock.set("store", monotonic() + wait, self._scribe.retry)

    def _interrupted(self, signal: Signal) -> None:
        self._measuring.drop("stopped")
        if self._through:
            self._left = self._left or signal.leave
            return  # every cell has ended: there is nothing to be sent again
        self._sheet.stop("asked", RESUMABLE)
        if signal.leave:
            self._leave()

    def _written(self, place: int) -> None:
        self._measuring.consider(place)

    def _leave(self) -> None:
        self._left = True
        self.results.stopped = "left"
        for place in self._at_hand:
            self._sheet.cancel(place)
        self._at_hand.clear()
        under_way = self._leave_behind()
        for flight in under_way:
            line = (
                "left while it was under way: the next run of the sweep looks for its answer in the journal"
            )
            self._undelivered.add(flight.place)
            self._sheet.end(flight.place, State.IN_DOUBT, "left", line)

    def _leave_behind(self) -> list[Flight]:
        self._late = self._dispatch.abandon()
        self.left_behind = [flight.future for flight in self._late if flight.future is not None]
        return self._late

    def keep_late(self) -> None:
        """Write down what came of `left_behind` meanwhile. In any thread, once the run has ended."""
        for flight in self._late:
            self._dispatch.keep_late(flight)

    def _conclude(self, flight: Flight, attempt: Attempt) -> None:
        """A flight's last attempt is the cell's outcome."""
        cell = self._sheet[flight.place]
        self._doubts.resolve(flight.request_id)  # its answer may have come although its task was lost
        cell.apply(attempt, datetime.now(UTC))
        self.results.spent = round(self.results.spent + cell.cost, 6)
        if cell.state is State.IN_DOUBT:
            # Counts as spent until it is known; so its reservation stays.
            if not flight.stays:
                self._doubt(flight)
        else:
            self._purse.settle(flight.price, cell.cost)
        if cell.request is not None:
            self._purse.learn(cell.request, attempt)
        self._heed(self._alarms.hear(cell, attempt, self._planned(flight)))
        if attempt.answer is not None and attempt.answer.stand_ins:
            self._sheet.note(
                f"the sandbox took another photograph for {attempt.answer.stand_ins}: what is measured against it "
                "means nothing (start the sandbox with --fetch)"
            )
        unreached = attempt.answer is not None and attempt.answer.unreached
        if flight.stays or (unreached and not attempt.trouble):
            # Paid for and perhaps still there: it stays on its desk, and every later run tries again.
            cell.note = f"{cell.note}; what came of it stays in the journal, the next run tries again"
            self._undelivered.add(flight.place)
            self._sheet.tell(cell)
            return
        if attempt.free:
            self._book.drop(flight.desk)  # nothing is owed for it, whether or not the store hears of it
        elif attempt.trouble and not self._book.answered(flight.desk):
            self._unkept.add(flight.place)
        self._sheet.tell(cell)
        self._scribe.write(Page(flight.place, cell, attempt, flight.desk))

    def _planned(self, flight: Flight) -> float:
        return self._tasks[flight.place].send or 0.0

    def _heed(self, alarm: Alarm | None) -> None:
        if alarm is not None:
            self._sheet.stop(alarm.word, alarm.line)

    # answers that were lost

    def _doubt(self, flight: Flight) -> None:
        self._doubts.add(flight)
        self._ask_later(0)

    def _ask_later(self, turn: int) -> None:
        if turn >= len(self._pacing.asks) or self._clock.has("ask"):
            return

        def ask() -> None:
            self._asking = self._doubts.ask() or self._asking
            self._ask_later(turn + 1)

        self._clock.set("ask", monotonic() + self._pacing.asks[turn], ask)

    def _ask_at_the_end(self) -> bool:
        """Ask once more about what is in doubt; True where something is under way again because of it."""
        if self._left or not self._doubts.ask():
            return False
        self._asking = True
        deadline = monotonic() + LOG_SECONDS
        while self._asking and not self._left and monotonic() < deadline:
            self._wait(max(0.0, deadline - monotonic()))
        return self._dispatch.busy or bool(self._scribe.pending)

    def _learn_fate(self, request_id: str, fate: Fate) -> None:
        flight = self._doubts.resolve(request_id)
        if flight is None:
            return
        if self._dispatch.hurry(flight):
            self._doubts.add(flight)  # its cell is not written yet: asked again once it is
            return
        outcome = fate_of(fate)
        cell = self._sheet[flight.place]

        def then(failure: TrackingError | None) -> None:
            # What the store was not told stays in doubt: the next run asks again.
            if failure is None and not self._scribe.owes(flight.place):
                cell.end(*outcome)
                self._settled(flight, fate)

        self._scribe.do(lambda: self._recorder.settle(cell, outcome, fate.cost_usd), then)

    def _settled(self, flight: Flight, fate: Fate) -> None:
        """The store knows: what was billed is counted, what was not is sent again; it is still reserved for."""
        cell = self._sheet[flight.place]
        self._heed(self._alarms.charge(cell, fate.cost_usd, self._planned(flight)))
        cell.cost = round(cell.cost + fate.cost_usd, 6)
        self.results.spent = round(self.results.spent + fate.cost_usd, 6)
        self._sheet.tell(cell)
        if fate.billed or self._sheet.stopped or flight.attempts >= self._pacing.attempts:
            self._purse.settle(flight.price, fate.cost_usd)
        else:
            self._dispatch.add(Flight(flight.place, flight.price, attempts=flight.attempts))

    def _not_written(self, failure: TrackingError | None) -> None:
        if failure is not None:
            self._sheet.note(str(failure))

    # cells that nothing is sent for

    def _end_left_out(self) -> None:
        for place, task in enumerate(self._tasks):
            if task.leave:
                self._sheet.end(place, State.SKIPPED, task.leave, task.note)
            if task.leave == "recover":
                self._undelivered.add(place)

    def _take_over(self, place: int, task: Task) -> None:
        """Take what is known of a cell from the store."""
        cell = self._sheet[place]
        if self._scribe.down:  # each try would wait for a store that is away; the next run takes them over
            self._sheet.end(place, State.CANCELLED, "tracking", "MLflow does not answer")
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
                self._sheet.note(str(failure))
                cell.end(State.CANCELLED, "tracking", str(failure))
            self._sheet.tell(cell)
            self._measuring.consider(place)

        self._scribe.do(job, then)

    def _follow_leaders(self) -> None:
        for place, task in enumerate(self._tasks):
            if task.leader is None:
                continue
            leader = self._sheet[task.leader]
            if not (leader.run_id and leader.state.is_finished):
                self._sheet.end(place, leader.state, leader.reason, leader.note)
                continue
            if self._left or self._scribe.owes(task.leader):
                self._sheet.end(place, State.CANCELLED, "tracking", "its picture is not in MLflow yet")
                continue
            known = Known(
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
        if self._scribe.backlog and not self._left:
            self._scribe.retry()
            self._work()

    def _finish(self, seconds: float) -> None:
        self._count_undelivered()
        stopped = self._sheet.stopped

        def finish() -> None:
            self._recorder.finish(self.results, stopped=stopped, seconds=seconds, quick=self._left)

        def then(failure: TrackingError | None) -> None:
            self._not_written(failure)
            self.summed_up = failure is None

        if not self._scribe.down:  # waiting for it once more would help nobody: the next run sums up
            self._scribe.do(finish, then)
            self._work()
        self.results.unended = not self.summed_up
        if self.results.undelivered_line:
            self._sheet.note(self.results.undelivered_line)

    def _count_undelivered(self) -> None:
        """Count what is paid for, or may be, and is not in the store."""
        owed = {page.place for page in self._scribe.backlog if not page.attempt.free}
        unkept = owed & self._unkept
        self.results.unkept = len(unkept)
        self.results.undelivered = len((owed | self._undelivered) - unkept)
