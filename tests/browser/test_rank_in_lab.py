"""Blind pairs in JupyterLab, by keyboard."""

from __future__ import annotations

import re

import numpy as np
import pytest
from jupyter import open_notebook
from marks import TRUE_SPAN, marked, places, spans
from panel_page import Workbench
from playwright.sync_api import Locator, expect

pytestmark = [pytest.mark.browser, pytest.mark.slow]

RANKING = """import kontext_lab as kl
lab = kl.Lab("sandbox", quiet=True)
sweep = kl.Sweep("Add a bird.", {file!r}, axes={{"aspect_ratio": ["1:1", "16:9", "9:16"]}})
ranking = kl.rank(lab.run(sweep, progress=False), lab=lab)
ranking"""


@pytest.fixture(scope="module")
def tab(bench: Workbench, tmp_path_factory: pytest.TempPathFactory) -> Locator:
    """Three simulated pictures of different shapes to be ranked, of a marked photograph."""
    file = tmp_path_factory.mktemp("marked") / "marked.png"
    marked().save(file)
    kernel = bench.kernel("ranking")
    notebook = open_notebook(
        bench.page(), bench.jupyter, "ranking/r.ipynb", [RANKING.format(file=str(file))], kernel=kernel
    )
    notebook.run(0)
    found = notebook.output(0).locator(".kl-panel").first
    expect(found.locator(".kl-viewer-stages img")).to_have_count(2)
    return found


def test_marks_coincide(tab: Locator) -> None:
    """Two pictures of different shapes show a thing at the same place and size, and neither is out of shape."""
    both = tab.locator(".kl-viewer-stage")
    found = [places(both.nth(at).screenshot()) for at in (0, 1)]
    assert np.abs(found[0] - found[1]).max() < 0.02
    assert [TRUE_SPAN] * 2 == pytest.approx([spans(one) for one in found], rel=0.03)


def test_arrows_vote_once_it_was_clicked(tab: Locator) -> None:
    """A key a pair, and what was counted is said."""
    tab.locator(".kl-viewer-stages").click()
    for count, key in enumerate(("ArrowLeft", "ArrowUp", "ArrowDown"), 1):
        tab.page.wait_for_timeout(500)
        tab.page.keyboard.press(key)
        expect(tab.get_by_text(re.compile(rf"^{count} of 3 pairs"))).to_be_visible()


def test_scores_on_demand(tab: Locator) -> None:
    """A table below the pictures, hidden again by the same button."""
    tab.get_by_role("button", name="Show the scores").click()
    expect(tab.locator(".kl-standings").first).to_contain_text("aspect_ratio")
    tab.get_by_role("button", name="Hide the scores").click()
    expect(tab.locator(".kl-standings")).to_have_count(0)
