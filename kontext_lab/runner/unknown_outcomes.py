"""Requests without a known outcome: asks the service's log for them from time to time.

The service logs a charge only after delivery, so a missing row proves nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, Future
from datetime import UTC, datetime, timedelta

from kontext_lab.request.attempt import BillingOutcome
from kontext_lab.runner.protocols import InFlight, LogAnswered, WorkerProtocol

__all__ = ["UnknownOutcomes"]


class UnknownOutcomes:
    """The requests in doubt of one run.

    Args:
        worker: asks the log.
        executor: runs the question.
        post: hands the answer to the coordinator.
    """

    def __init__(
        self, worker: WorkerProtocol, executor: Executor, post: Callable[[LogAnswered], None]
    ) -> None:
        self._worker = worker
        self._executor = executor
        self._post = post
        self._flights: dict[str, InFlight] = {}

    def __len__(self) -> int:
        return len(self._flights)

    def add(self, in_flight: InFlight) -> None:
        """An answer was lost."""
        self._flights[in_flight.request_id] = in_flight

    def resolve(self, request_id: str) -> InFlight | None:
        """The request whose outcome is known now; it is in doubt no longer."""
        return self._flights.pop(request_id, None)

    def ask(self) -> bool:
        """Ask about all of them; the answer is posted. False where there is nothing, or nobody, to ask."""
        if not self._flights:
            return False
        moments = [in_flight.when for in_flight in self._flights.values() if in_flight.when]
        since = min(moments, default=datetime.now(UTC)) - timedelta(minutes=5)
        try:
            future = self._executor.submit(self._worker.ask, tuple(self._flights), since)
        except RuntimeError:
            return False
        future.add_done_callback(lambda done: self._post(LogAnswered(_fates(done))))
        return True


def _fates(future: Future[dict[str, BillingOutcome]]) -> dict[str, BillingOutcome]:
    # A question that fails is a question unanswered, whatever the executor made of it.
    return {} if future.cancelled() or future.exception() is not None else future.result()
