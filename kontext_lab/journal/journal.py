"""The journal: sweeps under way, and of each what was sent and has not reached the store.

    journal/
      locks/                        one lock a sweep, kept
      3f09a1… demo/                 a sweep that has not ended
        sweep.json                  store, experiment, service, parent run
        sweep.yaml, references/     the sweep itself
        sends.txt                   fingerprints of what it is about to send
        00007 kl-5d0c…/             an attempt at cell 7
          intent.json               written before the request leaves
          sent                      made by whoever sends it, once; its permit
          answer.json               as soon as it is read
          output-0                  as soon as it is downloaded: the exact bytes

An attempt's folder goes when the store has its outcome, a sweep's when it has ended there.
"""

from __future__ import annotations

import errno
import hashlib
import shutil
from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from kontext_lab.errors import ConfigError
from kontext_lab.journal.attempt_folder import AttemptFolder, Intent
from kontext_lab.journal.durable_files import clear_out, make_folder, read_json, seal, set_aside, write_json
from kontext_lab.journal.home import private_folder
from kontext_lab.journal.sweep_lock import SweepLock
from kontext_lab.sweep import Sweep
from kontext_lab.sweep.yaml_file import safe_name

__all__ = ["Journal", "SweepFacts", "SweepJournal"]

_FACTS, _SWEEP, _SENDS = "sweep.json", "sweep.yaml", "sends.txt"

START_SECONDS = 60.0
"""How long a start waits for the start of another sweep, which asks store and service."""

ROOM_PER_OUTPUT = 16 * 1024 * 1024
"""Free bytes asked for before a request is sent, for each of its pictures: there must be room for the answer."""


@dataclass(frozen=True)
class SweepFacts:
    """What a sweep's folder says of it.

    Attributes:
        name: the sweep's.
        digest: the sweep's, for its service.
        service: `sandbox` or the service's origin.
        base_url: where the service is.
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
        """Names this sweep in this store: 32 hexadecimal digits."""
        text = "\0".join((self.store, self.experiment, self.service, self.digest))
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]

    @classmethod
    def read(cls, facts: dict[str, Any]) -> SweepFacts | None:
        """Facts from a file; None where something is missing."""
        try:
            return cls(**{name: str(facts[name]) for name in cls.__dataclass_fields__})
        except KeyError:
            return None


class SweepJournal:
    """The folder of one sweep under way.

    Attributes:
        facts: what it says of the sweep.
        lock: the right to work on it.
    """

    def __init__(self, folder: Path, facts: SweepFacts, lock: SweepLock) -> None:
        self.folder = folder
        self.facts = facts
        self.lock = lock
        self._broom: ThreadPoolExecutor | None = None

    def begin(self, sweep: Sweep, sends: Collection[str] = ()) -> None:
        """Write down which sweep this is, before anything of it is sent.

        Args:
            sweep: the sweep.
            sends: fingerprints of the requests it is about to send.

        Raises:
            ConfigError: the folder can't be written.
        """
        with _told("begun"):
            if not self.folder.is_dir():
                make_folder(self.folder)
            clear_out(self.folder)
            sweep.to_yaml(self.folder / _SWEEP, self_contained=True)
            (self.folder / _SENDS).write_text("\n".join(sends), encoding="ascii")
            seal(self.folder)
            write_json(self.folder / _FACTS, asdict(self.facts))

    def belongs_to(self, parent_id: str) -> None:
        """Write down the sweep's parent run, or "" where none is open.

        Raises:
            ConfigError: the folder can't be written.
        """
        self.facts = replace(self.facts, parent_id=parent_id)
        with _told("written"):
            write_json(self.folder / _FACTS, asdict(self.facts))

    @property
    def parent_id(self) -> str:
        """The parent run that was begun for what lies here, or ""."""
        recorded = SweepFacts.read(read_json(self.folder / _FACTS) or {})
        return recorded.parent_id if recorded is not None else ""

    @property
    def sends(self) -> set[str]:
        """Fingerprints of the requests it was about to send when it began."""
        try:
            return set((self.folder / _SENDS).read_text(encoding="ascii").split())
        except (OSError, ValueError):
            return set()

    def sweep(self) -> Sweep:
        """The sweep itself.

        Raises:
            SweepError: its file can't be read.
        """
        return Sweep.from_yaml(self.folder / _SWEEP, own=True).replace(name=self.facts.name)

    def intend(self, intent: Intent, outputs: int = 1) -> AttemptFolder:
        """Write down what is about to be sent; returns the attempt's folder once that is durable.

        Args:
            intent: what.
            outputs: how many pictures there must be room for.

        Raises:
            ConfigError: it can't be written, or the disk is nearly full: nothing may be sent.
        """
        attempt_folder = AttemptFolder(str(self.folder / f"{intent.place:05d} {intent.request_id}"))
        with _told("written"):
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
        found = [AttemptFolder(str(path)) for path in sorted(self.folder.glob("[0-9]*")) if path.is_dir()]
        known = [
            (intent, attempt_folder)
            for attempt_folder in found
            if (intent := attempt_folder.intent) is not None
        ]
        return sorted(known, key=lambda one: (one[0].place, one[0].when))

    def owed(self) -> list[tuple[Intent, AttemptFolder]]:
        """Those of the attempts that may have been paid for: their request may have left."""
        return [one for one in self.attempt_folders() if one[1].answer is not None or one[1].may_have_left]

    def _unread(self) -> bool:
        """Whether an answer lies here whose intent can't be read: it is paid for, so a person has to look."""
        return any(self.folder.glob("[0-9]*/answer.json"))

    def drop(self, attempt_folder: AttemptFolder) -> None:
        """The store has it, or nothing was billed: the attempt's folder goes."""
        gone = set_aside(attempt_folder.folder)
        if gone is not None:
            # Giving a picture's blocks back takes the file system longer than all else a cell does here.
            self._broom = self._broom or ThreadPoolExecutor(1, thread_name_prefix="kontext-lab broom")
            try:
                self._broom.submit(shutil.rmtree, gone, ignore_errors=True)
            except RuntimeError:  # Python is about to end
                shutil.rmtree(gone, ignore_errors=True)

    def follow_store(self, store: str) -> bool:
        """Write down that the sweep's store has moved; False where the same sweep has a folder there already.

        Args:
            store: its address now, without a password.

        Raises:
            ConfigError: the folder can't be written.
        """
        facts = replace(self.facts, store=store)
        target = self.folder.with_name(self.folder.name.replace(self.facts.key, facts.key, 1))
        if target != self.folder and any(self.folder.parent.glob(f"{facts.key} *")):
            return False
        with _told("written"):
            self.folder = self.folder.rename(target)
            self.facts = facts
            write_json(self.folder / _FACTS, asdict(facts))
        return True

    def end(self) -> bool:
        """Remove the sweep's folder if everything reached the store; returns whether it did."""
        self._end_dropping()
        if self.attempt_folders() or self._unread():
            return False
        set_aside(self.folder)
        clear_out(self.folder.parent)
        return True

    def close(self) -> None:
        """Give the sweep up: wait until what was dropped is removed, then release the lock."""
        self._end_dropping()
        self.lock.release()

    def _end_dropping(self) -> None:
        if self._broom is not None:
            self._broom.shutdown()
            self._broom = None


