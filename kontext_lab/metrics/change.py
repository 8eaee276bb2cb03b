"""What differs between a reference and an output that lies on it: a map of distances, and the regions in it.

Two things make a place another one: the mean colour around it (Lab distance, CIE 1976), and how much lightness varies there
(its standard deviation): texture that was painted over. Neither sees how sharp a picture was scaled. What an encoder and the last
fraction of a pixel leave is taken off: a floor from the picture's own noise, and more along its edges.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.filters import apply_hysteresis_threshold
from skimage.measure import label, regionprops

from kontext_lab.metrics.pixels import Floats

__all__ = ["Region", "change_map", "regions_of"]

_NEAR = 1.5
"""Standard deviation of the neighbourhood, in pixels of the picture as it is measured."""
_EDGE = 0.3
"""Pixels by which an edge may still be displaced."""
_LEAST_NOISE, _MOST_NOISE = 1.0, 5.0
_SURE, _POSSIBLE = 7.0, 2.5
"""Lab units over the floor from which a place has changed, and from which it belongs to one that has."""
_OUTLINE = 0.25
"""Of the greatest distance nearby: where the smoothed edge of a change is cut."""
_SPECK, _HOLE = 2e-4, 4e-3
"""Shares of the picture below which a change is a speck, and a gap in one is part of it."""
_BESIDE = 0.03
"""Of the largest change: what is smaller beside it is a speck too."""
_CLOSE = 3
_TOGETHER = 0.015
"""Changes nearer to each other than this share of the diagonal are one region."""


@dataclass(frozen=True)
class Region:
    """A part of the picture that changed.

    Attributes:
        box: x0, y0, x1, y1 as fractions of the reference's width and height, from its upper left corner.
        share: of all that changed, 0 to 1.
    """

    box: tuple[float, float, float, float]
    share: float


def change_map(reference: Floats, output: Floats, seen: NDArray[np.bool_]) -> Floats:
    """How far every place has changed.

    Args:
        reference: height × width × 3, CIE L*a*b*.
        output: the same, in the reference's frame.
        seen: height × width, where the output has pixels.

    Returns:
        height × width, Lab units over the noise floor; 0 where nothing changed.
    """
    if not seen.any():
        return np.zeros(seen.shape, np.float32)
    mean = _Near(seen)
    one, other = mean.colour(reference), mean.colour(output)
    colour = np.sqrt(((one - other) ** 2).sum(axis=2))
    structure = mean.contrast(reference[..., 0], one[..., 0]) - mean.contrast(output[..., 0], other[..., 0])
    distance = np.hypot(colour, structure)
    edges = np.minimum(_gradient(one[..., 0]), _gradient(other[..., 0]))
    noise = float(np.clip(2 * np.percentile(distance[seen], 25), _LEAST_NOISE, _MOST_NOISE))
    above = np.where(seen, np.maximum(distance - noise - _EDGE * edges, 0.0), 0.0)
    changed = _tidied(_outlined(above)) & seen
    # Inside a change no place is unchanged, however like it was before.
    return np.where(changed, np.maximum(distance - noise, 0.1), 0.0).astype(np.float32)


class _Near:
    """Weighted means around every place, of the places that are seen."""

    def __init__(self, seen: NDArray[np.bool_]) -> None:
        self._seen = None if seen.all() else seen
        self._weight = np.maximum(_smooth(seen.astype(np.float32)), 1e-6)

    def of(self, values: Floats) -> Floats:
        """The mean of some values, height × width."""
        if self._seen is None:
            return _smooth(values)
        return _smooth(np.where(self._seen, values, np.float32(0))) / self._weight

    def colour(self, lab: Floats) -> Floats:
        """The mean colour."""
        return np.dstack([self.of(lab[..., channel]) for channel in range(3)])

    def contrast(self, lightness: Floats, mean: Floats) -> Floats:
        """The standard deviation of lightness: however displaced, the same texture has the same."""
        return np.sqrt(self.of((lightness - mean) ** 2))


def _smooth(values: Floats) -> Floats:
    found: Floats = ndimage.gaussian_filter(values, _NEAR, truncate=3.0)
    return found


def _gradient(lightness: Floats) -> Floats:
    """The steepest slope around every place, lightness per pixel."""
    down, across = np.gradient(lightness)
    steepest: Floats = ndimage.maximum_filter(np.hypot(down, across), 3)
    return steepest


def _outlined(above: Floats) -> NDArray[np.bool_]:
    """The places that changed, cut where a change falls to a part of what it is nearby: smoothing widened it."""
    changed = apply_hysteresis_threshold(above, _POSSIBLE, _SURE)
    nearby = ndimage.maximum_filter(np.where(changed, above, 0.0), 2 * _CLOSE + 1)
    return np.asarray(changed & (above >= _OUTLINE * nearby))


def _tidied(changed: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Without specks and without small gaps."""
    changed = _without_small(changed, _SPECK * changed.size)
    side = 2 * _CLOSE + 1
    changed = ndimage.minimum_filter(ndimage.maximum_filter(changed, side), side)
    changed = ~_without_small(~changed, _HOLE * changed.size)
    return _without_small(changed, _BESIDE * _largest(changed))


def _largest(mask: NDArray[np.bool_]) -> int:
    names, _ = ndimage.label(mask)
    return int(np.bincount(names.ravel())[1:].max(initial=0))


def _without_small(mask: NDArray[np.bool_], smallest: float) -> NDArray[np.bool_]:
    names, count = ndimage.label(mask)
    sizes = np.bincount(names.ravel(), minlength=count + 1)
    sizes[0] = 0
    kept: NDArray[np.bool_] = np.asarray(sizes >= smallest)[names] & mask
    return kept


def regions_of(changed: NDArray[np.bool_]) -> tuple[Region, ...]:
    """The connected parts of what changed, largest first; parts near to each other are one."""
    height, width = changed.shape
    total = int(changed.sum())
    if not total:
        return ()
    reach = max(1, round(_TOGETHER * float(np.hypot(width, height)) / 2))
    near = ndimage.maximum_filter(changed, 2 * reach + 1)
    names = np.where(changed, label(near), 0)
    found = []
    for part in regionprops(names):
        top, left, bottom, right = part.bbox
        box = (left / width, top / height, right / width, bottom / height)
        found.append(Region(box, float(part.area) / total))
    return tuple(sorted(found, key=lambda region: -region.share))
