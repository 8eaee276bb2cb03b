"""The same on PostgreSQL, a real one: a store without a folder, with a password in its address."""

from __future__ import annotations

import logging
import pickle
import time
from pathlib import Path

import pytest

import kontext_lab as kl
from kontext_lab.errors import TrackingError
from kontext_lab.tracking import Tracker
from kontext_lab.tracking.artifacts import Artifact
from kontext_lab.tracking.store import mlflow_trouble, open_store

PASSWORD = "marked-password-0815"


@pytest.fixture
def lab(postgres_uri: str) -> kl.Lab:
    """A lab on the sandbox, whose store is PostgreSQL."""
    return kl.Lab("sandbox")


@pytest.fixture
def sweep(photo_file: Path) -> kl.Sweep:
    """Two cells."""
    return kl.Sweep("Add a bird.", photo_file, axes={"guidance_scale": [2, 5]}, name="on postgresql")


@pytest.mark.slow
def test_cells_are_found_again_by_fingerprint(lab: kl.Lab, sweep: kl.Sweep) -> None:
    """What was run is reused at no cost by a larger sweep."""
    lab.run(sweep, progress=False)
    longer = lab.run(sweep.replace(seed=[1, 2], name="longer"), progress=False)

    assert {"done": 4} == dict(longer.counts)
    assert 2 == sum(1 for cell in longer if cell.reused_from)


def test_same_sweep_goes_on_in_its_parent(lab: kl.Lab, sweep: kl.Sweep) -> None:
    """A second run of a sweep has the first one's run, and costs nothing."""
    first = lab.run(sweep, limit=1, progress=False)
    second = lab.run(sweep, progress=False)
    third = lab.run(sweep, progress=False)

    assert (first.run_id, first.run_id) == (second.run_id, third.run_id)
    assert {"done": 2} == dict(second.counts)
    assert 0.0 == third.spent


@pytest.mark.slow
def test_results_come_back_in_another_folder(
    lab: kl.Lab, sweep: kl.Sweep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pictures are found from wherever the next process starts."""
    results = lab.run(sweep, progress=False)
    monkeypatch.chdir(tmp_path)
    loaded = kl.Lab("sandbox").load("on postgresql")

    assert [cell.bytes for cell in results] == [cell.bytes for cell in loaded]
    assert sweep.digest("sandbox") == lab.load_sweep("on postgresql").digest("sandbox")


@pytest.mark.slow
def test_pictures_stay_where_the_experiment_was_first_used(
    lab: kl.Lab, sweep: kl.Sweep, workdir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run started in another folder puts its pictures to those of the first."""
    lab.run(sweep, progress=False)
    monkeypatch.chdir(tmp_path)
    with kl.Lab("sandbox") as other:
        second = other.run(sweep.replace(seed=7, name="second"), progress=False)
        parent = other.context.tracker.store.client.get_run(second.run_id)

    assert parent.info.artifact_uri.startswith((workdir / "mlartifacts" / "kontext-lab").as_uri())
    assert [] == list(tmp_path.glob("ml*"))


def test_new_experiment_says_where_its_pictures_are(
    postgres_uri: str, workdir: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A database has no folder, so the one that is taken is named, once."""
    with caplog.at_level(logging.WARNING, logger="kontext_lab"):
        open_store(None, "mine")
        open_store(None, "mine")

    assert [
        f"experiment 'mine' is new: its pictures are kept on this machine, in {workdir}/mlartifacts/mine"
    ] == [record.getMessage() for record in caplog.records if record.name.startswith("kontext_lab")]


def test_password_is_nowhere_to_be_seen(lab: kl.Lab, sweep: kl.Sweep, workdir: Path) -> None:
    """Neither what is shown, nor the store, nor a picture's origin, nor a file of the run names the password."""
    results = lab.run(sweep, progress=False)
    loaded = lab.load("on postgresql")
    shown = [
        lab,
        lab.context.tracker,
        lab.context.tracker.store,
        results,
        loaded,
        lab.plan(sweep),
        *lab.history(),
    ]
    shown.append(Artifact(lab.context.tracker.store.uri, results.run_id, "file:///", "outputs/0.jpg"))
    parent = lab.context.tracker.store.client.get_run(results.run_id)

    assert not [value for value in shown if PASSWORD in repr(value) + str(value)]
    assert PASSWORD not in lab.context.tracker.store.shown
    assert PASSWORD not in str(parent.to_dictionary())
    assert [] == [
        path for path in workdir.rglob("*") if path.is_file() and PASSWORD.encode() in path.read_bytes()
    ]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("/store_", "/missing_"),
        ("postgres:", "stranger:"),
        ("0815@", "08/15@"),
        ("0815@", "0815@nowhere.invalid:x"),
        ("postgresql+psycopg2:", "postgresq:"),
        ("+psycopg2:", "+nothing:"),
        ("postgresql+psycopg2://", ""),
        ("?host", "?hosts"),
    ],
)
def test_error_never_names_the_password(postgres_uri: str, old: str, new: str) -> None:
    """Whatever is wrong with an address is told soon, and its password is not repeated."""
    began = time.monotonic()
    with pytest.raises(TrackingError) as caught:
        Tracker(postgres_uri.replace(old, new, 1))
    took = time.monotonic() - began
    error = pickle.loads(pickle.dumps(caught.value))

    assert not [part for part in ("marked-password", "0815", "15@") if part in str(error)]
    assert 1 == len(str(error).splitlines())
    assert 20 > took  # MLflow alone tries for 101 seconds


def test_missing_driver_names_the_way_out(postgres_uri: str) -> None:
    """An address whose driver isn't installed says that it is the driver."""
    with pytest.raises(TrackingError, match=r"driver.*postgresql\+psycopg2://"):
        Tracker(postgres_uri.replace("+psycopg2", "+pg8000", 1))


def test_error_of_a_library_is_masked() -> None:
    """A line that quotes an address is shown without its password."""
    with pytest.raises(TrackingError) as caught, mlflow_trouble("the store can't be read"):
        raise ValueError("cannot parse postgresql://me:secret@db/x")

    assert "the store can't be read: ValueError: cannot parse postgresql://me:***@db/x" == str(caught.value)
