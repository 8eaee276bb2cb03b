"""A stop that isn't Ctrl-C, at every stage: nothing new is sent, nothing that was paid for is lost, the code says so."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, TextIO

import pytest
from cli_parts import Said
from mlflow import MlflowClient
from stopped import STAGES, run_stopped

import kontext_lab as kl
from kontext_lab.cli.main import run_command
from kontext_lab.cli.run import exit_code
from kontext_lab.cli.signals import SAME_SECONDS, STOP_SIGNALS, Stopped, StopSignals
from kontext_lab.results import CellResult, Results, State
from kontext_lab.sandbox import Fault, Sandbox

CELLS = 6

_fork = multiprocessing.get_context("forkserver")
_fork.set_forkserver_preload(["stopped", "mlflow", "kontext_lab.cli.run", "kontext_lab.figures", "pandas"])


@pytest.fixture
def box(serve: Callable[[float], AbstractContextManager[Sandbox]]) -> Iterator[Sandbox]:
    """A service that takes half a second for a picture."""
    with serve(0.5) as running:
        yield running


@pytest.fixture
def sweep_file(write_sweep: Callable[[str, int], Path]) -> Path:
    """Six cells in the working folder."""
    return write_sweep("six", CELLS)


class Command:
    """A command line under way."""

    def __init__(self, folder: Path, stage: str, *words: str) -> None:
        self.reached = _fork.Event()
        self._said = folder / "said.txt"
        names = ("AIMLAPI_", "KONTEXT_", "MLFLOW_", "NO_PROXY", "HOME", "DO_NOT_TRACK")
        setting = {name: text for name, text in os.environ.items() if name.startswith(names)}
        setting["FOLDER"] = str(folder)
        self.process = _fork.Process(
            target=run_stopped, args=(list(words), setting, stage, self.reached, str(self._said))
        )
        self.process.start()

    def kill(self, number: int) -> None:
        assert self.process.pid is not None
        os.kill(self.process.pid, number)

    def end(self, seconds: float = 90.0) -> Said:
        """Wait for its end; both streams are in `out`."""
        self.process.join(seconds)
        if self.process.exitcode is None:
            self.process.kill()
            pytest.fail(f"it does not end: {self._said.read_text()}")
        return Said(self.process.exitcode, self._said.read_text(), "")


@pytest.fixture
def begin(workdir: Path, sweep_file: Path, box: Sandbox) -> Iterator[Callable[..., Command]]:
    """Begins `run sweep.yaml` that lingers at a stage, and ends it with the test."""
    commands: list[Command] = []

    def start(stage: str, *words: str) -> Command:
        commands.append(Command(workdir, stage, *(words or ("run", "sweep.yaml", "--out", "pictures"))))
        return commands[-1]

    yield start
    for one in commands:
        one.process.kill()


def statuses(uri: str) -> set[str]:
    """Those of all runs in the store."""
    client = MlflowClient(tracking_uri=uri)
    experiments = [one.experiment_id for one in client.search_experiments()]
    return {run.info.status for run in client.search_runs(experiments)}


def in_flight(box: Sandbox, count: int) -> None:
    """Wait until so many requests are under way."""
    until = time.monotonic() + 60
    while box.in_flight < count and time.monotonic() < until:
        time.sleep(0.01)
    assert count == box.in_flight


@pytest.mark.slow
@pytest.mark.kill
@pytest.mark.parametrize("stage", STAGES)
def test_sigterm_at_every_stage(
    stage: str, begin: Callable[..., Command], box: Sandbox, store_uri: str, *, kontext: Callable[..., Said]
) -> None:
    """It ends with 143, without a traceback, without a run left running; the next run pays for the rest alone."""
    command = begin(stage)
    assert command.reached.wait(60)
    command.kill(signal.SIGTERM)
    said = command.end()
    sent = len(box.calls)

    assert (143, False) == (said.code, "Traceback" in said.out), said.out
    # While the store is written others are sent, as many as a machine is quick.
    assert sent <= 4 or stage in ("writing", "measuring", "summing up", "saving")
    assert "RUNNING" not in statuses(store_uri)
    again = kontext("run", "sweep.yaml", "--no-measure")
    assert (0, CELLS) == (again.code, len(box.calls))


@pytest.mark.slow
@pytest.mark.kill
@pytest.mark.parametrize(("number", "code"), [(2, 130), (15, 143), (1, 129)])
def test_the_first_signal_keeps_what_is_under_way(
    number: int, code: int, begin: Callable[..., Command], box: Sandbox
) -> None:
    """Four pictures that were under way are in the store and in the folder; nothing is in doubt."""
    command = begin("")
    in_flight(box, 4)
    command.kill(number)
    said = command.end()

    assert (code, 4) == (said.code, len(box.calls))
    assert "6 cells: 4 done, 2 cancelled" in said.out
    assert "saved in pictures" in said.out
    assert 4 == len(list(Path("pictures").glob("*.jpg")))


@pytest.mark.slow
@pytest.mark.kill
@pytest.mark.parametrize(
    ("first", "second", "code"), [(15, 15, 143), (15, 2, 143), (2, 15, 130), (1, 15, 129)]
)
def test_a_second_signal_leaves_at_once(
    first: int,
    second: int,
    code: int,
    begin: Callable[..., Command],
    *,
    box: Sandbox,
) -> None:
    """Whichever it is; the code is that of the first, and what was under way is in the journal."""
    box.script([Fault("slow", seconds=60)] * 4)
    command = begin("")
    in_flight(box, 4)
    command.kill(first)
    time.sleep(3 * SAME_SECONDS)  # signals closer together are one
    command.kill(second)
    said = command.end(30)

    assert (code, 4) == (said.code, box.in_flight)
    assert "4 in doubt" in said.out
    assert "safe in the journal" in said.out.splitlines()[-1]


@pytest.mark.slow
@pytest.mark.kill
def test_nohup_stays_as_it_is(sweep_file: Path, box: Sandbox) -> None:
    """An ignored SIGHUP that was handed down is ignored: the sweep is run to its end."""
    process = subprocess.Popen(
        ["nohup", sys.executable, "-m", "kontext_lab", "run", "sweep.yaml", "--no-measure"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    in_flight(box, 4)
    process.send_signal(signal.SIGHUP)
    out, _ = process.communicate(timeout=90)

    assert (0, True) == (process.returncode, "6 cells: 6 done" in out)


@pytest.mark.slow
@pytest.mark.kill
@pytest.mark.skipif(not hasattr(os, "openpty"), reason="there are no terminals here")
def test_a_terminal_that_is_closed_costs_no_picture(
    sweep_file: Path, box: Sandbox, kontext: Callable[..., Said]
) -> None:
    """The terminal goes, SIGHUP comes: 129, and what was under way is in the store."""
    ours, theirs = os.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "kontext_lab", "run", "sweep.yaml", "--no-measure"],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    reader = threading.Thread(target=_drain, args=(ours,), daemon=True)
    reader.start()
    in_flight(box, 4)
    process.send_signal(signal.SIGHUP)
    os.close(ours)

    assert 129 == process.wait(90)
    assert 4 == len(box.calls)
    assert "4 done" in kontext("show", "last").out


def _drain(descriptor: int) -> None:
    try:
        while os.read(descriptor, 4096):
            pass
    except OSError:
        pass


@pytest.mark.slow
@pytest.mark.kill
def test_a_reader_that_goes_away_changes_no_exit_code(sweep_file: Path, box: Sandbox) -> None:
    """As of `| head`: what can't be written any more is dropped, the sweep is run to its end."""
    process = subprocess.Popen(
        [sys.executable, "-m", "kontext_lab", "run", "sweep.yaml", "--no-measure"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    process.stderr.close()

    assert (0, CELLS) == (process.wait(90), len(box.calls))


@pytest.mark.slow
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no full device here")
def test_output_that_is_lost_is_no_success(store_uri: str) -> None:
    """A list on a full disk is not all there: 1, in place of 0 or a traceback."""
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "kontext_lab", "list"], stdout=full, stderr=subprocess.PIPE, check=False
        )
    assert (1, b"") == (done.returncode, done.stderr)


