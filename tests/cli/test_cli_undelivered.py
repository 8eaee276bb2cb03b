"""Exit codes where what was paid for is not in the store: none of these commands ends with 0."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cli_parts import Said
from mlflow import MlflowClient

import kontext_lab as kl
from kontext_lab.client import downloads
from kontext_lab.errors import TrackingError
from kontext_lab.journal.attempt_folder import AttemptFolder
from kontext_lab.request.attempt import Picture, Reason
from kontext_lab.runner.retry_policy import Pacing
from kontext_lab.sandbox import FAULTS, Sandbox
from kontext_lab.tracking import writing

FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.fixture
def sweep_file(write_sweep: Callable[[str, int], Path]) -> Path:
    """Three cells in the working folder."""
    return write_sweep("three", 3)


@pytest.fixture
def run(kontext: Callable[..., Said], sweep_file: Path, api: Sandbox) -> Callable[..., Said]:
    """`run sweep.yaml` without measuring."""
    return lambda *words: kontext("run", "sweep.yaml", "--no-measure", *words)


@pytest.fixture
def full(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A store whose disk takes no picture, until it is undone."""

    def fails(*_: object) -> None:
        raise FULL

    made = pytest.MonkeyPatch()
    made.setattr(writing, "_write_artifacts", fails)
    monkeypatch.setattr(Pacing, "before_store", lambda *_: 0.05)
    return made


def statuses(uri: str, kind: str = "sweep") -> list[str]:
    """Those of all runs of a kind."""
    client = MlflowClient(tracking_uri=uri)
    experiments = [one.experiment_id for one in client.search_experiments()]
    return [run.info.status for run in client.search_runs(experiments, f"tags.`kontext.kind` = '{kind}'")]


def raising(error: Exception) -> Callable[..., Any]:
    """A function that fails."""

    def fails(*_: object, **__: object) -> None:
        raise error

    return fails


def test_a_store_that_takes_nothing_ends_with_4(
    run: Callable[..., Said], api: Sandbox, full: pytest.MonkeyPatch
) -> None:
    """All three are done and none is in MLflow: 4, and the last line says so with the way out."""
    said = run()
    full.undo()

    assert (4, 3) == (said.code, len(api.calls))
    assert "3 cells: 3 done" in said.out
    last = said.err.splitlines()[-1]
    assert last.startswith("3 cells are not in MLflow yet")
    assert "`kontext-lab recover`" in last
    assert 1 == said.err.count("not in MLflow yet")


def test_out_has_the_pictures_that_the_store_did_not_take(
    run: Callable[..., Said], full: pytest.MonkeyPatch
) -> None:
    """They are saved from the journal; the code is 4 all the same, and its line the last one."""
    said = run("--out", "pictures")
    full.undo()

    assert (4, 3) == (said.code, len(list(Path("pictures").glob("*.jpg"))))
    assert said.err.splitlines()[-1].startswith("3 cells are not in MLflow yet")


def test_recover_ends_with_4_until_the_store_has_it(
    run: Callable[..., Said], kontext: Callable[..., Said], full: pytest.MonkeyPatch, *, store_uri: str
) -> None:
    """4 while the disk is full, with what stays; then 0, and no run is running."""
    run()
    stays = kontext("recover")
    full.undo()
    delivered = kontext("recover")

    assert (4, True) == (stays.code, "3 requests stay in " in stays.err.splitlines()[-1])
    assert (0, True) == (delivered.code, "3 answers logged" in delivered.out)
    assert ["FINISHED"] == statuses(store_uri)
    assert ["FINISHED"] * 3 == statuses(store_uri, "cell")


