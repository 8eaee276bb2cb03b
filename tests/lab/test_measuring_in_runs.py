"""A run measures by itself: after a picture is in the store, never in a request's way, never at a sweep's cost."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

import kontext_lab as kl
from kontext_lab.errors import ConfigError, TrackingError
from kontext_lab.results import Results, State
from kontext_lab.sandbox import Sandbox

MakeSweep = Callable[..., kl.Sweep]
WAIT = 60.0


class Gate:
    """A metric that waits until it is let go, and counts its calls."""

    def __init__(self) -> None:
        self.opened = threading.Event()
        self.reached = threading.Event()
        self.calls = 0

    def __call__(self, *_: object) -> dict[str, float]:
        self.calls += 1
        self.reached.set()
        assert self.opened.wait(WAIT)
        return {"mine": 1.0}


@pytest.fixture
def make_sweep(photo_file: Path) -> MakeSweep:
    """Makes a sweep of two cells unless told otherwise: measuring takes longer than all else."""

    def make(**changes: Any) -> kl.Sweep:
        given = {
            "prompt": "Add a {animal}.",
            "image": photo_file,
            "axes": {"animal": ["bird"], "seed": [1, 2]},
        }
        return kl.Sweep(**{**given, **changes})

    return make


@pytest.fixture
def gate() -> Any:
    """Opened at the end, whatever a test did."""
    made = Gate()
    yield made
    made.opened.set()


def measured(results: Results) -> list[bool]:
    """Of every output, whether it was measured."""
    return ["change/area" in output.metrics for output in results.outputs]


def lab_with(*metrics: Any, **options: Any) -> kl.Lab:
    """A lab that measures, also by these."""
    return kl.Lab(metrics=metrics, **options)


@pytest.fixture
def measuring(api: Sandbox) -> Any:
    """A lab as people make it: it measures."""
    with kl.Lab() as made:
        yield made


def test_a_run_measures_every_picture(measuring: kl.Lab, make_sweep: MakeSweep) -> None:
    """Unless told otherwise."""
    results = measuring.run(make_sweep(), progress=False)
    assert [True] * len(results) == measured(results)


def test_what_a_run_measured_is_in_the_store(measuring: kl.Lab, make_sweep: MakeSweep) -> None:
    """The run ends when it is."""
    results = measuring.run(make_sweep(), progress=False)
    assert [o.metrics for o in results.outputs] == [o.metrics for o in measuring.load("last").outputs]


def test_the_table_of_a_sweep_has_what_was_measured(
    measuring: kl.Lab, make_sweep: MakeSweep, store_uri: str
) -> None:
    """`results.csv` is written after it."""
    results = measuring.run(make_sweep(), progress=False)
    client = MlflowClient(store_uri)
    table = Path(client.download_artifacts(results.run_id, "results.csv"))
    assert "change/area" in table.read_text(encoding="utf-8").splitlines()[0]


def test_a_run_can_do_without(measuring: kl.Lab, make_sweep: MakeSweep) -> None:
    """`measure=False` for one call."""
    results = measuring.run(make_sweep(), measure=False, progress=False)
    assert [False] * len(results) == measured(results)


def test_a_lab_can_do_without(lab: kl.Lab, make_sweep: MakeSweep) -> None:
    """`Lab(measure=False)`."""
    assert not any(measured(lab.run(make_sweep(), progress=False)))


@pytest.mark.parametrize("given", ["no", None, 1])
def test_measure_is_yes_or_no(lab: kl.Lab, make_sweep: MakeSweep, given: object) -> None:
    """Anything else is refused before anything is sent."""
    with pytest.raises(ConfigError, match="measure must be True or False, not "):
        lab.run(make_sweep(), measure=given, progress=False)


def test_reused_pictures_that_were_never_measured_are(measuring: kl.Lab, make_sweep: MakeSweep) -> None:
    """Also where nothing is sent."""
    measuring.run(make_sweep(), measure=False, progress=False)
    assert all(measured(measuring.run(make_sweep(), progress=False)))


def test_what_was_measured_is_not_measured_again(api: Sandbox, make_sweep: MakeSweep) -> None:
    """Not by the same sweep, nor as a copy in another."""
    gate = Gate()
    gate.opened.set()
    with lab_with(gate) as lab:
        lab.run(make_sweep(), progress=False)
        lab.run(make_sweep(axes={"animal": ["crab"], "seed": [1]}), progress=False)
        calls = gate.calls
        lab.run(make_sweep(), progress=False)
        lab.run(make_sweep(axes={"animal": ["bird", "crab"], "seed": [1]}), progress=False)
    assert calls == gate.calls


def test_sending_does_not_wait_for_measuring(api: Sandbox, make_sweep: MakeSweep, gate: Gate) -> None:
    """All pictures are there while the first is still being measured."""
    everything = threading.Event()
    done: set[str] = set()

    def watch(cell: kl.CellResult) -> None:
        done.update([cell.title] if cell.state is State.DONE else [])
        if len(done) == len(make_sweep()):
            everything.set()

    with lab_with(gate) as lab:
        handle = lab.start(make_sweep(), observers=[watch])
        assert everything.wait(WAIT)
        gate.opened.set()
        assert all(measured(handle.wait(WAIT)))


def test_the_end_says_how_much_is_left_to_measure(api: Sandbox, make_sweep: MakeSweep, gate: Gate) -> None:
    """`results.measuring` counts down to nothing."""
    with lab_with(gate) as lab:
        handle = lab.start(make_sweep())
        assert gate.reached.wait(WAIT)
        during = handle.results.measuring
        gate.opened.set()
        handle.wait(WAIT)
    assert (True, 0) == (during > 0, handle.results.measuring)


def test_a_stop_does_not_wait_for_measuring(api: Sandbox, make_sweep: MakeSweep, gate: Gate) -> None:
    """What was not measured is said, with the way to do it later."""
    with lab_with(gate) as lab:
        handle = lab.start(make_sweep())
        assert gate.reached.wait(WAIT)
        handle.cancel()
        handle.wait(WAIT)
        assert (True, False) == (handle.done, gate.opened.is_set())
    assert any("not measured (stopped)" in line and "lab.measure" in line for line in handle.results.notes)


def test_a_stop_while_only_measuring_is_left_sends_nobody_back(
    api: Sandbox, make_sweep: MakeSweep, gate: Gate
) -> None:
    """Every cell has ended: the sweep is not to be run again for that."""
    finished = threading.Event()
    states: dict[str, State] = {}

    def watch(cell: kl.CellResult) -> None:
        states[cell.title] = cell.state
        if len(states) == len(make_sweep()) and set(states.values()) == {State.DONE}:
            finished.set()

    with lab_with(gate) as lab:
        handle = lab.start(make_sweep(), observers=[watch])
        assert finished.wait(WAIT)
        while handle.results.measuring < len(states):  # the store takes the last ones
            assert not handle.wait(0.05).stopped
        handle.cancel()
        results = handle.wait(WAIT)
    assert ("", False) == (results.stopped, any("run the same sweep again" in line for line in results.notes))


def test_a_metric_that_raises_is_said_and_costs_nothing_else(api: Sandbox, make_sweep: MakeSweep) -> None:
    """Once, however many cells there are."""

    def broken(*_: object) -> dict[str, float]:
        return {"mine": 1 / 0}

    with lab_with(broken) as lab:
        results = lab.run(make_sweep(), progress=False)
    assert ["metric broken: ZeroDivisionError: division by zero"] == results.notes
    assert all(measured(results))


def test_a_metric_that_hangs_ends_nothing_but_measuring(
    api: Sandbox, make_sweep: MakeSweep, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a while without a single value; the run is finished, and says it."""
    monkeypatch.setattr("kontext_lab.runner.measure_queue.PATIENCE", 0.0)
    monkeypatch.setattr("kontext_lab.runner.run_state.Timers.seconds", lambda *_: 0.1)
    with lab_with(gate) as lab:
        results = lab.run(make_sweep(), progress=False)
    assert ({State.DONE}, "") == ({cell.state for cell in results}, results.stopped)
    assert any("nothing came of it" in line for line in results.notes)


