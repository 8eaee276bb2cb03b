"""Unfinished sweeps: listed when a lab opens, ended by `recover`, watched while another process runs them."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from kontext_lab.client import SANDBOX_KEY, ClientSettings, KontextClient
from kontext_lab.errors import (
    AlreadyRunning,
    ConfigError,
    KontextLabError,
    SweepError,
    TrackingError,
)
from kontext_lab.journal import SweepFacts, SweepJournal, store_is_there
from kontext_lab.lab.progress import notify
from kontext_lab.lab.recovery import Recovery, deliver, sum_up, withdrawn
from kontext_lab.lab.service import SANDBOX, picture_hosts
from kontext_lab.lab.worker import Worker
from kontext_lab.sweep import Sweep
from kontext_lab.tracking import Opening, Tracker, may_hold

if TYPE_CHECKING:
    from kontext_lab.lab.lab import Lab
import time
from typing import TYPE_CHECKING

from kontext_lab.lab.progress import ProgressBar
from kontext_lab.results import Results
from kontext_lab.tracking import SweepRun

if TYPE_CHECKING:
    from kontext_lab.lab.lab import Lab

__all__ = [
    "UnfinishedSweep",
    "follow_stores",
    "left_by_others",
    "leftovers_of",
    "recover_all",
    "recover_same",
    "tell_unfinished",
    "watch_sweep",
]


@dataclass(frozen=True)
class UnfinishedSweep:
    """A sweep that did not end.

    Attributes:
        name: the sweep's.
        line: what is owed, in words.
        service: `sandbox` or the service's origin.
        store: its MLflow store, without a password.
        here: the lab that was asked speaks to this service and this store: running the sweep again goes on with it.
        started: when it was last begun, or None.
    """

    name: str
    line: str
    service: str
    store: str
    here: bool
    started: datetime | None = None
    _journal: SweepJournal | None = field(default=None, repr=False, compare=False)

    def sweep(self) -> Sweep:
        """The sweep itself, as the journal holds it.

        Raises:
            SweepError: its file can't be read, or it ended meanwhile.
        """
        if self._journal is None:
            raise SweepError(f"sweep {self.name!r}: it is not from a journal")
        return self._journal.sweep()


def leftovers_of(lab: Lab) -> list[UnfinishedSweep]:
    """The unfinished sweeps in the journal; opens neither store nor service."""
    found = []
    for journal in lab.journal.unfinished():
        facts = journal.facts
        here = (facts.service, facts.store) == _where(lab)
        line = unfinished_line(journal)
        found.append(
            UnfinishedSweep(
                facts.name, line, facts.service, facts.store, here, journal.lock.since, _journal=journal
            )
        )
    return found


def _where(lab: Lab) -> tuple[str, str]:
    try:
        return lab.answering, lab.store_shown
    except KontextLabError:
        return "", ""  # whoever uses them is told


def unfinished_line(journal: SweepJournal) -> str:
    """One unfinished sweep in words."""
    attempt_folders = journal.owed()
    answered = sum(1 for _, attempt_folder in attempt_folders if attempt_folder.answer is not None)
    owed = [
        f"{answered} answer{'' if answered == 1 else 's'} to be logged" if answered else "",
        f"{len(attempt_folders) - answered} sent without a known answer"
        if len(attempt_folders) > answered
        else "",
    ]
    words = ", ".join(filter(None, owed)) or "cut off"
    store = journal.facts.store
    moved = "" if store_is_there(store) else ", which is not there any more: recover where it is now"
    return f"{journal.facts.name}: {words} ({store}{moved})"


def tell_unfinished(lab: Lab) -> None:
    """Name what is unfinished, with the command that goes on."""
    try:
        lines = lab.unfinished
    except KontextLabError:
        return  # whoever runs a sweep is told what is wrong with the journal
    if lines:
        count = "1 sweep did not end" if len(lines) == 1 else f"{len(lines)} sweeps did not end"
        more = "; ".join(lines[:3]) + (" …" if len(lines) > 3 else "")
        notify(f"{count}: {more}. Run it again to go on, or `kontext-lab recover` to log what came.")


def recover_all(lab: Lab) -> list[Recovery]:
    """Bring what every unfinished sweep's journal holds into its store, and end its parent run truthfully."""
    with suppress(TrackingError):  # a store that can't be used now is told with each sweep
        follow_stores(lab)
    found = [_recover(lab, journal) for journal in lab.journal.unfinished()]
    return [one for one in found if one is not None]


def follow_stores(lab: Lab) -> None:
    """See that unfinished sweeps of the store in use belong to it, also where it was moved since.

    A store is known by the sweep's run: it is in the store in use, and no longer in the one that the journal names.

    Raises:
        TrackingError: the store can't be used.
        ConfigError: the journal can't be written.
    """
    for journal in lab.journal.unfinished():
        facts, tracker = journal.facts, lab.tracker
        store = tracker.store.shown
        if not (facts.parent_id and facts.store != store and facts.store.startswith("sqlite:")):
            continue
        if may_hold(facts.store, facts.parent_id) or not tracker.holds(facts.parent_id):
            continue
        with suppress(AlreadyRunning):
            journal.lock.take()
            try:
                journal.follow_store(store)
            finally:
                journal.lock.release()


