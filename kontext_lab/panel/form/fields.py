"""The fields of the form for values of an axis, and the part of the form under More."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from ipywidgets import BoundedIntText, Box, Dropdown, Textarea

from kontext_lab.errors import ConfigError, SweepError
from kontext_lab.images import MAX_MEGAPIXELS
from kontext_lab.lab.options import RunOptions
from kontext_lab.panel.browser import ValuesField
from kontext_lab.panel.form_state import FormState, LabelledValue, value_errors
from kontext_lab.panel.widgets import Section, TextLine, plain, row, text_field
from kontext_lab.request import ALLOWED, ASPECT_RATIOS, MATCH_INPUT, MODELS, decimal_text
from kontext_lab.sweep.axes import parse_axis, value_text

__all__ = ["MAIN", "AxisField", "More"]


class Appearance(NamedTuple):
    """The label and hints of a field."""

    label: str
    placeholder: str
    options: tuple[str, ...] = ()


MAIN: Mapping[str, Appearance] = {
    "guidance_scale": Appearance("Guidance", "3.5, or 2-8:3"),
    "seed": Appearance("Seeds", "1, or 1-4"),
    "aspect_ratio": Appearance("Aspect ratio", MATCH_INPUT, (MATCH_INPUT, *ASPECT_RATIOS)),
}
"""The fields that are always visible."""

_ADVANCED: Mapping[str, Appearance] = {
    "model": Appearance("Model", "pro", tuple(model.short for model in MODELS)),
    "output_format": Appearance("Format", "jpeg", ("jpeg", "png")),
    "safety_tolerance": Appearance("Safety tolerance", "2", ("1", "2", "3", "4", "5", "6")),
    "num_images": Appearance("Pictures per request", "1", ("1", "2", "3", "4")),
    "repeat": Appearance("Repeats", "1, or 1-3"),
}
"""The fields under More."""

_SEEDS = 2**31
_AXIS_PLACE = re.compile(r"^axis '[^']+', value \d+: ")
"""The place in a sweep that an error names; beside the field it is not needed."""


class AxisField(ValuesField):
    """A field for the values of a request field, or of a placeholder, which has no looks.

    A range is expanded, `2-8:3` to 2, 5 and 8. Of a placeholder every text is one value, also with commas.
    """

    def __init__(self, key: str, changed: Callable[[], None], looks: Appearance | None = None) -> None:
        self.key, self._changed, self._filling, self._is_word = key, changed, False, looks is None
        if looks is None:
            super().__init__(
                "", placeholder="a word or more, then Enter", commas=False, expand=lambda text: [text]
            )
            self.rename(key)
        else:
            super().__init__(
                looks.label,
                placeholder=looks.placeholder,
                options=looks.options,
                hint=f"{looks.label}: {ALLOWED[key]}",
                expand=self._values_of,
            )
            if key == "seed":
                self.actions, self.action_titles = ("dice",), {"dice": "Add a random seed"}
                self.on_action(lambda _: self._add_random_seed())
        self.observe(self._on_value, names="value")
        self.observe(self._on_pending, names="pending")

    def rename(self, key: str) -> None:
        """Show the values of a placeholder of another name."""
        self.key, self.label, self.hint = key, f"{{{key}}}", f"Values of {{{key}}}"

    def _values_of(self, text: str) -> list[str]:
        axis = parse_axis(self.key, text, max_megapixels=1.0)
        if any(entry[0] is None for entry in axis.values):
            raise SweepError(f"{self.key}: leave it empty for the service's default")
        return [value_text(self.key, entry[0]) for entry in axis.values]

    def _add_random_seed(self) -> None:
        self.value = (*self.value, str(secrets.randbelow(_SEEDS - 1) + 1))

    @property
    def values(self) -> tuple[LabelledValue, ...]:
        """The values in it, with their names."""
        return tuple(LabelledValue(text, self.names.get(text, "")) for text in self.value)

    def put(self, values: Iterable[LabelledValue]) -> None:
        """Replace the values, without calling `changed`."""
        new = tuple(values)
        self._filling = True
        try:
            self.names = {value.text: value.name for value in new if value.name}
            self.value = tuple(value.text for value in new)
            self.pending = ""  # it belonged to the values before
        finally:
            self._filling = False
        self._check()

    def _check(self) -> None:
        """Mark values that are not allowed; every text is allowed for a placeholder."""
        self.errors = {} if self._is_word else value_errors(self.key, self.values)

    def _on_value(self, _: object) -> None:
        if not self._filling:
            self._check()
            self._changed()

    def _on_pending(self, _: object) -> None:
        """Show the error of a value while it is typed, not only when the field is left."""
        self.error = self._pending_error()

    def _pending_error(self) -> str:
        try:
            if self.pending.strip():
                self.expand(self.pending)
        except SweepError as error:
            return _AXIS_PLACE.sub("", str(error))
        return ""

    def settle(self) -> str:
        """Accept the text that is still being typed; returns its error, or ""."""
        error = self._pending_error()
        if error:
            self.error = error
            return f"{self.label}: {error}"
        self.flush()
        return ""

    def mark(self, problem: str) -> None:
        """Show a problem that the whole sweep has here; that of the text being typed goes first."""
        self.error = self._pending_error() or ("" if self.errors else _AXIS_PLACE.sub("", problem))


class More(Section):
    """The part of the form under More: further request fields, run options, name and note of the sweep."""

    def __init__(self, options: RunOptions, changed: Callable[[], None]) -> None:
        super().__init__()
        self.fields = {key: AxisField(key, changed, looks) for key, looks in _ADVANCED.items()}
        self.name = text_field("Sweep name", "made from the prompt")
        self.note = Textarea(
            description="Note", rows=1, placeholder="anything worth remembering", **plain(Textarea)
        )
        self.concurrency = BoundedIntText(
            1, min=1, max=64, description="Concurrency", **plain(BoundedIntText)
        )
        self.budget = text_field("Budget $", "no limit")
        self.reuse = Dropdown(
            options=[("reuse them", "always"), ("pay again", "never")],
            description="Paid before",
            tooltip="Whether pictures that were paid for before are used again",
            **plain(Dropdown),
        )
        self.in_doubt = Dropdown(
            options=[("leave them", "skip"), ("send them again", "resend")],
            description="In doubt",
            tooltip="What to do with requests whose answer was lost",
            **plain(Dropdown),
        )
        self.megapixels = text_field("Max megapixels", decimal_text(MAX_MEGAPIXELS))
        self.megapixels.tooltip = "References that you add from now on are scaled down to this size"
        self.price = text_field("Price $", "by the table")
        self.price.tooltip = "US dollars per picture, if the price in the table is wrong"
        self.problems = {
            key: TextLine(kind="error") for key in ("name", "note", "budget", "price", "megapixels")
        }
        self.put_options(options)
        controls = (
            *(self.concurrency, self.budget, self.reuse, self.in_doubt),
            *(self.price, self.megapixels, self.name, self.note),
        )
        for control in controls:
            self.on_change(control, changed)
        grid = Box([*self.fields.values(), *controls], **plain(Box, width="100%"))
        grid.add_class("kl-fields")
        self.fill([grid, row(*self.problems.values())])

    def put(self, draft: FormState) -> None:
        """Put in a sweep's name, note and settings, without calling `changed`."""
        with self.filling():
            self.name.value, self.note.value, self.price.value = draft.name, draft.note, draft.price
            default = draft.max_megapixels == MAX_MEGAPIXELS
            self.megapixels.value = "" if default else decimal_text(draft.max_megapixels)

    def put_options(self, options: RunOptions) -> None:
        """Put in the run options of a lab, without calling `changed`."""
        with self.filling():
            self.concurrency.value = options.concurrency
            self.budget.value = "" if options.budget is None else decimal_text(options.budget)
            self.reuse.value, self.in_doubt.value = options.reuse, options.in_doubt

    def reuse_again(self) -> None:
        """Switch *pay again* off, without calling `changed`."""
        with self.filling():
            self.reuse.value = "always"

    @property
    def options(self) -> dict[str, Any]:
        """The run options, as `lab.run` takes them; a `ConfigError` says what is not allowed."""
        text = self.budget.value.strip().lstrip("$").strip()
        try:
            budget = float(text) if text else None
        except ValueError:
            raise ConfigError(f"budget: {text!r:.40}, allowed are US dollars, 0 or more") from None
        chosen: dict[str, Any] = {
            "concurrency": self.concurrency.value,
            "reuse": self.reuse.value,
            "in_doubt": self.in_doubt.value,
            "budget": budget,
        }
        RunOptions(**chosen)  # refuses what is not allowed
        return chosen
