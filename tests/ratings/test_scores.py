"""Scores from votes, held against truths that are known."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest

from kontext_lab.errors import ConfigError
from kontext_lab.statistics import Choice, Scores, Vote, scores


def votes(*given: tuple[str, str, Choice], times: int = 1) -> list[Vote]:
    """Votes by left, right and choice."""
    return [Vote(*one) for one in given for _ in range(times)]


def simulated(strengths: dict[str, float], times: int, seed: int) -> list[Vote]:
    """What people who follow the Bradley-Terry model exactly would say of every pair."""
    rng = np.random.default_rng(seed)
    made = []
    for a, b in itertools.combinations(strengths, 2):
        chance = 1 / (1 + math.exp(strengths[b] - strengths[a]))
        for _ in range(times):
            choice: Any = "left" if rng.random() < chance else "right"
            made.append(Vote(a, b, choice))
    return made


def test_the_preferred_one_leads() -> None:
    """The best first, whichever side it stood on."""
    found = scores(votes(("a", "b", "left"), ("c", "a", "right"), ("b", "c", "left")))
    assert ["a", "b", "c"] == list(found.means)


def test_scores_are_centred_at_zero() -> None:
    """In each group by itself."""
    found = scores(votes(("a", "b", "left"), ("c", "b", "left"), ("x", "y", "right")))
    sums = [sum(found.means[one] for one in group) for group in found.groups]
    assert pytest.approx([0, 0], abs=1e-9) == sums


def test_without_votes_there_are_no_scores() -> None:
    """Nothing is made up."""
    assert Scores() == scores([])


def test_both_bad_is_no_vote() -> None:
    """It moves no score, gives none, and is not counted."""
    decided = votes(("a", "b", "left"))
    found = scores([*decided, *votes(("a", "b", "both bad"), ("b", "c", "both bad"), times=5)])
    assert (scores(decided).means, {"a": 1, "b": 1}) == (found.means, found.votes)


def test_a_tie_is_half_a_win_each_way() -> None:
    """Two ties say the same as one vote each way."""
    ties = scores(votes(("a", "b", "left"), ("a", "b", "both good"), ("a", "b", "both good")))
    wins = scores(votes(("a", "b", "left"), ("a", "b", "left"), ("a", "b", "right")))
    for of in ("means", "errors"):
        assert pytest.approx(getattr(wins, of), abs=1e-3) == getattr(ties, of)


def test_a_tie_draws_scores_together() -> None:
    """And makes them surer."""
    before = scores(votes(("a", "b", "left")))
    after = scores(votes(("a", "b", "left"), ("a", "b", "both good")))
    assert 0 < after.means["a"] < before.means["a"]
    assert after.errors["a"] < before.errors["a"]


def test_errors_are_those_of_the_votes_as_given() -> None:
    """The posterior of two pictures is known exactly by integration: no vote is counted twice."""
    found = scores(votes(("a", "b", "left"), times=7) + votes(("a", "b", "right"), times=3))
    lead = np.linspace(-15, 15, 20001)
    # The lead of one of two scores with variance 1 / 0.25 each has variance 8.
    density = np.exp(-(lead**2) / 16) / (1 + np.exp(-lead)) ** 7 / (1 + np.exp(lead)) ** 3
    density /= density.sum()
    mean = float((lead * density).sum())
    error = math.sqrt(float(((lead - mean) ** 2 * density).sum()))
    assert pytest.approx((mean, error), rel=0.08) == found.lead("a", "b")


def test_errors_shrink_with_the_root_of_the_votes() -> None:
    """Four times the votes, half the error."""
    few, many = (scores(simulated({"a": 0.5, "b": 0.0}, times, 1)) for times in (40, 160))
    assert pytest.approx(2, rel=0.15) == few.errors["a"] / many.errors["a"]


@pytest.mark.slow
def test_intervals_hold_what_they_promise() -> None:
    """Of leads that are known, about 95 in 100 lie within two errors."""
    inside = []
    for seed in range(25):
        truth = dict(zip("abcd", np.random.default_rng(1000 + seed).normal(0, 1, 4).tolist(), strict=True))
        found = scores(simulated(truth, 6, seed))
        for one, other in itertools.combinations(truth, 2):
            lead, error = found.lead(one, other)
            inside.append(abs(lead - (truth[one] - truth[other])) < 1.96 * error)
    assert 0.90 < np.mean(inside) <= 1


def test_what_was_never_compared_is_in_another_group() -> None:
    """The largest first; nothing is said across."""
    found = scores(votes(("a", "b", "left"), ("x", "y", "left"), ("y", "z", "left")))
    assert (("x", "y", "z"), ("a", "b")) == found.groups
    with pytest.raises(ConfigError, match=r"'a' and 'x' were never compared, not even through others"):
        found.lead("a", "x")


def test_a_group_stands_by_itself() -> None:
    """Votes between others change nothing."""
    alone = scores(votes(("a", "b", "left")))
    among = scores(votes(("a", "b", "left"), ("x", "y", "right"), ("y", "z", "both good")))
    assert (alone.means["a"], alone.errors["a"]) == (among.means["a"], among.errors["a"])


def test_a_lead_needs_votes() -> None:
    """Says who has none."""
    with pytest.raises(ConfigError, match="scores: 'c' has no votes that count"):
        scores(votes(("a", "b", "left"))).lead("a", "c")


def test_one_sided_votes_stay_finite() -> None:
    """Someone who won every time is not infinitely better."""
    found = scores(votes(("a", "b", "left"), times=200))
    assert all(math.isfinite(one) for one in (*found.means.values(), *found.errors.values()))


def test_the_same_votes_give_the_same_scores() -> None:
    """In whatever order they come."""
    given = simulated({"a": 1.0, "b": 0.0, "c": -1.0}, 5, 3)
    assert scores(given) == scores(reversed(given))


def test_random_numbers_of_a_notebook_are_left_alone() -> None:
    """The library behind draws from NumPy's global generator; whoever seeded it finds it as it was."""
    np.random.seed(7)
    expected = np.random.random(3)
    np.random.seed(7)
    scores(simulated({"a": 1.0, "b": 0.2, "c": -1.0}, 7, 11))
    assert expected.tolist() == np.random.random(3).tolist()
