"""Two processes at one sweep: one works, the other is told so or looks on, and nothing is paid for twice."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from killed import PRELOAD, run_child

import kontext_lab as kl
from kontext_lab.errors import AlreadyRunning
from kontext_lab.sandbox import Sandbox

pytestmark = [pytest.mark.slow, pytest.mark.kill]

_fork = multiprocessing.get_context("forkserver")
_fork.set_forkserver_preload(PRELOAD)


@pytest.fixture
def box(store_uri: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Sandbox]:
    """A service that takes its time, as the API of this process and of the other."""
    with Sandbox(latency=0.6) as running:
        monkeypatch.setenv("AIMLAPI_BASE_URL", running.url)
        monkeypatch.setenv("AIMLAPI_API_KEY", "marked-key-4711")
        monkeypatch.setenv("KONTEXT_LAB_HOME", str(tmp_path / "lab-home"))
        yield running


@pytest.fixture
def sweep(photo_file: Path) -> kl.Sweep:
    """Sixteen cells: at four at once a bit more than two seconds."""
    return kl.Sweep("Add a bird.", photo_file, axes={"seed": "1-16"}, aspect_ratio="1:1", name="shared")


@pytest.fixture
def other(box: Sandbox, sweep: kl.Sweep, workdir: Path) -> Iterator[Any]:
    """Another process at work on the sweep, four requests under way."""
    names = ("AIMLAPI_BASE_URL", "AIMLAPI_API_KEY", "MLFLOW_TRACKING_URI", "KONTEXT_LAB_HOME", "HOME")
    setting = {name: os.environ[name] for name in names}
    file = str(sweep.to_yaml(workdir / "shared.yaml"))
    process = _fork.Process(target=run_child, args=(setting, file, {}, str(workdir / "report.json")))
    process.start()
    until = time.monotonic() + 60
    while box.in_flight < 4 and time.monotonic() < until:
        time.sleep(0.02)
    assert 4 == box.in_flight
    yield process
    process.kill()
    process.join()


def test_the_second_process_is_told_who_is_at_work(other: Any, box: Sandbox, sweep: kl.Sweep) -> None:
    """It sends nothing, names the other, and the sweep ends as if it had been alone."""
    with kl.Lab() as lab:
        with pytest.raises(AlreadyRunning, match=f"process {other.pid}"):
            lab.run(sweep, progress=False)
        other.join(60)
        assert ({"done": 16}, 16) == (lab.run(sweep, progress=False).counts, len(box.calls))


def test_the_second_process_can_look_on(other: Any, box: Sandbox, sweep: kl.Sweep) -> None:
    """Watching waits for the end and brings the results, from the store alone."""
    with kl.Lab() as lab:
        results = lab.watch("shared", progress=False)
    assert ({"done": 16}, 16) == (results.counts, len(box.calls))


def test_a_dead_process_gives_its_sweep_up(other: Any, box: Sandbox, sweep: kl.Sweep) -> None:
    """After a kill the next process goes on at once; what was under way is in doubt, not sent again."""
    os.kill(other.pid, signal.SIGKILL)
    other.join()
    time.sleep(0.8)  # the service finishes what it was sent
    with kl.Lab() as lab:
        results = lab.run(sweep, progress=False)
    done, in_doubt = results.counts["done"], results.counts["in_doubt"]
    assert (16, 16) == (done + in_doubt, len(box.calls))
    assert 4 == in_doubt
    assert box.bill == pytest.approx(results.cost)


def test_the_plan_says_that_a_sweep_is_running(other: Any, sweep: kl.Sweep) -> None:
    """What another process has under way is neither lost nor in doubt."""
    with kl.Lab() as lab:
        plan = lab.plan(sweep)
    assert 0 == plan.in_doubt
    assert any("is running already" in warning for warning in plan.warnings)
