"""Measuring tracked pictures: values on the outputs and in MLflow, own metrics, what can't be measured."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
from mlflow import MlflowClient

import kontext_lab as kl
from kontext_lab.errors import ConfigError
from kontext_lab.metrics import VERSION
from kontext_lab.results import Results

MakeSweep = Callable[..., kl.Sweep]
LOGGED = {
    "change/area",
    "change/strength",
    "change/regions",
    "align/registered",
    "align/scale",
    "preserve/ssim",
    "preserve/psnr_db",
    "preserve/delta_e",
}


@pytest.fixture
def results(lab: kl.Lab, make_sweep: MakeSweep) -> Results:
    """The cells of a sweep, done and not measured."""
    return lab.run(
        make_sweep(axes={"guidance_scale": [2, 5], "seed": [1, 2], "animal": ["bird"]}), progress=False
    )


def test_every_picture_gets_its_values(lab: kl.Lab, results: Results) -> None:
    """How much changed, and how well the rest was kept."""
    lab.measure(results, progress=False)
    assert all(set(output.metrics) >= LOGGED for output in results.outputs)
    assert all(0 < output.metrics["change/area"] < 0.5 for output in results.outputs)


def test_the_sandbox_s_mark_is_no_change(lab: kl.Lab, results: Results) -> None:
    """What says SANDBOX on a picture was not edited by anybody: no region lies in its corner."""
    from kontext_lab.lab.measurer import comparison_of

    boxes = [region.box for output in results.outputs for region in comparison_of(output).regions]
    assert not any(x0 > 0.8 and y0 > 0.9 for x0, y0, _, _ in boxes)


def test_values_are_in_the_store(lab: kl.Lab, results: Results, store_uri: str) -> None:
    """As metrics of the cell's run, with the version of the recipe."""
    lab.measure(results, progress=False)
    run = MlflowClient(store_uri).get_run(results[0].run_id)
    assert results[0].output.metrics["change/area"] == run.data.metrics["change/area"]
    assert VERSION == run.data.tags["kontext.metrics"]


def test_loaded_results_have_them(lab: kl.Lab, results: Results) -> None:
    """Weeks later, too."""
    lab.measure(results, progress=False)
    assert [o.metrics for o in results.outputs] == [o.metrics for o in lab.load("last").outputs]


def test_loaded_results_can_be_measured(lab: kl.Lab, results: Results) -> None:
    """What was never measured can be at any time: its references are in the store."""
    loaded = lab.load(results.run_id)
    lab.measure(loaded, progress=False)
    assert all("change/area" in output.metrics for output in loaded.outputs)


def test_several_outputs_of_a_cell_each_have_their_own(lab: kl.Lab, make_sweep: MakeSweep) -> None:
    """Each at the step of its output."""
    made = lab.run(make_sweep(num_images=2, axes={"animal": ["bird"]}), progress=False)
    lab.measure(made, progress=False)
    loaded = lab.load(made.run_id)
    assert [o.metrics for o in made.outputs] == [o.metrics for o in loaded.outputs]
    assert 1 < len({o.metrics["change/area"] for o in loaded[0].outputs})


@pytest.mark.slow
def test_copies_have_what_was_measured(lab: kl.Lab, results: Results, make_sweep: MakeSweep) -> None:
    """A reused cell is the same picture, and so has the same values."""
    lab.measure(results, progress=False)
    again = {output.sha256: output for output in lab.run(make_sweep(), progress=False).outputs}
    copies = [again[output.sha256] for output in results.outputs]
    assert all(output.cell.reused_from for output in copies)
    assert [o.metrics for o in results.outputs] == [o.metrics for o in copies]


@pytest.mark.slow
def test_own_metrics(lab: kl.Lab, results: Results) -> None:
    """A callable gets the references, the output and the request; what it returns is recorded like all else."""

    def brightness(references, output, request):
        assert (1, request.prompt) == (len(references), results[0].request.prompt) or request
        return {"mine/width": output.width, "mine/nothing": math.nan}

    lab.measure(results, [brightness], progress=False)
    loaded = lab.load("last")[0].output
    assert (loaded.width, False) == (loaded.metrics["mine/width"], "mine/nothing" in loaded.metrics)


