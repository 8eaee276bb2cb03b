"""A whole study of one measured value: reads, computes axis by axis, and has it told."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kontext_lab.errors import ConfigError
from kontext_lab.results import Results
from kontext_lab.statistics import interactions, main_effects, observations
from kontext_lab.statistics.design import Design, Factor, read_design
from kontext_lab.statistics.effects import AxisEffect, Effects
from kontext_lab.statistics.inert_axes import idle_pairs, idle_words
from kontext_lab.statistics.sentences import told
from kontext_lab.statistics.variance import Share, decomposed

__all__ = ["effects_of"]

Floats = NDArray[np.float64]


def effects_of(results: Results, metric: str, *, interaction: Any = None) -> Effects:
    """What every axis that varies does to a measured value.

    Values of an axis are compared within blocks: the same seed, the same reference, repeat and output, by the same
    service; intervals (95 %) resample these blocks, with a fixed seed, so that the numbers repeat. Of yes/no values
    the means are rates, with Wilson's intervals. Shares of the variance are η² of a model of main effects.

    Args:
        results: of one sweep, or of several together.
        metric: the name of a measured value, such as `change/area` or `verdict/follows_prompt`; `moderated` for
            whether the service refused to show a picture.
        interaction: the names of two axes whose combinations are looked at as well.

    Returns:
        Numbers and sentences, also where there is little to say: nothing measured, one cell, no seeds to compare.

    Raises:
        ConfigError: others were measured and this one was not, or `interaction` is not two axes that vary.
    """
    if not isinstance(results, Results):
        raise ConfigError(
            f"results: {type(results).__name__} is none, give what lab.run or lab.load returned"
        )
    name = observations.check_metric(results, metric)
    whole = read_design(results, per_cell=observations.is_of_cells(results, name))
    wanted = interactions.check_interaction(whole, interaction)
    values = observations.read_values(whole.shots, name)
    there = ~np.isnan(values)
    study = _Study(whole.part(there), values[there], observations.is_yes_no(name, values))
    axes, residual, apart = study.axes()
    several = any(len(cell.outputs) > 1 for cell in results) and len(whole.shots) > len(results)
    idle = idle_pairs(results)
    found = Effects(
        metric=name,
        name=results.name,
        n=len(study.values),
        units=len(whole.shots),
        unit="output" if several else "cell",
        simulated=sum(shot.cell.simulated for shot in (study.design.shots or whole.shots)),
        is_rate=study.is_rate,
        mean=float(study.values.mean()) if len(study.values) else None,
        axes=axes,
        residual=residual,
        seed=interactions.seed_sensitivity(study.design, study.values),
        interaction=interactions.interaction_of(study.design, study.values, wanted)
        if wanted is not None and len(study.values)
        else None,
        missing=observations.missing(whole.shots, values, name),
        seeds=study.seeds,
        balanced=study.is_balanced,
        apart=apart,
        idle=tuple(idle),
    )
    return replace(found, sentences=told(found, [idle_words(*one) for one in idle.items()]))


class _Study:
    """The measured shots and their values.

    Args:
        design: of the shots that have a value.
        values: one per shot, finite.
        is_rate: whether they are yes/no.
    """

    def __init__(self, design: Design, values: Floats, is_rate: bool) -> None:
        self.design, self.values, self.is_rate = design, values, is_rate
        self.seeds = len({str(shot.cell.params.get("seed")) for shot in design.shots})

    @property
    def is_balanced(self) -> bool:
        """Whether every combination of values was measured equally often."""
        factors = self.design.factors
        if not factors or not len(self.values):
            return True
        _, counts = np.unique(self.design.groups(factors), return_counts=True)
        combinations = int(np.prod([float(len(one.levels)) for one in factors]))
        return len(counts) == combinations and bool((counts == counts[0]).all())

    def axes(self) -> tuple[tuple[AxisEffect, ...], float | None, tuple[str, ...]]:
        """The effect of every axis, what no axis explains, and which axes can't be told apart from others."""
        factors = self.design.factors
        if not len(self.values):
            return (), None, ()
        inside = {at: self._inside(one) for at, one in enumerate(factors)}
        parts = decomposed(self.values, [one.codes for one in factors], inside)
        varies = parts.residual is not None
        effects = tuple(self._axis(one, share) for one, share in zip(factors, parts.shares, strict=True))
        apart = tuple(one.name for one in effects if varies and one.share is None and len(one.measured) > 1)
        return effects, parts.residual, apart

    def _inside(self, factor: Factor) -> set[int]:
        inside = self.design.inside(factor)
        return {at for at, one in enumerate(self.design.factors) if one in inside}

    def _axis(self, factor: Factor, share: Share) -> AxisEffect:
        seen = main_effects.Along(self.design, factor, self.values, self.is_rate, self.seeds)
        return AxisEffect(
            factor.name,
            main_effects.points(seen),
            main_effects.differences(seen),
            main_effects.traces(seen),
            tuple(one.name for one in self.design.blocking(factor)),
            factor.numeric,
            factor.repeats,
            share.share,
            share.by_chance,
            share.p,
        )
