"""What votes say, as a table and a sentence: values of an axis, and single pictures. Knows no widget."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping, Sequence

from kontext_lab.panel.pairing import Match, by_value
from kontext_lab.statistics import Scores, Vote, scores

__all__ = ["standings"]

_MOST = 40
"""Pictures in the list: more of them are in `results.to_frame()`."""

_RULES = (
    "Bradley–Terry scores in logits, ± their standard error: who leads by 1 is preferred 73 times of 100, by 2 "
    "88 times. Both good counts as half a win each way, both bad as no vote."
)


def standings(axis: str, matches: Sequence[Match], votes: Sequence[Vote], *, simulated: bool) -> str:
    """Scores as HTML: of the axis' values, in a sentence and a table, and folded up of the pictures.

    Args:
        axis: its name.
        matches: its pairs.
        votes: on these or any others.
        simulated: whether any of the pictures is the sandbox's.

    Raises:
        ConfigError: the votes can't be brought into scores.
    """
    asked = {frozenset(match.ids) for match in matches}
    here = [vote for vote in votes if vote.pair in asked]
    values = by_value(matches, here)
    if not values:
        return _line(_nothing(here), "muted")
    called = {output.sha256: output for match in matches for output in (match.first, match.second)}
    pictures = scores(votes)
    rows = [
        (_title(called[one].cell.title, called[one].number, len(called[one].cell.outputs)), one)
        for one in pictures.means
        if one in called
    ]
    parts = [
        _line(_counted(here, simulated=simulated)),
        _line(_in_words(axis, values)),
        _table(axis, values, [(label, label) for label in values.means]),
        _folded(
            f"Single pictures ({len(rows)})",
            _table("picture", pictures, rows[:_MOST], more=len(rows) - _MOST),
        ),
        _line(_RULES, "muted"),
    ]
    return "".join(parts)


def _counted(votes: Sequence[Vote], *, simulated: bool) -> str:
    raters = {vote.rater for vote in votes}
    by = f" by {len(raters)} people" if len(raters) > 1 else ""
    bad = sum(1 for vote in votes if vote.choice == "both bad")
    without = f", {bad} of them both bad, which don't count" if bad else ""
    return f"{_votes(len(votes))}{by}{without}" + (" – on simulated pictures" if simulated else "") + "."


def _votes(count: int) -> str:
    return f"{count} vote" + ("" if count == 1 else "s")


def _nothing(votes: Sequence[Vote]) -> str:
    if votes:
        return f"No scores yet: {_votes(len(votes))}, all both bad, which say nothing of who is better."
    return "No votes on this axis yet."


def _in_words(axis: str, values: Scores) -> str:
    """Who leads, and whether that can be told."""
    if len(values.groups) > 1:
        return f"Not all values of {axis} were compared yet: scores of different groups say nothing about each other."
    first, second = list(values.means)[:2]
    lead, error = values.lead(first, second)
    told = "told apart" if lead > 1.96 * error else "not told apart yet"
    return f"{axis} {first} is ahead of {second} by {lead:.1f} ± {error:.1f}: {told}."


def _table(head: str, found: Scores, rows: Iterable[tuple[str, str]], more: int = 0) -> str:
    group = _groups(found)
    grouped = "<th>group</th>" if group else ""
    lines = [
        f"<tr><td>{html.escape(name)}</td><td>{_signed(found.means[one])} ± {found.errors[one]:.2f}</td>"
        f"<td>{found.votes[one]}</td>" + (f"<td>{group[one]}</td>" if group else "") + "</tr>"
        for name, one in rows
    ]
    rest = f'<div class="kl-muted">and {more} more</div>' if more > 0 else ""
    return (
        f'<table class="kl-standings"><tr><th>{html.escape(head)}</th><th>score</th><th>votes</th>{grouped}</tr>'
        f"{''.join(lines)}</table>{rest}"
    )


def _signed(value: float) -> str:
    return f"{value:+.2f}".replace("-", "−")


def _groups(found: Scores) -> Mapping[str, str]:
    """A letter for each group of what was compared; none where all hangs together."""
    if len(found.groups) < 2:
        return {}
    return {one: str(number) for number, group in enumerate(found.groups, 1) for one in group}


def _title(title: str, number: int, outputs: int) -> str:
    return f"{title} · output {number}" if outputs > 1 else title


def _line(text: str, kind: str = "plain") -> str:
    return f'<div class="kl-{kind}">{html.escape(text)}</div>'


def _folded(summary: str, content: str) -> str:
    return f"<details><summary>{html.escape(summary)}</summary>{content}</details>"
