"""SQLite files as stores: made in one transaction, and read before MLflow may change them.

MLflow makes its tables in some seventy steps, each committed at once: a process killed between two of them leaves
a file that MLflow never opens again. So the steps are run in memory, and their outcome is written to the file in
one transaction. A file that holds tables already is only ever read here.
"""

from __future__ import annotations

import os
import shlex
import sqlite3
from contextlib import closing, suppress
from pathlib import Path
from typing import NamedTuple

import mlflow

from kontext_lab.errors import TrackingError

__all__ = ["database_file", "explain", "may_hold", "prepare"]

_SIDE_FILES = ("-journal", "-wal", "-shm")

_SEEDED = ("alembic_version", "workspaces")
"""Tables that MLflow's migrations fill by themselves."""

_COPY_OF = "_alembic_tmp_"
"""Prefix of Alembic's name for a table that is about to replace another one."""


def database_file(uri: str) -> Path | None:
    """The file of a SQLite store; None for any other store, and for SQLite's own `file:` addresses."""
    if not uri.startswith("sqlite"):
        return None
    from sqlalchemy import make_url  # noqa: PLC0415 - a third of a second, and MLflow needs it only for databases

    name = make_url(uri).database or ""
    return None if name.startswith("file:") or not name else Path(name)


def prepare(uri: str, file: Path) -> None:
    """Make a database that isn't there, or check that MLflow would not change one that holds something.

    A TrackingError says why MLflow can't use the file, or that it would upgrade it without a copy having been made.
    """
    if not file.exists() or file.stat().st_size == 0:
        _close_connections(uri)
        _make(file)
        return
    try:
        contents = _read(file)
    except sqlite3.DatabaseError as error:
        kind = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if kind == sqlite3.SQLITE_NOTADB:
            raise TrackingError(
                f"{file} is not a SQLite database: name another file, such as MLFLOW_TRACKING_URI=sqlite:///mlflow.db"
            ) from None
        if kind == sqlite3.SQLITE_CORRUPT:
            raise TrackingError(
                f"the MLflow store {file} is damaged ({error}): restore a copy, or save the readable part with "
                f"`sqlite3 {shlex.quote(str(file))} .recover`"
            ) from None
        raise
    if not contents.tables:
        _make(file)  # a kill inside the transaction leaves bytes that SQLite has just taken back
        return
    # MLflow makes and changes tables wherever one of its own is missing.
    if not contents.tables >= _mlflow_tables():
        _refuse(uri, file, contents)


def explain(uri: str, file: Path) -> None:
    """Raise a TrackingError with the reason why MLflow could not open a file, if the file shows it."""
    _close_connections(uri)
    with suppress(sqlite3.Error, OSError):
        _refuse(uri, file, _read(file), failed=True)


def may_hold(uri: str, run_id: str) -> bool:
    """True if a run may be in a store; False for a SQLite file that is gone, or has no such run."""
    file = database_file(uri)
    if file is None or not file.exists():
        return file is None
    try:
        with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            query = "SELECT 1 FROM runs WHERE run_uuid = ?"
            return connection.execute(query, (run_id,)).fetchone() is not None
    except sqlite3.Error:
        return True


def _close_connections(uri: str) -> None:
    """Close the connections that MLflow keeps: they would continue with a file that was moved away."""
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore  # noqa: PLC0415 - as in database_file

    engine = getattr(SqlAlchemyStore, "_engine_map", {}).get(uri)
    if engine is not None:
        engine.dispose()


def _make(file: Path) -> None:
    """Write MLflow's tables into a file that is missing or empty, unless another process is faster."""
    from mlflow.store.db import utils  # noqa: PLC0415 - as in database_file
    from sqlalchemy import StaticPool, create_engine  # noqa: PLC0415 - as in database_file

    engine = create_engine("sqlite://", poolclass=StaticPool)
    utils._initialize_tables(engine)  # type: ignore[no-untyped-call]
    in_memory = engine.raw_connection().driver_connection
    assert isinstance(in_memory, sqlite3.Connection), "SQLAlchemy's driver for sqlite:// is Python's own"
    statements = [one for one in in_memory.iterdump() if one not in ("BEGIN TRANSACTION;", "COMMIT;")]
    engine.dispose()
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        if not connection.execute("SELECT 1 FROM sqlite_master").fetchone():
            for statement in statements:
                connection.execute(statement)
        connection.execute("COMMIT")


