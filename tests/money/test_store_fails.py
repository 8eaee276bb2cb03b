"""The store goes away, is locked, or loses runs: pictures are safe in the journal, and delivered later."""

from __future__ import annotations

import contextlib
import hashlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from mlflow import MlflowClient

import kontext_lab as kl
from kontext_lab.cli.main import run_command
from kontext_lab.errors import TrackingError
from kontext_lab.runner.retry_policy import Pacing
from kontext_lab.sandbox import Sandbox


class Server:
    """A real MLflow server that can be stopped and started again on its port."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(self.port)]
        command += ["--backend-store-uri", f"sqlite:///{self.folder / 'mlflow.db'}", "--workers", "1"]
        command += ["--artifacts-destination", str(self.folder / "artifacts")]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                command,
                cwd=self.folder,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env={**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
            )
        until = time.monotonic() + 90
        while time.monotonic() < until:
            # It takes connections before it answers any.
            with contextlib.suppress(OSError), urllib.request.urlopen(f"{self.uri}/health", timeout=30):
                return
            time.sleep(0.2)
        raise RuntimeError((self.folder / "log").read_text()[-2000:])

    def stop(self) -> None:
        if self.process is not None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(20)
            self.process = None


@pytest.fixture
def server(migrated_store: Path, tmp_path: Path) -> Iterator[Server]:
    """A started one."""
    import shutil

    folder = tmp_path / "server"
    folder.mkdir()
    shutil.copy(migrated_store, folder / "mlflow.db")
    made = Server(folder)
    made.start()
    yield made
    made.stop()


@pytest.fixture
def sweep(photo_file: Path) -> kl.Sweep:
    """Twelve cells."""
    return kl.Sweep("Add a bird.", photo_file, axes={"seed": "1-12"}, aspect_ratio="1:1")


@pytest.mark.slow
def test_a_server_that_dies_in_the_middle_costs_no_picture(
    server: Server, api: Sandbox, sweep: kl.Sweep, quick: Pacing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All twelve are sent and shown; the next lab names the sweep, and `recover` delivers every byte."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.uri)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")

    def kill_server(cell: kl.CellResult) -> None:
        if cell.state == "done" and sum(one.state == "done" for one in handle.results) == 4:
            server.stop()

    with kl.Lab(concurrency=1) as lab:
        handle = lab.start(sweep, pacing=quick, observers=[kill_server])
        results = handle.wait()
        assert {"done": 12} == results.counts
        assert any("safe in the journal" in note for note in results.notes)
        delivered = [cell.bytes for cell in results if not cell.run_id]
        assert delivered

    server.start()
    with kl.Lab() as lab:
        assert 1 == len(lab.unfinished)
        (found,) = lab.recover()
        assert "" == found.problem
        loaded = lab.load("last")
        assert {"done": 12} == loaded.counts
        digests = {hashlib.sha256(cell.bytes).hexdigest() for cell in loaded}
        assert {digest for call in api.calls for digest in call.outputs} == digests
        assert (12, loaded.cost) == (len(api.calls), pytest.approx(api.bill))
        assert {"FINISHED"} == {run.status for run in lab.history()}


@pytest.mark.slow
def test_a_server_that_comes_back_is_caught_up_with(
    server: Server, api: Sandbox, photo_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What an outage held back is written by the same run once the server answers again."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.uri)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    sweep = kl.Sweep("Add a bird.", photo_file, axes={"seed": "1-30"}, aspect_ratio="1:1")

    def outage(cell: kl.CellResult) -> None:
        done = sum(one.state == "done" for one in handle.results)
        if cell.state == "done" and done == 4:
            server.stop()
        if cell.state == "done" and done == 10:
            server.start()

    with kl.Lab(concurrency=1) as lab:
        handle = lab.start(sweep, pacing=Pacing(store=0.5), observers=[outage])
        results = handle.wait()
        assert {"done": 30} == results.counts
        assert all(cell.run_id for cell in results)
        assert [] == lab.unfinished
        assert ["FINISHED"] == [run.status for run in lab.history()]


@pytest.mark.slow
@pytest.mark.parametrize("words", [("recover",), ("run", "sweep.yaml")])
def test_the_command_line_says_what_a_server_that_died_did_not_take(
    words: tuple[str, ...],
    server: Server,
    sweep: kl.Sweep,
    workdir: Path,
    *,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """All are paid for, none is in MLflow: 4, the sweep is named; with the server back its run ends FINISHED."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.uri)
    sweep.replace(seed="1-4").to_yaml(workdir / "sweep.yaml")
    with Sandbox(latency=3.0) as box:
        monkeypatch.setenv("AIMLAPI_BASE_URL", box.url)
        monkeypatch.setenv("AIMLAPI_API_KEY", "marked-key-4711")
        stopping = threading.Thread(target=stop_once_sent, args=(server, box, 4))
        stopping.start()
        code = run_command(["run", "sweep.yaml", "--no-measure"])
        stopping.join()
        said = capfd.readouterr()
        assert (4, True) == (code, "4 cells: 4 done" in said.out)
        assert said.err.splitlines()[-1].startswith("4 cells are not in MLflow yet")

        server.start()
        assert 0 == run_command(list(words))
    client = MlflowClient(tracking_uri=server.uri)
    experiments = [one.experiment_id for one in client.search_experiments()]
    assert ["FINISHED"] * 5 == [run.info.status for run in client.search_runs(experiments)]


