"""Axes without any effect: matched pictures are identical byte for byte."""

from __future__ import annotations

import numpy as np

from kontext_lab.results import Results
from kontext_lab.statistics.design import Design, Factor, read_design

__all__ = ["idle_pairs", "idle_words"]

ENOUGH = 2
"""Matched pairs that are needed: one may be an accident."""


def idle_pairs(results: Results) -> dict[str, int]:
    """Axes whose matched pairs, at least two, all show identical pictures; with the number of pairs.

    Two pictures are matched if they differ in this axis alone. Works on a running sweep too: cells without a picture are
    ignored.
    """
    design = read_design(results)
    received = [shot.output is not None and shot.output.is_picture for shot in design.shots]
    design = design.part(np.array(received, dtype=bool))
    pairs = {factor.name: _identical_pairs(design, factor) for factor in design.factors}
    return {name: count for name, count in pairs.items() if count >= ENOUGH}


def idle_words(axis: str, pairs: int) -> str:
    """The sentence about such an axis."""
    effect = "repeat brings nothing new" if axis == "repeat" else f"{axis} changes nothing"
    return f"{effect}: in {pairs} matched pairs the pictures are the same, byte for byte."


def _identical_pairs(design: Design, factor: Factor) -> int:
    """Number of matched pairs; 0 as soon as one of them differs."""
    first: dict[int, tuple[str, set[int]]] = {}
    settings = design.settings_for(factor)
    for shot, setting, level in zip(design.shots, settings.tolist(), factor.codes.tolist(), strict=True):
        digest = shot.output.sha256 if shot.output is not None else ""
        known, levels = first.setdefault(setting, (digest, set()))
        if digest != known and levels - {level}:
            return 0
        levels.add(level)
    return sum(len(levels) - 1 for _, levels in first.values())
