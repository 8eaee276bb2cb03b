"""Cells of a sweep: fixed parameters and axes become one request per combination of values, and are checked.

Replicates run outermost: a budget, a stop or a crash leaves a balanced design.
"""

from __future__ import annotations

import itertools
import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from kontext_lab.errors import SweepError, meant
from kontext_lab.images import Boxes, Reference
from kontext_lab.request import ASPECT_RATIOS, MATCH_INPUT, EditRequest, find_model
from kontext_lab.sweep.axes import MAX_CELLS, REFERENCE_KEYS, SWEEPABLE, Axis, value_text
from kontext_lab.sweep.wording import filled, placeholders, short_prompt, shortened

__all__ = ["Cell", "check_keys", "check_used", "make_cells", "prompts", "transferred", "warnings"]

_ABBREVIATED = {"guidance_scale": "g", "seed": "s", "safety_tolerance": "t", "num_images": "n", "repeat": "r"}
_LONGEST_PART = 30

_RESERVED = frozenset(
    (
        *SWEEPABLE,
        *("price", "name", "note", "axes", "max_megapixels", "protect"),
        *("output", "state", "reason", "cost", "latency_s", "width", "height", "sha256"),
        *("reused_from", "run_id", "file", "truncated", "made"),
    )
)
"""Names that placeholders can't have: arguments of a sweep, columns of its table, a parameter of MLflow."""


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
    """The cells in the order they are sent; prompt and references are either fixed or an axis."""
    by_prompt = next((axis for axis in axes if "prompt" in axis.keys), None)
    templates = [fixed["prompt"]] if by_prompt is None else prompts(fixed, axes)
    blocks: list[tuple[str, list[Sequence[int | None]]]] = []
    for number, template in enumerate(templates):
        used = placeholders(template)
        # Positions on every axis; None alone on one of words that this prompt doesn't use.
        positions: list[Sequence[int | None]] = [
            (number,)
            if axis is by_prompt
            else range(len(axis))
            if any(key in SWEEPABLE or key in used for key in axis.keys)
            else (None,)
            for axis in axes
        ]
        blocks.append((template, positions))
    count = sum(math.prod(len(positions) for positions in block) for _, block in blocks)
    if count > MAX_CELLS:
        parts = " × ".join(str(len(axis)) for axis in axes)
        raise SweepError(f"{parts} make {count} cells, allowed are at most {MAX_CELLS}")
    combinations = [(chosen, template) for template, block in blocks for chosen in itertools.product(*block)]
    # An axis that a prompt doesn't use counts as at its first value.
    order = sorted(range(len(axes)), key=lambda number: not axes[number].is_replicate)
    combinations.sort(key=lambda combination: [combination[0][number] or 0 for number in order])
    titled = [(axis, _titles(axis)) for axis in axes]
    for index, (chosen, template) in enumerate(combinations):
        yield _cell(index, fixed, titled, chosen, template)


def _cell(
    index: int,
    fixed: Mapping[str, Any],
    axes: Sequence[tuple[Axis, Sequence[str]]],
    positions: Sequence[int | None],
    template: str,
) -> Cell:
    fields = dict(fixed)
    words: dict[str, str] = {}
    labels: dict[str, str] = {}
    parts: list[str] = []
    swept: list[str] = []
    used = placeholders(template)
    for (axis, titles), position in zip(axes, positions, strict=True):
        if position is None:
            continue
        for key, value in zip(axis.keys, axis.values[position], strict=True):
            if key in SWEEPABLE:
                fields["images" if key in REFERENCE_KEYS else key] = value
            elif key in used:
                words[key] = value
            else:
                continue
            swept.append("image" if key in REFERENCE_KEYS else key)
        if axis.labels[position]:
            # A name labels the wordy members of a pair: labels for numbers would hide them.
            names = ["image" if key in REFERENCE_KEYS else key for key in axis.keys]
            wordy = [name for name in names if name in ("prompt", "image") or name not in SWEEPABLE]
            labels.update(dict.fromkeys(wordy or names[:1], axis.labels[position]))
        parts.append(titles[position])
    fields["prompt"] = filled(template, words)
    title = " ".join(parts) or short_prompt(fields["prompt"])
    try:
        request = EditRequest(**fields)
    except SweepError as error:
        raise SweepError(f"cell {title}: {error}") from None
    return Cell(index, request, words, labels, tuple(swept), title)


def _titles(axis: Axis) -> list[str]:
    """The values of an axis as parts of cell titles: a few words each, different for different values."""
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


def prompts(fixed: Mapping[str, Any], axes: Sequence[Axis]) -> list[str]:
    """Every prompt of a sweep, with its placeholders."""
    from_axes = [
        str(entry[axis.keys.index("prompt")])
        for axis in axes
        if "prompt" in axis.keys
        for entry in axis.values
    ]
    return from_axes or ([str(fixed["prompt"])] if "prompt" in fixed else [])


