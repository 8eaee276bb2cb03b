"""What the service's optional addresses say: balance, price of a model, rows of its log.

Pure functions from an answer's body to plain values, None wherever it is not what was expected: none of these
addresses is needed for the work.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from kontext_lab.client.answers import CREDITS_PER_USD, amount_of, number_of
from kontext_lab.client.broken_json import read_object

__all__ = ["LOG_DAYS", "LogRow", "log_period", "read_balance", "read_logs", "read_price"]

LOG_DAYS = 92
"""The longest window of the service's log."""

_PICTURE_UNITS = frozenset(("image", "images", "picture", "generation", "request"))


@dataclass(frozen=True)
class LogRow:
    """One past call as the service's log tells it.

    Attributes:
        client_request_id: the id sent along with it, or None.
        status: `succeeded` or `failed`.
        cost_usd: what it was billed; 0 for a failed one.
        inference_id: the service's id of the work, or None.
        request_id: the service's id of the HTTP call, or None.
        model: the model's id.
        created: when it was made, or None.
    """

    client_request_id: str | None
    status: str
    cost_usd: float = 0.0
    inference_id: str | None = None
    request_id: str | None = None
    model: str = ""
    created: datetime | None = None

    @property
    def succeeded(self) -> bool:
        """The call was delivered and billed."""
        return self.status == "succeeded"


def read_balance(body: bytes) -> float | None:
    """US dollars left, which may be less than none, or None."""
    balance = _object(body).get("current_balance")
    if isinstance(balance, bool) or not isinstance(balance, int | float):
        return None
    return float(balance) if abs(balance) < 1e12 else None


def read_price(body: bytes, model_id: str) -> float | None:
    """US dollars per picture as the service's catalogue tells it, or None where it isn't sure."""
    listed = _object(body).get("data")
    for model in listed if isinstance(listed, list) else []:
        if isinstance(model, dict) and model_id in (model.get("id"), *_list(model.get("aliases"))):
            pricing = model.get("pricing")
            return _picture_price(pricing) if isinstance(pricing, dict) else None
    return None


def _picture_price(pricing: dict[str, Any]) -> float | None:
    """The one rate per picture; `price` is what `per` units cost, and `per` differs between models."""
    rates = set()
    for unit in (*_list(pricing.get("units")), *_list(pricing.get("variants"))):
        name = (unit.get("name") or unit.get("unit")) if isinstance(unit, dict) else None
        if not isinstance(name, str) or name not in _PICTURE_UNITS:
            return None
        price, per = number_of(unit.get("price")), number_of(unit.get("per", 1))
        if price is None or not per:
            return None
        rates.add(round(price / per, 9))
    return amount_of(rates.pop()) if len(rates) == 1 else None  # a quotient may be without end


def read_logs(body: bytes) -> tuple[list[LogRow], bool] | None:
    """One page of the log and whether another follows, or None where it is no page of a log."""
    found = _object(body)
    listed, pages = found.get("data"), found.get("pagination")
    if not isinstance(listed, list):
        return None
    more = bool(listed) and isinstance(pages, dict) and pages.get("has_more") is True
    return [_row(one) for one in listed if isinstance(one, dict)], more


def _row(row: dict[str, Any]) -> LogRow:
    cost = row.get("cost")
    cost = cost if isinstance(cost, dict) else {}
    usd, credits = amount_of(cost.get("usd")), amount_of(cost.get("credits"), CREDITS_PER_USD)
    return LogRow(
        client_request_id=_text(row.get("client_request_id")),
        status=_text(row.get("status")) or "",
        cost_usd=usd if usd is not None else credits or 0.0,
        inference_id=_text(row.get("inference_id")),
        request_id=_text(row.get("request_id")),
        model=_text(row.get("model")) or "",
        created=_time(row.get("created")),
    )


def log_period(since: datetime | None, now: datetime) -> str:
    """The window to ask the log for: `25h` reaches back to `since`, by the service's own clock.

    Args:
        since: the earliest moment of interest, in local time if it names no zone; None means a day ago.
        now: the present, with its time zone.
    """
    back = (now - since.astimezone(UTC)).total_seconds() if since is not None else 86_400.0
    # An hour more, since clocks differ.
    return f"{min(max(math.ceil(back / 3600), 0) + 1, LOG_DAYS * 24)}h"


def _object(body: bytes) -> dict[str, Any]:
    return read_object(body.decode("utf-8", "replace")) or {}


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _time(value: object) -> datetime | None:
    try:
        when = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
    return when.replace(tzinfo=UTC) if when is not None and when.tzinfo is None else when
