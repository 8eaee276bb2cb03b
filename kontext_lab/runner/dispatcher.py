"""Requests on their way: what is sent next, how many at once, what is tried again.

Ends with a request in flight's last attempt; what that means for results, money and store is the coordinator's business.
"""

from __future__ import annotations

import uuid
from collections import deque
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, CancelledError, Executor, Future
from dataclasses import replace
from datetime import UTC, datetime
from time import monotonic

from kontext_lab.errors import ConfigError, InDoubt, RateLimited, RetryLater, ServiceUnavailable
from kontext_lab.request.attempt import Attempt
from kontext_lab.results import State
from kontext_lab.runner.budget import Budget
from kontext_lab.runner.protocols import AttemptFinished, InFlight, JournalProtocol, Permits, WorkerProtocol
from kontext_lab.runner.retry_policy import Pacing, Throttle
from kontext_lab.runner.run_state import RunState
from kontext_lab.runner.timers import Timers

__all__ = ["Dispatcher"]

LOOK_SECONDS = 0.5
"""How often the journal is looked at for an answer that another worker may still write."""

GRACE_SECONDS = 10.0
"""How long an answer may take to the journal once the service's log knows what became of the request."""


class Dispatcher:
    """All requests of one run.

    Args:
        sheet: the cells.
        worker: makes attempts.
        journal: where every attempt is written down before it is made.
        permits: issues the right to send each attempt, and takes it back.
        executor: sends; whatever it says of a task, whether a request left says its permit.
        local: looks into the journal and fetches pictures again, in this process.
        doubted: told of a request in flight whose answer is waited for although its own task is lost.
        budget: the money.
        pacing: what is tried again, and when.
        concurrency: how many requests at once, at most.
        clock: timers.
        post: hands an event to the coordinator.
    """

    def __init__(
        self,
        sheet: RunState,
        *,
        worker: WorkerProtocol,
        journal: JournalProtocol,
        permits: Permits,
        executor: Executor,
        local: Executor,
        doubted: Callable[[InFlight], None],
        budget: Budget,
        pacing: Pacing,
        concurrency: int,
        clock: Timers,
        post: Callable[[AttemptFinished], None],
    ) -> None:
        self._state = sheet
        self._worker = worker
        self._journal = journal
        self._permits = permits
        self._executor = executor
        self._local = local
        self._doubted = doubted
        self._budget = budget
        self._pacing = pacing
        self._throttle = Throttle.start(concurrency)
        self._timers = clock
        self._post = post
        self._waiting: deque[InFlight] = deque()
        self._flying: dict[int, InFlight] = {}
        self._sleeping: dict[int, InFlight] = {}
        self._fetching: dict[int, InFlight] = {}
        self._awaiting: dict[int, InFlight] = {}

    @property
    def busy(self) -> bool:
        """Whether any request has not ended."""
        return bool(self._waiting or self._flying or self._sleeping or self._fetching or self._awaiting)

    def add(self, in_flight: InFlight) -> None:
        """A cell to be sent, after those that wait already."""
        self._waiting.append(in_flight)

    def launch(self) -> None:
        """Send what may be sent now; once the run stops, end what was not sent."""
        while self._waiting and not self._state.stopped:
            now = monotonic()
            if not self._throttle.room(len(self._flying), now):
                if now < self._throttle.hold:
                    self._timers.set("hold", self._throttle.hold, lambda: None)
                return
            self._send(self._waiting.popleft())
        if self._state.stopped:
            self._cancel()

    def attempt_finished(self, event: AttemptFinished) -> Attempt | None:
        """A worker returned; the attempt if it was the request's last, else None."""
        in_flight, attempt = event.in_flight, _attempt_of(event)
        if event.future is not in_flight.future:
            return None  # of an attempt before
        if self._flying.get(in_flight.place) is in_flight:
            del self._flying[in_flight.place]
            if not attempt.permitted:
                return self._lost(in_flight, attempt, dead=_broken(event))
            self._permits.retire(in_flight.permit)
            self._adjust(in_flight, attempt)
            attempt = self._journal.keep(in_flight.attempt_folder, attempt)
        elif self._fetching.get(in_flight.place) is in_flight:
            del self._fetching[in_flight.place]
        else:
            return None  # left behind
        if attempt.trouble:
            self._state.stop("journal", attempt.trouble)
        if not attempt.permitted:
            in_flight.stays = True  # nobody can look at its folder: the next run does
            return attempt
        if isinstance(attempt.error, RetryLater) and self._again(in_flight, attempt.error):
            return None
        if self._fetch_again(in_flight, attempt):
            return None
        return attempt

    def hurry(self, in_flight: InFlight) -> bool:
        """Wait only a little longer for an answer, since the service's log knows what became of the request.

        Returns:
            Whether it has not ended: its answer is still waited for, or its pictures are fetched.
        """
        in_flight.until = min(in_flight.until, monotonic() + GRACE_SECONDS)
        return in_flight.place in self._awaiting or in_flight.place in self._fetching

    def abandon(self) -> list[InFlight]:
        """Wait for nothing any more; returns the requests under way; what comes stays in their folders."""
        self._call_back()
        for in_flight in (*self._fetching.values(), *self._awaiting.values()):
            self._timers.cancel(_alarm(in_flight))
        under_way = [*self._flying.values(), *self._fetching.values(), *self._awaiting.values()]
        self._flying, self._fetching, self._awaiting = {}, {}, {}
        return under_way

    def keep_late(self, in_flight: InFlight) -> None:
        """Have an answer that travelled back written down although nobody waited for it any more."""
        future = in_flight.future
        late = (
            in_flight.permit.attempt_folder is None
            and future is not None
            and future.done()
            and not future.cancelled()
        )
        if late and future is not None and future.exception() is None:
            self._journal.keep(in_flight.attempt_folder, future.result())

    def _call_back(self) -> None:
        """Have nothing sent that still queues in the executor: who has the permit decides that."""
        for in_flight in list(self._flying.values()):
            if in_flight.asked_back:
                continue
            if not self._permits.withdraw(in_flight.permit, in_flight.attempt_folder):
                in_flight.asked_back = True  # it is being sent: its result is waited for
                continue
            del self._flying[in_flight.place]
            if in_flight.future is not None:
                in_flight.future.cancel()
            self._end_unsent(in_flight)

    def _end_unsent(self, in_flight: InFlight) -> None:
        self._permits.retire(in_flight.permit)
        self._journal.drop(in_flight.attempt_folder)
        self._budget.settle(in_flight.price, 0.0)
        self._state.cancel(in_flight.place)

    def _cancel(self) -> None:
        self._call_back()
        for in_flight in self._sleeping.values():
            self._timers.cancel(_alarm(in_flight))
        for in_flight in (*self._sleeping.values(), *self._waiting):
            if in_flight.attempts:
                self._budget.settle(in_flight.price, 0.0)
            self._state.cancel(in_flight.place)
        self._sleeping = {}
        self._waiting.clear()

    def _send(self, in_flight: InFlight) -> None:
        """The order of money rule 1 and 3: reserve, write down, send."""
        cell = self._state[in_flight.place]
        assert cell.request is not None, "only cells of a sweep are sent"
        if in_flight.attempts:
            self._budget.settle(in_flight.price, 0.0)  # what it costs may be known better by now
        in_flight.price = self._budget.expected(cell.request, in_flight.price)
        if not self._budget.reserve(in_flight.price):
            self._state.end(in_flight.place, State.SKIPPED, "budget", "does not fit into the budget")
            return
        in_flight.request_id = f"kl-{uuid.uuid4().hex}"
        in_flight.attempts += 1
        in_flight.asked_back = False
        try:
            in_flight.attempt_folder = self._journal.intend(
                in_flight.place, cell, in_flight.request_id, in_flight.price
            )
        except ConfigError as error:
            self._not_sent(in_flight, "journal", str(error))
            return
        try:
            in_flight.permit = self._permits.issue(in_flight.attempt_folder, in_flight.request_id)
        except OSError as error:
            self._journal.drop(in_flight.attempt_folder)
            self._not_sent(in_flight, "executor", str(error))
            return
        in_flight.sent, in_flight.when = monotonic(), datetime.now(UTC)
        cell.state, cell.note = State.RUNNING, ""
        self._state.tell(cell)
        self._flying[in_flight.place] = in_flight
        try:
            future = self._executor.submit(
                self._worker.send, cell.request, in_flight.request_id, in_flight.permit
            )
        except Exception as error:  # shut down, broken, or a request that can't be handed over
            self._state.stop("executor", f"the executor takes no work: {error}")
            future = Future()
            future.set_exception(error)
        self._listen(in_flight, future)
        self._mind(in_flight, future, taken=None)

    def _mind(self, in_flight: InFlight, future: Future[Attempt], taken: float | None) -> None:
        """Give up waiting for a task that its executor lost without a word, long after its request left.

        Args:
            in_flight: whose task.
            future: of the attempt.
            taken: since when its permit is known to be taken, by the monotonic clock.
        """
        patience = self._patience(in_flight)

        def look() -> None:
            if self._flying.get(in_flight.place) is not in_flight or in_flight.future is not future:
                return
            sent = in_flight.asked_back or self._permits.is_taken(in_flight.permit, in_flight.attempt_folder)
            since = (taken or monotonic()) if sent else None
            # The answer may take that long, and so may its pictures.
            if since is None or monotonic() < since + 2 * patience:
                self._mind(in_flight, future, since)
                return
            gone: Future[Attempt] = Future()
            gone.set_exception(BrokenExecutor("lost without a word"))
            self._listen(in_flight, gone)

        self._timers.set(f"lost {in_flight.place}", monotonic() + patience / 2, look)

    def _patience(self, in_flight: InFlight) -> float:
        request = self._state[in_flight.place].request
        assert request is not None, "it was sent"
        return self._worker.patience(request)

    def _not_sent(self, in_flight: InFlight, word: str, why: str) -> None:
        self._state.stop(word, why)
        self._waiting.append(in_flight)  # to be cancelled with all others

    def _listen(self, in_flight: InFlight, future: Future[Attempt]) -> None:
        in_flight.future = future
        landing = AttemptFinished(in_flight, in_flight.request_id, future)
        future.add_done_callback(lambda _: self._post(landing))

    def _adjust(self, in_flight: InFlight, attempt: Attempt) -> None:
        """Fewer or more at once, by how the service answered."""
        if isinstance(attempt.error, RateLimited):
            pause = self._pacing.pause(attempt.error, self._throttle.refusals)
            self._throttle = self._throttle.refused(in_flight.sent, monotonic(), pause)
        elif attempt.answer is not None:
            self._throttle = self._throttle.answered()

    def _again(self, in_flight: InFlight, error: RetryLater) -> bool:
        """Whether a request that was not billed is sent again: now, or by the next run where this one stops."""
        wait = self._pacing.after(error, in_flight.attempts, in_flight.waited)
        if wait is None:
            return False
        self._journal.drop(in_flight.attempt_folder)
        in_flight.waited += wait
        cell = self._state[in_flight.place]
        cell.state, cell.note = (
            State.WAITING,
            f"{error} (attempt {in_flight.attempts} of {self._pacing.attempts})",
        )
        self._state.tell(cell)

        def wake() -> None:
            self._waiting.appendleft(self._sleeping.pop(in_flight.place))

        self._sleeping[in_flight.place] = in_flight
        self._timers.set(_alarm(in_flight), monotonic() + wait, wake)
        return True

    def _fetch_again(self, in_flight: InFlight, attempt: Attempt) -> bool:
        """Whether pictures that did not come whole are fetched once more; free, so a stop doesn't prevent it."""
        answer = attempt.answer
        if answer is None or attempt.trouble or not any(picture.again for picture in answer.pictures):
            return False
        if not in_flight.fetches:
            in_flight.fetching = monotonic() - answer.download_s
        in_flight.fetches += 1
        wait = self._pacing.before_download(in_flight.fetches, monotonic() - in_flight.fetching)
        if wait is None:
            return False

        self._fetching[in_flight.place] = in_flight
        self._timers.set(_alarm(in_flight), monotonic() + wait, lambda: self._fetch(in_flight, attempt))
        return True

    def _lost(self, in_flight: InFlight, attempt: Attempt, *, dead: bool) -> Attempt | None:
        """Decide by its permit about an attempt whose task brought nothing; the attempt where that is its end.

        Args:
            in_flight: whose task was cancelled, died, or was run again.
            attempt: what is known of it.
            dead: its worker is gone for certain, so that nothing is written to the attempt folder any more.
        """
        if self._permits.withdraw(in_flight.permit, in_flight.attempt_folder):
            if self._state.stopped:
                self._end_unsent(in_flight)
                return None
            self._permits.retire(in_flight.permit)
            unsent = replace(attempt, error=ServiceUnavailable(f"nothing was sent: {attempt.error}"))
            return None if self._again(in_flight, ServiceUnavailable(str(unsent.error))) else unsent
        self._permits.retire(in_flight.permit)
        shared = in_flight.permit.attempt_folder is not None
        # The standard library says that a pool is broken before it has ended all of its processes.
        seconds = (LOOK_SECONDS * 4 if dead else self._patience(in_flight)) if shared else 0.0
        in_flight.until = monotonic() + seconds
        self._awaiting[in_flight.place] = in_flight
        if shared and not dead:
            self._doubted(in_flight)
        self._look(in_flight, attempt)
        return None

    def _look(self, in_flight: InFlight, attempt: Attempt) -> None:
        """Fetch what lies in an attempt folder as soon as an answer does, or when none is waited for any more."""
        if self._journal.answered(in_flight.attempt_folder) or monotonic() >= in_flight.until:
            del self._awaiting[in_flight.place]
            self._fetching[in_flight.place] = in_flight
            self._fetch(in_flight, attempt)
            return
        self._timers.set(
            _alarm(in_flight), monotonic() + LOOK_SECONDS, lambda: self._look(in_flight, attempt)
        )

    def _fetch(self, in_flight: InFlight, attempt: Attempt) -> None:
        request = self._state[in_flight.place].request
        assert request is not None, "it was sent"
        try:
            future = self._local.submit(
                self._worker.fetch, request, in_flight.request_id, in_flight.attempt_folder
            )
        except RuntimeError as error:  # Python is about to end
            in_flight.stays = True
            future = Future()
            future.set_result(
                replace(attempt, permitted=True, trouble=f"nothing can be fetched now: {error}")
            )
        self._listen(in_flight, future)


def _alarm(in_flight: InFlight) -> str:
    return f"cell {in_flight.place}"


def _attempt_of(event: AttemptFinished) -> Attempt:
    """How an attempt ended; where its task did not live to say so, it holds no permit that is known of."""
    try:
        return event.future.result(timeout=0)
    except CancelledError:
        line = "its executor gave it up"
    except Exception as error:  # a dead process pool, a request that doesn't pickle, a bug in a worker
        line = f"its worker failed: {type(error).__name__}: {error}"
    return Attempt(event.request_id, error=InDoubt(line), permitted=False)


def _broken(event: AttemptFinished) -> bool:
    """Whether all workers of the executor are gone."""
    return not event.future.cancelled() and isinstance(event.future.exception(timeout=0), BrokenExecutor)
