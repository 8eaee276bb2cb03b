"""Axes: the values of a parameter as a person writes them, read into checked values with labels.

Knows the request's fields and the text people type for their values; nothing of sweeps as a whole.
"""

from __future__ import annotations

import itertools
import math
import os
import re
import secrets
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import partial
from typing import Any

import numpy as np

from kontext_lab.errors import SweepError, shown
from kontext_lab.images import Reference, load_reference
from kontext_lab.request import (
    ALLOWED,
    CONTROL,
    FIELDS,
    LONGEST_INTEGER,
    check_field,
    decimal_text,
    find_model,
    plain,
)

__all__ = [
    "MAX_CELLS",
    "REFERENCE_KEYS",
    "REPLICATE_KEYS",
    "SWEEPABLE",
    "Axis",
    "HeldReferences",
    "check_value",
    "is_several",
    "parse_axis",
    "value_text",
]

MAX_CELLS = 10_000
"""A sweep with more cells than this is a mistake before it is a bill."""

MAX_HELD_BYTES = 2 * 1024**3
"""All references of a sweep together, as held in memory: about 500 photographs at 2 megapixels."""

NUMBER_KEYS = ("guidance_scale", "seed", "num_images", "repeat", "safety_tolerance")
CLOSED_KEYS = ("aspect_ratio", "output_format", "model")
REFERENCE_KEYS = ("image", "images")
REPLICATE_KEYS = frozenset({"seed", "repeat"})
"""Axes over these repeat a setting; they run outermost, so that an interrupted sweep stays balanced."""

SWEEPABLE = (*FIELDS, *REFERENCE_KEYS, "repeat")
"""Keys of an axis besides the placeholders of the prompt."""

LARGEST_SEED = 2**32 - 1
"""The service's own seeds are unsigned 32-bit numbers."""

LONGEST_NAME = 250
"""Characters in the name of a value."""

# At most twelve digits a side: the service has no larger settings, and ranges of them would not end.
_PLAIN = r"\d{1,12}(?:\.\d{1,12})?"
_RANGE = re.compile(rf"({_PLAIN})\s*-\s*({_PLAIN})(?:\s*:\s*({_PLAIN}))?")

_Load = Callable[[Any], Reference]


@dataclass(frozen=True)
class Axis:
    """One parameter that varies, or several that vary together.

    Attributes:
        keys: request fields or placeholders; several for paired values.
        values: one entry per value, itself one checked value per key.
        labels: one entry per value: its name, or "" for a value without a name.
    """

    keys: tuple[str, ...]
    values: tuple[tuple[Any, ...], ...]
    labels: tuple[str, ...]

    @property
    def key(self) -> str:
        """The keys joined by `+`."""
        return "+".join(self.keys)

    @property
    def is_replicate(self) -> bool:
        """True for seeds and repeats, which run the same setting again."""
        return set(self.keys) <= REPLICATE_KEYS

    def __len__(self) -> int:
        return len(self.values)

    def changed(self, change: Callable[[str, Any], Any]) -> Axis:
        """The axis with `change(key, value)` in place of each value."""
        values = (
            tuple(change(key, value) for key, value in zip(self.keys, entry, strict=True))
            for entry in self.values
        )
        return replace(self, values=tuple(values))

    def written(self, write: Callable[[str, Any], Any]) -> Any:
        """The values as a person gives them, each one by `write(key, value)`: a list, or a mapping by name."""
        rows = [list(entry) for entry in self.changed(write).values]
        entries = rows if len(self.keys) > 1 else [row[0] for row in rows]
        return dict(zip(self.labels, entries, strict=True)) if any(self.labels) else entries


class HeldReferences:
    """The references of a sweep while they are read: equal ones are held once, all within MAX_HELD_BYTES."""

    def __init__(self) -> None:
        self._held: dict[Reference, Reference] = {}
        self._files: dict[str, Reference] = {}
        self._bytes = 0

    def hold(self, reference: Reference) -> Reference:
        """The reference, or an equal one that is held already; a SweepError if they are too large together."""
        if reference not in self._held:
            self._bytes += len(reference.png)
            if self._bytes > MAX_HELD_BYTES:
                raise SweepError(
                    f"image: {len(self._held) + 1} references hold {self._bytes:,} bytes together, allowed are "
                    f"at most {MAX_HELD_BYTES:,}; split the sweep, or lower max_megapixels"
                )
        return self._held.setdefault(reference, reference)

    def load(self, source: Any, max_megapixels: float) -> Reference:
        """Load a reference; the same file or text is read once."""
        text = os.fspath(source) if isinstance(source, str | os.PathLike) else None
        if text in self._files:
            return self._files[text]
        reference = self.hold(load_reference(source, max_megapixels=max_megapixels))
        if text is not None:
            self._files[text] = reference
        return reference


