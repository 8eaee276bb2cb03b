"""The budget of one run: reserves money before sending, settles it afterwards, learns the price from the first charge."""

from __future__ import annotations

from kontext_lab.request import EditRequest
from kontext_lab.request.attempt import Attempt

__all__ = ["Budget"]

_A_HAIR = 1e-9


class Budget:
    """What may be spent.

    Args:
        budget: US dollars, or None for no limit.
        prices: US dollars per picture by model as the service charged them; learned here, kept by whoever
            gave it.
    """

    def __init__(self, budget: float | None, prices: dict[str, float]) -> None:
        self.left = budget
        self._prices = prices

    def expected(self, request: EditRequest, planned: float) -> float:
        """What a request will cost: by what was charged last, else as planned."""
        price = self._prices.get(request.model)
        return planned if price is None else round(price * request.pictures, 6)

    def reserve(self, price: float) -> bool:
        """Set money aside; False where it does not fit."""
        if self.left is None:
            return True
        if price > self.left + _A_HAIR:
            return False
        self.left -= price
        return True

    def settle(self, reserved: float, cost: float) -> None:
        """What was reserved turned out to cost this much."""
        if self.left is not None:
            self.left += reserved - cost

    def learn(self, request: EditRequest, attempt: Attempt) -> None:
        """Take the price from what the service says it charged."""
        answer = attempt.answer
        if answer is None or answer.cost_source == "price" or answer.cost_usd <= 0:
            return
        price = round(answer.cost_usd / request.pictures, 9)
        # What is charged for an answer without all its pictures may be less than what they cost.
        whole = all(picture.reason is None for picture in answer.pictures)
        if whole or price > self._prices.get(request.model, price):
            self._prices[request.model] = price
