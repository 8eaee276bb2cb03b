"""Votes between pairs of pictures, Bradley-Terry scores with standard errors, and the choice of the next pair.

Knows ids only, not the pictures.
"""

from __future__ import annotations

import json
import math
import uuid
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from random import Random
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from kontext_lab.errors import ConfigError, shown

__all__ = ["CHOICES", "Choice", "Pair", "Scores", "Vote", "check_rater", "next_pair", "scores", "seen"]

Numbers = NDArray[np.float64]
Pair = tuple[str, str]

Choice = Literal["left", "right", "both good", "both bad"]

CHOICES: tuple[Choice, ...] = get_args(Choice)

LONGEST_RATER = 60


@dataclass(frozen=True)
class Vote:
    """One answer to "which of these two is better?".

    Attributes:
        left: id of the picture on the left.
        right: id of the one on the right.
        choice: `left`, `right`, `both good` or `both bad`.
        rater: name of the person who voted, or "".
        given_at: time in UTC.
        key: unique id of the vote.
    """

    left: str
    right: str
    choice: Choice
    rater: str = ""
    given_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    key: str = field(default_factory=lambda: uuid.uuid4().hex)

    def __post_init__(self) -> None:
        for name in ("left", "right", "key"):
            if not (isinstance(getattr(self, name), str) and getattr(self, name)):
                raise ConfigError(f"vote: {name} must be an id as text, not {shown(getattr(self, name))}")
        if self.left == self.right:
            raise ConfigError(
                f"vote: left and right are both {shown(self.left)}, but a vote needs two pictures"
            )
        if self.choice not in CHOICES:
            raise ConfigError(f"vote: choice must be one of {', '.join(CHOICES)}, not {shown(self.choice)}")
        check_rater(self.rater)
        if not isinstance(self.given_at, datetime) or self.given_at.utcoffset() != timedelta(0):
            raise ConfigError(f"vote: given_at must be a time in UTC, not {shown(self.given_at)}")

    @property
    def pair(self) -> frozenset[str]:
        """The two ids, whichever was on the left."""
        return frozenset((self.left, self.right))

    def to_json(self, **more: Any) -> str:
        """Write the vote as one JSON object, with additional facts."""
        return json.dumps({**asdict(self), "given_at": self.given_at.isoformat(), **more}, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str | bytes) -> Vote:
        """Read a vote that `to_json` wrote; additional facts are ignored.

        Raises:
            ConfigError: the text is not a vote, or was cut off.
        """
        try:
            facts = json.loads(text)
            names = ("left", "right", "choice", "rater", "key")
            return cls(
                **{name: facts[name] for name in names}, given_at=datetime.fromisoformat(facts["given_at"])
            )
        except (ValueError, KeyError, TypeError) as error:
            if isinstance(error, ConfigError):
                raise
            raise ConfigError(f"vote: {shown(text)} is not a vote as Vote.to_json writes it") from None


def check_rater(rater: object) -> str:
    """Return the name of a rater; a ConfigError if it is not a printable text, or too long."""
    if isinstance(rater, str) and len(rater) <= LONGEST_RATER and (not rater or rater.isprintable()):
        return rater
    raise ConfigError(f"rater must be a name of up to {LONGEST_RATER} characters, not {shown(rater)}")


PRIOR = 0.25
"""Inverse variance of a score before any vote: a standard deviation of 2, so that 95 % lie within ±4.

A lead of 4 wins 98 % of the time: a preference that clear needs no votes.
"""

_ROUNDS = 1000
"""Rounds of expectation propagation at most; about ten are usual."""


@dataclass(frozen=True)
class Scores:
    """Scores of pictures relative to those they were compared with.

    Scores are in logits: a lead of d means preferred with probability 1 / (1 + exp(-d)), 73 % for a lead of 1 and
    88 % for 2. Within each group their mean is 0.

    Attributes:
        means: score by id, the best first; only ids with a vote that counts.
        errors: the standard error of each, about the mean of its group.
        votes: how many votes counted for each.
        groups: ids that were compared with each other, directly or through others. Scores of different groups can't be
            compared.
    """

    means: Mapping[str, float] = field(default_factory=dict)
    errors: Mapping[str, float] = field(default_factory=dict)
    votes: Mapping[str, int] = field(default_factory=dict)
    groups: tuple[tuple[str, ...], ...] = ()
    _covariances: tuple[Numbers, ...] = field(default=(), repr=False, compare=False)

    def __len__(self) -> int:
        return len(self.means)

    def lead(self, first: str, second: str) -> tuple[float, float]:
        """Return the difference of two scores in logits, first minus second, and its standard error.

        Raises:
            ConfigError: one has no votes, or they were not compared, not even through others.
        """
        for one in (first, second):
            if one not in self.means:
                raise ConfigError(f"scores: {shown(one)} has no votes that count")
        for group, covariance in zip(self.groups, self._covariances, strict=True):
            if first in group and second in group:
                a, b = group.index(first), group.index(second)
                variance = covariance[a, a] + covariance[b, b] - 2 * covariance[a, b]
                return self.means[first] - self.means[second], math.sqrt(max(0.0, float(variance)))
        raise ConfigError(
            f"scores: {shown(first)} and {shown(second)} were never compared, not even through others"
        )


