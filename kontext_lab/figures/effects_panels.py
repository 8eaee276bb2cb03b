"""The panels of an effects figure, one per axis, on a shared scale. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from kontext_lab.figures import text
from kontext_lab.figures.effects_sketch import (
    EffectsPlan,
    Place,
    Scale,
    Sketch,
    Spot,
    Stroke,
    Turned,
    scale_of,
)
from kontext_lab.figures.effects_tables import add_heat, add_shares
from kontext_lab.figures.geometry import Rect
from kontext_lab.statistics import AxisEffect, Effects

__all__ = ["NOTEBOOK", "add_panels", "plan_effects"]


NAME_POINTS, VALUE_POINTS, TICK_POINTS = 9.0, 8.0, 7.5
_HEIGHT = 2.0
_GAP = 0.3
_SIDE = 0.14
"""Inches between a panel's edge and the middle of its first value, at least."""
_NARROWEST, _STRETCH = 1.5, 1.7
_TURNED = 1.5
"""Inches that a label may be long where it reads upwards."""
_BETWEEN = 0.07
_MOST_LINES = 4
_GOLDEN = 0.618


@dataclass(frozen=True)
class _Labels:
    """The values below a panel: across, some left out where they are numbers, or upwards."""

    lines: tuple[tuple[str, ...], ...]
    points: float
    upwards: bool

    @property
    def height(self) -> float:
        if self.upwards:
            return max((text.width(line, self.points) for (line,) in self.lines if line), default=0.0)
        return max(
            (text.height(len(lines), self.points) for lines in self.lines if lines != ("",)), default=0.0
        )


def add_panels(sketch: Sketch, axes: Sequence[AxisEffect], scale: Scale, *, left: float, dots: bool) -> None:
    """Add the panels of all axes, as many in a line as fit.

    Args:
        sketch: gets them, below what it has.
        axes: in their order.
        scale: of all of them.
        left: inches of margin on both sides.
        dots: whether single values and blocks are drawn.
    """
    ticks = max(text.width(words, TICK_POINTS) for _, words in scale.ticks) if scale.ticks else 0.0
    start = left + ticks + 0.08
    for line in _lines(axes, sketch.width - left - start):
        top = sketch.bottom + text.height(1, NAME_POINTS) + 0.06
        _add_ruler(sketch, scale, start, top)
        x, lowest = start, 0.0
        for axis, width in line:
            rect = Rect(x, top, width, _HEIGHT)
            lowest = max(lowest, _Panel(sketch, axis, scale, rect, dots).add())
            x += width + _GAP
        sketch.bottom = lowest + 0.08
        sketch.spell_out(left)
        sketch.bottom += 0.14


def _lines(axes: Sequence[AxisEffect], room: float) -> list[list[tuple[AxisEffect, float]]]:
    """Axes with their widths, a list for every line of panels."""
    lines: list[list[tuple[AxisEffect, float]]] = [[]]
    for axis in axes:
        width = min(room, _wanted(axis))
        if lines[-1] and sum(one for _, one in lines[-1]) + len(lines[-1]) * _GAP + width > room:
            lines.append([])
        lines[-1].append((axis, width))
    return [_stretched(line, room) for line in lines if line]


def _stretched(line: list[tuple[AxisEffect, float]], room: float) -> list[tuple[AxisEffect, float]]:
    free = room - _GAP * (len(line) - 1)
    factor = min(_STRETCH, free / sum(width for _, width in line))
    return [(axis, width * factor) for axis, width in line]


def _wanted(axis: AxisEffect) -> float:
    """How wide a panel would be where there is room for all of its labels."""
    widest = max(text.width(point.label, VALUE_POINTS) for point in axis.points)
    slot = max(0.3, min(widest + _BETWEEN, 0.6 if _is_numbers(axis) else 1.2))
    return max(_NARROWEST, text.width(axis.name, NAME_POINTS), len(axis.points) * slot)


def _is_numbers(axis: AxisEffect) -> bool:
    return all(point.number is not None for point in axis.points)


def _add_ruler(sketch: Sketch, scale: Scale, start: float, top: float) -> None:
    for value, words in scale.ticks:
        middle = scale.y(value, top, _HEIGHT)
        sketch.say(
            words, start - 0.06, middle - text.height(1, TICK_POINTS) / 2, TICK_POINTS, "note", align="right"
        )


