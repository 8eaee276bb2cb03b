"""The context of a lab: its store, service, journal, prices and settings, opened when they are first needed.

Every part of the lab takes a context; none takes the lab.
"""

from __future__ import annotations

import copy
import math
import os
import threading
import time
import weakref
from collections.abc import Callable, Hashable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Generic, TypeVar, cast

from kontext_lab.client import key_from_environment
from kontext_lab.client.keys import Secret
from kontext_lab.errors import ConfigError, ServiceError, WrongType
from kontext_lab.journal import Journal, StoreIndex, SweepFacts, SweepJournal, home_folder
from kontext_lab.lab.options import RunOptions, is_number
from kontext_lab.lab.service import SANDBOX, ServiceConnection, connect, name_of
from kontext_lab.lab.verdicts import check_criterion
from kontext_lab.lab.worker import Worker
from kontext_lab.sweep import Sweep
from kontext_lab.tracking import Store, Tracker, whereabouts

__all__ = ["LabContext", "Lazy", "Metric", "ServiceCache"]

T = TypeVar("T")

Metric = Callable[..., Mapping[str, float]]
"""`(references, output, request) -> {name: float}`: PIL pictures, and the request or None where it is not known."""

ANSWER_SECONDS = 30.0
"""Seconds for which an answer to a free question holds: a plan is made anew after every change of a form."""

FAILURE_SECONDS = 5.0
"""Seconds before a service that did not answer is asked again."""


class Lazy(Generic[T]):
    """A value that is opened at the first call, by one thread while others wait; after a failure it is tried anew."""

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._opening = threading.Lock()
        self.value: T | None = None

    def get(self) -> T:
        """Return the open value; raises what opening it raises."""
        with self._opening:
            if self.value is None:
                self.value = self._make()
            return self.value

    def release(self) -> T | None:
        """Hand over the open value, if there is one; the next call opens it anew."""
        with self._opening:
            value, self.value = self.value, None
            return value


