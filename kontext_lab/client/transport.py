"""Sessions without surprises, bodies with a limit and a deadline.

Knows HTTP and nothing of the service: neither keys nor answers nor what a failure means.
"""

from __future__ import annotations

import io
import time
from http.cookiejar import DefaultCookiePolicy
from ipaddress import ip_address
from typing import Any, Literal
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3.exceptions import HTTPError

from kontext_lab.redaction import redact_logs

__all__ = ["BodyError", "CountedBody", "new_session", "proxies_for", "read_body"]

_BLOCK = 64 * 1024

_SENT_AT_ONCE = 128 * 1024
"""Bytes of a request's body per call to the system: http.client's 16 kB mean forty turns for a reference, and
every turn waits for the interpreter's lock while others compute. Each call may take the connect timeout."""


class BodyError(Exception):
    """A body that could not be read to its end.

    Attributes:
        kind: `large` (more than the limit), `slow` (not ended by the deadline) or `broken`.
        partial: what was read of it.
        cause: the exception that broke it off, or None.
    """

    def __init__(
        self, kind: Literal["large", "slow", "broken"], partial: bytes, cause: Exception | None = None
    ) -> None:
        super().__init__(kind, partial, cause)
        self.kind = kind
        self.partial = partial
        self.cause = cause


class CountedBody(io.BytesIO):
    """A request body that knows whether any of it was taken for sending.

    Being a file, it is also sent block by block, each with the connection's timeout; bytes would have to get
    through as a whole within it, which tens of megabytes of references don't on a slow line.
    """

    taken = False

    def read(self, size: int | None = -1, /) -> bytes:
        """The next bytes, as any file gives them."""
        self.taken = True
        return super().read(size)


class _Session(requests.Session):
    """Never looks at redirects; requests would read a redirect's whole body, however long."""

    def get_redirect_target(self, resp: requests.Response) -> None:
        """No target, whatever the answer says."""


def new_session(pool: int) -> requests.Session:
    """A session for `pool` threads: no retries, no cookies, proxies as the environment says."""
    redact_logs("urllib3.connectionpool")  # where somebody listens, it tells every address in full
    session = _Session()
    adapter = _Adapter(pool_connections=pool, pool_maxsize=pool, max_retries=0, pool_block=False)
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    return session


class _Adapter(HTTPAdapter):
    """Sends bodies in larger blocks."""

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, **options, blocksize=_SENT_AT_ONCE)


def proxies_for(url: str) -> dict[str, str] | None:
    """What to tell requests about proxies: none for this machine itself, else what the environment says."""
    host = urlsplit(url).hostname or ""
    try:
        local = ip_address(host).is_loopback
    except ValueError:
        local = host == "localhost"
    return {"no_proxy": host} if local else None


def read_body(response: requests.Response, limit: int, seconds: float) -> bytes:
    """The whole body, decompressed.

    Args:
        response: an answer asked for with `stream=True`.
        limit: most bytes to accept, counted after decompression.
        seconds: longest time for the whole body; a single silence may last as long as the read timeout.

    Raises:
        BodyError: more bytes than the limit, no end in time, a broken connection, or another length than
            announced.
    """
    deadline = time.monotonic() + seconds
    body = bytearray()
    try:
        # read1 comes back after each piece that arrives; read would wait for a full block, byte by byte.
        while block := response.raw.read1(_BLOCK, decode_content=True):
            body += block
            if len(body) > limit:
                raise BodyError("large", bytes(body[:limit]))
            if time.monotonic() > deadline:
                raise BodyError("slow", bytes(body))
    except (HTTPError, OSError) as error:
        raise BodyError("broken", bytes(body), error) from None
    return bytes(body)
