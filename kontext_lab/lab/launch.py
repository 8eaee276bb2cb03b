"""Plans sweeps with the knowledge of store, journal and service, and makes them ready to run."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Mapping, Sequence
from concurrent import futures
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from importlib.metadata import version
from typing import Any

from kontext_lab.errors import AlreadyRunning, ConfigError, ServiceError, Unauthorized
from kontext_lab.images import Reference
from kontext_lab.journal import FolderPermits, SweepFacts, SweepJournal, store_is_there
from kontext_lab.lab import plan as planning
from kontext_lab.lab.change_maps import ChangeMaps
from kontext_lab.lab.context import LabContext
from kontext_lab.lab.executors import DaemonExecutor, permits_for
from kontext_lab.lab.lookup import draw_grid, draw_preview, with_origins
from kontext_lab.lab.measurer import Measurer
from kontext_lab.lab.options import RunOptions
from kontext_lab.lab.plan import Action, Decision, Plan
from kontext_lab.lab.recovery import deliver, in_hand, sum_up
from kontext_lab.lab.service import SANDBOX_LATENCY
from kontext_lab.lab.unfinished import follow_stores, left_by_others, recover_same
from kontext_lab.lab.worker import BoundJournal
from kontext_lab.request.attempt import BillingOutcome
from kontext_lab.results import CellResult, Results, State, TrackedCell
from kontext_lab.results.states import MISSING, PAID_AGAIN, outcome_by_log
from kontext_lab.runner import Budget, Coordinator, Handle, Observer, Permits, Task
from kontext_lab.statistics.inert_axes import IdleWatch
from kontext_lab.sweep import Sweep
from kontext_lab.tracking import Opening, SweepRecorder, settle_cell

__all__ = ["make_plan", "prepare_run"]

SPARE_THREADS = 4
"""For free work: repeated downloads and questions to the service's log; besides one a request without an executor."""

MOST_MEASURING = 4
"""Threads that measure pictures."""

Charge = tuple[TrackedCell, BillingOutcome]
"""A cell in doubt, and the outcome that the service's log has of its request."""


def make_plan(
    context: LabContext, sweep: Sweep, options: RunOptions, *, ask: bool
) -> tuple[Plan, list[Charge]]:
    """Plan a sweep; returns the plan, and the charges that became known of its cells in doubt.

    Args:
        context: of the lab.
        sweep: cells with an address that wasn't fetched count as never paid for.
        options: of this run.
        ask: ask for prices and balance as well.
    """
    connection, tracker = context.connection, context.tracker
    identified = _identified(sweep)
    unfetched = identified is not sweep
    fingerprints = [cell.request.fingerprint(connection.name) for cell in identified.cells]
    here: Mapping[int, TrackedCell] = {}
    anywhere: Mapping[str, TrackedCell] = {}
    if options.reuse == "always":
        # What is paid for again because it is missing is looked at with care.
        thorough = options.missing == "resend"
        here = {} if unfetched else tracker.known_here(sweep.digest(connection.name), thorough=thorough)
        anywhere = tracker.known(fingerprints, thorough=thorough)
    journal = context.journal_of(identified)
    busy = ask and not unfetched and journal.lock.is_taken
    # What another process has under way is neither lost nor to be recovered.
    owed = [] if busy or unfetched else journal.owed()
    held = {intent.place: in_hand(intent, attempt_folder) for intent, attempt_folder in owed}
    if options.reuse == "always":
        held = _held_by_others(context, journal.facts, fingerprints, anywhere) | held
    known = (*here.values(), *anywhere.values(), *filter(None, held.values()))
    # Those with a cost are known to have been billed.
    lost_cells = (cell for cell in known if cell.state is State.IN_DOUBT and not cell.cost)
    doubtful = {cell.request_id: cell for cell in lost_cells if cell.request_id}
    lost = tuple((cell.request_id, cell.when) for cell in doubtful.values())
    look_up = partial(context.worker.ask, dict(lost))
    # A start spends money on the answer, so it asks anew.
    outcomes = context.answers.get(("log", lost), look_up) if ask else look_up()
    decisions = planning.decide(
        sweep.cells,
        fingerprints,
        options,
        here=here,
        anywhere=anywhere,
        held=held,
        not_billed={request_id for request_id, outcome in outcomes.items() if not outcome.billed},
    )
    plan = Plan(
        sweep,
        connection.name,
        decisions,
        options,
        charged=dict(context.prices),
        seconds_each=SANDBOX_LATENCY if connection.simulated else planning.TYPICAL_SECONDS,
        notes=(f"it is running already{journal.lock.owner}",) if busy else (),
    )
    if not connection.simulated:
        plan = _completed(context, plan, anywhere, ask=ask)
    return plan, [(doubtful[one], outcome) for one, outcome in outcomes.items() if outcome.billed]


