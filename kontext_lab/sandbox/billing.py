"""The ledger of a sandbox: its calls, bill, balance, reservations and the service's log.

Thread-safe bookkeeping only. It must not know HTTP, pictures or how a fault is acted out. Money is kept in
whole credits (2,000,000 to the dollar), so sums are exact.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal
from operator import itemgetter
from typing import Any, Final

from kontext_lab.sandbox.replies import CREDITS_PER_USD

__all__ = ["Call", "KeyLeak", "Ledger", "to_credits"]

_SETTLE_S: Final = 2.0  # how long a reader waits for answers that are just being written


def to_credits(usd: float | str | Decimal) -> int:
    """Convert dollars to whole credits, rounded half up."""
    return int((Decimal(str(usd)) * CREDITS_PER_USD).to_integral_value(ROUND_HALF_UP))


@dataclass(frozen=True)
class Call:
    """One generation request and its outcome."""

    number: int  # order of arrival, from 1
    request_id: str  # the service's id of the HTTP call
    inference_id: str  # the service's id of the work
    client_request_id: str | None = None  # the well-formed `X-Client-Request-Id` it carried, if any
    # The request's JSON with picture data replaced by `sha256:…`.
    body: Mapping[str, Any] = field(default_factory=dict)
    # SHA-256 of each reference's bytes, in order; of a stand-in, of its pixels.
    references: tuple[str, ...] = ()
    # The addresses that got a stand-in photograph, without passwords and query values.
    stand_ins: tuple[str, ...] = ()
    unknown_keys: tuple[str, ...] = ()  # keys of the body that the service does not know
    # Request headers, names in lower case, without Authorization.
    headers: Mapping[str, str] = field(default_factory=dict)
    # HTTP status of the answer; None while under way or if the connection was cut without one.
    status: int | None = None
    billed_usd: float = 0.0  # its cost
    delivered: bool = False  # true if the whole answer was written to a client that was still there
    outputs: tuple[str, ...] = ()  # SHA-256 of each picture made, before any damage done to its download
    fault: str | None = None  # name of the fault that struck, if any
    received: float = 0.0  # time of arrival, seconds since the epoch
    answered: float | None = None  # time at which its answer was finished or cut; None while under way


@dataclass(frozen=True)
class KeyLeak:
    """An Authorization header that reached the picture host. The key itself is not kept."""

    path: str
    scheme: str
    received: float


class Ledger:
    """Calls, bill and log of one sandbox.

    Attributes:
        in_flight: generation requests that are being worked on or about to be refused; a lost answer is not.
        max_in_flight: the most requests that were ever in flight at once.
        billed: the running bill in credits.
    """

    def __init__(self, balance: float, log_delay: float = 0.0) -> None:
        self.in_flight = self.max_in_flight = self.billed = 0
        self._balance = to_credits(balance)
        self._reserved = 0
        self._log_delay = log_delay
        self._changed = threading.Condition()
        self._calls: list[Call] = []
        self._writing: set[int] = set()
        self._rows: list[tuple[float, float, dict[str, Any]]] = []  # created, visible from, the row
        self._leaks: list[KeyLeak] = []

    @property
    def balance(self) -> int:
        """Rest of the balance, in credits."""
        return self._balance - self.billed

    def open(self, call: Call) -> Call:
        """Record an arriving call; it counts as in flight until `close`."""
        with self._changed:
            call = replace(call, number=len(self._calls) + 1, received=time.time())
            self._calls.append(call)
            self.in_flight += 1
            self.max_in_flight = max(self.max_in_flight, self.in_flight)
            return call

    def update(self, number: int, **changes: Any) -> None:
        """Fill in fields of a recorded call."""
        with self._changed:
            self._calls[number - 1] = replace(self._calls[number - 1], **changes)

    def close(self, number: int, status: int | None, *, writing: bool) -> None:
        """Count a call as no longer in flight; `settle` must follow. `writing`: its answer is written now."""
        with self._changed:
            self.update(number, status=status)
            self.in_flight -= 1
            if writing:
                self._writing.add(number)

    def settle(self, number: int, delivered: bool) -> None:
        """Record that the answer was written, or that the connection is gone."""
        with self._changed:
            self.update(number, delivered=delivered, answered=time.time())
            self._writing.discard(number)
            self._changed.notify_all()

    def calls(self) -> list[Call]:
        """Return the calls in order of arrival.

        Waits shortly for answers that are being written: a client may hold one before its delivery is noted.
        """
        with self._changed:
            self._changed.wait_for(lambda: not self._writing, _SETTLE_S)
            return list(self._calls)

    def reserve(self, credits: int) -> bool:
        """Set credits aside before the work; False if the balance does not cover them."""
        with self._changed:
            if self._reserved + credits > self.balance:
                return False
            self._reserved += credits
            return True

    def release(self, credits: int) -> None:
        """Give reserved credits back after failed work."""
        with self._changed:
            self._reserved -= credits

    def charge(self, number: int, credits: int) -> None:
        """Turn reserved credits into a charge on the bill."""
        with self._changed:
            self._reserved -= credits
            self.billed += credits
            self.update(number, billed_usd=credits / CREDITS_PER_USD)

    def log(self, number: int, *, succeeded: bool, model: str, credits: int) -> None:
        """Write a row of `GET /v2/logs`, which shows after the log's delay."""
        with self._changed:
            call = self._calls[number - 1]
            stamp = datetime.fromtimestamp(call.received, UTC).isoformat(timespec="milliseconds")
            row = {
                "created": stamp.replace("+00:00", "Z"),
                "status": "succeeded" if succeeded else "failed",
                "origin": "api",
                "model": model,
                "cost": {"usd": credits / CREDITS_PER_USD, "credits": credits},
                "tokens": {"input": 0, "output": 0, "total": 0},
                "request_id": call.request_id,
                "inference_id": call.inference_id,
                "client_request_id": call.client_request_id,
            }
            self._rows.append((call.received, time.time() + self._log_delay, row))

    def rows(
        self, start: float, end: float, statuses: Sequence[str] = (), models: Sequence[str] = ()
    ) -> list[dict[str, Any]]:
        """Return visible log rows of a time window, newest first. A model matches in full or by its last part."""
        now = time.time()
        with self._changed:
            rows = sorted(self._rows, key=itemgetter(0), reverse=True)
        return [
            row
            for created, visible, row in rows
            if visible <= now
            and start <= created <= end
            and (not statuses or row["status"] in statuses)
            and (not models or row["model"] in models or row["model"].partition("/")[2] in models)
        ]

    def leak(self, path: str, scheme: str) -> None:
        """Record that a key was sent to the picture host."""
        with self._changed:
            self._leaks.append(KeyLeak(path, scheme, time.time()))

    def leaks(self) -> list[KeyLeak]:
        """Return all keys that were sent to the picture host, in order."""
        with self._changed:
            return list(self._leaks)
