"""Options of one run, checked before anything happens."""

from __future__ import annotations

from concurrent.futures import Executor
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final, Literal

from kontext_lab.errors import ConfigError, WrongType
from kontext_lab.runner import Pacing

__all__ = ["UNSET", "Reuse", "RunOptions", "SkipOrResend", "Unset", "given_options", "is_number"]

Reuse = Literal["always", "never"]
SkipOrResend = Literal["skip", "resend"]


class Unset(Enum):
    """The default of options that a call leaves to its lab."""

    UNSET = "unset"

    def __repr__(self) -> str:
        return "the lab's"


UNSET: Final = Unset.UNSET


@dataclass(frozen=True)
class RunOptions:
    """Options of one run; `Lab.plan` describes each."""

    budget: float | None = None
    reuse: Reuse = "always"
    in_doubt: SkipOrResend = "skip"
    missing: SkipOrResend = "skip"
    retry_failed: bool = False
    limit: int | None = None
    concurrency: int = 4
    executor: Executor | None = None
    measure: bool = True
    pause_after: int = 5
    pacing: Pacing = field(default_factory=Pacing)

    def __post_init__(self) -> None:
        dask = type(self.executor).__module__.partition(".")[0] == "distributed"
        executors = "a concurrent.futures.Executor" + (
            "; client.get_executor() is one of a Dask client" * dask
        )
        concurrent = is_number(self.concurrency) and 1 <= self.concurrency <= 64
        is_budget = self.budget is None or is_number(self.budget, int | float)
        is_executor = self.executor is None or isinstance(self.executor, Executor)
        checks: list[tuple[str, bool, Any, str]] = [
            ("budget", is_budget, int | float, "US dollars, 0 or more"),
            ("reuse", self.reuse in ("always", "never"), str, "always or never"),
            ("in_doubt", self.in_doubt in ("skip", "resend"), str, "skip or resend"),
            ("missing", self.missing in ("skip", "resend"), str, "skip or resend"),
            ("retry_failed", isinstance(self.retry_failed, bool), bool, "True or False"),
            ("limit", self.limit is None or is_number(self.limit), int, "a whole number, 0 or more"),
            ("concurrency", concurrent, int, "1 to 64"),
            ("executor", is_executor, Executor, executors),
            ("measure", isinstance(self.measure, bool), bool, "True or False"),
            ("pause_after", is_number(self.pause_after), int, "a whole number, 0 for never"),
            ("pacing", isinstance(self.pacing, Pacing), Pacing, "a kontext_lab.runner.retry_policy.Pacing"),
        ]
        for name, is_allowed, kind, allowed in checks:
            if not is_allowed:
                value = getattr(self, name)
                error = ConfigError if isinstance(value, kind) else WrongType
                raise error(f"{name} must be {allowed}, not {value!r:.60}")


def given_options(**options: Any) -> dict[str, Any]:
    """The options of a call that are set, by name; the others are the lab's."""
    return {name: value for name, value in options.items() if value is not UNSET}


def is_number(value: Any, kinds: Any = int) -> bool:
    """True for a number of these kinds, 0 or more."""
    return isinstance(value, kinds) and not isinstance(value, bool) and bool(value >= 0)