def _identified(sweep: Sweep) -> Sweep:
    """The sweep with a digest in the place of every picture that was not fetched: no store knows it."""

    def identified(reference: Reference) -> Reference:
        digest = f"address {hashlib.sha256(str(reference.url).encode()).hexdigest()}"
        return reference if reference.resolved else replace(reference, digest=digest)

    whole = all(reference.resolved for reference in sweep.references)
    return sweep if whole else sweep.with_references(identified)


def _held_by_others(
    context: LabContext,
    facts: SweepFacts,
    fingerprints: Sequence[str],
    anywhere: Mapping[str, TrackedCell],
) -> dict[int, TrackedCell | None]:
    """The journal's entries about the same requests, sent by other sweeps, by the cell's place."""
    left: dict[str, TrackedCell | None] = {}
    for other in left_by_others(context, facts):
        for intent, attempt_folder in other.owed():
            left[intent.fingerprint] = in_hand(intent, attempt_folder)
    for cell in anywhere.values():
        if cell.state is State.DONE and not cell.missing:
            left.pop(cell.fingerprint, None)
    return {place: left[one] for place, one in enumerate(fingerprints) if one in left}


def _completed(context: LabContext, plan: Plan, anywhere: Mapping[str, TrackedCell], *, ask: bool) -> Plan:
    """Add the other stores that hold some requests, and the prices and the balance, where the service tells them."""
    if plan.options.reuse == "always":
        store, index = context.store.shown, context.store_index
        index.note(store, [cell.fingerprint for cell in anywhere.values() if cell.state is State.DONE])
        to_send = [decision.fingerprint for decision in plan.of(Action.SEND)]
        plan = replace(plan, other_stores=index.holding(to_send, besides=store))
    if not ask or not plan.requests:
        return plan
    client, answers = context.connection.client, context.answers
    models = {decision.cell.request.model for decision in plan.of(Action.SEND)}
    try:
        answers.get("ping", client.ping)
        balance = answers.get("balance", client.balance)
        told = {
            model: answers.get(("price", model), partial(client.price, model)) for model in sorted(models)
        }
    except Unauthorized as error:
        return replace(plan, notes=(*plan.notes, str(error)))
    except ServiceError as error:
        return replace(plan, notes=(*plan.notes, f"the service doesn't answer: {error}"))
    prices = {model: price for model, price in told.items() if price is not None}
    return replace(plan, prices=prices, balance=balance)


