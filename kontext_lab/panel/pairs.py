"""Pairs of outputs for ranking, the votes on them, and their scores as tables. Knows no store and no widgets."""

from __future__ import annotations

import html
import itertools
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random

from kontext_lab.errors import NotFound
from kontext_lab.figures.axis_values import OUTPUT, Values
from kontext_lab.results import Output, Results
from kontext_lab.statistics import Choice, Pair, Scores, Vote, next_pair, scores, seen

__all__ = ["Match", "VoteSession", "by_value", "pairs", "rankable", "score_table"]

_REPLICATES = ("seed", "repeat", "image", OUTPUT)
"""Parameters that are never joined with another axis: pairs share the seed and the reference."""

_MOST = 40
"""Pictures in the list; `results.to_frame()` has the rest."""

_RULES = (
    "Bradley–Terry scores in logits, ± their standard error: a lead of 1 means preferred 73 % of the time, 2 means "
    "88 %. Both good counts as half a win each, both bad as no vote."
)


@dataclass(frozen=True)
class Match:
    """Two outputs of the same seed, reference and everything else, that differ in one axis.

    `left` has the earlier of the two values until the match is flipped; `labels` are theirs, in this order.
    """

    left: Output
    right: Output
    labels: tuple[str, str]

    @property
    def ids(self) -> Pair:
        """Their ids in votes: digests of their exact bytes, which copies share."""
        return self.left.sha256, self.right.sha256

    @property
    def pair(self) -> frozenset[str]:
        """The two ids in any order."""
        return frozenset(self.ids)

    def flipped(self) -> Match:
        """The same two with their sides exchanged."""
        return Match(self.right, self.left, self.labels[::-1])


def pairs(results: Results, axis: str) -> list[Match]:
    """Return every pair that differs in this axis alone, for all pairs of values.

    Identical pictures are left out, as there is nothing to choose. Parameters that vary together with the axis
    (`prompt+guidance_scale`) count as one with it.

    Raises:
        NotFound: no cell has such a parameter; names those that exist.
    """
    values = Values(results)
    values.check([axis])
    return _matches(values, axis)


def rankable(results: Results) -> dict[str, list[Match]]:
    """Return the axes that have pairs, in the order of the sweep; of axes that vary together only the first."""
    values = Values(results)
    matches_by_axis: dict[str, list[Match]] = {}
    for axis in values.axes:
        if any(_together(values, axis, other) for other in matches_by_axis):
            continue
        matches = _matches(values, axis)
        if matches:
            matches_by_axis[axis] = matches
    return matches_by_axis


def _matches(values: Values, axis: str) -> list[Match]:
    others = [key for key in values.axes if key != axis and not _together(values, axis, key)]
    blocks: dict[tuple[Hashable, ...], list[tuple[Output, Hashable]]] = {}
    for shot in values.shots:
        outputs = (output for output in shot.cell.outputs if output.number == shot.output)
        output = next((output for output in outputs if output.is_picture), None)
        token = values.value(shot, axis).token
        if output is not None and token is not None:
            place = (shot.cell.service, *(values.value(shot, key).token for key in others))
            blocks.setdefault(place, []).append((output, token))
    order = {value.token: (at, value.label) for at, value in enumerate(values.of(axis))}
    found: dict[frozenset[str], Match] = {}
    for block in blocks.values():
        block.sort(key=lambda one: order[one[1]][0])
        for (first, one), (second, two) in itertools.combinations(block, 2):
            if one != two and first.sha256 != second.sha256:
                match = Match(first, second, (order[one][1], order[two][1]))
                found.setdefault(match.pair, match)
    return list(found.values())


def _together(values: Values, axis: str, other: str) -> bool:
    """True if two parameters are one axis: each value of one goes with one value of the other, in all cells."""
    if axis in _REPLICATES or other in _REPLICATES:
        return False
    return values.determines(values.shots, (axis,), other) and values.determines(values.shots, (other,), axis)


