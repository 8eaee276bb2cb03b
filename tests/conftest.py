"""What every test gets: an environment without anyone's settings, a migrated store to copy, a lab on a sandbox."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import kontext_lab as kl
from kontext_lab.sandbox import Sandbox

# What a shell runs in the background ignores interrupts, and what `nohup` runs ignores hangups; and so would every
# process that a test starts and stops by one.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)

# Before all fixtures of ours, so that what these leave behind is seen.
pytest_plugins = ["completeness", "leftovers"]

_SETTINGS = ("AIMLAPI", "AIML_", "MLFLOW_", "KONTEXT_", "XDG_")


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


@pytest.fixture(autouse=True)
def sandboxes_end(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A sandbox that a test started, or a lab in it, ends with the test."""
    started: list[Sandbox] = []
    start = Sandbox.start

    def noted(box: Sandbox) -> Sandbox:
        started.append(box)
        return start(box)

    monkeypatch.setattr(Sandbox, "start", noted)
    yield
    for box in started:
        box.stop()


@pytest.fixture(autouse=True)
def stores_end() -> Iterator[None]:
    """A store that a test opened is closed with the test: MLflow keeps connections, and threads for files, for good."""
    before = {uri for engines in _engines() for uri in engines}
    yield
    for engines in _engines():
        for uri in engines.keys() - before:
            engines.pop(uri).dispose()
    if service := sys.modules.get("mlflow.tracking._tracking_service.utils"):
        service._artifact_repos_cache.clear()


def _engines() -> list[dict[str, Any]]:
    """MLflow's open databases, by their addresses: a table for each of its modules that is loaded."""
    names = (f"mlflow.store.{one}.sqlalchemy_store" for one in ("tracking", "model_registry"))
    return [sys.modules[name].SqlAlchemyStore._engine_map for name in names if name in sys.modules]


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
    # The experiment knows its artifacts by absolute path, so this one is only for migrations. MLflow's own first
    # experiment keeps its artifacts in the folder that this process works in.
    with contextlib.chdir(folder):
        store = open_store(f"sqlite:///{folder / 'mlflow.db'}", "made-for-migrations")
    store.client._tracking_client.store.engine.dispose()
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


@pytest.fixture
def box() -> Iterator[Sandbox]:
    """A sandbox without latency."""
    with Sandbox() as running:
        yield running


@pytest.fixture
def api(box: Sandbox, store_uri: str, monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    """The sandbox as the API that the environment names, with a key."""
    monkeypatch.setenv("AIMLAPI_BASE_URL", box.url)
    monkeypatch.setenv("AIMLAPI_API_KEY", "marked-key-4711")
    return box


@pytest.fixture
def lab(api: Sandbox) -> Iterator[kl.Lab]:
    """A lab that sends to it; measures where a test asks for it, since that takes longer than all else."""
    with kl.Lab(measure=False) as made:
        yield made


@pytest.fixture
def make_sweep(photo_file: Path) -> Callable[..., kl.Sweep]:
    """Makes a sweep over the photograph: 2 x 2 x 2 cells unless told otherwise."""

    def make(**changes: object) -> kl.Sweep:
        given: dict[str, object] = {
            "prompt": "Add a {animal}.",
            "image": photo_file,
            "axes": {"guidance_scale": [2, 5], "seed": [1, 2], "animal": ["bird", "crab"]},
            "aspect_ratio": "1:1",
        }
        return kl.Sweep(**{**given, **changes})

    return make
