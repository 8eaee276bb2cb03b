"""What is in several axes together: the table of means of two, and how much seeds do at the same settings."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from kontext_lab.errors import ConfigError, shown
from kontext_lab.results import Results
from kontext_lab.statistics.design import Codes, Design, Factor, grouped, read_design
from kontext_lab.statistics.effects import Interaction, SeedSensitivity
from kontext_lab.statistics.observations import is_of_cells, read_values
from kontext_lab.statistics.variance import beyond

__all__ = ["check_interaction", "interaction_of", "replicate_spread", "seed_sensitivity"]

Floats = NDArray[np.float64]
SEED = "seed"


def check_interaction(design: Design, wanted: object) -> tuple[Factor, Factor] | None:
    """The two axes that were named; None where none were.

    Raises:
        ConfigError: these are not two different axes that vary.
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
    """Means over the combinations of two axes.

    Args:
        design: of the shots that have a value.
        values: finite, one per shot.
        keys: the axes, as the whole study has them.
    """
    rows, columns = (next(one for one in design.factors if one.keys == key.keys) for key in keys)
    shape = (len(rows.levels), len(columns.levels))
    sums, counts = np.zeros(shape), np.zeros(shape)
    np.add.at(sums, (rows.codes, columns.codes), values)
    np.add.at(counts, (rows.codes, columns.codes), 1)
    with np.errstate(invalid="ignore"):
        means = sums / counts
    both = grouped([rows.codes, columns.codes])
    share = beyond(values, [one.codes for one in design.factors], both)
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
    """How different seeds come out at the same settings; None where no setting has two.

    The spread is the root of the variances (n - 1 below) at the single settings, averaged with their degrees of
    freedom.
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
    """How different replicates of a setting come out: other seeds, repeats, outputs.

    The standard deviation within settings, pooled over them as in `seed_sensitivity`; None where no setting has two
    values, and where there is one setting only: then replicates are what is looked at.
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
    """The standard deviation within groups of two values and more, pooled by their degrees of freedom."""
    degrees = sum(len(group) - 1 for group in groups)
    return math.sqrt(sum(float(((group - group.mean()) ** 2).sum()) for group in groups) / degrees)


def _split(values: Floats, seeds: Codes, settings: Codes) -> list[Floats]:
    """The values of every setting that has at least two seeds."""
    order = np.argsort(settings, kind="stable")
    edges = np.flatnonzero(np.diff(settings[order])) + 1
    groups = np.split(order, edges)
    return [values[group] for group in groups if len(np.unique(seeds[group])) > 1]
