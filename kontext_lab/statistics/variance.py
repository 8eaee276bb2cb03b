"""Shares of variance: how much of a value's spread each axis, two axes together and seeds explain.

η² = SS_axis / SS_total (R. A. Fisher; J. Cohen, Educational and Psychological Measurement 33 (1973) 107-112), with the sums of
squares of a model of main effects, for each axis what it explains beyond all others (type II, as F. Yates, JASA 29 (1934)
51-66, for unbalanced designs). If every combination was measured equally often these are the textbook's sums of squares, and
shares and residual add up to 1.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kontext_lab.errors import ConfigError, shown
from kontext_lab.results import Results
from kontext_lab.statistics.design import Codes, Design, Factor, grouped, read_design
from kontext_lab.statistics.effects import Interaction, SeedSensitivity
from kontext_lab.statistics.observations import is_of_cells, read_values

__all__ = [
    "Share",
    "check_interaction",
    "decomposed",
    "interaction_of",
    "replicate_spread",
    "seed_sensitivity",
]

Floats = NDArray[np.float64]
SEED = "seed"
_SINGULAR = 1e-9


@dataclass(frozen=True)
class Share:
    """The share of the variance that one term explains.

    Attributes:
        share: 0 to 1, or None if it can't be separated from the other terms.
        by_chance: its expected share without any effect: degrees of freedom times the residual mean square; None without
            residual degrees of freedom.
        p: p-value of the F-test; None without residual degrees of freedom.
    """

    share: float | None = None
    by_chance: float | None = None
    p: float | None = None


def decomposed(
    values: Floats, terms: Sequence[Codes], inside: Mapping[int, Collection[int]] | None = None
) -> tuple[tuple[Share, ...], float | None]:
    """Shares of the variance of each term, and the share of the residual; None for all if the values don't differ.

    Args:
        values: finite.
        terms: for each term the group of every value.
        inside: by the index of a term, the terms that exist only within some of its groups: they explain the rest that it
            leaves, not the other way round.
    """
    scaled = _scaled(values)
    if scaled is None:
        return (Share(),) * len(terms), None
    model = _Model(scaled, terms)
    everything = tuple(range(len(terms)))
    left, rank = model.fit(everything)
    free = len(values) - rank
    shares = []
    for at in everything:
        others = tuple(one for one in everything if one != at and one not in (inside or {}).get(at, ()))
        (before, smaller), (after, larger) = model.fit(others), model.fit((*others, at))
        shares.append(_share(before - after, larger - smaller, left, free, len(values)))
    return tuple(shares), left / len(values)


def _scaled(values: Floats) -> Floats | None:
    """The values around 0 with a spread of 1; None if they don't differ."""
    spread = float(values.std()) if len(values) else 0.0
    if len(values) < 2 or spread <= 1e-12 * float(np.abs(values).max()):
        return None
    return np.asarray((values - values.mean()) / spread)


def _share(explained: float, degrees: int, left: float, free: int, n: int) -> Share:
    if degrees < 1:
        return Share()
    share = min(1.0, max(0.0, explained / n))
    if free <= 0:
        return Share(share)
    noise = left / free
    if noise <= _SINGULAR:  # without a residual the axis explains all or nothing
        return Share(share, degrees * noise / n, float(explained <= _SINGULAR))
    from scipy import special  # noqa: PLC0415 - takes a while to load

    return Share(share, degrees * noise / n, float(special.fdtrc(degrees, free, explained / degrees / noise)))


class _Model:
    """Least squares on indicator columns, by their normal equations: fast for thousands of cells too."""

    def __init__(self, values: Floats, terms: Sequence[Codes]) -> None:
        columns = [np.ones((len(values), 1))]
        self._of_term = [np.zeros(1, dtype=np.intp)]
        at = 1
        for term in terms:
            codes = np.unique(term, return_inverse=True)[1].reshape(-1)
            indicators = (codes[:, None] == np.arange(1, codes.max() + 1)[None, :]).astype(np.float64)
            columns.append(indicators)
            self._of_term.append(np.arange(at, at + indicators.shape[1]))
            at += indicators.shape[1]
        whole = np.hstack(columns)
        self._cross, self._with, self._total = whole.T @ whole, whole.T @ values, float(values @ values)

    def fit(self, terms: Sequence[int]) -> tuple[float, int]:
        """Residual sum of squares of a model of these terms, and its rank."""
        used = np.concatenate([self._of_term[0], *(self._of_term[term + 1] for term in terms)])
        part = self._cross[np.ix_(used, used)]
        scales, directions = np.linalg.eigh(part)
        there = scales > _SINGULAR * scales[-1]
        along = directions[:, there].T @ self._with[used]
        return max(0.0, self._total - float((along**2 / scales[there]).sum())), int(there.sum())


