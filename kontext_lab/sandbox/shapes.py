"""The vocabulary of painted figures: parts made of curves in a unit square, and helpers to write them down.

x runs right and y down, both from about -1 to 1; figures look to the right. The figures themselves are in
`animals` and `things`. Nothing here knows pixels or prompts.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

__all__ = ["Colour", "Part", "Point", "Shape", "dot", "ellipse", "eye", "line", "mirrored", "palette", "path"]

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


def path(text: str) -> tuple[Point, ...]:
    """Points from text: "x,y x,y …" in hundredths of a unit."""
    pairs = (pair.split(",") for pair in text.split())
    return tuple((int(x) / 100, int(y) / 100) for x, y in pairs)


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


def line(colour: str, width: float, points: str) -> Part:
    """A curved stroke through the points of a `path`."""
    return Part(colour, path(points), width=width, relief=width / 2, gloss=0.1)


def eye(x: float, y: float, radius: float) -> tuple[Part, ...]:
    """An eye that looks to the right."""
    return (
        dot(x, y, radius, "white"),
        dot(x + radius * 0.15, y, radius * 0.72),
        dot(x + radius * 0.4, y - radius * 0.35, radius * 0.26, "white"),
    )


def palette(main: Colour, second: Colour, accent: Colour, **more: Colour) -> dict[str, Colour]:
    """Colours by slot; black and white are always there."""
    return {
        "main": main,
        "second": second,
        "accent": accent,
        "black": (28, 24, 26),
        "white": (250, 248, 244),
        **more,
    }
