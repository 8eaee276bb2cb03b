"""The service itself: one generation request from arrival to answer, with faults and money.

Decides in the contract's order – key, limits, body, model, credits, work, bill – and says how the answer is
delivered. It must not know Flask or sockets: it takes an `Arrival` and gives an `Outcome`.
"""

from __future__ import annotations

import json
import logging
import re
import secrets
import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

from kontext_lab.sandbox import replies
from kontext_lab.sandbox.billing import Call, Ledger, to_credits
from kontext_lab.sandbox.configuration import Settings
from kontext_lab.sandbox.faults import Fault, FaultPlan, name_of
from kontext_lab.sandbox.fetched_references import (
    DecodedReference,
    ReferenceLoader,
    ReferenceRefusedError,
    record_of_uri,
)
from kontext_lab.sandbox.hosting import Hosting, TruthStore
from kontext_lab.sandbox.http_server import Delivery
from kontext_lab.sandbox.painting import SimulatedPicture, black_picture, make_picture
from kontext_lab.sandbox.replies import (
    CREDITS_PER_USD,
    OutputItem,
    Reply,
    error_reply,
    proxy_reply,
    success_body,
)
from kontext_lab.sandbox.validation import FIELDS, Generation, check_body, reference_issue

__all__ = ["Arrival", "Outcome", "Service"]

logger = logging.getLogger(__name__)

GENERATIONS_PATH: Final = "/v1/images/generations"
_LOST_S: Final = 600.0
_SCHEME: Final = re.compile(r"bearer\s+(\S.*)", re.IGNORECASE)
_CLIENT_ID: Final = re.compile(r"[A-Za-z0-9._:-]{1,128}")
_STAND_IN_HEADER: Final = "x-kontext-sandbox-stand-in"


@dataclass(frozen=True)
class Arrival:
    """A generation request as it came off the wire; header names in lower case."""

    headers: Mapping[str, str]
    body: bytes
    too_large: bool
    base_url: str


@dataclass(frozen=True)
class Outcome:
    """An answer and how it is to be written."""

    reply: Reply
    delivery: Delivery


class Refusal(Exception):
    """The request ends with an error reply."""

    def __init__(self, status: int, reply: Reply | None = None, **details: Any) -> None:
        super().__init__(status)
        self.status = status
        self.reply = reply
        self.details = details


@dataclass
class _Job:
    """What is known of one request while it is being worked on."""

    call: Call
    arrival: Arrival
    fault: Fault | None
    started: float
    model: str = "unknown"
    passed: bool = False  # the key was accepted: from here on the account's log knows of it
    billed: bool = False
    stand_ins: tuple[str, ...] = ()
    pictures: list[SimulatedPicture] = field(default_factory=list)


