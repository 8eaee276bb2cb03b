"""The panel's own widgets in JupyterLab: what keys, mouse, files and themes do to them there."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import numpy as np
import pytest
from jupyter import Notebook, open_notebook
from panel_page import Workbench
from PIL import Image
from playwright.sync_api import Locator, expect

pytestmark = [pytest.mark.browser, pytest.mark.slow]

_VALUES = """
import hashlib, io
import ipywidgets
from PIL import Image
from kontext_lab.errors import ImageError, SweepError
from kontext_lab.panel.browser import PageFrame, KeyField, UploadField, ValuesField, Viewer

def expand(text):
    if "x" in text:
        raise SweepError(f"seed: {text!r} is no whole number")
    first, _, last = text.partition("-")
    return [str(n) for n in range(int(first), int(last or first) + 1)]

seeds = ValuesField("Seeds", expand=lambda text: sum(map(expand, text.split(",")), []), actions=["dice"],
                    action_titles={"dice": "Draw a seed"})
clicked = []
seeds.on_action(clicked.append)
aspect = ValuesField("Aspect ratio", options=["1:1", "16:9", "9:16"], names={"1:1": "square"})
animal = ValuesField("animal", commas=False)
frame = PageFrame(["ArrowLeft", "1", "0", "f"])
pressed, copied = [], []
frame.on_key(pressed.append)
frame.on_copied(copied.append)
between = ipywidgets.HTML("<p>A place between the controls</p>")
panel = ipywidgets.VBox([frame, seeds, aspect, animal, between])
panel.add_class("kl-panel")
panel
"""
_FILES = """
upload, key = UploadField(), KeyField()
arrived, keys, troubles = [], [], []

def take(upload):
    if upload.data.startswith(b"no picture"):
        raise ImageError(f"{upload.name}: no picture")
    arrived.append(upload)

upload.on_upload(take)
key.on_key(keys.append)
key.on_key(lambda given: key.set_trait("status", f"{len(given)} characters"))
ipywidgets.VBox([upload, key])
"""
_VIEWER = """
def png(colour, size):
    Image.new("RGB", size, colour).save(buffer := io.BytesIO(), "PNG")
    return buffer.getvalue()

