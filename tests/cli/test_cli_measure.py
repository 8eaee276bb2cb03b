"""`kontext-lab measure`, in this process."""

from __future__ import annotations

import shutil
from collections.abc import Callable

import pytest
from mlflow import MlflowClient

import kontext_lab as kl
from kontext_lab.cli.main import run_command


@pytest.mark.slow
def test_measure(lab: kl.Lab, make_sweep: Callable[..., kl.Sweep], capfd: pytest.CaptureFixture[str]) -> None:
    """Says how much changed and how well the rest was kept, and that pictures are simulated."""
    results = lab.run(make_sweep(), progress=False)
    capfd.readouterr()
    code = run_command(["measure", "last"])
    out = capfd.readouterr().out
    assert (0, True) == (code, f"{len(results)} pictures measured (simulated)" in out)
    assert ("  changed: " in out, "  rest kept, similarity: " in out) == (True, True)
    assert "change/area" in lab.load("last")[0].output.metrics


def test_pictures_that_cannot_be_measured(
    lab: kl.Lab, make_sweep: Callable[..., kl.Sweep], store_uri: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """A judged picture is no measured one; a few lines say why, and how many more there are."""
    results = lab.run(make_sweep(), progress=False)
    lab.set_verdict(results[0], "follows prompt", True)
    folder = MlflowClient(store_uri).get_run(results.run_id).info.artifact_uri.removeprefix("file://")
    shutil.rmtree(folder)
    capfd.readouterr()
    code = run_command(["measure", "last"])
    said = capfd.readouterr()
    assert (1, ": 0 pictures measured" in said.out) == (code, True)
    assert (6, "… and 3 more could not be measured") == (
        len(said.err.splitlines()),
        said.err.splitlines()[-1],
    )


def test_a_sweep_nobody_knows(store_uri: str, capfd: pytest.CaptureFixture[str]) -> None:
    """One line, and the code for bad usage."""
    code = run_command(["measure", "whales"])
    assert (2, 1) == (code, len(capfd.readouterr().err.strip().splitlines()))
