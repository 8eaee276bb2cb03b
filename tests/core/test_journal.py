"""The journal: whole or not there, readable, one owner at a time."""

from __future__ import annotations

import json
import multiprocessing
import os
import stat
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import kontext_lab as kl
from kontext_lab.errors import AlreadyRunning, ConfigError
from kontext_lab.journal import AttemptFolder, FolderPermits, Intent, Journal, SweepFacts, home_folder
from kontext_lab.journal import journal as journals
from kontext_lab.journal.permits import FolderPermit
from kontext_lab.request.attempt import RawAnswer

FACTS = SweepFacts(
    "a/b: demo", "d" * 64, "sandbox", "http://127.0.0.1:1", "sqlite:////tmp/x.db", "kontext-lab"
)


def intent(place: int = 3, request_id: str = "kl-1") -> Intent:
    """What is about to be sent."""
    return Intent(place, "g5 s2 crab", request_id, "f" * 64, 0.052, "2026-11-22T10:00:00.000+00:00")


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    """One in a folder of the test's own."""
    return Journal(tmp_path / "lab-home")


@pytest.fixture
def sweep(photo_file: Path) -> kl.Sweep:
    """Two cells."""
    return kl.Sweep("Add a bird.", photo_file, axes={"seed": [1, 2]}, name="a/b: demo")


def test_home_is_the_one_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is given counts more than the environment, that more than the platform's folder."""
    monkeypatch.setenv("KONTEXT_LAB_HOME", str(tmp_path / "environment"))
    assert tmp_path / "given" == home_folder(tmp_path / "given")
    assert tmp_path / "environment" == home_folder()
    monkeypatch.delenv("KONTEXT_LAB_HOME")
    assert "kontext-lab" == home_folder().name


def test_a_closed_sweep_leaves_no_thread(journal: Journal, sweep: kl.Sweep) -> None:
    """What was dropped is removed by then, also where something else did not reach the store."""
    one = journal.sweep(FACTS)
    one.lock.take()
    one.begin(sweep)
    before = set(threading.enumerate())
    dropped, _ = one.intend(intent(1, "kl-1")), one.intend(intent(2, "kl-2"))
    one.drop(dropped)
    assert 1 == len(set(threading.enumerate()) - before)
    one.close()
    assert (before, False) == (set(threading.enumerate()), one.lock.is_taken)


def test_looking_makes_no_folder(journal: Journal) -> None:
    """Asking what is unfinished touches nothing."""
    assert [] == journal.unfinished()
    assert not journal.folder.exists()


def test_an_intent_is_read_back(journal: Journal, sweep: kl.Sweep) -> None:
    """What was written before sending says what was sent, to whom it may concern."""
    one = journal.sweep(FACTS)
    one.begin(sweep)
    one.intend(intent())
    assert [intent()] == [found for found, _ in journal.sweep(FACTS).attempt_folders()]


def test_an_intent_is_readable(journal: Journal, sweep: kl.Sweep) -> None:
    """A person opens the file and sees the cell's title and the id the service's log knows."""
    one = journal.sweep(FACTS)
    one.begin(sweep)
    attempt_folder = one.intend(intent())
    facts = json.loads((attempt_folder.folder / "intent.json").read_text())
    assert ("g5 s2 crab", "kl-1") == (facts["title"], facts["request_id"])


@pytest.mark.parametrize("body", [b'{"images": []}', b"\xff\xfe\x00 no text", "ä – 画".encode(), b""])
def test_an_answer_is_kept_byte_for_byte(body: bytes, tmp_path: Path) -> None:
    """Whatever a service answers is read back exactly."""
    attempt_folder = AttemptFolder(str(tmp_path))
    raw = RawAnswer(200, body, {"x-request-id": "abc"}, 1.25)
    attempt_folder.keep_answer(raw)
    assert raw == attempt_folder.answer


def test_outputs_are_kept_byte_for_byte(tmp_path: Path) -> None:
    """Pictures by their place in the answer."""
    attempt_folder = AttemptFolder(str(tmp_path))
    attempt_folder.keep_output(0, b"first")
    attempt_folder.keep_output(11, b"twelfth")
    assert {0: b"first", 11: b"twelfth"} == attempt_folder.outputs


