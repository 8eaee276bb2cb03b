"""What each axis of a sweep does to a measured value: statistics over results, numbers only. Draws nothing.

Knows cells, their parameters and what was measured of their outputs; no store, no figure, no widget.
"""

from kontext_lab.effects.idle import idle_axes, idle_sentences
from kontext_lab.effects.numbers import (
    AxisEffect,
    Difference,
    Effects,
    Interaction,
    Point,
    SeedSensitivity,
    Trace,
)
from kontext_lab.effects.reading import measured
from kontext_lab.effects.study import effects_of

__all__ = [
    "AxisEffect",
    "Difference",
    "Effects",
    "Interaction",
    "Point",
    "SeedSensitivity",
    "Trace",
    "effects_of",
    "idle_axes",
    "idle_sentences",
    "measured",
]
