"""Axes without any effect: matched pictures are identical byte for byte."""

from __future__ import annotations

import numpy as np

from kontext_lab.results import CellResult, Results, State
from kontext_lab.statistics.design import Design, Factor, read_design

__all__ = ["IdleWatch", "idle_pairs", "idle_words"]

ENOUGH = 2
"""Matched pairs that are needed: one may be an accident."""

FIRST_LOOK = 4
"""Pictures that have to be there: fewer hold no two matched pairs."""


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


class IdleWatch:
    """Observer that notes in the results of a running sweep, as soon as it shows, that an axis changes nothing.

    Looks again whenever twice as many pictures are there, so that all looks together cost as much as two.
    """

    def __init__(self, results: Results) -> None:
        self._results = results
        self._next = FIRST_LOOK
        self._done: set[int] = set()
        self._noted: set[str] = set()

    def __call__(self, cell: CellResult) -> None:
        """Take in a changed cell."""
        if cell.state is not State.DONE or id(cell) in self._done:
            return  # seen before: it was measured, or a person judged it
        self._done.add(id(cell))
        done = len(self._done)
        if done < self._next and done < len(self._results):
            return
        while self._next <= done:
            self._next *= 2
        idle = idle_pairs(self._results)
        mark = "Simulated: " if self._results.simulated else ""
        for axis in self._noted - set(idle):
            self._results.notes.append(f"{mark}{axis} changes something after all.")
        new = [axis for axis in idle if axis not in self._noted]
        self._results.notes.extend(f"{mark}{idle_words(axis, idle[axis])}" for axis in new)
        self._noted = set(idle)