def prepare_run(
    context: LabContext,
    sweep: Sweep | Plan,
    given: Mapping[str, Any],
    observers: Sequence[Observer] = (),
    inside: str | None = None,
) -> Handle:
    """Make a sweep ready: planned, locked, its run opened. Nothing is sent before the handle's `begin()`.

    The arguments are those of `Lab.start`; `given` are the options of this call, a plan has its own.

    Raises:
        AlreadyRunning: a living process is at work on it.
        ConfigError, ServiceUnavailable, Unauthorized, TrackingError: before anything is sent.
    """
    shown_plan = sweep if isinstance(sweep, Plan) else None
    if isinstance(sweep, Plan):
        service = context.connection.name
        if given:
            raise ConfigError(f"a plan has its options already: give {', '.join(given)} to lab.plan(…)")
        if sweep.service != service:
            raise ConfigError(
                f"the plan is for {sweep.service}, this lab uses {service}: plan again with this lab"
            )
        limit = sweep.options.limit
        most = sweep.requests if limit is None else min(sweep.requests, limit)
        options, sweep = replace(sweep.options, limit=most), sweep.sweep
    else:
        options = replace(context.options, **given)
    context.answers.clear()
    ready = with_origins(context.resolved(sweep), context.tracker)
    if inside is None:
        inside = context.active_run_id()
    follow_stores(context)
    journal = context.journal_of(ready)
    journal.lock.take()
    try:
        return _prepare(context, ready, options, observers, journal, inside=inside, shown_plan=shown_plan)
    except BaseException:
        parent_id = journal.facts.parent_id
        # If the store can't record the end now, the run is still RUNNING there: the journal keeps its sweep.
        if not parent_id or context.tracker.abandon(parent_id):
            journal.end()
        journal.close()
        raise


def _prepare(
    context: LabContext,
    sweep: Sweep,
    options: RunOptions,
    observers: Sequence[Observer],
    journal: SweepJournal,
    *,
    inside: str,
    shown_plan: Plan | None,
) -> Handle:
    """Deliver what is owed, plan, check the service, open the parent run: in this order."""
    tracker, service = context.tracker, context.connection.name
    opening = Opening(sweep, service, sweep.digest(service), version("kontext-lab"), inside=inside)
    if journal.attempt_folders():
        owed = replace(opening, parent_id=journal.parent_id)
        recorder = tracker.begin(owed, journal.belongs_to, draw_grid)
        deliver(journal, sweep, recorder, context.worker, pacing=options.pacing)
        sum_up(tracker, recorder, sweep, service, quick=True)
        journal.belongs_to("")  # ended as its children say; what goes wrong from here on changes nothing
    if options.reuse == "always":
        recover_same(context, journal.facts, sweep)
    with context.journal.starting():
        # Looked at before the store: what another sweep ends in between is then known to one of the two.
        others = [(other, other.sends) for other in context.journal.at_work()]
        plan, charges = make_plan(context, sweep, options, ask=False)
        # The store may have lost pictures that the plan would have reused: its limit must not leave them out silently.
        if shown_plan and (more := len(plan.of(Action.LEAVE)) - len(shown_plan.of(Action.LEAVE))) > 0:
            cells = "1 more cell needs" if more == 1 else f"{more} more cells need"
            raise ConfigError(f"{cells} a request than the plan showed: plan again, nothing was sent")
        copied = [decision.known for decision in plan.of(Action.COPY) if decision.known]
        tracker.check_sources(copied)
        if plan.requests:
            _check_others(context, plan, journal, others)
            context.check_service()
        journal.begin(sweep, [decision.fingerprint for decision in plan.of(Action.SEND)])
    permits: Permits = FolderPermits()
    if plan.requests and options.executor is not None:
        permits = permits_for(options.executor, context.worker, context.journal.folder, options.concurrency)
    for known, outcome in charges:
        if known.run_id:
            trouble = f"run {known.run_id[:8]} can't be recorded in MLflow"
            tracker.call(trouble, settle_cell, known.run_id, outcome_by_log(outcome), outcome.cost_usd)
    # The sweep that this one takes most of its reused cells from.
    parents = [known.parent_id for known in copied]
    extends = max(set(parents), key=parents.count) if parents else ""
    opening = replace(opening, extends=extends, fresh=options.reuse == "never")
    recorder = tracker.begin(opening, journal.belongs_to, draw_grid)
    plan = replace(plan, prices=shown_plan.prices if shown_plan else {})
    return _handle(context, plan, observers, journal, permits=permits, recorder=recorder)


