"""Statistics over results: the effect of each axis on a measured value, and scores from votes between pairs. Draws nothing."""

from kontext_lab.statistics.effects import (
    AxisEffect,
    Difference,
    Effects,
    Interaction,
    Point,
    SeedSensitivity,
    Trace,
)
from kontext_lab.statistics.main_effects import effects_of
from kontext_lab.statistics.observations import measured
from kontext_lab.statistics.votes import CHOICES, Choice, Pair, Scores, Vote, next_pair, scores, seen

__all__ = [
    "CHOICES",
    "AxisEffect",
    "Choice",
    "Difference",
    "Effects",
    "Interaction",
    "Pair",
    "Point",
    "Scores",
    "SeedSensitivity",
    "Trace",
    "Vote",
    "effects_of",
    "measured",
    "next_pair",
    "scores",
    "seen",
]