HANGING = """
import sys, time, kontext_lab as kl

def hanging(*_):
    time.sleep(1000)

with kl.Lab("sandbox", quiet=True, metrics=[hanging]) as lab:
    handle = lab.start(kl.Sweep("Add a bird.", sys.argv[1]))
    while not handle.results.measuring:
        time.sleep(0.05)
    handle.cancel()
    print(handle.wait().counts)
"""


@pytest.mark.slow
def test_python_ends_while_a_metric_hangs(store_uri: str, photo_file: Path) -> None:
    """Once the sweep was stopped; nobody can end a function from outside."""
    done = subprocess.run(
        [sys.executable, "-c", HANGING, str(photo_file)],
        check=False,
        timeout=WAIT,
        capture_output=True,
        text=True,
    )
    assert (0, "") == (done.returncode, done.stderr)


def test_a_metric_that_exits_ends_no_sweep(api: Sandbox, make_sweep: MakeSweep) -> None:
    """Everything is sent, and the run is finished."""

    def exiting(*_: object) -> dict[str, float]:
        sys.exit(3)

    with lab_with(exiting) as lab:
        results = lab.run(make_sweep(), progress=False, concurrency=1)
    assert ({State.DONE}, "") == ({cell.state for cell in results}, results.stopped)


def test_a_thousand_different_troubles_are_not_a_thousand_lines(api: Sandbox, make_sweep: MakeSweep) -> None:
    """The first few say what is wrong."""
    count = iter(range(1000))

    def broken(*_: object) -> dict[str, float]:
        raise ValueError(next(count))

    with lab_with(broken) as lab:
        results = lab.run(make_sweep(axes={"animal": ["bird"], "seed": "1-7"}), progress=False)
    assert (4, True) == (len(results.notes), "more could not be measured" in results.notes[-1])


