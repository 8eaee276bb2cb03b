"""The grid's canvas: shows plans as they come, and reports hovered and clicked tiles and the crop that all share.

Every widget is touched on the thread that calls. If ipympl fails, a static picture takes the canvas's place.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import anywidget
import traitlets
from ipywidgets import Image, Widget
from matplotlib.figure import Figure

from kontext_lab.figures.geometry import Crop, GridPlan, Tile
from kontext_lab.figures.grid import small_png
from kontext_lab.figures.live_sheet import LiveSheet, Mark
from kontext_lab.figures.painter import plain_settings
from kontext_lab.panel.browser.widget import STATIC
from kontext_lab.panel.gestures import FULL, Gestures
from kontext_lab.panel.picture_loader import Background, Later, PictureLoader
from kontext_lab.panel.widgets import column, plain

__all__ = ["GridCanvas"]

_ARRIVALS, _GESTURE, _REST = 0.12, 0.03, 0.3
"""Seconds between two frames as cells arrive, and during a gesture; seconds until a crop counts as at rest."""
_STATIC_BYTES = 400_000
_CACHED = 0.08
"""Seconds that a frame may wait for pictures whose bytes are in memory."""


class _CanvasEvents(anywidget.AnyWidget):
    """An invisible widget beside a canvas: the wheel, keys and frames as the browser must handle them."""

    _esm = STATIC / "canvas.js"
    label = traitlets.Unicode("Grid of pictures").tag(sync=True)  # for screen readers
    canvas = traitlets.Unicode("").tag(sync=True)  # model id of the canvas


class GridCanvas:
    """A grid of pictures with zoom and pan; `static` shows a picture in place of the canvas."""

    DPI = 100.0
    """CSS pixels per inch of a plan."""

    def __init__(
        self,
        later: Later,
        background: Background,
        on_trouble: Callable[[Exception], None],
        *,
        static: bool = False,
    ) -> None:
        with plain_settings():
            self._figure = Figure(dpi=self.DPI)
        self.sheet = LiveSheet(self._figure)
        self._later, self._on_trouble = later, on_trouble
        self._loader = PictureLoader(self.sheet, background, self.redraw, on_trouble)
        self._gestures = Gestures(lambda: self.plan, self.move, self._emit, self._set_cursor)
        self._listeners: dict[str, list[Callable[..., object]]] = {}
        self._plan: GridPlan | None = None
        self._dark, self._crop = False, FULL
        self._due: float | None = None
        self._drawn_at, self._cost, self._moves = 0.0, 0.0, 0
        self._stale = True
        # The reason for a static picture instead of a canvas, or "".
        self.why_static = "switched off" if static else ""
        self._canvas: Any = None
        self.widget: Widget = self._make_static() if static else self._make_live()

    def _make_live(self) -> Widget:
        try:
            from kontext_lab.panel.live_canvas import LiveCanvas  # noqa: PLC0415 - may fail; the panel works without

            self._canvas = LiveCanvas(self._figure, on_request=self._on_request, on_trouble=self._on_trouble)
        except Exception as error:
            self.why_static = f"no interactive canvas here ({type(error).__name__}: {error})"
            return self._make_static()
        self._gestures.listen(self._canvas)
        return column(self._canvas, _CanvasEvents(canvas=self._canvas.model_id), name="kontext-canvas")

    def _make_static(self) -> Widget:
        with plain_settings():
            self._figure = Figure(dpi=self.DPI)
        self.sheet.figure = self._figure
        return Image(format="png", **plain(Image))

    def on_hover(self, callback: Callable[[Tile | None], object]) -> None:
        """Have `callback` called with the tile under the pointer, None when it leaves."""
        self._listeners.setdefault("hover", []).append(callback)

    def on_select(self, callback: Callable[[Tile, frozenset[str]], object]) -> None:
        """Have `callback` called with a clicked tile and the pressed modifier keys: `shift`, `ctrl` …."""
        self._listeners.setdefault("select", []).append(callback)

    def on_crop(self, callback: Callable[[Crop], object]) -> None:
        """Have `callback` called with the visible part of every picture when a person changes it."""
        self._listeners.setdefault("crop", []).append(callback)

    def _emit(self, event: str, *arguments: object) -> None:
        """Call the listeners of an event."""
        for listener in tuple(self._listeners.get(event, ())):
            try:
                listener(*arguments)
            except Exception as error:
                self._on_trouble(error)

    @property
    def plan(self) -> GridPlan | None:
        """The plan on show, with its crop."""
        return replace(self._plan, crop=self._crop) if self._plan is not None else None

    @property
    def crop(self) -> Crop:
        """The visible part of every picture."""
        return self._crop

    def show(self, plan: GridPlan, *, dark: bool = False) -> None:
        """Show a plan; the crop stays."""
        self._plan, self._dark = plan, dark
        self.redraw()

    def select(self, *marks: Mark) -> None:
        """Frame these outputs, and no others."""
        if marks != self.sheet.marks:
            self._stale |= self.sheet.select(*marks)
            self._schedule(_GESTURE)

    def redraw(self) -> None:
        """Draw changes, a few times a second at most, and less often if frames take long."""
        self._schedule(max(_ARRIVALS, 2 * self._cost))

    def reset(self) -> None:
        """Show whole pictures again."""
        self.move(FULL)

    def move(self, crop: Crop) -> None:
        """Show another part of every picture, and call the listeners."""
        if crop != self._crop:
            self._crop = crop
            self._schedule(max(_GESTURE, self._cost))
            self._emit("crop", crop)

    def _set_cursor(self, shape: str) -> None:
        """Change the pointer's shape, by its CSS name."""
        if self._canvas is not None and self._canvas._cursor != shape:
            self._canvas._cursor = shape

    # Drawing.

    def _schedule(self, pause: float) -> None:
        """Draw a frame so many seconds after the last one, or now if they have passed."""
        now = time.monotonic()
        at = max(now, self._drawn_at + pause)
        if self._due is None or at < self._due - 0.01:
            self._due = at
            self._later(at - now, self._draw_due)

    def _draw_due(self) -> None:
        # The first of several timers draws for all.
        if self._due is None:
            return
        self._due, started = None, time.monotonic()
        try:
            self._update(started)
        except Exception as error:
            self._on_trouble(error)
        self._drawn_at = time.monotonic()
        self._cost = self._drawn_at - started

    def _update(self, started: float) -> None:
        plan = self.plan
        if plan is None:
            return
        before = self.sheet.plan
        self._loader.load_cached(plan, started + _CACHED)
        changed = self.sheet.show(plan, dark=self._dark)
        self._stale |= changed
        moved = before is not None and before.crop != plan.crop
        self._moves += moved
        if self._stale:
            self._paint(moving=moved)
        self._loader.fetch()
        if changed:
            self._sharpen_later()

    def _paint(self, *, moving: bool = False) -> None:
        """Draw the figure if a page shows it."""
        if self._canvas is None:
            assert isinstance(self.widget, Image)
            self.widget.value = small_png(self._figure, _STATIC_BYTES)
        elif self._canvas.is_seen:
            self._canvas.moving = moving
            patches = self.sheet.patches()
            if patches is None:
                self._canvas.draw()
            else:
                self._canvas.patch(patches)
        else:
            return
        self._stale = False

    def _on_request(self) -> None:
        """Send a frame to a new or reloaded page, or one of another size or scale."""
        self._canvas.is_seen = True
        if self.plan is not None:
            self._stale |= self.sheet.show(self.plan, dark=self._dark)
        if self._stale:
            self._paint()
            self._sharpen_later()
        else:
            self._canvas.send_frame(whole=True)

    def _sharpen_later(self) -> None:
        """Draw a better frame once nothing has moved for a while."""
        self._later(_REST, partial(self._sharpen, self._moves))

    def _sharpen(self, moves: int) -> None:
        if moves != self._moves:
            return

        def show() -> bool:
            self._paint()
            return moves == self._moves

        try:
            if self._canvas is not None and self._canvas.is_seen and self._canvas.moving:
                self._canvas.moving = False
                self._canvas.send_frame(whole=True)
            self._loader.sharpen(self._gestures.tile, show)
        except Exception as error:
            self._on_trouble(error)
