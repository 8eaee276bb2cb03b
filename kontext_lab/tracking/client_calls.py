"""MLflow's client as the rest of the package calls it: locks are waited out, dead servers aren't, nothing is printed.

Every single call is tried again, never a sequence of them: a call is one transaction, or repeats exactly what it
did before, so that nothing is written or counted twice.
"""

from __future__ import annotations

import errno
import logging
import os
import re
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar, cast

from mlflow import MlflowClient
from mlflow.entities import Experiment, Run
from tenacity import RetryCallState, Retrying, retry_if_exception, wait_random_exponential

from kontext_lab.redaction import redact_logs

__all__ = ["LOCK_SECONDS", "SERVER_SECONDS", "connect", "is_locked", "is_read_only", "patiently", "relocate"]

LOCK_SECONDS = 60.0
"""How long a database that another process has locked is waited for."""

SERVER_SECONDS = 30
"""How long a server may take over one call, and how long one that says "not now" is asked again."""

_SETTINGS = {
    # MLflow's own 7 retries block a call for 4 minutes on a dead server, and for 20 on one that hangs; they also
    # send a request again that timed out, which makes a second run where the first answer was only late.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": str(SERVER_SECONDS),
    # A bar for every picture that is looked at.
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}

_FIXED = ("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT",)
"""Set whatever a person has set: two lines for every cell, with the server's password in them, are nobody's wish."""

_NOT_NOW = re.compile(r"too many (429|503) error responses")

_LOUD = ("mlflow.store.db.utils", "urllib3.connectionpool")
"""These tell a terminal, with tracebacks, what our one line says."""

_TELLING = (
    *_LOUD,
    "mlflow",
    "urllib3.util.retry",
    "sqlalchemy.pool.impl.NullPool",
    "sqlalchemy.pool.impl.QueuePool",
    "sqlalchemy.pool.impl.SingletonThreadPool",
)
"""These tell addresses, where somebody listens."""

Answer = TypeVar("Answer")


def connect(uri: str) -> MlflowClient:
    """MLflow's client for a store, each call of which is patient, bounded and quiet.

    Making it opens a database already, and makes and changes tables there.
    """
    _hush()
    # A proxy, not a subclass: the client's own methods call each other, and only the outermost call counts.
    return cast(MlflowClient, _Client(_guarded(MlflowClient)(tracking_uri=uri)))


class _Client:
    """Stands before an `MlflowClient`."""

    def __init__(self, client: MlflowClient) -> None:
        self._client = client
        self._moved: list[tuple[str, str]] = []

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.__dict__["_client"], name)
        return found if name.startswith("_") or not callable(found) else _guarded(found, self._moved)


def relocate(client: MlflowClient, moved: list[tuple[str, str]]) -> None:
    """Have a client of `connect` give places of artifacts as they are, where the store can't be corrected.

    Args:
        client: the client.
        moved: what the beginning of a place is in the store, and what it is on this machine.
    """
    cast(_Client, client)._moved[:] = moved


def _guarded(what: Callable[..., Answer], moved: Sequence[tuple[str, str]] = ()) -> Callable[..., Answer]:
    def call(*args: Any, **kwargs: Any) -> Answer:
        with _settings():
            answer = patiently(what, *args, **kwargs)
        for one in (answer if isinstance(answer, list) else [answer]) if moved else ():
            if isinstance(one, Run):
                one.info._artifact_uri = _place(one.info.artifact_uri, moved)
            elif isinstance(one, Experiment):
                one._artifact_location = _place(one.artifact_location, moved)
        return answer

    return call


def _place(recorded: str, moved: Sequence[tuple[str, str]]) -> str:
    for before, now in moved:
        if recorded == before or recorded.startswith(f"{before}/"):
            return now + recorded[len(before) :]
    return recorded


