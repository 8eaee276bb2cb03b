"""The store in use and its experiment, opened and checked before anything is paid for."""

from __future__ import annotations

import logging
import os
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

import mlflow
from mlflow import MlflowClient
from mlflow.entities import Experiment
from mlflow.exceptions import MlflowException

from kontext_lab.errors import Cause, ConfigError, KontextLabError, TrackingError, cause_of, chained, listed
from kontext_lab.redaction import get_logger, masked, redacted, remember
from kontext_lab.sweep.yaml_file import safe_name
from kontext_lab.tracking import artifact_location, client_calls, database

__all__ = ["Store", "check_reachable", "mlflow_trouble", "open_store", "resolve_uri"]

EXPERIMENT = "kontext-lab"
"""The experiment of sweeps if no other is set."""

CONNECT_SECONDS = 5.0
"""Longest wait for a server to accept a connection: MLflow's own retries would take minutes."""

log = get_logger(__name__)

_DATABASES = ("postgresql", "mysql", "mssql")

_DEFAULT_PORTS = {"http": 80, "https": 443, "postgresql": 5432, "mysql": 3306, "mssql": 1433}


@dataclass(frozen=True)
class Store:
    """An open store: its absolute tracking URI, MLflow's client for it, and the experiment of new sweeps."""

    uri: str = field(repr=False)
    client: MlflowClient = field(repr=False)
    experiment_id: str
    experiment: str

    @property
    def shown(self) -> str:
        """The URI without a password in it."""
        return masked(self.uri)

    @property
    def web_address(self) -> str:
        """The address of MLflow's pages for this store, or "" for a store without a server."""
        if not self.uri.startswith("http"):
            return ""
        # A page is opened by a person, who signs in: no name or password goes into a link.
        return re.sub(r"(?<=://)[^/]*@", "", self.uri).rstrip("/")

    @property
    def absent_folder(self) -> str:
        """The folder on this machine that should hold the experiment's artifacts, if it is not there, else ""."""
        with mlflow_trouble("the MLflow store can't be read"):
            recorded = self.client.get_experiment(self.experiment_id).artifact_location
        folder = artifact_location.local_folder(recorded)
        return "" if folder is None or folder.is_dir() else str(folder)

    @property
    def read_only(self) -> bool:
        """True if it is a file that can only be read, as in an archive."""
        file = database.database_file(self.uri)
        return file is not None and artifact_location.is_read_only(file)

    def check_writable(self) -> None:
        """Raise a TrackingError if it can't be written to, as far as permissions tell."""
        artifact_location.check_database(self.uri)

    def prepare_folder(self) -> None:
        """Record the relative location of the experiment's artifacts, and check that their folder can be written.

        A folder outside the database's is made for a new experiment only: after earlier sweeps a missing folder
        means that its disk isn't mounted, or that the store was moved.
        """
        artifact_location.check_database(self.uri)
        experiment = self.client.get_experiment(self.experiment_id)
        root = artifact_location.local_folder(experiment.artifact_location)
        if root is None:
            return
        file = database.database_file(self.uri)
        relative = "" if file is None else artifact_location.relative_to(file, root)
        if relative and artifact_location.RELATIVE not in experiment.tags:
            self.client.set_experiment_tag(self.experiment_id, artifact_location.RELATIVE, relative)
        if not relative and not root.is_dir() and root.parent.parent.is_dir():
            sweeps = "tags.`kontext.kind` = 'sweep'"
            if not self.client.search_runs([self.experiment_id], sweeps, max_results=1):
                root.mkdir(parents=True, exist_ok=True)
        artifact_location.check_writable(self.uri, root)

    def end_run(self, run_id: str) -> bool:
        """End a sweep that was begun and could not be started or summed up; returns whether the store knows now."""
        with suppress(TrackingError), mlflow_trouble("the sweep's end can't be recorded in MLflow"):
            self.client.set_terminated(run_id, "KILLED")
            return True
        return False

    def experiment_ids(self) -> list[str]:
        """Every experiment of the store, ours first."""
        ids = [self.experiment_id]
        token = None
        while True:
            page = self.client.search_experiments(max_results=1000, page_token=token)
            ids += [one.experiment_id for one in page if one.experiment_id != self.experiment_id]
            token = page.token
            if not token:
                return ids


