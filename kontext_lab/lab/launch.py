"""Starts a sweep: takes its lock, delivers leftovers of earlier runs, plans, creates the MLflow run, starts the runner."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Mapping, Sequence
from concurrent import futures
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from importlib.metadata import version
from typing import TYPE_CHECKING

from kontext_lab.errors import AlreadyRunning, ServiceError, SweepError, Unauthorized
from kontext_lab.images import Reference
from kontext_lab.journal import FolderPermits, SweepFacts, SweepJournal, store_is_there
from kontext_lab.lab import plan as planning
from kontext_lab.lab.bound_store import BoundJournal, BoundStore, draw_preview
from kontext_lab.lab.daemon_executor import DaemonExecutor
from kontext_lab.lab.executors import permits_for
from kontext_lab.lab.measurer import Measurer
from kontext_lab.lab.options import RunOptions
from kontext_lab.lab.picture_search import with_origins
from kontext_lab.lab.plan import Action, Decision, Plan
from kontext_lab.lab.recovery import ask_about, deliver, doubtful, held_in, in_hand, sum_up
from kontext_lab.lab.service import SANDBOX_LATENCY
from kontext_lab.lab.unfinished import follow_stores, left_by_others, recover_same
from kontext_lab.request.attempt import BillingOutcome
from kontext_lab.results import CellResult, Results, State, TrackedCell
from kontext_lab.results.states import MISSING, PAID_AGAIN, outcome_by_log
from kontext_lab.runner import Budget, Coordinator, Handle, Observer, Permits, Task
from kontext_lab.sweep import Sweep
from kontext_lab.tracking import Opening

if TYPE_CHECKING:
    from kontext_lab.lab.lab import Lab
from kontext_lab.statistics.inert_axes import idle_pairs, idle_words

__all__ = ["IdleWatch", "facts_of", "make_plan", "prepare_sweep", "resolved"]


SPARE_THREADS = 4
"""For what is free: downloads tried again, and asking the service's log; besides one a request without an executor."""

MOST_MEASURING = 4
"""Threads that measure pictures."""


def resolved(lab: Lab, sweep: Sweep, *, fetch: bool = True) -> Sweep:
    """The sweep with its references fetched, if they are to be.

    Raises:
        SweepError: it is none, or a reference by URL can't be fetched.
    """
    if not isinstance(sweep, Sweep):
        raise SweepError(
            f"sweep: {type(sweep).__name__} is none, give a kl.Sweep; kl.Sweep.from_yaml(path) reads a file"
        )
    return sweep.resolve(lab.connection.client.fetch_reference) if fetch else sweep


def facts_of(lab: Lab, sweep: Sweep) -> SweepFacts:
    """What the journal says of a resolved sweep."""
    connection, store = lab.connection, lab.tracker.store
    return SweepFacts(
        name=sweep.name,
        digest=sweep.digest(connection.name),
        service=connection.name,
        base_url=connection.client.settings.base_url,
        store=store.shown,
        experiment=store.experiment,
        version=version("kontext-lab"),
    )


Charge = tuple[TrackedCell, BillingOutcome]
"""A cell in doubt, and what the service's log says now of its request."""


