"""The command line after something went wrong: recover, check, a second interrupt, another process at work."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from cli_parts import Said

from kontext_lab.sandbox import Sandbox


@pytest.fixture(params=[2.0])
def box(
    request: pytest.FixtureRequest, serve: Callable[[float], AbstractContextManager[Sandbox]]
) -> Iterator[Sandbox]:
    """A service that takes two seconds for a picture, or as many as a test says."""
    with serve(request.param) as running:
        yield running


@pytest.fixture
def sweep_file(write_sweep: Callable[[str, int], Path]) -> Path:
    """Eight cells in the working folder."""
    return write_sweep("eight", 8)


def started(box: Sandbox, *words: str) -> subprocess.Popen[str]:
    """A command under way, with four requests in the air."""
    process = subprocess.Popen(
        [sys.executable, "-m", "kontext_lab", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A shell that starts jobs in the background hands an ignored interrupt down.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - nothing else happens there
    )
    until = time.monotonic() + 60
    while box.in_flight < 4 and time.monotonic() < until and process.poll() is None:
        time.sleep(0.02)
    assert 4 == box.in_flight
    return process


@pytest.mark.slow
@pytest.mark.kill
def test_a_killed_sweep_is_named_recovered_and_gone_on_with(
    sweep_file: Path, box: Sandbox, kontext: Callable[..., Said]
) -> None:
    """It is named by check and run, recover logs what is known, list shows its true state, run sends the rest."""
    process = started(box, "run", "sweep.yaml")
    process.kill()
    process.communicate()
    time.sleep(2.2)  # the service finishes what it was sent

    assert "1 unfinished sweep" in kontext("doctor").out
    recovered = kontext("recover")
    assert (0, True) == (recovered.code, "eight: 4 in doubt" in recovered.out)
    assert "nothing to recover" in kontext("recover").out
    assert "4 requests are in doubt" in kontext("doctor").out
    assert "killed" in kontext("list").out
    again = kontext("run", "sweep.yaml", "--in-doubt", "resend")
    assert (0, True) == (again.code, "8 cells: 8 done" in again.out)
    assert 12 == len(box.calls)


@pytest.mark.slow
@pytest.mark.kill
@pytest.mark.parametrize("box", [12.0], indirect=True)
def test_a_second_interrupt_leaves_at_once(
    sweep_file: Path, box: Sandbox, kontext: Callable[..., Said]
) -> None:
    """The first waits for what is under way; the second ends the process, with 130 and what to do next."""
    process = started(box, "run", "sweep.yaml")
    os.kill(process.pid, signal.SIGINT)
    time.sleep(0.4)
    began = time.monotonic()
    os.kill(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=30)

    assert 130 == process.returncode
    assert time.monotonic() - began < 8  # the pictures would have taken longer
    assert "4 in doubt" in out
    assert "Traceback" not in err
    assert "1 sweep did not end" in kontext("run", "sweep.yaml", "--dry-run").err


@pytest.mark.slow
@pytest.mark.kill
def test_another_process_at_work_ends_with_2(
    sweep_file: Path, box: Sandbox, kontext: Callable[..., Said]
) -> None:
    """The second run says who is at work and how to look on, and sends nothing."""
    process = started(box, "run", "sweep.yaml")
    second = kontext("run", "sweep.yaml")
    assert 2 == second.code
    assert f"process {process.pid}" in second.err
    assert 1 == len(second.err.splitlines())
    out, _ = process.communicate(timeout=60)
    assert "8 cells: 8 done" in out
    assert 8 == len(box.calls)


def test_a_home_that_cannot_be_used_ends_with_2(
    sweep_file: Path,
    box: Sandbox,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    kontext: Callable[..., Said],
) -> None:
    """One line, nothing sent."""
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("KONTEXT_LAB_HOME", str(tmp_path / "file"))
    said = kontext("run", "sweep.yaml")
    assert (2, 1, 0) == (said.code, len(said.err.splitlines()), len(box.calls))
    assert "KONTEXT_LAB_HOME" in said.err
