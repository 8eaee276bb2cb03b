"""Carry an edit out: objects, prints and changed regions are blended into the re-framed reference.

Works on pixel arrays in place and keeps the mask of pixels that differ. It must not know why an edit was decided,
nor anything of requests or files. Whole areas are handled as 8-bit pictures, which is several times faster than
arrays of floats; smooth fields are computed on a coarse grid.
"""

from __future__ import annotations

from functools import cache, partial
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageFilter
from scipy.ndimage import gaussian_filter

from kontext_lab.sandbox.edits import EditPlan, stable_hash
from kontext_lab.sandbox.objects import CLOTHS, HUES, OBJECTS, Array, Colour, draw_sprite

__all__ = ["apply_edit"]

Pixels = NDArray[np.uint8]
Mask = NDArray[np.bool_]
Area = tuple[slice, slice]
Patch = tuple[Image.Image, Image.Image]  # the changed area (RGB) and the strength of the change (L)

_VISIBLE: Final = 2  # levels; smaller differences are left out
_SPRITE_UNITS: Final = 2.5  # width of a sprite in units of the object
_OBJECT: Final = 0.235  # an object's unit as a fraction of the picture's shorter side
_ANCHORS: Final = ((0.17, 0.22), (0.5, 0.2), (0.83, 0.22), (0.17, 0.76), (0.5, 0.79), (0.83, 0.74))
_LIGHTS: Final[tuple[Colour, ...]] = ((255, 196, 96), (255, 214, 150), (120, 190, 255), (255, 176, 110))
_LUMA: Final = np.array([0.299, 0.587, 0.114], np.float32)  # the weights of Pillow's "L"
_MIN_SHIFT: Final = 28.0  # mean change in levels that a recolouring reaches at least
_COARSE: Final = 4  # pixels per step of the coarse grid


def apply_edit(framed: Pixels, plan: EditPlan, prints: list[Image.Image]) -> tuple[Pixels, Mask]:
    """Carry out an edit; further references are laid into the scene as small photographic prints.

    Returns:
        The edited picture and the mask of pixels that differ by more than two levels; all others are exactly
        the re-framed reference's.
    """
    edited = framed.copy()
    mask = np.zeros(framed.shape[:2], bool)
    steps = [_place_object if plan.kind == "object" else _change_region]
    steps += [partial(_place_print, image=image, number=number) for number, image in enumerate(prints)]
    for step in steps:
        area, after = step(edited, plan)
        before = edited[area]
        differs = (np.maximum(after, before) - np.minimum(after, before)) > _VISIBLE
        changed = differs[..., 0] | differs[..., 1] | differs[..., 2]
        np.copyto(before, after, where=changed[..., None])
        mask[area] |= changed
    return edited, mask


def _place_object(edited: Pixels, plan: EditPlan) -> tuple[Area, Pixels]:
    """Paste an object or a cloth with its shadow: small and dull at low guidance, large and strong at high."""
    sprite = (OBJECTS | CLOTHS)[plan.shape]
    radius = min(edited.shape[:2]) * _OBJECT * sprite.size * (0.8 + 0.35 * plan.drive)
    half = max(4, round(radius * _SPRITE_UNITS / 2))
    colour, cover = draw_sprite(plan.shape, plan.paint, plan.look, 2 * half)
    moved = np.roll(cover, (round(radius * 0.08), round(radius * 0.06)), axis=(0, 1))
    shade = _blurred(moved, radius * 0.08) * 0.45
    if sprite.grounded:
        line = np.arange(-half, half, dtype=np.float32)
        across = np.exp(-((line / (radius * 0.62)) ** 2))
        down = np.exp(-(((line - radius * 0.93) / (radius * 0.1)) ** 2))
        shade = np.maximum(shade, 0.62 * np.outer(down, across))
    # The faint rim is left out: it would count as edited without being seen.
    shade = np.clip(shade * 1.05 - 0.04, 0, 0.8)
    area = _window(plan.x, plan.y, edited.shape, half, half)
    scene = edited[area][::7, ::7].mean(axis=(0, 1), dtype=np.float32)
    contrast = 0.42 + 0.8 * plan.drive
    dull = scene * (1 - contrast) + _grain()[: 2 * half, : 2 * half, None]
    lit = colour * ((0.86 + 0.14 * scene / 128) * contrast) + cover[..., None] * dull
    solid = 1 - 0.5 * (1 - plan.drive) ** 4
    shade *= 0.5 + 0.5 * solid
    return area, _blend(edited[area], np.clip(lit, 0, 255), cover, shade=shade, solid=solid)


