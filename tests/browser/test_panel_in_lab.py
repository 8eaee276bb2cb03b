"""The panel in JupyterLab, on the quickstart notebook: from an empty form to verdicts, Compare and History."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from jupyter import open_copy
from panel_page import PanelPage, Workbench
from playwright.sync_api import expect

pytestmark = [pytest.mark.browser, pytest.mark.slow]

QUICKSTART = Path(__file__).parents[2] / "notebooks" / "quickstart.ipynb"


@pytest.fixture(scope="module")
def typed(bench: Workbench, photo_file: Path) -> PanelPage:
    """The quickstart with a form filled by hand, nothing run yet."""
    kernel = bench.kernel("quickstart")
    notebook = open_copy(
        bench.page(), bench.jupyter, "quickstart/q.ipynb", nbformat.read(QUICKSTART, 4), kernel=kernel
    )
    notebook.run(0)
    panel = PanelPage(notebook)
    panel.fill("Add a {animal} to the photo.", photo_file, animal="bird,crab", Guidance="2-8:3")
    return panel


@pytest.fixture(scope="module")
def finished(typed: PanelPage) -> PanelPage:
    """The same with its six cells done."""
    typed.run(6)
    typed.done(6)
    return typed


def test_typing(typed: PanelPage) -> None:
    """A placeholder has a field as soon as its brace closes, ranges are written out, and the plan follows."""
    expect(typed.values("{animal}")).to_have_text(["bird", "crab"])
    expect(typed.values("Guidance")).to_have_text(["2", "5", "8"])
    expect(typed.plan).to_contain_text("6 requests")
    assert [] == typed.ask("list(panel.lab.history())")


def test_progress_stays(finished: PanelPage) -> None:
    """What was counted stands there when all is done."""
    expect(finished.progress).to_contain_text("6/6 · $0.31 (simulated)")