def make_plan(lab: Lab, sweep: Sweep, options: RunOptions, *, ask: bool) -> tuple[Plan, list[Charge]]:
    """The plan for a sweep, and the charges that became known of its cells in doubt.

    Args:
        lab: whose store and service.
        sweep: resolved; else cells with an address that wasn't fetched count as never paid for.
        options: of this run.
        ask: ask for prices and balance as well.
    """
    connection, tracker = lab.connection, lab.tracker
    told_apart = _told_apart(sweep)
    unfetched = told_apart is not sweep
    fingerprints = [cell.request.fingerprint(connection.name) for cell in told_apart.cells]
    here: Mapping[int, TrackedCell] = {}
    anywhere: Mapping[str, TrackedCell] = {}
    if options.reuse == "always":
        # What is paid for again because it is missing is looked at with care.
        thorough = options.missing == "resend"
        here = {} if unfetched else tracker.known_here(sweep.digest(connection.name), thorough=thorough)
        anywhere = tracker.known(fingerprints, thorough=thorough)
    journal = lab.journal.sweep(facts_of(lab, told_apart))
    busy = ask and not unfetched and journal.lock.is_taken
    # What another process has under way is neither lost nor to be recovered.
    held = {} if busy or unfetched else held_in(journal)
    if options.reuse == "always":
        held = _with_others(lab, journal.facts, held, fingerprints, anywhere)
    known = (*here.values(), *anywhere.values(), *filter(None, held.values()))
    found = {one.request_id: one for one in known if doubtful(one)}
    lost = tuple((one.request_id, one.when) for one in found.values())
    look_up = partial(ask_about, lab.worker, lost)
    # A start spends money on what it hears, so it hears it anew.
    fates = lab.asked.get(("log", lost), look_up) if ask else look_up()
    decisions = planning.decide(
        sweep.cells,
        fingerprints,
        here=here,
        anywhere=anywhere,
        reuse=options.reuse,
        in_doubt=options.in_doubt,
        missing=options.missing,
        retry_failed=options.retry_failed,
        limit=options.limit,
        held=held,
        not_billed={request_id for request_id, fate in fates.items() if not fate.billed},
    )
    plan = Plan(
        sweep,
        connection.name,
        decisions,
        charged=dict(lab.prices),
        other_stores=_held_by_other_stores(lab, anywhere, decisions) if options.reuse == "always" else {},
        budget=options.budget,
        concurrency=options.concurrency,
        seconds_each=SANDBOX_LATENCY if connection.simulated else planning.TYPICAL_SECONDS,
        notes=(f"it is running already{journal.lock.owner}",) if busy else (),
    )
    asked = _with_prices(lab, plan) if ask and plan.requests and not connection.simulated else plan
    charges = [(found[one], fate) for one, fate in fates.items() if fate.billed]
    return asked, charges


def _told_apart(sweep: Sweep) -> Sweep:
    """The sweep with a digest in the place of every picture that was not fetched: no store knows it."""

    def identified(reference: Reference) -> Reference:
        if reference.resolved:
            return reference
        return replace(reference, digest=f"address {hashlib.sha256(str(reference.url).encode()).hexdigest()}")

    if all(reference.resolved for reference in sweep.references):
        return sweep
    return sweep.with_references(identified)


def _held_by_other_stores(
    lab: Lab, anywhere: Mapping[str, TrackedCell], decisions: Sequence[Decision]
) -> Mapping[str, int]:
    """How many of the requests other stores hold, by store; what this one holds is noted for those."""
    if lab.connection.simulated:
        return {}
    store = lab.tracker.store.shown
    lab.store_index.note(store, [one.fingerprint for one in anywhere.values() if one.state is State.DONE])
    to_send = [one.fingerprint for one in decisions if one.action is Action.SEND]
    return lab.store_index.holding(to_send, besides=store)


def _with_others(
    lab: Lab,
    facts: SweepFacts,
    held: Mapping[int, TrackedCell | None],
    fingerprints: Sequence[str],
    anywhere: Mapping[str, TrackedCell],
) -> dict[int, TrackedCell | None]:
    """What the journal holds of the same requests, sent by other sweeps, besides what it holds of this one."""
    left: dict[str, TrackedCell | None] = {}
    for other in left_by_others(lab, facts):
        for intent, attempt_folder in other.owed():
            left[intent.fingerprint] = in_hand(intent, attempt_folder)
    done = {one.fingerprint for one in anywhere.values() if one.state is State.DONE and not one.missing}
    same = {place: one for place, one in enumerate(fingerprints) if one in left and one not in done}
    return {place: left[one] for place, one in same.items()} | dict(held)


def _with_prices(lab: Lab, plan: Plan) -> Plan:
    """What the service says of prices and balance, or said a moment ago; every answer is optional."""
    client, asked = lab.connection.client, lab.asked
    models = {one.cell.request.model for one in plan.of(Action.SEND)}
    try:
        asked.get("ping", client.ping)
        balance = asked.get("balance", client.balance)
        told = {model: asked.get(("price", model), partial(client.price, model)) for model in sorted(models)}
    except Unauthorized as error:
        return replace(plan, notes=(*plan.notes, str(error)))
    except ServiceError as error:
        return replace(plan, notes=(*plan.notes, f"the service doesn't answer: {error}"))
    prices = {model: price for model, price in told.items() if price is not None}
    return replace(plan, prices=prices, balance=balance)


