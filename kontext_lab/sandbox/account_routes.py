"""What the service tells about an account and its models: prices, balance, log.

Pure functions over the ledger and query parameters, written from the provider's published schemas. They must
not know HTTP beyond the multi-valued parameters.

`GET /v2/logs` wants either `period` ("24h", "7d") or both `start` and `end` (ISO 8601, at most 92 days);
`limit` is 1–100 (50), `offset` from 0, `status` (succeeded, failed) and `model` may be repeated and are not
split at commas. Rows come newest first.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from werkzeug.datastructures import MultiDict

from kontext_lab.sandbox.billing import Ledger
from kontext_lab.sandbox.replies import CREDITS_PER_USD

__all__ = ["AccountError", "billing", "log_page", "models"]

_MAX_WINDOW_S: Final = 92 * 86400
_PERIOD: Final = re.compile(r"([1-9]\d{0,5})([hd])")
_NAMES: Final = {
    "flux/kontext-pro/image-to-image": "FLUX.1 Kontext [pro]",
    "flux/kontext-max/image-to-image": "FLUX.1 Kontext [max]",
}


class AccountError(ValueError):
    """A query parameter that the service refuses; the message says which."""


def billing(ledger: Ledger) -> dict[str, Any]:
    """The answer of `GET /v2/billing`."""
    return {"current_balance": ledger.balance_credits / CREDITS_PER_USD, "currency": "USD"}


def models(prices: Mapping[str, float], query: MultiDict[str, str]) -> dict[str, Any]:
    """The answer of `GET /v1/models`: filtered by `id`, prices only if `include` asks for them."""
    wanted = {name.lower() for name in _listed(query, "id")}
    include = set(_listed(query, "include"))
    if query.get("details") == "true":
        include.add("all")
    data = []
    for name, price in prices.items():
        if wanted and name.lower() not in wanted:
            continue
        entry: dict[str, Any] = {
            "id": name,
            "aliases": [],
            "type": "openai/image-generations",
            "info": {"name": _NAMES.get(name, name), "developer": "Flux"},
            "tags": [],
        }
        if include & {"pricing", "all"}:
            unit = {"name": "image", "content": "image", "origin": "generated", "price": price, "per": 1}
            entry["pricing"] = {"kind": "fixed", "units": [unit]}
        data.append(entry)
    return {"object": "list", "data": data}


def _listed(query: MultiDict[str, str], name: str) -> list[str]:
    """Values of a parameter that may be repeated or separated by commas."""
    return [part.strip() for value in query.getlist(name) for part in value.split(",") if part.strip()]


def log_page(ledger: Ledger, query: MultiDict[str, str]) -> dict[str, Any]:
    """The answer of `GET /v2/logs`.

    Raises:
        AccountError: A parameter is missing or wrong.
    """
    start, end = _window(query)
    limit = _whole(query, "limit", 50, 1, 100)
    offset = _whole(query, "offset", 0, 0, None)
    statuses = query.getlist("status")
    if any(status not in ("succeeded", "failed") for status in statuses):
        raise AccountError("status must be succeeded or failed")
    rows = ledger.rows(start, end, statuses, query.getlist("model"))
    return {
        "data": [row.to_json() for row in rows[offset : offset + limit]],
        "pagination": {
            "limit": limit,
            "offset": offset,
            "total": len(rows),
            "has_more": offset + limit < len(rows),
        },
    }


def _window(query: MultiDict[str, str]) -> tuple[float, float]:
    period, start, end = query.get("period"), query.get("start"), query.get("end")
    if period is not None and start is None and end is None:
        match = _PERIOD.fullmatch(period)
        if match is None:
            raise AccountError("period must be a positive integer followed by h or d")
        seconds = int(match[1]) * (3600 if match[2] == "h" else 86400)
        if seconds > _MAX_WINDOW_S:
            raise AccountError("the window must not exceed 92 days")
        # Open at the end: a row that appears while the question is asked belongs to it.
        return time.time() - seconds, time.time() + 60
    if period is not None or start is None or end is None:
        raise AccountError("provide either period or both start and end")
    first, last = _instant("start", start), _instant("end", end)
    if last < first:
        raise AccountError("end must not be earlier than start")
    if last - first > _MAX_WINDOW_S:
        raise AccountError("the window must not exceed 92 days")
    return first, last


def _instant(name: str, text: str) -> float:
    try:
        # A plus sign that was not escaped arrives as a space.
        moment = datetime.fromisoformat(text.replace(" ", "+") if "T" in text else text)
    except ValueError:
        raise AccountError(f"{name} must be an ISO 8601 date") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _whole(query: MultiDict[str, str], name: str, default: int, low: int, high: int | None) -> int:
    text = query.get(name)
    if text is None:
        return default
    if not text.isdecimal() or int(text) < low or (high is not None and int(text) > high):
        raise AccountError(f"{name} must be a whole number from {low}" + (f" to {high}" if high else ""))
    return int(text)
