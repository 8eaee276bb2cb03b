"""The ledger of a sandbox: its calls, bill, balance, reservations and the service's log.

Thread-safe bookkeeping only. It must not know HTTP, pictures or how a fault is acted out. Money is kept in
whole credits (2,000,000 to the dollar), so sums are exact.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Final

from kontext_lab.sandbox.replies import CREDITS_PER_USD

__all__ = ["Call", "KeyLeak", "Ledger", "LedgerRow", "to_credits"]

_SETTLE_S: Final = 2.0  # how long a reader waits for answers that are just being written


def to_credits(usd: float | str | Decimal) -> int:
    """Convert dollars to whole credits, rounded half up."""
    return int((Decimal(str(usd)) * CREDITS_PER_USD).to_integral_value(ROUND_HALF_UP))


@dataclass(frozen=True)
class Call:
    """One generation request and its outcome.

    Attributes:
        number: order of arrival, from 1.
        client_request_id: the well-formed `X-Client-Request-Id` it carried, if any.
        request_id: the service's id of the HTTP call.
        inference_id: the service's id of the work.
        body: the request's JSON with picture data replaced by `sha256:…`.
        references: SHA-256 of each reference's bytes, in order; of a stand-in, of its pixels.
        stand_ins: the addresses that got a stand-in photograph, without passwords and query values.
        unknown_keys: keys of the body that the service does not know.
        headers: request headers, names in lower case, without Authorization.
        status: HTTP status of the answer; None while under way or if the connection was cut without one.
        billed_usd: its cost.
        delivered: True if the whole answer was written to a client that was still there.
        outputs: SHA-256 of each picture made, before any damage done to its download.
        fault: name of the fault that struck, if any.
        received: time of arrival, seconds since the epoch.
        answered: time at which its answer was finished or cut; None while under way.
    """

    number: int
    request_id: str
    inference_id: str
    client_request_id: str | None = None
    body: Mapping[str, Any] = field(default_factory=dict)
    references: tuple[str, ...] = ()
    stand_ins: tuple[str, ...] = ()
    unknown_keys: tuple[str, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    status: int | None = None
    billed_usd: float = 0.0
    delivered: bool = False
    outputs: tuple[str, ...] = ()
    fault: str | None = None
    received: float = 0.0
    answered: float | None = None

    def to_json(self) -> dict[str, Any]:
        """All fields as JSON-ready data."""
        return asdict(self)


@dataclass(frozen=True)
class KeyLeak:
    """An Authorization header that reached the picture host. The key itself is not kept."""

    path: str
    scheme: str
    received: float


@dataclass(frozen=True)
class LedgerRow:
    """One row of the service's log, shown from `visible` on."""

    created: float
    visible: float
    succeeded: bool
    model: str
    credits: int
    request_id: str
    inference_id: str
    client_request_id: str | None

    def to_json(self) -> dict[str, Any]:
        """The row as `GET /v2/logs` shows it."""
        stamp = datetime.fromtimestamp(self.created, UTC).isoformat(timespec="milliseconds")
        return {
            "created": stamp.replace("+00:00", "Z"),
            "status": "succeeded" if self.succeeded else "failed",
            "origin": "api",
            "model": self.model,
            "cost": {"usd": self.credits / CREDITS_PER_USD, "credits": self.credits},
            "tokens": {"input": 0, "output": 0, "total": 0},
            "request_id": self.request_id,
            "inference_id": self.inference_id,
            "client_request_id": self.client_request_id,
        }