def test_a_metric_that_raises_costs_its_own_value_only(lab: kl.Lab, results: Results) -> None:
    """And is said once."""

    def broken(references, output, request):
        return 1 / 0

    lab.measure(results, [broken], progress=False)
    assert 1 == results.notes.count("metric broken: ZeroDivisionError: division by zero")
    assert all("change/area" in output.metrics for output in results.outputs)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("returned", "words"),
    [
        (None, "allowed is {name: number}"),
        ({"cost/usd": 1.0}, "recorded by something else"),
        ({"verdict/good": 1.0}, "recorded by something else"),
        ({"preserve/ssim": 1.0}, "recorded by something else"),
        ({"": 1.0}, "value's name: ''"),
        ({1: 1.0}, "value's name: 1"),
        ({"mine": "much"}, "allowed are numbers"),
        ({"mine": [1.0, 2.0]}, "allowed are numbers"),
        ({"mine": 10**400}, "allowed are numbers"),
        ({f"mine@{place}": 1.0 for place in range(1000)}, "997 more values can't be recorded"),
    ],
)
def test_what_a_metric_may_not_return(lab: kl.Lab, results: Results, returned: object, words: str) -> None:
    """One clear line, and nothing of it is recorded."""
    lab.measure(results, [lambda *_: returned], progress=False)
    assert any(words in line for line in results.notes)
    assert set(results[0].output.metrics) >= LOGGED
    assert not set(results[0].output.metrics) & {"cost/usd", "verdict/good", "mine", ""}


def test_one_bad_value_does_not_cost_the_good_ones(lab: kl.Lab, results: Results) -> None:
    """Each is taken or refused by itself."""
    given = {"good": 1.0, "b@d": 2.0, "größe": 3, "bad": "much"}
    lab.measure(results, [lambda *_: given], progress=False)
    taken = {key: value for key, value in lab.load("last")[0].output.metrics.items() if key in given}
    assert {"good": 1.0, "größe": 3.0} == taken


class _Silent(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), _Silent()])
def test_a_metric_that_ends_its_thread_costs_its_own_value_only(
    lab: kl.Lab, results: Results, error: BaseException
) -> None:
    """`sys.exit()` in somebody's function, or an error that can't tell itself."""

    def ending(*_: object) -> dict[str, float]:
        raise error

    lab.measure(results, [ending], progress=False)
    assert any(line.startswith(f"metric ending: {type(error).__name__}") for line in results.notes)
    assert all("change/area" in output.metrics for output in results.outputs)


@pytest.mark.parametrize("given", ["text", 3, [3], {"a": 1}])
def test_metrics_that_are_none(given: object) -> None:
    """Refused where they are given."""
    with pytest.raises(ConfigError, match="metrics: "):
        kl.Lab("sandbox", quiet=True, metrics=given)  # type: ignore[arg-type]


def test_nothing_to_measure(lab: kl.Lab) -> None:
    """Is said in a line."""
    with pytest.raises(ConfigError, match="no picture to measure"):
        lab.measure(Results([]), progress=False)


def test_references_that_are_gone(lab: kl.Lab, results: Results, store_uri: str) -> None:
    """Cells whose references can't be known are named, nothing is made up for them."""
    import shutil
    from pathlib import Path
    from urllib.parse import urlparse
    from urllib.request import url2pathname

    address = MlflowClient(store_uri).get_run(results.run_id).info.artifact_uri
    folder = Path(url2pathname(urlparse(address).path) if "://" in address else address)
    shutil.rmtree(folder)
    loaded = lab.load(results.run_id)
    lab.measure(loaded, progress=False)
    assert len(loaded) == sum("references are not at hand" in line for line in loaded.notes)
    assert [{}] * len(loaded) == [output.metrics for output in loaded.outputs]
