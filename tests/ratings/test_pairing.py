"""Votes as values, and which pair comes next."""

from __future__ import annotations

import itertools
from collections import Counter
from datetime import UTC, datetime, timedelta, timezone
from random import Random
from typing import Any

import pytest

from kontext_lab.errors import ConfigError
from kontext_lab.statistics import CHOICES, Pair, Vote, next_pair, seen

PAIRS = list(itertools.combinations("abcd", 2))


def voted(count: int, rng: Random, rater: str | None = None) -> list[Vote]:
    """A person who is asked so many times."""
    given: list[Vote] = []
    for _ in range(count):
        left, right = next_pair(PAIRS, given, rng, rater=rater)
        given.append(Vote(left, right, rng.choice(CHOICES), rater or ""))
    return given


def test_every_pair_comes_before_one_comes_twice() -> None:
    """Whatever was answered: "both bad" is an answer too."""
    given = voted(2 * len(PAIRS), Random(1))
    assert Counter({frozenset(pair): 2 for pair in PAIRS}) == Counter(vote.pair for vote in given)


def test_order_is_drawn_by_lot() -> None:
    """People see pairs in different orders."""
    orders = {tuple(vote.pair for vote in voted(len(PAIRS), Random(seed))) for seed in range(5)}
    assert 5 == len(orders)


def test_sides_are_drawn_by_lot() -> None:
    """Either one is on the left about half the time."""
    shown = Counter(next_pair([("a", "b")], [], rng) for rng in map(Random, range(400)))
    assert 160 < shown[("a", "b")] < 240


def test_the_same_lots_give_the_same_pair() -> None:
    """Lots come from the generator that is given, and from nowhere else."""
    assert next_pair(PAIRS, [], Random(5)) == next_pair(PAIRS, [], Random(5))


def test_a_rater_sees_every_pair() -> None:
    """Also those that others have answered."""
    others = [Vote(left, right, "left", "anna") for left, right in PAIRS]
    given = list(others)
    rng = Random(2)
    for _ in PAIRS:
        left, right = next_pair(PAIRS, given, rng, rater="bert")
        given.append(Vote(left, right, "right", "bert"))
    assert {frozenset(pair) for pair in PAIRS} == {vote.pair for vote in given if vote.rater == "bert"}


def test_raters_share_the_work() -> None:
    """What nobody has seen comes first."""
    others = [Vote(left, right, "left", "anna") for left, right in PAIRS[1:]]
    assert set(PAIRS[0]) == set(next_pair(PAIRS, others, Random(3), rater="bert"))


def test_without_pairs_none_is_next() -> None:
    """Says so."""
    with pytest.raises(ConfigError, match="pairs is empty"):
        next_pair([], [], Random(1))


def test_progress_counts_pairs_once() -> None:
    """However often they were answered and on whichever side; of a rater only his own."""
    given = [
        Vote("a", "b", "left", "anna"),
        Vote("b", "a", "left", "anna"),
        Vote("c", "d", "both bad", "bert"),
        Vote("x", "y", "left", "anna"),
    ]
    assert (2, 1, 0) == (seen(PAIRS, given), seen(PAIRS, given, rater="anna"), seen(PAIRS, given, rater=""))


def test_a_vote_survives_writing_and_reading() -> None:
    """To the microsecond, with a name in any script; further facts are passed over."""
    vote = Vote("a" * 64, "b" * 64, "both good", "Žofia 李", datetime(2025, 11, 1, 12, 0, 0, 123456, UTC))
    assert vote == Vote.from_json(vote.to_json(left_cell="g2 s1"))


def test_votes_differ() -> None:
    """Two votes given in one moment are two votes."""
    now = datetime(2025, 11, 1, tzinfo=UTC)
    assert Vote("a", "b", "left", "", now) != Vote("a", "b", "left", "", now)


@pytest.mark.parametrize("text", ["", "{", "[]", "3", '{"left": "a"}', '{"withdraws": "x"}', b"\xff\x00"])
def test_what_was_cut_off_is_no_vote(text: Any) -> None:
    """One clear line."""
    with pytest.raises(ConfigError, match=r"^vote: .* is not a vote as Vote.to_json writes it$"):
        Vote.from_json(text)


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        (
            {"choice": "neither"},
            "vote: choice must be one of left, right, both good, both bad, not 'neither'",
        ),
        ({"choice": ["left"]}, "vote: choice must be one of left, right, both good, both bad, not "),
        ({"right": "a"}, "vote: left and right are both 'a', but a vote needs two pictures"),
        ({"left": ""}, "vote: left must be an id as text, not ''"),
        ({"left": None}, "vote: left must be an id as text, not None"),
        ({"rater": "x" * 61}, "rater must be a name of up to 60 characters, not "),
        ({"rater": "two\nlines"}, "rater must be a name of up to 60 characters, not "),
        ({"rater": 7}, "rater must be a name of up to 60 characters, not 7"),
        ({"given_at": datetime(2025, 11, 1)}, "vote: given_at must be a time in UTC, not "),
        (
            {"given_at": datetime(2025, 11, 1, tzinfo=timezone(timedelta(hours=1)))},
            "vote: given_at must be a time in UTC, not ",
        ),
    ],
)
def test_what_can_be_no_vote(changes: dict[str, Any], line: str) -> None:
    """Says what, and what is allowed."""
    with pytest.raises(ConfigError, match=line):
        Vote(**{"left": "a", "right": "b", "choice": "left", **changes})


def test_a_pair_has_no_sides() -> None:
    """It is the same one whichever was on the left."""
    pair: Pair = ("a", "b")
    assert Vote(*pair, "left").pair == Vote("b", "a", "left").pair
