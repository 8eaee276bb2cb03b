"""One field of the form for the values of one axis, and the fields of a request."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from kontext_lab.errors import SweepError
from kontext_lab.panel.browser import ValuesField
from kontext_lab.panel.form_state import read_values
from kontext_lab.panel.placeholders import LabelledValue
from kontext_lab.request import ALLOWED, ASPECT_RATIOS, MATCH_INPUT, MODELS
from kontext_lab.sweep.axes import parse_axis, value_text

__all__ = ["ADVANCED", "MAIN", "AxisField", "field_for", "words_field"]


class _Look(NamedTuple):
    """How a field shows itself."""

    label: str
    placeholder: str
    options: tuple[str, ...] = ()


MAIN: Mapping[str, _Look] = {
    "guidance_scale": _Look("Guidance", "3.5, or 2-8:3"),
    "seed": _Look("Seeds", "1, or 1-4"),
    "aspect_ratio": _Look("Aspect ratio", MATCH_INPUT, (MATCH_INPUT, *ASPECT_RATIOS)),
}
"""The fields that are always in view."""

ADVANCED: Mapping[str, _Look] = {
    "model": _Look("Model", "pro", tuple(model.short for model in MODELS)),
    "output_format": _Look("Format", "jpeg", ("jpeg", "png")),
    "safety_tolerance": _Look("Safety tolerance", "2", ("1", "2", "3", "4", "5", "6")),
    "num_images": _Look("Pictures per request", "1", ("1", "2", "3", "4")),
    "repeat": _Look("Repeats", "1, or 1-3"),
}
"""Those under More."""

_DRAWN_SEED = 2**31
_WHERE = re.compile(r"^axis '[^']+', value \d+: ")
"""Where in a sweep something is wrong; beside the field everybody sees it."""


class AxisField:
    """A field for the values of one key, as `LabelledValue` values.

    Args:
        key: a request field, or a placeholder.
        field: the widget.
        changed: called after every change by a person.
    """

    def __init__(self, key: str, field: ValuesField, changed: Callable[[], None]) -> None:
        self.key = key
        self.field = field
        self._names: dict[str, str] = {}
        self._filling = False
        self._changed = changed
        field.observe(self._on_value, names="value")
        field.observe(self._on_pending, names="pending")

    @property
    def values(self) -> tuple[LabelledValue, ...]:
        """What stands in it."""
        return tuple(LabelledValue(text, self._names.get(text, "")) for text in self.field.value)

    def put(self, values: Iterable[LabelledValue]) -> None:
        """Put values into it; nobody is told."""
        given = tuple(values)
        self._filling = True
        try:
            self._names = {one.text: one.name for one in given if one.name}
            self.field.names = dict(self._names)
            self.field.value = tuple(one.text for one in given)
            self.field.pending = ""  # it was meant for what stood here
        finally:
            self._filling = False
        self.check()

    def check(self) -> None:
        """Mark the values that can't be."""
        is_word = self.key not in MAIN and self.key not in ADVANCED
        self.field.errors = {} if is_word else read_values(self.key, self.values)

    def _on_pending(self, _: object) -> None:
        """Say what is wrong with a value while it is typed, not only when it is left."""
        self.field.error = self._wrong_as_typed()

    def settle(self) -> str:
        """Take in what is still being typed; returns what is wrong with it, or ""."""
        wrong = self._wrong_as_typed()
        if wrong:
            self.field.error = wrong
            return f"{self.field.label}: {wrong}"
        self.field.flush()
        return ""

    def mark(self, problem: str) -> None:
        """Say what is wrong here, in the words of a whole sweep; what is still being typed comes first."""
        said = "" if self.field.errors else _WHERE.sub("", problem)
        self.field.error = self._wrong_as_typed() or said

    def _wrong_as_typed(self) -> str:
        try:
            if self.field.pending.strip():
                self.field.expand(self.field.pending)
        except SweepError as error:
            return _WHERE.sub("", str(error))
        return ""

    def _on_value(self, _: object) -> None:
        if not self._filling:
            self.check()
            self._changed()


def field_for(key: str, changed: Callable[[], None]) -> AxisField:
    """The field of a request's parameter; ranges typed into it are written out."""
    look = MAIN.get(key) or ADVANCED[key]
    field = ValuesField(
        look.label,
        placeholder=look.placeholder,
        options=list(look.options),
        hint=f"{look.label}: {ALLOWED[key]}",
    )
    field.expand = lambda text: _expanded(key, text)
    values = AxisField(key, field, changed)
    if key == "seed":
        field.actions = ("dice",)
        field.action_titles = {"dice": "Add a seed drawn at random"}
        field.on_action(lambda _: _add_drawn(field))
    return values


def words_field(name: str, changed: Callable[[], None]) -> AxisField:
    """The field of a placeholder: every text is a value, commas and all."""
    label = f"{{{name}}}"
    field = ValuesField(label, placeholder="a word or more, then Enter", hint=f"Values of {label}")
    field.commas = False
    field.expand = lambda text: [text]
    return AxisField(name, field, changed)


def _expanded(key: str, text: str) -> list[str]:
    """Values out of what was typed: `2-8:3` gives 2, 5 and 8."""
    axis = parse_axis(key, text, max_megapixels=1.0)
    if any(entry[0] is None for entry in axis.values):
        raise SweepError(f"{key}: leave it empty for the service's default")
    return [value_text(key, entry[0]) for entry in axis.values]


def _add_drawn(field: ValuesField) -> None:
    drawn = str(secrets.randbelow(_DRAWN_SEED - 1) + 1)
    field.value = (*field.value, drawn)