@pytest.mark.parametrize("text", ["", "{", "[]", '{"status": "x"}', '{"status": 200, "headers": 3}', "\0\0"])
def test_a_damaged_answer_is_no_answer(text: str, tmp_path: Path) -> None:
    """What can't be read counts as not having come: in doubt, and no traceback."""
    (tmp_path / "answer.json").write_text(text)
    assert AttemptFolder(str(tmp_path)).answer is None


def test_a_desk_without_an_intent_was_never_sent_from(journal: Journal, sweep: kl.Sweep) -> None:
    """A crash before the intent was durable left an empty folder: nothing is owed for it."""
    one = journal.sweep(FACTS)
    one.begin(sweep)
    (one.folder / "00001 kl-9").mkdir()
    assert [] == one.attempt_folders()
    assert one.end()
    assert not one.folder.exists()


def test_a_sweep_that_owes_something_stays(journal: Journal, sweep: kl.Sweep) -> None:
    """Its folder goes only when the last attempt was dropped."""
    one = journal.sweep(FACTS)
    one.begin(sweep)
    attempt_folder = one.intend(intent())
    assert not one.end()
    one.drop(attempt_folder)
    assert one.end()
    assert [] == journal.unfinished()


def test_the_sweep_itself_is_kept(journal: Journal, sweep: kl.Sweep) -> None:
    """Recovering needs nothing else: prompt, axes, references and name are in the journal."""
    one = journal.sweep(FACTS)
    one.begin(sweep)
    (found,) = journal.unfinished()
    assert sweep.digest("sandbox") == found.sweep().digest("sandbox")
    assert sweep.name == found.sweep().name


def test_the_parent_run_is_kept(journal: Journal, sweep: kl.Sweep) -> None:
    """A sweep that goes on knows its run."""
    one = journal.sweep(FACTS)
    one.begin(sweep)
    one.belongs_to("run-7")
    assert "run-7" == journal.sweep(FACTS).parent_id


def test_names_escape_no_folder(tmp_path: Path, sweep: kl.Sweep) -> None:
    """A sweep called like a path lies in the journal all the same."""
    journal = Journal(tmp_path / "lab-home")
    for name in ("../../../etc/passwd", "/abs", "a\0b\n", "..", "x" * 500):
        one = journal.sweep(SweepFacts(name, "d" * 64, "s", "u", name, "e"))
        one.begin(sweep)
        assert journal.folder == one.folder.parent
        assert one.folder.resolve().is_relative_to(journal.folder.resolve())


def test_a_lock_is_taken_once(journal: Journal) -> None:
    """The second is told who has it, also in the same process."""
    first, second = journal.sweep(FACTS).lock, journal.sweep(FACTS).lock
    first.take()
    with pytest.raises(AlreadyRunning, match="in this process"):
        second.take()
    assert second.is_taken
    first.release()
    second.take()
    second.release()


def test_sweeps_in_different_stores_do_not_wait_for_each_other(journal: Journal) -> None:
    """The lock belongs to a sweep in a store."""
    journal.sweep(FACTS).lock.take()
    other = SweepFacts("demo", FACTS.digest, "sandbox", "", "sqlite:////tmp/y.db", "kontext-lab")
    journal.sweep(other).lock.take()


