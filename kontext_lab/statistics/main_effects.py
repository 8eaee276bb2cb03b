"""What happens along one axis: means at its values, and differences between them within blocks."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from kontext_lab.statistics.design import Codes, Design, Factor
from kontext_lab.statistics.effects import Difference, Point, Trace
from kontext_lab.statistics.intervals import (
    Bounds,
    block_intervals,
    pairs_needed,
    rate_difference,
    trials_needed,
    wilson,
)

__all__ = ["Along", "differences", "points", "traces"]

MOST_VALUES = 40
"""An axis with more values is compared with its first only, not each with each."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Along:
    """The measured shots of a study, seen along one axis.

    Attributes:
        design: of the shots that have a value.
        factor: the axis.
        values: finite, one per shot.
        is_rate: whether they are yes/no.
        seeds: how many seeds there are values of.
    """

    design: Design
    factor: Factor
    values: Floats
    is_rate: bool
    seeds: int

    @property
    def blocks(self) -> Codes:
        """The block of every shot."""
        return self.design.blocks_for(self.factor)

    def table(self, rows: Codes) -> tuple[Floats, Floats]:
        """Sums and counts of the values: axis values x groups."""
        shape = (len(self.factor.levels), int(rows.max()) + 1)
        sums, counts = np.zeros(shape), np.zeros(shape)
        np.add.at(sums, (self.factor.codes, rows), self.values)
        np.add.at(counts, (self.factor.codes, rows), 1)
        return sums, counts


def points(along: Along) -> tuple[Point, ...]:
    """Mean, spread and interval at every value, those without a measured value among them."""
    sums, counts = along.table(along.blocks)
    intervals = (
        [
            wilson(round(total), round(n))
            for total, n in zip(sums.sum(axis=1), counts.sum(axis=1), strict=True)
        ]
        if along.is_rate
        else block_intervals(sums, counts)
    )
    return tuple(_point(along, at, bounds) for at, bounds in enumerate(intervals))


def _point(along: Along, at: int, bounds: Bounds | None) -> Point:
    chosen = np.flatnonzero(along.factor.codes == at)
    values = along.values[chosen]
    level = along.factor.levels[at]
    found = [along.design.shots[place].output for place in chosen]
    low, high = bounds or (None, None)
    return Point(
        level.label,
        level.full,
        level.number,
        len(values),
        float(values.mean()) if len(values) else None,
        float(values.std(ddof=1)) if len(values) > 1 else None,
        low,
        high,
        tuple(values.tolist()),
        tuple(output for output in found if output is not None),
    )


def traces(along: Along) -> tuple[Trace, ...]:
    """The means of every block along the axis."""
    blocks = along.blocks
    sums, counts = along.table(blocks)
    with np.errstate(invalid="ignore"):
        means = sums / counts
    holding = along.design.blocking(along.factor)
    found = []
    for block in range(means.shape[1]):
        first = int(np.flatnonzero(blocks == block)[0])
        label = ", ".join(f"{one.name} {one.levels[one.codes[first]].label}" for one in holding)
        found.append(
            Trace(label, tuple(None if math.isnan(mean) else mean for mean in means[:, block].tolist()))
        )
    return tuple(found)


def differences(along: Along) -> tuple[Difference, ...]:
    """Differences between values, over shots that agree in everything but this axis."""
    if along.factor.repeats:
        return ()
    matched = _Matched(along)
    found = [matched.pair(one, two) for one, two in _pairs(len(along.factor.levels))]
    there = [one for one in found if one is not None]
    if along.is_rate:
        return tuple(_rates_apart(along, one) for one in there)
    shape = (len(there), matched.blocks_there)
    sums, counts = np.zeros(shape), np.zeros(shape)
    for row, pair in enumerate(there):
        sums[row] = np.bincount(pair.blocks, pair.apart, matched.blocks_there)
        counts[row] = np.bincount(pair.blocks, minlength=matched.blocks_there)
    intervals = block_intervals(sums, counts)
    return tuple(_numbers_apart(along, pair, bounds) for pair, bounds in zip(there, intervals, strict=True))


def _pairs(levels: int) -> Iterator[tuple[int, int]]:
    if levels <= MOST_VALUES:
        yield from combinations(range(levels), 2)
    else:
        yield from ((0, at) for at in range(1, levels))


@dataclass(frozen=True, eq=False)
class _Pair:
    """Two values of the axis, where both were measured.

    Attributes:
        first: place of one value.
        second: place of the other.
        apart: second minus first, one per matched setting.
        blocks: the block of each of these.
        tries: yes of each value, and how often it was asked.
    """

    first: int
    second: int
    apart: Floats
    blocks: Codes
    tries: tuple[tuple[int, int], tuple[int, int]]


class _Matched:
    """The means of shots that differ in nothing but the axis."""

    def __init__(self, along: Along) -> None:
        settings = along.design.settings_for(along.factor)
        self.sums, self.counts = along.table(settings)
        blocks = along.blocks
        _, first = np.unique(settings, return_index=True)
        self.block_of = blocks[first]
        self.blocks_there = int(blocks.max()) + 1

    def pair(self, first: int, second: int) -> _Pair | None:
        """What two values of the axis have in common; None where that is nothing."""
        both = (self.counts[first] > 0) & (self.counts[second] > 0)
        if not both.any():
            return None
        means = [self.sums[at, both] / self.counts[at, both] for at in (first, second)]
        yes, asked = (
            [round(float(table[at, both].sum())) for at in (first, second)]
            for table in (self.sums, self.counts)
        )
        tries = ((yes[0], asked[0]), (yes[1], asked[1]))
        return _Pair(first, second, means[1] - means[0], self.block_of[both], tries)


def _numbers_apart(along: Along, pair: _Pair, bounds: Bounds | None) -> Difference:
    used = np.unique(pair.blocks)
    by_block = np.array([pair.apart[pair.blocks == block].mean() for block in used])
    needed = pairs_needed(by_block)
    # A further seed brings as many blocks as each seed brought so far.
    seeds = None if needed is None else math.ceil(needed * along.seeds / len(used))
    return _difference(along, pair, float(pair.apart.mean()), bounds, seeds)


def _rates_apart(along: Along, pair: _Pair) -> Difference:
    (yes, asked), (other_yes, other_asked) = pair.tries
    needed = trials_needed(yes / asked, other_yes / other_asked)
    seeds = None if needed is None else math.ceil(needed * along.seeds / min(asked, other_asked))
    mean = other_yes / other_asked - yes / asked
    return _difference(along, pair, mean, rate_difference(*pair.tries), seeds)


def _difference(
    along: Along, pair: _Pair, mean: float, bounds: Bounds | None, seeds: int | None
) -> Difference:
    levels = along.factor.levels
    low, high = bounds or (None, None)
    return Difference(
        levels[pair.first].label,
        levels[pair.second].label,
        mean,
        low,
        high,
        len(pair.apart),
        len(np.unique(pair.blocks)),
        None if seeds is None else max(0, seeds - along.seeds),
    )
