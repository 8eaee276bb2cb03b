"""Reading a 2xx answer: three shapes are in the wild, and whatever else comes must not raise.

Pure functions from bytes to plain values. Knows nothing of connections; that an answer's pictures lie
elsewhere is only a URL here.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlsplit

from kontext_lab.answer import RawAnswer, Reason
from kontext_lab.request import EditRequest

__all__ = [
    "CREDITS_PER_USD",
    "Item",
    "ParsedAnswer",
    "RawAnswer",
    "cost_of",
    "kept_headers",
    "number_of",
    "read_answer",
]

CREDITS_PER_USD = 2_000_000

MAX_ITEMS = 64
"""More pictures than these are not read from one answer: at most 4 can be asked for."""

MAX_TEXT = 200_000
"""Characters of an answer's text that are kept."""

_KEPT_HEADERS = frozenset(
    (
        "content-type",
        "date",
        "x-aimlapi-credits-used",
        "x-aimlapi-usd-spent",
        "x-client-request-id",
        "x-inference-id",
        "x-kontext-sandbox",
        "x-request-id",
    )
)

_LISTS = ("images", "data")
_INLINE = ("b64_json", "image_base64")
_KNOWN = ("url", *_INLINE)
# Longer than any address or token, shorter than any picture worth the name.
_LONG_BASE64 = re.compile(r"[A-Za-z0-9+/=_\\-]{4096,}")
_INLINE_TEXT = re.compile(r'("(?:b64_json|image_base64)"\s*:\s*")([^"]{200,})')
_NUMBER = re.compile(r"\s*\+?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*", re.ASCII)


@dataclass(frozen=True)
class Item:
    """One picture an answer lists: where it lies, or its bytes.

    Attributes:
        url: an http(s) address, or None where the bytes came along.
        data: the bytes where they came along, else empty.
        flagged: the service's moderation flagged it.
        reason: why there is neither, or None.
        note: one line for a person where there is a reason.
    """

    url: str | None = None
    data: bytes = field(default=b"", repr=False)
    flagged: bool = False
    reason: Reason | None = None
    note: str = ""


@dataclass(frozen=True)
class ParsedAnswer:
    """What a 2xx answer says.

    Attributes:
        items: the pictures it lists, each once.
        seed: the seed it reports, or None.
        cost: US dollars billed.
        cost_source: `header`, `usage` or `price`.
        reason: UNREADABLE where the shape is unknown, else None.
        note: one line for a person where there is a reason.
        text: the body as text, without inline pictures, cut to a sane length.
    """

    items: tuple[Item, ...] = ()
    seed: int | None = None
    cost: float = 0.0
    cost_source: str = "price"
    reason: Reason | None = None
    note: str = ""
    text: str = field(default="", repr=False)

    @property
    def flags(self) -> tuple[bool, ...]:
        """Whether moderation flagged each item."""
        return tuple(item.flagged for item in self.items)


def read_answer(raw: RawAnswer, request: EditRequest, max_bytes: int = 64 * 1024 * 1024) -> ParsedAnswer:
    """Understand an answer as far as it can be understood; never raises.

    Args:
        raw: the answer.
        request: what was asked, for the price where the answer names no cost.
        max_bytes: largest inline picture that is accepted.
    """
    text = raw.body.decode("utf-8", "replace")
    body = _json_object(text)
    cost, source = cost_of(raw.headers, body, request.cost)
    found = ParsedAnswer(cost=cost, cost_source=source, text=_without_pictures(text))
    if body is None:
        note = "the answer is not a JSON object" if text.strip() else "the answer is empty"
        return replace(found, reason=Reason.UNREADABLE, note=note)
    lists = [body[name] for name in _LISTS if isinstance(body.get(name), list)]
    if not lists and not any(name in body and body[name] is None for name in _LISTS):
        keys = ", ".join(ascii(name)[1:-1][:40] for name in list(body)[:8]) or "no keys at all"
        note = f"the answer lists no pictures under a known name; it has {keys}"
        return replace(found, reason=Reason.UNREADABLE, note=note)
    flags = body.get("has_nsfw_concepts")
    return replace(found, items=_items(lists, flags, max_bytes), seed=_seed(body.get("seed")))


def cost_of(headers: Mapping[str, str], body: Mapping[str, Any] | None, price: float) -> tuple[float, str]:
    """What was billed in US dollars, and where that is known from: header, usage, else the price."""
    meta = (body or {}).get("meta")
    usage = meta.get("usage") if isinstance(meta, dict) else None
    usage = usage if isinstance(usage, dict) else {}
    told = (
        ("header", headers.get("x-aimlapi-usd-spent"), 1),
        ("header", headers.get("x-aimlapi-credits-used"), CREDITS_PER_USD),
        ("usage", usage.get("usd_spent"), 1),
        ("usage", usage.get("credits_used"), CREDITS_PER_USD),
    )
    for source, value, unit in told:
        if (amount := number_of(value)) is not None:
            return amount / unit, source
    return price, "price"


