"""Answers of the service as data: three shapes of success, two envelopes of error, pages of a proxy.

Pure functions from values to JSON-ready data or text. It must not know Flask, pictures or the ledger.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, Literal

from kontext_lab.sandbox.http_server import Delivery

__all__ = [
    "CREDITS_PER_USD",
    "OUT_OF_CREDITS",
    "Reply",
    "Shape",
    "error_reply",
    "json_reply",
    "proxy_reply",
    "success_body",
]

Shape = Literal["legacy", "hybrid", "current"]
CREDITS_PER_USD: Final = 2_000_000

_TRY_LATER: Final = "Something wrong with the server. Please, try again later."
# Status: title and message. A title without blanks names the exception, for errors that have a message.
_ERRORS: Final = {
    400: ("Bad Request", "Bad request"),
    401: (
        "Unauthorized",
        "This request requires a valid API key. You can create a new API key on the Billing page: "
        "https://aimlapi.com/app/keys",
    ),
    403: ("Forbidden", "You do not have permission to use this resource."),
    404: ("Not Found", "Not found"),
    413: ("Payload Too Large", "Payload too large"),
    429: ("Too Many Requests", "Too Many Requests"),
    500: ("Internal Server Error", "Internal server error"),
    502: ("Bad Gateway", _TRY_LATER),
    503: ("Service Unavailable", _TRY_LATER),
    504: ("Gateway Timeout", "Generation timeout"),
    524: ("A timeout occurred", ""),
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
    """A complete HTTP answer: status, body, type, extra headers and the way of writing it."""

    status: int
    body: bytes | Iterable[bytes]
    content_type: str = "application/json; charset=utf-8"
    headers: dict[str, str] = field(default_factory=dict)
    delivery: Delivery = field(default_factory=Delivery)


def success_body(
    shape: Shape, entries: list[dict[str, Any]], flags: list[bool], *, seed: int, prompt: str, credits: int
) -> dict[str, Any]:
    """Build the JSON of a successful generation from its pictures, as the legacy shape lists them, and their flags."""
    usage = {"usage": {"credits_used": credits, "usd_spent": credits / CREDITS_PER_USD}}
    if shape == "current":
        shared = ("url", "b64_json", "image_base64")
        listed = [
            {"url": None, "b64_json": None} | {name: entry[name] for name in shared if name in entry}
            for entry in entries
        ]
        return {"data": listed, "meta": usage}
    body: dict[str, Any] = {
        "images": entries,
        "timings": {},
        "seed": seed,
        "has_nsfw_concepts": flags,
        "prompt": prompt,
    }
    return body if shape == "legacy" else {**body, "data": entries, "meta": usage}


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
    """Build an error in the service's own envelope, "new" (problem+json) or "old", which lists issues as messages."""
    title, usual = _ERRORS.get(status, ("Error", ""))
    text = message or usual or title
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
    name = name or (f"{title.replace(' ', '')}Exception" if usual else "HttpException")
    error = {"name": name, "message": text} | ({} if data is None else {"data": data})
    problem = {
        "title": title,
        "status": status,
        "message": text,
        "instance": path,
        "requestId": request_id,
        "timestamp": stamp,
        "error": error,
    }
    return json_reply(status, problem, "application/problem+json")


def proxy_reply(status: int, envelope: str) -> Reply:
    """Build the answer of a proxy in front of the service: HTML, text or nothing, without the service's envelope."""
    if envelope == "empty":
        return Reply(status, b"", "text/plain; charset=UTF-8")
    if envelope == "text":
        text = "error code: 1010" if status == 403 else f"error code: {status}"
        return Reply(status, text.encode(), "text/plain; charset=UTF-8")
    title = _ERRORS.get(status, ("Error", ""))[0]
    page = (
        f"<html>\r\n<head><title>{status} {title}</title></head>\r\n<body>\r\n"
        f"<center><h1>{status} {title}</h1></center>\r\n<hr><center>proxy (simulated)</center>\r\n"
        "</body>\r\n</html>\r\n"
    )
    return Reply(status, page.encode(), "text/html; charset=UTF-8")