@pytest.mark.parametrize("words", [("recover",), ("run", "sweep.yaml", "--no-measure")])
def test_a_run_that_was_not_ended_is_ended_later(
    words: tuple[str, ...],
    run: Callable[..., Said],
    kontext: Callable[..., Said],
    *,
    store_uri: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The store goes away before the end: 4, the sweep is named as unfinished, then its run ends FINISHED."""
    with monkeypatch.context() as away:
        away.setattr(writing, "finish_sweep", raising(TrackingError("no answer")))
        away.setattr(MlflowClient, "set_terminated", raising(TrackingError("no answer")))
        said = run()
    before = kontext("doctor")

    # Its cells, too, are ended by that call: none of them is in the store.
    assert (4, ["RUNNING"]) == (said.code, statuses(store_uri))
    assert "1 unfinished sweep" in before.out
    assert 0 == kontext(*words).code
    assert ["FINISHED"] == statuses(store_uri)
    assert "no unfinished sweeps" in kontext("doctor").out


def test_only_the_end_of_the_run_is_missing(
    run: Callable[..., Said], monkeypatch: pytest.MonkeyPatch, kontext: Callable[..., Said], *, store_uri: str
) -> None:
    """Every picture is in MLflow, how the run ended is not: 4, said in the last line, and nothing is running."""
    with monkeypatch.context() as away:
        away.setattr(writing, "finish_sweep", raising(TrackingError("no answer")))
        said = run()

    assert (4, ["KILLED"]) == (said.code, statuses(store_uri))
    assert said.err.splitlines()[-1].startswith("the end of the run is not in MLflow yet")
    assert (0, ["FINISHED"]) == (kontext("recover").code, statuses(store_uri))


def test_a_picture_whose_host_is_away_ends_with_4(
    run: Callable[..., Said], kontext: Callable[..., Said], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Paid for, its answer in the journal, its picture not to be had yet: 4 each time, and 0 once it comes."""
    monkeypatch.setattr(Pacing, "before_download", lambda *_: None)
    with monkeypatch.context() as away:
        gone = Picture(reason=Reason.EXPIRED, note="cdn could not be reached", again=True, unreached=True)
        away.setattr(downloads.Downloads, "_fetch", lambda *_, **__: gone)
        codes = [run().code, run().code, kontext("recover").code]
    assert [4, 4, 4] == codes
    assert (0, 0) == (kontext("recover").code, run().code)


def test_an_answer_that_is_kept_nowhere_is_said_loudly(
    run: Callable[..., Said], monkeypatch: pytest.MonkeyPatch, full: pytest.MonkeyPatch
) -> None:
    """Neither journal nor store could be written: 1, the last line says so, and --out still has the picture."""
    monkeypatch.setattr(AttemptFolder, "keep_answer", raising(FULL))
    said = run("--concurrency", "1", "--out", "pictures")
    full.undo()

    assert (1, 1) == (said.code, len(list(Path("pictures").glob("*.jpg"))))
    assert said.err.splitlines()[-1].startswith("1 cell is paid for and kept nowhere")


def test_a_refusal_that_the_store_was_not_told_of_is_not_in_doubt(
    run: Callable[..., Said], kontext: Callable[..., Said], api: Sandbox, full: pytest.MonkeyPatch
) -> None:
    """Nothing was billed for it, so it counts as failed, and `recover` finds the two others alone."""
    api.script([FAULTS["bad_request"]])
    said = run()
    full.undo()
    recovered = kontext("recover")

    assert (4, True) == (said.code, "2 cells are not in MLflow yet" in said.err)
    assert (0, True) == (recovered.code, "2 answers logged" in recovered.out)
    assert "doubt" not in recovered.out + recovered.err


def test_a_folder_that_cannot_be_filled_is_no_bad_usage(
    run: Callable[..., Said], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Paid for and in the store, not saved: 1 and the command that saves it, not 2, which means nothing was paid."""
    monkeypatch.setattr(kl.Results, "save", raising(kl.KontextLabError("pictures: can't be written")))
    said = run("--out", "pictures")

    assert (1, True) == (said.code, "`kontext-lab export " in said.err)


@pytest.mark.slow
def test_demo_tells_the_truth_as_well(
    kontext: Callable[..., Said], store_uri: str, full: pytest.MonkeyPatch
) -> None:
    """A store that takes nothing: 4, though the grid is drawn."""
    said = kontext("demo", "--out", "demo")
    full.undo()

    assert 4 == said.code
    assert said.err.splitlines()[-1].startswith("12 cells are not in MLflow yet")


def test_measured_values_that_cannot_be_recorded_end_with_1(
    run: Callable[..., Said], kontext: Callable[..., Said], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not 2, which means bad usage."""
    run()
    monkeypatch.setattr("kontext_lab.lab.measurer.write_measured", raising(TrackingError("no answer")))
    said = kontext("measure", "last")

    assert (1, True) == (said.code, "no answer; `kontext-lab measure last`" in said.err)


def test_an_answer_without_a_request_is_no_success(
    run: Callable[..., Said], kontext: Callable[..., Said], full: pytest.MonkeyPatch
) -> None:
    """A damaged journal: `recover` names the folder and ends with 1, since a person has to look."""
    run()
    full.undo()
    home = kl.Lab("sandbox", quiet=True).context.journal.folder
    for intent in home.glob("*/0*/intent.json"):
        intent.write_text("damaged")
    said = kontext("recover")

    assert (1, True) == (said.code, f"an answer whose request can't be read is in {home}" in said.err), said


def test_a_run_half_opened_is_not_running(
    run: Callable[..., Said], store_uri: str, monkeypatch: pytest.MonkeyPatch, kontext: Callable[..., Said]
) -> None:
    """The store fails between making the run and filling it: 2, nothing sent, and the run is ended."""
    monkeypatch.setattr(writing, "_put_sweep", raising(TrackingError("no answer")))
    said = run()

    assert (2, ["KILLED"]) == (said.code, statuses(store_uri))
    assert "no unfinished sweeps" in kontext("doctor").out


def test_a_run_half_opened_in_a_store_that_went_away_is_remembered(
    run: Callable[..., Said], store_uri: str, monkeypatch: pytest.MonkeyPatch, kontext: Callable[..., Said]
) -> None:
    """It is still RUNNING there: the journal names the sweep, and `recover` ends its run."""
    with monkeypatch.context() as away:
        away.setattr(writing, "_put_sweep", raising(TrackingError("no answer")))
        away.setattr(MlflowClient, "set_terminated", raising(TrackingError("no answer")))
        said = run()

    assert (2, ["RUNNING"]) == (said.code, statuses(store_uri))
    assert "1 unfinished sweep" in kontext("doctor").out
    assert (0, ["KILLED"]) == (kontext("recover").code, statuses(store_uri))
