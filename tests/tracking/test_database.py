"""A store in a SQLite file: made whole or not at all, looked at before it is touched, waited for where it is locked."""

from __future__ import annotations

import logging
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

import kontext_lab as kl
from kontext_lab.errors import TrackingError
from kontext_lab.tracking import SweepRecorder, Tracker, client_calls
from kontext_lab.tracking.store import check_reachable, open_store

OPEN = "import sys; from kontext_lab.tracking import Tracker; Tracker(sys.argv[1]); print('open')"


def uri_of(file: Path) -> str:
    """A file as a store."""
    return f"sqlite:///{file}"


def change(file: Path, *statements: str) -> None:
    """Change a database behind MLflow's back."""
    with closing(sqlite3.connect(file)) as connection, connection:
        for statement in statements:
            connection.execute(statement)


def with_a_run(file: Path) -> None:
    """Put a run into a store, as an older MLflow would have."""
    change(
        file,
        "INSERT OR IGNORE INTO experiments (experiment_id, name, lifecycle_stage) VALUES (0, 'Default', 'active')",
        "INSERT INTO runs (run_uuid, name, status, lifecycle_stage, experiment_id) "
        "VALUES ('a1', 'old', 'FINISHED', 'active', 0)",
    )


def refusal(file: Path) -> str:
    """What is said when a store can't be opened; the file has to be as it was."""
    before = file.read_bytes()
    with pytest.raises(TrackingError) as caught:
        open_store(uri_of(file), None)
    assert before == file.read_bytes()
    assert 1 == len(str(caught.value).splitlines())
    return str(caught.value)


@pytest.fixture
def file(workdir: Path) -> Path:
    """Where a store may be."""
    return workdir / "my store.db"


@pytest.fixture
def store_file(migrated_store: Path, file: Path) -> Path:
    """A store that is whole."""
    shutil.copy(migrated_store, file)
    return file


@pytest.fixture
def locked(store_file: Path) -> Callable[[float], object]:
    """Has another process hold the store for so many seconds."""

    @contextmanager
    def hold(seconds: float) -> Iterator[None]:
        code = (
            "import sqlite3, sys, time; c = sqlite3.connect(sys.argv[1], isolation_level=None);"
            "c.execute('BEGIN EXCLUSIVE'); print('held', flush=True); time.sleep(float(sys.argv[2]))"
        )
        command = [sys.executable, "-c", code, str(store_file), str(seconds)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            assert "held\n" == process.stdout.readline()
            yield
            process.kill()

    return hold


# Making


def test_new_store_is_whole_and_leaves_nothing_beside_it(file: Path) -> None:
    """A first opening leaves the database and no file more."""
    open_store(uri_of(file), None)

    assert [file.name] == sorted(path.name for path in file.parent.iterdir())


def test_nothing_in_a_new_store_knows_the_name_it_was_made_under(file: Path) -> None:
    """Experiments keep their files by the store's own name."""
    open_store(uri_of(file), None)

    assert b"making-" not in file.read_bytes()


def test_store_of_zero_bytes_is_filled(file: Path) -> None:
    """An empty file is a store that has nothing yet."""
    file.touch()

    assert "kontext-lab" == open_store(uri_of(file), None).experiment


def test_store_behind_a_dangling_link_is_made_where_it_points(file: Path, tmp_path: Path) -> None:
    """A link to a store that isn't there yet stays a link."""
    file.symlink_to(tmp_path / "elsewhere.db")
    open_store(uri_of(file), None)

    assert (True, True) == (file.is_symlink(), (tmp_path / "elsewhere.db").is_file())


def test_journal_of_a_store_that_is_gone_does_no_harm(file: Path, migrated_store: Path) -> None:
    """What a lost database left beside it is not played into the new one."""
    shutil.copy(migrated_store, file)
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        for statement in (
            "PRAGMA cache_size = 1",
            "BEGIN",
            "DELETE FROM alembic_version",
            "CREATE TABLE x (y)",
        ):
            connection.execute(statement)
        connection.execute("INSERT INTO x SELECT randomblob(900000)")
        journal = file.with_name(file.name + "-journal")
        kept = journal.read_bytes()
        connection.execute("ROLLBACK")
    file.unlink()
    journal.write_bytes(kept)
    store = open_store(uri_of(file), None)

    with closing(sqlite3.connect(file)) as connection:
        assert ("ok",) == connection.execute("PRAGMA integrity_check").fetchone()
    assert "kontext-lab" == store.experiment


@pytest.mark.slow
def test_two_processes_make_the_same_store(file: Path) -> None:
    """Both open it, and it is one store."""
    command = [sys.executable, "-c", OPEN, uri_of(file)]
    both = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)
    ]
    said = [process.communicate(timeout=120) for process in both]

    assert [("open\n", "")] * 2 == said
    assert [file.name] == [path.name for path in file.parent.iterdir()]