def scores(votes: Iterable[Vote]) -> Scores:
    """Bradley-Terry scores by expectation propagation (`choix.ep_pairwise`; Chu and Ghahramani 2005).

    A tie ("both good") counts as half a win each way; "both bad" is ignored, since it doesn't say which is better.
    To get half wins from a library that counts whole ones, a decided vote enters as two wins and a tie as one win
    each way. That squares the likelihood, so the prior is squared as well and the resulting covariance doubled.

    Each group of ids that were compared with each other is scored by itself, about its own mean; the uncertainty of
    that mean is removed from the errors.

    Raises:
        ConfigError: the scores can't be computed.
    """
    counted = sorted((vote for vote in votes if vote.choice != "both bad"), key=lambda vote: vote.key)
    numbers = Counter(one for vote in counted for one in (vote.left, vote.right))
    groups = _groups(counted)
    means: dict[str, float] = {}
    errors: dict[str, float] = {}
    covariances = []
    for group in groups:
        mean, covariance = _fit(group, counted)
        spread = np.sqrt(np.clip(np.diag(covariance), 0.0, None))
        means |= zip(group, mean.tolist(), strict=True)
        errors |= zip(group, spread.tolist(), strict=True)
        covariances.append(covariance)
    best_first = sorted(means, key=lambda one: -means[one])
    return Scores(
        {one: means[one] for one in best_first},
        {one: errors[one] for one in best_first},
        {one: numbers[one] for one in best_first},
        groups,
        tuple(covariances),
    )


def _groups(votes: Sequence[Vote]) -> tuple[tuple[str, ...], ...]:
    """Ids that are connected through votes, the largest group first."""
    from scipy.sparse import coo_array  # noqa: PLC0415 - loads when there is something to score
    from scipy.sparse.csgraph import connected_components  # noqa: PLC0415 - as above

    if not votes:
        return ()
    sides = np.array([(vote.left, vote.right) for vote in votes])
    names, places = np.unique(sides, return_inverse=True)
    rows, columns = places.reshape(-1, 2).T
    graph = coo_array((np.ones(len(votes)), (rows, columns)), shape=(len(names), len(names)))
    count, labels = connected_components(graph, directed=False)
    found = [tuple(names[labels == at].tolist()) for at in range(count)]
    return tuple(sorted(found, key=lambda group: (-len(group), group)))


def _fit(group: Sequence[str], votes: Sequence[Vote]) -> tuple[Numbers, Numbers]:
    """Scores of one group about their mean, and their covariance."""
    index = {one: at for at, one in enumerate(group)}
    wins: list[tuple[int, int]] = []
    for vote in votes:
        if vote.left in index:
            left, right = (index[vote.left], index[vote.right]), (index[vote.right], index[vote.left])
            wins += {"left": [left, left], "right": [right, right]}.get(vote.choice, [left, right])
    mean, covariance = _propagated(len(group), tuple(wins))
    centred = np.eye(len(group)) - 1 / len(group)
    return centred @ mean, centred @ (2 * covariance) @ centred


@lru_cache(maxsize=256)
def _propagated(size: int, wins: tuple[tuple[int, int], ...]) -> tuple[Numbers, Numbers]:
    """Mean and covariance; cached, since a new vote changes one group of many (0.4 s for 150 votes)."""
    import choix  # noqa: PLC0415 - loads scipy, which takes a while

    # choix orders its work by NumPy's global generator: seeded, so that the same votes give the same scores, and restored.
    before = np.random.get_state()
    np.random.seed(0)
    try:
        mean, covariance = choix.ep_pairwise(size, list(wins), 2 * PRIOR, max_iter=_ROUNDS)
    except (RuntimeError, ArithmeticError, np.linalg.LinAlgError):
        raise ConfigError(
            f"scores: {len(wins) // 2} votes between {size} pictures don't give scores"
        ) from None
    finally:
        np.random.set_state(before)
    return mean, covariance


def next_pair(pairs: Sequence[Pair], votes: Iterable[Vote], rng: Random, *, rater: str | None = None) -> Pair:
    """Choose the pair to ask about next, and its sides at random.

    The pair with the fewest votes, at random among equals, so that stopping at any time leaves a balanced set. An answer
    "both bad" counts here too. With a rater, pairs with the fewest of this person's votes come first, and among those the
    pairs with the fewest votes of all people.
    """
    if not pairs:
        raise ConfigError("pairs is empty: there is nothing to vote on")
    given = list(votes)
    by_all = Counter(vote.pair for vote in given)
    own = Counter(vote.pair for vote in given if vote.rater == rater) if rater is not None else by_all
    asked = {pair: (own[frozenset(pair)], by_all[frozenset(pair)]) for pair in pairs}
    fewest = min(asked.values())
    first, second = rng.choice([pair for pair in pairs if asked[pair] == fewest])
    return (first, second) if rng.random() < 0.5 else (second, first)


def seen(pairs: Iterable[Pair], votes: Iterable[Vote], *, rater: str | None = None) -> int:
    """Count the pairs that have a vote, by this rater, or by anyone if `rater` is None."""
    answered = {vote.pair for vote in votes if rater is None or vote.rater == rater}
    return sum(1 for pair in {frozenset(pair) for pair in pairs} if pair in answered)
