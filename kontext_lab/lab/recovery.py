"""Delivery of what a crash, a second interrupt or a store that was away left in the journal.

An answer that was read is paid for: its pictures are taken from disk or downloaded, and logged. An intent
without an answer is in doubt, unless the service's log knows better. Nothing here sends a request.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from kontext_lab.journal import AttemptFolder, Intent, SweepJournal
from kontext_lab.lab.lookup import draw_preview
from kontext_lab.lab.worker import Worker
from kontext_lab.request.attempt import Attempt
from kontext_lab.results import CellResult, Results, State, TrackedCell
from kontext_lab.results.states import outcome_by_log
from kontext_lab.runner import Pacing
from kontext_lab.sweep import Sweep
from kontext_lab.tracking import SweepRecorder, Tracker

__all__ = ["Recovery", "deliver", "in_hand", "sum_up"]

_ADDRESSES_LIVE = timedelta(days=3)
"""Longest age at which a picture's address is tried; its lifetime is not documented, a day was seen elsewhere."""

_UNREACHED = "pictures could not be reached yet: recover again later"


@dataclass
class Recovery:
    """Result of `recover` for one sweep: its answers that went from the journal into the store.

    Attributes:
        name: the sweep's.
        run_id: its parent run, or "" where the store can't be used.
        answers: cells whose answer was at hand.
        in_doubt: cells whose answer is lost.
        free: requests that never left, or were not billed by the service's log; a run sends them again.
        problem: why something could not be delivered, or "".
        kept: requests that stay in the journal because of that.
    """

    name: str
    run_id: str = ""
    answers: int = 0
    in_doubt: int = 0
    free: int = 0
    problem: str = ""
    kept: int = 0

    @property
    def line(self) -> str:
        """In words."""
        words = [
            f"{self.answers} answer{'' if self.answers == 1 else 's'} logged" if self.answers else "",
            f"{self.in_doubt} in doubt" if self.in_doubt else "",
            f"{self.free} not billed" if self.free else "",
            self.problem,
        ]
        return f"{self.name}: {', '.join(filter(None, words)) or 'nothing was owed'}"


def deliver(
    journal: SweepJournal, sweep: Sweep, recorder: SweepRecorder, worker: Worker, *, pacing: Pacing
) -> Recovery:
    """Bring the contents of a sweep's journal, whose lock is taken, into its parent run.

    Raises:
        TrackingError: the store can't be written; the rest stays in the journal.
    """
    done = Recovery(journal.facts.name, recorder.run_id)
    owed = []
    for intent, attempt_folder in journal.attempt_folders():
        answered = attempt_folder.answer is not None
        if recorder.has_outcome(intent.place, intent.request_id, answered=answered):
            journal.drop(attempt_folder)  # only the emptying was cut off
        elif not answered and attempt_folder.withdraw():
            done.free += 1
            journal.drop(attempt_folder)
        elif intent.place < len(sweep.cells):
            asked = sweep.cells[intent.place]
            boxes = sweep.boxes_in(asked.request)
            cell = CellResult.from_cell(asked, journal.facts.service, intent.fingerprint, protect=boxes)
            owed.append(_Owed(intent, attempt_folder, cell))
        else:
            done.problem = (
                f"cell {intent.title!r} is not part of the sweep any more: see {attempt_folder.path}"
            )
    lost = [one.intent for one in owed if one.attempt_folder.answer is None and one.intent.request_id]
    outcomes = worker.ask({intent.request_id: intent.moment for intent in lost})
    for one in owed:
        if (outcome := outcomes.get(one.intent.request_id)) is not None and not outcome.billed:
            done.free += 1
            journal.drop(one.attempt_folder)
    owed = [one for one in owed if one.attempt_folder.intent is not None]
    for one, attempt in _fetched(worker, owed, pacing):
        if attempt is None or (awaited := _awaited(one, attempt)):
            done.problem = _UNREACHED if attempt is None else awaited
            continue
        one.cell.apply(attempt, one.intent.moment)
        recorder.log(one.intent.place, one.cell, attempt)
        outcome = outcomes.get(one.intent.request_id)
        if outcome is not None and one.cell.state is State.IN_DOUBT:
            recorder.settle(one.cell, outcome_by_log(outcome), outcome.cost_usd)
        done.in_doubt += one.cell.state is State.IN_DOUBT
        done.answers += one.cell.state is not State.IN_DOUBT
        journal.drop(one.attempt_folder)
    return done


@dataclass
class _Owed:
    """A cell that the journal holds something of."""

    intent: Intent
    attempt_folder: AttemptFolder
    cell: CellResult


def _fetched(worker: Worker, owed: list[_Owed], pacing: Pacing) -> Iterator[tuple[_Owed, Attempt | None]]:
    """Fetch answers with their pictures, one after another; those that don't come at once are tried again together.

    Hosts that hang are given a time for all cells together; those that are left for later come with None.
    """
    # Where not all can be tried, a cell whose host hangs must not be the first every time.
    left: list[tuple[_Owed, Attempt | None]] = [(one, None) for one in random.sample(owed, len(owed))]
    tries, lost = 1, 0.0
    while left:
        again: list[tuple[_Owed, Attempt | None]] = []
        wait = None
        for one, last in left:
            if lost > pacing.fetching:
                yield one, last
                continue
            assert one.cell.request is not None, "it was made from a sweep's cell"
            attempt = worker.fetch(one.cell.request, one.intent.request_id, one.attempt_folder)
            answer = attempt.answer
            if answer is not None and answer.unreached:
                lost += answer.download_s
            wait = pacing.before_download(tries, lost)
            if wait is not None and answer is not None and any(picture.again for picture in answer.pictures):
                again.append((one, attempt))
            else:
                yield one, attempt
        left, tries = again, tries + 1
        if left and wait is not None:
            lost += wait
            time.sleep(wait)


def _awaited(one: _Owed, attempt: Attempt) -> str:
    """The reason why a cell stays in the journal, because its picture may come later; or ""."""
    pictures = attempt.answer.pictures if attempt.answer else ()
    refused = next((picture.note for picture in pictures if picture.refused), "")
    if refused:
        return refused  # however old it is: nobody has tried
    young = datetime.now(UTC) - one.intent.moment < _ADDRESSES_LIVE
    return _UNREACHED if young and any(picture.unreached for picture in pictures) else ""


def sum_up(
    tracker: Tracker, recorder: SweepRecorder, sweep: Sweep, service: str, *, quick: bool = False
) -> None:
    """End a parent run that no process is at work on, as its children say; with `quick` without table and figure."""
    run, cells = tracker.load(recorder.run_id)
    listed = [
        cells.get(cell.index) or CellResult.from_cell(cell, service, "", protect=sweep.boxes_in(cell.request))
        for cell in sweep.cells
    ]
    results = Results(listed, name=run.name, run_id=recorder.run_id, draw=draw_preview)
    stopped = any(cell.state is State.WAITING for cell in listed)
    recorder.finish(results, stopped=stopped, seconds=0.0, quick=quick)


def in_hand(intent: Intent, attempt_folder: AttemptFolder) -> TrackedCell | None:
    """Read an attempt folder: None where an answer came, else the request in doubt."""
    if attempt_folder.answer is not None:
        return None
    return TrackedCell(
        run_id="",
        parent_id="",
        index=intent.place,
        fingerprint=intent.fingerprint,
        state=State.IN_DOUBT,
        reason="lost",
        when=intent.moment,
        request_id=intent.request_id,
    )
