"""What is noticed while a sweep runs: an axis that changes nothing costs money for every further value of it."""

from __future__ import annotations

from kontext_lab.effects.idle import idle_pairs, idle_words
from kontext_lab.results import CellResult, Results, State

__all__ = ["IdleWatch"]

FIRST_LOOK = 4
"""Pictures that have to be there: fewer hold no two matched pairs."""


class IdleWatch:
    """An observer that puts a line into the notes of results as soon as an axis shows that it changes nothing.

    Looks again whenever twice as many pictures are there, so that all looks together cost as much as two.

    Args:
        results: of the sweep under way; their notes are written to.
    """

    def __init__(self, results: Results) -> None:
        self._results = results
        self._next = FIRST_LOOK
        self._done: set[int] = set()
        self._said: set[str] = set()

    def __call__(self, cell: CellResult) -> None:
        """A cell changed."""
        if cell.state is not State.DONE or id(cell) in self._done:
            return  # told again: it was measured, or a person judged it
        self._done.add(id(cell))
        done = len(self._done)
        if done < self._next and done < len(self._results):
            return
        while self._next <= done:
            self._next *= 2
        self._look()

    def _look(self) -> None:
        idle = idle_pairs(self._results)
        mark = "Simulated: " if self._results.simulated else ""
        for axis in self._said - set(idle):
            self._results.notes.append(f"{mark}{axis} changes something after all.")
        new = [axis for axis in idle if axis not in self._said]
        self._results.notes.extend(f"{mark}{idle_words(axis, idle[axis])}" for axis in new)
        self._said = set(idle)
