"""A running sweep as its owner sees it: wait for it, stop it, look at what is there."""

from __future__ import annotations

import threading
from collections.abc import Callable

from kontext_lab.results import Results
from kontext_lab.runner.coordinator import Coordinator

__all__ = ["Handle"]


class Handle:
    """A sweep under way in a thread of its own.

    Args:
        coordinator: runs it.
        close: called at the end, however that comes.

    Attributes:
        results: the cells as they stand, live.
    """

    def __init__(self, coordinator: Coordinator, close: Callable[[], None]) -> None:
        self._coordinator = coordinator
        self._close = close
        self._error: BaseException | None = None
        self._finished = threading.Event()
        self.results: Results = coordinator.results
        # Not a daemon: what is in flight is paid for, so leaving Python waits for it.
        self._thread = threading.Thread(target=self._run, name="kontext-lab sweep")
        self._thread.start()

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
