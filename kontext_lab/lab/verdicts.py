"""Verdicts, notes and votes of people on pictures.

Each is written to the store first and shown afterwards. A running sweep is not disturbed; any thread may call.
"""

from __future__ import annotations

import re
import threading

from kontext_lab.errors import ConfigError, NotFound, shown, visible
from kontext_lab.results import CellResult, Output, Results
from kontext_lab.results.labels import verdict_key
from kontext_lab.statistics import Choice, Scores, Vote, scores
from kontext_lab.tracking import Tracker

__all__ = [
    "SCORE",
    "SCORE_SE",
    "annotate",
    "check_criterion",
    "give",
    "noting",
    "rate",
    "set_verdict",
    "take_back",
    "votes_on",
]


LONGEST_CRITERION = 100

LONGEST_COMMENT = 5000

# What MLflow takes in a metric's name, which is a path: no part of it is empty, or leads upwards.
_CRITERION = re.compile(r"(?! )(?!\.{1,2}(?:/|$))[\w\-.: ]+(?:/(?!\.{1,2}(?:/|$))[\w\-.: ]+)*(?<! )")

noting = threading.Lock()
"""Held while the values of an output are put in place, by whichever thread."""


def check_criterion(criterion: object, what: str = "criterion") -> str:
    """The criterion itself, if a verdict can be given on it.

    Args:
        criterion: it.
        what: what the error calls it.

    Raises:
        ConfigError: says what is allowed.
    """
    if isinstance(criterion, str) and len(criterion) <= LONGEST_CRITERION and _CRITERION.fullmatch(criterion):
        return criterion
    raise ConfigError(
        f"{what}: {shown(criterion)}, allowed are up to {LONGEST_CRITERION} letters, digits, blanks and _-.:/"
    )


def set_verdict(tracker: Tracker, what: CellResult | Output, criterion: str, verdict: bool | None) -> None:
    """Record a verdict on an output, of a cell on its first; None withdraws it.

    Raises:
        ConfigError: the criterion can't be the name of a metric, or the verdict is none.
        NotFound: the cell isn't tracked yet, or there is no picture.
        TrackingError: it can't be recorded; then nothing changes.
    """
    key = verdict_key(check_criterion(criterion))
    if verdict not in (True, False, None):
        raise ConfigError(f"verdict: {shown(verdict)}, allowed are True, False and None")
    output = what.output if isinstance(what, CellResult) else what
    _check_kind(output)
    if not output.is_picture:
        raise NotFound(f"{output.cell.title}: there is no picture to judge, the cell is {output.state}")
    _check_tracked(output.cell)
    tracker.write_verdict(output, key, verdict)
    with noting:
        # A new mapping: whoever is reading the old one just now goes on doing so.
        metrics = {name: value for name, value in output.metrics.items() if name != key}
        output.metrics = metrics if verdict is None else {**metrics, key: float(verdict)}


def annotate(tracker: Tracker, what: CellResult | Output, text: str) -> None:
    """Record a note on a cell, in place of the one it has; empty text removes it.

    Raises:
        ConfigError: it is too long, or no text.
        NotFound: the cell isn't tracked.
        TrackingError: it can't be recorded; then nothing changes.
    """
    if not isinstance(text, str):
        raise ConfigError(f"note: {shown(text)}, allowed is text")
    comment = visible("\n".join(text.strip().splitlines()))
    if len(comment) > LONGEST_COMMENT:
        raise ConfigError(f"note: has {len(comment)} characters, allowed are {LONGEST_COMMENT}")
    output = what.output if isinstance(what, CellResult) else what
    _check_kind(output)
    cell = output.cell
    _check_tracked(cell)
    tracker.annotate(cell, comment)
    cell.comment = comment


def _check_kind(output: object) -> None:
    if not isinstance(output, Output):
        raise ConfigError(
            f"{type(output).__name__}: allowed is a cell, such as results[0], or an output of it"
        )


