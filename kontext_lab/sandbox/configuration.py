"""The settings of a sandbox as one checked value.

Plain data: shared by the server, the service and the command line. It must not know what they do with it.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, Literal, get_args

from kontext_lab.sandbox.faults import FaultSpec
from kontext_lab.sandbox.replies import Shape

__all__ = ["DEFAULT_PRICES", "Settings"]

DEFAULT_PRICES: Final[Mapping[str, float]] = MappingProxyType(
    {"flux/kontext-pro/image-to-image": 0.052, "flux/kontext-max/image-to-image": 0.104}
)


@dataclass(frozen=True)
class Settings:
    """How a sandbox behaves; `Sandbox` describes each setting."""

    shape: Shape = "legacy"
    latency: float = 0.0
    faults: Mapping[str, float] | Sequence[FaultSpec] = ()
    seed: int = 0
    balance: float = 100.0
    prices: Mapping[str, float] = field(default_factory=lambda: DEFAULT_PRICES)
    log_delay: float = 0.0
    concurrency: int | None = None
    keys: Collection[str] | None = None
    url_lifetime: float = 3600.0
    envelope: Literal["new", "old"] = "new"
    fetch: bool = False

    def __post_init__(self) -> None:
        if self.shape not in get_args(Shape):
            raise ValueError(f"shape must be one of {', '.join(get_args(Shape))}, not {self.shape!r}")
        if self.envelope not in ("new", "old"):
            raise ValueError(f"envelope must be new or old, not {self.envelope!r}")
        for name in ("latency", "balance", "log_delay", "url_lifetime"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be a finite number, not negative")
        if self.concurrency is not None and self.concurrency < 1:
            raise ValueError("concurrency must be at least 1")
        if isinstance(self.keys, str):
            raise ValueError("keys is a set of keys, not one key")
