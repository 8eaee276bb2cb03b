"""Every error this package raises on purpose, as one tree branched by what the caller can do about it.

    KontextLabError
    ├── InvalidInput            change what was asked; nothing was sent, nothing was paid
    │   ├── SweepError              a sweep, a request or an axis that is not valid (also a ValueError)
    │   │   ├── ImageError              a reference that cannot be read as a picture
    │   │   └── RequestRefused          the service refused the request for good (400, 403, 413 …)
    │   ├── ConfigError             a setting, a key, a folder or a name that cannot be used
    │   │   └── AlreadyRunning          a living process is at work on the same sweep
    │   ├── WrongType               an argument of the wrong type (also a TypeError, SweepError and ConfigError)
    │   └── NotFound                no such run, cell or picture (also a LookupError)
    ├── RetryLater              try again later; nothing was paid
    │   ├── RateLimited             429
    │   └── ServiceUnavailable      refused connection, or a 5xx in the service's own envelope
    ├── FatalServiceError       no further request can succeed
    │   ├── Unauthorized            401
    │   ├── OutOfCredits            403 with the service's word for it
    │   └── ModelWithdrawn          404
    ├── InDoubt                 decide: the request may have been accepted and billed, the answer is lost
    ├── BilledWithoutPicture    billed, but what came is not a picture to keep
    │   ├── Moderated
    │   ├── BadAnswer               an answer that could not be understood
    │   └── OutputUnavailable       an output that could not be downloaded
    └── TrackingError           the store cannot be used
        └── OutputMissing           a tracked output whose bytes are not in the store any more

Every class survives pickling, since process pools and clusters send errors back. No error holds a key, a password
or a token: what it is made of is redacted first.
"""

from __future__ import annotations

import difflib
import os
import re
import reprlib
import ssl
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from kontext_lab.redaction import redacted

__all__ = [
    "AlreadyRunning",
    "BadAnswer",
    "BilledWithoutPicture",
    "Cause",
    "ConfigError",
    "FatalServiceError",
    "ImageError",
    "InDoubt",
    "InvalidInput",
    "KontextLabError",
    "ModelWithdrawn",
    "Moderated",
    "NotFound",
    "OutOfCredits",
    "OutputMissing",
    "OutputUnavailable",
    "RateLimited",
    "RequestRefused",
    "RetryLater",
    "ServiceError",
    "ServiceUnavailable",
    "SweepError",
    "TrackingError",
    "Unauthorized",
    "WrongType",
    "cause_of",
    "chained",
    "listed",
    "meant",
    "shown",
    "visible",
]


class KontextLabError(Exception):
    """Base of every error raised on purpose by this package; its text is one clear line without secrets.

    Example:
        >>> try:
        ...     kl.Sweep("Add a bird.", kl.sample("coffee"), seed=0)
        ... except kl.KontextLabError as error:
        ...     print(error)
        seed: 0, allowed is a whole number from 1
    """

    def __init__(self, *args: Any) -> None:
        super().__init__(*(redacted(one) if isinstance(one, str) else one for one in args))

    def __str__(self) -> str:
        return _one_line(super().__str__())


class ServiceError(KontextLabError):
    """Base of the errors that the service's answers cause.

    Attributes:
        status: HTTP status, or None where no answer was read.
        request_id: the service's own id of the request, or None.
        body: the beginning of the answer as text, for a person to look at.
        retry_after: seconds the service asked to wait, or None.
    """

    def __init__(
        self,
        message: str,
        status: int | None = None,
        request_id: str | None = None,
        body: str = "",
        retry_after: float | None = None,
    ) -> None:
        # All arguments go to args: unpickling calls the class with them.
        super().__init__(message, status, request_id, body, retry_after)
        self.message, self.body = str(self.args[0]), str(self.args[3])
        self.status = status
        self.request_id = request_id
        self.retry_after = retry_after

    def __str__(self) -> str:
        return _one_line(self.message)


class InvalidInput(KontextLabError):
    """Wrong input: change it and try again."""


class SweepError(InvalidInput, ValueError):
    """A sweep, request or axis that is not valid; names the field, the value and the allowed ones."""


class ImageError(SweepError):
    """A reference that cannot be read as a picture."""


class ConfigError(InvalidInput):
    """A setting, key, folder or name that cannot be used."""


class AlreadyRunning(ConfigError):
    """Another process runs the same sweep; says which, and how to watch it."""


class WrongType(ConfigError, SweepError, TypeError):
    """An argument of the wrong type; names the argument, the types it takes and the type that was given."""


class NotFound(InvalidInput, LookupError):
    """No such run, cell or picture; names the existing ones."""


class RequestRefused(ServiceError, SweepError):
    """The service refused this request for good: sending it again changes nothing."""


class RetryLater(ServiceError):
    """Try again later; nothing was billed."""


class RateLimited(RetryLater):
    """429: too many requests, or too many at once."""


class ServiceUnavailable(RetryLater):
    """No connection could be made, or the service reported a failure of its own."""


