"""Measures the shift of each of many small blocks between two pictures.

Sub-pixel shifts by cross-correlation and a matrix-multiply DFT: Guizar-Sicairos, Thurman and Fienup 2008. The result is that of
scikit-image's `phase_cross_correlation` without normalisation, which handles one block at a time.
"""

from __future__ import annotations

from typing import Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from kontext_lab.metrics.pixels import Floats

__all__ = ["BLOCK", "cut", "shifts"]

Values = TypeVar("Values", bound=NDArray[Any])

BLOCK = 64
_PARTS, _REACH = 8, 6
"""Parts of a pixel that a shift is found in, and how many of them are looked at beside the nearest whole one."""


def cut(plane: Values) -> Values:
    """Its whole blocks, n × side × side, row by row."""
    side = min(BLOCK, *plane.shape)
    rows, columns = (length // side for length in plane.shape)
    blocks = plane[: rows * side, : columns * side].reshape(rows, side, columns, side)
    return cast("Values", blocks.swapaxes(1, 2).reshape(rows * columns, side, side))


def shifts(here: Floats, there: Floats) -> NDArray[np.float64]:
    """How far what a block shows has moved.

    Borders fade out: to a transform, which goes on beyond them as if from the other side, they are edges that stay where
    they are.

    Args:
        here: n × side × side, around 0.
        there: the same place in the other picture.

    Returns:
        n × 2, pixels to the right and down.
    """
    if not len(here):
        return np.zeros((0, 2))
    side = here.shape[1]
    fading = _fading(side)
    product = np.conj(fft.rfft2(here * fading)) * fft.rfft2(there * fading)
    product[:, 0, 0] = 0
    peak = fft.irfft2(product, s=here.shape[1:]).reshape(len(here), -1).argmax(axis=1)
    whole = np.stack(np.unravel_index(peak, here.shape[1:]), axis=1)
    whole = np.where(whole > side // 2, whole - side, whole)
    near = whole[:, :, None] + np.arange(-_REACH, _REACH) / _PARTS
    down = _waves(near[:, 0], fft.fftfreq(side))
    across = _waves(near[:, 1], fft.rfftfreq(side))
    across[:, :, 1 : (side + 1) // 2] *= 2  # each stands for its mirrored one too
    found = (down @ product @ across.swapaxes(1, 2)).real.reshape(len(here), -1).argmax(axis=1)
    rows, columns = np.unravel_index(found, (2 * _REACH, 2 * _REACH))
    each = np.arange(len(here))
    return np.stack([near[each, 1, columns], near[each, 0, rows]], axis=1)


def _fading(side: int) -> Floats:
    """Hann's window, side × side: 1 in the middle, next to nothing at the borders."""
    along = np.hanning(side + 2)[1:-1].astype(np.float32)
    return np.outer(along, along)


def _waves(places: Floats, frequencies: Floats) -> NDArray[np.complex64]:
    """What brings a shift out: n × places × frequencies."""
    found: NDArray[np.complex64] = np.exp(2j * np.pi * places[:, :, None] * frequencies).astype(np.complex64)
    return found
