"""The API key: read, checked, sent, and kept out of everything a person or a file may show.

A key lives in closures and as `Secret` only, so that neither a repr, `vars()`, a pickle, a traceback with local
variables nor a debugger's list of attributes shows it. Knows no address: whoever sends a request decides whether the key goes along.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from typing import Any

from requests import PreparedRequest
from requests.auth import AuthBase

from kontext_lab.errors import ConfigError

__all__ = [
    "KEY_NAMES",
    "SANDBOX_KEY",
    "BearerAuth",
    "GivenKey",
    "NoAuth",
    "Redactor",
    "Secret",
    "check_key",
    "key_from_environment",
]

KEY_NAMES = ("AIMLAPI_API_KEY", "AIML_API_KEY")
"""The environment's names for the key, in the order they are looked at."""

SANDBOX_KEY = "sandbox"
"""A key for the sandbox, which accepts any. It is no secret: it is shown, and it travels in pickles."""

MASK = "***"


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


class Redactor:
    """Removes a key from whatever the service sends back, before anything is kept or shown."""

    def __init__(self, key: str | None) -> None:
        # 3 characters or less are no key; they would blacken half of every answer.
        plain = "" if not key or key == SANDBOX_KEY or len(key) < 4 else str(key)
        coded = re.compile("".join(map(_any_spelling, plain)))
        coded_bytes = re.compile(coded.pattern.encode("ascii", "replace"))

        def text(value: str) -> str:
            if not plain:
                return value
            return coded.sub(MASK, value) if _CODED.search(value) else value.replace(plain, MASK)

        def body(value: bytes) -> bytes:
            # A shorter one may occur by chance in megabytes of base64, and pictures must stay exact.
            if len(plain) < 8:
                return value
            if _CODED_BYTES.search(value):
                return coded_bytes.sub(MASK.encode("ascii"), value)
            return value.replace(plain.encode("ascii"), MASK.encode("ascii"))

        self.text: Callable[[str], str] = text
        self.body: Callable[[bytes], bytes] = body

    def __repr__(self) -> str:
        return "<Redactor>"

    def __reduce__(self) -> Any:
        raise TypeError("an API key is never pickled")


# What escapes in JSON and in URLs begin with; most answers have none, and replacing plain text is much quicker.
_CODED, _CODED_BYTES = re.compile(r"[\\%]"), re.compile(rb"[\\%]")


def _any_spelling(character: str) -> str:
    """One character as it stands, as JSON may write it (also twice wrapped), and as URLs may."""
    digits = "".join(f"[{digit}{digit.upper()}]" for digit in f"{ord(character):02x}")
    itself = re.escape(character)
    return rf"(?:\\{{1,4}}(?:u00{digits}|{itself})|%{digits}|{itself})"
