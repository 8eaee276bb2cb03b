"""The place of artifacts that lie beside a SQLite database, wherever that has gone.

MLflow records artifacts by absolute path, in every run. Here their place is recorded besides as a path relative
to the database file; where the two differ, the database was moved, renamed or copied, and MLflow's record is
corrected in one transaction. So every reader finds them, MLflow's own pages too. Experiments without the relative
path, and artifacts that lie elsewhere, are left as they are.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from kontext_lab.errors import TrackingError
from kontext_lab.tracking.database import database_file

if TYPE_CHECKING:
    from kontext_lab.tracking.store import Store

__all__ = [
    "RELATIVE",
    "WRITABLE",
    "check_database",
    "check_writable",
    "correct",
    "is_gone",
    "is_read_only",
    "local_folder",
    "prepare_folder",
    "relative_to",
]

RELATIVE = "kontext.artifacts"
"""The experiment's tag with its artifacts' folder, relative to the folder of the database file."""

WRITABLE = "allow writing to it, or choose another store with MLFLOW_TRACKING_URI"
"""The way out for whoever wants to write."""

_RECORDS = (
    ("experiments", "artifact_location", "experiment_id = ?"),
    ("runs", "artifact_uri", "experiment_id = ?"),
    ("logged_models", "artifact_location", "experiment_id = ?"),
    (
        "trace_tags",
        "value",
        "key = 'mlflow.artifactLocation' AND request_id IN (SELECT request_id FROM trace_info WHERE experiment_id = ?)",
    ),
)
"""Where MLflow records places of artifacts: table, column, and the rows of an experiment."""


@dataclass(frozen=True)
class _Moved:
    """An experiment whose record is out of date."""

    experiment_id: int
    before: str
    now: str


def local_folder(artifact_uri: str) -> Path | None:
    """The folder an artifact URI names on this machine, or None where artifacts have to be asked for."""
    parts = urlsplit(artifact_uri)
    if parts.scheme == "file":
        return Path(unquote(parts.path))
    return Path(artifact_uri) if not parts.scheme else None


def correct(file: Path) -> list[tuple[str, str]]:
    """Correct the record where a database was moved, renamed or copied; changes nothing where it was not.

    Returns:
        What the record says and what is right, where the database can only be read.

    Raises:
        sqlite3.Error: it is locked, or can't be read.
    """
    with closing(sqlite3.connect(file, timeout=1.0, isolation_level=None)) as connection:
        folder = file.resolve().parent
        moved = list(_moved(connection, folder))
        if not moved:
            return []
        try:
            connection.execute("BEGIN IMMEDIATE")
            # Read again: another process may have corrected it meanwhile.
            for one in list(_moved(connection, folder)):
                _correct(connection, one)
            connection.execute("COMMIT")
        except sqlite3.OperationalError as error:
            denied = error.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN)
            if not denied:
                raise
            return [(one.before, one.now) for one in moved]
    return []


def is_read_only(file: Path) -> bool:
    """Whether a database that is there can only be read: SQLite also writes beside it."""
    return file.exists() and not (os.access(file, os.W_OK) and os.access(file.resolve().parent, os.W_OK))


def check_database(store_uri: str) -> None:
    """Check that a store in a file is there and may be written.

    Raises:
        TrackingError: it is gone, or read-only.
    """
    file = database_file(store_uri)
    if file is not None and not file.exists():
        raise TrackingError(f"the MLflow store {store_uri} is gone: there is no file {file} any more")
    if file is not None and is_read_only(file):
        raise TrackingError(f"the MLflow store {store_uri} is read-only: {WRITABLE}")


def _moved(connection: sqlite3.Connection, folder: Path) -> Iterator[_Moved]:
    query = (
        "SELECT experiment_id, artifact_location, value FROM experiments "
        "JOIN experiment_tags USING (experiment_id) WHERE key = ?"
    )
    for experiment_id, location, relative in connection.execute(query, (RELATIVE,)).fetchall():
        recorded, place = local_folder(location or ""), _joined(folder, relative)
        if recorded is None or place is None or _same(recorded, place):
            continue
        before = location.rstrip("/")
        now = place.as_uri() if urlsplit(location).scheme else str(place)
        yield _Moved(experiment_id, before, now)


def _joined(folder: Path, relative: str) -> Path | None:
    """The place that a tag names; None where somebody wrote a path into it that leads out of the folder."""
    path = PurePosixPath(relative)
    return None if path.is_absolute() or not path.parts or ".." in path.parts else folder / path


def _same(one: Path, other: Path) -> bool:
    """Whether two paths lead to one place: a folder is also reached through links."""
    return one == other or one.resolve() == other.resolve()


def _correct(connection: sqlite3.Connection, moved: _Moved) -> None:
    before, length = moved.before, len(moved.before)
    for table, column, rows in _RECORDS:
        connection.execute(
            f"UPDATE {table} SET {column} = ? || substr({column}, ?) "
            f"WHERE {rows} AND ({column} = ? OR substr({column}, 1, ?) = ?)",
            (moved.now, length + 1, moved.experiment_id, before, length + 1, f"{before}/"),
        )


def prepare_folder(store: Store) -> None:
    """Before a sweep begins: record the relative place of its experiment, and see that its folder may be written.

    A folder outside the database's is made for a new experiment only: where sweeps were recorded already, it is on
    a disk that isn't mounted, or the trace of a store that was moved.

    Raises:
        TrackingError: the folder is not there, or can't be written.
    """
    check_database(store.uri)
    experiment = store.client.get_experiment(store.experiment_id)
    root = local_folder(experiment.artifact_location)
    if root is None:
        return
    file = database_file(store.uri)
    relative = "" if file is None else relative_to(file, root)
    if relative and RELATIVE not in experiment.tags:
        store.client.set_experiment_tag(store.experiment_id, RELATIVE, relative)
    if not relative and not root.is_dir() and root.parent.parent.is_dir():
        sweeps = "tags.`kontext.kind` = 'sweep'"
        if not store.client.search_runs([store.experiment_id], sweeps, max_results=1):
            root.mkdir(parents=True, exist_ok=True)
    check_writable(store.uri, root)


def relative_to(file: Path, place: Path) -> str:
    """A place relative to the folder of a database file, or "" where it is not inside."""
    folder = file.resolve().parent
    for one in (place, place.resolve()):
        if one != folder and one.is_relative_to(folder):
            return one.relative_to(folder).as_posix()
    return ""


def check_writable(store_uri: str, root: Path) -> None:
    """Check that artifacts may be written under an experiment's folder on this machine.

    Raises:
        TrackingError: the database file is gone or read-only, or so is the folder and not beside the database.
    """
    check_database(store_uri)
    if root.is_dir() and not os.access(root, os.W_OK | os.X_OK):
        raise TrackingError(f"artifacts are kept in {root}, which is read-only: {WRITABLE}")
    if not root.is_dir() and not is_gone(store_uri, root):
        raise TrackingError(
            f"artifacts are kept in {root}, which is not there: mount that disk, bring the folder back, or choose "
            "another experiment with MLFLOW_EXPERIMENT_NAME"
        )


def is_gone(store_uri: str, root: Path) -> bool:
    """Whether what is not found under an experiment's folder is definitely gone, and not only out of reach.

    Args:
        store_uri: of the store.
        root: the experiment's folder.
    """
    if root.is_dir():
        return True
    file = database_file(store_uri)
    if file is None:
        return False  # it may lie on another machine
    folder = file.resolve().parent
    if not relative_to(file, root):
        return False  # it may lie on a disk that isn't mounted
    between = [root, *(one for one in root.parents if one.is_relative_to(folder))]
    return not any(one.is_symlink() for one in between if not one.exists())
