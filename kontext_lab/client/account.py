"""Answers of the service's optional addresses: balance, price of a model, rows of its log.

Pure functions from an answer's body to plain values. Anything unexpected reads as None, since the work needs none of
these addresses.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from kontext_lab.client.answers import CREDITS_PER_USD, amount_of, number_of, read_object

__all__ = ["LOG_DAYS", "LogRow", "log_period", "read_balance", "read_logs", "read_price"]

LOG_DAYS = 92
"""The longest window of the service's log."""

_PICTURE_UNITS = ("image", "images", "picture", "generation", "request")


@dataclass(frozen=True)
class LogRow:
    """One past call in the service's log.

    Attributes:
        client_request_id: the id sent along with it, or None.
        status: `succeeded` or `failed`.
        cost_usd: US dollars billed; 0 for a failed call.
    """

    client_request_id: str | None
    status: str
    cost_usd: float = 0.0

    @property
    def succeeded(self) -> bool:
        """True if the call was delivered and billed."""
        return self.status == "succeeded"


def read_balance(body: bytes) -> float | None:
    """US dollars left, which may be negative, or None."""
    balance = read_object(body).get("current_balance")
    if isinstance(balance, bool) or not isinstance(balance, int | float):
        return None
    return float(balance) if abs(balance) < 1e12 else None


def read_price(body: bytes, model_id: str) -> float | None:
    """US dollars per picture in the service's catalogue, or None if it names no rate, or several."""
    for model in _list(read_object(body).get("data")):
        if isinstance(model, dict) and model_id in (model.get("id"), *_list(model.get("aliases"))):
            pricing = model.get("pricing")
            break
    else:
        return None
    if not isinstance(pricing, dict):
        return None
    rates = set()
    for unit in (*_list(pricing.get("units")), *_list(pricing.get("variants"))):
        name = (unit.get("name") or unit.get("unit")) if isinstance(unit, dict) else None
        if name not in _PICTURE_UNITS:
            return None
        # `per` units cost `price`, and `per` differs between models.
        price, per = number_of(unit.get("price")), number_of(unit.get("per", 1))
        if price is None or not per:
            return None
        rates.add(round(price / per, 9))
    return amount_of(rates.pop()) if len(rates) == 1 else None  # a quotient may be infinite


def read_logs(body: bytes) -> tuple[list[LogRow], bool] | None:
    """Rows on one page of the log and True if another page follows; None if this is not a page of a log."""
    page = read_object(body)
    rows, pagination = page.get("data"), page.get("pagination")
    if not isinstance(rows, list):
        return None
    more = bool(rows) and isinstance(pagination, dict) and pagination.get("has_more") is True
    return [_log_row(row) for row in rows if isinstance(row, dict)], more


def _log_row(row: dict[str, Any]) -> LogRow:
    cost = cost if isinstance(cost := row.get("cost"), dict) else {}
    usd, credits = amount_of(cost.get("usd")), amount_of(cost.get("credits"), CREDITS_PER_USD)
    id_, status = (
        value if isinstance(value := row.get(name), str) else "" for name in ("client_request_id", "status")
    )
    return LogRow(id_ or None, status, usd if usd is not None else credits or 0.0)


def log_period(since: datetime | None, now: datetime) -> str:
    """Window of the log that reaches back to `since` by the service's own clock, such as `25h`.

    Args:
        since: the earliest moment of interest, in local time if it has no time zone; None means a day ago.
        now: the present, with its time zone.
    """
    back = (now - since.astimezone(UTC)).total_seconds() if since is not None else 86_400.0
    # An hour more, since clocks differ.
    return f"{min(max(math.ceil(back / 3600), 0) + 1, LOG_DAYS * 24)}h"


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
