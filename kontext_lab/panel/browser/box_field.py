"""Boxes drawn over a picture, each with a name: by mouse, by touch, or by keys alone.

The browser shows at once what a person does and asks for it; `boxes` is changed by Python alone, which says what can't
be. The picture goes to the browser as a message buffer and is never part of the widget's state. This module must not
know what a box is for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import count
from typing import Any

import traitlets

from kontext_lab.errors import SweepError, shown
from kontext_lab.images import Box, checked_box, checked_boxes
from kontext_lab.panel.browser.widget import STATIC, BrowserWidget, source

__all__ = ["BoxField"]

_WHAT = "protect"
_DIGITS = 4
"""Of a side that was drawn: a tenth of a pixel in a thousand."""


class BoxField(BrowserWidget):
    """A picture to draw boxes on, and a list of them.

    Attributes:
        boxes: name, x0, y0, x1, y1 of each, as fractions of width and height; lists are taken as well.
        error: the line that says what can't be.
        message: text in place of the picture; `clear` sets it.
        alt: what the picture shows, for those who can't see it.
    """

    _esm = source("common.js", "boxes-sides.js", "boxes.js")
    _css = STATIC / "boxes.css"
    _error_line = "error"

    boxes = traitlets.Any(()).tag(sync=True)
    error = traitlets.Unicode().tag(sync=True)
    message = traitlets.Unicode().tag(sync=True)
    alt = traitlets.Unicode().tag(sync=True)

    def __init__(self, boxes: Sequence[Sequence[Any]] = (), **traits: Any) -> None:
        """Make the field with these boxes, and no picture yet."""
        self._picture = b""
        self._version = 0
        self._watched = False
        # The box whose new name was refused: why is still to be read when the next box is drawn.
        self._misnamed = ""
        super().__init__(boxes=boxes, **traits)

    @property
    def values(self) -> dict[str, Box]:
        """The boxes by their names."""
        return {name: (x0, y0, x1, y1) for name, x0, y0, x1, y1 in self.boxes}

    def put(self, boxes: Mapping[str, Box]) -> None:
        """Put boxes in place of those that are there.

        Raises:
            SweepError: one can be none.
        """
        with self.hold_sync():
            self.error = self._misnamed = ""
            self.boxes = _listed(boxes)

    def show(self, picture: bytes, alt: str = "") -> None:
        """Show an encoded picture (PNG, JPEG, WebP) under the boxes."""
        self._picture = picture
        self._version += 1
        with self.hold_sync():
            self.message, self.alt = "", alt
        if self._watched:
            self._send_picture()

    def clear(self, message: str = "") -> None:
        """Show a text in the picture's place; the boxes stay."""
        self.show(b"")
        self.message = message

    def _send_picture(self, view: str | None = None) -> None:
        content = {"type": "picture", "version": self._version, "view": view}
        self.send(content, buffers=[self._picture])

    @traitlets.validate("boxes")
    def _checked(self, proposal: Mapping[str, Any]) -> tuple[tuple[Any, ...], ...]:
        try:
            given = [(name, tuple(sides)) for name, *sides in proposal["value"]]
            named = dict(given)
        except (TypeError, ValueError):
            raise SweepError(
                f"{_WHAT}: {shown(proposal['value'])}, allowed are lists of name, x0, y0, x1, y1"
            ) from None
        found = checked_boxes(_WHAT, named)
        if len(found) < len(given):
            raise SweepError(f"{_WHAT}: two boxes have the same name")
        return _listed(found)

    def _received(self, content: Mapping[str, Any], _buffers: Sequence[memoryview]) -> None:
        match content:
            case {"type": "ready", "view": view}:
                self._watched = True
                self._send_picture(view)
            case {"type": "add" | "change" | "rename" | "remove", "id": number}:
                # The browser shows what it asked for at once; the answer says that `boxes` has it now, or never will.
                name: str | None = None
                try:
                    name = self._asked(content)
                finally:
                    self.send({"type": "done", "id": number, "ok": name is not None, "name": name})

    def _asked(self, content: Mapping[str, Any]) -> str:
        """Do what was asked; gives the name of the box it was done to."""
        boxes, kind, name = self.values, content["type"], str(content["name"])
        if kind == "rename" or name == self._misnamed:
            # Until its new name has turned out to be one.
            self._misnamed = name if kind == "rename" else ""
        match kind:
            case "add":
                name = name if name not in boxes else _free_name(boxes)
                boxes[name] = _rounded(name, content["box"])
            case "remove":
                boxes.pop(name, None)
            case _ if name not in boxes:
                raise SweepError(f"{_WHAT}: {shown(name)} is not there any more")
            case "change":
                boxes[name] = _rounded(name, content["box"])
            case "rename":
                name, boxes = _renamed(boxes, name, str(content["to"]).strip())
        self.boxes = _listed(boxes)
        if kind == "rename":
            self._misnamed = ""
        if not self._misnamed:
            self.error = ""
        return name


def _listed(boxes: Mapping[str, Box]) -> tuple[tuple[Any, ...], ...]:
    return tuple((name, *box) for name, box in boxes.items())


def _free_name(boxes: Mapping[str, Box]) -> str:
    """The first of `box 1`, `box 2` … that is none of these."""
    return next(name for name in map("box {}".format, count(1)) if name not in boxes)


def _rounded(name: str, given: Any) -> Box:
    x0, y0, x1, y1 = (round(side, _DIGITS) for side in checked_box(f"{_WHAT} {name!r}", given))
    return (x0, y0, x1, y1)


def _renamed(boxes: Mapping[str, Box], name: str, new: str) -> tuple[str, dict[str, Box]]:
    """The new name, and the boxes in their order."""
    if new != name and new in boxes:
        raise SweepError(f"{_WHAT}: another box is called {shown(new)}")
    return new, {new if one == name else one: box for one, box in boxes.items()}