def prepare_sweep(
    lab: Lab, sweep: Sweep, options: RunOptions, observers: Sequence[Observer], inside: str | None = None
) -> Handle:
    """Make a sweep ready to begin.

    Args:
        lab: whose service and store.
        sweep: the sweep.
        options: of this run.
        observers: called with every cell whose state changed.
        inside: the run that a new parent run is put into, or ""; None for the calling thread's active one.

    Raises:
        AlreadyRunning: a living process is at work on it.
        ServiceUnavailable, Unauthorized, TrackingError, ConfigError: before anything is sent.
    """
    lab.asked.forget()
    ready = with_origins(resolved(lab, sweep), lab.tracker)
    if inside is None:
        inside = lab.active_run_id()
    follow_stores(lab)
    journal = lab.journal.sweep(facts_of(lab, ready))
    journal.lock.take()
    try:
        return _prepared(lab, ready, options, observers, journal, inside=inside)
    except BaseException:
        parent_id = journal.facts.parent_id
        # A run that the store can't be told of now is still RUNNING there: the journal keeps its sweep.
        if not parent_id or lab.tracker.abandon(parent_id):
            journal.end()
        journal.close()
        raise


def _prepared(
    lab: Lab,
    sweep: Sweep,
    options: RunOptions,
    observers: Sequence[Observer],
    journal: SweepJournal,
    *,
    inside: str,
) -> Handle:
    """The order of things: what is owed first, then the plan, then the service, then the parent run."""
    if journal.attempt_folders():
        opening = _opening(lab, sweep, inside, parent_id=journal.parent_id)
        parent_id = lab.tracker.begin(opening, journal.belongs_to)
        deliver(journal, sweep, lab.tracker, parent_id, lab.worker, pacing=options.pacing)
        sum_up(lab.tracker, parent_id, sweep, lab.connection.name, quick=True)
        journal.belongs_to("")  # ended by what its children say; what goes wrong from here on changes nothing
    if options.reuse == "always":
        recover_same(lab, journal.facts, sweep)
    with lab.journal.starting():
        # Looked at before the store: what another sweep ends in between is then known to one of the two.
        others = [(other, other.sends) for other in lab.journal.at_work()]
        plan, charges = make_plan(lab, sweep, options, ask=False)
        lab.tracker.check_sources(one.known for one in plan.of(Action.COPY) if one.known)
        if plan.requests:
            _check_others(lab, plan, journal, others)
            lab.check_service()
        journal.begin(sweep, [one.fingerprint for one in plan.of(Action.SEND)])
    permits: Permits = FolderPermits()
    if plan.requests and options.executor is not None:
        permits = permits_for(options.executor, lab.worker, lab.journal.folder, options.concurrency)
    for known, fate in charges:
        if known.run_id:
            lab.tracker.settle(known.run_id, outcome_by_log(fate), fate.cost_usd)
    opening = _opening(lab, sweep, inside, extends=_extended(plan), fresh=options.reuse == "never")
    lab.tracker.begin(opening, journal.belongs_to)
    return _running(lab, plan, options, observers, journal, permits=permits)


def _check_others(
    lab: Lab, plan: Plan, journal: SweepJournal, others: Sequence[tuple[SweepJournal, set[str]]]
) -> None:
    """What another sweep is just sending would be paid for twice."""
    wanted = {one.fingerprint for one in plan.of(Action.SEND)}
    for other, sends in others:
        same = wanted & sends
        # A store that is not there any more may be this one, moved while the other sweep is at work on it.
        shared = other.facts.store == lab.tracker.store.shown or not store_is_there(other.facts.store)
        if same and shared and other.facts.key != journal.facts.key:
            count = "1 of its requests is" if len(same) == 1 else f"{len(same)} of its requests are"
            raise AlreadyRunning(
                f"sweep {plan.sweep.name!r}: {count} being sent by sweep {other.facts.name!r}"
                f"{other.lock.owner}: wait for that one, its pictures are then reused"
            )


def _running(
    lab: Lab,
    plan: Plan,
    options: RunOptions,
    observers: Sequence[Observer],
    journal: SweepJournal,
    *,
    permits: Permits,
) -> Handle:
    parent_id = journal.facts.parent_id
    boxes = plan.sweep.boxes_in
    cells = [
        CellResult.from_cell(one.cell, plan.service, one.fingerprint, protect=boxes(one.cell.request))
        for one in plan.decisions
    ]
    results = Results(cells, name=plan.sweep.name, run_id=parent_id, draw=draw_preview)
    threads = SPARE_THREADS + (0 if options.executor else options.concurrency)
    local = ThreadPoolExecutor(threads, thread_name_prefix="kontext-lab")
    measure_pool = _gauging() if options.measure else None
    coordinator = Coordinator(
        results,
        [_task(plan, decision) for decision in plan.decisions],
        worker=lab.worker,
        recorder=BoundStore(lab.tracker, parent_id),
        journal=BoundJournal(journal),
        permits=permits,
        executor=options.executor or local,
        local=local,
        concurrency=options.concurrency,
        budget=Budget(options.budget, lab.prices),
        pacing=options.pacing,
        pause_after=options.pause_after,
        observers=(IdleWatch(results), *observers),
        measurer=Measurer(lab.tracker, lab.metrics) if options.measure else None,
        measure_pool=measure_pool,
    )

    def close() -> None:
        lab.asked.forget()  # the balance is another one now
        paid = [cell.fingerprint for cell in results if cell.state is State.DONE and not cell.simulated]
        lab.store_index.note(lab.tracker.store.shown, paid)
        if coordinator.failed:
            lab.tracker.abandon(parent_id)
        if measure_pool is not None:
            measure_pool.shutdown(wait=False, cancel_futures=True)
        patience = max((lab.worker.patience(cell.request) for cell in results if cell.request), default=0.0)
        _close(coordinator, journal, local, patience=2 * patience)

    return Handle(coordinator, close)


