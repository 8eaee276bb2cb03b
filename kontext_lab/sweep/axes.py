"""Axes: what a person writes for the values of a parameter, read into checked values with labels.

Knows the request's fields and the text people type for their values; nothing of sweeps as a whole.
"""

from __future__ import annotations

import itertools
import math
import os
import re
import secrets
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
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
"""All references of a sweep together, as they are held in memory: about 500 photographs at 2 megapixels."""

NUMBER_KEYS = ("guidance_scale", "seed", "num_images", "repeat", "safety_tolerance")
CLOSED_KEYS = ("aspect_ratio", "output_format", "model")
REFERENCE_KEYS = ("image", "images")
REPLICATE_KEYS = frozenset({"seed", "repeat"})
"""Axes over these repeat a setting; they run outermost, so that what is left of a sweep stays balanced."""

SWEEPABLE = (*FIELDS, *REFERENCE_KEYS, "repeat")
"""What an axis may be named besides the placeholders of the prompt."""

LARGEST_SEED = 2**32 - 1
"""The service's own seeds are unsigned 32-bit numbers."""

LONGEST_NAME = 250
"""Characters in the name of a value."""

# At most twelve digits a side: more is no setting of this service, and would make ranges without end.
_PLAIN = r"\d{1,12}(?:\.\d{1,12})?"
_RANGE = re.compile(rf"({_PLAIN})\s*-\s*({_PLAIN})(?:\s*:\s*({_PLAIN}))?")


_Load = Callable[[Any], Reference]


@dataclass(frozen=True)
class Axis:
    """One parameter that varies, or several that vary together.

    Attributes:
        keys: request fields or placeholders; several for paired values.
        values: one entry per value, itself one checked value per key.
        labels: one entry per value: the name a person gave it, or "".
    """

    keys: tuple[str, ...]
    values: tuple[tuple[Any, ...], ...]
    labels: tuple[str, ...]

    @property
    def key(self) -> str:
        """The axis as it is written: the keys joined by `+`."""
        return "+".join(self.keys)

    @property
    def is_replicate(self) -> bool:
        """True for seeds and repeats: the same setting once more."""
        return set(self.keys) <= REPLICATE_KEYS

    def __len__(self) -> int:
        return len(self.values)


class HeldReferences:
    """The references of a sweep while they are read: equal ones are held once, all of them within a limit.

    Args:
        most: bytes they may hold together.
    """

    def __init__(self, most: int | None = None) -> None:
        self._most = MAX_HELD_BYTES if most is None else most
        self._held: dict[Reference, Reference] = {}
        self._files: dict[str, Reference] = {}
        self._bytes = 0

    def hold(self, reference: Reference) -> Reference:
        """The reference, or an equal one that is held already.

        Raises:
            SweepError: together they are too large.
        """
        if reference not in self._held:
            self._bytes += len(reference.png)
            if self._bytes > self._most:
                raise SweepError(
                    f"image: {len(self._held) + 1} references hold {self._bytes:,} bytes together, allowed are "
                    f"at most {self._most:,}; split the sweep, or lower max_megapixels"
                )
        return self._held.setdefault(reference, reference)

    def load(self, source: Any, max_megapixels: float) -> Reference:
        """A reference from what a person gave; the same file or text is read once."""
        text = os.fspath(source) if isinstance(source, str | os.PathLike) else None
        if text not in self._files:
            made = self.hold(load_reference(source, max_megapixels=max_megapixels))
            if text is None:
                return made
            self._files[text] = made
        return self._files[text]


def is_several(key: str, given: Any) -> bool:
    """Whether a value given for a field stands for an axis: a list, a range, or text for several."""
    if key in (*REFERENCE_KEYS, "price"):
        return False
    if isinstance(given, str):
        return key in (*NUMBER_KEYS, *CLOSED_KEYS) and len(_from_text(key, given)) > 1
    return not _is_one((key,), given)