def check_keys(fixed: Mapping[str, Any], axes: Sequence[Axis]) -> None:
    """Raise a SweepError unless every key is known and given once, and every placeholder has words."""
    keys = [("images" if key in REFERENCE_KEYS else key) for axis in axes for key in axis.keys]
    times = Counter(keys)
    for key in keys:
        if times[key] > 1:
            raise SweepError(f"axis {key!r}: stands in more than one axis")
        if key in fixed:
            raise SweepError(f"{key}: is given as a fixed value and as an axis, choose one")
    templates = prompts(fixed, axes)
    if not templates:
        raise SweepError("prompt: is missing, say what to change")
    if "images" not in (*keys, *fixed):
        raise SweepError("image: is missing, give one reference, or images=[…] for up to 4 in one request")
    used = {name for prompt in templates for name in placeholders(prompt)}
    for name in sorted(used):
        if name in _RESERVED or len(name) > 200:
            raise SweepError(
                f"prompt: {{{name:.60}}} has the name of a field, choose another word, "
                f"or write {{{{{name:.60}}}}} for the text itself"
            )
        if name not in keys:
            hint = meant(name, [key for key in keys if key not in used and key not in SWEEPABLE])
            raise SweepError(
                f'prompt: {{{name}}} has no values: {hint}give axes={{"{name}": […]}}, '
                f"or write {{{{{name}}}}} for the text itself"
            )
    check_used(keys, templates)


def check_used(keys: Sequence[str], templates: Sequence[str]) -> None:
    """Raise a SweepError unless every key is a field, or a placeholder of a prompt; it names what may be meant."""
    used = {name for prompt in templates for name in placeholders(prompt)}
    for key in keys:
        if not key or key in used or key in SWEEPABLE:
            continue
        if not key.isidentifier() and any(f"{{{key}}}" in prompt for prompt in templates):
            name = re.sub(r"\W", "_", key)
            raise SweepError(
                f"axis {key!r}: a placeholder's name consists of letters, digits and _, and doesn't begin with a "
                f"digit: write {{{name if name.isidentifier() else '_' + name}}} in the prompt, and name the axis so"
            )
        hint = meant(key, [*used, *SWEEPABLE])
        raise SweepError(
            f"axis {key!r}: no prompt uses {{{key}}}, and it is not a field; {hint}fields are {', '.join(SWEEPABLE)}"
        )


def transferred(
    boxes: Mapping[Reference, Boxes], references: Sequence[Reference]
) -> tuple[dict[Reference, Boxes], str]:
    """Boxes of earlier references, moved by registration to the present references that replace them.

    Returns the boxes, and a line on the moved or dropped ones, "" if there are none.
    """
    kept = {reference: boxes[reference] for reference in references if reference in boxes}
    gone = {reference: own for reference, own in boxes.items() if reference not in kept and own}
    if not gone:
        return kept, ""
    earlier = [reference for reference in gone if reference.png]
    moved: dict[str, None] = {}
    for reference in references:
        if reference in boxes or not earlier or not reference.png:
            continue
        from kontext_lab.metrics import boxes_in_output, compare  # noqa: PLC0415 - takes a second, for few sweeps

        comparison = compare(earlier, reference)
        if comparison.matrix is None:
            continue
        if carried := boxes_in_output(gone[earlier[comparison.reference]], comparison.matrix):
            kept[reference] = carried
            moved |= dict.fromkeys(carried)
    names = dict.fromkeys(name for own in gone.values() for name in own)
    lost = [name for name in names if name not in moved]
    parts = [f"moved to their place in the new reference: {', '.join(moved)}"] if moved else []
    parts += [f"dropped, since the new reference doesn't show them: {', '.join(lost)}"] if lost else []
    return kept, f"protect: {'; '.join(parts)}"


def warnings(axes: Sequence[Axis], cells: Sequence[Cell]) -> tuple[str, ...]:
    """Legal but probably unintended settings, a line each."""
    sizes: dict[tuple[int, int], set[str]] = {}
    for cell in cells:
        if cell.request.expected_size != (0, 0):
            sizes.setdefault(cell.request.expected_size, set()).add(cell.request.aspect_ratio)
    order = (MATCH_INPUT, *ASPECT_RATIOS)
    lines = [
        f"aspect ratios {' and '.join(sorted(ratios, key=order.index))} give one size, {width}x{height}"
        for (width, height), ratios in sizes.items()
        if len(ratios) > 1
    ]
    swept = {key for axis in axes for key in axis.keys}
    for name in dict.fromkeys(cell.request.model for cell in cells):
        if model := find_model(name):
            ignored = [(key, why) for key, why in model.ignored.items() if key in swept]
            lines += [f"{key} is an axis, but on {model.short} {why}" for key, why in ignored]
    sent = list(dict.fromkeys(cell.request.prompt for cell in cells))
    # English text has about 1.3 tokens a word or sign; the model cuts at 512.
    longest = max((round(len(re.findall(r"\w+|[^\w\s]", prompt)) * 1.3) for prompt in sent), default=0)
    if longest > 512:
        lines.append(f"a prompt has about {longest} tokens: the model cuts at 512")
    # Braces around a word or two are meant as a placeholder more often than as text.
    near = re.compile(r"\{ *[^\W\d][\w .-]{0,40}\}")
    braced = dict.fromkeys(text for prompt in sent for text in near.findall(prompt))
    literal = [text for text in braced if not placeholders(text)][:3]
    rule = "a placeholder's name consists of letters, digits and _"
    return (*lines, *(f"{text} is sent as it stands: {rule}" for text in literal))