class _Contents(NamedTuple):
    """The tables of a database file, its last migration or "", and True if it holds rows that no migration made."""

    tables: frozenset[str]
    revision: str
    has_rows: bool


def _refuse(uri: str, file: Path, contents: _Contents, *, failed: bool = False) -> None:
    """Raise if a file is not for this MLflow to open, or not without a copy; `failed` if MLflow could not open it."""
    from alembic.script import ScriptDirectory  # noqa: PLC0415 - as in database_file

    own_tables = _mlflow_tables()
    if contents.tables and not contents.tables & own_tables:
        raise TrackingError(
            f"the database {file} belongs to another program, and MLflow would add its tables: "
            "set MLFLOW_TRACKING_URI=sqlite:///another-name.db"
        )
    migrations = ScriptDirectory(str(Path(mlflow.__file__).parent / "store" / "db_migrations"))
    if contents.revision and contents.revision not in {one.revision for one in migrations.walk_revisions()}:
        raise TrackingError(
            f"the MLflow store {file} was made by a newer MLflow than this one, {mlflow.__version__}: "
            "update mlflow, or choose another store with MLFLOW_TRACKING_URI"
        )
    if contents.tables >= own_tables and contents.revision == migrations.get_heads()[0]:
        return
    if contents.has_rows:
        raise TrackingError(
            f"the MLflow store {file} was made by an older MLflow, or its upgrade was cut off: copy the file, then "
            f"run `mlflow db upgrade {shlex.quote(uri)}`; if that says 'already exists' or 'duplicate', the upgrade "
            "was cut off: restore the copy from before it, then upgrade"
        )
    if failed:
        ends = ["", *(end for end in _SIDE_FILES if file.with_name(file.name + end).exists())]
        target, number = file.with_name(f"{file.name}.unfinished"), 1
        while target.exists():
            number += 1
            target = file.with_name(f"{file.name}.unfinished-{number}")
        moves = [
            shlex.join(["move" if os.name == "nt" else "mv", f"{file}{end}", f"{target}{end}"])
            for end in ends
        ]
        raise TrackingError(
            f"the MLflow store {file} was never finished, because an earlier start was cut off, or was made by an "
            f"older MLflow; it holds no runs: move it away, `{' && '.join(moves)}`, and run again"
        )


def _read(file: Path, mode: str = "ro") -> _Contents:
    """Read a database without changing it."""
    try:
        with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode={mode}", uri=True)) as connection:
            query = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"
            tables = sorted(name for (name,) in connection.execute(query))
            row, has_rows = None, False
            if "alembic_version" in tables:
                row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
            for table in tables:
                original = table.removeprefix(_COPY_OF)
                if original not in _SEEDED and not has_rows:
                    # Experiment 0 is MLflow's "Default".
                    rows = "WHERE experiment_id != 0" if original == "experiments" else ""
                    has_rows = bool(connection.execute(f'SELECT 1 FROM "{table}" {rows} LIMIT 1').fetchone())
            return _Contents(frozenset(tables), str(row[0]) if row else "", has_rows)
    except sqlite3.OperationalError as error:
        unreadable = error.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN)
        if mode == "rw" or not unreadable:
            raise
        # A change that was cut off has to be undone before the file can be read: any opening does that, MLflow's too.
        return _read(file, "rw")


def _mlflow_tables() -> frozenset[str]:
    import mlflow.store.db.utils  # noqa: F401, PLC0415 - fills the list of tables
    from mlflow.store.db.base_sql_model import Base  # noqa: PLC0415 - as in database_file

    return frozenset(Base.metadata.tables)
