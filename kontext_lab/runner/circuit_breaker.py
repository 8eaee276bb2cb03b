"""Stops a run when several outcomes in a row show that more requests would waste money or time."""

from __future__ import annotations

from dataclasses import dataclass

from kontext_lab.errors import FatalServiceError, InDoubt, RequestRefused, ServiceUnavailable
from kontext_lab.request.attempt import Attempt
from kontext_lab.results import CellResult, State
from kontext_lab.results.states import BILLED_REASONS

__all__ = ["CircuitBreaker", "StopReason"]

UNREACHABLE_IN_A_ROW = 3
"""After so many requests that failed although each was tried again, the rest is left for later."""

DEARER = 5
"""A request that costs so many times what was planned is a fault, or a price that nobody has agreed to."""


@dataclass(frozen=True)
class StopReason:
    """Why nothing more is sent: a word for programs, a line for people."""

    word: str
    line: str


class CircuitBreaker:
    """Hears of every outcome, in order.

    Args:
        most: outcomes in a row that are billed without a picture, lost, or refused alike, after which to stop;
            0 for never, whatever a request costs.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._kind = ""
        self._row = 0

    def hear(self, cell: CellResult, attempt: Attempt, planned: float) -> StopReason | None:
        """An outcome; returns why to stop, if that is now clear.

        Args:
            cell: that it came to.
            attempt: how it came.
            planned: US dollars that the request was planned to cost.
        """
        if isinstance(attempt.error, FatalServiceError):
            return StopReason(type(attempt.error).__name__, str(attempt.error))
        answer = attempt.answer
        dear = answer is not None and (answer.cost_note or self.charge(cell, answer.cost_usd, planned))
        in_a_row = self._in_a_row(cell, attempt)
        if isinstance(dear, StopReason):
            return dear
        if dear and self._most:
            return StopReason("price", f"{dear}: stopped; the bill says what it was, run it again to go on")
        return in_a_row

    def charge(self, cell: CellResult, cost: float, planned: float) -> StopReason | None:
        """What a request was charged; returns why to stop, if that is far more than planned."""
        if not self._most or cost <= DEARER * planned:
            return None
        each = cost / (cell.request.pictures if cell.request else 1)
        return StopReason(
            "price",
            f"the service charged ${cost:.2f} for a request that was planned at ${planned:.3f}: stopped; to go on "
            f"at that price, run it again with `price: {each:.4g}` in the sweep",
        )

    def _in_a_row(self, cell: CellResult, attempt: Attempt) -> StopReason | None:
        kind = _kind(cell, attempt)
        self._row = self._row + 1 if kind and kind == self._kind else 1
        self._kind = kind
        if kind == "unreachable" and self._row >= UNREACHABLE_IN_A_ROW:
            return StopReason("unreachable", f"{cell.note} (stopped after {self._row} in a row)")
        if not kind or kind == "unreachable" or not self._most or self._row < self._most:
            return None
        if kind == "billed":
            line = f"{self._row} answers in a row were billed without a picture ({cell.note})"
            return StopReason("billed", f"{line}: stopped; run it again to go on all the same")
        if kind == "lost":
            line = f"{self._row} answers in a row were lost, each may have been billed ({cell.note})"
            return StopReason("lost", f"{line}: stopped; run it again to go on all the same")
        line = f"{self._row} requests in a row were refused alike ({cell.note})"
        return StopReason("refused", f"{line}: stopped; run it again to go on all the same")


def _kind(cell: CellResult, attempt: Attempt) -> str:
    if isinstance(attempt.error, ServiceUnavailable):
        return "unreachable"
    if isinstance(attempt.error, InDoubt):
        return "lost"
    if isinstance(attempt.error, RequestRefused):
        return f"refused {attempt.error.status} {attempt.error}"
    return "billed" if cell.state is State.FAILED and cell.reason in BILLED_REASONS else ""
