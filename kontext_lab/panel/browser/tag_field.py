"""A tag input for the values of one axis: text is typed, values stand there as tags.

The owner says what a text means (`expand`) and what is wrong with a value (`errors`); this module must not
know what an axis is.
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
        value: the values that stand there, as a tuple of texts without duplicates.
        pending: what is being typed, some 150 ms late.
        expand: gives the values that a committed text means; an error of ours that it raises is shown
            under the field, and the text stays in the input.
        names: for a value, the name that is shown in its place.
        errors: for a value, what is wrong with it; its tag is marked.
        error: the line under the field that says what is wrong.
        note: a quiet line under the field.
        options: suggestions, filtered by what is typed.
        actions: names of small buttons behind the input; `on_action` hears of them.
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
        """Make the field.

        Args:
            label: shown before it, and its accessible name.
            value: the values to begin with.
            placeholder: shown in the empty input of a field without values.
            options: suggestions.
            names: for a value, the name shown in its place.
            single: a new value takes the place of the one that is there.
            hint: tooltip of the label.
            commas: a comma ends a value; without it a comma is text.
            expand: what a text means; without it the text is split at commas, or taken whole.
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
        """Add what a text means to the values; say whether that could be done.

        Args:
            text: as typed. If it means nothing, `error` says why and it stays as `pending`.
            replaces: the value that was edited; the new ones take its place.
        """
        try:
            new = [str(value) for value in self.expand(text)]
        except KontextLabError as error:
            self.error, self.pending = str(error), text
            return False
        before, after = self._around(replaces)
        with self.hold_sync():
            self.error = self.pending = ""
            # A single field without a new value keeps the one it has.
            self.value = tuple(new[-1:]) or self.value if self.single else (*before, *new, *after)
        return True

    def flush(self) -> bool:
        """Commit what is being typed, if anything is; False if that means nothing."""
        return self.commit(self.pending) if self.pending.strip() else True

    def remove(self, value: str) -> None:
        """Take a value away, if it is there."""
        self.value = tuple(kept for kept in self.value if kept != value)

    @traitlets.validate("value")
    def _without_duplicates(self, proposal: Mapping[str, Any]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(proposal["value"]))

    def _around(self, value: str | None) -> tuple[tuple[str, ...], tuple[str, ...]]:
        if value is None or value not in self.value:
            return self.value, ()
        at = self.value.index(value)
        return self.value[:at], self.value[at + 1 :]

    def _split(self, text: str) -> list[str]:
        parts = text.split(",") if self.commas else [text]
        return [part.strip() for part in parts if part.strip()]

    def _received(self, content: Mapping[str, Any], _buffers: Sequence[memoryview]) -> None:
        match content:
            case {"type": "action", "name": str(name)}:
                self._tell("action", name)
            case {"type": "remove" | "commit", "id": number}:
                # The browser shows what it asked for at once; the answer says that `value` has it now.
                done = False
                try:
                    done = self._asked(content)
                finally:
                    self.send({"type": "done", "id": number, "ok": done})

    def _asked(self, content: Mapping[str, Any]) -> bool:
        if content["type"] == "remove":
            self.remove(content["value"])
            return True
        return self.commit(content["text"], content.get("replaces"))