def open_store(tracking_uri: str | None, experiment: str | None) -> Store:
    """Open a store, by default the one MLflow has set, and find or make the experiment."""
    uri = resolve_uri(tracking_uri or mlflow.get_tracking_uri())
    check_reachable(uri)
    with _quiet(), mlflow_trouble(f"the MLflow store {masked(uri)} can't be opened"):
        file = database.database_file(uri)
        if file is not None:
            client_calls.patiently(database.prepare, uri, file)
        elif _scheme(uri) in _DATABASES:
            from sqlalchemy import NullPool, create_engine  # noqa: PLC0415 - only a database needs it

            # With a wrong name or password MLflow would go on trying for 101 seconds.
            create_engine(uri, poolclass=NullPool).connect().close()
        try:
            client = client_calls.connect(uri)
            client.search_experiments(max_results=1)
        except Exception as error:
            if file is not None and not client_calls.is_locked(error):
                database.explain(uri, file)
            raise
        if file is not None:  # only now: a store that MLflow refuses stays as it is
            client_calls.relocate(client, client_calls.patiently(artifact_location.correct, file))
        found = _experiment(client, uri, experiment)
    return Store(uri, client, found.experiment_id, found.name)


def resolve_uri(uri: str | os.PathLike[str]) -> str:
    """The URI with relative paths made absolute: a store stays where it was when it was first used.

    Raises:
        TrackingError: a folder store, which MLflow no longer maintains, or not the address of a store.
    """
    text = os.fspath(uri)
    remember(text)  # an error may quote parts of it
    scheme = urlsplit(text).scheme.split("+")[0]
    if scheme == "":
        like_folder = (
            "/" in text or os.sep in text or text.rstrip("/") in ("mlruns", "") or Path(text).is_dir()
        )
        if not like_folder:
            raise TrackingError(
                f"the MLflow store {masked(text)!r:.80} is not an address: set sqlite:///mlflow.db, "
                "postgresql://user@host/name, or a server's http://…"
            )
    if scheme in ("", "file") or (len(scheme) == 1 and os.name == "nt"):
        raise TrackingError(
            f"the MLflow store {masked(text)} is an old folder store: set MLFLOW_TRACKING_URI=sqlite:///mlflow.db, "
            "or move it with `mlflow migrate-filestore`"
        )
    if scheme != "sqlite":
        return text
    head, _, path = text.partition(":///")
    path, mark, query = path.partition("?")
    if not path or path.startswith(":memory:"):
        raise TrackingError(f"the MLflow store {text} keeps nothing: name a file, sqlite:///mlflow.db")
    file = Path(unquote(path)).expanduser()
    if file.is_dir():
        raise TrackingError(f"the MLflow store {text} is a folder: name a file in it, such as mlflow.db")
    # Readable, except for the characters that mean something else to SQLAlchemy.
    quoted = file.absolute().as_posix().replace("%", "%25").replace("?", "%3F")
    return f"{head}:///{quoted}{mark}{query}"


@contextmanager
def mlflow_trouble(what: str) -> Iterator[None]:
    """Turn every error of MLflow and its databases into a TrackingError of one line that begins with `what`."""
    try:
        yield
    except KontextLabError:
        raise
    except Exception as error:  # MLflow, SQLAlchemy, drivers, HTTP: each with a tree of its own
        raise TrackingError(f"{what}: {_reason(error)}") from None


