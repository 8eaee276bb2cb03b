"""Axes that change nothing: whose pictures come out byte for byte the same, all else equal."""

from __future__ import annotations

import numpy as np

from kontext_lab.results import Results
from kontext_lab.statistics.design import Design, Factor, read_design

__all__ = ["idle_axes", "idle_pairs", "idle_sentences", "idle_words"]

ENOUGH = 2
"""Matched pairs that have to be there: one may be an accident."""


def idle_axes(results: Results) -> tuple[str, ...]:
    """Axes with at least two matched pairs of pictures, all of which are the same, byte for byte.

    Matched is what differs in nothing but this axis. Works on a sweep under way as well: cells without a picture
    count for nothing.
    """
    return tuple(idle_pairs(results))


def idle_sentences(results: Results) -> tuple[str, ...]:
    """The same as plain sentences, one per axis."""
    simulated = "Simulated: " if results.simulated else ""
    return tuple(f"{simulated}{idle_words(axis, pairs)}" for axis, pairs in idle_pairs(results).items())


def idle_words(axis: str, pairs: int) -> str:
    """What to say of such an axis."""
    if axis == "repeat":
        return (
            f"repeat brings nothing new: in {pairs} matched pairs the pictures are the same, byte for byte."
        )
    return f"{axis} changes nothing: in {pairs} matched pairs the pictures are the same, byte for byte."


def idle_pairs(results: Results) -> dict[str, int]:
    """The idle axes, and how many matched pairs say so."""
    design = read_design(results)
    there = np.array(
        [shot.output is not None and shot.output.is_picture for shot in design.shots], dtype=bool
    )
    design = design.part(there)
    found = {factor.name: _same(design, factor) for factor in design.factors}
    return {name: pairs for name, pairs in found.items() if pairs >= ENOUGH}


def _same(design: Design, factor: Factor) -> int:
    """How many matched pairs there are, 0 as soon as one of them differs."""
    first: dict[int, tuple[str, set[int]]] = {}
    settings = design.settings_for(factor)
    for shot, setting, level in zip(design.shots, settings.tolist(), factor.codes.tolist(), strict=True):
        digest = shot.output.sha256 if shot.output is not None else ""
        known, levels = first.setdefault(setting, (digest, set()))
        if digest != known and levels - {level}:
            return 0
        levels.add(level)
    return sum(len(levels) - 1 for _, levels in first.values())
