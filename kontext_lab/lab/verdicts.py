"""What a person says of a picture: pass or fail on a criterion, and notes.

Written to the store first: what is shown was recorded. A sweep under way is not disturbed, whichever thread
this runs on.
"""

from __future__ import annotations

import re
import threading

from kontext_lab.errors import ConfigError, NotFound, shown, visible
from kontext_lab.results import CellResult, Output
from kontext_lab.tracking import Tracker

__all__ = ["annotate", "check_criterion", "judge", "noting"]

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


def judge(tracker: Tracker, what: CellResult | Output, criterion: str, verdict: bool | None) -> None:
    """Record a verdict on an output, of a cell on its first; None withdraws it.

    Raises:
        ConfigError: the criterion can't be the name of a metric, or the verdict is none.
        NotFound: the cell isn't tracked yet, or there is no picture.
        TrackingError: it can't be recorded; then nothing changes.
    """
    key = f"verdict/{check_criterion(criterion)}"
    if verdict not in (True, False, None):
        raise ConfigError(f"verdict: {shown(verdict)}, allowed are True, False and None")
    output = what.output if isinstance(what, CellResult) else what
    _check_kind(output)
    if not output.is_picture:
        raise NotFound(f"{output.cell.title}: there is no picture to judge, the cell is {output.state}")
    _check_tracked(output.cell)
    tracker.judge(output, key, verdict)
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
