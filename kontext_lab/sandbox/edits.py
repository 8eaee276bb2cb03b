"""What an edit will be: decided from prompt, model, seed, guidance and reference, not yet drawn.

The prompt decides the kind of edit (a word it knows, else its hash), the seed and the reference decide the
place, guidance decides the strength. Model and prompt give a figure its colours and pose. safety_tolerance
changes nothing, as is reported of the real service once a reference is given. Everything is drawn from
SHA-256, so the same request makes the same picture in every process. This module must not know pixels.
"""

from __future__ import annotations

import hashlib
import math
import re
from dataclasses import dataclass
from typing import Final

from kontext_lab.sandbox.objects import SHAPES
from kontext_lab.sandbox.shapes import Colour

__all__ = ["EditPlan", "plan_edit", "stable_hash"]

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
_FLAMES: Final = frozenset(["candle", "fire", "lamp", "sun", "sunlight", "sunset"])
_ADDING: Final = frozenset(["add", "put", "place", "insert", "wear", "wearing"])
_PLACE_STEP: Final = (0x9E3779B97F4A7C15, 0xD1B54A32D192ED03)  # odd: consecutive seeds fall far apart


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
        drive: Strength from 0 (guidance 1) to 1 (guidance 20), growing with its logarithm.
    """

    kind: str
    shape: str
    paint: Colour | None
    look: int
    x: float
    y: float
    drive: float


def plan_edit(prompt: str, *, model: str, seed: int, variant: int, guidance: float, picture: str) -> EditPlan:
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
    look = stable_hash(model, prompt)
    shape = next((name for word in words if (name := _SHAPE_WORDS.get(word, word)) in SHAPES), "")
    kind = "object" if shape else _kind_of(words, look)
    x, y = _place(words, seed, variant, picture)
    return EditPlan(
        kind=kind,
        shape=shape or tuple(SHAPES)[look % len(SHAPES)],
        paint=_paint_of(words, kind),
        look=look if kind != "pattern" else _pattern_look(words, look),
        x=x,
        y=y,
        drive=math.log(guidance) / math.log(20),
    )


def stable_hash(*parts: object) -> int:
    """A 64-bit number from values, the same in every process."""
    text = "\x1f".join(str(part) for part in parts)
    return int.from_bytes(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:8])


def _kind_of(words: list[str], look: int) -> str:
    for kind, triggers in _KINDS.items():
        if any(word in triggers for word in words):
            return kind
    if _ADDING & set(words):
        return "object"
    return ("object", "object", "recolour", "glow", "pattern")[look % 5]


def _paint_of(words: list[str], kind: str) -> Colour | None:
    named = next((_COLOURS[word] for word in words if word in _COLOURS), None)
    if named is None and kind == "glow" and _FLAMES & set(words):
        return _COLOURS["warm"]
    return named


def _pattern_look(words: list[str], look: int) -> int:
    style = next((_STYLES[word] for word in words if word in _STYLES), look % 4)
    return look - look % 4 + style


def _place(words: list[str], seed: int, variant: int, picture: str) -> tuple[float, float]:
    """Fractions of width and height; seeds that follow each other lie far apart (a Kronecker sequence)."""
    start = stable_hash("place", picture)
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
