"""Answers of the service's optional addresses: balance, price of a model, rows of its log.

Pure functions from an answer's body to plain values. Anything unexpected reads as None, since the work needs none of
these addresses.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any

from kontext_lab.client.answers import CREDITS_PER_USD, amount_of, number_of, read_object
from kontext_lab.request.attempt import BillingOutcome

__all__ = ["LOG_DAYS", "log_period", "read_balance", "read_logs", "read_price"]

LOG_DAYS = 92  # the longest window of the service's log
_PICTURE_UNITS = ("image", "images", "picture", "generation", "request")


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


def read_logs(body: bytes) -> tuple[dict[str, BillingOutcome], bool] | None:
    """Outcomes on one page of the log by client request id, and True if another page follows.

    None if this is not a page of a log. Rows without an id or a final status are left out.
    """
    page = read_object(body)
    rows, pagination = page.get("data"), page.get("pagination")
    if not isinstance(rows, list):
        return None
    outcomes = {}
    for row in rows:
        id_ = row.get("client_request_id") if isinstance(row, dict) else None
        if isinstance(id_, str) and id_ and row.get("status") in ("succeeded", "failed"):
            cost = cost if isinstance(cost := row.get("cost"), dict) else {}
            usd, credits = amount_of(cost.get("usd")), amount_of(cost.get("credits"), CREDITS_PER_USD)
            usd = usd if usd is not None else credits or 0.0
            outcomes[id_] = BillingOutcome(row["status"] == "succeeded", usd)
    return outcomes, bool(rows) and isinstance(pagination, dict) and pagination.get("has_more") is True


def log_period(since: datetime | None, now: datetime) -> str:
    """Window of the log from `since`, by default a day ago, by the service's own clock, such as `25h`."""
    back = (now - since.astimezone(UTC)).total_seconds() if since is not None else 86_400.0
    # An hour more, since clocks differ.
    return f"{min(max(math.ceil(back / 3600), 0) + 1, LOG_DAYS * 24)}h"


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
