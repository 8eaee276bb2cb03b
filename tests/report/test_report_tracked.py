"""Reports of what is in the store: references found again, the page put into the sweep's run."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import pytest
from report_making import read, study

import kontext_lab as kl


@pytest.fixture
def ran(lab: kl.Lab, make_sweep: Callable[..., kl.Sweep]) -> kl.Results:
    """A sweep of two cells, run and tracked."""
    return lab.run(make_sweep(axes={"seed": [1, 2]}, prompt="Add a bird."), progress=False)


def artifact(lab: kl.Lab, run_id: str, folder: Path) -> bytes:
    """The report in a run."""
    path = lab.context.tracker.store.client.download_artifacts(run_id, "report.html", str(folder))
    return Path(path).read_bytes()


def test_report_is_in_the_sweeps_run(ran: kl.Results, lab: kl.Lab, workdir: Path, tmp_path: Path) -> None:
    """The very same page is the run's artifact `report.html`."""
    path = kl.report(ran, "study.html")

    assert path.read_bytes() == artifact(lab, ran.run_id, tmp_path)


def test_loaded_results_show_their_references(ran: kl.Results, lab: kl.Lab, workdir: Path) -> None:
    """Results read back from the store have the photograph they were made from, without naming a lab."""
    page = read(kl.report(lab.load(ran.run_id), "study.html"))

    assert [1, 1] == [len(card["references"]) for card in page.cards]
    assert (300, 200) == page.picture(page.cards[0]["references"][0]).size


def test_loaded_results_without_references(ran: kl.Results, lab: kl.Lab, workdir: Path) -> None:
    """Read back as well, what was given to the model is left out."""
    page = read(kl.report(lab.load(ran.run_id), "study.html", references=False))

    assert 2 == len(page.images)
    assert "coffee" not in page.source


def test_store_of_another_place_is_found(
    ran: kl.Results, lab: kl.Lab, workdir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The page goes where the pictures are, not into what the environment names by now."""
    loaded = lab.load(ran.run_id)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{workdir / 'other.db'}")
    path = kl.report(loaded, "study.html")

    assert path.read_bytes() == artifact(lab, ran.run_id, tmp_path)
    assert not (workdir / "other.db").exists()


def test_page_that_cannot_be_logged_is_written(
    ran: kl.Results, lab: kl.Lab, workdir: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A run that is gone is a warning line; the file is there."""
    ran.run_id = "0" * 32
    with caplog.at_level(logging.WARNING):
        path = kl.report(ran, "study.html", lab=lab)

    assert 2 == len(read(path).cards)
    (line,) = [
        record.getMessage() for record in caplog.records if record.name == "kontext_lab.reports.builder"
    ]
    assert line.startswith("the report is written, but not logged to MLflow: run 00000000: report.html")


def test_untracked_results_are_not_logged(workdir: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Results of no single sweep have no run to be put into: no store is opened or made."""
    kl.report(study(), "study.html")

    assert ["study.html"] == [file.name for file in workdir.iterdir()]
    assert [] == caplog.records


def test_missing_references_are_told(workdir: Path) -> None:
    """Where references can't be found any more, the page says so and shows the outputs."""
    results = study()
    results[0].request = None
    page = read(kl.report(results, "study.html"))

    assert "Some references can no longer be loaded" in page.text
    assert [] == page.cards[0]["references"]
    assert page.cards[0]["picture"] is not None
