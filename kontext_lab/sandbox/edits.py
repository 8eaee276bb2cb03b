"""What an edit is: from a prompt, a seed and a guidance to a deliberate local change of a picture.

The prompt decides the kind of edit (a word it knows, else its hash), the seed and the reference decide the
place, guidance decides the strength. Model and prompt give a figure its colours and pose; safety_tolerance
changes nothing, as is reported of the real service once a reference is given. Everything is drawn from SHA-256, so the
same request makes the same picture in every process. This module must not know requests, HTTP or money.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from kontext_lab.sandbox import patches
from kontext_lab.sandbox.drawing import Array, Sprite, draw_sprite, soften
from kontext_lab.sandbox.shapes import SHAPES, Colour

__all__ = ["EditPlan", "apply_edit", "plan_edit"]

_KINDS: Final[dict[str, tuple[str, ...]]] = {
    "remove": ("remove", "delete", "erase", "without", "clean", "clear"),
    "glow": (
        "glow",
        "glowing",
        "light",
        "lamp",
        "candle",
        "neon",
        "sun",
        "sunset",
        "sunlight",
        "fire",
        "shine",
        "magic",
    ),
    "pattern": (
        "pattern",
        "texture",
        "stripes",
        "striped",
        "dots",
        "dotted",
        "checkered",
        "tiles",
        "print",
        "fabric",
        "wood",
        "marble",
        "wavy",
    ),
    "recolour": ("recolour", "recolor", "colour", "color", "paint", "dye", "turn", "tint", "change", "make"),
}
_SHAPE_WORDS: Final[dict[str, str]] = {
    "parrot": "bird",
    "sparrow": "bird",
    "robin": "bird",
    "gull": "bird",
    "seagull": "bird",
    "duck": "bird",
    "owl": "bird",
    "lobster": "crab",
    "tiara": "crown",
    "king": "crown",
    "queen": "crown",
    "moth": "butterfly",
    "wings": "butterfly",
    "rose": "flower",
    "daisy": "flower",
    "tulip": "flower",
    "sunflower": "flower",
    "bouquet": "flower",
    "flowers": "flower",
    "goldfish": "fish",
    "shark": "fish",
    "kitten": "cat",
    "dog": "cat",
    "cap": "hat",
    "fedora": "hat",
    "ball": "balloon",
    "stars": "star",
    "fungus": "mushroom",
    "hearts": "heart",
    "love": "heart",
    "ship": "boat",
    "sailboat": "boat",
    "birds": "bird",
    "crabs": "crab",
    "cats": "cat",
    "balloons": "balloon",
    "butterflies": "butterfly",
}
_COLOURS: Final[dict[str, Colour]] = {
    "red": (204, 44, 48),
    "orange": (236, 124, 36),
    "yellow": (240, 198, 56),
    "green": (64, 148, 84),
    "blue": (48, 112, 204),
    "purple": (128, 70, 184),
    "violet": (128, 70, 184),
    "pink": (236, 110, 160),
    "gold": (222, 170, 52),
    "golden": (222, 170, 52),
    "silver": (188, 194, 204),
    "white": (240, 238, 232),
    "black": (44, 42, 48),
    "brown": (132, 86, 52),
    "teal": (32, 144, 144),
    "turquoise": (52, 184, 180),
    "grey": (128, 130, 136),
    "gray": (128, 130, 136),
    "warm": (255, 184, 96),
    "cold": (130, 184, 255),
}
_HUES: Final[tuple[Colour, ...]] = (
    (204, 44, 48),
    (32, 144, 144),
    (128, 70, 184),
    (236, 124, 36),
    (48, 112, 204),
    (64, 148, 84),
)
_LIGHTS: Final[tuple[Colour, ...]] = ((255, 196, 96), (120, 190, 255), (255, 128, 168), (150, 255, 190))
_STYLES: Final[dict[str, int]] = {
    "stripes": 0,
    "striped": 0,
    "dots": 1,
    "dotted": 1,
    "checkered": 2,
    "tiles": 2,
    "wavy": 3,
    "marble": 3,
}
_PLACE_STEP: Final = (0x9E3779B97F4A7C15, 0xD1B54A32D192ED03)  # odd: consecutive seeds fall far apart
_VISIBLE: Final = 2.0  # levels; smaller differences count as none and are left out
_ANCHORS: Final = ((0.17, 0.22), (0.5, 0.2), (0.83, 0.22), (0.17, 0.76), (0.5, 0.79), (0.83, 0.74))


@dataclass(frozen=True)
class EditPlan:
    """One edit, decided but not drawn.

    Attributes:
        kind: "object", "recolour", "glow", "pattern" or "remove".
        shape: Which figure, if the kind is "object".
        paint: Main colour, or None for the figure's own palette.
        look: A number that picks palette, pose and outline.
        x: Place of the middle, as a fraction of the width.
        y: Place of the middle, as a fraction of the height.
        opacity: How much of the edit covers the picture, 0–1; grows with guidance.
        drive: How far colours are driven apart and the size grows, 0–1; grows with guidance.
    """

    kind: str
    shape: str
    paint: Colour | None
    look: int
    x: float
    y: float
    opacity: float
    drive: float


def plan_edit(prompt: str, model: str, seed: int, variant: int, guidance: float, picture: str) -> EditPlan:
    """Decide an edit.

    Args:
        prompt: What to do; its words pick the kind, figure, colour and side of the picture.
        model: The model's name; it changes the pose a little.
        seed: Moves the edit.
        variant: Number of the picture within one request, from 0; moves it too.
        guidance: 1 (faint) to 20 (strong).
        picture: SHA-256 of the first reference; moves it too.
    """
    words = re.findall(r"[a-zà-ÿ]+", prompt.lower())
    look = _hash(model, prompt)
    shape = next((name for word in words if (name := _SHAPE_WORDS.get(word, word)) in SHAPES), "")
    kind = "object" if shape else _kind_of(words, look)
    x, y = _place(words, seed, variant, picture)
    return EditPlan(
        kind=kind,
        shape=shape or tuple(SHAPES)[look % len(SHAPES)],
        paint=next((_COLOURS[word] for word in words if word in _COLOURS), None),
        look=look if kind != "pattern" else _pattern_look(words, look),
        x=x,
        y=y,
        opacity=float(1 - 0.75 * np.exp(-(((guidance - 1) / 2.6) ** 0.8))),
        drive=float(np.log(guidance) / np.log(20)),
    )


def _hash(*parts: object) -> int:
    text = "\x1f".join(str(part) for part in parts)
    return int.from_bytes(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:8])


def _kind_of(words: list[str], look: int) -> str:
    for kind, triggers in _KINDS.items():
        if any(word in triggers for word in words):
            return kind
    return ("object", "object", "recolour", "glow", "pattern")[look % 5]


def _pattern_look(words: list[str], look: int) -> int:
    style = next((_STYLES[word] for word in words if word in _STYLES), look % 4)
    return look - look % 4 + style


def _place(words: list[str], seed: int, variant: int, picture: str) -> tuple[float, float]:
    """Fractions of width and height; seeds that follow each other lie far apart (a Kronecker sequence)."""
    start = _hash("place", picture)
    step = seed + 7 * variant
    u, v = (
        ((start >> shift) + step * factor) % 2**64 / 2**64
        for shift, factor in zip((0, 7), _PLACE_STEP, strict=True)
    )
    left, right = (0.2, 0.4) if "left" in words else (0.6, 0.8) if "right" in words else (0.2, 0.8)
    top, bottom = 0.27, 0.73
    if "foreground" in words or "bottom" in words:
        top, bottom = 0.52, 0.74
    elif {"background", "top", "sky", "above"} & set(words):
        top, bottom = 0.26, 0.42
    return left + u * (right - left), top + v * (bottom - top)


def apply_edit(
    framed: NDArray[np.uint8], plan: EditPlan, prints: list[Image.Image]
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Carry out an edit.

    Args:
        framed: The re-framed first reference, (height, width, 3); left as it is.
        plan: What to do.
        prints: Further references; each is laid into the scene as a small photographic print.

    Returns:
        The edited picture and the mask of pixels that differ visibly; all others are exactly the reference's.
    """
    edited = framed.copy()
    mask = np.zeros(framed.shape[:2], bool)
    if plan.kind == "object":
        _place_object(edited, mask, plan)
    else:
        _change_region(edited, mask, plan)
    for number, image in enumerate(prints):
        _place_print(edited, mask, plan, image, number)
    return edited, mask


