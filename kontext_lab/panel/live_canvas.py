"""ipympl's canvas as a grid needs it: made without pyplot, no picture in its state, quick frames.

Only this module knows how ipympl talks to its front end. Importing it may fail.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
import numpy as np
from ipywidgets import Widget
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep ipympl from becoming the backend of all figures, and from passing arguments that traitlets warns of."""
    use, mpl.use = mpl.use, lambda *_, **__: None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            yield
    finally:
        mpl.use = use


with _quiet():
    from ipympl.backend_nbagg import Canvas, FigureManager

__all__ = ["LiveCanvas"]

_STILL, _MOVING = 93, 80
"""JPEG quality of a whole frame: at rest, and during a gesture."""


class LiveCanvas(Canvas):  # ipympl has no types
    """A canvas that draws on request only."""

    _force_full: bool
    _last_buff: Any

    def __init__(
        self, figure: Figure, *, on_request: Callable[[], None], on_trouble: Callable[[Exception], None]
    ):
        with _quiet():
            super().__init__(figure)
            self.manager = FigureManager(self, -1)
        self.header_visible = self.footer_visible = self.resizable = False
        self.toolbar_visible = "hidden"
        # Otherwise the whole picture would be part of the widget's state, and of every saved notebook.
        self.syncing_data_url = False
        # Drawing before a browser has asked is wasted; a quick frame is enough if the next one follows at once.
        self.is_seen = self.moving = False
        self._on_request, self._on_trouble = on_request, on_trouble
        self._ratio_known = False
        # Frames are opaque or cover the frame before: nothing is cleared in between.
        self._image_mode = self._current_image_mode = "diff"
        # Take away matplotlib's own reactions to keys and mouse.
        manager, toolbar = self.manager, self.toolbar
        for connection in (
            manager.key_press_handler_id,
            manager.button_press_handler_id,
            toolbar._id_press,
            toolbar._id_release,
            toolbar._id_drag,
        ):
            self.mpl_disconnect(connection)

    def draw(self) -> None:
        """Draw the figure and send what changed."""
        FigureCanvasAgg.draw(self)  # type: ignore[no-untyped-call]
        self.send_frame()

    def patch(self, patches: Iterable[tuple[int, int, np.ndarray]]) -> None:
        """Copy pixels over the last drawing, and send what changed."""
        buffer = np.asarray(self.buffer_rgba())
        for left, top, pixels in patches:
            buffer[top : top + len(pixels), left : left + pixels.shape[1]] = pixels
        self.send_frame()

    def send_frame(self, *, whole: bool = False) -> None:
        """Send the changes since the last frame, or the whole drawing."""
        self._force_full = self._force_full or whole
        self._png_is_old = True
        self.manager.refresh_all()

    def get_diff_image(self) -> bytes | None:
        """The next frame: the changed pixels, or all of them if many changed."""
        if not self._png_is_old:
            return None
        pixels = np.asarray(self.buffer_rgba())
        new = pixels.view(np.uint32).squeeze(2)
        whole = self._force_full or new.shape != self._last_buff.shape
        changed = None if whole else new != self._last_buff
        self._last_buff = new.copy()
        self._force_full = self._png_is_old = False
        if changed is None or changed.mean() > 0.25:
            # Ten times as fast as PNG, a fifth of the bytes; browsers go by the content, not by the declared type.
            quality = _MOVING if self.moving else _STILL
            return _encoded(pixels[..., :3], format="JPEG", quality=quality, subsampling=0)
        frame = np.where(changed, new, 0).view(np.uint8).reshape(pixels.shape)
        return _encoded(frame, format="PNG", compress_level=1)

    def send_binary(self, data: bytes) -> None:
        """Send a frame, and clear the copy that the front end makes of it for saved notebooks."""
        self.send({"data": '{"type": "binary"}'}, buffers=[data])
        Widget.send_state(self, "_data_url")

    def send_json(self, content: dict[str, Any]) -> None:
        """Send a message that the front end knows."""
        if content["type"] != "capture_scroll":
            super().send_json(content)

    def handle_draw(self, event: Any) -> None:  # noqa: ARG002 - the name and shape are matplotlib's
        """Answer the front end's request for a frame."""
        self._on_request()

    def _handle_message(self, widget: Any, content: dict[str, Any], buffers: Any) -> None:
        try:
            self._handle(widget, content, buffers)
        except Exception as error:
            self._on_trouble(error)

    def _handle(self, widget: Any, content: dict[str, Any], buffers: Any) -> None:
        kind = content["type"]
        if kind == "resize":
            # The plan decides the size; the front end waits for an answer.
            self.manager.resize(*self.figure.bbox.size)
        elif kind in ("set_dpi_ratio", "set_device_pixel_ratio"):
            self._ratio_known = True
            self._scale(float(content.get("dpi_ratio", content.get("device_pixel_ratio", 1))))
        elif kind == "initialized":
            # A front end of ratio 1 doesn't report it; the one before may have had another.
            if not self._ratio_known:
                self._scale(1.0)
            self._ratio_known, self.is_seen = False, True
            self.manager.resize(*self.figure.bbox.size)
            # The front end switches on its resize handle by itself.
            self.send_state("resizable")
        else:
            super()._handle_message(widget, content, buffers)

    def _scale(self, ratio: float) -> None:
        if ratio > 0 and self._set_device_pixel_ratio(ratio):
            self._force_full = True
            self._on_request()

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, Any]:  # noqa: ARG002 - the shape is IPython's
        """The view, without a copy of the picture beside it."""
        return {
            "text/plain": "Grid of pictures",
            "application/vnd.jupyter.widget-view+json": {
                "version_major": 2,
                "version_minor": 0,
                "model_id": self.model_id,
            },
        }


def _encoded(pixels: np.ndarray, **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(buffer, **options)
    return buffer.getvalue()