def test_handlers_are_the_command_lines_own(store_uri: str) -> None:
    """Every handler is as before once a command has ended, also one that failed."""
    before = [signal.getsignal(number) for number in STOP_SIGNALS]
    run_command(["show", "nothing"])
    assert before == [signal.getsignal(number) for number in STOP_SIGNALS]


def test_a_lab_installs_no_handler(api: Sandbox, lab: kl.Lab, make_sweep: Callable[..., kl.Sweep]) -> None:
    """Handlers are as before also while `lab.start` is at work."""
    before = [signal.getsignal(number) for number in STOP_SIGNALS]
    seen: list[list[Any]] = []
    lab.start(
        make_sweep(), observers=[lambda _: seen.append([signal.getsignal(n) for n in STOP_SIGNALS])]
    ).wait()
    assert seen
    assert all(before == one for one in seen)


class Told:
    """Something under way that notes what it is told."""

    def __init__(self) -> None:
        self.words: list[str] = []

    def cancel(self) -> None:
        self.words.append("cancel")

    def leave(self) -> None:
        self.words.append("leave")


@pytest.mark.parametrize(
    ("moments", "words"),
    [
        ((10.0,), ["cancel"]),
        ((10.0, 10.0 + SAME_SECONDS / 2), ["cancel"]),  # one stop that a shell sends twice
        ((10.0, 10.0 + 2 * SAME_SECONDS), ["cancel", "leave"]),
    ],
)
def test_signals_close_together_are_one(moments: tuple[float, ...], words: list[str]) -> None:
    """A stop that arrives twice within a moment leaves nothing in doubt."""
    clock, told = iter(moments), Told()
    with StopSignals(clock=lambda: next(clock)) as stops, stops.acting_on(told.cancel, told.leave):
        for _ in moments:
            signal.raise_signal(signal.SIGTERM)
    assert (words, 143) == (told.words, stops.code(0))