def _lay(edited: NDArray[np.uint8], mask: NDArray[np.bool_], area: tuple[slice, slice], new: Array) -> None:
    """Write the visibly changed pixels of an area, in place."""
    before = edited[area]
    after = np.clip(new + 0.5, 0, 255).astype(np.uint8)
    changed = np.abs(after.astype(np.int16) - before).max(axis=-1) > _VISIBLE
    edited[area] = np.where(changed[..., None], after, before)
    mask[area] |= changed


def _window(plan: EditPlan, shape: tuple[int, ...], half_width: int, half_height: int) -> tuple[slice, slice]:
    """The area around the plan's place, moved so that it lies within the picture."""
    height, width = shape[:2]
    half_width, half_height = min(half_width, width // 2), min(half_height, height // 2)
    x = min(max(round(plan.x * width), half_width), width - half_width)
    y = min(max(round(plan.y * height), half_height), height - half_height)
    return slice(y - half_height, y + half_height), slice(x - half_width, x + half_width)


def _place_object(edited: NDArray[np.uint8], mask: NDArray[np.bool_], plan: EditPlan) -> None:
    shape = SHAPES[plan.shape]
    radius = int(min(edited.shape[:2]) * 0.235 * shape.size * (0.92 + 0.16 * plan.drive))
    colour, opacity = _sprite(plan.shape, plan.paint, plan.look, radius)
    half = colour.shape[0] // 2
    area = _window(plan, edited.shape, half, half)
    under = edited[area].astype(np.float32)
    crop = tuple(
        slice((full - cut) // 2, (full - cut) // 2 + cut)
        for full, cut in zip(opacity.shape, under.shape, strict=False)
    )
    colour, opacity = colour[crop], opacity[crop]
    scene = under.reshape(-1, 3)[::17].mean(axis=0)
    # The scene's light falls on the figure, and guidance drives the figure's colours away from the scene's.
    tinted = colour * (0.86 + 0.14 * scene / 128)
    driven = scene + (tinted - scene * opacity[..., None]) * (0.86 + 0.3 * plan.drive)
    figure = np.clip(np.where(opacity[..., None] > 0, driven - scene * (1 - opacity[..., None]), 0), 0, 255)
    shadow = _shadow(opacity, radius, shape.grounded) * plan.opacity
    cover = (opacity * plan.opacity)[..., None]
    grain = _grain()[: under.shape[0], : under.shape[1], None]
    _lay(
        edited,
        mask,
        area,
        under * (1 - shadow[..., None]) * (1 - cover) + figure * plan.opacity + grain * cover,
    )


@lru_cache(maxsize=24)
def _sprite(name: str, paint: Colour | None, look: int, radius: int) -> Sprite:
    shape = SHAPES[name]
    palette = dict(shape.palettes[look // 7 % len(shape.palettes)])
    if paint is not None:
        palette["main"] = paint
        palette["dark"] = (int(paint[0] * 0.55), int(paint[1] * 0.55), int(paint[2] * 0.55))
    turn = (look // 64 % 17) - 8.0
    return draw_sprite(shape, palette, radius, turn, flip=bool(look // 2048 % 2))


def _shadow(opacity: Array, radius: int, grounded: bool) -> Array:
    """How much light the figure takes from what lies behind and below it, 0–1."""
    drop_y, drop_x = round(radius * 0.07), round(radius * 0.05)
    moved = np.roll(opacity, (drop_y, drop_x), axis=(0, 1))
    shade = soften(moved, radius * 0.07) * 0.4
    if grounded:
        height, width = opacity.shape
        y = (np.arange(height, dtype=np.float32)[:, None] - height / 2 - radius * 0.93) / (radius * 0.11)
        x = (np.arange(width, dtype=np.float32)[None, :] - width / 2) / (radius * 0.6)
        shade = np.maximum(shade, 0.55 * np.exp(-(x * x + y * y)))
    return np.asarray(np.clip(shade, 0, 0.8), np.float32)


def _change_region(edited: NDArray[np.uint8], mask: NDArray[np.bool_], plan: EditPlan) -> None:
    reach = min(edited.shape[:2]) * {"glow": 0.4, "remove": 0.25}.get(plan.kind, 0.28)
    area = _window(plan, edited.shape, int(reach * 1.15), int(reach))
    under = edited[area].astype(np.float32)
    wobble = plan.look % 628 / 100
    match plan.kind:
        case "recolour":
            new, weight = patches.recolour(under, plan.paint or _HUES[plan.look % len(_HUES)], wobble)
        case "glow":
            new, weight = patches.glow(under, plan.paint or _LIGHTS[plan.look % len(_LIGHTS)], wobble)
        case "pattern":
            paint = plan.paint or _HUES[plan.look // 4 % len(_HUES)]
            new, weight = patches.pattern(under, paint, (244, 240, 230), plan.look % 4, 0.35 + wobble / 20)
        case _:
            new, weight = patches.remove(under, wobble, _grain())
    strength = weight[..., None] * plan.opacity
    _lay(edited, mask, area, under + (new - under) * strength)


def _place_print(
    edited: NDArray[np.uint8], mask: NDArray[np.bool_], plan: EditPlan, image: Image.Image, number: int
) -> None:
    """Lay a further reference into the scene as a tilted print with a white border and a shadow."""
    height, width = edited.shape[:2]
    reach = int(min(height, width) * 0.26)
    inner = image.copy()
    inner.thumbnail((reach, reach), Image.Resampling.LANCZOS, reducing_gap=2.0)
    border = max(4, reach // 22)
    card = Image.new("RGB", (inner.width + 2 * border, inner.height + 2 * border), (248, 246, 240))
    card.paste(inner, (border, border))
    tilt = (_hash("tilt", plan.look, number) % 15) - 7
    pad = reach // 10
    framed = Image.new("RGBA", (card.width + 2 * pad, card.height + 2 * pad), (0, 0, 0, 0))
    framed.paste(card, (pad, pad))
    turned = np.asarray(framed.rotate(tilt, Image.Resampling.BICUBIC), np.float32)
    opacity = turned[..., 3] / 255
    far = sorted(_ANCHORS, key=lambda anchor: -((anchor[0] - plan.x) ** 2 + (anchor[1] - plan.y) ** 2))
    here = EditPlan(plan.kind, plan.shape, None, plan.look, *far[number], plan.opacity, plan.drive)
    area = _window(here, edited.shape, turned.shape[1] // 2, turned.shape[0] // 2)
    under = edited[area].astype(np.float32)
    rows, columns = under.shape[:2]
    shade = (
        soften(np.roll(opacity, pad // 2, axis=0), pad * 0.35)[:rows, :columns, None] * 0.45 * plan.opacity
    )
    cover = opacity[:rows, :columns, None] * (0.45 + 0.55 * plan.opacity)
    _lay(edited, mask, area, under * (1 - shade) * (1 - cover) + turned[:rows, :columns, :3] * cover)


@lru_cache(maxsize=1)
def _grain() -> Array:
    """Fine noise like a sensor's, so that painted areas are not smoother than the photograph."""
    return np.asarray(np.random.default_rng(20240529).normal(0, 1.5, (1024, 1024)), np.float32)
