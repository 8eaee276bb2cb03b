"""Runs callbacks on the thread that owns the widgets, and jobs off it.

Widgets are touched on one thread only, the kernel's. In a notebook its event loop runs the callbacks; without a loop – in a
script, in a test, or while a cell executes – `wait` and `deliver` run them. Imports no widgets.
"""

from __future__ import annotations

import asyncio
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Hashable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

from kontext_lab.redaction import get_logger

__all__ = ["UiDispatcher"]

log = get_logger(__name__)

T = TypeVar("T")
Work = Callable[[], Any]
Trouble = Callable[[Exception], Any]

_THREADS = 3
"""In each lane."""

_LONG, _SHARE = 0.2, 3.0
"""A letter with a key that took so many seconds is not brought again for that many times as long."""

_LOOK = 0.1
"""Seconds between two looks at whether what is waited for has come."""


class UiDispatcher:
    """A letter box for one thread, made on that thread.

    Attributes:
        trouble: told of every exception that nobody else takes.
    """

    def __init__(self, trouble: Trouble | None = None) -> None:
        self.trouble = trouble
        self._owner = threading.get_ident()
        self._loop = _running_loop()
        self._letters: deque[Work] = deque()
        self._due: dict[Hashable, tuple[float, Work]] = {}
        self._resting: dict[Hashable, float] = {}
        self._newest: dict[Hashable, object] = {}
        self._lock = threading.Lock()
        self._came = threading.Event()
        self._under_way = 0
        self._pools: dict[str, ThreadPoolExecutor] = {}
        self._held: list[Work] | None = None

    def hold(self, seconds: float) -> None:
        """Begin nothing in the background until `release`, for so many seconds at most.

        Opening a store keeps Python busy for a second or two: a panel that is being made comes first. Where no loop
        runs nobody is shown anything, and nothing waits.
        """
        if self._loop is not None and self._held is None:
            self._held = []
            self.later(seconds, self.release)

    def release(self) -> None:
        """Begin what was held back."""
        held, self._held = self._held or [], None
        for begin in held:
            begin()

    def attend(self) -> None:
        """Deliver in the loop that runs now, if the one of the beginning is closed: a kernel has one, tests many."""
        if self.is_owner and (self._loop is None or self._loop.is_closed()):
            self._loop = _running_loop()

    @property
    def is_owner(self) -> bool:
        """Whether the calling thread is the one that owns the widgets."""
        return threading.get_ident() == self._owner

    def put(self, work: Work) -> None:
        """Have something done on the owner's thread, soon; callable from any thread."""
        self._letters.append(work)
        self._came.set()
        self._wake(0.0)

    def later(self, seconds: float, work: Work, *, key: Hashable = None, move: bool = False) -> None:
        """Have something done on the owner's thread in a while.

        Args:
            seconds: how long from now.
            work: what to do.
            key: of several with the same key, only one is kept.
            move: whether a further one with the same key takes the place of the first, which puts it off, or is
                dropped, so that something happens at most once in a while.
        """
        key = object() if key is None else key
        with self._lock:
            if key in self._due and not move:
                return
            now = time.monotonic()
            seconds = max(seconds, self._resting.get(key, 0.0) - now)
            self._due[key] = (now + seconds, work)
        self._came.set()
        self._wake(seconds)

    def forget(self, key: Hashable) -> None:
        """Take back what was to be done in a while."""
        with self._lock:
            self._due.pop(key, None)

    def background(
        self,
        work: Callable[[], T],
        then: Callable[[T], Any],
        trouble: Trouble | None = None,
        *,
        lane: str = "",
        key: Hashable = None,
    ) -> None:
        """Do something on another thread; what it returns is handed to `then` on the owner's.

        Args:
            work: touches no widget.
            then: on the owner's thread.
            trouble: what an exception of `work` is handed to, on the owner's thread.
            lane: work of one lane waits for no work of another, however long that hangs.
            key: of several with the same key, only what the newest brings is handed back.
        """
        token = object()
        with self._lock:
            self._under_way += 1
            if key is not None:
                self._newest[key] = token

        def done(future: Future[T]) -> None:
            self.put(lambda: self._handed_back(future, then, trouble, wanted=wanted))

        def wanted() -> bool:
            return key is None or self._newest[key] is token

        def begin() -> None:
            self._pool(lane).submit(work).add_done_callback(done)

        if self._held is None:
            begin()
        else:
            self._held.append(begin)

    def _pool(self, lane: str) -> ThreadPoolExecutor:
        pool = self._pools.get(lane)
        if pool is None:
            name = f"kontext-lab panel {lane}".strip()
            pool = self._pools[lane] = ThreadPoolExecutor(_THREADS, thread_name_prefix=name)
        return pool

    def _handed_back(
        self,
        future: Future[T],
        then: Callable[[T], Any],
        trouble: Trouble | None,
        *,
        wanted: Callable[[], bool],
    ) -> None:
        with self._lock:
            self._under_way -= 1
        if not wanted():
            return
        error = future.exception()
        if error is None:
            then(future.result())
        else:  # whoever waits for it is told in any case, also where something tried to end the thread
            told = error if isinstance(error, Exception) else RuntimeError(type(error).__name__)
            self._told(told, trouble)

    def _told(self, error: Exception, trouble: Trouble | None = None) -> None:
        told = trouble or self.trouble
        if told is None:
            raise error
        told(error)

    @property
    def quiet(self) -> bool:
        """Whether nothing is under way, waits to be delivered, or is due."""
        with self._lock:
            return not (self._letters or self._due or self._under_way)

    def deliver(self) -> None:
        """Do what has come and what is due; on the owner's thread only."""
        if not self.is_owner:
            raise RuntimeError("letters are delivered on the thread that owns the widgets")
        self._came.clear()
        while self._letters:
            self._do(self._letters.popleft())
        now = time.monotonic()
        with self._lock:
            ripe = [key for key, (due, _) in self._due.items() if due <= now]
            works = [(key, self._due.pop(key)[1]) for key in ripe]
        for key, work in works:
            began = time.monotonic()
            self._do(work)
            self._rest(key, began)

    def _rest(self, key: Hashable, began: float) -> None:
        """A grid of thousands takes seconds to draw: in between, the thread is for people."""
        ended = time.monotonic()
        self._resting.pop(key, None)
        if ended - began > _LONG and type(key) is not object:  # with a key of its own it doesn't come again
            until = self._resting[key] = ended + _SHARE * (ended - began)
            with self._lock:
                again = self._due.get(key)
                if again is not None and again[0] < until:
                    self._due[key] = (until, again[1])
            self._wake(until - ended)

    def _do(self, work: Work) -> None:
        try:
            work()
        except Exception as error:
            log.debug("a letter of the panel failed", exc_info=True)
            self._told(error)

    def wait(self, until: Callable[[], bool], timeout: float | None = None) -> bool:
        """Deliver until something is so; returns whether it came to that within `timeout` seconds.

        An interrupt ends it between two letters.
        """
        end = None if timeout is None else time.monotonic() + timeout
        while True:
            with _interrupts_held():
                self.deliver()
            if until():
                return True
            left = _LOOK if end is None else min(_LOOK, end - time.monotonic())
            if left <= 0:
                return False
            self._came.wait(min(left, self._next_due()))

    def _next_due(self) -> float:
        """Seconds until the next of what is due."""
        with self._lock:
            soonest = min((due for due, _ in self._due.values()), default=time.monotonic() + _LOOK)
        return max(0.0, soonest - time.monotonic())

    def _wake(self, seconds: float) -> None:
        loop = self._loop
        if loop is None or loop.is_closed():
            return
        with suppress(RuntimeError):  # closed in this moment: whoever waits delivers
            if seconds:
                loop.call_soon_threadsafe(lambda: loop.call_later(seconds + 0.001, self.deliver))
            else:
                loop.call_soon_threadsafe(self.deliver)

    def close(self) -> None:
        """Take no more work; what is under way ends by itself."""
        for pool in self._pools.values():
            pool.shutdown(wait=False)


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """An interrupt is raised behind the block; a second one at once, in case the block never ends.

    In the middle of a letter it would leave the panel between two states: a run that ended and is never told.
    """
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(before):
        yield
        return
    came: list[tuple[Any, ...]] = []

    def hold(*given: Any) -> None:
        came.append(given)
        if len(came) > 1:
            before(*given)

    signal.signal(signal.SIGINT, hold)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if came:
        before(*came[0])


def _running_loop() -> asyncio.AbstractEventLoop | None:
    """The kernel's loop: the code of a cell runs inside it."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
