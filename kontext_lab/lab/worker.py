"""One attempt at one cell: send once, write each part of the answer to disk as it arrives, return the attempt.

Runs in any executor's thread or process, so it pickles, and so does all it takes and returns. Decides nothing
about retries and money; knows no sweep and no store.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from kontext_lab.client import KontextClient
from kontext_lab.errors import InDoubt, KontextLabError, OutputUnavailable, ServiceError
from kontext_lab.journal import AttemptFolder, Intent, Permit, SweepJournal
from kontext_lab.request import EditRequest
from kontext_lab.request.attempt import Answer, Attempt, BillingOutcome, Reason
from kontext_lab.results import CellResult, Output

__all__ = ["BoundJournal", "Probe", "Worker"]

_CLOCKS_DIFFER = timedelta(minutes=5)

Probe = tuple[bool, ServiceError | None]
"""A worker's view: True if it sees the journal's disk; and its reason why it can't use the service, or None."""


@dataclass(frozen=True)
class Worker:
    """Makes attempts with the client of one service."""

    client: KontextClient

    def patience(self, request: EditRequest) -> float:
        """Seconds after which the answer to a request that was sent can't come any more."""
        # References travel as base64, a third longer.
        size = sum(len(reference.png) for reference in request.images) * 4 // 3
        return self.client.settings.exchange_seconds(size)

    def send(self, request: EditRequest, request_id: str, permit: Permit) -> Attempt:
        """Send a request, once, and bring its pictures; every error of the service is inside the attempt.

        Answer and pictures are written into the permit's folder as they come.
        """
        started = time.monotonic()
        if not permit.take():
            error = InDoubt("the permit to send it was taken before: somebody else may have sent it")
            return Attempt(request_id, error=error, permitted=False)
        try:
            raw = self.client.post(request, request_id)
        except ServiceError as error:
            # The traceback would keep the whole request, pictures included, alive with the attempt.
            failure = error.with_traceback(None)
            return Attempt(request_id, error=failure, seconds=time.monotonic() - started)
        if permit.attempt_folder is None:
            answer = self.client.collect(raw, request)
            return Attempt(request_id, answer, None, time.monotonic() - started, raw=raw)
        keeping = _Keeping(permit.attempt_folder)
        keeping.attempt(permit.attempt_folder.keep_answer, raw)
        answer = keeping.with_files(self.client.collect(raw, request, keep=keeping.output))
        return Attempt(request_id, answer, None, time.monotonic() - started, keeping.trouble)

    def fetch(self, request: EditRequest, request_id: str, attempt_folder: AttemptFolder) -> Attempt:
        """Bring the pictures of an answer that was read before: those at hand from disk, the rest by GET.

        Costs nothing. Without an answer in the attempt folder the request is in doubt.
        """
        started = time.monotonic()
        raw = attempt_folder.answer
        if raw is None:
            error = InDoubt(
                "its worker or the program ended before the answer was read: it may have been billed"
            )
            return Attempt(request_id, error=error)
        keeping = _Keeping(attempt_folder)
        answer = keeping.with_files(
            self.client.collect(raw, request, have=attempt_folder.outputs, keep=keeping.output)
        )
        return Attempt(request_id, answer, None, time.monotonic() - started, keeping.trouble)

    def ask(self, sent: Mapping[str, datetime]) -> dict[str, BillingOutcome]:
        """Ask the service's log about requests, by their ids and when they were sent.

        It logs a charge only after delivery: a missing row proves nothing, nor does a service that is away.
        """
        if not sent:
            return {}
        try:
            outcomes = self.client.logs(since=min(sent.values()) - _CLOCKS_DIFFER) or {}
        except KontextLabError:
            return {}
        return {request_id: outcome for request_id, outcome in outcomes.items() if request_id in sent}

    def probe(self, file: str, text: str) -> Probe:
        """Find out whether attempts can be made from here; free. The file in the journal's folder holds the text."""
        try:
            sees_journal = Path(file).read_text(encoding="ascii") == text
        except (OSError, ValueError):
            sees_journal = False
        try:
            self.client.ping()
            self.client.balance()
        except ServiceError as error:
            return sees_journal, error.with_traceback(None)
        return sees_journal, None


class _Keeping:
    """Writes to an attempt folder; what can't be written is remembered, since the answer itself must go on."""

    def __init__(self, attempt_folder: AttemptFolder) -> None:
        self._attempt_folder = attempt_folder
        self.trouble = ""

    def attempt(self, keep: Callable[..., None], *what: Any) -> None:
        try:
            keep(*what)
        except OSError as error:
            self.trouble = self.trouble or f"the journal can't be written: {error.strerror or error}"

    def output(self, place: int, data: bytes) -> None:
        self.attempt(self._attempt_folder.keep_output, place, data)

    def with_files(self, answer: Answer) -> Answer:
        """The answer; its pictures name their files."""
        files = self._attempt_folder.output_files
        pictures = (
            replace(picture, kept_at=str(files[place])) if picture.data and place in files else picture
            for place, picture in enumerate(answer.pictures)
        )
        return replace(answer, pictures=tuple(pictures))


class BoundJournal:
    """The journal, bound to one sweep."""

    def __init__(self, journal: SweepJournal) -> None:
        self._journal = journal

    def intend(self, place: int, cell: CellResult, request_id: str, price: float) -> AttemptFolder:
        """Write down what is about to be sent."""
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        intent = Intent(place, cell.title, request_id, cell.fingerprint, price, now)
        return self._journal.intend(intent, outputs=cell.request.pictures if cell.request else 1)

    def answered(self, attempt_folder: AttemptFolder) -> bool:
        """True if an answer lies there."""
        return attempt_folder.answer is not None

    def keep(self, attempt_folder: AttemptFolder, attempt: Attempt) -> Attempt:
        """Write down an answer that travelled back with its attempt; `trouble` says why that failed."""
        if attempt.raw is None or attempt.answer is None:
            return attempt
        keeping = _Keeping(attempt_folder)
        keeping.attempt(attempt_folder.keep_answer, attempt.raw)
        for place, picture in enumerate(attempt.answer.pictures):
            if picture.data and picture.reason in (None, Reason.MODERATED):
                keeping.output(place, picture.data)
        return replace(attempt, answer=keeping.with_files(attempt.answer), trouble=keeping.trouble, raw=None)

    def drop(self, attempt_folder: AttemptFolder) -> None:
        """The store has it, or nothing was billed."""
        self._journal.drop(attempt_folder)

    def shelve(self, cell: CellResult, attempt: Attempt) -> Attempt:
        """Release the bytes that lie in an attempt folder: the outputs load them from there."""
        if attempt.answer is None:
            return attempt
        pictures = list(attempt.answer.pictures)
        for place, (output, picture) in enumerate(zip(cell.outputs, pictures, strict=True)):
            if picture.kept_at:
                pictures[place] = replace(picture, data=b"")
                output.release(partial(_read_output, picture.kept_at, output))
        return replace(attempt, answer=replace(attempt.answer, pictures=tuple(pictures)))


def _read_output(path: str, output: Output) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        reason = error.strerror or str(error)
        raise OutputUnavailable(f"{output!r} can't be read from the journal: {reason}") from None
