"""Which store and which experiment are used, and what is said when they can't be."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import mlflow
import pytest

import kontext_lab as kl
from kontext_lab.errors import ConfigError, TrackingError
from kontext_lab.tracking import Tracker
from kontext_lab.tracking.store import open_store, resolve_uri


@pytest.fixture(autouse=True)
def forgetful_mlflow() -> Iterator[None]:
    """What a test sets in MLflow is gone afterwards."""
    yield
    while mlflow.active_run():
        mlflow.end_run()
    mlflow.set_tracking_uri(None)
    mlflow.tracking.fluent._active_experiment_id = None


@pytest.mark.slow
def test_default_is_sqlite_in_the_working_folder(workdir: Path) -> None:
    """Without any setting the store is MLflow's own default."""
    assert f"sqlite:///{workdir / 'mlflow.db'}" == Tracker().store.uri


def test_relative_store_stays_where_it_was_first_used(
    migrated_store: Path, workdir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A change of folder after the first use changes nothing."""
    shutil.copy(migrated_store, workdir / "mine.db")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///mine.db")
    tracker = Tracker()
    monkeypatch.chdir(tmp_path)
    tracker.history()

    assert not (tmp_path / "mine.db").exists()
    assert f"sqlite:///{workdir / 'mine.db'}" == tracker.store.uri


def test_own_experiment_is_kontext_lab(store_uri: str) -> None:
    """Without any setting the experiment is `kontext-lab`."""
    assert "kontext-lab" == Tracker().store.experiment


def test_environment_names_the_experiment(store_uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """MLFLOW_EXPERIMENT_NAME is honoured."""
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "from-the-environment")

    assert "from-the-environment" == Tracker().store.experiment


def test_notebook_s_experiment_is_honoured(store_uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What `mlflow.set_experiment` chose is where sweeps go."""
    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", "")
    mlflow.set_experiment("of-the-notebook")

    assert "of-the-notebook" == Tracker().store.experiment


def test_notebook_s_store_is_honoured(migrated_store: Path, workdir: Path) -> None:
    """What `mlflow.set_tracking_uri` chose is the store."""
    shutil.copy(migrated_store, workdir / "chosen.db")
    mlflow.set_tracking_uri(f"sqlite:///{workdir / 'chosen.db'}")

    assert f"sqlite:///{workdir / 'chosen.db'}" == Tracker().store.uri


def test_active_run_becomes_the_sweep_s_parent(
    store_uri: str, photo_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sweep run inside a notebook's active run is nested in it, in its experiment; the run stays active."""
    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", "")
    mlflow.set_experiment("of-the-notebook")
    with mlflow.start_run() as active, kl.Lab("sandbox") as lab:
        results = lab.run(kl.Sweep("Add a bird.", photo_file), progress=False)
        still = mlflow.active_run()
    parent = mlflow.MlflowClient(store_uri).get_run(results.run_id)

    assert active.info.run_id == parent.data.tags["mlflow.parentRunId"]
    assert active.info.experiment_id == parent.info.experiment_id
    assert still is not None
    assert active.info.run_id == still.info.run_id


def test_deleted_experiment_is_one_clear_line(store_uri: str) -> None:
    """A deleted experiment is told, with the way out."""
    store = open_store(None, "gone")
    store.client.delete_experiment(store.experiment_id)

    with pytest.raises(ConfigError, match="deleted in MLflow"):
        open_store(None, "gone")


@pytest.mark.parametrize("uri", ["./mlruns", "mlruns", "file:///tmp/mlruns"])
def test_folder_store_says_the_way_out(uri: str) -> None:
    """An old folder store is refused with what to do."""
    with pytest.raises(TrackingError, match="migrate-filestore"):
        resolve_uri(uri)


@pytest.mark.parametrize("uri", ["foo bar", "sqlite", "x.db", "sqlite://", "sqlite:///:memory:"])
def test_what_is_no_store_says_what_is_allowed(uri: str) -> None:
    """Text that names no store is answered with an address that does."""
    with pytest.raises(TrackingError, match=r"sqlite:///mlflow\.db"):
        resolve_uri(uri)


def test_experiment_of_the_environment_that_is_not_there_is_named(
    store_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wrong MLFLOW_EXPERIMENT_ID names the variable."""
    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", "99")
    with pytest.raises(ConfigError, match="MLFLOW_EXPERIMENT_ID"):
        open_store(None, None)


def test_missing_folder_is_named(tmp_path: Path) -> None:
    """A database in a folder that isn't there names the folder."""
    with pytest.raises(TrackingError, match="no folder"):
        open_store(f"sqlite:///{tmp_path / 'nowhere' / 'mlflow.db'}", None)


@pytest.mark.slow
def test_file_that_is_no_database_is_one_line(tmp_path: Path) -> None:
    """A file that is no database is told in one line."""
    (tmp_path / "mlflow.db").write_text("this is no database, it only looks like a file of that name")

    with pytest.raises(TrackingError) as caught:
        open_store(f"sqlite:///{tmp_path / 'mlflow.db'}", None)
    assert 1 == len(str(caught.value).splitlines())


@pytest.mark.slow
def test_server_that_doesn_t_answer_is_told_quickly() -> None:
    """A dead server is told at once, not after MLflow's minutes of retries."""
    with pytest.raises(TrackingError, match="doesn't answer"):
        open_store("http://127.0.0.1:9", None)
