"""Requests on their way: what is sent next, how many at once, what is tried again.

Ends with a flight's last attempt; what that means for results, money and store is the coordinator's business.
"""

from __future__ import annotations

import uuid
from collections import deque
from collections.abc import Callable
from concurrent.futures import CancelledError, Executor, Future
from dataclasses import replace
from datetime import UTC, datetime
from time import monotonic

from kontext_lab.answer import Attempt
from kontext_lab.errors import ConfigError, InDoubt, RateLimited, ServiceUnavailable, Wait
from kontext_lab.pacing import Pacing, Throttle
from kontext_lab.results import State
from kontext_lab.runner.clockwork import Clockwork
from kontext_lab.runner.parts import Book, Flight, Landed, Worker
from kontext_lab.runner.purse import Purse
from kontext_lab.runner.sheet import Sheet

__all__ = ["Dispatch"]


class Dispatch:
    """All flights of one run.

    Args:
        sheet: the cells.
        worker: makes attempts.
        book: where every attempt is written down before it is made.
        executor: runs them.
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
        executor: Executor,
        purse: Purse,
        pacing: Pacing,
        concurrency: int,
        clock: Clockwork,
        post: Callable[[Landed], None],
    ) -> None:
        self._sheet = sheet
        self._worker = worker
        self._book = book
        self._executor = executor
        self._purse = purse
        self._pacing = pacing
        self._throttle = Throttle.start(concurrency)
        self._clock = clock
        self._post = post
        self._waiting: deque[Flight] = deque()
        self._flying: dict[int, Flight] = {}
        self._sleeping: dict[int, Flight] = {}
        self._fetching: dict[int, Flight] = {}

    @property
    def busy(self) -> bool:
        """Whether any flight has not ended."""
        return bool(self._waiting or self._flying or self._sleeping or self._fetching)

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
        if self._flying.pop(flight.place, None) is not None:
            self._adjust(flight, attempt)
        elif self._fetching.pop(flight.place, None) is None:
            return None  # left behind
        if attempt.trouble:
            self._sheet.stop("journal", attempt.trouble)
        if _died(event):
            # What the worker wrote down before it died is on the desk; a second death leaves it there.
            return self._look(flight, attempt)
        if isinstance(attempt.error, Wait) and self._again(flight, attempt.error):
            return None
        if self._fetch_again(flight, attempt):
            return None
        return attempt

    def abandon(self) -> list[Flight]:
        """Wait for nothing any more; returns what was under way, which stays on its desks."""
        queued = self._call_back()
        for flight in queued:
            self._book.drop(flight.desk)
            self._purse.settle(flight.price, 0.0)
            self._sheet.cancel(flight.place)
        left = {flight.place for flight in queued}
        under_way = [flight for flight in self._flying.values() if flight.place not in left]
        for flight in self._fetching.values():
            self._clock.cancel(_alarm(flight))
        under_way += self._fetching.values()
        self._flying, self._fetching = {}, {}
        return under_way

    def _call_back(self) -> list[Flight]:
        """Have nothing sent that still queues in the executor: it lands as cancelled."""
        flying = list(self._flying.values())
        return [flight for flight in flying if flight.future is not None and flight.future.cancel()]

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
        try:
            flight.desk = self._book.intend(flight.place, cell, flight.request_id, flight.price)
        except ConfigError as error:
            self._not_sent(flight, "journal", str(error))
            return
        flight.sent, flight.when = monotonic(), datetime.now(UTC)
        cell.state, cell.note = State.RUNNING, ""
        self._sheet.tell(cell)
        try:
            future = self._executor.submit(self._worker.send, cell.request, flight.request_id, flight.desk)
        except RuntimeError as error:  # shut down or broken: nothing was sent
            self._book.drop(flight.desk)
            self._not_sent(flight, "executor", f"the executor takes no work: {error}")
            return
        self._flying[flight.place] = flight
        self._listen(flight, future)

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

    def _look(self, flight: Flight, attempt: Attempt) -> Attempt | None:
        """Fetch from the desk of a worker that died, once; the attempt where nobody can."""
        if flight.looked:
            flight.stays = True
            return attempt
        flight.looked = True
        self._fetching[flight.place] = flight
        self._fetch(flight, attempt)
        return None

    def _fetch(self, flight: Flight, attempt: Attempt) -> None:
        request = self._sheet[flight.place].request
        assert request is not None, "it was sent"
        try:
            future = self._executor.submit(self._worker.fetch, request, flight.request_id, flight.desk)
        except RuntimeError as error:  # shut down or broken
            self._sheet.stop("executor", f"the executor takes no work: {error}")
            flight.stays = True
            future = Future()
            future.set_result(replace(attempt, trouble="the executor takes no work"))
        self._listen(flight, future)


def _alarm(flight: Flight) -> str:
    return f"cell {flight.place}"


def _attempt_of(event: Landed) -> Attempt:
    """How an attempt ended, also where its worker did not live to say so."""
    try:
        return event.future.result(timeout=0)
    except CancelledError:
        error = ServiceUnavailable("cancelled by its executor before it was sent")
        return Attempt(event.request_id, error=error)
    except Exception as error:  # a dead process pool, a request that doesn't pickle, a bug in a worker
        line = f"the worker failed, the request may have been sent: {type(error).__name__}: {error}"
        return Attempt(event.request_id, error=InDoubt(line))


def _died(event: Landed) -> bool:
    """Whether the worker did not live to say how it went."""
    return not event.future.cancelled() and event.future.exception(timeout=0) is not None
