"""The folder of one attempt: its intent, the raw answer, and the downloaded pictures.

While a worker runs, in any process, only the worker writes.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from kontext_lab.journal.durable_files import create_durably, read_json, write_durably, write_json
from kontext_lab.request.attempt import RawAnswer

__all__ = ["ANSWER", "AttemptFolder", "Intent"]

_INTENT, _SENT, ANSWER, _OUTPUT = "intent.json", "sent", "answer.json", "output-"

_WITHDRAWN = "withdrawn"

_LONG_AGO = datetime.fromtimestamp(0, UTC)


@dataclass(frozen=True)
class Intent:
    """The record of a request that is about to be sent.

    Attributes:
        place: the cell's index in its sweep.
        title: the cell's, for a person.
        request_id: sent as `X-Client-Request-Id`.
        fingerprint: of the request.
        price: expected cost in US dollars.
        when: the moment before it is sent, ISO 8601 in UTC.
    """

    place: int
    title: str
    request_id: str
    fingerprint: str
    price: float
    when: str

    @property
    def moment(self) -> datetime:
        """The time `when`; 1970 for a damaged file."""
        try:
            when = datetime.fromisoformat(self.when)
            when = (when if when.tzinfo else when.replace(tzinfo=UTC)).astimezone(UTC)
        except (ValueError, OverflowError):
            return _LONG_AGO
        # Not the ends of the calendar, where adding a minute is an error.
        return when if _LONG_AGO.year <= when.year < 9000 else _LONG_AGO

    @classmethod
    def read(cls, facts: Mapping[str, Any]) -> Intent | None:
        """An intent from the facts of its file; None if they are damaged."""
        try:
            intent = cls(
                place=int(facts["place"]),
                title=str(facts["title"]),
                request_id=str(facts["request_id"]),
                fingerprint=str(facts["fingerprint"]),
                price=float(facts["price"]),
                when=str(facts["when"]),
            )
            # A negative place would count from the end.
            return intent if intent.place >= 0 and 0 <= intent.price < math.inf else None
        except (KeyError, TypeError, ValueError, OverflowError):  # OverflowError: 1e999 as a number
            return None


@dataclass(frozen=True)
class AttemptFolder:
    """A folder by its path; pickles."""

    path: str

    @property
    def folder(self) -> Path:
        """The folder itself."""
        return Path(self.path)

    @property
    def intent(self) -> Intent | None:
        """The intent; None until it is durable, so that nothing was sent."""
        facts = read_json(self.folder / _INTENT)
        return None if facts is None else Intent.read(facts)

    def keep_intent(self, intent: Intent) -> None:
        """Write the intent; durable when this returns."""
        write_json(self.folder / _INTENT, asdict(intent))

    def mark_sent(self, by: str) -> bool:
        """Record that the request is about to leave, and by whom; durable when this returns.

        True for the first caller only, who may send. Raises an OSError where it can't be written.
        """
        return create_durably(self.folder / _SENT, by)

    def withdraw(self) -> bool:
        """Make sure that the request does not leave any more; False if it may have left, or the disk fails."""
        try:
            return create_durably(self.folder / _SENT, _WITHDRAWN) or not self.may_have_left
        except OSError:
            return False

    @property
    def may_have_left(self) -> bool:
        """True if a sender took the right to send the request."""
        try:
            return (self.folder / _SENT).read_text(encoding="utf-8", errors="replace") != _WITHDRAWN
        except FileNotFoundError:
            return False
        except OSError:
            return True

    def keep_answer(self, raw: RawAnswer) -> None:
        """Write an answer as it was read."""
        try:
            body: dict[str, str] = {"body": raw.body.decode("utf-8")}
        except UnicodeDecodeError:
            body = {"body_base64": base64.b64encode(raw.body).decode("ascii")}
        facts = {"status": raw.status, "latency_s": raw.latency_s, "headers": dict(raw.headers), **body}
        write_json(self.folder / ANSWER, facts)

    @property
    def answer(self) -> RawAnswer | None:
        """The answer as it was read; None if there is none, or its file is damaged."""
        facts = read_json(self.folder / ANSWER) or {}
        try:
            if "body_base64" in facts:
                body = base64.b64decode(facts["body_base64"], validate=True)
            else:
                body = str(facts["body"]).encode("utf-8")
            headers = {str(name): str(text) for name, text in facts["headers"].items()}
            return RawAnswer(int(facts["status"]), body, headers, float(facts["latency_s"]))
        except (KeyError, TypeError, ValueError, OverflowError, AttributeError):
            return None

    def keep_output(self, place: int, data: bytes) -> None:
        """Write the exact bytes of the picture at a place of the answer, from 0."""
        write_durably(self.folder / f"{_OUTPUT}{place}", data)

    @property
    def output_files(self) -> dict[int, Path]:
        """The files of all pictures that were downloaded whole, by their place in the answer."""
        files = [(path.name.removeprefix(_OUTPUT), path) for path in self.folder.glob(f"{_OUTPUT}*")]
        return {int(place): path for place, path in sorted(files) if place.isdecimal() and path.is_file()}

    @property
    def outputs(self) -> dict[int, bytes]:
        """The bytes of all pictures that were downloaded whole, by their place in the answer."""
        return {place: path.read_bytes() for place, path in self.output_files.items()}