@pytest.mark.slow
@pytest.mark.parametrize("after", [0.0, 0.2, 0.4, 0.6, 0.8, 1.1, 1.5])
def test_killed_while_making_a_store(file: Path, after: float) -> None:
    """A kill at any moment of the first second leaves no half-made store, and what it leaves goes away."""
    with subprocess.Popen([sys.executable, "-c", OPEN, uri_of(file)], stdout=subprocess.DEVNULL) as process:
        while process.poll() is None and not list(file.parent.iterdir()):
            time.sleep(0.01)
        time.sleep(after)
        process.kill()
    Tracker(uri_of(file))

    assert [file.name] == [path.name for path in file.parent.iterdir()]


KILLED = """
import os, signal, sqlite3, sys

class Connection(sqlite3.Connection):
    statements = 0

    def execute(self, *args):
        Connection.statements += 1
        if Connection.statements == int(sys.argv[2]):
            os.kill(os.getpid(), signal.SIGKILL)
        return super().execute(*args)

from kontext_lab.tracking import Tracker, database
connect = sqlite3.connect
database.sqlite3.connect = lambda *args, **kwargs: connect(*args, factory=Connection, **kwargs)
Tracker(sys.argv[1])
"""


@pytest.mark.slow
@pytest.mark.parametrize("statement", [1, 3, 100])
def test_killed_while_writing_a_store(file: Path, statement: int) -> None:
    """A kill before, at the beginning and in the middle of the transaction leaves a store that the next start makes."""
    killed = subprocess.run([sys.executable, "-c", KILLED, uri_of(file), str(statement)], check=False)
    left = sorted(path.name for path in file.parent.iterdir())
    assert -9 == killed.returncode
    assert {file.name} <= {*left} <= {file.name, f"{file.name}-journal"}
    Tracker(uri_of(file))

    assert [file.name] == [path.name for path in file.parent.iterdir()]


@pytest.mark.slow
def test_killed_while_filling_a_file_without_tables(file: Path) -> None:
    """A file that SQLite keeps empty is filled in one transaction as well."""
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA user_version = 7")
    assert file.stat().st_size > 0
    killed = subprocess.run([sys.executable, "-c", KILLED, uri_of(file), "100"], check=False)
    assert -9 == killed.returncode
    Tracker(uri_of(file))

    assert [file.name] == [path.name for path in file.parent.iterdir()]


# Looking


@pytest.mark.parametrize(
    "last",
    [
        "CREATE TABLE webhooks",
        "CREATE TABLE _alembic_tmp_trace_tags",
        "ALTER TABLE endpoints ADD COLUMN routing_strategy",
    ],
)
def test_half_made_store_names_the_way_out(
    file: Path, cut_off: Callable[[Path, str], None], last: str
) -> None:
    """A store that was never finished is moved away by the command that the error names; then all is well."""
    cut_off(file, last)
    with pytest.raises(TrackingError, match="never finished") as caught:
        open_store(uri_of(file), None)
    command = str(caught.value).split("`")[1]
    subprocess.run(command, shell=True, check=True)

    assert "kontext-lab" == open_store(uri_of(file), None).experiment
    assert file.with_name(file.name + ".unfinished").exists()


def test_store_with_runs_that_is_behind_is_not_touched(
    file: Path, cut_off: Callable[[Path, str], None]
) -> None:
    """MLflow would upgrade it in place: it is left alone, and the copy is asked for first."""
    cut_off(file, "CREATE TABLE webhooks")
    with_a_run(file)

    assert f"copy the file, then run `mlflow db upgrade '{uri_of(file)}'`" in refusal(file)


def test_store_with_all_tables_but_an_old_revision_is_not_touched(store_file: Path) -> None:
    """A store that lacks only columns is behind as well."""
    with_a_run(store_file)
    change(store_file, "UPDATE alembic_version SET version_num = '451aebb31d03'")

    assert "mlflow db upgrade" in refusal(store_file)


def test_store_of_a_newer_mlflow_says_so(store_file: Path) -> None:
    """A revision that this MLflow doesn't know is of a newer one."""
    change(store_file, "UPDATE alembic_version SET version_num = 'f0f0f0f0f0f0'")

    assert "newer MLflow" in refusal(store_file)


def test_database_of_another_program_is_left_alone(file: Path) -> None:
    """MLflow would put its tables between someone else's."""
    change(file, "CREATE TABLE recipes (name TEXT)")

    assert "another program" in refusal(file)


def test_file_that_is_no_database_says_so(file: Path) -> None:
    """Any other file is left as it is."""
    file.write_text("this is no database, it only looks like a file of that name")

    assert "not a SQLite database" in refusal(file)


def test_damaged_store_says_so(store_file: Path) -> None:
    """A store whose pages were overwritten is told from one that was never finished."""
    data = bytearray(store_file.read_bytes())
    data[100:4096] = bytes(3996)
    store_file.write_bytes(data)

    assert "damaged" in refusal(store_file)


