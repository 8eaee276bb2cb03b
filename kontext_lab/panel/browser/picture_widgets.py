"""Widgets that show encoded pictures (PNG, JPEG, WebP), which they neither decode nor know.

Pictures go to the browser as message buffers when a view asks for them; a saved notebook keeps none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import traitlets

from kontext_lab.metrics import Placement
from kontext_lab.panel.browser.widget import STATIC, BrowserWidget, source

__all__ = ["Chart", "ClickTarget", "PictureWidget", "Viewer"]


class PictureWidget(BrowserWidget):
    """A widget with pictures beside its state."""

    def __init__(self, **traits: Any) -> None:
        # By layer; the browser draws them in this order.
        self._pictures: dict[str, bytes] = {}
        self._version = 0
        self._watched = False
        super().__init__(**traits)

    @property
    def pictures(self) -> Mapping[str, bytes]:
        """The encoded pictures on show, by layer."""
        return dict(self._pictures)

    def _put_pictures(self, pictures: Mapping[str, bytes], **traits: Any) -> None:
        """Replace the pictures, and set traits in one message."""
        self._pictures = dict(pictures)
        self._version += 1
        with self.hold_sync():
            for name, value in traits.items():
                setattr(self, name, value)
        if self._watched:
            self._send_pictures()

    def _message(self) -> dict[str, Any]:
        return {"type": "picture"}

    def _send_pictures(self, view: str | None = None) -> None:
        content = {**self._message(), "version": self._version, "view": view}
        self.send(content, buffers=list(self._pictures.values()))

    def _received(self, content: Mapping[str, Any], buffers: Sequence[memoryview]) -> None:  # noqa: ARG002 - the base's
        if content.get("type") == "ready":
            self._watched = True
            self._send_pictures(content["view"])


class Viewer(PictureWidget):
    """Before and after under a divider, or two pictures with linked zoom; dragging happens in the browser alone."""

    _esm = source("common.js", "viewer.js")
    _css = STATIC / "viewer.css"

    # Left and right of a divider, side by side, or the right one alone.
    mode = traitlets.Enum(("slider", "side", "single"), default_value="slider").tag(sync=True)
    left_label = traitlets.Unicode().tag(sync=True)
    right_label = traitlets.Unicode().tag(sync=True)
    alt = traitlets.Unicode().tag(sync=True)
    position = traitlets.Float(0.5, min=0.0, max=1.0).tag(sync=True)  # of the divider, when a drag has ended
    message = traitlets.Unicode().tag(sync=True)  # in place of pictures

    def __init__(self, mode: str = "slider", **traits: Any) -> None:
        """Create the viewer, empty."""
        self.placement: Placement | None = None
        super().__init__(mode=mode, **traits)

    def show(
        self,
        left: bytes | None,
        right: bytes | None,
        *,
        left_label: str = "",
        right_label: str = "",
        alt: str = "",
        placement: Placement | None = None,
    ) -> None:
        """Show encoded pictures with labels in their corners, and a description for people who can't see them.

        A placement puts both into a common frame; None centres the left one in the right one's frame.
        """
        pictures = {layer: data for layer, data in (("left", left), ("right", right)) if data is not None}
        self.placement = placement if len(pictures) == 2 else None
        self._put_pictures(pictures, message="", left_label=left_label, right_label=right_label, alt=alt)

    def clear(self, message: str = "") -> None:
        """Show a text, or nothing."""
        self.show(None, None)
        self.message = message

    def _message(self) -> dict[str, Any]:
        placement = self.placement
        frame = placement and {
            "size": placement.size,
            "left": placement.first,
            "right": placement.second,
            "note": placement.note,
        }
        return {"type": "pictures", "layers": list(self._pictures), "frame": frame}


class ClickTarget(NamedTuple):
    """A place on a chart, 0 to 1 from the left and the top; its label is its tooltip too."""

    x: float
    y: float
    label: str


class Chart(PictureWidget):
    """A drawn picture with places that can be clicked, or walked through by keyboard."""

    _esm = source("common.js", "chart.js")
    _css = STATIC / "chart.css"

    alt = traitlets.Unicode().tag(sync=True)
    spots = traitlets.List(trait=traitlets.List()).tag(sync=True)  # x, y and label of each place
    picked = traitlets.Int(-1).tag(sync=True)  # number of the marked place, from 0; -1 for none

    def on_pick(self, callback: Callable[[int], object]) -> None:
        """Have `callback` called with the number of every place that a person picks."""
        self._on("pick", callback)

    def show(self, picture: bytes, spots: Sequence[ClickTarget] = (), *, alt: str = "") -> None:
        """Show an encoded picture, with nothing picked."""
        places = [[round(spot.x, 4), round(spot.y, 4), spot.label] for spot in spots]
        self._put_pictures({"chart": picture}, picked=-1, alt=alt, spots=places)

    def _received(self, content: Mapping[str, Any], buffers: Sequence[memoryview]) -> None:
        match content:
            case {"type": "pick", "at": int(at)} if 0 <= at < len(self.spots):
                self.picked = at
                self._tell("pick", at)
            case _:
                super()._received(content, buffers)
