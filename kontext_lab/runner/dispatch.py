"""Requests on their way: what is sent next, how many at once, what is tried again.

Ends with a flight's last attempt; what that means for results, money and store is the coordinator's business.
"""

from __future__ import annotations

import uuid
from collections import deque
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, CancelledError, Executor, Future
from dataclasses import replace
from datetime import UTC, datetime
from time import monotonic

from kontext_lab.answer import Attempt
from kontext_lab.errors import ConfigError, InDoubt, RateLimited, ServiceUnavailable, Wait
from kontext_lab.pacing import Pacing, Throttle
from kontext_lab.results import State
from kontext_lab.runner.clockwork import Clockwork
from kontext_lab.runner.parts import Book, Flight, Landed, Permits, Worker
from kontext_lab.runner.purse import Purse
from kontext_lab.runner.sheet import Sheet

__all__ = ["Dispatch"]

LOOK_SECONDS = 0.5
"""How often the journal is looked at for an answer that another worker may still write."""

GRACE_SECONDS = 10.0
"""How long an answer may take to the journal once the service's log knows what became of the request."""


class Dispatch:
    """All flights of one run.

    Args:
        sheet: the cells.
        worker: makes attempts.
        book: where every attempt is written down before it is made.
        permits: issues the right to send each attempt, and takes it back.
        executor: sends; whatever it says of a task, whether a request left says its permit.
        local: looks into the journal and fetches pictures again, in this process.
        doubted: told of a flight whose answer is waited for although its own task is lost.
        purse: the money.
        pacing: what is tried again, and when.
        concurrency: how many requests at once, at most.
        clock: alarms.
        post: hands an event to the coordinator.
    """

    def __init__(
        self,
        sheet: Sheet,
        *,
        worker: Worker,
        book: Book,
        permits: Permits,
        executor: Executor,
        local: Executor,
        doubted: Callable[[Flight], None],
        purse: Purse,
        pacing: Pacing,
        concurrency: int,
        clock: Clockwork,
        post: Callable[[Landed], None],
    ) -> None:
        self._sheet = sheet
        self._worker = worker
        self._book = book
        self._permits = permits
        self._executor = executor
        self._local = local
        self._doubted = doubted
        self._purse = purse
        self._pacing = pacing
        self._throttle = Throttle.start(concurrency)
        self._clock = clock
        self._post = post
        self._waiting: deque[Flight] = deque()
        self._flying: dict[int, Flight] = {}
        self._sleeping: dict[int, Flight] = {}
        self._fetching: dict[int, Flight] = {}
        self._awaiting: dict[int, Flight] = {}

    @property
    def busy(self) -> bool:
        """Whether any flight has not ended."""
        return bool(self._waiting or self._flying or self._sleeping or self._fetching or self._awaiting)

    def add(self, flight: Flight) -> None:
        """A cell to be sent, after those that wait already."""
        self._waiting.append(flight)

    def launch(self) -> None:
        """Send what may be sent now; once the run stops, end what was not sent."""
        while self._waiting and not self._sheet.stopped:
            now = monotonic()
            if not self._throttle.room(len(self._flying), now):
                if now < self._throttle.hold:
                    self._clock.set("hold", self._throttle.hold, lambda: None)
                return
            self._send(self._waiting.popleft())
        if self._sheet.stopped:
            self._cancel()

    def landed(self, event: Landed) -> Attempt | None:
        """A worker returned; the attempt if it was the flight's last, else None."""
        flight, attempt = event.flight, _attempt_of(event)
        if event.future is not flight.future:
            return None  # of an attempt before
        if self._flying.get(flight.place) is flight:
            del self._flying[flight.place]
            if not attempt.permitted:
                return self._lost(flight, attempt, dead=_broken(event))
            self._permits.retire(flight.permit)
            self._adjust(flight, attempt)
            attempt = self._book.keep(flight.desk, attempt)
        elif self._fetching.get(flight.place) is flight:
            del self._fetching[flight.place]
        else:
            return None  # left behind
        if attempt.trouble:
            self._sheet.stop("journal", attempt.trouble)
        if not attempt.permitted:
            flight.stays = True  # nobody can look at its desk: the next run does
            return attempt
        if isinstance(attempt.error, Wait) and self._again(flight, attempt.error):
            return None
        if self._fetch_again(flight, attempt):
            return None
        return attempt

    def hurry(self, flight: Flight) -> bool:
        """Wait only a little longer for an answer, since the service's log knows what became of the request.

        Returns:
            Whether it has not ended: its answer is still waited for, or its pictures are fetched.
        """
        flight.until = min(flight.until, monotonic() + GRACE_SECONDS)
        return flight.place in self._awaiting or flight.place in self._fetching

    def abandon(self) -> list[Flight]:
        """Wait for nothing any more; returns what was under way, which stays on its desks."""
        self._call_back()
        for flight in (*self._fetching.values(), *self._awaiting.values()):
            self._clock.cancel(_alarm(flight))
        under_way = [*self._flying.values(), *self._fetching.values(), *self._awaiting.values()]
        self._flying, self._fetching, self._awaiting = {}, {}, {}
        return under_way

    def keep_late(self, flight: Flight) -> None:
        """Have an answer that travelled back written down although nobody waited for it any more."""
        future = flight.future
        late = flight.permit.desk is None and future is not None and future.done() and not future.cancelled()
        if late and future is not None and future.exception() is None:
            self._book.keep(flight.desk, future.result())

    def _call_back(self) -> None:
        """Have nothing sent that still queues in the executor: who has the permit decides that."""
        for flight in list(self._flying.values()):
            if flight.asked_back:
                continue
            if not self._permits.withdraw(flight.permit, flight.desk):
                flight.asked_back = True  # it is being sent: its result is waited for
                continue
            del self._flying[flight.place]
            if flight.future is not None:
                flight.future.cancel()
            self._end_unsent(flight)

    def _end_unsent(self, flight: Flight) -> None:
        self._permits.retire(flight.permit)
        self._book.drop(flight.desk)
        self._purse.settle(flight.price, 0.0)
        self._sheet.cancel(flight.place)

    def _cancel(self) -> None:
        self._call_back()
        for flight in self._sleeping.values():
            self._clock.cancel(_alarm(flight))
        for flight in (*self._sleeping.values(), *self._waiting):
            if flight.attempts:
                self._purse.settle(flight.price, 0.0)
            self._sheet.cancel(flight.place)
        self._sleeping = {}
        self._waiting.clear()

    def _send(self, flight: Flight) -> None:
        """The order of money rule 1 and 3: reserve, write down, send."""
        cell = self._sheet[flight.place]
        assert cell.request is not None, "only cells of a sweep are sent"
        if flight.attempts:
            self._purse.settle(flight.price, 0.0)  # what it costs may be known better by now
        flight.price = self._purse.expected(cell.request, flight.price)
        if not self._purse.reserve(flight.price):
            self._sheet.end(flight.place, State.SKIPPED, "budget", "does not fit into the budget")
            return
        flight.request_id = f"kl-{uuid.uuid4().hex}"
        flight.attempts += 1
        flight.asked_back = False
        try:
            flight.desk = self._book.intend(flight.place, cell, flight.request_id, flight.price)
        except ConfigError as error:
            self._not_sent(flight, "journal", str(error))
            return
        try:
            flight.permit = self._permits.issue(flight.desk, flight.request_id)
        except OSError as error:
            self._book.drop(flight.desk)
            self._not_sent(flight, "executor", str(error))
            return
        flight.sent, flight.when = monotonic(), datetime.now(UTC)
        cell.state, cell.note = State.RUNNING, ""
        self._sheet.tell(cell)
        self._flying[flight.place] = flight
        try:
            future = self._executor.submit(self._worker.send, cell.request, flight.request_id, flight.permit)
        except Exception as error:  # shut down, broken, or a request that can't be handed over
            self._sheet.stop("executor", f"the executor takes no work: {error}")
            future = Future()
            future.set_exception(error)
        self._listen(flight, future)
        self._mind(flight, future, taken=None)

    def _mind(self, flight: Flight, future: Future[Attempt], taken: float | None) -> None:
        """Give up waiting for a task that its executor lost without a word, long after its request left.

        Args:
            flight: whose task.
            future: of the attempt.
            taken: since when its permit is known to be taken, by the monotonic clock.
        """
        patience = self._patience(flight)

        def look() -> None:
            if self._flying.get(flight.place) is not flight or flight.future is not future:
                return
            sent = flight.asked_back or self._permits.is_taken(flight.permit, flight.desk)
            since = (taken or monotonic()) if sent else None
            # The answer may take that long, and so may its pictures.
            if since is None or monotonic() < since + 2 * patience:
                self._mind(flight, future, since)
                return
            gone: Future[Attempt] = Future()
            gone.set_exception(BrokenExecutor("lost without a word"))
            self._listen(flight, gone)

        self._clock.set(f"lost {flight.place}", monotonic() + patience / 2, look)

    def _patience(self, flight: Flight) -> float:
        request = self._sheet[flight.place].request
        assert request is not None, "it was sent"
        return self._worker.patience(request)

    def _not_sent(self, flight: Flight, word: str, why: str) -> None:
        self._sheet.stop(word, why)
        self._waiting.append(flight)  # to be cancelled with all others

    def _listen(self, flight: Flight, future: Future[Attempt]) -> None:
        flight.future = future
        landing = Landed(flight, flight.request_id, future)
        future.add_done_callback(lambda _: self._post(landing))

    def _adjust(self, flight: Flight, attempt: Attempt) -> None:
        """Fewer or more at once, by how the service answered."""
        if isinstance(attempt.error, RateLimited):
            pause = self._pacing.pause(attempt.error, self._throttle.refusals)
            self._throttle = self._throttle.refused(flight.sent, monotonic(), pause)
        elif attempt.answer is not None:
            self._throttle = self._throttle.answered()

    def _again(self, flight: Flight, error: Wait) -> bool:
        """Whether a request that was not billed is sent again: now, or by the next run where this one stops."""
        wait = self._pacing.after(error, flight.attempts, flight.waited)
        if wait is None:
            return False
        self._book.drop(flight.desk)
        flight.waited += wait
        cell = self._sheet[flight.place]
        cell.state, cell.note = (
            State.WAITING,
            f"{error} (attempt {flight.attempts} of {self._pacing.attempts})",
        )
        self._sheet.tell(cell)

        def wake() -> None:
            self._waiting.appendleft(self._sleeping.pop(flight.place))

        self._sleeping[flight.place] = flight
        self._clock.set(_alarm(flight), monotonic() + wait, wake)
        return True

    def _fetch_again(self, flight: Flight, attempt: Attempt) -> bool:
        """Whether pictures that did not come whole are fetched once more; free, so a stop doesn't prevent it."""
        answer = attempt.answer
        if answer is None or attempt.trouble or not any(picture.again for picture in answer.pictures):
            return False
        if not flight.fetches:
            flight.fetching = monotonic() - answer.download_s
        flight.fetches += 1
        wait = self._pacing.before_download(flight.fetches, monotonic() - flight.fetching)
        if wait is None:
            return False

        self._fetching[flight.place] = flight
        self._clock.set(_alarm(flight), monotonic() + wait, lambda: self._fetch(flight, attempt))
        return True

    def _lost(self, flight: Flight, attempt: Attempt, *, dead: bool) -> Attempt | None:
        """Decide by its permit about an attempt whose task brought nothing; the attempt where that is its end.

        Args:
            flight: whose task was cancelled, died, or was run again.
            attempt: what is known of it.
            dead: its worker is gone for certain, so that nothing is written to the desk any more.
        """
        if self._permits.withdraw(flight.permit, flight.desk):
            if self._sheet.stopped:
                self._end_unsent(flight)
                return None
            self._permits.retire(flight.permit)
            unsent = replace(attempt, error=ServiceUnavailable(f"nothing was sent: {attempt.error}"))
            return None if self._again(flight, ServiceUnavailable(str(unsent.error))) else unsent
        self._permits.retire(flight.permit)
        shared = flight.permit.desk is not None
        # The standard library says that a pool is broken before it has ended all of its processes.
        seconds = (LOOK_SECONDS * 4 if dead else self._patience(flight)) if shared else 0.0
        flight.until = monotonic() + seconds
        self._awaiting[flight.place] = flight
        if shared and not dead:
            self._doubted(flight)
        self._look(flight, attempt)
        return None

    def _look(self, flight: Flight, attempt: Attempt) -> None:
        """Fetch what lies on a desk as soon as an answer does, or when none is waited for any more."""
        if self._book.answered(flight.desk) or monotonic() >= flight.until:
            del self._awaiting[flight.place]
            self._fetching[flight.place] = flight
            self._fetch(flight, attempt)
            return
        self._clock.set(_alarm(flight), monotonic() + LOOK_SECONDS, lambda: self._look(flight, attempt))

    def _fetch(self, flight: Flight, attempt: Attempt) -> None:
        request = self._sheet[flight.place].request
        assert request is not None, "it was sent"
        try:
            future = self._local.submit(self._worker.fetch, request, flight.request_id, flight.desk)
        except RuntimeError as error:  # Python is about to end
            flight.stays = True
            future = Future()
            future.set_result(
                replace(attempt, permitted=True, trouble=f"nothing can be fetched now: {error}")
            )
        self._listen(flight, future)


def _alarm(flight: Flight) -> str:
    return f"cell {flight.place}"


def _attempt_of(event: Landed) -> Attempt:
    """How an attempt ended; where its task did not live to say so, it holds no permit that is known of."""
    try:
        return event.future.result(timeout=0)
    except CancelledError:
        line = "its executor gave it up"
    except Exception as error:  # a dead process pool, a request that doesn't pickle, a bug in a worker
        line = f"its worker failed: {type(error).__name__}: {error}"
    return Attempt(event.request_id, error=InDoubt(line), permitted=False)


def _broken(event: Landed) -> bool:
    """Whether all workers of the executor are gone."""
    return not event.future.cancelled() and isinstance(event.future.exception(timeout=0), BrokenExecutor)
