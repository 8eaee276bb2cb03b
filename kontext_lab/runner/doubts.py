"""Requests whose answer was lost: the service's log is asked what became of them, now and then.

The service writes a charge down only after it delivered, so silence proves nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, Future
from datetime import UTC, datetime, timedelta

from kontext_lab.answer import Fate
from kontext_lab.runner.parts import Flight, Told, Worker

__all__ = ["Doubts"]


class Doubts:
    """The flights in doubt of one run.

    Args:
        worker: asks the log.
        executor: runs the question.
        post: hands the answer to the coordinator.
    """

    def __init__(self, worker: Worker, executor: Executor, post: Callable[[Told], None]) -> None:
        self._worker = worker
        self._executor = executor
        self._post = post
        self._flights: dict[str, Flight] = {}

    def __len__(self) -> int:
        return len(self._flights)

    def add(self, flight: Flight) -> None:
        """An answer was lost."""
        self._flights[flight.request_id] = flight

    def resolve(self, request_id: str) -> Flight | None:
        """The flight whose fate is known now; it is in doubt no longer."""
        return self._flights.pop(request_id, None)

    def ask(self) -> bool:
        """Ask about all of them; the answer is posted. False where there is nothing, or nobody, to ask."""
        if not self._flights:
            return False
        moments = [flight.when for flight in self._flights.values() if flight.when]
        since = min(moments, default=datetime.now(UTC)) - timedelta(minutes=5)
        try:
            future = self._executor.submit(self._worker.ask, tuple(self._flights), since)
        except RuntimeError:
            return False
        future.add_done_callback(lambda done: self._post(Told(_fates(done))))
        return True


def _fates(future: Future[dict[str, Fate]]) -> dict[str, Fate]:
    # A question that fails is a question unanswered, whatever the executor made of it.
    return {} if future.cancelled() or future.exception() is not None else future.result()
