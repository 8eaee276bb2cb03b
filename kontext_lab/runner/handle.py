"""A running sweep as its owner sees it: wait for it, stop it, look at what is there."""

from __future__ import annotations

import threading
from collections.abc import Callable
from time import monotonic

from kontext_lab.results import Results
from kontext_lab.runner.coordinator import Coordinator

__all__ = ["Handle"]


class Handle:
    """A sweep that runs in a thread of its own, from `begin` on.

    Args:
        coordinator: runs it.
        close: called at the end, however that comes.

    Attributes:
        results: the cells as they stand, live.
        left: when `leave` was called, by the monotonic clock; None before.
    """

    def __init__(self, coordinator: Coordinator, close: Callable[[], None]) -> None:
        self._coordinator = coordinator
        self._close = close
        self._error: BaseException | None = None
        self._finished = threading.Event()
        self.results: Results = coordinator.results
        self.left: float | None = None
        # Not a daemon: what is in flight is paid for, so leaving Python waits for it.
        self._thread = threading.Thread(target=self._run, name="kontext-lab sweep")

    def begin(self) -> Handle:
        """Start the thread, before which nothing is sent; returns the handle.

        Raises:
            RuntimeError: there is no thread to be had; nothing was sent.
        """
        try:
            self._thread.start()
        except RuntimeError:
            self._coordinator.failed = True
            self._close()
            raise
        except BaseException:  # an interrupt: the thread may run already, and nobody holds this handle
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
            self._finished.set()  # whatever happens: somebody waits for it

    def cancel(self) -> None:
        """Send nothing more; what is in flight is waited for and kept."""
        self._coordinator.stop()

    def leave(self) -> None:
        """Stop without waiting for what is in flight; the next run looks for its answers in the journal."""
        self.left = monotonic() if self.left is None else self.left
        self._coordinator.leave()

    @property
    def done(self) -> bool:
        """Whether every cell has ended."""
        return self._finished.is_set()

    def wait(self, timeout: float | None = None) -> Results:
        """The results once every cell has ended, or as they stand after `timeout` seconds."""
        # An error is told when its run is ended as well: until then the store says that it is running.
        if self._finished.wait(timeout) and self._error is not None:
            raise self._error
        return self.results

    def __repr__(self) -> str:
        return f"<Handle {'done' if self.done else 'running'}: {self.results.brief}>"
