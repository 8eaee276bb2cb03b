"""The notice of other stores: what it remembers, and that nothing about it ever gets in the way."""

from __future__ import annotations

import hashlib
import os
import sqlite3
import stat
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from kontext_lab.journal.store_index import StoreIndex

HERE, THERE = "http://here:5000", "http://there:5000"

CELLS = [hashlib.sha256(str(number).encode()).hexdigest() for number in range(1000)]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home folder that isn't there yet."""
    return tmp_path / "journal"


def test_other_stores_are_counted(home: Path) -> None:
    """Each store counts those of the cells it holds."""
    StoreIndex(home).note(THERE, CELLS[:12])
    assert {THERE: 12} == StoreIndex(home).holding(CELLS[:36], besides=HERE)


def test_the_store_in_use_is_left_out(home: Path) -> None:
    """What the store in use holds is no news."""
    StoreIndex(home).note(HERE, CELLS[:12])
    assert {} == StoreIndex(home).holding(CELLS, besides=HERE)


def test_the_store_with_most_comes_first(home: Path) -> None:
    """Several stores are in order of how many cells they hold."""
    StoreIndex(home).note("http://few", CELLS[:2])
    StoreIndex(home).note("http://many", CELLS[:7])
    assert ["http://many", "http://few"] == list(StoreIndex(home).holding(CELLS, besides=HERE))


def test_the_same_cell_counts_once(home: Path) -> None:
    """Noting and asking twice change nothing."""
    for _ in range(2):
        StoreIndex(home).note(THERE, CELLS[:3] * 2)
    assert {THERE: 3} == StoreIndex(home).holding(CELLS[:3] * 2, besides=HERE)


def test_a_store_whose_file_is_gone_is_not_named(home: Path, tmp_path: Path) -> None:
    """Nobody is sent to a SQLite file that was deleted."""
    file = tmp_path / "mlflow.db"
    file.touch()
    uri = f"sqlite:///{file}"
    StoreIndex(home).note(uri, CELLS[:1])
    before = StoreIndex(home).holding(CELLS, besides=HERE)
    file.unlink()
    assert ({uri: 1}, {}) == (before, StoreIndex(home).holding(CELLS, besides=HERE))


def test_asking_makes_nothing(home: Path) -> None:
    """Where nothing was noted, no folder appears."""
    assert ({}, False) == (StoreIndex(home).holding(CELLS, besides=HERE), home.exists())


@pytest.mark.skipif(os.name != "posix", reason="permissions of a POSIX system")
def test_only_the_owner_reads_it(home: Path) -> None:
    """Folder and file are closed to others, whatever the umask."""
    before = os.umask(0)
    try:
        StoreIndex(home).note(THERE, CELLS[:1])
    finally:
        os.umask(before)
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (home, home / "notices.db")]
    assert [0o700, 0o600] == modes


@pytest.mark.parametrize("damage", [b"", b"no database at all" * 300, b"SQLite format 3\0" + b"\xff" * 5000])
def test_a_damaged_file_is_replaced(home: Path, damage: bytes) -> None:
    """After the damage it is empty, and remembers again."""
    StoreIndex(home).note(THERE, CELLS[:5])
    (home / "notices.db").write_bytes(damage)
    lost = StoreIndex(home).holding(CELLS, besides=HERE)
    StoreIndex(home).note(THERE, CELLS[:2])
    assert ({}, {THERE: 2}) == (lost, StoreIndex(home).holding(CELLS, besides=HERE))


def test_pages_damaged_in_the_middle_raise_nothing(home: Path) -> None:
    """A file whose head is whole and whose rest is not does no harm."""
    StoreIndex(home).note(THERE, CELLS)
    file = home / "notices.db"
    data = file.read_bytes()
    file.write_bytes(data[:4096] + b"\xaa" * (len(data) - 4096))
    StoreIndex(home).holding(CELLS, besides=HERE)
    StoreIndex(home).note(THERE, CELLS[:2])
    assert {THERE: 2} == StoreIndex(home).holding(CELLS, besides=HERE)


def test_a_file_of_another_version_is_replaced(home: Path) -> None:
    """What another version of the package left is made anew."""
    home.mkdir()
    with sqlite3.connect(home / "notices.db") as database:
        database.execute("CREATE TABLE held (something TEXT)")
        database.execute("PRAGMA user_version = 99")
    database.close()
    StoreIndex(home).note(THERE, CELLS[:2])
    assert {THERE: 2} == StoreIndex(home).holding(CELLS, besides=HERE)


def test_a_lock_is_not_waited_for(home: Path) -> None:
    """While another process holds the file, nothing is noted and nothing is waited for."""
    StoreIndex(home).note(THERE, CELLS[:1])
    held = sqlite3.connect(home / "notices.db", isolation_level=None)
    held.execute("BEGIN EXCLUSIVE")
    began = time.perf_counter()
    StoreIndex(home).note(THERE, CELLS)
    found = StoreIndex(home).holding(CELLS, besides=HERE)
    seconds = time.perf_counter() - began
    held.close()
    assert ({}, True) == (found, seconds < 2)


@pytest.mark.parametrize("obstacle", ["a folder", "a file in place of the home", "no right"])
def test_what_cannot_be_written_is_left(home: Path, obstacle: str) -> None:
    """Whatever stands in the way, nothing is raised and nothing found."""
    if obstacle == "a folder":
        (home / "notices.db").mkdir(parents=True)
    elif obstacle == "no right":
        home.mkdir()
        (home / "notices.db").touch(0o400)
    else:
        home.write_text("a file")
    StoreIndex(home).note(THERE, CELLS[:1])
    found = StoreIndex(home).holding(CELLS, besides=HERE)
    assert found in ({}, {THERE: 1})  # root writes where others may not


def test_a_full_disk_is_swallowed(home: Path) -> None:
    """Where nothing more fits, nothing is noted and nothing raised."""
    StoreIndex(home).note(THERE, CELLS[:1])
    # SQLite has its own word for a full disk: a limit of pages, kept by the connection that sets it.
    notice = StoreIndex(home)
    connect = sqlite3.connect

    def full(*args: object, **kwargs: object) -> sqlite3.Connection:
        made = connect(*args, **kwargs)  # type: ignore[call-overload]
        made.execute("PRAGMA max_page_count = 1")
        return made

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sqlite3, "connect", full)
        notice.note(THERE, CELLS)
    assert {THERE: 1} == StoreIndex(home).holding(CELLS, besides=HERE)


def test_many_at_once(home: Path) -> None:
    """Several threads that begin with no file leave one that works."""
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda part: StoreIndex(home).note(THERE, CELLS[part::8]), range(8)))
    StoreIndex(home).note(THERE, CELLS)
    assert {THERE: 1000} == StoreIndex(home).holding(CELLS, besides=HERE)


def test_a_thousand_are_quick(home: Path) -> None:
    """Noting and asking for a thousand takes milliseconds; the limit is generous for busy machines."""
    StoreIndex(home).note(THERE, CELLS[:1])
    seconds = []
    for _ in range(5):
        began = time.perf_counter()
        StoreIndex(home).note(THERE, CELLS)
        StoreIndex(home).holding(CELLS, besides=HERE)
        seconds.append(time.perf_counter() - began)
    assert min(seconds) < 0.05
