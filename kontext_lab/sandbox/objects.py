"""Plants and things to paint, and all figures by the word that asks for them, as data. No pixels, no prompts."""

from __future__ import annotations

import math
from typing import Final

from kontext_lab.sandbox.animals import ANIMALS
from kontext_lab.sandbox.shapes import Part, Point, Shape, dot, ellipse, line, palette, path

__all__ = ["SHAPES"]

_CROWN: Final = Shape(
    parts=(
        Part("dark", ellipse(0.0, 0.3, 0.72, 0.17), relief=0.1),
        Part(
            "main",
            path("-82,-42 -46,2 -28,-62 0,-6 28,-62 46,2 82,-42 72,34 40,45 0,49 -40,45 -72,34"),
            smooth=False,
            relief=0.16,
            gloss=0.75,
        ),
        Part(
            "light",
            path("-74,20 -40,30 0,34 40,30 74,20 72,42 40,53 0,57 -40,53 -72,42"),
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
        palette((226, 172, 48), (40, 110, 190), (196, 34, 60), light=(248, 208, 96), dark=(128, 84, 22)),
        palette((196, 202, 212), (120, 60, 170), (40, 150, 140), light=(232, 236, 242), dark=(96, 102, 116)),
        palette((222, 146, 106), (36, 120, 110), (120, 40, 120), light=(246, 190, 156), dark=(130, 74, 52)),
    ),
    grounded=False,
    size=0.92,
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
        line("leaf", 0.075, "0,-20 5,30 -2,70 0,100"),
        Part("leaf", path("3,66 26,36 62,30 44,60 20,72"), relief=0.1),
        Part("leaf", path("-1,84 -24,56 -58,54 -42,80 -18,90"), relief=0.1),
        *_petals(10, 0.36, 0.27, 0.15),
        Part("accent", ellipse(0.0, -0.34, 0.21, 0.21), relief=0.14, gloss=0.3),
        dot(-0.07, -0.4, 0.03, "dark"),
        dot(0.07, -0.36, 0.03, "dark"),
        dot(0.0, -0.26, 0.03, "dark"),
        dot(0.02, -0.46, 0.025, "dark"),
    ),
    palettes=(
        palette((232, 86, 122), (250, 138, 160), (248, 196, 64), leaf=(74, 138, 70), dark=(156, 100, 30)),
        palette((246, 240, 228), (255, 252, 244), (244, 184, 52), leaf=(84, 144, 76), dark=(150, 96, 26)),
        palette((104, 96, 206), (148, 142, 236), (250, 206, 92), leaf=(64, 128, 84), dark=(150, 96, 26)),
    ),
)

_HAT: Final = Shape(
    parts=(
        Part("main", ellipse(0.0, 0.46, 0.98, 0.22), relief=0.14, gloss=0.2),
        Part(
            "main",
            path("-54,40 -50,-10 -56,-56 -30,-70 0,-73 30,-70 56,-56 50,-10 54,40 30,50 0,54 -30,50"),
            relief=0.24,
            gloss=0.3,
        ),
        Part(
            "accent",
            path("-53,16 -30,25 0,28 30,25 53,16 55,40 30,50 0,53 -30,50 -55,40"),
            relief=0.1,
            gloss=0.4,
        ),
        Part("second", ellipse(0.0, -0.59, 0.5, 0.12), relief=0.1),
    ),
    palettes=(
        palette((52, 46, 56), (74, 66, 78), (178, 40, 58)),
        palette((196, 156, 104), (214, 178, 128), (54, 88, 122)),
        palette((74, 104, 88), (96, 128, 110), (232, 190, 90)),
    ),
    size=0.92,
)

_BALLOON: Final = Shape(
    parts=(
        line("white", 0.03, "0,36 6,56 -6,76 2,100"),
        Part("main", path("0,36 -8,42 8,42"), smooth=False, relief=0.05),
        Part(
            "main",
            path("0,-98 38,-86 58,-50 46,-10 18,24 0,38 -18,24 -46,-10 -58,-50 -38,-86"),
            relief=0.42,
            gloss=0.9,
        ),
        Part("white", ellipse(-0.24, -0.6, 0.07, 0.15, 24), relief=0.07),
    ),
    palettes=(
        palette((214, 46, 58), (240, 120, 120), (214, 46, 58)),
        palette((38, 130, 206), (120, 190, 240), (38, 130, 206)),
        palette((244, 178, 40), (250, 216, 130), (244, 178, 40)),
        palette((66, 164, 98), (150, 216, 160), (66, 164, 98)),
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
        palette((244, 190, 50), (252, 216, 104), (244, 190, 50)),
        palette((230, 92, 120), (250, 146, 160), (230, 92, 120)),
        palette((72, 170, 190), (140, 214, 222), (72, 170, 190)),
    ),
    grounded=False,
    size=0.85,
)

_MUSHROOM: Final = Shape(
    parts=(
        Part(
            "second",
            path("-20,-10 20,-10 24,40 34,86 0,95 -34,86 -24,40"),
            relief=0.2,
        ),
        Part(
            "accent",
            path("-30,10 0,2 30,10 36,26 0,32 -36,26"),
            relief=0.08,
        ),
        Part(
            "main",
            path("-92,-2 -76,-50 -36,-82 0,-90 36,-82 76,-50 92,-2 50,12 0,16 -50,12"),
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
        palette((206, 52, 44), (244, 232, 210), (232, 214, 186)),
        palette((160, 104, 60), (240, 224, 196), (222, 200, 166)),
        palette((112, 84, 168), (236, 228, 236), (214, 202, 220)),
    ),
)

_HEART: Final = Shape(
    parts=(
        Part(
            "main",
            path("0,88 -50,44 -88,-2 -88,-46 -58,-74 -22,-68 0,-40 22,-68 58,-74 88,-46 88,-2 50,44"),
            relief=0.42,
            gloss=0.9,
        ),
        Part("second", ellipse(-0.5, -0.44, 0.16, 0.1, -36), relief=0.08),
    ),
    palettes=(
        palette((216, 40, 70), (250, 170, 180), (216, 40, 70)),
        palette((226, 96, 160), (252, 204, 226), (226, 96, 160)),
        palette((130, 70, 180), (214, 180, 240), (130, 70, 180)),
    ),
    grounded=False,
    size=0.85,
)

_BOAT: Final = Shape(
    parts=(
        line("accent", 0.05, "0,-96 0,-30 0,42"),
        Part(
            "white",
            path("6,-90 50,-36 74,24 40,30 6,30"),
            smooth=False,
            relief=0.18,
        ),
        Part(
            "second",
            path("-6,-74 -30,-30 -60,26 -30,30 -6,30"),
            smooth=False,
            relief=0.16,
        ),
        Part(
            "main",
            path("-94,38 -40,42 40,42 96,36 76,68 50,84 -50,84 -78,66"),
            relief=0.2,
            gloss=0.4,
        ),
        line("white", 0.06, "-84,54 0,58 84,52"),
    ),
    palettes=(
        palette((176, 52, 44), (232, 96, 70), (122, 84, 52)),
        palette((38, 88, 140), (246, 190, 80), (122, 84, 52)),
        palette((62, 122, 104), (250, 222, 170), (122, 84, 52)),
    ),
)

SHAPES: Final[dict[str, Shape]] = {
    **ANIMALS,
    "crown": _CROWN,
    "flower": _FLOWER,
    "hat": _HAT,
    "balloon": _BALLOON,
    "star": _STAR,
    "mushroom": _MUSHROOM,
    "heart": _HEART,
    "boat": _BOAT,
}
