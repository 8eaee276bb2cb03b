"""The values of a metric, one per output, and the reasons why some are missing."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np

from kontext_lab.errors import ConfigError, listed, shown
from kontext_lab.results import Results, State
from kontext_lab.results.labels import VERDICT
from kontext_lab.statistics.design import Floats, Observation

__all__ = ["MODERATED", "check_metric", "is_of_cells", "is_yes_no", "measured", "missing", "read_values"]

MODERATED = "moderated"
"""Moderation as a metric: 1 for pictures that the service withheld."""

# Metrics that are numbers even if all of their values happen to be 0 or 1.
_NUMBERS = ("change/area", "change/strength", "change/regions", "rank/score")
_NUMBER_GROUP = "preserve/"


def measured(results: Results) -> tuple[str, ...]:
    """Names of the metrics that have values, in alphabetical order; `moderated` comes last, if that happened."""
    names = {name for cell in results for name in cell.metrics}
    names |= {name for output in results.outputs for name in output.metrics}
    moderated = any(_is_moderated(Observation(cell, 1, None)) for cell in results) or any(
        output.reason == MODERATED for output in results.outputs
    )
    return (*sorted(names), MODERATED) if moderated else tuple(sorted(names))


def check_metric(results: Results, metric: object) -> str:
    """Return the name of a metric; a ConfigError if it is no name, or was not measured although others were."""
    there = measured(results)
    named = f"there are {listed(there, metric)}" if there else "there are none"
    if not isinstance(metric, str) or not metric:
        raise ConfigError(f"metric: {shown(metric)} is not the name of a measured value; {named}")
    if metric != MODERATED and metric not in there and set(there) - {MODERATED}:
        raise ConfigError(f"metric: {shown(metric)} was not measured; {named}")
    return metric


def is_of_cells(results: Results, metric: str) -> bool:
    """True for a metric of whole cells, which counts once per cell."""
    of_outputs = any(metric in output.metrics for output in results.outputs)
    return not of_outputs and any(metric in cell.metrics for cell in results)


def read_values(shots: Sequence[Observation], metric: str) -> Floats:
    """Values of one metric, one per output; missing and non-finite ones are NaN."""
    values = np.full(len(shots), np.nan)
    for index, shot in enumerate(shots):
        if metric != MODERATED:
            own = shot.output.metrics if shot.output is not None else {}
            values[index] = own.get(metric, shot.cell.metrics.get(metric, math.nan))
        elif _is_moderated(shot):
            values[index] = 1.0
        elif shot.output is not None and shot.output.is_picture:
            values[index] = 0.0
    values[~np.isfinite(values)] = np.nan
    return values


def is_yes_no(metric: str, values: Floats) -> bool:
    """True if means of it are rates: verdicts, moderation, and values that are always 0 or 1."""
    if metric == MODERATED or metric.startswith(VERDICT):
        return True
    if metric in _NUMBERS or metric.startswith(_NUMBER_GROUP):
        return False
    there = values[~np.isnan(values)]
    return bool(len(there)) and bool(np.isin(there, (0.0, 1.0)).all())


def missing(shots: Sequence[Observation], values: Floats, metric: str) -> tuple[tuple[str, int], ...]:
    """Reasons why values are missing and their counts, the most frequent first."""
    without = (shot for shot, value in zip(shots, values, strict=True) if math.isnan(value))
    return tuple(Counter(_why(shot, metric) for shot in without).most_common())


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
