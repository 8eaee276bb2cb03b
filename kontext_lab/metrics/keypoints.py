"""Keypoints of a picture, and the affine map on which most pairs of keypoints agree.

Sources: ORB, Rublee et al. 2011; corners, Harris and Stephens 1988; RANSAC, Fischler and Bolles 1981. Corners and maps are
found here, since scikit-image's detector takes six times as long and its `ransac` twenty; it describes and matches them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage
from skimage.feature import ORB, corner_orientations, match_descriptors
from skimage.feature.orb import OFAST_MASK

from kontext_lab.metrics.pixels import Floats, Mask, Pixels
from kontext_lab.metrics.placement import Matrix

__all__ = ["Keypoints", "affine_map", "keypoints_of", "map_by_keypoints"]

_SIDE = 256
_POINTS, _FEWEST = 300, 10
_SCALES, _STEP = 5, 1.2
_BORDER = 21
"""Pixels from the border that the description of a point needs."""
_HARRIS, _LEAST_CORNER = 0.04, 1e-7
_DISTINCT = 0.9
"""The distance of a match is below this part of the distance to the next best."""
_NEAR, _TRIES = 3.0, 400
_REFITS, _AS_MANY = 2, 0.9
"""Number of times a map is fitted again to the pairs that agree; share of them that must agree with a simpler one."""


@dataclass(frozen=True)
class Keypoints:
    """Points that a picture is recognised by: n × 2, x and y in pixels of the measured picture, and n × 256 booleans."""

    positions: Matrix
    descriptors: Mask


def keypoints_of(pixels: Pixels) -> Keypoints:
    """Find and describe the keypoints of a picture; few or none if it has no corners."""
    plane = np.where(pixels.seen, pixels.lightness / 100, 0.5).astype(np.float32)
    levels: list[Floats] = []
    for step in range(_SCALES):
        scale = _SIDE / max(pixels.size) / _STEP**step
        width, height = (max(1, round(length * scale)) for length in pixels.size)
        levels.append(np.array(Image.fromarray(plane).resize((width, height), Image.Resampling.BICUBIC)))
    corners = [_corners(level) for level in levels]
    strengths = np.concatenate([strength for _, strength in corners])
    least = np.partition(strengths, -_POINTS)[-_POINTS] if len(strengths) > _POINTS else 0.0
    positions: list[Matrix] = [np.zeros((0, 2))]
    descriptors: list[Mask] = [np.zeros((0, 256), bool)]
    for level, (corner, strength) in zip(levels, corners, strict=True):
        kept = corner[strength >= least]
        if not len(kept):
            continue
        scales = np.divide(plane.shape, level.shape)
        positions.append(((kept + 0.5) * scales - 0.5)[:, ::-1].astype(np.float64))
        orb = ORB(n_scales=1)
        orb.extract(
            level, kept.astype(float), np.ones(len(kept)), corner_orientations(level, kept, OFAST_MASK)
        )
        descriptors.append(np.asarray(orb.descriptors))
    return Keypoints(np.concatenate(positions), np.concatenate(descriptors))


def _corners(level: Floats) -> tuple[NDArray[np.intp], Floats]:
    """Rows and columns of the Harris corners, and their strength."""
    if min(level.shape) <= 2 * _BORDER:
        return np.zeros((0, 2), np.intp), np.zeros(0, np.float32)
    down, across = np.gradient(level)
    dd, aa, da = (
        ndimage.gaussian_filter(product, 1.0, truncate=3.0)
        for product in (down * down, across * across, down * across)
    )
    strength = dd * aa - da * da - _HARRIS * (dd + aa) ** 2
    peaks = (strength == ndimage.maximum_filter(strength, 3)) & (strength > _LEAST_CORNER)
    inner = np.zeros_like(peaks)
    inner[_BORDER:-_BORDER, _BORDER:-_BORDER] = True
    corners = np.argwhere(peaks & inner)
    return corners, strength[tuple(corners.T)]


def map_by_keypoints(keypoints: Keypoints, others: Keypoints) -> Matrix | None:
    """The map from one picture's pixels to the other's that enough of their keypoints agree on."""
    if min(len(keypoints.positions), len(others.positions)) < _FEWEST:
        return None
    here, there = match_descriptors(
        keypoints.descriptors, others.descriptors, metric="hamming", max_ratio=_DISTINCT
    ).T
    if len(here) < _FEWEST:
        return None
    return affine_map(
        keypoints.positions[here], others.positions[there], within=_NEAR, tries=_TRIES, fewest=_FEWEST
    )


def affine_map(here: Matrix, there: Matrix, *, within: float, tries: int, fewest: int) -> Matrix | None:
    """Fit the affine map that most pairs of points agree on (RANSAC, all random samples of three at once).

    Points are n × 2, the map 3 × 3. A pair agrees if it is off by `within` pixels at most; None if fewer than `fewest` do.
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
    agreeing = agree[best]
    matrix = _least_squares(points, there, agreeing)
    # An upright map is preferred if it serves as many pairs: the points are not exact enough to tell a slight turn.
    for upright in (False, True):
        refitted, still = matrix, agreeing
        for _ in range(_REFITS):
            refitted = _least_squares(points, there, still, upright=upright)
            still = np.hypot(*(points @ refitted[:2].T - there).T) <= within
        if still.sum() >= _AS_MANY * agreeing.sum():
            matrix, agreeing = refitted, still
    return matrix


def _least_squares(points: Matrix, there: Matrix, used: Mask, *, upright: bool = False) -> Matrix:
    matrix = np.eye(3)
    for axis in range(2):
        terms = [axis, 2] if upright else [0, 1, 2]
        matrix[axis] = 0
        matrix[axis, terms] = np.linalg.lstsq(points[used][:, terms], there[used, axis], rcond=None)[0]
    return matrix
