"""Which pair is asked about now and which is next, and what was said so far. Pure: knows no widget and no store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random

from kontext_lab.errors import NotFound
from kontext_lab.panel.pairing import Match
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
        """The two, whichever is on the left."""
        return frozenset((self.left.sha256, self.right.sha256))


class VoteSession:
    """Pairs of one axis at a time, asked about in an order drawn by lot.

    Attributes:
        matches: pairs by axis.
        axis: the one that is asked about, or "" where none has pairs.
        rater: who is asked.
        votes: of everybody, on all axes.
        now: the pair that is asked about, or None.
        ahead: the one after it, or None.
    """

    def __init__(self, rater: str = "", rng: Random | None = None) -> None:
        self.rater = rater
        self.axis = ""
        self.matches: Mapping[str, Sequence[Match]] = {}
        self.votes: list[Vote] = []
        self.now: Sides | None = None
        self.ahead: Sides | None = None
        self._rng = rng or Random()
        self._given: list[tuple[Vote, Sides]] = []
        self._lost: set[frozenset[str]] = set()
        self._taken_back: set[str] = set()

    def take(self, matches: Mapping[str, Sequence[Match]], votes: Sequence[Vote], axis: str = "") -> None:
        """Ask about other pairs; the pair that is asked about stays where it is still among them.

        Args:
            matches: by axis.
            votes: as the store has them: what was given here and is on its way there counts too.
            axis: to begin with; "" for the one before, else the first.
        """
        self.matches = matches
        known = {vote.key for vote in votes}
        own = [vote for vote, _ in self._given if vote.key not in known]
        self.votes = [vote for vote in (*votes, *own) if vote.key not in self._taken_back]
        wanted = [one for one in (axis, self.axis, *matches) if one in matches]
        same = bool(wanted) and wanted[0] == self.axis
        self.axis = wanted[0] if wanted else ""
        if not (same and self.now is not None and self.now.ids in self._by_ids()):
            self.begin()

    def forget(self) -> None:
        """Other results: what was given on the ones before can't be taken back from here."""
        self._given, self._lost, self._taken_back = [], set(), set()
        self.now = self.ahead = None

    def choose(self, axis: str) -> None:
        """Ask about another axis."""
        self.axis = axis
        self.begin()

    def begin(self) -> None:
        """Draw a pair to ask about, and the one after it."""
        self.now = self._draw()
        self.ahead = self._draw(but=self.now)

    def give(self, choice: Choice) -> tuple[Vote, Sides]:
        """Answer what is asked, and go on to the next pair.

        Raises:
            NotFound: nothing is asked.
            ConfigError: the vote can't be.
        """
        if self.now is None:
            raise NotFound("there is no pair to vote on")
        vote = Vote(self.now.left.sha256, self.now.right.sha256, choice, self.rater)
        given = (vote, self.now)
        self.votes.append(vote)
        self._given.append(given)
        self.now = self.ahead if self.ahead is not None else self._draw()
        self.ahead = self._draw(but=self.now)
        return given

    @property
    def can_undo(self) -> bool:
        """Whether a vote was given here."""
        return bool(self._given)

    def undo(self) -> tuple[Vote, Sides]:
        """Take back the last vote that was given here, and ask about its pair again.

        Raises:
            NotFound: there is none.
        """
        if not self._given:
            raise NotFound("there is no vote of yours to take back")
        vote, sides = self._given[-1]
        self.drop(vote)
        self._taken_back.add(vote.key)
        self.now = sides
        self.ahead = self._draw(but=sides)
        return vote, sides

    def keep(self, vote: Vote) -> None:
        """Count a vote again that could not be taken back."""
        self._taken_back.discard(vote.key)
        self.votes.append(vote)

    def drop(self, vote: Vote) -> None:
        """Count a vote no more, such as one that could not be recorded."""
        self._given = [one for one in self._given if one[0].key != vote.key]
        self.votes = [one for one in self.votes if one.key != vote.key]

    def lose(self, sides: Sides) -> None:
        """Ask about a pair no more whose pictures can't be had, and go on."""
        self._lost.add(sides.ids)
        if self.now == sides:
            self.begin()
        elif self.ahead == sides:
            self.ahead = self._draw(but=self.now)

    @property
    def open(self) -> list[Match]:
        """The pairs of the axis that can be asked about."""
        matches = self.matches.get(self.axis, ())
        return [match for match in matches if frozenset(match.ids) not in self._lost]

    @property
    def progress(self) -> tuple[int, int]:
        """How many pairs of the axis this rater has seen, of how many."""
        pairs = [match.ids for match in self.open]
        return seen(pairs, self.votes, rater=self.rater), len(pairs)

    def _by_ids(self) -> dict[frozenset[str], Match]:
        return {frozenset(match.ids): match for match in self.open}

    def _draw(self, but: Sides | None = None) -> Sides | None:
        """A pair, its sides drawn by lot; None where there is none besides the one that is being asked about."""
        found = self._by_ids()
        pairs = [match.ids for ids, match in found.items() if but is None or ids != but.ids]
        if not pairs:
            return None
        left, right = next_pair(pairs, self.votes, self._rng, rater=self.rater)
        match = found[frozenset((left, right))]
        outputs = {match.first.sha256: match.first, match.second.sha256: match.second}
        return Sides(outputs[left], outputs[right])
