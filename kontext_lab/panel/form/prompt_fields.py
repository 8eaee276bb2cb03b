"""The prompts of the form: one, or several wordings with names to tell them apart, and what differs between them."""

from __future__ import annotations

import html
from collections.abc import Callable, Iterable, Sequence
from functools import partial

from ipywidgets import HTML, HBox, Text, Textarea

from kontext_lab.errors import visible
from kontext_lab.panel.layouts import plain, show_if
from kontext_lab.panel.placeholders import LabelledValue
from kontext_lab.panel.ui_dispatcher import UiDispatcher
from kontext_lab.panel.widgets import Section, TextLine, boxed, closed, row
from kontext_lab.results.prompts import Prompt, differences, marked

__all__ = ["Prompts"]

_REST = 0.3
"""Seconds without a change before differences are looked for: typing waits for nothing."""

_PLACEHOLDER = "What to change, such as: Add a {animal} to the foreground of the photo."


class _Row(HBox):
    """One prompt: its name where there are several, its text, and a button that takes it away."""

    def __init__(self, room: Prompts, one: LabelledValue) -> None:
        self.name = Text(one.name, placeholder="name", **plain(Text, width="8em"))
        self.text = Textarea(
            one.text, placeholder=_PLACEHOLDER, rows=2, **plain(Textarea, width="auto", flex="1 1 auto")
        )
        self.away = room.button("×", lambda: room.take_away(self), "Take this prompt away", small=True)
        super().__init__([self.name, self.text, self.away], **plain(HBox, width="100%"))
        self.add_class("kl-prompt")

    @property
    def named(self) -> LabelledValue:
        return LabelledValue(self.text.value, self.name.value.strip())


class Prompts(Section):
    """One or more prompts.

    Args:
        post: compares them elsewhere.
        changed: called after every change by a person.
    """

    def __init__(self, post: UiDispatcher, changed: Callable[[], None]) -> None:
        super().__init__()
        self._post = post
        self._changed = changed
        self._told: HTML | None = None
        self._filling = False
        self.problem = TextLine(kind="error")
        self.more = self.button("+ prompt", self.add, "Another wording; prompts become an axis", small=True)
        self._all = boxed(name="kl-prompts")
        self._first = row(self._all, self.more, wrap=False)
        self.fill([self._first, self.problem])
        self.rows: list[_Row] = []
        self.put([LabelledValue("")])

    @property
    def values(self) -> tuple[LabelledValue, ...]:
        """The prompts as they stand."""
        return tuple(row.named for row in self.rows)

    def put(self, prompts: Iterable[LabelledValue]) -> None:
        """Put prompts in place of those that are there; nobody is told."""
        self._filling = True
        try:
            given = list(prompts)
            gone = self.rows[len(given) :]
            self.rows = self.rows[: len(given)]
            while len(self.rows) < len(given):
                self.rows.append(self._row(LabelledValue("")))
            for line, one in zip(self.rows, given, strict=True):
                line.name.value, line.text.value = one.name, one.text
            self._laid_out()
            closed(*gone)
        finally:
            self._filling = False

    def add(self, one: LabelledValue | None = None) -> None:
        """Another prompt; it begins as the last one, since wordings are variations."""
        last = self.rows[-1].text.value if self.rows else ""
        self.rows.append(self._row(one or LabelledValue(last)))
        self._laid_out()
        self._changed()

    def take_away(self, row: _Row) -> None:
        """One prompt less."""
        self.rows = [one for one in self.rows if one is not row]
        self._laid_out()
        closed(row)
        self._changed()

    def _row(self, one: LabelledValue) -> _Row:
        row = _Row(self, one)
        for part in (row.name, row.text):
            part.observe(lambda _: None if self._filling else self._typed(), names="value")
        return row

    def _typed(self) -> None:
        self._changed()
        self._look_soon()

    def _look_soon(self) -> None:
        """Say what tells the prompts apart once nobody types."""
        if len(self.rows) > 1 or self._told is not None:
            self._post.later(_REST, self._look, key=(id(self), "compare"), move=True)

    def _look(self) -> None:
        self._post.background(partial(_differing, self.values), self._tell, key=(id(self), "compare"))

    def _tell(self, lines: str) -> None:
        if self._told is None and lines:  # most forms have one prompt, and no need of it
            self._told = HTML(**plain(HTML, margin="0", width="auto"))
            self._told.add_class("kl-line")
            self.fill([self._first, self._told, self.problem])
        if self._told is not None:
            self._told.value = lines
            show_if(lines, self._told)

    def _laid_out(self) -> None:
        several = len(self.rows) > 1
        for number, line in enumerate(self.rows, 1):
            which = f"Prompt {number}" if several else "Prompt"
            line.text.tooltip = which
            line.text.description = which if several else "Prompt"
            line.name.tooltip = f"Name of prompt {number}"
            for part in (line.name, line.away):
                show_if(several, part)
            # The name stands where the label does; screen readers still have both.
            (line.add_class if several else line.remove_class)("kl-prompt-named")
        self._all.children = tuple(self.rows)
        self._look_soon()


def _differing(prompts: Sequence[LabelledValue]) -> str:
    """A line for every further prompt: what it has of its own; "" where there is only one."""
    if not prompts or not prompts[0].text.strip():
        return ""
    told = zip(prompts, differences([one.text for one in prompts]), strict=True)
    lines = [_line(one.name or prompt.name, prompt) for one, prompt in told if prompt.wording and prompt.text]
    return f'<div class="kl-plain" role="note">{"".join(lines)}</div>' if lines else ""


def _line(name: str, prompt: Prompt) -> str:
    wording = prompt.wording
    if wording is None or wording.same:
        told = "the same words as the first"
    else:
        told = marked(wording.brief) if wording.related else "another wording altogether"
    return f"<div>{html.escape(visible(name))}: {told}</div>"
