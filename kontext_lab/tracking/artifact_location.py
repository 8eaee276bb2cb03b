"""The location of artifacts that lie beside a SQLite database, also after the database was moved.

MLflow records artifacts by absolute path, in every run. Here their location is recorded a second time, as a path
relative to the database file; if the two differ, the database was moved, renamed or copied, and MLflow's record is
corrected in one transaction. So every reader finds them, MLflow's own pages too. Experiments without the relative
path, and artifacts that lie elsewhere, stay as they are.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from kontext_lab.errors import TrackingError
from kontext_lab.tracking.database import database_file

__all__ = [
    "RELATIVE",
    "WRITABLE",
    "check_database",
    "check_writable",
    "correct",
    "is_gone",
    "is_read_only",
    "local_folder",
    "relative_to",
]

RELATIVE = "kontext.artifacts"
"""The experiment's tag with its artifacts' folder, relative to the folder of the database file."""

WRITABLE = "allow writing to it, or choose another store with MLFLOW_TRACKING_URI"
"""The way out of a store that can't be written."""

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
"""Places in which MLflow records locations of artifacts: table, column, and the rows of an experiment."""


def local_folder(artifact_uri: str) -> Path | None:
    """The folder on this machine that an artifact URI names, or None if it names no folder here."""
    parts = urlsplit(artifact_uri)
    if parts.scheme == "file":
        return Path(unquote(parts.path))
    return Path(artifact_uri) if not parts.scheme else None


def correct(file: Path) -> list[tuple[str, str]]:
    """Correct the record of a database that was moved, renamed or copied.

    Returns recorded and actual locations if the record is wrong and the database can only be read; else nothing.
    """
    with closing(sqlite3.connect(file, timeout=1.0, isolation_level=None)) as connection:
        folder = file.resolve().parent
        moved = list(_moved(connection, folder))
        if not moved:
            return []
        try:
            connection.execute("BEGIN IMMEDIATE")
            # Read again: another process may have corrected it meanwhile.
            for experiment_id, before, now in list(_moved(connection, folder)):
                length = len(before)
                for table, column, rows in _RECORDS:
                    connection.execute(
                        f"UPDATE {table} SET {column} = ? || substr({column}, ?) "
                        f"WHERE {rows} AND ({column} = ? OR substr({column}, 1, ?) = ?)",
                        (now, length + 1, experiment_id, before, length + 1, f"{before}/"),
                    )
            connection.execute("COMMIT")
        except sqlite3.OperationalError as error:
            denied = error.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN)
            if not denied:
                raise
            return [(before, now) for _, before, now in moved]
    return []


def _moved(connection: sqlite3.Connection, folder: Path) -> Iterator[tuple[int, str, str]]:
    """Experiments whose record is out of date: id, recorded location, actual location."""
    query = (
        "SELECT experiment_id, artifact_location, value FROM experiments "
        "JOIN experiment_tags USING (experiment_id) WHERE key = ?"
    )
    for experiment_id, location, tag in connection.execute(query, (RELATIVE,)).fetchall():
        recorded, relative = local_folder(location or ""), PurePosixPath(tag)
        # A person may have written a path into the tag that leads out of the folder.
        inside = relative.parts and not relative.is_absolute() and ".." not in relative.parts
        if recorded is None or not inside:
            continue
        actual = folder / relative
        # A folder is also reached through links.
        if recorded != actual and recorded.resolve() != actual.resolve():
            now = actual.as_uri() if urlsplit(location).scheme else str(actual)
            yield experiment_id, location.rstrip("/"), now


def is_read_only(file: Path) -> bool:
    """True if a database exists and can only be read: SQLite also writes beside it."""
    return file.exists() and not (os.access(file, os.W_OK) and os.access(file.resolve().parent, os.W_OK))


def check_database(store_uri: str) -> None:
    """Raise a TrackingError if the file of a store is gone or read-only; any other store passes."""
    file = database_file(store_uri)
    if file is not None and not file.exists():
        raise TrackingError(f"the MLflow store {store_uri} is gone: there is no file {file} any more")
    if file is not None and is_read_only(file):
        raise TrackingError(f"the MLflow store {store_uri} is read-only: {WRITABLE}")


def relative_to(file: Path, place: Path) -> str:
    """A path relative to the folder of a database file, or "" if it lies outside."""
    folder = file.resolve().parent
    for path in (place, place.resolve()):
        if path != folder and path.is_relative_to(folder):
            return path.relative_to(folder).as_posix()
    return ""


def check_writable(store_uri: str, root: Path) -> None:
    """Raise a TrackingError if artifacts can't be written to an experiment's folder on this machine.

    A missing folder inside the database's passes, since it is made.
    """
    check_database(store_uri)
    if root.is_dir() and not os.access(root, os.W_OK | os.X_OK):
        raise TrackingError(f"the folder of artifacts {root} is read-only: {WRITABLE}")
    if not root.is_dir() and not is_gone(store_uri, root):
        raise TrackingError(
            f"the folder of artifacts {root} is missing: mount its disk, bring the folder back, or choose "
            "another experiment with MLFLOW_EXPERIMENT_NAME"
        )


def is_gone(store_uri: str, root: Path) -> bool:
    """True if a file that is not found under an experiment's folder is gone, and not only out of reach."""
    if root.is_dir():
        return True
    file = database_file(store_uri)
    if file is None:
        return False  # it may lie on another machine
    folder = file.resolve().parent
    if not relative_to(file, root):
        return False  # it may lie on a disk that isn't mounted
    between = [root, *(path for path in root.parents if path.is_relative_to(folder))]
    return not any(path.is_symlink() for path in between if not path.exists())
