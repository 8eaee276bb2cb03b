"""`effects_of`: what each axis does to one measured value. Means at its values, and differences between them within blocks."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import numpy as np

from kontext_lab.errors import WrongType
from kontext_lab.results import Results
from kontext_lab.statistics import observations, variance
from kontext_lab.statistics.design import Codes, Design, Factor, Floats, read_design, tabulated
from kontext_lab.statistics.effects import AxisEffect, Difference, Effects, Point, Trace
from kontext_lab.statistics.inert_axes import idle_pairs, idle_words
from kontext_lab.statistics.intervals import (
    Bounds,
    block_intervals,
    pairs_needed,
    rate_difference,
    trials_needed,
    wilson,
)
from kontext_lab.statistics.sentences import describe

__all__ = ["effects_of"]

MOST_VALUES = 40
"""The values of a longer axis are compared with its first one only, not each with each."""

_Compared = tuple[float, Bounds | None, int | None, int]
"""Difference, its interval, the pairs or trials that would confirm it, and those that there are."""


def effects_of(results: Results, metric: str, *, interaction: Any = None) -> Effects:
    """Estimate the effect of each axis on a measured value.

    Values of an axis are compared within blocks: the same seed, reference, repeat and output, by the same service;
    intervals (95 %) resample these blocks with a fixed seed, so that the numbers repeat. Means of yes/no values are rates,
    with Wilson intervals. Shares of the variance are η² of a model of main effects.

    Args:
        results: of one sweep, or of several together.
        metric: a measured value, such as `change/area` or `verdict/follows_prompt`; `moderated` is 1 for pictures that the
            service withheld.
        interaction: the names of two axes whose combinations are tabulated too.

    Returns:
        Numbers and sentences, even if nothing was measured, or there is one cell or one seed.

    Raises:
        ConfigError: the metric was not measured but others were, or `interaction` is not two axes that vary.
        WrongType: `results` are not results.
    """
    if not isinstance(results, Results):
        raise WrongType(
            f"results must be kl.Results, not {type(results).__name__} (lab.run and lab.load return them)"
        )
    name = observations.check_metric(results, metric)
    whole = read_design(results, per_cell=observations.is_of_cells(results, name))
    values = observations.read_values(whole.shots, name)
    measured = ~np.isnan(values)
    design, finite = whole.part(measured), values[measured]
    is_rate = observations.is_yes_no(name, values)
    seeds = len({str(shot.cell.params.get("seed")) for shot in design.shots})
    axes, residual = _axes(design, finite, is_rate, seeds) if len(finite) else ((), None)
    inseparable = [one.name for one in axes if one.share is None and len(one.measured) > 1]
    several = any(len(cell.outputs) > 1 for cell in results) and len(whole.shots) > len(results)
    idle = idle_pairs(results)
    effects = Effects(
        metric=name,
        name=results.name,
        n=len(finite),
        units=len(whole.shots),
        unit="output" if several else "cell",
        simulated=sum(shot.cell.simulated for shot in (design.shots or whole.shots)),
        is_rate=is_rate,
        mean=float(finite.mean()) if len(finite) else None,
        axes=axes,
        residual=residual,
        seed=variance.seed_sensitivity(design, finite),
        interaction=variance.interaction_of(design, finite, interaction),
        missing=observations.missing(whole.shots, values, name),
        seeds=seeds,
        balanced=design.is_balanced,
        apart=tuple(inseparable) if residual is not None else (),
        idle=tuple(idle),
    )
    return replace(effects, sentences=describe(effects, [idle_words(*one) for one in idle.items()]))


@dataclass(frozen=True, eq=False)
class _Axis:
    """One axis of a study, and the finite value and the block of each measured output."""

    design: Design
    factor: Factor
    values: Floats
    is_rate: bool
    seeds: int
    blocks: Codes

    def table(self, groups: Codes) -> tuple[Floats, Floats]:
        """Sums and counts of the values: axis values x groups."""
        shape = (len(self.factor.levels), int(groups.max()) + 1)
        return tabulated(self.values, self.factor.codes, groups, shape)


def _axes(
    design: Design, values: Floats, is_rate: bool, seeds: int
) -> tuple[tuple[AxisEffect, ...], float | None]:
    """The effect of each axis, and the share of the variance that no axis explains."""
    factors = design.factors
    inside = {at: [factors.index(one) for one in design.inside(factor)] for at, factor in enumerate(factors)}
    shares, residual = variance.decomposed(values, [one.codes for one in factors], inside)
    effects = []
    for factor, share in zip(factors, shares, strict=True):
        axis = _Axis(design, factor, values, is_rate, seeds, design.blocks_for(factor))
        effects.append(
            AxisEffect(
                factor.name,
                _points(axis),
                () if factor.repeats else _differences(axis),
                _traces(axis),
                tuple(one.name for one in design.blocking(factor)),
                factor.numeric,
                factor.repeats,
                *share,
            )
        )
    return tuple(effects), residual


def _points(axis: _Axis) -> tuple[Point, ...]:
    """Mean, spread and interval at each value, including those without a measured value."""
    sums, counts = axis.table(axis.blocks)
    if axis.is_rate:
        totals = zip(sums.sum(axis=1), counts.sum(axis=1), strict=True)
        intervals = [wilson(round(total), round(n)) for total, n in totals]
    else:
        intervals = block_intervals(sums, counts)
    points = []
    for at, (level, bounds) in enumerate(zip(axis.factor.levels, intervals, strict=True)):
        chosen = np.flatnonzero(axis.factor.codes == at)
        values = axis.values[chosen]
        outputs = [axis.design.shots[index].output for index in chosen]
        low, high = bounds or (None, None)
        points.append(
            Point(
                level.label,
                level.full,
                level.number,
                len(values),
                float(values.mean()) if len(values) else None,
                float(values.std(ddof=1)) if len(values) > 1 else None,
                low,
                high,
                tuple(values.tolist()),
                tuple(output for output in outputs if output is not None),
            )
        )
    return tuple(points)


def _traces(axis: _Axis) -> tuple[Trace, ...]:
    """The means of each block along the axis."""
    sums, counts = axis.table(axis.blocks)
    means = np.divide(sums, counts, out=np.full(sums.shape, np.nan), where=counts > 0)
    _, firsts = np.unique(axis.blocks, return_index=True)
    blocking = axis.design.blocking(axis.factor)
    return tuple(
        Trace(
            ", ".join(f"{one.name} {one.levels[one.codes[first]].label}" for one in blocking),
            tuple(None if math.isnan(mean) else mean for mean in line),
        )
        for first, line in zip(firsts, means.T.tolist(), strict=True)
    )


def _differences(axis: _Axis) -> tuple[Difference, ...]:
    """Differences between values, over outputs that agree in everything but this axis."""
    settings = axis.design.settings_for(axis.factor)
    sums, counts = axis.table(settings)
    block_of = axis.blocks[np.unique(settings, return_index=True)[1]]
    levels = range(len(axis.factor.levels))
    pairs = combinations(levels, 2) if len(levels) <= MOST_VALUES else ((0, at) for at in levels[1:])
    matched = {pair: both for pair in pairs if (both := (counts[list(pair)] > 0).all(axis=0)).any()}
    blocks = [block_of[both] for both in matched.values()]
    tables = [(sums[list(pair)][:, both], counts[list(pair)][:, both]) for pair, both in matched.items()]
    compared = _rates_compared(tables) if axis.is_rate else _means_compared(tables, blocks)
    differences = []
    for (first, second), there, (mean, bounds, needed, available) in zip(
        matched, blocks, compared, strict=True
    ):
        # A further seed brings as many blocks, or trials, as each seed brought so far.
        seeds = None if needed is None else math.ceil(needed * axis.seeds / available)
        low, high = bounds or (None, None)
        differences.append(
            Difference(
                axis.factor.levels[first].label,
                axis.factor.levels[second].label,
                mean,
                low,
                high,
                len(there),
                len(np.unique(there)),
                None if seeds is None else max(0, seeds - axis.seeds),
            )
        )
    return tuple(differences)


def _rates_compared(tables: Sequence[tuple[Floats, Floats]]) -> Iterator[_Compared]:
    """Compare the rates of two values, over the settings at which both were measured."""
    for sums, counts in tables:
        first, second = (
            (round(yes), round(n)) for yes, n in zip(sums.sum(axis=1), counts.sum(axis=1), strict=True)
        )
        rate, other = first[0] / first[1], second[0] / second[1]
        needed = trials_needed(rate, other)
        yield other - rate, rate_difference(first, second), needed, min(first[1], second[1])


def _means_compared(tables: Sequence[tuple[Floats, Floats]], blocks: Sequence[Codes]) -> Iterator[_Compared]:
    """Compare the means of two values at each setting, and average the differences within and over blocks."""
    apart = [np.diff(sums / counts, axis=0)[0] for sums, counts in tables]
    size = max((int(there.max()) + 1 for there in blocks), default=0)
    sums = np.array([np.bincount(there, one, size) for there, one in zip(blocks, apart, strict=True)])
    counts = np.array([np.bincount(there, minlength=size) for there in blocks])
    intervals = block_intervals(sums, counts)
    for one, row, count, bounds in zip(apart, sums, counts, intervals, strict=True):
        by_block = row[count > 0] / count[count > 0]
        yield float(one.mean()), bounds, pairs_needed(by_block), len(by_block)
