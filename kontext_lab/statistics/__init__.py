"""Statistics over results: the effect of each axis on a measured value, and scores from votes between pairs. Draws nothing.

Its names arrive when they are first used (PEP 562).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
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

_MODULES = {
    "effects_of": "main_effects",
    "measured": "observations",
    **dict.fromkeys(("CHOICES", "Choice", "Pair", "Scores", "Vote", "next_pair", "scores", "seen"), "votes"),
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES.get(name, 'effects')}"), name)