class Journal:
    """All sweeps of one person that have not ended.

    Args:
        home: the folder for what is not in the store yet.
    """

    def __init__(self, home: Path) -> None:
        self.folder = home / "journal"

    def sweep(self, facts: SweepFacts) -> SweepJournal:
        """The place of a sweep, there or not yet; its lock is not taken.

        Raises:
            ConfigError: the journal's folder can't be used.
        """
        private_folder(self.folder)
        locks = private_folder(self.folder / "locks")
        there = next(iter(sorted(self.folder.glob(f"{facts.key} *"))), None)
        folder = there or self.folder / f"{facts.key} {safe_name(facts.name, 40)}"
        return SweepJournal(folder, facts, SweepLock(locks, facts.key, facts.name))

    def unfinished(self) -> list[SweepJournal]:
        """Sweeps that did not end and that no process works on; touches nothing where there is no journal."""
        return [one for one in self._sweeps() if not one.lock.is_taken]

    def at_work(self) -> list[SweepJournal]:
        """Sweeps that a living process works on."""
        return [one for one in self._sweeps() if one.lock.is_taken]

    @contextmanager
    def starting(self) -> Iterator[None]:
        """To be held from looking at what others send until one's own sends are written down.

        Raises:
            ConfigError: the journal's folder can't be used, or another start does not come to an end.
        """
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
            facts = SweepFacts.read(read_json(folder / _FACTS) or {})
            if facts is not None and not folder.name.startswith("."):
                lock = SweepLock(self.folder / "locks", facts.key, facts.name)
                yield SweepJournal(folder, facts, lock)


class _told:  # noqa: N801 - reads as a word in `with _told(…)`
    """Whatever the disk says, as one clear line: nothing was sent."""

    def __init__(self, what: str) -> None:
        self._what = what

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        if isinstance(error, OSError):
            reason = error.strerror or str(error)
            raise ConfigError(
                f"the journal can't be {self._what} ({reason}): stopped before sending; "
                "make room, or set KONTEXT_LAB_HOME to another folder"
            ) from None
