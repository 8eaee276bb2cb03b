"""Executors: the permits that a user's executor can take, found out before money is spent, and one of daemon threads."""

from __future__ import annotations

import queue
import threading
import uuid
from collections.abc import Callable
from concurrent.futures import CancelledError, Executor, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from kontext_lab.errors import ConfigError, Unauthorized, shown
from kontext_lab.journal import FolderPermits, QueuePermits
from kontext_lab.journal.permits import dask_client, run_on_workers
from kontext_lab.lab.worker import Probe, Worker
from kontext_lab.runner import Permits

__all__ = ["DaemonExecutor", "permits_for"]

PROBE_SECONDS = 60.0
"""How long an executor's workers may take to say what they find."""


def permits_for(executor: Executor, worker: Worker, folder: Path, concurrency: int) -> Permits:
    """Try out every worker that is known of, and choose the permits that all of them can take. Free.

    Args:
        executor: whose workers.
        worker: makes the attempts.
        folder: the journal's.
        concurrency: how many requests will be under way at once.

    Raises:
        ConfigError: there are workers that can't send, or none.
        ServiceError: from a worker the service can't be reached, or refuses its key.
    """
    if isinstance(executor, ThreadPoolExecutor):
        return FolderPermits()
    client = dask_client(executor)
    file, text = folder / f".probe-{uuid.uuid4().hex}", uuid.uuid4().hex
    try:
        file.write_text(text, encoding="ascii")
        probe = partial(worker.probe, str(file), text)
        # One by the executor itself in any case: a cluster that grows on demand starts its workers for it.
        probes = _submitted(executor, probe, 1 if client is not None else concurrency)
        if client is not None:
            probes += _asked(client, probe)
    except OSError as error:
        raise ConfigError(
            f"the journal can't be written ({error.strerror or error}): nothing was sent"
        ) from None
    finally:
        file.unlink(missing_ok=True)
    for name, one in reversed(probes):  # a worker that is known by its address first
        _check(name, one)
    if all(one.sees_journal for _, one in probes):
        return FolderPermits()
    if client is not None:
        return QueuePermits(client)
    raise ConfigError(
        f"executor: its workers don't see the journal's folder {shown(str(folder))}: nothing was sent; "
        "set KONTEXT_LAB_HOME to a folder on a disk that all of them share"
    )


def _submitted(executor: Executor, probe: Callable[[], Probe], count: int) -> list[tuple[str, Probe]]:
    """What the executor's own tasks find."""
    try:
        futures = [executor.submit(probe) for _ in range(count)]
    except Exception as error:
        raise ConfigError(f"executor: it takes no work, nothing was sent: {_line(error)}") from None
    done, missing = wait(futures, PROBE_SECONDS)
    if missing:
        for future in futures:
            future.cancel()
        raise ConfigError(
            f"executor: no worker answered within {PROBE_SECONDS:g} s, nothing was sent; "
            "start the cluster's workers first"
        )
    try:
        return [("a worker of the executor", future.result()) for future in done]
    except (Exception, CancelledError) as error:
        raise ConfigError(f"executor: its worker can't send, nothing was sent: {_line(error)}") from None


def _asked(client: Any, probe: Callable[[], Probe]) -> list[tuple[str, Probe]]:
    """What every worker of a cluster finds."""
    try:
        answers = run_on_workers(client, probe, PROBE_SECONDS)
    except Exception as error:
        raise ConfigError(
            f"executor: Dask's workers don't answer, nothing was sent: {_line(error)}"
        ) from None
    for address, answer in answers.items():
        if isinstance(answer, BaseException):
            raise ConfigError(f"executor: worker {address} can't send, nothing was sent: {_line(answer)}")
    return [(f"worker {address}", answer) for address, answer in answers.items()]


def _check(name: str, probe: Probe) -> None:
    """Raise what keeps a worker from using the service."""
    if probe.failure is None:
        return
    way = (
        ". Workers take the key from their own environment" if isinstance(probe.failure, Unauthorized) else ""
    )
    raise type(probe.failure)(f"{name}: {probe.failure}; nothing was sent{way}", probe.failure.status)


def _line(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"


class DaemonExecutor(Executor):
    """An executor of daemon threads: neither Stop nor the end of Python waits for its jobs.

    Measuring runs functions of the user, and a function that hangs can't be ended from outside. A
    `ThreadPoolExecutor` waits for its threads when Python ends; paid requests need that and stay there.

    Args:
        threads: how many, at most; each starts when it is first needed.
        name: what they are called.
    """

    def __init__(self, threads: int, name: str) -> None:
        self._most = threads
        self._name = name
        self._jobs: queue.SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._shut = False
        self._lock = threading.Lock()

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Run a function on one of the threads.

        Raises:
            RuntimeError: it was shut down, or no thread can be started any more.
        """
        future: Future[Any] = Future()
        with self._lock:
            if self._shut:
                raise RuntimeError("shut down")
            if len(self._threads) < self._most:
                thread = threading.Thread(target=self._work, name=self._name, daemon=True)
                thread.start()
                self._threads.append(thread)
            self._jobs.put((future, partial(fn, *args, **kwargs)))
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take nothing more.

        Args:
            wait: for what is being done.
            cancel_futures: drop what waits.
        """
        with self._lock:
            self._shut = True
            if cancel_futures:
                with suppress(queue.Empty):  # the threads take from it as well
                    while True:
                        job = self._jobs.get_nowait()
                        if job is not None:
                            job[0].cancel()
            for _ in self._threads:
                self._jobs.put(None)
        for thread in self._threads if wait else ():
            thread.join()

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            future, do = job
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(do())
            except BaseException as error:  # told to whoever asks for the result
                future.set_exception(error)
            del job, future, do  # an idle thread keeps no picture alive
