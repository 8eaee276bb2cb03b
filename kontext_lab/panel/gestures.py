"""Mouse over a grid: which tile is meant, and what a turn of the wheel or a drag does to what is shown.

Ctrl or ⌘ and the wheel, or a pinch, zoom; dragging moves; a double click shows whole pictures again; a click
selects. Knows matplotlib's events, no widget and no drawing.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import Any, Protocol

from kontext_lab.figures.geometry import Crop, GridPlan, Rect, Tile

__all__ = ["FULL", "SMALLEST", "Gestures", "panned", "place_in", "zoomed"]

FULL: Crop = (0.0, 0.0, 1.0, 1.0)
SMALLEST = 1 / 16
"""The smallest part that is shown, in width and height."""

_TURN, _PINCH = 1.25, 1.08
_STEADY = 0.04
"""Inches that a hand may slip in a click."""
_ZOOMING = {"ctrl", "meta", "cmd", "super"}


def place_in(rect: Rect, x: float, y: float) -> tuple[float, float]:
    """A point of the sheet as fractions of the tile it lies in."""
    return (x - rect.left) / rect.width, (y - rect.top) / rect.height


def zoomed(crop: Crop, at: tuple[float, float], factor: float) -> Crop:
    """The part after zooming in by a factor; what lies at `at`, in fractions of the tile, stays there."""
    side = crop[2] - crop[0]
    new = min(1.0, max(SMALLEST, side / factor))
    if new > 0.999:
        return FULL
    left, top = (crop[edge] + share * (side - new) for edge, share in enumerate(at))
    return _kept_inside(left, top, new)


def panned(crop: Crop, right: float, down: float) -> Crop:
    """The part after dragging the picture by fractions of the tile."""
    side = crop[2] - crop[0]
    return crop if crop == FULL else _kept_inside(crop[0] - right * side, crop[1] - down * side, side)


def _kept_inside(left: float, top: float, side: float) -> Crop:
    # Rounded: sums of fractions must not say that the shape of tiles has changed.
    left, top = (round(min(max(edge, 0.0), 1.0 - side), 6) for edge in (left, top))
    return (left, top, min(1.0, left + side), min(1.0, top + side))


class Stage(Protocol):
    """What gestures act on."""

    @property
    def plan(self) -> GridPlan | None:
        """What is on show."""

    def tell(self, event: str, *given: object) -> None:
        """Tell of a tile that is pointed at or clicked."""

    def move(self, crop: Crop) -> None:
        """Show another part."""

    def point(self, shape: str) -> None:
        """Change the pointer."""


@dataclass
class _Grip:
    """A button held down.

    Attributes:
        tile: where it went down, or None.
        x: inches from the left.
        y: inches from the top.
        crop: what was shown then.
        moved: whether it is a drag by now.
    """

    tile: Tile | None
    x: float
    y: float
    crop: Crop
    moved: bool = False


class Gestures:
    """Follows the mouse over a canvas.

    Attributes:
        tile: the one under the pointer, or None.
    """

    def __init__(self, stage: Stage) -> None:
        self.tile: Tile | None = None
        self._stage = stage
        self._grip: _Grip | None = None
        self._turned_at = 0.0

    def listen(self, canvas: Any) -> None:
        """Follow this canvas."""
        for name, act in (
            ("button_press_event", self._pressed),
            ("button_release_event", self._released),
            ("motion_notify_event", self._moved),
            ("scroll_event", self._turned),
            ("figure_leave_event", self._left),
        ):
            canvas.mpl_connect(name, act)

    def _at(self, event: Any) -> tuple[float, float]:
        """Where an event is, in inches from the top left, at any scale of the screen."""
        figure = event.canvas.figure
        return float(event.x / figure.dpi), float(figure.get_figheight() - event.y / figure.dpi)

    def _under(self, event: Any) -> Tile | None:
        plan = self._stage.plan
        return plan.at(*self._at(event)) if plan is not None else None

    def _pressed(self, event: Any) -> None:
        plan = self._stage.plan
        if event.button != 1 or plan is None:
            return
        if event.dblclick:
            self._grip = None
            self._stage.move(FULL)
            return
        self._grip = _Grip(self._under(event), *self._at(event), plan.crop)

    def _moved(self, event: Any) -> None:
        if self._grip is not None and not getattr(event, "buttons", (1,)):
            x, y = self._at(event)
            if math.hypot(x - self._grip.x, y - self._grip.y) < _STEADY:
                return  # the browser holds motions back: this one is of before the button went down
            self._grip = None  # let go outside
        if self._grip is not None:
            self._drag(self._grip, *self._at(event))
            return
        self._hover(self._under(event))

    def _drag(self, grip: _Grip, x: float, y: float) -> None:
        if not grip.moved and math.hypot(x - grip.x, y - grip.y) < _STEADY:
            return
        grip.moved = True
        if grip.tile is not None and grip.crop != FULL:
            self._stage.point("grabbing")
            rect = grip.tile.rect
            self._stage.move(panned(grip.crop, (x - grip.x) / rect.width, (y - grip.y) / rect.height))

    def _released(self, event: Any) -> None:
        grip, self._grip = self._grip, None
        if event.button != 1 or grip is None:
            return
        tile = self._under(event)
        self._point_at(tile)
        if not grip.moved and tile is not None:
            self._stage.tell("select", tile, frozenset(event.modifiers))

    def _turned(self, event: Any) -> None:
        tile, plan = self._under(event), self._stage.plan
        if tile is None or plan is None or not _ZOOMING & set(event.modifiers):
            return
        # A pinch sends thirty small turns a second, a wheel a few large ones.
        now = time.monotonic()
        factor = _TURN if now - self._turned_at > 0.07 else _PINCH
        self._turned_at = now
        steps = max(-3.0, min(3.0, float(event.step)))
        self._stage.move(zoomed(plan.crop, place_in(tile.rect, *self._at(event)), factor**steps))

    def _left(self, _: Any) -> None:
        self._grip = None
        self._hover(None)

    def _hover(self, tile: Tile | None) -> None:
        before, self.tile = self.tile, tile
        if _place(before) != _place(tile):
            self._point_at(tile)
            self._stage.tell("hover", tile)

    def _point_at(self, tile: Tile | None) -> None:
        self._stage.point("pointer" if tile is not None and tile.cell is not None else "default")


def _place(tile: Tile | None) -> object:
    """What a person would call the same tile, also after a redraw."""
    return None if tile is None else (tile.rect, id(tile.cell), tile.number, tile.card)
