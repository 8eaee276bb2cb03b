"""What is special to a store in a database, most of all in a SQLite file: made whole or not at all, and looked at before MLflow changes it.

MLflow makes its tables in some seventy steps, each written at once: a process killed between two of them leaves
a file that MLflow never opens again. So a new file is made under another name and moved into place when it is
whole. A file that is there already is only ever read here.
"""

from __future__ import annotations

import os
import shlex
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

import mlflow
from filelock import FileLock, Timeout

from kontext_lab.errors import TrackingError

__all__ = ["database_file", "explain", "knock", "may_hold", "prepare"]

_SIDE_FILES = ("-journal", "-wal", "-shm")

_SEEDED = ("alembic_version", "workspaces")
"""Tables that MLflow's migrations fill by themselves."""

_COPY_OF = "_alembic_tmp_"
"""What Alembic calls a table it is about to put in another's place."""


def database_file(uri: str) -> Path | None:
    """The file of a SQLite store; None for any other store, and for SQLite's own `file:` addresses."""
    if not uri.startswith("sqlite"):
        return None
    from sqlalchemy import make_url  # noqa: PLC0415 - a third of a second, and MLflow needs it only for databases

    name = make_url(uri).database or ""
    return None if name.startswith("file:") or not name else Path(name)


def knock(uri: str) -> None:
    """Connect once to a database server: with a wrong name or password MLflow goes on trying for 101 seconds.

    Raises:
        Exception: SQLAlchemy's or the driver's.
    """
    from sqlalchemy import NullPool, create_engine  # noqa: PLC0415 - as in database_file

    create_engine(uri, poolclass=NullPool).connect().close()


def prepare(uri: str, file: Path) -> None:
    """Make a database that isn't there, or see that MLflow would not change one that holds something.

    Raises:
        TrackingError: MLflow can't use the file, or would upgrade it without a copy having been made.
        sqlite3.Error: it is locked, or can't be read.
    """
    whole = file.resolve()  # of a link, the file it points to
    _clear_leftovers(whole)
    if whole.exists():
        _check(uri, file)
    else:
        forget(uri)
        _make(whole)


def explain(uri: str, file: Path) -> None:
    """Say why MLflow could not open a file, where the file shows it; returns where it doesn't.

    Raises:
        TrackingError: in one line, with the way out.
    """
    forget(uri)
    with suppress(sqlite3.Error, OSError):
        found = _look(file)
        _refuse(uri, file, found)
        if not found.whole or found.revision != _Revisions.read().head:
            raise TrackingError(
                f"the MLflow store {file} was never finished, an earlier start was cut off, or is of an older "
                f"MLflow; it holds no runs: move it away, {_move(file)}, and run again"
            )


def may_hold(uri: str, run_id: str) -> bool:
    """Whether a run may be in a store; False where that is a SQLite file that is gone, or has no such run."""
    file = database_file(uri)
    if file is None or not file.exists():
        return file is None
    try:
        with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            query = "SELECT 1 FROM runs WHERE run_uuid = ?"
            return connection.execute(query, (run_id,)).fetchone() is not None
    except sqlite3.Error:
        return True


def forget(uri: str) -> None:
    """Close MLflow's kept connections: they would go on with a file that has been moved away."""
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore  # noqa: PLC0415 - as in database_file

    engine = getattr(SqlAlchemyStore, "_engine_map", {}).get(uri)
    if engine is not None:
        engine.dispose()


def _make(file: Path) -> None:
    """A whole new database at a place where there is none; leaves it to MLflow where that can't be."""
    if any(_beside(file, end).exists() for end in _SIDE_FILES):
        return  # of a file that is gone: SQLite clears them away when it makes one itself, not for a finished one
    try:
        folder = Path(tempfile.mkdtemp(prefix=_prefix(file), dir=file.parent))
    except OSError:
        return
    lock = FileLock(folder / "in-use")
    try:
        # Held as long as this process lives, and by no other: so the next one knows what is left over.
        lock.acquire(timeout=0)
        _migrate(folder / file.name)
        # Unlike a rename it never takes the place of a file that someone else made meanwhile.
        os.link(folder / file.name, file)
    except (OSError, Timeout, NotImplementedError):
        pass  # someone was faster, or this disk knows no links or locks: MLflow opens what is there, or makes it
    finally:
        lock.release()
        shutil.rmtree(folder, ignore_errors=True)


def _migrate(file: Path) -> None:
    from mlflow.store.db import utils  # noqa: PLC0415 - as in database_file
    from sqlalchemy import URL, event  # noqa: PLC0415

    address = URL.create("sqlite", database=str(file)).render_as_string(hide_password=False)
    engine = utils.create_sqlalchemy_engine(address)  # type: ignore[no-untyped-call]
    # Nobody needs a half-made file after a crash, so SQLite need not wait for the disk at each of 70 steps.
    event.listen(engine, "connect", lambda connection, _: connection.execute("PRAGMA synchronous = OFF"))
    try:
        utils._initialize_tables(engine)  # type: ignore[no-untyped-call]
    finally:
        engine.dispose()
    with file.open("r+b") as written:
        os.fsync(written.fileno())


def _clear_leftovers(file: Path) -> None:
    """Remove what a process that was killed while it made this database left behind."""
    with suppress(OSError):
        for entry in [one for one in os.scandir(file.parent) if one.name.startswith(_prefix(file))]:
            lock = FileLock(Path(entry.path) / "in-use")
            with suppress(OSError, Timeout, NotImplementedError):
                lock.acquire(timeout=0)
                lock.release()
                shutil.rmtree(entry.path, ignore_errors=True)


