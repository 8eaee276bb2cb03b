"""An index of the fingerprints that other stores hold, so that a plan can name another store.

A hint that can be rebuilt: it may be lost, damaged or locked. Nothing here raises or waits.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import TypeVar
from urllib.parse import unquote

from kontext_lab.errors import ConfigError
from kontext_lab.journal.home import private_folder

__all__ = ["StoreIndex", "store_is_there"]

FILE = "notices.db"

VERSION = 1
"""Of the table; a file of another version is made anew."""

LOCK_SECONDS = 0.05
"""A hint is not worth waiting for."""

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

Answer = TypeVar("Answer")


class StoreIndex:
    """What is remembered in one home folder.

    Args:
        home: the journal's folder; made when something is noted, for its owner alone.
    """

    def __init__(self, home: Path) -> None:
        self._file = home / FILE

    def note(self, store: str, fingerprints: Iterable[str]) -> None:
        """Remember that a store holds pictures that were paid for; nothing happens where that can't be.

        Args:
            store: its URI without a password.
            fingerprints: of the cells; the sandbox's don't belong here.
        """
        wanted = sorted({_short(one) for one in fingerprints})
        if not wanted:
            return

        def write(database: sqlite3.Connection) -> None:
            database.execute("INSERT OR IGNORE INTO stores (uri) VALUES (?)", (store,))
            (number,) = database.execute("SELECT id FROM stores WHERE uri = ?", (store,)).fetchone()
            rows = ((one, number) for one in wanted)
            database.executemany("INSERT OR IGNORE INTO held VALUES (?, ?)", rows)

        with suppress(OSError, ConfigError):
            private_folder(self._file.parent)
            self._with_database(write, None)

    def holding(self, fingerprints: Iterable[str], besides: str) -> dict[str, int]:
        """How many of these cells other stores hold, by store, the one with most first.

        Args:
            fingerprints: of the cells in question.
            besides: the URI of the store in use, without a password.

        Returns:
            Nothing for stores that are SQLite files and not there any more, and for what nobody noted.
        """
        wanted = sorted({_short(one) for one in fingerprints})

        def read(database: sqlite3.Connection) -> dict[str, int]:
            found: dict[int, int] = {}
            for part in _parts(wanted):
                places = ",".join("?" * len(part))
                query = f"SELECT store, COUNT(*) FROM held WHERE fingerprint IN ({places}) GROUP BY store"
                for number, count in database.execute(query, part):
                    found[number] = found.get(number, 0) + count
            uris = dict(database.execute("SELECT id, uri FROM stores"))
            return {uris[number]: count for number, count in found.items() if number in uris}

        if not wanted or not _is_file(self._file):
            return {}
        nothing: dict[str, int] = {}
        counts = self._with_database(read, nothing)
        ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
        return {store: count for store, count in ordered if store != besides and store_is_there(store)}

    def _with_database(self, action: Callable[[sqlite3.Connection], Answer], otherwise: Answer) -> Answer:
        """Do something with the file; a damaged one is replaced, and it is done once more."""
        for _ in range(2):
            try:
                return self._once(action)
            except sqlite3.OperationalError:
                return otherwise  # locked, a full disk, no right to write: the file may be whole
            except (sqlite3.DatabaseError, _OtherVersion):
                self._remove()
            except (sqlite3.Error, OSError, ValueError):
                return otherwise
        return otherwise

    def _once(self, action: Callable[[sqlite3.Connection], Answer]) -> Answer:
        # SQLite would make a file that everyone reads whom the umask lets.
        os.close(os.open(self._file, os.O_RDWR | os.O_CREAT, 0o600))
        with closing(sqlite3.connect(self._file, timeout=LOCK_SECONDS)) as database:
            # What a power cut costs is a hint: no waiting for the disk, no file to undo things by.
            database.execute("PRAGMA synchronous = OFF")
            database.execute("PRAGMA journal_mode = MEMORY")
            version, tables = database.execute(_STATE).fetchone()
            if version != VERSION and tables:
                raise _OtherVersion
            if version != VERSION:
                database.executescript(_MAKE)
            with database:
                return action(database)

    def _remove(self) -> None:
        for name in (FILE, f"{FILE}-journal", f"{FILE}-wal", f"{FILE}-shm"):
            with suppress(OSError):
                (self._file.parent / name).unlink(missing_ok=True)


class _OtherVersion(Exception):
    """The file is of another version of this package."""


def _short(fingerprint: str) -> str:
    return fingerprint[:32]  # as the store's dataset digests: half of it tells them apart just as well


def _parts(wanted: list[str], size: int = 500) -> Iterator[list[str]]:
    for start in range(0, len(wanted), size):
        yield wanted[start : start + size]


def store_is_there(store: str) -> bool:
    """Whether a store is still where its address says: False for a SQLite file that is gone; what a server has nobody asks here."""
    if not store.startswith("sqlite"):
        return True
    return _is_file(Path(unquote(store.partition(":///")[2].partition("?")[0])))


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # no right to look, or no name of a file
        return False
