"""Silhouettes that the sandbox paints into pictures, as plain data: parts made of curves in a unit square.

x runs right and y down, both from about -1 to 1; figures look to the right. Only shapes and their palettes
live here: no pixels, no prompts.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

__all__ = ["SHAPES", "Colour", "Part", "Point", "Shape"]

Point = tuple[float, float]
Colour = tuple[int, int, int]


@dataclass(frozen=True)
class Part:
    """One filled area of a shape, painted over the parts before it.

    Attributes:
        colour: Slot of the shape's palette.
        points: The outline, or the middle line if `width` is set.
        smooth: Whether a curve runs through the points, or straight lines.
        width: Thickness of a line along the points; 0 fills the outline.
        relief: How far the rounding reaches inwards, in units.
        gloss: Strength of the highlight, 0–1.
    """

    colour: str
    points: tuple[Point, ...]
    smooth: bool = True
    width: float = 0.0
    relief: float = 0.22
    gloss: float = 0.25


@dataclass(frozen=True)
class Shape:
    """A figure: parts from back to front, palettes to choose from, and whether it stands on the ground."""

    parts: tuple[Part, ...]
    palettes: tuple[dict[str, Colour], ...]
    grounded: bool = True
    size: float = 1.0


def ellipse(x: float, y: float, rx: float, ry: float, turn: float = 0.0) -> tuple[Point, ...]:
    """Points of an ellipse, turned by `turn` degrees."""
    cos, sin = math.cos(math.radians(turn)), math.sin(math.radians(turn))
    ring = [(rx * math.cos(2 * math.pi * i / 20), ry * math.sin(2 * math.pi * i / 20)) for i in range(20)]
    return tuple((x + px * cos - py * sin, y + px * sin + py * cos) for px, py in ring)


def mirrored(part: Part) -> Part:
    """The same part on the other side of the middle."""
    points = tuple((-x, y) for x, y in part.points)
    return Part(part.colour, points, part.smooth, part.width, part.relief, part.gloss)


def dot(x: float, y: float, radius: float, colour: str = "black", gloss: float = 0.0) -> Part:
    """A small disc."""
    return Part(colour, ellipse(x, y, radius, radius), relief=radius, gloss=gloss)


def line(colour: str, width: float, *points: Point) -> Part:
    """A curved stroke."""
    return Part(colour, points, width=width, relief=width / 2, gloss=0.1)


def _eye(x: float, y: float, radius: float) -> tuple[Part, ...]:
    return (
        dot(x, y, radius, "white"),
        dot(x + radius * 0.15, y, radius * 0.72),
        dot(x + radius * 0.4, y - radius * 0.35, radius * 0.26, "white"),
    )


def _palette(main: Colour, second: Colour, accent: Colour, **more: Colour) -> dict[str, Colour]:
    return {
        "main": main,
        "second": second,
        "accent": accent,
        "black": (28, 24, 26),
        "white": (250, 248, 244),
        **more,
    }


_BIRD: Final = Shape(
    parts=(
        line("accent", 0.05, (0.02, 0.42), (0.0, 0.72), (0.02, 0.92)),
        line("accent", 0.045, (0.02, 0.9), (0.12, 0.95), (0.22, 0.94)),
        line("accent", 0.045, (0.02, 0.9), (-0.08, 0.95), (-0.14, 0.95)),
        line("accent", 0.05, (0.24, 0.4), (0.24, 0.7), (0.27, 0.92)),
        line("accent", 0.045, (0.27, 0.9), (0.38, 0.95), (0.47, 0.94)),
        line("accent", 0.045, (0.27, 0.9), (0.18, 0.95), (0.12, 0.95)),
        Part("dark", ((-0.4, 0.0), (-0.75, 0.16), (-1.02, 0.34), (-0.98, 0.46), (-0.7, 0.44), (-0.3, 0.32))),
        Part(
            "main",
            (
                (-0.52, 0.14),
                (-0.25, -0.2),
                (0.1, -0.36),
                (0.26, -0.6),
                (0.5, -0.74),
                (0.74, -0.62),
                (0.78, -0.36),
                (0.7, 0.02),
                (0.46, 0.36),
                (0.1, 0.5),
                (-0.3, 0.42),
            ),
            relief=0.3,
        ),
        Part(
            "second",
            (
                (0.72, -0.26),
                (0.7, 0.04),
                (0.46, 0.36),
                (0.14, 0.49),
                (-0.02, 0.44),
                (0.26, 0.14),
                (0.46, -0.12),
            ),
        ),
        Part("accent", ((0.74, -0.6), (0.9, -0.52), (1.06, -0.42), (0.88, -0.4), (0.75, -0.42)), relief=0.08),
        Part(
            "dark",
            (
                (-0.72, 0.3),
                (-0.36, -0.06),
                (0.02, -0.16),
                (0.28, -0.04),
                (0.2, 0.18),
                (-0.1, 0.32),
                (-0.44, 0.36),
            ),
        ),
        line("main", 0.035, (-0.5, 0.24), (-0.2, 0.16), (0.08, 0.02)),
        line("main", 0.035, (-0.36, 0.3), (-0.06, 0.22), (0.16, 0.08)),
        *_eye(0.56, -0.5, 0.085),
    ),
    palettes=(
        _palette((62, 132, 200), (238, 176, 116), (240, 156, 44), dark=(32, 72, 132)),
        _palette((206, 66, 54), (246, 222, 196), (246, 176, 60), dark=(120, 32, 36)),
        _palette((232, 186, 52), (252, 242, 206), (232, 120, 40), dark=(84, 80, 72)),
        _palette((72, 156, 108), (232, 230, 168), (228, 96, 60), dark=(28, 92, 78)),
    ),
)

_CRAB_SIDE: Final = (
    line("dark", 0.08, (0.42, 0.3), (0.74, 0.3), (0.86, 0.62)),
    line("dark", 0.08, (0.38, 0.38), (0.64, 0.46), (0.72, 0.76)),
    line("dark", 0.08, (0.3, 0.44), (0.48, 0.58), (0.52, 0.84)),
    line("main", 0.13, (0.46, 0.06), (0.74, -0.02), (0.78, -0.28)),
    Part(
        "main",
        (
            (0.62, -0.3),
            (0.56, -0.6),
            (0.72, -0.86),
            (0.8, -0.58),
            (0.98, -0.8),
            (1.06, -0.5),
            (0.94, -0.24),
            (0.76, -0.18),
        ),
    ),
    line("main", 0.06, (0.16, -0.1), (0.2, -0.28), (0.2, -0.38)),
)
_CRAB: Final = Shape(
    parts=(
        *_CRAB_SIDE,
        *(mirrored(part) for part in _CRAB_SIDE),
        Part(
            "main",
            (
                (0.0, -0.24),
                (0.36, -0.18),
                (0.6, 0.04),
                (0.56, 0.32),
                (0.3, 0.5),
                (0.0, 0.54),
                (-0.3, 0.5),
                (-0.56, 0.32),
                (-0.6, 0.04),
                (-0.36, -0.18),
            ),
            relief=0.32,
            gloss=0.4,
        ),
        Part(
            "second",
            (
                (0.0, 0.2),
                (0.26, 0.22),
                (0.36, 0.34),
                (0.2, 0.45),
                (0.0, 0.48),
                (-0.2, 0.45),
                (-0.36, 0.34),
                (-0.26, 0.22),
            ),
        ),
        dot(-0.3, 0.0, 0.06, "second"),
        dot(0.3, 0.0, 0.06, "second"),
        dot(0.0, -0.08, 0.05, "second"),
        *_eye(0.2, -0.44, 0.12),
        *_eye(-0.2, -0.44, 0.12),
        line("black", 0.03, (-0.12, 0.12), (0.0, 0.17), (0.12, 0.12)),
    ),
    palettes=(
        _palette((224, 84, 48), (250, 178, 120), (224, 84, 48), dark=(164, 50, 34)),
        _palette((52, 130, 158), (170, 216, 214), (224, 84, 48), dark=(28, 84, 112)),
        _palette((196, 56, 92), (250, 186, 172), (224, 84, 48), dark=(132, 32, 66)),
    ),
)

_CROWN: Final = Shape(
    parts=(
        Part("dark", ellipse(0.0, 0.3, 0.72, 0.17), relief=0.1),
        Part(
            "main",
            (
                (-0.82, -0.42),
                (-0.46, 0.02),
                (-0.28, -0.62),
                (0.0, -0.06),
                (0.28, -0.62),
                (0.46, 0.02),
                (0.82, -0.42),
                (0.72, 0.34),
                (0.4, 0.45),
                (0.0, 0.49),
                (-0.4, 0.45),
                (-0.72, 0.34),
            ),
            smooth=False,
            relief=0.16,
            gloss=0.75,
        ),
        Part(
            "light",
            (
                (-0.74, 0.2),
                (-0.4, 0.3),
                (0.0, 0.34),
                (0.4, 0.3),
                (0.74, 0.2),
                (0.72, 0.42),
                (0.4, 0.53),
                (0.0, 0.57),
                (-0.4, 0.53),
                (-0.72, 0.42),
            ),
            relief=0.09,
            gloss=0.8,
        ),
        dot(-0.82, -0.46, 0.1, "light", 0.9),
        dot(-0.28, -0.68, 0.1, "light", 0.9),
        dot(0.28, -0.68, 0.1, "light", 0.9),
        dot(0.82, -0.46, 0.1, "light", 0.9),
        Part("accent", ellipse(0.0, 0.44, 0.1, 0.085), relief=0.07, gloss=1.0),
        Part("second", ellipse(-0.42, 0.39, 0.075, 0.065, 8), relief=0.06, gloss=1.0),
        Part("second", ellipse(0.42, 0.39, 0.075, 0.065, -8), relief=0.06, gloss=1.0),
        Part("accent", ellipse(-0.22, 0.06, 0.06, 0.09), relief=0.05, gloss=1.0),
        Part("accent", ellipse(0.22, 0.06, 0.06, 0.09), relief=0.05, gloss=1.0),
        Part("second", ellipse(0.0, 0.12, 0.06, 0.08), relief=0.05, gloss=1.0),
    ),
    palettes=(
        _palette((226, 172, 48), (40, 110, 190), (196, 34, 60), light=(248, 208, 96), dark=(128, 84, 22)),
        _palette((196, 202, 212), (120, 60, 170), (40, 150, 140), light=(232, 236, 242), dark=(96, 102, 116)),
        _palette((222, 146, 106), (36, 120, 110), (120, 40, 120), light=(246, 190, 156), dark=(130, 74, 52)),
    ),
    grounded=False,
    size=0.92,
)

_WINGS: Final = (
    Part(
        "dark",
        ((0.06, -0.06), (0.34, -0.62), (0.74, -0.84), (0.98, -0.62), (0.9, -0.22), (0.5, 0.06)),
        relief=0.14,
    ),
    Part(
        "main",
        ((0.06, -0.06), (0.34, -0.54), (0.7, -0.74), (0.88, -0.56), (0.8, -0.24), (0.46, 0.0)),
        relief=0.2,
    ),
    Part(
        "dark", ((0.06, 0.0), (0.5, 0.04), (0.78, 0.3), (0.68, 0.68), (0.38, 0.72), (0.14, 0.4)), relief=0.14
    ),
    Part(
        "second",
        ((0.07, 0.04), (0.46, 0.1), (0.68, 0.32), (0.6, 0.58), (0.38, 0.62), (0.17, 0.36)),
        relief=0.18,
    ),
    Part("second", ellipse(0.66, -0.52, 0.1, 0.08, -30), relief=0.06),
    Part("accent", ellipse(0.5, 0.36, 0.1, 0.09), relief=0.06),
    dot(0.88, -0.66, 0.035, "white"),
    dot(0.92, -0.5, 0.03, "white"),
    dot(0.66, 0.58, 0.035, "white"),
    line("black", 0.03, (0.03, -0.42), (0.12, -0.68), (0.24, -0.84)),
)
_BUTTERFLY: Final = Shape(
    parts=(
        *_WINGS,
        *(mirrored(part) for part in _WINGS),
        Part(
            "black",
            (
                (0.0, -0.46),
                (0.07, -0.34),
                (0.06, 0.1),
                (0.03, 0.5),
                (-0.03, 0.5),
                (-0.06, 0.1),
                (-0.07, -0.34),
            ),
            relief=0.06,
        ),
    ),
    palettes=(
        _palette((240, 138, 40), (250, 196, 84), (228, 84, 40), dark=(56, 36, 34)),
        _palette((70, 142, 214), (136, 202, 236), (246, 190, 80), dark=(28, 40, 84)),
        _palette((176, 92, 190), (236, 158, 196), (250, 206, 110), dark=(64, 30, 84)),
    ),
    grounded=False,
    size=0.95,
)


def _petals(count: int, radius: float, length: float, width: float) -> tuple[Part, ...]:
    petals = []
    for index in range(count):
        angle = 360 * index / count
        cos, sin = math.cos(math.radians(angle)), math.sin(math.radians(angle))
        centre = (radius * cos, -0.34 + radius * sin)
        petals.append(
            Part("main" if index % 2 else "second", ellipse(*centre, length, width, angle), relief=0.12)
        )
    return tuple(petals)


_FLOWER: Final = Shape(
    parts=(
        line("leaf", 0.075, (0.0, -0.2), (0.05, 0.3), (-0.02, 0.7), (0.0, 1.0)),
        Part("leaf", ((0.03, 0.66), (0.26, 0.36), (0.62, 0.3), (0.44, 0.6), (0.2, 0.72)), relief=0.1),
        Part("leaf", ((-0.01, 0.84), (-0.24, 0.56), (-0.58, 0.54), (-0.42, 0.8), (-0.18, 0.9)), relief=0.1),
        *_petals(10, 0.36, 0.27, 0.15),
        Part("accent", ellipse(0.0, -0.34, 0.21, 0.21), relief=0.14, gloss=0.3),
        dot(-0.07, -0.4, 0.03, "dark"),
        dot(0.07, -0.36, 0.03, "dark"),
        dot(0.0, -0.26, 0.03, "dark"),
        dot(0.02, -0.46, 0.025, "dark"),
    ),
    palettes=(
        _palette((232, 86, 122), (250, 138, 160), (248, 196, 64), leaf=(74, 138, 70), dark=(156, 100, 30)),
        _palette((246, 240, 228), (255, 252, 244), (244, 184, 52), leaf=(84, 144, 76), dark=(150, 96, 26)),
        _palette((104, 96, 206), (148, 142, 236), (250, 206, 92), leaf=(64, 128, 84), dark=(150, 96, 26)),
    ),
)

_FISH: Final = Shape(
    parts=(
        Part(
            "accent",
            ((-0.5, 0.0), (-0.76, -0.36), (-1.02, -0.48), (-0.9, 0.0), (-1.02, 0.48), (-0.76, 0.36)),
            relief=0.12,
        ),
        Part("accent", ((-0.3, -0.3), (-0.06, -0.68), (0.34, -0.62), (0.4, -0.3)), relief=0.12),
        Part("accent", ((-0.1, 0.34), (0.0, 0.62), (0.24, 0.58), (0.26, 0.34)), relief=0.1),
        Part(
            "main",
            (
                (-0.62, 0.02),
                (-0.3, -0.34),
                (0.16, -0.46),
                (0.6, -0.34),
                (0.92, -0.02),
                (0.62, 0.3),
                (0.16, 0.44),
                (-0.3, 0.32),
            ),
            relief=0.3,
            gloss=0.5,
        ),
        Part(
            "second",
            ((-0.5, 0.1), (0.1, 0.18), (0.86, 0.06), (0.6, 0.3), (0.16, 0.43), (-0.26, 0.32)),
            relief=0.16,
        ),
        line("white", 0.09, (0.34, -0.4), (0.28, -0.04), (0.34, 0.34)),
        line("white", 0.07, (-0.18, -0.36), (-0.24, -0.02), (-0.18, 0.32)),
        Part("accent", ((0.1, 0.02), (-0.1, 0.2), (-0.2, 0.3), (0.04, 0.26), (0.18, 0.12)), relief=0.08),
        *_eye(0.62, -0.12, 0.1),
    ),
    palettes=(
        _palette((240, 128, 44), (252, 186, 96), (222, 86, 34)),
        _palette((48, 130, 190), (150, 206, 226), (248, 198, 70)),
        _palette((214, 70, 98), (248, 160, 150), (120, 44, 110)),
    ),
    grounded=False,
)

_CAT: Final = Shape(
    parts=(
        line("main", 0.15, (-0.3, 0.78), (-0.72, 0.72), (-0.84, 0.36), (-0.66, 0.12)),
        Part(
            "main",
            (
                (0.0, -0.24),
                (0.3, 0.0),
                (0.46, 0.46),
                (0.42, 0.88),
                (0.0, 0.96),
                (-0.42, 0.88),
                (-0.46, 0.46),
                (-0.26, 0.0),
            ),
            relief=0.3,
        ),
        Part(
            "second",
            ((0.08, 0.1), (0.24, 0.42), (0.2, 0.84), (0.02, 0.9), (-0.14, 0.8), (-0.12, 0.4)),
            relief=0.2,
        ),
        Part("main", ((-0.42, -0.5), (-0.42, -0.98), (-0.08, -0.74)), smooth=False, relief=0.1),
        Part("main", ((0.46, -0.5), (0.46, -0.98), (0.12, -0.74)), smooth=False, relief=0.1),
        Part("accent", ((-0.36, -0.6), (-0.37, -0.86), (-0.17, -0.73)), smooth=False, relief=0.06),
        Part("accent", ((0.4, -0.6), (0.41, -0.86), (0.21, -0.73)), smooth=False, relief=0.06),
        Part(
            "main",
            (
                (0.02, -0.8),
                (0.34, -0.7),
                (0.5, -0.44),
                (0.36, -0.16),
                (0.02, -0.06),
                (-0.32, -0.16),
                (-0.46, -0.44),
                (-0.3, -0.7),
            ),
            relief=0.26,
        ),
        Part(
            "second",
            ((0.02, -0.36), (0.2, -0.26), (0.14, -0.12), (0.02, -0.09), (-0.1, -0.12), (-0.16, -0.26)),
            relief=0.1,
        ),
        *_eye(-0.16, -0.46, 0.09),
        *_eye(0.2, -0.46, 0.09),
        Part("accent", ((-0.04, -0.33), (0.08, -0.33), (0.02, -0.25)), relief=0.04),
        line("white", 0.014, (0.18, -0.26), (0.4, -0.3), (0.6, -0.28)),
        line("white", 0.014, (0.18, -0.22), (0.4, -0.2), (0.58, -0.14)),
        line("white", 0.014, (-0.14, -0.26), (-0.36, -0.3), (-0.56, -0.28)),
        line("white", 0.014, (-0.14, -0.22), (-0.36, -0.2), (-0.54, -0.14)),
        Part("main", ellipse(-0.16, 0.9, 0.17, 0.09), relief=0.08),
        Part("main", ellipse(0.2, 0.9, 0.17, 0.09), relief=0.08),
    ),
    palettes=(
        _palette((222, 140, 66), (250, 226, 190), (232, 138, 130)),
        _palette((92, 92, 100), (214, 212, 208), (220, 140, 140)),
        _palette((52, 46, 48), (150, 140, 136), (210, 130, 130)),
    ),
)

_HAT: Final = Shape(
    parts=(
        Part("main", ellipse(0.0, 0.46, 0.98, 0.22), relief=0.14, gloss=0.2),
        Part(
            "main",
            (
                (-0.54, 0.4),
                (-0.5, -0.1),
                (-0.56, -0.56),
                (-0.3, -0.7),
                (0.0, -0.73),
                (0.3, -0.7),
                (0.56, -0.56),
                (0.5, -0.1),
                (0.54, 0.4),
                (0.3, 0.5),
                (0.0, 0.54),
                (-0.3, 0.5),
            ),
            relief=0.24,
            gloss=0.3,
        ),
        Part(
            "accent",
            (
                (-0.53, 0.16),
                (-0.3, 0.25),
                (0.0, 0.28),
                (0.3, 0.25),
                (0.53, 0.16),
                (0.55, 0.4),
                (0.3, 0.5),
                (0.0, 0.53),
                (-0.3, 0.5),
                (-0.55, 0.4),
            ),
            relief=0.1,
            gloss=0.4,
        ),
        Part("second", ellipse(0.0, -0.59, 0.5, 0.12), relief=0.1),
    ),
    palettes=(
        _palette((52, 46, 56), (74, 66, 78), (178, 40, 58)),
        _palette((196, 156, 104), (214, 178, 128), (54, 88, 122)),
        _palette((74, 104, 88), (96, 128, 110), (232, 190, 90)),
    ),
    size=0.92,
)

_BALLOON: Final = Shape(
    parts=(
        line("black", 0.018, (0.0, 0.36), (0.06, 0.56), (-0.06, 0.76), (0.02, 1.0)),
        Part("main", ((0.0, 0.36), (-0.08, 0.42), (0.08, 0.42)), smooth=False, relief=0.05),
        Part(
            "main",
            (
                (0.0, -0.98),
                (0.38, -0.86),
                (0.58, -0.5),
                (0.46, -0.1),
                (0.18, 0.24),
                (0.0, 0.38),
                (-0.18, 0.24),
                (-0.46, -0.1),
                (-0.58, -0.5),
                (-0.38, -0.86),
            ),
            relief=0.42,
            gloss=0.9,
        ),
        Part("white", ellipse(-0.24, -0.6, 0.07, 0.15, 24), relief=0.07),
    ),
    palettes=(
        _palette((214, 46, 58), (240, 120, 120), (214, 46, 58)),
        _palette((38, 130, 206), (120, 190, 240), (38, 130, 206)),
        _palette((244, 178, 40), (250, 216, 130), (244, 178, 40)),
        _palette((66, 164, 98), (150, 216, 160), (66, 164, 98)),
    ),
    grounded=False,
)


def _star_points(outer: float, inner: float) -> tuple[Point, ...]:
    corners = []
    for index in range(10):
        radius, angle = (outer if index % 2 == 0 else inner), math.pi * index / 5 - math.pi / 2
        corners.append((radius * math.cos(angle), radius * math.sin(angle)))
    return tuple(corners)


_STAR: Final = Shape(
    parts=(
        Part("main", _star_points(0.98, 0.44), smooth=False, relief=0.3, gloss=0.7),
        Part("second", _star_points(0.56, 0.25), smooth=False, relief=0.2, gloss=0.5),
    ),
    palettes=(
        _palette((244, 190, 50), (252, 216, 104), (244, 190, 50)),
        _palette((230, 92, 120), (250, 146, 160), (230, 92, 120)),
        _palette((72, 170, 190), (140, 214, 222), (72, 170, 190)),
    ),
    grounded=False,
    size=0.85,
)

_MUSHROOM: Final = Shape(
    parts=(
        Part(
            "second",
            ((-0.2, -0.1), (0.2, -0.1), (0.24, 0.4), (0.34, 0.86), (0.0, 0.95), (-0.34, 0.86), (-0.24, 0.4)),
            relief=0.2,
        ),
        Part(
            "accent",
            ((-0.3, 0.1), (0.0, 0.02), (0.3, 0.1), (0.36, 0.26), (0.0, 0.32), (-0.36, 0.26)),
            relief=0.08,
        ),
        Part(
            "main",
            (
                (-0.92, -0.02),
                (-0.76, -0.5),
                (-0.36, -0.82),
                (0.0, -0.9),
                (0.36, -0.82),
                (0.76, -0.5),
                (0.92, -0.02),
                (0.5, 0.12),
                (0.0, 0.16),
                (-0.5, 0.12),
            ),
            relief=0.34,
            gloss=0.5,
        ),
        Part("white", ellipse(-0.1, -0.52, 0.16, 0.12), relief=0.07),
        Part("white", ellipse(0.44, -0.4, 0.12, 0.1, 30), relief=0.06),
        Part("white", ellipse(-0.54, -0.26, 0.12, 0.1, -30), relief=0.06),
        Part("white", ellipse(0.16, -0.16, 0.1, 0.07), relief=0.05),
        Part("white", ellipse(0.7, -0.12, 0.07, 0.06, 40), relief=0.04),
    ),
    palettes=(
        _palette((206, 52, 44), (244, 232, 210), (232, 214, 186)),
        _palette((160, 104, 60), (240, 224, 196), (222, 200, 166)),
        _palette((112, 84, 168), (236, 228, 236), (214, 202, 220)),
    ),
)

_HEART: Final = Shape(
    parts=(
        Part(
            "main",
            (
                (0.0, 0.88),
                (-0.5, 0.44),
                (-0.88, -0.02),
                (-0.88, -0.46),
                (-0.58, -0.74),
                (-0.22, -0.68),
                (0.0, -0.4),
                (0.22, -0.68),
                (0.58, -0.74),
                (0.88, -0.46),
                (0.88, -0.02),
                (0.5, 0.44),
            ),
            relief=0.42,
            gloss=0.9,
        ),
        Part("second", ellipse(-0.5, -0.44, 0.16, 0.1, -36), relief=0.08),
    ),
    palettes=(
        _palette((216, 40, 70), (250, 170, 180), (216, 40, 70)),
        _palette((226, 96, 160), (252, 204, 226), (226, 96, 160)),
        _palette((130, 70, 180), (214, 180, 240), (130, 70, 180)),
    ),
    grounded=False,
    size=0.85,
)

_BOAT: Final = Shape(
    parts=(
        line("accent", 0.05, (0.0, -0.96), (0.0, -0.3), (0.0, 0.42)),
        Part(
            "white",
            ((0.06, -0.9), (0.5, -0.36), (0.74, 0.24), (0.4, 0.3), (0.06, 0.3)),
            smooth=False,
            relief=0.18,
        ),
        Part(
            "second",
            ((-0.06, -0.74), (-0.3, -0.3), (-0.6, 0.26), (-0.3, 0.3), (-0.06, 0.3)),
            smooth=False,
            relief=0.16,
        ),
        Part(
            "main",
            (
                (-0.94, 0.38),
                (-0.4, 0.42),
                (0.4, 0.42),
                (0.96, 0.36),
                (0.76, 0.68),
                (0.5, 0.84),
                (-0.5, 0.84),
                (-0.78, 0.66),
            ),
            relief=0.2,
            gloss=0.4,
        ),
        line("white", 0.06, (-0.84, 0.54), (0.0, 0.58), (0.84, 0.52)),
    ),
    palettes=(
        _palette((176, 52, 44), (232, 96, 70), (122, 84, 52)),
        _palette((38, 88, 140), (246, 190, 80), (122, 84, 52)),
        _palette((62, 122, 104), (250, 222, 170), (122, 84, 52)),
    ),
)

SHAPES: Final[dict[str, Shape]] = {
    "bird": _BIRD,
    "crab": _CRAB,
    "crown": _CROWN,
    "butterfly": _BUTTERFLY,
    "flower": _FLOWER,
    "fish": _FISH,
    "cat": _CAT,
    "hat": _HAT,
    "balloon": _BALLOON,
    "star": _STAR,
    "mushroom": _MUSHROOM,
    "heart": _HEART,
    "boat": _BOAT,
}
