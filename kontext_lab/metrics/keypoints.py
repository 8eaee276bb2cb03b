"""Keypoints of a picture, and the affine map on which most pairs of keypoints agree.

Sources: ORB, Rublee et al. 2011; corners, Harris and Stephens 1988; RANSAC, Fischler and Bolles 1981. Corners are found here,
six times as fast as by scikit-image's detector; scikit-image describes them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from skimage.feature import ORB, corner_orientations
from skimage.feature.orb import OFAST_MASK

from kontext_lab.metrics.filters import greatest, smooth
from kontext_lab.metrics.pixels import Floats, Mask, Pixels

__all__ = ["Landmarks", "Matrix", "affine_map", "landmarks", "map_by_points"]

_SIDE = 256
_POINTS, _FEWEST = 300, 10
_SCALES, _STEP = 5, 1.2
_BORDER = 21
"""Pixels from the border that the description of a point needs."""
_HARRIS, _LEAST_CORNER = 0.04, 1e-7
_DISTINCT = 0.9
"""A match is at most as far as this part of the next best."""
_NEAR, _TRIES = 3.0, 400
_REFITS, _AS_MANY = 2, 0.9
"""How often a map is fitted again to those that agree, and the share of them that must agree with a simpler one."""

Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class Landmarks:
    """Points that a picture is recognised by.

    Attributes:
        places: n × 2, x and y in pixels of the picture as it is measured.
        descriptors: n × 256, yes or no.
    """

    places: Matrix
    descriptors: Mask


def landmarks(pixels: Pixels) -> Landmarks:
    """The points of a picture; few or none of one without corners."""
    shown = np.where(pixels.seen, pixels.lightness / 100, 0.5).astype(np.float32)
    levels = [_level(shown, _SIDE / max(pixels.size) / _STEP**level) for level in range(_SCALES)]
    corners = [_corners(level) for level in levels]
    strengths = np.concatenate([strength for _, strength in corners])
    least = np.partition(strengths, -_POINTS)[-_POINTS] if len(strengths) > _POINTS else 0.0
    found = [Landmarks(np.zeros((0, 2)), np.zeros((0, 256), bool))]
    for level, (places, strength) in zip(levels, corners, strict=True):
        kept = places[strength >= least]
        if len(kept):
            scale = np.divide(shown.shape, level.shape)
            middle = np.asarray(((kept + 0.5) * scale - 0.5)[:, ::-1], dtype=np.float64)
            found.append(Landmarks(middle, _described(level, kept)))
    return Landmarks(
        np.concatenate([one.places for one in found]), np.concatenate([one.descriptors for one in found])
    )


def _level(shown: Floats, scale: float) -> Floats:
    size = [max(1, round(length * scale)) for length in shown.shape[::-1]]
    return np.array(Image.fromarray(shown).resize((size[0], size[1]), Image.Resampling.BICUBIC))


def _corners(level: Floats) -> tuple[NDArray[np.intp], Floats]:
    """Rows and columns of the corners, and how strong they are."""
    if min(level.shape) <= 2 * _BORDER:
        return np.zeros((0, 2), np.intp), np.zeros(0, np.float32)
    down, across = np.gradient(level)
    pairs = ((down, down), (across, across), (down, across))
    dd, aa, da = (smooth(np.multiply(one, other), 1.0) for one, other in pairs)
    strength = dd * aa - da * da - _HARRIS * (dd + aa) ** 2
    peaks = (strength == greatest(strength, 1)) & (strength > _LEAST_CORNER)
    inner = np.zeros_like(peaks)
    inner[_BORDER:-_BORDER, _BORDER:-_BORDER] = True
    places = np.argwhere(peaks & inner)
    return places, strength[tuple(places.T)]


def _described(level: Floats, places: NDArray[np.intp]) -> Mask:
    orientations = corner_orientations(level, places, OFAST_MASK)
    teller = ORB(n_scales=1)
    teller.extract(level, places.astype(float), np.ones(len(places)), orientations)
    return np.asarray(teller.descriptors)


def map_by_points(marks: Landmarks, others: Landmarks) -> Matrix | None:
    """The map from one picture's pixels to the other's that enough of their points agree on."""
    if min(len(marks.places), len(others.places)) < _FEWEST:
        return None
    here, there = _matches(marks.descriptors, others.descriptors)
    if len(here) < _FEWEST:
        return None
    return affine_map(marks.places[here], others.places[there], within=_NEAR, tries=_TRIES, fewest=_FEWEST)


def _matches(ones: Mask, others: Mask) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Points that are each other's nearest, and clearly nearer than the next."""
    signs, against = (np.where(bits, np.float32(1), np.float32(-1)) for bits in (ones, others))
    apart = (ones.shape[1] - signs @ against.T) / 2
    nearest = apart.argmin(axis=1)
    rows = np.arange(len(apart))
    mutual = apart.argmin(axis=0)[nearest] == rows
    next_best = np.partition(apart, 1, axis=1)[:, 1]
    kept = mutual & (apart[rows, nearest] < _DISTINCT * next_best)
    return rows[kept], nearest[kept]


def affine_map(here: Matrix, there: Matrix, *, within: float, tries: int, fewest: int) -> Matrix | None:
    """The affine map that most pairs of points agree on, by random samples of three: all tried at once.

    Args:
        here: n × 2, x and y.
        there: where they went.
        within: pixels by which a pair that agrees may be off.
        tries: number of samples.
        fewest: pairs that must agree.

    Returns:
        3 × 3, or None where fewer agree.
    """
    if len(here) < 3:
        return None
    rng = np.random.default_rng(1)
    samples = rng.random((tries, len(here))).argpartition(2, axis=1)[:, :3]
    points = np.column_stack([here, np.ones(len(here))])
    corners = points[samples]
    spread = np.abs(np.linalg.det(corners)) > 1.0  # not on a line
    if not spread.any():
        return None
    maps = np.linalg.solve(corners[spread], there[samples[spread]])
    off = np.hypot(*np.moveaxis(points @ maps - there, 2, 0))
    agree = off <= within
    best = np.lexsort((np.where(agree, off, 0).sum(axis=1), -agree.sum(axis=1)))[0]
    if agree[best].sum() < fewest:
        return None
    return _fitted(points, there, agree[best], within)


def _fitted(points: Matrix, there: Matrix, agree: Mask, within: float) -> Matrix:
    """The map through the pairs that agree, upright if that serves as many: no more is told than has to be."""
    found = _through(points, there, agree)
    for upright in (False, True):
        fitted, agreeing = found, agree
        for _ in range(_REFITS):
            fitted = _through(points, there, agreeing, upright=upright)
            agreeing = np.hypot(*(points @ fitted[:2].T - there).T) <= within
        if agreeing.sum() >= _AS_MANY * agree.sum():
            found, agree = fitted, agreeing
    return found


def _through(points: Matrix, there: Matrix, agree: Mask, *, upright: bool = False) -> Matrix:
    found = np.eye(3)
    for axis in range(2):
        used = [axis, 2] if upright else [0, 1, 2]
        found[axis] = 0
        found[axis, used] = np.linalg.lstsq(points[agree][:, used], there[agree, axis], rcond=None)[0]
    return found
