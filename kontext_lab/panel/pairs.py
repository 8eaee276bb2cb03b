"""Pairs of outputs for ranking: two that differ in one axis and in nothing else. Knows no store and no widgets."""

from __future__ import annotations

import itertools
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, replace

from kontext_lab.figures.axis_values import OUTPUT, Shot, Values
from kontext_lab.results import Output, Results
from kontext_lab.statistics import Pair, Scores, Vote, scores

__all__ = ["Match", "by_value", "pairs", "rankable"]

_REPLICATES = ("seed", "repeat", "image", OUTPUT)
"""Parameters that are never joined with another axis: pairs share the seed and the reference."""


@dataclass(frozen=True)
class Match:
    """Two outputs of the same seed, reference and everything else, that differ in one axis.

    Attributes:
        first: has the earlier of the two values.
        second: has the later.
        labels: labels of the two values, in this order.
    """

    first: Output
    second: Output
    labels: tuple[str, str]

    @property
    def ids(self) -> Pair:
        """Their ids in votes: digests of their exact bytes, which copies share."""
        return self.first.sha256, self.second.sha256


def pairs(results: Results, axis: str) -> list[Match]:
    """Return every pair that differs in this axis alone, for all pairs of values.

    Identical pictures are left out, as there is nothing to choose. Parameters that vary together with the axis
    (`prompt+guidance_scale`) count as one with it.

    Args:
        results: of one sweep, or of several together.
        axis: a parameter, or `output` for the pictures of one request.

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


def by_value(matches: Sequence[Match], votes: Iterable[Vote]) -> Scores:
    """Score the values themselves: each vote on a pair counts for the values of the two.

    This assumes that the preference is the same for every seed and reference. If it is not, the errors are too small, and the
    scores of the outputs, which are compared within seeds, are more reliable.

    Args:
        matches: of one axis.
        votes: any votes; those on other pairs are ignored.
    """
    labels = {frozenset(match.ids): dict(zip(match.ids, match.labels, strict=True)) for match in matches}
    return scores(
        replace(vote, left=labels[vote.pair][vote.left], right=labels[vote.pair][vote.right])
        for vote in votes
        if vote.pair in labels
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
    """True if two parameters are one axis: each value of one goes with one value of the other, in all cells."""
    if axis in _REPLICATES or other in _REPLICATES:
        return False
    return values.determines(values.shots, (axis,), other) and values.determines(values.shots, (other,), axis)
