"""What people say of pictures: verdicts and notes, in memory and in MLflow."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.entities import Metric

import kontext_lab as kl
from kontext_lab.results import CellResult, Output, State
from kontext_lab.sandbox import Sandbox

KEY = "verdict/follows_prompt"


@pytest.fixture
def two(lab: kl.Lab, make_sweep: Callable[..., kl.Sweep]) -> kl.Results:
    """Two finished cells of one picture each."""
    return lab.run(make_sweep(name="two", axes={"animal": ["bird", "crab"]}), progress=False)


@pytest.fixture
def pair(lab: kl.Lab, make_sweep: Callable[..., kl.Sweep]) -> CellResult:
    """A finished cell of two pictures."""
    return lab.run(make_sweep(name="pair", axes={"animal": ["bird"]}, num_images=2), progress=False)[0]


def test_a_verdict_is_a_metric(lab: kl.Lab, two: kl.Results, store_uri: str) -> None:
    """It is on the cell's run at the output's step, and on the output at once."""
    lab.set_verdict(two[0], "follows prompt", True)
    lab.set_verdict(two[0].output, "rest kept", False)
    metrics = MlflowClient(store_uri).get_run(two[0].run_id).data.metrics
    assert {KEY: 1.0, "verdict/rest_kept": 0.0} == {key: metrics[key] for key in metrics if "verdict" in key}
    assert {KEY: 1.0, "verdict/rest_kept": 0.0} == two[0].output.metrics
    assert {} == two[1].output.metrics


def test_it_is_loaded_back(lab: kl.Lab, two: kl.Results) -> None:
    """Loading brings verdicts back, and tables have a column for them."""
    lab.set_verdict(two[0], "favourite", True)
    loaded = lab.load("two")
    assert [{"verdict/favourite": 1.0}, {}] == [cell.output.metrics for cell in loaded]
    assert [1.0] == list(loaded.to_frame()["verdict/favourite"].dropna())


def test_the_last_word_counts(lab: kl.Lab, two: kl.Results) -> None:
    """Verdicts given within a millisecond are kept in their order, and one can be withdrawn and given again."""
    for verdict in (True, False, True, None, False, None, True, False):
        lab.set_verdict(two[0], "follows prompt", verdict)
    assert [{KEY: 0.0}] * 2 == [two[0].output.metrics, lab.load("two")[0].output.metrics]


def test_withdrawn(lab: kl.Lab, two: kl.Results) -> None:
    """A verdict that was withdrawn is nowhere to be seen, also where there was none before."""
    lab.set_verdict(two[0], "follows prompt", True)
    lab.set_verdict(two[0], "follows prompt", None)
    lab.set_verdict(two[0], "rest kept", None)
    assert [{}, {}] == [two[0].output.metrics, lab.load("two")[0].output.metrics]


def test_against_clocks(lab: kl.Lab, two: kl.Results, store_uri: str) -> None:
    """A later word counts also where an earlier one came from a machine whose clock is ahead."""
    ahead = [Metric(KEY, 1.0, 4_000_000_000_000, 0)]
    MlflowClient(store_uri).log_batch(two[0].run_id, metrics=ahead)
    lab.set_verdict(two[0], "follows prompt", False)
    assert {KEY: 0.0} == lab.load("two")[0].output.metrics


def test_every_output_has_its_own(lab: kl.Lab, pair: CellResult) -> None:
    """Of several pictures each keeps its own verdicts, whichever was judged last."""
    first, second = pair.outputs
    lab.set_verdict(second, "follows prompt", False)
    lab.set_verdict(first, "follows prompt", True)
    lab.set_verdict(second, "favourite", True)
    lab.set_verdict(first, "favourite", True)
    lab.set_verdict(second, "favourite", None)
    loaded = lab.load("pair")[0].outputs
    assert [{KEY: 1.0, "verdict/favourite": 1.0}, {KEY: 0.0}] == [output.metrics for output in loaded]


def test_copies_carry_it(lab: kl.Lab, pair: CellResult, make_sweep: Callable[..., kl.Sweep]) -> None:
    """A reused cell has the verdicts and the note of its original, for every output."""
    lab.set_verdict(pair.outputs[0], "follows prompt", False)
    lab.set_verdict(pair.outputs[1], "follows prompt", True)
    lab.set_verdict(pair.outputs[1], "rest kept", True)
    lab.set_verdict(pair.outputs[1], "rest kept", None)
    lab.annotate(pair, "the beak!")
    longer = lab.run(
        make_sweep(name="longer", axes={"animal": ["bird", "crab"]}, num_images=2), progress=False
    )
    expected = ([{KEY: 0.0}, {KEY: 1.0}], "the beak!")
    for cell in (longer.cell(animal="bird"), lab.load("longer").cell(animal="bird")):
        assert isinstance(cell, CellResult)
        assert expected == ([output.metrics for output in cell.outputs], cell.comment)
        assert pair.run_id == cell.reused_from


def test_the_same_sweep_again_has_it(
    lab: kl.Lab, two: kl.Results, make_sweep: Callable[..., kl.Sweep], store_uri: str
) -> None:
    """Run once more, nothing is lost, and the sweep's table has the verdicts."""
    lab.set_verdict(two[0], "follows prompt", True)
    again = lab.run(make_sweep(name="two", axes={"animal": ["bird", "crab"]}), progress=False)
    table = Path(MlflowClient(store_uri).download_artifacts(again.run_id, "results.csv"))
    assert {KEY: 1.0} == again[0].output.metrics
    assert KEY in table.read_text(encoding="utf-8").splitlines()[0]


