"""The addresses of the sandbox: a thin Flask application over the service.

Translates between HTTP and the service's values. It must not decide anything about requests, money or
pictures.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from typing import Any

from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException

from kontext_lab.sandbox.account_routes import AccountError, billing, log_page, models
from kontext_lab.sandbox.faults import FAULTS
from kontext_lab.sandbox.hosting import mask_png
from kontext_lab.sandbox.http_server import DELIVERY, TOO_LARGE
from kontext_lab.sandbox.replies import CREDITS_PER_USD, Reply, json_reply, proxy_reply
from kontext_lab.sandbox.simulated_service import GENERATIONS_PATH, Arrival, Service

__all__ = ["make_app"]

_CONTROL = "/sandbox"


def make_app(service: Service) -> Flask:
    """The WSGI application of one sandbox."""
    app = Flask("kontext_lab.sandbox", static_folder=None)
    _add_guards(app, service)
    _add_service(app, service)
    _add_pictures(app, service)
    _add_control(app, service)
    return app


def _headers() -> dict[str, str]:
    return {name.lower(): value for name, value in request.headers.items()}


def _respond(reply: Reply) -> Response:
    return Response(reply.body, reply.status, headers=reply.headers, content_type=reply.content_type)


def _add_guards(app: Flask, service: Service) -> None:
    """What holds for every address: the errors' envelope, the simulated header."""

    @app.errorhandler(HTTPException)
    def in_envelope(error: HTTPException) -> Response:
        status = 404 if error.code == 405 else error.code or 500
        message = f"Cannot {request.method} {request.path}" if status == 404 else None
        return _respond(service.error(status, request.path, uuid.uuid4().hex, message=message))

    @app.after_request
    def mark_as_simulated(response: Response) -> Response:
        response.headers["x-kontext-sandbox"] = "simulated"
        if response.is_json:  # a proxy's page knows no id
            response.headers.setdefault("x-request-id", uuid.uuid4().hex)
        return response


def _add_service(app: Flask, service: Service) -> None:
    @app.post(GENERATIONS_PATH, strict_slashes=False)
    def generate() -> Response:
        arrival = Arrival(
            _headers(), request.get_data(), bool(request.environ.get(TOO_LARGE)), request.host_url
        )
        outcome = service.generate(arrival)
        request.environ[DELIVERY] = outcome.delivery
        return _respond(outcome.reply)

    @app.get("/v1/models")
    def list_models() -> Response:
        return _respond(json_reply(200, models(service.settings.prices, request.args)))

    @app.get("/v2/billing")
    def show_balance() -> Response:
        if not service.knows_key(_headers()):
            return _respond(service.error(401, request.path, uuid.uuid4().hex))
        return _respond(json_reply(200, billing(service.ledger)))

    @app.get("/v2/logs")
    def show_log() -> Response:
        if not service.knows_key(_headers()):
            return _respond(service.error(401, request.path, uuid.uuid4().hex))
        try:
            return _respond(json_reply(200, log_page(service.ledger, request.args)))
        except AccountError as error:
            return _respond(service.error(400, request.path, uuid.uuid4().hex, message=str(error)))


def _add_pictures(app: Flask, service: Service) -> None:
    @app.get("/outputs/<path:name>")
    def download(name: str) -> Response:
        if authorization := request.headers.get("Authorization"):
            # The real host learns the key here: the sandbox remembers that, and serves the picture as that one may.
            scheme, space, _ = authorization.partition(" ")
            service.ledger.leak(request.path, scheme[:20] if space else "")
        if request.headers.get("User-Agent", "").lower().startswith("python-urllib"):
            return _respond(proxy_reply(403, "text"))
        found = service.hosting.get(name, request.args.get("hop", 0, int), request.host_url)
        request.environ[DELIVERY] = found.delivery
        body: bytes | Iterable[bytes] = found.body
        return Response(body, found.status, headers=found.headers, content_type=found.content_type)


def _add_control(app: Flask, service: Service) -> None:
    """Addresses for tests and scripts whose sandbox lives in another process."""

    @app.get(f"{_CONTROL}/calls")
    def list_calls() -> Response:
        return _respond(json_reply(200, [call.to_json() for call in service.ledger.calls()]))

    @app.get(f"{_CONTROL}/bill")
    def show_bill() -> Response:
        return _respond(json_reply(200, _bill(service)))

    @app.get(f"{_CONTROL}/faults")
    def list_faults() -> Response:
        presets = {name: fault.to_json() for name, fault in FAULTS.items()}
        return _respond(json_reply(200, {"presets": presets, **service.faults.to_json()}))

    @app.post(f"{_CONTROL}/faults")
    def set_faults() -> Response:
        body = request.get_json(force=True, silent=True)
        if not isinstance(body, dict | list):
            return _respond(json_reply(400, {"error": "send a list of faults or an object of probabilities"}))
        try:
            service.faults.set(body)
        except (ValueError, TypeError) as error:
            return _respond(json_reply(400, {"error": str(error)}))
        return _respond(json_reply(200, service.faults.to_json()))

    @app.delete(f"{_CONTROL}/faults")
    def clear_faults() -> Response:
        service.faults.clear()
        return _respond(json_reply(200, service.faults.to_json()))

    @app.get(f"{_CONTROL}/<any(truth, mark):which>/<sha256>.png")
    def show_mask(which: str, sha256: str) -> Response:
        store = service.truths if which == "truth" else service.marks
        try:
            return Response(mask_png(store.get(sha256)), content_type="image/png")
        except KeyError:
            return _respond(json_reply(404, {"error": f"no picture {sha256} was made here"}))


def _bill(service: Service) -> dict[str, Any]:
    ledger = service.ledger
    return {
        "usd": ledger.billed_credits / CREDITS_PER_USD,
        "credits": ledger.billed_credits,
        "balance": ledger.balance_credits / CREDITS_PER_USD,
        "in_flight": ledger.in_flight,
        "max_in_flight": ledger.max_in_flight,
        "key_leaks": [leak.path for leak in ledger.leaks()],
        "simulated": True,
    }