viewer = Viewer()
positions = []
viewer.observe(lambda change: positions.append(change.new), "position")
red, blue = png("#ff0000", (600, 300)), png("#0000ff", (800, 400))
viewer.show(red, blue, left_label="reference", right_label="output 1", alt="A colour")
viewer
"""
_TWICE = "ipywidgets.HBox([aspect])"


@pytest.fixture(scope="module")
def opened(bench: Workbench) -> Notebook:
    """A notebook with all widgets, in four cells."""
    page = bench.page(1300, 1000)
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.set_default_timeout(15_000)
    cells = [_VALUES, _FILES, _VIEWER, _TWICE]
    notebook = open_notebook(page, bench.jupyter, "widgets/a.ipynb", cells, kernel=bench.kernel("widgets"))
    notebook.run_all()
    return notebook


@pytest.fixture
def notebook(opened: Notebook) -> Notebook:
    """The same as it was at first."""
    opened.value(
        "[seeds.set_trait('error', ''), seeds.set_trait('value', ()), aspect.set_trait('value', ()), "
        "animal.set_trait('value', ()), pressed.clear(), clicked.clear(), arrived.clear(), positions.clear(), "
        "viewer.set_trait('mode', 'slider'), viewer.set_trait('position', 0.5)]"
    )
    return opened


def field(notebook: Notebook, label: str, cell: int = 0) -> Locator:
    """The widget of one axis."""
    return (
        notebook.output(cell).locator(".kl-values").filter(has=notebook.page.get_by_label(label, exact=True))
    )


def tags(found: Locator) -> Locator:
    """Its values."""
    return found.locator(".kl-tag-text")


def typed(notebook: Notebook, label: str, text: str) -> Locator:
    """Type into a field, and give it."""
    found = field(notebook, label)
    found.get_by_role("combobox").click()
    notebook.page.keyboard.type(text)
    return found


# Values


def test_a_range_becomes_tags(notebook: Notebook) -> None:
    """Enter and comma commit what was typed; Python has the values."""
    found = typed(notebook, "Seeds", "2-4,7\n")
    expect(tags(found)).to_have_text(["2", "3", "4", "7"])
    assert "('2', '3', '4', '7')" == notebook.value("seeds.value")


def test_wrong_text_stays_and_is_told(notebook: Notebook) -> None:
    """An error stands under the field; the text is still in the input, to be mended."""
    found = typed(notebook, "Seeds", "2x\n")
    expect(found.get_by_role("alert")).to_have_text("seed: '2x' is no whole number")
    box = found.get_by_role("combobox")
    expect(box).to_have_value("2x")
    expect(box).to_have_attribute("aria-invalid", "true")
    box.fill("5")
    box.press("Enter")
    expect(tags(found)).to_have_text(["5"])
    expect(found.get_by_role("alert")).not_to_be_visible()


def test_a_wrong_value_is_marked(notebook: Notebook) -> None:
    """The tag of a value that cannot be is marked for eye and screen reader."""
    notebook.value("[seeds.set_trait('value', ('1', '99')), seeds.set_trait('errors', {'99': 'at most 20'})]")
    found = field(notebook, "Seeds")
    expect(found.locator("[aria-invalid=true].kl-tag")).to_have_count(1)
    expect(found.get_by_role("alert")).to_have_text("99: at most 20")
    notebook.value("seeds.set_trait('errors', {})")


def test_leaving_the_field_commits(notebook: Notebook) -> None:
    """What was typed counts when the focus moves on."""
    found = typed(notebook, "animal", "a small, red bird")
    field(notebook, "Seeds").get_by_role("combobox").click()
    expect(tags(found)).to_have_text(["a small, red bird"])


def test_a_tag_is_edited_in_its_place(notebook: Notebook) -> None:
    """A click moves a value into the input; what it becomes stands where it stood; Escape leaves it."""
    found = typed(notebook, "Seeds", "1-3\n")
    found.get_by_role("button", name="edit 2").click()
    expect(found.get_by_role("combobox")).to_have_value("2")
    notebook.page.keyboard.press("Escape")
    expect(tags(found)).to_have_text(["1", "2", "3"])
    found.get_by_role("button", name="edit 2").click()
    notebook.page.keyboard.type("8\n")
    expect(tags(found)).to_have_text(["1", "8", "3"])


def test_tags_are_removed(notebook: Notebook) -> None:
    """By their button, by Backspace in the empty input, and by Delete on the tag that has the focus."""
    found = typed(notebook, "Seeds", "1-5\n")
    found.get_by_role("button", name="remove 5").click()
    expect(tags(found)).to_have_text(["1", "2", "3", "4"])
    notebook.page.keyboard.press("Backspace")
    expect(tags(found)).to_have_text(["1", "2", "3"])
    for key in ("ArrowLeft", "ArrowLeft", "Delete"):
        notebook.page.keyboard.press(key)
    expect(tags(found)).to_have_text(["1", "3"])
    assert "('1', '3')" == notebook.value("seeds.value")


def test_suggestions_by_keyboard(notebook: Notebook) -> None:
    """The list is filtered by what is typed; arrows and Enter choose; names stand for values."""
    found = typed(notebook, "Aspect ratio", "9")
    expect(found.get_by_role("option")).to_have_text(["16:9", "9:16"])
    for key in ("ArrowDown", "ArrowDown", "Enter"):
        notebook.page.keyboard.press(key)
    found.get_by_role("combobox").fill("squ")
    found.get_by_role("option", name="square").click()
    expect(tags(found)).to_have_text(["9:16", "square"])
    assert "('9:16', '1:1')" == notebook.value("aspect.value")


def test_two_views_show_the_same(notebook: Notebook) -> None:
    """The same field displayed twice shows the same values."""
    typed(notebook, "Aspect ratio", "16:9\n")
    expect(tags(field(notebook, "Aspect ratio", cell=3))).to_have_text(["16:9"])


def test_action_button(notebook: Notebook) -> None:
    """The dice has a name and reaches Python."""
    field(notebook, "Seeds").get_by_role("button", name="Draw a seed").click()
    assert "['dice']" == notebook.value("clicked")


def test_values_are_text(notebook: Notebook) -> None:
    """HTML in a value is shown, not obeyed."""
    found = typed(notebook, "animal", "<img src=x onerror=alert(1)>\n")
    expect(tags(found)).to_have_text(["<img src=x onerror=alert(1)>"])
    expect(found.locator("img")).to_have_count(0)


# Uploads


def given(notebook: Notebook, name: str, data: bytes) -> None:
    """Choose a file in the upload field, and wait until it has been dealt with."""
    widget = notebook.output(1).locator(".kl-upload")
    file = notebook.file.parent / name
    file.write_bytes(data)
    widget.locator("input[type=file]").set_input_files(file)
    expect(widget.locator(".kl-upload-busy")).to_have_text("or drop, or paste", timeout=60_000)


def noise(width: int, height: int, kind: str) -> bytes:
    """A picture that does not compress well."""
    pixels = np.random.default_rng(1).integers(0, 255, (height, width, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(buffer := io.BytesIO(), kind)
    return buffer.getvalue()


def test_twelve_megabytes_arrive_whole(notebook: Notebook) -> None:
    """A file that the browser cannot read is sent as it is, in pieces."""
    data = np.random.default_rng(1).bytes(12_000_000)
    given(notebook, "photo.heic", data)
    arrived = notebook.value("[(u.name, u.note, hashlib.sha256(u.data).hexdigest()) for u in arrived]")
    assert str([("photo.heic", "", hashlib.sha256(data).hexdigest())]) == arrived


def test_a_big_picture_is_shrunk(notebook: Notebook) -> None:
    """Over 4 megapixels it is made smaller before it is sent, and that is said."""
    given(notebook, "big.png", noise(3000, 2000, "PNG"))
    assert "[('shrunk from 3000x2000', (2449, 1633), 'JPEG')]" == notebook.value(
        "[(u.note, (p := Image.open(io.BytesIO(u.data))).size, p.format) for u in arrived]"
    )
    expect(notebook.output(1).locator(".kl-upload-note")).to_have_text("big.png: shrunk from 3000x2000")


def test_a_small_picture_is_left_alone(notebook: Notebook) -> None:
    """Its exact bytes arrive."""
    data = noise(300, 200, "PNG")
    given(notebook, "small.png", data)
    assert str([hashlib.sha256(data).hexdigest()]) == notebook.value(
        "[hashlib.sha256(u.data).hexdigest() for u in arrived]"
    )


def test_a_huge_file_is_refused_in_words(notebook: Notebook) -> None:
    """More than 32 MB do not leave the browser."""
    given(notebook, "huge.tif", bytes(33_000_000))
    expect(notebook.output(1).get_by_role("alert")).to_have_text(
        "huge.tif has 33 MB; up to 32 MB can be uploaded"
    )
    assert "[]" == notebook.value("arrived")


def test_an_unreadable_file_is_told_where_it_was_given(notebook: Notebook) -> None:
    """What Python says of it stands in the widget."""
    given(notebook, "a.png", b"no picture")
    expect(notebook.output(1).get_by_role("alert")).to_have_text("a.png: no picture")


@pytest.mark.parametrize("event", ["drop", "paste"])
def test_a_picture_is_dropped_or_pasted(notebook: Notebook, event: str) -> None:
    """Both are uploads."""
    notebook.output(1).locator(".kl-upload").evaluate(
        """(node, event) => {
            const data = new DataTransfer();
            data.items.add(new File(["abc"], "dropped.png", { type: "image/png" }));
            const given = { bubbles: true, cancelable: true };
            const made = event === "drop" ? new DragEvent("drop", { ...given, dataTransfer: data })
                                          : new ClipboardEvent("paste", { ...given, clipboardData: data });
            node.dispatchEvent(made);
        }""",
        event,
    )
    expect(notebook.output(1).locator(".kl-upload-busy")).to_have_text("or drop, or paste")
    notebook.page.wait_for_timeout(500)
    assert "[('dropped.png', b'abc')]" == notebook.value("[(u.name, u.data) for u in arrived]")


# Key


def test_the_key_stays_nowhere(notebook: Notebook) -> None:
    """It reaches Python; the input is empty; no trait and no saved file has it."""
    widget = notebook.output(1).locator(".kl-key")
    widget.get_by_label("API key", exact=True).fill("marked-key-4711")
    widget.get_by_role("button", name="Use").click()
    expect(widget.get_by_role("status")).to_have_text("15 characters")
    expect(widget.get_by_label("API key", exact=True)).to_have_value("")
    assert "True" == notebook.value("keys == ['marked-' 'key-4711']")
    assert "False" == notebook.value("'marked-' 'key' in repr([w.get_state() for w in (key, upload, frame)])")
    saved = notebook.save()
    assert "KeyField" in saved  # the state of the widgets is in the file
    assert "marked-key" not in saved


# Viewer


def stage(notebook: Notebook) -> Locator:
    """The box the pictures stand in."""
    found = notebook.output(2).locator(".kl-viewer-stage").first
    expect(found.locator("img").first).to_be_visible(timeout=30_000)
    found.scroll_into_view_if_needed()
    return found


def colours(notebook: Notebook, *at: float) -> list[str]:
    """What is seen at these parts of the width, a bit above the middle."""
    pixels = Image.open(io.BytesIO(stage(notebook).screenshot())).convert("RGB")
    found = [pixels.getpixel((int(pixels.width * part), pixels.height // 3)) for part in at]
    return ["red" if red > 200 else "blue" for red, _, _ in found]


def drag(notebook: Notebook, start: float, end: float, *, release: bool = True) -> None:
    """Press at one part of the width, move to another."""
    box = stage(notebook).bounding_box()
    mouse, height = notebook.page.mouse, box["y"] + box["height"] / 3
    mouse.move(box["x"] + box["width"] * start, height)
    mouse.down()
    mouse.move(box["x"] + box["width"] * end, height, steps=5)
    if release:
        mouse.up()


def test_the_divider_follows_the_mouse(notebook: Notebook) -> None:
    """The picture changes while dragging; Python hears of it once, at the end."""
    assert ["red", "blue"] == colours(notebook, 0.4, 0.6)
    drag(notebook, 0.6, 0.8, release=False)
    assert ["red", "blue"] == colours(notebook, 0.7, 0.9)
    notebook.page.mouse.up()
    heard = notebook.value("[round(p, 1) for p in positions]")
    assert "[0.8]" == heard


def test_the_divider_by_keyboard(notebook: Notebook) -> None:
    """Arrows move it, and its value is told."""
    divider = notebook.output(2).get_by_role("slider", name="divider between reference and output 1")
    divider.focus()
    notebook.page.keyboard.press("ArrowRight")
    expect(divider).to_have_attribute("aria-valuenow", "52")
    notebook.page.keyboard.press("End")
    expect(divider).to_have_attribute("aria-valuenow", "100")


def test_a_new_picture_leaves_the_focus(notebook: Notebook) -> None:
    """Keys go on to mean the divider when another picture takes the place of the first."""
    divider = notebook.output(2).get_by_role("slider")
    divider.focus()
    notebook.page.evaluate(
        "code => jupyterapp.shell.currentWidget.sessionContext.session.kernel.requestExecute({ code }).done",
        "viewer.show(blue, red, left_label='reference', right_label='output 1', alt='A colour')",
    )
    expect(notebook.output(2).get_by_text("800 × 400 px | 600 × 300 px")).to_be_visible()
    expect(divider).to_be_focused()
    notebook.value("viewer.show(red, blue, left_label='reference', right_label='output 1', alt='A colour')")


def test_wheel_zooms_after_a_click(notebook: Notebook) -> None:
    """Before it the page scrolls; double click shows the whole picture again."""
    percent = notebook.output(2).get_by_label("zoom", exact=True)
    notebook.page.evaluate("document.activeElement.blur()")
    stage(notebook).hover()
    fitted = percent.inner_text()
    notebook.page.mouse.wheel(0, -10)
    notebook.page.wait_for_timeout(200)
    assert fitted == percent.inner_text()
    stage(notebook).click()
    notebook.page.mouse.wheel(0, -300)
    expect(percent).not_to_have_text(fitted)
    stage(notebook).dblclick()
    expect(percent).to_have_text(fitted)


def test_side_by_side_is_linked(notebook: Notebook) -> None:
    """Both pictures have the same zoom and the same place."""
    notebook.value("viewer.set_trait('mode', 'side')")
    images = notebook.output(2).locator(".kl-viewer-image")
    stage(notebook).click()
    notebook.page.mouse.wheel(0, -300)
    drag(notebook, 0.6, 0.5)
    styles = [images.nth(at).evaluate("node => [node.style.transform, node.style.width]") for at in (0, 1)]
    assert styles[0] == styles[1]
    assert "matrix(1, 0, 0, 1, 0, 0)" != styles[0][0]
    notebook.page.keyboard.press("Escape")
    assert "matrix(1, 0, 0, 1, 0, 0)" == images.first.evaluate("node => node.style.transform")


def test_a_text_in_place_of_pictures(notebook: Notebook) -> None:
    """`clear` shows a text, `show` the pictures again, with their sizes and what they show."""
    notebook.value("viewer.clear('This cell was moderated.')")
    expect(notebook.output(2).get_by_text("This cell was moderated.")).to_be_visible()
    notebook.value("viewer.show(red, blue, left_label='reference', right_label='output 1', alt='A colour')")
    expect(notebook.output(2).get_by_text("600 × 300 px | 800 × 400 px")).to_be_visible()
    expect(notebook.output(2).get_by_alt_text("A colour")).to_be_visible()


def test_an_unreadable_picture_is_told(notebook: Notebook) -> None:
    """Bytes that are no picture lead to words."""
    notebook.value("viewer.show(None, b'no picture')")
    expect(notebook.output(2).get_by_text("This picture cannot be shown.")).to_be_visible()
    notebook.value("viewer.show(red, blue, left_label='reference', right_label='output 1', alt='A colour')")
    expect(notebook.output(2).locator(".kl-viewer-image").first).to_be_visible()


# Frame


def test_size_is_reported(notebook: Notebook) -> None:
    """The panel's width in steps of 20, now and after the window changed."""
    page = notebook.page
    wide = int(notebook.value("frame.width"))
    assert 900 < wide < 1300
    assert 0 == wide % 20
    page.set_viewport_size({"width": 800, "height": 1000})
    page.wait_for_timeout(600)
    assert int(notebook.value("frame.width")) < wide
    page.set_viewport_size({"width": 1300, "height": 1000})
    page.wait_for_timeout(600)


