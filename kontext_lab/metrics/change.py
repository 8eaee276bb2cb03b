"""Differences between a reference and an output aligned with it: distances per pixel, changed regions, similarity.

A pixel counts as changed by the mean colour around it (Lab distance, CIE 1976) and by the variation of lightness around it
(its standard deviation, for texture that was painted over). Neither depends on how sharply a picture was scaled. Encoder noise
and sub-pixel misalignment are subtracted: a floor from the picture's own noise, and more along its edges.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from skimage.filters import apply_hysteresis_threshold

from kontext_lab.metrics.pixels import Floats, Mask, Pixels

__all__ = ["Region", "Texture", "change_map", "regions_of", "similarity", "texture_of"]

_EDGE = 0.3
"""Pixels by which an edge may still be displaced."""
_LEAST_NOISE, _MOST_NOISE = 1.0, 5.0
_SURE, _POSSIBLE = 7.0, 2.5
"""Lab units over the floor: a pixel above the first has changed, and so have connected ones above the second."""
_OUTLINE = 0.25
"""The smoothed edge of a change is cut at this part of the greatest distance nearby."""
_SPECK, _HOLE = 2e-4, 4e-3
"""Shares of the picture: a smaller change is dropped, a smaller gap in a change is filled."""
_BESIDE = 0.03
"""A change below this part of the largest one is dropped too."""
_CLOSE = 7
"""Side in pixels of the window that closes gaps and finds the greatest distance nearby."""
_TOGETHER = 0.015
"""Changes nearer to each other than this share of the diagonal are one region."""

_NEAR = 1.5
"""Standard deviation of the Gaussian neighbourhood, in pixels of the measured picture."""
_WINDOW = 7
_SAMPLE = _WINDOW**2 / (_WINDOW**2 - 1)
"""From the mean square of a window to the variance of which it is a sample."""
_LEVELS, _CONTRASTS = (0.01 * 100) ** 2, (0.03 * 100) ** 2
"""C1 and C2 of structural similarity, for lightness from 0 to 100."""


@dataclass(frozen=True)
class Region:
    """A part of the picture that changed.

    Attributes:
        box: x0, y0, x1, y1 as fractions of the reference's width and height, from its upper left corner.
        share: part of the whole change, 0 to 1.
    """

    box: tuple[float, float, float, float]
    share: float


@dataclass(frozen=True)
class Texture:
    """Local statistics of a reference's lightness, computed once for all its outputs; height × width each.

    Gaussian-weighted mean, its standard deviation (contrast) and the mean's steepest slope nearby, in lightness per pixel; mean
    and variance of the 7 × 7 window.
    """

    mean: Floats
    contrast: Floats
    slope: Floats
    window: Floats
    variance: Floats


def texture_of(lightness: Floats) -> Texture:
    """Compute the local statistics of a reference, L* from 0 to 100."""
    mean, window = _blurred(lightness), ndimage.uniform_filter(lightness, _WINDOW)
    variance = _covariance(lightness, lightness, window, window)
    return Texture(mean, _contrast(lightness, mean), _slope(mean), window, variance)


def similarity(reference: Texture, one: Floats, other: Floats) -> Floats:
    """Structural similarity at each pixel, -1 to 1, of two planes of lightness; `reference` is the statistics of `one`.

    Wang, Bovik, Sheikh and Simoncelli 2004, windows of 7 × 7 with equal weights: equals scikit-image's
    `structural_similarity`, but reuses the part that depends on the reference alone.
    """
    window = ndimage.uniform_filter(other, _WINDOW)
    variance = _covariance(other, other, window, window)
    both = _covariance(one, other, reference.window, window)
    levels = (2 * reference.window * window + _LEVELS) / (reference.window**2 + window**2 + _LEVELS)
    return np.asarray(levels * (2 * both + _CONTRASTS) / (reference.variance + variance + _CONTRASTS))


def change_map(reference: Pixels, texture: Texture, output: Floats, seen: Mask) -> Floats:
    """Distance of each pixel from what it was, in Lab units over the noise floor; 0 where nothing changed.

    `output` is CIE L*a*b* in the reference's frame, equal to the reference where it isn't `seen`.
    """
    distance, edges = _distances(reference, texture, output, seen)
    sample = distance[::2, ::2][seen[::2, ::2]]
    changes = np.zeros(seen.shape, np.float32)
    if not sample.size:
        return changes
    distance -= np.float32(np.clip(2 * np.percentile(sample, 25), _LEAST_NOISE, _MOST_NOISE))
    above = np.where(seen, np.maximum(distance - _EDGE * edges, 0), 0)
    changed = apply_hysteresis_threshold(above, _POSSIBLE, _SURE)
    boxes = ndimage.find_objects(changed.astype(np.uint8))
    if boxes:
        # Only the part that changed is cleaned up, with a margin in which no gap could be filled.
        margin = int(np.ceil(np.sqrt(_HOLE * changed.size))) + _CLOSE - 1
        part = tuple(slice(max(0, side.start - margin), side.stop + margin) for side in boxes[0])
        kept = _cleaned(above[part], changed[part], seen.size) & seen[part]
        # Inside a change each pixel counts as changed, even if its colour happens to be the same as before.
        changes[part] = np.where(kept, np.maximum(distance[part], 0.1), 0)
    return changes


def regions_of(changed: Mask) -> tuple[Region, ...]:
    """Return the connected parts of a change, largest first; parts near to each other are one region."""
    height, width = changed.shape
    total = int(changed.sum())
    if not total:
        return ()
    reach = max(1, round(_TOGETHER * float(np.hypot(width, height)) / 2))
    labels, count = ndimage.label(ndimage.maximum_filter(changed, 2 * reach + 1), structure=np.ones((3, 3)))
    labels *= changed
    sizes = np.bincount(labels.ravel(), minlength=count + 1)
    regions = []
    for label, (rows, columns) in enumerate(ndimage.find_objects(labels), start=1):
        box = (columns.start / width, rows.start / height, columns.stop / width, rows.stop / height)
        regions.append(Region(box, float(sizes[label]) / total))
    return tuple(sorted(regions, key=lambda region: -region.share))


def _distances(reference: Pixels, texture: Texture, output: Floats, seen: Mask) -> tuple[Floats, Floats]:
    """Distance of each pixel, and the slope there of the smoother of the two pictures."""
    colours = [_blurred(one - other) for one, other in zip(reference.lab, output, strict=True)]
    mean = texture.mean - colours[0]
    structure = texture.contrast - _contrast(output[0], mean)
    square = colours[0] ** 2 + colours[1] ** 2 + colours[2] ** 2
    if not seen.all():
        # Hidden pixels are equal and must not dilute the mean colour of the visible ones.
        square /= np.maximum(_blurred(seen.astype(np.float32)), 1e-3) ** 2
    return np.sqrt(square + structure**2), np.minimum(texture.slope, _slope(mean))


def _cleaned(above: Floats, changed: Mask, size: int) -> Mask:
    """Cut smoothed edges, drop specks and fill gaps; `size` is the number of pixels of the whole picture."""
    changed = changed & (above >= _OUTLINE * ndimage.maximum_filter(np.where(changed, above, 0), _CLOSE))
    changed = _without_small(changed, _SPECK * size)
    changed = ndimage.minimum_filter(ndimage.maximum_filter(changed, _CLOSE), _CLOSE)
    changed = ~_without_small(~changed, _HOLE * size)
    largest = np.bincount(ndimage.label(changed)[0].ravel())[1:].max(initial=0)
    return _without_small(changed, _BESIDE * largest)


def _without_small(mask: Mask, smallest: float) -> Mask:
    """The mask without its connected parts of fewer pixels."""
    labels, count = ndimage.label(mask)
    sizes = np.bincount(labels.ravel(), minlength=count + 1)
    sizes[0] = 0
    return np.asarray((sizes >= smallest)[labels] & mask)


def _blurred(plane: Floats) -> Floats:
    return np.asarray(ndimage.gaussian_filter(plane, _NEAR, truncate=3.0))


def _contrast(lightness: Floats, mean: Floats) -> Floats:
    """Local standard deviation: the same texture has the same value, however it is displaced."""
    return np.sqrt(_blurred((lightness - mean) ** 2))


def _slope(mean: Floats) -> Floats:
    """The steepest slope around each pixel, lightness per pixel."""
    down, across = np.gradient(mean)
    return np.asarray(np.sqrt(ndimage.maximum_filter(np.square(down) + np.square(across), 3)))


def _covariance(one: Floats, other: Floats, mean: Floats, other_mean: Floats) -> Floats:
    """Covariance of two planes in each window, from the means of the window."""
    return np.asarray(_SAMPLE * (ndimage.uniform_filter(one * other, _WINDOW) - mean * other_mean))
