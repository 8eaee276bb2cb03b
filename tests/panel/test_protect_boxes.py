"""Boxes in the form without a browser: messages as a browser sends them, the draft, the sweep, code and runs."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ipywidgets.widgets.widget import _instances
from panel_driver import drive, parts
from PIL import Image

import kontext_lab as kl
from kontext_lab.errors import SweepError
from kontext_lab.panel import Panel
from kontext_lab.panel.browser import BoxField
from kontext_lab.panel.code_export import sweep_code
from kontext_lab.panel.form.protect import Drawing, Protect
from kontext_lab.sandbox import Sandbox

FACE = (0.1, 0.2, 0.5, 0.75)
CUP = (0.2, 0.2, 0.6, 0.7)
MakeSweep = Callable[..., kl.Sweep]


def asked(field: BoxField, kind: str, name: str, **more: Any) -> None:
    """What the browser sends."""
    field._handle_custom_msg({"type": kind, "id": "1", "name": name, **more}, [])


def sent(widget: BoxField, monkeypatch: pytest.MonkeyPatch) -> list[tuple[dict[str, Any], list[bytes]]]:
    """What the widget sends from now on."""
    messages: list[tuple[dict[str, Any], list[bytes]]] = []
    monkeypatch.setattr(
        widget, "send", lambda content, buffers=None: messages.append((content, buffers or []))
    )
    return messages


@pytest.fixture
def field() -> BoxField:
    """Two boxes."""
    return BoxField([["face", *FACE], ["edge", 0, 0, 1, 0.05]])


# The widget


def test_boxes_are_lists_of_name_and_sides(field: BoxField) -> None:
    """As the browser and `values` have them."""
    assert [["face", *FACE], ["edge", 0, 0, 1, 0.05]] == json.loads(json.dumps(field.get_state()["boxes"]))
    assert {"face": FACE, "edge": (0.0, 0.0, 1.0, 0.05)} == field.values


def test_a_drawn_box_is_added(field: BoxField) -> None:
    """Its sides are rounded to what can be seen."""
    asked(field, "add", "box 1", box=[0.123456, 0.1, 0.2, 0.3])
    assert ("box 1", 0.1235, 0.1, 0.2, 0.3) == field.boxes[-1]


def test_a_drawn_box_whose_name_is_taken_gets_another(
    field: BoxField, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when two pages draw at once; the browser is told which."""
    messages = sent(field, monkeypatch)
    for _ in range(2):
        asked(field, "add", "box 1", box=list(CUP))
    assert ["face", "edge", "box 1", "box 2"] == list(field.values)
    assert {"type": "done", "id": "1", "ok": True, "name": "box 2"} == messages[-1][0]


def test_a_box_is_moved(field: BoxField) -> None:
    """The others stay as they are, and the order does."""
    asked(field, "change", "face", box=list(CUP))
    assert (("face", *CUP), ("edge", 0, 0, 1, 0.05)) == field.boxes


def test_a_box_is_renamed(field: BoxField) -> None:
    """In its place, without blanks around the name."""
    asked(field, "rename", "face", to=" cat ")
    assert ["cat", "edge"] == list(field.values)


def test_a_box_is_removed(field: BoxField) -> None:
    """Twice is no error."""
    for _ in range(2):
        asked(field, "remove", "face")
    assert ["edge"] == list(field.values)


@pytest.mark.parametrize(
    ("kind", "name", "more", "line"),
    [
        ("rename", "face", {"to": "a/b"}, "protect: name must be 1 to 60 letters"),
        ("rename", "face", {"to": " "}, "protect: name must be 1 to 60 letters"),
        ("rename", "face", {"to": "ssim"}, "other than ssim, psnr_db, delta_e"),
        ("rename", "face", {"to": "edge"}, "protect: another box is called 'edge'"),
        ("rename", "nose", {"to": "mouth"}, "protect: 'nose' is not there any more"),
        ("change", "nose", {"box": [0, 0, 1, 1]}, "protect: 'nose' is not there any more"),
        ("change", "face", {"box": [0.5, 0, 0.5, 1]}, "left before right"),
        ("change", "face", {"box": [0.5, 0, 0.50001, 1]}, "left before right"),
        ("add", "box 1", {"box": [0, 0, 2, 1]}, "fractions from 0 to 1"),
        ("add", "box 1", {"box": "all"}, "must be x0, y0, x1, y1"),
    ],
)
def test_what_can_not_be_is_said_at_the_field(
    field: BoxField, kind: str, name: str, more: dict[str, Any], line: str
) -> None:
    """In one line; the boxes are as they were."""
    before = field.boxes
    asked(field, kind, name, **more)
    assert (True, 1) == (line in field.error, len(field.error.splitlines()))
    assert before == field.boxes


