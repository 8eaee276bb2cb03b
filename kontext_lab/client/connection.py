"""A connection to one service: signs, sends once, reads the whole answer, sorts failures.

The only module where the key meets a request. It knows the service's origin, not the meaning of an answer. Failures are
returned, not raised, since requests' exceptions hold the request, and with it the key.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
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

_SMALL = 4 * MIB
"""Largest answer without pictures, in bytes."""

_GET_SECONDS = 30.0
"""Longest wait for an optional address."""


class Connection:
    """Sends to one service; shared by threads.

    Attributes:
        session: sends the requests; it carries no key.
        has_key: True if requests are sent with a key.
        host: the service's host, with its port if that is unusual.
        simulated: True if the sandbox answered last; None before the first answer.
    """

    def __init__(self, settings: ClientSettings, key: str | None, session: requests.Session | None) -> None:
        """Set up a connection; nothing is opened yet.

        Raises:
            ConfigError: a key that cannot be sent.
        """
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

        Args:
            path: path of the service.
            content: the JSON.
            client_request_id: sent along.
            limit: bytes of a good answer that are read; a longer one is cut, and text other than base64 much earlier.
            has_picture: tells if the first part of a good answer that broke off holds a picture.
        """
        body = CountedBody(content)
        started = time.monotonic()
        headers = {"Content-Type": "application/json", "X-Client-Request-Id": client_request_id}
        try:
            response = self._send("POST", path, headers, self._auth, self.settings.read_timeout, data=body)
        except (requests.RequestException, HTTPError, OSError) as error:
            # A caller's own session may read the body in another way.
            sent = None if self._borrowed and not body.taken else body.taken
            return failures.from_exception(error, self.host, sent=sent)
        status = response.status_code
        good = 200 <= status < 300
        content, broken = b"", None
        try:
            if not 300 <= status < 400:  # a redirect needs its headers only
                content = read_body(response, limit if good else _SMALL, self.settings.read_timeout, _SMALL)
        except BodyError as error:
            # The status of a failure is enough, and an answer over the limit was certainly billed.
            content = error.partial
            if error.kind != "large":
                broken = error.cause or requests.exceptions.ReadTimeout("the answer does not end")
        finally:
            response.close()
        raw = self._raw(response, content, time.monotonic() - started)
        if not good:
            return failures.from_answer(raw, self.host)
        if broken is not None and not has_picture(raw):
            return failures.from_exception(broken, self.host, sent=True)
        return raw

    def get(
        self, path: str, query: Mapping[str, str], *, key: bool = True, quick: bool = False
    ) -> RawAnswer | ServiceError:
        """GET a free address of the service; returns an answer of any status, or the error.

        A broken body counts as empty. `quick` waits for the answer no longer than for a connection.
        """
        settings, auth = self.settings, self._auth if key else no_auth
        seconds = settings.connect_timeout if quick else min(settings.read_timeout, _GET_SECONDS)
        started = time.monotonic()
        try:
            response = self._send("GET", path, {}, auth, seconds, params=dict(query))
        except (requests.RequestException, HTTPError, OSError) as error:
            return failures.from_exception(error, self.host, sent=False)
        body = b""
        try:
            if not 300 <= response.status_code < 400:
                body = read_body(response, _SMALL, seconds)
        except BodyError:
            body = b""
        finally:
            response.close()
        return self._raw(response, body, time.monotonic() - started)

    def _send(
        self, method: str, path: str, headers: Mapping[str, str], auth: Auth, seconds: float, **content: Any
    ) -> requests.Response:
        url = self.settings.base_url + path
        # Only `auth` adds the key; None removes a header of a caller's own session.
        own = {
            "User-Agent": self.settings.user_agent,
            "Accept": "application/json",
            "Authorization": None,
        }
        return self.session.request(
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

    def _raw(self, response: requests.Response, body: bytes, seconds: float) -> RawAnswer:
        headers = {name.lower(): self._redact.text(value) for name, value in response.headers.items()}
        self.simulated = SANDBOX_HEADER in headers
        return RawAnswer(response.status_code, self._redact.body(body), headers, seconds)
