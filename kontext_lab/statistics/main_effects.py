"""`effects_of`: what each axis does to one measured value. Means at its values, and differences between them within blocks."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kontext_lab.errors import WrongType
from kontext_lab.results import Results
from kontext_lab.statistics import observations, variance
from kontext_lab.statistics.design import Codes, Design, Factor, read_design
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

Floats = NDArray[np.float64]


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
    wanted = variance.check_interaction(whole, interaction)
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
        interaction=variance.interaction_of(design, finite, wanted)
        if wanted is not None and len(finite)
        else None,
        missing=observations.missing(whole.shots, values, name),
        seeds=seeds,
        balanced=_is_balanced(design),
        apart=tuple(inseparable) if residual is not None else (),
        idle=tuple(idle),
    )
    return replace(effects, sentences=describe(effects, [idle_words(*one) for one in idle.items()]))


def _is_balanced(design: Design) -> bool:
    """True if every combination of values was measured equally often."""
    if not design.factors or not design.shots:
        return True
    _, counts = np.unique(design.groups(design.factors), return_counts=True)
    combinations_of_all = math.prod(len(one.levels) for one in design.factors)
    return len(counts) == combinations_of_all and bool((counts == counts[0]).all())


def _axes(
    design: Design, values: Floats, is_rate: bool, seeds: int
) -> tuple[tuple[AxisEffect, ...], float | None]:
    """The effect of each axis, and the share of the variance that no axis explains."""
    factors = design.factors
    inside = {}
    for index, factor in enumerate(factors):
        nested = design.inside(factor)
        inside[index] = {at for at, one in enumerate(factors) if one in nested}
    shares, residual = variance.decomposed(values, [one.codes for one in factors], inside)
    effects = []
    for factor, share in zip(factors, shares, strict=True):
        data = _AxisData(design, factor, values, is_rate, seeds)
        blocked_by = tuple(one.name for one in design.blocking(factor))
        effects.append(
            AxisEffect(
                factor.name,
                _points(data),
                () if factor.repeats else _differences(data),
                _traces(data),
                blocked_by,
                factor.numeric,
                factor.repeats,
                share.share,
                share.by_chance,
                share.p,
            )
        )
    return tuple(effects), residual


@dataclass(frozen=True, eq=False)
class _AxisData:
    """The measured outputs of a study and one axis.

    Attributes:
        design: of the outputs that have a value.
        factor: the axis.
        values: finite, one per output.
        is_rate: whether they are yes/no.
        seeds: number of seeds that have values.
    """

    design: Design
    factor: Factor
    values: Floats
    is_rate: bool
    seeds: int

    @property
    def blocks(self) -> Codes:
        """The block of each output."""
        return self.design.blocks_for(self.factor)

    def table(self, rows: Codes) -> tuple[Floats, Floats]:
        """Sums and counts of the values: axis values x groups."""
        shape = (len(self.factor.levels), int(rows.max()) + 1)
        sums, counts = np.zeros(shape), np.zeros(shape)
        np.add.at(sums, (self.factor.codes, rows), self.values)
        np.add.at(counts, (self.factor.codes, rows), 1)
        return sums, counts


def _points(data: _AxisData) -> tuple[Point, ...]:
    """Mean, spread and interval at each value, including those without a measured value."""
    sums, counts = data.table(data.blocks)
    if data.is_rate:
        totals = zip(sums.sum(axis=1), counts.sum(axis=1), strict=True)
        intervals = [wilson(round(total), round(n)) for total, n in totals]
    else:
        intervals = block_intervals(sums, counts)
    points = []
    for at, (level, bounds) in enumerate(zip(data.factor.levels, intervals, strict=True)):
        chosen = np.flatnonzero(data.factor.codes == at)
        values = data.values[chosen]
        outputs = [data.design.shots[index].output for index in chosen]
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


def _traces(data: _AxisData) -> tuple[Trace, ...]:
    """The means of each block along the axis."""
    blocks = data.blocks
    sums, counts = data.table(blocks)
    with np.errstate(invalid="ignore"):
        means = sums / counts
    traces = []
    for block in range(means.shape[1]):
        first = int(np.flatnonzero(blocks == block)[0])
        label = ", ".join(
            f"{one.name} {one.levels[one.codes[first]].label}" for one in data.design.blocking(data.factor)
        )
        line = means[:, block].tolist()
        traces.append(Trace(label, tuple(None if math.isnan(mean) else mean for mean in line)))
    return tuple(traces)


@dataclass(frozen=True, eq=False)
class _Pair:
    """Two values of the axis that were both measured at some settings.

    Attributes:
        first: index of one value.
        second: index of the other.
        apart: second minus first, one per matched setting.
        blocks: the block of each of these.
        counts: of each value, how many outputs have yes, and how many there are.
    """

    first: int
    second: int
    apart: Floats
    blocks: Codes
    counts: tuple[tuple[int, int], tuple[int, int]]


def _differences(data: _AxisData) -> tuple[Difference, ...]:
    """Differences between values, over outputs that agree in everything but this axis."""
    pairs = list(_matched_pairs(data))
    if data.is_rate:
        return tuple(_difference(data, pair, rate_difference(*pair.counts)) for pair in pairs)
    shape = (len(pairs), int(data.blocks.max()) + 1)
    sums, counts = np.zeros(shape), np.zeros(shape)
    for row, pair in enumerate(pairs):
        sums[row] = np.bincount(pair.blocks, pair.apart, shape[1])
        counts[row] = np.bincount(pair.blocks, minlength=shape[1])
    intervals = block_intervals(sums, counts)
    return tuple(_difference(data, pair, bounds) for pair, bounds in zip(pairs, intervals, strict=True))


def _matched_pairs(data: _AxisData) -> Iterator[_Pair]:
    settings = data.design.settings_for(data.factor)
    sums, counts = data.table(settings)
    _, first_of_setting = np.unique(settings, return_index=True)
    block_of = data.blocks[first_of_setting]
    levels = len(data.factor.levels)
    with_first = ((0, at) for at in range(1, levels))
    for first, second in combinations(range(levels), 2) if levels <= MOST_VALUES else with_first:
        both = (counts[first] > 0) & (counts[second] > 0)
        if both.any():
            means = [sums[at, both] / counts[at, both] for at in (first, second)]
            yes, other_yes = (round(float(sums[at, both].sum())) for at in (first, second))
            n, other_n = (round(float(counts[at, both].sum())) for at in (first, second))
            apart = means[1] - means[0]
            yield _Pair(first, second, apart, block_of[both], ((yes, n), (other_yes, other_n)))


def _difference(data: _AxisData, pair: _Pair, bounds: Bounds | None) -> Difference:
    blocks = np.unique(pair.blocks)
    if data.is_rate:
        (yes, n), (other_yes, other_n) = pair.counts
        mean = other_yes / other_n - yes / n
        needed, available = trials_needed(yes / n, other_yes / other_n), min(n, other_n)
    else:
        mean = float(pair.apart.mean())
        by_block = np.array([pair.apart[pair.blocks == block].mean() for block in blocks])
        needed, available = pairs_needed(by_block), len(blocks)
    # A further seed brings as many blocks, or trials, as each seed brought so far.
    seeds = None if needed is None else math.ceil(needed * data.seeds / available)
    levels = data.factor.levels
    low, high = bounds or (None, None)
    return Difference(
        levels[pair.first].label,
        levels[pair.second].label,
        mean,
        low,
        high,
        len(pair.apart),
        len(blocks),
        None if seeds is None else max(0, seeds - data.seeds),
    )
