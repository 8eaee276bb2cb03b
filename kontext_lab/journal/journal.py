"""The journal: unfinished sweeps, each with the requests that were sent and have not reached the store.

    journal/
      locks/                        one lock a sweep, kept
      3f09a1… demo/                 a sweep that has not ended
        sweep.json                  store, experiment, service, parent run
        sweep.yaml, references/     the sweep itself
        sends.txt                   fingerprints of the requests it is about to send
        00007 kl-5d0c…/             an attempt at cell 7
          intent.json               written before the request leaves
          sent                      made once by the sender; the permit
          answer.json               as soon as it is read
          output-0                  as soon as it is downloaded: the exact bytes

An attempt's folder goes when the store has its outcome, a sweep's when it has ended there.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import socket
from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path

from kontext_lab.errors import AlreadyRunning, ConfigError, shown
from kontext_lab.journal.attempt_folder import ANSWER, AttemptFolder, Intent
from kontext_lab.journal.durable_files import (
    HOME_VARIABLE,
    clear_out,
    make_folder,
    private_folder,
    read_json,
    seal,
    set_aside,
    write_json,
)
from kontext_lab.sweep import Sweep
from kontext_lab.sweep.yaml_file import safe_name

__all__ = ["Journal", "SweepFacts", "SweepJournal", "SweepLock", "home_folder"]

_FACTS, _SWEEP, _SENDS = "sweep.json", "sweep.yaml", "sends.txt"

START_SECONDS = 60.0
"""Longest wait of a start for the start of another sweep, which asks store and service."""

ROOM_PER_OUTPUT = 16 * 1024 * 1024
"""Free bytes that each picture of a request needs before it is sent."""


def home_folder(given: str | os.PathLike[str] | None = None) -> Path:
    """The folder that holds the journal: the one given, else the environment's, else the platform's for user data."""
    chosen = given or os.environ.get(HOME_VARIABLE, "").strip()
    if not chosen:
        from platformdirs import user_data_path  # noqa: PLC0415 - for start-up

        return user_data_path("kontext-lab", appauthor=False)
    try:
        return Path(chosen).expanduser().absolute()
    except (TypeError, RuntimeError) as error:  # RuntimeError: ~ without a home
        raise ConfigError(f"home: {shown(chosen)} is not the name of a folder: {error}") from None


@dataclass(frozen=True)
class SweepFacts:
    """The facts of a sweep's folder.

    Attributes:
        name: the sweep's.
        digest: the sweep's, for its service.
        service: `sandbox` or the service's origin.
        base_url: of the service.
        store: the MLflow store, absolute, without a password.
        experiment: the name of MLflow's experiment.
        parent_id: the parent run, once there is one.
        version: of this package.
    """

    name: str
    digest: str
    service: str
    base_url: str
    store: str
    experiment: str
    parent_id: str = ""
    version: str = ""

    @property
    def key(self) -> str:
        """An id of this sweep in this store: 32 hexadecimal digits."""
        text = "\0".join((self.store, self.experiment, self.service, self.digest))
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]

    @classmethod
    def read(cls, folder: Path) -> SweepFacts | None:
        """The facts in a sweep's folder; None if one is missing."""
        facts = read_json(folder / _FACTS) or {}
        try:
            return cls(**{name: str(facts[name]) for name in cls.__dataclass_fields__})
        except KeyError:
            return None


class SweepLock:
    """The lock of one sweep, for one process at a time; the system releases the lock of a dead process."""

    def __init__(self, folder: Path, key: str, name: str) -> None:
        from filelock import FileLock  # noqa: PLC0415 - for start-up

        self._name = name
        self._owner = folder / f"{key}.json"
        # Taken in the caller's thread, released in the coordinator's.
        self._lock = FileLock(folder / f"{key}.lock", thread_local=False, mode=0o600)

    def take(self) -> None:
        """Take the lock.

        Raises:
            AlreadyRunning: a living process has it; tells which, and since when.
            ConfigError: the folder can't be used.
        """
        from filelock import Timeout  # noqa: PLC0415 - for start-up

        try:
            # `is_taken` of another process holds it for a moment.
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
        """Release the lock, also if it is not held."""
        self._lock.release()

    @property
    def is_taken(self) -> bool:
        """True if a process has it, this one included."""
        if self._lock.is_locked:
            return True
        try:
            self._lock.acquire(timeout=0)
        except OSError:  # also filelock's Timeout
            return True
        self._lock.release()
        return False

    @property
    def since(self) -> datetime | None:
        """Moment it was last taken; None if that is unknown."""
        try:
            return datetime.fromisoformat(str((read_json(self._owner) or {}).get("since")))
        except ValueError:
            return None

    @property
    def owner(self) -> str:
        """Its owner, as the end of a sentence."""
        facts = read_json(self._owner) or {}
        if not isinstance(facts.get("pid"), int):
            return ""
        here = facts["pid"] == os.getpid() and facts.get("host") == socket.gethostname()
        who = "in this process" if here else f"in process {facts['pid']} on {facts.get('host')}"
        since = self.since
        return f" {who}" + (f", since {since:%d %b %H:%M}" if since else "")


