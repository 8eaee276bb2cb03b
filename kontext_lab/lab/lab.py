"""What people call: one lab, its service, its store, and everything done with them."""

from __future__ import annotations

import copy
import os
import weakref
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

from kontext_lab.client import key_from_environment
from kontext_lab.client.keys import Secret
from kontext_lab.errors import SweepError
from kontext_lab.images import MAX_MEGAPIXELS, Reference, load_reference
from kontext_lab.journal import Journal, StoreIndex, home_folder
from kontext_lab.lab.change_maps import ChangeMaps
from kontext_lab.lab.launch import make_plan, prepare_sweep, resolved
from kontext_lab.lab.measurer import check_metrics, measure
from kontext_lab.lab.options import RunOptions
from kontext_lab.lab.plan import Plan
from kontext_lab.lab.progress import follow, notify
from kontext_lab.lab.recovery import Recovery
from kontext_lab.lab.service import ServiceConnection, connect, name_of, wants_sandbox
from kontext_lab.lab.services import Lazy, ServiceCache, check_service_and_key, check_types
from kontext_lab.lab.store_client import StoreClient
from kontext_lab.lab.unfinished import (
    UnfinishedSweep,
    leftovers_of,
    recover_all,
    tell_unfinished,
    watch_sweep,
)
from kontext_lab.lab.worker import Worker
from kontext_lab.results import CellResult, Results
from kontext_lab.runner import Handle, Observer
from kontext_lab.sweep import Sweep

__all__ = ["Lab"]