def kept_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers of an answer that are worth logging: ids, credits, the sandbox's mark."""
    return {name: value for name, value in headers.items() if name in _KEPT_HEADERS}


def number_of(value: object) -> float | None:
    """A finite number of 0 or more, given as number or text; None for everything else."""
    if isinstance(value, str):
        if len(value) > 40 or not _NUMBER.fullmatch(value):
            return None
    elif isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) and number >= 0 else None


def _json_object(text: str) -> dict[str, Any] | None:
    try:
        body = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return body if isinstance(body, dict) else None


def _seed(value: object) -> int | None:
    number = number_of(value)
    if number is None or number != int(number):
        return None
    return value if isinstance(value, int) else int(number)


def _items(lists: list[list[Any]], flags: object, max_bytes: int) -> tuple[Item, ...]:
    """Every picture once, although two lists may name the same ones."""
    entries = _merged([one[:MAX_ITEMS] for one in lists])
    items = [_item(entry, _flag(flags, place), max_bytes) for place, entry in entries]
    seen: set[str] = set()
    kept = []
    for item in items:
        mark = item.url or (hashlib.sha256(item.data).hexdigest() if item.data else "")
        if not mark or mark not in seen:
            kept.append(item)
        seen.add(mark)
    return tuple(kept[:MAX_ITEMS])


def _merged(lists: list[list[Any]]) -> list[tuple[int, Any]]:
    """The entries with their places; of lists of equal length, one tells what the other leaves out."""
    if len(lists) != 2 or len(lists[0]) != len(lists[1]):
        return [numbered for one in lists for numbered in enumerate(one)]
    entries = [
        {**second, **{name: value for name, value in first.items() if value is not None}}
        if isinstance(first, dict) and isinstance(second, dict)
        else (second if first is None else first)
        for first, second in zip(*lists, strict=True)
    ]
    return list(enumerate(entries))


def _flag(flags: object, place: int) -> bool:
    if isinstance(flags, list):
        return place < len(flags) and flags[place] is True
    return flags is True


def _item(entry: object, flagged: bool, max_bytes: int) -> Item:
    if isinstance(entry, str):
        entry = {"url": entry}
    if entry is None:
        return Item(
            flagged=flagged, reason=Reason.EMPTY, note="the answer lists nothing in the picture's place"
        )
    if not isinstance(entry, dict) or not any(name in entry for name in _KNOWN):
        return Item(
            flagged=flagged, reason=Reason.UNREADABLE, note="the answer lists a picture in an unknown form"
        )
    inline = next((entry[name] for name in _INLINE if isinstance(entry.get(name), str) and entry[name]), None)
    url = entry.get("url")
    if inline is None and isinstance(url, str) and url[:5].lower() == "data:":
        inline, url = url, None
    found = _inline_item(inline, max_bytes) if inline is not None else None
    if found is None or found.reason is not None:
        # Bytes that came along can't expire, so they go first; damaged ones leave the address.
        found = _linked_item(url) if isinstance(url, str) and url.strip() else found
    if found is None:
        found = Item(reason=Reason.EMPTY, note="the answer lists a picture without address or data")
    return replace(found, flagged=flagged)


def _inline_item(text: str, max_bytes: int) -> Item:
    if len(text) * 3 // 4 > max_bytes + 1024:
        return Item(
            reason=Reason.CORRUPT, note=f"the picture in the answer is larger than {max_bytes:,} bytes"
        )
    data = _decoded(text)
    if not data:
        return Item(reason=Reason.CORRUPT, note="the picture in the answer is no valid base64")
    return Item(data=data)


def _decoded(text: str) -> bytes | None:
    if text[:5].lower() == "data:":
        text = text.partition(",")[2]
    text = "".join(text.split()).rstrip("=").replace("-", "+").replace("_", "/")
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        return None


def _linked_item(url: str) -> Item:
    url = url.strip()
    try:
        parts = urlsplit(url)
        usable = parts.scheme.lower() in ("http", "https") and bool(parts.hostname)
    except ValueError:
        usable = False
    if not usable:
        note = f"the picture's address {url[:80]!r} is no http or https address and was not opened"
        return Item(reason=Reason.EXPIRED, note=note)
    return Item(url=url)


def _without_pictures(text: str) -> str:
    """The answer's text for a log: what is, or looks like, a picture's base64 replaced by its digest."""
    text = _LONG_BASE64.sub(lambda found: _digest(found[0]), text)
    text = _INLINE_TEXT.sub(lambda found: found[1] + _digest(found[2]), text)
    if len(text) <= MAX_TEXT:
        return text
    return f"{text[:MAX_TEXT]}… cut here, {len(text)} characters in all"


def _digest(run: str) -> str:
    run = run.replace("\\/", "/").replace("\\n", "").replace("\\r", "")
    data = _decoded(run)
    return "sha256:" + hashlib.sha256(run.encode() if data is None else data).hexdigest()