def test_values_that_cannot_be_written_cost_no_picture(
    measuring: kl.Lab, make_sweep: MakeSweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are not shown either, and a line says how to get them; the store is tried once, not for every cell."""
    tries = []

    def full(*_: object) -> None:
        tries.append(1)
        raise TrackingError("the disk of the store is full")

    monkeypatch.setattr("kontext_lab.lab.measurer.write_measured", full)
    results = measuring.run(make_sweep(), progress=False)
    later = "`lab.measure(results)` or `kontext-lab measure` does it later"
    assert [f"2 cells were not measured (the disk of the store is full): {later}"] == results.notes
    assert [1] == tries
    assert ({State.DONE}, False) == ({cell.state for cell in results}, any(measured(results)))
    assert "" == results.stopped


def test_all_that_is_lost_is_counted(
    measuring: kl.Lab, make_sweep: MakeSweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also what comes after the store refused for the first time."""
    refused = threading.Event()

    def full(*_: object) -> None:
        refused.set()
        raise TrackingError("the disk of the store is full")

    class Second(ThreadPoolExecutor):
        """Does its second job once the store refused."""

        def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
            wait = refused.is_set if not self._threads else lambda: refused.wait(WAIT)
            return super().submit(lambda: (wait(), fn(*args, **kwargs))[1])

    monkeypatch.setattr("kontext_lab.lab.measurer.write_measured", full)
    with Second(1) as executor:
        results = measuring.run(make_sweep(), concurrency=1, executor=executor, progress=False)
    assert ({State.DONE}, True) == ({cell.state for cell in results}, refused.is_set())
    assert ["2 cells were not measured (the disk of the store is full)"] == [
        line.partition(":")[0] for line in results.notes
    ]


def test_what_was_lost_at_the_end_is_said(
    measuring: kl.Lab, make_sweep: MakeSweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where nothing is left to be measured when the store refuses."""

    def full(*_: object) -> None:
        raise TrackingError("the disk of the store is full")

    monkeypatch.setattr("kontext_lab.lab.measurer.write_measured", full)
    results = measuring.run(make_sweep(axes={"animal": ["bird"]}), progress=False)
    assert ["1 cell was not measured (the disk of the store is full)"] == [
        line.partition(":")[0] for line in results.notes
    ]


def test_the_next_run_measures_what_could_not_be_written(
    measuring: kl.Lab, make_sweep: MakeSweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By itself."""

    def full(*_: object) -> None:
        raise TrackingError("the disk of the store is full")

    with monkeypatch.context() as patch:
        patch.setattr("kontext_lab.lab.measurer.write_measured", full)
        measuring.run(make_sweep(), progress=False)
    assert all(measured(measuring.run(make_sweep(), progress=False)))


def test_boxes_are_measured_one_by_one(measuring: kl.Lab, make_sweep: MakeSweep) -> None:
    """As `preserve/<name>`, on every output."""
    results = measuring.run(
        make_sweep(protect={"cup": (0.2, 0.2, 0.6, 0.7), "edge": (0, 0, 1, 0.05)}), progress=False
    )
    assert all({"preserve/cup", "preserve/edge"} <= set(output.metrics) for output in results.outputs)


def test_a_box_is_measured_where_it_belongs(measuring: kl.Lab, store_uri: str) -> None:
    """Of two photographs each has its own; the store knows them, and what is measured later agrees."""
    boxes = {"coffee": {"cup": (0.2, 0.2, 0.6, 0.7)}, "chelsea": {"left eye": (0.3, 0.2, 0.45, 0.4)}}
    photos = {name: kl.sample(name) for name in boxes}
    sweep = kl.Sweep("Add a bird.", axes={"image": photos}, protect=boxes)
    for results in (measuring.run(sweep, progress=False), measuring.load("last")):
        found = [
            {name for name in output.metrics if name in ("preserve/cup", "preserve/left eye")}
            for output in results.outputs
        ]
        assert [{"preserve/cup"}, {"preserve/left eye"}] == found
    assert boxes == measuring.load_sweep("last").protect
    run = MlflowClient(store_uri).get_run(results.run_id)
    assert json.loads(json.dumps(boxes)) == json.loads(run.data.tags["kontext.protect"])


def test_other_boxes_are_the_same_sweep(measuring: kl.Lab, make_sweep: MakeSweep, api: Sandbox) -> None:
    """Nothing is sent for them, and the cells are measured anew."""
    first = measuring.run(make_sweep(), progress=False)
    sent = len(api.calls)
    second = measuring.run(make_sweep(protect={"cup": (0.2, 0.2, 0.6, 0.7)}), progress=False)
    assert (first.run_id, 0.0) == (second.run_id, second.spent)
    assert all("preserve/cup" in output.metrics for output in second.outputs)
    assert sent == len(api.calls)


@pytest.mark.parametrize("boxes", [{}, {"cup": (0, 0, 0.04, 1)}, {"plate": (0.2, 0.2, 0.6, 0.7)}])
def test_what_was_measured_of_earlier_boxes_is_withdrawn(
    measuring: kl.Lab, make_sweep: MakeSweep, boxes: dict[str, Any]
) -> None:
    """Of none, of one by the same name that the output doesn't show, of one by another name."""
    tall = {"axes": {"seed": [1]}, "prompt": "Add a bird.", "aspect_ratio": "9:21"}
    measuring.run(make_sweep(**tall, protect={"cup": (0.4, 0.4, 0.6, 0.6)}), progress=False)
    second = measuring.run(make_sweep(**tall, protect=boxes), progress=False)
    stored = measuring.load("last")
    for output in (*second.outputs, *stored.outputs):
        assert (False, "plate" in boxes) == tuple(
            f"preserve/{name}" in output.metrics for name in ("cup", "plate")
        )


def test_many_boxes_with_long_names_in_any_script(measuring: kl.Lab, make_sweep: MakeSweep) -> None:
    """As many as there may be: they fit into what the store takes."""
    boxes = {f"{place:02}" + "顔" * 58: (0.123456789 + place / 1000, 0.2, 0.6, 0.7) for place in range(20)}
    results = measuring.run(make_sweep(protect=boxes, axes={"seed": [1]}, prompt="Add."), progress=False)
    assert [] == results.notes
    assert {f"preserve/{name}" for name in boxes} <= set(measuring.load("last")[0].output.metrics)


def test_the_boxes_of_the_last_run_are_in_the_store(measuring: kl.Lab, make_sweep: MakeSweep) -> None:
    """For measuring weeks later."""
    boxes = {"cup": (0.2, 0.2, 0.6, 0.7)}
    measuring.run(make_sweep(), measure=False, progress=False)
    measuring.run(make_sweep(protect=boxes), measure=False, progress=False)
    assert boxes == measuring.load_sweep("last").protect


def test_measuring_later_knows_the_boxes(measuring: kl.Lab, make_sweep: MakeSweep) -> None:
    """`lab.measure` on what was loaded."""
    measuring.run(make_sweep(protect={"cup": (0.2, 0.2, 0.6, 0.7)}), measure=False, progress=False)
    loaded = measuring.load("last")
    measuring.measure(loaded, progress=False)
    assert all("preserve/cup" in output.metrics for output in loaded.outputs)


@pytest.mark.slow
def test_an_edit_of_an_edit_is_also_measured_against_the_first_picture(
    measuring: kl.Lab, make_sweep: MakeSweep
) -> None:
    """What two edits changed together is more than what the second did."""
    first = measuring.run(make_sweep(), progress=False)
    second = measuring.run(kl.Sweep("Make the table green.", first[0], seed=[1, 2]), progress=False)
    third = measuring.run(kl.Sweep("Add a crab.", second[0]), progress=False)
    values = third[0].output.metrics
    assert values["first/change/area"] > values["change/area"]


@pytest.mark.slow
def test_a_chain_with_a_gap_has_no_first_picture(
    measuring: kl.Lab, make_sweep: MakeSweep, store_uri: str
) -> None:
    """The oldest that is left is not what the chain began with; a line says so."""
    first = measuring.run(make_sweep(axes={"animal": ["bird"]}), progress=False)
    second = measuring.run(kl.Sweep("Make the table green.", first[0]), progress=False)
    MlflowClient(store_uri).delete_run(first[0].run_id)
    third = measuring.run(kl.Sweep("Add a crab.", second[0]), progress=False)
    assert not [name for name in third[0].output.metrics if name.startswith("first/")]
    assert ["not measured against the first picture of the chain: it is not in this store"] == third.notes


def test_what_stands_in_no_chain_has_no_first_picture(measuring: kl.Lab, make_sweep: MakeSweep) -> None:
    """Its reference is the first picture."""
    results = measuring.run(make_sweep(), progress=False)
    assert not [name for name in results[0].output.metrics if name.startswith("first/")]


def test_an_axis_that_changes_nothing_is_noticed_on_the_way(lab: kl.Lab, photo_file: Any) -> None:
    """Before the sweep has ended: further values of it would be paid for."""
    heard: list[tuple[int, str]] = []
    sweep = kl.Sweep("Add a bird.", photo_file, axes={"seed": [1, 2, 3, 4, 5, 6], "safety_tolerance": [2, 3]})

    def watch(cell: kl.CellResult) -> None:
        if handles:
            results = handles[0].results
            heard.extend((results.counts[State.DONE], line) for line in results.notes)

    handles: list[Any] = []
    handles.append(lab.start(sweep, observers=[watch], concurrency=1))
    handles[0].wait(WAIT)
    assert any("safety_tolerance changes nothing" in line and done < len(sweep) for done, line in heard)


def test_axes_that_change_something_are_not_named(lab: kl.Lab, make_sweep: MakeSweep) -> None:
    """No line, then."""
    assert [] == lab.run(make_sweep(), progress=False).notes


def test_a_cell_that_is_told_of_again_is_no_reason_to_look(
    lab: kl.Lab, make_sweep: MakeSweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As each is once it was measured: a look reads the whole sweep."""
    from kontext_lab.statistics import inert_axes

    results = lab.run(make_sweep(axes={"animal": ["bird"], "seed": "1-6"}), progress=False)
    looks: list[int] = []
    monkeypatch.setattr(inert_axes, "idle_pairs", lambda given: looks.append(len(given)) or {})
    watch = inert_axes.IdleWatch(results)
    for cell in (*results, *results, *results):
        watch(cell)
    assert [6, 6] == looks  # at four pictures, and at the end