def is_several(key: str, given: Any) -> bool:
    """True if the value of a field makes an axis: a list, a range, or text for several values."""
    if key in (*REFERENCE_KEYS, "price"):
        return False
    if isinstance(given, str):
        return (
            key in (*NUMBER_KEYS, *CLOSED_KEYS) and len(list(itertools.islice(_from_text(key, given), 2))) > 1
        )
    return not _is_one((key,), given)


def parse_axis(key: str, given: Any, *, max_megapixels: float) -> Axis:
    """Read one axis from a list, a range, a mapping of names to values, or text (`1,2,5`, `1-4`, `2-8:3`, `1:1,16:9`).

    Guidance scales that are equal at the 6 digits that are sent, such as those of `np.arange`, are one value.

    Raises:
        SweepError: no values, too many, a value that is not allowed, or a wrong number of paired values.
    """
    keys = tuple(part.strip() for part in key.split("+"))
    key = "+".join(keys)
    if len(set(keys)) != len(keys) or not all(keys):
        raise SweepError(f"axis {key!r}: joins different keys by +, as in 'prompt+guidance_scale'")
    labels, entries = _entries(keys, given)
    if not entries:
        raise SweepError(f"axis {key!r}: has no values, give at least one")
    if len(entries) > MAX_CELLS:
        raise SweepError(f"axis {key!r}: more than {MAX_CELLS} values, allowed are at most {MAX_CELLS} cells")
    load = partial(HeldReferences().load, max_megapixels=max_megapixels)
    checked = []
    for number, entry in enumerate(entries, 1):
        where = f"axis {key!r}, value {number}"
        parts = (entry,) if len(keys) == 1 else list(entry) if isinstance(entry, np.ndarray) else entry
        if not isinstance(parts, list | tuple) or len(parts) != len(keys):
            needed = f"{len(keys)} values, one for each of {', '.join(keys)}"
            raise SweepError(f"{where}: {shown(entry, 60)}, needs {needed}")
        try:
            checked.append(tuple(_checked(name, part, load) for name, part in zip(keys, parts, strict=True)))
        except SweepError as error:
            raise type(error)(f"{where}: {error}") from None
    values = tuple(checked)
    if keys == ("guidance_scale",) and not any(labels):
        values = tuple(dict.fromkeys(values))
        labels = labels[: len(values)]
    return _distinct_names(Axis(keys, values, labels))


def check_value(key: str, value: Any, *, max_megapixels: float) -> Any:
    """One value as a request holds it: placeholder words as text, references prepared; else a SweepError."""
    return _checked(key, value, partial(load_reference, max_megapixels=max_megapixels))


def _checked(key: str, value: Any, load: _Load) -> Any:
    if key == "seed" and isinstance(value, str) and value.strip().lower() == "random":
        return secrets.randbelow(LARGEST_SEED) + 1
    if key in REFERENCE_KEYS:
        if key == "images" and not isinstance(value, list | tuple):
            raise SweepError("images: takes a list of 1 to 4 references, which go into one request")
        references = value if key == "images" else (value,)
        if any(isinstance(reference, list | tuple) for reference in references):
            raise SweepError(
                "image: takes one reference; several in one request are images=[…], "
                'one after the other an axis {"image": […]}'
            )
        loaded = tuple(load(reference) for reference in references)
        return check_field("images", loaded) if key == "images" else loaded
    value = plain(value)
    if key == "prompt":
        # Its length is checked once the placeholders are filled.
        if not isinstance(value, str) or not value.strip() or CONTROL.search(value):
            raise SweepError(f"prompt: {shown(value)}, allowed is {ALLOWED['prompt']}")
        return value
    if key in (*FIELDS, "repeat", "price"):
        return check_field(key, value)
    # A word for a placeholder; numbers are written out.
    if isinstance(value, str) and not CONTROL.search(value):
        return value
    short = isinstance(value, int) and not isinstance(value, bool) and value.bit_length() <= LONGEST_INTEGER
    if short or (isinstance(value, float) and math.isfinite(value)):
        return decimal_text(value)
    raise SweepError(f"{key}: {shown(value)} is not a word, allowed are text and numbers")


