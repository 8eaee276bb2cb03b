"""`kontext-lab measure`, in this process."""

from __future__ import annotations

from collections.abc import Callable

import pytest

import kontext_lab as kl
from kontext_lab.cli.main import run_command


def test_measure(lab: kl.Lab, make_sweep: Callable[..., kl.Sweep], capfd: pytest.CaptureFixture[str]) -> None:
    """Says how much changed and how well the rest was kept, and that pictures are simulated."""
    results = lab.run(make_sweep(), progress=False)
    capfd.readouterr()
    code = run_command(["measure", "last"])
    out = capfd.readouterr().out
    assert (0, True) == (code, f"{len(results)} pictures measured (simulated)" in out)
    assert ("  changed: " in out, "  rest kept, similarity: " in out) == (True, True)
    assert "change/area" in lab.load("last")[0].output.metrics


def test_a_sweep_nobody_knows(store_uri: str, capfd: pytest.CaptureFixture[str]) -> None:
    """One line, and the code for bad usage."""
    code = run_command(["measure", "whales"])
    assert (2, 1) == (code, len(capfd.readouterr().err.strip().splitlines()))
