"""Answers of the service as data: three shapes of success, two envelopes of error, pages of a proxy.

Pure functions from values to JSON-ready data or text. It must not know Flask, sockets or the ledger.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, Literal

__all__ = [
    "CREDITS_PER_USD",
    "OUT_OF_CREDITS",
    "OutputItem",
    "Reply",
    "Shape",
    "error_reply",
    "json_reply",
    "proxy_reply",
    "success_body",
]

Shape = Literal["legacy", "hybrid", "current"]
CREDITS_PER_USD: Final = 2_000_000
PROBLEM_JSON: Final = "application/problem+json"

_NAMES: Final = {
    400: "BadRequestException",
    401: "UnauthorizedException",
    403: "ForbiddenException",
    404: "NotFoundException",
    413: "PayloadTooLargeException",
    429: "TooManyRequestsException",
    500: "InternalServerErrorException",
    502: "BadGatewayException",
    503: "ServiceUnavailableException",
    504: "GatewayTimeoutException",
}
_TITLES: Final = {
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    413: "Payload Too Large",
    429: "Too Many Requests",
    500: "Internal Server Error",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Gateway Timeout",
    524: "A timeout occurred",
}
_TRY_LATER: Final = "Something wrong with the server. Please, try again later."
MESSAGES: Final = {
    400: "Bad request",
    401: (
        "This request requires a valid API key. You can create a new API key on the Billing page: "
        "https://aimlapi.com/app/keys"
    ),
    403: "You do not have permission to use this resource.",
    404: "Not found",
    413: "Payload too large",
    429: "Too Many Requests",
    500: "Internal server error",
    502: _TRY_LATER,
    503: _TRY_LATER,
    504: "Generation timeout",
}
OUT_OF_CREDITS: Final[dict[str, Any]] = {
    "name": "OutOfFundsException",
    "message": (
        "You've run out of credits. Please top up your balance or update your payment method to continue: "
        "https://aimlapi.com/app/billing"
    ),
    "data": {"kind": "err_insufficent_credits"},  # the service's own spelling
}


@dataclass(frozen=True)
class Reply:
    """A complete HTTP answer: status, body bytes, type and extra headers."""

    status: int
    body: bytes
    content_type: str = "application/json; charset=utf-8"
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class OutputItem:
    """One picture in an answer: its address, or its bytes if the answer carries them itself."""

    url: str | None
    content_type: str
    width: int
    height: int
    flagged: bool = False
    data: bytes | None = None
    data_key: str = "b64_json"


def success_body(
    shape: Shape, items: Sequence[OutputItem], *, seed: int, prompt: str, credits: int
) -> dict[str, Any]:
    """Build the JSON of a successful generation in one of the three shapes."""
    listed: list[dict[str, Any]] = []
    for item in items:
        if shape == "current":
            entry: dict[str, Any] = {"url": item.url, "b64_json": None}
        else:
            entry = {
                "url": item.url,
                "content_type": item.content_type,
                "width": item.width,
                "height": item.height,
                "file_name": None,
                "file_size": None,
            }
        if item.data is not None:
            entry |= {"url": None, item.data_key: base64.b64encode(item.data).decode()}
        listed.append(entry)
    usage = {"usage": {"credits_used": credits, "usd_spent": credits / CREDITS_PER_USD}}
    if shape == "current":
        return {"data": listed, "meta": usage}
    body: dict[str, Any] = {
        "images": listed,
        "timings": {},
        "seed": seed,
        "has_nsfw_concepts": [item.flagged for item in items],
        "prompt": prompt,
    }
    return body if shape == "legacy" else {**body, "data": listed, "meta": usage}


def json_reply(status: int, body: Any, content_type: str = "application/json; charset=utf-8") -> Reply:
    """Build a reply with a JSON body."""
    return Reply(status, json.dumps(body).encode(), content_type)


def error_reply(
    status: int,
    *,
    path: str,
    request_id: str,
    envelope: str = "new",
    message: str | None = None,
    name: str | None = None,
    data: Any = None,
) -> Reply:
    """Build an error in the service's own envelope, "new" (problem+json) or "old".

    The old envelope has no place for data: issues become its list of messages.
    """
    text = message or MESSAGES.get(status) or _TITLES.get(status, "Error")
    stamp = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    if envelope == "old":
        issues = data if isinstance(data, list) else []
        lines = [f"{'.'.join(map(str, issue['path']))}: {issue['message']}" for issue in issues]
        body = {
            "requestId": request_id,
            "statusCode": status,
            "timestamp": stamp,
            "path": path,
            "message": lines or text,
        }
        return json_reply(status, body)
    error: dict[str, Any] = {"name": name or _NAMES.get(status, "HttpException"), "message": text}
    if data is not None:
        error["data"] = data
    problem = {
        "title": _TITLES.get(status, "Error"),
        "status": status,
        "message": text,
        "instance": path,
        "requestId": request_id,
        "timestamp": stamp,
        "error": error,
    }
    return json_reply(status, problem, PROBLEM_JSON)


def proxy_reply(status: int, envelope: str) -> Reply:
    """Build the answer of a proxy in front of the service: HTML, text or nothing, without the service's envelope."""
    title = _TITLES.get(status, "Error")
    if envelope == "empty":
        return Reply(status, b"", "text/plain; charset=UTF-8")
    if envelope == "text":
        text = "error code: 1010" if status == 403 else f"error code: {status}"
        return Reply(status, text.encode(), "text/plain; charset=UTF-8")
    page = (
        f"<html>\r\n<head><title>{status} {title}</title></head>\r\n<body>\r\n"
        f"<center><h1>{status} {title}</h1></center>\r\n<hr><center>proxy (simulated)</center>\r\n"
        "</body>\r\n</html>\r\n"
    )
    return Reply(status, page.encode(), "text/html; charset=UTF-8")
