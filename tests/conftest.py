"""What every test gets: an environment without anyone's settings, and a migrated store to copy."""

from __future__ import annotations

import io
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

_SETTINGS = ("AIMLAPI", "AIML_", "MLFLOW_", "KONTEXT_")


@pytest.fixture(autouse=True)
def clean_environ(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No key, store or home of the person who runs the tests reaches any test."""
    for name in list(os.environ):
        if name.startswith(_SETTINGS) and name != "KONTEXT_LAB_TESTS_STRICT":
            monkeypatch.delenv(name)
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    monkeypatch.setenv("DO_NOT_TRACK", "true")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")


@pytest.fixture
def workdir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder that the test runs in."""
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture(scope="session")
def migrated_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty MLflow database with all migrations done: making one takes seconds, copying it none."""
    from kontext_lab.tracking.store import open_store

    folder = tmp_path_factory.mktemp("store")
    # The experiment knows its artifacts by absolute path, so this one is only for migrations.
    open_store(
        f"sqlite:///{folder / 'mlflow.db'}", "made-for-migrations"
    ).client._tracking_client.store.engine.dispose()
    return folder / "mlflow.db"


@pytest.fixture
def store_uri(migrated_store: Path, workdir: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A store of the test's own, set as MLflow's environment sets it."""
    shutil.copy(migrated_store, workdir / "mlflow.db")
    uri = f"sqlite:///{workdir / 'mlflow.db'}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    return uri


@pytest.fixture(scope="session")
def photo() -> np.ndarray:
    """A real photograph, small enough to be quick: 300x200."""
    from skimage import data

    return np.asarray(Image.fromarray(data.coffee()).resize((300, 200)))


@pytest.fixture(scope="session")
def photo_file(photo: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The photograph as a JPEG file."""
    file = tmp_path_factory.mktemp("photo") / "coffee.jpg"
    buffer = io.BytesIO()
    Image.fromarray(photo).save(buffer, format="JPEG", quality=92)
    file.write_bytes(buffer.getvalue())
    return file