def check_interaction(design: Design, wanted: object) -> tuple[Factor, Factor] | None:
    """Return the two named axes; None if none are named.

    Raises:
        ConfigError: they are not two different axes that vary.
    """
    if wanted is None:
        return None
    there = f"allowed are two of {', '.join(one.name for one in design.factors) or 'none: nothing varies'}"
    if not isinstance(wanted, list | tuple) or len(wanted) != 2:
        raise ConfigError(f"interaction: {shown(wanted)}, {there}")
    found = []
    for name in wanted:
        factor = next((one for one in design.factors if name in (one.name, *one.keys)), None)
        if factor is None:
            raise ConfigError(f"interaction: {shown(name)} does not vary here, {there}")
        found.append(factor)
    if found[0] is found[1]:
        raise ConfigError(f"interaction: {shown(wanted)} is one axis, {there}")
    return found[0], found[1]


def interaction_of(design: Design, values: Floats, keys: tuple[Factor, Factor]) -> Interaction:
    """Compute the means over the combinations of two axes.

    Args:
        design: of the outputs that have a value.
        values: finite, one per output.
        keys: the axes, of the whole study.
    """
    rows, columns = (next(one for one in design.factors if one.keys == key.keys) for key in keys)
    shape = (len(rows.levels), len(columns.levels))
    sums, counts = np.zeros(shape), np.zeros(shape)
    np.add.at(sums, (rows.codes, columns.codes), values)
    np.add.at(counts, (rows.codes, columns.codes), 1)
    with np.errstate(invalid="ignore"):
        means = sums / counts
    both = grouped([rows.codes, columns.codes])
    scaled, share = _scaled(values), Share()
    # Beyond the axes by themselves; with a single value of each combination it can't be estimated.
    if scaled is not None and len(np.unique(both)) < len(values):
        terms = tuple(range(len(design.factors)))
        model = _Model(scaled, [*(one.codes for one in design.factors), both])
        (before, smaller), (after, rank) = model.fit(terms), model.fit((*terms, len(terms)))
        share = _share(before - after, rank - smaller, after, len(values) - rank, len(values))
    return Interaction(
        rows.name,
        columns.name,
        tuple(level.label for level in rows.levels),
        tuple(level.label for level in columns.levels),
        tuple(tuple(None if np.isnan(mean) else float(mean) for mean in line) for line in means),
        tuple(tuple(int(count) for count in line) for line in counts),
        share.share,
        share.p,
    )


def seed_sensitivity(design: Design, values: Floats) -> SeedSensitivity | None:
    """Measure the spread over seeds at the same settings; None if no setting has two.

    The spread is the pooled standard deviation: the root of the variances (n - 1) of the settings, averaged by their degrees
    of freedom.
    """
    factor = next((one for one in design.factors if SEED in one.keys and one.repeats), None)
    if factor is None or not len(values):
        return None
    groups = _split(values, factor.codes, design.settings_for(factor))
    if not groups:
        return None
    split = sum(bool(np.ptp(group) > 0) for group in groups)
    seeds = len(np.unique(factor.codes))
    return SeedSensitivity(_pooled(groups), float(values.std(ddof=1)), len(groups), seeds, split)


def replicate_spread(results: Results, metric: str) -> float | None:
    """Measure the spread over replicates of a setting: other seeds, repeats, outputs.

    The standard deviation within settings, pooled as in `seed_sensitivity`; None if no setting has two values, or if there is
    only one setting.
    """
    design = read_design(results, per_cell=is_of_cells(results, metric))
    values = read_values(design.shots, metric)
    there = ~np.isnan(values)
    part = design.part(there)
    settings = part.groups([one for one in part.factors if not one.repeats])
    single = np.arange(len(settings), dtype=np.intp)
    groups = _split(values[there], single, settings)
    return _pooled(groups) if groups and len(np.unique(settings)) > 1 else None


def _pooled(groups: Sequence[Floats]) -> float:
    """Pooled standard deviation within groups of at least two values."""
    degrees = sum(len(group) - 1 for group in groups)
    return math.sqrt(sum(float(((group - group.mean()) ** 2).sum()) for group in groups) / degrees)


def _split(values: Floats, seeds: Codes, settings: Codes) -> list[Floats]:
    """The values of every setting that has at least two seeds."""
    order = np.argsort(settings, kind="stable")
    edges = np.flatnonzero(np.diff(settings[order])) + 1
    groups = np.split(order, edges)
    return [values[group] for group in groups if len(np.unique(seeds[group])) > 1]
