"""A tag input for the values of one axis: text is typed, values are shown as tags.

The owner parses texts (`expand`) and finds errors of values (`errors`); this module must not know what an axis is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import traitlets

from kontext_lab.errors import KontextLabError
from kontext_lab.panel.browser.widget import STATIC, BrowserWidget, Texts, source

__all__ = ["ValuesField"]


class ValuesField(BrowserWidget):
    """Values as tags, and an input for more of them.

    Attributes:
        value: the values, as a tuple of texts without duplicates.
        pending: the text being typed, some 150 ms late.
        expand: the values of a committed text; a `KontextLabError` is shown under the field, and the text stays.
        names: for a value, the name that is shown in its place.
        errors: for a value, its error; the tag is marked.
        error: the line for errors under the field.
        note: a quiet line under the field.
        options: suggestions, filtered by the text being typed.
        actions: names of small buttons behind the input, reported to `on_action`.
    """

    _esm = source("common.js", "values.js")
    _css = STATIC / "values.css"

    label = traitlets.Unicode().tag(sync=True)
    value = Texts().tag(sync=True)
    pending = traitlets.Unicode().tag(sync=True)
    names = traitlets.Dict(key_trait=traitlets.Unicode(), value_trait=traitlets.Unicode()).tag(sync=True)
    errors = traitlets.Dict(key_trait=traitlets.Unicode(), value_trait=traitlets.Unicode()).tag(sync=True)
    error = traitlets.Unicode().tag(sync=True)
    note = traitlets.Unicode().tag(sync=True)
    hint = traitlets.Unicode().tag(sync=True)
    options = Texts().tag(sync=True)
    actions = Texts().tag(sync=True)
    action_titles = traitlets.Dict(key_trait=traitlets.Unicode(), value_trait=traitlets.Unicode()).tag(
        sync=True
    )
    single = traitlets.Bool(False).tag(sync=True)
    commas = traitlets.Bool(True).tag(sync=True)
    placeholder = traitlets.Unicode().tag(sync=True)
    disabled = traitlets.Bool(False).tag(sync=True)

    def __init__(
        self,
        label: str,
        *,
        value: Sequence[str] = (),
        placeholder: str = "",
        options: Sequence[str] = (),
        names: Mapping[str, str] | None = None,
        single: bool = False,
        hint: str = "",
        commas: bool = True,
        expand: Callable[[str], Sequence[str]] | None = None,
        **traits: Any,
    ) -> None:
        """Create the field.

        Args:
            label: shown before it, and its accessible name.
            value: the initial values.
            placeholder: shown in the empty input of a field without values.
            options: suggestions.
            names: for a value, the name shown in its place.
            single: a new value replaces the old one.
            hint: tooltip of the label.
            commas: a comma ends a value; else a comma is text.
            expand: the values of a text; by default the text is split at commas, or is one value.
            traits: further traits.
        """
        self.expand = expand or self._split
        super().__init__(
            label=label,
            value=tuple(value),
            placeholder=placeholder,
            options=tuple(options),
            names=dict(names or {}),
            single=single,
            hint=hint,
            commas=commas,
            **traits,
        )

    def on_action(self, callback: Callable[[str], object]) -> None:
        """Have `callback` called with the name of the action whose button was clicked."""
        self._on("action", callback)

    def commit(self, text: str, replaces: str | None = None) -> bool:
        """Add the values of a text; False if it has an error, which is shown, and the text stays `pending`.

        Args:
            text: as typed.
            replaces: the value that was edited; the new ones take its place.
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
            # A single field without a new value keeps the one it has.
            self.value = tuple(new[-1:]) or self.value if self.single else (*before, *new, *after)
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
