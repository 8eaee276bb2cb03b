"""Where an output lies on its reference: real outputs are stretched by about 0.8 % and re-framed to other ratios.

Points first (ORB, RANSAC, an affine map), then small blocks brought to cover each other to a fraction of a pixel. What
comes out must be a framing that the service makes, and must fit: a reference that an output shows as a print on a mug has
matching points too.

Sources: ORB, Rublee et al. 2011; RANSAC, Fischler and Bolles 1981; sub-pixel shifts by a matrix-multiply DFT,
Guizar-Sicairos, Thurman and Fienup 2008.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from skimage.feature import ORB, match_descriptors
from skimage.measure import ransac
from skimage.registration import phase_cross_correlation
from skimage.transform import AffineTransform, rescale, warp

from kontext_lab.metrics.pixels import Floats, Pixels, scaled_to

__all__ = ["Alignment", "Landmarks", "align", "framed", "landmarks"]

_POINT_SIDE = 256
_POINTS = 300
_FEWEST_POINTS = 10
_STRETCH = 1.03
"""Ratios as near as this are stretched into each other; others are cropped."""
_MOST_ANISOTROPY, _MOST_SHEAR = 0.08, 0.06
_LOWEST_SCALE, _HIGHEST_SCALE = 0.9, 1.25
"""Of the framing: between a picture that lies within the output with borders around it, and a closer crop."""
_BLOCK = 64
_TEXTURE = 2.0
"""Standard deviation of lightness from which a block has something to be recognised by."""
_ALIKE = 0.75
"""Correlation of lightness from which two blocks show the same."""
_LEAST_AGREEMENT, _FEWEST_ALIKE = 0.15, 4
_ROUNDING = 1e-3
"""Standard deviation that a block of one colour may have: what is left of it has a shape too."""
_SAME_COLOUR, _LEAST_PLAIN = 7.0, 0.5
"""Lab distance within which two plain blocks show the same, and the share of blocks that must where a reference is plain."""
_ROUNDS, _STAYS = 3, 2.0
"""Rounds of refining at most, and by how many pixels a corner may move in the last: a round costs a fourth of a measurement."""

Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class Alignment:
    """How an output lies on a reference.

    Attributes:
        lab: the output in the reference's frame, height × width × 3, CIE L*a*b*.
        seen: height × width, where the output has pixels.
        scale: of the picture within its new frame: 1 where the output is just covered, more for a closer crop.
        agreement: share of the blocks with texture that show the same, 0 to 1.
    """

    lab: Floats
    seen: NDArray[np.bool_]
    scale: float
    agreement: float


@dataclass(frozen=True)
class Landmarks:
    """Points that a picture is recognised by.

    Attributes:
        places: n × 2, x and y in pixels of the picture as it is measured.
        descriptors: n × 256, yes or no.
    """

    places: NDArray[np.float64]
    descriptors: NDArray[np.bool_]


def landmarks(pixels: Pixels) -> Landmarks:
    """The points of a picture; few or none of one without corners."""
    scale = _POINT_SIDE / max(pixels.size)
    small = rescale(pixels.lightness / 100, scale, anti_aliasing=True)
    finder = ORB(n_keypoints=_POINTS, fast_threshold=0.03, n_scales=5)
    try:
        finder.detect_and_extract(small)
    except RuntimeError:  # it found none
        return Landmarks(np.zeros((0, 2)), np.zeros((0, 256), bool))
    return Landmarks(np.asarray(finder.keypoints)[:, ::-1] / scale, np.asarray(finder.descriptors))


def framed(picture: Image.Image, reference: Pixels) -> Pixels:
    """An output at the scale of its reference: as large as the part that it shows if it was stretched or cropped."""
    width, height = reference.size
    stretch = (picture.width / picture.height) / (width / height)
    if 1 / _STRETCH <= stretch <= _STRETCH:
        return scaled_to(picture, (width, height))
    scale = max(picture.width / width, picture.height / height)
    return scaled_to(picture, (max(8, round(picture.width / scale)), max(8, round(picture.height / scale))))


def align(reference: Pixels, marks: Landmarks, output: Pixels) -> Alignment | None:
    """Lay an output over a reference.

    Args:
        reference: as it is measured.
        marks: its points.
        output: as `framed` makes it.

    Returns:
        None where the output is a new picture, or one that matches in a part only.
    """
    if np.isnan(output.lightness).all():
        return None  # all of it is left out
    best: Alignment | None = None
    framing = True
    for matrix in _guesses(reference, marks, output):
        fits = _is_framing(matrix, reference, output)
        found = _settled(reference, output, matrix) if fits else _laid(reference, output, matrix)
        if found is not None and (best is None or found.agreement > best.agreement):
            best, framing = found, fits
        if best is not None and best.agreement > 0.5:
            break  # no other guess would tell anything else
    # What fits better turned or shrunk is no framing of the service, however well its middle fits unturned.
    return best if framing else None


def _guesses(reference: Pixels, marks: Landmarks, output: Pixels) -> Iterator[Matrix]:
    """Maps from the reference's pixels to the output's, the likeliest first."""
    left, top = ((one - other) / 2 for one, other in zip(reference.size, output.size, strict=True))
    centred = np.array([[1.0, 0.0, -left], [0.0, 1.0, -top], [0.0, 0.0, 1.0]])
    yield centred
    found = _by_points(marks, landmarks(output))
    if found is not None:
        yield found


def _by_points(marks: Landmarks, others: Landmarks) -> Matrix | None:
    if min(len(marks.places), len(others.places)) < _FEWEST_POINTS:
        return None
    pairs = match_descriptors(marks.descriptors, others.descriptors, cross_check=True, max_ratio=0.9)
    if len(pairs) < _FEWEST_POINTS:
        return None
    here, there = marks.places[pairs[:, 0]], others.places[pairs[:, 1]]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of samples that lie on a line
        model, inliers = ransac(
            (here, there), AffineTransform, min_samples=3, residual_threshold=3.0, max_trials=200, rng=1
        )
    if model is None or not model or inliers is None or inliers.sum() < _FEWEST_POINTS:
        return None
    return np.asarray(model.params)


def _is_framing(matrix: Matrix, reference: Pixels, output: Pixels) -> bool:
    """Whether the service frames pictures like that."""
    linear = matrix[:2, :2]
    across, down = np.hypot(*linear[:, 0]), np.hypot(*linear[:, 1])
    if across <= 0 or down <= 0:
        return False
    skew = abs(float(linear[:, 0] @ linear[:, 1])) / (across * down)
    turn = abs(float(np.arctan2(linear[1, 0], linear[0, 0])))
    # With borders around it, a picture is smaller than one that covers its frame.
    borders = min(one / other for one, other in zip(output.size, reference.size, strict=True))
    upright = skew <= _MOST_SHEAR and turn <= _MOST_SHEAR
    even = abs(across / down - 1) <= _MOST_ANISOTROPY
    return upright and even and borders * _LOWEST_SCALE <= np.sqrt(across * down) <= _HIGHEST_SCALE


def _settled(reference: Pixels, output: Pixels, matrix: Matrix) -> Alignment | None:
    """The output under the map refined until it stays: the shifts of a closer crop are too long for one round."""
    width, height = reference.size
    corners = np.array([[0, width, 0, width], [0, 0, height, height], [1, 1, 1, 1]])
    best: Alignment | None = None
    for _ in range(_ROUNDS):
        before, matrix = matrix, _refined(reference, output, matrix)
        found = _laid(reference, output, matrix)
        # The first round says whether it fits at all: more of them would bring what doesn't to look as if it did.
        if found is None or (best is not None and found.agreement < best.agreement):
            break
        best = found
        if np.abs((matrix - before) @ corners).max() < _STAYS:
            break
    return best


def _refined(reference: Pixels, output: Pixels, matrix: Matrix) -> Matrix:
    """The map with the shifts of small blocks taken into account: an affine map through most of them."""
    moved = _warped(output.lightness, matrix, reference)
    centres, shifts = [], []
    for rows, columns in _blocks(reference.size):
        here, there = reference.lightness[rows, columns], moved[rows, columns]
        if np.isnan(there).any() or min(here.std(), there.std()) < _TEXTURE:
            continue
        shift, *_ = phase_cross_correlation(here, there, upsample_factor=8, normalization=None)
        if np.abs(shift).max() <= _BLOCK / 6:
            centres.append((columns.start + _BLOCK / 2, rows.start + _BLOCK / 2))
            shifts.append((-shift[1], -shift[0]))
    if len(centres) < _FEWEST_ALIKE:
        return matrix
    here, there = np.array(centres), np.array(centres) + np.array(shifts)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model, inliers = ransac(
            (here, there), AffineTransform, min_samples=3, residual_threshold=0.5, max_trials=40, rng=1
        )
    if model is None or not model or inliers is None or inliers.sum() < _FEWEST_ALIKE:
        return matrix
    better = matrix @ np.asarray(model.params)
    return better if _is_framing(better, reference, output) else matrix


def _blocks(size: tuple[int, int]) -> Iterator[tuple[slice, slice]]:
    width, height = size
    side = min(_BLOCK, width, height)
    for top in range(0, height - side + 1, side):
        for left in range(0, width - side + 1, side):
            yield slice(top, top + side), slice(left, left + side)


def _laid(reference: Pixels, output: Pixels, matrix: Matrix) -> Alignment | None:
    """The output under a map, if enough of it shows the same as the reference."""
    lab = np.dstack([_warped(output.lab[..., channel], matrix, reference) for channel in range(3)])
    seen = ~np.isnan(lab[..., 0])
    agreement, alike, least = _agreement(reference.lab, lab)
    if agreement < least or alike < _FEWEST_ALIKE:
        return None
    scale = float(np.sqrt(abs(np.linalg.det(matrix[:2, :2]))))
    return Alignment(np.nan_to_num(lab), seen, scale, agreement)


def _agreement(here: Floats, there: Floats) -> tuple[float, int, float]:
    """Share and number of the blocks that show the same, and the share that is enough.

    Blocks with texture count, by correlation. Where the reference has next to none (a smooth sky, a white page), its
    plain blocks count too, by colour: little to go by, so most have to.
    """
    one, colours = _cut(here)
    other, others = _cut(there)
    spread = np.minimum(one.std(axis=1), other.std(axis=1))
    textured = np.maximum(one.std(axis=1), other.std(axis=1)) >= _TEXTURE
    with np.errstate(invalid="ignore", divide="ignore"):
        alike = (one * other).mean(axis=1) / (one.std(axis=1) * other.std(axis=1)) >= _ALIKE
    alike &= spread > _ROUNDING
    looked, least = textured & ~np.isnan(spread), _LEAST_AGREEMENT
    if (one.std(axis=1) >= _TEXTURE).sum() < _FEWEST_ALIKE:
        looked, least = ~np.isnan(spread), _LEAST_PLAIN
        near = np.sqrt(((colours - others) ** 2).sum(axis=1)) <= _SAME_COLOUR
        alike = np.where(textured, alike, near)
    count = int((alike & looked).sum())
    return (count / int(looked.sum()) if looked.any() else 0.0), count, least


def _cut(lab: Floats) -> tuple[Floats, Floats]:
    """Its blocks, each in a row: lightness around its mean, and the mean colour."""
    side = min(_BLOCK, *lab.shape[:2])
    rows, columns = (length // side for length in lab.shape[:2])
    blocks = lab[: rows * side, : columns * side].reshape(rows, side, columns, side, 3)
    flat = blocks.swapaxes(1, 2).reshape(rows * columns, side * side, 3)
    colours = flat.mean(axis=1)
    return flat[..., 0] - colours[:, :1], colours


def _warped(channel: Floats, matrix: Matrix, reference: Pixels) -> Floats:
    """One channel of the output in the reference's frame; NaN where it has no pixels."""
    width, height = reference.size
    moved = warp(
        channel,
        AffineTransform(matrix=matrix),
        output_shape=(height, width),
        order=1,
        mode="constant",
        cval=np.nan,
        preserve_range=True,
    )
    return np.asarray(moved, dtype=np.float32)