def patiently(what: Callable[..., Answer], *args: Any, **kwargs: Any) -> Answer:
    """Call something, and again while another process holds the database, or a server says "not now".

    Raises:
        Exception: whatever the last try raised, unchanged.
    """
    trying = Retrying(
        retry=retry_if_exception(_passes), wait=wait_random_exponential(max=2), stop=_enough, reraise=True
    )
    return trying(what, *args, **kwargs)


def is_locked(error: BaseException) -> bool:
    """Whether a failure is, at its root, SQLite's word for a database that someone else holds."""
    return _is_sqlite(error, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def is_read_only(error: BaseException) -> bool:
    """Whether a failure is, at its root, that something can't be written to."""
    denied = (errno.EACCES, errno.EPERM, errno.EROFS)
    files = any(isinstance(one, OSError) and one.errno in denied for one in _causes(error))
    return files or _is_sqlite(error, sqlite3.SQLITE_READONLY)


def _is_sqlite(error: BaseException, *codes: int) -> bool:
    return any(
        isinstance(cause, sqlite3.OperationalError)
        # The lower byte is the kind, the upper one the special case.
        and getattr(cause, "sqlite_errorcode", 0) & 0xFF in codes
        for cause in _causes(error)
    )


def _passes(error: BaseException) -> bool:
    return is_locked(error) or _not_now(error)


def _not_now(error: BaseException) -> bool:
    """A server's 429 or 503, or a kept connection that it had closed meanwhile.

    A refused connection is not among them: whoever writes in the background asks again when it suits, and
    whoever waits at a prompt wants to know.
    """
    return any(
        # By name: the library that MLflow speaks HTTP with is not for this package to import.
        type(cause).__name__ == "ProtocolError" or _NOT_NOW.search(str(cause)) is not None
        for cause in _causes(error)
        if type(cause).__module__.startswith("urllib3")
    )


def _enough(state: RetryCallState) -> bool:
    error = state.outcome.exception() if state.outcome else None
    limit = LOCK_SECONDS if error is not None and is_locked(error) else SERVER_SECONDS
    return (state.seconds_since_start or 0.0) >= limit


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        original = getattr(error, "orig", None)  # SQLAlchemy's name for what the driver raised
        if isinstance(original, BaseException):
            yield original
        error = error.__cause__ or error.__context__


class _Quiet(logging.Filter):
    """Drops what a thread inside one of our calls logs, and nothing else."""

    def __init__(self) -> None:
        super().__init__()
        self.here = threading.local()

    def filter(self, record: logging.LogRecord) -> bool:  # noqa: ARG002 - logging's own signature
        return not getattr(self.here, "calls", 0)


_quiet = _Quiet()


def _hush() -> None:
    redact_logs(*_TELLING)
    for name in _LOUD:
        logging.getLogger(name).addFilter(_quiet)  # adding it again does nothing


@contextmanager
def _quiet_here() -> Iterator[None]:
    _quiet.here.calls = getattr(_quiet.here, "calls", 0) + 1
    try:
        yield
    finally:
        _quiet.here.calls -= 1


_limiting = threading.Lock()
_before: dict[str, str | None] = {}
_calls = 0


@contextmanager
def _settings() -> Iterator[None]:
    """MLflow's settings while a call of ours is under way: it reads them from the environment only.

    What a person has set stays as it is, but for `_FIXED`, and outside our calls nothing is changed.
    """
    global _calls  # noqa: PLW0603 - the environment is the process's own, and so is the count of its users
    with _limiting:
        _calls += 1
        if _calls == 1:
            _before.update(
                {name: os.environ.get(name) for name in _SETTINGS if name in _FIXED or name not in os.environ}
            )
            os.environ.update({name: _SETTINGS[name] for name in _before})
    try:
        with _quiet_here():
            yield
    finally:
        with _limiting:
            _calls -= 1
            if _calls == 0:
                while _before:
                    name, value = _before.popitem()
                    if os.environ.get(name) == _SETTINGS[name]:  # else a person has set it meanwhile
                        del os.environ[name]
                        os.environ.update({} if value is None else {name: value})
