"""Scores of votes as sentences and tables: of the values of an axis, and of single pictures. Knows no widget."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from dataclasses import replace

from kontext_lab.panel.pairs import Match
from kontext_lab.results import Output
from kontext_lab.statistics import Scores, Vote, scores

__all__ = ["by_value", "score_table"]

_MOST = 40
"""Pictures in the list; `results.to_frame()` has the rest."""

_RULES = (
    "Bradley–Terry scores in logits, ± their standard error: a lead of 1 means preferred 73 % of the time, 2 means "
    "88 %. Both good counts as half a win each, both bad as no vote."
)


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
    names = {output.sha256: _name(output) for match in matches for output in (match.left, match.right)}
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


def _name(output: Output) -> str:
    return output.cell.title + (f" · output {output.number}" if len(output.cell.outputs) > 1 else "")


def _line(text: str, kind: str = "plain") -> str:
    return f'<div class="kl-{kind}">{html.escape(text)}</div>'
