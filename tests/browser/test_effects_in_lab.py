"""The tab Effects in JupyterLab: measured pictures, a figure, sentences, and the way to the cells."""

from __future__ import annotations

import re

import pytest
from jupyter import open_notebook
from panel_page import Workbench
from playwright.sync_api import Locator, expect

pytestmark = [pytest.mark.browser, pytest.mark.slow]

STUDY = """import kontext_lab as kl
lab = kl.Lab("sandbox", quiet=True, measure=False)
axes = {"guidance_scale": "2-8:3", "seed": "1-3", "animal": ["bird", "crab"]}
sweep = kl.Sweep("Add a {animal} to the foreground of the photo.", kl.sample("coffee"), axes=axes)
panel = kl.Panel(lab, sweep)
panel.run()
results = panel.wait(120)
for output in results.outputs:
    output.metrics.clear()
    p = output.params
    output.metrics["change/area"] = 0.01 * p["guidance_scale"] + 0.01 * (p["seed"] % 2) + 0.02 * (p["animal"] == "crab")
panel"""


@pytest.fixture(scope="module")
def panel(bench: Workbench) -> Locator:
    """A panel whose sweep ran, turned to its tab Effects."""
    kernel = bench.kernel("effects")
    notebook = open_notebook(bench.page(), bench.jupyter, "effects/e.ipynb", [STUDY], kernel=kernel)
    notebook.run(0)
    found = notebook.output(0).locator(".kl-panel").first
    found.get_by_role("tab", name="Effects").click()
    expect(found.locator(".kl-findings")).to_contain_text("guidance_scale explains")
    return found


def test_the_figure_fits_the_page(panel: Locator) -> None:
    """It is there, and no wider than the panel."""
    picture = panel.locator("img.kl-chart-image").first
    expect(picture).to_be_visible()
    box, around = picture.bounding_box(), panel.bounding_box()
    assert box is not None
    assert around is not None
    assert 400 < box["width"] <= around["width"]


def test_every_sentence_says_simulated(panel: Locator) -> None:
    """They are read one by one."""
    sentences = panel.locator(".kl-findings li")
    expect(sentences).to_have_text([re.compile("^Simulated: ")] * sentences.count())


def test_two_axes_together(panel: Locator) -> None:
    """Picked by their names."""
    panel.get_by_label("Together").select_option("guidance_scale")
    panel.get_by_label("and", exact=True).select_option("animal")
    expect(panel.locator(".kl-findings")).to_contain_text(
        "The interaction of guidance_scale and animal explains"
    )


def test_a_click_on_a_point_shows_its_cells(panel: Locator) -> None:
    """On the figure, where the point is drawn."""
    panel.get_by_role("button", name=re.compile("^seed 3: .*6 outputs")).click()
    expect(panel.get_by_label("at", exact=True)).to_have_value("3 (6)")
    expect(panel.locator(".kl-strip-cell img")).to_have_count(6)


def test_points_by_keyboard(panel: Locator) -> None:
    """One Tab away, then arrows and Enter."""
    spots = panel.locator(".kl-chart-spot")
    spots.first.focus()
    panel.page.keyboard.press("ArrowRight")
    panel.page.keyboard.press("Enter")
    expect(spots.nth(1)).to_have_attribute("aria-pressed", "true")


def test_a_point_leads_to_its_cells(panel: Locator) -> None:
    """A button of a cell shows it in the grid."""
    panel.get_by_label("Cells of").select_option("seed")
    values = panel.get_by_label("at", exact=True)
    expect(values.locator("option").first).to_have_text("1 (6)")  # those of the axis before have a 2 as well
    values.select_option(label="2 (6)")
    panel.get_by_role("button", name="g8 s2 crab").click()
    expect(panel.get_by_role("tab", name="Grid")).to_have_attribute("aria-selected", "true")
    expect(panel.locator(".kl-viewer")).to_be_visible()


def test_keys_are_for_the_tab_that_was_opened(panel: Locator) -> None:
    """A vote by an arrow key needs no click into the tab Rank first."""
    panel.get_by_role("tab", name="Rank").click()
    expect(panel.locator(".kl-viewer-stages img:visible")).to_have_count(2)
    panel.page.wait_for_timeout(500)
    panel.page.keyboard.press("ArrowLeft")
    expect(panel.get_by_text(re.compile(r"^1 of \d+ pairs"))).to_be_visible()
