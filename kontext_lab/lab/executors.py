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
from kontext_lab.journal.permits import dask_client
from kontext_lab.lab.worker import Probe, Worker
from kontext_lab.runner import Permits

__all__ = ["DaemonExecutor", "permits_for"]

PROBE_SECONDS = 60.0
"""Seconds that an executor's workers have for their first answer."""


def permits_for(executor: Executor, worker: Worker, folder: Path, concurrency: int) -> Permits:
    """Try out every worker that is known of, and choose the permits that all of them can take. Free.

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
        probes = _probe_by_tasks(executor, probe, 1 if client is not None else concurrency)
        if client is not None:
            probes += _probe_cluster(client, probe)
    except OSError as error:
        raise ConfigError(
            f"the journal can't be written ({error.strerror or error}): nothing was sent"
        ) from None
    finally:
        file.unlink(missing_ok=True)
    for name, (_, failure) in reversed(probes):  # a worker that is known by its address first
        if failure is not None:
            key = ". Workers take the key from their own environment"
            way = key if isinstance(failure, Unauthorized) else ""
            raise type(failure)(f"{name}: {failure}; nothing was sent{way}", failure.status)
    if all(sees_journal for _, (sees_journal, _) in probes):
        return FolderPermits()
    if client is not None:
        return QueuePermits(client)
    raise ConfigError(
        f"executor: its workers don't see the journal's folder {shown(str(folder))}: nothing was sent; "
        "set KONTEXT_LAB_HOME to a folder on a disk that all of them share"
    )


def _probe_by_tasks(executor: Executor, probe: Callable[[], Probe], count: int) -> list[tuple[str, Probe]]:
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


def _probe_cluster(client: Any, probe: Callable[[], Probe]) -> list[tuple[str, Probe]]:
    """Probe every worker of a Dask cluster, busy or not."""
    try:
        answers = client.run(probe, on_error="return", callback_timeout=PROBE_SECONDS)
    except Exception as error:
        raise ConfigError(
            f"executor: Dask's workers don't answer, nothing was sent: {_line(error)}"
        ) from None
    for address, answer in answers.items():
        if isinstance(answer, BaseException):
            raise ConfigError(f"executor: worker {address} can't send, nothing was sent: {_line(answer)}")
    return [(f"worker {address}", answer) for address, answer in answers.items()]


def _line(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"


class DaemonExecutor(Executor):
    """An executor of daemon threads: neither Stop nor the end of Python waits for its jobs.

    Measuring runs functions of the user, and a function that hangs can't be ended from outside. A
    `ThreadPoolExecutor` waits for its threads when Python ends; paid requests need that and stay there.
    """

    def __init__(self, threads: int, name: str) -> None:
        self._most = threads
        self._name = name
        self._jobs: queue.SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._shut = False
        self._lock = threading.Lock()

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Run a function on one of the threads."""
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
        """Take no more jobs; wait for those under way, or cancel those that have not begun."""
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
            except BaseException as error:  # raised again where the result is asked for
                future.set_exception(error)
            del job, future, do  # an idle thread keeps no picture alive
