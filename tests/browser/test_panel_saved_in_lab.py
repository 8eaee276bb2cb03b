"""What of a panel is in the saved notebook: no key, no full picture, little of everything; and a still grid on request."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from panel_page import KEY, PanelPage, Workbench
from playwright.sync_api import expect

from kontext_lab.sandbox import Sandbox

pytestmark = [pytest.mark.browser, pytest.mark.slow]

CELLS = 100
_STATIC = "still = kl.Lab('sandbox', home='still', quiet=True)\nkl.Panel(still, static=True)"


@pytest.fixture(scope="module")
def panel(bench: Workbench, photo_file: Path) -> Iterator[PanelPage]:
    """A key typed into the key field, then a hundred cells done with it, and one of them picked."""
    with Sandbox(keys={KEY}) as box:
        settings = {"AIMLAPI_BASE_URL": box.url}
        made = bench.panel("saved", None, "panel.results", _STATIC, settings=settings)
        made.button("AI/ML API").click()
        made.root.get_by_label("API key", exact=True).fill(KEY)
        made.button("Use this API key").click()
        expect(made.root.get_by_label("API key", exact=True)).to_be_hidden()
        made.fill("Add a bird.", photo_file, Seeds=f"1-{CELLS}")
        made.run(CELLS)
        made.done(CELLS, 180)
        assert CELLS == len(box.calls)
        made.click(3)
        expect(made.root.locator(".kl-viewer img").first).to_be_visible()
        yield made


def test_the_file_stays_small(panel: PanelPage) -> None:
    """With a hundred cells on show and one picked, the file has less than 2 MB."""
    assert len(panel.notebook.save()) < 2_000_000


def test_neither_key_nor_pictures_are_kept(panel: PanelPage) -> None:
    """The state of the widgets is in the file; the key is not, nor any output's bytes."""
    saved = panel.notebook.save()
    assert "application/vnd.jupyter.widget-state+json" in saved
    assert KEY not in saved
    # The head of a JPEG is the same for many: some bytes out of its middle.
    middles = panel.ask("[c.output.bytes[3000:3600] for c in panel.results]")
    text = saved.replace("\\n", "").replace("\n", "")
    for middle in middles:
        assert base64.b64encode(middle)[4:200].decode() not in text


def test_results_are_a_still_picture(panel: PanelPage) -> None:
    """A cell with `panel.results` keeps a picture of the grid in the file."""
    panel.notebook.run(1)
    saved = nbformat.reads(panel.notebook.save(), 4)
    outputs = json.dumps([cell.outputs for cell in saved.cells if cell.source == "panel.results"])
    assert re.search(r'"image/(png|jpeg)"|data:image/', outputs)
    assert len(outputs) < 400_000


def test_static_panel(panel: PanelPage) -> None:
    """Without the interactive canvas the grid is a still picture, and everything but the mouse works."""
    panel.notebook.run(2)
    still = PanelPage(panel.notebook, 2)
    still.button("Fill in an example").click()
    picture = still.stage().locator("img").first
    expect(picture).to_be_visible()
    expect(still.plan).to_contain_text("requests")
    before = picture.get_attribute("src")
    still.button("Run").click()
    still.done(12)
    expect(picture).not_to_have_attribute("src", before or "")
    assert picture.evaluate("image => image.naturalWidth") > 300
    assert 0 == still.stage().locator("canvas").count()
