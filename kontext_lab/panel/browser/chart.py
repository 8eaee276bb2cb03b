"""A drawn picture with places in it that can be clicked, or walked through by keyboard.

The picture goes to the browser as a message buffer, when a view asks for it; it is never part of the widget's state, which a
saved notebook keeps. This module must not know what is drawn.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import traitlets

from kontext_lab.panel.browser.widget import STATIC, BrowserWidget, source

__all__ = ["Chart", "ClickTarget"]


class ClickTarget(NamedTuple):
    """A place that can be picked.

    Attributes:
        x: from the left, 0 to 1.
        y: from the top, 0 to 1.
        label: what is there, in words: its tooltip and its name for screen readers.
    """

    x: float
    y: float
    label: str


class Chart(BrowserWidget):
    """Shows an encoded picture with spots.

    Attributes:
        alt: what the picture shows.
        spots: by place, each x, y and label.
        picked: the spot that is marked, from 0; -1 for none.
    """

    _esm = source("common.js", "chart.js")
    _css = STATIC / "chart.css"

    alt = traitlets.Unicode().tag(sync=True)
    spots = traitlets.List(trait=traitlets.List()).tag(sync=True)
    picked = traitlets.Int(-1).tag(sync=True)

    def __init__(self, alt: str = "", **traits: Any) -> None:
        """Make the chart; it is empty at first."""
        self.picture = b""
        self._version = 0
        self._watched = False
        super().__init__(alt=alt, **traits)

    def on_pick(self, callback: Callable[[int], object]) -> None:
        """Have `callback` called with the place of every spot that a person picks."""
        self._on("pick", callback)

    def show(self, picture: bytes, spots: Sequence[ClickTarget] = (), *, alt: str = "") -> None:
        """Show an encoded picture (PNG, JPEG, WebP), with nothing picked."""
        self.picture = picture
        self._version += 1
        with self.hold_sync():
            self.picked = -1
            self.alt = alt
            self.spots = [[round(spot.x, 4), round(spot.y, 4), spot.label] for spot in spots]
        if self._watched:
            self._send_picture()

    def _send_picture(self, view: str | None = None) -> None:
        self.send({"type": "picture", "version": self._version, "view": view}, buffers=[self.picture])

    def _received(self, content: Mapping[str, Any], _buffers: Sequence[memoryview]) -> None:
        match content:
            case {"type": "ready", "view": view}:
                self._watched = True
                self._send_picture(view)
            case {"type": "pick", "at": int(at)} if 0 <= at < len(self.spots):
                self.picked = at
                self._tell("pick", at)
