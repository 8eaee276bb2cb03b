"""Which pair to show next: the one that was asked about least. Must not know what the pairs are of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from random import Random

from kontext_lab.errors import ConfigError
from kontext_lab.ratings.votes import Vote

__all__ = ["Pair", "next_pair", "seen"]

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
