"""Reading a 2xx answer: three shapes are in the wild, and whatever else comes must not raise.

Pure functions from bytes to plain values. Knows nothing of connections; that an answer's pictures lie
elsewhere is only a URL here.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlsplit

from kontext_lab.client.broken_json import read_object
from kontext_lab.errors import shown
from kontext_lab.request import EditRequest
from kontext_lab.request.attempt import RawAnswer, Reason

__all__ = [
    "CREDITS_PER_USD",
    "TEXT_BYTES",
    "AnswerItem",
    "ParsedAnswer",
    "RawAnswer",
    "amount_of",
    "cost_of",
    "kept_headers",
    "number_of",
    "read_answer",
]

CREDITS_PER_USD = 2_000_000

MAX_ITEMS = 64
"""More pictures than these are not read from one answer: at most 4 can be asked for."""

TEXT_BYTES = 4 * 1024 * 1024
"""Bytes of an answer besides its pictures that are looked at."""

MAX_TEXT = 200_000
"""Characters of an answer's text that are kept."""

MOST_USD = 1e6
"""No request costs more; a larger figure is a fault of the service's, and would make every sum meaningless."""

_KEPT_HEADERS = frozenset(
    (
        "content-type",
        "date",
        "x-aimlapi-credits-used",
        "x-aimlapi-usd-spent",
        "x-client-request-id",
        "x-inference-id",
        "x-kontext-sandbox",
        "x-kontext-sandbox-stand-in",
        "x-request-id",
    )
)

_LISTS = ("images", "data")
_INLINE = ("b64_json", "image_base64")
_KNOWN = ("url", *_INLINE)
# Longer than any address or token, shorter than any picture worth the name. From its first character on: a search
# that may begin anywhere takes minutes for megabytes of runs that are nearly long enough.
_RUN = rb"[A-Za-z0-9+/=_\\-]"
_LONG_BASE64 = re.compile(rb"(?<!%b)%b{4096,}+" % (_RUN, _RUN))
_MARK = re.compile(rb"sha256:[0-9a-f]{64}")
_INLINE_TEXT = re.compile(r'("(?:b64_json|image_base64)"\s*:\s*")([^"]{200,})')
_NUMBER = re.compile(r"\s*\+?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*", re.ASCII)
_MOST_SEED = 1e40
_LONGEST = 400  # characters of a number
_ALPHABET = bytes.maketrans(b"-_", b"+/")

_Runs = dict[bytes, memoryview]


@dataclass(frozen=True)
class AnswerItem:
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


_Inline = Callable[[str], AnswerItem]


@dataclass(frozen=True)
class ParsedAnswer:
    """What a 2xx answer says.

    Attributes:
        items: the pictures it lists, each once.
        seed: the seed it reports, or None.
        cost: US dollars billed.
        cost_source: `header`, `usage` or `price`.
        cost_note: what is wrong with the cost that the service names, or empty.
        reason: UNREADABLE where the shape is unknown, else None.
        note: one line for a person where there is a reason.
        text: the body as text, without inline pictures, cut to a sane length.
    """

    items: tuple[AnswerItem, ...] = ()
    seed: int | None = None
    cost: float = 0.0
    cost_source: str = "price"
    cost_note: str = ""
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
    content, runs = _without_runs(raw.body)
    text = content[:TEXT_BYTES].decode("utf-8", "replace")
    body = read_object(text)
    cost, source, strange = cost_of(raw.headers, body, request.cost)
    found = ParsedAnswer(cost=cost, cost_source=source, cost_note=strange, text=_shortened(text, content))
    if body is None:
        note = "the answer is not a JSON object" if text.strip() else "the answer is empty"
        return replace(found, reason=Reason.UNREADABLE, note=note)
    lists = [body[name] for name in _LISTS if isinstance(body.get(name), list)]
    if not lists and not any(name in body and body[name] is None for name in _LISTS):
        keys = ", ".join(ascii(name)[1:-1][:40] for name in list(body)[:8]) or "no keys at all"
        note = f"the answer lists no pictures under a known name; it has {keys}"
        return replace(found, reason=Reason.UNREADABLE, note=note)
    flags = body.get("has_nsfw_concepts")
    items = _items(lists, flags, lambda text: _inline_item(text, runs, max_bytes))
    return replace(found, items=items, seed=_seed(body.get("seed")))


def cost_of(
    headers: Mapping[str, str], body: Mapping[str, Any] | None, price: float
) -> tuple[float, str, str]:
    """What was billed in US dollars, where that is known from, and a line where the service names an absurd amount.

    It is known from header or usage, else it is the price.
    """
    meta = (body or {}).get("meta")
    usage = meta.get("usage") if isinstance(meta, dict) else None
    usage = usage if isinstance(usage, dict) else {}
    told = (
        ("header", headers.get("x-aimlapi-usd-spent"), 1),
        ("header", headers.get("x-aimlapi-credits-used"), CREDITS_PER_USD),
        ("usage", usage.get("usd_spent"), 1),
        ("usage", usage.get("credits_used"), CREDITS_PER_USD),
    )
    strange = next((one[1] for one in told if _is_absurd(one[1], one[2])), None)
    note = "" if strange is None else f"the service says that it charged {shown(strange, 40)} for a request"
    for source, value, unit in told:
        if (amount := amount_of(value, unit)) is not None:
            return amount, source, note
    return price, "price", note


