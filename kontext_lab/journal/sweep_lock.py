"""One process at a time works on a sweep. The system lets go of a dead process's lock by itself."""

from __future__ import annotations

import os
import socket
from datetime import datetime
from pathlib import Path

from filelock import FileLock, Timeout

from kontext_lab.errors import AlreadyRunning, ConfigError
from kontext_lab.journal.durable_files import read_json, write_json

__all__ = ["SweepLock"]


class SweepLock:
    """The right to work on one sweep.

    Args:
        folder: where locks lie.
        key: names the sweep.
        name: the sweep's, for a person.
    """

    def __init__(self, folder: Path, key: str, name: str) -> None:
        self._name = name
        self._owner = folder / f"{key}.json"
        # Taken in the caller's thread, given back in the coordinator's.
        self._lock = FileLock(folder / f"{key}.lock", thread_local=False, mode=0o600)

    def take(self) -> None:
        """Take the lock.

        Raises:
            AlreadyRunning: a living process has it; says which, and since when.
            ConfigError: the folder can't be used.
        """
        try:
            # Whoever only looks whether it is taken holds it for a moment.
            self._lock.acquire(timeout=0.3, poll_interval=0.02)
            now = datetime.now().astimezone().isoformat(timespec="seconds")
            write_json(self._owner, {"pid": os.getpid(), "host": socket.gethostname(), "since": now})
        except Timeout:
            raise AlreadyRunning(
                f"sweep {self._name!r} is running already{self.owner}: `kontext-lab show NAME --watch`, or "
                "lab.watch(name), waits for it"
            ) from None
        except OSError as error:
            self._lock.release()
            raise ConfigError(f"the journal can't be written: {error.strerror}: nothing was sent") from None

    def release(self) -> None:
        """Give it back; twice does no harm."""
        self._lock.release()

    @property
    def is_taken(self) -> bool:
        """Whether somebody has it, this process included."""
        if self._lock.is_locked:
            return True
        try:
            self._lock.acquire(timeout=0)
        except (Timeout, OSError):
            return True
        self._lock.release()
        return False

    @property
    def since(self) -> datetime | None:
        """When it was last taken; None where that isn't known."""
        try:
            return datetime.fromisoformat(str((read_json(self._owner) or {}).get("since")))
        except ValueError:
            return None

    @property
    def owner(self) -> str:
        """Who has it, as the end of a sentence."""
        facts = read_json(self._owner) or {}
        if not isinstance(facts.get("pid"), int):
            return ""
        here = facts["pid"] == os.getpid() and facts.get("host") == socket.gethostname()
        who = "in this process" if here else f"in process {facts['pid']} on {facts.get('host')}"
        since = self.since
        return f" {who}" + (f", since {since:%d %b %H:%M}" if since else "")