class SweepJournal:
    """The folder of one unfinished sweep.

    What writes raises a ConfigError where the disk refuses: nothing may be sent then.

    Attributes:
        facts: of the sweep.
        lock: of the sweep.
    """

    def __init__(self, folder: Path, facts: SweepFacts, lock: SweepLock) -> None:
        self.folder = folder
        self.facts = facts
        self.lock = lock
        self._remover: ThreadPoolExecutor | None = None

    def begin(self, sweep: Sweep, sends: Collection[str] = ()) -> None:
        """Write the sweep, and the fingerprints of the requests that it is about to send."""
        with _disk_errors("begun"):
            if not self.folder.is_dir():
                make_folder(self.folder)
            clear_out(self.folder)
            sweep.to_yaml(self.folder / _SWEEP, self_contained=True)
            (self.folder / _SENDS).write_text("\n".join(sends), encoding="ascii")
            seal(self.folder)
            write_json(self.folder / _FACTS, asdict(self.facts))

    def belongs_to(self, parent_id: str) -> None:
        """Write the id of the sweep's parent run, or "" if none is open."""
        self.facts = replace(self.facts, parent_id=parent_id)
        with _disk_errors("written"):
            write_json(self.folder / _FACTS, asdict(self.facts))

    @property
    def parent_id(self) -> str:
        """The id of the sweep's parent run, as it was written, or ""."""
        recorded = SweepFacts.read(self.folder)
        return recorded.parent_id if recorded is not None else ""

    @property
    def sends(self) -> set[str]:
        """Fingerprints of the requests that it was about to send when it began."""
        try:
            return set((self.folder / _SENDS).read_text(encoding="ascii").split())
        except (OSError, ValueError):
            return set()

    def sweep(self) -> Sweep:
        """The sweep, read from its file.

        Raises:
            SweepError: its file can't be read.
        """
        return Sweep.from_yaml(self.folder / _SWEEP, own=True).replace(name=self.facts.name)

    def intend(self, intent: Intent, outputs: int = 1) -> AttemptFolder:
        """Write an intent into a new folder of its attempt; durable when this returns.

        Raises:
            ConfigError: it can't be written, or the disk has no room for its outputs: nothing may be sent.
        """
        attempt_folder = AttemptFolder(str(self.folder / f"{intent.place:05d} {intent.request_id}"))
        with _disk_errors("written"):
            if shutil.disk_usage(self.folder).free < outputs * ROOM_PER_OUTPUT:
                raise OSError(errno.ENOSPC, "No space left on device")
            make_folder(attempt_folder.folder)
            try:
                attempt_folder.keep_intent(intent)
            except OSError:
                self.drop(attempt_folder)
                raise
        return attempt_folder

    def attempt_folders(self) -> list[tuple[Intent, AttemptFolder]]:
        """Attempts that have not reached the store, in the order of the sweep, then of sending."""
        folders = [AttemptFolder(str(path)) for path in sorted(self.folder.glob("[0-9]*")) if path.is_dir()]
        attempts = [(intent, folder) for folder in folders if (intent := folder.intent) is not None]
        return sorted(attempts, key=lambda attempt: (attempt[0].place, attempt[0].when))

    def owed(self) -> list[tuple[Intent, AttemptFolder]]:
        """The attempts that may have been paid for, because their request may have left."""
        return [
            (intent, folder)
            for intent, folder in self.attempt_folders()
            if folder.answer is not None or folder.may_have_left
        ]

    def drop(self, attempt_folder: AttemptFolder) -> None:
        """Remove the folder of an attempt that the store has, or that was not billed."""
        gone = set_aside(attempt_folder.folder)
        if gone is not None:
            # Freeing a picture's blocks takes the file system longer than the rest of a cell.
            self._remover = self._remover or ThreadPoolExecutor(1, thread_name_prefix="kontext-lab remover")
            try:
                self._remover.submit(shutil.rmtree, gone, ignore_errors=True)
            except RuntimeError:  # Python is about to end
                shutil.rmtree(gone, ignore_errors=True)

    def follow_store(self, store: str) -> None:
        """Write the new address of the sweep's store, unless the same sweep already has a folder for that store."""
        facts = replace(self.facts, store=store)
        target = self.folder.with_name(self.folder.name.replace(self.facts.key, facts.key, 1))
        if target != self.folder and any(self.folder.parent.glob(f"{facts.key} *")):
            return
        with _disk_errors("written"):
            self.folder = self.folder.rename(target)
            self.facts = facts
            write_json(self.folder / _FACTS, asdict(facts))

    def end(self) -> bool:
        """Remove the sweep's folder if everything has reached the store; returns True if so."""
        self._end_dropping()
        # An answer without a readable intent is paid for: a person has to look at it.
        if self.attempt_folders() or any(self.folder.glob(f"[0-9]*/{ANSWER}")):
            return False
        set_aside(self.folder)
        clear_out(self.folder.parent)
        return True

    def close(self) -> None:
        """Wait until dropped folders are removed, then release the lock."""
        self._end_dropping()
        self.lock.release()

    def _end_dropping(self) -> None:
        if self._remover is not None:
            self._remover.shutdown()
            self._remover = None


