"""What a test must give back: threads, processes, the settings of the interpreter, and the repository's folders.

`State.now()` is taken before a test and after it, when its fixtures have ended; `State.left()` names the differences.
A difference costs a message; none costs a fraction of a millisecond. Warnings filters are not looked at: pytest itself
restores them. Whatever is opened and never closed is a ResourceWarning, and thus an error already.
"""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import select
import signal
import sys
import threading
import time
import traceback
from collections.abc import Iterable, Iterator, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from completeness import STRICT

__all__ = ["ALLOWED_PROCESSES", "ALLOWED_THREADS", "State"]

PATIENCE_S = 10.0
"""How long threads and processes that are ending may take, all together."""

_SOON_S = 0.5

ALLOWED_THREADS = {
    "Dask-Offload": "Dask keeps one for all its clients",
    "Mlflow": "MLflow keeps the pools of its artifact repositories until they are collected",
    "tqdm_monitor": "tqdm keeps one for all its bars",
}
"""Threads that a library starts once for the whole interpreter, by the beginning of their name, with the reason."""

ALLOWED_PROCESSES = {
    "resource_tracker": "multiprocessing keeps one for all its children",
    "forkserver": "multiprocessing keeps one for all its children",
}
"""Processes that a library starts once for the whole interpreter, by a word of their command, with the reason."""

REPOSITORY = Path(__file__).parents[1]

_LOGGERS = ("", "kontext_lab")
_SIGNALS = tuple(
    getattr(signal, name)
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGALRM", "SIGCHLD", "SIGUSR1", "SIGBREAK")
    if hasattr(signal, name)
)
# pytest keeps the name of the running test there, MLflow a number of the process.
_OTHERS_VARIABLES = ("PYTEST_CURRENT_TEST", "_MLFLOW_TELEMETRY_SESSION_ID")


@dataclass(frozen=True)
class State:
    """What there is at one moment.

    Attributes:
        threads: the threads that are alive.
        processes: the child processes, by number.
        settings: settings of the interpreter, by a name for people.
    """

    threads: frozenset[threading.Thread]
    processes: frozenset[int]
    settings: dict[str, Any]

    @classmethod
    def now(cls) -> State:
        """The present state."""
        return cls(frozenset(threading.enumerate()), frozenset(_children()), dict(_settings()))

    def left(self, told: Set[Any] = frozenset()) -> dict[Any, str]:
        """What was not there when this state was taken, or is another now: a line for each thread, process and setting.

        Args:
            told: threads, processes and settings that are of no interest.
        """
        until = time.monotonic() + PATIENCE_S
        new = [one for one in threading.enumerate() if one not in self.threads and one not in told]
        serves = any(one.name == "sandbox" and one.is_alive() for one in self.threads)
        threads = [one for one in new if not _allowed(one, serves=serves) and not _joined(one, until)]
        found: dict[Any, str] = {one: f"thread {one.name!r} goes on{_place(one)}" for one in threads}
        for number in set(_children()) - self.processes - told:
            # Asked again: in its first moment a process has no command.
            if not _ended(number, until) and _counts(number):
                found[number] = f"process {number} goes on: {_command(number)}"
        for name, value in _settings():
            before = self.settings.get(name, value)
            if before != value and name not in told:
                found[name] = f"{name} {_change(before, value)}"
        return found


@pytest.fixture(autouse=True)
def nothing_left_by_test() -> Iterator[None]:
    """Fail a test that leaves something behind, its own fixtures included."""
    before = State.now()
    yield
    _tell(before.left())


@pytest.fixture(scope="module", autouse=True)
def nothing_left_by_file() -> Iterator[None]:
    """Fail the last test of a file whose fixtures leave something behind, or whose tests wrote into the repository.

    The latter under the strict switch alone: elsewhere people work there meanwhile.
    """
    before, files = State.now(), _files() if STRICT else set()
    yield
    found = before.left(_told)
    if STRICT:
        found |= {one: f"file {one} in the repository" for one in sorted(_files() - files)}
    _tell(found)


@pytest.fixture(scope="session", autouse=True)
def nothing_left_by_session() -> Iterator[None]:
    """Fail the last test of all if the session's fixtures leave something behind."""
    before = State.now()
    yield
    _tell(before.left(_told))


# What was said of a test is not said again of its file and of the session.
_told: set[Any] = set()


def _tell(found: dict[Any, str]) -> None:
    _told.update(found)
    if found:
        pytest.fail("left behind: " + "; ".join(found.values()), pytrace=False)


