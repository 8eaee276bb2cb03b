"""What people call: one lab, its service, its store, and everything done with them."""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

from kontext_lab.errors import ConfigError, SweepError, TrackingError
from kontext_lab.journal import Elsewhere, Journal, home_folder
from kontext_lab.lab.adapters import draw_preview
from kontext_lab.lab.finding import Found, find
from kontext_lab.lab.leftovers import recover_all, tell_unfinished, unfinished_line
from kontext_lab.lab.recovery import Delivered
from kontext_lab.lab.starting import make_plan, resolved, start_sweep
from kontext_lab.lab.watching import watch_sweep
from kontext_lab.options import RunOptions
from kontext_lab.plan import Plan
from kontext_lab.progress import follow
from kontext_lab.results import CellResult, Results, Spending
from kontext_lab.runner import Handle, Observer
from kontext_lab.service import Connection, connect, wants_sandbox
from kontext_lab.sweep import Sweep
from kontext_lab.tracking import SweepRun, Tracker
from kontext_lab.worker import Worker

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
        quiet: say nothing when it opens.

    Attributes:
        prices: US dollars per picture by model, as the service charged them since this lab was made.

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
        quiet: bool = False,
    ) -> None:
        # First, so that a lab whose settings are refused can still be shown.
        self._connection: Connection | None = None
        self._tracker: Tracker | None = None
        self._service = service
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
        self._tracking_uri = tracking_uri
        self._experiment = experiment
        self.prices: dict[str, float] = {}
        if wants_sandbox(service):
            if service == "auto" and not quiet:
                print("No API key in the environment: using the sandbox – simulated pictures, free.")  # noqa: T201
        else:
            _ = self.connection  # a missing or unusable key is told at once
        if not quiet:
            tell_unfinished(self)

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
    def journal(self) -> Journal:
        """What was sent and is not in the store yet."""
        return Journal(home_folder(self.home))

    @property
    def elsewhere(self) -> Elsewhere:
        """Which other stores hold what was paid for: a notice, no truth."""
        return Elsewhere(home_folder(self.home))

    @property
    def worker(self) -> Worker:
        """What makes attempts at the service in use."""
        return Worker(self.connection.client)

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
        plan, _ = make_plan(self, resolved(self, sweep), self.options.but(options), ask=True)
        return plan

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
        return start_sweep(self, sweep, self.options.but(options), observers)

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
        return Results(cells, name=run.name, run_id=run.run_id, draw=draw_preview)

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

    def recover(self) -> list[Delivered]:
        """Bring everything that crashes left in the journal into the store; sends nothing that is billed."""
        return recover_all(self)

    @property
    def unfinished(self) -> list[str]:
        """The sweeps that did not end, a line each; looks into the journal alone."""
        return [unfinished_line(journal) for journal in self.journal.unfinished()]

    def watch(self, which: str, *, progress: bool = True) -> Results:
        """Wait for a sweep that another process is at work on; returns its results.

        Args:
            which: its name, run id, the beginning of that, or `last`.
            progress: show a tqdm bar.
        """
        return watch_sweep(self, which, shown=progress)

    def find(self, picture: Any) -> list[Found]:
        """The cells that made a picture, in any experiment of the store; the best first, none where nobody did.

        Args:
            picture: a path, bytes, PIL image, array or output; also of a copy that was saved again or resized.

        Raises:
            ImageError: it can't be read.
        """
        return find(self.tracker, picture)

    def spending(self) -> Spending:
        """US dollars by day, sweep and model, of every experiment in the store; simulated ones apart."""
        return self.tracker.spending()

    def speaks_to(self, service: str, base_url: str) -> bool:
        """Whether this lab's service is that one, at that address; starts no sandbox to find out."""
        if self._connection is None and wants_sandbox(self._service):
            return False
        connection = self.connection
        return (connection.name, connection.client.settings.base_url) == (service, base_url)

    def check_service(self) -> None:
        """Find out whether the service answers and takes the key; free.

        Raises:
            ServiceUnavailable: it doesn't answer.
            Unauthorized: it doesn't accept the key.
        """
        client = self.connection.client
        client.ping()
        client.balance()

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
