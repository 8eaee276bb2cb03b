"""The same on a tracking server over HTTP: what teams have."""

from __future__ import annotations

import hashlib
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import kontext_lab as kl
from kontext_lab.results import State


@pytest.fixture(scope="module")
def server(migrated_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real MLflow server that also serves artifacts."""
    import shutil

    folder = tmp_path_factory.mktemp("server")
    shutil.copy(migrated_store, folder / "mlflow.db")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--backend-store-uri", f"sqlite:///{folder / 'mlflow.db'}"]
    command += ["--artifacts-destination", str(folder / "artifacts"), "--workers", "1"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)
    try:
        _wait_for(port, process, folder / "log")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(20)


def _wait_for(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + 90
    while time.monotonic() < until and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.2)
        else:
            return
    raise RuntimeError(f"the MLflow server did not start: {log.read_text()[-2000:]}")


@pytest.fixture
def lab(server: str, workdir: Path, monkeypatch: pytest.MonkeyPatch) -> kl.Lab:
    """A lab whose store is the server."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
    return kl.Lab("sandbox")


def test_a_sweep_is_tracked_reused_and_loaded(lab: kl.Lab, server: str, photo_file: Path) -> None:
    """Run, run again, extend and load work over HTTP, with exact bytes."""
    sweep = kl.Sweep("Add a bird.", photo_file, axes={"guidance_scale": [2, 5]}, name="over http")
    first = lab.run(sweep, progress=False)
    again = lab.run(sweep, progress=False)
    longer = lab.run(sweep.but(seed=[1, 2], name="longer"), progress=False)
    loaded = kl.Lab("sandbox").load("longer")

    assert {State.DONE: 2} == dict(first.counts)
    assert (0.0, first.run_id) == (again.spent, again.run_id)
    assert 2 == sum(1 for cell in longer if cell.reused_from)
    assert [output.sha256 for output in longer.outputs] == [
        hashlib.sha256(output.bytes).hexdigest() for output in loaded.outputs
    ]


def test_web_address_is_the_server_s(lab: kl.Lab, server: str) -> None:
    """Pages of a run can be opened where the store has a web address."""
    assert server == lab.tracker.store.web_address