def _place_print(edited: Pixels, plan: EditPlan, *, image: Image.Image, number: int) -> tuple[Area, Pixels]:
    """Lay a further reference into the scene as a tilted print with a white border and a shadow."""
    reach = int(min(edited.shape[:2]) * 0.27)
    inner = image.copy()
    inner.thumbnail((reach, reach), Image.Resampling.LANCZOS, reducing_gap=2.0)
    border, pad = max(4, reach // 22), max(6, reach // 7)
    card = Image.new("RGB", (inner.width + 2 * border, inner.height + 2 * border), (250, 248, 242))
    card.paste(inner, (border, border))
    room = Image.new("RGBA", (card.width + 2 * pad, card.height + 2 * pad))
    room.paste(card, (pad, pad))
    tilt = stable_hash("tilt", plan.look, number) % 15 - 7
    turned = np.asarray(room.rotate(tilt, Image.Resampling.BICUBIC).convert("RGBa"), np.float32)
    far = sorted(_ANCHORS, key=lambda anchor: -((anchor[0] - plan.x) ** 2 + (anchor[1] - plan.y) ** 2))
    area = _window(*far[number], edited.shape, room.width // 2, room.height // 2)
    rows, columns = edited[area].shape[:2]
    colour, cover = turned[:rows, :columns, :3], turned[:rows, :columns, 3] / 255
    solid = 1 - 0.5 * (1 - plan.drive) ** 4
    shade = _blurred(np.roll(cover, pad // 2, axis=0), pad * 0.35) * 0.5 * solid
    return area, _blend(edited[area], colour, cover, shade=shade, solid=solid)


def _window(x: float, y: float, shape: tuple[int, ...], half_width: int, half_height: int) -> Area:
    """Return the area around a place, moved so that it lies within the picture."""
    height, width = shape[:2]
    half_width, half_height = min(half_width, width // 2), min(half_height, height // 2)
    column = min(max(round(x * width), half_width), width - half_width)
    row = min(max(round(y * height), half_height), height - half_height)
    return slice(row - half_height, row + half_height), slice(column - half_width, column + half_width)


def _blurred(values: Array, sigma: float) -> Array:
    """Blur an array of values in 0-1, fast: in 8 bits."""
    image = Image.fromarray((values * 255 + 0.5).astype(np.uint8))
    return np.asarray(image.filter(ImageFilter.GaussianBlur(sigma)), np.float32) / 255


def _blend(under: Pixels, colour: Array, cover: Array, *, shade: Array, solid: float) -> Pixels:
    """Darken an area by a shadow and lay premultiplied colour with its cover over it."""
    after = under * ((1 - shade) * (1 - cover * solid))[..., None] + colour * solid
    return np.clip(after + 0.5, 0, 255).astype(np.uint8)


@cache
def _grain() -> Array:
    """Fine noise like a sensor's (2048, 2048), so that painted areas are not smoother than the photograph."""
    return np.asarray(np.random.default_rng(20240529).normal(0, 1.5, (2048, 2048)), np.float32)


# Changes of the picture itself


def _change_region(edited: Pixels, plan: EditPlan) -> tuple[Area, Pixels]:
    """Recolour, light up or remove a region."""
    reach = min(edited.shape[:2]) * {"glow": 0.42, "remove": 0.22}.get(plan.kind, 0.37)
    area = _window(plan.x, plan.y, edited.shape, int(reach * 1.15), int(reach))
    under = Image.fromarray(edited[area])
    wobble = plan.look % 628 / 100
    strength = 0.25 + 0.75 * plan.drive**0.7
    match plan.kind:
        case "recolour":
            new, where = _recolour(under, plan.paint or HUES[plan.look % len(HUES)], wobble)
        case "glow":
            light = plan.paint or _LIGHTS[plan.look % len(_LIGHTS)]
            new, where = _glow(under, light, wobble, strength)
            strength = 1.0
        case _:
            new, where = _remove(under, wobble)
    where = where.point([round(level * strength) for level in range(256)])
    return area, np.asarray(Image.composite(new, under, where))


def _recolour(area: Image.Image, paint: Colour, wobble: float) -> Patch:
    """Dye everything in the colour of the area's middle, in light and in shade; leave other materials alone."""
    small = np.asarray(area.reduce(2), np.float32)
    rows, columns = small.shape[:2]
    tone = small / (small.sum(axis=-1, keepdims=True) + 24)
    middle = tone[rows * 2 // 5 : rows * 3 // 5 + 1, columns * 2 // 5 : columns * 3 // 5 + 1].reshape(-1, 3)
    # The tone nearest to the median is one that is there, even where two materials meet.
    typical = middle[int(np.argmin(np.abs(middle - np.median(middle, axis=0)).sum(axis=-1)))]
    distance = ((tone - typical) ** 2).sum(axis=-1) / 0.11**2
    similar = _enlarged(np.exp(-distance * distance) * 1.15 - 0.12, area.size).filter(
        ImageFilter.GaussianBlur(2)
    )
    mask = ImageChops.multiply(similar, _enlarged(_blob(area.size, 0.4, wobble), area.size))
    weight = np.asarray(mask.reduce(8), np.float32)
    grey, target = area.convert("L"), np.array(paint, np.float32)
    # If it has that colour already, a brighter or at last a paler shade of it shows.
    for shade, lift in ((target, 0.32), (target, 0.85), (0.45 * target + 0.55 * 255, 0.6)):
        own = max(1.0, float(shade @ _LUMA))
        light = (1 - lift) * np.arange(256) + lift * own
        tables = [np.clip(light * float(level) / own + 0.5, 0, 255).astype(int).tolist() for level in shade]
        dyed = Image.merge("RGB", [grey.point(table) for table in tables])
        change = np.asarray(ImageChops.difference(dyed, area).reduce(8), np.float32).mean(axis=-1)
        if (change * weight).sum() >= _MIN_SHIFT * max(1e-3, weight.sum()):
            break
    return dyed, mask


def _glow(area: Image.Image, paint: Colour, turn: float, strength: float) -> Patch:
    """Add a lamp: bright core, wide halo, faint rays; light is added, nothing is covered."""
    radius, angle = _polar(area.size)
    halo = np.exp(-((radius / 0.42) ** 2)) * 0.75 + np.exp(-((radius / 0.15) ** 2)) * 0.6
    rays = (0.5 + 0.5 * np.cos(6 * (angle + turn))) ** 12 * np.exp(-((radius / 0.5) ** 2)) * 0.3
    light = np.clip(halo + rays, 0, 1) * np.clip((1 - radius) / 0.35, 0, 1) * strength
    core = np.exp(-((radius / 0.2) ** 2)) * 0.7
    lamp = [_enlarged(light * (level / 255 * (1 - core) + core), area.size) for level in paint]
    return ImageChops.screen(area, Image.merge("RGB", lamp)), Image.new("L", area.size, 255)


def _remove(area: Image.Image, wobble: float) -> Patch:
    """Fill the middle of the area from its surroundings, as if an object had been painted out."""
    region = _blob(area.size, 0.3, wobble)
    small = np.asarray(area.reduce(_COARSE), np.float32)
    known = 1 - np.clip(region * 1.8, 0, 1)
    sigma = min(known.shape) / 10
    weight = np.maximum(gaussian_filter(known, sigma), 1e-6)
    around = gaussian_filter(small * known[..., None], (sigma, sigma, 0)) / weight[..., None]
    filled = (small * known[..., None] + around * (1 - known)[..., None]) / 255
    smooth = np.stack([np.asarray(_enlarged(filled[..., band], area.size)) for band in range(3)], axis=-1)
    grainy = smooth + _grain()[: area.height, : area.width, None] * 1.6 + 0.5
    new = Image.fromarray(np.clip(grainy, 0, 255).astype(np.uint8))
    return new, _enlarged(region, area.size)


def _polar(size: tuple[int, int]) -> tuple[Array, Array]:
    """Distance from the middle (1 at the edges' middles) and angle on the coarse grid."""
    x = np.linspace(-1, 1, -(-size[0] // _COARSE), dtype=np.float32)[None, :]
    y = np.linspace(-1, 1, -(-size[1] // _COARSE), dtype=np.float32)[:, None]
    return np.hypot(x, y), np.arctan2(y, x)


def _blob(size: tuple[int, int], softness: float, wobble: float) -> Array:
    """Soft, slightly irregular region that fades out before the area's edge, on the coarse grid."""
    radius, angle = _polar(size)
    radius = radius * (1 + 0.08 * np.sin(3 * angle + wobble) + 0.05 * np.sin(5 * angle - 2 * wobble))
    fade = np.clip((0.88 - radius) / softness, 0, 1)
    return np.asarray(fade * fade * (3 - 2 * fade), np.float32)


def _enlarged(values: Array, size: tuple[int, int]) -> Image.Image:
    """Bring values in 0-1 to a size as an 8-bit picture."""
    image = Image.fromarray((np.clip(values, 0, 1) * 255 + 0.5).astype(np.uint8))
    return image.resize(size, Image.Resampling.BICUBIC)
