"""A journal that can't be written: nothing is sent that could not be kept."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import kontext_lab as kl
from kontext_lab.errors import ConfigError
from kontext_lab.journal import attempt_folder as attempt_folders
from kontext_lab.sandbox import Sandbox

FULL = OSError(28, os.strerror(28))


@pytest.fixture
def sweep(photo_file: Path) -> kl.Sweep:
    """Six cells."""
    return kl.Sweep("Add a bird.", photo_file, axes={"seed": "1-6"}, aspect_ratio="1:1")


def failing_after(inner: Callable[..., None], count: int) -> Callable[..., None]:
    """A writer on a disk that fills up."""
    left = iter(range(count))

    def write(*args: object, **options: object) -> None:
        if next(left, None) is None:
            raise FULL
        inner(*args, **options)

    return write


def test_a_folder_that_cannot_be_used_stops_before_sending(
    api: Sandbox, sweep: kl.Sweep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A home under a file is one clear line that names it and the variable."""
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("KONTEXT_LAB_HOME", str(tmp_path / "file" / "home"))
    with kl.Lab() as lab, pytest.raises(ConfigError, match=r"home.*KONTEXT_LAB_HOME") as caught:
        lab.run(sweep, progress=False)
    assert 1 == len(str(caught.value).splitlines())
    assert [] == api.calls


def test_a_nearly_full_disk_stops_before_sending(
    lab: kl.Lab, api: Sandbox, sweep: kl.Sweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where an answer would not fit, no request leaves; with room again the sweep goes on."""
    began = time.monotonic()
    with monkeypatch.context() as full:
        full.setattr(shutil, "disk_usage", lambda _: type("Usage", (), {"free": 1_000_000})())
        results = lab.run(sweep, progress=False)
    assert ("journal", {"cancelled": 6}, 0) == (results.stopped, results.counts, len(api.calls))
    assert "No space left" in results.notes[0]
    assert time.monotonic() - began < 30  # it stops; it does not wait for anything
    assert {"done": 6} == lab.run(sweep, progress=False).counts


def test_a_disk_that_fills_up_stops_the_sweep_and_keeps_what_came(
    lab: kl.Lab, api: Sandbox, sweep: kl.Sweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The third intent fails: two are done, nothing more is sent, the rest goes on later."""
    with monkeypatch.context() as full:
        full.setattr(
            attempt_folders.AttemptFolder,
            "keep_intent",
            failing_after(attempt_folders.AttemptFolder.keep_intent, 2),
        )
        results = lab.run(sweep, progress=False, concurrency=1)
    assert ("journal", {"done": 2, "cancelled": 4}, 2) == (results.stopped, results.counts, len(api.calls))
    assert {"done": 6} == lab.run(sweep, progress=False).counts
    assert 6 == len(api.calls)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["keep_answer", "keep_output"])
def test_an_answer_that_does_not_fit_into_the_journal_still_reaches_the_store(
    method: str, lab: kl.Lab, api: Sandbox, sweep: kl.Sweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is paid for goes on in memory; the sweep stops, since the next answer would be at risk."""
    with monkeypatch.context() as full:
        full.setattr(
            attempt_folders.AttemptFolder,
            method,
            failing_after(getattr(attempt_folders.AttemptFolder, method), 1),
        )
        results = lab.run(sweep, progress=False, concurrency=1)
    assert ("journal", {"done": 2, "cancelled": 4}) == (results.stopped, results.counts)
    assert api.calls[1].outputs[0] == lab.load("last")[1].output.sha256
    assert [] == lab.unfinished


def test_the_journal_is_its_owners_alone(lab: kl.Lab, sweep: kl.Sweep, tmp_path: Path) -> None:
    """Nobody else on the machine may read what is in it."""
    seen: list[int] = []

    def look(_: kl.CellResult) -> None:
        # A picture that has just become an artifact is as open as the store, but still behind closed folders.
        found = [
            path for path in lab.context.journal.folder.rglob("*") if not path.name.startswith("output-")
        ]
        seen.extend(path.stat().st_mode & 0o077 for path in found)
        seen.append(lab.context.journal.folder.stat().st_mode & 0o077)

    lab.start(sweep, observers=[look]).wait()
    assert len(seen) > 10
    assert {0} == set(seen)
