"""What differs between a reference and an output that lies on it: a map of distances, and the regions in it.

Two things make a place another one: the mean colour around it (Lab distance, CIE 1976), and how much lightness varies there
(its standard deviation): texture that was painted over. Neither sees how sharp a picture was scaled. What an encoder and the last
fraction of a pixel leave is taken off: a floor from the picture's own noise, and more along its edges.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from kontext_lab.metrics.filters import greatest
from kontext_lab.metrics.pixels import Floats, Mask, Pixels
from kontext_lab.metrics.texture import Texture, contrast, mean_around, slope

__all__ = ["Region", "change_map", "regions_of"]

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


def change_map(reference: Pixels, around: Texture, output: Floats, seen: Mask) -> Floats:
    """How far every place has changed.

    Args:
        reference: as it is measured.
        around: its texture.
        output: 3 × height × width, CIE L*a*b*, in the reference's frame; the reference's where it isn't seen.
        seen: height × width, where the output has pixels.

    Returns:
        height × width, Lab units over the noise floor; 0 where nothing changed.
    """
    distance, edges = _distances(reference, around, output, seen)
    some = distance[::2, ::2][seen[::2, ::2]]
    if not some.size:
        return np.zeros(seen.shape, np.float32)
    noise = np.float32(np.clip(2 * np.percentile(some, 25), _LEAST_NOISE, _MOST_NOISE))
    distance -= noise
    above = np.where(seen, np.maximum(distance - _EDGE * edges, 0), 0)
    found = np.zeros(seen.shape, np.float32)
    changed = _sure(above)
    part = _window(changed)
    if part is not None:
        kept = _tidied(_outlined(above[part], changed[part]), seen.size) & seen[part]
        # Inside a change no place is unchanged, however like it was before.
        found[part] = np.where(kept, np.maximum(distance[part], 0.1), 0)
    return found


def _distances(reference: Pixels, around: Texture, output: Floats, seen: Mask) -> tuple[Floats, Floats]:
    """How far every place is from what it was, and the slopes there of the picture in which it is smoother."""
    apart = [mean_around(one - other) for one, other in zip(reference.lab, output, strict=True)]
    mean = around.mean - apart[0]
    structure = around.contrast - contrast(output[0], mean)
    square = apart[0] ** 2 + apart[1] ** 2 + apart[2] ** 2
    if not seen.all():
        # Colours are those of the places that are seen.
        square /= np.maximum(mean_around(seen.astype(np.float32)), 1e-3) ** 2
    return np.sqrt(square + structure**2), np.minimum(around.slope, slope(mean))


def _sure(above: Floats) -> Mask:
    """The places that may have changed and touch one that surely has."""
    names, count = ndimage.label(above > _POSSIBLE)
    sure = np.zeros(count + 1, bool)
    sure[names[above > _SURE]] = True
    return np.asarray(sure[names])


def _window(changed: Mask) -> tuple[slice, slice] | None:
    """The part of the picture in which something changed, with so much around it that what is around is no gap."""
    rows, columns = np.flatnonzero(changed.any(axis=1)), np.flatnonzero(changed.any(axis=0))
    if not rows.size:
        return None
    border = int(np.ceil(np.sqrt(_HOLE * changed.size))) + 2 * _CLOSE
    return (
        slice(max(0, rows[0] - border), rows[-1] + border + 1),
        slice(max(0, columns[0] - border), columns[-1] + border + 1),
    )


def _outlined(above: Floats, changed: Mask) -> Mask:
    """The places that changed, cut where a change falls to a part of what it is nearby: smoothing widened it."""
    nearby = greatest(np.where(changed, above, 0), _CLOSE)
    return np.asarray(changed & (above >= _OUTLINE * nearby))


def _tidied(changed: Mask, size: int) -> Mask:
    """Without specks and without small gaps, of a picture of so many pixels."""
    changed = _without_small(changed, _SPECK * size)
    changed = ~greatest(~greatest(changed, _CLOSE), _CLOSE)
    changed = ~_without_small(~changed, _HOLE * size)
    return _without_small(changed, _BESIDE * _largest(changed))


def _largest(mask: Mask) -> int:
    names, _ = ndimage.label(mask)
    return int(np.bincount(names.ravel())[1:].max(initial=0))


def _without_small(mask: Mask, smallest: float) -> Mask:
    names, count = ndimage.label(mask)
    sizes = np.bincount(names.ravel(), minlength=count + 1)
    sizes[0] = 0
    return np.asarray((sizes >= smallest)[names] & mask)


def regions_of(changed: Mask) -> tuple[Region, ...]:
    """The connected parts of what changed, largest first; parts near to each other are one."""
    height, width = changed.shape
    total = int(changed.sum())
    if not total:
        return ()
    reach = max(1, round(_TOGETHER * float(np.hypot(width, height)) / 2))
    names, count = ndimage.label(greatest(changed, reach), structure=np.ones((3, 3)))
    names *= changed
    sizes = np.bincount(names.ravel(), minlength=count + 1)
    found = []
    for name, (rows, columns) in enumerate(ndimage.find_objects(names), start=1):
        box = (columns.start / width, rows.start / height, columns.stop / width, rows.stop / height)
        found.append(Region(box, float(sizes[name]) / total))
    return tuple(sorted(found, key=lambda region: -region.share))