def test_cut_off_change_is_undone_by_sqlite(store_file: Path) -> None:
    """A store with the journal of a change that was cut off opens as it was before that change."""
    journal = store_file.with_name(store_file.name + "-journal")
    with closing(sqlite3.connect(store_file, isolation_level=None)) as connection:
        for statement in (
            "PRAGMA cache_size = 1",
            "BEGIN",
            "DELETE FROM alembic_version",
            "CREATE TABLE x (y)",
        ):
            connection.execute(statement)
        connection.execute("INSERT INTO x SELECT randomblob(900000)")
        spilled, kept = store_file.read_bytes(), journal.read_bytes()
        connection.execute("ROLLBACK")
    store_file.write_bytes(spilled)
    journal.write_bytes(kept)

    assert "kontext-lab" == open_store(uri_of(store_file), None).experiment


# Waiting


@pytest.mark.slow
def test_store_that_another_process_holds_is_opened_when_it_is_free(
    store_file: Path, locked: Callable[[float], Iterator[None]], capfd: pytest.CaptureFixture[str]
) -> None:
    """Eight seconds of someone else's lock delay an opening, and nothing is printed."""
    with locked(8):
        assert "kontext-lab" == open_store(uri_of(store_file), None).experiment
    assert ("", "") == capfd.readouterr()


@pytest.mark.slow
def test_cell_is_written_when_the_store_is_free(
    store_file: Path,
    locked: Callable[[float], Iterator[None]],
    photo_file: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """A lock for longer than MLflow itself waits delays a sweep; every cell is recorded once, nothing is printed."""
    with kl.Lab("sandbox", tracking_uri=uri_of(store_file)) as lab:
        lab.run(kl.Sweep("Add a bird.", photo_file), progress=False)
        capfd.readouterr()
        with locked(23):
            results = lab.run(
                kl.Sweep("Add a crab.", photo_file, axes={"seed": [1, 2]}, name="waited"), progress=False
            )
        printed = capfd.readouterr()
        found = lab.context.tracker.store.client.search_runs(
            [lab.context.tracker.store.experiment_id], f"tags.`mlflow.parentRunId` = '{results.run_id}'"
        )

    assert {"done": 2} == dict(results.counts)
    assert [] == results.notes
    assert ["FINISHED"] * 2 == [run.info.status for run in found]
    assert "" == printed.err


@pytest.mark.slow
def test_lock_that_stays_is_one_line(
    store_file: Path,
    locked: Callable[[float], Iterator[None]],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """A store that stays locked is given up after the deadline, in one line and without a traceback."""
    tracker = Tracker(uri_of(store_file))
    monkeypatch.setattr(client_calls, "LOCK_SECONDS", 1.0)
    with locked(60), pytest.raises(TrackingError, match="another process has held the database locked"):
        tracker.history()

    assert ("", "") == capfd.readouterr()


def test_other_failures_are_told_at_once(store_file: Path) -> None:
    """A table that is gone is no reason to wait."""
    tracker = Tracker(uri_of(store_file))
    change(store_file, "DROP TABLE tags")
    began = time.monotonic()
    with pytest.raises(TrackingError, match="no such table"):
        tracker.history()

    assert 2 > time.monotonic() - began


def test_other_peoples_errors_are_still_printed(store_file: Path, caplog: pytest.LogCaptureFixture) -> None:
    """What MLflow logs outside our calls reaches whoever listens."""
    open_store(uri_of(store_file), None)
    logging.getLogger("mlflow.store.db.utils").error("of the notebook")

    assert "of the notebook" in caplog.messages


# Reaching


def test_store_is_reachable_while_its_file_is_there(store_file: Path) -> None:
    """A file that was deleted under us can't be written to."""
    tracker = Tracker(uri_of(store_file))
    recorder = SweepRecorder(tracker.store, "", {}, {}, lambda _: b"")
    before = recorder.reachable()
    store_file.unlink()

    assert (True, False) == (before, recorder.reachable())


@pytest.mark.slow
def test_store_that_was_deleted_is_made_anew_in_the_same_process(store_file: Path) -> None:
    """A new tracker writes to the new file, not to the one that is gone."""
    open_store(uri_of(store_file), "first")
    store_file.unlink()
    open_store(uri_of(store_file), "second")

    with closing(sqlite3.connect(store_file)) as connection:
        names = [name for (name,) in connection.execute("SELECT name FROM experiments")]
    assert "second" in names
    assert "first" not in names


def test_new_store_is_reachable_before_it_is_made(file: Path) -> None:
    """A database file need not be there before the first opening."""
    check_reachable(uri_of(file))

    with pytest.raises(TrackingError, match="is gone"):
        check_reachable(uri_of(file), opened=True)