def test_an_ignored_signal_stays_ignored() -> None:
    """Whichever it is: nothing is told, nothing raised."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with StopSignals() as stops:
            signal.raise_signal(signal.SIGINT)
        assert (signal.SIG_IGN, 0) == (signal.getsignal(signal.SIGINT), stops.code(0))
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_stop_that_was_swallowed_stops_the_sweep() -> None:
    """Code that drops every exception, as some libraries do on import, can't make a sweep go on."""
    told = Told()
    with StopSignals() as stops:
        with pytest.raises(Stopped):
            signal.raise_signal(signal.SIGTERM)
        with stops.acting_on(told.cancel, told.leave):
            pass
    assert ["cancel"] == told.words


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch) -> Iterator[TextIO]:
    """What is written here is read from stdin."""
    read, write = os.pipe()
    with os.fdopen(read) as stdin, os.fdopen(write, "w") as writer:
        monkeypatch.setattr("sys.stdin", stdin)
        yield writer


def test_a_stop_that_was_swallowed_ends_a_question(typed: TextIO) -> None:
    """Nobody answers, and the signal is gone: the wait ends all the same."""
    with StopSignals() as stops:
        with pytest.raises(Stopped):
            signal.raise_signal(signal.SIGTERM)
        with pytest.raises(Stopped):
            stops.read_line()


def test_a_line_is_read_as_it_was_typed(typed: TextIO) -> None:
    """Up to its end."""
    typed.write("yes\nno")
    typed.flush()
    with StopSignals() as stops:
        assert "yes\n" == stops.read_line()


def test_a_question_that_nobody_can_answer_gets_no_line(typed: TextIO) -> None:
    """The other end is closed."""
    typed.close()
    with StopSignals() as stops:
        assert "" == stops.read_line()


def results_of(
    *states: State,
    reason: str = "",
    stopped: str = "",
    undelivered: int = 0,
    unkept: int = 0,
    unended: bool = False,
) -> Results:
    """Cells in these states, and how their run ended."""
    cells = [CellResult(str(place), {}, state=state) for place, state in enumerate(states)]
    for cell in cells:
        cell.reason = reason if cell.state is State.SKIPPED else ""
    results = Results(cells)
    results.stopped, results.undelivered, results.unkept, results.unended = (
        stopped,
        undelivered,
        unkept,
        unended,
    )
    return results


ALL = {"reason": "budget", "undelivered": 1}


@pytest.mark.parametrize(
    ("states", "how", "number", "code"),
    [
        ([State.DONE], {}, None, 0),
        ([State.DONE, State.SKIPPED], {"reason": "limit"}, None, 0),
        ([State.FAILED], {}, None, 1),
        ([State.IN_DOUBT], {}, None, 1),
        ([State.CANCELLED], {}, None, 1),
        ([State.DONE], {"unkept": 1}, None, 1),
        ([State.DONE], {"undelivered": 1}, None, 4),
        ([State.DONE], {"unended": True}, None, 4),
        ([State.DONE], {"unended": True, "unkept": 1}, None, 1),
        ([State.DONE], {"undelivered": 1, "unkept": 1}, None, 4),
        ([State.FAILED], {"undelivered": 1}, None, 4),
        ([State.FAILED, State.SKIPPED], ALL, None, 3),
        ([State.FAILED, State.CANCELLED], {"stopped": "OutOfCredits", "undelivered": 1}, None, 3),
        ([State.DONE, State.CANCELLED], {"stopped": "asked"}, None, 130),
        ([State.FAILED, State.SKIPPED], {**ALL, "stopped": "asked"}, 15, 143),
        ([State.FAILED, State.SKIPPED], ALL, 1, 129),
        ([State.DONE], {}, 2, 130),
    ],
)
def test_of_several_exit_codes_the_first_counts(
    states: list[State], how: dict[str, Any], number: int | None, code: int
) -> None:
    """Signal, then 3, 4, 1, and 0 where all that was asked for is in the store."""
    stops = StopSignals()
    stops.first = number
    assert code == stops.code(exit_code(results_of(*states, **how)))


@pytest.mark.slow
@pytest.mark.kill
@pytest.mark.skipif(not hasattr(os, "openpty"), reason="there are no terminals here")
@pytest.mark.parametrize(
    ("answer", "code"), [("n\n", 2), (signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_the_question_before_paying(
    answer: str | int, code: int, sweep_file: Path, store_uri: str, *, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A no is nothing paid, 2; a signal is its own code."""
    monkeypatch.setenv("AIMLAPI_BASE_URL", "http://127.0.0.1:9")  # whatever answers there, no sandbox does
    monkeypatch.setenv("AIMLAPI_API_KEY", "marked-key-4711")
    sweep_file.write_text(sweep_file.read_text().replace(f"1-{CELLS}", "1-40"))
    ours, theirs = os.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "kontext_lab", "run", "sweep.yaml"],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - nothing else happens there
    )
    os.close(theirs)
    said = b""
    while b"Pay about" not in said:
        said += os.read(ours, 4096)
    if isinstance(answer, str):
        os.write(ours, answer.encode())
    else:
        process.send_signal(answer)

    try:
        assert code == process.wait(60), said.decode()
    finally:
        process.kill()
        process.wait()
        os.close(ours)