class Service:
    """The simulated service behind every address."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.stopping = threading.Event()
        self.faults = FaultPlan(settings.faults, settings.seed)
        self.ledger = Ledger(settings.balance, settings.log_delay, settings.concurrency)
        self.hosting = Hosting(settings.url_lifetime)
        self.truths = TruthStore()
        self.marks = TruthStore()
        self._admission = threading.Lock()
        self._references = ReferenceLoader(settings.fetch)

    # shared by several addresses

    def error(self, status: int, path: str, request_id: str, **details: Any) -> Reply:
        """An error in the envelope the sandbox is set to."""
        details.setdefault("envelope", self.settings.envelope)
        return error_reply(status, path=path, request_id=request_id, **details)

    def knows_key(self, headers: Mapping[str, str]) -> bool:
        """Whether the Authorization header carries an accepted key."""
        match = _SCHEME.fullmatch(headers.get("authorization", "").strip())
        return match is not None and (self.settings.keys is None or match[1].strip() in self.settings.keys)

    # generation

    def generate(self, arrival: Arrival) -> Outcome:
        """Answer one `POST /v1/images/generations`."""
        job = self._admit(arrival)
        try:
            reply = self._answer(job)
        except Refusal as refusal:
            reply = self._refuse(job, refusal)
        except Exception:
            logger.exception("the sandbox failed to answer request %s", job.call.request_id)
            reply = self._refuse(job, Refusal(500, message="The sandbox itself failed; its log says why"))
        delivery = self._delivery(job, reply)
        status = None if delivery.silent else reply.status
        self.ledger.close(job.call.number, status, writing=not delivery.hold)
        return Outcome(reply, delivery)

    def _admit(self, arrival: Arrival) -> _Job:
        """Record the arrival and deal it its fault, in one step, so that both keep the same order."""
        headers = {name: value for name, value in arrival.headers.items() if name != "authorization"}
        client_id = headers.get("x-client-request-id", "")
        with self._admission:
            fault = self.faults.next()
            call = self.ledger.open(
                Call(
                    number=0,
                    request_id=uuid.uuid4().hex,
                    inference_id=secrets.token_urlsafe(16),
                    # A malformed one is dropped without a word.
                    client_request_id=client_id if _CLIENT_ID.fullmatch(client_id) else None,
                    headers=headers,
                    fault=name_of(fault),
                )
            )
        return _Job(call, arrival, fault, time.monotonic())

    def _answer(self, job: _Job) -> Reply:
        """The order of checks; raises `Refusal` where one fails."""
        fault = job.fault
        if fault is not None and fault.kind == "cut_before":
            return Reply(500, b"")  # never written
        if not self.knows_key(job.arrival.headers):
            raise Refusal(401)
        if fault is not None and fault.kind == "error" and not fault.is_billed:
            self._note_body(job)
            self._pause(fault.seconds or 0.0)
            job.passed = fault.is_logged
            raise Refusal(fault.status or 500, _fault_reply(fault), **self._fault_details(fault))
        job.passed = True
        if not self.ledger.start_work():
            self._note_body(job)
            raise Refusal(429)
        try:
            return self._work(job)
        finally:
            self.ledger.end_work()

    def _note_body(self, job: _Job) -> Any:
        """Decode the body and record it without picture data; None if it is not JSON."""
        body = _decode_json(job.arrival.body)
        if isinstance(body, dict):
            job.model = str(body.get("model", "unknown"))[:200]
            self.ledger.update(
                job.call.number,
                body=_without_pictures(body),
                unknown_keys=tuple(key for key in body if key not in FIELDS),
            )
        return body

    def _work(self, job: _Job) -> Reply:
        if job.arrival.too_large:
            raise Refusal(413)
        body = self._note_body(job)
        if body is None:
            raise Refusal(400, message="Request body is not valid JSON")
        request, issues = check_body(body)
        if request is None:
            raise Refusal(400, message=issues[0]["message"], data=issues)
        if request.model not in self.settings.prices:
            known = ", ".join(self.settings.prices)
            raise Refusal(404, message=f"Model {request.model[:200]} not found; the sandbox has {known}")
        references = self._load(job, request, single=isinstance(body["image_url"], str))
        price = to_credits(Decimal(str(self.settings.prices[request.model])) * request.num_images)
        if not self.ledger.reserve(price):
            raise Refusal(403, **_out_of_credits())
        try:
            seed = request.seed or secrets.randbelow(2**32 - 1) + 1
            reply = self._make(job, request, references, seed, price)
            self._pause(self.settings.latency + self._extra(job.fault) - (time.monotonic() - job.started))
        except BaseException:
            self.ledger.release(price)
            raise
        return self._settle(job, reply, price)

    def _load(self, job: _Job, request: Generation, single: bool) -> list[DecodedReference]:
        references, issues = [], []
        for index, uri in enumerate(request.image_urls):
            try:
                references.append(self._references.load(uri))
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
        fault = job.fault
        items = []
        for number in range(1, self._count(fault, request.num_images) + 1):
            flagged = fault is not None and fault.kind == "moderated" and fault.strikes(number)
            if flagged or _is_black(fault, number, request.num_images):
                picture = black_picture(request, references)
            else:
                picture = make_picture(request, references, seed, number - 1)
            job.pictures.append(picture)
            items.append(self._item(picture, number, flagged, fault, job.arrival.base_url))
        if fault is not None and fault.kind == "unreadable":
            return _unreadable(fault)
        body = success_body(
            self.settings.shape, items, seed=seed % 2**32 or 1, prompt=request.prompt, credits=price
        )
        return replies.json_reply(200, body)

    def _item(
        self, picture: SimulatedPicture, number: int, flagged: bool, fault: Fault | None, base_url: str
    ) -> OutputItem:
        height, width = picture.truth.shape
        sha256 = picture.sha256
        self.truths.put(sha256, picture.truth)
        self.marks.put(sha256, picture.mark_mask)
        if fault is not None and fault.kind == "b64" and fault.strikes(number):
            return OutputItem(None, picture.content_type, width, height, flagged, picture.data, fault.variant)
        damage = fault if fault is not None and fault.strikes(number) else None
        name = self.hosting.put(picture.data, picture.content_type, damage)
        return OutputItem(
            f"{base_url.rstrip('/')}/outputs/{name}", picture.content_type, width, height, flagged
        )

    @staticmethod
    def _count(fault: Fault | None, asked: int) -> int:
        if fault is not None and fault.kind == "no_picture":
            return 0
        if fault is not None and fault.kind == "missing_one" and fault.variant == "fewer":
            return asked - 1
        return asked

    @staticmethod
    def _extra(fault: Fault | None) -> float:
        """Seconds the fault adds before the answer; a lost answer's seconds are spent holding instead."""
        if fault is None or fault.seconds is None or fault.kind in ("lost", "download_slow"):
            return 0.0
        return fault.seconds

    def _pause(self, seconds: float) -> None:
        if seconds > 0:
            self.stopping.wait(seconds)

    def _settle(self, job: _Job, reply: Reply, price: int) -> Reply:
        """Bill the work, unless the fault says that it failed."""
        fault = job.fault
        outputs = tuple(picture.sha256 for picture in job.pictures)
        self.ledger.update(job.call.number, outputs=outputs)
        if fault is not None and not fault.is_billed:
            self.ledger.release(price)
            raise Refusal(500)
        self.ledger.charge(job.call.number, price)
        job.billed = True
        if fault is None or fault.is_logged:
            self.ledger.log(job.call.number, succeeded=True, model=job.model, credits=price)
        if fault is not None and fault.kind == "error":
            raise Refusal(fault.status or 502, _fault_reply(fault), **self._fault_details(fault))
        usd = Decimal(price) / CREDITS_PER_USD
        money = {"x-aimlapi-credits-used": str(price), "x-aimlapi-usd-spent": f"{usd:.9f}"}
        stand_ins = {_STAND_IN_HEADER: ", ".join(job.stand_ins)} if job.stand_ins else {}
        return Reply(reply.status, reply.body, reply.content_type, self._ids(job) | money | stand_ins)

    def _refuse(self, job: _Job, refusal: Refusal) -> Reply:
        """An error reply; refused work is logged as failed and costs nothing."""
        fault = job.fault
        if job.passed and not job.billed and (fault is None or fault.logged is not False):
            self.ledger.log(job.call.number, succeeded=False, model=job.model, credits=0)
        if refusal.reply is not None:
            return refusal.reply
        reply = self.error(refusal.status, GENERATIONS_PATH, job.call.request_id, **refusal.details)
        retry = {}
        if fault is not None and fault.retry_after is not None and fault.status == refusal.status:
            retry = {"Retry-After": str(fault.retry_after)}
        return Reply(reply.status, reply.body, reply.content_type, self._ids(job) | retry)

    def _fault_details(self, fault: Fault) -> dict[str, Any]:
        details: dict[str, Any] = {"envelope": fault.envelope or self.settings.envelope}
        return details | (_out_of_credits() if fault.variant == "credits" else {})

    @staticmethod
    def _ids(job: _Job) -> dict[str, str]:
        ids = {"x-request-id": job.call.request_id, "x-inference-id": job.call.inference_id}
        client_id = job.call.client_request_id
        if client_id is not None:
            ids["x-client-request-id"] = client_id
        return ids

    def _delivery(self, job: _Job, reply: Reply) -> Delivery:
        """How the answer is written, and who is told about it."""
        number = job.call.number
        done: Callable[[bool], None] = lambda delivered: self.ledger.settle(number, delivered)  # noqa: E731  one use
        fault = job.fault
        if fault is None:
            return Delivery(done=done)
        if fault.kind == "cut_before":
            return Delivery(cut="close" if fault.variant == "close" else "reset", limit=0, done=done)
        struck = bool(job.pictures)  # a request refused before the work gets its refusal
        if fault.kind == "lost" and struck:
            hold = _LOST_S if fault.seconds is None else fault.seconds
            return Delivery(hold=hold, cut="reset", limit=0, done=done)
        if fault.kind == "cut_after" and struck:
            if fault.variant == "middle":
                address = reply.body.find(b"http")
                half = len(reply.body) // 2
                return Delivery(cut="close", limit=half if address < 0 else address + 8, done=done)
            if fault.variant == "late":
                return Delivery(cut="close", limit=len(reply.body) - 4, done=done)
            return Delivery(cut="close" if fault.variant == "close" else "reset", limit=0, done=done)
        return Delivery(done=done)


