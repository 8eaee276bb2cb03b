"""Retry and rate policy: retried failures, waiting times, number of requests at once.

Pure: reads no clock and sends nothing; the caller passes events and times.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

from kontext_lab.errors import ConfigError, RateLimited, RetryLater, ServiceError

__all__ = ["Pacing", "Throttle"]

GENERATION_TIMEOUT = 504


@dataclass(frozen=True)
class Pacing:
    """Retries and waiting times of a run.

    Attributes:
        attempts: at one request, the first included.
        seconds: most seconds one request spends waiting between its attempts.
        first: seconds before the second attempt; they double from there, with as much again at random.
        longest: most seconds between two attempts, unless the service asks for more.
        heed: most seconds of a Retry-After that are waited.
        timeouts: attempts at a request whose generation timed out inside the service.
        downloads: attempts at the pictures of one answer.
        fetching: seconds of attempts and waits after which an answer's pictures are not fetched again for now.
        asks: seconds after a lost answer at which the service's log is asked about it.
        store: seconds before the store is tried again after a failure; they double up to a minute.
    """

    attempts: int = 6
    seconds: float = 90.0
    first: float = 1.0
    longest: float = 30.0
    heed: float = 60.0
    timeouts: int = 3
    downloads: int = 7
    fetching: float = 120.0
    asks: tuple[float, ...] = (5.0, 30.0, 120.0, 600.0)
    store: float = 5.0

    def __post_init__(self) -> None:
        for name in ("attempts", "timeouts", "downloads"):
            if getattr(self, name) < 1:
                raise ConfigError(
                    f"pacing: {name} must be a whole number from 1, not {getattr(self, name)!r}"
                )
        for name in ("seconds", "first", "longest", "heed", "fetching", "store"):
            if not getattr(self, name) >= 0:
                raise ConfigError(f"pacing: {name} must be seconds, 0 or more, not {getattr(self, name)!r}")

    def after(self, error: ServiceError | None, attempts: int, waited: float) -> float | None:
        """Seconds to wait after the error of the last of some attempts, or None for no further attempt.

        `waited` are the seconds spent waiting between the attempts so far.
        """
        # Only these are certain not to have been billed, whatever else looks worth a retry.
        if not isinstance(error, RetryLater):
            return None
        if attempts >= (self.timeouts if error.status == GENERATION_TIMEOUT else self.attempts):
            return None
        seconds = self._backoff(attempts, self.first, self.longest)
        if error.retry_after is not None:
            seconds = max(seconds, min(error.retry_after, self.heed))
        return seconds if waited + seconds <= self.seconds else None

    def pause(self, error: RateLimited, refusals: int) -> float:
        """Seconds without sending after a 429, which followed some refusals in a row."""
        if error.retry_after is not None:
            return min(error.retry_after, self.heed)
        # Sending fewer at once is enough for a limit on concurrency; one on the rate needs time as well.
        return self._backoff(refusals, self.first, self.longest) if refusals else 0.0

    def before_download(self, attempts: int, spent: float) -> float | None:
        """Seconds to wait before fetching an answer's missing pictures again, or None for not.

        Args:
            attempts: number of fetches made.
            spent: seconds since the first fetch began.
        """
        if attempts >= self.downloads:
            return None
        wait = self._backoff(attempts, self.first / 2, self.longest)
        return wait if spent + wait <= self.fetching else None

    def before_store(self, failures: int) -> float:
        """Seconds to wait before the store is tried again after so many failures in a row."""
        return self._backoff(failures, self.store, 60.0)

    def _backoff(self, attempts: int, first: float, longest: float) -> float:
        # 2**60 seconds are longer than any limit; a larger power might not fit into a float.
        doubled = first * 2.0 ** min(attempts - 1, 60)
        return min(doubled, longest) + random.uniform(0, first)


@dataclass(frozen=True)
class Throttle:
    """Limit of requests under way: halved when the service refuses, grown back while it answers.

    All requests of a run share one. A level that answered for a while is known to be good; one step above it
    is tried now and then, ever more rarely each time that is refused.

    Attributes:
        most: upper limit, set by a person.
        level: current limit.
        proven: the highest level that answered for a while.
        since: when the level was last lowered; refusals of what was sent before then say nothing new.
        hold: the moment before which nothing is sent.
        good: answers since the level last changed.
        patience: answers needed before the level is raised; 1 until the first refusal.
        refusals: times the level was lowered in a row, without an answer between them.
    """

    most: int
    level: int
    proven: int = 1
    since: float = float("-inf")
    hold: float = float("-inf")
    good: int = 0
    patience: int = 1
    refusals: int = 0

    @classmethod
    def start(cls, most: int, gently: int = 4) -> Throttle:
        """The state before anything is sent; more than a few at once are reached one answer after another."""
        return cls(most=most, level=min(most, gently))

    def room(self, under_way: int, now: float) -> bool:
        """True if one more request may be sent."""
        return under_way < self.level and now >= self.hold

    def answered(self) -> Throttle:
        """After any answer that was no refusal."""
        good = self.good + 1
        if good < self.patience:
            return replace(self, good=good, refusals=0)
        proven = max(self.proven, self.level)
        if self.level >= self.most:
            return replace(self, good=good, refusals=0, proven=proven)
        return replace(self, level=self.level + 1, good=0, refusals=0, proven=proven)

    def refused(self, sent: float, now: float, pause: float) -> Throttle:
        """After a 429 to a request `sent` at that moment; nothing is sent for a pause in seconds."""
        held = replace(self, hold=max(self.hold, now + pause))
        if sent < self.since:
            return held
        growing = self.proven < self.level
        lower = self.proven if growing and self.patience > 1 else max(1, self.level // 2)
        return replace(
            held,
            refusals=self.refusals + 1,
            level=lower,
            proven=min(self.proven, lower),
            since=now,
            good=0,
            patience=min(256, max(8, self.patience * 2 if growing else self.patience)),
        )
