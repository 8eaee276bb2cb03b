"""Shares of variance: how much of a value's spread each axis, two axes together and seeds explain.

η² = SS_axis / SS_total (R. A. Fisher; J. Cohen, Educational and Psychological Measurement 33 (1973) 107-112), with the sums of
squares of a model of main effects, for each axis what it explains beyond all others (type II, as F. Yates, JASA 29 (1934)
51-66, for unbalanced designs). If every combination was measured equally often these are the textbook's sums of squares, and
shares and residual add up to 1.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from kontext_lab.errors import ConfigError, shown
from kontext_lab.results import Results
from kontext_lab.statistics.design import Codes, Design, Floats, grouped, read_design, tabulated
from kontext_lab.statistics.effects import Interaction, SeedSensitivity
from kontext_lab.statistics.observations import is_of_cells, read_values

__all__ = ["Share", "decomposed", "interaction_of", "replicate_spread", "seed_sensitivity"]

SEED = "seed"
_SINGULAR = 1e-9


class Share(NamedTuple):
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
    spread = float(values.std()) if len(values) else 0.0
    if len(values) < 2 or spread <= 1e-12 * float(np.abs(values).max()):
        return (Share(),) * len(terms), None
    model = _Model((values - values.mean()) / spread, terms)
    everything = range(len(terms))
    left, rank = model.fit(everything)
    shares = []
    for at in everything:
        others = [one for one in everything if one != at and one not in (inside or {}).get(at, ())]
        (before, smaller), (after, larger) = model.fit(others), model.fit([*others, at])
        shares.append(_share(before - after, larger - smaller, left, len(values) - rank, len(values)))
    return tuple(shares), left / len(values)


def _share(explained: float, degrees: int, left: float, free: int, n: int) -> Share:
    if degrees < 1:
        return Share()
    # Rounded, so that equal shares are equal on every machine.
    share = round(min(1.0, max(0.0, explained / n)), 12)
    if free <= 0:
        return Share(share)
    noise = left / free
    if noise <= _SINGULAR:  # without a residual the axis explains all or nothing
        return Share(share, degrees * noise / n, float(explained <= _SINGULAR))
    from scipy import special  # noqa: PLC0415 - takes a while to load

    return Share(share, degrees * noise / n, float(special.fdtrc(degrees, free, share * n / degrees / noise)))


class _Model:
    """Least squares on indicator columns, by their normal equations: fast for thousands of cells too."""

    def __init__(self, values: Floats, terms: Sequence[Codes]) -> None:
        columns = [np.ones((len(values), 1))]
        for term in terms:
            codes = np.unique(term, return_inverse=True)[1].reshape(-1)
            columns.append(np.eye(codes.max() + 1)[codes, 1:])
        self._term_of = np.repeat(range(-1, len(terms)), [part.shape[1] for part in columns])
        whole = np.hstack(columns)
        self._cross, self._with, self._total = whole.T @ whole, whole.T @ values, float(values @ values)

    def fit(self, terms: Sequence[int]) -> tuple[float, int]:
        """Residual sum of squares of a model of these terms and a constant, and its rank."""
        used = np.isin(self._term_of, [-1, *terms])
        solution, _, rank, _ = np.linalg.lstsq(
            self._cross[np.ix_(used, used)], self._with[used], rcond=_SINGULAR
        )
        return max(0.0, self._total - float(self._with[used] @ solution)), int(rank)


def interaction_of(design: Design, values: Floats, wanted: object) -> Interaction | None:
    """Compute the means over the combinations of two axes; None if no axes are wanted, or nothing was measured.

    Args:
        design: of the outputs that have a value.
        values: finite, one per output.
        wanted: the names of the axes, or None.

    Raises:
        ConfigError: they are not two different axes that vary.
    """
    if wanted is None:
        return None
    there = ", ".join(one.name for one in design.factors) or "there are none"
    allowed = f"interaction: must be two of the axes that vary ({there})"
    if not isinstance(wanted, list | tuple) or len(wanted) != 2:
        raise ConfigError(f"{allowed}, not {shown(wanted)}")
    named = [next((one for one in design.factors if name in (one.name, *one.keys)), None) for name in wanted]
    rows, columns = named
    if rows is None or columns is None:
        unknown = wanted[named.index(None)]
        raise ConfigError(f"{allowed}, but {shown(unknown)} does not vary here")
    if rows is columns:
        raise ConfigError(f"{allowed}, but {shown(wanted)} is one axis")
    if not len(values):
        return None
    shape = (len(rows.levels), len(columns.levels))
    sums, counts = tabulated(values, rows.codes, columns.codes, shape)
    means = np.divide(sums, counts, out=np.full(shape, np.nan), where=counts > 0)
    both = grouped([rows.codes, columns.codes])
    share = Share()
    # Beyond the axes by themselves; with a single value of each combination it can't be estimated.
    if len(np.unique(both)) < len(values):
        shares, _ = decomposed(values, [*(one.codes for one in design.factors), both])
        share = shares[-1]
    return Interaction(
        rows.name,
        columns.name,
        tuple(level.label for level in rows.levels),
        tuple(level.label for level in columns.levels),
        tuple(tuple(None if np.isnan(mean) else mean for mean in line) for line in means.tolist()),
        tuple(tuple(line) for line in counts.astype(int).tolist()),
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
    groups = _repeated(values, factor.codes, design.settings_for(factor))
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
    groups = _repeated(values[there], np.arange(len(settings)), settings)
    return _pooled(groups) if groups and len(np.unique(settings)) > 1 else None


def _repeated(values: Floats, seeds: Codes, settings: Codes) -> list[Floats]:
    """The values of every setting that has at least two seeds."""
    within = (settings == setting for setting in np.unique(settings))
    return [values[group] for group in within if len(np.unique(seeds[group])) > 1]


def _pooled(groups: Sequence[Floats]) -> float:
    """Pooled standard deviation within groups of at least two values."""
    degrees = [len(group) - 1 for group in groups]
    return float(np.sqrt(np.average([group.var(ddof=1) for group in groups], weights=degrees)))
