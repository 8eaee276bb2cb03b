"""MLflow's client with patience for locked databases, short timeouts for servers, and no output of its own.

Single calls are tried again, never a sequence of them: a call is one transaction, or repeats exactly what it did
before, so that nothing is written or counted twice.
"""

from __future__ import annotations

import errno
import logging
import os
import re
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar, cast

from mlflow import MlflowClient
from mlflow.entities import Experiment, Run

from kontext_lab.errors import chained
from kontext_lab.redaction import redact_logs

__all__ = ["LOCK_SECONDS", "SERVER_SECONDS", "connect", "is_locked", "is_read_only", "patiently", "relocate"]

LOCK_SECONDS = 60.0
"""Longest wait for a database that another process has locked."""

SERVER_SECONDS = 30
"""Longest time of one call to a server, and of asking a server again that answers "not now"."""

_SETTINGS = {
    # MLflow's own 7 retries block a call for 4 minutes on a dead server, and for 20 on one that hangs; they also
    # send a request again that timed out, which makes a second run where the first answer was only late.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": str(SERVER_SECONDS),
    # A progress bar for every picture that is loaded.
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}

_FIXED = ("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT",)
"""Set also against a person's own setting: else two lines for every cell show the server's password."""

_NOT_NOW = re.compile(r"too many (429|503) error responses")

_NOISY = ("mlflow.store.db.utils", "urllib3.connectionpool")
"""Loggers that print to a terminal, with tracebacks, the same as our one line."""

_WITH_ADDRESSES = (
    *_NOISY,
    "mlflow",
    "urllib3.util.retry",
    "sqlalchemy.pool.impl.NullPool",
    "sqlalchemy.pool.impl.QueuePool",
    "sqlalchemy.pool.impl.SingletonThreadPool",
)
"""Loggers whose records hold addresses."""

Answer = TypeVar("Answer")


def connect(uri: str) -> MlflowClient:
    """MLflow's client for a store, each call of which is patient, bounded and quiet.

    Making it opens a database already, and makes and changes tables there.
    """
    redact_logs(*_WITH_ADDRESSES)
    for name in _NOISY:
        logging.getLogger(name).addFilter(_is_foreign)  # adding it again does nothing
    with _settings():
        client = patiently(MlflowClient, tracking_uri=uri)
    # A proxy, not a subclass: the client's own methods call each other, and only the outermost call counts.
    return cast(MlflowClient, _Client(client))


class _Client:
    """A proxy of an `MlflowClient`.

    Attributes:
        moved: recorded and actual beginnings of artifact locations, if the store can't be corrected.
    """

    def __init__(self, client: MlflowClient) -> None:
        self._client = client
        self.moved: list[tuple[str, str]] = []

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self.__dict__["_client"], name)
        if name.startswith("_") or not callable(attribute):
            return attribute

        def call(*args: Any, **kwargs: Any) -> Any:
            with _settings():
                answer = patiently(attribute, *args, **kwargs)
            for entity in (answer if isinstance(answer, list) else [answer]) if self.moved else ():
                if isinstance(entity, Run):
                    entity.info._artifact_uri = self._actual(entity.info.artifact_uri)
                elif isinstance(entity, Experiment):
                    entity._artifact_location = self._actual(entity.artifact_location)
            return answer

        return call

    def _actual(self, recorded: str) -> str:
        for before, now in self.moved:
            if recorded == before or recorded.startswith(f"{before}/"):
                return now + recorded[len(before) :]
        return recorded


def relocate(client: MlflowClient, moved: list[tuple[str, str]]) -> None:
    """Make a client of `connect` return actual locations in place of recorded ones, in a store that is read-only."""
    cast(_Client, client).moved = moved


def patiently(what: Callable[..., Answer], *args: Any, **kwargs: Any) -> Answer:
    """Call something, and again while another process holds the database, or a server says "not now"."""
    from tenacity import RetryCallState, Retrying, retry_if_exception, wait_random_exponential  # noqa: PLC0415 - for start-up

    def is_over(state: RetryCallState) -> bool:
        error = state.outcome.exception() if state.outcome else None
        limit = LOCK_SECONDS if error is not None and is_locked(error) else SERVER_SECONDS
        return (state.seconds_since_start or 0.0) >= limit

    again = retry_if_exception(lambda error: is_locked(error) or _is_not_now(error))
    retrying = Retrying(retry=again, wait=wait_random_exponential(max=2), stop=is_over, reraise=True)
    return retrying(what, *args, **kwargs)


def is_locked(error: BaseException) -> bool:
    """True if the root of a failure is a SQLite database that another process holds."""
    return bool(_sqlite_codes(error) & {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})


def is_read_only(error: BaseException) -> bool:
    """True if the root of a failure is a missing right to write."""
    denied = (errno.EACCES, errno.EPERM, errno.EROFS)
    files = any(isinstance(one, OSError) and one.errno in denied for one in chained(error, hidden=True))
    return files or sqlite3.SQLITE_READONLY in _sqlite_codes(error)


def _sqlite_codes(error: BaseException) -> set[int]:
    """SQLite's codes in a failure; the lower byte is the kind, the upper one the special case."""
    failures = (one for one in chained(error, hidden=True) if isinstance(one, sqlite3.OperationalError))
    return {getattr(one, "sqlite_errorcode", 0) & 0xFF for one in failures}


def _is_not_now(error: BaseException) -> bool:
    """True for a server's 429 or 503, or a kept connection that the server had closed meanwhile.

    False for a refused connection: the writer in the background retries later, a person at a prompt wants to know.
    """
    return any(
        # By name: the library that MLflow speaks HTTP with is not for this package to import.
        type(one).__name__ == "ProtocolError" or _NOT_NOW.search(str(one)) is not None
        for one in chained(error, hidden=True)
        if type(one).__module__.startswith("urllib3")
    )


_own_calls = threading.local()
_settings_lock = threading.Lock()
_before: dict[str, str | None] = {}
_calls = 0


def _is_foreign(_record: logging.LogRecord) -> bool:
    """A filter that drops the records that a thread logs during one of our calls, and no others."""
    return not getattr(_own_calls, "count", 0)


@contextmanager
def _settings() -> Iterator[None]:
    """MLflow's settings during a call of ours: MLflow reads them from the environment only.

    A person's own settings stay, except for `_FIXED`, and outside our calls nothing is changed.
    """
    global _calls  # noqa: PLW0603 - the environment is the process's own, and so is the count of its users
    with _settings_lock:
        _calls += 1
        if _calls == 1:
            _before.update(
                {name: os.environ.get(name) for name in _SETTINGS if name in _FIXED or name not in os.environ}
            )
            os.environ.update({name: _SETTINGS[name] for name in _before})
    _own_calls.count = getattr(_own_calls, "count", 0) + 1
    try:
        yield
    finally:
        _own_calls.count -= 1
        with _settings_lock:
            _calls -= 1
            if _calls == 0:
                while _before:
                    name, value = _before.popitem()
                    if os.environ.get(name) == _SETTINGS[name]:  # else a person has set it meanwhile
                        del os.environ[name]
                        os.environ.update({} if value is None else {name: value})
