"""The API key: read, checked, sent, and kept out of everything a person or a file may show.

A key lives in closures only, so that neither a repr, `vars()`, a pickle nor a debugger's list of attributes
shows it. Knows no address: whoever sends a request decides whether the key goes along.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

from requests import PreparedRequest
from requests.auth import AuthBase

from kontext_lab.errors import ConfigError

__all__ = [
    "KEY_NAMES",
    "SANDBOX_KEY",
    "BearerAuth",
    "NoAuth",
    "Redactor",
    "check_key",
    "key_from_environment",
]

KEY_NAMES = ("AIMLAPI_API_KEY", "AIML_API_KEY")
"""The environment's names for the key, in the order they are looked at."""

SANDBOX_KEY = "sandbox"
"""A key for the sandbox, which accepts any. It is no secret: it is shown, and it travels in pickles."""

MASK = "***"


def key_from_environment(environ: Mapping[str, str] | None = None) -> str | None:
    """The key as the environment gives it, without blanks around it; None where there is only blank."""
    found = os.environ if environ is None else environ
    return next((key for name in KEY_NAMES if (key := found.get(name, "").strip())), None)


def check_key(key: str) -> str:
    """The key itself, if it can be sent in a header.

    Raises:
        ConfigError: an empty key, or one with spaces, line ends or characters beyond ASCII; the key itself
            is never shown.
    """
    if not key:
        raise ConfigError("API key: is empty")
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise ConfigError(
            f"API key: holds spaces, line ends or characters beyond ASCII ({len(key)} characters in all): "
            f"paste it again, for example into {KEY_NAMES[0]}"
        )
    return key


class NoAuth(AuthBase):
    """Sends a request as it is; given explicitly, it keeps `.netrc` out of the request."""

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        """The request, unchanged."""
        return request

    def __repr__(self) -> str:
        return "<NoAuth>"


class BearerAuth(AuthBase):
    """Puts the key into one request's Authorization header."""

    def __init__(self, key: str) -> None:
        def sign(request: PreparedRequest) -> PreparedRequest:
            request.headers["Authorization"] = f"Bearer {key}"
            return request

        self._sign: Callable[[PreparedRequest], PreparedRequest] = sign

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        """The request, signed."""
        return self._sign(request)

    def __repr__(self) -> str:
        return f"<BearerAuth {MASK}>"

    def __reduce__(self) -> Any:
        raise TypeError("an API key is never pickled")


class Redactor:
    """Removes a key from whatever the service sends back, before anything is kept or shown."""

    def __init__(self, key: str | None) -> None:
        spellings = _spellings(key)

        def text(value: str) -> str:
            for spelling in spellings:
                value = value.replace(spelling, MASK)
            return value

        def body(value: bytes) -> bytes:
            for spelling in spellings:
                # A shorter one may occur by chance in megabytes of base64, and pictures must stay exact.
                if len(spelling) >= 8:
                    value = value.replace(spelling.encode("ascii"), MASK.encode("ascii"))
            return value

        self.text: Callable[[str], str] = text
        self.body: Callable[[bytes], bytes] = body

    def __repr__(self) -> str:
        return "<Redactor>"

    def __reduce__(self) -> Any:
        raise TypeError("an API key is never pickled")


def _spellings(key: str | None) -> tuple[str, ...]:
    """The key as it stands and as JSON and URLs write it; none for 3 characters or less, which are no key."""
    if not key or key == SANDBOX_KEY or len(key) < 4:
        return ()
    written = json.dumps(key)[1:-1]
    return tuple(dict.fromkeys((key, written, written.replace("/", "\\/"), quote(key, safe=""))))
