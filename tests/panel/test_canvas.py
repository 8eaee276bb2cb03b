"""The grid's canvas without a browser: messages as ipympl's front end sends them, frames as it gets them."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image

import kontext_lab as kl
from kontext_lab.figures import GridPlan, Mark, PageSize, Tile, plan_grid
from kontext_lab.panel.canvas import GridCanvas
from kontext_lab.panel.gestures import FULL, SMALLEST, panned, zoomed
from kontext_lab.results import Results

MakeSweep = Callable[..., kl.Sweep]


class Clock:
    """Calls what is due when it is told to, on this thread; also what a thread hands back."""

    def __init__(self) -> None:
        self.due: list[tuple[float, Callable[[], object]]] = []

    def later(self, seconds: float, work: Callable[[], object]) -> None:
        """Remember an appointment."""
        self.due.append((seconds, work))

    def background(self, work: Callable[[], Any], then: Callable[[Any], object]) -> None:
        """Work at the next turn."""
        self.due.append((0.0, lambda: then(work())))

    def run(self) -> None:
        """Keep all appointments, and those that come of them."""
        for _ in range(200):
            if not self.due:
                return
            due, self.due = self.due, []
            for _, work in due:
                work()
        raise AssertionError("there is no end of appointments")


class Browser:
    """Speaks as ipympl's front end does, and keeps what it is sent."""

    def __init__(self, canvas: GridCanvas, monkeypatch: pytest.MonkeyPatch) -> None:
        self.canvas: Any = canvas._canvas
        self.sent: list[dict[str, Any]] = []
        self.frames: list[bytes] = []
        monkeypatch.setattr(self.canvas, "send", self._take)

    def _take(self, content: dict[str, Any], buffers: Any = None) -> None:
        self.sent.append(json.loads(content["data"]))
        self.frames += list(buffers or ())

    def says(self, kind: str, **content: Any) -> None:
        """Send one message."""
        self.canvas._handle_custom_msg({"type": kind, **content}, [])

    def begins(self, ratio: float = 1.0) -> None:
        """What a model says when it is made: at the first display, and at a reload."""
        if ratio != 1.0:
            self.says("set_dpi_ratio", dpi_ratio=ratio)
            self.says("set_device_pixel_ratio", device_pixel_ratio=ratio)
        for kind in ("refresh", "send_image_mode", "initialized"):
            self.says(kind)
        self.says("draw")

    def mouse(
        self, kind: str, at: tuple[float, float], held: int = 0, step: int = 0, keys: tuple[str, ...] = ()
    ) -> None:
        """A mouse event at a point in inches."""
        x, y = (side * self.canvas.figure.dpi for side in at)
        self.says(kind, x=x, y=y, button=0, buttons=held, step=step, modifiers=list(keys), guiEvent={})

    def click(self, at: tuple[float, float], keys: tuple[str, ...] = ()) -> None:
        """Down and up again."""
        self.mouse("button_press", at, held=1, keys=keys)
        self.mouse("button_release", at, keys=keys)

    @property
    def size(self) -> tuple[int, int]:
        """Pixels of the last frame."""
        return Image.open(io.BytesIO(self.frames[-1])).size


def fail(error: Exception) -> None:
    """Raise what a canvas reports."""
    raise error


def make_canvas(*, static: bool = False) -> GridCanvas:
    """A canvas without a clock, so that everything is drawn at once."""
    return GridCanvas(lambda _, work: work(), lambda work, then: then(work()), fail, static=static)


@pytest.fixture
def results(lab: kl.Lab, make_sweep: MakeSweep) -> Results:
    """Eight cells of the sandbox, done."""
    return lab.run(make_sweep())


@pytest.fixture
def plan(results: Results) -> GridPlan:
    """Two by two of them."""
    return plan_grid(results, title="", live=True, page_size=PageSize(6, 5))


@pytest.fixture
def canvas(plan: GridPlan) -> GridCanvas:
    """A canvas that shows the plan."""
    made = make_canvas()
    made.show(plan)
    return made


@pytest.fixture
def browser(canvas: GridCanvas, monkeypatch: pytest.MonkeyPatch) -> Browser:
    """A front end that shows the canvas."""
    made = Browser(canvas, monkeypatch)
    made.begins()
    return made


def middle(tile: Tile) -> tuple[float, float]:
    """A tile's middle in inches."""
    return tile.rect.left + tile.rect.width / 2, tile.rect.top + tile.rect.height / 2


def test_a_front_end_gets_the_picture(browser: Browser, plan: GridPlan) -> None:
    """A front end that begins is sent a frame of the plan's size."""
    assert pytest.approx((plan.width * 100, plan.height * 100), abs=1.01) == browser.size


