"""What one call of `run` may set, checked before anything happens."""

from __future__ import annotations

from concurrent.futures import Executor
from dataclasses import dataclass, field, fields, replace
from typing import Any

from kontext_lab.errors import ConfigError, meant
from kontext_lab.runner.retry_policy import Pacing

__all__ = ["RunOptions"]

_CHOICES = {"reuse": ("always", "never"), "in_doubt": ("skip", "resend"), "missing": ("skip", "resend")}


@dataclass(frozen=True)
class RunOptions:
    """What one call of `run` may set differently from its lab.

    Attributes:
        budget: US dollars this call may spend; None for no limit.
        reuse: `always` takes pictures that were paid for before, `never` sends everything anew.
        in_doubt: `skip` leaves requests whose answer was lost, `resend` sends them again.
        missing: `skip` leaves cells that were paid for and whose pictures are not in the store any more, `resend`
            sends them again.
        retry_failed: send those again that were billed without a picture.
        limit: send at most this many requests.
        concurrency: requests at once.
        executor: any `concurrent.futures.Executor`; threads of our own where it is None.
        measure: measure every picture once it is safe; the end of a run waits for that, a stop doesn't.
        pause_after: outcomes in a row that are billed without a picture, or refused alike, after which the run
            stops; 0 for never.
        pacing: what is tried again, and how long to wait.
    """

    budget: float | None = None
    reuse: str = "always"
    in_doubt: str = "skip"
    missing: str = "skip"
    retry_failed: bool = False
    limit: int | None = None
    concurrency: int = 4
    executor: Executor | None = None
    measure: bool = True
    pause_after: int = 5
    pacing: Pacing = field(default_factory=Pacing)

    def __post_init__(self) -> None:
        for name, allowed in _CHOICES.items():
            if getattr(self, name) not in allowed:
                raise ConfigError(f"{name}: {getattr(self, name)!r}, allowed are {' and '.join(allowed)}")
        if not isinstance(self.concurrency, int) or not 1 <= self.concurrency <= 64:
            raise ConfigError(f"concurrency: {self.concurrency!r}, allowed are 1 to 64")
        if self.budget is not None and not (isinstance(self.budget, int | float) and self.budget >= 0):
            raise ConfigError(f"budget: {self.budget!r}, allowed are US dollars, 0 or more")
        if (
            not isinstance(self.pause_after, int)
            or isinstance(self.pause_after, bool)
            or self.pause_after < 0
        ):
            raise ConfigError(f"pause_after: {self.pause_after!r}, allowed is a whole number, 0 for never")
        if not isinstance(self.measure, bool):
            raise ConfigError(f"measure: {self.measure!r:.60}, allowed are True and False")
        if not isinstance(self.pacing, Pacing):
            raise ConfigError(
                f"pacing: {self.pacing!r:.60}, allowed is a kontext_lab.runner.retry_policy.Pacing"
            )
        given: object = self.executor
        if given is not None and not isinstance(given, Executor):
            dask = type(given).__module__.partition(".")[0] == "distributed"
            way = "; of a Dask client that is client.get_executor()" if dask else ""
            raise ConfigError(f"executor: {given!r:.60}, allowed is a concurrent.futures.Executor{way}")
        if self.limit is not None and not (isinstance(self.limit, int) and self.limit >= 0):
            raise ConfigError(f"limit: {self.limit!r}, allowed is a whole number, 0 or more")

    def replace(self, changes: dict[str, Any]) -> RunOptions:
        """A changed copy.

        Raises:
            ConfigError: no such option, or a value that can't be.
        """
        known = [one.name for one in fields(self)]
        for name in changes:
            if name not in known:
                raise ConfigError(f"{name}: no such option, {meant(name, known)}there are {', '.join(known)}")
        return replace(self, **changes)
