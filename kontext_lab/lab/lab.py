"""What people call: one lab, its service, its store, and everything done with them."""

from __future__ import annotations

import io
import os
import weakref
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from kontext_lab import plan as planning
from kontext_lab.answer import Attempt
from kontext_lab.errors import (
    ConfigError,
    KontextLabError,
    ServiceError,
    SweepError,
    TrackingError,
    Unauthorized,
)
from kontext_lab.options import RunOptions
from kontext_lab.plan import Action, Plan
from kontext_lab.progress import follow
from kontext_lab.results import CellResult, Known, Results
from kontext_lab.runner import Coordinator, Handle, Observer, Task, start
from kontext_lab.service import SANDBOX_LATENCY, Connection, connect, wants_sandbox
from kontext_lab.sweep import Sweep
from kontext_lab.tracking import Opening, SweepRun, Tracker

__all__ = ["Lab"]


class Lab:
    """Where sweeps are planned, run and found again.

    Nothing is opened before it is needed: the store at the first plan or load, the service likewise.

    Args:
        service: `auto` uses the API where the environment has a key, else the sandbox, and says so; `api`;
            `sandbox`: simulated pictures, free.
        tracking_uri: MLflow's store; None for what MLflow has set.
        experiment: its name; None for the notebook's, the environment's, else `kontext-lab`.
        concurrency: requests at once, 1 to 64.
        budget: US dollars each call of `run` may spend; None for no limit.
        reuse: `always` or `never`: whether a picture that was paid for is paid for again.
        in_doubt: `skip` or `resend`: what happens to requests whose answer was lost.
        measure: whether pictures are measured.
        metrics: callables `(references, output, request) -> {name: float}` of your own.
        criteria: what verdicts are given on.
        confirm_above: US dollars above which a person is asked.
        home: folder for what is not in the store yet; None for the environment's, else the user data folder.
        executor: runs the attempts of every sweep; None for threads.

    Raises:
        ConfigError: a setting that can't be; names it and what is allowed.
    """

    def __init__(
        self,
        service: str = "auto",
        *,
        tracking_uri: str | None = None,
        experiment: str | None = None,
        concurrency: int = 4,
        budget: float | None = None,
        reuse: str = "always",
        in_doubt: str = "skip",
        measure: bool = True,
        metrics: Sequence[Callable[..., dict[str, float]]] = (),
        criteria: Sequence[str] = ("follows prompt", "rest kept"),
        confirm_above: float = 1.0,
        home: str | os.PathLike[str] | None = None,
        executor: Executor | None = None,
    ) -> None:
        self.options = RunOptions(
            budget=budget,
            reuse=reuse,
            in_doubt=in_doubt,
            concurrency=concurrency,
            executor=executor,
            measure=measure,
        )
        self.metrics = tuple(metrics)
        self.criteria = tuple(criteria)
        self.confirm_above = confirm_above
        self.home = None if home is None else Path(home).expanduser().absolute()
        _check_types(executor, tracking_uri, experiment, confirm_above)
        self._service = service
        self._tracking_uri = tracking_uri
        self._experiment = experiment
        self._connection: Connection | None = None
        self._tracker: Tracker | None = None
        # A running sweep's thread keeps its handle; one that ended is let go with its results.
        self._handles: weakref.WeakValueDictionary[str, Handle] = weakref.WeakValueDictionary()
        if wants_sandbox(service):
            if service == "auto":
                print("No API key in the environment: using the sandbox – simulated pictures, free.")  # noqa: T201
        else:
            _ = self.connection  # a missing or unusable key is told at once

    @property
    def connection(self) -> Connection:
        """The service in use; opened at the first call."""
        if self._connection is None:
            self._connection = connect(self._service)
            weakref.finalize(self, self._connection.close)
        return self._connection

    @property
    def tracker(self) -> Tracker:
        """The store in use; opened at the first call.

        Raises:
            TrackingError: it can't be.
        """
        if self._tracker is None:
            self._tracker = Tracker(self._tracking_uri, self._experiment)
        return self._tracker

    @property
    def simulated(self) -> bool:
        """Whether pictures come from the sandbox."""
        return self.connection.simulated

    def plan(self, sweep: Sweep, **options: Any) -> Plan:
        """What `run` would do with a sweep and what it would cost. Sends nothing that is billed.

        Args:
            sweep: the sweep.
            **options: as for `run`.

        Raises:
            SweepError: a reference by URL can't be fetched.
            TrackingError: the store can't be used.
        """
        return self._plan(sweep, self.options.but(options), ask=True)

    def run(self, sweep: Sweep, *, progress: bool = True, **options: Any) -> Results:
        """Run a sweep and wait for it; an interrupt stops sending, keeps what is in flight and returns.

        Args:
            sweep: the sweep.
            progress: show a tqdm bar.
            **options: budget, reuse, in_doubt, retry_failed, limit, concurrency, executor, measure, for this
                call; see `RunOptions`.

        Raises:
            ServiceUnavailable: the service doesn't answer; nothing was sent.
            Unauthorized: it doesn't accept the key; nothing was sent.
            TrackingError: the store can't be used; nothing was sent.
        """
        return follow(self.start(sweep, **options), shown=progress)

    def start(self, sweep: Sweep, *, observers: Sequence[Observer] = (), **options: Any) -> Handle:
        """Run a sweep in the background; returns a handle with `.results`, `.wait()` and `.cancel()`.

        Args:
            sweep: the sweep.
            observers: called with every cell whose state changed, on the coordinator's thread.
            **options: as for `run`.

        Raises:
            As `run`, before anything is sent.
        """
        chosen = self.options.but(options)
        plan = self._plan(sweep, chosen, ask=False)
        digest = plan.sweep.digest(plan.service)
        running = self._handles.get(digest)
        if running is not None and not running.done:
            raise ConfigError(f"sweep {sweep.name!r} is running already: wait for its handle, or cancel it")
        if plan.requests:
            self._check_service()
        results, recorder = self._begin(plan, fresh=chosen.reuse == "never")
        executor = chosen.executor or ThreadPoolExecutor(chosen.concurrency, thread_name_prefix="kontext-lab")
        coordinator = Coordinator(
            results,
            [_task(plan, decision) for decision in plan.decisions],
            make=self.connection.client.attempt,
            recorder=recorder,
            executor=executor,
            concurrency=chosen.concurrency,
            budget=chosen.budget,
            observers=observers,
        )
        handle = start(coordinator, None if chosen.executor else executor)
        self._handles[digest] = handle
        return handle

    def edit(self, image: Any, prompt: str, **fields: Any) -> CellResult:
        """One edit, logged as a sweep of one cell; `.image` of what it returns is the picture.

        Args:
            image: a reference.
            prompt: what to change.
            **fields: other request fields, such as `seed=3`.
        """
        sweep = Sweep(prompt=prompt, image=image, **fields)
        if len(sweep) != 1:
            raise SweepError(f"edit: this is a sweep of {len(sweep)} cells, use lab.run(kl.Sweep(…))")
        return self.run(sweep, progress=False)[0]

    def load(self, which: str) -> Results:
        """A sweep's results from the store alone.

        Args:
            which: its name, run id, the beginning of that, or `last`.

        Raises:
            NotFound: none, or several, which are then listed.
        """
        run, found = self.tracker.load(str(which))
        cells = [found[place] for place in sorted(found)]
        if len(cells) < run.cells:
            cells = self._with_unsent(run, found)
        return Results(cells, name=run.name, run_id=run.run_id, draw=_draw)

    def _with_unsent(self, run: SweepRun, found: dict[int, CellResult]) -> list[CellResult]:
        """The cells of a sweep, with those that have no outcome yet as waiting."""
        try:
            defined = self.tracker.sweep_of(run.run_id).cells
        except (SweepError, TrackingError):
            return [found[place] for place in sorted(found)]  # its file is gone: what there is
        return [found.get(cell.index) or CellResult.from_cell(cell, run.service, "") for cell in defined]

    def load_sweep(self, which: str) -> Sweep:
        """The sweep as it was defined, from the store alone.

        Raises:
            NotFound: none, or several, which are then listed.
            SweepError: its file can't be read any more.
        """
        return self.tracker.sweep_of(str(which))

    def history(self, *, everywhere: bool = False) -> list[SweepRun]:
        """The sweeps of this experiment, newest first; with `everywhere` those of the whole store."""
        return self.tracker.history(everywhere=everywhere)

    def close(self) -> None:
        """Close connections, and stop the sandbox this lab started."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def __enter__(self) -> Lab:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        if self._connection is not None:
            where = self._connection.name
        else:
            where = "sandbox" if wants_sandbox(self._service) else "api"
        simulated = " (simulated pictures, free)" if where == "sandbox" else ""
        store = f", {self._tracker.store.shown}" if self._tracker else ""
        return f"<Lab: {where}{simulated}{store}>"

    def _plan(self, sweep: Sweep, options: RunOptions, *, ask: bool) -> Plan:
        if not isinstance(sweep, Sweep):
            raise SweepError(
                f"sweep: {type(sweep).__name__} is none, give a kl.Sweep; kl.Sweep.from_yaml(path) reads a file"
            )
        connection = self.connection
        resolved = sweep.resolve(connection.client.fetch_reference)
        fingerprints = [cell.request.fingerprint(connection.name) for cell in resolved.cells]
        here: dict[int, Known] = {}
        anywhere: dict[str, Known] = {}
        if options.reuse == "always":
            here = self.tracker.known_here(resolved.digest(connection.name))
            anywhere = self.tracker.known(fingerprints)
        decisions = planning.decide(
            resolved.cells,
            fingerprints,
            here=here,
            anywhere=anywhere,
            reuse=options.reuse,
            in_doubt=options.in_doubt,
            retry_failed=options.retry_failed,
            limit=options.limit,
        )
        plan = Plan(
            resolved,
            connection.name,
            decisions,
            budget=options.budget,
            concurrency=options.concurrency,
            seconds_each=SANDBOX_LATENCY if connection.simulated else planning.TYPICAL_SECONDS,
        )
        return self._with_prices(plan) if ask and plan.requests and not connection.simulated else plan

    def _with_prices(self, plan: Plan) -> Plan:
        """What the service says of prices and balance; every answer is optional."""
        client = self.connection.client
        models = {one.cell.request.model for one in plan.of(Action.SEND)}
        try:
            client.ping()
            balance = client.balance()
            asked = {model: client.price(model) for model in sorted(models)}
        except Unauthorized as error:
            return replace(plan, notes=(str(error),))
        except ServiceError as error:
            return replace(plan, notes=(f"the service doesn't answer: {error}",))
        prices = {model: price for model, price in asked.items() if price is not None}
        return replace(plan, prices=prices, balance=balance)

    def _check_service(self) -> None:
        """A dead host or a refused key is told before anything is recorded or sent."""
        client = self.connection.client
        client.ping()
        client.balance()

    def _begin(self, plan: Plan, *, fresh: bool) -> tuple[Results, _Recorder]:
        tracker = self.tracker
        opening = Opening(
            plan.sweep,
            plan.service,
            plan.sweep.digest(plan.service),
            version("kontext-lab"),
            extends=_extended(plan),
            inside=tracker.active_run_id(tracker.store.uri),
            fresh=fresh,
        )
        parent_id = tracker.begin(opening)
        cells = [CellResult.from_cell(one.cell, plan.service, one.fingerprint) for one in plan.decisions]
        results = Results(cells, name=plan.sweep.name, run_id=parent_id, draw=_draw)
        return results, _Recorder(tracker, parent_id)


def _check_types(executor: object, tracking_uri: object, experiment: object, confirm_above: object) -> None:
    """Settings of the wrong kind are told where they are given, not where they are used."""
    if executor is not None and not isinstance(executor, Executor):
        raise ConfigError(f"executor: {executor!r:.60}, allowed is a concurrent.futures.Executor")
    if not isinstance(tracking_uri, str | os.PathLike | None):
        raise ConfigError(f"tracking_uri: {tracking_uri!r:.60}, allowed is text such as sqlite:///mlflow.db")
    if experiment is not None and (not isinstance(experiment, str) or not experiment.strip()):
        raise ConfigError(f"experiment: {experiment!r:.60}, allowed is a name")
    if isinstance(confirm_above, bool) or not isinstance(confirm_above, int | float) or confirm_above < 0:
        raise ConfigError(f"confirm_above: {confirm_above!r:.60}, allowed are US dollars, 0 or more")


class _Recorder:
    """The tracker bound to one sweep: what the runner writes to."""

    def __init__(self, tracker: Tracker, parent_id: str) -> None:
        self._tracker = tracker
        self._parent_id = parent_id

    def log(self, index: int, cell: CellResult, attempt: Attempt) -> None:
        self._tracker.log(self._parent_id, index, cell, attempt)

    def copy(self, index: int, cell: CellResult, source: Known) -> None:
        self._tracker.copy(self._parent_id, index, cell, source)

    def take(self, cell: CellResult, run_id: str) -> None:
        self._tracker.take(cell, run_id)

    def finish(self, results: Results, *, stopped: bool, seconds: float) -> None:
        self._tracker.finish(results, stopped=stopped, seconds=seconds, grid=_grid_png(results))


def _task(plan: Plan, decision: planning.Decision) -> Task:
    if decision.action is Action.SEND:
        return Task(send=plan.cost_of(decision.cell.request))
    if decision.action is Action.KEEP:
        return Task(keep=decision.known)
    if decision.action is Action.COPY:
        return Task(copy=decision.known)
    if decision.action is Action.FOLLOW:
        return Task(leader=decision.leader)
    return Task(leave="limit")


def _extended(plan: Plan) -> str:
    """The sweep that this one takes most of its reused cells from."""
    parents = [one.known.parent_id for one in plan.of(Action.COPY) if one.known]
    return max(set(parents), key=parents.count) if parents else ""


def _draw(results: Results) -> bytes:
    from kontext_lab.figures import preview_png  # noqa: PLC0415 - matplotlib loads when something is drawn

    return preview_png(results)


def _grid_png(results: Results) -> bytes:
    from kontext_lab.figures import grid  # noqa: PLC0415 - as above

    buffer = io.BytesIO()
    try:
        # Level 1: half a second less at the end of a sweep, for a tenth more bytes.
        grid(results).savefig(buffer, format="png", pil_kwargs={"compress_level": 1})
    except KontextLabError:
        return b""  # a picture that can't be loaded back must not keep a sweep from ending
    return buffer.getvalue()
