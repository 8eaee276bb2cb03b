"""Inputs in the browser: values as tags, pictures to upload, and an API key.

They know nothing of axes, pictures or services: the owner parses texts, and takes names and bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import traitlets

from kontext_lab.errors import ConfigError, KontextLabError, SweepError, shown
from kontext_lab.panel.browser.widget import STATIC, BrowserWidget, Texts, source

__all__ = ["KeyField", "Upload", "UploadField", "ValuesField"]

_MB = 1_000_000
_LIMIT = 32 * _MB
_AT_ONCE = 4
"""Unfinished uploads that are kept: a page that is closed leaves one behind."""


def _by_value() -> traitlets.Dict[str, str]:
    return traitlets.Dict(key_trait=traitlets.Unicode(), value_trait=traitlets.Unicode())


class ValuesField(BrowserWidget):
    """Values as tags, and an input for more of them.

    `expand` gives the values of a committed text; a `KontextLabError` of it is shown under the field, and the text stays.
    """

    _esm = source("common.js", "values.js")
    _css = STATIC / "values.css"

    label = traitlets.Unicode().tag(sync=True)
    value = Texts().tag(sync=True)  # without duplicates
    pending = traitlets.Unicode().tag(sync=True)  # the text being typed, some 150 ms late
    names = _by_value().tag(sync=True)  # shown in place of the values
    errors = _by_value().tag(sync=True)  # the tags are marked
    error = traitlets.Unicode().tag(sync=True)  # under the field
    hint = traitlets.Unicode().tag(sync=True)  # tooltip of the label
    options = Texts().tag(sync=True)  # suggestions, filtered by the text being typed
    actions = Texts().tag(sync=True)  # small buttons behind the input, reported to `on_action`
    action_titles = _by_value().tag(sync=True)
    commas = traitlets.Bool(True).tag(sync=True)  # a comma ends a value; else it is text
    placeholder = traitlets.Unicode().tag(sync=True)
    disabled = traitlets.Bool(False).tag(sync=True)

    def __init__(
        self, label: str, *, expand: Callable[[str], Sequence[str]] | None = None, **traits: Any
    ) -> None:
        """Create the field; by default a text is split at commas, or is one value."""
        self.expand = expand or self._split
        super().__init__(label=label, **traits)

    def on_action(self, callback: Callable[[str], object]) -> None:
        """Have `callback` called with the name of the action whose button was clicked."""
        self._on("action", callback)

    def commit(self, text: str, replaces: str | None = None) -> bool:
        """Add the values of a text, in place of the value that was edited; False if it has an error.

        The error is shown, and the text stays `pending`.
        """
        try:
            new = [str(value) for value in self.expand(text)]
        except KontextLabError as error:
            self.error, self.pending = str(error), text
            return False
        at = self.value.index(replaces) if replaces in self.value else len(self.value)
        before, after = self.value[:at], self.value[at + 1 :]
        with self.hold_sync():
            self.error = self.pending = ""
            self.value = (*before, *new, *after)
        return True

    def flush(self) -> bool:
        """Commit the text being typed; False if it has an error."""
        return self.commit(self.pending) if self.pending.strip() else True

    def remove(self, value: str) -> None:
        """Remove a value."""
        self.value = tuple(kept for kept in self.value if kept != value)

    @traitlets.validate("value")
    def _without_duplicates(self, proposal: Mapping[str, Any]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(proposal["value"]))

    def _split(self, text: str) -> list[str]:
        parts = text.split(",") if self.commas else [text]
        return [part.strip() for part in parts if part.strip()]

    def _received(self, content: Mapping[str, Any], _buffers: Sequence[memoryview]) -> None:
        match content:
            case {"type": "action", "name": str(name)}:
                self._tell("action", name)
            case {"type": "remove" | "commit", "id": number}:
                # The browser already shows the change; the answer says whether `value` has it.
                done = False
                try:
                    if content["type"] == "remove":
                        self.remove(content["value"])
                        done = True
                    else:
                        done = self.commit(content["text"], content.get("replaces"))
                finally:
                    self.send({"type": "done", "id": number, "ok": done})


class KeyField(BrowserWidget):
    """A password input and a button: the key comes in one message and is neither stored, shown nor sent back.

    ipywidgets' Password sends every keystroke as a trait, which a saved notebook keeps.
    """

    _esm = STATIC / "key.js"
    _css = STATIC / "key.css"
    _error_line = "status"

    label = traitlets.Unicode("API key").tag(sync=True)
    status = traitlets.Unicode().tag(sync=True)  # behind it; also a KontextLabError of a callback
    disabled = traitlets.Bool(False).tag(sync=True)

    def on_key(self, callback: Callable[[str], object]) -> None:
        """Have `callback` called with the key when the button is clicked."""
        self._on("key", callback)

    def _received(self, content: Mapping[str, Any], _buffers: Sequence[memoryview]) -> None:
        key = str(content.get("key", "")).strip()
        if content.get("type") != "key" or not key:
            return
        self.status = ""
        try:
            self._tell("key", key)
        except KontextLabError as error:
            # The message of a callback must not show the key.
            raise ConfigError(str(error).replace(key, "…")) from None


@dataclass(frozen=True)
class Upload:
    """One file as it arrived."""

    name: str  # on the person's disk, without folders
    data: bytes = field(repr=False)  # or those of the smaller picture that the browser made of it
    note: str = ""  # the change by the browser, as in "shrunk from 6000x4000"


@dataclass
class _Arriving:
    name: str
    size: int
    note: str
    data: bytearray = field(default_factory=bytearray)


class UploadField(BrowserWidget):
    """A button for files, which also accepts dropped and pasted pictures, in pieces that pass every websocket.

    ipywidgets' own FileUpload sends a file as one message; servers silently drop messages over 10 MB.
    """

    _esm = source("common.js", "upload.js")
    _css = STATIC / "upload.css"
    _error_line = "error"

    label = traitlets.Unicode("Upload").tag(sync=True)
    error = traitlets.Unicode().tag(sync=True)
    busy = traitlets.Unicode().tag(sync=True)  # about the file that is arriving
    disabled = traitlets.Bool(False).tag(sync=True)

    def __init__(self, **traits: Any) -> None:
        self._arriving: dict[str, _Arriving] = {}
        super().__init__(**traits)

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
