"""Shares of variance: how much of a value's spread each axis explains. Pure functions over arrays.

η² = SS_axis / SS_total (R. A. Fisher; J. Cohen, Educational and Psychological Measurement 33 (1973) 107-112), the
sums of squares those of a model of main effects, for each axis what it explains beyond all others (type II, as
F. Yates, JASA 29 (1934) 51-66, for unbalanced designs). Where every combination was measured equally often these
are the textbook's sums of squares, and shares and residual add up to 1.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kontext_lab.statistics.design import Codes

__all__ = ["Share", "Variance", "beyond", "decomposed"]

Floats = NDArray[np.float64]
_SINGULAR = 1e-9


@dataclass(frozen=True)
class Share:
    """What one term explains.

    Attributes:
        share: 0 to 1, or None where it can't be told apart from the other terms.
        by_chance: the share it would have on average if it did nothing: its degrees of freedom times the mean square
            of what is left; None without residual degrees of freedom.
        p: of the F-test that it does nothing, or None without residual degrees of freedom.
    """

    share: float | None = None
    by_chance: float | None = None
    p: float | None = None


@dataclass(frozen=True)
class Variance:
    """The shares of several terms, and of what is left; no shares at all where nothing varies."""

    shares: tuple[Share, ...]
    residual: float | None


def decomposed(
    values: Floats, terms: Sequence[Codes], inside: Mapping[int, Collection[int]] | None = None
) -> Variance:
    """Shares of the variance of some values.

    Args:
        values: finite.
        terms: for each term the group of every value.
        inside: for the place of a term, those that exist only within some of its groups: they explain what is left
            after it, not the other way round.
    """
    scaled = _scaled(values)
    if scaled is None:
        return Variance((Share(),) * len(terms), None)
    model = _Model(scaled, terms)
    everything = tuple(range(len(terms)))
    left, rank = model.fit(everything)
    free = len(values) - rank
    shares = []
    for at in everything:
        others = tuple(one for one in everything if one != at and one not in (inside or {}).get(at, ()))
        (before, smaller), (after, larger) = model.fit(others), model.fit((*others, at))
        shares.append(_share(before - after, larger - smaller, left, free, len(values)))
    return Variance(tuple(shares), left / len(values))


def beyond(values: Floats, terms: Sequence[Codes], further: Codes) -> Share:
    """What one more term explains beyond others, such as a combination beyond the axes it is made of.

    Args:
        values: finite.
        terms: for each term the group of every value.
        further: the groups of the one more; where each holds a single value, nothing can be told.
    """
    scaled = _scaled(values)
    if scaled is None or len(np.unique(further)) == len(values):
        return Share()
    model = _Model(scaled, [*terms, further])
    everything = tuple(range(len(terms)))
    (before, smaller), (after, rank) = model.fit(everything), model.fit((*everything, len(terms)))
    return _share(before - after, rank - smaller, after, len(values) - rank, len(values))


def _scaled(values: Floats) -> Floats | None:
    """The values around 0 with a spread of 1; None where they don't differ."""
    spread = float(values.std()) if len(values) else 0.0
    if len(values) < 2 or spread <= 1e-12 * float(np.abs(values).max()):
        return None
    return np.asarray((values - values.mean()) / spread)


def _share(explained: float, degrees: int, left: float, free: int, n: int) -> Share:
    if degrees < 1:
        return Share()
    p = None
    if free > 0:
        noise = left / free
        # Where nothing is left over, the axis explains all or nothing.
        p = (
            _tail(explained / degrees / noise, degrees, free)
            if noise > _SINGULAR
            else float(explained <= _SINGULAR)
        )
    chance = degrees * left / free / n if free > 0 else None
    return Share(min(1.0, max(0.0, explained / n)), chance, p)


def _tail(ratio: float, degrees: int, free: int) -> float:
    """How often F comes out as large as this where an axis does nothing."""
    from scipy import special  # noqa: PLC0415 - only who asks for effects pays for scipy

    return float(special.fdtrc(degrees, free, ratio))


class _Model:
    """Least squares on indicator columns, by their normal equations: cheap also for thousands of cells."""

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
        """Sum of squares left by a model of these terms, and its rank."""
        used = np.concatenate([self._of_term[0], *(self._of_term[term + 1] for term in terms)])
        part = self._cross[np.ix_(used, used)]
        scales, directions = np.linalg.eigh(part)
        there = scales > _SINGULAR * scales[-1]
        along = directions[:, there].T @ self._with[used]
        return max(0.0, self._total - float((along**2 / scales[there]).sum())), int(there.sum())
