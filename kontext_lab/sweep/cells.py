"""From fixed parameters and axes to cells: one combination of values, one request each.

Replicates run outermost: what a budget, a stop or a crash leaves of a sweep is a balanced design.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from kontext_lab.errors import SweepError
from kontext_lab.request import EditRequest
from kontext_lab.sweep.axes import MAX_CELLS, REFERENCE_KEYS, SWEEPABLE, Axis, value_text
from kontext_lab.sweep.wording import filled, placeholders, short_prompt, shortened

__all__ = ["Cell", "make_cells"]

_ABBREVIATED = {"guidance_scale": "g", "seed": "s", "safety_tolerance": "t", "num_images": "n", "repeat": "r"}
_LONGEST_PART = 30


@dataclass(frozen=True)
class Cell:
    """One combination of axis values.

    Attributes:
        index: place in the sweep, from 0.
        request: what is sent.
        words: the placeholders its prompt uses.
        labels: the names people gave to values, by key.
        swept: the keys that vary in this sweep, in the order of the axes.
        title: readable and short: `g5 s2 1:1 crab`.
    """

    index: int
    request: EditRequest
    words: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    swept: tuple[str, ...] = ()
    title: str = ""

    @property
    def params(self) -> dict[str, Any]:
        """Every request field and placeholder as plain values, and `<key>.label` for named values."""
        named = {f"{key}.label": label for key, label in self.labels.items()}
        # The first repeat is a value like the others where repeats are an axis.
        repeat = {"repeat": self.request.repeat} if "repeat" in self.swept else {}
        return {**self.request.params(), **repeat, **self.words, **named}


def make_cells(fixed: Mapping[str, Any], axes: Sequence[Axis]) -> Iterator[Cell]:
    """The cells in the order they are sent.

    Args:
        fixed: checked values by field; `images` for the references.
        axes: at least the fields `prompt` and `image` or `images` stand in one of the two.

    Raises:
        SweepError: more combinations than MAX_CELLS.
    """
    ordered = sorted(range(len(axes)), key=lambda at: not axes[at].is_replicate)
    blocks = list(_blocks(fixed, axes))
    count = sum(math.prod(len(places) for places in block) for _, block in blocks)
    if count > MAX_CELLS:
        parts = " × ".join(str(len(axis)) for axis in axes)
        raise SweepError(f"{parts} make {count} cells, allowed are at most {MAX_CELLS}")
    chosen = [(places, template) for template, block in blocks for places in itertools.product(*block)]
    # An axis that doesn't matter to a prompt stands as at its first value.
    chosen.sort(key=lambda one: [one[0][at] or 0 for at in ordered])
    titled = [(axis, _titles(axis)) for axis in axes]
    for index, (places, template) in enumerate(chosen):
        yield _cell(index, fixed, titled, places, template)


def _blocks(
    fixed: Mapping[str, Any], axes: Sequence[Axis]
) -> Iterator[tuple[str, list[Sequence[int | None]]]]:
    """For each prompt the places on every axis; None alone on one of words that the prompt doesn't use."""
    by_prompt = next((axis for axis in axes if "prompt" in axis.keys), None)
    for at in range(len(by_prompt)) if by_prompt else (0,):
        template = (
            fixed["prompt"] if by_prompt is None else by_prompt.values[at][by_prompt.keys.index("prompt")]
        )
        used = placeholders(template)
        yield (
            template,
            [
                (at,) if axis is by_prompt else range(len(axis)) if _matters(axis, used) else (None,)
                for axis in axes
            ],
        )


def _matters(axis: Axis, used: tuple[str, ...]) -> bool:
    return any(key in SWEEPABLE or key in used for key in axis.keys)


def _cell(
    index: int,
    fixed: Mapping[str, Any],
    axes: Sequence[tuple[Axis, Sequence[str]]],
    identity: Sequence[int | None],
    template: str,
) -> Cell:
    fields = dict(fixed)
    words: dict[str, str] = {}
    labels: dict[str, str] = {}
    parts: list[str] = []
    swept: list[str] = []
    used = placeholders(template)
    for (axis, titles), at in zip(axes, identity, strict=True):
        if at is None:
            continue
        for key, value in zip(axis.keys, axis.values[at], strict=True):
            if key in SWEEPABLE:
                fields["images" if key in REFERENCE_KEYS else key] = value
            elif key in used:
                words[key] = value
            else:
                continue
            swept.append("image" if key in REFERENCE_KEYS else key)
        if axis.labels[at]:
            labels.update(dict.fromkeys(_labelled_keys(axis), axis.labels[at]))
        parts.append(titles[at])
    fields["prompt"] = filled(template, words)
    title = " ".join(parts) or short_prompt(fields["prompt"])
    return Cell(index, _request(fields, title), words, labels, tuple(swept), title)


def _request(fields: Mapping[str, Any], title: str) -> EditRequest:
    try:
        return EditRequest(**fields)
    except SweepError as error:
        raise SweepError(f"cell {title}: {error}") from None


def _labelled_keys(axis: Axis) -> tuple[str, ...]:
    """A name stands for the wordy members of a pair: labels for numbers would hide them."""
    wordy = tuple(
        "image" if key in REFERENCE_KEYS else key
        for key in axis.keys
        if key in ("prompt", *REFERENCE_KEYS) or key not in SWEEPABLE
    )
    return wordy or ("image" if axis.keys[0] in REFERENCE_KEYS else axis.keys[0],)


def _titles(axis: Axis) -> list[str]:
    """The values of an axis in the titles of cells: a few words each, different where the values are."""
    columns = [
        [
            f"P{at}" if key == "prompt" else " ".join(value_text(key, value).split())
            for at, value in enumerate(values, 1)
        ]
        for key, values in zip(axis.keys, zip(*axis.values, strict=True), strict=True)
    ]
    abbreviated = [_ABBREVIATED.get(key, "") for key in axis.keys]
    parts = zip(*(shortened(column, _LONGEST_PART) for column in columns), strict=True)
    names = shortened([" ".join((label or "").split()) for label in axis.labels], _LONGEST_PART)
    return [
        name or " ".join(short + (text or "(empty)") for short, text in zip(abbreviated, texts, strict=True))
        for name, texts in zip(names, parts, strict=True)
    ]
