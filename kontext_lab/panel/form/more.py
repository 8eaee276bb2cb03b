"""What the form keeps under More: the rest of a request, how a run is done, the sweep's name, and sweeps as files."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ipywidgets import BoundedIntText, Box, Dropdown, Text, Textarea

from kontext_lab.errors import ConfigError
from kontext_lab.images import MAX_MEGAPIXELS
from kontext_lab.lab.options import RunOptions
from kontext_lab.panel.form.fields import ADVANCED, AxisField, field_for
from kontext_lab.panel.layouts import plain
from kontext_lab.panel.widgets import Section, TextLine, row
from kontext_lab.request import decimal_text

__all__ = ["More"]

_SKIP, _RESEND = "leave them", "send them again"
_REUSED, _NEVER = "reuse them", "pay again"


class More(Section):
    """The rest of the form.

    Args:
        options: of the lab, which the controls begin with.
        changed: called after every change by a person.
    """

    def __init__(self, options: RunOptions, changed: Callable[[], None]) -> None:
        super().__init__()
        self._changed, self._filling = changed, False
        self.fields: dict[str, AxisField] = {key: field_for(key, self._told) for key in ADVANCED}
        self.name = _text("Sweep name", "made from the prompt")
        self.note = Textarea(
            description="Note", rows=1, placeholder="anything worth remembering", **plain(Textarea)
        )
        self.concurrency = BoundedIntText(
            options.concurrency, min=1, max=64, description="Concurrency", **plain(BoundedIntText)
        )
        self.budget = _text("Budget $", "no limit", _written(options.budget))
        self.reuse = Dropdown(
            options=[(_REUSED, "always"), (_NEVER, "never")],
            value=options.reuse,
            description="Paid before",
            tooltip="What happens with pictures that were paid for before",
            **plain(Dropdown),
        )
        self.in_doubt = Dropdown(
            options=[(_SKIP, "skip"), (_RESEND, "resend")],
            value=options.in_doubt,
            description="In doubt",
            tooltip="What happens with requests whose answer was lost",
            **plain(Dropdown),
        )
        self.megapixels = _text("Max megapixels", decimal_text(MAX_MEGAPIXELS))
        self.megapixels.tooltip = "References added from now on are scaled down to this"
        self.price = _text("Price $", "by the table")
        self.price.tooltip = "US dollars per picture, where the table's price does not hold"
        self.problems = {
            key: TextLine(kind="error") for key in ("name", "note", "budget", "price", "megapixels")
        }
        for control in self._controls():
            control.observe(lambda _: self._told(), names="value")
        parts = [*(one.field for one in self.fields.values()), *self._controls()]
        grid = Box(parts, **plain(Box, width="100%"))
        grid.add_class("kl-fields")
        self._parts = [grid, row(*self.problems.values())]
        self.fill(self._parts)

    def add(self, room: Section) -> None:
        """Put a further room below."""
        self.fill([*self._parts, room])

    def _controls(self) -> tuple[Any, ...]:
        return (
            self.concurrency,
            self.budget,
            self.reuse,
            self.in_doubt,
            self.price,
            self.megapixels,
            self.name,
            self.note,
        )

    def _told(self) -> None:
        if not self._filling:
            self._changed()

    def put(self, *, name: str, note: str, price: str, max_megapixels: float) -> None:
        """Put a sweep's name, note and settings in; nobody is told."""
        self._filling = True
        try:
            self.name.value, self.note.value, self.price.value = name, note, price
            usual = max_megapixels == MAX_MEGAPIXELS
            self.megapixels.value = "" if usual else decimal_text(max_megapixels)
        finally:
            self._filling = False

    def put_options(self, options: RunOptions) -> None:
        """Put in how runs are done, as a lab has it; nobody is told."""
        self._filling = True
        try:
            self.concurrency.value, self.budget.value = options.concurrency, _written(options.budget)
            self.reuse.value, self.in_doubt.value = options.reuse, options.in_doubt
        finally:
            self._filling = False

    def reuse_again(self) -> None:
        """What was paid for is not paid for again, whatever stood here; nobody is told."""
        self._filling = True
        try:
            self.reuse.value = "always"
        finally:
            self._filling = False

    @property
    def options(self) -> dict[str, Any]:
        """How a run is to be done, as `lab.run` takes it.

        Raises:
            ConfigError: the budget is none.
        """
        chosen: dict[str, Any] = {
            "concurrency": self.concurrency.value,
            "reuse": self.reuse.value,
            "in_doubt": self.in_doubt.value,
            "budget": _budget(self.budget.value),
        }
        RunOptions(**chosen)
        return chosen


def _written(budget: float | None) -> str:
    return "" if budget is None else decimal_text(budget)


def _budget(text: str) -> float | None:
    plain = text.strip().lstrip("$").strip()
    if not plain:
        return None
    try:
        return float(plain)
    except ValueError:
        raise ConfigError(f"budget: {text!r:.40}, allowed are US dollars, 0 or more") from None


def _text(description: str, placeholder: str, value: str = "") -> Text:
    return Text(value, description=description, placeholder=placeholder, **plain(Text))
