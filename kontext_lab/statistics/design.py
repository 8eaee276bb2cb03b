"""The design of a study: what varied, and at which value of every axis each picture stands.

Axes whose values always go together are one axis here: what they do can't be told apart. Knows nothing of what
was measured.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kontext_lab.errors import visible
from kontext_lab.results import CellResult, Output, Results, distinct, prompt_template, value_token
from kontext_lab.sweep.axes import REPLICATE_KEYS, value_text

__all__ = ["Codes", "Design", "Factor", "Level", "Observation", "grouped", "read_design"]

Codes = NDArray[np.intp]
"""One whole number per shot: which value, or which group, it belongs to."""

OUTPUT = "output"
_REPEATS = REPLICATE_KEYS | {OUTPUT}
_BLOCKS = _REPEATS | {"image"}
"""What is held together where values of another axis are compared: the same seed, and the same reference."""


@dataclass(frozen=True, eq=False)
class Observation:
    """One output of one cell, also where it never came."""

    cell: CellResult
    number: int
    output: Output | None


@dataclass(frozen=True)
class Level:
    """One value of an axis: how it is shown, its whole text, the number it is, and whether it stands for none."""

    label: str
    full: str = ""
    number: float | None = None
    absent: bool = False


@dataclass(frozen=True, eq=False)
class Factor:
    """An axis with at least two values.

    Attributes:
        keys: the parameters it consists of.
        levels: its values: numbers by size, others in order of appearance.
        codes: for every shot the place of its value in `levels`.
    """

    keys: tuple[str, ...]
    levels: tuple[Level, ...]
    codes: Codes

    @property
    def name(self) -> str:
        """As an axis is written."""
        return "+".join(self.keys)

    @property
    def repeats(self) -> bool:
        """Whether it only repeats a setting."""
        return set(self.keys) <= _REPEATS

    @property
    def blocks(self) -> bool:
        """Whether values of other axes are compared within one value of this."""
        return set(self.keys) <= _BLOCKS

    @property
    def numeric(self) -> bool:
        """Whether its values lie on a scale; the numbers of seeds mean nothing."""
        return not self.repeats and all(level.number is not None for level in self.levels)


@dataclass(frozen=True, eq=False)
class Design:
    """Shots and the axes they stand on.

    Attributes:
        shots: every output of every cell.
        factors: what varies, in the order of the sweep.
        services: which service answered, as codes: pictures of two services are never matched.
    """

    shots: tuple[Observation, ...]
    factors: tuple[Factor, ...]
    services: Codes

    def part(self, chosen: NDArray[np.bool_]) -> Design:
        """Only some of the shots, on the same axes."""
        shots = tuple(shot for shot, kept in zip(self.shots, chosen, strict=True) if kept)
        factors = tuple(Factor(one.keys, one.levels, one.codes[chosen]) for one in self.factors)
        return Design(shots, factors, self.services[chosen])

    def groups(self, factors: Sequence[Factor]) -> Codes:
        """Which shots agree in these axes and in their service."""
        return grouped([self.services, *(one.codes for one in factors)])

    def blocking(self, factor: Factor) -> list[Factor]:
        """The axes within one value of which the values of an axis are compared."""
        return [one for one in self.factors if one.blocks and one is not factor]

    def blocks_for(self, factor: Factor) -> Codes:
        """Which shots are compared with each other along an axis: the same seed, reference, repeat and output."""
        return self.groups(self.blocking(factor))

    def settings_for(self, factor: Factor) -> Codes:
        """Which shots differ in nothing but one axis, and in what that axis decides on."""
        inside = self.inside(factor)
        return self.groups([one for one in self.factors if one is not factor and one not in inside])

    def inside(self, factor: Factor) -> list[Factor]:
        """Axes that exist at some values of an axis and not at others, such as words that one prompt has."""
        return [one for one in self.factors if one is not factor and _decides_on(factor, one)]


def grouped(codes: Sequence[Codes]) -> Codes:
    """Codes of the combinations, in the order of their codes."""
    if not codes or not len(codes[0]):
        return np.zeros(len(codes[0]) if codes else 0, dtype=np.intp)
    _, found = np.unique(np.stack(codes, axis=1), axis=0, return_inverse=True)
    return found.reshape(-1).astype(np.intp)


def read_design(results: Results, *, per_cell: bool = False) -> Design:
    """The design behind some results.

    Args:
        results: of one sweep or of several together.
        per_cell: one shot a cell, for values of whole cells.
    """
    shots = tuple(_shots(results, per_cell))
    keys = [key for key in results.axes if key != OUTPUT]
    # Different pictures of one name, in results of several sweeps, and several outputs a cell.
    keys += [key for key in ("image", OUTPUT) if key not in keys]
    single = [_factor(key, shots) for key in keys]
    services = _coded([shot.cell.service for shot in shots])
    return Design(shots, tuple(_merged([one for one in single if len(one.levels) > 1])), services)


def _shots(results: Results, per_cell: bool) -> Iterator[Observation]:
    for cell in results:
        asked = cell.params.get("num_images")
        expected = len(cell.outputs) or (asked if isinstance(asked, int) else 1)
        there = {output.number: output for output in cell.outputs}
        for number in range(1, 2 if per_cell else max(1, expected) + 1):
            yield Observation(cell, number, there.get(number))


def _factor(key: str, shots: Sequence[Observation]) -> Factor:
    tokens = [_token(key, shot) for shot in shots]
    named = {token: _level(key, shot) for token, shot in zip(reversed(tokens), reversed(shots), strict=True)}
    order = list(dict.fromkeys(token for token in tokens if token is not None))
    if all(named[token].number is not None for token in order):
        order.sort(key=lambda token: named[token].number or 0.0)
    order += [None] if None in named else []
    place = {token: at for at, token in enumerate(order)}
    codes = np.array([place[token] for token in tokens], dtype=np.intp)
    return Factor((key,), _told_apart([named[token] for token in order]), codes)


def _token(key: str, shot: Observation) -> Hashable:
    """What tells values apart; None where the cell has no such parameter."""
    if key == OUTPUT:
        return shot.number
    name = shot.cell.params.get(f"{key}.label")
    token = value_token(shot.cell, key)
    return ("named", str(name)) if name is not None and token is not None else token


def _level(key: str, shot: Observation) -> Level:
    """How a shot's value is shown."""
    if key == OUTPUT:
        return Level(str(shot.number), number=float(shot.number))
    params = shot.cell.params
    value: Any = params.get(key, 1 if key == "repeat" else None)
    if value is None:
        return Level("(none)", absent=True)
    name = params.get(f"{key}.label")
    full = prompt_template(shot.cell) if key == "prompt" else ""
    text = full or (str(value) if key == "image" else value_text(key, value))
    label = _one_line(str(name or text)) or "(empty)"
    return Level(label, _one_line(full) if _one_line(full) != label else "", None if name else _number(value))


