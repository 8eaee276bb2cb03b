"""Money of one run: the budget, and the circuit breaker that stops a run which wastes it."""

from __future__ import annotations

from collections.abc import Callable

from kontext_lab.errors import FatalServiceError, InDoubt, RequestRefused, ServiceUnavailable
from kontext_lab.request import EditRequest
from kontext_lab.request.attempt import Attempt
from kontext_lab.results import CellResult, State
from kontext_lab.results.states import BILLED_REASONS

__all__ = ["Budget", "CircuitBreaker"]

_ROUNDING = 1e-9

UNREACHABLE_IN_A_ROW = 3
"""After so many failed requests, each of them retried, the rest is left for later."""

DEARER = 5
"""A request that costs so many times the planned price is a fault, or a price that nobody agreed to."""


class Budget:
    """Money that may still be spent: reserved before sending, settled afterwards.

    Args:
        budget: US dollars, or None for no limit.
        prices: US dollars per picture by model, as the service charged them; updated here, owned by the caller.
    """

    def __init__(self, budget: float | None, prices: dict[str, float]) -> None:
        self.left = budget
        self._prices = prices

    def expected(self, request: EditRequest, planned: float) -> float:
        """Expected cost of a request: by the last charge, else as planned."""
        price = self._prices.get(request.model)
        return planned if price is None else round(price * request.pictures, 6)

    def reserve(self, price: float) -> bool:
        """Set money aside; False if it does not fit."""
        if self.left is None:
            return True
        if price > self.left + _ROUNDING:
            return False
        self.left -= price
        return True

    def settle(self, reserved: float, cost: float) -> None:
        """Replace a reservation by the actual cost."""
        if self.left is not None:
            self.left += reserved - cost

    def learn(self, request: EditRequest, attempt: Attempt) -> None:
        """Take the price from the service's own charge."""
        answer = attempt.answer
        if answer is None or answer.cost_source == "price" or answer.cost_usd <= 0:
            return
        price = round(answer.cost_usd / request.pictures, 9)
        # The charge for an answer without all its pictures may be less than their price.
        whole = all(picture.reason is None for picture in answer.pictures)
        if whole or price > self._prices.get(request.model, price):
            self._prices[request.model] = price


class CircuitBreaker:
    """Stops a run when several outcomes in a row, or a charge, show that more requests would waste money or time.

    Args:
        limit: outcomes in a row that are billed without a picture, lost, or refused alike, after which to stop;
            0 for never, whatever a request costs.
        stop: stops the run; takes the reason as a word for programs and a line for people. The first reason counts.
    """

    def __init__(self, limit: int, stop: Callable[[str, str], None]) -> None:
        self._limit = limit
        self._stop = stop
        self._kind = ""
        self._in_a_row = 0

    def record(self, cell: CellResult, attempt: Attempt, planned: float) -> None:
        """Record the last attempt of a cell, already applied to it, and the planned US dollars of its request."""
        if isinstance(attempt.error, FatalServiceError):
            self._stop(type(attempt.error).__name__, str(attempt.error))
            return
        answer = attempt.answer
        if answer is not None and not answer.cost_note:
            self.check_charge(cell, answer.cost_usd, planned)
        elif answer is not None and self._limit:
            line = f"{answer.cost_note}: stopped; the bill says what it was, run it again to go on"
            self._stop("price", line)
        self._count(cell, attempt)

    def check_charge(self, cell: CellResult, cost: float, planned: float) -> None:
        """Stop if a request's charge is far above the planned cost."""
        if not self._limit or cost <= DEARER * planned:
            return
        each = cost / (cell.request.pictures if cell.request else 1)
        self._stop(
            "price",
            f"the service charged ${cost:.2f} for a request that was planned at ${planned:.3f}: stopped; to go on "
            f"at that price, run it again with `price: {each:.4g}` in the sweep",
        )

    def _count(self, cell: CellResult, attempt: Attempt) -> None:
        kind = _kind(cell, attempt)
        self._in_a_row = self._in_a_row + 1 if kind and kind == self._kind else 1
        self._kind = kind
        if kind == "unreachable" and self._in_a_row >= UNREACHABLE_IN_A_ROW:
            self._stop("unreachable", f"{cell.note} (stopped after {self._in_a_row} in a row)")
        if not kind or kind == "unreachable" or not self._limit or self._in_a_row < self._limit:
            return
        if kind == "billed":
            line = f"{self._in_a_row} answers in a row were billed without a picture ({cell.note})"
        elif kind == "lost":
            line = f"{self._in_a_row} answers in a row were lost, each may have been billed ({cell.note})"
        else:
            kind = "refused"
            line = f"{self._in_a_row} requests in a row were refused alike ({cell.note})"
        self._stop(kind, f"{line}: stopped; run it again to go on all the same")


def _kind(cell: CellResult, attempt: Attempt) -> str:
    if isinstance(attempt.error, ServiceUnavailable):
        return "unreachable"
    if isinstance(attempt.error, InDoubt):
        return "lost"
    if isinstance(attempt.error, RequestRefused):
        return f"refused {attempt.error.status} {attempt.error}"
    return "billed" if cell.state is State.FAILED and cell.reason in BILLED_REASONS else ""