def _gauging() -> Executor:
    """Half the processors: the other half belongs to requests, and to the notebook."""
    threads = max(1, min(MOST_MEASURING, (os.cpu_count() or 2) // 2))
    return DaemonExecutor(threads, "kontext-lab measure")


def _close(
    coordinator: Coordinator, journal: SweepJournal, local: ThreadPoolExecutor, *, patience: float
) -> None:
    """The journal is given up when nobody writes to it any more."""
    local.shutdown(wait=False)
    waiting = [future for future in coordinator.left_behind if not future.done()]

    def end() -> None:
        futures.wait(waiting, patience)
        coordinator.keep_late()
        try:
            if coordinator.summed_up:
                journal.end()
        finally:
            journal.close()

    if waiting:
        threading.Thread(target=end, name="kontext-lab left", daemon=True).start()
    else:
        end()


def _opening(
    lab: Lab, sweep: Sweep, inside: str, *, extends: str = "", fresh: bool = False, parent_id: str = ""
) -> Opening:
    service = lab.connection.name
    return Opening(
        sweep,
        service,
        sweep.digest(service),
        version("kontext-lab"),
        extends=extends,
        inside=inside,
        fresh=fresh,
        parent_id=parent_id,
    )


def _task(plan: Plan, decision: Decision) -> Task:
    if decision.action is Action.SEND:
        return Task(send=plan.cost_of(decision.cell.request))
    if decision.action is Action.KEEP:
        return Task(keep=decision.known)
    if decision.action is Action.COPY:
        return Task(copy=decision.known)
    if decision.action is Action.FOLLOW:
        return Task(leader=decision.leader)
    if decision.action is Action.RECOVER:
        return Task(leave="recover", note="its answer is in the journal, its picture can't be reached yet")
    if decision.action is Action.MISSING:
        place = decision.known.place if decision.known else ""
        return Task(leave=MISSING, note=f"its pictures are missing in {place}: {PAID_AGAIN}")
    return Task(leave="limit")


def _extended(plan: Plan) -> str:
    """The sweep that this one takes most of its reused cells from."""
    parents = [one.known.parent_id for one in plan.of(Action.COPY) if one.known]
    return max(set(parents), key=parents.count) if parents else ""


FIRST_LOOK = 4
"""Pictures that have to be there: fewer hold no two matched pairs."""


class IdleWatch:
    """An observer that puts a line into the notes of results as soon as an axis shows that it changes nothing.

    Looks again whenever twice as many pictures are there, so that all looks together cost as much as two.

    Args:
        results: of the sweep under way; their notes are written to.
    """

    def __init__(self, results: Results) -> None:
        self._results = results
        self._next = FIRST_LOOK
        self._done: set[int] = set()
        self._said: set[str] = set()

    def __call__(self, cell: CellResult) -> None:
        """A cell changed."""
        if cell.state is not State.DONE or id(cell) in self._done:
            return  # told again: it was measured, or a person judged it
        self._done.add(id(cell))
        done = len(self._done)
        if done < self._next and done < len(self._results):
            return
        while self._next <= done:
            self._next *= 2
        self._look()

    def _look(self) -> None:
        idle = idle_pairs(self._results)
        mark = "Simulated: " if self._results.simulated else ""
        for axis in self._said - set(idle):
            self._results.notes.append(f"{mark}{axis} changes something after all.")
        new = [axis for axis in idle if axis not in self._said]
        self._results.notes.extend(f"{mark}{idle_words(axis, idle[axis])}" for axis in new)
        self._said = set(idle)
