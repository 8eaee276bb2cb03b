"""A command line in a process of its own that says when it has reached a stage, and lingers there to be stopped.

Run in a process forked from a server that has everything imported. Nothing in the package knows of these stages:
they are set around its functions from here.
"""

from __future__ import annotations

import functools
import os
import signal
import sys
import threading
from collections.abc import Callable
from typing import Any

import kontext_lab as kl
from kontext_lab.cli import main
from kontext_lab.client import KontextClient
from kontext_lab.lab import lab as labs
from kontext_lab.lab import launch
from kontext_lab.lab.measurer import Measurer
from kontext_lab.tracking import SweepRecorder, Tracker

LONG, SHORT = 60.0, 1.0
"""Seconds at a stage that a signal interrupts, and at one on another thread, which goes on by itself."""

STAGES: dict[str, tuple[Any, str, float]] = {
    "reading the sweep": (kl.Sweep, "from_yaml", LONG),
    "opening the store": (Tracker, "__init__", LONG),
    "planning": (labs, "make_plan", LONG),
    "starting": (launch, "prepare_run", LONG),
    "opening the run": (Tracker, "begin", LONG),
    "sending": (KontextClient, "post", SHORT),
    "downloading": (KontextClient, "collect", SHORT),
    "writing": (SweepRecorder, "log", SHORT),
    "measuring": (Measurer, "measure", LONG),
    "summing up": (SweepRecorder, "finish", SHORT),
    "saving": (kl.Results, "save", LONG),
}


def run_stopped(words: list[str], setting: dict[str, str], stage: str, reached: Any, said: str) -> None:
    """Run a command line; `reached` is set at the stage, what it says goes into the file `said`."""
    os.environ.update(setting)
    os.chdir(setting["FOLDER"])
    descriptor = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    # A forked process has the streams of the server it came from.
    sys.stdout, sys.stderr = os.fdopen(1, "w", closefd=False), os.fdopen(2, "w", closefd=False)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if stage:
        owner, name, seconds = STAGES[stage]
        setattr(owner, name, _lingering(getattr(owner, name), reached, seconds))
    sys.argv = ["kontext-lab", *words]
    main()


def _lingering(inner: Callable[..., Any], reached: Any, seconds: float) -> Callable[..., Any]:
    @functools.wraps(inner)
    def lingering(*args: Any, **options: Any) -> Any:
        first = not reached.is_set()
        reached.set()
        if first:
            threading.Event().wait(seconds)
        return inner(*args, **options)

    return lingering