def test_a_picture_made_anew_has_none(lab: kl.Lab, make_sweep: Callable[..., kl.Sweep], api: Sandbox) -> None:
    """A cell that is sent again loses what was said of its earlier pictures, and keeps its note."""
    sweep = make_sweep(name="anew", axes={"animal": ["bird"]}, num_images=2)
    (cell,) = lab.run(sweep, progress=False)
    lab.set_verdict(cell.outputs[0], "follows prompt", True)
    lab.set_verdict(cell.outputs[1], "follows prompt", False)
    lab.annotate(cell, "look again")
    client = MlflowClient(lab.context.tracker.store.uri)
    client.set_tag(cell.run_id, "kontext.state", "failed")  # so that it is sent again
    client.set_tag(cell.run_id, "kontext.reason", "500")
    (again,) = lab.run(sweep, progress=False)
    loaded = lab.load("anew")[0]
    assert (cell.run_id, State.DONE) == (again.run_id, again.state)
    assert 2 == len(api.calls)
    assert [{}, {}] == [output.metrics for output in loaded.outputs]
    assert ["look again"] * 2 == [again.comment, loaded.comment]


def test_what_is_said_of_the_new_picture_stays(lab: kl.Lab, two: kl.Results, store_uri: str) -> None:
    """A verdict on the new picture is kept, also where writing that had to be tried again."""
    from kontext_lab.tracking import assessments

    lab.set_verdict(two[0], "follows prompt", True)
    run = MlflowClient(store_uri).get_run(two[0].run_id)
    assert two[0].arrived is not None
    assessments.withdraw(lab.context.tracker.store, run, before=two[0].arrived.timestamp())
    assert {KEY: 1.0} == lab.load("two")[0].output.metrics


def test_a_note(lab: kl.Lab, two: kl.Results, store_uri: str) -> None:
    """A note is the run's description in MLflow, is loaded back, and empty text removes it."""
    lab.annotate(two[0].output, "  feathers\r\nare odd \x07 ")
    run = MlflowClient(store_uri).get_run(two[0].run_id)
    text = "feathers\nare odd \\u0007"
    assert [text] * 3 == [
        two[0].comment,
        run.data.tags["mlflow.note.content"],
        lab.load("two")[0].comment,
    ]
    lab.annotate(two[0], "")
    lab.annotate(two[0], "")
    assert ["", ""] == [two[0].comment, lab.load("two")[0].comment]


@pytest.mark.parametrize(
    "criterion",
    ["", " ", "x" * 101, "<b>bold</b>", "a\nb", "a/../b", "..", "/a", "a/", "a//b", "ok?", 7, None],
)
def test_names_that_cannot_be(lab: kl.Lab, criterion: Any) -> None:
    """What MLflow takes for no metric's name is refused in one line."""
    with pytest.raises(kl.errors.ConfigError, match="criterion") as told:
        lab.set_verdict(CellResult("x", {}), criterion, True)
    assert "\n" not in str(told.value)
    with pytest.raises(kl.errors.ConfigError, match="criterion"):
        kl.Lab("sandbox", criteria=["fine", criterion], quiet=True)


