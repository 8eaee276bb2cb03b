"""The panel in JupyterLab, on the quickstart notebook: from an empty form to verdicts, Compare and History."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import pytest
from jupyter import open_copy
from panel_page import PanelPage, Workbench, until
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
    notebook.run(0)  # papermill's parameters
    notebook.run(1)
    panel = PanelPage(notebook, 1)
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


def test_wheel_zooms_every_tile(finished: PanelPage) -> None:
    """Ctrl and the wheel over one picture change the pixels of all six."""
    before = [finished.pixels(tile) for tile in finished.tiles()]
    finished.page.mouse.move(*finished.middle(finished.tiles()[0]))
    finished.page.keyboard.down("Control")
    for _ in range(4):
        finished.page.mouse.wheel(0, -100)
        finished.page.wait_for_timeout(100)
    finished.page.keyboard.up("Control")
    until(lambda: [True] * 6 == finished.differs(before), finished.page, what="not all tiles followed")
    finished.button("Fit").click()
    until(lambda: [False] * 6 == finished.differs(before), finished.page, what="not all tiles came back")


def test_sliders_have_names(finished: PanelPage) -> None:
    """A parameter without a place has a slider, which says its name and its value to a screen reader."""
    rows = finished.root.get_by_role("combobox", name="rows", exact=True).first
    before = rows.input_value()
    rows.select_option("–")
    slider = finished.root.get_by_role("slider", name=before, exact=True)
    expect(slider).to_be_visible()
    spoken = finished.ask("next(iter(ui.grid.pickers.sliders.values())).label")
    expect(slider).to_have_attribute("aria-valuetext", spoken)
    rows.select_option(before)
    expect(slider).to_have_count(0)


def picked(panel: PanelPage, number: int) -> str:
    """Click a tile, and give its title once the inspector shows its picture."""
    title = panel.ask(f"[t.cell.title for t in ui.grid.plan.tiles if t.cell is not None][{number}]")
    panel.click(number)
    expect(panel.root.get_by_alt_text(f"{title}, output 1", exact=True)).to_be_visible()
    return str(title)


def test_click_picks(finished: PanelPage) -> None:
    """A click frames the cell, and the inspector is about it."""
    title = picked(finished, 4)
    words = finished.root.get_by_role("status").filter(has_text="guidance_scale 5 · animal crab")
    expect(words).to_be_visible()
    assert title == finished.ask("panel.selection.cell.title")
    left, top, width, _ = finished.tiles()[4]
    edge = (left - 4, top - 4, width, 8)
    # The frame is blue.
    until(lambda: bool((finished.pixels(edge).reshape(-1, 3) @ [-1, -1, 2] > 100).any()), finished.page)


def test_divider_asks_nobody(finished: PanelPage) -> None:
    """While the divider is dragged, the picture changes and no message goes to the kernel."""
    picked(finished, 1)
    divider = finished.root.get_by_role("slider", name="divider between", exact=False).first
    divider.scroll_into_view_if_needed()
    box = finished.root.locator(".kl-viewer-stage").first.bounding_box()
    assert box is not None
    mouse, height = finished.page.mouse, box["y"] + box["height"] / 3
    sent = "() => window.klSent"
    finished.page.evaluate(_COUNT_SENT)
    mouse.move(box["x"] + box["width"] * 0.5, height)
    mouse.down()
    # What the mouse said on its way is none of the divider's.
    finished.page.wait_for_timeout(300)
    before = finished.page.evaluate(sent)
    mouse.move(box["x"] + box["width"] * 0.8, height, steps=20)
    expect(divider).to_have_attribute("aria-valuenow", "80")
    assert before == finished.page.evaluate(sent)
    mouse.up()
    until(lambda: abs(finished.ask("ui.inspector.viewer.position") - 0.8) < 0.01, finished.page)


_COUNT_SENT = """() => {
  const send = WebSocket.prototype.send;
  window.klSent = 0;
  WebSocket.prototype.send = function (...given) { window.klSent += 1; return send.apply(this, given); };
}"""


def test_key_gives_a_verdict(finished: PanelPage) -> None:
    """The key 1 passes the picked output, in MLflow; the same key once more withdraws it."""
    title = picked(finished, 2)
    given = f"[dict(o.metrics) for c in lab.load('last') if c.title == {title!r} for o in c.outputs][0].get('verdict/follows_prompt')"
    finished.page.keyboard.press("1")
    expect(finished.root.get_by_text("follows prompt: pass").first).to_be_visible()
    assert 1.0 == finished.ask(given)
    finished.page.keyboard.press("1")
    expect(finished.root.get_by_text("follows prompt: pass")).to_have_count(0)
    assert finished.ask(given) is None


def test_arrows_walk(finished: PanelPage) -> None:
    """After a click the arrow keys pick the cells beside."""
    picked(finished, 0)
    titles = finished.ask("[t.cell.title for t in ui.grid.plan.tiles if t.cell is not None]")
    finished.page.keyboard.press("ArrowRight")
    expect(finished.root.get_by_alt_text(f"{titles[1]}, output 1", exact=True)).to_be_visible()


def test_every_control_has_a_name(finished: PanelPage) -> None:
    """As the browser tells it to a screen reader, on every tab and with everything open."""
    picked(finished, 0)
    finished.button("▸ More").click()
    nameless = []
    for tab in ("Grid", "Compare", "Effects", "Rank", "History"):
        finished.tab(tab)
        if tab == "Compare":
            finished.button("Add what is on show").click()
            expect(finished.stage(1)).to_be_visible()
        nameless += [f"{tab}: {one}" for one in without_names(finished)]
    finished.tab("Compare")
    finished.root.get_by_role("button", name=re.compile("^Take .* away$")).last.click()
    finished.tab("Grid")
    finished.button("▾ More").click()
    assert [] == nameless


def without_names(panel: PanelPage) -> list[str]:
    """Controls that a screen reader could only call by their kind."""
    devtools = panel.page.context.new_cdp_session(panel.page)
    found = devtools.send(
        "Runtime.evaluate", {"expression": "document.querySelector('.jp-Cell-outputWrapper .kl-panel')"}
    )
    tree = devtools.send("Accessibility.queryAXTree", {"objectId": found["result"]["objectId"]})
    devtools.detach()
    controls = [
        node
        for node in tree["nodes"]
        if node.get("role", {}).get("value") in _CONTROLS and not node["ignored"]
    ]
    assert len(controls) > 20
    return [
        str(node["role"]["value"])
        for node in controls
        if not re.search(r"\w", node.get("name", {}).get("value", ""))  # a sign such as × is no name
    ]


_CONTROLS = {
    "button",
    "textbox",
    "searchbox",
    "combobox",
    "listbox",
    "slider",
    "checkbox",
    "radio",
    "spinbutton",
    "tab",
    "link",
    "progressbar",
    "switch",
    "menuitem",
}


def test_upload(finished: PanelPage, photo_file: Path) -> None:
    """A file chosen in the upload field becomes a second reference; taken away, the plan is what it was."""
    from PIL import Image

    file = photo_file.parent / "turned.png"
    Image.open(photo_file).rotate(180).save(file)
    finished.root.locator(".kl-upload input[type=file]").set_input_files(file)
    expect(finished.root.get_by_alt_text("reference turned", exact=True)).to_be_visible()
    expect(finished.plan).to_contain_text("12 requests")
    finished.root.get_by_title("Take reference turned away", exact=True).click()
    expect(finished.plan).to_contain_text("6 requests")


def test_compare(finished: PanelPage) -> None:
    """What two sweeps differ in becomes an axis; two clicked cells stand side by side, their differences named."""
    finished.ask(
        "lab.run(panel.sweep.replace(prompt='Add a {animal} with a hat.', name='hats'), progress=False).name"
    )
    first = finished.ask("panel.results.name")
    finished.tab("Compare")
    finished.button("Add what is on show").click()
    which = finished.root.get_by_role("combobox", name="Add", exact=True)
    which.fill("hats")
    finished.button("Add").click()
    expect(finished.root.get_by_text("hats: 6 cells")).to_be_visible()
    assert 12 == finished.ask("len(ui.compare.results)")
    rows = finished.root.get_by_role("combobox", name="rows", exact=True)
    expect(
        rows.get_by_role("option", name="prompt").or_(rows.get_by_role("option", name="sweep")).first
    ).to_be_attached()
    for number in (0, 1):
        finished.click(number, tab=1, part="compare")
        until(
            lambda number=number: finished.ask("[bool(ui.compare.first), bool(ui.compare.second)]")[number],
            finished.page,
        )
    expect(finished.root.locator(".kl-viewer[data-mode=side] img").first).to_be_visible()
    cells = "[tile.cell for tile in ui.compare.canvas.plan.tiles if tile.cell is not None][:2]"
    chosen = "[ui.compare.first.cell, ui.compare.second.cell]"
    assert finished.ask(f"[cell.title for cell in {cells}]") == finished.ask(
        f"[cell.title for cell in {chosen}]"
    )
    differ = finished.ask(
        f"[key for key in {cells}[0].params if {cells}[0].params[key] != {cells}[1].params.get(key)]"
    )
    for key in differ:
        expect(finished.root.locator(".kl-differences").get_by_text(key, exact=True).first).to_be_visible()
    assert differ
    finished.tab("Grid")
    assert first == finished.ask("panel.results.name")


def test_history(finished: PanelPage) -> None:
    """A past sweep is opened into the grid, loaded into the form, and hidden from the list."""
    before = finished.ask("panel.results.run_id")
    finished.ask(
        "lab.run(panel.sweep.replace(prompt='Add a {animal} in a boat.', name='crabs'), progress=False).name"
    )
    finished.tab("History")
    finished.button("Refresh").click()
    finished.root.get_by_title("Load into form: crabs", exact=True).click()
    until(lambda: finished.ask("panel.sweep.name") == "crabs", finished.page)
    finished.root.get_by_title("Open: crabs", exact=True).click()
    until(lambda: finished.ask("panel.results.name") == "crabs", finished.page)
    expect(finished.stage()).to_be_visible()
    finished.tab("History")
    finished.root.get_by_title("Hide: crabs", exact=True).click()
    expect(finished.root.get_by_title("Open: crabs", exact=True)).to_have_count(0)
    finished.ask(f"(panel.load({before!r}), 0)[1]")
    finished.tab("Grid")
