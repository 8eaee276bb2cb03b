"""KontextClient: one request out, one answer back, its pictures downloaded and looked at.

Sends nothing twice and decides nothing about retries. Knows no sweep, no journal and no store; whoever calls
it writes down the id before, and the raw answer after.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Literal
from uuid import uuid4

import requests

from kontext_lab.client import account, answers, failures
from kontext_lab.client.account import LogRow
from kontext_lab.client.answers import AnswerItem, ParsedAnswer
from kontext_lab.client.connection import SANDBOX_HEADER, Connection
from kontext_lab.client.downloads import Download, Downloads, picture_of
from kontext_lab.client.keys import SANDBOX_KEY, GivenKey, Secret, check_key, key_from_environment
from kontext_lab.client.settings import ClientSettings
from kontext_lab.errors import ConfigError, ImageError, OutputUnavailable, ServiceError
from kontext_lab.redaction import masked
from kontext_lab.request import MODELS, EditRequest
from kontext_lab.request.attempt import Answer, Attempt, Picture, RawAnswer, Reason

__all__ = ["KontextClient"]

GENERATIONS = "/v1/images/generations"
CATALOGUE = "/v1/models"
BILLING = "/v2/billing"
LOGS = "/v2/logs"

Keep = Callable[[int, bytes], None]

_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")
_LOG_PAGES = 50
_LOG_SECONDS = 60.0


class KontextClient:
    """Speaks to one service; may be shared by threads and pickled for other processes.

    A pickle holds neither key nor session: the other process reads the key from its own environment, if this
    client had one. Only the sandbox's key, which is no secret, goes along.

    Attributes:
        settings: address, waiting times, limits.
    """

    def __init__(
        self,
        settings: ClientSettings | None = None,
        key: str | None = None,
        session: requests.Session | None = None,
    ) -> None:
        """Make a client; nothing is opened or read from the environment.

        Args:
            settings: address, waiting times, limits; the real API's unless given.
            key: the API key, or None to send none.
            session: what to send with; it stays the caller's and is not closed here.

        Raises:
            ConfigError: a key that cannot be sent.
        """
        key = Secret(key) if key is not None else None
        self.settings = settings or ClientSettings()
        self._key_source = _source_of(key)
        self._connection = Connection(self.settings, key, session)
        self._downloads = Downloads(self.settings, self._connection.session)

    @property
    def service(self) -> str:
        """The origin of the base URL, lower case: what a fingerprint calls the service."""
        return self.settings.service

    @property
    def has_key(self) -> bool:
        """Whether requests are sent with a key."""
        return self._connection.has_key

    @property
    def simulated(self) -> bool | None:
        """Whether the sandbox answered last; None until an answer was seen."""
        return self._connection.simulated

    def __repr__(self) -> str:
        # A traceback with local variables asks also while __init__ is at work.
        return f"<KontextClient {self.settings.base_url}, {'no' if self._key_source == 'none' else 'with a'} key>"

    def __reduce__(self) -> Any:
        return _rebuilt, (self.settings, self._key_source)

    def close(self) -> None:
        """Close the connections, unless the session was the caller's."""
        self._connection.close()
        self._downloads.close()

    # The paid request

    def post(self, request: EditRequest, client_request_id: str) -> RawAnswer:
        """Send one request, once.

        Args:
            request: what to ask.
            client_request_id: 1 to 128 of `A-Za-z0-9._:-`; the service's log knows the request by it.

        Returns:
            A 2xx answer, unread.

        Raises:
            ServiceError: the class of the tree that says what the failure means; `InDoubt` where the request
                may have been accepted.
            ConfigError: an id that cannot be sent.
        """
        if not _REQUEST_ID.fullmatch(client_request_id):
            raise ConfigError(
                f"client_request_id: {client_request_id[:140]!r}, allowed are 1 to 128 of A-Za-z0-9._:-"
            )
        content = json.dumps(request.payload(), allow_nan=False).encode("ascii")
        # Inline pictures are a third longer as base64.
        limit = request.pictures * self.settings.max_output_bytes * 4 // 3 + answers.TEXT_BYTES

        def is_of_use(raw: RawAnswer) -> bool:
            return any(item.reason is None for item in self.read(raw, request).items)

        outcome = self._connection.post(GENERATIONS, content, client_request_id, limit, is_of_use)
        if isinstance(outcome, ServiceError):
            raise outcome
        return outcome

    # What came back

    def read(self, raw: RawAnswer, request: EditRequest) -> ParsedAnswer:
        """Understand an answer as far as it can be understood; opens no connection and never raises."""
        return answers.read_answer(raw, request, self.settings.max_output_bytes)

    def collect(
        self,
        raw: RawAnswer,
        request: EditRequest,
        *,
        have: Mapping[int, bytes] | None = None,
        keep: Keep | None = None,
    ) -> Answer:
        """Download and examine an answer's pictures; a bad one says so in its reason and raises nothing.

        May be called again for the same answer: it sends GETs only, and none of them with the key.

        Args:
            raw: the answer.
            request: what was asked.
            have: pictures that were downloaded before, by their place in the answer, from 0.
            keep: given each picture as soon as it is downloaded, before anybody looks at it.
        """
        parsed = self.read(raw, request)
        started = time.monotonic()
        end = started + self.settings.read_timeout
        pictures = []
        for place, item in enumerate(parsed.items):
            # A host that hangs takes its own share of the time, not that of the next picture.
            share = max(0.0, end - time.monotonic()) / (len(parsed.items) - place)
            had, keeping = (have or {}).get(place), functools.partial(keep, place) if keep else None
            pictures.append(self._picture(item, had, keeping, share))
        seconds = time.monotonic() - started
        return Answer(
            pictures=(*pictures, *_missing(parsed, request.pictures)),
            raw=parsed.text,
            headers=answers.kept_headers(raw.headers),
            cost_usd=parsed.cost,
            cost_source=parsed.cost_source,
            cost_note=parsed.cost_note,
            seed=parsed.seed,
            latency_s=raw.latency_s,
            download_s=seconds,
            simulated=SANDBOX_HEADER in raw.headers,
        )

    def _picture(
        self, item: AnswerItem, had: bytes | None, keep: Callable[[bytes], None] | None, seconds: float
    ) -> Picture:
        if item.url is None:
            return picture_of(Download(item.data, item.reason, item.note), item.flagged)
        if had is not None and (seen := picture_of(Download(had, status=200), item.flagged)).again is False:
            return seen
        found = self._downloads.output(item.url, seconds)
        if keep is not None and found.reason is None:
            keep(found.data)
        if found.refused:
            found = replace(found, note=f"{found.note}, then `kontext-lab recover` (free)")
        return picture_of(found, item.flagged)

    def fetch_output(self, url: str) -> bytes:
        """The exact bytes of an output.

        Raises:
            OutputUnavailable: why there are none; its `reason` is EXPIRED where the host does not serve it,
                CORRUPT where it broke off or is too large.
        """
        found = self._downloads.output(url, self.settings.read_timeout)
        if found.reason is not None:
            error = OutputUnavailable(f"the output could not be downloaded: {found.note}", found.status)
            # Beyond what the tree's class declares; pickling keeps it.
            error.reason = found.reason  # type: ignore[attr-defined]
            raise error
        return found.data

    def fetch_reference(self, url: str) -> bytes:
        """The bytes a reference's URL serves: a GET without key.

        Raises:
            ImageError: not http(s), not reachable, too large or cut off.
        """
        found = self._downloads.reference(url)
        if found.reason is not None:
            raise ImageError(
                f"image: {failures.one_line(masked(url), 100)} could not be fetched: {found.note}"
            )
        return found.data

    # Both in one

    def edit(self, request: EditRequest, client_request_id: str | None = None) -> Answer:
        """Send one request and bring its pictures; errors as in `post`."""
        return self.collect(self.post(request, client_request_id or f"kl-{uuid4().hex}"), request)

    def attempt(self, request: EditRequest, client_request_id: str) -> Attempt:
        """Like `edit`, with every error of the service inside the attempt; other exceptions propagate."""
        started = time.monotonic()
        answer, failure = None, None
        try:
            answer = self.edit(request, client_request_id)
        except ServiceError as error:
            # The traceback would keep the whole request, pictures included, alive with the attempt.
            failure = error.with_traceback(None)
        return Attempt(client_request_id, answer, failure, time.monotonic() - started)

    # Optional addresses: free, and none of them is needed

    def ping(self) -> None:
        """Find out, within the connect timeout, whether anything answers at the base URL; sends no key.

        Raises:
            ServiceUnavailable: nothing does.
        """
        outcome = self._connection.get(
            CATALOGUE, {"id": MODELS[0].id, "include": "pricing"}, key=False, quick=True
        )
        if isinstance(outcome, ServiceError):
            raise outcome

    def balance(self) -> float | None:
        """US dollars left on the account; None where the service doesn't tell.

        Raises:
            Unauthorized: the key is missing or not accepted.
        """
        raw = self._connection.get(BILLING, {})
        if isinstance(raw, RawAnswer) and raw.status == 401:
            raise failures.from_answer(raw, self._connection.host)
        return account.read_balance(_good_body(raw))

    def price(self, model_id: str) -> float | None:
        """US dollars per picture by the service's catalogue; None where it doesn't tell. Sends no key."""
        raw = self._connection.get(CATALOGUE, {"id": model_id, "include": "pricing"}, key=False)
        return account.read_price(_good_body(raw), model_id)

    def logs(
        self, client_request_id: str | None = None, since: datetime | None = None
    ) -> list[LogRow] | None:
        """Rows of the service's log, newest first; None where there is no log or it can't be read whole.

        Args:
            client_request_id: only the rows of this request.
            since: the earliest moment of interest, a day ago unless given; at most 92 days.
        """
        period = account.log_period(since, datetime.now(UTC))
        rows: list[LogRow] = []
        deadline = time.monotonic() + min(self.settings.read_timeout, _LOG_SECONDS)
        for page in range(_LOG_PAGES):
            if time.monotonic() > deadline:
                return None
            raw = self._connection.get(LOGS, {"period": period, "limit": "100", "offset": str(page * 100)})
            found = account.read_logs(_good_body(raw))
            if found is None:
                return None
            listed, more = found
            rows += [row for row in listed if client_request_id in (None, row.client_request_id)]
            if not more or (client_request_id is not None and rows):
                return rows
        return None


