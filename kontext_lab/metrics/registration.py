"""Where an output lies on its reference: real outputs are stretched by about 0.8 % and re-framed to other ratios.

The middle first, then points (an affine map); small blocks are brought to cover each other to a fraction of a pixel. What
comes out must be a framing that the service makes, and must fit: a reference that an output shows as a print on a mug has
matching points too.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from PIL import Image

from kontext_lab.metrics.block_matching import BLOCK, cut, shifts
from kontext_lab.metrics.keypoints import Landmarks, Matrix, affine_map, landmarks, map_by_points
from kontext_lab.metrics.pixels import Floats, Mask, Pixels, scaled_to
from kontext_lab.metrics.placement import moved

__all__ = ["Alignment", "align", "framed"]

_STRETCH = 1.03
"""Ratios as near as this are stretched into each other; others are cropped."""
_MOST_ANISOTROPY, _MOST_SHEAR = 0.08, 0.06
_LOWEST_SCALE, _HIGHEST_SCALE = 0.9, 1.25
"""Of the framing: between a picture that lies within the output with borders around it, and a closer crop."""
_TEXTURE = 2.0
"""Standard deviation of lightness from which a block has something to be recognised by."""
_ALIKE = 0.75
"""Correlation of lightness from which two blocks show the same."""
_ALIKE_IN_DETAIL = 0.5
_LEAST_AGREEMENT, _FEWEST_ALIKE = 0.15, 4
_ROUNDING = 1e-3
"""Standard deviation that a block of one colour may have: what is left of it has a shape too."""
_SAME_COLOUR, _LEAST_PLAIN = 7.0, 0.5
"""Lab distance within which two plain blocks show the same, and the share of blocks that must where a reference is plain."""
_ROUNDS, _STAYS = 4, 0.6
"""Rounds of refining at most, and by how many pixels a corner may move in the last: a round costs a fourth of a measurement."""
_NOTHING, _THE_SAME = 0.01, 6.0
"""Pixels by which the corners may differ in two maps that are one, and in two that say the same: points are that exact there."""
_EXACT, _TRIES = 0.5, 100
_DETAIL, _EXACTLY = 0.3, 0.9
"""Standard deviation of detail from which a block has some, and the fit from which two pictures lie on each other."""


@dataclass(frozen=True)
class Alignment:
    """How an output lies on a reference.

    Attributes:
        pixels: the output in the reference's frame, and what of it is seen there.
        scale: of the picture within its new frame: 1 where the output is just covered, more for a closer crop.
        agreement: share of the blocks with texture that show the same, 0 to 1.
        fit: how exactly they do: the middle one's correlation of what is not smooth, -1 to 1.
        matrix: from the reference's pixels to the output's.
    """

    pixels: Pixels
    scale: float
    agreement: float
    fit: float
    matrix: Matrix


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
    if not output.seen.any():
        return None  # all of it is left out
    best: Alignment | None = None
    framing = True
    for matrix in _guesses(reference, marks, output):
        if best is not None and _furthest(matrix - best.matrix, reference) <= _THE_SAME:
            break  # the points say what the blocks said
        fits = _is_framing(matrix, reference, output)
        laid = moved(output, matrix, reference.size)
        found = _settled(reference, output, laid, matrix) if fits else _alignment(reference, laid, matrix)
        if found is not None and (best is None or found.fit > best.fit):
            best, framing = found, fits
        if best is not None and best.fit > _EXACTLY:
            break  # no other guess would tell anything else
    # What fits better turned or shrunk is no framing of the service, however well its middle fits unturned.
    return best if best is not None and framing and _is_confirmed(reference, best.pixels) else None


def _guesses(reference: Pixels, marks: Landmarks, output: Pixels) -> Iterator[Matrix]:
    """Maps from the reference's pixels to the output's, the likeliest first."""
    centred = np.eye(3)
    # Whole pixels: nothing has to be worked out between them.
    centred[:2, 2] = [(other - one) // 2 for one, other in zip(reference.size, output.size, strict=True)]
    yield centred
    found = map_by_points(marks, landmarks(output))
    if found is not None:
        yield found


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


def _settled(reference: Pixels, output: Pixels, laid: Pixels, matrix: Matrix) -> Alignment | None:
    """The output laid under the map refined until it stays: the shifts of a closer crop are too long for one round."""
    best: Alignment | None = None
    for _ in range(_ROUNDS):
        better = _refined(reference, output, laid, matrix)
        by = _furthest(better - matrix, reference)
        if by > _NOTHING:
            matrix, laid = better, moved(output, better, reference.size)
        found = _alignment(reference, laid, matrix)
        # The first round says whether it fits at all: more of them would bring what doesn't to look as if it did.
        if found is None or (best is not None and found.fit < best.fit):
            break
        best = found
        if by < _STAYS:
            break
    return best


def _furthest(change: Matrix, reference: Pixels) -> float:
    """How far a change of the map moves a corner at most, in pixels."""
    width, height = reference.size
    corners = np.array([[0, width, 0, width], [0, 0, height, height], [1, 1, 1, 1]])
    return float(np.abs(change @ corners).max())


def _refined(reference: Pixels, output: Pixels, laid: Pixels, matrix: Matrix) -> Matrix:
    """The map with the shifts of small blocks taken into account: an affine map through most of them."""
    whole: Mask = np.asarray(cut(laid.seen).all(axis=(1, 2)))
    clear = whole & (np.minimum(_spread(cut(reference.lightness)), _spread(cut(laid.lightness))) >= _TEXTURE)
    found = shifts(cut(reference.detail)[clear], cut(laid.detail)[clear])
    near = np.abs(found).max(axis=1, initial=0) <= BLOCK / 6
    centres = _centres(reference.lightness)[clear][near]
    went = (centres + found[near]) @ matrix[:2, :2].T + matrix[:2, 2]
    better = affine_map(centres, went, within=_EXACT, tries=_TRIES, fewest=_FEWEST_ALIKE)
    return better if better is not None and _is_framing(better, reference, output) else matrix


def _centres(plane: Floats) -> Matrix:
    """Of its blocks, x and y in pixels."""
    side = min(BLOCK, *plane.shape)
    rows, columns = (np.arange(length // side) * side + side / 2 for length in plane.shape)
    across, down = np.meshgrid(columns, rows)
    return np.column_stack([across.ravel(), down.ravel()])


def _spread(blocks: Floats) -> Floats:
    return np.asarray(blocks.std(axis=(1, 2)))


def _alignment(reference: Pixels, laid: Pixels, matrix: Matrix) -> Alignment | None:
    """How the output lies under a map, if enough of it shows the same as the reference."""
    agreement, alike, least = _agreement(reference, laid)
    if agreement < least or alike < _FEWEST_ALIKE:
        return None
    scale = float(np.sqrt(abs(np.linalg.det(matrix[:2, :2]))))
    return Alignment(laid, scale, agreement, _fit(reference, laid), matrix)


def _agreement(reference: Pixels, laid: Pixels) -> tuple[float, int, float]:
    """Share and number of the blocks that show the same, and the share that is enough.

    Blocks with texture count, by correlation. Where the reference has next to none (a smooth sky, a white page), its
    plain blocks count too, by colour: little to go by, so most have to.
    """
    looked, alike, least = _blocks(reference, laid)
    count = int((alike & looked).sum())
    return (count / int(looked.sum()) if looked.any() else 0.0), count, least


def _is_confirmed(reference: Pixels, laid: Pixels) -> bool:
    """Whether enough blocks show the same to the detail: a bright sky above a dark sea is not yet the same beach."""
    looked, alike, least = _blocks(reference, laid)
    likeness, detailed = _likeness(cut(reference.detail), cut(laid.detail), _DETAIL)
    count = int((alike & looked & (~detailed | (likeness >= _ALIKE_IN_DETAIL))).sum())
    return count >= _FEWEST_ALIKE and count >= least * int(looked.sum())


def _blocks(reference: Pixels, laid: Pixels) -> tuple[Mask, Mask, float]:
    """Which blocks are looked at, which show the same, and the share of them that is enough."""
    whole: Mask = np.asarray(cut(laid.seen).all(axis=(1, 2)))
    one, other = cut(reference.lightness), cut(laid.lightness)
    likeness, textured = _likeness(one, other, _TEXTURE)
    alike: Mask = np.asarray((likeness >= _ALIKE) & (np.minimum(_spread(one), _spread(other)) > _ROUNDING))
    if (_spread(one) >= _TEXTURE).sum() >= _FEWEST_ALIKE:
        return textured & whole, alike, _LEAST_AGREEMENT
    near = np.linalg.norm(_colours(reference) - _colours(laid), axis=0) <= _SAME_COLOUR
    return whole, np.asarray(np.where(textured, alike, near)), _LEAST_PLAIN


def _likeness(one: Floats, other: Floats, least: float) -> tuple[Floats, Mask]:
    """Correlation of each two blocks, and whether either has a standard deviation to speak of."""
    here, there = _spread(one), _spread(other)
    both = (_around_mean(one) * _around_mean(other)).mean(axis=(1, 2))
    clear: Mask = np.asarray(np.maximum(here, there) >= least)
    return np.asarray(both / np.maximum(here * there, _ROUNDING**2)), clear


def _fit(reference: Pixels, laid: Pixels) -> float:
    """How exactly blocks show the same. Smooth ones do wherever they lie, so only what is not smooth counts."""
    whole: Mask = np.asarray(cut(laid.seen).all(axis=(1, 2)))
    likeness, detailed = _likeness(cut(reference.detail)[whole], cut(laid.detail)[whole], _DETAIL)
    return float(np.median(likeness[detailed])) if detailed.any() else 0.0


def _around_mean(blocks: Floats) -> Floats:
    return np.asarray(blocks - blocks.mean(axis=(1, 2), keepdims=True))


def _colours(pixels: Pixels) -> Floats:
    """Mean colours of the blocks, 3 × n."""
    return np.stack([cut(channel).mean(axis=(1, 2)) for channel in pixels.lab])
