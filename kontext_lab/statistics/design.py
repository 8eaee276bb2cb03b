"""The design of a study: the axes that vary, and the value of each output on them.

Axes whose values always go together are one axis here, since their effects can't be separated. Knows no measured values.
"""

from __future__ import annotations

import math
import re
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from itertools import compress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kontext_lab.errors import visible
from kontext_lab.results import CellResult, Output, Results, distinct, prompt_template, value_token
from kontext_lab.sweep.axes import REPLICATE_KEYS, value_text

__all__ = [
    "Codes",
    "Design",
    "Factor",
    "Floats",
    "Level",
    "Observation",
    "grouped",
    "read_design",
    "tabulated",
]

Floats = NDArray[np.float64]
Codes = NDArray[np.intp]
"""An integer per output: the index of its value, or of its group."""

OUTPUT = "output"
_REPEATS = REPLICATE_KEYS | {OUTPUT}
_BLOCKS = _REPEATS | {"image"}
"""Axes within whose values other axes are compared: the same seed, the same reference."""


@dataclass(frozen=True, eq=False)
class Observation:
    """One output of one cell, even if it never came."""

    cell: CellResult
    number: int
    output: Output | None


@dataclass(frozen=True)
class Level:
    """One value of an axis: its label, its whole text, its number, and whether it stands for no value."""

    label: str
    full: str = ""
    number: float | None = None
    absent: bool = False


@dataclass(frozen=True, eq=False)
class Factor:
    """An axis with at least two values.

    Attributes:
        keys: its parameters.
        levels: its values: numbers by size, others in order of appearance.
        codes: for each output the index of its value in `levels`.
    """

    keys: tuple[str, ...]
    levels: tuple[Level, ...]
    codes: Codes

    @property
    def name(self) -> str:
        """The parameters, joined by `+`."""
        return "+".join(self.keys)

    @property
    def repeats(self) -> bool:
        """True if it only repeats a setting."""
        return set(self.keys) <= _REPEATS

    @property
    def blocks(self) -> bool:
        """True if values of other axes are compared within one value of this."""
        return set(self.keys) <= _BLOCKS

    @property
    def numeric(self) -> bool:
        """True if its values lie on a scale; the numbers of seeds mean nothing."""
        return not self.repeats and all(level.number is not None for level in self.levels)


@dataclass(frozen=True, eq=False)
class Design:
    """Outputs and the axes that vary.

    Attributes:
        shots: every output of every cell.
        factors: the axes that vary, in the order of the sweep.
        services: the service of each output, as codes: pictures of two services are never matched.
    """

    shots: tuple[Observation, ...]
    factors: tuple[Factor, ...]
    services: Codes

    def part(self, chosen: NDArray[np.bool_]) -> Design:
        """Select some of the outputs, on the same axes."""
        factors = tuple(replace(one, codes=one.codes[chosen]) for one in self.factors)
        return Design(tuple(compress(self.shots, chosen)), factors, self.services[chosen])

    def groups(self, factors: Sequence[Factor]) -> Codes:
        """Group the outputs that agree in these axes and in their service."""
        return grouped([self.services, *(one.codes for one in factors)])

    def blocking(self, factor: Factor) -> list[Factor]:
        """The axes that blocks of an axis are made of."""
        return [one for one in self.factors if one.blocks and one is not factor]

    def blocks_for(self, factor: Factor) -> Codes:
        """Group the outputs that are compared along an axis: the same seed, reference, repeat and output."""
        return self.groups(self.blocking(factor))

    def settings_for(self, factor: Factor) -> Codes:
        """Group the outputs that differ only in one axis, and in the axes that exist only at some of its values."""
        inside = self.inside(factor)
        return self.groups([one for one in self.factors if one is not factor and one not in inside])

    @property
    def is_balanced(self) -> bool:
        """True if every combination of values occurs equally often."""
        if not self.factors or not self.shots:
            return True
        _, counts = np.unique(self.groups(self.factors), return_counts=True)
        every = math.prod(len(one.levels) for one in self.factors)
        return len(counts) == every and bool((counts == counts[0]).all())

    def inside(self, factor: Factor) -> list[Factor]:
        """Axes that exist only at some values of an axis, such as a word that one prompt has."""
        found = []
        for other in self.factors:
            absent = np.array([level.absent for level in other.levels], dtype=bool)[other.codes]
            without, having = set(factor.codes[absent].tolist()), set(factor.codes[~absent].tolist())
            if other is not factor and without and having and not without & having:
                found.append(other)
        return found


