"""Archived stores: what only reads works where nothing can be written, what writes says so before anything is paid."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import kontext_lab as kl
from kontext_lab.sandbox import Sandbox

COMMANDS = """\
import contextlib, io, json, pathlib, sys
from kontext_lab.cli.main import run_command

said = {}
for line in sys.argv[1:]:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = run_command(line.split())
    said[line] = [code, out.getvalue(), err.getvalue()]
pathlib.Path("said.json").write_text(json.dumps(said))
"""

READ_ONLY = {
    "everything": [""],
    "the folder": ["."],
    "the file": ["mlflow.db"],
}
"""What can't be written: everything, or only these; `.` is the folder alone."""

# To root permissions mean nothing, unless it gives this up.
AS_ANYBODY = (
    ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]
    if hasattr(os, "geteuid") and os.geteuid() == 0
    else []
)


def commands(*lines: str) -> dict[str, list[object]]:
    """What command lines end with and say, one after the other in a process that permissions hold for."""
    subprocess.run([*AS_ANYBODY, sys.executable, "-c", COMMANDS, *lines], check=True, timeout=180)
    said: dict[str, list[object]] = json.loads(Path("said.json").read_text())
    return said


def lock(store: Path, what: str) -> None:
    """Take away the right to write."""
    whole = [store, *store.rglob("*")]
    some = {"": whole, ".": [store], "mlflow.db": [store / "mlflow.db"]}
    for path in (one for part in READ_ONLY[what] for one in some[part]):
        path.chmod(path.stat().st_mode & ~0o222)


@pytest.fixture
def archive(
    store_uri: str, photo_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path]:
    """A store of two cells that was moved into an archive since it was last used."""
    with kl.Lab("sandbox", quiet=True, measure=False) as lab:
        sweep = kl.Sweep("Add a bird.", photo_file, name="old", aspect_ratio="1:1", seed=[1, 2])
        results = lab.run(sweep, progress=False)
        lab.context.tracker.store.client._tracking_client.store.engine.dispose()
    Path("picture.jpg").write_bytes(results[0].bytes)
    Path("new.yaml").write_text(f"prompt: Add a crab.\nimage: {photo_file}\n")
    folder = tmp_path / "archive"
    folder.mkdir()
    shutil.move("mlflow.db", folder)
    shutil.move("mlartifacts", folder)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder / 'mlflow.db'}")
    yield folder
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755)


@pytest.mark.slow
def test_what_reads_works_read_only(archive: Path) -> None:
    """Listed, shown, counted, found, exported and reported, with the pictures from where they are; no byte changes."""
    before = {path: path.read_bytes() for path in archive.rglob("*") if path.is_file()}
    lock(archive, "everything")
    report = "report last --out page.html"
    said = commands("list", "show last", "costs", "find picture.jpg", "export last out", report, "doctor")

    assert [0] * len(said) == [code for code, _, _ in said.values()]
    assert "2/2" in str(said["list"][1])
    assert "the same bytes" in str(said["find picture.jpg"][1])
    assert 3 == len(list(Path("out").iterdir()))
    assert "is written, but not logged" in str(said[report][2])
    assert "read-only" in str(said["doctor"][1])
    assert before == {path: path.read_bytes() for path in archive.rglob("*") if path.is_file()}


@pytest.mark.slow
@pytest.mark.parametrize("what", ["the folder", "the file"])
def test_a_folder_or_a_file_alone_is_enough(what: str, archive: Path) -> None:
    """SQLite writes beside a file, too: either of them makes a store read-only, and it is read."""
    lock(archive, what)
    said = commands("export last out", "measure last")

    assert [0, 2] == [code for code, _, _ in said.values()]
    assert "is read-only: allow writing to it" in str(said["measure last"][2])


@pytest.mark.slow
def test_what_writes_says_that_the_store_is_read_only(archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In one line, before anything is sent."""
    lock(archive, "everything")
    with Sandbox() as box:
        monkeypatch.setenv("AIMLAPI_BASE_URL", box.url)
        monkeypatch.setenv("AIMLAPI_API_KEY", "marked-key-4711")
        said = commands("run new.yaml --yes", "measure last", "demo --out demo")

    assert [] == box.calls
    for code, _, err in said.values():
        assert (2, 1) == (code, len(str(err).splitlines()))
        assert "is read-only: allow writing to it, or choose another store" in str(err)


@pytest.mark.slow
def test_artifacts_that_cannot_be_written_stop_a_sweep(
    archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database alone is not enough: said before anything is sent."""
    commands("list")
    (archive / "mlartifacts" / "kontext-lab").chmod(0o555)
    with Sandbox() as box:
        monkeypatch.setenv("AIMLAPI_BASE_URL", box.url)
        monkeypatch.setenv("AIMLAPI_API_KEY", "marked-key-4711")
        code, _, err = commands("run new.yaml --yes")["run new.yaml --yes"]

    assert (2, []) == (code, box.calls)
    assert "mlartifacts/kontext-lab is read-only: allow writing to it" in str(err)


@pytest.mark.slow
def test_an_experiment_that_is_not_in_an_archive_is_told(
    archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It can't be made there: the line names those that there are."""
    lock(archive, "everything")
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "another")
    code, _, err = commands("list")["list"]

    assert 2 == code
    assert "has no experiment 'another': choose one of " in str(err)
    assert "kontext-lab" in str(err)


@pytest.mark.slow
def test_verdicts_in_an_archive_are_refused(archive: Path) -> None:
    """In one line, and nothing changes."""
    lock(archive, "everything")
    code = (
        "import kontext_lab as kl\nlab = kl.Lab('sandbox', quiet=True)\ncell = lab.load('last')[0]\n"
        "try:\n    lab.set_verdict(cell, 'follows prompt', True)\n"
        "except kl.KontextLabError as error:\n    print(error)\n"
    )
    done = subprocess.run(
        [*AS_ANYBODY, sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert "read-only: allow writing to it" in done.stdout
    assert 1 == len(done.stdout.splitlines())