class _Panel:
    """One axis at its place."""

    def __init__(self, sketch: Sketch, axis: AxisEffect, scale: Scale, rect: Rect, dots: bool) -> None:
        self.sketch, self.axis, self.scale, self.rect, self.dots = sketch, axis, scale, rect, dots
        self.slot = rect.width / len(axis.points)
        self.places = self._places()

    def add(self) -> float:
        """Add it; returns where its labels end below."""
        rect, sketch = self.rect, self.sketch
        sketch.panels.append((self.axis.name, rect))
        name = text.shorten(text.clean(self.axis.name), NAME_POINTS, rect.width)
        sketch.say(name, rect.left, rect.top - text.height(1, NAME_POINTS) - 0.04, NAME_POINTS)
        for value, _ in self.scale.ticks:
            y = self.scale.y(value, rect.top, rect.height)
            sketch.strokes.append(Stroke("ruler", ((rect.left, y), (rect.right, y))))
        sketch.strokes.append(Stroke("frame", ((rect.left, rect.bottom), (rect.right, rect.bottom))))
        if self.dots:
            self._add_values()
        self._add_means()
        return self._add_labels()

    def _places(self) -> list[float]:
        """Where each value stands: on its scale where it has one, else side by side."""
        points, rect = self.axis.points, self.rect
        side = min(self.slot / 2, max(_SIDE, self._half_of_ends()))
        numbers = [point.number for point in points if point.number is not None]
        if not self.axis.numeric or numbers[-1] <= numbers[0]:
            return [rect.left + (at + 0.5) * self.slot for at in range(len(points))]
        span = (rect.width - 2 * side) / (numbers[-1] - numbers[0])
        return [rect.left + side + (number - numbers[0]) * span for number in numbers]

    def _half_of_ends(self) -> float:
        ends = (self.axis.points[0].label, self.axis.points[-1].label)
        return max(text.width(label, VALUE_POINTS) for label in ends) / 2

    def _y(self, value: float) -> float:
        return self.scale.y(value, self.rect.top, self.rect.height)

    def _add_values(self) -> None:
        """Single outputs, scattered a little beside their value, and blocks as lines."""
        steps = [after - before for before, after in pairwise(self.places)]
        reach = min(0.16, 0.5 * min(steps, default=self.slot))
        for point, x in zip(self.axis.points, self.places, strict=True):
            for at, value in enumerate(point.values):
                aside = ((at + 1) * _GOLDEN % 1 - 0.5) * reach
                self.sketch.dots.append((x + aside, self._y(value)))
        # A single block's line would be that of the means, and seeds have no order to go along.
        if len(self.axis.traces) > 1 and not self.axis.replicate:
            for trace in self.axis.traces:
                self._add_stroke("trace", trace.means)

    def _add_means(self) -> None:
        if self.axis.numeric:
            self._add_stroke("mean", [point.mean for point in self.axis.points])
        for at, (point, x) in enumerate(zip(self.axis.points, self.places, strict=True)):
            if point.mean is not None:
                ends = (None if end is None else self._y(end) for end in (point.low, point.high))
                self.sketch.spots.append(Spot(self.axis.name, at, x, self._y(point.mean), *ends))

    def _add_stroke(self, kind: str, means: Sequence[float | None]) -> None:
        """A line through the means there are; it passes over values without one."""
        places: tuple[Place, ...] = tuple(
            (x, self._y(mean)) for x, mean in zip(self.places, means, strict=True) if mean is not None
        )
        if len(places) > 1:
            self.sketch.strokes.append(Stroke("mean" if kind == "mean" else "trace", places))

    def _labels(self) -> _Labels:
        """How the values are written: across, long prompts by short names, or upwards."""
        words = [text.clean(point.label) for point in self.axis.points]
        if _is_numbers(self.axis):
            return _Labels(tuple((word,) for word in _thinned(words, self.places)), VALUE_POINTS, False)
        room = self.slot - _BETWEEN
        found = _across(words, room)
        if found is None:
            words = self.sketch.called(self.axis.name, words)
            found = _across(words, room)
        return found or _upwards(words, self.slot)

    def _add_labels(self) -> float:
        labels = self._labels()
        top = self.rect.bottom + 0.06
        for lines, x in zip(labels.lines, self.places, strict=True):
            if lines == ("",):
                continue
            if labels.upwards:
                self.sketch.turned.append(Turned(lines[0], x, top, labels.points))
            else:
                self.sketch.say(lines, x, top, labels.points, "name", align="center")
        bottom = top + labels.height
        return bottom if self.dots else self._add_trials(bottom)

    def _add_trials(self, top: float) -> float:
        """Below each rate what it is of: 3 of 4 and 30 of 40 are the same rate."""
        words = [
            f"{round(point.mean * point.n)} of {point.n}" if point.mean is not None else ""
            for point in self.axis.points
        ]
        if max(text.width(word, TICK_POINTS) for word in words) + _BETWEEN > self.slot:
            return top
        for word, x in zip(words, self.places, strict=True):
            if word:
                self.sketch.say(word, x, top + 0.02, TICK_POINTS, "note", align="center")
        return top + 0.02 + text.height(1, TICK_POINTS)


