"""Carrying an edit out: figures, prints and changed regions blended into the re-framed reference.

Works on pixel arrays in place and keeps the account of which pixels differ. It must not know why an edit was
decided, nor anything of requests or files.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from kontext_lab.sandbox import patches
from kontext_lab.sandbox.cache import Cache
from kontext_lab.sandbox.edits import EditPlan, stable_hash
from kontext_lab.sandbox.objects import SHAPES
from kontext_lab.sandbox.shapes import Colour
from kontext_lab.sandbox.sprites import Array, Sprite, draw_cloth, draw_sprite, soften

__all__ = ["apply_edit"]

Pixels = NDArray[np.uint8]
Mask = NDArray[np.bool_]
Area = tuple[slice, slice]

_VISIBLE: Final = 2  # levels; smaller differences count as none and are left out
_BASE_RADIUS: Final = 240  # figures are painted at this size once and then scaled
_SPRITE_UNITS: Final = 2.5  # width of a painted figure's sheet in units of the figure
_FIGURE: Final = 0.235  # a figure's unit as a fraction of the picture's shorter side
_ANCHORS: Final = ((0.17, 0.22), (0.5, 0.2), (0.83, 0.22), (0.17, 0.76), (0.5, 0.79), (0.83, 0.74))
_HUES: Final[tuple[Colour, ...]] = (
    (204, 44, 48),
    (32, 144, 144),
    (128, 70, 184),
    (236, 124, 36),
    (48, 112, 204),
    (64, 148, 84),
)
_LIGHTS: Final[tuple[Colour, ...]] = ((255, 196, 96), (255, 214, 150), (120, 190, 255), (255, 176, 110))


_sheets: Final[Cache[tuple[Image.Image, Image.Image]]] = Cache(24)
_sprites: Final[Cache[Sprite]] = Cache(12)
_grains: Final[Cache[Array]] = Cache(1)


def apply_edit(framed: Pixels, plan: EditPlan, prints: list[Image.Image]) -> tuple[Pixels, Mask]:
    """Carry out an edit.

    Args:
        framed: The re-framed first reference, (height, width, 3); left as it is.
        plan: What to do.
        prints: Further references; each is laid into the scene as a small photographic print.

    Returns:
        The edited picture and the mask of pixels that differ by more than two levels; all others are exactly
        the reference's.
    """
    edited = framed.copy()
    mask = np.zeros(framed.shape[:2], bool)
    if plan.kind in ("object", "pattern"):
        _place_figure(edited, mask, plan)
    else:
        _change_region(edited, mask, plan)
    for number, image in enumerate(prints):
        _place_print(edited, mask, plan, image, number)
    return edited, mask


def _lay(edited: Pixels, mask: Mask, area: Area, after: Pixels) -> None:
    """Write the visibly changed pixels of an area, in place."""
    before = edited[area]
    differs = (np.maximum(after, before) - np.minimum(after, before)) > _VISIBLE
    changed = differs[..., 0] | differs[..., 1] | differs[..., 2]
    np.copyto(before, after, where=changed[..., None])
    mask[area] |= changed


def _rounded(values: Array) -> Pixels:
    """Levels as bytes; the values are used up."""
    values += 0.5
    return np.clip(values, 0, 255, out=values).astype(np.uint8)


def _window(x: float, y: float, shape: tuple[int, ...], half_width: int, half_height: int) -> Area:
    """The area around a place, moved so that it lies within the picture."""
    height, width = shape[:2]
    half_width, half_height = min(half_width, width // 2), min(half_height, height // 2)
    column = min(max(round(x * width), half_width), width - half_width)
    row = min(max(round(y * height), half_height), height - half_height)
    return slice(row - half_height, row + half_height), slice(column - half_width, column + half_width)


def _place_figure(edited: Pixels, mask: Mask, plan: EditPlan) -> None:
    """Paint a figure or a patterned cloth with its shadow.

    Low guidance makes it small and as dull as its surroundings, high guidance large and stronger in colour
    than life.
    """
    grounded = plan.kind == "object" and SHAPES[plan.shape].grounded
    size = SHAPES[plan.shape].size if plan.kind == "object" else 0.95
    radius = min(edited.shape[:2]) * _FIGURE * size * (0.8 + 0.35 * plan.drive)
    side = max(8, round(radius * _SPRITE_UNITS / 2) * 2)
    colour, cover = _scaled(plan.kind, plan.shape, plan.paint, plan.look, side)
    half = cover.shape[0] // 2
    area = _window(plan.x, plan.y, edited.shape, half, half)
    under = edited[area].astype(np.float32)
    contrast = 0.42 + 0.8 * plan.drive
    scene = np.array([under[::7, ::7, channel].mean() for channel in range(3)], np.float32)
    light = (0.86 + 0.14 * scene / 128) * contrast
    solid = 1 - 0.5 * (1 - plan.drive) ** 4
    shadow = _shadow(cover, radius, grounded) * (0.5 + 0.5 * solid)
    figure = colour * light + cover[..., None] * (scene * (1 - contrast) + _grain(cover.shape)[..., None])
    np.clip(figure, 0, 255, out=figure)
    figure *= solid
    under *= ((1 - shadow) * (1 - cover * solid))[..., None]
    figure += under
    _lay(edited, mask, area, _rounded(figure))


def _scaled(kind: str, name: str, paint: Colour | None, look: int, side: int) -> Sprite:
    """The figure at the wanted size; an even number of rows and columns keeps its middle."""
    key = (kind, name, paint, look)
    return _sprites.get((*key, side), lambda: _resized(_sheets.get(key, lambda: _painted(*key)), side))


def _resized(sheets: tuple[Image.Image, Image.Image], side: int) -> Sprite:
    colour, cover = (
        np.asarray(sheet.resize((side, side), Image.Resampling.BICUBIC), np.float32) for sheet in sheets
    )
    return colour, cover / np.float32(255)


def _painted(kind: str, name: str, paint: Colour | None, look: int) -> tuple[Image.Image, Image.Image]:
    """The figure's premultiplied colour and its cover, at the base size."""
    turn = (look // 64 % 17) - 8.0
    if kind == "pattern":
        hue = paint or _HUES[look // 4 % len(_HUES)]
        colour, cover = draw_cloth(look % 4, hue, (246, 242, 232), _BASE_RADIUS, turn * 2)
    else:
        shape = SHAPES[name]
        palette = dict(shape.palettes[look // 7 % len(shape.palettes)])
        if paint is not None:
            palette["main"] = paint
            palette["dark"] = (int(paint[0] * 0.55), int(paint[1] * 0.55), int(paint[2] * 0.55))
        colour, cover = draw_sprite(shape, palette, _BASE_RADIUS, turn, flip=bool(look // 2048 % 2))
    whole = Image.fromarray((colour + 0.5).clip(0, 255).astype(np.uint8))
    return whole, Image.fromarray((cover * 255 + 0.5).clip(0, 255).astype(np.uint8))


def _shadow(cover: Array, radius: float, grounded: bool) -> Array:
    """How much light the figure takes from what lies behind and below it, 0–1."""
    moved = np.roll(cover, (round(radius * 0.08), round(radius * 0.06)), axis=(0, 1))
    shade = soften(moved, radius * 0.08) * 0.45
    if grounded:
        height, width = cover.shape
        y = (np.arange(height, dtype=np.float32)[:, None] - height / 2 - radius * 0.93) / (radius * 0.1)
        x = (np.arange(width, dtype=np.float32)[None, :] - width / 2) / (radius * 0.62)
        np.maximum(shade, 0.62 * np.exp(-(y * y)) * np.exp(-(x * x)), out=shade)
    # The faint rim is left out: it would count as edited without being seen.
    return np.asarray(np.clip(shade * 1.05 - 0.04, 0, 0.8), np.float32)


def _change_region(edited: Pixels, mask: Mask, plan: EditPlan) -> None:
    """Recolour, light up or remove what is there."""
    reach = min(edited.shape[:2]) * {"glow": 0.42, "remove": 0.22}.get(plan.kind, 0.37)
    area = _window(plan.x, plan.y, edited.shape, int(reach * 1.15), int(reach))
    under = Image.fromarray(edited[area])
    wobble = plan.look % 628 / 100
    strength = 0.25 + 0.75 * plan.drive**0.7
    match plan.kind:
        case "recolour":
            new, where = patches.recolour(under, plan.paint or _HUES[plan.look % len(_HUES)], wobble)
        case "glow":
            light = plan.paint or _LIGHTS[plan.look % len(_LIGHTS)]
            new, where = patches.glow(under, light, wobble, strength)
            strength = 1.0
        case _:
            new, where = patches.remove(under, wobble, _grain((2048, 2048)))
    where = where.point([round(level * strength) for level in range(256)])
    _lay(edited, mask, area, np.asarray(Image.composite(new, under, where)))


def _place_print(edited: Pixels, mask: Mask, plan: EditPlan, image: Image.Image, number: int) -> None:
    """Lay a further reference into the scene as a tilted print with a white border and a shadow."""
    far = sorted(_ANCHORS, key=lambda anchor: -((anchor[0] - plan.x) ** 2 + (anchor[1] - plan.y) ** 2))
    turned, pad = _print_card(image, min(edited.shape[:2]), (stable_hash("tilt", plan.look, number) % 15) - 7)
    x, y = far[number]
    area = _window(x, y, edited.shape, turned.shape[1] // 2, turned.shape[0] // 2)
    under = edited[area].astype(np.float32)
    rows, columns = under.shape[:2]
    cover = turned[:rows, :columns, 3] / 255
    solid = 1 - 0.5 * (1 - plan.drive) ** 4
    shade = soften(np.roll(cover, pad // 2, axis=0), pad * 0.35) * 0.5 * solid
    under *= ((1 - shade) * (1 - cover * solid))[..., None]
    under += turned[:rows, :columns, :3] * (cover * solid)[..., None]
    _lay(edited, mask, area, _rounded(under))


def _print_card(image: Image.Image, shorter_side: int, tilt: int) -> tuple[Array, int]:
    """The print as RGBA levels, with room for its shadow, and how much room that is."""
    reach = int(shorter_side * 0.27)
    inner = image.copy()
    inner.thumbnail((reach, reach), Image.Resampling.LANCZOS, reducing_gap=2.0)
    border, pad = max(4, reach // 22), max(6, reach // 7)
    card = Image.new("RGBA", (inner.width + 2 * border, inner.height + 2 * border), (250, 248, 242, 255))
    card.paste(inner, (border, border))
    # Transparent surroundings in the border's colour: no dark fringe where the edge is smoothed.
    room = Image.new("RGBA", (card.width + 2 * pad, card.height + 2 * pad), (250, 248, 242, 0))
    room.paste(card, (pad, pad))
    turned = room.rotate(tilt, Image.Resampling.BICUBIC, fillcolor=(250, 248, 242, 0))
    return np.asarray(turned, np.float32), pad


def _grain(shape: tuple[int, ...]) -> Array:
    """Fine noise like a sensor's, so that painted areas are not smoother than the photograph."""
    return _grains.get((), _grain_sheet)[: shape[0], : shape[1]]


def _grain_sheet() -> Array:
    return np.asarray(np.random.default_rng(20240529).normal(0, 1.5, (2048, 2048)), np.float32)