def recover_same(lab: Lab, facts: SweepFacts, sweep: Sweep) -> None:
    """Bring into the store what other sweeps left of the same requests, so that they are not paid for twice."""
    others = left_by_others(lab, facts)
    if not others:
        return  # as nearly always: nothing is worked out for it
    fingerprints = {cell.request.fingerprint(facts.service) for cell in sweep.cells}
    for journal in others:
        if any(intent.fingerprint in fingerprints for intent, _ in journal.attempt_folders()):
            _recover(lab, journal)


def left_by_others(lab: Lab, facts: SweepFacts) -> list[SweepJournal]:
    """The unfinished sweeps of the same store, without the one itself."""
    others = (one for one in lab.journal.unfinished() if one.facts.key != facts.key)
    return [one for one in others if one.facts.store == facts.store]


def _recover(lab: Lab, journal: SweepJournal) -> Recovery | None:
    """What was delivered of one sweep; None where a living process is at work on it."""
    try:
        journal.lock.take()
    except AlreadyRunning:
        return None
    except KontextLabError as error:
        return _not_delivered(journal, error)
    # First: what can't be delivered now must not be sent by a worker that outlived its program either.
    for _, attempt_folder in journal.attempt_folders():
        if attempt_folder.answer is None:
            withdrawn(attempt_folder)
    try:
        return _recovered(lab, journal)
    except KontextLabError as error:
        return _not_delivered(journal, error)
    finally:
        journal.close()


def _not_delivered(journal: SweepJournal, error: KontextLabError) -> Recovery:
    return Recovery(
        journal.facts.name, problem=f"not delivered: {error}", kept=len(journal.attempt_folders())
    )


def _recovered(lab: Lab, journal: SweepJournal) -> Recovery:
    facts, sweep = journal.facts, journal.sweep()
    tracker = _tracker_for(lab, facts.store, facts.experiment)
    opening = Opening(sweep, facts.service, facts.digest, facts.version, parent_id=facts.parent_id)
    parent_id = tracker.begin(opening)
    worker = _worker_for(lab, journal)
    try:
        done = deliver(journal, sweep, tracker, parent_id, worker, pacing=lab.options.pacing)
        sum_up(tracker, parent_id, sweep, facts.service)
    except BaseException:
        tracker.abandon(parent_id)
        raise
    if not journal.end():
        done.kept = len(journal.attempt_folders())
        done.problem = (
            done.problem or f"an answer whose request can't be read is in {journal.folder}: look there"
        )
    return done


def _tracker_for(lab: Lab, store: str, experiment: str) -> Tracker:
    """The store that the journal names: the lab's own, or another one opened for this."""
    own = _own_tracker(lab)
    if own is not None and own.store.shown == store:
        return own if own.store.experiment == experiment else Tracker(own.store.uri, experiment)
    if not store.startswith("sqlite:"):
        # A server would be sent what MLflow's environment holds for another one; and a password is not kept here.
        raise ConfigError(f"its store is {store}: set MLFLOW_TRACKING_URI to that and recover again")
    if not store_is_there(store):
        raise ConfigError(
            f"its store {store} is not there any more: if it was moved, run `kontext-lab recover` in its folder, "
            "or set MLFLOW_TRACKING_URI to where it is now"
        )
    return Tracker(store, experiment)


def _own_tracker(lab: Lab) -> Tracker | None:
    try:
        return lab.tracker
    except KontextLabError:
        return None


def _worker_for(lab: Lab, journal: SweepJournal) -> Worker:
    """The lab's own where it speaks to the same service; else one without key, which can only download."""
    facts = journal.facts
    if lab.speaks_to(facts.service, facts.base_url):
        return lab.worker
    settings = ClientSettings(base_url=facts.base_url, connect_timeout=3.0, picture_hosts=picture_hosts())
    return Worker(KontextClient(settings, SANDBOX_KEY if facts.service == SANDBOX else None))


LOOK_SECONDS = 1.0


def watch_sweep(lab: Lab, which: str, *, shown: bool) -> Results:
    """Follow a sweep in the store until no process of this machine is at work on it any more."""
    run = lab.tracker.find(which)
    lock = lab.journal.sweep(_facts(lab, run)).lock
    with ProgressBar(run.cells, shown=shown) as bar:
        while lock.is_taken:
            bar.update(lab.tracker.outcomes(run.run_id) - bar.n)
            time.sleep(LOOK_SECONDS)
        results = lab.load(run.run_id)
        bar.update(sum(1 for cell in results if cell.run_id) - bar.n)
    return results


def _facts(lab: Lab, run: SweepRun) -> SweepFacts:
    return SweepFacts(
        name=run.name,
        digest=run.digest,
        service=run.service,
        base_url="",
        store=lab.tracker.store.shown,
        experiment=lab.tracker.experiment_name(run.experiment_id),
    )
