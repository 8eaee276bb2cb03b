"""Protocols of the objects that the coordinator uses, its tasks, and its requests in flight."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from kontext_lab.request import EditRequest
from kontext_lab.request.attempt import Attempt, BillingOutcome
from kontext_lab.results import CellResult, Results, State, TrackedCell

__all__ = [
    "InFlight",
    "JournalProtocol",
    "MeasurerProtocol",
    "Observer",
    "Permits",
    "Post",
    "Recorder",
    "Task",
    "WorkerProtocol",
]

Observer = Callable[[CellResult], None]
"""Told of every cell whose state changed, in order, on the coordinator's thread."""

Post = Callable[[Callable[[], None]], None]
"""Has a function called on the coordinator's thread, in the order of posting; may be used on any thread."""


class WorkerProtocol(Protocol):
    """Makes attempts; its methods run in an executor, so it pickles. An attempt folder is a path of the journal."""

    def patience(self, request: EditRequest) -> float:
        """Seconds after which the answer to a request that was sent can't come any more."""

    def send(self, request: EditRequest, request_id: str, permit: Any) -> Attempt:
        """Send a request, once, and bring its pictures; nothing without a permit."""

    def fetch(self, request: EditRequest, request_id: str, attempt_folder: Any) -> Attempt:
        """Bring the pictures of an answer that was read before; free."""

    def ask(self, sent: Mapping[str, datetime]) -> dict[str, BillingOutcome]:
        """Ask the service's log about requests, by their ids and when they were sent; no answer proves nothing."""


class JournalProtocol(Protocol):
    """Requests that were sent and have not reached the store; bound to one sweep."""

    def intend(self, place: int, cell: CellResult, request_id: str, price: float) -> Any:
        """Write down what is about to be sent; returns its folder.

        Raises:
            ConfigError: it can't be: nothing may be sent.
        """

    def answered(self, attempt_folder: Any) -> bool:
        """True if the folder holds an answer."""

    def keep(self, attempt_folder: Any, attempt: Attempt) -> Attempt:
        """Write down an answer that its worker could not write down itself."""

    def drop(self, attempt_folder: Any) -> None:
        """Nothing is owed for what lies there any more."""

    def shelve(self, cell: CellResult, attempt: Attempt) -> Attempt:
        """Release bytes that the outputs can load from an attempt folder: a long outage of the store fills no memory."""


class Permits(Protocol):
    """Issues the right to send one attempt's request, and takes back what nobody took."""

    def issue(self, attempt_folder: Any, request_id: str) -> Any:
        """Make the permit of an attempt whose intent is written down.

        Raises:
            OSError: it can't be made: nothing may be sent.
        """

    def withdraw(self, permit: Any, attempt_folder: Any) -> bool:
        """Take a permit back: True where nobody has sent the request, and nobody can any more."""

    def is_taken(self, permit: Any, attempt_folder: Any) -> bool:
        """True if the permit was taken; False also if that can't be found out."""

    def retire(self, permit: Any) -> None:
        """Forget a permit whose attempt has ended."""


class Recorder(Protocol):
    """The store; bound to one sweep. Every method may raise a TrackingError."""

    def log(self, place: int, cell: CellResult, attempt: Attempt) -> None:
        """Write a cell that was sent."""

    def settle(self, cell: CellResult, outcome: tuple[State, str, str], cost: float) -> None:
        """Write what became of a cell in doubt that was written before: state, reason, note, and what it cost."""

    def copy(self, place: int, cell: CellResult, source: TrackedCell) -> None:
        """Write a cell that is reused from elsewhere."""

    def take(self, cell: CellResult, run_id: str) -> None:
        """Fill a cell from its own earlier run."""

    def reachable(self) -> bool:
        """True if the store can be reached; quick, raises nothing."""

    def finish(self, results: Results, *, stopped: bool, seconds: float, quick: bool = False) -> None:
        """Sum up; quickly where somebody waits to leave: no table and no figure."""


class MeasurerProtocol(Protocol):
    """Measures pictures that are safe."""

    def wants(self, cell: CellResult) -> bool:
        """True if the cell has pictures to measure; quick."""

    def measure(self, cell: CellResult) -> Any:
        """Measure it, on any thread; the result has `values`, empty for none, and lines of `trouble`."""

    def record(self, cell: CellResult, found: Any) -> None:
        """Write it down and put it in place.

        Raises:
            TrackingError: it can't be written; then nothing changes.
        """


@dataclass(frozen=True)
class Task:
    """The task of one cell: exactly one of these.

    Attributes:
        send: send its request, expected to cost this many US dollars; None for not.
        keep: take its outcome from its own run.
        copy: take it from another run.
        leader: take it from the earlier cell at this place, once that has ended.
        leave: end it as skipped, for this reason.
        note: why, in a line.
    """

    send: float | None = None
    keep: TrackedCell | None = None
    copy: TrackedCell | None = None
    leader: int | None = None
    leave: str = ""
    note: str = ""


@dataclass
class InFlight:
    """A request on its way, from its first attempt to its outcome.

    Attributes:
        place: the cell's.
        cell: the cell.
        price: US dollars reserved for it.
        request_id: of the last attempt.
        attempt_folder: of the last attempt.
        permit: of the last attempt.
        sent: when the last attempt was made, by the monotonic clock.
        when: the same by the calendar.
        attempts: made so far.
        waited: seconds spent waiting between them.
        fetches: how often its pictures were fetched.
        asked_back: its permit was asked back and is taken.
        until: its answer is waited for in its folder until then, by the monotonic clock.
        fetching: when that began, by the monotonic clock.
        stays: nobody can fetch what lies in its folder now; the next run does.
        future: the last job under way.
    """

    place: int
    cell: CellResult
    price: float
    request_id: str = ""
    attempt_folder: Any = None
    permit: Any = None
    sent: float = 0.0
    when: datetime | None = None
    attempts: int = 0
    waited: float = 0.0
    fetches: int = 0
    asked_back: bool = False
    until: float = 0.0
    fetching: float = 0.0
    stays: bool = False
    future: Future[Attempt] | None = None

    @property
    def timer(self) -> str:
        """The name of its timer."""
        return f"cell {self.place}"

    @property
    def request(self) -> EditRequest:
        """The cell's request."""
        assert self.cell.request is not None, "only cells of a sweep are sent"
        return self.cell.request