class VoteSession:
    """Pairs of one axis at a time, in random order."""

    def __init__(self, rater: str = "", rng: Random | None = None) -> None:
        self.rater = rater
        self.axis = ""  # if no axis has pairs
        self.matches: Mapping[str, Sequence[Match]] = {}
        self.votes: list[Vote] = []  # of all raters, on all axes
        self.current: Match | None = None
        self.following: Match | None = None
        self._rng = rng or Random()
        self._given: list[tuple[Vote, Match]] = []
        self._excluded: set[frozenset[str]] = set()
        self._taken_back: set[str] = set()

    def put(self, matches: Mapping[str, Sequence[Match]], votes: Sequence[Vote], axis: str = "") -> None:
        """Replace pairs and votes; the current pair stays if it is among them, the current axis unless one is given.

        Votes given here that are not written yet count too.
        """
        self.matches = matches
        known = {vote.key for vote in votes}
        own = [vote for vote, _ in self._given if vote.key not in known]
        self.votes = [vote for vote in (*votes, *own) if vote.key not in self._taken_back]
        before = self.axis
        self.axis = next((one for one in (axis, before, *matches) if one in matches), "")
        open_pairs = [match.pair for match in self.open]
        if self.axis != before or self.current is None or self.current.pair not in open_pairs:
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

    def give(self, choice: Choice) -> tuple[Vote, Match]:
        """Vote on the current pair, and go on to the next."""
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

    def undo(self) -> tuple[Vote, Match]:
        """Take back the last vote that was given here, and ask about its pair again."""
        if not self._given:
            raise NotFound("there is no vote of yours to take back")
        vote, match = self._given[-1]
        self.drop(vote)
        self._taken_back.add(vote.key)
        self.current = match
        self.following = self._draw(exclude=match)
        return vote, match

    def keep(self, vote: Vote) -> None:
        """Count a vote again that could not be taken back."""
        self._taken_back.discard(vote.key)
        self.votes.append(vote)

    def drop(self, vote: Vote) -> None:
        """Don't count a vote, such as one that could not be recorded."""
        self._given = [one for one in self._given if one[0].key != vote.key]
        self.votes = [one for one in self.votes if one.key != vote.key]

    def exclude(self, match: Match) -> None:
        """Don't ask about a pair again whose pictures can't be loaded."""
        self._excluded.add(match.pair)
        if self.current == match:
            self.begin()
        elif self.following == match:
            self.following = self._draw(exclude=self.current)

    @property
    def open(self) -> list[Match]:
        """The pairs of the axis that can be voted on."""
        matches = self.matches.get(self.axis, ())
        return [match for match in matches if match.pair not in self._excluded]

    @property
    def progress(self) -> tuple[int, int]:
        """The number of pairs of the axis that this rater has seen, and of all."""
        pairs = [match.ids for match in self.open]
        return seen(pairs, self.votes, rater=self.rater), len(pairs)

    def _draw(self, exclude: Match | None = None) -> Match | None:
        """A pair other than `exclude`, with random sides; None if there is no other."""
        matches = {match.pair: match for match in self.open}
        if exclude is not None:
            matches.pop(exclude.pair, None)
        if not matches:
            return None
        pairs = [match.ids for match in matches.values()]
        left, right = next_pair(pairs, self.votes, self._rng, rater=self.rater)
        match = matches[frozenset((left, right))]
        return match if match.ids[0] == left else match.flipped()


def score_table(axis: str, matches: Sequence[Match], votes: Sequence[Vote], *, simulated: bool) -> str:
    """Scores as HTML: a sentence and a table for the values of the axis, and a folded table of the pictures.

    Votes on other pairs than `matches` count for the scores of the pictures only.

    Raises:
        ConfigError: the votes don't give scores.
    """
    asked = {match.pair for match in matches}
    here = [vote for vote in votes if vote.pair in asked]
    bad = sum(1 for vote in here if vote.choice == "both bad")
    values = by_value(matches, here)
    if not values:
        nothing = (
            f"No scores yet: {_votes(len(here))}, all both bad, which say nothing about which is better."
        )
        return _line(nothing if here else "No votes on this axis yet.", "muted")
    raters = len({vote.rater for vote in here})
    summary = f"{_votes(len(here))}{f' by {raters} people' if raters > 1 else ''}"
    summary += f", of which {bad} both bad don't count" if bad else ""
    summary += "; simulated pictures." if simulated else "."
    names = {
        output.sha256: output.cell.title
        + (f" · output {output.number}" if len(output.cell.outputs) > 1 else "")
        for match in matches
        for output in (match.left, match.right)
    }
    pictures = scores(votes)
    rows = [(names[one], one) for one in pictures.means if one in names]
    listed = _table("picture", pictures, rows[:_MOST])
    if len(rows) > _MOST:
        listed += f'<div class="kl-muted">and {len(rows) - _MOST} more</div>'
    parts = (
        _line(summary),
        _line(_finding(axis, values)),
        _table(axis, values, [(label, label) for label in values.means]),
        f"<details><summary>Single pictures ({len(rows)})</summary>{listed}</details>",
        _line(_RULES, "muted"),
    )
    return "".join(parts)


def by_value(matches: Sequence[Match], votes: Iterable[Vote]) -> Scores:
    """Score the values themselves: each vote on one of the pairs counts for the values of the two.

    This assumes that the preference is the same for every seed and reference. If it is not, the errors are too small.
    """
    labels = {match.pair: dict(zip(match.ids, match.labels, strict=True)) for match in matches}
    return scores(
        replace(vote, left=labels[vote.pair][vote.left], right=labels[vote.pair][vote.right])
        for vote in votes
        if vote.pair in labels
    )


def _votes(count: int) -> str:
    return f"{count} vote" + ("" if count == 1 else "s")


def _finding(axis: str, values: Scores) -> str:
    """The leading value, and whether its lead is certain."""
    if len(values.groups) > 1:
        return f"Not all values of {axis} were compared yet: scores of different groups can't be compared."
    first, second = list(values.means)[:2]
    lead, error = values.lead(first, second)
    certain = "told apart" if lead > 1.96 * error else "not told apart yet"
    return f"{axis} {first} is ahead of {second} by {lead:.1f} ± {error:.1f}: {certain}."


def _table(head: str, table: Scores, rows: Iterable[tuple[str, str]]) -> str:
    groups = {one: str(number) for number, group in enumerate(table.groups, 1) for one in group}
    grouped = len(table.groups) > 1
    lines = []
    for name, one in rows:
        mean = f"{table.means[one]:+.2f}".replace("-", "−")
        group = f"<td>{groups[one]}</td>" if grouped else ""
        lines.append(
            f"<tr><td>{html.escape(name)}</td><td>{mean} ± {table.errors[one]:.2f}</td>"
            f"<td>{table.votes[one]}</td>{group}</tr>"
        )
    heads = f"<th>{html.escape(head)}</th><th>score</th><th>votes</th>{'<th>group</th>' if grouped else ''}"
    return f'<table class="kl-standings"><tr>{heads}</tr>{"".join(lines)}</table>'


def _line(text: str, kind: str = "plain") -> str:
    return f'<div class="kl-{kind}">{html.escape(text)}</div>'