def value_text(key: str, value: Any) -> str:
    """A checked value as text, for labels, YAML files and digests."""
    if value is None:
        return "default"
    if key in REFERENCE_KEYS:
        return " + ".join(reference.name for reference in value)
    if key == "model":
        known = find_model(value)
        return known.short if known else str(value)
    value = plain(value)
    return decimal_text(value) if isinstance(value, int | float) and value is not True else str(value)


def _entries(keys: tuple[str, ...], given: Any) -> tuple[tuple[str, ...], list[Any]]:
    """Labels and values, before they are checked."""
    key = "+".join(keys)
    if isinstance(given, Mapping):
        names = tuple(" ".join(str(name).split()) for name in given)
        times = Counter(names)
        for name in names:
            if not name or len(name) > LONGEST_NAME or CONTROL.search(name):
                raise SweepError(
                    f"axis {key!r}: {shown(name)} names a value, allowed are 1 to {LONGEST_NAME} characters, "
                    "none of them control characters"
                )
            if times[name] > 1:
                raise SweepError(f"axis {key!r}: {shown(name)} names two values")
        return names, list(given.values())
    if isinstance(given, str):
        if len(keys) > 1 or keys[0] not in (*NUMBER_KEYS, *CLOSED_KEYS):
            raise SweepError(f"axis {key!r}: {given[:60]!r} is text, give a list of values")
        given = _from_text(keys[0], given)
    elif isinstance(given, set | frozenset):
        raise SweepError(f"axis {key!r}: a set has no order, give a list of values")
    elif given is None:
        given = []
    elif _is_one(keys, given):
        given = [given]
    entries = list(itertools.islice(given, MAX_CELLS + 1))
    return ("",) * len(entries), entries


def _is_one(keys: tuple[str, ...], given: Any) -> bool:
    """True for a single value, also if it can be iterated over."""
    if isinstance(given, np.ndarray):
        # The rows of a picture's array are not pictures.
        return given.ndim == 0 or (given.ndim <= 3 and any(key in REFERENCE_KEYS for key in keys))
    return isinstance(given, str | bytes | bytearray | memoryview) or not isinstance(given, Iterable)


def _from_text(key: str, text: str) -> Iterator[str]:
    """`1,2,5`, `1-4`, `2-8:3` for numbers, comma lists for closed sets."""
    parts = text.split(",", MAX_CELLS) if text.strip() else []
    for part in map(str.strip, parts):
        if not part:
            raise SweepError(f"axis {key!r}: {text[:60]!r} has an empty place between commas")
        match = _RANGE.fullmatch(part) if key in NUMBER_KEYS else None
        if match is None:
            yield part
            continue
        start, end, step = Decimal(match[1]), Decimal(match[2]), Decimal(match[3] or 1)
        if step == 0:
            raise SweepError(f"axis {key!r}: {part!r} has step 0")
        if end < start:
            raise SweepError(f"axis {key!r}: {part!r} ends before it starts")
        count = int((end - start) / step) + 1
        if count > MAX_CELLS:
            raise SweepError(f"axis {key!r}: {part!r} has {count} values, allowed are at most {MAX_CELLS}")
        yield from (format((start + index * step).normalize(), "f") for index in range(count))


def _distinct_names(axis: Axis) -> Axis:
    """The axis with a number after the name of different references with one name, since names pick and label."""
    named: dict[Reference, Reference] = {}
    taken: set[str] = set()

    def renamed(key: str, value: Any) -> Any:
        if key not in REFERENCE_KEYS:
            return value
        for reference in value:
            if reference not in named:
                numbered = (f"{reference.name} {number}" for number in itertools.count(2))
                name = next(one for one in itertools.chain([reference.name], numbered) if one not in taken)
                taken.add(name)
                named[reference] = replace(reference, name=name)
        return tuple(named[reference] for reference in value)

    return axis.changed(renamed)
