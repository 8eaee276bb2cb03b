"""Signals that ask a command to stop: Ctrl-C, SIGTERM (docker stop, slurm, systemd) and SIGHUP (a closed terminal).

Handlers belong to the command line: a program that calls `lab.run` keeps its own.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic
from types import FrameType
from typing import Any, Self

import click

from kontext_lab.cli.output import SIGNALLED

__all__ = ["STOP_SIGNALS", "StopSignals", "Stopped", "stop_signals"]

NAMES = ("SIGINT", "SIGTERM", "SIGHUP")  # Windows has no SIGHUP
STOP_SIGNALS = tuple(getattr(signal, name) for name in NAMES if hasattr(signal, name))
# Signals this close together count as one: shells, `timeout` and systemd send a stop twice.
SAME_SECONDS = 0.1
# The main thread waits in steps: a signal just before a wait blocks would be handled after it.
STEP_SECONDS = 0.2


class Stopped(KeyboardInterrupt):
    """A stop signal that arrived while nothing that can be stopped was running."""


class StopSignals:
    """Handling of the stop signals during a `with` block; the handlers of before are restored at its end.

    During a sweep the first signal stops it and the second leaves at once; at any other moment a signal raises
    `Stopped` in the main thread. A third signal ends the process immediately.

    Args:
        clock: monotonic time in seconds.

    Attributes:
        first: number of the first signal, or None.
        count: number of signals received.
    """

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._last = 0.0
        self._actions: tuple[Callable[[], None], Callable[[], None]] | None = None
        self._before: dict[int, Any] = {}
        self.first: int | None = None
        self.count = 0

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in STOP_SIGNALS:
                before = signal.getsignal(number)
                # `nohup`, and a script's background job, hand an ignored signal down: it stays ignored.
                if before not in (signal.SIG_IGN, None):
                    self._before[number] = before
                    signal.signal(number, self._received)
        return self

    def __exit__(self, *_: object) -> None:
        for number, before in self._before.items():
            signal.signal(number, before)
        self._before = {}

    @contextmanager
    def acting_on(self, cancel: Callable[[], None], leave: Callable[[], None]) -> Iterator[None]:
        """Let signals call `cancel`, then `leave`, in place of raising; both run inside a signal handler."""
        self._actions = cancel, leave
        try:
            if self.first is not None:  # code that ran at the time swallowed it
                cancel()
            yield
        finally:
            self._actions = None

    def read_line(self) -> str:
        """Read a line from stdin, empty at its end; raises `Stopped` after a signal, even a swallowed one."""
        # Python's own read misses a signal in the microseconds before it blocks, and then waits for ever.
        while os.name == "posix" and not select.select([sys.stdin], [], [], STEP_SECONDS)[0]:
            if self.first is not None:
                raise Stopped
        return sys.stdin.readline()

    def forget(self) -> None:
        """Ignore the signals so far: a stop is the regular end of a server."""
        self.first = None

    @property
    def leaving(self) -> bool:
        """True if the command must end without waiting for anything."""
        return self.first is not None and self.count > 1

    def code(self, otherwise: int) -> int:
        """Return the exit code of the first signal, or else another one."""
        return otherwise if self.first is None else SIGNALLED + self.first

    def _received(self, number: int, _: FrameType | None) -> None:
        now = self._clock()
        if self.count and now - self._last < SAME_SECONDS:
            return
        self._last = now
        self.count += 1
        self.first = number if self.first is None else self.first
        if self.count > 2:
            os._exit(SIGNALLED + self.first)  # requests and answers are in the journal
        if self._actions is None:
            raise Stopped
        self._actions[self.count - 1]()


def stop_signals() -> StopSignals:
    """Return the stop signals of the running command."""
    signals = click.get_current_context().find_object(StopSignals)
    assert signals is not None, "commands run inside run_command"
    return signals
