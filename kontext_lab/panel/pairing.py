"""Which outputs may be shown against each other: two that differ in one axis and in nothing else.

Knows no store and asks nobody.
"""

from __future__ import annotations

import itertools
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, replace

from kontext_lab.figures.axis_choice import determines
from kontext_lab.figures.axis_values import OUTPUT, Shot, Values
from kontext_lab.results import Output, Results
from kontext_lab.statistics import Pair, Scores, Vote, scores

__all__ = ["Match", "by_value", "pairs", "rankable"]

_REPLICATES = ("seed", "repeat", "image", OUTPUT)
"""What never goes along with another axis: pairs are of one seed and one reference."""


@dataclass(frozen=True)
class Match:
    """Two outputs of the same seed, reference and everything else, that differ in one axis.

    Attributes:
        first: has the earlier of the two values.
        second: has the later.
        labels: what the values are called, in this order.
    """

    first: Output
    second: Output
    labels: tuple[str, str]

    @property
    def ids(self) -> Pair:
        """What votes call the two: the digests of their exact bytes, which copies of them share."""
        return self.first.sha256, self.second.sha256


def pairs(results: Results, axis: str) -> list[Match]:
    """Every pair that differs in this axis alone, all pairs of values.

    Two that show the very same picture are left out: there is nothing to choose between them. Parameters that vary
    together with the axis (`prompt+guidance_scale`) count as one with it.

    Args:
        results: a sweep's, or those of several together.
        axis: a parameter, or `output` for the pictures of one request.

    Raises:
        NotFound: no cell has such a parameter; names what there is.
    """
    values = Values(results)
    values.check([axis])
    return _matches(values, axis)


def rankable(results: Results) -> dict[str, list[Match]]:
    """The axes that have pairs, in the order of the sweep, with their pairs; of those that vary together the first."""
    values = Values(results)
    found: dict[str, list[Match]] = {}
    for axis in values.axes:
        if any(_together(values, axis, other) for other in found):
            continue
        matches = _matches(values, axis)
        if matches:
            found[axis] = matches
    return found


def by_value(matches: Sequence[Match], votes: Iterable[Vote]) -> Scores:
    """Scores of the values themselves: every vote on a pair counts for the values of the two.

    Takes each vote for one on the values alone, as if every seed and reference agreed: where they don't, the
    errors here are too small, and the scores of the outputs, compared within seeds, say more.

    Args:
        matches: of one axis.
        votes: on these or any others.
    """
    called = {frozenset(match.ids): dict(zip(match.ids, match.labels, strict=True)) for match in matches}
    return scores(
        replace(vote, left=called[vote.pair][vote.left], right=called[vote.pair][vote.right])
        for vote in votes
        if vote.pair in called
    )


def _matches(values: Values, axis: str) -> list[Match]:
    others = [key for key in values.axes if key != axis and not _together(values, axis, key)]
    blocks: dict[tuple[Hashable, ...], list[tuple[Output, Hashable]]] = {}
    for shot in values.shots:
        output = _picture(shot)
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
                found.setdefault(frozenset(match.ids), match)
    return list(found.values())


def _picture(shot: Shot) -> Output | None:
    outputs = (output for output in shot.cell.outputs if output.number == shot.output)
    return next((output for output in outputs if output.is_picture), None)


def _together(values: Values, axis: str, other: str) -> bool:
    """Whether two parameters are one axis: each value of one goes with one value of the other, in all cells."""
    if axis in _REPLICATES or other in _REPLICATES:
        return False
    return determines(values, values.shots, (axis,), other) and determines(
        values, values.shots, (other,), axis
    )
