"""What stands in the form, as a value: read into a sweep, or into what is wrong with it and where. Pure.

Everything is text as it was typed, but references, which are read when they are added. A sweep put into a
form and read out again is the same sweep, so that it goes on in its own run.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from kontext_lab.errors import SweepError
from kontext_lab.images import MAX_MEGAPIXELS, Boxes, Reference
from kontext_lab.panel.placeholders import LabelledValue, PlaceholderValues, follow
from kontext_lab.request import decimal_text
from kontext_lab.sweep import Sweep
from kontext_lab.sweep.axes import REFERENCE_KEYS, Axis, check_value, parse_axis, value_text

__all__ = ["VALUE_KEYS", "FormError", "FormState", "read_values"]

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
"""In which order new axes come, `{}` for the words; what is not listed comes last."""

_AXIS_ERROR = re.compile(r"axis '([^']+)'")
_CELL_ERROR = re.compile(r"cell [^:]*(?::\d+)?[^:]*: (\w+):")
_FIELD_ERROR = re.compile(r"(\w+):")
_WORD_ERROR = re.compile(r"prompt: \{(\w+)\} has no values")


class FormError(SweepError):
    """A form that is no sweep yet, with a line for each place where something is wrong.

    Attributes:
        problems: what is wrong by where: a field, `{word}`, `image`, `name` …, or "" for the whole.
    """

    def __init__(self, problems: Mapping[str, str]) -> None:
        super().__init__(next(iter(problems.values()), "nothing is wrong"))
        self.problems = dict(problems)

    def __reduce__(self) -> Any:
        return (FormError, (self.problems,))


@dataclass(frozen=True)
class FormState:
    """What stands in the form.

    Attributes:
        prompts: the wordings, with their names.
        words: the placeholders and their values.
        references: the pictures given, with their names.
        combined: whether all of them go into each request; else each is a value of its own.
        values: by field, what was typed.
        kept: axes that a form has no place for, such as paired values; kept as they came.
        order: the keys of the axes as a sweep had them that was put in.
        axes_of_one: keys that are an axis although they have one value.
        name: of the sweep.
        note: of the sweep.
        price: US dollars per picture, or "".
        max_megapixels: above which references are scaled down.
        protect: of each reference the parts that an edit should leave alone, by their names.
    """

    prompts: tuple[LabelledValue, ...] = (LabelledValue(""),)
    words: PlaceholderValues = field(default_factory=PlaceholderValues)
    references: tuple[tuple[Reference, str], ...] = ()
    combined: bool = False
    values: Mapping[str, tuple[LabelledValue, ...]] = field(default_factory=dict)
    kept: tuple[Axis, ...] = ()
    order: tuple[str, ...] = ()
    axes_of_one: frozenset[str] = frozenset()
    name: str = ""
    note: str = ""
    price: str = ""
    max_megapixels: float = MAX_MEGAPIXELS
    protect: Mapping[Reference, Boxes] = field(default_factory=dict)

    @property
    def pictures(self) -> tuple[tuple[Reference, str], ...]:
        """Every reference there is with its name, also those of axes that are kept."""
        kept = [
            (one, "")
            for axis in self.kept
            for entry in axis.values
            for key, part in zip(axis.keys, entry, strict=True)
            if key in REFERENCE_KEYS
            for one in part
        ]
        return tuple(dict.fromkeys((*self.references, *kept)))

    def prompted(self, prompts: Iterable[LabelledValue]) -> FormState:
        """The same with other prompts; their placeholders followed."""
        new = tuple(prompts)
        return replace(self, prompts=new, words=follow(self.words, self._templates(new)))

    def _templates(self, prompts: tuple[LabelledValue, ...]) -> list[str]:
        kept = [
            str(entry[axis.keys.index("prompt")])
            for axis in self.kept
            if "prompt" in axis.keys
            for entry in axis.values
        ]
        return [*(one.text for one in prompts), *kept]

    def sweep(self) -> Sweep:
        """The sweep that stands here.

        Raises:
            DraftError: it is none yet; says where and why.
        """
        problems = self.problems()
        if problems:
            raise FormError(problems)
        try:
            fixed, axes = self._sorted_out()
            made = Sweep(
                axes=self._ordered(axes),
                name=self.name or None,
                note=self.note,
                max_megapixels=self.max_megapixels,
                **fixed,
            )
            return made.with_boxes(self.protect) if self.protect else made
        except SweepError as error:
            raise FormError({self._where(str(error)): str(error)}) from None

    def problems(self) -> dict[str, str]:
        """What is wrong with single fields, by where it stands; quick, whatever the number of cells."""
        found: dict[str, str] = {}
        if self.prompts and not any(one.text.strip() for one in self.prompts):
            found["prompt"] = "prompt: is missing, say what to change"
        for number, one in enumerate(self.prompts if not found else (), 1):
            where = f" {number}" if len(self.prompts) > 1 else ""
            if not one.text.strip():
                found["prompt"] = f"prompt{where}: is empty, write it or take it away"
            elif len(one.text) > 4000:
                found["prompt"] = f"prompt{where}: {len(one.text)} characters, allowed are at most 4000"
        for name, values in self.words.used.items():
            if not values and not any(name in axis.keys for axis in self.kept):
                found[f"{{{name}}}"] = f"{{{name}}} has no values: give at least one word"
        if not self.references and not any(_is_image(axis) for axis in self.kept):
            found["image"] = "image: is missing, give one reference, or several"
        elif self.combined and len(self.references) > 4:
            found["image"] = f"image: {len(self.references)} references in one request, allowed are at most 4"
        for key, values in self.values.items():
            for error in read_values(key, values).values():
                found.setdefault(key, error)
        if self.price:
            _note(found, "price", lambda: check_value("price", self.price, max_megapixels=1.0))
        return found

    def _sorted_out(self) -> tuple[dict[str, Any], dict[str, Axis]]:
        """What is fixed, and the axes."""
        fixed: dict[str, Any] = {"price": self.price} if self.price else {}
        axes: dict[str, Axis] = {}
        for key, values in (("prompt", self.prompts), *self.values.items()):
            if len(values) > 1 or (values and (values[0].name or key in self.axes_of_one)):
                axes[key] = self._axis(key, values)
            elif values:
                fixed[key] = values[0].text
        for name, values in self.words.used.items():
            if values:
                axes[name] = self._axis(name, values)
        given = [reference for reference, _ in self.references]
        names = tuple(name for _, name in self.references)
        if given and (
            self.combined or (len(given) == 1 and not names[0] and "image" not in self.axes_of_one)
        ):
            fixed["images"] = given
        elif given:
            made = parse_axis("image", given, max_megapixels=self.max_megapixels)
            axes["image"] = replace(made, labels=names)
        return fixed, axes | {axis.key: axis for axis in self.kept}

    def _axis(self, key: str, values: tuple[LabelledValue, ...]) -> Axis:
        texts = [one.text for one in values]
        made = parse_axis(key, texts, max_megapixels=self.max_megapixels)
        return replace(made, labels=tuple(one.name for one in values))

    def _ordered(self, axes: Mapping[str, Axis]) -> dict[str, Axis]:
        def rank(key: str) -> tuple[int, int]:
            if key in self.order:
                return (0, self.order.index(key))
            kind = "{}" if key in self.words.names else key
            return (1, _ORDER.index(kind) if kind in _ORDER else len(_ORDER))

        return {key: axes[key] for key in sorted(axes, key=rank)}

    def _where(self, line: str) -> str:
        """The place in the form that an error of the whole sweep is about."""
        for pattern in (_WORD_ERROR, _AXIS_ERROR, _CELL_ERROR, _FIELD_ERROR):
            found = pattern.match(line)
            if found:
                key = "image" if found[1] == "images" else found[1]
                if key in self.words.names:
                    return f"{{{key}}}"
                if key in (*VALUE_KEYS, "prompt", "image", "name", "note", "price"):
                    return key
        return ""

    @classmethod
    def of(cls, sweep: Sweep) -> FormState:
        """A sweep as it stands in the form."""
        values: dict[str, tuple[LabelledValue, ...]] = {}
        draft = cls(
            name=sweep.given_name,
            note=sweep.note,
            max_megapixels=sweep.max_megapixels,
            protect=dict(sweep.boxes),
            order=tuple(axis.key for axis in sweep.axes),
            axes_of_one=frozenset(axis.key for axis in sweep.axes if len(axis) == 1),
        )
        for key, value in sweep.fixed.items():
            if key == "prompt":
                draft = replace(draft, prompts=(LabelledValue(value),))
            elif key == "images":
                draft = replace(draft, references=tuple((one, "") for one in value), combined=True)
            elif key == "price":
                draft = replace(draft, price=decimal_text(value))
            else:
                values[key] = (LabelledValue(value_text(key, value)),)
        draft = replace(draft, combined=draft.combined and len(draft.references) > 1)
        for axis in sweep.axes:
            draft = draft._with_axis(axis, values)
        if any("prompt" in axis.keys for axis in draft.kept):
            draft = replace(draft, prompts=())
        templates = draft._templates(draft.prompts)
        return replace(draft, values=values, words=follow(draft.words, templates))

    def _with_axis(self, axis: Axis, values: dict[str, tuple[LabelledValue, ...]]) -> FormState:
        """The same with an axis of the sweep that is put in."""
        if len(axis.keys) > 1 or (axis.key == "images" and any(len(entry[0]) > 1 for entry in axis.values)):
            return replace(self, kept=(*self.kept, axis))
        pairs = list(zip(axis.values, axis.labels, strict=True))
        if _is_image(axis):
            if axis.key == "images":
                return replace(self, kept=(*self.kept, axis))
            return replace(self, references=tuple((entry[0][0], label) for entry, label in pairs))
        named = tuple(LabelledValue(value_text(axis.key, entry[0]), label) for entry, label in pairs)
        if axis.key == "prompt":
            return replace(self, prompts=named)
        if axis.key in VALUE_KEYS:
            values[axis.key] = named
            return self
        return replace(self, words=self.words.replace(axis.key, named))


def read_values(key: str, values: Iterable[LabelledValue]) -> dict[str, str]:
    """What is wrong with each of some typed values; empty where nothing is."""
    found: dict[str, str] = {}
    for one in values:
        _note(found, one.text, lambda one=one: check_value(key, one.text, max_megapixels=1.0))  # type: ignore[misc]
    return found


def _note(found: dict[str, str], where: str, check: Callable[[], Any]) -> None:
    try:
        check()
    except SweepError as error:
        found[where] = str(error)


def _is_image(axis: Axis) -> bool:
    return bool(set(REFERENCE_KEYS) & set(axis.keys))
