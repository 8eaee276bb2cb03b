"""An executor of daemon threads: neither Stop nor the end of Python waits for its jobs.

Measuring runs functions of the user, and a function that hangs can't be ended from outside. `ThreadPoolExecutor` waits for
its threads when Python ends; paid requests need that and stay there.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from contextlib import suppress
from functools import partial
from typing import Any

__all__ = ["DaemonExecutor"]


class DaemonExecutor(Executor):
    """An executor of daemon threads.

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
        """Have something done.

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
                self._drop()
            for _ in self._threads:
                self._jobs.put(None)
        for thread in self._threads if wait else ():
            thread.join()

    def _drop(self) -> None:
        with suppress(queue.Empty):  # the threads take from it as well
            while True:
                job = self._jobs.get_nowait()
                if job is not None:
                    job[0].cancel()

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
