"""Keeps passwords, tokens and keys out of everything a person or a file may show.

An address shows by its shape where its secrets are; a secret of this process is known by its value wherever it
turns up, in any spelling. Errors of this package and the lines of loggers pass both. Imports nothing of the package.
"""

from __future__ import annotations

import base64
import logging
import os
import re
import traceback
from collections.abc import Callable, Iterable
from functools import cache, lru_cache
from typing import Any
from urllib.parse import quote, unquote, unquote_plus

__all__ = [
    "MASK",
    "Redactor",
    "get_logger",
    "masked",
    "redact_last_resort",
    "redact_logs",
    "redacted",
    "remember",
    "secrets_of",
]

MASK = "***"

_SHORTEST = 4
"""Fewer characters are looked for by their place in an address alone: they would blacken half of every text."""

_ALONE = 8
"""From this length on a secret is one also inside a longer word."""

_NO_SECRETS = (MASK, "sandbox")
"""Texts that need no mask: the mask itself, and the key that the sandbox is given."""

SECRET_NAMES = (
    "AIMLAPI_API_KEY",
    "AIMLAPI_KEY",
    "AIML_API_KEY",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AZURE_STORAGE_ACCESS_KEY",
    "AZURE_STORAGE_CONNECTION_STRING",
    "DATABRICKS_CLIENT_SECRET",
    "DATABRICKS_TOKEN",
    "MLFLOW_FLASK_SERVER_SECRET_KEY",
    "MLFLOW_TRACKING_PASSWORD",
    "MLFLOW_TRACKING_TOKEN",
    "MYSQL_PWD",
    "PGPASSWORD",
)
"""Names under which the environment holds secrets, besides those inside addresses."""

_SECRET_KEY = (
    r"[^\s=&;?#%'\"]*(?:passw|pwd|token|secret|signature|credential|api[-_]?key|access[-_]?key|odbc_connect)[^\s=&;?#%'\"]*"
    r"|sig|key|auth|jwt|hmac"
)
# An address inside another one's query is written with %3F, %26 and %3D; in JSON an & may be \u0026.
_QUERY = re.compile(
    rf"((?:[?&;#]|%3F|%26|\\u0026)(?:{_SECRET_KEY})(?:=|%3D))(?:(?!%26)[^\s&'\"<>\\])+", re.IGNORECASE
)
# How libpq and ODBC write down a connection.
_SETTING = re.compile(
    r"""(\b(?:ssl)?(?:password|passwd|pwd)\s*=\s*)('(?:[^'\\]|\\.)*'|"[^"]*"|\{[^}]*\}|[^\s;&'"]+)""",
    re.IGNORECASE,
)
# A request as HTTP libraries write it down: anything in its query may be what opens the address.
_REQUEST = re.compile(r"((?:\b(?:GET|HEAD|POST|PUT|PATCH|DELETE|CONNECT)|with url:) [^\s?'\"]*\?)[^\s'\"]+")
_HEADER = re.compile(r"""(authorization['"]?\s*[:=]\s*b?['"]?\w+\s+)[^\s'",}]+""", re.IGNORECASE)
_USER = re.compile(r"(https?://)([^\s/?#'\"<>\\]*)@", re.IGNORECASE)
_PASSWORD = re.compile(
    # Some passwords hold a / or an @ as they are, so it lasts to the last @; a port is none.
    r"(https?://[^\s:/@'\"\[]*:)(?!\d+(?:[/?#\s'\"]|$))\S*@"
    r"|((?:(?<!http)(?<!https)://|^|[\s'\"])[^\s:/@'\"]*:)(?!//)\S*@"
    r"|(%3A%2F%2F(?:(?!%3A|%40|%2F)\S)*%3A)(?:(?!%2F)\S)*%40",
    re.IGNORECASE,
)


def masked(text: str) -> str:
    """An address, or a line that may hold some, without passwords and tokens; told by the shape alone."""
    if text.startswith("sqlite:///"):
        return text  # has none, and a path may hold an @
    if "@" in text or "%40" in text:
        text = _USER.sub(_masked_user, text)
        text = _PASSWORD.sub(_masked_password, text)
    if "?" in text:
        text = _REQUEST.sub(rf"\1{MASK}", text)
    if "=" in text or "%3" in text:
        text = _QUERY.sub(rf"\1{MASK}", text)
        text = _SETTING.sub(rf"\1{MASK}", text)
    return _HEADER.sub(rf"\1{MASK}", text)


def _masked_user(found: re.Match[str]) -> str:
    user, colon, _ = found[2].partition(":")
    # A name alone may be a token.
    return f"{found[1]}{user}:{MASK}@" if colon else f"{found[1]}{MASK}@"


def _masked_password(found: re.Match[str]) -> str:
    head = found[1] or found[2]
    return f"{head}{MASK}@" if head else f"{found[3]}{MASK}%40"


def redacted(text: str) -> str:
    """A line of whatever origin without any secret: addresses masked, this process's own secrets by value."""
    values = {value for name in SECRET_NAMES if (value := os.environ.get(name, "").strip())} | _remembered
    for value in list(os.environ.values()):
        if "://" in value and ("@" in value or "=" in value):
            values |= secrets_of(value)
    if password := os.environ.get("MLFLOW_TRACKING_PASSWORD", ""):
        values.add(_basic(os.environ.get("MLFLOW_TRACKING_USERNAME", ""), password))
    return _redactor(frozenset(values)).text(masked(text))


def remember(address: str) -> None:
    """Know the secrets of an address that was given to this process otherwise than by its environment."""
    _remembered.update(secrets_of(address))


_remembered: set[str] = set()


