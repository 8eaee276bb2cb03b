"""The examples in the docstrings of exported names are executed, on the sandbox and a store of their own."""

from __future__ import annotations

import doctest
import inspect
from collections.abc import Iterator
from typing import Any

import pytest
from panel_driver import ending_panels

import kontext_lab as kl

WITHOUT = {
    "Action",
    "CellResult",
    "Comparison",
    "Decision",
    "Differences",
    "EffectsView",
    "Found",
    "Handle",
    "KontextLabError",
    "Plan",
    "Ranking",
    "Recovery",
    "Scores",
    "Spending",
    "State",
    "SweepRun",
    "UnfinishedSweep",
    "Vote",
    "errors",
}
"""Errors, an enumeration, and records that calls return: the examples of those calls show them."""

METHODS = ("edit", "load", "plan", "run", "set_verdict", "start")
"""Methods of a lab that have an example."""

NAMES = [name for name in kl.__all__ if name not in WITHOUT] + [f"Lab.{name}" for name in METHODS]


@pytest.fixture
def panels_end(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Panels end with the test."""
    yield from ending_panels(monkeypatch)


@pytest.mark.slow
@pytest.mark.usefixtures("store_uri", "panels_end")
@pytest.mark.parametrize("name", NAMES)
def test_examples_run(name: str) -> None:
    """Every exported function and class has an example, and it does what it shows."""
    with kl.Lab("sandbox", quiet=True, measure=False) as lab:
        owner, _, method = name.partition(".")
        shown: Any = getattr(kl, owner)
        names: dict[str, Any] = {"kl": kl}
        if method:
            shown, names["lab"] = getattr(shown, method), lab
        test = doctest.DocTestParser().get_doctest(inspect.getdoc(shown) or "", names, name, None, 0)
        assert test.examples, f"{name} has no example"
        said: list[str] = []
        runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
        failed = runner.run(test, out=said.append).failed
    assert not failed, "".join(said)
