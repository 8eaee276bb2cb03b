"""Sizes of text, line breaks and cuts.

Widths are those of DejaVu Sans, which every figure is drawn in. Sizes are points, widths and heights inches.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from functools import cache, lru_cache

from matplotlib.font_manager import findfont
from matplotlib.ft2font import FT2Font, LoadFlags

from kontext_lab.sweep.wording import shortened

__all__ = [
    "LEADING",
    "clean",
    "cut",
    "first_few",
    "fitting_size",
    "height",
    "labelled",
    "shorten",
    "widest",
    "width",
    "wrap",
]

LEADING = 1.3
"""Distance from line to line, in units of the type size."""

_ELLIPSIS = "…"
# On coarse pixels each character is moved to a whole one, which makes lines up to 7 % wider.
_HINTED = 1.07
_EM = 100.0
# Format characters: joiners, direction marks, variation selectors. They have no width and no glyph.
_INVISIBLE = ("Cf", "Cc", "Cs", "Co", "Cn", "Me")
_BREAK_AFTER = re.compile(r"(?<=[_/\-+,.:;|=])(?=\w)")


def clean(text: str) -> str:
    """Text on one line, without control and format characters."""
    kept = (
        " " if char.isspace() else char
        for char in text
        if char.isspace() or not (unicodedata.category(char) in _INVISIBLE or "\ufe00" <= char <= "\ufe0f")
    )
    return " ".join("".join(kept).split())


def width(text: str, points: float) -> float:
    """The width of a line in inches; at 100 dots per inch and more it is not drawn wider."""
    return sum(map(_advance, text)) * points / 72 * _HINTED


def height(lines: int, points: float) -> float:
    """The height of a number of lines, in inches."""
    return lines * points * LEADING / 72


def widest(lines: Iterable[str], points: float) -> float:
    """The width of the widest line, in inches."""
    return max((width(line, points) for line in lines), default=0.0)


def shorten(text: str, points: float, room: float) -> str:
    """Text cut to a width, the cut shown by an ellipsis."""
    return cut([text], points, room)[0]


def cut(texts: Sequence[str], points: float, room: float) -> list[str]:
    """Labels cut to a width, each with the words that distinguish it from the others."""
    return shortened(texts, lambda one: width(one, points) <= room)


def first_few(names: Sequence[str], most: int) -> str:
    """Names in a line, at most so many of them, then the number of all."""
    return ", ".join(names[:most]) + (f" … ({len(names)})" if len(names) > most else "")


def labelled(
    texts: Sequence[str], points: float, rooms: Sequence[float], most: int, among: Sequence[str] = ()
) -> list[tuple[str, ...]]:
    """Labels in at most `most` lines that fit; a cut label keeps the words that distinguish it from the others.

    `among` are all labels to be distinguished, if `texts` are some of them.
    """
    long = dict.fromkeys(
        text
        for text, room in zip(texts, rooms, strict=True)
        if len(wrap(text, points, room, most + 1)) > most
    )
    made = _cut(tuple(long), points, min(rooms), most, tuple(among) or tuple(texts)) if long else {}
    # A cut label fits already; a number that is wider than its room must not lose its digits.
    return [wrap(made.get(text, text), points, room) for text, room in zip(texts, rooms, strict=True)]


@lru_cache(maxsize=64)
def _cut(
    labels: tuple[str, ...], points: float, room: float, most: int, among: tuple[str, ...]
) -> dict[str, str]:
    """Labels to cut labels; cached, as a page is planned again for each picture that arrives."""
    made = shortened(labels, lambda one: len(wrap(one, points, room, most + 1)) <= most, among)
    return dict(zip(labels, made, strict=True))


def wrap(text: str, points: float, room: float, most: int = 1000) -> tuple[str, ...]:
    """Text broken into lines no wider than `room` inches, at most `most` of them.

    Breaks at spaces, within a word that is too long after its punctuation, else anywhere.
    """
    lines: list[str] = []
    line = ""
    for word in text.split(" "):
        joined = f"{line} {word}" if line else word
        if width(joined, points) <= room:
            line = joined
            continue
        if line:
            lines.append(line)
        *full, line = _pieces(word, points, room)
        lines.extend(full)
        if len(lines) > most:
            break
    lines.append(line)
    if len(lines) > most:
        lines = [*lines[: most - 1], shorten(f"{lines[most - 1]} {lines[most]}", points, room)]
        if not lines[-1].endswith(_ELLIPSIS):
            lines[-1] = shorten(lines[-1] + _ELLIPSIS, points, room)
    return tuple(lines)


def fitting_size(texts: Sequence[str], sizes: Sequence[float], room: Sequence[float], most: int) -> float:
    """The first of several type sizes, the preferred one first, at which all texts fit their rooms uncut.

    Texts that fit at no size don't count: a single one of them would make all others small.
    """
    pairs = [pair for pair in zip(texts, room, strict=True) if _fits(pair[0], sizes[-1], pair[1], most)]
    for points in sizes:
        if pairs and all(_fits(text, points, inches, most) for text, inches in pairs):
            return points
    return sizes[-1]


def _fits(text: str, points: float, room: float, most: int) -> bool:
    # A word cut in the middle is readable at any size, whole words at a smaller size read better.
    whole = all(width(word, points) <= room for word in text.split(" "))
    return whole and len(wrap(text, points, room)) <= most


def _pieces(word: str, points: float, room: float) -> list[str]:
    """A word in pieces that fit a line; the last one may be continued by the next word."""
    pieces = [""]
    for part in _BREAK_AFTER.split(word):
        if width(pieces[-1] + part, points) <= room:
            pieces[-1] += part
            continue
        if pieces[-1]:
            pieces.append("")
        for char in part:
            if pieces[-1] and width(pieces[-1] + char, points) > room:
                pieces.append("")
            pieces[-1] += char
    return pieces


@cache
def _advance(char: str) -> float:
    """The advance width of a character, in parts of the type size; wide ones come from other fonts."""
    if unicodedata.combining(char):
        return 0.0
    font = _font()
    if ord(char) in font.get_charmap():
        return font.load_char(ord(char), flags=LoadFlags.NO_HINTING).linearHoriAdvance / 65536 / _EM
    return 1.05 if unicodedata.east_asian_width(char) in "WFA" or ord(char) > 0x2FFF else 0.8


@cache
def _font() -> FT2Font:
    font = FT2Font(findfont("DejaVu Sans"))
    font.set_size(_EM, 72)
    return font
