"""Animals to paint, as data written in the vocabulary of `shapes`. No pixels, no prompts."""

from __future__ import annotations

from typing import Final

from kontext_lab.sandbox.shapes import Part, Shape, dot, ellipse, eye, line, mirrored, palette, path

__all__ = ["ANIMALS"]

_BIRD: Final = Shape(
    parts=(
        line("accent", 0.05, "2,42 0,72 2,92"),
        line("accent", 0.045, "2,90 12,95 22,94"),
        line("accent", 0.045, "2,90 -8,95 -14,95"),
        line("accent", 0.05, "24,40 24,70 27,92"),
        line("accent", 0.045, "27,90 38,95 47,94"),
        line("accent", 0.045, "27,90 18,95 12,95"),
        Part("dark", path("-40,0 -75,16 -102,34 -98,46 -70,44 -30,32")),
        Part(
            "main",
            path("-52,14 -25,-20 10,-36 26,-60 50,-74 74,-62 78,-36 70,2 46,36 10,50 -30,42"),
            relief=0.3,
        ),
        Part(
            "second",
            path("72,-26 70,4 46,36 14,49 -2,44 26,14 46,-12"),
        ),
        Part("accent", path("74,-60 90,-52 106,-42 88,-40 75,-42"), relief=0.08),
        Part(
            "dark",
            path("-72,30 -36,-6 2,-16 28,-4 20,18 -10,32 -44,36"),
        ),
        line("main", 0.035, "-50,24 -20,16 8,2"),
        line("main", 0.035, "-36,30 -6,22 16,8"),
        *eye(0.56, -0.5, 0.085),
    ),
    palettes=(
        palette((62, 132, 200), (238, 176, 116), (240, 156, 44), dark=(32, 72, 132)),
        palette((206, 66, 54), (246, 222, 196), (246, 176, 60), dark=(120, 32, 36)),
        palette((232, 186, 52), (252, 242, 206), (232, 120, 40), dark=(84, 80, 72)),
        palette((72, 156, 108), (232, 230, 168), (228, 96, 60), dark=(28, 92, 78)),
    ),
)

_CRAB_SIDE: Final = (
    line("dark", 0.08, "42,30 74,30 86,62"),
    line("dark", 0.08, "38,38 64,46 72,76"),
    line("dark", 0.08, "30,44 48,58 52,84"),
    line("main", 0.13, "46,6 74,-2 78,-28"),
    Part(
        "main",
        path("62,-30 56,-60 72,-86 80,-58 98,-80 106,-50 94,-24 76,-18"),
    ),
    line("main", 0.06, "16,-10 20,-28 20,-38"),
)

_CRAB: Final = Shape(
    parts=(
        *_CRAB_SIDE,
        *(mirrored(part) for part in _CRAB_SIDE),
        Part(
            "main",
            path("0,-24 36,-18 60,4 56,32 30,50 0,54 -30,50 -56,32 -60,4 -36,-18"),
            relief=0.32,
            gloss=0.4,
        ),
        Part(
            "second",
            path("0,20 26,22 36,34 20,45 0,48 -20,45 -36,34 -26,22"),
        ),
        dot(-0.3, 0.0, 0.06, "second"),
        dot(0.3, 0.0, 0.06, "second"),
        dot(0.0, -0.08, 0.05, "second"),
        *eye(0.2, -0.44, 0.12),
        *eye(-0.2, -0.44, 0.12),
        line("black", 0.03, "-12,12 0,17 12,12"),
    ),
    palettes=(
        palette((224, 84, 48), (250, 178, 120), (224, 84, 48), dark=(164, 50, 34)),
        palette((52, 130, 158), (170, 216, 214), (224, 84, 48), dark=(28, 84, 112)),
        palette((196, 56, 92), (250, 186, 172), (224, 84, 48), dark=(132, 32, 66)),
    ),
)

_WINGS: Final = (
    Part(
        "dark",
        path("6,-6 34,-62 74,-84 98,-62 90,-22 50,6"),
        relief=0.14,
    ),
    Part(
        "main",
        path("6,-6 34,-54 70,-74 88,-56 80,-24 46,0"),
        relief=0.2,
    ),
    Part("dark", path("6,0 50,4 78,30 68,68 38,72 14,40"), relief=0.14),
    Part(
        "second",
        path("7,4 46,10 68,32 60,58 38,62 17,36"),
        relief=0.18,
    ),
    Part("second", ellipse(0.66, -0.52, 0.1, 0.08, -30), relief=0.06),
    Part("accent", ellipse(0.5, 0.36, 0.1, 0.09), relief=0.06),
    dot(0.88, -0.66, 0.035, "white"),
    dot(0.92, -0.5, 0.03, "white"),
    dot(0.66, 0.58, 0.035, "white"),
    line("black", 0.03, "3,-42 12,-68 24,-84"),
)

