"""The tabs History and Compare without a browser."""

from __future__ import annotations

from pathlib import Path

import pytest
from panel_driver import drive

import kontext_lab as kl
from kontext_lab.panel import Panel
from kontext_lab.results import State
from kontext_lab.sandbox import Sandbox


@pytest.fixture
def past(lab: kl.Lab, photo_file: Path) -> Panel:
    """A panel made after two sweeps: `birds` with two seeds, `crabs` with one."""
    lab.run(kl.Sweep("Add a bird.", photo_file, seed="1-2", name="birds"), progress=False)
    lab.run(kl.Sweep("Add a crab.", photo_file, name="crabs"), progress=False)
    made = Panel(lab)
    made.wait(20)
    return made


def run_of(panel: Panel, name: str) -> object:
    """The run of a sweep in the list."""
    return next(run for run in drive(panel).history.runs if run.name == name)


def test_past_sweeps_are_listed_newest_first(past: Panel) -> None:
    """With their thumbnails."""
    history = drive(past).history
    assert ["crabs", "birds"] == [run.name for run in history.listed]
    assert 2 == sum("data:image" in child.children[0].value for child in history.parts[1:])


@pytest.mark.slow
def test_search_finds_by_name(past: Panel) -> None:
    """Every word must occur."""
    drive(past).history.search.value = "bird"
    assert ["birds"] == [run.name for run in drive(past).history.listed]


@pytest.mark.slow
def test_an_opened_sweep_is_on_show_with_its_references(past: Panel) -> None:
    """Its request is known, so that before and after can be compared."""
    drive(past).history.open_run(run_of(past, "birds"))
    past.wait(20)
    assert ("birds", 2, True) == (past.results.name, len(past.results), past.results[0].request is not None)


@pytest.mark.slow
def test_a_loaded_sweep_stands_in_the_form(past: Panel) -> None:
    """And is the same sweep: everything is reused."""
    drive(past).history.load_run(run_of(past, "birds"))
    past.wait(20)
    drive(past).wait_for_plan(20)
    assert (2, 0) == (drive(past).planner.plan.reused, drive(past).planner.plan.requests)


@pytest.mark.slow
def test_a_stopped_sweep_is_resumed(lab: kl.Lab, photo_file: Path, api: Sandbox) -> None:
    """What is missing is sent."""
    lab.run(kl.Sweep("Add a bird.", photo_file, seed="1-3", name="part"), progress=False, limit=1)
    panel = Panel(lab)
    panel.wait(20)
    drive(panel).history.resume_run(run_of(panel, "part"))
    drive(panel).wait_for(lambda: panel.results.counts[State.DONE] == 3, 60)
    panel.wait(20)
    assert (3, 3) == (panel.results.counts[State.DONE], len(api.calls))


def test_a_hidden_sweep_leaves_the_list_and_comes_back(past: Panel) -> None:
    """Nothing is deleted."""
    history = drive(past).history
    history.hide(run_of(past, "birds"))
    past.wait(20)
    listed = [run.name for run in history.listed]
    history.hidden.value = True
    past.wait(20)
    assert (["crabs"], ["crabs", "birds"]) == (listed, [run.name for run in history.listed])


@pytest.mark.slow
def test_compare_takes_sweeps_by_name_and_cells_by_run_id(past: Panel, lab: kl.Lab) -> None:
    """Any sweeps and runs of the store."""
    compare = drive(past).compare
    compare.add("crabs")
    compare.add(lab.load("birds")[1].run_id)
    past.wait(20)
    assert ["Add a bird.", "Add a crab."] == sorted(cell.params["prompt"] for cell in compare.results)


@pytest.mark.slow
def test_two_picked_outputs_are_shown_side_by_side(past: Panel) -> None:
    """With their differences named."""
    compare = drive(past).compare
    compare.add("birds")
    past.wait(20)
    for cell in compare.results:
        compare.pick(cell.output)
    past.wait(20)
    assert {"left", "right"} == set(compare.viewer.pictures)
    assert "<th>seed</th><td>1</td><td>2</td>" in compare.table.value


def test_what_is_not_there_is_said_in_compare(past: Panel) -> None:
    """In one line, and nothing else changes."""
    drive(past).compare.add("whales")
    past.wait(20)
    assert ("whales" in drive(past).compare.trouble.text, {}) == (True, drive(past).compare.sources)


def test_reading_again_keeps_the_rows(past: Panel) -> None:
    """A click while the store is read meets the button that was seen."""
    history = drive(past).history
    before = history.children
    history.refresh()
    past.wait(20)
    assert before == history.children
