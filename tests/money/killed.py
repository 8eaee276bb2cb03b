"""A sweep in a process that ends itself with SIGKILL at a named point, or is ended from outside.

Run in a process of its own, forked from a server that has everything imported. Nothing in the package knows
of these points: they are set around its functions from here.
"""

from __future__ import annotations

import functools
import json
import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import kontext_lab as kl
from kontext_lab.client import KontextClient
from kontext_lab.journal import AttemptFolder, SweepJournal
from kontext_lab.lab import measurer
from kontext_lab.runner.retry_policy import Pacing
from kontext_lab.tracking import SweepRecorder

# What a process that runs a sweep imports, also on its way.
PRELOAD = [
    "killed",
    "mlflow",
    "mlflow.store.tracking.sqlalchemy_store",
    "alembic.command",
    "git",
    "pandas",
    "pillow_heif",
    "imagehash",
    "kontext_lab.figures",
    "kontext_lab.lab.lab",
    "kontext_lab.metrics",
]

POINTS = (
    "intent written",
    "request sent",
    "answer read",
    "bytes on disk",
    "child made",
    "child written",
    "before emptying",
    "values written",
)


def run_child(setting: dict[str, str], sweep_file: str, how: dict[str, Any], report: str) -> None:
    """Run the sweep; `how` names a point and after how many passes of it to die."""
    os.environ.update(setting)
    os.environ.pop("XDG_DATA_HOME", None)
    if "point" in how:
        _set_trap(how["point"], how["passes"])
    sweep = kl.Sweep.from_yaml(sweep_file)
    # At a random moment most of the time would be measuring, where nothing is at stake.
    with kl.Lab("api", concurrency=4, measure="point" in how) as lab:
        _ = lab.context.tracker
        if "seconds" in how:
            _die_after(how["seconds"])
        results = lab.run(
            sweep, progress=False, in_doubt=how.get("in_doubt", "skip"), pacing=Pacing(first=0.02, asks=())
        )
        facts = {str(state): count for state, count in results.counts.items()}
        Path(report).write_text(json.dumps({"counts": facts, "run_id": results.run_id}), encoding="utf-8")


def _die(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _die_after(seconds: float) -> None:
    """Counted from the first request that leaves, so that imports and the store's opening don't matter."""
    started = threading.Event()
    inner = KontextClient.post

    @functools.wraps(inner)
    def post(*args: Any, **options: Any) -> Any:
        if not started.is_set():
            started.set()
            timer = threading.Timer(seconds, _die)
            timer.daemon = True
            timer.start()
        return inner(*args, **options)

    KontextClient.post = post  # type: ignore[method-assign]


def _set_trap(point: str, passes: int) -> None:
    count = iter(range(1, passes + 1))

    def passed() -> None:
        if next(count, passes) == passes:
            _die()

    if point == "request sent":
        inner = KontextClient.post

        def post(*args: Any, **options: Any) -> Any:
            if next(count, passes) == passes:
                threading.Timer(0.05, _die).start()
            return inner(*args, **options)

        KontextClient.post = post  # type: ignore[method-assign]
        return
    owner, name, before = _PLACES[point]
    setattr(owner, name, _trapped(getattr(owner, name), passed, before=before))


_PLACES: dict[str, tuple[Any, str, bool]] = {
    "intent written": (AttemptFolder, "keep_intent", False),
    "answer read": (AttemptFolder, "keep_answer", False),
    "bytes on disk": (AttemptFolder, "keep_output", False),
    "child made": (SweepRecorder, "_open_child", False),
    "child written": (SweepRecorder, "log", False),
    "before emptying": (SweepJournal, "drop", True),
    "values written": (measurer, "write_measured", False),
}


def _trapped(inner: Callable[..., Any], passed: Callable[[], None], *, before: bool) -> Callable[..., Any]:
    @functools.wraps(inner)
    def trapped(*args: Any, **options: Any) -> Any:
        if before:
            passed()
        value = inner(*args, **options)
        if not before:
            passed()
        return value

    return trapped
