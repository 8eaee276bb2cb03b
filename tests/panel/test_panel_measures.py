"""A panel whose lab measures: what it says meanwhile, and that nothing waits for it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from panel_driver import drive

import kontext_lab as kl
from kontext_lab.panel import Panel
from kontext_lab.sandbox import Sandbox

WAIT = 60.0


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """Measuring goes on when it is set."""
    made = threading.Event()
    yield made
    made.set()


@pytest.fixture
def measuring(api: Sandbox, gate: threading.Event, photo_file: Path) -> Iterator[Panel]:
    """A panel on a sweep of two cells, whose lab measures once the gate is open."""

    def metric(*_: object) -> dict[str, float]:
        assert gate.wait(WAIT)
        return {"mine": 1.0}

    with kl.Lab(metrics=[metric]) as lab:
        panel = Panel(lab, kl.Sweep("Add a bird.", photo_file, seed=[1, 2]))
        panel.wait(20)
        yield panel
        gate.set()
        panel.wait(WAIT)


def test_the_progress_line_says_what_it_waits_for(measuring: Panel, gate: threading.Event) -> None:
    """All pictures are there, and how many are still to be measured."""
    ui = drive(measuring)
    measuring.run()
    said = ui.wait_for(lambda: "2/2" in ui.progress_line and "to go" in ui.run_bar.progress.text, WAIT)
    gate.set()
    measuring.wait(WAIT)
    assert (True, False) == (said, "measuring" in ui.progress_line)


@pytest.mark.slow
def test_pictures_are_in_the_grid_before_they_are_measured(measuring: Panel, gate: threading.Event) -> None:
    """And can be judged."""
    ui = drive(measuring)
    measuring.run()
    assert ui.wait_for(lambda: "2/2" in ui.progress_line, WAIT)
    output = measuring.results[0].output
    assert ({}, True) == (output.metrics, output.is_picture)


def test_values_are_there_when_it_has_ended(measuring: Panel, gate: threading.Event) -> None:
    """Without anybody asking for them."""
    gate.set()
    measuring.run()
    results = measuring.wait(WAIT)
    assert all({"change/area", "mine"} <= set(output.metrics) for output in results.outputs)


def test_stop_does_not_wait_for_measuring(measuring: Panel, gate: threading.Event) -> None:
    """What was not measured is said."""
    ui = drive(measuring)
    measuring.run()
    assert ui.wait_for(lambda: "to go" in ui.progress_line, WAIT)
    measuring.stop()
    measuring.wait(WAIT)
    assert (False, True) == (gate.is_set(), "not measured (stopped)" in ui.run_bar.notes.text)


@pytest.mark.slow
def test_an_axis_that_changes_nothing_is_said_while_the_sweep_runs(api: Sandbox, photo_file: Path) -> None:
    """Further values of it would be paid for."""
    with kl.Lab(measure=False, concurrency=1) as lab:
        axes = {"seed": "1-6", "safety_tolerance": [2, 3]}
        panel = Panel(lab, kl.Sweep("Add a bird.", photo_file, axes=axes))
        panel.wait(20)
        ui = drive(panel)
        panel.run()
        found = ui.wait_for(lambda: "safety_tolerance changes nothing" in ui.run_bar.notes.text, WAIT)
        busy = ui.session.busy
        panel.wait(WAIT)
    assert (True, True) == (found, busy)
