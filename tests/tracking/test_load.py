"""Results rebuilt from MLflow alone, in a process that never saw the sweep."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

import kontext_lab as kl
from kontext_lab.errors import NotFound
from kontext_lab.results import State
from kontext_lab.sandbox import FAULTS, Sandbox


@pytest.fixture
def lab(store_uri: str, monkeypatch: pytest.MonkeyPatch) -> kl.Lab:
    """A lab on the sandbox."""
    return kl.Lab("sandbox")


@pytest.fixture
def sweep(photo_file: Path) -> kl.Sweep:
    """Two by two cells with a named prompt."""
    return kl.Sweep(
        image=photo_file,
        axes={
            "prompt": {"plain": "Add a bird.", "keep": "Add a bird. Keep the rest."},
            "guidance_scale": [2, 5],
        },
        name="study",
    )


def same(one: kl.Results, other: kl.Results) -> bool:
    """Equal in everything a person sees."""

    def facts(results: kl.Results) -> list[object]:
        return [
            (cell.title, cell.params, cell.state, cell.reason, cell.cost, cell.run_id, cell.bytes)
            for cell in results
        ]

    return facts(one) == facts(other) and one.axes == other.axes and one.name == other.name


@pytest.mark.slow
def test_loaded_results_equal_those_of_the_run(lab: kl.Lab, sweep: kl.Sweep) -> None:
    """Parameters, states, costs, names of values and exact bytes come back."""
    results = lab.run(sweep, progress=False)

    assert same(results, lab.load("study"))
    assert "keep" == lab.load("study").cell(prompt="keep", guidance_scale=5).params["prompt.label"]


@pytest.mark.parametrize("part", [32, 8, 4])
def test_load_takes_an_id_or_its_beginning(part: int, lab: kl.Lab, sweep: kl.Sweep) -> None:
    """A run id, or the beginning of one, names a sweep."""
    results = lab.run(sweep, progress=False)

    assert results.run_id == lab.load(results.run_id[:part]).run_id


@pytest.mark.slow
def test_load_last_is_the_newest(lab: kl.Lab, sweep: kl.Sweep) -> None:
    """`last` is the sweep that was begun last."""
    lab.run(sweep, progress=False)
    newest = lab.run(sweep.replace(seed=7, name="newest"), progress=False)

    assert newest.run_id == lab.load("last").run_id


@pytest.mark.slow
def test_several_hits_are_listed(lab: kl.Lab, sweep: kl.Sweep) -> None:
    """Two sweeps of one name are an error that lists both ids."""
    one = lab.run(sweep, progress=False)
    two = lab.run(sweep.replace(seed=7), progress=False)

    with pytest.raises(NotFound) as caught:
        lab.load("study")
    assert one.run_id[:8] in str(caught.value)
    assert two.run_id[:8] in str(caught.value)


def test_no_hit_names_what_there_is(lab: kl.Lab, sweep: kl.Sweep) -> None:
    """An unknown name is an error that names the latest sweeps."""
    lab.run(sweep, progress=False)

    with pytest.raises(NotFound, match="study"):
        lab.load("nothing of that name")


@pytest.mark.slow
def test_another_process_loads_the_same(lab: kl.Lab, sweep: kl.Sweep, store_uri: str) -> None:
    """A new process needs nothing but the store."""
    results = lab.run(sweep, progress=False)
    code = (
        "import json, sys, kontext_lab as kl; r = kl.Lab('sandbox').load('study');"
        "print(json.dumps([[c.title, str(c.state), c.outputs[0].sha256, len(c.bytes)] for c in r]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )

    assert json.loads(done.stdout) == [
        [cell.title, str(cell.state), cell.outputs[0].sha256, len(cell.bytes)] for cell in results
    ]


def test_failed_cells_come_back_with_reason_and_words(
    store_uri: str, sweep: kl.Sweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Why a cell failed is known from the store alone."""
    with Sandbox() as box:
        monkeypatch.setenv("AIMLAPI_BASE_URL", box.url)
        monkeypatch.setenv("AIMLAPI_API_KEY", "key")
        box.script([FAULTS["too_large"], FAULTS["moderated"]])
        with kl.Lab(concurrency=1) as lab:
            results = lab.run(sweep, progress=False)
            loaded = lab.load("study")

    assert [State.FAILED, State.FAILED, State.DONE, State.DONE] == [cell.state for cell in loaded]
    assert [cell.note for cell in results] == [cell.note for cell in loaded]
    assert ["413", "moderated"] == [cell.reason for cell in loaded][:2]


def test_sweep_comes_back(lab: kl.Lab, sweep: kl.Sweep) -> None:
    """The sweep itself is read back from its run, with equal fingerprints."""
    lab.run(sweep, progress=False)
    loaded = lab.load_sweep("study")

    assert [cell.request.fingerprint("sandbox") for cell in sweep.cells] == [
        cell.request.fingerprint("sandbox") for cell in loaded.cells
    ]


def test_results_travel(lab: kl.Lab, sweep: kl.Sweep) -> None:
    """Results pickle, and their pictures are loaded where they arrive."""
    results = lab.run(sweep, progress=False)

    assert same(results, pickle.loads(pickle.dumps(results)))


@pytest.mark.slow
def test_history_lists_newest_first(lab: kl.Lab, sweep: kl.Sweep) -> None:
    """History has a line per sweep with counts and cost."""
    lab.run(sweep, progress=False)
    lab.run(sweep.replace(seed=7, name="second"), progress=False)

    assert ["second", "study"] == [run.name for run in lab.history()]
    assert 4 == lab.history()[0].counts["done"]
