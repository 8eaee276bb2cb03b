"""Edits that change the picture itself in one region: recolour, glow, pattern, removal.

Each takes an area of the picture and returns the changed area and where it applies. Pure array functions;
they must not know prompts or seeds.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from PIL import Image

from kontext_lab.sandbox.drawing import Array, soften
from kontext_lab.sandbox.shapes import Colour

__all__ = ["glow", "pattern", "recolour", "remove"]

_LUMA: Final = np.array([0.299, 0.587, 0.114], np.float32)
_FINE: Final = 4  # smooth weights are computed on a grid this much coarser


def _grid(height: int, width: int) -> tuple[Array, Array]:
    """Coordinates from -1 to 1 in both directions."""
    y = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    x = np.linspace(-1, 1, width, dtype=np.float32)[None, :]
    return np.broadcast_to(x, (height, width)), np.broadcast_to(y, (height, width))


def _blob(height: int, width: int, softness: float, wobble: float = 0.0, power: float = 2.0) -> Array:
    """A soft round region that fades out before the area's edge; `wobble` shapes its outline."""
    x, y = _grid(height, width)
    radius = (np.abs(x) ** power + np.abs(y) ** power) ** (1 / power)
    if wobble:
        angle = np.arctan2(y, x)
        radius = radius * (1 + 0.09 * np.sin(3 * angle + wobble) + 0.05 * np.sin(5 * angle - 2 * wobble))
    fade = np.clip((0.88 - radius) / softness, 0, 1)
    return np.asarray(fade * fade * (3 - 2 * fade), np.float32)


def _shrink(area: Array) -> Array:
    """The area on the coarse grid, per channel."""
    image = Image.fromarray(np.clip(area, 0, 255).astype(np.uint8)).reduce(_FINE)
    return np.asarray(image, np.float32)


def _enlarge(values: Array, height: int, width: int) -> Array:
    image = Image.fromarray(values).resize((width, height), Image.Resampling.BICUBIC)
    return np.asarray(image, np.float32)