@lru_cache(maxsize=256)
def secrets_of(address: str) -> frozenset[str]:
    """Every secret of an address, in the spellings that others make of it: decoded, encoded, as a Basic header."""
    scheme, _, rest = address.strip().partition("://")
    found: set[str] = set()
    # As the standard has it, and as databases do, whose passwords may hold a / or an @.
    for part in (re.split(r"[/?#]", rest, maxsplit=1)[0], rest):
        user, colon, password = part.rpartition("@")[0].partition(":")
        if colon and password:
            found |= _spellings(password) | {_basic(unquote(user), unquote(password)), _basic(user, password)}
        elif user and part is not rest and scheme.lower().startswith("http"):
            found |= _spellings(user)
    for key, value in re.findall(r"[?&;#]([^=&;#\s]+)=([^&#\s]+)", rest):
        if re.fullmatch(_SECRET_KEY, key, re.IGNORECASE):
            found |= _spellings(value)
            found.update(one[1] for one in re.findall(r"(?i)(pwd|password)=([^;]+)", unquote_plus(value)))
    return frozenset(found)


def _spellings(secret: str) -> set[str]:
    plain = unquote(secret)
    return {secret, plain, unquote_plus(secret), quote(plain, safe="")}


def _basic(name: str, password: str) -> str:
    return base64.b64encode(f"{name}:{password}".encode()).decode("ascii")


class Redactor:
    """Removes secrets, known by their values, from text and bytes, however they are spelled there."""

    def __init__(self, *secrets: str) -> None:
        known = sorted(
            {one for one in secrets if len(one) >= _SHORTEST} - {*_NO_SECRETS}, key=len, reverse=True
        )
        # A shorter one may occur by chance in megabytes of base64, and pictures must stay exact.
        long = [one for one in known if len(one) >= _ALONE]

        # Most are made for texts alone, or for plain ones, and compiling takes a while.
        @cache
        def in_text(write: Callable[[str], str]) -> re.Pattern[str]:
            return _pattern(known, write)

        @cache
        def in_bytes() -> re.Pattern[bytes]:
            return re.compile(_pattern(long, _any_spelling).pattern.encode())

        def text(value: str) -> str:
            return in_text(_any_spelling if _CODED.search(value) else re.escape).sub(MASK, value)

        def body(value: bytes) -> bytes:
            if long and _CODED_BYTES.search(value):
                return in_bytes().sub(MASK.encode(), value)
            for one in long:
                value = value.replace(one.encode(), MASK.encode())
            return value

        self.text: Callable[[str], str] = text
        self.body: Callable[[bytes], bytes] = body

    def __repr__(self) -> str:
        return "<Redactor>"

    def __reduce__(self) -> Any:
        raise TypeError("a secret is never pickled")


# A set of secrets changes rarely, and compiling patterns takes longer than finding them.
_redactor = lru_cache(maxsize=8)(lambda secrets: Redactor(*secrets))

# What escapes in JSON and in URLs begin with; most texts have none, and looking for plain text is much quicker.
_CODED, _CODED_BYTES = re.compile(r"[\\%]"), re.compile(rb"[\\%]")


# A short secret may be a part of many words; %3A and \\n before it are none.
_BEFORE_SHORT = r"(?:(?<=%[0-9A-Fa-f]{2})|(?<=\\[nrt])|(?<![A-Za-z0-9]))"


def _pattern(secrets: Iterable[str], write: Callable[[str], str]) -> re.Pattern[str]:
    patterns = []
    for secret in secrets:
        pattern = "".join(map(write, secret))
        alone = len(secret) < _ALONE
        patterns.append(rf"{_BEFORE_SHORT}{pattern}(?![A-Za-z0-9])" if alone else pattern)
    return re.compile("|".join(patterns) or "(?!)")


def _any_spelling(character: str) -> str:
    """One character as it stands, as JSON may write it (also twice wrapped), and as URLs may."""
    itself = re.escape(character)
    number = "".join(f"[{digit}{digit.upper()}]" for digit in f"{ord(character):04x}")
    octets = "".join(
        "%" + "".join(f"[{d}{d.upper()}]" for d in f"{octet:02x}") for octet in character.encode()
    )
    blank = r"|\+" if character == " " else ""
    return rf"(?:\\{{1,4}}(?:u{number}|{itself})|{octets}|{itself}{blank})"


class _Redacting(logging.Filter):
    """Rewrites the records that hold a secret, and lets every one pass."""

    def filter(self, record: logging.LogRecord) -> bool:
        try:
            said = record.getMessage()
        except (TypeError, ValueError, KeyError):
            return True  # the handler says what is wrong with it
        if (clean := redacted(said)) != said:
            record.msg, record.args = clean, None
        if record.exc_info and record.exc_info[1] is not None:
            told = "".join(traceback.format_exception(record.exc_info[1])).rstrip("\n")
            if (clean := redacted(told)) != told:
                record.exc_info, record.exc_text = None, clean
        return True


_redacting = _Redacting()


def redact_logs(*names: str) -> None:
    """Let nothing secret out of these loggers, and of the handlers they have; nothing else changes."""
    for log in map(logging.getLogger, names):
        for one in (log, *log.handlers):
            one.addFilter(_redacting)  # adding it again does nothing


def redact_last_resort() -> None:
    """Let nothing secret out of the handler that prints what nobody else handles: for a program, not a library."""
    if logging.lastResort is not None:
        logging.lastResort.addFilter(_redacting)


def get_logger(name: str) -> logging.Logger:
    """A module's logger, of which nothing secret comes: what it tells of others' errors may hold some."""
    redact_logs(name)
    return logging.getLogger(name)
