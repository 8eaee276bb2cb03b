"""Named boxes drawn over a picture: by mouse, by touch, or by keys alone.

The browser shows at once what a person does, and asks for it; only Python changes `boxes`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import count
from typing import Any

import traitlets

from kontext_lab.errors import SweepError, shown
from kontext_lab.images import Box, checked_box, checked_boxes
from kontext_lab.panel.browser.picture_widgets import PictureWidget
from kontext_lab.panel.browser.widget import STATIC, source

__all__ = ["BoxField"]

_WHAT = "protect"
_DIGITS = 4
"""Decimal places of a drawn side: a tenth of a pixel in a thousand."""


class BoxField(PictureWidget):
    """A picture to draw boxes on, and a list of them."""

    _esm = source("common.js", "boxes-sides.js", "boxes.js")
    _css = STATIC / "boxes.css"
    _error_line = "error"

    boxes = traitlets.Any(()).tag(sync=True)  # name, x0, y0, x1, y1 of each, as fractions of width and height
    error = traitlets.Unicode().tag(sync=True)
    message = traitlets.Unicode().tag(sync=True)  # in place of the picture
    alt = traitlets.Unicode().tag(sync=True)

    def __init__(self, boxes: Sequence[Sequence[Any]] = (), **traits: Any) -> None:
        """Create the field with these boxes, and no picture yet."""
        # The box whose new name was refused: the error must stay readable when the next box is drawn.
        self._misnamed = ""
        super().__init__(boxes=boxes, **traits)

    @property
    def values(self) -> dict[str, Box]:
        """The boxes by their names."""
        return {name: (x0, y0, x1, y1) for name, x0, y0, x1, y1 in self.boxes}

    def put(self, boxes: Mapping[str, Box]) -> None:
        """Replace the boxes."""
        with self.hold_sync():
            self.error = self._misnamed = ""
            self.boxes = _listed(boxes)

    def show(self, picture: bytes, alt: str = "") -> None:
        """Show an encoded picture (PNG, JPEG, WebP) under the boxes."""
        self._put_pictures({"picture": picture}, message="", alt=alt)

    def clear(self, message: str = "") -> None:
        """Show a text in the picture's place; the boxes stay."""
        self.show(b"")
        self.message = message

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

    def _received(self, content: Mapping[str, Any], buffers: Sequence[memoryview]) -> None:
        match content:
            case {"type": "add" | "change" | "rename" | "remove", "id": number}:
                # The browser already shows the change; the answer says whether `boxes` has it.
                name: str | None = None
                try:
                    name = self._change(content)
                finally:
                    self.send({"type": "done", "id": number, "ok": name is not None, "name": name})
            case _:
                super()._received(content, buffers)

    def _change(self, content: Mapping[str, Any]) -> str:
        """Change the boxes as a message asks; returns the name of the changed box."""
        boxes, kind, name = self.values, content["type"], str(content["name"])
        if kind == "rename" or name == self._misnamed:
            # Until the new name has been accepted.
            self._misnamed = name if kind == "rename" else ""
        match kind:
            case "add":
                if name in boxes:
                    name = next(free for free in map("box {}".format, count(1)) if free not in boxes)
                boxes[name] = _rounded(name, content["box"])
            case "remove":
                boxes.pop(name, None)
            case _ if name not in boxes:
                raise SweepError(f"{_WHAT}: {shown(name)} is not there any more")
            case "change":
                boxes[name] = _rounded(name, content["box"])
            case "rename":
                old, name = name, str(content["to"]).strip()
                if name != old and name in boxes:
                    raise SweepError(f"{_WHAT}: another box is called {shown(name)}")
                boxes = {name if one == old else one: box for one, box in boxes.items()}
        self.boxes = _listed(boxes)
        if kind == "rename":
            self._misnamed = ""
        if not self._misnamed:
            self.error = ""
        return name


def _listed(boxes: Mapping[str, Box]) -> tuple[tuple[Any, ...], ...]:
    return tuple((name, *box) for name, box in boxes.items())


def _rounded(name: str, box: Any) -> Box:
    x0, y0, x1, y1 = (round(side, _DIGITS) for side in checked_box(f"{_WHAT} {name!r}", box))
    return (x0, y0, x1, y1)
