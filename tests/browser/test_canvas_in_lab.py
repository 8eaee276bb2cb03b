"""The grid's canvas in JupyterLab: what arrives in the browser, and what a mouse does there."""

from __future__ import annotations

import io
import json
import re

import numpy as np
import pytest
from jupyter import Notebook, open_notebook
from panel_page import Workbench
from PIL import Image
from playwright.sync_api import Locator, expect

pytestmark = [pytest.mark.browser, pytest.mark.slow]

_SETUP = """
import asyncio, io
import matplotlib.pyplot as plt
import kontext_lab as kl
from kontext_lab.figures import Mark, plan_grid
from kontext_lab.panel.canvas import GridCanvas

loop = asyncio.get_running_loop()
later = lambda seconds, work: loop.call_later(seconds, work)
background = lambda work, then: loop.run_in_executor(None, work).add_done_callback(lambda f: then(f.result()))
lab = kl.Lab(service="sandbox", measure=False)
axes = {"guidance_scale": [2, 5], "seed": [1, 2, 3]}
results = lab.run(kl.Sweep(prompt="Add a bird.", image=kl.sample("coffee"), axes=axes))
clicked, crops, troubles = [], [], []
canvas = GridCanvas(later=later, background=background, on_trouble=troubles.append)
canvas.on_select(lambda tile, keys: (clicked.append(tile.cell.title), canvas.select(Mark(tile.cell, tile.number))))
canvas.on_crop(crops.append)
canvas.show(plan_grid(results, title="", live=True))
"""
_CONNECTED = """() => {
  const app = window.jupyterapp ?? window.jupyterlab;
  const kernel = app.shell.currentWidget?.sessionContext?.session?.kernel;
  return kernel?.connectionStatus === "connected" && kernel.status === "idle";
}"""
_TILE = "canvas.plan.tiles[{}].rect"


@pytest.fixture(scope="module")
def opened(bench: Workbench) -> Notebook:
    """A notebook with a canvas of 2 x 3 pictures in its second cell, and a figure of the user's in its third."""
    page = bench.page(1700, 1300)
    cells = [_SETUP, "canvas.widget", "plt.plot([1, 2]); plt.show()"]
    notebook = open_notebook(page, bench.jupyter, "canvas/a.ipynb", cells, kernel=bench.kernel("canvas"))
    # Cells that are run before there is a kernel ask for one.
    page.wait_for_function(_CONNECTED, timeout=60_000)
    notebook.run_all()
    return notebook


@pytest.fixture
def notebook(opened: Notebook) -> Notebook:
    """The same with whole pictures, and nothing clicked yet."""
    opened.value("(canvas.reset(), clicked.clear(), canvas.select())")
    return opened


def picture(notebook: Notebook) -> np.ndarray:
    """What the canvas shows."""
    found = surface(notebook)
    expect(found).to_be_visible(timeout=20_000)
    notebook.page.wait_for_timeout(1200)
    data = found.screenshot()
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(int)


def surface(notebook: Notebook) -> Locator:
    """The topmost of ipympl's two canvases: the one that the mouse meets."""
    return notebook.output(1).locator(".jupyter-matplotlib-canvas-div canvas").last


def middle(notebook: Notebook, number: int) -> dict[str, float]:
    """The middle of a tile in pixels of the canvas."""
    text = notebook.value(f"(lambda r: (r.left + r.width / 2, r.top + r.height / 2))({_TILE.format(number)})")
    x, y = (float(part) * 100 for part in re.findall(r"[\d.]+", text))
    return {"x": x, "y": y}


def over(notebook: Notebook, number: int) -> None:
    """Move the mouse to the middle of a tile."""
    at = middle(notebook, number)
    surface(notebook).hover(position=at)


def tile_pixels(notebook: Notebook, shown: np.ndarray, number: int) -> np.ndarray:
    """A tile's part of a screenshot."""
    text = notebook.value(f"(lambda r: (r.left, r.top, r.right, r.bottom))({_TILE.format(number)})")
    left, top, right, bottom = (round(float(part) * 100) for part in re.findall(r"[\d.]+", text))
    return shown[top + 4 : bottom - 4, left + 4 : right - 4]


def test_cells_are_seen(notebook: Notebook) -> None:
    """Every tile shows a picture, and the user's own figure still shows itself below."""
    shown = picture(notebook)
    assert [True] * 6 == [bool(tile_pixels(notebook, shown, at).std() > 20) for at in range(6)]
    expect(notebook.output(2).locator("img")).to_have_count(1)
    assert "inline" in notebook.value("__import__('matplotlib').get_backend()")
    assert "[]" == notebook.value("troubles")


