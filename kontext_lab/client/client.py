"""KontextClient: one request out, one answer back, its pictures downloaded and examined.

Sends nothing twice and decides nothing about retries. Knows no sweep, no journal and no store; the caller writes down
the id before the request, and the raw answer after it.
"""

from __future__ import annotations

import functools
import json
import os
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Literal

import requests

from kontext_lab.client import account, answers, failures
from kontext_lab.client.answers import AnswerItem, ParsedAnswer
from kontext_lab.client.connection import Connection
from kontext_lab.client.downloads import Downloads, examined
from kontext_lab.client.keys import SANDBOX_KEY, GivenKey, Secret, check_key, key_from_environment
from kontext_lab.client.settings import ClientSettings
from kontext_lab.errors import ConfigError, ImageError, ServiceError
from kontext_lab.redaction import masked
from kontext_lab.request import MODELS, EditRequest
from kontext_lab.request.attempt import Answer, BillingOutcome, Picture, RawAnswer, Reason

__all__ = ["KontextClient"]

GENERATIONS = "/v1/images/generations"
CATALOGUE = "/v1/models"
BILLING = "/v2/billing"
LOGS = "/v2/logs"

_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")
_LOG_PAGES = 50
_LOG_SECONDS = 60.0

_KeySource = Literal["none", "sandbox", "environment", "given"]