def test_theme_is_reported(notebook: Notebook) -> None:
    """A change of JupyterLab's theme reaches Python."""
    assert "False" == notebook.value("frame.dark")
    notebook.theme("JupyterLab Dark")
    notebook.page.wait_for_timeout(500)
    dark = notebook.value("frame.dark")
    notebook.theme("JupyterLab Light")
    notebook.page.wait_for_timeout(500)
    assert ["True", "False"] == [dark, notebook.value("frame.dark")]


def test_keys_arrive_and_stay(notebook: Notebook) -> None:
    """After a click between the controls, keys reach Python and not JupyterLab's shortcuts."""
    notebook.output(0).get_by_text("A place between the controls").click()
    for key in ("1", "x", "ArrowLeft", "f", "Control+0"):
        notebook.page.keyboard.press(key)
    assert "['1', 'ArrowLeft', 'f']" == notebook.value("pressed")
    expect(notebook.page.locator(".jp-MarkdownCell")).to_have_count(0)


def test_typing_is_not_a_key(notebook: Notebook) -> None:
    """What is typed into a field is no key of the panel."""
    typed(notebook, "animal", "1f0")
    assert "[]" == notebook.value("pressed")


def test_copy(notebook: Notebook) -> None:
    """A text gets into the clipboard, and Python hears that it did."""
    notebook.value("frame.copy('kl.Sweep(…)')")
    notebook.page.wait_for_timeout(500)
    assert "kl.Sweep(…)" == notebook.page.evaluate("navigator.clipboard.readText()")
    assert "[True]" == notebook.value("copied")


