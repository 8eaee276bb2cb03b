"""Faults as values: one `Fault` per mishap, named presets, and the plan that gives them to requests.

This module chooses the fault of each request and checks that faults are valid. It must not know HTTP, sockets or
pictures: service, hosting and HTTP server read a fault's fields and act on them.
"""

from __future__ import annotations

import random
import threading
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Final, Literal

__all__ = ["FAULTS", "KINDS", "NO_FAULT", "Envelope", "Fault", "FaultPlan", "FaultSpec"]

Envelope = Literal["new", "old", "html", "text", "empty"]

# kind -> values of `where`; the first one is the default.
KINDS: Final[dict[str, tuple[str, ...]]] = {
    "none": ("",),
    "error": ("", "credits"),
    "lost": ("",),
    "cut_before": ("reset", "close"),
    "cut_after": ("reset", "close", "middle", "late"),
    "slow": ("",),
    "moderated": ("",),
    "no_picture": ("",),
    "black": ("",),
    "unreadable": ("shape", "text"),
    "b64": ("b64_json", "image_base64"),
    "missing_one": ("fewer", "black"),
    "truncated": ("bytes", "connection"),
    "corrupt": ("bytes", "html"),
    "expired": ("",),
    "download_5xx": ("",),
    "download_redirect": ("path", "host"),
    "download_huge": ("length", "stream"),
    "download_slow": ("",),
}
_PROXY_ENVELOPES: Final = ("html", "text", "empty")
_UNBILLED_KINDS: Final = ("error", "cut_before")


@dataclass(frozen=True)
class Fault:
    """One thing that goes wrong with one generation request or with the download of its pictures."""

    kind: str  # one of `KINDS`
    status: int | None = None  # HTTP status of an `error`, `expired` or `download_5xx`
    # Body of an `error`: the service's own ("new", "old") or a proxy's; None takes the sandbox's setting.
    envelope: Envelope | None = None
    retry_after: float | str | None = None  # value of a Retry-After header (seconds or an HTTP date)
    # Extra wait before the answer; for `lost` how long the connection is held at most.
    seconds: float | None = None
    where: str | None = None  # the variant of the kind, see `KINDS`
    times: int = 1  # number of failing downloads, or of redirects in a row
    picture: int | None = None  # number of the affected picture, from 1; None means every picture
    billed: bool | None = None  # true if the request is charged; None follows the contract for its kind
    logged: bool | None = None  # true if the service's log ever shows the request; None follows the kind

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"unknown fault kind {self.kind!r}; known: {', '.join(KINDS)}")
        if self.kind == "error" and self.status is None:
            raise ValueError("an error fault needs a status from 400 to 599")
        if self.status is not None and not 400 <= self.status <= 599:
            raise ValueError("status must be from 400 to 599")
        if self.status is not None and self.kind not in ("error", "expired", "download_5xx"):
            raise ValueError(f"a fault of kind {self.kind!r} takes no status")
        if self.where is not None and self.where not in KINDS[self.kind]:
            allowed = ", ".join(repr(name) for name in KINDS[self.kind])
            raise ValueError(f"fault {self.kind!r} knows where={allowed}, not {self.where!r}")
        if self.envelope not in (None, "new", "old", *_PROXY_ENVELOPES):
            raise ValueError(f"unknown envelope {self.envelope!r}")
        if self.seconds is not None and not self.seconds >= 0:
            raise ValueError("seconds must not be negative")
        if self.times < 1 or (self.picture is not None and self.picture < 1):
            raise ValueError("times and picture count from 1")

    @property
    def variant(self) -> str:
        """The variant in force: `where`, or the kind's first."""
        return self.where if self.where is not None else KINDS[self.kind][0]

    @property
    def from_proxy(self) -> bool:
        """True if the error page comes from a proxy in front of the service, without its envelope."""
        return self.kind == "error" and self.envelope in _PROXY_ENVELOPES

    @property
    def is_billed(self) -> bool:
        """True if the work is done and charged despite the fault."""
        return self.billed if self.billed is not None else self.kind not in _UNBILLED_KINDS

    @property
    def is_logged(self) -> bool:
        """True if the service's log shows the request: not if it never reached the service."""
        if self.logged is not None:
            return self.logged
        return self.is_billed or not (self.kind == "cut_before" or self.from_proxy)

    def strikes(self, picture: int) -> bool:
        """True if picture number `picture` (from 1) is affected."""
        return self.picture is None or self.picture == picture

    def to_json(self) -> dict[str, Any]:
        """Return the fields that differ from their defaults, for the control address."""
        values = {field: getattr(self, field.name) for field in fields(self)}
        return {field.name: value for field, value in values.items() if value != field.default}