def parse_axis(key: str, given: Any, *, max_megapixels: float) -> Axis:
    """Read one axis.

    Args:
        key: a field, a placeholder, or several joined by `+`.
        given: a list, a range, a mapping of names to values, or text (`1,2,5`, `1-4`, `2-8:3`, `1:1,16:9`).
        max_megapixels: how references among the values are prepared.

    Raises:
        SweepError: no values, too many, one that is not allowed, or a wrong number of paired values.

    Guidance scales that are equal at the 6 digits that are sent, as of `np.arange`, are one value.
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
    values = tuple(_entry(keys, entry, number, load) for number, entry in enumerate(entries, 1))
    if keys == ("guidance_scale",) and not any(labels):
        values = tuple(dict.fromkeys(values))
        labels = labels[: len(values)]
    return Axis(keys, _told_apart(keys, values), labels)


def check_value(key: str, value: Any, *, max_megapixels: float) -> Any:
    """One value as the request will hold it; placeholder words as text, references prepared.

    Raises:
        SweepError: the value is not allowed for this key.
    """
    return _checked(key, value, partial(load_reference, max_megapixels=max_megapixels))


def _checked(key: str, value: Any, load: _Load) -> Any:
    if key == "seed" and isinstance(value, str) and value.strip().lower() == "random":
        return secrets.randbelow(LARGEST_SEED) + 1
    if key == "image":
        return (_reference(value, load),)
    if key == "images":
        if not isinstance(value, list | tuple):
            raise SweepError("images: takes a list of 1 to 4 references, which go into one request")
        return check_field("images", tuple(_reference(one, load) for one in value))
    value = plain(value)
    if key == "prompt":
        # Its length is checked once the placeholders are filled.
        if not isinstance(value, str) or not value.strip() or CONTROL.search(value):
            raise SweepError(f"prompt: {shown(value)}, allowed is {ALLOWED['prompt']}")
        return value
    if key in (*FIELDS, "repeat", "price"):
        return check_field(key, value)
    return _word(key, value)


def value_text(key: str, value: Any) -> str:
    """A checked value as it is written in a label, a YAML file or a digest."""
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
    """Labels and raw values, before they are checked."""
    if isinstance(given, Mapping):
        return _names("+".join(keys), given), list(given.values())
    if isinstance(given, str):
        if len(keys) > 1 or keys[0] not in (*NUMBER_KEYS, *CLOSED_KEYS):
            raise SweepError(f"axis {'+'.join(keys)!r}: {given[:60]!r} is text, give a list of values")
        entries: list[Any] = _from_text(keys[0], given)
    elif isinstance(given, set | frozenset):
        raise SweepError(f"axis {'+'.join(keys)!r}: a set has no order, give a list of values")
    elif given is None:
        entries = []
    elif _is_one(keys, given):
        entries = [given]
    else:
        entries = list(itertools.islice(given, MAX_CELLS + 1))
    return ("",) * len(entries), entries


def _is_one(keys: tuple[str, ...], given: Any) -> bool:
    """Whether what was given is a single value, though some of those can be iterated over."""
    if isinstance(given, np.ndarray):
        # The rows of an array that is a picture are no pictures.
        return given.ndim == 0 or (given.ndim <= 3 and any(key in REFERENCE_KEYS for key in keys))
    return isinstance(given, str | bytes | bytearray | memoryview) or not isinstance(given, Iterable)


def _names(key: str, given: Mapping[Any, Any]) -> tuple[str, ...]:
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
    return names


def _entry(keys: tuple[str, ...], entry: Any, number: int, load: _Load) -> tuple[Any, ...]:
    where = f"axis {'+'.join(keys)!r}, value {number}"
    parts = (entry,) if len(keys) == 1 else list(entry) if isinstance(entry, np.ndarray) else entry
    if not isinstance(parts, list | tuple) or len(parts) != len(keys):
        raise SweepError(
            f"{where}: {shown(entry, 60)}, needs {len(keys)} values, one for each of {', '.join(keys)}"
        )
    try:
        return tuple(_checked(key, part, load) for key, part in zip(keys, parts, strict=True))
    except SweepError as error:
        raise type(error)(f"{where}: {error}") from None


def _from_text(key: str, text: str) -> list[Any]:
    """`1,2,5`, `1-4`, `2-8:3` for numbers, comma lists for closed sets."""
    values: list[Any] = []
    if not text.strip():
        return values
    for part in (piece.strip() for piece in text.split(",", MAX_CELLS)):
        found = _RANGE.fullmatch(part) if key in NUMBER_KEYS else None
        if found:
            values.extend(_from_range(key, part, *found.groups()))
        elif part:
            values.append(part)
        else:
            raise SweepError(f"axis {key!r}: {text[:60]!r} has an empty place between commas")
        if len(values) > MAX_CELLS:
            raise SweepError(
                f"axis {key!r}: more than {MAX_CELLS} values, allowed are at most {MAX_CELLS} cells"
            )
    return values


def _from_range(key: str, part: str, low: str, high: str, step: str | None) -> list[str]:
    start, end, pace = Decimal(low), Decimal(high), Decimal(step or 1)
    if pace == 0:
        raise SweepError(f"axis {key!r}: {part!r} has step 0")
    if end < start:
        raise SweepError(f"axis {key!r}: {part!r} ends before it starts")
    count = int((end - start) / pace) + 1
    if count > MAX_CELLS:
        raise SweepError(f"axis {key!r}: {part!r} has {count} values, allowed are at most {MAX_CELLS}")
    return [format((start + index * pace).normalize(), "f") for index in range(count)]


def _word(key: str, value: Any) -> str:
    """A word for a placeholder; numbers are written out."""
    if isinstance(value, str) and not CONTROL.search(value):
        return value
    short = isinstance(value, int) and not isinstance(value, bool) and value.bit_length() <= LONGEST_INTEGER
    if short or (isinstance(value, float) and math.isfinite(value)):
        return decimal_text(value)
    raise SweepError(f"{key}: {shown(value)} is no word, allowed are text and numbers")


def _told_apart(keys: tuple[str, ...], values: tuple[tuple[Any, ...], ...]) -> tuple[tuple[Any, ...], ...]:
    """Different references of one name get a number each: results are picked and labelled by the name."""
    named: dict[Reference, Reference] = {}
    taken: set[str] = set()
    numbers: Counter[str] = Counter()

    def told_apart(reference: Reference) -> Reference:
        if reference not in named:
            name = reference.name
            while name in taken:
                numbers[reference.name] += 1
                name = f"{reference.name} {numbers[reference.name] + 1}"
            taken.add(name)
            named[reference] = replace(reference, name=name)
        return named[reference]

    return tuple(
        tuple(
            tuple(told_apart(one) for one in part) if key in REFERENCE_KEYS else part
            for key, part in zip(keys, entry, strict=True)
        )
        for entry in values
    )


def _reference(value: Any, load: _Load) -> Reference:
    if isinstance(value, list | tuple):
        raise SweepError(
            "image: takes one reference; several in one request are images=[…], "
            'one after the other an axis {"image": […]}'
        )
    return load(value)
