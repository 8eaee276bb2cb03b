"""Answers of the service: read any 2xx body, in each of three known shapes, without ever raising.

Pure functions from bytes to plain values. Knows nothing of connections: a picture that lies elsewhere is a URL here.
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

from kontext_lab.errors import shown
from kontext_lab.request import EditRequest
from kontext_lab.request.attempt import Answer, RawAnswer, Reason

__all__ = [
    "CREDITS_PER_USD",
    "SANDBOX_HEADER",
    "TEXT_BYTES",
    "AnswerItem",
    "ParsedAnswer",
    "amount_of",
    "cost_of",
    "number_of",
    "read_answer",
    "read_object",
]

CREDITS_PER_USD = 2_000_000
MAX_ITEMS = 64  # more pictures than these are not read from one answer: at most 4 can be asked for
TEXT_BYTES = 4 * 1024 * 1024  # bytes of an answer, without its pictures, that are parsed
MAX_TEXT = 200_000  # characters of an answer's text that are kept
# No request costs more; a larger figure is a fault of the service, and would make every sum meaningless.
MAX_USD = 1e6
SANDBOX_HEADER = "x-kontext-sandbox"

KEPT_HEADERS = frozenset(
    (
        "content-type",
        "date",
        "x-aimlapi-credits-used",
        "x-aimlapi-usd-spent",
        "x-client-request-id",
        "x-inference-id",
        SANDBOX_HEADER,
        "x-kontext-sandbox-stand-in",
        "x-request-id",
    )
)
"""Headers of an answer that are logged: ids, credits, the sandbox's mark."""

_LISTS = ("images", "data")
_INLINE = ("b64_json", "image_base64")
# Longer than any address or token, shorter than any picture worth the name. From its first character on: a search
# that may begin anywhere takes minutes for megabytes of runs that are nearly long enough.
_RUN = rb"[A-Za-z0-9+/=_\\-]"
_LONG_BASE64 = re.compile(rb"(?<!%b)%b{4096,}+" % (_RUN, _RUN))
_DIGEST = re.compile(rb"sha256:[0-9a-f]{64}")
_INLINE_TEXT = re.compile(r'("(?:b64_json|image_base64)"\s*:\s*")([^"]{200,})')
_NUMBER = re.compile(r"\s*\+?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*", re.ASCII)
_MAX_SEED = 1e40
_MAX_NUMBER_TEXT = 400  # characters
_STANDARD_ALPHABET = bytes.maketrans(b"-_", b"+/")
# Whole numbers of more digits are read as floats: Python refuses thousands of them with the whole text.
_MAX_DIGITS = 40
_MAX_DEPTH = 32
# Characters of a broken text that are searched: the useful part is near its beginning.
_REPAIRED = 1024 * 1024
_TOKEN = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"|["{}\[\],]', re.DOTALL)

_Runs = dict[bytes, memoryview]


@dataclass(frozen=True)
class AnswerItem:
    """One picture in an answer: its address or its bytes."""

    url: str | None = None  # an http(s) address, or None for inline bytes
    data: bytes = field(default=b"", repr=False)  # inline bytes, else empty
    flagged: bool = False  # true if the service's moderation flagged it
    reason: Reason | None = None  # why it has neither address nor bytes, or None
    note: str = ""  # one line for a person where there is a reason


@dataclass(frozen=True)
class ParsedAnswer:
    """Content of a 2xx answer."""

    answer: Answer  # all of it but the pictures; its text is cut to MAX_TEXT
    items: tuple[AnswerItem, ...] = ()  # the pictures it lists, each once
    reason: Reason | None = None  # UNREADABLE for an unknown shape, else None
    note: str = ""  # one line for a person where there is a reason