def amount_of(value: object, unit: int = 1) -> float | None:
    """US dollars as the service names them, as number or text: 0 to a million; None for everything else.

    Args:
        value: what it says.
        unit: that many are a dollar.
    """
    number = number_of(value)
    return number / unit if number is not None and number / unit <= MOST_USD else None


def _is_absurd(value: object, unit: int) -> bool:
    """Whether this means to be an amount, and is one beyond all sense."""
    if isinstance(value, str):
        try:
            value = float(value[:_LONGEST])
        except ValueError:
            return False
    return isinstance(value, int | float) and value > MOST_USD * unit


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


def _seed(value: object) -> int | None:
    number = number_of(value)
    if number is None or number >= _MOST_SEED or number != int(number):
        return None
    return value if isinstance(value, int) else int(number)


def _items(lists: list[list[Any]], flags: object, inline: _Inline) -> tuple[AnswerItem, ...]:
    """Every picture once, although two lists may name the same ones."""
    entries = _merged([one[:MAX_ITEMS] for one in lists])
    items = [_item(entry, _flag(flags, place), inline) for place, entry in entries]
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


def _item(entry: object, flagged: bool, read_inline: _Inline) -> AnswerItem:
    if isinstance(entry, str):
        entry = {"url": entry}
    if entry is None:
        return AnswerItem(
            flagged=flagged, reason=Reason.EMPTY, note="the answer lists nothing in the picture's place"
        )
    if not isinstance(entry, dict) or not any(name in entry for name in _KNOWN):
        return AnswerItem(
            flagged=flagged, reason=Reason.UNREADABLE, note="the answer lists a picture in an unknown form"
        )
    inline = next((entry[name] for name in _INLINE if isinstance(entry.get(name), str) and entry[name]), None)
    url = entry.get("url")
    if inline is None and isinstance(url, str) and url[:5].lower() == "data:":
        inline, url = url, None
    found = read_inline(inline) if inline is not None else None
    if found is None or found.reason is not None:
        # Bytes that came along can't expire, so they go first; damaged ones leave the address.
        found = _linked_item(url) if isinstance(url, str) and url.strip() else found
    if found is None:
        found = AnswerItem(reason=Reason.EMPTY, note="the answer lists a picture without address or data")
    return replace(found, flagged=flagged)


def _inline_item(text: str, runs: _Runs, max_bytes: int) -> AnswerItem:
    content = _MARK.sub(
        lambda found: bytes(runs.get(found[0], found[0])), text.encode("utf-8", "surrogatepass")
    )
    if len(content) * 3 // 4 > max_bytes + 1024:
        return AnswerItem(
            reason=Reason.CORRUPT, note=f"the picture in the answer is larger than {max_bytes:,} bytes"
        )
    data = _decoded(content)
    if not data:
        return AnswerItem(reason=Reason.CORRUPT, note="the picture in the answer is no valid base64")
    return AnswerItem(data=data)


def _decoded(content: bytes) -> bytes | None:
    if content[:5].lower() == b"data:":
        content = content[content.find(b",") + 1 :]
    for escape, plain in ((b"\\/", b"/"), (b"\\n", b""), (b"\\r", b""), (b"\\t", b"")):  # as JSON writes them
        content = content.replace(escape, plain)
    content = content.translate(_ALPHABET, b" \t\r\n").rstrip(b"=")
    try:
        return base64.b64decode(content + b"=" * (-len(content) % 4), validate=True)
    except (binascii.Error, ValueError):
        return None


def _linked_item(url: str) -> AnswerItem:
    url = url.strip()
    try:
        parts = urlsplit(url)
        usable = parts.scheme.lower() in ("http", "https") and bool(parts.hostname)
    except ValueError:
        usable = False
    if not usable:
        note = f"the picture's address {url[:80]!r} is no http or https address and was not opened"
        return AnswerItem(reason=Reason.EXPIRED, note=note)
    return AnswerItem(url=url)


def _without_runs(body: bytes) -> tuple[bytes, _Runs]:
    """An answer with the digest of every run of base64 in its place, and the runs by these."""
    runs: _Runs = {}

    def digest(found: re.Match[bytes]) -> bytes:
        if found[0].strip(b"-").isdigit():
            return b"1e999"  # a number without sense, which a digest in its place would make no JSON
        mark = _digest(found[0])
        runs[mark] = memoryview(body)[found.start() : found.end()]
        return mark

    return _LONG_BASE64.sub(digest, body), runs


def _shortened(text: str, content: bytes) -> str:
    """The answer's text for a log: short pictures too are digests, and it ends somewhere."""
    text = _INLINE_TEXT.sub(lambda found: found[1] + _digest(found[2].encode()).decode(), text)
    if len(text) <= MAX_TEXT and len(content) <= TEXT_BYTES:
        return text
    return f"{text[:MAX_TEXT]}… cut here, {max(len(text), len(content))} characters in all"


def _digest(run: bytes) -> bytes:
    data = _decoded(run)
    return b"sha256:" + hashlib.sha256(run if data is None else data).hexdigest().encode()
