"""The simulated service: one generation request from arrival to answer, with faults and money.

Decides in the contract's order – key, limits, body, model, credits, work, bill – and how the answer is delivered.
It must not know routes or sockets: it takes a request and returns a `Reply`, which says how to write it.
"""

from __future__ import annotations

import base64
import json
import logging
import re
import secrets
import threading
import time
import uuid
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import partial
from typing import Any, Final, Literal, NoReturn

from werkzeug.wrappers import Request

from kontext_lab.sandbox.billing import Call, Ledger, to_credits
from kontext_lab.sandbox.faults import NO_FAULT, Fault, FaultPlan, name_of
from kontext_lab.sandbox.fetched_references import (
    DecodedReference,
    ReferenceLoader,
    ReferenceRefusedError,
    record_of_uri,
)
from kontext_lab.sandbox.hosting import Hosting, MaskStore
from kontext_lab.sandbox.http_server import TOO_LARGE, Delivery
from kontext_lab.sandbox.painting import SimulatedPicture, black_picture, make_picture
from kontext_lab.sandbox.replies import (
    CREDITS_PER_USD,
    OUT_OF_CREDITS,
    Reply,
    Shape,
    error_reply,
    json_reply,
    proxy_reply,
    success_body,
)
from kontext_lab.sandbox.validation import FIELDS, Generation, check_body, reference_issue

__all__ = ["GENERATIONS_PATH", "Service"]

logger = logging.getLogger(__name__)

GENERATIONS_PATH: Final = "/v1/images/generations"
_LOST_S: Final = 600.0
_SCHEME: Final = re.compile(r"bearer\s+(\S.*)", re.IGNORECASE)
_CLIENT_ID: Final = re.compile(r"[A-Za-z0-9._:-]{1,128}")
_STAND_IN_HEADER: Final = "x-kontext-sandbox-stand-in"


class Refusal(Exception):
    """End of a request with an error reply: the given one, or one made from status and details."""

    def __init__(self, status: int, reply: Reply | None = None, **details: Any) -> None:
        super().__init__(status)
        self.status = status
        self.reply = reply
        self.details = details


