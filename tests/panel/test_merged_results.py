"""Several sweeps together: what they differ in becomes an axis."""

from __future__ import annotations

from collections.abc import Callable

import kontext_lab as kl
from kontext_lab.panel.planned_results import differences, merged


def test_what_sweeps_differ_in_is_an_axis(sandbox_lab: kl.Lab, make_sweep: Callable[..., kl.Sweep]) -> None:
    """Two sweeps with one ratio each, compared by ratio."""
    axes = {"animal": ["bird"], "seed": [1, 2]}
    one = sandbox_lab.run(make_sweep(axes=axes, aspect_ratio="1:1"), progress=False)
    two = sandbox_lab.run(make_sweep(axes=axes, aspect_ratio="16:9"), progress=False)
    assert ["1:1", "16:9"] == merged({"one": one, "two": two}).axes["aspect_ratio"]


def test_sweeps_at_the_same_place_are_told_apart(
    sandbox_lab: kl.Lab, make_sweep: Callable[..., kl.Sweep]
) -> None:
    """The same sweep sent twice: the sweep is an axis."""
    sweep = make_sweep(axes={"animal": ["bird"], "seed": [1]})
    one = sandbox_lab.run(sweep, progress=False)
    two = sandbox_lab.run(sweep, progress=False, reuse="never")
    together = merged({"first": one, "again": two})
    assert (["first", "again"], 2) == (together.axes["sweep"], len(together))


def test_the_sources_stay_as_they_are(sandbox_lab: kl.Lab, make_sweep: Callable[..., kl.Sweep]) -> None:
    """Comparing changes neither cells nor outputs."""
    one = sandbox_lab.run(make_sweep(axes={"animal": ["bird"], "seed": [1]}), progress=False)
    merged({"a": one, "b": one})
    assert (False, one[0]) == ("sweep" in one[0].params, one[0].outputs[0].cell)


def test_differences_name_parameters_and_both_values(
    sandbox_lab: kl.Lab, make_sweep: Callable[..., kl.Sweep]
) -> None:
    """Only what differs."""
    results = sandbox_lab.run(make_sweep(axes={"animal": ["bird"], "seed": [1, 2]}), progress=False)
    assert [("seed", "1", "2")] == list(differences(results[0].output, results[1].output))
