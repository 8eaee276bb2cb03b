"""The grid's canvas: shows plans as they come, and turns clicks, wheel and drags into tiles and a shared crop.

Frames are batched by a scheduler that is passed in, pictures are loaded by a background that is passed in; every
widget is touched on the thread that calls. Where ipympl fails, a static picture takes the canvas's place.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from ipywidgets import Image, VBox, Widget
from matplotlib.figure import Figure

from kontext_lab.figures.geometry import Crop, GridPlan, Tile
from kontext_lab.figures.live_sheet import LiveSheet, Mark
from kontext_lab.figures.painter import plain_settings
from kontext_lab.figures.pictures import Previews
from kontext_lab.figures.results_preview import small_png
from kontext_lab.panel.canvas_events import BOX, CanvasEvents
from kontext_lab.panel.gestures import FULL, Gestures, zoomed
from kontext_lab.panel.layouts import plain
from kontext_lab.panel.picture_loader import Background, Later, PictureLoader

__all__ = ["GridCanvas"]

_ARRIVALS, _GESTURE, _REST = 0.12, 0.03, 0.3
"""Seconds between two frames as cells arrive and under a hand; and after which a crop stands still."""
_STATIC_BYTES = 400_000
_AT_ONCE = 0.08
"""Seconds that a frame may wait for pictures whose bytes are at hand."""


class GridCanvas:
    """A grid that can be looked at closely.

    Attributes:
        widget: what to display.
        why_static: why there is a static picture instead of a canvas, or "".
        sheet: what is drawn.
    """

    DPI = 100.0
    """CSS pixels per inch of a plan: `Section` of so many inches fits a page of so many pixels."""

    def __init__(
        self,
        *,
        static: bool = False,
        later: Later | None = None,
        background: Background | None = None,
        on_trouble: Callable[[Exception], object] | None = None,
        previews: Previews | None = None,
    ) -> None:
        """Make it.

        Args:
            static: a picture in place of the canvas.
            later: calls something after so many seconds on this thread; None draws everything at once.
            background: does something on another thread and hands its value back on this one; None loads here.
            on_trouble: told of exceptions in callbacks and drawing; None raises them.
            previews: decoded pictures to share with other canvases.
        """
        with plain_settings():
            self._figure = Figure(dpi=self.DPI)
        self.sheet = LiveSheet(self._figure, previews)
        self._later, self._trouble = later, on_trouble
        self._fetching = PictureLoader(self.sheet, background, self._arrived, self._told)
        self._gestures = Gestures(self)
        self._listeners: dict[str, list[Callable[..., object]]] = {}
        self._plan: GridPlan | None = None
        self._dark, self._crop = False, FULL
        self._due: float | None = None
        self._drawn_at, self._cost, self._still = 0.0, 0.0, 0
        self._stale = True
        self.why_static = "switched off" if static else ""
        self._canvas: Any = None
        self.widget: Widget = self._made_static() if static else self._made_live()

    def on_hover(self, callback: Callable[[Tile | None], object]) -> None:
        """Have `callback` called with the tile under the pointer, None when it leaves."""
        self._listeners.setdefault("hover", []).append(callback)

    def on_select(self, callback: Callable[[Tile, frozenset[str]], object]) -> None:
        """Have `callback` called with a tile that is clicked, and the keys held: `shift`, `ctrl` …."""
        self._listeners.setdefault("select", []).append(callback)

    def on_crop(self, callback: Callable[[Crop], object]) -> None:
        """Have `callback` called with the part of every picture that is shown, when a person changes it."""
        self._listeners.setdefault("crop", []).append(callback)

    @property
    def plan(self) -> GridPlan | None:
        """The plan on show, as it is cropped."""
        return replace(self._plan, crop=self._crop) if self._plan is not None else None

    @property
    def crop(self) -> Crop:
        """The part of every picture that is shown; set it to show another."""
        return self._crop

    @crop.setter
    def crop(self, crop: Crop) -> None:
        if crop != self._crop:
            self._crop = crop
            self._schedule(max(_GESTURE, self._cost))

    def show(self, plan: GridPlan, *, dark: bool = False) -> None:
        """Show a plan; its pictures are cropped as the ones before."""
        self._plan, self._dark = plan, dark
        self.redraw()

    def select(self, *marks: Mark) -> None:
        """Frame these outputs, and no others."""
        if marks != self.sheet.marks:
            self._stale |= self.sheet.select(*marks)
            self._schedule(_GESTURE)

    def redraw(self) -> None:
        """Draw what is new, at most a few times a second; more seldom where a frame takes long, as with values on it."""
        self._schedule(max(_ARRIVALS, 2 * self._cost))

    def zoom(self, factor: float, at: tuple[float, float] = (0.5, 0.5)) -> None:
        """Zoom into all pictures about a point, in fractions of a tile; as a hand does."""
        self.move(zoomed(self._crop, at, factor))

    def reset(self) -> None:
        """Show whole pictures again."""
        self.move(FULL)

    def move(self, crop: Crop) -> None:
        """Show another part of every picture, and tell whoever listens."""
        if crop != self._crop:
            self.crop = crop
            self.tell("crop", crop)

    def tell(self, event: str, *given: object) -> None:
        """Call the listeners; what they raise goes to `on_trouble`."""
        for listener in tuple(self._listeners.get(event, ())):
            try:
                listener(*given)
            except Exception as error:
                self._told(error)

    def point(self, shape: str) -> None:
        """The pointer's shape, as CSS names it."""
        if self._canvas is not None and self._canvas._cursor != shape:
            self._canvas._cursor = shape

    def _made_live(self) -> Widget:
        try:
            from kontext_lab.panel.live_canvas import LiveCanvas  # noqa: PLC0415 - where it fails, it is done without

            self._canvas = LiveCanvas(self._figure, on_wanted=self._wanted, on_trouble=self._told)
        except Exception as error:
            self.why_static = f"the interactive canvas cannot be made here ({type(error).__name__}: {error})"
            return self._made_static()
        self._gestures.listen(self._canvas)
        self._guard = CanvasEvents(canvas=self._canvas.model_id)
        box = VBox([self._canvas, self._guard], **plain(VBox))
        box.add_class(BOX)
        return box

    def _made_static(self) -> Widget:
        with plain_settings():
            self._figure = Figure(dpi=self.DPI)
        self.sheet.figure = self._figure
        return Image(format="png", **plain(Image))

    def _told(self, error: Exception) -> None:
        if self._trouble is None:
            raise error
        self._trouble(error)

    def _schedule(self, pause: float) -> None:
        """Have a frame drawn, no sooner than so many seconds after the last."""
        if self._later is None:
            self._draw()
            return
        now = time.monotonic()
        at = max(now, self._drawn_at + pause)
        if self._due is None or at < self._due - 0.01:
            self._due = at
            self._later(at - now, self._draw_due)

    def _draw_due(self) -> None:
        # Of several appointments the first draws for all.
        if self._due is not None:
            self._due = None
            self._draw()

    def _draw(self) -> None:
        started = time.monotonic()
        try:
            self._bring_up_to_date(started)
        except Exception as error:
            self._told(error)
        self._drawn_at = time.monotonic()
        self._cost = self._drawn_at - started

    def _bring_up_to_date(self, started: float) -> None:
        plan = self.plan
        if plan is None:
            return
        before = self.sheet.plan
        self._fetching.at_hand(plan, started + _AT_ONCE)
        changed = self.sheet.show(plan, dark=self._dark, wait=not self._fetching.is_possible)
        self._stale |= changed
        elsewhere = before is not None and before.crop != plan.crop
        self._still += elsewhere
        moving = elsewhere and self._later is not None
        if self._stale:
            self._paint(moving=moving)
        self._fetching.fetch()
        if changed:
            self._rest()

    def _paint(self, *, moving: bool = False) -> None:
        """Draw the figure where somebody sees it."""
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

    def _wanted(self) -> None:
        """A front end asks for a frame: a new one, a reloaded page, another size or scale."""
        self._canvas.is_seen = True
        if self.plan is not None:
            self._stale |= self.sheet.show(self.plan, dark=self._dark, wait=not self._fetching.is_possible)
        if self._stale:
            self._paint()
            self._rest()
        else:
            self._canvas.send_frame(whole=True)

    def _arrived(self) -> None:
        """Previews have come."""
        self.redraw()

    def _rest(self) -> None:
        """See to a better frame, once nothing has moved for a while."""
        if self._later is not None:
            still = self._still
            self._later(_REST, lambda: self._sharpen(still))

    def _sharpen(self, still: int) -> None:
        if still != self._still:
            return
        try:
            if self._canvas is not None and self._canvas.is_seen and self._canvas.moving:
                self._canvas.moving = False
                self._canvas.send_frame(whole=True)
            self._fetching.sharpen(self._gestures.tile, lambda: self._sharper(still))
        except Exception as error:
            self._told(error)

    def _sharper(self, still: int) -> bool:
        """Show what became sharper; whether there is more to do of it."""
        self._paint()
        return still == self._still
