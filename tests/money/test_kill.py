"""Kill tests: whatever moment a process dies at, nothing paid for is lost and nothing is paid for twice unasked."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import random
import shutil
import sqlite3
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from killed import POINTS, PRELOAD, run_child
from mlflow import MlflowClient

import kontext_lab as kl
from kontext_lab.journal import Journal
from kontext_lab.sandbox import Sandbox

pytestmark = [pytest.mark.slow, pytest.mark.kill]

CELLS = 40
AT_RANDOM = 25
KILLS_PER_SWEEP = 5

_fork = multiprocessing.get_context("forkserver")
_fork.set_forkserver_preload(PRELOAD)


class Study:
    """One sweep of 40 cells, the processes that ran it, and what they left."""

    def __init__(self, folder: Path, store: Path, photo_file: Path, name: str, seeds: range) -> None:
        folder.mkdir()
        shutil.copy(store, folder / "mlflow.db")
        self.folder = folder
        self.uri = f"sqlite:///{folder / 'mlflow.db'}"
        # What a request takes lies between a kill's moments, so that kills find all stages of it.
        self.box = Sandbox(latency=0.12).start()
        sweep = kl.Sweep(
            f"Add a bird, {name}.",
            photo_file,
            axes={"seed": list(seeds), "guidance_scale": [2, 4, 6, 8]},
            aspect_ratio="1:1",
            name=name,
        )
        assert len(sweep) == CELLS
        self.file = sweep.to_yaml(folder / "sweep.yaml")
        self.windows: Counter[str] = Counter()

    @property
    def setting(self) -> dict[str, str]:
        return {
            "AIMLAPI_BASE_URL": self.box.url,
            "AIMLAPI_API_KEY": "marked-key-4711",
            "MLFLOW_TRACKING_URI": self.uri,
            "KONTEXT_LAB_HOME": str(self.folder / "home"),
            "HOME": str(self.folder),
            "NO_PROXY": "127.0.0.1,localhost",
        }

    def run(self, **how: Any) -> int:
        """Run it in a process; returns its exit code, -9 for one that was killed."""
        report = str(self.folder / "report.json")
        process = _fork.Process(target=run_child, args=(self.setting, str(self.file), how, report))
        process.start()
        process.join(120)
        assert process.exitcode is not None, "the process does not end"
        self.windows.update(self._left_on_desks())
        return process.exitcode

    def _left_on_desks(self) -> list[str]:
        found = []
        for sweep in Journal(self.folder / "home").unfinished():
            for _, attempt_folder in sweep.attempt_folders():
                stage = (
                    "bytes on disk"
                    if attempt_folder.outputs
                    else "answer read"
                    if attempt_folder.answer
                    else "intent only"
                )
                found.append(stage)
        return found

    @property
    def counts(self) -> dict[str, int]:
        facts = json.loads((self.folder / "report.json").read_text(encoding="utf-8"))
        return dict(facts["counts"])

    def finish(self) -> int:
        """Run it to its end, first leaving what is in doubt, then sending that again; returns how much that was."""
        assert self.run() == 0
        in_doubt = self.counts.get("in_doubt", 0)
        assert self.run(in_doubt="resend") == 0
        return in_doubt


@pytest.fixture
def make_study(migrated_store: Path, photo_file: Path, tmp_path: Path) -> Any:
    """Makes a study, and stops its sandbox afterwards."""
    studies: list[Study] = []

    def make(name: str, first_seed: int) -> Study:
        seeds = range(first_seed, first_seed + CELLS // 4)
        studies.append(Study(tmp_path / name, migrated_store, photo_file, name, seeds))
        return studies[-1]

    yield make
    for study in studies:
        study.box.stop()


def check(study: Study, reported: int) -> None:
    """What must hold however often the process was killed."""
    client = MlflowClient(tracking_uri=study.uri)
    experiment = client.get_experiment_by_name("kontext-lab")
    assert experiment is not None
    runs = list(client.search_runs([experiment.experiment_id], max_results=1000))
    parents = [run for run in runs if run.data.tags["kontext.kind"] == "sweep"]
    children = [run for run in runs if run.data.tags["kontext.kind"] == "cell"]

    assert study.counts == {"done": CELLS}
    assert [parents[0].info.run_id] == [run.info.run_id for run in parents]
    assert CELLS == len(children)
    assert {"FINISHED"} == {run.info.status for run in runs}

    logged = {
        hashlib.sha256(file.read_bytes()).hexdigest()
        for file in (study.folder / "mlartifacts").rglob("outputs/*")
    }
    delivered = {
        digest for call in study.box.calls if call.delivered and call.billed_usd for digest in call.outputs
    }
    assert delivered
    assert delivered <= logged

    billed = Counter(
        (call.body["seed"], call.body["guidance_scale"]) for call in study.box.calls if call.billed_usd
    )
    twice = sum(1 for count in billed.values() if count > 1)
    assert twice <= reported
    assert sum(billed.values()) - CELLS <= reported
    # What the store says was spent is what the service billed.
    spent = sum(run.data.metrics["cost/usd"] for run in children)
    assert spent == pytest.approx(study.box.bill)
    assert [] == list((study.folder / "home" / "journal").glob("[0-9a-f]* *"))
    with sqlite3.connect(study.folder / "mlflow.db") as database:
        assert [("ok",)] == database.execute("PRAGMA integrity_check").fetchall()


def test_killed_at_every_named_point(make_study: Callable[[str, int], Study], capsys: Any) -> None:
    """A sweep killed at each point in turn ends complete, in one run, and pays twice for no more than it reported."""
    study = make_study("named", 1)
    for number, point in enumerate(POINTS):
        assert -9 == study.run(point=point, passes=1 + number % 3), point
    reported = study.finish()
    with capsys.disabled():
        print(
            f"\n  {len(POINTS)} kills at named points left {dict(study.windows)}; {reported} in doubt, sent again"
        )
    check(study, reported)


def test_killed_at_random_moments(make_study: Callable[[str, int], Study], capsys: Any) -> None:
    """25 kills at seeded random moments, five to a sweep: the same holds for each sweep."""
    draw = random.Random(20261122)
    windows: Counter[str] = Counter()
    kills = in_doubt = 0
    for number in range(AT_RANDOM // KILLS_PER_SWEEP):
        study = make_study(f"random-{number}", 100 * (number + 1))
        for _ in range(KILLS_PER_SWEEP):
            kills += study.run(seconds=draw.uniform(0.0, 0.45)) == -9
        reported = study.finish()
        check(study, reported)
        windows.update(study.windows)
        in_doubt += reported
    with capsys.disabled():
        print(f"\n  {kills} kills at random moments left {dict(windows)}; {in_doubt} in doubt, sent again")
    assert kills == AT_RANDOM
