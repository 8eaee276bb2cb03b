"""The plan of an effects figure as plain values: scale, lines, points, boxes and words, in inches from the top left.

Computed without drawing, so that tests can check numbers. Imports no artists.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from matplotlib.ticker import MaxNLocator

from kontext_lab.figures import text
from kontext_lab.figures.geometry import Label, Rect, Role
from kontext_lab.statistics import Effects
from kontext_lab.statistics.formatting import number_words

__all__ = ["Box", "EffectsPlan", "Place", "Scale", "Sketch", "Spot", "Stroke", "Turned", "scale_of"]


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


_ROOM = 0.06
"""Of the span, above and below what is drawn."""


@dataclass(frozen=True)
class Scale:
    """From values to inches.

    Attributes:
        low: the value at the foot.
        high: the value at the top.
        ticks: ruled values and their words.
    """

    low: float
    high: float
    ticks: tuple[tuple[float, str], ...]

    def y(self, value: float, top: float, height: float) -> float:
        """Inches from the top of the sheet, in a panel of this top and height."""
        return top + (self.high - value) / (self.high - self.low) * height


def scale_of(effects: Effects) -> Scale:
    """The scale for all axes: 0 to 1 for rates, else what there is to show."""
    if effects.is_rate:
        marks = tuple((share / 4, f"{25 * share} %") for share in range(5))
        return Scale(-0.04, 1.04, marks)
    low, high = _ends(_drawn(effects))
    ticks = [float(tick) for tick in MaxNLocator(nbins=5, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high)]
    step = ticks[1] - ticks[0] if len(ticks) > 1 else high - low
    room = _ROOM * (high - low)
    low, high = low - room, high + room
    return Scale(low, high, tuple((tick, _words(tick, step)) for tick in ticks if low <= tick <= high))


def _drawn(effects: Effects) -> Iterable[float]:
    for axis in effects.axes:
        for point in axis.points:
            yield from point.values
            yield from (one for one in (point.low, point.high) if one is not None)


def _ends(values: Iterable[float]) -> tuple[float, float]:
    there = list(values) or [0.0]
    low, high = min(there), max(there)
    if high - low > 1e-9 * max(abs(low), abs(high), 1e-300):
        return low, high
    room = abs(low) / 10 or 0.5
    return low - room, high + room


def _words(tick: float, step: float) -> str:
    """All ticks with as many decimals as their distance needs."""
    if abs(tick) < step / 1000:
        return "0"
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    if round(step, decimals) != round(step, decimals + 2):
        decimals += 1
    fixed = f"{tick:.{decimals}f}".replace("-", "−")
    return fixed if decimals <= 6 and abs(tick) < 1e7 else number_words(tick)