def read_answer(raw: RawAnswer, request: EditRequest, max_bytes: int = 64 * 1024 * 1024) -> ParsedAnswer:
    """Read an answer as far as it makes sense, inline pictures up to `max_bytes`; never raises."""
    content, runs = _without_runs(raw.body)
    text = content[:TEXT_BYTES].decode("utf-8", "replace")
    body = _parse(text)
    cost, source, cost_note = cost_of(raw.headers, body or {}, request.cost)
    # Short pictures become digests, too.
    kept = _INLINE_TEXT.sub(lambda match: match[1] + _digest(match[2].encode()).decode(), text)
    if len(kept) > MAX_TEXT or len(content) > TEXT_BYTES:
        kept = f"{kept[:MAX_TEXT]}… cut here, {max(len(kept), len(content))} characters in all"
    answer = Answer(
        pictures=(),
        raw=kept,
        headers={name: value for name, value in raw.headers.items() if name in KEPT_HEADERS},
        cost_usd=cost,
        cost_source=source,
        cost_note=cost_note,
        latency_s=raw.latency_s,
        simulated=SANDBOX_HEADER in raw.headers,
    )
    if body is None:
        note = "the answer is not a JSON object" if text.strip() else "the answer is empty"
        return ParsedAnswer(answer, reason=Reason.UNREADABLE, note=note)
    lists = [body[name] for name in _LISTS if isinstance(body.get(name), list)]
    if not lists and not any(name in body and body[name] is None for name in _LISTS):
        keys = ", ".join(ascii(name)[1:-1][:40] for name in list(body)[:8]) or "no keys at all"
        note = f"the answer lists no pictures under a known name; it has {keys}"
        return ParsedAnswer(answer, reason=Reason.UNREADABLE, note=note)
    seed = body.get("seed")
    number = number_of(seed)
    if number is None or number >= _MAX_SEED or number != int(number):
        seed = None
    elif not isinstance(seed, int):
        seed = int(number)
    items = _items(lists, body.get("has_nsfw_concepts"), runs, max_bytes)
    return ParsedAnswer(replace(answer, seed=seed), items)


def cost_of(headers: Mapping[str, str], body: Mapping[str, Any], price: float) -> tuple[float, str, str]:
    """US dollars billed, their source (`header`, `usage`, else `price`), and a line if an amount is absurd."""
    meta = body.get("meta")
    usage = meta.get("usage") if isinstance(meta, dict) else None
    usage = usage if isinstance(usage, dict) else {}
    amounts = (
        ("header", headers.get("x-aimlapi-usd-spent"), 1),
        ("header", headers.get("x-aimlapi-credits-used"), CREDITS_PER_USD),
        ("usage", usage.get("usd_spent"), 1),
        ("usage", usage.get("credits_used"), CREDITS_PER_USD),
    )
    absurd = next((value for _, value, unit in amounts if _is_absurd(value, unit)), None)
    note = "" if absurd is None else f"the service says that it charged {shown(absurd, 40)} for a request"
    for source, value, unit in amounts:
        if (amount := amount_of(value, unit)) is not None:
            return amount, source, note
    return price, "price", note


def amount_of(value: object, unit: int = 1) -> float | None:
    """US dollars, 0 to a million, from a number or text of which `unit` make a dollar; None for anything else."""
    number = number_of(value)
    return number / unit if number is not None and number / unit <= MAX_USD else None


def _is_absurd(value: object, unit: int) -> bool:
    """True for an amount of more than a million dollars."""
    if isinstance(value, str):
        try:
            value = float(value[:_MAX_NUMBER_TEXT])
        except ValueError:
            return False
    return isinstance(value, int | float) and value > MAX_USD * unit


def number_of(value: object) -> float | None:
    """A finite number of 0 or more, given as number or text; None for anything else."""
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


def _items(lists: list[list[Any]], flags: object, runs: _Runs, max_bytes: int) -> tuple[AnswerItem, ...]:
    """Every picture once, although two lists may name the same ones."""
    lists = [entries[:MAX_ITEMS] for entries in lists]
    if len(lists) == 2 and len(lists[0]) == len(lists[1]):
        merged = []  # of lists of equal length, one may hold what the other lacks
        for first, second in zip(*lists, strict=True):
            if isinstance(first, dict) and isinstance(second, dict):
                merged.append({**second, **{k: v for k, v in first.items() if v is not None}})
            else:
                merged.append(second if first is None else first)
        lists = [merged]
    items: dict[object, AnswerItem] = {}
    for entries in lists:
        for number, entry in enumerate(entries):
            flag = flags[number] if isinstance(flags, list) and number < len(flags) else flags
            item = replace(_item(entry, runs, max_bytes), flagged=flag is True)
            items.setdefault(item.url or item.data or object(), item)
    return tuple(items.values())[:MAX_ITEMS]


def _item(entry: object, runs: _Runs, max_bytes: int) -> AnswerItem:
    if entry is None:
        return AnswerItem(reason=Reason.EMPTY, note="the answer lists nothing in the picture's place")
    if isinstance(entry, str):
        entry = {"url": entry}
    if not isinstance(entry, dict) or not any(name in entry for name in ("url", *_INLINE)):
        return AnswerItem(reason=Reason.UNREADABLE, note="the answer lists a picture in an unknown form")
    inline = next((entry[name] for name in _INLINE if isinstance(entry.get(name), str) and entry[name]), None)
    url = entry.get("url")
    if inline is None and isinstance(url, str) and url[:5].lower() == "data:":
        inline, url = url, None
    if inline is None:
        item = AnswerItem(reason=Reason.EMPTY, note="the answer lists a picture without address or data")
    else:
        item = _inline_item(inline, runs, max_bytes)
    url = url.strip() if isinstance(url, str) else ""
    # Inline bytes can't expire, so they go first; where they are damaged, the address is left.
    if item.reason is None or not url:
        return item
    try:
        parts = urlsplit(url)
        if parts.scheme.lower() in ("http", "https") and parts.hostname:
            return AnswerItem(url=url)
    except ValueError:
        pass
    note = f"the picture's address {url[:80]!r} is not an http or https address and was not opened"
    return AnswerItem(reason=Reason.EXPIRED, note=note)