NO_FAULT: Final = Fault("none")
FAULTS: Final[dict[str, Fault]] = {
    "bad_request": Fault("error", status=400),
    "unauthorized": Fault("error", status=401),
    "out_of_credits": Fault("error", status=403, where="credits"),
    "forbidden": Fault("error", status=403),
    "blocked": Fault("error", status=403, envelope="text"),
    "not_found": Fault("error", status=404),
    "too_large": Fault("error", status=413),
    "rate_limited": Fault("error", status=429),
    "rate_limited_wait": Fault("error", status=429, retry_after=1),
    "server_error": Fault("error", status=500),
    "bad_gateway": Fault("error", status=502),
    "unavailable": Fault("error", status=503),
    "generation_timeout": Fault("error", status=504),
    # A proxy's page does not show the work behind it: the first two were billed, the next two never arrived.
    "proxy_timeout": Fault("error", status=504, envelope="html", billed=True),
    "proxy_524": Fault("error", status=524, envelope="text", billed=True),
    "proxy_bad_gateway": Fault("error", status=502, envelope="html"),
    "proxy_empty": Fault("error", status=502, envelope="empty"),
    "lost": Fault("lost"),
    "lost_failed": Fault("lost", billed=False),
    "cut_before": Fault("cut_before"),
    "cut_before_close": Fault("cut_before", where="close"),
    "cut_after": Fault("cut_after"),
    "cut_after_close": Fault("cut_after", where="close"),
    # In the middle of a picture's address, and behind the last one.
    "cut_middle": Fault("cut_after", where="middle"),
    "cut_late": Fault("cut_after", where="late"),
    "slow": Fault("slow", seconds=1.0),
    "moderated": Fault("moderated"),
    "no_picture": Fault("no_picture"),
    "black": Fault("black"),
    "unreadable": Fault("unreadable"),
    "not_json": Fault("unreadable", where="text"),
    "b64": Fault("b64"),
    "image_base64": Fault("b64", where="image_base64"),
    "missing_one": Fault("missing_one"),
    "missing_one_black": Fault("missing_one", where="black"),
    "truncated": Fault("truncated"),
    "download_cut": Fault("truncated", where="connection"),
    "corrupt": Fault("corrupt"),
    "html_picture": Fault("corrupt", where="html"),
    "expired": Fault("expired", status=404),
    "expired_403": Fault("expired", status=403),
    "expired_410": Fault("expired", status=410),
    "download_5xx": Fault("download_5xx", status=503, times=2),
    "download_redirect": Fault("download_redirect"),
    "download_redirect_host": Fault("download_redirect", where="host"),
    "download_redirect_loop": Fault("download_redirect", times=1000),
    "download_huge": Fault("download_huge"),
    "download_endless": Fault("download_huge", where="stream"),
    "download_slow": Fault("download_slow", seconds=1.0),
}

FaultSpec = Fault | str | Mapping[str, Any] | None


def as_fault(spec: FaultSpec) -> Fault:
    """Read a fault: a `Fault`, a preset's name, a JSON object or None (behave); raises `ValueError` for another."""
    if spec is None:
        return NO_FAULT
    if isinstance(spec, Fault):
        return spec
    if isinstance(spec, str):
        if spec not in FAULTS:
            raise ValueError(f"unknown fault {spec!r}; known: {', '.join(FAULTS)}")
        return FAULTS[spec]
    try:
        return Fault(**spec)
    except TypeError as error:
        raise ValueError(f"not a fault: {error}") from None


def name_of(fault: Fault) -> str:
    """Return the preset's name of a fault, or its kind if it is not a preset."""
    return next((name for name, preset in FAULTS.items() if preset == fault), fault.kind)


class FaultPlan:
    """The fault, or `NO_FAULT`, of each arriving request: first by the script, then by probability.

    Draws depend only on the seed and on the order of arrival, so a run can be repeated.
    """

    def __init__(self, faults: Mapping[str, float] | Sequence[FaultSpec] = (), seed: int = 0) -> None:
        self._lock = threading.Lock()
        self._script: deque[Fault] = deque()
        self._chances: tuple[tuple[Fault, float], ...] = ()
        self._seed = seed
        self._dealt = 0
        self.set(faults)

    def set(self, faults: Mapping[str, float] | Iterable[FaultSpec]) -> None:
        """Replace the probabilities by preset name, or the script: faults of the next requests, in order of arrival.

        Raises `ValueError` for an unknown fault, and for probabilities outside 0-1 or adding up to more than 1.
        """
        if not isinstance(faults, Mapping):
            script = deque(as_fault(spec) for spec in faults)
            with self._lock:
                self._script = script
            return
        drawn: list[tuple[Fault, float]] = []
        for name, chance in faults.items():
            fault = as_fault(name)
            if isinstance(chance, bool) or not 0 <= chance <= 1:
                raise ValueError(f"the probability of {name!r} must be from 0 to 1")
            drawn.append((fault, float(chance)))
        if sum(chance for _, chance in drawn) > 1 + 1e-9:
            raise ValueError("the probabilities add up to more than 1")
        with self._lock:
            self._chances = tuple(drawn)

    def next(self) -> Fault:
        """Return the fault of the request that just arrived."""
        with self._lock:
            self._dealt += 1
            if self._script:
                return self._script.popleft()
            draw = random.Random(f"{self._seed}:{self._dealt}").random()
            for fault, chance in self._chances:
                if draw < chance:
                    return fault
                draw -= chance
            return NO_FAULT

    def to_json(self) -> dict[str, Any]:
        """Return the remaining script and the probabilities, for the control address."""
        with self._lock:
            return {
                "script": [None if fault == NO_FAULT else fault.to_json() for fault in self._script],
                "probabilities": {name_of(fault): chance for fault, chance in self._chances},
            }
