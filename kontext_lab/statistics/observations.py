"""One measured value of every picture, and why there is none where there is none."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from kontext_lab.errors import ConfigError, listed, shown
from kontext_lab.results import Results, State
from kontext_lab.results.labels import VERDICT
from kontext_lab.statistics.design import Observation

__all__ = [
    "MODERATED",
    "Values",
    "check_metric",
    "is_of_cells",
    "is_yes_no",
    "measured",
    "missing",
    "read_values",
]

MODERATED = "moderated"
"""The name under which moderation counts as a value: 1 where the service refused to show the picture."""


Values = NDArray[np.float64]
"""One value per shot, NaN where there is none."""

# What stays a number also where all of its values happen to be 0 or 1.
_NUMBERS = ("change/area", "change/strength", "change/regions", "rank/score")
_NUMBER_GROUP = "preserve/"


def measured(results: Results) -> tuple[str, ...]:
    """The values there are: of pictures, of whole cells, `moderated` where that happened; in order of their names."""
    found = {name for cell in results for name in cell.metrics}
    found |= {name for output in results.outputs for name in output.metrics}
    moderated = any(_is_moderated(Observation(cell, 1, None)) for cell in results) or any(
        output.reason == MODERATED for output in results.outputs
    )
    return (*sorted(found), MODERATED) if moderated else tuple(sorted(found))


def check_metric(results: Results, metric: object) -> str:
    """The name of a value, if it can be looked at.

    Raises:
        ConfigError: it is no name, or others were measured and this one was not.
    """
    there = measured(results)
    named = f"there are {listed(there, metric)}" if there else "there are none"
    if not isinstance(metric, str) or not metric:
        raise ConfigError(f"metric: {shown(metric)} is no name of a measured value; {named}")
    if metric != MODERATED and metric not in there and set(there) - {MODERATED}:
        raise ConfigError(f"metric: {shown(metric)} was not measured; {named}")
    return metric


def is_of_cells(results: Results, metric: str) -> bool:
    """Whether it is a value of whole cells, which counts once however many outputs they have."""
    of_outputs = any(metric in output.metrics for output in results.outputs)
    return not of_outputs and any(metric in cell.metrics for cell in results)


def read_values(shots: Sequence[Observation], metric: str) -> Values:
    """The values of one metric; what is not finite is none."""
    found = [_moderated(shot) if metric == MODERATED else _measured(shot, metric) for shot in shots]
    values = np.array(found, dtype=np.float64)
    values[~np.isfinite(values)] = np.nan
    return values


def is_yes_no(metric: str, values: Values) -> bool:
    """Whether means of it are rates: verdicts, moderation, and whatever is always 0 or 1."""
    if metric == MODERATED or metric.startswith(VERDICT):
        return True
    if metric in _NUMBERS or metric.startswith(_NUMBER_GROUP):
        return False
    there = values[~np.isnan(values)]
    return bool(len(there)) and bool(np.isin(there, (0.0, 1.0)).all())


def missing(shots: Sequence[Observation], values: Values, metric: str) -> tuple[tuple[str, int], ...]:
    """Why values are missing and how often, the most frequent first."""
    without = (shot for shot, value in zip(shots, values, strict=True) if math.isnan(value))
    return tuple(Counter(_why(shot, metric) for shot in without).most_common())


def _measured(shot: Observation, metric: str) -> float:
    own = shot.output.metrics if shot.output is not None else {}
    value = own.get(metric, shot.cell.metrics.get(metric, math.nan))
    return float(value)


def _moderated(shot: Observation) -> float:
    if _is_moderated(shot):
        return 1.0
    return 0.0 if shot.output is not None and shot.output.is_picture else math.nan


def _is_moderated(shot: Observation) -> bool:
    if shot.output is not None:
        return shot.output.reason == MODERATED
    return shot.cell.state is State.FAILED and shot.cell.reason == MODERATED


def _why(shot: Observation, metric: str) -> str:
    if _is_moderated(shot):
        return MODERATED
    if shot.output is not None and shot.output.is_picture:
        if metric in shot.output.metrics or metric in shot.cell.metrics:
            return "not finite"
        return "not judged" if metric.startswith(VERDICT) else "not measured"
    if shot.cell.state is not State.DONE:
        return str(shot.cell.state).replace("_", " ")
    return (shot.output.reason if shot.output is not None else "") or "without a picture"
