"""Permits: the right to send one attempt's request, taken at most once.

An executor may run an attempt twice, lose its result, or call a running attempt cancelled. So a permit alone decides
whether a request left. Knows the journal's folders and Dask's queues; neither service nor sweep.
"""

from __future__ import annotations

import math
import os
import socket
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, Any, Protocol

from kontext_lab.errors import ConfigError
from kontext_lab.journal.attempt_folder import AttemptFolder

if TYPE_CHECKING:
    from distributed import Client, Queue

__all__ = [
    "FolderPermit",
    "FolderPermits",
    "Permit",
    "QueuePermit",
    "QueuePermits",
    "dask_client",
]

QUEUE_SECONDS = 10.0
"""Longest wait for the scheduler's answer about a permit."""


class Permit(Protocol):
    """The right to send one request; pickles, and travels with the attempt."""

    @property
    def attempt_folder(self) -> AttemptFolder | None:
        """The attempt's folder if the worker sees it; None if answer and bytes travel back instead."""

    def take(self) -> bool:
        """Take the permit, in any process; False if it is gone or can't be reached, so that nothing is sent."""


@dataclass(frozen=True)
class FolderPermit:
    """A permit in the attempt's folder, for workers that see the journal's disk.

    Attributes:
        attempt_folder: the attempt's folder.
        request_id: of the attempt; the intent in the folder must hold the same, else the folder is on another disk.
    """

    attempt_folder: AttemptFolder
    request_id: str

    def take(self) -> bool:
        """Create the file `sent` in the attempt's folder, which must hold its intent."""
        intent = self.attempt_folder.intent
        if intent is None or intent.request_id != self.request_id:
            return False
        try:
            return self.attempt_folder.mark_sent(f"{socket.gethostname()} {os.getpid()}")
        except OSError:
            return False


class FolderPermits:
    """Issues permits in the attempts' folders, and withdraws them."""

    def issue(self, attempt_folder: AttemptFolder, request_id: str) -> FolderPermit:
        """The permit of an attempt; it needs nothing but the intent."""
        return FolderPermit(attempt_folder, request_id)

    def withdraw(self, permit: Permit, attempt_folder: AttemptFolder) -> bool:  # noqa: ARG002 - the attempt folder is the permit
        """Withdraw a permit; False if it may have been taken."""
        return attempt_folder.withdraw()

    def is_taken(self, permit: Permit, attempt_folder: AttemptFolder) -> bool:  # noqa: ARG002 - the attempt folder is the permit
        """True if a sender may have taken it."""
        return attempt_folder.may_have_left

    def retire(self, permit: Permit) -> None:
        """Nothing to do: a permit is removed with its folder."""


@dataclass(frozen=True)
class QueuePermit:
    """A permit in a queue on Dask's scheduler, for workers that don't see the journal's disk.

    Attributes:
        name: of the queue; it holds one item until the permit is taken.
    """

    name: str

    @property
    def attempt_folder(self) -> None:
        """None: the worker does not see it."""

    def take(self) -> bool:
        """Take the only item of the queue, inside a task of the cluster."""
        from distributed import get_client  # noqa: PLC0415 - only where the worker is Dask's

        try:
            queue = _queue(self.name, get_client(timeout=QUEUE_SECONDS))
        except Exception:  # a worker that lost its scheduler
            return False
        try:
            return bool(_take_items(queue))
        except Exception:  # taken or not, nothing is sent
            return False
        finally:
            queue.close()


class QueuePermits:
    """Issues permits in queues on Dask's scheduler, and withdraws them.

    Args:
        client: of the scheduler.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._queues: dict[str, Queue] = {}
        self._silent_until = -math.inf

    def issue(self, attempt_folder: AttemptFolder, request_id: str) -> QueuePermit:
        """Put one item into a new queue."""
        # After a crash the queue can't be asked, so the folder records from now on that the request may have left.
        attempt_folder.mark_sent("queue")
        permit = QueuePermit(f"kontext-lab {request_id}")
        try:
            queue = _queue(permit.name, self._client)
            queue.put(1, callback_timeout=QUEUE_SECONDS)
        except Exception as error:
            raise OSError(f"Dask's scheduler does not answer: {type(error).__name__}") from error
        self._queues[permit.name] = queue
        return permit

    def withdraw(self, permit: Permit, attempt_folder: AttemptFolder) -> bool:  # noqa: ARG002 - the queue is the permit
        """Take the item out of the queue; False if it is gone, or the scheduler does not answer."""
        return bool(self._ask(permit, _take_items))

    def is_taken(self, permit: Permit, attempt_folder: AttemptFolder) -> bool:  # noqa: ARG002 - the queue is the permit
        """True if a worker took it; False also if the scheduler does not answer."""
        return bool(self._ask(permit, lambda queue: queue.qsize(callback_timeout=QUEUE_SECONDS) == 0))

    def retire(self, permit: Permit) -> None:
        """Close the queue."""
        assert isinstance(permit, QueuePermit), "issued here"
        queue = self._queues.pop(permit.name, None)
        if queue is not None:
            queue.close()

    def _ask(self, permit: Permit, ask: Callable[[Queue], Any]) -> Any:
        """The scheduler's answer about a queue; None without an answer."""
        assert isinstance(permit, QueuePermit), "issued here"
        # A client without a scheduler would wait for it; a scheduler that hangs is not asked for every permit.
        if self._client.status != "running" or monotonic() < self._silent_until:
            return None
        try:
            return ask(self._queues[permit.name])
        except Exception:
            self._silent_until = monotonic() + QUEUE_SECONDS
            return None


def _queue(name: str, client: Client) -> Queue:
    """A queue of the scheduler; made in a thread of its own, since Dask would wait for a silent scheduler for ever.

    Raises:
        TimeoutError: the scheduler does not answer.
    """
    from distributed import Queue  # noqa: PLC0415 - loads when a cluster is used

    made: Future[Queue] = Future()

    def make() -> None:
        try:
            made.set_result(Queue(name, client=client))
        except BaseException as error:
            made.set_exception(error)

    threading.Thread(target=make, name="kontext-lab queue", daemon=True).start()
    return made.result(QUEUE_SECONDS)


def _take_items(queue: Queue) -> Any:
    """Take all items of a queue: asking for one would wait for it."""
    return queue.get(batch=True, callback_timeout=QUEUE_SECONDS)


def dask_client(executor: Executor) -> Client | None:
    """The client of an executor that `client.get_executor()` of Dask made; None for any other executor.

    Raises:
        ConfigError: the client is asynchronous.
    """
    if type(executor).__module__.partition(".")[0] != "distributed":
        return None
    # Dask offers no other way from the executor to its workers.
    client: Client = executor._client  # type: ignore[attr-defined]
    if client.asynchronous:
        raise ConfigError(
            "executor: its Dask client is asynchronous, give one made without asynchronous=True"
        )
    return client
