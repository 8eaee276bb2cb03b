"""What is tried again and how long to wait: a table of failures, and the level of requests under way."""

from __future__ import annotations

import pytest

from kontext_lab import errors
from kontext_lab.errors import (
    BadAnswer,
    ConfigError,
    InDoubt,
    RateLimited,
    RequestRefused,
    ServiceError,
    ServiceUnavailable,
    Unauthorized,
)
from kontext_lab.runner.retry_policy import Pacing, Throttle

REFUSED = RateLimited("slow down", 429)


def service_errors() -> list[type[ServiceError]]:
    """Every class of the tree that stems from the service."""
    found = [getattr(errors, name) for name in errors.__all__]
    return [one for one in found if isinstance(one, type) and issubclass(one, ServiceError)]


@pytest.mark.parametrize("kind", service_errors(), ids=lambda kind: kind.__name__)
def test_only_what_was_not_billed_is_sent_again(kind: type[ServiceError]) -> None:
    """A retry follows a wait's classes and nothing else."""
    again = Pacing().after(kind("it failed", 503), 1, 0.0) is not None
    assert issubclass(kind, errors.RetryLater) == again


@pytest.mark.parametrize(
    "error", [InDoubt("lost"), BadAnswer("?"), Unauthorized("no", 401), RequestRefused("no", 400)]
)
def test_what_may_have_been_billed_is_never_sent_again(error: ServiceError) -> None:
    """Neither patience nor a Retry-After changes that."""
    error.retry_after = 1.0
    assert Pacing(attempts=100, seconds=1e9).after(error, 1, 0.0) is None


def test_attempts_end() -> None:
    """After six attempts a request has failed for good."""
    waits = [Pacing().after(REFUSED, attempts, 0.0) for attempts in range(1, 7)]
    assert [False] * 5 + [True] == [wait is None for wait in waits]


def test_waiting_ends() -> None:
    """A request that has waited a minute and a half is not tried again, however few its attempts."""
    assert Pacing().after(REFUSED, 2, 89.5) is None


def test_waits_double_with_as_much_at_random() -> None:
    """The n-th wait lies between 2^(n-1) and that plus one, in seconds."""
    pacing = Pacing(seconds=1e9)
    for attempts in range(1, 6):
        waits = {pacing.after(REFUSED, attempts, 0.0) for _ in range(50)}
        assert all(2 ** (attempts - 1) <= (wait or 0) <= 2 ** (attempts - 1) + 1 for wait in waits)
        assert len(waits) > 1


def test_a_generation_that_times_out_is_tried_twice_more() -> None:
    """A 504 of the service's own is a failure to repeat only once or twice."""
    timeout = ServiceUnavailable("Generation timeout", 504)
    assert [False, False, True] == [Pacing().after(timeout, n, 0.0) is None for n in (1, 2, 3)]


@pytest.mark.parametrize(("asked", "least", "most"), [(7.0, 7, 7), (0.1, 1, 2), (3600.0, 60, 60)])
def test_retry_after_is_heeded_within_bounds(asked: float, least: float, most: float) -> None:
    """What the service asks for is waited, neither less than our own wait nor more than a minute."""
    wait = Pacing().after(RateLimited("slow down", 429, retry_after=asked), 1, 0.0)
    assert wait is not None
    assert least <= wait <= most


def test_downloads_are_tried_for_half_a_minute() -> None:
    """Six more GETs follow a download that failed: a paid picture is worth the wait, and it holds nobody up."""
    waits = [Pacing().before_download(n, 0.0) for n in range(1, 8)]
    assert waits[-1] is None
    assert 31 <= sum(wait or 0 for wait in waits) <= 35


def test_downloads_that_hang_are_not_tried_for_hours() -> None:
    """Each of seven attempts may take three minutes: after two minutes in all there is no further one."""
    assert [False, True] == [Pacing().before_download(1, spent) is None for spent in (100.0, 120.0)]
    assert Pacing(fetching=0.0).before_download(1, 0.0) is None


def test_the_store_is_tried_once_a_minute_at_most() -> None:
    """However long an outage lasts, it is noticed within about a minute that it ended."""
    assert all(60.0 <= Pacing().before_store(failures) <= 65.0 for failures in (8, 20, 500))


@pytest.mark.parametrize(
    "wrong", [{"attempts": 0}, {"seconds": -1}, {"first": float("nan")}, {"downloads": 0}, {"fetching": -1}]
)
def test_wrong_pacing_is_named(wrong: dict[str, float]) -> None:
    """A setting that can't be names itself."""
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        Pacing(**wrong)  # type: ignore[arg-type]


def simulated(most: int, limit: int, answers: int) -> tuple[Throttle, int, float]:
    """A service that works on `limit` at once and refuses more: the throttle, refusals, mean under way."""
    throttle, now, refusals, taken = Throttle.start(most), 0.0, 0, 0.0
    working: list[float] = []
    done = 0
    while done < answers:
        while throttle.room(len(working), now):
            if len(working) < limit:
                working.append(now)
            else:
                refusals += 1
                throttle = throttle.refused(now, now, 0.0)
        taken += len(working)
        now += 10.0
        for _ in working:
            throttle, done = throttle.answered(), done + 1
        working = []
    return throttle, refusals, taken / (now / 10.0)


@pytest.mark.parametrize("most", [4, 8, 16, 64])
def test_a_service_that_allows_two_gets_two(most: int) -> None:
    """Whatever a person allowed, about two are under way, and of 300 requests few are refused."""
    throttle, refusals, mean = simulated(most, 2, 300)
    assert throttle.level in (2, 3)
    assert 1.9 <= mean <= 2.0
    assert refusals <= 12


@pytest.mark.parametrize("most", [1, 3, 4, 10])
def test_a_service_that_refuses_nothing_gets_what_was_allowed(most: int) -> None:
    """Without a refusal the level is what a person allowed, from a few on reached one by one."""
    throttle, refusals, _ = simulated(most, 1000, 60)
    assert (most, 0) == (throttle.level, refusals)


def test_a_burst_of_refusals_halves_once() -> None:
    """What was sent before the level was lowered says nothing new when it is refused."""
    throttle = Throttle.start(8, gently=8)
    for _ in range(6):
        throttle = throttle.refused(sent=1.0, now=2.0, pause=0.0)
    assert 4 == throttle.level


def test_the_level_grows_back() -> None:
    """A service that refused once and then answers is given more again."""
    throttle = Throttle.start(4).refused(sent=0.0, now=1.0, pause=0.0)
    assert 2 == throttle.level
    for _ in range(16):
        throttle = throttle.answered()
    assert 4 == throttle.level


def test_everybody_waits() -> None:
    """During a pause there is room for nobody, after it there is."""
    throttle = Throttle.start(4).refused(sent=0.0, now=10.0, pause=5.0)
    assert [False, True] == [throttle.room(0, 14.9), throttle.room(0, 15.0)]


def test_one_is_always_under_way() -> None:
    """The level never falls below one, or nothing would ever find out that the service recovered."""
    throttle = Throttle.start(4)
    for turn in range(10):
        throttle = throttle.refused(sent=float(turn), now=float(turn), pause=0.0)
    assert 1 == throttle.level


def test_refusals_in_a_row_make_longer_pauses() -> None:
    """The first only lowers the level; a limit on the rate needs time as well."""
    pauses = [Pacing().pause(REFUSED, refusals) for refusals in range(4)]
    assert pauses[0] == 0.0
    assert pauses == sorted(pauses)
    assert pauses[3] >= 4.0