def _good_body(raw: RawAnswer | ServiceError) -> bytes:
    return raw.body if isinstance(raw, RawAnswer) and raw.status == 200 else b""


def _missing(parsed: ParsedAnswer, asked: int) -> list[Picture]:
    """Stand-ins for the pictures that were asked for and did not come."""
    received = len(parsed.items)
    reason, note = parsed.reason, parsed.note
    if reason is None:
        reason, note = Reason.EMPTY, f"the answer holds {received} of {asked} pictures"
    return [Picture(reason=reason, note=note)] * max(0, asked - received)


KeySource = Literal["none", "sandbox", "environment", "given"]


def _source_of(key: str | None) -> KeySource:
    """Where another process gets the key from that must not travel there."""
    if key is None:
        return "none"
    if isinstance(key, GivenKey):
        return "given"  # without it the service refuses, which is free: better than another account's key
    return "sandbox" if key == SANDBOX_KEY else "environment"


def _rebuilt(settings: ClientSettings, source: KeySource) -> KontextClient:
    """What a pickled client becomes: this process's one client of these settings, with this process's key."""
    key = _key_from(source)
    mark = hashlib.sha256(key.encode("ascii")).hexdigest() if key else ""
    # The process id, since connections must not be shared with a forked child.
    return _cached(settings, source, mark, os.getpid())


@functools.lru_cache(maxsize=8)
def _cached(settings: ClientSettings, source: KeySource, _mark: str, _process: int) -> KontextClient:
    return KontextClient(settings, _key_from(source))


def _key_from(source: KeySource) -> str | None:
    if source == "sandbox":
        return SANDBOX_KEY
    key = key_from_environment() if source == "environment" else None
    try:
        return check_key(key) if key is not None else None
    except ConfigError:
        return None  # an error while unpickling would break a whole process pool; so the service says it
