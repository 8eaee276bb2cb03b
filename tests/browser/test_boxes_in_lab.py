"""Boxes drawn on a reference in JupyterLab: by mouse, by keys, named, removed, kept."""

from __future__ import annotations

import base64
import re

import pytest
from jupyter import open_notebook
from panel_page import PanelPage, Workbench, until
from playwright.sync_api import Locator, expect

pytestmark = [pytest.mark.browser, pytest.mark.slow]

CELL = """import kontext_lab as kl
lab = kl.Lab("sandbox", quiet=True)
sweep = kl.Sweep("Add a bird.", kl.sample("coffee"), seed=[1, 2])
panel = kl.Panel(lab, sweep)
panel"""
CUP = (0.2, 0.3, 0.5, 0.6)
FIELD = "ui.form.protect.drawing.field"


@pytest.fixture(scope="module")
def opened(bench: Workbench) -> PanelPage:
    """A panel whose drawing area for boxes is open."""
    kernel = bench.kernel("boxes")
    notebook = open_notebook(bench.page(), bench.jupyter, "boxes/b.ipynb", [CELL], kernel=kernel)
    notebook.run(0)
    panel = PanelPage(notebook)
    panel.button("▸ Protect …").click()
    expect(panel.root.locator(".kl-boxes-image")).to_be_visible()
    return panel


@pytest.fixture
def panel(opened: PanelPage) -> PanelPage:
    """The same, with one box."""
    opened.page.evaluate("document.activeElement.blur()")
    put(opened, cup=CUP)
    expect(names(opened)).to_have_count(1)
    return opened


def put(panel: PanelPage, **boxes: tuple[float, ...]) -> None:
    """Boxes as Python sets them."""
    panel.ask(f"{FIELD}.put({boxes!r})")


def stage(panel: PanelPage) -> Locator:
    """The picture with its boxes."""
    return panel.root.locator(".kl-boxes-stage")


def names(panel: PanelPage) -> Locator:
    """The fields of the boxes' names."""
    return panel.root.get_by_role("textbox", name=re.compile("^name of "))


def box(panel: PanelPage, name: str) -> Locator:
    """A box on the picture."""
    return stage(panel).get_by_role("application", name=re.compile(f"^{name}: "))


def place(panel: PanelPage, x: float, y: float) -> tuple[float, float]:
    """A place of the picture, as fractions, in the page."""
    stage(panel).scroll_into_view_if_needed()
    frame = stage(panel).bounding_box()
    assert frame is not None
    return frame["x"] + x * frame["width"], frame["y"] + y * frame["height"]


def press(panel: PanelPage, *path: tuple[float, float]) -> None:
    """Press at the first place of a path and go along it."""
    mouse = panel.page.mouse
    mouse.move(*place(panel, *path[0]))
    mouse.down()
    for to in path[1:]:
        mouse.move(*place(panel, *to), steps=4)


def drag(panel: PanelPage, *path: tuple[float, float]) -> None:
    """The same, and let go."""
    press(panel, *path)
    panel.page.mouse.up()


def keys(panel: PanelPage, *names: str) -> None:
    """Press keys one after the other."""
    for name in names:
        panel.page.keyboard.press(name)


def drawn(panel: PanelPage) -> dict[str, tuple[float, ...]]:
    """The boxes of the panel's sweep."""
    found: dict[str, tuple[float, ...]] = panel.ask("panel.sweep.protect")
    return found


def becomes(panel: PanelPage, **wanted: tuple[float, ...]) -> None:
    """Wait until the sweep has these boxes, give or take two pixels."""

    def alike() -> bool:
        found = drawn(panel)
        return list(found) == list(wanted) and all(
            found[name] == pytest.approx(sides, abs=0.006) for name, sides in wanted.items()
        )

    until(alike, panel.page, 10, what=f"wanted {wanted}")


# By mouse


def test_a_drag_draws_a_box(panel: PanelPage) -> None:
    """From any corner to any other; it is picked, and its number is beside the button."""
    drag(panel, (0.9, 0.95), (0.6, 0.65))
    becomes(panel, **{"cup": CUP, "box 1": (0.6, 0.65, 0.9, 0.95)})
    expect(box(panel, "box 1")).to_be_focused()
    expect(panel.button("▾ Protect: 2 boxes")).to_be_visible()


def test_a_box_beyond_the_picture_ends_at_its_edge(panel: PanelPage) -> None:
    """However far the mouse goes."""
    drag(panel, (0.7, 0.7), (1.2, 0.98))
    becomes(panel, **{"cup": CUP, "box 1": (0.7, 0.7, 1.0, 0.98)})


def test_a_click_draws_nothing(panel: PanelPage) -> None:
    """Beside all boxes it puts down the one that was picked."""
    box(panel, "cup").click()
    expect(box(panel, "cup")).to_have_class(re.compile("kl-box-picked"))
    drag(panel, (0.8, 0.8), (0.801, 0.801))
    expect(box(panel, "cup")).not_to_have_class(re.compile("kl-box-picked"))
    assert ["cup"] == list(drawn(panel))


