"""The key appears nowhere: in no file, no log line, no output, whatever happens."""

from __future__ import annotations

import copy
import io
import logging
import pickle
import traceback
from collections.abc import Iterator
from pathlib import Path

import pytest

import kontext_lab as kl
from kontext_lab.cli.main import run_command
from kontext_lab.runner.retry_policy import Pacing
from kontext_lab.sandbox import FAULTS, Sandbox

KEY = "marked-key-0815-do-not-show"

_STOPS = {"unauthorized", "out_of_credits", "not_found"}
_SLOW = {"lost", "lost_failed", "slow", "download_slow", "download_endless", "download_huge"}


@pytest.fixture
def box(store_uri: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Sandbox]:
    """A service that meets every request with a mishap of another kind."""
    names = sorted(set(FAULTS) - _STOPS - _SLOW)
    with Sandbox(faults=dict.fromkeys(names, 1 / len(names)), seed=3) as running:
        monkeypatch.setenv("AIMLAPI_BASE_URL", running.url)
        monkeypatch.setenv("AIMLAPI_API_KEY", KEY)
        monkeypatch.setenv("KONTEXT_LAB_HOME", str(tmp_path / "lab-home"))
        yield running


@pytest.fixture
def logged(tmp_path: Path) -> Iterator[io.StringIO]:
    """Everything anybody logs, at every level."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    root = logging.getLogger()
    before = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield stream
    root.removeHandler(handler)
    root.setLevel(before)


def files_with_the_key(folder: Path) -> list[str]:
    """Every file whose bytes or whose path hold the key, in any spelling that occurs in practice."""
    marks = [KEY.encode(), KEY.encode("utf-16-le"), KEY.encode("utf-16-be")]
    return [
        str(path)
        for path in folder.rglob("*")
        if KEY in str(path) or (path.is_file() and any(mark in path.read_bytes() for mark in marks))
    ]


@pytest.fixture
def sweep(photo_file: Path) -> kl.Sweep:
    """Sixty cells: every mishap about twice."""
    return kl.Sweep(
        "Add a bird.", photo_file, axes={"seed": "1-30", "guidance_scale": [3, 6]}, aspect_ratio="1:1"
    )


@pytest.mark.slow
def test_no_file_and_no_log_line_holds_the_key(
    box: Sandbox,
    sweep: kl.Sweep,
    logged: io.StringIO,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Through mishaps of every kind, a retry, a leave and a recovery; also while the journal is full."""
    seen_in_journal: list[str] = []

    def look(_: kl.CellResult) -> None:
        if not seen_in_journal:
            seen_in_journal.extend(files_with_the_key(tmp_path / "lab-home"))

    quick = Pacing(first=0.01, longest=0.05, asks=(0.2,))
    with kl.Lab() as lab:
        lab.plan(sweep)
        results = lab.start(sweep, observers=[look], pacing=quick, pause_after=0).wait()
        lab.run(sweep, progress=False, pacing=quick, pause_after=0, in_doubt="resend", retry_failed=True)
        results.save(tmp_path / "saved")
        sweep.to_yaml(tmp_path / "sweep.yaml")
        shown = [repr(one) for one in (lab, results, lab.context.worker, lab.context.connection, *results)]
        shown += [str(cell.note) for cell in results]
        pickled = [pickle.dumps(one) for one in (lab.context.worker, sweep)]
        copies = [repr(copy.copy(lab.context.connection.client)), str(vars(lab))]
        box.script(["unauthorized"])
        lab.run(sweep.replace(prompt="Add a crab."), progress=False, pacing=quick)
        handle = lab.start(sweep.replace(prompt="Add a dog."), pacing=quick)
        handle.leave()
        handle.wait()
    with kl.Lab() as lab:
        lab.recover()

    out, err = capfd.readouterr()
    assert len(box.calls) > 60
    assert [] == seen_in_journal
    assert [] == files_with_the_key(tmp_path)
    assert len(logged.getvalue()) > 1000
    for text in (logged.getvalue(), out, err, *shown, *copies):
        assert KEY not in text
    for data in pickled:
        assert KEY.encode() not in data
    assert [] == box.key_leaks


@pytest.mark.parametrize("fault", ["unauthorized", "out_of_credits", "not_found", "bad_request"])
def test_no_traceback_holds_the_key(
    fault: str, api: Sandbox, lab: kl.Lab, photo_file: Path, quick: Pacing
) -> None:
    """Not even one that shows the local variables of every frame."""
    api.script([fault])
    request = kl.Sweep("Add a bird.", photo_file).cells[0].request
    try:
        lab.context.connection.client.post(request, "kl-1")
    except kl.KontextLabError as error:
        shown = "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())
    assert "marked-key-4711" not in shown


@pytest.mark.slow
def test_no_command_shows_the_key(
    box: Sandbox, sweep: kl.Sweep, tmp_path: Path, workdir: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Neither output nor files of the commands hold it, with a wrong sweep file as well."""
    (workdir / "wrong.yaml").write_text("prompt: 3\nnonsense: true\n")
    sweep.replace(seed="1-2").to_yaml(workdir / "sweep.yaml")
    commands = [
        ["doctor"],
        ["run", "sweep.yaml", "--dry-run"],
        ["run", "sweep.yaml", "--yes"],
        ["run", "wrong.yaml"],
        ["recover"],
        ["list"],
        ["show", "last"],
    ]
    for command in commands:
        run_command(command)
        out, err = capfd.readouterr()
        assert KEY not in out + err, command
        assert "Traceback" not in err, command
    assert [] == files_with_the_key(tmp_path)
