"""The current and the next pair of a blind ranking, and the votes so far. Pure: knows no widget and no store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random

from kontext_lab.errors import NotFound
from kontext_lab.panel.pairs import Match
from kontext_lab.results import Output
from kontext_lab.statistics import Choice, Vote, next_pair, seen

__all__ = ["Sides", "VoteSession"]


@dataclass(frozen=True)
class Sides:
    """Two outputs as they are shown."""

    left: Output
    right: Output

    @property
    def ids(self) -> frozenset[str]:
        """The digests of the two, in any order."""
        return frozenset((self.left.sha256, self.right.sha256))


class VoteSession:
    """Pairs of one axis at a time, in random order.

    Attributes:
        matches: pairs by axis.
        axis: the current one, or "" if no axis has pairs.
        rater: who votes.
        votes: of all raters, on all axes.
        current: the pair to vote on, or None.
        following: the pair after it, or None.
    """

    def __init__(self, rater: str = "", rng: Random | None = None) -> None:
        self.rater = rater
        self.axis = ""
        self.matches: Mapping[str, Sequence[Match]] = {}
        self.votes: list[Vote] = []
        self.current: Sides | None = None
        self.following: Sides | None = None
        self._rng = rng or Random()
        self._given: list[tuple[Vote, Sides]] = []
        self._excluded: set[frozenset[str]] = set()
        self._taken_back: set[str] = set()

    def put(self, matches: Mapping[str, Sequence[Match]], votes: Sequence[Vote], axis: str = "") -> None:
        """Replace the pairs; the current pair stays if it is among them.

        Args:
            matches: by axis.
            votes: in the store; votes given here that are not written yet count too.
            axis: to begin with; "" for the current one, else the first.
        """
        self.matches = matches
        known = {vote.key for vote in votes}
        own = [vote for vote, _ in self._given if vote.key not in known]
        self.votes = [vote for vote in (*votes, *own) if vote.key not in self._taken_back]
        before, self.axis = (
            self.axis,
            next((one for one in (axis, self.axis, *matches) if one in matches), ""),
        )
        open_pairs = [frozenset(match.ids) for match in self.open]
        if self.axis != before or self.current is None or self.current.ids not in open_pairs:
            self.begin()

    def forget(self) -> None:
        """Forget the votes given here, so that they can't be taken back: other results follow."""
        self._given, self._excluded, self._taken_back = [], set(), set()
        self.current = self.following = None

    def choose(self, axis: str) -> None:
        """Ask about another axis."""
        self.axis = axis
        self.begin()

    def begin(self) -> None:
        """Draw the current pair and the one after it."""
        self.current = self._draw()
        self.following = self._draw(exclude=self.current)

    def give(self, choice: Choice) -> tuple[Vote, Sides]:
        """Vote on the current pair, and go on to the next.

        Raises:
            NotFound: there is no pair.
            ConfigError: the choice or the rater's name is not allowed.
        """
        if self.current is None:
            raise NotFound("there is no pair to vote on")
        vote = Vote(self.current.left.sha256, self.current.right.sha256, choice, self.rater)
        given = (vote, self.current)
        self.votes.append(vote)
        self._given.append(given)
        self.current = self.following if self.following is not None else self._draw()
        self.following = self._draw(exclude=self.current)
        return given

    @property
    def can_undo(self) -> bool:
        """True if a vote was given here."""
        return bool(self._given)

    def undo(self) -> tuple[Vote, Sides]:
        """Take back the last vote that was given here, and ask about its pair again.

        Raises:
            NotFound: no vote was given here.
        """
        if not self._given:
            raise NotFound("there is no vote of yours to take back")
        vote, sides = self._given[-1]
        self.drop(vote)
        self._taken_back.add(vote.key)
        self.current = sides
        self.following = self._draw(exclude=sides)
        return vote, sides

    def keep(self, vote: Vote) -> None:
        """Count a vote again that could not be taken back."""
        self._taken_back.discard(vote.key)
        self.votes.append(vote)

    def drop(self, vote: Vote) -> None:
        """Don't count a vote, such as one that could not be recorded."""
        self._given = [one for one in self._given if one[0].key != vote.key]
        self.votes = [one for one in self.votes if one.key != vote.key]

    def exclude(self, sides: Sides) -> None:
        """Don't ask about a pair again whose pictures can't be loaded."""
        self._excluded.add(sides.ids)
        if self.current == sides:
            self.begin()
        elif self.following == sides:
            self.following = self._draw(exclude=self.current)

    @property
    def open(self) -> list[Match]:
        """The pairs of the axis that can be voted on."""
        matches = self.matches.get(self.axis, ())
        return [match for match in matches if frozenset(match.ids) not in self._excluded]

    @property
    def progress(self) -> tuple[int, int]:
        """The number of pairs of the axis that this rater has seen, and of all."""
        pairs = [match.ids for match in self.open]
        return seen(pairs, self.votes, rater=self.rater), len(pairs)

    def _draw(self, exclude: Sides | None = None) -> Sides | None:
        """A pair other than `exclude`, with random sides; None if there is no other."""
        matches = {frozenset(match.ids): match for match in self.open}
        if exclude is not None:
            matches.pop(exclude.ids, None)
        if not matches:
            return None
        pairs = [match.ids for match in matches.values()]
        left, right = next_pair(pairs, self.votes, self._rng, rater=self.rater)
        match = matches[frozenset((left, right))]
        outputs = {output.sha256: output for output in (match.first, match.second)}
        return Sides(outputs[left], outputs[right])
