"""Chains of edits: which outputs a picture was made from, and what was made from it. Store only."""

from __future__ import annotations

from kontext_lab.images import Origin
from kontext_lab.results import CellResult, Output
from kontext_lab.tracking import Tracker

__all__ = ["ancestors", "edits_of"]

LONGEST_CHAIN = 50


def ancestors(tracker: Tracker, what: CellResult | Output) -> list[Output]:
    """The outputs a picture was made from, oldest first; along the first parent, where there are several.

    Raises:
        TrackingError: the store can't be read.
    """
    cell = what if isinstance(what, CellResult) else what.cell
    # A cell that is its own ancestor is a tag somebody wrote: the chain ends there.
    seen = {cell.run_id}
    chain: list[Output] = []
    while cell.parents and cell.parents[0].run_id not in seen and len(chain) < LONGEST_CHAIN:
        parent = tracker.output_at(cell.parents[0])
        if parent is None:
            break
        chain.append(parent)
        cell = parent.cell
        seen.add(cell.run_id)
    return chain[::-1]


def edits_of(tracker: Tracker, what: CellResult | Output) -> list[Output]:
    """The pictures made directly from an output, oldest first, in any experiment; no copies.

    Of a reused output also those made from its original: they are the same picture.

    Raises:
        TrackingError: the store can't be read.
    """
    output = what.output if isinstance(what, CellResult) else what
    runs = [run_id for run_id in (output.run_id, output.cell.reused_from) if run_id]
    return tracker.edits_of([Origin(run_id, output.number) for run_id in runs])