def recolour(area: Array, paint: Colour, wobble: float) -> tuple[Array, Array]:
    """Dye what has the colour of the area's middle, as if it were made of another material."""
    height, width = area.shape[:2]
    small = _shrink(area)
    rows, columns = small.shape[:2]
    middle = small[rows * 2 // 5 : rows * 3 // 5 + 1, columns * 2 // 5 : columns * 3 // 5 + 1].reshape(-1, 3)
    centre = np.median(middle, axis=0)
    spread = max(26.0, float(middle.std()))
    distance = np.sqrt(((small - centre) ** 2).sum(axis=-1)) / (1.6 * spread)
    similar = soften(np.asarray(np.exp(-(distance**4)), np.float32), 1.2)
    weight = np.clip(_enlarge(similar, height, width), 0, 1) * 0.94 + 0.06
    target = np.array(paint, np.float32)
    light = area @ _LUMA
    dye = target / max(1.0, float(target @ _LUMA))
    # Between plain dye and the paint's own lightness: dark things must not stay black, nor highlights burn.
    lifted = 0.78 * light + 0.22 * float(target @ _LUMA)
    dyed = np.clip(lifted[..., None] * dye, 0, 255)
    return np.asarray(dyed, np.float32), weight * _blob(height, width, 0.3, wobble)


def glow(area: Array, paint: Colour, turn: float) -> tuple[Array, Array]:
    """A lamp in the picture: bright core, wide halo, faint rays; light is added, nothing is covered."""
    height, width = area.shape[:2]
    x, y = _grid(height, width)
    radius = np.sqrt(x * x + y * y)
    angle = np.arctan2(y, x) + turn
    halo = np.exp(-((radius / 0.42) ** 2)) * 0.75 + np.exp(-((radius / 0.15) ** 2)) * 0.6
    rays = (0.5 + 0.5 * np.cos(6 * angle)) ** 12 * np.exp(-((radius / 0.5) ** 2)) * 0.3
    light = np.clip(halo + rays, 0, 1) * np.clip((1 - radius) / 0.35, 0, 1)
    core = np.clip(np.exp(-((radius / 0.2) ** 2)), 0, 1)[..., None]
    colour = np.array(paint, np.float32) * (1 - 0.7 * core) + 255 * 0.7 * core
    screened = 255 - (255 - area) * (1 - light[..., None] * colour / 255)
    return np.asarray(screened, np.float32), np.asarray((light > 0.004).astype(np.float32))


def pattern(area: Array, paint: Colour, second: Colour, style: int, turn: float) -> tuple[Array, Array]:
    """A printed pattern that takes the light of what it lies on: stripes, dots, checks or waves."""
    height, width = area.shape[:2]
    x, y = _grid(height, width)
    scale = 7.0
    cos, sin = np.cos(turn), np.sin(turn)
    u = (x * cos + y * sin * height / width) * scale
    v = (-x * sin + y * cos * height / width) * scale
    sharp = width / scale / 5  # edges about two pixels wide whatever the size
    match style % 4:
        case 0:
            wave = np.sin(np.pi * u)
        case 1:
            wave = 0.62 - 1.9 * np.sqrt((u - np.round(u)) ** 2 + (v - np.round(v)) ** 2)
        case 2:
            wave = np.sin(np.pi * u) * np.sin(np.pi * v)
        case _:
            wave = np.sin(np.pi * (u + 0.35 * np.sin(1.6 * v)))
    mix = np.clip(0.5 + wave * sharp * 0.35, 0, 1)[..., None]
    colour = np.array(paint, np.float32) * mix + np.array(second, np.float32) * (1 - mix)
    light = area @ _LUMA
    smooth = light - float(light.mean())
    printed = np.clip(colour * (0.92 + smooth[..., None] / 255 * 1.1), 0, 255)
    return np.asarray(printed, np.float32), _blob(height, width, 0.1, turn, power=3.2)


def remove(area: Array, wobble: float, grain: Array) -> tuple[Array, Array]:
    """Close the middle of the area over from its surroundings, like an object painted out."""
    height, width = area.shape[:2]
    region = _blob(height, width, 0.34, wobble)
    small = _shrink(area)
    outside = 1 - np.clip(_shrink(np.repeat(region[..., None] * 255, 3, axis=-1))[..., :1] / 255 * 1.6, 0, 1)
    filled = _fill_in(small, outside)
    smooth = np.stack([_enlarge(filled[..., channel], height, width) for channel in range(3)], axis=-1)
    return np.asarray(np.clip(smooth + grain[:height, :width, None] * 1.6, 0, 255), np.float32), region


def _fill_in(values: Array, known: Array) -> Array:
    """Smoothly continue known values into unknown places: averages of ever wider surroundings (push-pull)."""
    height, width = values.shape[:2]
    if min(height, width) <= 2:
        total = max(1e-3, float(known.sum()))
        return np.broadcast_to((values * known).sum(axis=(0, 1)) / total, values.shape).astype(np.float32)
    pad = ((0, height % 2), (0, width % 2), (0, 0))
    weighted, weights = np.pad(values * known, pad), np.pad(known, pad)
    coarse_sum = weighted[::2, ::2] + weighted[1::2, ::2] + weighted[::2, 1::2] + weighted[1::2, 1::2]
    coarse_known = weights[::2, ::2] + weights[1::2, ::2] + weights[::2, 1::2] + weights[1::2, 1::2]
    coarse = _fill_in(
        np.asarray(coarse_sum / np.maximum(coarse_known, 1e-3), np.float32), np.minimum(coarse_known, 1)
    )
    wide = np.stack([_enlarge(coarse[..., channel], height, width) for channel in range(3)], axis=-1)
    return np.asarray(values * known + wide * (1 - known), np.float32)
