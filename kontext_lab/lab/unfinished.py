"""Unfinished sweeps: listed when a lab opens, ended by `recover`, watched while another process runs them."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime

from kontext_lab.client import SANDBOX_KEY, ClientSettings, KontextClient
from kontext_lab.errors import AlreadyRunning, ConfigError, KontextLabError, SweepError, TrackingError
from kontext_lab.journal import SweepFacts, SweepJournal, store_is_there
from kontext_lab.lab.context import LabContext
from kontext_lab.lab.lookup import draw_grid
from kontext_lab.lab.progress import ProgressBar, notify
from kontext_lab.lab.recovery import Recovery, deliver, sum_up
from kontext_lab.lab.service import SANDBOX, picture_hosts
from kontext_lab.lab.worker import Worker
from kontext_lab.sweep import Sweep
from kontext_lab.tracking import Opening, Tracker, may_hold

__all__ = [
    "UnfinishedSweep",
    "follow_stores",
    "left_by_others",
    "list_unfinished",
    "recover_all",
    "recover_same",
    "tell_unfinished",
    "unfinished_line",
    "watch",
]

LOOK_SECONDS = 1.0


@dataclass(frozen=True)
class UnfinishedSweep:
    """A sweep that did not end.

    Attributes:
        name: the sweep's.
        line: its open requests, in words.
        service: `sandbox` or the service's origin.
        store: its MLflow store, without a password.
        here: the lab uses this service and this store: running the sweep again goes on with it.
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
        """Read the sweep itself from the journal.

        Raises:
            SweepError: its file can't be read, or it ended meanwhile.
        """
        if self._journal is None:
            raise SweepError(f"sweep {self.name!r}: it is not from a journal")
        return self._journal.sweep()

    def __str__(self) -> str:
        return self.line


def list_unfinished(context: LabContext) -> list[UnfinishedSweep]:
    """List the unfinished sweeps in the journal; opens neither store nor service."""
    try:
        here = context.service_name, context.store_address
    except KontextLabError:
        here = "", ""  # their use tells what is wrong
    return [
        UnfinishedSweep(
            journal.facts.name,
            unfinished_line(journal),
            journal.facts.service,
            journal.facts.store,
            (journal.facts.service, journal.facts.store) == here,
            journal.lock.since,
            _journal=journal,
        )
        for journal in context.journal.unfinished()
    ]


def unfinished_line(journal: SweepJournal) -> str:
    """Describe one unfinished sweep in a line."""
    owed = journal.owed()
    answered = sum(1 for _, attempt_folder in owed if attempt_folder.answer is not None)
    lost = len(owed) - answered
    parts = [
        f"{answered} answer{'' if answered == 1 else 's'} to be logged" if answered else "",
        f"{lost} sent without a known answer" if lost else "",
    ]
    words = ", ".join(filter(None, parts)) or "cut off"
    store = journal.facts.store
    moved = "" if store_is_there(store) else ", which is not there any more: recover where it is now"
    return f"{journal.facts.name}: {words} ({store}{moved})"


def tell_unfinished(context: LabContext) -> None:
    """Name the unfinished sweeps, with the command that goes on."""
    try:
        lines = [unfinished_line(journal) for journal in context.journal.unfinished()]
    except KontextLabError:
        return  # running a sweep tells what is wrong with the journal
    if lines:
        count = "1 sweep did not end" if len(lines) == 1 else f"{len(lines)} sweeps did not end"
        more = "; ".join(lines[:3]) + (" …" if len(lines) > 3 else "")
        notify(f"{count}: {more}. Run it again to go on, or `kontext-lab recover` to log what came.")


def recover_all(context: LabContext) -> list[Recovery]:
    """Bring the contents of every unfinished sweep's journal into its store, and end its parent run truthfully."""
    with suppress(TrackingError):  # each sweep of such a store says that it can't be used
        follow_stores(context)
    recoveries = [_recover(context, journal) for journal in context.journal.unfinished()]
    return [recovery for recovery in recoveries if recovery is not None]