def test_what_is_patched_is_what_would_be_drawn(
    browser: Browser, canvas: GridCanvas, results: Results, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A picture that arrives is put over what was drawn, and every pixel is as if all had been drawn anew."""
    waiting = Results([replace(cell, state=kl.State.WAITING, outputs=()) for cell in results])
    canvas.select(Mark(results[0]))
    canvas.show(plan_grid(waiting, title="", live=True, page_size=PageSize(6, 5)))
    last = Results([*list(waiting)[:-1], results[-1]])
    drawn = []
    monkeypatch.setattr(browser.canvas, "draw", lambda: drawn.append(1))
    canvas.show(plan_grid(last, title="", live=True, page_size=PageSize(6, 5)))
    patched = np.array(browser.canvas.buffer_rgba())
    monkeypatch.undo()
    FigureCanvasAgg.draw(browser.canvas)
    assert ([], 0) == (drawn, int((patched != np.asarray(browser.canvas.buffer_rgba())).sum()))


def test_what_lies_on_a_picture_stays_on_it(browser: Browser, canvas: GridCanvas, results: Results) -> None:
    """A picture that arrives in a framed tile lies under its frame."""
    waiting = Results([replace(cell, state=kl.State.WAITING, outputs=()) for cell in results])
    canvas.select(Mark(results[0]))
    canvas.show(plan_grid(waiting, title="", live=True, page_size=PageSize(6, 5)))
    canvas.show(plan_grid(results, title="", live=True, page_size=PageSize(6, 5)))
    shown = np.array(browser.canvas.buffer_rgba())
    FigureCanvasAgg.draw(browser.canvas)
    assert 0 == int((shown != np.asarray(browser.canvas.buffer_rgba())).sum())


def test_nobody_looking_nothing_drawn(plan: GridPlan, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before a browser shows the canvas no frame is made."""
    made = make_canvas()
    browser = Browser(made, monkeypatch)
    made.show(plan)
    assert [] == browser.frames


def test_reload_is_sent_everything(browser: Browser) -> None:
    """A page that is loaded anew gets a whole frame, although nothing changed."""
    before = len(browser.frames)
    browser.begins()
    assert len(browser.frames) > before
    assert "JPEG" == Image.open(io.BytesIO(browser.frames[-1])).format


def test_fine_screens_get_more_pixels(browser: Browser, plan: GridPlan) -> None:
    """A front end with two pixels per CSS pixel gets twice as many of them."""
    browser.begins(2.0)
    assert pytest.approx((plan.width * 200, plan.height * 200), abs=2.01) == browser.size


def test_a_coarse_screen_after_a_fine_one(browser: Browser, plan: GridPlan) -> None:
    """A front end that names no ratio has 1, whatever the one before it had."""
    browser.begins(2.0)
    browser.begins()
    assert pytest.approx(plan.width * 100, abs=1.01) == browser.size[0]


@pytest.mark.parametrize("ratio", [1.0, 1.5, 2.0])
def test_a_click_names_the_tile(canvas: GridCanvas, browser: Browser, plan: GridPlan, ratio: float) -> None:
    """A click tells of the tile and the keys held, at any scale of the screen."""
    browser.begins(ratio)
    found: list[tuple[Any, frozenset[str]]] = []
    canvas.on_select(lambda tile, keys: found.append((tile.cell, keys)))
    browser.click(middle(plan.tiles[3]), ("shift",))
    assert [(plan.tiles[3].cell, frozenset({"shift"}))] == found


def test_hovering_names_each_tile_once(canvas: GridCanvas, browser: Browser, plan: GridPlan) -> None:
    """Moving within a tile tells nothing new; leaving the canvas tells None."""
    found: list[Any] = []
    canvas.on_hover(lambda tile: found.append(tile and tile.cell))
    x, y = middle(plan.tiles[0])
    for at in ((x, y), (x + 0.1, y), middle(plan.tiles[1])):
        browser.mouse("motion_notify", at)
    browser.mouse("figure_leave", (0.0, 0.0))
    assert [plan.tiles[0].cell, plan.tiles[1].cell, None] == found


def test_wheel_alone_is_the_page_s(canvas: GridCanvas, browser: Browser, plan: GridPlan) -> None:
    """Without Ctrl or ⌘ the wheel scrolls the page and zooms nothing."""
    browser.mouse("scroll", middle(plan.tiles[0]), step=1)
    assert FULL == canvas.crop


@pytest.mark.parametrize("key", ["ctrl", "meta"])
def test_wheel_zooms_about_the_pointer(
    canvas: GridCanvas, browser: Browser, plan: GridPlan, key: str
) -> None:
    """The point of the picture under the pointer stays where it is."""
    told: list[Any] = []
    canvas.on_crop(told.append)
    rect = plan.tiles[2].rect
    at = (rect.left + rect.width * 0.25, rect.top + rect.height * 0.75)
    browser.mouse("scroll", at, step=1, keys=(key,))
    left, top, right, bottom = canvas.crop
    assert [canvas.crop] == told
    assert pytest.approx((0.25, 0.75), abs=0.005) == (
        left + 0.25 * (right - left),
        top + 0.75 * (bottom - top),
    )


def test_a_drag_pans_and_selects_nothing(canvas: GridCanvas, browser: Browser, plan: GridPlan) -> None:
    """Dragging to the right shows what lies further left, and is no click."""
    canvas.move(zoomed(canvas.crop, (0.5, 0.5), 2))
    found: list[Any] = []
    canvas.on_select(lambda *given: found.append(given))
    x, y = middle(plan.tiles[0])
    browser.mouse("button_press", (x, y), held=1)
    browser.mouse("motion_notify", (x + plan.tiles[0].rect.width / 4, y), held=1)
    browser.mouse("button_release", (x + plan.tiles[0].rect.width / 4, y))
    assert pytest.approx((0.125, 0.25, 0.625, 0.75), abs=0.005) == canvas.crop
    assert [] == found


def test_a_button_let_go_outside_is_up(canvas: GridCanvas, browser: Browser, plan: GridPlan) -> None:
    """A move without a button held ends a drag whose end was elsewhere."""
    canvas.move(zoomed(canvas.crop, (0.5, 0.5), 2))
    x, y = middle(plan.tiles[0])
    browser.mouse("button_press", (x, y), held=1)
    before = canvas.crop
    browser.mouse("motion_notify", (x + 1, y))
    assert before == canvas.crop


def test_double_click_resets(canvas: GridCanvas, browser: Browser, plan: GridPlan) -> None:
    """A double click shows whole pictures again."""
    canvas.move(zoomed(canvas.crop, (0.5, 0.5), 3))
    browser.mouse("dblclick", middle(plan.tiles[0]))
    assert FULL == canvas.crop


def test_a_new_plan_keeps_the_crop(canvas: GridCanvas, plan: GridPlan) -> None:
    """What is zoomed stays so when rows, columns or cells change."""
    canvas.move(zoomed(canvas.crop, (0.5, 0.5), 2))
    canvas.show(plan)
    assert canvas.plan is not None
    assert (0.25, 0.25, 0.75, 0.75) == canvas.plan.crop


def test_zoom_has_limits() -> None:
    """From the whole picture down to a sixteenth of its sides."""
    crop = FULL
    for _ in range(40):
        crop = zoomed(crop, (0.5, 0.5), 1.5)
    assert pytest.approx(SMALLEST) == crop[2] - crop[0]
    for _ in range(40):
        crop = zoomed(crop, (0.9, 0.1), 0.5)
    assert FULL == crop


def test_a_pan_stays_inside() -> None:
    """Nothing beyond the edge of a picture is shown."""
    assert (0.5, 0.0, 1.0, 0.5) == panned((0.25, 0.25, 0.75, 0.75), -9, 9)


def test_small_changes_are_small_frames(canvas: GridCanvas, browser: Browser, plan: GridPlan) -> None:
    """A new frame around one tile is sent as the pixels that changed."""
    whole = len(browser.frames[-1])
    assert plan.tiles[0].cell is not None
    canvas.select(Mark(plan.tiles[0].cell))
    assert len(browser.frames[-1]) < whole / 4
    assert "PNG" == Image.open(io.BytesIO(browser.frames[-1])).format


def test_no_picture_in_the_state(canvas: GridCanvas, browser: Browser) -> None:
    """The widget's state, which notebooks save, holds no picture, and its display none either."""
    browser.canvas._repr_mimebundle_()
    state = json.dumps(browser.canvas.get_state(), default=str)
    assert (None, True) == (browser.canvas._data_url, len(state) < 3000)


def test_asking_for_another_size_is_answered(browser: Browser, plan: GridPlan) -> None:
    """A front end that wants to resize is told the size that the plan has."""
    browser.sent.clear()
    browser.says("resize", width=100, height=100)
    assert pytest.approx([plan.width * 100, plan.height * 100], abs=1.01) == browser.sent[-1]["size"]


def test_frames_are_batched(plan: GridPlan, monkeypatch: pytest.MonkeyPatch) -> None:
    """Many changes at once make one appointment."""
    clock = Clock()
    canvas = GridCanvas(clock.later, clock.background, fail)
    for _ in range(20):
        canvas.show(plan)
    assert 1 == len(clock.due)


def test_frames_come_a_few_times_a_second(plan: GridPlan) -> None:
    """Soon after a frame, the next one waits; under a hand it does not."""
    clock = Clock()
    canvas = GridCanvas(clock.later, clock.background, fail)
    canvas.show(plan)
    clock.run()
    canvas.redraw()
    assert clock.due.pop()[0] > 0.1
    canvas._due = None
    canvas.move(zoomed(canvas.crop, (0.5, 0.5), 2))
    assert clock.due.pop()[0] < 0.05 + canvas._cost


def test_slow_stores_are_not_waited_for(results: Results) -> None:
    """With a store far away the sheet is shown at once, and its pictures as they come."""
    near, waited_for = threading.Event(), []

    def far(data: Image.Image) -> bytes:
        if not near.is_set():
            waited_for.append(data)
        return _png(data)

    for output in results.outputs:
        data, output.preview, output.data = output.thumbnail(512), b"", b""
        output.load_preview = partial(far, data)
    clock = Clock()
    canvas = GridCanvas(clock.later, clock.background, fail)
    canvas.show(plan_grid(results, title="", live=True))
    clock.due.pop(0)[1]()
    assert ([], True) == (waited_for, len(canvas.sheet.missing()) > 0)
    near.set()
    clock.run()
    assert [] == canvas.sheet.missing()


def _png(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()


def test_a_zoom_at_rest_is_sharpened(plan: GridPlan, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once a zoom stands still, tiles get the pixels of the whole pictures."""
    clock = Clock()
    canvas = GridCanvas(clock.later, clock.background, fail)
    browser = Browser(canvas, monkeypatch)
    canvas.show(plan)
    clock.run()
    browser.begins()
    canvas.move(zoomed(canvas.crop, (0.5, 0.5), 16))
    clock.run()
    assert [] == canvas.sheet.coarse()


def test_trouble_in_a_callback_is_told(plan: GridPlan, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a callback raises goes to whoever shows it, and the canvas goes on."""
    troubles: list[Exception] = []
    canvas = GridCanvas(lambda _, work: work(), lambda work, then: then(work()), troubles.append)
    canvas.show(plan)
    browser = Browser(canvas, monkeypatch)
    browser.begins()
    canvas.on_select(lambda *_: 1 / 0)  # type: ignore[arg-type, return-value]
    browser.click(middle(plan.tiles[0]))
    assert [ZeroDivisionError] == [type(error) for error in troubles]


@pytest.mark.slow
def test_a_static_picture_takes_its_place(plan: GridPlan) -> None:
    """Without a canvas the grid is a PNG of less than 400 kB."""
    canvas = make_canvas(static=True)
    canvas.show(plan)
    data = canvas.widget.value
    assert ("PNG", True) == (Image.open(io.BytesIO(data)).format, len(data) < 400_000)


def test_without_ipympl_it_is_static_and_says_why(plan: GridPlan, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where ipympl cannot be imported, everything but the mouse works."""
    monkeypatch.setitem(sys.modules, "kontext_lab.panel.live_canvas", None)
    canvas = make_canvas()
    canvas.show(plan)
    canvas.move(zoomed(canvas.crop, (0.5, 0.5), 2))
    assert "ImportError" in canvas.why_static or "ModuleNotFoundError" in canvas.why_static
    assert bytes(canvas.widget.value).startswith(b"\x89PNG")


@pytest.mark.slow
def test_the_user_s_matplotlib_stays_as_it_is() -> None:
    """Neither backend, settings, nor pyplot's figures change by making a canvas."""
    script = """
import matplotlib, matplotlib.pyplot as plt
figure = plt.figure()
before = (matplotlib.get_backend(), dict(matplotlib.rcParams), plt.get_fignums(), plt.isinteractive())
from kontext_lab.panel.canvas import GridCanvas
assert GridCanvas(print, print, print).why_static == ""
assert before == (matplotlib.get_backend(), dict(matplotlib.rcParams), plt.get_fignums(), plt.isinteractive())
assert type(plt.figure().canvas) is type(figure.canvas)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=120
    )
    assert (0, "") == (done.returncode, done.stderr)


@pytest.mark.slow
def test_pyplot_is_not_imported() -> None:
    """A canvas is made without pyplot."""
    script = """
import sys
import threading
from kontext_lab.panel.canvas import GridCanvas
GridCanvas(print, print, print)
assert "matplotlib.pyplot" not in sys.modules
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=120
    )
    assert (0, "") == (done.returncode, done.stderr)


def test_a_motion_that_comes_late_costs_no_click(
    canvas: GridCanvas, browser: Browser, plan: GridPlan
) -> None:
    """The browser holds motions back: one of before the button went down may come after that."""
    picked: list[Tile] = []
    canvas.on_select(lambda tile, _: picked.append(tile))
    at = middle(plan.tiles[1])
    browser.mouse("button_press", at, held=1)
    browser.mouse("motion_notify", at)
    browser.mouse("button_release", at)
    assert [plan.tiles[1].rect] == [tile.rect for tile in picked]