def test_a_box_is_moved(panel: PanelPage) -> None:
    """Never out of the picture."""
    drag(panel, (0.3, 0.4), (0.4, 0.5))
    becomes(panel, cup=(0.3, 0.4, 0.6, 0.7))
    drag(panel, (0.4, 0.5), (0.1, 0.0))
    becomes(panel, cup=(0.0, 0.0, 0.3, 0.3))


@pytest.mark.parametrize(
    ("corner", "to", "wanted"),
    [
        ((0.2, 0.3), (0.1, 0.2), (0.1, 0.2, 0.5, 0.6)),
        ((0.5, 0.6), (0.7, 0.9), (0.2, 0.3, 0.7, 0.9)),
        ((0.5, 0.3), (0.6, 0.1), (0.2, 0.1, 0.6, 0.6)),
        ((0.2, 0.6), (0.6, 0.1), (0.5, 0.1, 0.6, 0.3)),
    ],
)
def test_a_corner_is_pulled(
    panel: PanelPage, corner: tuple[float, float], to: tuple[float, float], wanted: tuple[float, ...]
) -> None:
    """Also over the one across from it."""
    drag(panel, corner, to)
    becomes(panel, cup=wanted)


def test_a_box_is_drawn_inside_another(panel: PanelPage) -> None:
    """With Shift."""
    panel.page.keyboard.down("Shift")
    drag(panel, (0.3, 0.4), (0.4, 0.5))
    panel.page.keyboard.up("Shift")
    becomes(panel, **{"cup": CUP, "box 1": (0.3, 0.4, 0.4, 0.5)})


def test_the_smaller_of_two_boxes_is_reached(panel: PanelPage) -> None:
    """Whichever came first."""
    put(panel, inner=(0.3, 0.4, 0.4, 0.5), outer=(0.1, 0.2, 0.8, 0.9))
    expect(names(panel)).to_have_count(2)
    drag(panel, (0.35, 0.45), (0.45, 0.55))
    becomes(panel, inner=(0.4, 0.5, 0.5, 0.6), outer=(0.1, 0.2, 0.8, 0.9))


@pytest.mark.parametrize("start", [(0.7, 0.7), (0.3, 0.4), (0.5, 0.6)])
def test_escape_cancels_a_drag(panel: PanelPage, start: tuple[float, float]) -> None:
    """Of a new box, of a box, of a corner."""
    press(panel, start, (0.9, 0.9))
    keys(panel, "Escape")
    panel.page.mouse.up()
    expect(names(panel)).to_have_count(1)
    panel.page.wait_for_timeout(400)
    assert {"cup": CUP} == drawn(panel)


# Names


def test_a_double_click_leads_to_the_name(panel: PanelPage) -> None:
    """What is typed there is the box's name with Enter, and the box is picked again."""
    panel.page.mouse.dblclick(*place(panel, 0.35, 0.45))
    expect(names(panel)).to_be_focused()
    panel.page.keyboard.type("red cup")
    keys(panel, "Enter")
    becomes(panel, **{"red cup": CUP})
    expect(box(panel, "red cup")).to_be_focused()
    expect(box(panel, "red cup")).to_have_text("red cup")


@pytest.mark.parametrize(
    ("name", "line"), [("a/b", "protect: name must be"), ("", "protect: name must be"), ("edge", "another")]
)
def test_a_name_that_can_not_be_is_told(panel: PanelPage, name: str, line: str) -> None:
    """In one line; the old one stays."""
    put(panel, cup=CUP, edge=(0.9, 0, 1, 1))
    expect(names(panel)).to_have_count(2)
    field = names(panel).first
    field.fill(name)
    field.press("Enter")
    expect(panel.root.locator(".kl-boxes-error")).to_contain_text(line)
    expect(field).to_have_value("cup")
    assert ["cup", "edge"] == list(drawn(panel))


def test_escape_leaves_a_name_as_it_was(panel: PanelPage) -> None:
    """Whatever was typed."""
    names(panel).fill("other")
    names(panel).press("Escape")
    expect(names(panel)).to_have_value("cup")
    assert ["cup"] == list(drawn(panel))


def test_a_name_is_taken_when_its_field_is_left(panel: PanelPage) -> None:
    """Also by drawing the next box."""
    names(panel).fill("mug")
    drag(panel, (0.7, 0.7), (0.9, 0.9))
    becomes(panel, **{"mug": CUP, "box 1": (0.7, 0.7, 0.9, 0.9)})


# Taken away


@pytest.mark.parametrize("key", ["Delete", "Backspace"])
def test_a_key_removes_the_picked_box(panel: PanelPage, key: str) -> None:
    """And the next one is picked."""
    put(panel, cup=CUP, edge=(0.9, 0, 1, 1))
    box(panel, "cup").click()
    keys(panel, key)
    becomes(panel, edge=(0.9, 0, 1, 1))
    expect(box(panel, "edge")).to_be_focused()


def test_a_button_removes_a_box(panel: PanelPage) -> None:
    """Beside its name."""
    panel.root.get_by_role("button", name="remove cup").click()
    becomes(panel)
    expect(panel.button("▾ Protect …")).to_be_visible()


# Without a mouse


