"""Confidence intervals and sample sizes. Pure functions over arrays; knows no cells.

Sources: B. Efron and R. Tibshirani, An Introduction to the Bootstrap (1993), chapter 13, percentile interval; E. B.
Wilson, JASA 22 (1927) 209-212; R. G. Newcombe, Statistics in Medicine 17 (1998) 873-890, method 10; sample sizes as
in J. Fleiss, B. Levin, M. Paik, Statistical Methods for Rates and Proportions (2003), equation 4.14 without
continuity correction, and W. C. Guenther, The American Statistician 35 (1981) 243-244.
"""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "CONFIDENCE",
    "POWER",
    "Bounds",
    "block_intervals",
    "pairs_needed",
    "rate_difference",
    "trials_needed",
    "wilson",
]

CONFIDENCE = 0.95
POWER = 0.8
_ALPHA, _POWER = NormalDist().inv_cdf((1 + CONFIDENCE) / 2), NormalDist().inv_cdf(POWER)
"""Quantiles of the normal distribution for both."""
_RESAMPLES = 2000
_SEED = 1927
_AT_ONCE = 2_000_000
"""Numbers in one batch of resampling."""

Floats = NDArray[np.float64]
Bounds = tuple[float, float]


def block_intervals(sums: Floats, counts: Floats) -> list[Bounds | None]:
    """Compute percentile bootstrap intervals of means, resampling whole blocks.

    With few blocks they are too narrow: for normal values, intervals over 3 blocks hold the true mean in about 3 of 4 cases,
    over 5 in 5 of 6, over 10 in 9 of 10.

    Args:
        sums: rows x blocks, the sum of the values of a row in a block.
        counts: rows x blocks, the number of these values; a row with fewer than two blocks has no interval.
    """
    from scipy import stats  # noqa: PLC0415 - takes a second to load

    def mean(sums: Floats, counts: Floats, axis: int = -1) -> Floats:
        return np.asarray(sums.sum(axis=axis) / counts.sum(axis=axis))

    found: list[Bounds | None] = [None] * len(sums)
    patterns, of_row = np.unique(counts > 0, axis=0, return_inverse=True) if len(sums) else ((), ())
    for pattern, there in enumerate(patterns):
        rows = np.flatnonzero(np.ravel(of_row) == pattern)
        samples = sums[rows][:, there], counts[rows][:, there]
        if there.sum() < 2:
            continue
        bounds = stats.bootstrap(
            samples,
            mean,
            axis=-1,
            paired=True,
            vectorized=True,
            n_resamples=_RESAMPLES,
            batch=max(1, _AT_ONCE // samples[0].size),
            confidence_level=CONFIDENCE,
            method="percentile",
            rng=np.random.default_rng(_SEED),
        ).confidence_interval
        for row, low, high in zip(rows, np.atleast_1d(bounds.low), np.atleast_1d(bounds.high), strict=True):
            found[row] = (float(low), float(high))
    return found


def wilson(successes: int, trials: int) -> Bounds | None:
    """Compute the Wilson interval of a rate, 0 to 1; None without trials."""
    from scipy import stats  # noqa: PLC0415 - takes a second to load

    if not trials:
        return None
    found = stats.binomtest(successes, trials).proportion_ci(CONFIDENCE, method="wilson")
    return float(found.low), float(found.high)


def rate_difference(first: tuple[int, int], second: tuple[int, int]) -> Bounds | None:
    """Compute Newcombe's interval of the second rate minus the first, each given as successes and trials.

    Pairing is ignored, which makes the interval wider if pairs agree.
    """
    one, two = wilson(*first), wilson(*second)
    if one is None or two is None:
        return None
    p1, p2 = first[0] / first[1], second[0] / second[1]
    below = math.hypot(p2 - two[0], one[1] - p1)
    above = math.hypot(two[1] - p2, p1 - one[0])
    return p2 - p1 - below, p2 - p1 + above


def pairs_needed(differences: Floats) -> int | None:
    """Compute the number of pairs that a paired t-test needs for the mean difference of these.

    n = ((z₁₋α/₂ + z_power) · s / d)² + z²₁₋α/₂ / 2, the normal approximation with Guenther's correction; None if
    the mean difference is 0, or there are fewer than two pairs.
    """
    if len(differences) < 2:
        return None
    mean, spread = float(differences.mean()), float(differences.std(ddof=1))
    if abs(mean) <= 1e-12 * float(np.abs(differences).max()):
        return None
    return max(2, math.ceil(((_ALPHA + _POWER) * spread / mean) ** 2 + _ALPHA**2 / 2))


def trials_needed(first: float, second: float) -> int | None:
    """Compute the number of trials of each of two rates that shows their difference; None if they are equal.

    n = (z₁₋α/₂ √(2 p̄ q̄) + z_power √(p₁q₁ + p₂q₂))² / (p₂ - p₁)², the normal approximation for two proportions.
    """
    if first == second:
        return None
    both = (first + second) / 2
    under_null = _ALPHA * math.sqrt(2 * both * (1 - both))
    under_other = _POWER * math.sqrt(first * (1 - first) + second * (1 - second))
    return max(2, math.ceil(((under_null + under_other) / (second - first)) ** 2))