@pytest.mark.parametrize("criterion", ["favourite", "Stil-Treue", "größer", "a/b", "v1.0: rest", "x" * 100])
def test_names_that_can(lab: kl.Lab, two: kl.Results, criterion: str) -> None:
    """Any other name is taken, by MLflow too; blanks are logged as underscores."""
    lab.set_verdict(two[0], criterion, True)
    assert {f"verdict/{criterion.replace(' ', '_')}": 1.0} == lab.load("two")[0].output.metrics


def test_nothing_to_judge(lab: kl.Lab) -> None:
    """Without a picture, or before the store has the cell, a verdict is refused and says so."""
    waiting = CellResult("g5", {})
    untracked = CellResult("g5", {}, state=State.DONE)
    untracked.outputs = [Output(untracked, 1, sha256="0" * 64, format="png")]
    with pytest.raises(kl.errors.NotFound, match="g5: there is no picture to judge, the cell is waiting"):
        lab.set_verdict(waiting, "favourite", True)
    with pytest.raises(kl.errors.NotFound, match=r"g5: is not in MLflow \(yet\)"):
        lab.set_verdict(untracked, "favourite", True)
    with pytest.raises(kl.errors.NotFound, match="is not in MLflow"):
        lab.annotate(waiting, "x")
    assert {} == untracked.output.metrics


@pytest.mark.parametrize(
    ("text", "told"), [("x" * 5001, "5001 characters, allowed are 5000"), (7, "note must be text, not 7")]
)
def test_notes_that_cannot_be(lab: kl.Lab, two: kl.Results, text: Any, told: str) -> None:
    """A note that is too long, or none, is refused."""
    with pytest.raises(kl.errors.ConfigError, match=told):
        lab.annotate(two[0], text)


def test_of_what(lab: kl.Lab, two: kl.Results) -> None:
    """Neither a verdict nor a note is given on all cells at once, and a verdict is yes, no or nothing."""
    with pytest.raises(kl.errors.ConfigError, match=r"expected a cell, .*, not Results"):
        lab.set_verdict(two, "favourite", True)  # type: ignore[arg-type]
    with pytest.raises(kl.errors.ConfigError, match=r"expected a cell, .*, not Results"):
        lab.annotate(two, "x")  # type: ignore[arg-type]
    with pytest.raises(kl.errors.ConfigError, match="verdict must be True, False or None, not 'yes'"):
        lab.set_verdict(two[0], "favourite", "yes")  # type: ignore[arg-type]


def test_a_store_that_is_away(lab: kl.Lab, two: kl.Results) -> None:
    """What can't be recorded is not shown as if it were."""
    file = Path(lab.context.tracker.store.uri.removeprefix("sqlite:///"))
    lab.context.tracker.store.client._tracking_client.store.engine.dispose()
    file.write_bytes(b"no database at all" * 100)
    with pytest.raises(kl.errors.TrackingError):
        lab.set_verdict(two[0], "favourite", True)
    with pytest.raises(kl.errors.TrackingError):
        lab.annotate(two[0], "x")
    assert ({}, "") == (two[0].output.metrics, two[0].comment)


def test_while_the_sweep_runs(lab: kl.Lab, make_sweep: Callable[..., kl.Sweep]) -> None:
    """Verdicts from another thread neither disturb the sweep nor are lost by it."""
    axes = {"seed": list(range(1, 13)), "animal": ["bird"]}
    handle = lab.start(make_sweep(name="busy", axes=axes))
    judged: set[str] = set()

    def judge() -> None:
        while len(judged) < 12:
            for cell in handle.results:
                if cell.state is State.DONE and cell.run_id and cell.run_id not in judged:
                    lab.set_verdict(cell, "favourite", True)
                    judged.add(cell.run_id)
            time.sleep(0.01)

    thread = threading.Thread(target=judge)
    thread.start()
    results = handle.wait()
    thread.join(60)
    loaded = lab.load("busy")
    assert {State.DONE: 12} == dict(results.counts)
    assert [{"verdict/favourite": 1.0}] * 12 == [cell.output.metrics for cell in loaded]
    assert not any(math.isnan(cell.cost) for cell in loaded)


def test_a_note_is_a_column_of_the_table(lab: kl.Lab, make_sweep: Callable[..., kl.Sweep]) -> None:
    """Beside the verdicts."""
    results = lab.run(make_sweep(axes={"animal": ["bird"]}), progress=False)
    lab.annotate(results[0], "the beak is odd")
    assert ["the beak is odd"] == list(results.to_frame()["note"])