def test_a_failing_disk_leaves_no_half_intent(
    journal: Journal, sweep: kl.Sweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An fsync that fails is one clear line, and no desk is left."""
    one = journal.sweep(FACTS)
    one.begin(sweep)

    def failing(_: int) -> None:
        raise OSError(5, os.strerror(5))

    monkeypatch.setattr(os, "fsync", failing)
    with pytest.raises(ConfigError, match=r"journal can't be written .*Input/output error"):
        one.intend(intent())
    monkeypatch.undo()
    assert [] == one.attempt_folders()


def test_an_intent_is_on_disk_before_it_is_under_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """File synced, then renamed, then the folder synced: no order of events leaves half a file."""
    order: list[str] = []
    fsync, replace = os.fsync, Path.replace

    def synced(descriptor: int) -> None:
        order.append("sync folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "sync file")
        fsync(descriptor)

    def replaced(path: Path, target: Path) -> Path:
        order.append("rename")
        return replace(path, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Path, "replace", replaced)
    AttemptFolder(str(tmp_path)).keep_intent(intent())
    assert ["sync file", "rename", "sync folder"] == order


def test_a_start_that_hangs_keeps_nobody_waiting_for_ever(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that never ends its start is told after a while, in one line."""
    monkeypatch.setattr(journals, "START_SECONDS", 0.1)
    with (
        journal.starting(),
        pytest.raises(ConfigError, match="has been starting a sweep"),
        journal.starting(),
    ):
        pass


def test_a_sweep_longer_than_people_write_is_kept(journal: Journal, photo_file: Path) -> None:
    """What was paid for in it can be recovered: no limit of files by hand holds for the journal's own."""
    long = kl.Sweep([f"{number} {'word, ' * 600}" for number in range(110)], photo_file)
    journal.sweep(FACTS).begin(long)
    (found,) = journal.unfinished()
    assert long.digest("sandbox") == found.sweep().digest("sandbox")


# permits


def _taken(permit: FolderPermit, gate: Any, answers: Any) -> None:
    gate.wait()
    answers.put(permit.take())


def _together(gate: threading.Barrier, act: Callable[[], bool]) -> bool:
    gate.wait()
    return act()


def test_of_several_processes_one_gets_the_permit(journal: Journal, sweep: kl.Sweep) -> None:
    """Whoever takes it first may send, and nobody else ever."""
    one = journal.sweep(FACTS)
    one.begin(sweep)
    permit = FolderPermits().issue(one.intend(intent()), "kl-1")
    spawn = multiprocessing.get_context("spawn")
    gate, answers = spawn.Barrier(3), spawn.Queue()
    processes = [spawn.Process(target=_taken, args=(permit, gate, answers)) for _ in range(3)]
    for process in processes:
        process.start()
    taken = [answers.get(timeout=60) for _ in processes]
    for process in processes:
        process.join(60)
    assert [False, False, True] == sorted(taken)
    assert not permit.take()


def test_a_permit_is_either_taken_or_taken_back(journal: Journal, sweep: kl.Sweep) -> None:
    """However workers and a stop race: one of them has it, and a stop may ask again."""
    one = journal.sweep(FACTS)
    one.begin(sweep)
    for turn in range(50):
        request_id = f"kl-{turn}"
        attempt_folder = one.intend(intent(turn, request_id))
        permits, gate = FolderPermits(), threading.Barrier(2)
        permit = permits.issue(attempt_folder, request_id)

        with ThreadPoolExecutor(2) as pool:
            taken = pool.submit(_together, gate, permit.take)
            withdrawn = pool.submit(_together, gate, partial(permits.withdraw, permit, attempt_folder))
        assert taken.result() is not withdrawn.result()
        assert withdrawn.result() is permits.withdraw(permit, attempt_folder)
        assert taken.result() is attempt_folder.may_have_left


@pytest.mark.parametrize("there", ["no folder", "no intent", "another intent", "a damaged intent"])
def test_a_worker_makes_no_permit(there: str, tmp_path: Path) -> None:
    """Where the attempt's own folder is not to be seen there is nothing to take, and nothing is made."""
    attempt_folder = AttemptFolder(str(tmp_path / "00003 kl-1"))
    if there != "no folder":
        attempt_folder.folder.mkdir()
    if there == "another intent":
        attempt_folder.keep_intent(intent(request_id="kl-2"))
    if there == "a damaged intent":
        (attempt_folder.folder / "intent.json").write_text("{")
    before = sorted(tmp_path.rglob("*"))
    assert not FolderPermits().issue(attempt_folder, "kl-1").take()
    assert before == sorted(tmp_path.rglob("*"))


def test_a_permit_that_can_not_be_written_is_not_given(
    journal: Journal, sweep: kl.Sweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that fails when it is taken: the request may not leave, and may not be called unsent either."""
    one = journal.sweep(FACTS)
    one.begin(sweep)
    attempt_folder = one.intend(intent())
    permits = FolderPermits()
    permit = permits.issue(attempt_folder, "kl-1")
    with monkeypatch.context() as broken:
        broken.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(5, "Input/output error")))
        assert not permit.take()
    assert not permits.withdraw(permit, attempt_folder)


def test_an_attempt_that_nobody_took_owes_nothing(journal: Journal, sweep: kl.Sweep) -> None:
    """An intent alone was not sent; with its permit taken it may have been."""
    one = journal.sweep(FACTS)
    one.begin(sweep)
    attempt_folder = one.intend(intent())
    assert ([], False) == (one.owed(), attempt_folder.may_have_left)
    FolderPermits().issue(attempt_folder, "kl-1").take()
    assert ([intent()], True) == ([found for found, _ in one.owed()], attempt_folder.may_have_left)