def stop_once_sent(server: Server, box: Sandbox, count: int) -> None:
    """Stop the server while so many requests are under way."""
    until = time.monotonic() + 120
    while box.in_flight < count and time.monotonic() < until:
        time.sleep(0.01)
    server.stop()


@pytest.mark.slow
def test_a_parent_deleted_in_mlflow_is_not_gone_on_with(
    lab: kl.Lab, api: Sandbox, sweep: kl.Sweep, store_uri: str
) -> None:
    """The same sweep gets a new parent; its cells are reused where they are still there."""
    first = lab.run(sweep, progress=False)
    MlflowClient(tracking_uri=store_uri).delete_run(first.run_id)
    again = lab.run(sweep, progress=False)

    assert first.run_id != again.run_id
    assert ({"done": 12}, 12) == (again.counts, len(api.calls))


def test_a_deleted_cell_is_never_reused(lab: kl.Lab, api: Sandbox, sweep: kl.Sweep, store_uri: str) -> None:
    """A child that a person deleted is sent again; the others are kept."""
    first = lab.run(sweep, progress=False)
    MlflowClient(tracking_uri=store_uri).delete_run(first[3].run_id)
    again = lab.run(sweep, progress=False)

    assert 13 == len(api.calls)
    assert first[3].run_id != again[3].run_id
    assert [cell.run_id for cell in first[:3]] == [cell.run_id for cell in again[:3]]


def test_a_child_deleted_in_the_middle_is_written_anew_by_the_next_run(
    lab: kl.Lab, api: Sandbox, sweep: kl.Sweep, store_uri: str, quick: Pacing
) -> None:
    """Even a parent that is deleted while the sweep runs loses nothing: the next run has all twelve."""

    def delete(cell: kl.CellResult) -> None:
        if cell is handle.results[4] and cell.state == "done":
            MlflowClient(tracking_uri=store_uri).delete_run(handle.results.run_id)

    handle = lab.start(sweep, pacing=quick, observers=[delete], concurrency=1)
    assert {"done": 12} == handle.wait().counts
    again = lab.run(sweep, progress=False)
    assert ({"done": 12}, 12) == (again.counts, len(api.calls))


@pytest.mark.slow
def test_one_cell_that_cannot_be_written_keeps_no_other_waiting(
    lab: kl.Lab, sweep: kl.Sweep, quick: Pacing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A failing disk under one cell's artifacts: eleven are in the store, the twelfth in the journal, then there."""
    from kontext_lab.tracking import writing

    inner: Callable[..., None] = writing._write_artifacts
    broken = [True]

    def failing(folder: Path, cell: kl.CellResult, *more: object) -> None:
        if broken[0] and cell.params["seed"] == 5:
            raise OSError(28, "No space left on device")
        inner(folder, cell, *more)

    monkeypatch.setattr(writing, "_write_artifacts", failing)
    results = lab.run(sweep, progress=False, pacing=quick)
    assert {"done": 12} == results.counts
    assert any("1 cell is not in MLflow yet" in note for note in results.notes)
    assert results[4].bytes  # from the journal

    broken[0] = False
    again = lab.run(sweep, progress=False)
    assert [12, 12] == [again.counts["done"], sum(bool(cell.run_id) for cell in again)]
    assert results[4].request is not None
    assert hashlib.sha256(again[4].bytes).hexdigest() == again[4].output.sha256
    assert [] == lab.unfinished


def test_the_store_is_told_to_be_away_before_anything_is_paid(
    api: Sandbox, sweep: kl.Sweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that doesn't answer at the start is one clear error, and no request leaves."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{port}")
    with kl.Lab() as lab, pytest.raises(TrackingError, match="doesn't answer"):
        lab.run(sweep, progress=False)
    assert [] == api.calls
