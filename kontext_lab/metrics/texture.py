"""What a reference's places look like with what is around them: worked out once for all its outputs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kontext_lab.metrics.filters import greatest, smooth, window_mean
from kontext_lab.metrics.pixels import Floats

__all__ = ["Texture", "contrast", "mean_around", "similarity", "slope", "texture"]

_NEAR = 1.5
"""Standard deviation of the neighbourhood, in pixels of the picture as it is measured."""
_WINDOW = 7
_RANGE = 100.0
_SAMPLE = _WINDOW**2 / (_WINDOW**2 - 1)
"""From the mean square of a window to the variance of which it is a sample."""
_LEVELS, _CONTRASTS = (0.01 * _RANGE) ** 2, (0.03 * _RANGE) ** 2


@dataclass(frozen=True)
class Texture:
    """Of lightness, height × width each.

    Attributes:
        mean: weighted mean around every place.
        contrast: weighted standard deviation around it.
        slope: the steepest slope of the mean around it, lightness per pixel.
        window: mean of the window around it.
        variance: of that window.
    """

    mean: Floats
    contrast: Floats
    slope: Floats
    window: Floats
    variance: Floats


def texture(lightness: Floats) -> Texture:
    """Of a reference, L* from 0 to 100."""
    mean = mean_around(lightness)
    window = window_mean(lightness, _WINDOW)
    return Texture(
        mean,
        contrast(lightness, mean),
        slope(mean),
        window,
        _covariance(lightness, lightness, window, window),
    )


def mean_around(plane: Floats) -> Floats:
    """The weighted mean around every place."""
    return smooth(plane, _NEAR)


def contrast(lightness: Floats, mean: Floats) -> Floats:
    """The standard deviation around every place: however displaced, the same texture has the same."""
    return np.sqrt(smooth((lightness - mean) ** 2, _NEAR))


def slope(mean: Floats) -> Floats:
    """The steepest slope around every place, per pixel."""
    down, across = np.gradient(mean)
    squares = np.square(down) + np.square(across)
    return np.asarray(np.sqrt(greatest(squares, 1)))


def similarity(reference: Texture, one: Floats, other: Floats) -> Floats:
    """Structural similarity of lightness at every place, -1 to 1.

    Wang, Bovik, Sheikh and Simoncelli 2004, windows of 7 × 7 with equal weights: the same as scikit-image's
    `structural_similarity`, of which two fifths are known of a reference.

    Args:
        reference: what is known of `one`.
        one: height × width, L* from 0 to 100.
        other: the same.
    """
    window = window_mean(other, _WINDOW)
    variance = _covariance(other, other, window, window)
    both = _covariance(one, other, reference.window, window)
    levels = (2 * reference.window * window + _LEVELS) / (reference.window**2 + window**2 + _LEVELS)
    found: Floats = levels * (2 * both + _CONTRASTS) / (reference.variance + variance + _CONTRASTS)
    return found


def _covariance(one: Floats, other: Floats, mean: Floats, means: Floats) -> Floats:
    return _SAMPLE * (window_mean(one * other, _WINDOW) - mean * means)
