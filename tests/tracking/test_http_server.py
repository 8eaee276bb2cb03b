"""The same on a tracking server over HTTP: what teams have."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from mlflow import MlflowClient

import kontext_lab as kl
from kontext_lab.lab.lookup import thumbnail
from kontext_lab.results import State
from kontext_lab.tracking.store import open_store


@pytest.fixture
def lab(server: str, workdir: Path, monkeypatch: pytest.MonkeyPatch) -> kl.Lab:
    """A lab whose store is the server."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
    return kl.Lab("sandbox")


@pytest.mark.slow
def test_a_sweep_is_tracked_reused_and_loaded(lab: kl.Lab, server: str, photo_file: Path) -> None:
    """Run, run again, extend and load work over HTTP, with exact bytes."""
    sweep = kl.Sweep("Add a bird.", photo_file, axes={"guidance_scale": [2, 5]}, name="over http")
    first = lab.run(sweep, progress=False)
    again = lab.run(sweep, progress=False)
    longer = lab.run(sweep.replace(seed=[1, 2], name="longer"), progress=False)
    loaded = kl.Lab("sandbox").load("longer")

    assert {State.DONE: 2} == dict(first.counts)
    assert (0.0, first.run_id) == (again.spent, again.run_id)
    assert 2 == sum(1 for cell in longer if cell.reused_from)
    assert [output.sha256 for output in longer.outputs] == [
        hashlib.sha256(output.bytes).hexdigest() for output in loaded.outputs
    ]


def test_web_address_is_the_server_s(lab: kl.Lab, server: str) -> None:
    """Pages of a run can be opened where the store has a web address."""
    assert server == lab.context.tracker.store.web_address


@pytest.mark.slow
def test_verdicts_and_notes_travel(lab: kl.Lab, photo_file: Path) -> None:
    """Verdicts of several outputs – given, changed, withdrawn –, what was measured, and a note come back, also on copies."""
    sweep = kl.Sweep("Add a crab.", photo_file, num_images=2, name="judged")
    (cell,) = lab.run(sweep, progress=False)
    first, second = cell.outputs
    measured = [dict(output.metrics) for output in cell.outputs]
    for output, criterion, verdict in (
        (first, "follows prompt", True),
        (second, "follows prompt", True),
        (first, "follows prompt", False),
        (second, "größer / favourite", True),
        (second, "follows prompt", None),
    ):
        lab.set_verdict(output, criterion.replace(" / ", " "), verdict)
    lab.annotate(cell, "größer\n→ 2")
    longer = lab.run(sweep.replace(seed=[1, 2], name="judged longer"), progress=False)
    verdicts = [{"verdict/follows_prompt": 0.0}, {"verdict/größer_favourite": 1.0}]
    expected = [values | said for values, said in zip(measured, verdicts, strict=True)]
    assert all("change/area" in values for values in expected)
    for found in (cell, lab.load("judged")[0], longer[0], lab.load("judged longer")[0]):
        assert (expected, "größer\n→ 2") == ([output.metrics for output in found.outputs], found.comment)


