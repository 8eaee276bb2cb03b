"""Mouse gestures over a grid: the tile that is meant, and the crop after a turn of the wheel or a drag."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from kontext_lab.figures.geometry import Crop, GridPlan, Tile

__all__ = ["FULL", "SMALLEST", "Gestures", "panned", "zoomed"]

FULL: Crop = (0.0, 0.0, 1.0, 1.0)
SMALLEST = 1 / 16
"""The smallest visible part, in width and height."""

_WHEEL, _PINCH = 1.25, 1.08
_CLICK_SLIP = 0.04
"""Inches that the pointer may move in a click."""
_ZOOM_KEYS = {"ctrl", "meta", "cmd", "super"}


def zoomed(crop: Crop, at: tuple[float, float], factor: float) -> Crop:
    """The crop after zooming in by a factor; the point `at`, in fractions of the tile, stays in place."""
    side = crop[2] - crop[0]
    new = min(1.0, max(SMALLEST, side / factor))
    if new > 0.999:
        return FULL
    left, top = (crop[edge] + share * (side - new) for edge, share in enumerate(at))
    return _kept_inside(left, top, new)


def panned(crop: Crop, right: float, down: float) -> Crop:
    """The crop after dragging the picture by fractions of the tile."""
    side = crop[2] - crop[0]
    return crop if crop == FULL else _kept_inside(crop[0] - right * side, crop[1] - down * side, side)


def _kept_inside(left: float, top: float, side: float) -> Crop:
    # Rounded: an error in the last digit would look like another shape of the tiles.
    left, top = (round(min(max(edge, 0.0), 1.0 - side), 6) for edge in (left, top))
    return (left, top, min(1.0, left + side), min(1.0, top + side))


@dataclass
class _Press:
    """A mouse button held down: the tile and place in inches where it went down, and the crop at that moment."""

    tile: Tile | None
    x: float
    y: float
    crop: Crop
    is_drag: bool = False


class Gestures:
    """Follows the mouse over a canvas; calls `move` with a new crop, and `report` with `hover` or `select`."""

    def __init__(
        self,
        plan: Callable[[], GridPlan | None],
        move: Callable[[Crop], None],
        report: Callable[..., None],
        set_cursor: Callable[[str], None],
    ) -> None:
        self.tile: Tile | None = None
        self._plan, self._move, self._report, self._set_cursor = plan, move, report, set_cursor
        self._press: _Press | None = None
        self._scrolled_at = 0.0

    def listen(self, canvas: Any) -> None:
        """Follow this canvas."""
        for name, callback in (
            ("button_press_event", self._on_press),
            ("button_release_event", self._on_release),
            ("motion_notify_event", self._on_motion),
            ("scroll_event", self._on_scroll),
            ("figure_leave_event", self._on_leave),
        ):
            canvas.mpl_connect(name, callback)

    def _at(self, event: Any) -> tuple[float, float]:
        """The place of an event, in inches from the top left, at any scale of the screen."""
        figure = event.canvas.figure
        return float(event.x / figure.dpi), float(figure.get_figheight() - event.y / figure.dpi)

    def _under(self, event: Any) -> Tile | None:
        plan = self._plan()
        return plan.at(*self._at(event)) if plan is not None else None

    def _on_press(self, event: Any) -> None:
        plan = self._plan()
        if event.button != 1 or plan is None:
            return
        if event.dblclick:
            self._press = None
            self._move(FULL)
            return
        self._press = _Press(self._under(event), *self._at(event), plan.crop)

    def _on_motion(self, event: Any) -> None:
        press, (x, y) = self._press, self._at(event)
        slip = math.hypot(x - press.x, y - press.y) if press is not None else 0.0
        if press is not None and not getattr(event, "buttons", (1,)):
            if slip < _CLICK_SLIP:
                return  # the browser delays motions: this one is older than the press
            press = self._press = None  # released outside
        if press is None:
            self._hover(self._under(event))
            return
        if not press.is_drag and slip < _CLICK_SLIP:
            return
        press.is_drag = True
        if press.tile is not None and press.crop != FULL:
            self._set_cursor("grabbing")
            rect = press.tile.rect
            self._move(panned(press.crop, (x - press.x) / rect.width, (y - press.y) / rect.height))

    def _on_release(self, event: Any) -> None:
        press, self._press = self._press, None
        if event.button != 1 or press is None:
            return
        tile = self._under(event)
        self._point_at(tile)
        if not press.is_drag and tile is not None:
            self._report("select", tile, frozenset(event.modifiers))

    def _on_scroll(self, event: Any) -> None:
        tile, plan = self._under(event), self._plan()
        if tile is None or plan is None or not _ZOOM_KEYS & set(event.modifiers):
            return
        # A pinch sends thirty small steps a second, a wheel a few large ones.
        now = time.monotonic()
        factor = _WHEEL if now - self._scrolled_at > 0.07 else _PINCH
        self._scrolled_at = now
        steps = max(-3.0, min(3.0, float(event.step)))
        x, y = self._at(event)
        at = (x - tile.rect.left) / tile.rect.width, (y - tile.rect.top) / tile.rect.height
        self._move(zoomed(plan.crop, at, factor**steps))

    def _on_leave(self, _: Any) -> None:
        self._press = None
        self._hover(None)

    def _hover(self, tile: Tile | None) -> None:
        def identity(of: Tile | None) -> object:
            """The same for the same tile after a redraw."""
            return None if of is None else (of.rect, id(of.cell), of.number, of.card)

        before, self.tile = self.tile, tile
        if identity(before) != identity(tile):
            self._point_at(tile)
            self._report("hover", tile)

    def _point_at(self, tile: Tile | None) -> None:
        self._set_cursor("pointer" if tile is not None and tile.cell is not None else "default")
