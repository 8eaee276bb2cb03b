"""The outcome of one attempt: the answer, its pictures with their exact bytes, or an error. Plain values.

Made by the client inside a worker. Knows no HTTP, sweep or store. Everything here pickles, since workers may be other
processes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from kontext_lab.errors import (
    BadAnswer,
    BilledWithoutPicture,
    FatalServiceError,
    Moderated,
    OutputUnavailable,
    RequestRefused,
    RetryLater,
    ServiceError,
)

__all__ = ["Answer", "Attempt", "BillingOutcome", "Picture", "RawAnswer", "Reason"]


class Reason(StrEnum):
    """Why a billed output is not a picture to keep and measure."""

    MODERATED = "moderated"
    """The service flagged it, or sent a black picture."""
    EMPTY = "empty"
    """The answer held fewer pictures than asked for."""
    CORRUPT = "corrupt"
    """The bytes are no whole picture."""
    EXPIRED = "expired"
    """The output's address served nothing any more, or could not be reached."""
    UNREADABLE = "unreadable"
    """The answer has an unknown shape; its raw text is kept."""

    @property
    def error(self) -> type[BilledWithoutPicture]:
        """The class to raise if a caller wants the picture itself."""
        return {Reason.MODERATED: Moderated, Reason.EMPTY: BadAnswer, Reason.UNREADABLE: BadAnswer}.get(
            self, OutputUnavailable
        )


@dataclass(frozen=True)
class RawAnswer:
    """An answer as it was read, not yet parsed; pickles.

    Attributes:
        status: HTTP status.
        body: the exact bytes, decompressed; a key in it is masked.
        headers: names in lower case.
        latency_s: seconds from sending the request to having read the answer.
    """

    status: int
    body: bytes = field(default=b"", repr=False)
    headers: Mapping[str, str] = field(default_factory=dict)
    latency_s: float = 0.0


@dataclass(frozen=True)
class Picture:
    """One output as it was received.

    Attributes:
        data: the exact bytes received, empty where nothing came.
        sha256: hex digest of `data`, empty where nothing came.
        format: `jpeg`, `png` …; empty where the bytes are no picture.
        width: pixels, 0 where unknown.
        height: pixels, 0 where unknown.
        preview: WebP, longest side at most 512 pixels; empty where the bytes are no picture.
        reason: None for a picture to keep.
        note: one line for a person, with a reason.
        phash: perceptual hash, empty where the bytes are no picture.
        again: another fetch may succeed.
        unreached: its host was not reached in time, or not asked; the picture may still be there.
        refused: a setting forbids its host, so it was not asked.
        kept_at: the path of a file with exactly `data`, or "".
    """

    data: bytes = field(default=b"", repr=False)
    sha256: str = ""
    format: str = ""
    width: int = 0
    height: int = 0
    preview: bytes = field(default=b"", repr=False)
    reason: Reason | None = None
    note: str = ""
    phash: str = ""
    again: bool = False
    unreached: bool = False
    refused: bool = False
    kept_at: str = ""


@dataclass(frozen=True)
class Answer:
    """A 2xx answer of the service with its outputs.

    Attributes:
        pictures: as many as were asked for, in order; missing ones carry the reason `empty`.
        raw: the answer's body as text, with inline picture data replaced by its digest.
        headers: the answer's headers that matter: ids, credits, the sandbox's mark.
        cost_usd: what was billed.
        cost_source: `header`, `usage` or `price`: where `cost_usd` is known from.
        cost_note: a line where the service names an absurd amount, else empty.
        seed: the seed the service reports, or None.
        latency_s: seconds from sending the request to having read the answer.
        download_s: seconds all downloads took.
        simulated: the sandbox answered.
    """

    pictures: tuple[Picture, ...]
    raw: str = field(default="", repr=False)
    headers: Mapping[str, str] = field(default_factory=dict)
    cost_usd: float = 0.0
    cost_source: str = "price"
    cost_note: str = ""
    seed: int | None = None
    latency_s: float = 0.0
    download_s: float = 0.0
    simulated: bool = False

    @property
    def unreached(self) -> bool:
        """True if a paid picture could not be fetched, and may be fetched later."""
        return any(picture.unreached for picture in self.pictures)

    @property
    def refused(self) -> bool:
        """True if a picture was not fetched, since a setting forbids its host."""
        return any(picture.refused for picture in self.pictures)

    @property
    def stand_ins(self) -> str:
        """The addresses of references for which the sandbox took other photographs, or ""."""
        return self.headers.get("x-kontext-sandbox-stand-in", "")

    @property
    def reason(self) -> Reason | None:
        """None if at least one picture is good, else the first picture's reason."""
        if any(picture.reason is None for picture in self.pictures):
            return None
        return self.pictures[0].reason if self.pictures else Reason.EMPTY


@dataclass(frozen=True)
class Attempt:
    """Outcome of one attempt: exactly one of `answer` and `error` is set.

    Attributes:
        client_request_id: the id sent along, by which the service's log can be asked.
        answer: a 2xx answer, whatever its pictures are worth.
        error: why there is no answer.
        seconds: how long the attempt took.
        trouble: why the journal could not keep the answer; `answer` holds it all the same.
        permitted: True if the worker had the permit; without one it sent nothing, and another worker may have.
        raw: the answer as it was read, if the worker could not write it into the journal itself.
    """

    client_request_id: str
    answer: Answer | None = None
    error: ServiceError | None = None
    seconds: float = 0.0
    trouble: str = ""
    permitted: bool = True
    raw: RawAnswer | None = field(default=None, repr=False)

    @property
    def free(self) -> bool:
        """True if the service certainly billed nothing."""
        return isinstance(self.error, RetryLater | FatalServiceError | RequestRefused)


@dataclass(frozen=True)
class BillingOutcome:
    """Outcome, in the service's log, of a request whose answer was lost.

    Attributes:
        billed: True if it was delivered and charged, False if it failed and cost nothing.
        cost_usd: US dollars charged.
    """

    billed: bool
    cost_usd: float = 0.0
