"""Edits that change the picture itself in one region: recolour, glow, removal.

Each takes an area of the picture and returns the changed area and how much of it applies where. Pure array
functions; they must not know prompts or seeds.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from PIL import Image, ImageChops

from kontext_lab.sandbox.drawing import Array, soften
from kontext_lab.sandbox.shapes import Colour

__all__ = ["glow", "recolour", "remove"]

_LUMA: Final = np.array([0.299, 0.587, 0.114], np.float32)
_MIN_SHIFT: Final = 28.0  # levels a recolouring changes at least, on average
_COARSE: Final = 4  # smooth things are computed on a grid this much coarser


def _grid(height: int, width: int) -> tuple[Array, Array]:
    """Coordinates from -1 to 1 in both directions, on the coarse grid."""
    y = np.linspace(-1, 1, -(-height // _COARSE), dtype=np.float32)[:, None]
    x = np.linspace(-1, 1, -(-width // _COARSE), dtype=np.float32)[None, :]
    return np.broadcast_to(x, (y.shape[0], x.shape[1])), np.broadcast_to(y, (y.shape[0], x.shape[1]))


def _enlarge(values: Array, height: int, width: int) -> Array:
    image = Image.fromarray(np.ascontiguousarray(values, np.float32))
    return np.array(image.resize((width, height), Image.Resampling.BICUBIC), np.float32)


def _shrink(area: Array, step: int) -> Array:
    return np.asarray(Image.fromarray(area.astype(np.uint8)).reduce(step), np.float32)


def _blob(height: int, width: int, softness: float, wobble: float) -> Array:
    """A soft, slightly irregular region that fades out before the area's edge; on the coarse grid."""
    x, y = _grid(height, width)
    radius, angle = np.hypot(x, y), np.arctan2(y, x)
    radius = radius * (1 + 0.08 * np.sin(3 * angle + wobble) + 0.05 * np.sin(5 * angle - 2 * wobble))
    fade = np.clip((0.88 - radius) / softness, 0, 1)
    return np.asarray(fade * fade * (3 - 2 * fade), np.float32)


def recolour(area: Array, paint: Colour, wobble: float) -> tuple[Array, Array]:
    """Dye what has the colour of the area's middle, in light and in shade; leave other materials alone."""
    height, width = area.shape[:2]
    small = _shrink(area, 2)
    rows, columns = small.shape[:2]
    tone = small / (small @ np.ones(3, np.float32) + 24)[..., None]
    middle = slice(rows * 2 // 5, rows * 3 // 5 + 1), slice(columns * 2 // 5, columns * 3 // 5 + 1)
    centre = _typical(tone[middle].reshape(-1, 3))
    away = tone - centre
    distance = (away * away) @ np.ones(3, np.float32) / 0.11**2
    similar = soften(np.asarray(np.exp(-distance * distance), np.float32), 1.0)
    weight = np.clip(_enlarge(similar, height, width) * 1.15 - 0.12, 0, 1)
    weight *= np.clip(_enlarge(_blob(height, width, 0.4, wobble), height, width), 0, 1)
    target = np.array(paint, np.float32)
    dyed = _dye(area, target, 0.32)
    if _shift(dyed, area, weight) < _MIN_SHIFT:
        # It has that colour already: a brighter or a paler shade of it shows.
        shades = (_dye(area, target, 0.85), _dye(area, 0.45 * target + 0.55 * 255, 0.6))
        dyed = max(shades, key=lambda shade: _shift(shade, area, weight))
    return dyed, weight


def _dye(area: Array, target: Array, lift: float) -> Array:
    """The area in another colour, its light moved by `lift` (0–1) towards the paint's own."""
    own = float(target @ _LUMA)
    dyed = ((1 - lift) * (area @ _LUMA) + lift * own)[..., None] * (target / max(1.0, own))
    return np.asarray(np.clip(dyed, 0, 255), np.float32)


def _shift(new: Array, area: Array, weight: Array) -> float:
    """Mean change in levels where it applies, from a sample of the pixels."""
    change = np.abs(new - area)[::4, ::4] @ np.ones(3, np.float32) / 3
    return float((change * weight[::4, ::4]).sum() / max(1e-3, float(weight[::4, ::4].sum())))


def _typical(tones: Array) -> Array:
    """The tone nearest to the median: one that is there, even where two materials meet."""
    away = np.abs(tones - np.median(tones, axis=0)) @ np.ones(3)
    return np.asarray(tones[int(np.argmin(away))])


def glow(area: Array, paint: Colour, turn: float) -> tuple[Array, Array]:
    """A lamp in the picture: bright core, wide halo, faint rays; light is added, nothing is covered."""
    height, width = area.shape[:2]
    x, y = _grid(height, width)
    radius, angle = np.hypot(x, y), np.arctan2(y, x) + turn
    halo = np.exp(-((radius / 0.42) ** 2)) * 0.75 + np.exp(-((radius / 0.15) ** 2)) * 0.6
    rays = (0.5 + 0.5 * np.cos(6 * angle)) ** 12 * np.exp(-((radius / 0.5) ** 2)) * 0.3
    light = np.clip(halo + rays, 0, 1) * np.clip((1 - radius) / 0.35, 0, 1)
    core = np.exp(-((radius / 0.2) ** 2)) * 0.7
    tones = [light * (tone * (1 - core) + 255 * core) for tone in paint]
    lamp = Image.fromarray(np.stack(tones, axis=-1).clip(0, 255).astype(np.uint8))
    scene = Image.fromarray(area.astype(np.uint8))
    lit = ImageChops.screen(scene, lamp.resize((width, height), Image.Resampling.BICUBIC))
    return np.array(lit, np.float32), np.ones((height, width), np.float32)


def remove(area: Array, wobble: float, grain: Array) -> tuple[Array, Array]:
    """Close the middle of the area over from its surroundings, like an object painted out."""
    height, width = area.shape[:2]
    region = _blob(height, width, 0.3, wobble)
    small = _shrink(area, _COARSE)
    outside = 1 - np.clip(region * 1.8, 0, 1)
    filled = _fill_in(small, np.ascontiguousarray(outside[..., None]))
    new = np.stack([_enlarge(filled[..., channel], height, width) for channel in range(3)], axis=-1)
    new += grain[:height, :width, None] * 1.6
    return np.clip(new, 0, 255, out=new), np.clip(_enlarge(region, height, width), 0, 1)


def _fill_in(values: Array, known: Array) -> Array:
    """Smoothly continue known values into unknown places: averages of ever wider surroundings (push-pull)."""
    height, width = values.shape[:2]
    if min(height, width) <= 2:
        total = max(1e-3, float(known.sum()))
        return np.broadcast_to((values * known).sum(axis=(0, 1)) / total, values.shape).astype(np.float32)
    pad = ((0, height % 2), (0, width % 2), (0, 0))
    sums, weights = _quarter(np.pad(values * known, pad)), _quarter(np.pad(known, pad))
    coarse = _fill_in(sums / np.maximum(weights, 1e-3), np.minimum(weights, 1))
    wide = np.stack([_enlarge(coarse[..., channel], height, width) for channel in range(3)], axis=-1)
    return np.asarray(values * known + wide * (1 - known), np.float32)


def _quarter(values: Array) -> Array:
    """Sums of two by two."""
    summed = values[::2, ::2] + values[1::2, ::2] + values[::2, 1::2] + values[1::2, 1::2]
    return np.asarray(summed, np.float32)