@dataclass
class _Job:
    """State of one request during its work."""

    call: Call
    request: Request
    fault: Fault
    started: float
    model: str = "unknown"
    passed: bool = False  # the key was accepted: from here on the request is logged
    billed: bool = False
    stand_ins: tuple[str, ...] = ()
    pictures: list[SimulatedPicture] = field(default_factory=list)

    @property
    def ids(self) -> dict[str, str]:
        """The answer's headers that name the request."""
        ids = {"x-request-id": self.call.request_id, "x-inference-id": self.call.inference_id}
        client_id = self.call.client_request_id
        return ids if client_id is None else {**ids, "x-client-request-id": client_id}

    def delivery(self, body: bytes, done: Callable[[bool], None]) -> Delivery:
        """Decide how the answer is written."""
        whole, fault = Delivery(done=done), self.fault
        # A request that was refused before the work gets its refusal.
        if not (self.pictures or fault.kind == "cut_before"):
            return whole
        silent = replace(whole, cut="close" if fault.variant == "close" else "reset", limit=0)
        match fault.kind, fault.variant:
            case "lost", _:
                return replace(silent, hold=_LOST_S if fault.seconds is None else fault.seconds)
            case "cut_after", "middle":
                address = body.find(b"http")
                return replace(whole, cut="close", limit=len(body) // 2 if address < 0 else address + 8)
            case "cut_after", "late":
                return replace(whole, cut="close", limit=len(body) - 4)
            case "cut_after" | "cut_before", _:
                return silent
        return whole


@dataclass(kw_only=True, eq=False)
class Service:
    """The simulated service behind every address; `Sandbox` describes its settings."""

    shape: Shape
    envelope: Literal["new", "old"]
    latency: float
    prices: Mapping[str, float]
    keys: Collection[str] | None
    places: threading.Semaphore
    faults: FaultPlan
    ledger: Ledger
    hosting: Hosting
    references: ReferenceLoader
    masks: MaskStore = field(default_factory=MaskStore)
    stopping: threading.Event = field(default_factory=threading.Event)
    _admission: threading.Lock = field(default_factory=threading.Lock)

    def error(self, status: int, path: str, request_id: str, **details: Any) -> Reply:
        """Build an error in the envelope of the settings."""
        details = {"envelope": self.envelope, **details}
        return error_reply(status, path=path, request_id=request_id, **details)

    def knows_key(self, request: Request) -> bool:
        """True if the Authorization header carries an accepted key."""
        match = _SCHEME.fullmatch(request.headers.get("Authorization", "").strip())
        return match is not None and (self.keys is None or match[1].strip() in self.keys)

    def generate(self, request: Request) -> Reply:
        """Answer one `POST /v1/images/generations`."""
        job = self._admit(request)
        try:
            reply = self._answer(job)
        except Refusal as refusal:
            reply = self._refuse(job, refusal)
        except Exception:
            logger.exception("the sandbox failed to answer request %s", job.call.request_id)
            reply = self._refuse(job, Refusal(500, message="The sandbox itself failed; its log says why"))
        assert isinstance(reply.body, bytes)  # only downloads come in pieces
        delivery = job.delivery(reply.body, partial(self.ledger.settle, job.call.number))
        status = None if delivery.silent else reply.status
        self.ledger.close(job.call.number, status, writing=not delivery.hold)
        return replace(reply, delivery=delivery)

    def _admit(self, request: Request) -> _Job:
        """Record the arrival and choose its fault in one step, so that both keep the same order."""
        headers = {name.lower(): value for name, value in request.headers.items()}
        headers.pop("authorization", None)
        client_id = headers.get("x-client-request-id", "")
        with self._admission:
            fault = self.faults.next()
            call = self.ledger.open(
                Call(
                    number=0,
                    request_id=uuid.uuid4().hex,
                    inference_id=secrets.token_urlsafe(16),
                    # A malformed id is dropped silently, as the service does.
                    client_request_id=client_id if _CLIENT_ID.fullmatch(client_id) else None,
                    headers=headers,
                    fault=None if fault == NO_FAULT else name_of(fault),
                )
            )
        return _Job(call, request, fault, time.monotonic())

    def _answer(self, job: _Job) -> Reply:
        """Run the checks in order; a failing one raises `Refusal`."""
        fault = job.fault
        if fault.kind == "cut_before":
            return Reply(500, b"")  # never written
        if not self.knows_key(job.request):
            raise Refusal(401)
        if fault.kind == "error" and not fault.is_billed:
            self._note_body(job)
            self._pause(fault.seconds or 0.0)
            job.passed = fault.is_logged
            self._refuse_by(fault, 500)
        job.passed = True
        if not self.places.acquire(blocking=False):
            self._note_body(job)
            raise Refusal(429)
        try:
            return self._work(job)
        finally:
            self.places.release()

    def _note_body(self, job: _Job) -> Any:
        """Decode the body and record it without picture data; None if it is not JSON (NaN is not)."""

        def refuse(constant: str) -> NoReturn:
            raise ValueError(constant)

        def recorded(uris: Any) -> Any:
            if isinstance(uris, list):
                return [record_of_uri(uri) if isinstance(uri, str) else uri for uri in uris]
            return record_of_uri(uris) if isinstance(uris, str) else uris

        try:
            body = json.loads(job.request.get_data(), parse_constant=refuse)
        except (ValueError, RecursionError):
            return None
        if isinstance(body, dict):
            job.model = str(body.get("model", "unknown"))[:200]
            kept = {name: recorded(value) if name == "image_url" else value for name, value in body.items()}
            unknown = tuple(key for key in body if key not in FIELDS)
            self.ledger.update(job.call.number, body=kept, unknown_keys=unknown)
        return body

    def _work(self, job: _Job) -> Reply:
        if job.request.environ[TOO_LARGE]:
            raise Refusal(413)
        body = self._note_body(job)
        if body is None:
            raise Refusal(400, message="Request body is not valid JSON")
        request, issues = check_body(body)
        if request is None:
            raise Refusal(400, message=issues[0]["message"], data=issues)
        if request.model not in self.prices:
            known = ", ".join(self.prices)
            raise Refusal(404, message=f"Model {request.model[:200]} not found; the sandbox has {known}")
        references = self._load(job, request, single=isinstance(body["image_url"], str))
        price = to_credits(Decimal(str(self.prices[request.model])) * request.num_images)
        if not self.ledger.reserve(price):
            raise Refusal(403, **OUT_OF_CREDITS)
        try:
            seed = request.seed or secrets.randbelow(2**32 - 1) + 1
            reply = self._make(job, request, references, seed, price)
            # A lost answer's seconds are spent holding the connection instead.
            extra = 0.0 if job.fault.kind in ("lost", "download_slow") else job.fault.seconds or 0.0
            self._pause(self.latency + extra - (time.monotonic() - job.started))
        except BaseException:
            self.ledger.release(price)
            raise
        return self._settle(job, reply, price)

    def _load(self, job: _Job, request: Generation, single: bool) -> list[DecodedReference]:
        references, issues = [], []
        for index, uri in enumerate(request.image_urls):
            try:
                references.append(self.references.load(uri))
            except ReferenceRefusedError as error:
                issues.append(reference_issue(index, single, str(error)))
        if issues:
            raise Refusal(400, message=issues[0]["message"], data=issues)
        job.stand_ins = tuple(reference.stand_in for reference in references if reference.stand_in)
        digests = tuple(reference.sha256 for reference in references)
        self.ledger.update(job.call.number, references=digests, stand_ins=job.stand_ins)
        return references

    def _make(
        self, job: _Job, request: Generation, references: Sequence[DecodedReference], seed: int, price: int
    ) -> Reply:
        """Make the pictures, host them and write the answer, damaged as the fault wants it."""
        fault, count = job.fault, request.num_images
        kind, variant = fault.kind, fault.variant
        if kind == "no_picture":
            count = 0
        elif (kind, variant) == ("missing_one", "fewer"):
            count -= 1
        entries, flags = [], []
        for number in range(1, count + 1):
            struck = fault if fault.strikes(number) else NO_FAULT
            black = struck.kind in ("moderated", "black")
            if (kind, variant) == ("missing_one", "black"):
                black = number == (fault.picture or request.num_images)
            if black:
                picture = black_picture(request, references)
            else:
                picture = make_picture(request, references, seed, number - 1)
            job.pictures.append(picture)
            flags.append(struck.kind == "moderated")
            entries.append(self._entry(picture, struck, job.request.host_url))
        if (kind, variant) == ("unreadable", "text"):
            return Reply(200, b"OK, your picture is ready", "text/plain; charset=utf-8")
        if kind == "unreadable":
            return json_reply(200, {"result": {"status": "succeeded", "assets": [{"kind": "image"}]}})
        seed = seed % 2**32 or 1
        shape, prompt = self.shape, request.prompt
        return json_reply(200, success_body(shape, entries, flags, seed=seed, prompt=prompt, credits=price))

    def _entry(self, picture: SimulatedPicture, fault: Fault, base_url: str) -> dict[str, Any]:
        """Host a picture, or put its bytes into the answer if the fault wants that."""
        height, width = picture.truth.shape
        self.masks.put(picture.sha256, truth=picture.truth, mark=picture.mark_mask)
        inline, url = {}, None
        if fault.kind == "b64":
            inline = {fault.variant: base64.b64encode(picture.data).decode()}
        else:
            url = f"{base_url}outputs/{self.hosting.put(picture.data, picture.content_type, fault)}"
        file = {"width": width, "height": height, "file_name": None, "file_size": None}
        return {"url": url, "content_type": picture.content_type, **file, **inline}

    def _pause(self, seconds: float) -> None:
        if seconds > 0:
            self.stopping.wait(seconds)

    def _settle(self, job: _Job, reply: Reply, price: int) -> Reply:
        """Bill the work, unless the fault makes it fail."""
        fault = job.fault
        outputs = tuple(picture.sha256 for picture in job.pictures)
        self.ledger.update(job.call.number, outputs=outputs)
        if not fault.is_billed:
            self.ledger.release(price)
            raise Refusal(500)
        self.ledger.charge(job.call.number, price)
        job.billed = True
        if fault.is_logged:
            self.ledger.log(job.call.number, succeeded=True, model=job.model, credits=price)
        if fault.kind == "error":
            self._refuse_by(fault, 502)
        usd = Decimal(price) / CREDITS_PER_USD
        money = {"x-aimlapi-credits-used": str(price), "x-aimlapi-usd-spent": f"{usd:.9f}"}
        stand_ins = {_STAND_IN_HEADER: ", ".join(job.stand_ins)} if job.stand_ins else {}
        return replace(reply, headers=job.ids | money | stand_ins)

    def _refuse(self, job: _Job, refusal: Refusal) -> Reply:
        """Build an error reply; refused work is logged as failed and costs nothing."""
        fault = job.fault
        if job.passed and not job.billed and fault.logged is not False:
            self.ledger.log(job.call.number, succeeded=False, model=job.model, credits=0)
        if refusal.reply is not None:
            return refusal.reply
        reply = self.error(refusal.status, GENERATIONS_PATH, job.call.request_id, **refusal.details)
        retry = {}
        if fault.retry_after is not None and fault.status == refusal.status:
            retry = {"Retry-After": str(fault.retry_after)}
        return replace(reply, headers=job.ids | retry)

    def _refuse_by(self, fault: Fault, status: int) -> NoReturn:
        """Refuse as an error fault says: in the service's envelope, or with the page of a proxy."""
        status = fault.status or status
        if fault.from_proxy:
            raise Refusal(status, proxy_reply(status, str(fault.envelope)))
        details = OUT_OF_CREDITS if fault.variant == "credits" else {}
        raise Refusal(status, envelope=fault.envelope or self.envelope, **details)