def grouped(codes: Sequence[Codes]) -> Codes:
    """Return codes of the combinations, in the order of their codes."""
    _, groups = np.unique(np.stack(codes, axis=1), axis=0, return_inverse=True)
    return groups.reshape(-1).astype(np.intp)


def tabulated(values: Floats, rows: Codes, columns: Codes, shape: tuple[int, int]) -> tuple[Floats, Floats]:
    """Return the sums of the values in each cell of a table, and their counts."""
    sums, counts = np.zeros(shape), np.zeros(shape)
    np.add.at(sums, (rows, columns), values)
    np.add.at(counts, (rows, columns), 1)
    return sums, counts


def read_design(results: Results, *, per_cell: bool = False) -> Design:
    """Read the design of results, with one entry per output or, for values of whole cells, per cell."""
    observations = []
    for cell in results:
        requested = cell.params.get("num_images")
        expected = len(cell.outputs) or (requested if isinstance(requested, int) else 1)
        outputs = {output.number: output for output in cell.outputs}
        numbers = range(1, 2 if per_cell else max(1, expected) + 1)
        observations += [Observation(cell, number, outputs.get(number)) for number in numbers]
    shots = tuple(observations)
    keys = [key for key in results.axes if key != OUTPUT]
    # Different pictures of one name, in results of several sweeps, and several outputs a cell.
    keys += [key for key in ("image", OUTPUT) if key not in keys]
    single = [_factor(key, shots) for key in keys]
    index = {name: at for at, name in enumerate(dict.fromkeys(shot.cell.service for shot in shots))}
    services = np.array([index[shot.cell.service] for shot in shots], dtype=np.intp)
    return Design(shots, tuple(_merged([one for one in single if len(one.levels) > 1])), services)


def _factor(key: str, shots: Sequence[Observation]) -> Factor:
    # None stands for the cells that have no such parameter.
    tokens: list[Hashable] = []
    for shot in shots:
        token = shot.number if key == OUTPUT else value_token(shot.cell, key)
        name = shot.cell.params.get(f"{key}.label")
        tokens.append(token if name is None or token is None else ("named", str(name)))
    named = {token: _level(key, shot) for token, shot in zip(reversed(tokens), reversed(shots), strict=True)}
    order = list(dict.fromkeys(token for token in tokens if token is not None))
    if all(named[token].number is not None for token in order):
        order.sort(key=lambda token: named[token].number or 0.0)
    order += [None] if None in named else []
    labels = distinct([named[token].label for token in order])
    levels = tuple(replace(named[token], label=label) for token, label in zip(order, labels, strict=True))
    index = {token: at for at, token in enumerate(order)}
    return Factor((key,), levels, np.array([index[token] for token in tokens], dtype=np.intp))


def _level(key: str, shot: Observation) -> Level:
    """The value of an output as it is shown."""
    if key == OUTPUT:
        return Level(str(shot.number), number=float(shot.number))
    params = shot.cell.params
    value: Any = params.get(key, 1 if key == "repeat" else None)
    if value is None:
        return Level("(none)", absent=True)
    name = params.get(f"{key}.label")
    full = prompt_template(shot.cell) if key == "prompt" else ""
    text = full or (str(value) if key == "image" else value_text(key, value))
    label, full = (visible(" ".join(one.split())) for one in (str(name or text), full))
    # Words of a prompt that are numbers count as numbers.
    is_text = isinstance(value, str) and not re.fullmatch(r"-?\d{1,12}(\.\d{1,12})?", value)
    is_number = isinstance(value, str | int | float) and not isinstance(value, bool) and not is_text
    return Level(
        label or "(empty)",
        full if full != (label or "(empty)") else "",
        float(value) if is_number and not name else None,
    )


def _merged(factors: Sequence[Factor]) -> list[Factor]:
    """One factor for all whose values always go together."""
    merged: list[Factor] = []
    for factor in factors:
        for at, one in enumerate(merged):
            partner = dict(zip(one.codes.tolist(), factor.codes.tolist(), strict=True))
            pairs = set(zip(one.codes.tolist(), factor.codes.tolist(), strict=True))
            if len(pairs) == len(one.levels) == len(factor.levels):
                levels = []
                for place, level in enumerate(one.levels):
                    beside = factor.levels[partner[place]]
                    # A name that was given to the pair stands for both.
                    same = level.label == beside.label
                    label = level.label if same else f"{level.label} · {beside.label}"
                    levels.append(Level(label, level.full or beside.full))
                merged[at] = Factor((*one.keys, *factor.keys), tuple(levels), one.codes)
                break
        else:
            merged.append(factor)
    return merged
