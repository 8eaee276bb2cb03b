"""The prompts of the form: one, or several named wordings with the differences between them."""

from __future__ import annotations

import html
from collections.abc import Callable, Iterable, Sequence
from functools import partial

from ipywidgets import HTML, HBox, Text, Textarea

from kontext_lab.errors import visible
from kontext_lab.panel.form_state import LabelledValue
from kontext_lab.panel.session import Session
from kontext_lab.panel.widgets import Section, TextLine, close_widgets, column, plain, row, show_if
from kontext_lab.results.prompts import differences, marked

__all__ = ["PromptFields"]

_PAUSE = 0.3
"""Seconds without a change before prompts are compared."""

_PLACEHOLDER = "What to change, such as: Add a {animal} to the foreground of the photo."


class _PromptRow(HBox):
    """One prompt: its name, its text, and a button that removes it."""

    def __init__(self, owner: PromptFields, text: str) -> None:
        self.name = Text("", placeholder="name", **plain(Text, width="8em"))
        self.text = Textarea(
            text, placeholder=_PLACEHOLDER, rows=2, **plain(Textarea, width="auto", flex="1 1 auto")
        )
        self.remove = owner.button("×", lambda: owner.remove(self), "Take this prompt away", small=True)
        super().__init__([self.name, self.text, self.remove], **plain(HBox, width="100%"))
        self.add_class("kl-prompt")


class PromptFields(Section):
    """One or more prompts; calls `changed` after every change by a person."""

    def __init__(self, session: Session, changed: Callable[[], None]) -> None:
        super().__init__(session.dispatcher)
        self._changed = changed
        self._differences: HTML | None = None
        self.problem = TextLine(kind="error")
        add = self.button("+ prompt", self.add, "Another wording; prompts become an axis", small=True)
        self._column = column(name="kl-prompts")
        self._first = row(self._column, add, wrap=False)
        self.fill([self._first, self.problem])
        self.rows: list[_PromptRow] = []
        self.put([LabelledValue("")])

    @property
    def values(self) -> tuple[LabelledValue, ...]:
        """The prompts with their names."""
        return tuple(LabelledValue(line.text.value, line.name.value.strip()) for line in self.rows)

    def put(self, prompts: Iterable[LabelledValue]) -> None:
        """Replace the prompts, without calling `changed`."""
        with self.filling():
            new = list(prompts)
            removed = self.rows[len(new) :]
            self.rows = self.rows[: len(new)]
            while len(self.rows) < len(new):
                self.rows.append(self._row(""))
            for line, prompt in zip(self.rows, new, strict=True):
                line.name.value, line.text.value = prompt.name, prompt.text
            self._arrange()
            close_widgets(*removed)

    def add(self) -> None:
        """Add a prompt; it begins as a copy of the last one, since wordings are variations."""
        self.rows.append(self._row(self.rows[-1].text.value if self.rows else ""))
        self._arrange()
        self._changed()

    def remove(self, line: _PromptRow) -> None:
        """Remove a prompt."""
        self.rows = [other for other in self.rows if other is not line]
        self._arrange()
        close_widgets(line)
        self._changed()

    def _row(self, text: str) -> _PromptRow:
        line = _PromptRow(self, text)
        for part in (line.name, line.text):
            self.on_change(part, self._on_text)
        return line

    def _on_text(self) -> None:
        self._changed()
        self._compare_soon()

    def _compare_soon(self) -> None:
        """Compare the prompts after a pause in typing."""
        if len(self.rows) > 1 or self._differences is not None:
            self.dispatcher.later(_PAUSE, self._find_differences, key=(id(self), "compare"), move=True)

    def _find_differences(self) -> None:
        self.background(partial(_differing, self.values), self._show_differences, key="compare")

    def _show_differences(self, lines: str) -> None:
        if self._differences is None and lines:  # most forms have one prompt and don't need it
            self._differences = HTML(**plain(HTML, margin="0", width="auto"))
            self._differences.add_class("kl-line")
            self.fill([self._first, self._differences, self.problem])
        if self._differences is not None:
            self._differences.value = lines
            show_if(lines, self._differences)

    def _arrange(self) -> None:
        several = len(self.rows) > 1
        for number, line in enumerate(self.rows, 1):
            line.text.tooltip = line.text.description = f"Prompt {number}" if several else "Prompt"
            line.name.tooltip = f"Name of prompt {number}"
            show_if(several, line.name, line.remove)
            # The name takes the place of the label; screen readers still have both.
            (line.add_class if several else line.remove_class)("kl-prompt-named")
        self._column.children = tuple(self.rows)
        self._compare_soon()


def _differing(prompts: Sequence[LabelledValue]) -> str:
    """A line for every further prompt with its differences from the first, as HTML; "" for a single prompt."""
    if not prompts or not prompts[0].text.strip():
        return ""
    lines = []
    for given, prompt in zip(prompts, differences([one.text for one in prompts]), strict=True):
        wording = prompt.wording
        if not wording or not prompt.text:
            continue
        if wording.same:
            text = "the same words as the first"
        else:
            text = marked(wording.brief) if wording.related else "a different wording"
        lines.append(f"<div>{html.escape(visible(given.name or prompt.name))}: {text}</div>")
    return f'<div class="kl-plain" role="note">{"".join(lines)}</div>' if lines else ""