class Journal:
    """All unfinished sweeps of one person, in a folder of their home folder for this package."""

    def __init__(self, home: Path) -> None:
        self.folder = home / "journal"

    def sweep(self, facts: SweepFacts) -> SweepJournal:
        """The journal of a sweep, begun or not; its lock is not taken."""
        locks = private_folder(private_folder(self.folder) / "locks")
        there = next(iter(sorted(self.folder.glob(f"{facts.key} *"))), None)
        folder = there or self.folder / f"{facts.key} {safe_name(facts.name, 40)}"
        return SweepJournal(folder, facts, SweepLock(locks, facts.key, facts.name))

    def unfinished(self) -> list[SweepJournal]:
        """Sweeps that no process works on; makes no folder."""
        return [sweep for sweep in self._sweeps() if not sweep.lock.is_taken]

    def at_work(self) -> list[SweepJournal]:
        """Sweeps that a living process works on."""
        return [sweep for sweep in self._sweeps() if sweep.lock.is_taken]

    @contextmanager
    def starting(self) -> Iterator[None]:
        """A lock, held from reading what other sweeps send until the own sends are written."""
        from filelock import FileLock, Timeout  # noqa: PLC0415 - for start-up

        locks = private_folder(private_folder(self.folder) / "locks")
        lock = FileLock(locks / "starting.lock", thread_local=False, mode=0o600)
        try:
            lock.acquire(timeout=START_SECONDS)
        except Timeout:
            raise ConfigError(
                f"another process has been starting a sweep for {START_SECONDS:.0f} s: end it, or try again"
            ) from None
        try:
            yield
        finally:
            lock.release()

    def _sweeps(self) -> Iterator[SweepJournal]:
        try:
            folders = [path for path in sorted(self.folder.iterdir()) if path.is_dir()]
        except OSError:
            return
        for folder in folders:
            facts = SweepFacts.read(folder)
            if facts is not None and not folder.name.startswith("."):
                lock = SweepLock(self.folder / "locks", facts.key, facts.name)
                yield SweepJournal(folder, facts, lock)


@contextmanager
def _disk_errors(action: str) -> Iterator[None]:
    """Turn an error of the disk into one clear line; the failed action is a participle, such as `written`."""
    try:
        yield
    except OSError as error:
        raise ConfigError(
            f"the journal can't be {action} ({error.strerror or error}): stopped before sending; "
            f"make room, or set {HOME_VARIABLE} to another folder"
        ) from None
