"""Statistics over results: what each axis does to a measured value, and scores from votes between pairs. Draws nothing."""

from kontext_lab.statistics.effects import (
    AxisEffect,
    Difference,
    Effects,
    Interaction,
    Point,
    SeedSensitivity,
    Trace,
)
from kontext_lab.statistics.inert_axes import idle_axes, idle_sentences
from kontext_lab.statistics.observations import measured
from kontext_lab.statistics.scores import Pair, Scores, next_pair, scores, seen
from kontext_lab.statistics.study import effects_of
from kontext_lab.statistics.votes import CHOICES, Choice, Vote

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
    "idle_axes",
    "idle_sentences",
    "measured",
    "next_pair",
    "scores",
    "seen",
]