def test_wheel_with_ctrl_zooms_all_tiles(notebook: Notebook) -> None:
    """Ctrl and the wheel over one tile zoom into all; the wheel alone scrolls the page."""
    before = picture(notebook)
    over(notebook, 0)
    notebook.page.mouse.wheel(0, -100)
    notebook.page.wait_for_timeout(300)
    assert "(0.0, 0.0, 1.0, 1.0)" == notebook.value("canvas.crop")
    over(notebook, 0)
    notebook.page.keyboard.down("Control")
    for _ in range(4):
        notebook.page.mouse.wheel(0, -100)
        notebook.page.wait_for_timeout(120)
    notebook.page.keyboard.up("Control")
    assert "(0.0, 0.0, 1.0, 1.0)" != notebook.value("canvas.crop")
    after = picture(notebook)
    for at in range(6):
        was, now = tile_pixels(notebook, before, at), tile_pixels(notebook, after, at)
        assert np.abs(was - now).mean() > 10


def test_click_selects(notebook: Notebook) -> None:
    """A click on a tile tells which cell it is, and frames it."""
    picture(notebook)
    at = middle(notebook, 4)
    surface(notebook).click(position=at)
    assert "['g5 s2']" == notebook.value("clicked")
    shown = picture(notebook)
    left, top = re.findall(r"[\d.]+", notebook.value(f"({_TILE.format(4)}.left, {_TILE.format(4)}.top)"))
    frame = shown[round(float(top) * 100) + 40, round(float(left) * 100)]
    assert np.abs(frame - (9, 105, 218)).max() < 40


def test_drag_pans(notebook: Notebook) -> None:
    """In zoomed pictures a drag moves what is shown."""
    picture(notebook)
    notebook.value("canvas.move((0.375, 0.375, 0.625, 0.625))")
    over(notebook, 1)
    mouse, box = notebook.page.mouse, surface(notebook).bounding_box()
    assert box is not None
    mouse.down()
    mouse.move(box["x"] + 480, box["y"] + 200, steps=2)
    mouse.move(box["x"] + 420, box["y"] + 200, steps=4)
    mouse.up()
    notebook.page.wait_for_timeout(300)
    assert "(0.375, 0.375, 0.625, 0.625)" != notebook.value("canvas.crop")


def test_double_click_resets(notebook: Notebook) -> None:
    """A double click shows whole pictures again."""
    picture(notebook)
    notebook.value("canvas.move((0.375, 0.375, 0.625, 0.625))")
    surface(notebook).dblclick(position=middle(notebook, 1))
    notebook.page.wait_for_timeout(300)
    assert "(0.0, 0.0, 1.0, 1.0)" == notebook.value("canvas.crop")


def test_reload_keeps_the_picture(notebook: Notebook) -> None:
    """After a reload the page shows what it showed, and follows the mouse again."""
    before = picture(notebook)
    notebook.save()
    notebook.reload()
    assert np.abs(before - picture(notebook)).mean() < 3
    surface(notebook).click(position=middle(notebook, 0))
    assert "['g2 s1']" == notebook.value("clicked")


def test_saved_notebook_holds_no_picture(notebook: Notebook) -> None:
    """A saved notebook holds no picture of the canvas, neither in the cell's output nor in the kernel's state of it."""
    picture(notebook)
    saved = json.loads(notebook.save())
    assert len(json.dumps(saved["cells"][1])) < 2000
    state = notebook.value("__import__('json').dumps(canvas._canvas.get_state(), default=str)")
    assert '"_data_url": null' in state


def test_front_end_forgets_its_copy(notebook: Notebook) -> None:
    """What JupyterLab itself would save of the canvas's state holds no picture either."""
    picture(notebook)
    model = notebook.value("canvas._canvas.model_id")
    kept = notebook.page.evaluate(_KEPT, model)
    assert kept is None


_KEPT: str = """
async (id) => {
  const app = window.jupyterapp ?? window.jupyterlab;
  const panel = app.shell.currentWidget;
  const factory = panel.content.rendermime.createRenderer("application/vnd.jupyter.widget-view+json");
  const manager = await (factory._manager?.promise ?? factory.manager);
  const model = await manager.get_model(id);
  return model.get("_data_url");
}
"""
