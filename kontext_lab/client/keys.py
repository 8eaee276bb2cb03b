"""The API key: read it, check it, sign a request with it, and keep it out of everything shown or stored.

A key lives in closures and as `Secret` only, so that no repr, `vars()`, pickle, traceback with local variables or
debugger's list of attributes shows it. Knows no address: the sender of a request decides whether the key goes along.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

from requests import PreparedRequest

from kontext_lab.errors import ConfigError
from kontext_lab.redaction import MASK

__all__ = [
    "KEY_NAMES",
    "SANDBOX_KEY",
    "Auth",
    "GivenKey",
    "Secret",
    "bearer_auth",
    "check_key",
    "key_from_environment",
    "no_auth",
]

Auth = Callable[[PreparedRequest], PreparedRequest]

# Environment variables for the key; the first one that is set counts.
KEY_NAMES = ("AIMLAPI_API_KEY", "AIML_API_KEY", "AIMLAPI_KEY")
# A key for the sandbox, which accepts any. It is no secret: it is shown, and it travels in pickles.
SANDBOX_KEY = "sandbox"


class Secret(str):
    """Text whose repr is a mask, since tracebacks, debuggers and reprs of whole requests show locals."""

    __slots__ = ()

    def __repr__(self) -> str:
        return repr(MASK)

    def __reduce__(self) -> Any:
        raise TypeError("an API key is never pickled")


class GivenKey(Secret):
    """A key that a person gave to this process alone: no other process may send a different one in its place."""

    __slots__ = ()


def key_from_environment(environ: Mapping[str, str] | None = None) -> Secret | None:
    """The key in the environment, without blanks around it; None where every variable is blank."""
    variables = os.environ if environ is None else environ
    return next((Secret(key) for name in KEY_NAMES if (key := variables.get(name, "").strip())), None)


def check_key(key: str) -> str:
    """The key itself, if it can be sent in a header; else raises `ConfigError`, which never shows the key."""
    if not key:
        raise ConfigError(f"the API key is empty: paste it, for example into {KEY_NAMES[0]}")
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise ConfigError(
            f"the API key holds spaces, line ends or characters beyond ASCII ({len(key)} characters in all): "
            f"paste it again, for example into {KEY_NAMES[0]}"
        )
    return key


def no_auth(request: PreparedRequest) -> PreparedRequest:
    """Leave a request unsigned; given explicitly, it keeps `.netrc` out of the request."""
    return request


def bearer_auth(key: str) -> Auth:
    """A function that puts the key into a request's Authorization header."""

    def sign(request: PreparedRequest) -> PreparedRequest:
        request.headers["Authorization"] = Secret(f"Bearer {key}")
        return request

    return sign