def _across(words: Sequence[str], room: float) -> _Labels | None:
    """The labels side by side, in a few whole lines each; None where they don't fit."""
    for size in (VALUE_POINTS, VALUE_POINTS - 1):
        broken = [text.wrap(word, size, room) for word in words]
        whole = all(text.width(part, size) <= room for word in words for part in word.split(" "))
        if whole and all(len(lines) <= _MOST_LINES for lines in broken):
            return _Labels(tuple(broken), size, False)
    return None


def _upwards(words: Sequence[str], slot: float) -> _Labels:
    size = VALUE_POINTS - 1
    each = max(1, math.ceil(text.height(1, size) / slot))
    shown = (word if at % each == 0 else "" for at, word in enumerate(text.cut(words, size, _TURNED)))
    return _Labels(tuple((word,) for word in shown), size, True)


def _thinned(words: Sequence[str], places: Sequence[float]) -> list[str]:
    """Numbers of which every second, third … is left out until none runs into its neighbour."""
    half = [text.width(word, VALUE_POINTS) / 2 + _BETWEEN / 2 for word in words]

    def apart(before: int, after: int) -> bool:
        return places[before] + half[before] <= places[after] - half[after]

    last = len(words) - 1
    for each in range(1, len(words) + 1):
        kept = list(range(0, len(words), each))
        if all(apart(one, two) for one, two in pairwise(kept)):
            break
    if kept[-1] != last and apart(kept[-1], last):
        kept.append(last)
    return [word if at in kept else "" for at, word in enumerate(words)]


NOTEBOOK = 9.0
"""Inches that a notebook has room for."""
_MARGIN = 0.2
_TITLE, _NOTE, _SENTENCE = 11.0, 8.0, 9.5


def plan_effects(effects: Effects, width: float = NOTEBOOK) -> EffectsPlan:
    """Where everything goes on a sheet so many inches wide; where nothing can be drawn, the sentences."""
    sketch = Sketch(width, _MARGIN)
    _add_head(sketch, effects)
    if not any(len(axis.measured) > 1 for axis in effects.axes):
        for sentence in effects.sentences:
            sketch.bottom = sketch.paragraph(sentence, _MARGIN, sketch.bottom, _SENTENCE, "value") + 0.06
        return sketch.frozen(sketch.bottom + _MARGIN)
    add_panels(sketch, effects.axes, scale_of(effects), left=_MARGIN, dots=not effects.is_rate)
    add_shares(sketch, effects, _MARGIN)
    if effects.interaction is not None:
        add_heat(sketch, effects, effects.interaction, _MARGIN)
    return sketch.frozen(sketch.bottom)


def _add_head(sketch: Sketch, effects: Effects) -> None:
    name = f" · {effects.name}" if effects.name else ""
    title = text.shorten(text.clean(effects.metric + name), _TITLE, sketch.width - 2 * _MARGIN)
    bottom = sketch.say(title, _MARGIN, sketch.bottom, _TITLE, "title")
    if effects.simulated:
        whole = effects.n or effects.units
        part = "" if effects.simulated == whole else f": {effects.simulated} of {whole}"
        bottom = sketch.say(f"simulated pictures (sandbox){part}", _MARGIN, bottom, _NOTE, "mark")
    if effects.n and effects.axes:
        bottom = sketch.paragraph(_legend(effects), _MARGIN, bottom, _NOTE, "note")
    sketch.bottom = bottom + 0.12


def _legend(effects: Effects) -> str:
    """What is drawn."""
    values = f"{effects.n} value" + ("" if effects.n == 1 else "s")
    if effects.is_rate:
        return f"{values} · point and bar: rate with its 95 % interval (Wilson)"
    blocked = next((axis.blocked_by for axis in effects.axes if not axis.replicate), ())
    block = f" · thin line: the same {' and '.join(blocked)}" if blocked else ""
    sure = any(point.low is not None for axis in effects.axes for point in axis.points)
    interval = " with its 95 % interval" if sure else " (no intervals: there is nothing to resample)"
    return f"{values} · dot: one output{block} · point{' and bar' if sure else ''}: mean{interval}"