class FatalServiceError(ServiceError):
    """No further request of this sweep can succeed."""


class Unauthorized(FatalServiceError):
    """The key is missing or not accepted."""


class OutOfCredits(FatalServiceError):
    """The account has no credits left."""


class ModelWithdrawn(FatalServiceError):
    """The service knows no such model, or no such address."""


class InDoubt(ServiceError):
    """The request may have been accepted and billed; its answer is lost."""


class BilledWithoutPicture(ServiceError):
    """The service billed an answer that is not a picture to keep."""


class Moderated(BilledWithoutPicture):
    """The output was withheld or blackened by the service's moderation."""


class BadAnswer(BilledWithoutPicture):
    """An answer that could not be understood; its raw text is kept."""


class OutputUnavailable(BilledWithoutPicture):
    """An output that could not be downloaded or decoded."""


class TrackingError(KontextLabError):
    """The store cannot be reached, opened or written."""


class OutputMissing(TrackingError):
    """A tracked output whose exact bytes are definitely not in the store any more."""


def _one_line(text: str) -> str:
    # A server's, a library's or a person's text may hold line breaks and more.
    lines = text.splitlines()
    return visible(" ".join(line.strip() for line in lines) if len(lines) > 1 else text)


# Control characters but tab and newline, separators of lines, marks that turn the direction, half characters.
_UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def visible(text: str) -> str:
    """Text without control over a terminal: characters that it would act on are escaped, as in JSON."""
    return _UNSEEN.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def shown(value: object, length: int = 80) -> str:
    """Any value as one short line for an error."""
    try:
        text = " ".join(_REPR.repr(value).split("\n"))
    except ValueError:  # an integer of more digits than Python writes
        text = f"<{type(value).__name__}>"
    if not isinstance(value, str):
        text = _ADDRESS.sub("", text)  # useless to a reader, and different every time
    return text if len(text) <= length else text[: length - 1] + "…"


def listed(names: Sequence[str], asked: object = "", most: int = 20) -> str:
    """Names for an error line: all in their order; of very many, the ones most like the name asked for."""
    if len(names) <= most:
        return ", ".join(names)
    near = difflib.get_close_matches(asked, names, most) if isinstance(asked, str) else []
    first = [*near, *(name for name in names if name not in near)][:most]
    return f"{', '.join(first)} and {len(names) - most} more"


def many(count: int, word: str, several: str = "") -> str:
    """A count and its word, in the plural if needed."""
    return f"{count} {word if count == 1 else several or word + 's'}"


def meant(asked: object, names: Iterable[str]) -> str:
    """`did you mean guidance_scale? ` if one of the names is near the one asked for, else ""."""
    known = {name.lower(): name for name in names}
    text = "_".join(str(asked).lower().split())
    near = difflib.get_close_matches(text, known, 1) or [one for one in known if text in one.split("_")][:1]
    return f"did you mean {known[near[0]]}? " if near else ""


_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+(?=>)")


