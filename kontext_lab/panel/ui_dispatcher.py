"""Runs callbacks on the thread that owns the widgets, and work on others. Imports no widgets.

In a notebook the kernel's event loop runs the callbacks; without a loop, `wait` and `deliver` run them.
"""

from __future__ import annotations

import asyncio
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Hashable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, TypeVar

from kontext_lab.redaction import get_logger

if TYPE_CHECKING:
    from ipywidgets import Widget

__all__ = ["UiDispatcher", "keep_messages"]

log = get_logger(__name__)

T = TypeVar("T")
Callback = Callable[[], Any]
OnError = Callable[[Exception], Any]

_THREADS = 3
"""In each lane."""

_LONG, _SHARE = 0.2, 3.0
"""A callback with a key that took so many seconds is not called again for that many times as long."""

_POLL = 0.1
"""Seconds between two checks of the condition that `wait` waits for."""


class UiDispatcher:
    """A queue of callbacks for the thread that creates it; `on_error` takes exceptions, which are raised without it."""

    def __init__(self, on_error: OnError | None = None) -> None:
        self.on_error = on_error
        self._owner = threading.get_ident()
        self._loop = _running_loop()
        self._queue: deque[Callback] = deque()
        self._due: dict[Hashable, tuple[float, Callback]] = {}
        self._resting: dict[Hashable, float] = {}
        self._newest: dict[Hashable, object] = {}
        self._lock = threading.Lock()
        self._arrived = threading.Event()
        self._working = 0
        self._pools: dict[str, ThreadPoolExecutor] = {}
        self._held: list[Callback] | None = None

    def hold(self, seconds: float) -> None:
        """Begin no background work until `release`, or for so many seconds: a new panel is shown first.

        Opening a store keeps Python busy for a second or two. Without a loop no page waits, and nothing is held.
        """
        if self._loop is not None and self._held is None:
            self._held = []
            self.later(seconds, self.release)

    def release(self) -> None:
        """Begin the work that was held."""
        held, self._held = self._held or [], None
        for begin in held:
            begin()

    def attend(self) -> None:
        """Use the loop that runs now if the first one is closed: a kernel has one, tests have many."""
        if self.is_owner and (self._loop is None or self._loop.is_closed()):
            self._loop = _running_loop()

    @property
    def is_owner(self) -> bool:
        """True on the thread that owns the widgets."""
        return threading.get_ident() == self._owner

    def put(self, callback: Callback) -> None:
        """Have a callback called on the owner's thread, soon; can be used on any thread."""
        self._queue.append(callback)
        self._arrived.set()
        self._wake(0.0)

    def later(self, seconds: float, callback: Callback, *, key: Hashable = None, move: bool = False) -> None:
        """Have a callback called on the owner's thread after some seconds.

        Of several with the same key only one is kept: the last one and its time if they `move`, else the first.
        """
        key = object() if key is None else key
        with self._lock:
            if key in self._due and not move:
                return
            now = time.monotonic()
            seconds = max(seconds, self._resting.get(key, 0.0) - now)
            self._due[key] = (now + seconds, callback)
        self._arrived.set()
        self._wake(seconds)

    def forget(self, key: Hashable) -> None:
        """Take a later callback back."""
        with self._lock:
            self._due.pop(key, None)

    def background(
        self,
        work: Callable[[], T],
        then: Callable[[T], Any],
        on_error: OnError | None = None,
        *,
        lane: str = "",
        key: Hashable = None,
    ) -> None:
        """Do something on another thread, touching no widget, and hand its value to `then` on the owner's.

        Work of one lane never waits for that of another. Of work with the same key only the newest is handed back.
        """
        token = object()
        with self._lock:
            self._working += 1
            if key is not None:
                self._newest[key] = token

        def hand_back(future: Future[T]) -> None:
            with self._lock:
                self._working -= 1
            if key is not None and self._newest[key] is not token:
                return
            error = future.exception()
            if error is None:
                then(future.result())
            else:  # also what tried to end the thread
                self._report(
                    error if isinstance(error, Exception) else RuntimeError(type(error).__name__), on_error
                )

        def begin() -> None:
            if lane not in self._pools:
                name = f"kontext-lab panel {lane}".strip()
                self._pools[lane] = ThreadPoolExecutor(_THREADS, thread_name_prefix=name)
            future = self._pools[lane].submit(work)
            future.add_done_callback(lambda done: self.put(lambda: hand_back(done)))

        if self._held is None:
            begin()
        else:
            self._held.append(begin)

    def _report(self, error: Exception, on_error: OnError | None = None) -> None:
        handler = on_error or self.on_error
        if handler is None:
            raise error
        handler(error)

    @property
    def quiet(self) -> bool:
        """True if there is no background work, and no callback that waits or is due later."""
        with self._lock:
            return not (self._queue or self._due or self._working)

    def deliver(self) -> None:
        """Call the callbacks that have come and those that are due; on the owner's thread only."""
        if not self.is_owner:
            raise RuntimeError("callbacks are delivered on the thread that owns the widgets")
        self._arrived.clear()
        while self._queue:
            self._call(self._queue.popleft())
        now = time.monotonic()
        with self._lock:
            ripe = [key for key, (due, _) in self._due.items() if due <= now]
            callbacks = [(key, self._due.pop(key)[1]) for key in ripe]
        for key, callback in callbacks:
            began = time.monotonic()
            self._call(callback)
            self._rest(key, began)

    def _rest(self, key: Hashable, began: float) -> None:
        """Put a long callback off: a grid of thousands takes seconds to draw, and clicks must be answered in between."""
        ended = time.monotonic()
        self._resting.pop(key, None)
        if ended - began > _LONG and type(key) is not object:  # with a key of its own it doesn't come again
            until = self._resting[key] = ended + _SHARE * (ended - began)
            with self._lock:
                again = self._due.get(key)
                if again is not None and again[0] < until:
                    self._due[key] = (until, again[1])
            self._wake(until - ended)

    def _call(self, callback: Callback) -> None:
        try:
            callback()
        except Exception as error:
            log.debug("a callback of the panel failed", exc_info=True)
            self._report(error)

    def wait(self, until: Callable[[], bool], timeout: float | None = None) -> bool:
        """Deliver until a condition is true; False if it is not after `timeout` seconds.

        An interrupt ends it between two callbacks.
        """
        end = None if timeout is None else time.monotonic() + timeout
        while True:
            with _interrupts_held():
                self.deliver()
            if until():
                return True
            now = time.monotonic()
            left = _POLL if end is None else min(_POLL, end - now)
            if left <= 0:
                return False
            with self._lock:
                next_due = min((due for due, _ in self._due.values()), default=now + _POLL)
            self._arrived.wait(min(left, max(0.0, next_due - now)))

    def _wake(self, seconds: float) -> None:
        loop = self._loop
        if loop is None or loop.is_closed():
            return
        with suppress(RuntimeError):  # closed in this moment: `wait` delivers
            if seconds:
                loop.call_soon_threadsafe(lambda: loop.call_later(seconds + 0.001, self.deliver))
            else:
                loop.call_soon_threadsafe(self.deliver)

    def close(self) -> None:
        """Accept no more background work; what runs ends by itself."""
        for pool in self._pools.values():
            pool.shutdown(wait=False)