def _reason(error: Exception) -> str:
    if client_calls.is_locked(error):
        return f"another process has held the database locked for {client_calls.LOCK_SECONDS:.0f} s"
    if isinstance(error, ModuleNotFoundError):
        # SQLAlchemy 2.1 takes psycopg 3 for postgresql://, 2.0 took psycopg2: people have the other one.
        return (
            f"its driver {error.name} is not installed; install it, or name yours, as postgresql+psycopg2://…"
        )
    kinds = (type(one).__module__ for one in chained(error, hidden=True))
    http = "API request to" in str(error) or any(kind.startswith(("requests", "urllib3")) for kind in kinds)
    if http and (cause := cause_of(error, hidden=True)):
        return f"{cause.words}; {cause.way_out}"
    if client_calls.is_read_only(error):
        return f"it is read-only: {artifact_location.WRITABLE}"
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    # Before it is cut: a password cut in two would no longer be seen as one.
    line = redacted(lines[0])[:300] if lines else ""
    if isinstance(error, MlflowException):
        return line or type(error).__name__
    return f"{type(error).__name__}: {line}" if line else type(error).__name__


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep what MLflow and Alembic log about making a database out of notebooks and terminals."""
    loggers = [logging.getLogger(name) for name in ("mlflow", "alembic", "sqlalchemy")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def check_reachable(uri: str, *, opened: bool = False) -> None:
    """Check within seconds, without MLflow, that a store can be reached; if `opened` before, its file has to exist."""
    file = database.database_file(uri)
    if file is not None:
        if not file.parent.is_dir():
            raise TrackingError(f"the MLflow store {uri} can't be made: there is no folder {file.parent}")
        if not file.exists() and not os.access(file.parent, os.W_OK):
            raise TrackingError(f"the MLflow store {uri} can't be made: no right to write in {file.parent}")
        if opened and not file.exists():
            raise TrackingError(f"the MLflow store {uri} is gone: there is no file {file} any more")
        return
    try:
        parts = urlsplit(uri)
        host, port = parts.hostname, parts.port or _DEFAULT_PORTS.get(_scheme(uri))
    except ValueError:  # a / in a password ends the part of an address that names the host
        raise TrackingError(
            f"the MLflow store {masked(uri)} is not an address: in a password, write / as %2F and @ as %40"
        ) from None
    if not host or port is None:
        return  # databricks, plug-ins and sockets in folders have ways of their own
    if uri.startswith("http") and {_scheme(uri), "all"} & getproxies().keys() and not proxy_bypass(host):
        return  # only the proxy may be able to reach it
    try:
        socket.create_connection((host, port), timeout=CONNECT_SECONDS).close()
    except (OSError, UnicodeError) as error:  # UnicodeError: not a valid host name
        cause = cause_of(error) or Cause(str(error) or type(error).__name__, "check MLFLOW_TRACKING_URI")
        raise TrackingError(
            f"the MLflow server {masked(uri)} doesn't answer: {cause.words}; {cause.way_out}"
        ) from None


def _scheme(uri: str) -> str:
    return uri.partition(":")[0].partition("+")[0]


def _experiment(client: MlflowClient, uri: str, name: str | None) -> Experiment:
    """The experiment asked for, the active run's, the one MLflow has set, or our own."""
    if name is None:
        known = os.environ.get("MLFLOW_EXPERIMENT_ID")  # written by mlflow.set_experiment
        active = mlflow.active_run()
        with suppress(TrackingError):
            if active and resolve_uri(mlflow.get_tracking_uri()) == uri:
                known = active.info.experiment_id
        if known:
            try:
                return client.get_experiment(known)
            except MlflowException:
                raise ConfigError(
                    f"MLFLOW_EXPERIMENT_ID is {known!r:.40}, but the store has no such experiment"
                ) from None
    wanted = name or os.environ.get("MLFLOW_EXPERIMENT_NAME") or EXPERIMENT
    existing = client.get_experiment_by_name(wanted)
    if existing is None:
        return _new_experiment(client, uri, wanted)
    if existing.lifecycle_stage != "active":
        raise ConfigError(
            f"the experiment {wanted!r} is deleted in MLflow: restore it there, or choose another"
        )
    return existing


def _new_experiment(client: MlflowClient, uri: str, name: str) -> Experiment:
    """Make an experiment; its artifacts lie beside a SQLite file, and where a server wants them otherwise.

    A database on a server has no folder of its own, and MLflow's default is `./mlruns` of the first process that
    uses it: `mlartifacts` in the working folder then, as an absolute path, so that later processes find it again.
    """
    file = database.database_file(uri)
    if file is not None and artifact_location.is_read_only(file):
        there = listed([one.name for one in client.search_experiments()], name)
        raise ConfigError(
            f"the MLflow store {uri} is read-only and has no experiment {name!r}: choose one of {there} with "
            "MLFLOW_EXPERIMENT_NAME"
        )
    if file is None and _scheme(uri) not in _DATABASES:
        return _created(client, name)
    folder = Path.cwd() if file is None else file.resolve().parent
    slug = "".join(letter if letter.isalnum() or letter in "-_." else "-" for letter in name).strip(".")
    place = folder / "mlartifacts" / (safe_name(slug) if slug else EXPERIMENT)
    relative = "" if file is None else artifact_location.relative_to(file, place)
    tags = {artifact_location.RELATIVE: relative} if relative else None
    made = _created(client, name, artifact_location=place.as_uri(), tags=tags)
    if file is None and made.artifact_location == place.as_uri():
        log.warning("experiment %r is new: its pictures are kept on this machine, in %s", name, place)
    return made


def _created(client: MlflowClient, name: str, **settings: Any) -> Experiment:
    """The new experiment, or the one that another process made after this one had looked."""
    try:
        return client.get_experiment(client.create_experiment(name, **settings))
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
        existing = client.get_experiment_by_name(name)
        if existing is None:
            raise
        return existing