class Ledger:
    """Calls, counters, bill and log of one sandbox."""

    def __init__(self, balance: float, log_delay: float = 0.0, concurrency: int | None = None) -> None:
        self._changed = threading.Condition()
        self._balance = to_credits(balance)
        self._log_delay = log_delay
        self._concurrency = concurrency
        self._calls: list[Call] = []
        self._writing: set[int] = set()
        self._rows: list[LedgerRow] = []
        self._leaks: list[KeyLeak] = []
        self._billed = 0
        self._reserved = 0
        self._open = 0
        self._most_open = 0
        self._working = 0

    def open(self, call: Call) -> Call:
        """Record an arriving call; it counts as in flight until `close`."""
        with self._changed:
            call = replace(call, number=len(self._calls) + 1, received=time.time())
            self._calls.append(call)
            self._open += 1
            self._most_open = max(self._most_open, self._open)
            return call

    def update(self, number: int, **changes: Any) -> None:
        """Fill in fields of a recorded call."""
        with self._changed:
            self._calls[number - 1] = replace(self._calls[number - 1], **changes)

    def close(self, number: int, status: int | None, *, writing: bool) -> None:
        """Count a call as no longer in flight; `settle` must follow. `writing`: its answer is written now."""
        with self._changed:
            self._calls[number - 1] = replace(self._calls[number - 1], status=status)
            self._open -= 1
            if writing:
                self._writing.add(number)

    def settle(self, number: int, delivered: bool) -> None:
        """Record that the answer was written, or that the connection is gone."""
        with self._changed:
            done = replace(self._calls[number - 1], delivered=delivered, answered=time.time())
            self._calls[number - 1] = done
            self._writing.discard(number)
            self._changed.notify_all()

    def calls(self) -> list[Call]:
        """Return the calls in order of arrival.

        A client can hold its whole answer a moment before the sandbox has noted that it was delivered, so
        this waits shortly for answers that are being written.
        """
        with self._changed:
            self._changed.wait_for(lambda: not self._writing, _SETTLE_S)
            return list(self._calls)

    @property
    def in_flight(self) -> int:
        """Generation requests that are being worked on or about to be refused; a lost answer is not."""
        with self._changed:
            return self._open

    @property
    def max_in_flight(self) -> int:
        """The most requests that were ever in flight at once."""
        with self._changed:
            return self._most_open

    def start_work(self) -> bool:
        """Take one of the account's places for work; False if all are taken."""
        with self._changed:
            if self._concurrency is not None and self._working >= self._concurrency:
                return False
            self._working += 1
            return True

    def end_work(self) -> None:
        """Give the place back."""
        with self._changed:
            self._working -= 1

    def reserve(self, credits: int) -> bool:
        """Set credits aside before the work; False if the balance does not cover them."""
        with self._changed:
            if self._billed + self._reserved + credits > self._balance:
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
            self._billed += credits
            call = self._calls[number - 1]
            self._calls[number - 1] = replace(call, billed_usd=credits / CREDITS_PER_USD)

    @property
    def billed_credits(self) -> int:
        """The running bill in credits."""
        with self._changed:
            return self._billed

    @property
    def balance_credits(self) -> int:
        """Rest of the balance, in credits."""
        with self._changed:
            return self._balance - self._billed

    def log(self, number: int, *, succeeded: bool, model: str, credits: int) -> None:
        """Write a log row, which shows after the log's delay."""
        with self._changed:
            call = self._calls[number - 1]
            row = LedgerRow(
                created=call.received,
                visible=time.time() + self._log_delay,
                succeeded=succeeded,
                model=model,
                credits=credits,
                request_id=call.request_id,
                inference_id=call.inference_id,
                client_request_id=call.client_request_id,
            )
            self._rows.append(row)

    def rows(
        self, start: float, end: float, statuses: Sequence[str] = (), models: Sequence[str] = ()
    ) -> list[LedgerRow]:
        """Return visible log rows of a time window, newest first. A model matches in full or by its last part."""
        now = time.time()
        with self._changed:
            rows = list(self._rows)
        return [
            row
            for row in sorted(rows, key=lambda row: row.created, reverse=True)
            if row.visible <= now
            and start <= row.created <= end
            and (not statuses or ("succeeded" if row.succeeded else "failed") in statuses)
            and (not models or row.model in models or row.model.partition("/")[2] in models)
        ]

    def leak(self, path: str, scheme: str) -> None:
        """Record that a key was sent to the picture host."""
        with self._changed:
            self._leaks.append(KeyLeak(path, scheme, time.time()))

    def leaks(self) -> list[KeyLeak]:
        """Return all keys that were sent to the picture host, in order."""
        with self._changed:
            return list(self._leaks)
