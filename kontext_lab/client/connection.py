"""A connection to one service: signs, sends once, reads the whole answer, sorts failures.

The only module where the key meets a request. It knows the service's origin, not the meaning of an answer. Failures are
returned, not raised, since requests' exceptions hold the request, and with it the key.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import requests
from urllib3.exceptions import HTTPError

from kontext_lab.client import failures
from kontext_lab.client.answers import SANDBOX_HEADER
from kontext_lab.client.http_session import BodyError, CountedBody, new_session, proxies_for, read_body
from kontext_lab.client.keys import Auth, bearer_auth, check_key, no_auth
from kontext_lab.client.settings import MIB, ClientSettings
from kontext_lab.errors import ServiceError
from kontext_lab.redaction import Redactor
from kontext_lab.request.attempt import RawAnswer

__all__ = ["Connection"]

_SMALL = 4 * MIB  # largest answer without pictures, in bytes
_GET_SECONDS = 30.0  # longest wait for an optional address
_FAILURES = (requests.RequestException, HTTPError, OSError)


class Connection:
    """Sends to one service; shared by threads.

    Attributes:
        session: sends the requests; it carries no key.
        has_key: True if requests are sent with a key.
        host: the service's host, with its port if that is unusual.
        simulated: True if the sandbox answered last; None before the first answer.
    """

    def __init__(self, settings: ClientSettings, key: str | None, session: requests.Session | None) -> None:
        """Set up a connection and open nothing; raises `ConfigError` for a key that cannot be sent."""
        self.settings = settings
        self.has_key = key is not None
        self.host = urlsplit(settings.base_url).netloc
        self.simulated: bool | None = None
        self._auth = no_auth if key is None else bearer_auth(check_key(key))
        self._redact = Redactor(key or "")
        self._borrowed = session is not None
        self.session = session if session is not None else new_session(settings.pool)

    def close(self) -> None:
        """Close the connections, unless the session is the caller's."""
        if not self._borrowed:
            self.session.close()

    def post(
        self,
        path: str,
        content: bytes,
        client_request_id: str,
        limit: int,
        has_picture: Callable[[RawAnswer], bool],
    ) -> RawAnswer | ServiceError:
        """POST JSON, once; returns a 2xx answer, else the error.

        A good answer is read up to `limit` bytes, text other than base64 much less far. `has_picture` tells if the
        first part of a good answer that broke off holds a picture.
        """
        body, seconds = CountedBody(content), self.settings.read_timeout
        headers = {"Content-Type": "application/json", "X-Client-Request-Id": client_request_id}
        try:
            raw, broken = self._exchange(
                "POST", path, self._auth, seconds=seconds, limit=limit, headers=headers, data=body
            )
        except _FAILURES as error:
            # A caller's own session may read the body in another way.
            sent = None if self._borrowed and not body.taken else body.taken
            return failures.from_exception(error, self.host, sent=sent)
        # The status of a failure is enough, and an answer over the limit was certainly billed.
        if not 200 <= raw.status < 300:
            return failures.from_answer(raw, self.host)
        if broken is not None and broken.kind != "large" and not has_picture(raw):
            cause = broken.cause or requests.exceptions.ReadTimeout("the answer does not end")
            return failures.from_exception(cause, self.host, sent=True)
        return raw

    def get(
        self, path: str, query: Mapping[str, str], *, key: bool = True, quick: bool = False
    ) -> RawAnswer | ServiceError:
        """GET a free address of the service; returns an answer of any status, or the error.

        A broken body counts as empty. `quick` waits for the answer no longer than for a connection.
        """
        settings, auth = self.settings, self._auth if key else no_auth
        seconds = settings.connect_timeout if quick else min(settings.read_timeout, _GET_SECONDS)
        try:
            raw, broken = self._exchange(
                "GET", path, auth, seconds=seconds, limit=_SMALL, headers={}, params=dict(query)
            )
        except _FAILURES as error:
            return failures.from_exception(error, self.host, sent=False)
        return raw if broken is None else replace(raw, body=b"")

    def _exchange(
        self,
        method: str,
        path: str,
        auth: Auth,
        *,
        seconds: float,
        limit: int,
        headers: Mapping[str, str],
        **content: Any,
    ) -> tuple[RawAnswer, BodyError | None]:
        """Send once and read the answer; also returns the end of its body, if that is an error."""
        url = self.settings.base_url + path
        # Only `auth` adds the key; None removes a header of a caller's own session.
        own = {"User-Agent": self.settings.user_agent, "Accept": "application/json", "Authorization": None}
        started = time.monotonic()
        response = self.session.request(
            method,
            url,
            headers={**own, **headers},
            auth=auth,
            timeout=(self.settings.connect_timeout, seconds),
            allow_redirects=False,
            stream=True,
            proxies=proxies_for(url),
            **content,
        )
        status, body, broken = response.status_code, b"", None
        try:
            if not 300 <= status < 400:  # a redirect needs its headers only
                body = read_body(response, limit if 200 <= status < 300 else _SMALL, seconds, _SMALL)
        except BodyError as error:
            body, broken = error.partial, error
        finally:
            response.close()
        received = {name.lower(): self._redact.text(value) for name, value in response.headers.items()}
        self.simulated = SANDBOX_HEADER in received
        raw = RawAnswer(status, self._redact.body(body), received, time.monotonic() - started)
        return raw, broken