class _Repr(reprlib.Repr):
    """Short reprs without secrets: they are masked before the cut, which would make them unrecognizable."""

    def repr_str(self, x: str, level: int) -> str:
        ends = x if len(x) <= _BOTH_ENDS else x[: _BOTH_ENDS // 2] + x[-_BOTH_ENDS // 2 :]
        return super().repr_str(redacted(ends), level)


_BOTH_ENDS = 4000
"""Characters of a long text that are searched for secrets; 80 of them are shown."""

# Only the outer levels of nested values are written: aliases in a YAML file can make them endless.
_REPR = _Repr()
_REPR.maxlevel, _REPR.maxlist, _REPR.maxtuple, _REPR.maxdict = 3, 6, 6, 6
_REPR.maxstring = _REPR.maxother = _REPR.maxlong = 80


class Cause(NamedTuple):
    """Cause of a connection's failure in words, and the way out."""

    words: str
    way_out: str = "check the network"


def cause_of(error: BaseException, *, hidden: bool = False) -> Cause | None:
    """Cause of a connection's failure, from any library; None for an unknown one.

    Args:
        error: an exception of requests, urllib3 or a socket, or an error made from it.
        hidden: also look at exceptions that were being handled at the time, which need not be a cause.
    """
    chain = list(chained(error, hidden=hidden))
    # By name, since this module imports neither library.
    kinds = {kind.__name__ for one in chain for kind in type(one).__mro__}
    text = " ".join(str(one) for one in chain)
    for needed, pattern, words, way_out in _CAUSES:
        if kinds.issuperset(needed.split()) and (found := re.search(pattern, text)):
            return Cause(words.format(*found.groups()), way_out.format(*found.groups()))
    if missing := re.search(r"(?:bundle|file), invalid path: (\S+)", text):
        path = missing[1].rstrip("')\"")
        names = [name for name in _CERTIFICATE_SETTINGS if os.environ.get(name) == path]
        way_out = " and ".join(names) or " or ".join(_CERTIFICATE_SETTINGS[:2])
        return Cause(f"there is no file of certificates {path}", f"correct or unset {way_out}")
    certificate = next((one for one in chain if isinstance(one, ssl.SSLCertVerificationError)), None)
    if certificate is not None:
        # Only a handshake that really took place sets the attributes.
        detail = getattr(certificate, "verify_message", "") or "not trusted"
        way_out = _CERTIFICATES.get(getattr(certificate, "verify_code", 0), _TRUST)
        return Cause(f"its certificate is not accepted: {_one_line(detail)[:100]}", way_out)
    if "SSLError" in kinds:
        return Cause(
            "no encrypted connection could be agreed on", "check the address; a proxy may be between"
        )
    system = next((one for one in chain if isinstance(one, OSError) and one.strerror), None)
    return None if system is None else Cause(_one_line(system.strerror or "")[:300])


def chained(error: BaseException, *, hidden: bool = False) -> Iterator[BaseException]:
    """An exception and its causes, also those that requests and SQLAlchemy keep in attributes.

    Args:
        error: the exception.
        hidden: also exceptions that were being handled when each was raised, which may be unrelated.
    """
    waiting, seen = [error], set()
    while waiting:
        one = waiting.pop(0)
        if id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        linked = [*one.args, getattr(one, "reason", None), getattr(one, "orig", None), one.__cause__]
        linked += [one.__context__] if hidden else []
        waiting.extend(link for link in linked if isinstance(link, BaseException))


_PROXY = "check HTTPS_PROXY, HTTP_PROXY and ALL_PROXY"

_CERTIFICATE_SETTINGS = (
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "MLFLOW_TRACKING_SERVER_CERT_PATH",
    "MLFLOW_TRACKING_CLIENT_CERT_PATH",
)

_TRUST = "set REQUESTS_CA_BUNDLE to the bundle of its signer, as behind a company's proxy"

_CERTIFICATES = {
    9: "check this machine's clock",
    10: "check this machine's clock; else its owner has to renew it",
    62: "check the address",
    64: "check the address",
}
"""The way out by OpenSSL's number: not valid yet, expired, another name, another address."""

_CAUSES = (
    (
        "InvalidSchema",
        "SOCKS",
        "the proxy is a SOCKS proxy, and PySocks is not installed",
        "`pip install pysocks`, or unset ALL_PROXY and HTTPS_PROXY",
    ),
    ("InvalidProxyURL", "", "the proxy's address names no host", _PROXY),
    ("ProxySchemeUnknown", "", "the proxy's address begins neither with http:// nor with socks", _PROXY),
    ("LocationParseError", "label empty or too long", "the host's name can't be one", "check the address"),
    ("LocationParseError", "", "the proxy's address can't be read", _PROXY),
    ("InvalidURL", "", "the host's name can't be one", "check the address"),
    (
        "ProxyError",
        "Tunnel connection failed: 407",
        "the proxy asks for a name and a password (407)",
        "put both before its host in HTTPS_PROXY, a : between them and an @ behind",
    ),
    (
        "ProxyError",
        r"Tunnel connection failed: (\d+)",
        "the proxy refuses to connect ({})",
        "ask who runs it",
    ),
    ("ProxyError NameResolutionError", "", "the proxy's name is not known", _PROXY),
    ("ProxyError", "", "the proxy does not connect", _PROXY),
    ("NameResolutionError", "", "the host's name is not known", "check the address and the network"),
    ("gaierror", "", "the host's name is not known", "check the address and the network"),
    (
        "ConnectionRefusedError",
        "",
        "connection refused",
        "check the address, and that a server listens there",
    ),
    ("ReadTimeoutError", "", "no answer in time", "try again later"),
    ("ReadTimeout", "", "no answer in time", "try again later"),
    (
        "SSLError",
        "(?i)wrong.version.number|http.request|record.layer|packet.length",
        "it does not speak TLS at that port",
        "write http:// in place of https://, or check the port",
    ),
    (
        "SSLError",
        "(?i)no.certificate.or.crl|x509",
        "the bundle of certificates holds none",
        "correct or unset REQUESTS_CA_BUNDLE and CURL_CA_BUNDLE",
    ),
    (
        "BadStatusLine",
        r"\\x15\\x03|\x15\x03",
        "it speaks TLS at that port",
        "write https:// in place of http://",
    ),
    ("RemoteDisconnected", "", "the connection was closed without an answer", "try again later"),
    ("BadStatusLine", "", "what answered speaks no HTTP", "check the address and its port"),
    ("ConnectionResetError", "", "connection reset", "try again later; a proxy or firewall may be between"),
    ("BrokenPipeError", "", "connection closed", "try again later"),
    ("InvalidChunkLength", "", "the answer's pieces are damaged", "try again later"),
    ("IncompleteRead", "", "the answer ended early", "try again later"),
    ("DecodeError", "", "the answer's compression is damaged", "a proxy may be between"),
)
"""Names of exceptions that must all occur, a pattern of their text, the cause in words, and the way out."""
