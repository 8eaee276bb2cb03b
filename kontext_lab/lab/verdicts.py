"""Verdicts, notes and votes of people on pictures.

Each is written to the store first and shown afterwards. A running sweep is not disturbed; any thread may call.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Collection, Mapping

from kontext_lab import tracking
from kontext_lab.errors import ConfigError, NotFound, WrongType, shown, visible
from kontext_lab.results import CellResult, Output, Results
from kontext_lab.results.labels import verdict_key
from kontext_lab.statistics import Choice, Scores, Vote, scores
from kontext_lab.tracking import Tracker, read_votes, write_given, write_note, write_vote

__all__ = [
    "annotate",
    "check_criterion",
    "put_metrics",
    "record_vote",
    "score",
    "set_verdict",
    "vote",
    "votes_on",
    "withdraw_vote",
]

LONGEST_CRITERION = 100

LONGEST_COMMENT = 5000

SCORE, SCORE_SE = "rank/score", "rank/score_se"

# MLflow takes a metric's name as a path: no part of it is empty, or leads upwards.
_CRITERION = re.compile(r"(?! )(?!\.{1,2}(?:/|$))[\w\-.: ]+(?:/(?!\.{1,2}(?:/|$))[\w\-.: ]+)*(?<! )")

_changing = threading.Lock()
"""Held while the metrics of an output are changed, by whichever thread."""


def check_criterion(criterion: object, name: str = "criterion") -> str:
    """Return the criterion itself, if a verdict can be given on it; an error calls it by this name."""
    if isinstance(criterion, str) and len(criterion) <= LONGEST_CRITERION and _CRITERION.fullmatch(criterion):
        return criterion
    raise ConfigError(
        f"{name}: {shown(criterion)}, allowed are up to {LONGEST_CRITERION} letters, digits, blanks and _-.:/"
    )


def put_metrics(output: Output, old: Collection[str], new: Mapping[str, float | None]) -> None:
    """Replace metrics of an output, in a new mapping: a reader of the old one is not disturbed. None removes one."""
    with _changing:
        kept = {name: value for name, value in output.metrics.items() if name not in old and name not in new}
        output.metrics = kept | {name: value for name, value in new.items() if value is not None}


def set_verdict(tracker: Tracker, what: CellResult | Output, criterion: str, verdict: bool | None) -> None:
    """Record a verdict; see `Lab.set_verdict`."""
    key = verdict_key(check_criterion(criterion))
    if verdict not in (True, False, None):
        raise ConfigError(f"verdict must be True, False or None, not {shown(verdict)}")
    output = _picture(what, "to judge")
    value = None if verdict is None else float(verdict)
    trouble = f"the verdict on {output.cell.title} can't be recorded in MLflow"
    tracker.call(trouble, write_given, output.run_id, {(key, output.number): value})
    put_metrics(output, (), {key: value})


def annotate(tracker: Tracker, what: CellResult | Output, text: str) -> None:
    """Record a note on a cell; see `Lab.annotate`."""
    if not isinstance(text, str):
        raise WrongType(f"note must be text, not {shown(text)}")
    comment = visible("\n".join(text.strip().splitlines()))
    if len(comment) > LONGEST_COMMENT:
        raise ConfigError(f"note: has {len(comment)} characters, allowed are {LONGEST_COMMENT}")
    cell = _output(what).cell
    _check_tracked(cell)
    trouble = f"the note on {cell.title} can't be recorded in MLflow"
    tracker.call(trouble, write_note, cell.run_id, comment)
    cell.comment = comment


def _output(what: object) -> Output:
    output = what.output if isinstance(what, CellResult) else what
    if isinstance(output, Output):
        return output
    raise WrongType(f"expected a cell, such as results[0], or an output of it, not {type(output).__name__}")


def _picture(what: object, purpose: str) -> Output:
    """The output that is meant, if it is a picture."""
    output = _output(what)
    if not output.is_picture:
        raise NotFound(f"{output.cell.title}: there is no picture {purpose}, the cell is {output.state}")
    _check_tracked(output.cell)
    return output


def _check_tracked(cell: CellResult) -> None:
    if not cell.run_id:
        raise NotFound(f"{cell.title}: is not in MLflow (yet), the cell is {cell.state}")


def vote(
    tracker: Tracker, left: CellResult | Output, right: CellResult | Output, choice: Choice, rater: str
) -> Vote:
    """Record one vote on two pictures; see `Lab.vote`."""
    first, second = _picture(left, "to vote on"), _picture(right, "to vote on")
    given = Vote(first.sha256, second.sha256, choice, rater)
    record_vote(tracker, given, first, second)
    return given


def record_vote(tracker: Tracker, given: Vote, left: Output, right: Output) -> None:
    """Write a vote that was given on these two."""
    for output in (left, right):
        _check_tracked(output.cell)
    if not tracker.call("the vote can't be recorded in MLflow", write_vote, given, left, right):
        raise NotFound(f"{left.cell.title}: is not in {tracker.store.shown}, give the lab that ran it")


def withdraw_vote(
    tracker: Tracker, given: Vote, left: CellResult | Output, right: CellResult | Output
) -> None:
    """Withdraw a vote on these two, for good."""
    first, second = _picture(left, "to vote on"), _picture(right, "to vote on")
    if given.pair != {first.sha256, second.sha256}:
        raise NotFound(f"{first.cell.title} and {second.cell.title}: this vote was on other pictures")
    tracker.call("the vote can't be withdrawn in MLflow", tracking.withdraw_vote, given, first, second)


def votes_on(tracker: Tracker, results: Results) -> list[Vote]:
    """List every vote on two pictures that are both among these, by anybody; the oldest first."""
    there = {output.sha256 for output in results.outputs if output.is_picture}
    return [given for given in _all_votes(tracker, results) if given.pair <= there]


def score(tracker: Tracker, results: Results) -> Scores:
    """Compute scores from all votes of these sweeps, and write them to the runs of these cells and onto their outputs."""
    found = scores(_all_votes(tracker, results))
    for cell in results:
        wanted = {
            output: {SCORE: found.means.get(output.sha256), SCORE_SE: found.errors.get(output.sha256)}
            for output in cell.outputs
            if output.is_picture
        }
        changed = {
            (name, output.number): value
            for output, values in wanted.items()
            for name, value in values.items()
            if output.metrics.get(name) != value
        }
        if changed and cell.run_id:
            trouble = f"the scores of {cell.title} can't be recorded in MLflow"
            tracker.call(trouble, write_given, cell.run_id, changed)
            for output, values in wanted.items():
                put_metrics(output, (), values)
    return found


def _all_votes(tracker: Tracker, results: Results) -> list[Vote]:
    # Votes on the original of a reused cell are votes on the same picture.
    run_ids = [one for cell in results for one in (cell.run_id, cell.reused_from) if one]
    return tracker.call("the votes can't be read from MLflow", read_votes, run_ids) if run_ids else []
