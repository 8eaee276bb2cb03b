"""The content of the form as a value: a sweep is made of it, or it says what is wrong and where. Pure.

A sweep that is put into the form and read out again is the same sweep, so that it goes on in its own run.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from kontext_lab.errors import SweepError
from kontext_lab.images import MAX_MEGAPIXELS, Boxes, Reference
from kontext_lab.request import decimal_text
from kontext_lab.sweep import Sweep
from kontext_lab.sweep.axes import REFERENCE_KEYS, Axis, check_value, parse_axis, value_text
from kontext_lab.sweep.wording import placeholders

__all__ = [
    "VALUE_KEYS",
    "FormError",
    "FormState",
    "LabelledValue",
    "PlaceholderValues",
    "follow_prompts",
    "value_errors",
]

VALUE_KEYS = (
    "guidance_scale",
    "seed",
    "aspect_ratio",
    "model",
    "output_format",
    "safety_tolerance",
    "num_images",
    "repeat",
)
"""The fields of a request that are typed as values."""

_ORDER = ("guidance_scale", "seed", "aspect_ratio", "{}", "image", "images", "prompt")
"""The order of new axes, `{}` for placeholders; other keys come last."""

_ERROR_KEY = re.compile(r"(?:axis '|cell [^:]*(?::\d+)?[^:]*: )?(\w+)'?:")
"""The field that the error of a whole sweep names first."""


@dataclass(frozen=True)
class LabelledValue:
    """A value as it is typed, and the name a person gave it, or ""."""

    text: str
    name: str = ""

    def __str__(self) -> str:
        return self.name or self.text


@dataclass(frozen=True)
class PlaceholderValues:
    """The placeholders of the prompts, and the values of every placeholder that was ever typed."""

    names: tuple[str, ...] = ()  # in use, in order of appearance
    values: Mapping[str, tuple[LabelledValue, ...]] = field(default_factory=dict)
    # Position and name of the placeholder that disappeared last: one that appears there is the same, renamed.
    gap: tuple[int, str] | None = None

    @property
    def used(self) -> dict[str, tuple[LabelledValue, ...]]:
        """The values of the names in use."""
        return {name: self.values.get(name, ()) for name in self.names}

    def replace(self, name: str, values: Iterable[LabelledValue]) -> PlaceholderValues:
        """A copy with other values for one name."""
        return replace(self, values={**self.values, name: tuple(values)})


def follow_prompts(words: PlaceholderValues, prompts: Iterable[str]) -> PlaceholderValues:
    """The placeholder values after the prompts changed.

    A name that takes the place of another is that one renamed and takes its values along: at once, or where a brace
    was open in between. A name that existed before has the values it had.
    """
    names = tuple(dict.fromkeys(name for prompt in prompts for name in placeholders(prompt)))
    values = dict(words.values)
    lost = {at: name for at, name in enumerate(words.names) if name not in names}
    gap = max(lost.items()) if lost else words.gap
    for at, name in enumerate(names):
        if name in words.names:
            continue
        before = lost.get(at) or (next(iter(lost.values())) if len(lost) == 1 else None)
        if before is None and words.gap is not None and words.gap[0] == at:
            before = words.gap[1]
        if before is not None and not values.get(name) and values.get(before):
            values[name] = values.pop(before)
            gap = None
        values.setdefault(name, ())
    return PlaceholderValues(names, values, gap)


class FormError(SweepError):
    """A form that is not a sweep yet; `problems` by place: a field, `{word}`, `image`, `name` …, or "" for the whole."""

    def __init__(self, problems: Mapping[str, str]) -> None:
        super().__init__(next(iter(problems.values()), "nothing is wrong"))
        self.problems = dict(problems)

    def __reduce__(self) -> Any:
        return (FormError, (self.problems,))


@dataclass(frozen=True)
class FormState:
    """The content of the form: references, which are read when they are added, and texts as they were typed."""

    prompts: tuple[LabelledValue, ...] = (LabelledValue(""),)
    words: PlaceholderValues = field(default_factory=PlaceholderValues)
    references: tuple[tuple[Reference, str], ...] = ()
    combined: bool = False  # all references go into each request; else each is a value of its own
    values: Mapping[str, tuple[LabelledValue, ...]] = field(default_factory=dict)
    kept: tuple[Axis, ...] = ()  # without a field in the form, such as paired values
    order: tuple[str, ...] = ()  # keys of the axes of the sweep that was put in
    axes_of_one: frozenset[str] = frozenset()  # keys that are an axis although they have one value
    name: str = ""
    note: str = ""
    price: str = ""  # US dollars per picture
    max_megapixels: float = MAX_MEGAPIXELS
    protect: Mapping[Reference, Boxes] = field(default_factory=dict)

    @property
    def pictures(self) -> tuple[tuple[Reference, str], ...]:
        """All references with their names, also those of kept axes."""
        kept = [(reference, "") for part in self._kept_values(*REFERENCE_KEYS) for reference in part]
        return tuple(dict.fromkeys((*self.references, *kept)))

    def _kept_values(self, *keys: str) -> list[Any]:
        """The values of these keys on kept axes."""
        parts = [
            pair for axis in self.kept for entry in axis.values for pair in zip(axis.keys, entry, strict=True)
        ]
        return [value for key, value in parts if key in keys]

    def with_prompts(self, prompts: Iterable[LabelledValue]) -> FormState:
        """A copy with other prompts, and their placeholders."""
        new = tuple(prompts)
        templates = (*(prompt.text for prompt in new), *map(str, self._kept_values("prompt")))
        return replace(self, prompts=new, words=follow_prompts(self.words, templates))

    def sweep(self) -> Sweep:
        """The sweep.

        Raises:
            FormError: something is missing or wrong; its `problems` say where.
        """
        problems = self.problems()
        if problems:
            raise FormError(problems)
        fixed, axes = self._fixed_and_axes()
        try:
            made = Sweep(
                axes={key: axes[key] for key in sorted(axes, key=self._rank)},
                name=self.name or None,
                note=self.note,
                max_megapixels=self.max_megapixels,
                **fixed,
            )
            return made.with_boxes(self.protect) if self.protect else made
        except SweepError as error:
            match = _ERROR_KEY.match(str(error))
            key = match[1] if match else ""
            if key in self.words.names:
                place = f"{{{key}}}"
            elif key in (*VALUE_KEYS, "prompt", "image", "name", "note", "price"):
                place = key
            else:
                place = "image" if key == "images" else ""
            raise FormError({place: str(error)}) from None

    def problems(self) -> dict[str, str]:
        """Problems of single fields, by place; quick, whatever the number of cells."""
        found: dict[str, str] = {}
        if self.prompts and not any(prompt.text.strip() for prompt in self.prompts):
            found["prompt"] = "prompt: is missing, say what to change"
        for number, prompt in enumerate(self.prompts if not found else (), 1):
            which = f" {number}" if len(self.prompts) > 1 else ""
            if not prompt.text.strip():
                found["prompt"] = f"prompt{which}: is empty, write it or take it away"
            elif len(prompt.text) > 4000:
                found["prompt"] = f"prompt{which}: {len(prompt.text)} characters, allowed are at most 4000"
        for name, values in self.words.used.items():
            if not values and not any(name in axis.keys for axis in self.kept):
                found[f"{{{name}}}"] = f"{{{name}}} has no values: give at least one word"
        if not self.references and not self._kept_values(*REFERENCE_KEYS):
            found["image"] = "image: is missing, give one reference, or several"
        elif self.combined and len(self.references) > 4:
            found["image"] = f"image: {len(self.references)} references in one request, allowed are at most 4"
        price = {"price": (LabelledValue(self.price),)} if self.price else {}
        for key, values in {**self.values, **price}.items():
            errors = value_errors(key, values)
            if errors:
                found[key] = next(iter(errors.values()))
        return found

    def _fixed_and_axes(self) -> tuple[dict[str, Any], dict[str, Axis]]:
        fixed: dict[str, Any] = {"price": self.price} if self.price else {}
        axes: dict[str, Axis] = {}
        for key, values in (("prompt", self.prompts), *self.values.items()):
            if len(values) > 1 or (values and (values[0].name or key in self.axes_of_one)):
                axes[key] = self._axis(key, values)
            elif values:
                fixed[key] = values[0].text
        for name, values in self.words.used.items():
            if values:
                axes[name] = self._axis(name, values, place=f"{{{name}}}")
        given = [reference for reference, _ in self.references]
        names = tuple(name for _, name in self.references)
        single = len(given) == 1 and not names[0] and "image" not in self.axes_of_one
        if given and (self.combined or single):
            fixed["images"] = given
        elif given:
            axis = parse_axis("image", given, max_megapixels=self.max_megapixels)
            axes["image"] = replace(axis, labels=names)
        return fixed, axes | {axis.key: axis for axis in self.kept}

    def _axis(self, key: str, values: tuple[LabelledValue, ...], place: str = "") -> Axis:
        try:
            axis = parse_axis(key, [value.text for value in values], max_megapixels=self.max_megapixels)
        except SweepError as error:
            raise FormError({place or key: str(error)}) from None
        return replace(axis, labels=tuple(value.name for value in values))

    def _rank(self, key: str) -> tuple[int, int]:
        """The position of an axis."""
        if key in self.order:
            return (0, self.order.index(key))
        kind = "{}" if key in self.words.names else key
        return (1, _ORDER.index(kind) if kind in _ORDER else len(_ORDER))

    @classmethod
    def of(cls, sweep: Sweep) -> FormState:
        """A sweep as the form shows it."""
        fixed = dict(sweep.fixed)
        references = tuple((reference, "") for reference in fixed.pop("images", ()))
        combined = len(references) > 1
        price = decimal_text(fixed.pop("price")) if "price" in fixed else ""
        texts: dict[str, tuple[LabelledValue, ...]] = {
            key: (LabelledValue(value_text(key, value)),) for key, value in fixed.items()
        }
        kept: list[Axis] = []
        for axis in sweep.axes:
            pairs = list(zip(axis.values, axis.labels, strict=True))
            if len(axis.keys) > 1 or axis.key == "images":
                kept.append(axis)
            elif axis.key == "image":
                references = tuple((entry[0][0], label) for entry, label in pairs)
            else:
                texts[axis.key] = tuple(
                    LabelledValue(value_text(axis.key, entry[0]), label) for entry, label in pairs
                )
        prompts = texts.pop("prompt", ())
        draft = cls(
            words=PlaceholderValues(values={key: texts[key] for key in texts if key not in VALUE_KEYS}),
            references=references,
            combined=combined,
            values={key: texts[key] for key in texts if key in VALUE_KEYS},
            kept=tuple(kept),
            order=tuple(axis.key for axis in sweep.axes),
            axes_of_one=frozenset(axis.key for axis in sweep.axes if len(axis) == 1),
            name=sweep.given_name,
            note=sweep.note,
            price=price,
            max_megapixels=sweep.max_megapixels,
            protect=dict(sweep.boxes),
        )
        return draft.with_prompts(prompts)


def value_errors(key: str, values: Iterable[LabelledValue]) -> dict[str, str]:
    """Errors of typed values, by their text; empty if every value is allowed."""
    errors: dict[str, str] = {}
    for value in values:
        try:
            check_value(key, value.text, max_megapixels=1.0)
        except SweepError as error:
            errors[value.text] = str(error)
    return errors
