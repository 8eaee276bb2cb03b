"""The panel in its page: style, size, theme, keys, clipboard and downloads."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import traitlets

from kontext_lab.panel.browser.widget import STATIC, BrowserWidget, Texts, source

__all__ = ["PageFrame"]


class PageFrame(BrowserWidget):
    """Brings the panel's style, and reports on its page; with several views of one panel the latest report counts.

    An invisible widget inside the panel's outermost box, which has the class `kl-panel`.
    """

    _esm = STATIC / "frame.js"
    _css = source("panel.css", "sections.css")

    width = traitlets.Int(0).tag(
        sync=True
    )  # of the panel in CSS pixels, in steps of 20; 0 until it was displayed
    dark = traitlets.Bool(False).tag(sync=True)
    watched_keys = Texts().tag(sync=True)  # as `KeyboardEvent.key`; not reported while text is typed

    def __init__(self, watched_keys: Sequence[str] = (), **traits: Any) -> None:
        """Create the frame."""
        super().__init__(watched_keys=tuple(watched_keys), **traits)

    def on_key(self, callback: Callable[[str], object]) -> None:
        """Have `callback` called with every key of `watched_keys` that is pressed."""
        self._on("key", callback)

    def on_shown(self, callback: Callable[[], object]) -> None:
        """Have `callback` called once for every view of the panel that appears in a page."""
        self._on("shown", callback)

    def on_copied(self, callback: Callable[[bool], object]) -> None:
        """Have `callback` called with True if the browser accepted a text into its clipboard."""
        self._on("copied", callback)

    def copy(self, text: str) -> None:
        """Put a text into the browser's clipboard."""
        self.send({"type": "copy", "text": text})

    def download(self, name: str, data: bytes, mime: str = "application/octet-stream") -> None:
        """Have the browser save a file."""
        self.send({"type": "download", "name": name, "mime": mime}, buffers=[data])

    def _received(self, content: Mapping[str, Any], _buffers: Sequence[memoryview]) -> None:
        match content:
            case {"type": "key", "key": str(key)} if key in self.watched_keys:
                self._tell("key", key)
            case {"type": "shown"}:
                self._tell("shown")
            case {"type": "copied", "ok": bool(done)}:
                self._tell("copied", done)
