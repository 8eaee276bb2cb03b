"""The plan of an edit, decided from prompt, model, seed, guidance and reference.

The prompt decides the kind of edit (by a known word, else by its hash), the seed and the reference decide the
place, guidance decides the strength. Model and prompt give an object its colour and pose. safety_tolerance
changes nothing, as is reported of the real service once a reference is given. Every choice comes from SHA-256,
so the same request makes the same picture in every process. This module must not know pixels.
"""

from __future__ import annotations

import hashlib
import math
import re
from dataclasses import dataclass
from typing import Final

from kontext_lab.sandbox.objects import CLOTHS, OBJECTS, Colour

__all__ = ["EditPlan", "plan_edit", "stable_hash"]

_KINDS: Final = {
    "remove": "remove delete erase without clean clear",
    "glow": "glow glowing light lamp candle neon sun sunset sunlight fire shine magic",
    "cloth": "pattern texture stripes striped dots dotted checkered tiles print fabric wood marble wavy",
    "recolour": "recolour recolor colour color paint dye turn tint change make",
    "object": "add put place insert wear wearing",
}
_OBJECT_WORDS: Final = {
    "bird": "birds parrot sparrow robin gull seagull duck owl",
    "crab": "crabs lobster",
    "crown": "tiara king queen",
    "butterfly": "butterflies moth wings",
    "flower": "flowers rose daisy tulip sunflower bouquet",
    "fish": "goldfish shark",
    "cat": "cats kitten",
    "hat": "cap fedora",
    "balloon": "balloons ball",
    "star": "stars",
    "mushroom": "fungus",
    "heart": "hearts love",
    "boat": "ship sailboat",
}
_CLOTH_WORDS: Final = {
    "stripes": "stripes striped",
    "dots": "dots dotted",
    "checks": "checkered tiles",
    "waves": "wavy marble",
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
_FLAMES: Final = frozenset(["candle", "fire", "lamp", "sun", "sunlight", "sunset"])
_PLACE_STEP: Final = (0x9E3779B97F4A7C15, 0xD1B54A32D192ED03)  # odd: consecutive seeds fall far apart


@dataclass(frozen=True)
class EditPlan:
    """One edit, decided but not drawn."""

    kind: str  # "object", "recolour", "glow" or "remove"
    shape: str  # name of the object or cloth, if the kind is "object"
    paint: Colour | None  # main colour, or None for one of the object's own
    look: int  # a number that picks colour, pose and outline
    x: float  # place of the middle, as a fraction of the width
    y: float  # place of the middle, as a fraction of the height
    drive: float  # strength from 0 (guidance 1) to 1 (guidance 20), growing with its logarithm


def plan_edit(prompt: str, *, model: str, seed: int, variant: int, guidance: float, picture: str) -> EditPlan:
    """Decide an edit by the prompt's words; `picture` is the SHA-256 of the first reference.

    Seed, reference and variant, the number of the picture within one request, move it.
    """
    words = re.findall(r"[a-zà-ÿ]+", prompt.lower())
    look = stable_hash(model, prompt)
    shape = _first_named(_OBJECT_WORDS, words)
    chance = ("object", "object", "recolour", "glow", "cloth")[look % 5]
    kind = next((name for name, triggers in _KINDS.items() if set(triggers.split()) & set(words)), chance)
    if shape is None and kind == "cloth":
        shape = _first_named(_CLOTH_WORDS, words) or tuple(CLOTHS)[look % 4]
    paint = next((_COLOURS[word] for word in words if word in _COLOURS), None)
    if paint is None and kind == "glow" and _FLAMES & set(words):
        paint = _COLOURS["warm"]
    x, y = _place(words, seed, variant, picture)
    return EditPlan(
        kind="object" if shape else kind,
        shape=shape or tuple(OBJECTS)[look % len(OBJECTS)],
        paint=paint,
        look=look,
        x=x,
        y=y,
        drive=math.log(guidance) / math.log(20),
    )


def _first_named(table: dict[str, str], words: list[str]) -> str | None:
    """Return the name that the first known word stands for; None if no word is known."""
    names = (name for word in words for name, others in table.items() if word in (name, *others.split()))
    return next(names, None)


def stable_hash(*parts: object) -> int:
    """Hash values to a 64-bit number, the same in every process."""
    text = "\x1f".join(str(part) for part in parts)
    return int.from_bytes(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:8])


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
