"""Patterns that no single cell shows, and at which sending on would waste money or time."""

from __future__ import annotations

from dataclasses import dataclass

from kontext_lab.answer import Attempt
from kontext_lab.errors import InDoubt, RequestRefused, ServiceUnavailable, StopSweep
from kontext_lab.results import CellResult, State
from kontext_lab.results.known import BILLED_REASONS

__all__ = ["Alarm", "Alarms"]

UNREACHABLE_IN_A_ROW = 3
"""After so many requests that failed although each was tried again, the rest is left for later."""


@dataclass(frozen=True)
class Alarm:
    """Why nothing more is sent: a word for programs, a line for people."""

    word: str
    line: str


class Alarms:
    """Hears of every outcome, in order.

    Args:
        most: outcomes in a row that are billed without a picture, lost, or refused alike, after which to stop;
            0 for never.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._kind = ""
        self._row = 0

    def hear(self, cell: CellResult, attempt: Attempt) -> Alarm | None:
        """An outcome; returns why to stop, if that is now clear."""
        if isinstance(attempt.error, StopSweep):
            return Alarm(type(attempt.error).__name__, str(attempt.error))
        kind = _kind(cell, attempt)
        self._row = self._row + 1 if kind and kind == self._kind else 1
        self._kind = kind
        if kind == "unreachable" and self._row >= UNREACHABLE_IN_A_ROW:
            return Alarm("unreachable", f"{cell.note} (stopped after {self._row} in a row)")
        if not kind or kind == "unreachable" or not self._most or self._row < self._most:
            return None
        if kind == "billed":
            line = f"{self._row} answers in a row were billed without a picture ({cell.note})"
            return Alarm("billed", f"{line}: stopped; run it again to go on all the same")
        if kind == "lost":
            line = f"{self._row} answers in a row were lost, each may have been billed ({cell.note})"
            return Alarm("lost", f"{line}: stopped; run it again to go on all the same")
        line = f"{self._row} requests in a row were refused alike ({cell.note})"
        return Alarm("refused", f"{line}: stopped; run it again to go on all the same")


def _kind(cell: CellResult, attempt: Attempt) -> str:
    if isinstance(attempt.error, ServiceUnavailable):
        return "unreachable"
    if isinstance(attempt.error, InDoubt):
        return "lost"
    if isinstance(attempt.error, RequestRefused):
        return f"refused {attempt.error.status} {attempt.error}"
    return "billed" if cell.state is State.FAILED and cell.reason in BILLED_REASONS else ""