def _prefix(file: Path) -> str:
    return f".{file.name}.making-"


def _beside(file: Path, end: str) -> Path:
    return file.with_name(file.name + end)


@dataclass(frozen=True)
class _Found:
    """What a database file shows to one who only reads it.

    Attributes:
        tables: their names.
        revision: which of MLflow's migrations was the last, or "".
        holds: whether there is anything in it that a person made.
    """

    tables: frozenset[str]
    revision: str
    holds: bool

    @property
    def whole(self) -> bool:
        """Whether every table is there that this MLflow has: it then changes nothing when it opens the file."""
        return self.tables >= _mlflow_tables()


@dataclass(frozen=True)
class _Revisions:
    """The migrations that this MLflow knows."""

    head: str
    known: frozenset[str]

    @classmethod
    def read(cls) -> _Revisions:
        from alembic.script import ScriptDirectory  # noqa: PLC0415 - as in database_file

        script = ScriptDirectory(str(Path(mlflow.__file__).parent / "store" / "db_migrations"))
        return cls(script.get_heads()[0], frozenset(one.revision for one in script.walk_revisions()))


def _check(uri: str, file: Path) -> None:
    """Before MLflow opens a file: it makes and changes tables wherever one of its own is missing."""
    if file.stat().st_size == 0:
        return
    try:
        found = _look(file)
    except sqlite3.DatabaseError as error:
        _refuse_damaged(file, error)
        raise
    if not found.whole:
        _refuse(uri, file, found)


def _refuse(uri: str, file: Path, found: _Found) -> None:
    """Raise where a file is not for this MLflow to open, or not without a copy."""
    if found.tables and not found.tables & _mlflow_tables():
        raise TrackingError(
            f"the database {file} belongs to another program, MLflow would put its tables into it: "
            "set MLFLOW_TRACKING_URI=sqlite:///another-name.db"
        )
    revisions = _Revisions.read()
    if found.revision and found.revision not in revisions.known:
        raise TrackingError(
            f"the MLflow store {file} was made by a newer MLflow than this one, {mlflow.__version__}: "
            "update mlflow, or choose another store with MLFLOW_TRACKING_URI"
        )
    if found.holds and (found.revision != revisions.head or not found.whole):
        raise TrackingError(
            f"the MLflow store {file} is of an older MLflow, or its upgrade was cut off: copy the file, then run "
            f"`mlflow db upgrade {shlex.quote(uri)}`; where that says 'already exists' or 'duplicate', it was cut "
            "off: put back the copy from before it, then upgrade"
        )


def _refuse_damaged(file: Path, error: sqlite3.DatabaseError) -> None:
    kind = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if kind == sqlite3.SQLITE_NOTADB:
        raise TrackingError(
            f"{file} is no SQLite database: name another file, such as MLFLOW_TRACKING_URI=sqlite:///mlflow.db"
        ) from None
    if kind == sqlite3.SQLITE_CORRUPT:
        raise TrackingError(
            f"the MLflow store {file} is damaged ({error}): put back a copy, or save what can be read with "
            f"`sqlite3 {shlex.quote(str(file))} .recover`"
        ) from None


def _look(file: Path) -> _Found:
    """Read a database without changing it."""
    try:
        return _read(file, "ro")
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & 0xFF not in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN):
            raise
        # A change that was cut off has to be undone before anyone can read: any opening does that, MLflow's too.
        return _read(file, "rw")


def _read(file: Path, mode: str) -> _Found:
    with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode={mode}", uri=True)) as connection:
        names = [
            name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        ]
        tables = frozenset(name for name in names if not name.startswith("sqlite_"))
        row = None
        if "alembic_version" in tables:
            row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
        return _Found(tables, str(row[0]) if row else "", any(_filled(connection, tables)))


def _filled(connection: sqlite3.Connection, tables: frozenset[str]) -> Iterator[bool]:
    """For each table whether it has a row that MLflow did not put there by itself."""
    for table in sorted(tables):
        original = table.removeprefix(_COPY_OF)
        if original not in _SEEDED:
            # Experiment 0 is MLflow's "Default".
            rows = "WHERE experiment_id != 0" if original == "experiments" else ""
            yield connection.execute(f'SELECT 1 FROM "{table}" {rows} LIMIT 1').fetchone() is not None


def _mlflow_tables() -> frozenset[str]:
    import mlflow.store.db.utils  # noqa: F401, PLC0415 - fills the list of tables
    from mlflow.store.db.base_sql_model import Base  # noqa: PLC0415 - as in database_file

    return frozenset(Base.metadata.tables)


def _move(file: Path) -> str:
    """The commands that move a file away, with what belongs to it, to a name that is free."""
    word = "move" if os.name == "nt" else "mv"
    target = _beside(file, ".unfinished")
    number = 1
    while target.exists():
        number += 1
        target = _beside(file, f".unfinished-{number}")
    ends = ["", *(end for end in _SIDE_FILES if _beside(file, end).exists())]
    moves = [
        f"{word} {shlex.quote(str(_beside(file, end)))} {shlex.quote(str(_beside(target, end)))}"
        for end in ends
    ]
    return "`" + " && ".join(moves) + "`"
