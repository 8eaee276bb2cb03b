"""Addresses of the sandbox: a thin Flask application over the service.

Translates between HTTP and the service's values, and answers the account's questions (models, balance, log) as the
provider's published schemas say. It must not decide anything about generations, money or pictures.

`GET /v2/logs` wants either `period` ("24h", "7d") or both `start` and `end` (ISO 8601, at most 92 days);
`limit` is 1–100 (50), `offset` from 0, `status` (succeeded, failed) and `model` may be repeated and are not
split at commas. Rows come newest first.
"""

from __future__ import annotations

import io
import re
import time
import uuid
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np
from flask import Flask, Response, request
from PIL import Image
from werkzeug.datastructures import MultiDict
from werkzeug.exceptions import HTTPException

from kontext_lab.sandbox.billing import Ledger
from kontext_lab.sandbox.faults import FAULTS
from kontext_lab.sandbox.http_server import DELIVERY
from kontext_lab.sandbox.replies import CREDITS_PER_USD, Reply, json_reply, proxy_reply
from kontext_lab.sandbox.simulated_service import GENERATIONS_PATH, Service

__all__ = ["make_app"]

_MAX_WINDOW_S: Final = 92 * 86400
_NAMES: Final = {
    "flux/kontext-pro/image-to-image": "FLUX.1 Kontext [pro]",
    "flux/kontext-max/image-to-image": "FLUX.1 Kontext [max]",
}


def make_app(service: Service) -> Flask:
    """Build the WSGI application of one sandbox."""
    app = Flask("kontext_lab.sandbox", static_folder=None)

    @app.errorhandler(HTTPException)
    def in_envelope(error: HTTPException) -> Response:
        status = 404 if error.code == 405 else error.code or 500
        return _refused(service, status, f"Cannot {request.method} {request.path}" if status == 404 else None)

    @app.after_request
    def mark_as_simulated(response: Response) -> Response:
        response.headers["x-kontext-sandbox"] = "simulated"
        if response.is_json:  # a proxy's page knows no id
            response.headers.setdefault("x-request-id", uuid.uuid4().hex)
        return response

    _add_service(app, service)
    _add_control(app, service)
    return app


def _respond(reply: Reply) -> Response:
    """Translate a reply; its way of writing goes to the server."""
    request.environ[DELIVERY] = reply.delivery
    return Response(reply.body, reply.status, headers=reply.headers, content_type=reply.content_type)


def _json(status: int, body: Any) -> Response:
    return _respond(json_reply(status, body))


def _refused(service: Service, status: int, message: str | None = None) -> Response:
    return _respond(service.error(status, request.path, uuid.uuid4().hex, message=message))


def _add_service(app: Flask, service: Service) -> None:
    """Addresses that the real service and its picture host have."""

    @app.post(GENERATIONS_PATH, strict_slashes=False)
    def generate() -> Response:
        return _respond(service.generate(request))

    @app.get("/v1/models")
    def list_models() -> Response:
        return _json(200, _models(service.prices, request.args))

    @app.get("/v2/billing")
    def show_balance() -> Response:
        if not service.knows_key(request):
            return _refused(service, 401)
        balance = service.ledger.balance / CREDITS_PER_USD
        return _json(200, {"current_balance": balance, "currency": "USD"})

    @app.get("/v2/logs")
    def show_log() -> Response:
        if not service.knows_key(request):
            return _refused(service, 401)
        try:
            return _json(200, _log_page(service.ledger, request.args))
        except ValueError as error:
            return _refused(service, 400, str(error))

    @app.get("/outputs/<path:name>")
    def download(name: str) -> Response:
        if authorization := request.headers.get("Authorization"):
            # The real host would learn the key here. The sandbox records that and serves the picture.
            scheme, space, _ = authorization.partition(" ")
            service.ledger.leak(request.path, scheme[:20] if space else "")
        if request.headers.get("User-Agent", "").lower().startswith("python-urllib"):
            return _respond(proxy_reply(403, "text"))
        return _respond(service.hosting.get(name, request.args.get("hop", 0, int), request.host_url))


