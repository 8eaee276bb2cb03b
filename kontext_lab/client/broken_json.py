"""JSON of a stranger: as much of it as makes sense, within bounds of memory, digits and depth.

Pure functions from text to plain values; what the values mean is another module's business.
"""

from __future__ import annotations

import json
import re
from typing import Any

__all__ = ["read_object"]

_DIGITS = 40
"""Whole numbers of more digits are read as floats: Python refuses thousands of them with the whole text."""

_DEPTH = 32

_MENDED = 1024 * 1024
"""Characters of a broken text that are looked through: what is of use stands near its beginning."""

_TOKEN = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"|["{}\[\],]', re.DOTALL)


def read_object(text: str) -> dict[str, Any] | None:
    """The JSON object that a text holds or begins with; None where there is none.

    Of a text that breaks off, goes on behind its end, or is nested without reason, it is what came whole. Of equal
    names the last one counts that has something to say.
    """
    for tried in (str, _mended):
        try:
            found = json.loads(tried(text), parse_int=_whole, object_pairs_hook=_object)
        except (ValueError, RecursionError):
            continue
        return found if isinstance(found, dict) else None
    return None


def _whole(digits: str) -> int | float:
    return int(digits) if len(digits) <= _DIGITS else float(digits)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name not in found or value not in (None, "", [], {}):
            found[name] = value
    return found


def _mended(text: str) -> str:
    """A broken text up to its last whole value: what is open there is closed, and what lies too deep is null."""
    kept, start, begun = "", 0, list[str]()
    whole, closing, same = ("", 0, 0), "", True
    for found in _TOKEN.finditer(text, 0, _MENDED):
        sign, end = found[0], found.end()
        if sign == '"':
            break  # the text ends inside
        if sign in "{[":
            same = False
            begun.append("}" if sign == "{" else "]")
            if len(begun) == _DEPTH + 1:
                kept, start = f"{kept}{text[start : found.start()]}null", end
            continue
        if sign in "}]":
            same = False
            if not begun or begun.pop() != sign:
                break
            if len(begun) == _DEPTH:
                start = end
        elif sign == ",":
            end = found.start()
        elif text[max(0, found.start() - 8) : found.start()].rstrip()[-1:] != ":":
            continue  # a name, whose value is still to come
        if len(begun) <= _DEPTH:
            whole = (kept, start, end)
            closing, same = closing if same else "".join(begun[::-1]), True
        if not begun:
            break
    kept, start, end = whole
    return kept + text[start:end] + closing