def test_the_browser_is_told_what_can_not_be(field: BoxField, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has shown it already."""
    messages = sent(field, monkeypatch)
    asked(field, "rename", "face", to="a/b")
    assert [{"type": "done", "id": "1", "ok": False, "name": None}] == [content for content, _ in messages]


def test_more_boxes_than_can_be_are_refused(field: BoxField) -> None:
    """Twenty are plenty."""
    for _ in range(19):
        asked(field, "add", "box 1", box=list(CUP))
    assert (20, "protect must be at most 20 boxes, not 21") == (len(field.boxes), field.error)


def test_what_is_right_takes_the_line_away(field: BoxField) -> None:
    """Of what was wrong before."""
    asked(field, "rename", "face", to="a/b")
    asked(field, "rename", "face", to="cat")
    assert "" == field.error


def test_a_refused_name_is_still_told_when_the_next_box_is_drawn(field: BoxField) -> None:
    """Leaving a name's field by drawing on is no reason not to read why."""
    asked(field, "rename", "face", to="a/b")
    asked(field, "add", "box 1", box=list(CUP))
    assert "name must be" in field.error
    asked(field, "change", "face", box=list(CUP))
    assert "" == field.error


@pytest.mark.parametrize(
    ("boxes", "line"),
    [
        ([["face", 0, 0, 1]], "must be x0, y0, x1, y1"),
        ([["face", *FACE], ["face", *CUP]], "two boxes have the same name"),
        (5, "allowed are lists of name, x0, y0, x1, y1"),
        ([[]], "allowed are lists of name, x0, y0, x1, y1"),
        ([[["face"], *FACE]], "allowed are lists of name, x0, y0, x1, y1"),
    ],
)
def test_python_can_set_no_boxes_that_are_none(field: BoxField, boxes: Any, line: str) -> None:
    """They stay as they were."""
    with pytest.raises(SweepError, match=line):
        field.boxes = boxes
    assert ["face", "edge"] == list(field.values)


def test_the_picture_is_sent_when_somebody_looks(field: BoxField, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a buffer, and never as state."""
    messages = sent(field, monkeypatch)
    field.show(b"picture" * 99, "a cup")
    assert [] == messages
    field._handle_custom_msg({"type": "ready", "view": "v"}, [])
    assert ("v", [b"picture" * 99]) == (messages[0][0]["view"], messages[0][1])
    assert "picturepicture" not in json.dumps(field.get_state(), default=repr)


def test_a_later_picture_reaches_those_who_look(field: BoxField, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every view of it."""
    field._handle_custom_msg({"type": "ready", "view": "v"}, [])
    messages = sent(field, monkeypatch)
    field.show(b"other")
    assert [(None, [b"other"])] == [(content["view"], buffers) for content, buffers in messages]


# The section


def protect(panel: Panel) -> Protect:
    """The section of the form."""
    return drive(panel).form.protect


def opened(panel: Panel) -> Drawing:
    """The section, opened, with its picture."""
    section = protect(panel)
    if not section.is_open:
        section.toggle.click()
    panel.wait(20)
    assert section.drawing is not None
    return section.drawing


def picture_of(drawing: Drawing) -> Image.Image:
    """What is drawn on."""
    return Image.open(io.BytesIO(drawing.field.pictures["picture"]))


def draw(panel: Panel, box: tuple[float, ...] = CUP) -> None:
    """As a person does."""
    asked(opened(panel).field, "add", "box 1", box=list(box))
    panel.wait(20)


def test_nothing_is_made_before_it_is_opened(typed: Panel) -> None:
    """A panel must be quick to show."""
    assert ("▸ Protect …", False) == (
        protect(typed).toggle.description,
        any(isinstance(one, BoxField) for one in parts(typed)),
    )


def test_opened_and_closed_again(typed: Panel) -> None:
    """The arrow says which."""
    drawing, section = opened(typed), protect(typed)
    assert ("▾ Protect …", None) == (section.toggle.description, drawing.layout.display)
    section.toggle.click()
    assert ("▸ Protect …", "none") == (section.toggle.description, drawing.layout.display)


def test_opening_it_again_makes_nothing_new(typed: Panel) -> None:
    """However often."""
    opened(typed)
    before = len(_instances)
    for _ in range(4):
        protect(typed).toggle.click()
    typed.wait(20)
    assert before == len(_instances)


def test_a_drawn_box_is_in_the_sweep(typed: Panel) -> None:
    """And its number beside the button."""
    draw(typed)
    assert ({"box 1": CUP}, "▾ Protect: 1 box") == (typed.sweep.protect, protect(typed).toggle.description)


def test_a_sweeps_boxes_are_counted_before_it_is_opened(panel: Panel, make_sweep: MakeSweep) -> None:
    """Without a picture being made."""
    panel.load(make_sweep(protect={"cup": CUP, "edge": (0, 0, 1, 0.05)}))
    assert ("▸ Protect: 2 boxes", None) == (protect(panel).toggle.description, protect(panel).drawing)


@pytest.mark.parametrize("looked_at", [False, True])
def test_a_sweep_put_in_and_read_out_is_the_same(
    panel: Panel, make_sweep: MakeSweep, looked_at: bool
) -> None:
    """To the last digit, also where the section is open, and where another field is typed in."""
    sweep = make_sweep(protect={"cup": (1 / 7, 1 / 3, 0.5, 2 / 3)})
    if looked_at:
        opened(panel)
    panel.load(sweep)
    drive(panel).write_note("typed")
    drive(panel).write_note(sweep.note)
    assert sweep == panel.sweep


def test_another_sweep_brings_its_boxes(typed: Panel, make_sweep: MakeSweep) -> None:
    """None, where it has none."""
    draw(typed)
    typed.load(make_sweep())
    assert ({}, ()) == (typed.sweep.protect, opened(typed).field.boxes)


def test_without_a_reference_it_says_so(panel: Panel) -> None:
    """Boxes need something to be drawn on."""
    assert "Give a reference first: boxes are drawn on it." == opened(panel).field.message


def test_a_reference_given_while_it_is_open_is_shown(panel: Panel, photo_file: Path) -> None:
    """In its own shape."""
    drawing = opened(panel)
    drive(panel).give_image(photo_file)
    panel.wait(20)
    assert ("", "reference coffee", (300, 200)) == (
        drawing.field.message,
        drawing.field.alt,
        picture_of(drawing).size,
    )


def test_boxes_come_back_with_their_reference(typed: Panel, photo: np.ndarray) -> None:
    """Another picture in its place has none."""
    draw(typed)
    references = drive(typed).form.references
    ((coffee, _),) = references.values
    references.remove(references.cards[0])
    assert opened(typed).field.message.startswith("Give a reference")
    references.load(photo[:100])
    typed.wait(20)
    assert ({}, (), "▾ Protect …") == (
        typed.sweep.protect,
        opened(typed).field.boxes,
        protect(typed).toggle.description,
    )
    references.put([(coffee, "")], combined=False)
    drive(typed).read_form()
    typed.wait(20)
    assert ({"box 1": CUP}, (("box 1", *CUP),)) == (typed.sweep.protect, opened(typed).field.boxes)


def test_each_reference_has_boxes_of_its_own(typed: Panel, photo: np.ndarray) -> None:
    """Those of the one on show are drawn; the sweep names the references."""
    draw(typed)
    drive(typed).form.references.load(photo[:100])
    typed.wait(20)
    drawing = opened(typed)
    drawing.picker.value = "2. array"
    typed.wait(20)
    assert () == drawing.field.boxes
    asked(drawing.field, "add", "sky", box=list(FACE))
    drawing.picker.value = "1. coffee"
    typed.wait(20)
    assert (("box 1", *CUP),) == drawing.field.boxes
    assert {"coffee": {"box 1": CUP}, "array": {"sky": FACE}} == typed.sweep.protect
    assert "▾ Protect: 2 boxes" == protect(typed).toggle.description


def test_one_of_several_references_is_drawn_on(typed: Panel, photo: np.ndarray) -> None:
    """The first, until another is picked; boxes are those of the one on show."""
    drawing = opened(typed)
    assert "none" == drawing._choice.layout.display
    drive(typed).form.references.load(photo[:100], "upper")
    typed.wait(20)
    assert "Each of the 2 references has its own boxes." in drawing.note.text
    assert (("1. coffee", "2. array"), "1. coffee", (300, 200)) == (
        drawing.picker.options,
        drawing.picker.value,
        picture_of(drawing).size,
    )
    drawing.picker.value = "2. array"
    typed.wait(20)
    assert ((300, 100), None) == (picture_of(drawing).size, drawing._choice.layout.display)


@pytest.mark.slow
def test_the_reference_drawn_on_stays(typed: Panel, photo: np.ndarray) -> None:
    """Where the one before it is taken away."""
    drawing, references = opened(typed), drive(typed).form.references
    references.load(photo[:100])
    typed.wait(20)
    drawing.picker.value = "2. array"
    typed.wait(20)
    references.remove(references.cards[0])
    typed.wait(20)
    assert ("1. array", (300, 100)) == (drawing.picker.value, picture_of(drawing).size)


def test_references_of_kept_axes_can_be_drawn_on(panel: Panel, photo_file: Path, photo: np.ndarray) -> None:
    """A form has no place for sets of references, and keeps them."""
    a, b = photo_file, photo[:100]
    panel.load(kl.Sweep("Add a bird.", axes={"images": [[a, b], [b, a]]}))
    assert ("1. coffee", "2. array") == opened(panel).picker.options


def test_a_big_reference_is_drawn_on_smaller(panel: Panel) -> None:
    """What goes to the browser has a moderate size."""
    panel.load(kl.Sweep("Add a bird.", np.zeros((900, 2000, 3), np.uint8)))
    drawing = opened(panel)
    assert (1400, "JPEG") == (picture_of(drawing).width, picture_of(drawing).format)


@pytest.fixture
def address(photo_file: Path) -> Iterator[str]:
    """The photograph at an address."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=photo_file.parent)) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/{photo_file.name}"
        server.shutdown()
        thread.join()


def test_a_reference_by_address_is_fetched_to_draw_on(panel: Panel, address: str) -> None:
    """Where it was not fetched yet."""
    panel.load(kl.Sweep("Add a bird.", address))
    protect(panel).toggle.click()
    drawing = protect(panel).drawing
    assert drawing is not None
    before = drawing.field.message
    panel.wait(20)
    assert "coffee is given by its address: fetching it …" == before
    assert ("", (300, 200)) == (drawing.field.message, picture_of(drawing).size)


def test_a_reference_that_can_not_be_fetched_is_told(panel: Panel, api: Sandbox) -> None:
    """Once, until somebody opens the section again."""
    panel.load(kl.Sweep("Add a bird.", f"{api.url}/nowhere.png"))
    field = opened(panel).field
    assert field.message.startswith("nowhere can't be drawn on: http")
    drive(panel).write_note("typed")
    assert "fetching" not in field.message
    for _ in range(2):
        protect(panel).toggle.click()
    assert "fetching" in field.message


def test_no_picture_is_kept_in_the_state(typed: Panel) -> None:
    """A saved notebook would have it."""
    drawing = opened(typed)
    assert len(drawing.field.pictures["picture"]) > 2000
    assert len(json.dumps(drawing.field.get_state()["boxes"])) < 200


# Code


def test_a_sweeps_code_has_its_boxes(make_sweep: MakeSweep) -> None:
    """So that it makes the same sweep."""
    sweep = make_sweep(protect={"cup": CUP})
    text = sweep_code(sweep)
    assert "    protect={'cup': (0.2, 0.2, 0.6, 0.7)},\n" in text


def test_code_of_many_boxes_is_python(make_sweep: MakeSweep) -> None:
    """Also over several lines."""
    sweep = make_sweep(protect={f"box {n}": (0.0, 0.0, 1.0, n / 20) for n in range(1, 9)})
    text = sweep_code(sweep).partition("print")[0]
    names: dict[str, Any] = {}
    exec(text, names)
    assert sweep == names["sweep"]


def test_a_sweep_without_boxes_has_none_in_its_code(make_sweep: MakeSweep) -> None:
    """What is usual is not written."""
    assert "protect" not in sweep_code(make_sweep())


# Runs


@pytest.fixture
def measuring(api: Sandbox) -> Iterator[kl.Lab]:
    """A lab that measures while it runs."""
    with kl.Lab(quiet=True) as made:
        yield made


@pytest.fixture
def ran(measuring: kl.Lab, make_sweep: MakeSweep) -> Panel:
    """A panel whose sweep ran, without boxes."""
    made = Panel(measuring, make_sweep())
    made.wait(20)
    made.run()
    made.wait(60)
    return made


@pytest.mark.slow
def test_cells_are_measured_anew_for_a_new_box(ran: Panel, api: Sandbox) -> None:
    """Run is possible although nothing is to be sent, and nothing is."""
    before = len(api.calls)
    draw(ran)
    bar = drive(ran).run_bar
    assert (True, False) == ("0 to send" in bar.plan.text, bar.run_button.disabled)
    ran.run()
    results = ran.wait(60)
    assert all("preserve/box 1" in output.metrics for output in results.outputs)
    assert (before, 0.0) == (len(api.calls), results.spent)


def test_a_box_costs_nothing(typed: Panel) -> None:
    """The plan is the same."""
    before = drive(typed).plan_line
    draw(typed)
    assert before == drive(typed).plan_line


@pytest.mark.slow
def test_a_tracked_sweep_comes_back_with_its_boxes(ran: Panel) -> None:
    """As History puts it into the form."""
    draw(ran)
    ran.run()
    ran.wait(60)
    run_id = ran.results.run_id
    ran.load(kl.Sweep("Something else.", kl.sample("coffee")))
    ran.load(run_id)
    assert {"box 1": CUP} == ran.sweep.protect


@pytest.mark.slow
def test_code_of_a_tracked_sweep_with_other_boxes_finds_its_references(
    lab: kl.Lab, make_sweep: MakeSweep, photo: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is in the same run, and the picture that was no file is there."""
    panel = Panel(lab, make_sweep(image=photo, axes={}, prompt="Add a bird."))
    panel.wait(20)
    panel.run()
    panel.wait(60)
    draw(panel)
    copied: list[str] = []
    monkeypatch.setattr(drive(panel).clipboard, "put", lambda text, _: copied.append(text))
    drive(panel).files.copy_python()
    assert ("protect={'box 1'" in copied[0], "lab.load_sweep(" in copied[0]) == (True, True)


@pytest.mark.slow
def test_boxes_follow_into_a_chain(ran: Panel) -> None:
    """*Use as reference* moves them to where the output shows them, and says so in a line."""
    draw(ran)
    drive(ran).session.pick(ran.results.outputs[0])
    section = protect(ran)
    drive(ran).actions.use_as_reference()
    assert drive(ran).wait_for(lambda: bool(section.transfer.text), 60)
    assert "protect: moved to their place in the new reference: box 1" == section.transfer.text
    # The middle 1:1 of 3:2: a sixth is cut off on either side.
    assert (0.05, 0.2, 0.65, 0.7) == pytest.approx(ran.sweep.protect["box 1"], abs=0.01)
    asked(opened(ran).field, "remove", "box 1")
    assert "" == section.transfer.text


@pytest.mark.slow
def test_a_cells_settings_bring_its_boxes(ran: Panel) -> None:
    """A sweep made of one cell is measured as that one was."""
    draw(ran)
    ran.run()
    ran.wait(60)
    drive(ran).session.pick(ran.results.outputs[0])
    ran.load(kl.Sweep("Something else.", kl.sample("coffee")))
    drive(ran).actions.use_settings()
    assert {"box 1": CUP} == ran.sweep.protect
