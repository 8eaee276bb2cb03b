"""A connection to one service: signs, sends once, reads the whole answer, sorts failures.

The only room where the key meets a request. It knows the service's origin and nothing of what an answer
means. Failures are returned, not raised, since requests' exceptions carry the key in the request they hold.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

import requests
from urllib3.exceptions import HTTPError

from kontext_lab.client import failures
from kontext_lab.client.keys import BearerAuth, NoAuth, check_key
from kontext_lab.client.settings import MIB, ClientSettings
from kontext_lab.client.transport import BodyError, CountedBody, new_session, proxies_for, read_body
from kontext_lab.errors import ServiceError
from kontext_lab.redaction import Redactor
from kontext_lab.request.attempt import RawAnswer

__all__ = ["SANDBOX_HEADER", "Connection"]

SANDBOX_HEADER = "x-kontext-sandbox"

_SMALL = 4 * MIB
"""Most bytes of an answer that brings no pictures."""

_PATIENCE = 30.0
"""Longest wait in seconds for an optional address."""


class Connection:
    """Sends to one service; shared by threads.

    Attributes:
        session: what it sends with; it carries no key.
        has_key: requests are sent with a key.
        host: the service's host, with its port if that is unusual.
        simulated: the sandbox answered last; None until an answer was seen.
    """

    def __init__(self, settings: ClientSettings, key: str | None, session: requests.Session | None) -> None:
        """Make a connection; nothing is opened yet.

        Raises:
            ConfigError: a key that cannot be sent.
        """
        self.settings = settings
        self.has_key = key is not None
        self.host = urlsplit(settings.base_url).netloc
        self.simulated: bool | None = None
        self._auth: requests.auth.AuthBase = NoAuth() if key is None else BearerAuth(check_key(key))
        self._redact = Redactor(key or "")
        self._borrowed = session is not None
        self.session = session if session is not None else new_session(settings.pool)

    def close(self) -> None:
        """Close the connections, unless the session was the caller's."""
        if not self._borrowed:
            self.session.close()

    def post(
        self,
        path: str,
        content: bytes,
        client_request_id: str,
        limit: int,
        is_of_use: Callable[[RawAnswer], bool],
    ) -> RawAnswer | ServiceError:
        """POST JSON, once.

        Args:
            path: one of the service's.
            content: the JSON.
            client_request_id: sent along.
            limit: bytes of a good answer that are read; a longer one is cut, and one that goes on without being
                base64 much earlier.
            is_of_use: whether the part of a good answer that came before it broke off holds a picture.

        Returns:
            A 2xx answer, else the error that says what happened.
        """
        url = self.settings.address(path)
        body = CountedBody(content)
        started = time.monotonic()
        try:
            response = self.session.post(
                url,
                data=body,
                headers=self._headers(
                    {"Content-Type": "application/json", "X-Client-Request-Id": client_request_id}
                ),
                auth=self._auth,
                timeout=(self.settings.connect_timeout, self.settings.read_timeout),
                allow_redirects=False,
                stream=True,
                proxies=proxies_for(url),
            )
        except (requests.RequestException, HTTPError, OSError) as error:
            # Somebody else's session may not read the body in the way ours does.
            sent = None if self._borrowed and not body.taken else body.taken
            return failures.from_exception(error, self.host, sent=sent)
        return self._received(response, limit, started, is_of_use)

    def _received(
        self,
        response: requests.Response,
        limit: int,
        started: float,
        is_of_use: Callable[[RawAnswer], bool],
    ) -> RawAnswer | ServiceError:
        status = response.status_code
        good = 200 <= status < 300
        body, broken = b"", None
        try:
            # A redirect says all in its headers.
            if not 300 <= status < 400:
                body = read_body(response, limit if good else _SMALL, self.settings.read_timeout, _SMALL)
        except BodyError as error:
            # A failure's status says enough, and of an answer over the limit it is known that it was billed.
            body = error.partial
            if error.kind != "large":
                broken = error.cause or requests.exceptions.ReadTimeout("the answer does not end")
        finally:
            response.close()
        raw = self._raw(response, body, time.monotonic() - started)
        if not good:
            return failures.from_answer(raw, self.host)
        if broken is not None and not is_of_use(raw):
            return failures.from_exception(broken, self.host, sent=True)
        return raw

    def get(
        self, path: str, query: Mapping[str, str], *, key: bool = True, quick: bool = False
    ) -> RawAnswer | ServiceError:
        """GET a free address of the service.

        Args:
            path: one of the service's.
            query: parameters.
            key: send the key along.
            quick: wait for the answer no longer than for a connection.

        Returns:
            Any answer, whatever its status, or the error that there is none. A broken body counts as empty.
        """
        url = self.settings.address(path)
        connect = self.settings.connect_timeout
        patience = connect if quick else min(self.settings.read_timeout, _PATIENCE)
        started = time.monotonic()
        try:
            response = self.session.get(
                url,
                params=dict(query),
                headers=self._headers({}),
                auth=self._auth if key else NoAuth(),
                timeout=(connect, patience),
                allow_redirects=False,
                stream=True,
                proxies=proxies_for(url),
            )
        except (requests.RequestException, HTTPError, OSError) as error:
            return failures.from_exception(error, self.host, sent=False)
        body = b""
        try:
            if not 300 <= response.status_code < 400:
                body = read_body(response, _SMALL, patience)
        except BodyError:
            body = b""
        finally:
            response.close()
        return self._raw(response, body, time.monotonic() - started)

    def _raw(self, response: requests.Response, body: bytes, seconds: float) -> RawAnswer:
        headers = {name.lower(): self._redact.text(value) for name, value in response.headers.items()}
        self.simulated = SANDBOX_HEADER in headers
        return RawAnswer(response.status_code, self._redact.body(body), headers, seconds)

    def _headers(self, more: Mapping[str, str]) -> dict[str, str | None]:
        # The key comes from `auth` alone; None takes away what a borrowed session may bring along.
        return {
            "User-Agent": self.settings.user_agent,
            "Accept": "application/json",
            "Authorization": None,
            **more,
        }
