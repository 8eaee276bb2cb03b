"""Dispatcher of requests: selects the next one, limits how many run at once, retries.

Its work ends with a request's last attempt; the coordinator decides what that means for results, money and store.
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
from kontext_lab.runner.protocols import InFlight, JournalProtocol, Permits, Post, WorkerProtocol
from kontext_lab.runner.retry_policy import Pacing, Throttle
from kontext_lab.runner.run_state import RunState, Timers

__all__ = ["Dispatcher"]

LOOK_SECONDS = 0.5
"""Interval at which an attempt folder is checked for an answer that another worker may still write."""

GRACE_SECONDS = 10.0
"""Longest wait for an answer in the journal once the service's log knows the outcome."""


class Dispatcher:
    """All requests of one run.

    All methods run on the coordinator's thread.

    Args:
        state: the cells.
        worker, journal, permits: see their protocols.
        executor: sends. Only the permit, never a future of this executor, tells if a request left.
        local: reads the journal and fetches pictures again, in this process.
        on_end: called with every request and its last attempt.
        on_doubt: called with a request whose task is lost, but whose answer may still come.
        budget, pacing, concurrency, timers: of the run.
        post: see `Post`.
    """

    def __init__(
        self,
        state: RunState,
        *,
        worker: WorkerProtocol,
        journal: JournalProtocol,
        permits: Permits,
        executor: Executor,
        local: Executor,
        on_end: Callable[[InFlight, Attempt], None],
        on_doubt: Callable[[InFlight], None],
        budget: Budget,
        pacing: Pacing,
        concurrency: int,
        timers: Timers,
        post: Post,
    ) -> None:
        self._state = state
        self._worker = worker
        self._journal = journal
        self._permits = permits
        self._executor = executor
        self._local = local
        self._on_end, self._on_doubt = on_end, on_doubt
        self._budget = budget
        self._pacing = pacing
        self._throttle = Throttle.start(concurrency)
        self._timers = timers
        self._post = post
        self._waiting: deque[InFlight] = deque()
        self._running: dict[int, InFlight] = {}
        self._retrying: dict[int, InFlight] = {}
        self._fetching: dict[int, InFlight] = {}
        self._awaiting: dict[int, InFlight] = {}

    @property
    def busy(self) -> bool:
        """True while any request has not ended."""
        return bool(self._waiting or self._running or self._retrying or self._fetching or self._awaiting)

    def add(self, in_flight: InFlight) -> None:
        """Add a request to the end of the queue."""
        self._waiting.append(in_flight)

    def launch(self) -> None:
        """Send as many requests as may be sent now; once the run stops, cancel the rest."""
        while self._waiting and not self._state.stopped:
            now = monotonic()
            if not self._throttle.room(len(self._running), now):
                if now < self._throttle.hold:
                    self._timers.set("hold", self._throttle.hold, lambda: None)
                return
            self._send(self._waiting.popleft())
        if self._state.stopped:
            self._cancel()

    def _finished(self, in_flight: InFlight, future: Future[Attempt]) -> None:
        """Handle a worker's return."""
        if future is not in_flight.future:
            return  # of an earlier attempt
        attempt = _attempt_of(in_flight, future)
        if self._running.get(in_flight.place) is in_flight:
            del self._running[in_flight.place]
            if not attempt.permitted:
                broken = not future.cancelled() and isinstance(future.exception(timeout=0), BrokenExecutor)
                self._resolve_lost(in_flight, attempt, dead=broken)
                return
            self._permits.retire(in_flight.permit)
            self._adjust(in_flight, attempt)
            attempt = self._journal.keep(in_flight.attempt_folder, attempt)
        elif self._fetching.get(in_flight.place) is in_flight:
            del self._fetching[in_flight.place]
        else:
            return  # left behind
        if attempt.trouble:
            self._state.stop("journal", attempt.trouble)
        if not attempt.permitted:
            in_flight.stays = True  # its folder can't be read now: the next run reads it
        else:
            again = isinstance(attempt.error, RetryLater) and self._retry(in_flight, attempt.error)
            if again or self._fetch_again(in_flight, attempt):
                return
        self._on_end(in_flight, attempt)

    def shorten_wait(self, in_flight: InFlight) -> bool:
        """Wait only GRACE_SECONDS longer for an answer, since the service's log knows the request's outcome.

        Returns:
            True while the request has not ended: its answer may come, or its pictures are being fetched.
        """
        in_flight.until = min(in_flight.until, monotonic() + GRACE_SECONDS)
        return in_flight.place in self._awaiting or in_flight.place in self._fetching

    def abandon(self) -> list[InFlight]:
        """Stop waiting; returns the requests under way, whose answers stay in their folders."""
        self._withdraw_queued()
        for in_flight in (*self._fetching.values(), *self._awaiting.values()):
            self._timers.cancel(in_flight.timer)
        under_way = [*self._running.values(), *self._fetching.values(), *self._awaiting.values()]
        self._running, self._fetching, self._awaiting = {}, {}, {}
        return under_way

    def keep_late(self, in_flight: InFlight) -> None:
        """Write down an answer that came back after `abandon`."""
        future = in_flight.future
        if in_flight.permit.attempt_folder is not None or future is None:
            return
        if future.done() and not future.cancelled() and future.exception() is None:
            self._journal.keep(in_flight.attempt_folder, future.result())

    def _withdraw_queued(self) -> None:
        """Cancel requests that still queue in the executor: one whose permit was not taken is not sent."""
        for in_flight in list(self._running.values()):
            if in_flight.asked_back:
                continue
            if not self._permits.withdraw(in_flight.permit, in_flight.attempt_folder):
                in_flight.asked_back = True  # it is being sent: wait for its result
                continue
            del self._running[in_flight.place]
            if in_flight.future is not None:
                in_flight.future.cancel()
            self._end_unsent(in_flight)

    def _end_unsent(self, in_flight: InFlight) -> None:
        self._permits.retire(in_flight.permit)
        self._journal.drop(in_flight.attempt_folder)
        self._budget.settle(in_flight.price, 0.0)
        self._state.cancel(in_flight.place)

    def _cancel(self) -> None:
        self._withdraw_queued()
        for in_flight in self._retrying.values():
            self._timers.cancel(in_flight.timer)
        for in_flight in (*self._retrying.values(), *self._waiting):
            if in_flight.attempts:
                self._budget.settle(in_flight.price, 0.0)
            self._state.cancel(in_flight.place)
        self._retrying = {}
        self._waiting.clear()

    def _send(self, in_flight: InFlight) -> None:
        """Reserve money, write the intent, issue the permit, send: the order of money rules 1 and 3."""
        cell, request = in_flight.cell, in_flight.request
        if in_flight.attempts:
            self._budget.settle(in_flight.price, 0.0)  # the price may be known better by now
        in_flight.price = self._budget.expected(request, in_flight.price)
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
            self._fail_to_send(in_flight, "journal", str(error))
            return
        try:
            in_flight.permit = self._permits.issue(in_flight.attempt_folder, in_flight.request_id)
        except OSError as error:
            self._journal.drop(in_flight.attempt_folder)
            self._fail_to_send(in_flight, "executor", str(error))
            return
        in_flight.sent, in_flight.when = monotonic(), datetime.now(UTC)
        cell.state, cell.note = State.RUNNING, ""
        self._state.notify(cell)
        self._running[in_flight.place] = in_flight
        try:
            future = self._executor.submit(self._worker.send, request, in_flight.request_id, in_flight.permit)
        except Exception as error:  # shut down, broken, or a request that doesn't pickle
            self._state.stop("executor", f"the executor takes no work: {error}")
            future = Future()
            future.set_exception(error)
        self._post_when_done(in_flight, future)
        self._watch(in_flight, future, taken=None)

    def _watch(self, in_flight: InFlight, future: Future[Attempt], taken: float | None) -> None:
        """Give up a task that its executor lost without a word, long after its permit was known to be taken."""
        patience = self._worker.patience(in_flight.request)

        def check() -> None:
            if self._running.get(in_flight.place) is not in_flight or in_flight.future is not future:
                return
            sent = in_flight.asked_back or self._permits.is_taken(in_flight.permit, in_flight.attempt_folder)
            since = (taken or monotonic()) if sent else None
            # The answer may take that long, and so may its pictures.
            if since is None or monotonic() < since + 2 * patience:
                self._watch(in_flight, future, since)
                return
            lost: Future[Attempt] = Future()
            lost.set_exception(BrokenExecutor("lost without a word"))
            self._post_when_done(in_flight, lost)

        self._timers.set(f"lost {in_flight.place}", monotonic() + patience / 2, check)

    def _fail_to_send(self, in_flight: InFlight, word: str, line: str) -> None:
        self._state.stop(word, line)
        self._waiting.append(in_flight)  # to be cancelled with the others

    def _post_when_done(self, in_flight: InFlight, future: Future[Attempt]) -> None:
        in_flight.future = future
        future.add_done_callback(lambda _: self._post(lambda: self._finished(in_flight, future)))

    def _adjust(self, in_flight: InFlight, attempt: Attempt) -> None:
        """Change how many requests run at once, by the service's answer."""
        if isinstance(attempt.error, RateLimited):
            pause = self._pacing.pause(attempt.error, self._throttle.refusals)
            self._throttle = self._throttle.refused(in_flight.sent, monotonic(), pause)
        elif attempt.answer is not None:
            self._throttle = self._throttle.answered()

    def _retry(self, in_flight: InFlight, error: RetryLater) -> bool:
        """Schedule an unbilled request again, or leave it to the next run if this one stops; False for its last attempt."""
        wait = self._pacing.after(error, in_flight.attempts, in_flight.waited)
        if wait is None:
            return False
        self._journal.drop(in_flight.attempt_folder)
        in_flight.waited += wait
        cell = in_flight.cell
        cell.state = State.WAITING
        cell.note = f"{error} (attempt {in_flight.attempts} of {self._pacing.attempts})"
        self._state.notify(cell)

        def wake() -> None:
            self._waiting.appendleft(self._retrying.pop(in_flight.place))

        self._retrying[in_flight.place] = in_flight
        self._timers.set(in_flight.timer, monotonic() + wait, wake)
        return True

    def _fetch_again(self, in_flight: InFlight, attempt: Attempt) -> bool:
        """Schedule incomplete pictures to be fetched again; free, so a stop doesn't prevent it. False for no more."""
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
        self._timers.set(in_flight.timer, monotonic() + wait, lambda: self._fetch(in_flight, attempt))
        return True

    def _resolve_lost(self, in_flight: InFlight, attempt: Attempt, *, dead: bool) -> None:
        """Decide by its permit about an attempt whose task was cancelled, died, or was run again.

        With `dead` its worker is certainly gone, so that the attempt folder won't change.
        """
        if self._permits.withdraw(in_flight.permit, in_flight.attempt_folder):
            if self._state.stopped:
                self._end_unsent(in_flight)
                return
            self._permits.retire(in_flight.permit)
            error = ServiceUnavailable(f"nothing was sent: {attempt.error}")
            if not self._retry(in_flight, error):
                self._on_end(in_flight, replace(attempt, error=error))
            return
        self._permits.retire(in_flight.permit)
        shared = in_flight.permit.attempt_folder is not None
        # The standard library reports a broken pool before all its processes have ended.
        seconds = LOOK_SECONDS * 4 if dead else self._worker.patience(in_flight.request)
        in_flight.until = monotonic() + (seconds if shared else 0.0)
        self._awaiting[in_flight.place] = in_flight
        if shared and not dead:
            self._on_doubt(in_flight)
        self._check_folder(in_flight, attempt)

    def _check_folder(self, in_flight: InFlight, attempt: Attempt) -> None:
        """Fetch from an attempt folder once it holds an answer, or once the wait for one is over."""
        if self._journal.answered(in_flight.attempt_folder) or monotonic() >= in_flight.until:
            del self._awaiting[in_flight.place]
            self._fetching[in_flight.place] = in_flight
            self._fetch(in_flight, attempt)
            return
        self._timers.set(
            in_flight.timer, monotonic() + LOOK_SECONDS, lambda: self._check_folder(in_flight, attempt)
        )

    def _fetch(self, in_flight: InFlight, attempt: Attempt) -> None:
        try:
            future = self._local.submit(
                self._worker.fetch, in_flight.request, in_flight.request_id, in_flight.attempt_folder
            )
        except RuntimeError as error:  # Python is about to end
            in_flight.stays = True
            future = Future()
            future.set_result(
                replace(attempt, permitted=True, trouble=f"nothing can be fetched now: {error}")
            )
        self._post_when_done(in_flight, future)


def _attempt_of(in_flight: InFlight, future: Future[Attempt]) -> Attempt:
    """A task's attempt; if the task died, an attempt in doubt without a known permit."""
    try:
        return future.result(timeout=0)
    except CancelledError:
        line = "its executor gave it up"
    except Exception as error:  # a dead process pool, a request that doesn't pickle, a bug in a worker
        line = f"its worker failed: {type(error).__name__}: {error}"
    return Attempt(in_flight.request_id, error=InDoubt(line), permitted=False)