def _check_tracked(cell: CellResult) -> None:
    if not cell.run_id:
        raise NotFound(f"{cell.title}: is not in MLflow (yet), the cell is {cell.state}")


SCORE, SCORE_SE = "rank/score", "rank/score_se"


def give(
    tracker: Tracker, left: CellResult | Output, right: CellResult | Output, choice: Choice, rater: str
) -> Vote:
    """Record one vote on two pictures; of cells, on their first.

    Raises:
        ConfigError: one is no output, the choice is none, or both are the same picture.
        NotFound: there is no picture, or it isn't in the store yet.
        TrackingError: it can't be recorded; then nothing changes.
    """
    first, second = _picture(left), _picture(right)
    vote = Vote(first.sha256, second.sha256, choice, rater)
    record(tracker, vote, first, second)
    return vote


def record(tracker: Tracker, vote: Vote, left: Output, right: Output) -> None:
    """Write a vote that was given on these two.

    Raises:
        NotFound: they are not in this store.
        TrackingError: it can't be recorded.
    """
    for output in (left, right):
        if not output.run_id:
            raise NotFound(f"{output.cell.title}: is not in MLflow (yet), the cell is {output.state}")
    if not tracker.vote(vote, left, right):
        raise NotFound(f"{left.cell.title}: is not in {tracker.store.shown}, give the lab that ran it")


def take_back(tracker: Tracker, vote: Vote, left: CellResult | Output, right: CellResult | Output) -> None:
    """Take back a vote on these two, for good.

    Raises:
        NotFound: it was not on these two.
        TrackingError: it can't be recorded; then the vote counts as before.
    """
    first, second = _picture(left), _picture(right)
    if vote.pair != {first.sha256, second.sha256}:
        raise NotFound(f"{first.cell.title} and {second.cell.title}: this vote was on other pictures")
    tracker.take_back(vote, first, second)


def votes_on(tracker: Tracker, results: Results) -> list[Vote]:
    """Every vote on two pictures that are both among these, by anybody; the oldest first."""
    there = {output.sha256 for output in results.outputs if output.is_picture}
    return [vote for vote in _all_votes(tracker, results) if vote.pair <= there]


def rate(tracker: Tracker, results: Results) -> Scores:
    """Scores from all votes of these sweeps, written to the runs of these cells and put onto their outputs.

    Raises:
        ConfigError: the votes can't be brought into scores.
        TrackingError: they can't be read or recorded; what was recorded before stays.
    """
    found = scores(_all_votes(tracker, results))
    for cell in results:
        wanted = {output: _wanted(output, found) for output in cell.outputs if output.is_picture}
        changed = {
            (name, output.number): value
            for output, values in wanted.items()
            for name, value in values.items()
            if output.metrics.get(name) != value
        }
        if changed and cell.run_id:
            tracker.rate(cell, changed)
            with noting:
                for output, values in wanted.items():
                    _put(output, values)
    return found


def _all_votes(tracker: Tracker, results: Results) -> list[Vote]:
    # Votes on the original of a reused cell are votes on the same picture.
    run_ids = [one for cell in results for one in (cell.run_id, cell.reused_from) if one]
    return tracker.votes(run_ids) if run_ids else []


def _wanted(output: Output, found: Scores) -> dict[str, float | None]:
    return {SCORE: found.means.get(output.sha256), SCORE_SE: found.errors.get(output.sha256)}


def _put(output: Output, values: dict[str, float | None]) -> None:
    # A new mapping: whoever is reading the old one just now goes on doing so.
    kept = {name: value for name, value in output.metrics.items() if name not in values}
    output.metrics = {**kept, **{name: value for name, value in values.items() if value is not None}}


def _picture(what: CellResult | Output) -> Output:
    output = what.output if isinstance(what, CellResult) else what
    if not isinstance(output, Output):
        raise ConfigError(
            f"{type(output).__name__}: allowed is a cell, such as results[0], or an output of it"
        )
    if not output.is_picture:
        raise NotFound(f"{output.cell.title}: there is no picture to vote on, the cell is {output.state}")
    return output