_BUTTERFLY: Final = Shape(
    parts=(
        *_WINGS,
        *(mirrored(part) for part in _WINGS),
        Part(
            "black",
            path("0,-46 7,-34 6,10 3,50 -3,50 -6,10 -7,-34"),
            relief=0.06,
        ),
    ),
    palettes=(
        palette((240, 138, 40), (250, 196, 84), (228, 84, 40), dark=(56, 36, 34)),
        palette((70, 142, 214), (136, 202, 236), (246, 190, 80), dark=(28, 40, 84)),
        palette((176, 92, 190), (236, 158, 196), (250, 206, 110), dark=(64, 30, 84)),
    ),
    grounded=False,
    size=0.95,
)

_FISH: Final = Shape(
    parts=(
        Part(
            "accent",
            path("-50,0 -76,-36 -102,-48 -90,0 -102,48 -76,36"),
            relief=0.12,
        ),
        Part("accent", path("-30,-30 -6,-68 34,-62 40,-30"), relief=0.12),
        Part("accent", path("-10,34 0,62 24,58 26,34"), relief=0.1),
        Part(
            "main",
            path("-62,2 -30,-34 16,-46 60,-34 92,-2 62,30 16,44 -30,32"),
            relief=0.3,
            gloss=0.5,
        ),
        Part(
            "second",
            path("-50,10 10,18 86,6 60,30 16,43 -26,32"),
            relief=0.16,
        ),
        line("white", 0.09, "34,-40 28,-4 34,34"),
        line("white", 0.07, "-18,-36 -24,-2 -18,32"),
        Part("accent", path("10,2 -10,20 -20,30 4,26 18,12"), relief=0.08),
        *eye(0.62, -0.12, 0.1),
    ),
    palettes=(
        palette((240, 128, 44), (252, 186, 96), (222, 86, 34)),
        palette((48, 130, 190), (150, 206, 226), (248, 198, 70)),
        palette((214, 70, 98), (248, 160, 150), (120, 44, 110)),
    ),
    grounded=False,
)

_CAT: Final = Shape(
    parts=(
        line("main", 0.15, "-30,78 -72,72 -84,36 -66,12"),
        Part(
            "main",
            path("0,-24 30,0 46,46 42,88 0,96 -42,88 -46,46 -26,0"),
            relief=0.3,
        ),
        Part(
            "second",
            path("8,10 24,42 20,84 2,90 -14,80 -12,40"),
            relief=0.2,
        ),
        Part("main", path("-42,-50 -42,-98 -8,-74"), smooth=False, relief=0.1),
        Part("main", path("46,-50 46,-98 12,-74"), smooth=False, relief=0.1),
        Part("accent", path("-36,-60 -37,-86 -17,-73"), smooth=False, relief=0.06),
        Part("accent", path("40,-60 41,-86 21,-73"), smooth=False, relief=0.06),
        Part(
            "main",
            path("2,-80 34,-70 50,-44 36,-16 2,-6 -32,-16 -46,-44 -30,-70"),
            relief=0.26,
        ),
        Part(
            "second",
            path("2,-36 20,-26 14,-12 2,-9 -10,-12 -16,-26"),
            relief=0.1,
        ),
        *eye(-0.16, -0.46, 0.09),
        *eye(0.2, -0.46, 0.09),
        Part("accent", path("-4,-33 8,-33 2,-25"), relief=0.04),
        line("white", 0.014, "18,-26 40,-30 60,-28"),
        line("white", 0.014, "18,-22 40,-20 58,-14"),
        line("white", 0.014, "-14,-26 -36,-30 -56,-28"),
        line("white", 0.014, "-14,-22 -36,-20 -54,-14"),
        Part("main", ellipse(-0.16, 0.9, 0.17, 0.09), relief=0.08),
        Part("main", ellipse(0.2, 0.9, 0.17, 0.09), relief=0.08),
    ),
    palettes=(
        palette((222, 140, 66), (250, 226, 190), (232, 138, 130)),
        palette((92, 92, 100), (214, 212, 208), (220, 140, 140)),
        palette((52, 46, 48), (150, 140, 136), (210, 130, 130)),
    ),
)

ANIMALS: Final[dict[str, Shape]] = {
    "bird": _BIRD,
    "crab": _CRAB,
    "butterfly": _BUTTERFLY,
    "fish": _FISH,
    "cat": _CAT,
}