def _add_control(app: Flask, service: Service) -> None:
    """Addresses for tests and scripts whose sandbox lives in another process."""

    @app.get("/sandbox/calls")
    def list_calls() -> Response:
        return _json(200, [asdict(call) for call in service.ledger.calls()])

    @app.get("/sandbox/bill")
    def show_bill() -> Response:
        ledger = service.ledger
        bill = {
            "usd": ledger.billed / CREDITS_PER_USD,
            "credits": ledger.billed,
            "balance": ledger.balance / CREDITS_PER_USD,
            "in_flight": ledger.in_flight,
            "max_in_flight": ledger.max_in_flight,
            "key_leaks": [leak.path for leak in ledger.leaks()],
            "simulated": True,
        }
        return _json(200, bill)

    @app.get("/sandbox/faults")
    def list_faults() -> Response:
        presets = {name: fault.to_json() for name, fault in FAULTS.items()}
        return _json(200, {"presets": presets, **service.faults.to_json()})

    @app.post("/sandbox/faults")
    def set_faults() -> Response:
        body = request.get_json(force=True, silent=True)
        if not isinstance(body, dict | list):
            return _json(400, {"error": "send a list of faults or an object of probabilities"})
        try:
            service.faults.set(body)
        except (ValueError, TypeError) as error:
            return _json(400, {"error": str(error)})
        return _json(200, service.faults.to_json())

    @app.delete("/sandbox/faults")
    def clear_faults() -> Response:
        service.faults.set(())
        service.faults.set({})
        return _json(200, service.faults.to_json())

    @app.get("/sandbox/<any(truth, mark):which>/<sha256>.png")
    def show_mask(which: str, sha256: str) -> Response:
        try:
            mask = service.masks.get(which, sha256)
        except KeyError:
            return _json(404, {"error": f"no picture {sha256} was made here"})
        buffer = io.BytesIO()  # white where the mask is true
        Image.fromarray(mask.astype(np.uint8) * 255).save(buffer, "PNG", compress_level=1)
        return _respond(Reply(200, buffer.getvalue(), "image/png"))


def _models(prices: Mapping[str, float], query: MultiDict[str, str]) -> dict[str, Any]:
    """Answer `GET /v1/models`: filtered by `id`, prices only if `include` asks for them."""
    # Both may be repeated or separated by commas.
    wanted, include = (
        {part.strip() for value in query.getlist(name) for part in value.split(",") if part.strip()}
        for name in ("id", "include")
    )
    wanted = {name.lower() for name in wanted}
    if query.get("details") == "true":
        include.add("all")
    data = []
    for name, price in prices.items():
        if wanted and name.lower() not in wanted:
            continue
        info = {"name": _NAMES.get(name, name), "developer": "Flux"}
        entry = {"id": name, "aliases": [], "type": "openai/image-generations", "info": info, "tags": []}
        if include & {"pricing", "all"}:
            unit = {"name": "image", "content": "image", "origin": "generated", "price": price, "per": 1}
            entry["pricing"] = {"kind": "fixed", "units": [unit]}
        data.append(entry)
    return {"object": "list", "data": data}


def _log_page(ledger: Ledger, query: MultiDict[str, str]) -> dict[str, Any]:
    """Answer `GET /v2/logs`; raises `ValueError` for a missing or wrong parameter."""
    start, end = _window(query)
    limit, offset = query.get("limit", "50"), query.get("offset", "0")
    if not limit.isdecimal() or not 1 <= int(limit) <= 100:
        raise ValueError("limit must be a whole number from 1 to 100")
    if not offset.isdecimal():
        raise ValueError("offset must be a whole number from 0")
    first, end_of_page = int(offset), int(offset) + int(limit)
    statuses = query.getlist("status")
    if any(status not in ("succeeded", "failed") for status in statuses):
        raise ValueError("status must be succeeded or failed")
    rows = ledger.rows(start, end, statuses, query.getlist("model"))
    more = end_of_page < len(rows)
    pagination = {"limit": int(limit), "offset": first, "total": len(rows), "has_more": more}
    return {"data": rows[first:end_of_page], "pagination": pagination}


def _window(query: MultiDict[str, str]) -> tuple[float, float]:
    """Read the window's start and end, in seconds since the epoch."""
    period, start, end = query.get("period"), query.get("start"), query.get("end")
    if period is not None and start is None and end is None:
        match = re.fullmatch(r"([1-9]\d{0,5})([hd])", period)
        if match is None:
            raise ValueError("period must be a positive integer followed by h or d")
        seconds = int(match[1]) * (3600 if match[2] == "h" else 86400)
        if seconds > _MAX_WINDOW_S:
            raise ValueError("the window must not exceed 92 days")
        # Open at the end: a row that appears while the question is asked belongs to it.
        return time.time() - seconds, time.time() + 60
    if period is not None or start is None or end is None:
        raise ValueError("provide either period or both start and end")
    instants = []
    for name, text in (("start", start), ("end", end)):
        try:
            # A plus sign that was not escaped arrives as a space.
            moment = datetime.fromisoformat(text.replace(" ", "+") if "T" in text else text)
        except ValueError:
            raise ValueError(f"{name} must be an ISO 8601 date") from None
        instants.append((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())
    first, last = instants
    if last < first:
        raise ValueError("end must not be earlier than start")
    if last - first > _MAX_WINDOW_S:
        raise ValueError("the window must not exceed 92 days")
    return first, last
