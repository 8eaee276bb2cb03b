"""Chains of edits: what a picture was made from, and what was made from it."""

from __future__ import annotations

import pytest
from mlflow import MlflowClient

import kontext_lab as kl
from kontext_lab.results import CellResult, Output


@pytest.fixture
def chain(lab: kl.Lab, photo_file: object) -> list[CellResult]:
    """Three edits, each made from the one before."""
    cells: list[CellResult] = [lab.edit(photo_file, "Add a bird.", aspect_ratio="1:1")]
    for prompt in ("Add a crab.", "Make it night."):
        cells.append(lab.edit(cells[-1].output, prompt, aspect_ratio="1:1"))
    return cells


def runs(outputs: list[Output]) -> list[str]:
    """Where some outputs are tracked."""
    return [str(output.origin) for output in outputs]


def test_upwards(lab: kl.Lab, chain: list[CellResult]) -> None:
    """The outputs a picture was made from come oldest first, without itself; of a first edit there are none."""
    first, second, third = chain
    assert runs([first.output, second.output]) == runs(lab.ancestors(third))
    assert runs([first.output]) == runs(lab.ancestors(second.output))
    assert [] == lab.ancestors(first)
    assert first.bytes == lab.ancestors(third)[0].bytes


@pytest.mark.slow
def test_downwards(lab: kl.Lab, chain: list[CellResult], photo_file: object) -> None:
    """What was made directly from an output is found, in any experiment, the oldest first."""
    first, second, third = chain
    with kl.Lab(experiment="another") as other:
        more = other.edit(first.output, "Make it day.", aspect_ratio="1:1", num_images=2)
    assert runs([second.output, *more.outputs]) == runs(lab.derived(first))
    assert runs([third.output]) == runs(lab.derived(second.output))
    assert [] == lab.derived(third)


@pytest.mark.slow
def test_several_parents(lab: kl.Lab, chain: list[CellResult]) -> None:
    """Of several references each leads down; up goes the first one."""
    first, _, third = chain
    sweep = kl.Sweep("Join both.", images=[third.output, first.output], aspect_ratio="1:1")
    (joined,) = lab.run(sweep, progress=False)
    assert joined.run_id in [output.run_id for output in lab.derived(first)]
    assert joined.run_id in [output.run_id for output in lab.derived(third)]
    assert runs([third.output]) == runs(lab.ancestors(joined))[-1:]


def test_numbers_that_begin_alike(lab: kl.Lab, chain: list[CellResult], store_uri: str) -> None:
    """What was made from output 12 was not made from output 1."""
    first, second, _ = chain
    MlflowClient(store_uri).set_tag(second.run_id, "kontext.parent_output", f"{first.run_id}/12")
    assert [] == lab.derived(first)
    assert [] == lab.ancestors(lab.load_cells([second.run_id])[0])


@pytest.mark.slow
def test_copies(lab: kl.Lab, chain: list[CellResult]) -> None:
    """Reused cells are no edits of their own, and lead to those of their original."""
    first, second, _ = chain
    sweep = kl.Sweep("Add a crab.", first.output, aspect_ratio="1:1", axes={"seed": [1, 2]})
    longer = lab.run(sweep, progress=False)
    copy, new = longer
    assert (second.run_id, "") == (copy.reused_from, new.reused_from)
    assert runs([second.output, new.output]) == runs(lab.derived(first))
    assert runs(lab.derived(second)) == runs(lab.derived(copy))
    assert runs([first.output]) == runs(lab.ancestors(copy))


def test_a_missing_link_ends_it(lab: kl.Lab, chain: list[CellResult], store_uri: str) -> None:
    """Where an output was deleted, the chain begins after it."""
    first, second, third = chain
    client = MlflowClient(store_uri)
    client.delete_run(first.run_id)
    assert runs([second.output]) == runs(lab.ancestors(third))
    client.set_tag(second.run_id, "kontext.parent_output", f"{'0' * 32}/1")
    assert runs([second.output]) == runs(lab.ancestors(third))


def test_circles(lab: kl.Lab, chain: list[CellResult], store_uri: str) -> None:
    """Tags that somebody made into a circle don't go round for ever."""
    first, second, third = chain
    MlflowClient(store_uri).set_tag(first.run_id, "kontext.parent_output", f"{third.run_id}/1")
    assert runs([first.output, second.output]) == runs(lab.ancestors(third))


def test_a_sweep_is_no_output(lab: kl.Lab, chain: list[CellResult], store_uri: str) -> None:
    """A parent that is no cell's run ends the chain."""
    parent = lab.history()[0].run_id
    MlflowClient(store_uri).set_tag(chain[2].run_id, "kontext.parent_output", f"{parent}/1")
    assert [] == lab.ancestors(lab.load_cells([chain[2].run_id])[0])


def test_long_chains(lab: kl.Lab, chain: list[CellResult], monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the nearest are followed where there are very many."""
    monkeypatch.setattr("kontext_lab.lab.lookup.LONGEST_CHAIN", 1)
    assert runs([chain[1].output]) == runs(lab.ancestors(chain[2]))


def test_not_tracked(lab: kl.Lab) -> None:
    """A cell that never ran has neither."""
    assert ([], []) == (lab.ancestors(CellResult("x", {})), lab.derived(CellResult("x", {})))