class Lab(StoreClient):
    """Where sweeps are planned, run and found again.

    Nothing is opened before it is needed: the store at the first plan or load, the service likewise. What needs
    the store alone, such as `load`, `find` and `set_verdict`, is described in `StoreClient`.

    Args:
        service: `auto` uses the API where the environment has a key, else the sandbox, and says so; `api`;
            `sandbox`: simulated pictures, free.
        tracking_uri: MLflow's store; None for what MLflow has set.
        experiment: its name; None for the notebook's, the environment's, else `kontext-lab`.
        concurrency: requests at once, 1 to 64.
        budget: US dollars each call of `run` may spend; None for no limit.
        reuse: `always` or `never`: whether a picture that was paid for is paid for again.
        in_doubt: `skip` or `resend`: what happens to requests whose answer was lost.
        measure: whether pictures are measured once they are in the store; the end of a sweep waits for it.
        metrics: callables `(references, output, request) -> {name: float}` of your own.
        criteria: what verdicts are usually given on, besides `favourite`; see `set_verdict`.
        confirm_above: US dollars above which a person is asked.
        home: folder for what is not in the store yet; None for the environment's, else the user data folder.
        executor: runs the attempts of every sweep; None for threads.
        quiet: say nothing when it opens.

    Attributes:
        prices: US dollars per picture by model, as the service charged them since this lab was made.
        asked: what the service said a moment ago of price and balance, for plans.

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
        super().__init__(tracking_uri, experiment)
        self._serve("sandbox")
        self.options = RunOptions(
            budget=budget,
            reuse=reuse,
            in_doubt=in_doubt,
            concurrency=concurrency,
            executor=executor,
            measure=measure,
        )
        check_metrics(metrics)
        self.metrics = tuple(metrics)
        self.criteria = tuple(criteria)
        self.confirm_above = confirm_above
        self.home = None if home is None else Path(home).expanduser().absolute()
        check_types(tracking_uri, experiment, confirm_above, criteria)
        if wants_sandbox(service):
            if service == "auto" and not quiet:
                notify("No API key in the environment: using the sandbox – simulated pictures, free.")
        else:
            self._serve("api")
            _ = self.connection  # a missing or unusable key is told at once
        if not quiet:
            tell_unfinished(self)

    def _serve(self, service: str, key: str | None = None) -> None:
        """Settle which service it is; a key stays inside the function that opens the connection."""
        self._service = service
        self._key_given = key is not None
        self._line = Lazy(lambda: connect(service, key))
        self.prices: dict[str, float] = {}
        self.asked = ServiceCache()
        weakref.finalize(self, _close, self._line)

    def on(self, service: str, *, key: str | None = None) -> Lab:
        """A lab with the same settings and the same open store for another service; says nothing.

        Args:
            service: `api` or `sandbox`.
            key: for the API, used by this lab alone and never stored or shown; None for the environment's.

        Raises:
            ConfigError: no such service, no key, or one that can't be sent.
        """
        key = Secret(key) if isinstance(key, str) else key  # at once: a traceback may show this frame
        key = check_service_and_key(service, key)
        other = copy.copy(self)
        other._serve(service, key)
        if service == "api":
            _ = other.connection  # as above
        return other

    @property
    def connection(self) -> ServiceConnection:
        """The service in use; opened at the first call, once, whichever threads ask for it."""
        return self._line.get()

    @property
    def _connection(self) -> ServiceConnection | None:
        return self._line.made

    @property
    def service_name(self) -> str:
        """`sandbox` or `api`, as it was chosen; opens nothing. Whether pictures are simulated says `simulated`."""
        return self._service

    @property
    def answering(self) -> str:
        """`sandbox`, or the origin of the service's address; opens nothing."""
        return name_of(self._service) if self._connection is None else self._connection.name

    @property
    def place(self) -> tuple[str, ...]:
        """Where this lab keeps things: labs of the same store, experiment and journal. Opens nothing."""
        named = (os.environ.get(name, "") for name in ("MLFLOW_EXPERIMENT_NAME", "MLFLOW_EXPERIMENT_ID"))
        return self.store_shown, self._experiment or "/".join(named), str(home_folder(self.home))

    @property
    def has_key(self) -> bool:
        """Whether an API key is at hand: given to this lab, or in the environment."""
        return self._key_given or key_from_environment() is not None

    @property
    def journal(self) -> Journal:
        """What was sent and is not in the store yet."""
        return Journal(home_folder(self.home))

    @property
    def store_index(self) -> StoreIndex:
        """Which other stores hold what was paid for: a notice, no truth."""
        return StoreIndex(home_folder(self.home))

    @property
    def worker(self) -> Worker:
        """What makes attempts at the service in use."""
        return Worker(self.connection.client)

    @property
    def simulated(self) -> bool:
        """Whether pictures come from the sandbox."""
        return self.connection.simulated

    def plan(self, sweep: Sweep, *, fetch: bool = True, **options: Any) -> Plan:
        """What `run` would do with a sweep and what it would cost. Sends nothing that is billed.

        Args:
            sweep: the sweep.
            fetch: GET its references by URL; without, the plan says what is not known.
            **options: as for `run`.

        Raises:
            SweepError: a reference by URL can't be fetched.
            TrackingError: the store can't be used.
        """
        plan, _ = make_plan(self, resolved(self, sweep, fetch=fetch), self.options.replace(options), ask=True)
        return plan

    def run(self, sweep: Sweep, *, progress: bool = True, **options: Any) -> Results:
        """Run a sweep and wait for it; an interrupt stops sending, keeps what is in flight and returns.

        Args:
            sweep: the sweep.
            progress: show a tqdm bar.
            **options: budget, reuse, in_doubt, missing, retry_failed, limit, concurrency, executor, measure, for this
                call; see `RunOptions`.

        Raises:
            ServiceUnavailable: the service doesn't answer; nothing was sent.
            Unauthorized: it doesn't accept the key; nothing was sent.
            TrackingError: the store can't be used; nothing was sent.
        """
        return follow(self.prepare(sweep, **options), shown=progress)

    def start(
        self, sweep: Sweep, *, observers: Sequence[Observer] = (), inside: str | None = None, **options: Any
    ) -> Handle:
        """Run a sweep in the background; returns a handle with `.results`, `.wait()` and `.cancel()`.

        Args:
            sweep: the sweep.
            observers: called with every cell whose state changed, on the coordinator's thread.
            inside: the MLflow run that a new sweep's run is put into, or "" for none; None for the one that is
                active in the calling thread, as `active_run_id` tells it.
            **options: as for `run`.

        Raises:
            As `run`, before anything is sent.
        """
        return self.prepare(sweep, observers=observers, inside=inside, **options).begin()

    def prepare(
        self, sweep: Sweep, *, observers: Sequence[Observer] = (), inside: str | None = None, **options: Any
    ) -> Handle:
        """Make a sweep ready: planned, locked, its run opened. Nothing is sent before the handle's `begin()`.

        Args:
            sweep: the sweep.
            observers: as for `start`.
            inside: as for `start`.
            **options: as for `run`.

        Raises:
            As `run`.
        """
        handle = prepare_sweep(self, sweep, self.options.replace(options), observers, inside)
        handle.results.comparison_source = ChangeMaps(self.tracker)
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

    def measure(
        self,
        results: Results,
        metrics: Sequence[Callable[..., Mapping[str, float]]] | None = None,
        *,
        progress: bool = True,
    ) -> Results:
        """Measure how much each edit changed and how well it kept the rest, also weeks later; sends nothing.

        The values are in the outputs' `.metrics` and in `results.to_frame()` afterwards, and recorded in MLflow: see
        `kl.compare` for what they mean.

        Args:
            results: what to measure; the same results come back.
            metrics: further callables `(references, output, request) -> {name: float}`; None for the lab's.
            progress: show a tqdm bar.

        Raises:
            ConfigError: there is no picture, or a metric that can't be one.
            TrackingError: it can't be recorded.
        """
        own = self.metrics if metrics is None else metrics
        for line in measure(self, results, own, progress=progress):
            results.notes.append(line)
        return results

    def recover(self) -> list[Recovery]:
        """Bring everything that crashes left in the journal into the store; sends nothing that is billed."""
        return recover_all(self)

    @property
    def unfinished(self) -> list[str]:
        """The sweeps that did not end, a line each; looks into the journal alone."""
        return [one.line for one in self.leftovers()]

    def leftovers(self) -> list[UnfinishedSweep]:
        """The sweeps that did not end, to be gone on with; looks into the journal alone."""
        return leftovers_of(self)

    def watch(self, which: str, *, progress: bool = True) -> Results:
        """Wait for a sweep that another process is at work on; returns its results.

        Args:
            which: its name, run id, the beginning of that, or `last`.
            progress: show a tqdm bar.
        """
        return watch_sweep(self, which, shown=progress)

    def speaks_to(self, service: str, base_url: str) -> bool:
        """Whether this lab's service is that one, at that address; starts no sandbox to find out."""
        if self._connection is None and self._service == "sandbox":
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

    def balance(self) -> float | None:
        """US dollars left on the account, asked for anew; None where the service doesn't tell. Free.

        Raises:
            Unauthorized: the service doesn't accept the key.
        """
        return self.connection.client.balance()

    def reference(self, source: Any, *, max_megapixels: float = MAX_MEGAPIXELS) -> Reference:
        """A picture as a sweep would take it: loaded and prepared; from an address fetched, as it is now.

        Args:
            source: as for `Sweep(image=…)`.
            max_megapixels: larger pictures are scaled down to this many million pixels.

        Raises:
            ImageError: it can't be read or fetched.
        """
        found = load_reference(source, max_megapixels=max_megapixels)
        return found if found.resolved else found.resolve(self.connection.client.fetch_reference)

    def close(self) -> None:
        """Close connections, and stop the sandbox this lab started."""
        _close(self._line)
        self.asked.forget()

    def __enter__(self) -> Lab:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        where = self._service if self._connection is None else self._connection.name
        simulated = " (simulated pictures, free)" if where == "sandbox" else ""
        store = f", {self._store.made.store.shown}" if self._store.made else ""
        return f"<Lab: {where}{simulated}{store}>"


def _close(line: Lazy[ServiceConnection]) -> None:
    connection = line.give_up()
    if connection is not None:
        connection.close()