def _inline_item(text: str, runs: _Runs, max_bytes: int) -> AnswerItem:
    content = text.encode("utf-8", "surrogatepass")
    content = _DIGEST.sub(lambda match: bytes(runs.get(match[0], match[0])), content)
    if len(content) * 3 // 4 > max_bytes + 1024:
        note = f"the picture in the answer is larger than {max_bytes:,} bytes"
        return AnswerItem(reason=Reason.CORRUPT, note=note)
    data = _decoded(content)
    if not data:
        return AnswerItem(reason=Reason.CORRUPT, note="the picture in the answer is not valid base64")
    return AnswerItem(data=data)


def _decoded(content: bytes) -> bytes | None:
    if content[:5].lower() == b"data:":
        content = content[content.find(b",") + 1 :]
    for escape, plain in ((b"\\/", b"/"), (b"\\n", b""), (b"\\r", b""), (b"\\t", b"")):  # as in JSON
        content = content.replace(escape, plain)
    content = content.translate(_STANDARD_ALPHABET, b" \t\r\n").rstrip(b"=")
    try:
        return base64.b64decode(content + b"=" * (-len(content) % 4), validate=True)
    except (binascii.Error, ValueError):
        return None


def _without_runs(body: bytes) -> tuple[bytes, _Runs]:
    """An answer with every long run of base64 replaced by its digest, and the runs by digest."""
    runs: _Runs = {}

    def digest(match: re.Match[bytes]) -> bytes:
        if match[0].strip(b"-").isdigit():
            return b"1e999"  # an absurd number; a digest in its place would not be JSON
        mark = _digest(match[0])
        runs[mark] = memoryview(body)[match.start() : match.end()]
        return mark

    return _LONG_BASE64.sub(digest, body), runs


def _digest(run: bytes) -> bytes:
    data = _decoded(run)
    return b"sha256:" + hashlib.sha256(run if data is None else data).hexdigest().encode()


def read_object(body: bytes) -> dict[str, Any]:
    """The JSON object that a body holds or begins with; empty if there is none."""
    return _parse(body.decode("utf-8", "replace")) or {}


def _parse(text: str) -> dict[str, Any] | None:
    """The JSON object that a text holds or begins with, within bounds of memory, digits and depth, or None.

    A text that breaks off, continues after its end, or is nested too deeply gives its complete values. Of equal names
    the last one with a value counts.
    """

    def parse_int(digits: str) -> int | float:
        return int(digits) if len(digits) <= _MAX_DIGITS else float(digits)

    def merge_pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        merged: dict[str, Any] = {}
        for name, value in pairs:
            if name not in merged or value not in (None, "", [], {}):
                merged[name] = value
        return merged

    for repair in (str, _repaired):
        try:
            value = json.loads(repair(text), parse_int=parse_int, object_pairs_hook=merge_pairs)
        except (ValueError, RecursionError):
            continue
        return value if isinstance(value, dict) else None
    return None


def _repaired(text: str) -> str:
    """A broken text up to its last complete value, with all brackets closed and null for values too deep."""
    kept, start, closers = "", 0, list[str]()
    complete, closing, unchanged = ("", 0, 0), "", True
    for token in _TOKEN.finditer(text, 0, _REPAIRED):
        sign, end = token[0], token.end()
        if sign == '"':
            break  # the text ends inside a string
        if sign in "{[":
            unchanged = False
            closers.append("}" if sign == "{" else "]")
            if len(closers) == _MAX_DEPTH + 1:
                kept, start = f"{kept}{text[start : token.start()]}null", end
            continue
        if sign in "}]":
            unchanged = False
            if not closers or closers.pop() != sign:
                break
            if len(closers) == _MAX_DEPTH:
                start = end
        elif sign == ",":
            end = token.start()
        elif text[max(0, token.start() - 8) : token.start()].rstrip()[-1:] != ":":
            continue  # a name, whose value is still to come
        if len(closers) <= _MAX_DEPTH:
            complete = (kept, start, end)
            closing, unchanged = closing if unchanged else "".join(closers[::-1]), True
        if not closers:
            break
    kept, start, end = complete
    return kept + text[start:end] + closing
