"""Pictures that were paid for and are not in the store any more: never done without a picture, paid again by choice."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from mlflow import MlflowClient

import kontext_lab as kl
from kontext_lab.errors import ConfigError, OutputMissing, TrackingError
from kontext_lab.figures.grid_plan import plan_grid
from kontext_lab.lab.plan import Action
from kontext_lab.results import Output, State
from kontext_lab.sandbox import Sandbox
from kontext_lab.tracking import SweepRecorder

Make = Callable[..., kl.Sweep]


def seeds(make_sweep: Make, text: str = "1-2", **given: object) -> kl.Sweep:
    """A sweep over seeds."""
    return make_sweep(prompt="Add a bird.", axes={"seed": text}, name=f"seeds {text}", **given)


def run(lab: kl.Lab, sweep: kl.Sweep, **options: object) -> kl.Results:
    """Run a sweep without a bar."""
    return lab.run(sweep, progress=False, **options)  # type: ignore[arg-type]


def file_of(output: Output) -> Path:
    """The artifact of an output."""
    load = output.load
    return Path(load.root.removeprefix("file://")) / load.path  # type: ignore[union-attr]


def remove(file: Path) -> None:
    """The file is deleted."""
    file.unlink()


def remove_run(file: Path) -> None:
    """All artifacts of the run are deleted."""
    shutil.rmtree(file.parent.parent)


def empty(file: Path) -> None:
    """The file has no bytes."""
    file.write_bytes(b"")


def cut(file: Path) -> None:
    """The file ends early."""
    file.write_bytes(file.read_bytes()[:-100])


def lengthen(file: Path) -> None:
    """The file has bytes too many."""
    file.write_bytes(file.read_bytes() + b"x")


def alter(file: Path) -> None:
    """The file has other bytes, as many as before."""
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(bytes(data))


SEEN = [remove, remove_run, empty, cut, lengthen]
"""Losses that a look at the file shows."""


@pytest.mark.parametrize("lose", SEEN)
class TestLost:
    """What a look at the file shows."""

    def test_extended(
        self, lab: kl.Lab, api: Sandbox, make_sweep: Make, lose: Callable[[Path], None]
    ) -> None:
        """A reused cell without its picture is skipped, the others are done, nothing of it is paid again."""
        first = run(lab, seeds(make_sweep))
        lose(file_of(first.outputs[0]))
        plan = lab.plan(seeds(make_sweep, "1-3"))
        results = run(lab, seeds(make_sweep, "1-3"))
        assert (1, 1, 1) == (plan.missing, plan.reused, plan.requests)
        assert 1 == sum("sent again only with --missing resend" in line for line in plan.warnings)
        assert [("skipped", "missing"), ("done", ""), ("done", "")] == [
            (cell.state, cell.reason) for cell in results
        ]
        assert "--missing resend" in results[0].note
        assert 3 == len(api.calls)

    def test_run_again(
        self, lab: kl.Lab, api: Sandbox, make_sweep: Make, lose: Callable[[Path], None]
    ) -> None:
        """The same sweep says the same of its own cell."""
        first = run(lab, seeds(make_sweep))
        lose(file_of(first.outputs[0]))
        again = run(lab, seeds(make_sweep))
        assert [(State.SKIPPED, "missing"), (State.DONE, "")] == [(cell.state, cell.reason) for cell in again]
        assert 2 == len(api.calls)

    @pytest.mark.slow
    def test_sent_again_by_choice(
        self, lab: kl.Lab, api: Sandbox, make_sweep: Make, lose: Callable[[Path], None]
    ) -> None:
        """With `resend` it is paid for again, as one line of the plan says; afterwards it is reused."""
        first = run(lab, seeds(make_sweep))
        lose(file_of(first.outputs[0]))
        plan = lab.plan(seeds(make_sweep), missing="resend")
        again = run(lab, seeds(make_sweep), missing="resend")
        price = first[0].cost
        assert (1, 1, round(price, 6)) == (plan.requests, plan.reused, plan.cost)
        assert 1 == sum("paid for before and sent again" in line for line in plan.warnings)
        assert {State.DONE: 2} == dict(again.counts)
        assert round(price, 6) == again.spent
        assert all(len(output.bytes) > 100 for output in lab.load("last").outputs)
        assert 0.0 == run(lab, seeds(make_sweep)).spent
        assert 3 == len(api.calls)

    def test_loaded(self, lab: kl.Lab, make_sweep: Make, lose: Callable[[Path], None]) -> None:
        """Loaded results count what is missing and name the place; the bytes are refused."""
        first = run(lab, seeds(make_sweep))
        lose(file_of(first.outputs[0]))
        loaded = lab.load("last")
        assert [1] == [output.number for output in loaded.missing]
        (note,) = loaded.notes
        assert note.startswith("1 of 2 pictures is missing in ")
        with pytest.raises(OutputMissing):
            _ = loaded[0].bytes

    def test_saved(
        self,
        lab: kl.Lab,
        make_sweep: Make,
        lose: Callable[[Path], None],
        tmp_path: Path,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        """What there is is saved, the rest is named."""
        first = run(lab, seeds(make_sweep))
        lose(file_of(first.outputs[0]))
        folder = lab.load("last").save(tmp_path / "saved")
        assert ["2 s2.jpg", "index.csv"] == sorted(one.name for one in folder.iterdir())
        assert "not saved: s1" in caplog.text
        rows = (folder / "index.csv").read_text().splitlines()
        assert ["missing", ""] == [row.split(",")[rows[0].split(",").index("reason")] for row in rows[1:]]


def test_altered_picture_is_not_copied(lab: kl.Lab, api: Sandbox, make_sweep: Make) -> None:
    """Bytes of the right number that are not those that came are found when they are copied; no child is made."""
    first = run(lab, seeds(make_sweep))
    alter(file_of(first.outputs[0]))
    results = run(lab, seeds(make_sweep, "1-3"))
    assert ("skipped", "missing", "") == (results[0].state, results[0].reason, results[0].run_id)
    assert "was changed" in results[0].note
    assert 2 == len(lab.load("last").outputs)
    again = run(lab, seeds(make_sweep, "1-3"), missing="resend")
    assert {State.DONE: 3} == dict(again.counts)
    assert 4 == len(api.calls)


def test_another_copy_of_the_picture_is_taken(lab: kl.Lab, api: Sandbox, make_sweep: Make) -> None:
    """Where one sweep lost a picture and another has it, that one is reused."""
    first = run(lab, seeds(make_sweep))
    kept = first[0].bytes
    run(lab, seeds(make_sweep, "1-3"))
    remove_run(file_of(first.outputs[0]))
    again = run(lab, seeds(make_sweep))
    assert (State.DONE, kept) == (again[0].state, again[0].bytes)
    assert {State.DONE: 2} == dict(run(lab, seeds(make_sweep, "1,5")).counts)
    assert 4 == len(api.calls)


def test_same_request_twice_is_paid_once(lab: kl.Lab, api: Sandbox, make_sweep: Make) -> None:
    """Two cells of one lost request are one request when they are sent again, and one price before."""
    first = run(lab, seeds(make_sweep))
    for output in first.outputs:
        remove(file_of(output))
    twice = make_sweep(prompt="Add a {x}.", axes={"x": {"one": "bird", "two": "bird"}}, seed=1, name="twice")
    plan = lab.plan(twice)
    assert (2, first[0].cost) == (plan.missing, plan.missing_cost)
    assert [Action.SEND, Action.FOLLOW] == [one.action for one in lab.plan(twice, missing="resend").decisions]


def test_part_of_a_cell_s_pictures(lab: kl.Lab, api: Sandbox, make_sweep: Make) -> None:
    """A cell with some of its pictures is done and says which are missing, also as a copy."""
    first = run(lab, seeds(make_sweep, "1", num_images=2))
    remove(file_of(first.outputs[1]))
    results = run(lab, seeds(make_sweep, "1-2", num_images=2))
    assert {State.DONE: 2} == dict(results.counts)
    assert "missing in the store: output 2" in results[0].note
    assert [results[0].outputs[1]] == results.missing
    assert 1 == sum(
        "lack some of their pictures" in one
        for one in lab.plan(seeds(make_sweep, "1", num_images=2)).warnings
    )


def test_measuring_names_what_is_missing(lab: kl.Lab, make_sweep: Make) -> None:
    """What is missing is one line, the others are measured."""
    first = run(lab, seeds(make_sweep))
    remove(file_of(first.outputs[0]))
    results = lab.measure(lab.load("last"), progress=False)
    assert [False, True] == ["change/area" in output.metrics for output in results.outputs]
    assert 1 == sum(note.startswith("not measured: 1 of 2 pictures is missing") for note in results.notes)


def test_report_names_what_is_missing(lab: kl.Lab, make_sweep: Make, tmp_path: Path) -> None:
    """The page says how many pictures are missing."""
    first = run(lab, seeds(make_sweep))
    remove(file_of(first.outputs[0]))
    page = kl.report(lab.load("last"), tmp_path / "page.html", lab=lab)
    assert "1 of 2 pictures is missing" in page.read_text(encoding="utf-8")


def test_found_though_it_is_missing(lab: kl.Lab, make_sweep: Make) -> None:
    """A picture is known by its digest, and the line says that the store has it no more."""
    first = run(lab, seeds(make_sweep))
    data = first[0].bytes
    remove(file_of(first.outputs[0]))
    (found,) = lab.find(data)
    assert "missing in the store" in found.line


def test_lost_preview_falls_back_to_the_picture(lab: kl.Lab, make_sweep: Make) -> None:
    """Without its preview a picture is shown all the same."""
    first = run(lab, seeds(make_sweep))
    shutil.rmtree(file_of(first.outputs[0]).parent.parent / "images")
    assert lab.load("last")[0].output.thumbnail(64).width > 0


def test_unknown_choice_is_refused(lab: kl.Lab, make_sweep: Make) -> None:
    """Anything but skip and resend is one line with what is allowed."""
    with pytest.raises(ConfigError, match="missing must be skip or resend, not 'maybe'"):
        lab.plan(seeds(make_sweep), missing="maybe")


class TestJournal:
    """A store that was moved while the journal held answers for it."""

    @pytest.fixture
    def unwritten(
        self, lab: kl.Lab, make_sweep: Make, monkeypatch: pytest.MonkeyPatch, workdir: Path
    ) -> Path:
        """The folder under another name, after a sweep whose answers the store did not take."""

        def refuse(*_: object) -> None:
            raise TrackingError("the disk is full")

        with monkeypatch.context() as patch:
            patch.setattr(SweepRecorder, "log", refuse)
            run(lab, seeds(make_sweep))
        other = workdir.parent / "moved"
        monkeypatch.chdir(workdir.parent)
        workdir.rename(other)
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{other / 'mlflow.db'}")
        return other

    @pytest.mark.usefixtures("unwritten")
    def test_going_on_pays_nothing_twice(self, api: Sandbox, make_sweep: Make, workdir: Path) -> None:
        """Run again where the store is now, the answers are logged there and only the rest is sent."""
        with kl.Lab(measure=False) as lab:
            results = run(lab, seeds(make_sweep))
        assert {State.DONE: 2} == dict(results.counts)
        assert (2, False) == (len(api.calls), workdir.exists())

    @pytest.mark.usefixtures("unwritten")
    def test_recovered(self, workdir: Path) -> None:
        """`recover` brings them into the store where it is now."""
        with kl.Lab(measure=False, quiet=True) as lab:
            assert ["seeds 1-2: 2 answers logged"] == [one.line for one in lab.recover()]
            assert [] == lab.unfinished
        assert not workdir.exists()

    @pytest.mark.usefixtures("unwritten")
    def test_store_that_is_elsewhere_is_named(
        self, workdir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """From another store nothing is delivered and nothing made: one line says where to recover."""
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'other.db'}")
        with kl.Lab(measure=False, quiet=True) as lab:
            (done,) = lab.recover()
            assert "is not there any more: if it was moved" in done.problem
            assert ["2 answers to be logged" in str(line) for line in lab.unfinished] == [True]
        assert not workdir.exists()

    def test_original_keeps_its_journal(
        self, lab: kl.Lab, make_sweep: Make, monkeypatch: pytest.MonkeyPatch, workdir: Path
    ) -> None:
        """A copy of the folder does not take over what belongs to the original."""

        def refuse(*_: object) -> None:
            raise TrackingError("the disk is full")

        with monkeypatch.context() as patch:
            patch.setattr(SweepRecorder, "log", refuse)
            run(lab, seeds(make_sweep))
        copied = workdir.parent / "copied"
        shutil.copytree(workdir, copied)
        before = lab.context.journal.unfinished()[0].facts
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{copied / 'mlflow.db'}")
        with kl.Lab(measure=False, quiet=True) as other:
            other.recover()
        client = MlflowClient(before.store)
        cells = client.search_runs(
            [one.experiment_id for one in client.search_experiments()], "tags.`kontext.kind` = 'cell'"
        )
        assert 2 == len(cells)


def test_a_grid_says_what_its_previews_stand_for(lab: kl.Lab, make_sweep: Make) -> None:
    """Small pictures are left where the exact bytes are gone; below the grid stands how many."""
    remove(file_of(run(lab, seeds(make_sweep)).outputs[0]))
    plan = plan_grid(lab.load("last"))
    assert "missing in the store, shown as previews: 1 of 2" in plan.labels[-1].lines[0]
