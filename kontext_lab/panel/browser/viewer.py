"""One or two pictures at full resolution in one frame: before and after under a divider, or side by side with linked zoom.

The bytes go to the browser as message buffers, when a view asks for them; they are never part of the widget's
state, which a saved notebook keeps. This module must not decode a picture nor know what it shows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import traitlets

from kontext_lab.panel.browser.widget import STATIC, BrowserWidget, source

if TYPE_CHECKING:
    from kontext_lab.metrics import Placement

__all__ = ["Viewer"]


class Viewer(BrowserWidget):
    """Shows pictures; dragging, zoom and pan happen in the browser alone.

    Attributes:
        mode: `slider` (left and right of a divider), `side` (side by side) or `single` (the right one).
        position: where the divider stands, 0 to 1 from the left; follows when a drag has ended.
        message: text in place of pictures; `clear` sets it.
        placement: the frame of the two pictures that are shown, or None.
    """

    _esm = source("common.js", "viewer.js")
    _css = STATIC / "viewer.css"

    mode = traitlets.Enum(("slider", "side", "single"), default_value="slider").tag(sync=True)
    left_label = traitlets.Unicode().tag(sync=True)
    right_label = traitlets.Unicode().tag(sync=True)
    alt = traitlets.Unicode().tag(sync=True)
    position = traitlets.Float(0.5, min=0.0, max=1.0).tag(sync=True)
    message = traitlets.Unicode().tag(sync=True)

    def __init__(self, mode: str = "slider", **traits: Any) -> None:
        """Make the viewer; it is empty at first."""
        # By layer; the browser draws them in this order.
        self._pictures: dict[str, bytes] = {}
        self.placement: Placement | None = None
        self._version = 0
        self._watched = False
        super().__init__(mode=mode, **traits)

    @property
    def pictures(self) -> Mapping[str, bytes]:
        """The encoded pictures that are shown, by layer (`left`, `right`)."""
        return dict(self._pictures)

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
        """Show encoded pictures (PNG, JPEG, WebP).

        Args:
            left: the picture before, or None.
            right: the picture after, or None.
            left_label: written into the left picture's corner.
            right_label: written into the right picture's corner.
            alt: what the picture shows, for those who can't see it.
            placement: where each of the two lies in a common frame; None: the left one is centred in the right one's.
        """
        given = {"left": left, "right": right}
        self._pictures = {layer: data for layer, data in given.items() if data is not None}
        self.placement = placement if len(self._pictures) == 2 else None
        self._version += 1
        with self.hold_sync():
            self.message = ""
            self.left_label, self.right_label, self.alt = left_label, right_label, alt
        if self._watched:
            self._send_pictures()

    def clear(self, message: str = "") -> None:
        """Show a text, or nothing."""
        self.show(None, None)
        self.message = message

    def _send_pictures(self, view: str | None = None) -> None:
        placement = self.placement
        frame = placement and {
            "size": placement.size,
            "left": placement.first,
            "right": placement.second,
            "note": placement.note,
        }
        content = {
            "type": "pictures",
            "version": self._version,
            "view": view,
            "layers": list(self._pictures),
            "frame": frame,
        }
        self.send(content, buffers=list(self._pictures.values()))

    def _received(self, content: Mapping[str, Any], _buffers: Sequence[memoryview]) -> None:
        if content.get("type") == "ready":
            self._watched = True
            self._send_pictures(content["view"])