def test_a_box_is_added_and_moved_by_keys(panel: PanelPage) -> None:
    """One per cent a step, ten with Shift; Alt resizes."""
    panel.button("+ box").focus()
    keys(panel, "Enter")
    expect(box(panel, "box 1")).to_be_focused()
    left, top, right, bottom = next(reversed(drawn(panel).values()))
    keys(panel, "ArrowRight", "ArrowDown", "ArrowDown", "Shift+ArrowLeft")
    becomes(
        panel, **{"cup": CUP, "box 1": (left + 0.01 - 0.1, top + 0.02, right + 0.01 - 0.1, bottom + 0.02)}
    )
    keys(panel, "Alt+ArrowLeft", "Shift+Alt+ArrowUp")
    becomes(
        panel,
        **{"cup": CUP, "box 1": (left - 0.09, top + 0.02, right - 0.09 - 0.01, bottom + 0.02 - 0.1)},
    )
    keys(panel, "Enter")
    panel.page.keyboard.type("by keys")
    keys(panel, "Enter", "Delete")
    becomes(panel, cup=CUP)


def test_tab_leads_to_boxes_and_names(panel: PanelPage) -> None:
    """From the picture into the list."""
    box(panel, "cup").focus()
    keys(panel, "Tab")
    expect(names(panel)).to_be_focused()
    keys(panel, "Tab")
    expect(panel.root.get_by_role("button", name="remove cup")).to_be_focused()


def test_keys_mean_nothing_else_while_a_box_is_picked(panel: PanelPage) -> None:
    """In the panel 1 passes a cell, and arrows walk through the grid."""
    told = "ui.frame.on_key(pressed.append)"
    panel.ask(f"globals().__setitem__('pressed', []) or {told}")
    box(panel, "cup").focus()
    keys(panel, "1", "f", "ArrowLeft", "Escape", "ArrowLeft")
    expect(box(panel, "cup")).not_to_have_class(re.compile("kl-box-picked"))
    becomes(panel, cup=(0.19, 0.3, 0.49, 0.6))
    assert [] == panel.ask("pressed")


def test_where_a_box_is_is_read_aloud(panel: PanelPage) -> None:
    """When it was moved."""
    box(panel, "cup").focus()
    keys(panel, "ArrowRight")
    said = panel.root.locator(".kl-boxes-spoken")
    expect(said).to_have_text("cup: 30 by 30 percent, 21 from the left, 30 from the top")


def test_many_steps_are_one_message(panel: PanelPage) -> None:
    """A held key keeps no kernel busy."""
    panel.ask(f"globals().__setitem__('told', []) or {FIELD}.observe(lambda c: told.append(1), 'boxes')")
    box(panel, "cup").focus()
    keys(panel, *["ArrowRight"] * 12)
    becomes(panel, cup=(0.32, 0.3, 0.62, 0.6))
    assert panel.ask("len(told)") <= 2


# What becomes of them


def test_the_plan_is_the_same_and_the_cells_are_measured_anew(panel: PanelPage) -> None:
    """Run is possible although nothing is to be sent."""
    put(panel)
    expect(panel.plan).to_contain_text("2 requests")
    panel.button("Run").click()
    panel.done(2)
    drag(panel, (0.1, 0.1), (0.6, 0.6))
    becomes(panel, **{"box 1": (0.1, 0.1, 0.6, 0.6)})
    expect(panel.plan).to_contain_text("0 to send")
    panel.button("Run").click()
    measured = "all('preserve/box 1' in one.metrics for one in panel.results.outputs)"
    until(lambda: panel.ask(measured), panel.page)


def test_a_narrow_panel_has_the_list_below(panel: PanelPage) -> None:
    """And the picture keeps its shape."""
    panel.page.set_viewport_size({"width": 650, "height": 1000})
    try:
        expect(panel.root.locator(".kl-boxes-narrow")).to_be_visible()
        frame, field = stage(panel).bounding_box(), names(panel).bounding_box()
        assert frame is not None
        assert field is not None
        assert field["y"] > frame["y"] + frame["height"]
        assert 1.5 == pytest.approx(frame["width"] / frame["height"], abs=0.02)
    finally:
        panel.page.set_viewport_size({"width": 1300, "height": 1100})
    expect(panel.root.locator(".kl-boxes-narrow")).to_have_count(0)


def test_a_saved_notebook_has_no_picture(panel: PanelPage) -> None:
    """Only the boxes themselves."""
    data: bytes = panel.ask(f"{FIELD}.pictures['picture']")
    saved = panel.notebook.save().replace("\\n", "").replace("\n", "")
    assert '"boxes"' in saved
    assert base64.b64encode(data[3000:3600])[4:200].decode() not in saved


def test_a_reloaded_page_shows_them_again(panel: PanelPage) -> None:
    """Picture and boxes, as they were."""
    panel.notebook.save()
    panel.notebook.reload()
    expect(panel.root.locator(".kl-boxes-image")).to_be_visible(timeout=60_000)
    expect(box(panel, "cup")).to_be_visible()
    drag(panel, (0.3, 0.4), (0.4, 0.5))
    becomes(panel, cup=(0.3, 0.4, 0.6, 0.7))
