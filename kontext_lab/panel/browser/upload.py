"""Upload of pictures from the browser, in pieces that pass every websocket.

ipywidgets' own FileUpload sends a file as one message; servers silently drop messages over 10 MB. This module hands over
names and bytes, and must not know what a picture is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import traitlets

from kontext_lab.errors import SweepError, shown
from kontext_lab.panel.browser.widget import STATIC, BrowserWidget, source

__all__ = ["Upload", "UploadField"]

_MB = 1_000_000
_LIMIT = 32 * _MB
# A page that is closed in the middle leaves pieces behind; no page sends more than one file at a time.
_AT_ONCE = 4


@dataclass(frozen=True)
class Upload:
    """One file as it arrived.

    Attributes:
        name: its name on the person's disk, without folders.
        data: its bytes, or those of the smaller picture that the browser made of it.
        note: the change by the browser, as in "shrunk from 6000x4000", or "".
    """

    name: str
    data: bytes = field(repr=False)
    note: str = ""


@dataclass
class _Arriving:
    name: str
    size: int
    note: str
    data: bytearray = field(default_factory=bytearray)


class UploadField(BrowserWidget):
    """A button for files, which also accepts dropped and pasted pictures.

    Attributes:
        error: the line for errors; also shows a `KontextLabError` of an `on_upload` callback.
        busy: a line about the file that is arriving, or "".
    """

    _esm = source("common.js", "upload.js")
    _css = STATIC / "upload.css"
    _error_line = "error"

    label = traitlets.Unicode("Upload").tag(sync=True)
    error = traitlets.Unicode().tag(sync=True)
    busy = traitlets.Unicode().tag(sync=True)
    disabled = traitlets.Bool(False).tag(sync=True)

    def __init__(self, label: str = "Upload", **traits: Any) -> None:
        """Create the field; `label` is the text of its button."""
        self._arriving: dict[str, _Arriving] = {}
        super().__init__(label=label, **traits)

    def on_upload(self, callback: Callable[[Upload], object]) -> None:
        """Have `callback` called with every complete `Upload`."""
        self._on("upload", callback)

    def _received(self, content: Mapping[str, Any], buffers: Sequence[memoryview]) -> None:
        number = content.get("id")
        answer = "refused"
        try:
            match content:
                case {"type": "begin"}:
                    self._begin(content)
                case {"type": "chunk"}:
                    self._chunk(content, buffers)
                case {"type": "end"}:
                    self._end(content)
            answer = "got"
        finally:
            # The browser waits for this before it sends the next piece.
            if answer == "refused":
                self._arriving.pop(str(number), None)
                self.busy = ""
            self.send({"type": answer, "id": number})

    def _begin(self, content: Mapping[str, Any]) -> None:
        name, size = str(content["name"]), int(content["size"])
        if size > _LIMIT:
            raise SweepError(
                f"{shown(name)} has {_megabytes(size)} MB; up to {_megabytes(_LIMIT)} MB can be uploaded"
            )
        while len(self._arriving) >= _AT_ONCE:
            self._arriving.pop(next(iter(self._arriving)))
        self._arriving[content["id"]] = _Arriving(name, size, str(content.get("note", "")))
        self.error = ""
        self.busy = f"Uploading {name}, {_megabytes(size)} MB"

    def _chunk(self, content: Mapping[str, Any], buffers: Sequence[memoryview]) -> None:
        arriving = self._known(content)
        if len(arriving.data) != content["at"]:
            raise SweepError(f"{shown(arriving.name)} did not arrive whole; upload it again")
        arriving.data += buffers[0]
        self.busy = (
            f"Uploading {arriving.name}, {_megabytes(len(arriving.data))} of {_megabytes(arriving.size)} MB"
        )

    def _end(self, content: Mapping[str, Any]) -> None:
        arriving = self._known(content)
        del self._arriving[content["id"]]
        self.busy = ""
        if len(arriving.data) != arriving.size:
            raise SweepError(
                f"{shown(arriving.name)} did not arrive whole ({len(arriving.data)} of {arriving.size} bytes); "
                "upload it again"
            )
        self._tell("upload", Upload(arriving.name, bytes(arriving.data), arriving.note))

    def _known(self, content: Mapping[str, Any]) -> _Arriving:
        try:
            return self._arriving[content["id"]]
        except KeyError:
            # The kernel was restarted, or newer uploads replaced this one.
            raise SweepError("an upload was cut off; upload the file again") from None


def _megabytes(size: int) -> str:
    return f"{size / _MB:.1f}" if size < 10 * _MB else f"{size / _MB:.0f}"
