"""An index of the fingerprints in other stores, so that a plan can name another store.

It is a hint that can be rebuilt: it may be lost, damaged or locked. Nothing here raises or waits.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable, Iterable
from contextlib import closing, suppress
from pathlib import Path
from typing import TypeVar
from urllib.parse import unquote

from kontext_lab.errors import ConfigError
from kontext_lab.journal.durable_files import private_folder

__all__ = ["StoreIndex", "store_is_there"]

FILE = "notices.db"

VERSION = 1
"""Of the tables; a file of another version is made anew."""

LENGTH = 32
"""Characters of a fingerprint in the index, as in the store's dataset digests."""

LOCK_SECONDS = 0.05
"""Longest wait for another process: a hint is not worth more."""

# In one statement and one transaction: another process may be making the same file.
_STATE = "SELECT (SELECT user_version FROM pragma_user_version), (SELECT COUNT(*) FROM sqlite_master)"

_MAKE = f"""
BEGIN IMMEDIATE;
CREATE TABLE IF NOT EXISTS stores (id INTEGER PRIMARY KEY, uri TEXT UNIQUE);
CREATE TABLE IF NOT EXISTS held
    (fingerprint TEXT, store INTEGER, PRIMARY KEY (fingerprint, store)) WITHOUT ROWID;
PRAGMA user_version = {VERSION};
COMMIT;
"""

_COUNTS = """
SELECT uri, COUNT(*) FROM held JOIN stores ON id = store
WHERE fingerprint IN (SELECT value FROM json_each(?))
GROUP BY uri ORDER BY COUNT(*) DESC, uri
"""

Answer = TypeVar("Answer")


class StoreIndex:
    """The index in one home folder.

    Args:
        home: the folder that holds the journal; made by the first note, for its owner alone.
    """

    def __init__(self, home: Path) -> None:
        self._file = home / FILE

    def note(self, store: str, fingerprints: Iterable[str]) -> None:
        """Note that a store, by its URI without a password, holds paid cells; nothing if the file can't be written."""
        wanted = sorted({fingerprint[:LENGTH] for fingerprint in fingerprints})
        if not wanted:
            return

        def write(database: sqlite3.Connection) -> None:
            database.execute("INSERT OR IGNORE INTO stores (uri) VALUES (?)", (store,))
            (number,) = database.execute("SELECT id FROM stores WHERE uri = ?", (store,)).fetchone()
            rows = ((fingerprint, number) for fingerprint in wanted)
            database.executemany("INSERT OR IGNORE INTO held VALUES (?, ?)", rows)

        with suppress(OSError, ConfigError):
            private_folder(self._file.parent)
            self._with_database(write, None)

    def holding(self, fingerprints: Iterable[str], besides: str) -> dict[str, int]:
        """The number of these cells in each store besides one, the largest first; no SQLite files that are gone."""
        wanted = json.dumps(sorted({fingerprint[:LENGTH] for fingerprint in fingerprints}))

        def read(database: sqlite3.Connection) -> list[tuple[str, int]]:
            return database.execute(_COUNTS, (wanted,)).fetchall()

        nothing: list[tuple[str, int]] = []
        counts = self._with_database(read, nothing) if _is_file(self._file) else nothing
        return {store: count for store, count in counts if store != besides and store_is_there(store)}

    def _with_database(self, action: Callable[[sqlite3.Connection], Answer], otherwise: Answer) -> Answer:
        """Call a function with the file; a damaged file is replaced, and the function called again."""
        for _ in range(2):
            try:
                # SQLite would make a file that the umask may let everyone read.
                os.close(os.open(self._file, os.O_RDWR | os.O_CREAT, 0o600))
                with closing(sqlite3.connect(self._file, timeout=LOCK_SECONDS)) as database:
                    # A power cut may cost the hint: no waiting for the disk, no file to undo changes by.
                    database.execute("PRAGMA synchronous = OFF")
                    database.execute("PRAGMA journal_mode = MEMORY")
                    version, tables = database.execute(_STATE).fetchone()
                    if version != VERSION and tables:
                        raise sqlite3.DatabaseError("the file is of another version of this package")
                    if version != VERSION:
                        database.executescript(_MAKE)
                    with database:
                        return action(database)
            except sqlite3.OperationalError:
                return otherwise  # locked, a full disk, no right to write: the file may be whole
            except sqlite3.DatabaseError:
                for suffix in ("", "-journal", "-wal", "-shm"):
                    with suppress(OSError):
                        self._file.with_name(FILE + suffix).unlink(missing_ok=True)
            except (sqlite3.Error, OSError, ValueError):
                return otherwise
        return otherwise


def store_is_there(store: str) -> bool:
    """False if a store is a SQLite file that is gone; True for any other store, which is not asked."""
    if not store.startswith("sqlite"):
        return True
    return _is_file(Path(unquote(store.partition(":///")[2].partition("?")[0])))


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # no right to look, or an invalid name
        return False