def _check_others(
    context: LabContext, plan: Plan, journal: SweepJournal, others: Sequence[tuple[SweepJournal, set[str]]]
) -> None:
    """Refuse requests that another sweep is just sending: they would be paid for twice."""
    wanted = {decision.fingerprint for decision in plan.of(Action.SEND)}
    for other, sends in others:
        same = wanted & sends
        # A store that is not there any more may be this one, moved while the other sweep is at work on it.
        shared = other.facts.store == context.store.shown or not store_is_there(other.facts.store)
        if same and shared and other.facts.key != journal.facts.key:
            count = "1 of its requests is" if len(same) == 1 else f"{len(same)} of its requests are"
            raise AlreadyRunning(
                f"sweep {plan.sweep.name!r}: {count} being sent by sweep {other.facts.name!r}"
                f"{other.lock.owner}: wait for that one, its pictures are then reused"
            )


def _handle(
    context: LabContext,
    plan: Plan,
    observers: Sequence[Observer],
    journal: SweepJournal,
    *,
    permits: Permits,
    recorder: SweepRecorder,
) -> Handle:
    """Wire a planned sweep to store, journal, executors and service."""
    tracker, options, sweep = context.tracker, plan.options, plan.sweep
    cells = [
        CellResult.from_cell(
            one.cell, plan.service, one.fingerprint, protect=sweep.boxes_in(one.cell.request)
        )
        for one in plan.decisions
    ]
    maps = ChangeMaps(tracker)
    results = Results(
        cells, name=sweep.name, run_id=recorder.run_id, draw=draw_preview, comparison_source=maps
    )
    threads = SPARE_THREADS + (0 if options.executor else options.concurrency)
    local = ThreadPoolExecutor(threads, thread_name_prefix="kontext-lab")
    # Half the processors: the other half belongs to requests, and to the notebook.
    measuring = max(1, min(MOST_MEASURING, (os.cpu_count() or 2) // 2))
    measure_pool = DaemonExecutor(measuring, "kontext-lab measure") if options.measure else None
    coordinator = Coordinator(
        results,
        [_task(plan, decision) for decision in plan.decisions],
        worker=context.worker,
        recorder=recorder,
        journal=BoundJournal(journal),
        permits=permits,
        executor=options.executor or local,
        local=local,
        concurrency=options.concurrency,
        budget=Budget(options.budget, context.prices),
        pacing=options.pacing,
        pause_after=options.pause_after,
        observers=(IdleWatch(results), *observers),
        measurer=Measurer(tracker, context.metrics) if options.measure else None,
        measure_pool=measure_pool,
    )

    def close() -> None:
        context.answers.clear()  # the balance is another one now
        paid = [cell.fingerprint for cell in results if cell.state is State.DONE and not cell.simulated]
        context.store_index.note(tracker.store.shown, paid)
        if coordinator.failed:
            tracker.abandon(recorder.run_id)
        if measure_pool is not None:
            measure_pool.shutdown(wait=False, cancel_futures=True)
        local.shutdown(wait=False)
        waiting = [future for future in coordinator.left_behind if not future.done()]
        patience = max(
            (context.worker.patience(cell.request) for cell in results if cell.request), default=0.0
        )

        def end() -> None:
            """Give the journal up once nobody writes to it any more."""
            futures.wait(waiting, 2 * patience)
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

    return Handle(coordinator, close)


def _task(plan: Plan, decision: Decision) -> Task:
    match decision.action:
        case Action.SEND:
            return Task(send=plan.cost_of(decision.cell.request))
        case Action.KEEP:
            return Task(keep=decision.known)
        case Action.COPY:
            return Task(copy=decision.known)
        case Action.FOLLOW:
            return Task(leader=decision.leader)
        case Action.RECOVER:
            return Task(
                leave="recover", note="its answer is in the journal, its picture can't be reached yet"
            )
        case Action.MISSING:
            place = decision.known.place if decision.known else ""
            return Task(leave=MISSING, note=f"its pictures are missing in {place}: {PAID_AGAIN}")
        case Action.LEAVE:
            return Task(leave="limit")