def test_an_experiment_that_another_process_makes_first_is_used(
    server: str, store_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two processes find no such experiment, and both open the one that the faster one makes: a server and a file."""
    look = MlflowClient.get_experiment_by_name

    def look_and_be_overtaken(client: MlflowClient, name: str) -> object:
        found = look(client, name)
        monkeypatch.setattr(MlflowClient, "get_experiment_by_name", look)
        made.append(client.create_experiment(name))
        return found

    made: list[str] = []
    opened = []
    for uri in (server, store_uri):
        monkeypatch.setattr(MlflowClient, "get_experiment_by_name", look_and_be_overtaken)
        opened.append(open_store(uri, "wanted by two").experiment_id)

    assert made == opened
    assert 2 == len(made)


def test_addresses_lead_to_runs(lab: kl.Lab, server: str, photo_file: Path) -> None:
    """Cells, outputs, results and sweeps have pages; what has no run, or none any more, has none."""
    results = lab.run(kl.Sweep("Add a bird.", photo_file, name="paged"), progress=False)
    (run,) = [one for one in lab.history() if one.name == "paged"]
    pages = f"{server}/#/experiments/{lab.context.tracker.store.experiment_id}/runs"
    address = lab.context.tracker.address
    addresses = [address(one.run_id) for one in (results[0], results[0].output, results, run)]
    assert [f"{pages}/{results[0].run_id}"] * 2 + [f"{pages}/{results.run_id}"] * 2 == addresses
    assert ["", ""] == [address(""), address("0" * 32)]


def test_addresses_hold_no_password(
    server: str, workdir: Path, photo_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever opens a page signs in himself."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.replace("http://", "http://ann:marked-word@"))
    with kl.Lab("sandbox") as lab:
        results = lab.run(kl.Sweep("Add a bird.", photo_file, name="signed"), progress=False)
        assert lab.context.tracker.address(results.run_id).startswith(f"{server}/#/")


@pytest.mark.slow
def test_hidden_chained_and_small(lab: kl.Lab, photo_file: Path) -> None:
    """Hiding, chains of edits, cells by their runs and thumbnails work over HTTP too."""
    first = lab.edit(photo_file, "Add a bird.", seed=77)
    second = lab.edit(first.output, "Add a crab.", seed=77)
    run = next(one for one in lab.history() if one.run_id == lab.context.sweep_run_of(first.run_id))
    lab.hide(run.run_id)
    assert run.run_id not in [one.run_id for one in lab.history()]
    assert [first.run_id] == [one.run_id for one in lab.ancestors(second)]
    assert [second.run_id] == [one.run_id for one in lab.derived(first)]
    assert [second.run_id, first.run_id] == [
        one.run_id for one in lab.load_cells([second.run_id, first.run_id])
    ]
    assert 0 < len(thumbnail(lab.context.tracker, run)) < 6000
    with pytest.raises(kl.errors.NotFound, match="no cell with this run id"):
        lab.load_cells(["0" * 32])


@pytest.mark.slow
def test_votes(lab: kl.Lab, photo_file: Path) -> None:
    """Votes and what comes of them are read back, though no file lies on this machine's disk."""
    sweep = kl.Sweep("Add a bird.", photo_file, axes={"guidance_scale": [2, 8]}, seed=78, name="voted")
    results = lab.run(sweep, progress=False)
    assert [] == lab.votes(results)
    given = [lab.vote(results[0], results[1], "right", "anna"), lab.vote(results[1], results[0], "both bad")]
    lab.scores(results)
    loaded = lab.load("voted")
    assert given == lab.votes(loaded)
    assert [False, True] == [cell.output.metrics["rank/score"] > 0 for cell in loaded]


@pytest.mark.slow
def test_picture_that_the_server_lost(
    lab: kl.Lab, server_folder: Path, photo_file: Path, tmp_path: Path
) -> None:
    """A picture that the server no longer has is found missing when it is copied, saved or sent again."""
    sweep = kl.Sweep("Add a bird.", photo_file, axes={"seed": [91, 92]}, name="lost there")
    first = lab.run(sweep, progress=False)
    (file,) = server_folder.glob(f"artifacts/**/{first[0].run_id}/artifacts/outputs/0.jpg")
    file.unlink()
    longer = lab.run(sweep.replace(seed=[91, 92, 93], name="lost longer"), progress=False)
    assert [("skipped", "missing"), ("done", ""), ("done", "")] == [
        (cell.state, cell.reason) for cell in longer
    ]
    saved = lab.load("lost there").save(tmp_path / "saved")
    assert ["2 s92.jpg", "index.csv"] == sorted(one.name for one in saved.iterdir())
    plan = lab.plan(sweep, missing="resend")
    assert (1, 1) == (plan.requests, plan.reused)


@pytest.mark.slow
def test_pictures_that_cannot_be_asked_for(
    lab: kl.Lab, photo_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where earlier pictures can't be asked for, nothing is sent: out of reach is not gone."""
    sweep = kl.Sweep("Add a bird.", photo_file, axes={"seed": [95, 96]}, name="out of reach")
    lab.run(sweep, progress=False)
    longer = sweep.replace(seed=[95, 96, 97], name="out of reach longer")
    sent: list[object] = []
    monkeypatch.setattr(type(lab.context.connection.client), "post", lambda *given: sent.append(given))

    def away(*_: object, **__: object) -> None:
        raise ConnectionError("no route to the artifacts")

    monkeypatch.setattr("mlflow.store.artifact.http_artifact_repo.http_request", away)
    for missing in ("skip", "resend"):
        with pytest.raises(kl.errors.TrackingError, match="can't be"):
            lab.run(longer, progress=False, missing=missing)
    assert [] == sent
