"""Handle of a running sweep: wait for it, stop it, read its results."""

from __future__ import annotations

import threading
from collections.abc import Callable
from time import monotonic

from kontext_lab.results import Results
from kontext_lab.runner.coordinator import Coordinator

__all__ = ["Handle"]


class Handle:
    """A sweep that runs in a thread of its own after `begin`.

    Args:
        coordinator: runs it.
        close: called at the end in any case.

    Attributes:
        results: the cells as they stand, live.
        left: moment of `leave` by the monotonic clock; None before.
    """

    def __init__(self, coordinator: Coordinator, close: Callable[[], None]) -> None:
        self._coordinator = coordinator
        self._close = close
        self._error: BaseException | None = None
        self._finished = threading.Event()
        self.results: Results = coordinator.results
        self.left: float | None = None
        # Not a daemon: requests in flight are paid for, so leaving Python waits for them.
        self._thread = threading.Thread(target=self._run, name="kontext-lab sweep")

    def begin(self) -> Handle:
        """Start the thread, before which nothing is sent; returns the handle.

        Raises:
            RuntimeError: no thread could be started; nothing was sent.
        """
        try:
            self._thread.start()
        except RuntimeError:
            self._coordinator.failed = True
            self._close()
            raise
        except BaseException:  # an interrupt: the thread may run already, and the caller gets no handle
            self.cancel()
            raise
        return self

    def _run(self) -> None:
        try:
            self._coordinator.run()
        except BaseException as error:  # raised again in wait(), in the caller's thread
            self._error = error
        try:
            self._close()
        except BaseException as error:
            self._error = self._error or error
        finally:
            self._finished.set()  # in any case, since callers wait for it

    def cancel(self) -> None:
        """Send nothing more; requests in flight are waited for and kept."""
        self._coordinator.stop()

    def leave(self) -> None:
        """Stop without waiting for requests in flight; the next run looks for their answers in the journal."""
        self.left = monotonic() if self.left is None else self.left
        self._coordinator.stop(leave=True)

    @property
    def done(self) -> bool:
        """True once every cell has ended."""
        return self._finished.is_set()

    def wait(self, timeout: float | None = None) -> Results:
        """The results once every cell has ended, or as they stand after `timeout` seconds."""
        # An error is raised only after its run has ended in the store, too.
        if self._finished.wait(timeout) and self._error is not None:
            raise self._error
        return self.results

    def __repr__(self) -> str:
        return f"<Handle {'done' if self.done else 'running'}: {self.results.brief}>"
