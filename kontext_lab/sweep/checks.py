"""What is wrong with a sweep's keys, and what is allowed but probably not meant."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from kontext_lab.errors import SweepError, meant
from kontext_lab.images import Box, Boxes, Reference
from kontext_lab.request import ASPECT_RATIOS, MATCH_INPUT, find_model
from kontext_lab.sweep.axes import REFERENCE_KEYS, SWEEPABLE, Axis
from kontext_lab.sweep.cells import Cell
from kontext_lab.sweep.wording import placeholders

__all__ = [
    "check_keys",
    "check_name",
    "prompts",
    "read_templates",
    "reference_names",
    "transferred",
    "warnings",
]

_RESERVED = frozenset(
    (
        *SWEEPABLE,
        *("price", "name", "note", "axes", "max_megapixels", "protect"),
        *("output", "state", "reason", "cost", "latency_s", "width", "height", "sha256"),
        *("reused_from", "run_id", "file", "truncated", "made"),
    )
)
"""No placeholders: arguments of a sweep, columns of its table, a parameter of MLflow's own."""


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
    """Every key is known and given once, and every placeholder has words.

    Raises:
        SweepError: names the key and what to do about it.
    """
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
    _check_used(keys, templates)


def read_templates(given: Mapping[str, Any], axes: Mapping[Any, Any]) -> list[str] | None:
    """Every text that may be a prompt, before it is checked; None where prompts can be read only once."""
    by_prompt = [value for key, value in axes.items() if "prompt" in str(key)]
    try:
        return [text for value in (given.get("prompt"), *by_prompt) for text in _texts(value, 3)]
    except TypeError:
        return None


def check_name(key: str, templates: Sequence[str] | None) -> None:
    """An axis has a name that can be one: looked at before its values, which say less of what was meant.

    Raises:
        SweepError: names the axis, and what was meant by it.
    """
    if templates is not None:
        _check_used([part.strip() for part in key.split("+")], templates)


def _texts(value: Any, depth: int) -> Iterator[str]:
    # Prompts, or pairs with prompts in them: whatever is nested deeper may have no end.
    if isinstance(value, str):
        yield value
    elif isinstance(value, Axis):
        yield from _texts(value.values, depth)
    elif isinstance(value, Mapping | list | tuple):
        parts = value.values() if isinstance(value, Mapping) else value
        for part in parts if depth else ():
            yield from _texts(part, depth - 1)
    elif isinstance(value, Iterable):
        raise TypeError


def _check_used(keys: Sequence[str], templates: Sequence[str]) -> None:
    """Every key is a field, or a placeholder of a prompt."""
    used = {name for prompt in templates for name in placeholders(prompt)}
    for key in keys:
        if not key or key in used or key in SWEEPABLE:
            continue
        if not key.isidentifier() and any(f"{{{key}}}" in prompt for prompt in templates):
            name = re.sub(r"\W", "_", key)
            raise SweepError(
                f"axis {key!r}: a placeholder's name is of letters, digits and _ and begins with none of the "
                f"digits: write {{{name if name.isidentifier() else '_' + name}}} in the prompt, and name the axis so"
            )
        hint = meant(key, [*used, *SWEEPABLE])
        raise SweepError(
            f"axis {key!r}: no prompt uses {{{key}}}, and it is no field; {hint}fields are {', '.join(SWEEPABLE)}"
        )


def reference_names(cells: Iterable[Cell]) -> dict[Reference, str]:
    """A name for each reference of a sweep: its label on the axis, else its own, numbered where others have the same."""
    found: dict[Reference, str] = {}
    taken: Counter[str] = Counter()
    for cell in cells:
        images = cell.request.images
        label = cell.labels.get("image", "") if len(images) == 1 else ""
        for one in images:
            if one not in found:
                name = label or one.name
                taken[name] += 1
                found[one] = name if taken[name] == 1 else f"{name} {taken[name]}"
    return found


def transferred(
    boxes: Mapping[Reference, Boxes], references: Sequence[Reference]
) -> tuple[dict[Reference, Boxes], str]:
    """Boxes of earlier references as boxes of those that stand in their place, by registration.

    Args:
        boxes: by their references.
        references: those that there are now.

    Returns:
        The boxes, and a line on what was moved or dropped, "" where nothing was.
    """
    found = {one: boxes[one] for one in references if one in boxes}
    gone = {one: own for one, own in boxes.items() if one not in found and own}
    if not gone:
        return found, ""
    moved: dict[str, None] = {}
    for one in references:
        if one not in boxes and (carried := _carried(gone, one)):
            found[one] = carried
            moved |= dict.fromkeys(carried)
    names = dict.fromkeys(name for own in gone.values() for name in own)
    lost = [name for name in names if name not in moved]
    told = [f"moved to where the new reference shows them: {', '.join(moved)}"] if moved else []
    told += [f"dropped, since the new reference doesn't show them: {', '.join(lost)}"] if lost else []
    return found, f"protect: {'; '.join(told)}"


def _carried(gone: Mapping[Reference, Boxes], reference: Reference) -> dict[str, Box]:
    from kontext_lab.metrics import boxes_in_output, compare  # noqa: PLC0415 - takes a second, which few sweeps need

    earlier = [one for one in gone if one.png]
    if not earlier or not reference.png:
        return {}
    found = compare(earlier, reference)
    return {} if found.matrix is None else boxes_in_output(gone[earlier[found.reference]], found.matrix)


def warnings(axes: Sequence[Axis], cells: Sequence[Cell]) -> tuple[str, ...]:
    """What is allowed but probably not meant, a line each."""
    return (*_same_size(cells), *_ignored(axes, cells), *_long_prompts(cells), *_no_placeholders(cells))


def _same_size(cells: Sequence[Cell]) -> list[str]:
    sizes: dict[tuple[int, int], set[str]] = {}
    for cell in cells:
        size = cell.request.expected_size
        if size != (0, 0):
            sizes.setdefault(size, set()).add(cell.request.aspect_ratio)
    order = (MATCH_INPUT, *ASPECT_RATIOS)
    return [
        f"aspect ratios {' and '.join(sorted(ratios, key=order.index))} give one size, {width}x{height}"
        for (width, height), ratios in sizes.items()
        if len(ratios) > 1
    ]


def _ignored(axes: Sequence[Axis], cells: Sequence[Cell]) -> list[str]:
    swept = {key for axis in axes for key in axis.keys}
    models = [
        found for name in dict.fromkeys(cell.request.model for cell in cells) if (found := find_model(name))
    ]
    return [
        f"{key} is an axis, but on {model.short} {why}"
        for model in models
        for key, why in model.ignored.items()
        if key in swept
    ]


def _long_prompts(cells: Sequence[Cell]) -> list[str]:
    # English text has about 1.3 tokens a word or sign; the model cuts at 512.
    lengths = {
        cell.request.prompt: round(len(re.findall(r"\w+|[^\w\s]", cell.request.prompt)) * 1.3)
        for cell in cells
    }
    longest = max(lengths.values(), default=0)
    return [f"a prompt has about {longest} tokens: the model cuts at 512"] if longest > 512 else []


def _no_placeholders(cells: Sequence[Cell]) -> list[str]:
    """Braces around a word or two are meant as a placeholder more often than as text."""
    near = re.compile(r"\{ *[^\W\d][\w .-]{0,40}\}")
    prompts = dict.fromkeys(cell.request.prompt for cell in cells)
    found = dict.fromkeys(text for prompt in prompts for text in near.findall(prompt))
    return [
        f"{text} is sent as it stands: a placeholder's name is of letters, digits and _"
        for text in found
        if not placeholders(text)
    ][:3]
