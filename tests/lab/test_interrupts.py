"""Interrupts in a program of one's own: wherever one falls, a sweep that nobody waits for sends nothing more."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable

import pytest

import kontext_lab as kl
from kontext_lab.lab import progress
from kontext_lab.lab.launch import prepare_run
from kontext_lab.runner import Handle
from kontext_lab.sandbox import Sandbox

SWEEP_THREAD = "kontext-lab sweep"


def join_sweeps() -> None:
    """Wait until no sweep is under way."""
    for thread in threading.enumerate():
        if thread.name == SWEEP_THREAD:
            thread.join(60)
            assert not thread.is_alive()


def interrupted_once(inner: Callable[..., object], *, before: bool) -> Callable[..., object]:
    """A function whose first call is interrupted, before or after it did what it does."""
    calls = itertools.count()

    def interrupted(*args: object, **options: object) -> object:
        first = next(calls) == 0  # threads that it starts may call it as well
        if before and first:
            raise KeyboardInterrupt
        value = inner(*args, **options)
        if first:
            raise KeyboardInterrupt
        return value

    return interrupted


@pytest.mark.parametrize("before", [True, False])
def test_an_interrupt_while_waiting_returns_what_is_there(
    before: bool, lab: kl.Lab, make_sweep: Callable[..., kl.Sweep], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Results come back, stopped; nothing is in doubt."""
    monkeypatch.setattr(Handle, "wait", interrupted_once(Handle.wait, before=before))
    results = lab.run(make_sweep(), progress=False, concurrency=1)
    assert ("asked", 0) == (results.stopped, results.counts["in_doubt"])


@pytest.mark.parametrize(
    ("owner", "name", "before"),
    [(progress, "ProgressBar", True), (progress, "_wait", True), (threading.Thread, "start", False)],
)
def test_an_interrupt_that_nobody_catches_stops_the_sweep(
    owner: object,
    name: str,
    before: bool,
    lab: kl.Lab,
    api: Sandbox,
    *,
    make_sweep: Callable[..., kl.Sweep],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Between the start and the wait, on a machine where the thread runs already: at most one request leaves."""
    handle = prepare_run(lab.context, make_sweep(), {"concurrency": 1})
    with monkeypatch.context() as patched:
        patched.setattr(owner, name, interrupted_once(getattr(owner, name), before=before))
        with pytest.raises(KeyboardInterrupt):
            progress.follow(handle, shown=False)
    join_sweeps()

    assert "asked" == handle.results.stopped
    assert len(api.calls) <= 1
    assert [] == lab.unfinished
    assert {"KILLED"} == {run.status for run in lab.history()}
    assert {"done": 8} == lab.run(make_sweep(), progress=False).counts


def test_a_sweep_that_no_thread_can_run_is_not_running(
    lab: kl.Lab, api: Sandbox, make_sweep: Callable[..., kl.Sweep], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is sent, its run is ended, its lock is free."""

    def full(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", full)
        with pytest.raises(RuntimeError, match="can't start new thread"):
            lab.start(make_sweep())
    assert ([], {"KILLED"}) == (api.calls, {run.status for run in lab.history()})
    assert {"done": 8} == lab.run(make_sweep(), progress=False).counts


def test_a_display_that_breaks_costs_no_picture(
    lab: kl.Lab, make_sweep: Callable[..., kl.Sweep], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bar shows nothing more; the sweep is run to its end."""

    def broken(*_: object, **__: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(progress.tqdm, "set_postfix_str", broken)
    assert {"done": 8} == lab.run(make_sweep()).counts


def test_a_stop_while_only_measuring_is_left(
    lab: kl.Lab, make_sweep: Callable[..., kl.Sweep], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every cell is done and stays so; what was not measured is said."""
    from kontext_lab.lab.measurer import Measurer

    at_work, release = threading.Event(), threading.Event()

    def hangs(*_: object) -> None:
        at_work.set()
        release.wait(60)

    monkeypatch.setattr(Measurer, "measure", hangs)
    handle = lab.start(make_sweep(), measure=True)
    assert at_work.wait(60)
    while handle.results.counts["done"] < 8:
        assert not handle.wait(0.05).stopped
    handle.cancel()
    results = handle.wait(60)
    release.set()

    assert {"done": 8} == results.counts
    assert "8 cells were not measured (stopped)" in results.notes[-1]
