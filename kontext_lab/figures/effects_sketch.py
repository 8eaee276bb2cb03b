"""The plan of an effects figure as plain values: every line, point, box and word, in inches from the top left.

Computed without drawing, so that it can be tested as numbers. Knows no artists.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from kontext_lab.figures import text
from kontext_lab.figures.geometry import Label, Rect, Role

__all__ = ["Box", "EffectsPlan", "Place", "Sketch", "Spot", "Stroke", "Turned"]

LONG = 32
"""Prompts with more characters have a short name where there is no room, as in a grid."""

NOTE_POINTS = 8.0
_MOST_NAMES = 30
"""Prompts that are spelled out, and lines that they take together, about."""

Place = tuple[float, float]
"""Inches from the left and from the top."""


@dataclass(frozen=True)
class Turned:
    """A line of text that reads upwards, its end at the top."""

    line: str
    x: float
    top: float
    points: float


@dataclass(frozen=True)
class Spot:
    """A mean with its interval.

    Attributes:
        axis: of which axis.
        at: of which of its values, from 0.
        x: the middle.
        y: the mean.
        low: lower end of the interval, or None.
        high: upper end, or None.
    """

    axis: str
    at: int
    x: float
    y: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Stroke:
    """A line through several places.

    Attributes:
        kind: `trace` of a block, `mean` between means, `frame` of a panel, `ruler` across it, `chance` beside a bar.
        places: at least two.
    """

    kind: Literal["trace", "mean", "frame", "ruler", "chance"]
    places: tuple[Place, ...]


@dataclass(frozen=True)
class Box:
    """A filled place.

    Attributes:
        kind: `share` and `rest` are bars, `heat` a value of a heat map, `empty` one without a value.
        rect: where.
        tone: of heat, 0 to 1.
    """

    kind: Literal["share", "rest", "heat", "empty"]
    rect: Rect
    tone: float = 0.0


@dataclass(frozen=True)
class EffectsPlan:
    """Everything on the sheet.

    Attributes:
        width: inches.
        height: inches.
        labels: words.
        turned: words that read upwards.
        dots: single values.
        spots: means.
        strokes: lines.
        boxes: bars and the fields of a heat map.
        panels: where each axis is drawn.
        on_heat: words on the fields of a heat map, with the tone below them.
    """

    width: float
    height: float
    labels: tuple[Label, ...]
    turned: tuple[Turned, ...]
    dots: tuple[Place, ...]
    spots: tuple[Spot, ...]
    strokes: tuple[Stroke, ...]
    boxes: tuple[Box, ...]
    panels: tuple[tuple[str, Rect], ...]
    on_heat: tuple[tuple[Label, float], ...]


@dataclass
class Sketch:
    """A plan in the making: parts add to it from the top down."""

    width: float
    bottom: float = 0.0
    labels: list[Label] = field(default_factory=list)
    turned: list[Turned] = field(default_factory=list)
    dots: list[Place] = field(default_factory=list)
    spots: list[Spot] = field(default_factory=list)
    strokes: list[Stroke] = field(default_factory=list)
    boxes: list[Box] = field(default_factory=list)
    panels: list[tuple[str, Rect]] = field(default_factory=list)
    on_heat: list[tuple[Label, float]] = field(default_factory=list)
    named: dict[str, str] = field(default_factory=dict)
    spelled: set[str] = field(default_factory=set)

    def called(self, axis: str, labels: Sequence[str]) -> list[str]:
        """Long prompts as P1, P2 …, as a grid calls them, to be spelled out below; other labels as they are."""
        if "prompt" not in axis.split("+"):
            return list(labels)
        short = [f"P{at}" if len(label) > LONG else label for at, label in enumerate(labels, 1)]
        self.named.update({name: label for name, label in zip(short, labels, strict=True) if name != label})
        return short

    def spell_out(self, left: float) -> None:
        """Add what the names stand for that were given, each once on the sheet."""
        new = {name: label for name, label in self.named.items() if name not in self.spelled}
        self.spelled |= new.keys()
        names, labels = list(new)[:_MOST_NAMES], [text.clean(label) for label in new.values()]
        room = self.width - 2 * left - text.widest((f"{name}: " for name in names), NOTE_POINTS)
        lines = max(1, min(6, _MOST_NAMES // max(1, len(names))))
        said = text.labelled(labels[: len(names)], NOTE_POINTS, [room] * len(names), lines, labels)
        for name, broken in zip(names, said, strict=True):
            self.bottom = self.paragraph(
                f"{name}: {' '.join(broken)}", left, self.bottom, NOTE_POINTS, "note"
            )
        if len(new) > len(names):
            more = f"… and {len(new) - len(names)} more prompts"
            self.bottom = self.say(more, left, self.bottom, NOTE_POINTS, "note")
        self.bottom += 0.12 if new else 0.0

    def say(
        self,
        lines: tuple[str, ...] | str,
        x: float,
        top: float,
        points: float,
        role: Role = "value",
        *,
        align: Literal["left", "center", "right"] = "left",
    ) -> float:
        """Add words; returns where they end below."""
        label = Label((lines,) if isinstance(lines, str) else lines, x, top, points, role, align)
        self.labels.append(label)
        return top + label.height

    def paragraph(self, words: str, left: float, top: float, points: float, role: Role) -> float:
        """Add words over the whole width, wrapped; returns where they end below."""
        return self.say(text.wrap(text.clean(words), points, self.width - 2 * left), left, top, points, role)

    def frozen(self, height: float) -> EffectsPlan:
        """The plan."""
        return EffectsPlan(
            self.width,
            height,
            tuple(self.labels),
            tuple(self.turned),
            tuple(self.dots),
            tuple(self.spots),
            tuple(self.strokes),
            tuple(self.boxes),
            tuple(self.panels),
            tuple(self.on_heat),
        )