def follow_stores(context: LabContext) -> None:
    """See that unfinished sweeps of the store in use belong to it, also where it was moved since.

    A store is known by the sweep's run: it is in the store in use, and no longer in the one that the journal names.
    """
    for journal in context.journal.unfinished():
        facts, tracker = journal.facts, context.tracker
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


def recover_same(context: LabContext, facts: SweepFacts, sweep: Sweep) -> None:
    """Bring into the store what other sweeps left of the same requests, so that they are not paid for twice."""
    others = left_by_others(context, facts)
    if not others:
        return  # as nearly always: no fingerprints are needed
    fingerprints = {cell.request.fingerprint(facts.service) for cell in sweep.cells}
    for journal in others:
        if any(intent.fingerprint in fingerprints for intent, _ in journal.attempt_folders()):
            _recover(context, journal)


def left_by_others(context: LabContext, facts: SweepFacts) -> list[SweepJournal]:
    """List the unfinished sweeps of the same store, without the one itself."""
    others = (one for one in context.journal.unfinished() if one.facts.key != facts.key)
    return [one for one in others if one.facts.store == facts.store]


def _recover(context: LabContext, journal: SweepJournal) -> Recovery | None:
    """Recover one sweep; None where a living process is at work on it."""
    try:
        journal.lock.take()
        try:
            return _deliver_and_end(context, journal)
        finally:
            journal.close()
    except AlreadyRunning:
        return None
    except KontextLabError as error:
        kept = len(journal.attempt_folders())
        return Recovery(journal.facts.name, problem=f"not delivered: {error}", kept=kept)


def _deliver_and_end(context: LabContext, journal: SweepJournal) -> Recovery:
    # First: what can't be delivered now must not be sent by a worker that outlived its program either.
    for _, attempt_folder in journal.attempt_folders():
        if attempt_folder.answer is None:
            attempt_folder.withdraw()
    facts, sweep = journal.facts, journal.sweep()
    tracker = _tracker_for(context, facts.store, facts.experiment)
    opening = Opening(sweep, facts.service, facts.digest, facts.version, parent_id=facts.parent_id)
    recorder = tracker.begin(opening, draw=draw_grid)
    try:
        if context.uses_service(facts.service, facts.base_url):
            worker = context.worker
        else:  # without a key it can only download
            hosts, key = picture_hosts(), SANDBOX_KEY if facts.service == SANDBOX else None
            settings = ClientSettings(base_url=facts.base_url, connect_timeout=3.0, picture_hosts=hosts)
            worker = Worker(KontextClient(settings, key))
        recovery = deliver(journal, sweep, recorder, worker, pacing=context.options.pacing)
        sum_up(tracker, recorder, sweep, facts.service)
    except BaseException:
        if not recorder.finished:  # else it has ended its run itself, or the store did not take that either
            tracker.abandon(recorder.run_id)
        raise
    if not journal.end():
        unread = f"an answer whose request can't be read is in {journal.folder}: look there"
        recovery.kept, recovery.problem = len(journal.attempt_folders()), recovery.problem or unread
    return recovery


def _tracker_for(context: LabContext, store: str, experiment: str) -> Tracker:
    """The store that the journal names: the context's own, or another one opened for this."""
    own = None
    with suppress(KontextLabError):
        own = context.tracker
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


def watch(context: LabContext, which: str, *, shown: bool) -> str:
    """Follow a sweep in the store until no process of this machine is at work on it any more; returns its run."""
    tracker = context.tracker
    run = tracker.find(which)
    facts = SweepFacts(
        name=run.name,
        digest=run.digest,
        service=run.service,
        base_url="",
        store=tracker.store.shown,
        experiment=tracker.experiment_name(run.experiment_id),
    )
    lock = context.journal.sweep(facts).lock
    with ProgressBar(run.cells, shown=shown) as bar:
        while lock.is_taken:
            bar.update(tracker.outcomes(run.run_id) - bar.n)
            time.sleep(LOOK_SECONDS)
        bar.update(tracker.outcomes(run.run_id) - bar.n)
    return run.run_id