def test_download(notebook: Notebook) -> None:
    """A file is saved once, with its name and its bytes."""
    with notebook.page.expect_download() as coming:
        notebook.value("frame.download('g5 s2.png', blue, 'image/png')")
    assert "g5 s2.png" == coming.value.suggested_filename
    data = Path(coming.value.path()).read_bytes()
    assert hashlib.sha256(data).hexdigest() == notebook.value("hashlib.sha256(blue).hexdigest()")


# Reload: last, since it takes the page away


def test_a_reload_loses_nothing(notebook: Notebook) -> None:
    """The page loaded anew shows the values and asks for the pictures."""
    typed(notebook, "Seeds", "1-3\n")
    expect(tags(field(notebook, "Seeds"))).to_have_count(3)
    notebook.value("viewer.set_trait('position', 0.25)")
    notebook.save()
    notebook.reload()
    expect(tags(field(notebook, "Seeds"))).to_have_text(["1", "2", "3"], timeout=30_000)
    assert ["red", "blue"] == colours(notebook, 0.2, 0.3)


def test_saved_widgets_are_small(notebook: Notebook) -> None:
    """Neither pictures nor uploads are in the file."""
    saved = notebook.save()
    assert len(saved) < 400_000
    assert "iVBORw0KGgo" not in saved  # how every PNG begins, in base64
