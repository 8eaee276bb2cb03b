"""What a crash, a second interrupt or a store that was away left in the journal, brought into the store.

An answer that was read is paid for: its pictures are taken from disk or downloaded, and logged. An intent
without an answer is in doubt, unless the service's log knows better. Nothing here sends a request.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from kontext_lab.answer import Fate
from kontext_lab.errors import KontextLabError
from kontext_lab.journal import Intent, SweepJournal
from kontext_lab.results import CellResult, Known, State
from kontext_lab.sweep import Cell, Sweep
from kontext_lab.tracking import Tracker
from kontext_lab.worker import Worker

__all__ = ["Delivered", "ask_about", "billed", "deliver", "doubtful", "held_in"]

_CLOCKS_DIFFER = timedelta(minutes=5)


@dataclass
class Delivered:
    """What was brought from the journal into the store.

    Attributes:
        name: the sweep's.
        run_id: its parent run, or "" where the store can't be used.
        answers: cells whose answer was at hand.
        in_doubt: cells whose answer is lost.
        free: requests that were not billed by the service's log; they are simply sent again.
        problem: why something could not be delivered, or "".
    """

    name: str
    run_id: str = ""
    answers: int = 0
    in_doubt: int = 0
    free: int = 0
    problem: str = ""

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
    journal: SweepJournal, sweep: Sweep, tracker: Tracker, parent_id: str, worker: Worker
) -> Delivered:
    """Bring everything that a sweep's journal holds into its parent run.

    Args:
        journal: the sweep's, with its lock taken.
        sweep: the sweep itself.
        tracker: where the parent run was begun.
        parent_id: the parent run.
        worker: fetches pictures and asks the log.

    Raises:
        TrackingError: the store can't be written; what was not delivered stays.
    """
    done = Delivered(journal.facts.name, parent_id)
    desks = journal.desks()
    lost = [(intent.request_id, intent.moment) for intent, desk in desks if desk.answer is None]
    fates = ask_about(worker, lost)
    for intent, desk in desks:
        if tracker.request_id(parent_id, intent.place) == intent.request_id:
            journal.drop(desk)  # only the emptying was cut off
            continue
        cell = _cell_for(sweep.cells, intent, journal.facts.service)
        if cell is None or cell.request is None:
            done.problem = f"cell {intent.title!r} is not part of the sweep any more: see {desk.path}"
            continue
        fate = fates.get(intent.request_id)
        if fate is not None and not fate.billed:
            done.free += 1
        else:
            attempt = worker.fetch(cell.request, intent.request_id, desk)
            cell.apply(attempt, intent.moment)
            tracker.log(parent_id, intent.place, cell, attempt)
            if fate is not None and cell.state is State.IN_DOUBT:
                tracker.settle(cell.run_id, billed(fate), fate.cost_usd)
            done.in_doubt += cell.state is State.IN_DOUBT
            done.answers += cell.state is not State.IN_DOUBT
        journal.drop(desk)
    return done


def billed(fate: Fate) -> tuple[State, str, str]:
    """The outcome of a request that was charged and whose picture is lost."""
    line = f"billed ${fate.cost_usd:.3f} by the service's log, its picture is lost"
    return State.IN_DOUBT, "lost", line


def _cell_for(cells: Sequence[Cell], intent: Intent, service: str) -> CellResult | None:
    if intent.place >= len(cells):
        return None
    return CellResult.from_cell(cells[intent.place], service, intent.fingerprint)


def ask_about(worker: Worker, lost: Sequence[tuple[str, datetime]]) -> Mapping[str, Fate]:
    """What the service's log says of requests whose answer was lost.

    Args:
        worker: asks.
        lost: their ids, and when they were sent.
    """
    named = [(request_id, when) for request_id, when in lost if request_id]
    if not named:
        return {}
    since = min(when for _, when in named) - _CLOCKS_DIFFER
    try:
        return worker.ask([request_id for request_id, _ in named], since)
    except KontextLabError:
        return {}  # silence proves nothing, and neither does a service that is away


def held_in(journal: SweepJournal) -> dict[int, Known | None]:
    """What a sweep's journal holds, by the cell's place: None where an answer came, else the request in doubt."""
    return {
        intent.place: None
        if desk.answer is not None
        else Known(
            run_id="",
            parent_id="",
            index=intent.place,
            fingerprint=intent.fingerprint,
            state=State.IN_DOUBT,
            reason="lost",
            when=intent.moment,
            request_id=intent.request_id,
        )
        for intent, desk in journal.desks()
    }


def doubtful(known: Known) -> bool:
    """Whether it is still unknown if a tracked cell in doubt was billed."""
    return known.state is State.IN_DOUBT and bool(known.request_id) and not known.cost
