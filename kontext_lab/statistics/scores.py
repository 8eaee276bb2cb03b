"""Bradley-Terry scores from votes between pairs, with standard errors, and the choice of the next pair.

Knows only keys, not what they stand for.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from random import Random

import numpy as np
from numpy.typing import NDArray

from kontext_lab.errors import ConfigError, shown
from kontext_lab.statistics.votes import Vote

__all__ = ["PRIOR", "Pair", "Scores", "next_pair", "scores", "seen"]


Numbers = NDArray[np.float64]

PRIOR = 0.25
"""Inverse variance of a score before any vote: a standard deviation of 2, so that 95 % lie within ±4.

A lead of 4 is won 98 times of 100: what people prefer that clearly needs no votes.
"""

_ROUNDS = 1000
"""Rounds of expectation propagation; some ten are usual."""


@dataclass(frozen=True)
class Scores:
    """How good each picture is against those it was compared with.

    Scores are in logits: who leads by d is preferred with probability 1 / (1 + exp(-d)); a lead of 1 is won 73
    times of 100, one of 2 88 times. Within each group their mean is 0.

    Attributes:
        means: score by id, the best first; ids without a vote that counts have none.
        errors: the standard error of each, about the mean of its group.
        votes: how many votes counted for each.
        groups: ids that were compared with each other, directly or through others. Between groups nothing is known
            of who is better, however far their scores are apart.
    """

    means: Mapping[str, float] = field(default_factory=dict)
    errors: Mapping[str, float] = field(default_factory=dict)
    votes: Mapping[str, int] = field(default_factory=dict)
    groups: tuple[tuple[str, ...], ...] = ()
    _covariances: tuple[Numbers, ...] = field(default=(), repr=False, compare=False)

    def __len__(self) -> int:
        return len(self.means)

    def lead(self, first: str, second: str) -> tuple[float, float]:
        """By how much the first is better than the second, in logits, and the standard error of that.

        Raises:
            ConfigError: one has no votes, or they were never compared, not even through others.
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

    A tie ("both good") counts as half a win each way, "both bad" as no vote: it doesn't say which is better.
    Half wins are made of whole ones: a decided vote goes in as two wins, a tie as one win each way. That is the
    square of the likelihood, so the prior is squared as well and the covariance that comes out is doubled: scores
    and errors are those of the votes as they were given.

    Every group of ids that were compared with each other is scored by itself, about its own mean: where a whole
    group stands is not known, and the uncertainty of that is taken out of the errors.

    Args:
        votes: in any order.

    Raises:
        ConfigError: the scores can't be found.
    """
    counted = sorted((vote for vote in votes if vote.choice != "both bad"), key=lambda vote: vote.key)
    numbers = Counter(one for vote in counted for one in (vote.left, vote.right))
    groups = _groups(counted)
    fitted = [_fit(group, counted) for group in groups]
    means = {
        one: float(mean)
        for group, (mean, _) in zip(groups, fitted, strict=True)
        for one, mean in zip(group, mean, strict=True)
    }
    errors = {
        one: float(error)
        for group, (_, covariance) in zip(groups, fitted, strict=True)
        for one, error in zip(group, np.sqrt(np.clip(np.diag(covariance), 0.0, None)), strict=True)
    }
    best_first = sorted(means, key=lambda one: -means[one])
    return Scores(
        {one: means[one] for one in best_first},
        {one: errors[one] for one in best_first},
        {one: numbers[one] for one in best_first},
        groups,
        tuple(covariance for _, covariance in fitted),
    )


def _groups(votes: Sequence[Vote]) -> tuple[tuple[str, ...], ...]:
    """Ids that hang together through votes, the largest group first."""
    from scipy.sparse import coo_array  # noqa: PLC0415 - loads when there is something to score
    from scipy.sparse.csgraph import connected_components  # noqa: PLC0415 - as above

    names = sorted({one for vote in votes for one in (vote.left, vote.right)})
    if not names:
        return ()
    place = {one: at for at, one in enumerate(names)}
    rows, columns = [place[vote.left] for vote in votes], [place[vote.right] for vote in votes]
    graph = coo_array((np.ones(len(votes)), (rows, columns)), shape=(len(names), len(names)))
    count, labels = connected_components(graph, directed=False)
    found = [
        tuple(one for one, label in zip(names, labels, strict=True) if label == at) for at in range(count)
    ]
    return tuple(sorted(found, key=lambda group: (-len(group), group)))


def _fit(group: Sequence[str], votes: Sequence[Vote]) -> tuple[Numbers, Numbers]:
    """Scores of one group about their mean, and their covariance."""
    place = {one: at for at, one in enumerate(group)}
    inside = (vote for vote in votes if vote.left in place)
    wins = tuple(win for vote in inside for win in _wins(place[vote.left], place[vote.right], vote))
    mean, covariance = _propagated(len(group), wins)
    centred = np.eye(len(group)) - 1 / len(group)
    return centred @ mean, centred @ (2 * covariance) @ centred


@lru_cache(maxsize=256)
def _propagated(size: int, wins: tuple[tuple[int, int], ...]) -> tuple[Numbers, Numbers]:
    """Mean and covariance; remembered, since a further vote changes one group of many (0.4 s for 150 votes)."""
    import choix  # noqa: PLC0415 - scipy behind it takes a while to load

    with _own_lots():
        try:
            mean, covariance = choix.ep_pairwise(size, list(wins), 2 * PRIOR, max_iter=_ROUNDS)
        except (RuntimeError, ArithmeticError, np.linalg.LinAlgError):
            raise ConfigError(
                f"scores: {len(wins) // 2} votes between {size} pictures can't be brought into scores"
            ) from None
    return mean, covariance


def _wins(left: int, right: int, vote: Vote) -> list[tuple[int, int]]:
    """A vote as two wins: of one over the other, or one each way."""
    if vote.choice == "both good":
        return [(left, right), (right, left)]
    return [(left, right)] * 2 if vote.choice == "left" else [(right, left)] * 2


@contextmanager
def _own_lots() -> Iterator[None]:
    """NumPy's global generator, by which choix orders its work, as the same votes find it each time.

    Whoever seeded it in a notebook finds it as it was.
    """
    before = np.random.get_state()
    np.random.seed(0)
    try:
        yield
    finally:
        np.random.set_state(before)


Pair = tuple[str, str]


def next_pair(pairs: Sequence[Pair], votes: Iterable[Vote], rng: Random, *, rater: str | None = None) -> Pair:
    """The pair to ask about next, its sides drawn by lot.

    The fewest votes first, drawn by lot among equals: stopping at any time leaves a balanced set. A pair that was
    answered with "both bad" was asked about, and counts here.

    Args:
        pairs: all that may be asked about, in any order and with either one first.
        votes: those given so far, by anybody, on any side.
        rng: where the lots come from.
        rater: who is asked: pairs this person voted on least come first, and among those the ones that everybody
            together did. None counts all votes alike.

    Raises:
        ConfigError: there are no pairs.
    """
    if not pairs:
        raise ConfigError("pairs: there are none, so none can be next")
    given = list(votes)
    by_all = Counter(vote.pair for vote in given)
    own = Counter(vote.pair for vote in given if vote.rater == rater) if rater is not None else by_all
    asked = {pair: (own[frozenset(pair)], by_all[frozenset(pair)]) for pair in pairs}
    fewest = min(asked.values())
    first, second = rng.choice([pair for pair in pairs if asked[pair] == fewest])
    return (first, second) if rng.random() < 0.5 else (second, first)


def seen(pairs: Iterable[Pair], votes: Iterable[Vote], *, rater: str | None = None) -> int:
    """How many of the pairs have a vote already; of this rater, or of anybody where `rater` is None."""
    answered = {vote.pair for vote in votes if rater is None or vote.rater == rater}
    return sum(1 for pair in {frozenset(pair) for pair in pairs} if pair in answered)
