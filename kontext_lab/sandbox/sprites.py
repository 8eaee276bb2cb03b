"""Painting shapes: curves to anti-aliased, softly lit sprites.

Turns a `Shape` into an array of colour and opacity. It must not know pictures, prompts or places.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from kontext_lab.sandbox.shapes import Colour, Part, Point, Shape

__all__ = ["Array", "Sprite", "draw_cloth", "draw_sprite", "soften"]

Array = NDArray[np.floating[Any]]  # float32 throughout; numpy's types lose track of it
Sprite = tuple[Array, Array]  # premultiplied colour (h, w, 3) in levels 0-255, opacity (h, w) in 0-1

_OVERSAMPLING: Final = 3
_LIGHT: Final = (0.5, 0.8)  # towards the upper left, as in most photographs
_MARGIN: Final = 1.25  # half the sprite's width in units of the shape


def draw_sprite(shape: Shape, palette: dict[str, Colour], radius: int, turn: float, flip: bool) -> Sprite:
    """Paint a shape.

    Args:
        shape: What to paint.
        palette: Colours for the shape's slots.
        radius: Pixels per unit.
        turn: Degrees clockwise.
        flip: Whether the figure looks to the left.

    Returns:
        A square sprite with the shape's origin in its middle.
    """
    half = round(radius * _MARGIN)
    side = 2 * half
    colour = np.zeros((side, side, 3), np.float32)
    opacity = np.zeros((side, side), np.float32)
    for part in shape.parts:
        outline = _transform(part, radius, turn, flip) + half
        _paint((colour, opacity), part, outline, palette[part.colour], radius)
    return colour, opacity


def draw_cloth(style: int, paint: Colour, second: Colour, radius: int, turn: float) -> Sprite:
    """Paint a square cloth with stripes (0), dots (1), checks (2) or waves (3), lit like a figure."""
    half = round(radius * _MARGIN)
    angles = np.arange(72) * (2 * np.pi / 72)
    square = np.stack([_rounded(np.cos(angles)), _rounded(np.sin(angles))], axis=1) * 0.86
    part = Part("paint", tuple((float(x), float(y)) for x, y in square), relief=0.07, gloss=0.1)
    cover = _fill(_transform(part, radius, turn, flip=False) + half, (2 * half, 2 * half), 0)
    axis = (np.arange(2 * half, dtype=np.float32) - half) / radius * 5
    angle = np.radians(turn)
    u = axis[None, :] * np.cos(angle) + axis[:, None] * np.sin(angle)
    v = axis[:, None] * np.cos(angle) - axis[None, :] * np.sin(angle)
    mix = np.clip(0.5 + _motif(style, u, v) * radius / 22, 0, 1)[..., None]
    colour = np.array(paint, np.float32) * mix + np.array(second, np.float32) * (1 - mix)
    folds = 1 + 0.07 * np.sin(1.1 * u + 0.6 * v) + 0.05 * np.sin(0.7 * u - 1.3 * v + 1)
    light = _light(cover, np.full(3, 128, np.float32), part, radius)[..., :1] / 128 * folds[..., None]
    return np.asarray(np.clip(colour * light, 0, 255) * cover[..., None], np.float32), cover


def _rounded(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """One coordinate of a square with rounded corners, from that of a circle."""
    return np.asarray(np.sign(values) * np.abs(values) ** 0.35)


def _motif(style: int, u: Array, v: Array) -> Array:
    """A pattern of period 2: positive where the first colour goes."""
    match style % 4:
        case 0:
            wave = np.sin(np.pi * u)
        case 1:
            wave = 0.62 - 1.9 * np.hypot(u - np.round(u), v - np.round(v))
        case 2:
            wave = np.sin(np.pi * u) * np.sin(np.pi * v)
        case _:
            wave = np.sin(np.pi * (u + 0.35 * np.sin(1.6 * v)))
    return np.asarray(wave, np.float32)


def soften(values: Array, sigma: float) -> Array:
    """Blur a two-dimensional array with a bell of `sigma` pixels, fast: on a smaller grid, then enlarged."""
    height, width = values.shape
    step = max(1, int(sigma / 5))
    small_size = (-(-width // step), -(-height // step))
    image = Image.fromarray(values)
    if step > 1:
        image = image.resize(small_size, Image.Resampling.BOX)
    small = np.asarray(image, np.float32)
    reach = max(1, round(sigma / step * 0.9))
    for axis in (0, 1):
        for _ in range(3):
            small = _box(small, reach, axis)
    if step == 1:
        return small
    return np.asarray(Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC), np.float32)


def _box(values: Array, reach: int, axis: int) -> Array:
    """Running mean over 2·reach+1 values; beyond the edges the edge value goes on."""
    pad = [(0, 0), (0, 0)]
    pad[axis] = (reach + 1, reach)
    sums = np.cumsum(np.pad(values, pad, mode="edge"), axis=axis, dtype=np.float32)
    window = 2 * reach + 1
    upper = sums[window:] if axis == 0 else sums[:, window:]
    lower = sums[:-window] if axis == 0 else sums[:, :-window]
    return np.asarray((upper - lower) / window, np.float32)


def _transform(part: Part, radius: int, turn: float, flip: bool) -> Array:
    points = np.array(_curve(part.points, closed=part.width == 0) if part.smooth else part.points, np.float32)
    if flip:
        points = points * np.array([-1, 1], np.float32)
    angle = np.radians(turn)
    rotation = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]], np.float32)
    return np.asarray(points @ rotation * radius, np.float32)


def _curve(points: Sequence[Point], closed: bool, steps: int = 8) -> list[Point]:
    """A Catmull-Rom curve through the points."""
    knots = np.array(points, np.float64)
    count = len(knots)
    if closed:
        index = np.arange(count)
        before, start, end, after = (knots[(index + shift) % count] for shift in (-1, 0, 1, 2))
    else:
        padded = np.concatenate([knots[:1], knots, knots[-1:]])
        before, start, end, after = padded[:-3], padded[1:-2], padded[2:-1], padded[3:]
    t = (np.arange(steps) / steps)[None, :, None]
    a, b, c, d = (array[:, None, :] for array in (before, start, end, after))
    curve = b + t * (c - a) / 2 + t**2 * (a - 2.5 * b + 2 * c - d / 2) + t**3 * (1.5 * (b - c) + (d - a) / 2)
    flat = curve.reshape(-1, 2)
    return [(float(x), float(y)) for x, y in (flat if closed else np.concatenate([flat, knots[-1:]]))]


def _paint(sprite: Sprite, part: Part, outline: Array, paint: Colour, radius: int) -> None:
    """Lay one part over the sprite, in place."""
    colour, opacity = sprite
    width = part.width * radius
    pad = width / 2 + 2
    side = opacity.shape[0]
    x0, y0 = (max(0, int(value - pad)) for value in outline.min(axis=0))
    x1, y1 = (min(side, int(value + pad) + 1) for value in outline.max(axis=0))
    if x1 <= x0 or y1 <= y0:
        return
    cover = _fill(outline - np.array([x0, y0], np.float32), (x1 - x0, y1 - y0), width)
    lit = _light(cover, np.array(paint, np.float32), part, radius)
    keep = 1 - cover
    area = (slice(y0, y1), slice(x0, x1))
    colour[area] = colour[area] * keep[..., None] + lit * cover[..., None]
    opacity[area] = opacity[area] * keep + cover


def _fill(outline: Array, size: tuple[int, int], width: float) -> Array:
    """Anti-aliased coverage 0-1 of a filled outline or a thick line."""
    scale = _OVERSAMPLING
    canvas = Image.new("L", (size[0] * scale, size[1] * scale))
    draw = ImageDraw.Draw(canvas)
    points = [(float(x), float(y)) for x, y in outline * scale]
    if width:
        thick = max(1, round(width * scale))
        draw.line(points, fill=255, width=thick, joint="curve")
        for x, y in (points[0], points[-1]):
            draw.ellipse((x - thick / 2, y - thick / 2, x + thick / 2, y + thick / 2), fill=255)
    else:
        draw.polygon(points, fill=255)
    return np.asarray(canvas.reduce(scale), np.float32) / 255


def _light(cover: Array, paint: Array, part: Part, radius: int) -> Array:
    """The part's colour with rounding, highlight and a darker rim."""
    sigma = max(0.8, part.relief * radius * 0.45)
    height = soften(cover, sigma) * cover
    if min(cover.shape) < 3:
        return np.broadcast_to(paint, (*cover.shape, 3)).astype(np.float32)
    slope_y, slope_x = np.gradient(height)
    facing = np.clip((_LIGHT[0] * slope_x + _LIGHT[1] * slope_y) * sigma * 2.2, -1, 1)
    rim = 1 - 0.3 * np.clip(1 - height * 1.15, 0, 1)
    shade = (1 + 0.34 * facing) * rim
    shine = np.clip(facing - 0.25, 0, 1) ** 2 * height * (150 * part.gloss)
    return np.asarray(np.clip(paint * shade[..., None] + shine[..., None], 0, 255), np.float32)