class ServiceCache:
    """Recent answers of the service to free questions; the clock only goes forward."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._answers: dict[Hashable, tuple[float, object]] = {}

    def get(self, question: Hashable, ask: Callable[[], T]) -> T:
        """Return an answer, remembered or asked for; a remembered failure is raised again."""
        answers = self._answers  # an answer on its way while others are forgotten is not kept
        until, answer = answers.get(question, (-math.inf, None))
        if self._clock() >= until:
            seconds = ANSWER_SECONDS
            try:
                answer = ask()
            except ServiceError as error:
                # Its traceback would keep the whole plan alive.
                answer, seconds = error.with_traceback(None), FAILURE_SECONDS
            answers[question] = (self._clock() + seconds, answer)
        if isinstance(answer, ServiceError):
            raise answer
        return cast(T, answer)

    def clear(self) -> None:
        """Forget all answers."""
        self._answers = {}


class LabContext:
    """Store, service, journal, prices and settings of one lab.

    Args:
        service: `api` or `sandbox`.
        options: for every run, where a call does not set its own; the other settings are those of `Lab`.

    Attributes:
        service: `sandbox` or `api`, as it was chosen; `simulated` tells who really answers.
        prices: US dollars per picture by model, as the service charged them since this context was made.
        answers: recent answers of the service about prices and balance, for plans.
    """

    def __init__(
        self,
        service: str,
        options: RunOptions,
        *,
        tracking_uri: str | None = None,
        experiment: str | None = None,
        home: str | os.PathLike[str] | None = None,
        metrics: Sequence[Metric] = (),
        criteria: Sequence[str] = (),
        confirm_above: float = 1.0,
    ) -> None:
        if not isinstance(tracking_uri, str | os.PathLike | None):
            raise WrongType(
                f"tracking_uri must be text such as sqlite:///mlflow.db, not {tracking_uri!r:.60}"
            )
        if not isinstance(experiment, str | None):
            raise WrongType(f"experiment must be a name, not {experiment!r:.60}")
        if experiment is not None and not experiment.strip():
            raise ConfigError(f"experiment must be a name, not {experiment!r:.60}")
        if not is_number(confirm_above, int | float):
            raise ConfigError(f"confirm_above must be US dollars, 0 or more, not {confirm_above!r:.60}")
        if isinstance(criteria, str):
            raise WrongType(f"criteria must be a list of names, not the text {criteria!r:.60}")
        for criterion in criteria:
            check_criterion(criterion)
        self.options = options
        self.home = None if home is None else Path(home).expanduser().absolute()
        self.metrics, self.criteria, self.confirm_above = tuple(metrics), tuple(criteria), confirm_above
        self._tracking_uri, self._experiment = tracking_uri, experiment
        self._tracker = Lazy(lambda: Tracker(tracking_uri, experiment))
        self._use_service(service)

    def _use_service(self, service: str, key: str | None = None) -> None:
        """Choose the service; a key stays inside the function that opens the connection."""
        self.service = service
        self._key_given = key is not None
        self._connection = Lazy(lambda: connect(service, key))
        self.prices: dict[str, float] = {}
        self.answers = ServiceCache()
        weakref.finalize(self, _close, self._connection)

    def with_service(self, service: str, key: str | None = None) -> LabContext:
        """Return a context with the same settings and the same open store for another service.

        A key for the API is used by that context alone, and never stored or shown, also by no error.
        """
        key = Secret(key) if isinstance(key, str) else key  # at once: a traceback may show this frame
        if service not in ("api", "sandbox"):
            raise ConfigError(f"service must be api or sandbox, not {service!r:.60}")
        if key is not None and service == "sandbox":
            raise ConfigError("the sandbox takes no key: leave key out, or choose the api")
        if key is not None and not isinstance(key, str):
            raise WrongType(f"key must be text, not {type(key).__name__}")
        other = copy.copy(self)
        other._use_service(service, None if key is None else Secret(key.strip()))
        if service == "api":
            _ = other.connection  # a missing or unusable key is an error at once
        return other

    @property
    def connection(self) -> ServiceConnection:
        """The service in use; opened at the first call, once, whichever threads ask for it."""
        return self._connection.get()

    @property
    def connected(self) -> bool:
        """True once the service was needed."""
        return self._connection.value is not None

    @property
    def service_name(self) -> str:
        """`sandbox`, or the origin of the service's address; opens nothing."""
        connection = self._connection.value
        return name_of(self.service) if connection is None else connection.name

    @property
    def simulated(self) -> bool:
        """True if pictures come from the sandbox."""
        return self.connection.simulated

    @property
    def has_key(self) -> bool:
        """True if an API key is at hand: given to this context, or in the environment."""
        return self._key_given or key_from_environment() is not None

    @property
    def worker(self) -> Worker:
        """A worker that makes attempts at the service in use."""
        return Worker(self.connection.client)

    def uses_service(self, name: str, base_url: str) -> bool:
        """True if this is the service in use; starts no sandbox to find out."""
        if self.service == SANDBOX and not self.connected:
            return False
        connection = self.connection
        return (connection.name, connection.client.settings.base_url) == (name, base_url)

    def check_service(self) -> None:
        """Check that the service answers and takes the key; free."""
        client = self.connection.client
        client.ping()
        client.balance()

    @property
    def tracker(self) -> Tracker:
        """The store in use; opened at the first call, once, whichever threads ask for it."""
        return self._tracker.get()

    @property
    def store(self) -> Store:
        """The open MLflow store, for single values; see `tracker`."""
        return self.tracker.store

    @property
    def store_opened(self) -> bool:
        """True once the store was needed."""
        return self._tracker.value is not None

    @property
    def store_address(self) -> str:
        """The address of the store in use, without a password; opens nothing."""
        opened = self._tracker.value
        return Tracker.shown_in_use(self._tracking_uri) if opened is None else opened.store.shown

    def active_run_id(self) -> str:
        """Return the MLflow run that is active in the calling thread, if it is in the store in use; else ""."""
        opened = self._tracker.value
        return Tracker.active_run_id(
            Tracker.in_use(self._tracking_uri) if opened is None else opened.store.uri
        )

    def sweep_run_of(self, run_id: str) -> str:
        """Return the run of the sweep that a cell's run belongs to; "" for none."""
        if not run_id:
            return ""
        return self.tracker.call(f"run {run_id[:8]} can't be read from MLflow", whereabouts, run_id).parent_id

    @property
    def journal(self) -> Journal:
        """The journal: everything that was sent and is not in the store yet."""
        return Journal(home_folder(self.home))

    def resolved(self, sweep: Sweep, *, fetch: bool = True) -> Sweep:
        """Return the sweep with its references fetched, if they are to be."""
        if not isinstance(sweep, Sweep):
            raise WrongType(
                f"sweep must be a kl.Sweep, not {type(sweep).__name__} (kl.Sweep.from_yaml(path) reads a file)"
            )
        return sweep.resolve(self.connection.client.fetch_reference) if fetch else sweep

    def journal_of(self, sweep: Sweep) -> SweepJournal:
        """The journal of a sweep whose references are fetched."""
        connection, store = self.connection, self.store
        facts = SweepFacts(
            name=sweep.name,
            digest=sweep.digest(connection.name),
            service=connection.name,
            base_url=connection.client.settings.base_url,
            store=store.shown,
            experiment=store.experiment,
            version=version("kontext-lab"),
        )
        return self.journal.sweep(facts)

    @property
    def store_index(self) -> StoreIndex:
        """Index of the requests that other stores hold; it may be out of date."""
        return StoreIndex(home_folder(self.home))

    @property
    def identity(self) -> tuple[str, ...]:
        """Store, experiment and journal: equal for labs that keep things in the same place. Opens nothing."""
        named = (os.environ.get(name, "") for name in ("MLFLOW_EXPERIMENT_NAME", "MLFLOW_EXPERIMENT_ID"))
        return self.store_address, self._experiment or "/".join(named), str(home_folder(self.home))

    def close(self) -> None:
        """Close connections, and stop the sandbox if this context started it."""
        _close(self._connection)
        self.answers.clear()


def _close(lazy: Lazy[ServiceConnection]) -> None:
    connection = lazy.release()
    if connection is not None:
        connection.close()
