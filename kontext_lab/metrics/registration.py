"""Registration of an output on its reference: real outputs are stretched by about 0.8 % and re-framed to other ratios.

Two guesses are tried: centred, and an affine map through keypoints. Each is refined by the shifts of small blocks to a
fraction of a pixel. The result must be a framing that the service produces and must match over the whole picture: a reference
that an output shows as a print on a mug has matching points too.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from PIL import Image

from kontext_lab.metrics.block_matching import BLOCK, ROUNDING, blocks_of, correlations, shifts, spread
from kontext_lab.metrics.keypoints import Keypoints, affine_map, keypoints_of, map_by_keypoints
from kontext_lab.metrics.pixels import Floats, Mask, Pixels, scaled_to, warped
from kontext_lab.metrics.placement import Matrix

__all__ = ["Alignment", "align", "resized_to_reference"]

_STRETCH = 1.03
"""Ratios that differ by less than this factor are stretched into each other; others are cropped."""
_MOST_ANISOTROPY, _MOST_SHEAR = 0.08, 0.06
_LOWEST_SCALE, _HIGHEST_SCALE = 0.9, 1.25
"""Limits of the framing: a picture within an output that has borders around it, and a closer crop."""
_TEXTURE = 2.0
"""Standard deviation of lightness from which a block has something to be recognised by."""
_ALIKE = 0.75
"""Correlation of lightness from which two blocks show the same."""
_ALIKE_IN_DETAIL = 0.5
_LEAST_AGREEMENT, _FEWEST_ALIKE = 0.15, 4
_SAME_COLOUR, _LEAST_PLAIN = 7.0, 0.5
"""Lab distance within which two plain blocks show the same, and the share of blocks that must if the reference is plain."""
_ROUNDS, _STAYS = 4, 0.6
"""Rounds of refining at most, and pixels by which a corner may move in the last; a round is a fourth of a measurement."""
_NOTHING, _THE_SAME = 0.01, 6.0
"""Pixels between the corners of two maps: below the first they are equal, below the second they agree (keypoints are that exact)."""
_EXACT, _TRIES = 0.5, 100
_DETAIL, _EXACTLY = 0.3, 0.9
"""Standard deviation from which a block has detail, and the fit from which two pictures lie exactly on each other."""


@dataclass(frozen=True)
class Alignment:
    """An output laid over a reference.

    Attributes:
        pixels: the output in the reference's frame, and the part of it that is seen there.
        scale: of the picture within its new frame: 1 if the output is just covered, more for a closer crop.
        agreement: share of the textured blocks that show the same, 0 to 1.
        fit: median correlation of detail over the blocks that have some, -1 to 1.
        matrix: from the reference's pixels to the output's.
        confirmed: enough blocks show the same in detail too.
    """

    pixels: Pixels
    scale: float
    agreement: float
    fit: float
    matrix: Matrix
    confirmed: bool


def resized_to_reference(picture: Image.Image, reference: Pixels) -> Pixels:
    """Scale an output to its reference, assuming that it was stretched or cropped from it."""
    width, height = reference.size
    stretch = (picture.width / picture.height) / (width / height)
    if 1 / _STRETCH <= stretch <= _STRETCH:
        return scaled_to(picture, (width, height))
    scale = max(picture.width / width, picture.height / height)
    return scaled_to(picture, (max(8, round(picture.width / scale)), max(8, round(picture.height / scale))))


def align(reference: Pixels, keypoints: Keypoints, output: Pixels) -> Alignment | None:
    """Lay an output, made by `resized_to_reference`, over a reference; None if it is new, or matches in a part only."""
    if not output.seen.any():
        return None  # all of it is left out
    best: Alignment | None = None
    is_framing = True
    for matrix in _guesses(reference, keypoints, output):
        if best is not None and _largest_move(matrix - best.matrix, reference) <= _THE_SAME:
            break  # the keypoints agree with the blocks
        possible = _is_framing(matrix, reference, output)
        laid = warped(output, matrix, reference.size)
        alignment = (
            _refine(reference, output, laid, matrix) if possible else _evaluate(reference, laid, matrix)
        )
        if alignment is not None and (best is None or alignment.fit > best.fit):
            best, is_framing = alignment, possible
        if best is not None and best.fit > _EXACTLY:
            break  # another guess could not do better
    # A picture that fits best turned or shrunk is not a framing of the service, however well its middle fits.
    return best if best is not None and is_framing and best.confirmed else None


def _guesses(reference: Pixels, keypoints: Keypoints, output: Pixels) -> Iterator[Matrix]:
    """Maps from the reference's pixels to the output's, the likeliest first."""
    centred = np.eye(3)
    # Whole pixels, so that nothing is interpolated.
    centred[:2, 2] = [(other - one) // 2 for one, other in zip(reference.size, output.size, strict=True)]
    yield centred
    matrix = map_by_keypoints(keypoints, keypoints_of(output))
    if matrix is not None:
        yield matrix


def _is_framing(matrix: Matrix, reference: Pixels, output: Pixels) -> bool:
    """True if the service frames pictures like that: upright, hardly stretched, of about the same scale."""
    linear = matrix[:2, :2]
    across, down = np.hypot(*linear[:, 0]), np.hypot(*linear[:, 1])
    if across <= 0 or down <= 0:
        return False
    skew = abs(float(linear[:, 0] @ linear[:, 1])) / (across * down)
    turn = abs(float(np.arctan2(linear[1, 0], linear[0, 0])))
    # A picture with borders around it is smaller than one that covers its frame.
    borders = min(one / other for one, other in zip(output.size, reference.size, strict=True))
    upright = skew <= _MOST_SHEAR and turn <= _MOST_SHEAR
    even = abs(across / down - 1) <= _MOST_ANISOTROPY
    return upright and even and borders * _LOWEST_SCALE <= np.sqrt(across * down) <= _HIGHEST_SCALE


def _largest_move(change: Matrix, reference: Pixels) -> float:
    """The largest distance by which a change of the map moves a corner, in pixels."""
    width, height = reference.size
    corners = np.array([[0, width, 0, width], [0, 0, height, height], [1, 1, 1, 1]])
    return float(np.abs(change @ corners).max())


def _refine(reference: Pixels, output: Pixels, laid: Pixels, matrix: Matrix) -> Alignment | None:
    """Refine a map until it stays: the shifts of a closer crop are too long for one round."""
    best: Alignment | None = None
    for _ in range(_ROUNDS):
        better = _map_by_blocks(reference, output, laid, matrix)
        move = _largest_move(better - matrix, reference)
        if move > _NOTHING:
            matrix, laid = better, warped(output, better, reference.size)
        alignment = _evaluate(reference, laid, matrix)
        # Without a fit in the first round there are no more: they would make anything look as if it fitted.
        if alignment is None or (best is not None and alignment.fit < best.fit):
            break
        best = alignment
        if move < _STAYS:
            break
    return best


def _map_by_blocks(reference: Pixels, output: Pixels, laid: Pixels, matrix: Matrix) -> Matrix:
    """Correct a map by the shifts of small blocks: the affine map that most of them agree on."""
    blocks, others = blocks_of(reference.lightness), blocks_of(laid.lightness)
    clear = _seen_blocks(laid) & (np.minimum(spread(blocks), spread(others)) >= _TEXTURE)
    moves = shifts(blocks_of(reference.detail)[clear], blocks_of(laid.detail)[clear])
    near = np.abs(moves).max(axis=1, initial=0) <= BLOCK / 6
    side = blocks.shape[1]
    rows, columns = (np.arange(length // side) * side + side / 2 for length in reference.lightness.shape)
    centres = np.stack(np.meshgrid(columns, rows), axis=-1).reshape(-1, 2)[clear][near]
    there = (centres + moves[near]) @ matrix[:2, :2].T + matrix[:2, 2]
    better = affine_map(centres, there, within=_EXACT, tries=_TRIES, fewest=_FEWEST_ALIKE)
    return better if better is not None and _is_framing(better, reference, output) else matrix


def _evaluate(reference: Pixels, laid: Pixels, matrix: Matrix) -> Alignment | None:
    """Rate an output laid under a map; None if too little of it shows the same as the reference."""
    compared, alike, least = _compared_blocks(reference, laid)
    total, count = int(compared.sum()), int((alike & compared).sum())
    agreement = count / total if total else 0.0
    if agreement < least or count < _FEWEST_ALIKE:
        return None
    # Smooth blocks fit wherever they lie, so only their detail is rated.
    detail, detailed = correlations(blocks_of(reference.detail), blocks_of(laid.detail), _DETAIL)
    rated = detail[detailed & _seen_blocks(laid)]
    fit = float(np.median(rated)) if len(rated) else 0.0
    scale = float(np.sqrt(abs(np.linalg.det(matrix[:2, :2]))))
    # A bright sky above a dark sea may be another beach: enough blocks have to agree in detail too.
    certain = int((alike & compared & (~detailed | (detail >= _ALIKE_IN_DETAIL))).sum())
    confirmed = certain >= max(_FEWEST_ALIKE, least * total)
    return Alignment(laid, scale, agreement, fit, matrix, confirmed)


def _compared_blocks(reference: Pixels, laid: Pixels) -> tuple[Mask, Mask, float]:
    """The blocks that are compared, those that show the same, and the share of them that is enough.

    Textured blocks are compared by correlation. If the reference has next to none (a smooth sky, a white page), its plain
    blocks are compared too, by colour; as colour says little, more of them have to agree.
    """
    whole = _seen_blocks(laid)
    blocks, others = blocks_of(reference.lightness), blocks_of(laid.lightness)
    correlation, textured = correlations(blocks, others, _TEXTURE)
    alike: Mask = np.asarray(
        (correlation >= _ALIKE) & (np.minimum(spread(blocks), spread(others)) > ROUNDING)
    )
    if (spread(blocks) >= _TEXTURE).sum() >= _FEWEST_ALIKE:
        return textured & whole, alike, _LEAST_AGREEMENT
    colours, other_colours = (
        np.stack([blocks_of(channel).mean(axis=(1, 2)) for channel in pixels.lab])
        for pixels in (reference, laid)
    )
    near: Floats = np.linalg.norm(colours - other_colours, axis=0)
    return whole, np.asarray(np.where(textured, alike, near <= _SAME_COLOUR)), _LEAST_PLAIN


def _seen_blocks(laid: Pixels) -> Mask:
    """The blocks that are seen as a whole."""
    return np.asarray(blocks_of(laid.seen).all(axis=(1, 2)))