def _number(value: Any) -> float | None:
    """A value as a number: words of a prompt that are numbers count as such."""
    if isinstance(value, str) and not re.fullmatch(r"-?\d{1,12}(\.\d{1,12})?", value):
        return None
    return float(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else None


def _one_line(text: str) -> str:
    return visible(" ".join(text.split()))


def _told_apart(levels: Sequence[Level]) -> tuple[Level, ...]:
    """Levels whose labels differ."""
    labels = distinct([level.label for level in levels])
    return tuple(replace(level, label=label) for level, label in zip(levels, labels, strict=True))


def _merged(factors: Sequence[Factor]) -> list[Factor]:
    """One factor for all whose values always go together."""
    found: list[Factor] = []
    for factor in factors:
        twin = next((at for at, one in enumerate(found) if _go_together(one, factor)), None)
        if twin is None:
            found.append(factor)
        else:
            found[twin] = _joined(found[twin], factor)
    return found


def _go_together(one: Factor, other: Factor) -> bool:
    pairs = len(set(zip(one.codes.tolist(), other.codes.tolist(), strict=True)))
    return pairs == len(one.levels) == len(other.levels)


def _decides_on(factor: Factor, other: Factor) -> bool:
    """Whether each value of one axis says if there is a value of the other."""
    absent = np.array([level.absent for level in other.levels], dtype=bool)[other.codes]
    if not absent.any() or absent.all():
        return False
    return not set(factor.codes[absent].tolist()) & set(factor.codes[~absent].tolist())


def _joined(one: Factor, other: Factor) -> Factor:
    partner = dict(zip(one.codes.tolist(), other.codes.tolist(), strict=True))
    levels = []
    for at, level in enumerate(one.levels):
        beside = other.levels[partner[at]]
        # A name that was given to the pair stands for both.
        label = level.label if level.label == beside.label else f"{level.label} · {beside.label}"
        levels.append(Level(label, level.full or beside.full))
    return Factor((*one.keys, *other.keys), tuple(levels), one.codes)


def _coded(values: Sequence[Hashable]) -> Codes:
    place = {value: at for at, value in enumerate(dict.fromkeys(values))}
    return np.array([place[value] for value in values], dtype=np.intp)
