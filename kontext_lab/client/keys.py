"""The API key: read, checked, sent, and kept out of everything a person or a file may show.

A key lives in closures and as `Secret` only, so that neither a repr, `vars()`, a pickle, a traceback with local
variables nor a debugger's list of attributes shows it. Knows no address: whoever sends a request decides whether the key goes along.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

from requests import PreparedRequest
from requests.auth import AuthBase

from kontext_lab.errors import ConfigError
from kontext_lab.redaction import MASK

__all__ = [
    "KEY_NAMES",
    "SANDBOX_KEY",
    "BearerAuth",
    "GivenKey",
    "NoAuth",
    "Secret",
    "check_key",
    "key_from_environment",
]

KEY_NAMES = ("AIMLAPI_API_KEY", "AIML_API_KEY")
"""The environment's names for the key, in the order they are looked at."""

SANDBOX_KEY = "sandbox"
"""A key for the sandbox, which accepts any. It is no secret: it is shown, and it travels in pickles."""


class Secret(str):
    """Text whose repr is a mask, since tracebacks, debuggers and reprs of whole requests show locals."""

    __slots__ = ()

    def __repr__(self) -> str:
        return repr(MASK)

    def __reduce__(self) -> Any:
        raise TypeError("an API key is never pickled")


class GivenKey(Secret):
    """A key that a person gave to this process alone: no other process may send another one in its place."""

    __slots__ = ()


def key_from_environment(environ: Mapping[str, str] | None = None) -> Secret | None:
    """The key as the environment gives it, without blanks around it; None where there is only blank."""
    found = os.environ if environ is None else environ
    return next((Secret(key) for name in KEY_NAMES if (key := found.get(name, "").strip())), None)


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
            request.headers["Authorization"] = Secret(f"Bearer {key}")
            return request

        self._sign: Callable[[PreparedRequest], PreparedRequest] = sign

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        """The request, signed."""
        return self._sign(request)

    def __repr__(self) -> str:
        return f"<BearerAuth {MASK}>"

    def __reduce__(self) -> Any:
        raise TypeError("an API key is never pickled")