def keep_messages(dispatcher: UiDispatcher, roots: Sequence[Widget], kernel: Any = None) -> None:
    """Have messages to these widgets, and to all widgets in them, handled on the dispatcher's thread.

    Since ipykernel 7, JupyterLab sends widget messages to a thread of their own, a subshell. Two threads in one figure
    or form corrupt both. Without a kernel, by default that of this process, nothing is done.
    """
    if kernel is None:
        from IPython import get_ipython  # noqa: PLC0415 - without IPython there is no kernel

        kernel = getattr(get_ipython(), "kernel", None)
    handlers = getattr(kernel, "shell_handlers", None)
    if not isinstance(handlers, dict) or "comm_msg" not in handlers:
        return
    before = handlers["comm_msg"]

    def is_ours(model_id: object) -> bool:
        waiting = list(roots)
        while waiting:
            widget = waiting.pop()
            if widget.comm is not None and widget.model_id == model_id:
                return True
            waiting += getattr(widget, "children", ())
        return False

    def comm_msg(stream: Any, ident: Any, message: dict[str, Any]) -> Any:
        if dispatcher.is_owner or not is_ours(message["content"].get("comm_id")):
            return before(stream, ident, message)
        return dispatcher.put(lambda: before(stream, ident, message))

    handlers["comm_msg"] = comm_msg


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Raise an interrupt after the block, a second one at once, in case the block never ends.

    In the middle of a callback it would leave the panel between two states, such as a run that has ended unnoticed.
    """
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(before):
        yield
        return
    received: list[tuple[Any, ...]] = []

    def hold(*given: Any) -> None:
        received.append(given)
        if len(received) > 1:
            before(*given)

    signal.signal(signal.SIGINT, hold)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if received:
        before(*received[0])


def _running_loop() -> asyncio.AbstractEventLoop | None:
    """The kernel's loop: the code of a cell runs inside it."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