class KontextClient:
    """Speaks to one service; may be shared by threads and pickled for other processes.

    A pickle holds neither key nor session: the other process reads the key from its own environment, if this
    client had one. Only the sandbox's key, which is no secret, goes along.

    Attributes:
        settings: address, timeouts, limits.
    """

    def __init__(
        self,
        settings: ClientSettings | None = None,
        key: str | None = None,
        session: requests.Session | None = None,
    ) -> None:
        """Make a client; nothing is opened or read from the environment.

        Args:
            settings: address, timeouts, limits; by default those of the real API.
            key: the API key, or None to send none.
            session: sends the requests; it stays the caller's and is not closed here.

        Raises:
            ConfigError: a key that cannot be sent.
        """
        key = key if key is None or isinstance(key, Secret) else Secret(key)
        self.settings = settings or ClientSettings()
        # Where another process gets the key from, since the key itself must not travel there.
        self._key_source: _KeySource = "none"
        if isinstance(key, GivenKey):
            self._key_source = "given"  # without it the service refuses: better than another account's key
        elif key is not None:
            self._key_source = "sandbox" if key == SANDBOX_KEY else "environment"
        self._connection = Connection(self.settings, key, session)
        self._downloads = Downloads(self.settings, self._connection.session)

    @property
    def service(self) -> str:
        """The origin of the base URL, lower case: the service in a fingerprint."""
        return self.settings.service

    @property
    def has_key(self) -> bool:
        """True if requests are sent with a key."""
        return self._connection.has_key

    @property
    def simulated(self) -> bool | None:
        """True if the sandbox answered last; None before the first answer."""
        return self._connection.simulated

    def __repr__(self) -> str:
        # A traceback with local variables may ask for it before __init__ has ended.
        return f"<KontextClient {self.settings.base_url}, {'no' if self._key_source == 'none' else 'with a'} key>"

    def __reduce__(self) -> Any:
        return _rebuilt, (self.settings, self._key_source)

    def close(self) -> None:
        """Close the connections, unless the session is the caller's."""
        self._connection.close()
        self._downloads.close()

    # The paid request

    def post(self, request: EditRequest, client_request_id: str) -> RawAnswer:
        """Send one request, once.

        Args:
            request: the request.
            client_request_id: 1 to 128 of `A-Za-z0-9._:-`; identifies the request in the service's log.

        Returns:
            A 2xx answer, unread.

        Raises:
            ServiceError: the class of the tree for the failure; `InDoubt` if the request may have been accepted.
            ConfigError: an id that cannot be sent.
        """
        if not _REQUEST_ID.fullmatch(client_request_id):
            raise ConfigError(
                f"client_request_id must be 1 to 128 of A-Za-z0-9._:-, not {client_request_id[:140]!r}"
            )
        content = json.dumps(request.payload(), allow_nan=False).encode("ascii")
        # Inline pictures are a third longer as base64.
        limit = request.pictures * self.settings.max_output_bytes * 4 // 3 + answers.TEXT_BYTES

        def has_picture(raw: RawAnswer) -> bool:
            return any(item.reason is None for item in self.read(raw, request).items)

        outcome = self._connection.post(GENERATIONS, content, client_request_id, limit, has_picture)
        if isinstance(outcome, ServiceError):
            raise outcome
        return outcome

    # Answer and pictures

    def read(self, raw: RawAnswer, request: EditRequest) -> ParsedAnswer:
        """Read an answer as far as it makes sense; opens no connection and never raises."""
        return answers.read_answer(raw, request, self.settings.max_output_bytes)

    def collect(
        self,
        raw: RawAnswer,
        request: EditRequest,
        *,
        have: Mapping[int, bytes] | None = None,
        keep: Callable[[int, bytes], None] | None = None,
    ) -> Answer:
        """Download and examine an answer's pictures; a bad one has a reason, and nothing is raised.

        May be called again for the same answer: it sends GETs only, and all of them without the key.

        Args:
            raw: the answer.
            request: its request.
            have: pictures downloaded before, by their index in the answer, from 0.
            keep: called with index and bytes of each picture after its download, before it is examined.
        """
        parsed = self.read(raw, request)
        started = time.monotonic()
        deadline = started + self.settings.read_timeout
        pictures = []
        for index, item in enumerate(parsed.items):
            # A host that hangs takes its own share of the time, not that of the next picture.
            share = max(0.0, deadline - time.monotonic()) / (len(parsed.items) - index)
            keep_this = functools.partial(keep, index) if keep else None
            pictures.append(self._picture(item, (have or {}).get(index), keep_this, share))
        # Stand-ins for pictures that did not come.
        received, asked = len(parsed.items), request.pictures
        reason, note = parsed.reason, parsed.note
        if reason is None:
            reason, note = Reason.EMPTY, f"the answer holds {received} of {asked} pictures"
        pictures += [Picture(reason=reason, note=note)] * max(0, asked - received)
        return replace(parsed.answer, pictures=tuple(pictures), download_s=time.monotonic() - started)

    def _picture(
        self, item: AnswerItem, earlier: bytes | None, keep: Callable[[bytes], None] | None, seconds: float
    ) -> Picture:
        if item.url is None:
            received = Picture(data=item.data, reason=item.reason, note=item.note)
            return examined(received, flagged=item.flagged, fetched=False)
        if earlier is not None:
            picture = examined(Picture(data=earlier), flagged=item.flagged)
            if not picture.again:
                return picture
        received = self._downloads.output(item.url, seconds)
        if keep is not None and received.reason is None:
            keep(received.data)
        if received.refused:
            received = replace(received, note=f"{received.note}, then `kontext-lab recover` (free)")
        return examined(received, flagged=item.flagged)

    def fetch_reference(self, url: str) -> bytes:
        """Fetch a reference: a GET without key.

        Raises:
            ImageError: a URL that is not http(s), not reachable, or whose file is too large or cut off.
        """
        download = self._downloads.reference(url)
        if download.reason is not None:
            address = failures.one_line(masked(url), 100)
            raise ImageError(f"image: {address} could not be fetched: {download.note}")
        return download.data

    # Optional addresses: free, and not needed for the work

    def ping(self) -> None:
        """Check, within the connect timeout, that something answers at the base URL; sends no key.

        Raises:
            ServiceUnavailable: no answer.
        """
        query = {"id": MODELS[0].id, "include": "pricing"}
        outcome = self._connection.get(CATALOGUE, query, key=False, quick=True)
        if isinstance(outcome, ServiceError):
            raise outcome

    def balance(self) -> float | None:
        """US dollars left on the account; None if the service doesn't say.

        Raises:
            Unauthorized: the key is missing or not accepted.
        """
        raw = self._connection.get(BILLING, {})
        if isinstance(raw, RawAnswer) and raw.status == 401:
            raise failures.from_answer(raw, self._connection.host)
        return account.read_balance(_good_body(raw))

    def price(self, model_id: str) -> float | None:
        """US dollars per picture in the service's catalogue; None if it doesn't say. Sends no key."""
        raw = self._connection.get(CATALOGUE, {"id": model_id, "include": "pricing"}, key=False)
        return account.read_price(_good_body(raw), model_id)

    def logs(self, since: datetime | None = None) -> dict[str, BillingOutcome] | None:
        """Outcomes in the service's log by client request id; None without a log, or if it can't be read completely.

        Args:
            since: the earliest moment of interest, by default a day ago; at most 92 days.
        """
        period = account.log_period(since, datetime.now(UTC))
        outcomes: dict[str, BillingOutcome] = {}
        deadline = time.monotonic() + min(self.settings.read_timeout, _LOG_SECONDS)
        for page in range(_LOG_PAGES):
            if time.monotonic() > deadline:
                return None
            raw = self._connection.get(LOGS, {"period": period, "limit": "100", "offset": str(page * 100)})
            parsed = account.read_logs(_good_body(raw))
            if parsed is None:
                return None
            outcomes |= parsed[0]
            if not parsed[1]:
                return outcomes
        return None


def _good_body(raw: RawAnswer | ServiceError) -> bytes:
    return raw.body if isinstance(raw, RawAnswer) and raw.status == 200 else b""


def _rebuilt(settings: ClientSettings, source: _KeySource) -> KontextClient:
    """A pickled client, rebuilt: this process's one client of these settings, with this process's key."""
    key = {"sandbox": Secret(SANDBOX_KEY), "environment": key_from_environment()}.get(source)
    try:
        if key is not None:
            check_key(key)
    except ConfigError:
        key = None  # an error while unpickling would break a whole process pool; the service refuses instead
    # The process id, since connections must not be shared with a forked child.
    return _cached(settings, key, os.getpid())


@functools.lru_cache(maxsize=8)
def _cached(settings: ClientSettings, key: Secret | None, _process: int) -> KontextClient:
    return KontextClient(settings, key)