def _allowed(thread: threading.Thread, *, serves: bool) -> bool:
    if serves and thread.name == "sandbox-connection":
        return True  # of a sandbox that serves more than one test: a page or kernel keeps its connection
    return thread.name.startswith(tuple(ALLOWED_THREADS)) or isinstance(thread, threading._DummyThread)


def _joined(thread: threading.Thread, until: float) -> bool:
    """Wait until a thread has ended."""
    thread.join(_SOON_S)
    if thread.is_alive():
        # The threads of an executor that nobody shut down end when it is collected.
        gc.collect()
        thread.join(max(0.0, until - time.monotonic()))
    return not thread.is_alive()


def _place(thread: threading.Thread) -> str:
    """The call in which a thread is, in words; empty if it has just ended."""
    frame = sys._current_frames().get(thread.ident or 0)
    calls = traceback.extract_stack(frame)[-3:] if frame else ()
    return f" in {' > '.join(f'{Path(one.filename).name}:{one.lineno}' for one in calls)}" if calls else ""


def _children() -> Iterable[int]:
    """Child processes that have not ended; none where the system doesn't list them."""
    try:
        # One call says that there are none, which is the rule.
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        tasks = list(Path("/proc/self/task").iterdir())
    except (AttributeError, ChildProcessError, FileNotFoundError):
        return
    for task in tasks:
        with contextlib.suppress(OSError):
            yield from filter(_counts, map(int, (task / "children").read_text().split()))


def _counts(number: int) -> bool:
    """Whether a process has not ended, and belongs to no library."""
    try:
        ended = _state(number) in "ZX"
        return not ended and not any(word in _command(number) for word in ALLOWED_PROCESSES)
    except OSError:
        return False


def _state(number: int) -> str:
    """The letter of a process's state: Z or X if it has ended."""
    return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0]


def _command(number: int) -> str:
    """The command of a process; empty for a moment after its start."""
    return Path(f"/proc/{number}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")


def _ended(number: int, until: float) -> bool:
    """Wait until a process has ended."""
    try:
        handle = os.pidfd_open(number)
    except OSError:
        return True
    try:
        return bool(select.select([handle], [], [], max(0.0, until - time.monotonic()))[0])
    finally:
        os.close(handle)


def _files() -> set[str]:
    """The repository's files, without what tools keep there."""
    found = set()
    for folder, folders, names in os.walk(REPOSITORY):
        folders[:] = [
            one for one in folders if not one.startswith((".", "__")) and not one.endswith(".egg-info")
        ]
        found.update(str(Path(folder, name)) for name in names)
    return found


def _settings() -> Iterator[tuple[str, Any]]:
    yield "the working folder", _folder()
    yield "os.environ", {name: text for name, text in os.environ.items() if name not in _OTHERS_VARIABLES}
    yield "sys.path", list(sys.path)
    yield "the hooks for exceptions", (sys.excepthook, threading.excepthook, sys.unraisablehook)
    for number in _SIGNALS:
        yield f"the handler of {number.name}", signal.getsignal(number)
    yield "logging.disable", logging.root.manager.disable
    for name in _LOGGERS:
        logger = logging.getLogger(name)
        yield (
            f"the logger {name or 'root'!r}",
            (logger.level, logger.propagate, logger.disabled, *logger.handlers),
        )
    yield from _settings_of_libraries()


def _settings_of_libraries() -> Iterator[tuple[str, Any]]:
    """Those of libraries that are loaded already."""
    if (matplotlib := sys.modules.get("matplotlib")) and hasattr(matplotlib, "rcParams"):
        rc = dict(dict.items(matplotlib.rcParams))
        rc.pop("backend", None)  # chosen when somebody first asks for it
        yield "matplotlib's rcParams", rc
    if (helpers := sys.modules.get("matplotlib._pylab_helpers")) and hasattr(helpers, "Gcf"):
        yield "the figures of pyplot", list(helpers.Gcf.figs)
    if stored := sys.modules.get("mlflow.tracking._tracking_service.utils"):
        yield "MLflow's tracking address", getattr(stored, "_tracking_uri", None)
    if fluent := sys.modules.get("mlflow.tracking.fluent"):
        yield "MLflow's active experiment", getattr(fluent, "_active_experiment_id", None)


def _folder() -> str | None:
    try:
        return str(Path.cwd())
    except FileNotFoundError:  # a test's own folder that is gone
        return None


def _change(before: Any, after: Any) -> str:
    """Both values, or what differs of two tables."""
    if isinstance(before, dict) and isinstance(after, dict):
        names = sorted(
            name for name in before.keys() | after.keys() if before.get(name, ...) != after.get(name, ...)
        )
        return f"differs in {', '.join(names)}"
    return f"was {before!r} and is {after!r}"
