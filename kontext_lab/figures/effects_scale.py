"""The scale that all panels of an effects figure share: limits, ruled lines, and their words. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from matplotlib.ticker import MaxNLocator

from kontext_lab.effects import Effects
from kontext_lab.effects.words import number_words

__all__ = ["Scale", "scale_of"]

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
