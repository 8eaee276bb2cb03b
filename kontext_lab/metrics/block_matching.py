"""Comparison of two pictures block by block: correlation of each block, and its shift to a fraction of a pixel.

Sub-pixel shifts by cross-correlation and a matrix-multiply DFT: Guizar-Sicairos, Thurman and Fienup 2008. The result equals
that of scikit-image's `phase_cross_correlation` without normalisation, which handles one block at a time.
"""

from __future__ import annotations

from typing import Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from kontext_lab.metrics.pixels import Floats, Mask

__all__ = ["BLOCK", "ROUNDING", "blocks_of", "correlations", "shifts", "spread"]

Values = TypeVar("Values", bound=NDArray[Any])

BLOCK = 64
"""Side of a block, in pixels."""
ROUNDING = 1e-3
"""Standard deviation that rounding leaves in a block of one colour."""
_PARTS, _REACH = 8, 6
"""Shifts are found in these parts of a pixel, up to so many parts from the nearest whole one."""


def blocks_of(plane: Values) -> Values:
    """Cut a plane into whole blocks, n × side × side, row by row."""
    side = min(BLOCK, *plane.shape)
    rows, columns = (length // side for length in plane.shape)
    blocks = plane[: rows * side, : columns * side].reshape(rows, side, columns, side)
    return cast("Values", blocks.swapaxes(1, 2).reshape(rows * columns, side, side))


def spread(blocks: Floats) -> Floats:
    """Standard deviation of each block."""
    return np.asarray(blocks.std(axis=(1, 2)))


def correlations(blocks: Floats, others: Floats, least: float) -> tuple[Floats, Mask]:
    """Correlation of each pair of blocks, -1 to 1, and whether either has a standard deviation of at least `least`."""
    here, there = spread(blocks), spread(others)
    centred, other = (part - part.mean(axis=(1, 2), keepdims=True) for part in (blocks, others))
    products = (centred * other).mean(axis=(1, 2))
    return products / np.maximum(here * there, ROUNDING**2), np.asarray(np.maximum(here, there) >= least)


def shifts(here: Floats, there: Floats) -> NDArray[np.float64]:
    """Measure how far the content of blocks, n × side × side around 0, has moved: n × 2, pixels to the right and down.

    Blocks fade out towards their borders: a Fourier transform is periodic and would see the borders as edges that stay in place.
    """
    if not len(here):
        return np.zeros((0, 2))
    side = here.shape[1]
    window = np.hanning(side + 2)[1:-1].astype(np.float32)
    fading = np.outer(window, window)
    product = np.conj(fft.rfft2(here * fading)) * fft.rfft2(there * fading)
    product[:, 0, 0] = 0
    peak = fft.irfft2(product, s=here.shape[1:]).reshape(len(here), -1).argmax(axis=1)
    whole = np.stack(np.unravel_index(peak, here.shape[1:]), axis=1)
    whole = np.where(whole > side // 2, whole - side, whole)
    near = whole[:, :, None] + np.arange(-_REACH, _REACH) / _PARTS
    # The inverse transform, evaluated at the fractions of pixels around each peak only.
    down, across = (
        np.exp(2j * np.pi * near[:, axis, :, None] * frequencies).astype(np.complex64)
        for axis, frequencies in enumerate((fft.fftfreq(side), fft.rfftfreq(side)))
    )
    across[:, :, 1 : (side + 1) // 2] *= 2  # each stands for its mirrored frequency too
    best = (down @ product @ across.swapaxes(1, 2)).real.reshape(len(here), -1).argmax(axis=1)
    rows, columns = np.unravel_index(best, (2 * _REACH, 2 * _REACH))
    each = np.arange(len(here))
    return np.stack([near[each, 1, columns], near[each, 0, rows]], axis=1)