def _fault_reply(fault: Fault) -> Reply | None:
    """A proxy's page, if the fault is one."""
    return proxy_reply(fault.status or 502, str(fault.envelope)) if fault.from_proxy else None


def _out_of_credits() -> dict[str, Any]:
    return {
        "name": "OutOfFundsException",
        "message": replies.OUT_OF_CREDITS,
        "data": {"kind": replies.CREDITS_KIND},
    }


def _is_black(fault: Fault | None, number: int, asked: int) -> bool:
    if fault is None:
        return False
    if fault.kind == "missing_one" and fault.variant == "black":
        return number == (fault.picture or asked)
    return fault.kind == "black" and fault.strikes(number)


def _unreadable(fault: Fault) -> Reply:
    if fault.variant == "text":
        return Reply(200, b"OK, your picture is ready", "text/plain; charset=utf-8")
    return replies.json_reply(200, {"result": {"status": "succeeded", "assets": [{"kind": "image"}]}})


def _decode_json(body: bytes) -> Any:
    """The decoded body; None for anything that is not JSON (NaN included), or JSON null."""

    def refuse(constant: str) -> None:
        raise ValueError(constant)

    try:
        return json.loads(body, parse_constant=refuse)
    except (ValueError, RecursionError):
        return None


def _without_pictures(body: Mapping[str, Any]) -> dict[str, Any]:
    kept = dict(body)
    references = kept.get("image_url")
    if isinstance(references, str):
        kept["image_url"] = record_of_uri(references)
    elif isinstance(references, list):
        kept["image_url"] = [record_of_uri(uri) if isinstance(uri, str) else uri for uri in references]
    return kept
