"""Edits that change the picture itself in one region: recolour, glow, removal.

Each takes an area of the picture and returns the changed area and a mask of how much of it applies where. Pure
functions of pixels; they must not know prompts or seeds. Whole areas are handled as 8-bit pictures, which is
several times faster than arrays of floats; only coarse grids are computed in numpy.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from PIL import Image, ImageChops

from kontext_lab.sandbox.shapes import Colour
from kontext_lab.sandbox.sprites import Array, soften

__all__ = ["Patch", "glow", "recolour", "remove"]

Patch = tuple[Image.Image, Image.Image]  # the changed area (RGB) and where it applies (L)

_LUMA: Final = np.array([0.299, 0.587, 0.114], np.float32)  # the weights of Pillow's "L"
_ONES: Final = np.ones(3, np.float32)
_MIN_SHIFT: Final = 28.0  # levels a recolouring changes at least, on average
_COARSE: Final = 4  # smooth things are computed on a grid this much coarser


def recolour(area: Image.Image, paint: Colour, wobble: float) -> Patch:
    """Dye what has the colour of the area's middle, in light and in shade; leave other materials alone."""
    small = np.asarray(area.reduce(2), np.float32)
    rows, columns = small.shape[:2]
    tone = small / (small @ _ONES + 24)[..., None]
    middle = slice(rows * 2 // 5, rows * 3 // 5 + 1), slice(columns * 2 // 5, columns * 3 // 5 + 1)
    away = tone - _typical(tone[middle].reshape(-1, 3))
    distance = (away * away) @ _ONES / 0.11**2
    similar = soften(np.asarray(np.exp(-distance * distance), np.float32), 1.0)
    blob = _sized(_levels(_blob(area.size, 0.4, wobble)), area.size)
    mask = ImageChops.multiply(_sized(_levels(similar * 1.15 - 0.12), area.size), blob)
    target = np.array(paint, np.float32)
    # If it has that colour already, a brighter or at last a paler shade of it shows.
    for shade, lift in ((target, 0.32), (target, 0.85), (0.45 * target + 0.55 * 255, 0.6)):
        dyed = _dye(area, shade, lift)
        if _shift(dyed, area, mask) >= _MIN_SHIFT:
            break
    return dyed, mask


def _typical(tones: Array) -> Array:
    """The tone nearest to the median: one that is there, even where two materials meet."""
    away = np.abs(tones - np.median(tones, axis=0)) @ np.ones(3)
    return np.asarray(tones[int(np.argmin(away))])


def _dye(area: Image.Image, target: Array, lift: float) -> Image.Image:
    """The area in another colour, its light moved by `lift` (0–1) towards the paint's own."""
    own = max(1.0, float(target @ _LUMA))
    light = (1 - lift) * np.arange(256) + lift * own
    tables = [np.clip(light * float(tone) / own + 0.5, 0, 255).astype(int).tolist() for tone in target]
    grey = area.convert("L")
    return Image.merge("RGB", [grey.point(table) for table in tables])


def _shift(new: Image.Image, area: Image.Image, mask: Image.Image) -> float:
    """Mean change in levels where it applies, from a coarse sample."""
    change = np.asarray(ImageChops.difference(new, area).reduce(8), np.float32) @ _ONES / 3
    weight = np.asarray(mask.reduce(8), np.float32)
    return float((change * weight).sum() / max(1e-3, float(weight.sum())))


def glow(area: Image.Image, paint: Colour, turn: float, strength: float) -> Patch:
    """A lamp in the picture: bright core, wide halo, faint rays; light is added, nothing is covered."""
    x, y = _grid(area.size)
    radius, angle = np.hypot(x, y), np.arctan2(y, x) + turn
    halo = np.exp(-((radius / 0.42) ** 2)) * 0.75 + np.exp(-((radius / 0.15) ** 2)) * 0.6
    rays = (0.5 + 0.5 * np.cos(6 * angle)) ** 12 * np.exp(-((radius / 0.5) ** 2)) * 0.3
    light = np.clip(halo + rays, 0, 1) * np.clip((1 - radius) / 0.35, 0, 1) * strength
    core = np.exp(-((radius / 0.2) ** 2)) * 0.7
    tones = [light * (tone / 255 * (1 - core) + core) for tone in paint]
    lamp = Image.merge("RGB", [_sized(_levels(tone), area.size) for tone in tones])
    return ImageChops.screen(area, lamp), Image.new("L", area.size, 255)


def remove(area: Image.Image, wobble: float, grain: Array) -> Patch:
    """Close the middle of the area over from its surroundings, like an object painted out."""
    region = _blob(area.size, 0.3, wobble)
    small = np.asarray(area.reduce(_COARSE), np.float32)
    outside = np.asarray(1 - np.clip(region * 1.8, 0, 1), np.float32)
    filled = _fill_in(small, outside[..., None])
    smooth = Image.merge(
        "RGB", [_sized(_levels(filled[..., channel] / 255), area.size) for channel in range(3)]
    )
    grainy = np.asarray(smooth, np.float32) + grain[: area.height, : area.width, None] * 1.6 + 0.5
    new = Image.fromarray(np.clip(grainy, 0, 255).astype(np.uint8))
    return new, _sized(_levels(region), area.size)


def _grid(size: tuple[int, int]) -> tuple[Array, Array]:
    """Coordinates from -1 to 1 in both directions, on the coarse grid."""
    x = np.linspace(-1, 1, -(-size[0] // _COARSE), dtype=np.float32)[None, :]
    y = np.linspace(-1, 1, -(-size[1] // _COARSE), dtype=np.float32)[:, None]
    return np.broadcast_to(x, (y.shape[0], x.shape[1])), np.broadcast_to(y, (y.shape[0], x.shape[1]))


def _blob(size: tuple[int, int], softness: float, wobble: float) -> Array:
    """A soft, slightly irregular region that fades out before the area's edge; on the coarse grid."""
    x, y = _grid(size)
    radius, angle = np.hypot(x, y), np.arctan2(y, x)
    radius = radius * (1 + 0.08 * np.sin(3 * angle + wobble) + 0.05 * np.sin(5 * angle - 2 * wobble))
    fade = np.clip((0.88 - radius) / softness, 0, 1)
    return np.asarray(fade * fade * (3 - 2 * fade), np.float32)


def _levels(values: Array) -> Image.Image:
    """Values 0-1 as an 8-bit picture."""
    return Image.fromarray((np.clip(values, 0, 1) * 255 + 0.5).astype(np.uint8))


def _sized(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    return image.resize(size, Image.Resampling.BICUBIC)


def _enlarge(values: Array, height: int, width: int) -> Array:
    image = Image.fromarray(np.ascontiguousarray(values, np.float32))
    return np.asarray(image.resize((width, height), Image.Resampling.BICUBIC), np.float32)


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
