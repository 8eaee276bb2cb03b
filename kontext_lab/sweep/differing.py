"""Which words differ between two wordings of a prompt: what is kept, left out, added. Pure text.

Words are compared as they are written; spaces and line ends are no difference. Punctuation beside a word is a
word of its own, so that `photo.` and `photo, please.` share the photo and the full stop; a `{placeholder}` is
one word.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from typing import Literal

__all__ = ["Kind", "Piece", "Wording", "compared"]

Kind = Literal["kept", "left out", "added"]

_PLACEHOLDER = re.compile(r"\{+[^\W\d]\w*\}+")
# Scripts that put no spaces between words are compared sign by sign.
_SIGNS = re.compile(r"[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff]|[^\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff]+")

_AROUND = 3
"""Kept words that are shown beside a difference."""

_ALIKE, _HELD = 0.35, 0.75
"""Wordings are told by their differences where they share this part of both, or the longer one holds this part of the
shorter; else nearly everything would be one."""

_FEW = 8
"""Of so few words, one that is shared is enough."""


@dataclass(frozen=True)
class Piece:
    """A stretch of words.

    Attributes:
        kind: in both wordings, in the first alone, or in the second alone.
        text: the words, single spaces between them.
        spaced: whether a space stands before it.
    """

    kind: Kind
    text: str
    spaced: bool = True


@dataclass(frozen=True)
class Wording:
    """How one wording differs from another.

    Attributes:
        text: the second wording, on one line.
        pieces: both in one: what is kept, what of the first is left out, what is added.
        related: whether they share enough words for the differences to say something; else only the whole text does.
    """

    text: str
    pieces: tuple[Piece, ...]
    related: bool = True

    @property
    def same(self) -> bool:
        """Whether the words are the same."""
        return all(piece.kind == "kept" for piece in self.pieces)

    @property
    def brief(self) -> tuple[Piece, ...]:
        """The pieces with long kept stretches shortened by `…`; the whole text, as added, where little is shared."""
        if not self.related:
            return (Piece("added", self.text),)
        last = len(self.pieces) - 1
        return tuple(
            _shortened(piece, first=at == 0, last=at == last) if piece.kind == "kept" else piece
            for at, piece in enumerate(self.pieces)
        )

    def __str__(self) -> str:
        """One line of plain text: `[-left out-]`, `[+added+]`."""
        if self.same:
            return "the same words"
        if not self.related:
            return self.text
        return "".join(
            (" " if piece.spaced and at else "") + _marked(piece) for at, piece in enumerate(self.brief)
        )


def compared(first: str, second: str) -> Wording:
    """How a wording differs from the first one, word by word (difflib's longest matching stretches)."""
    before, after = _words(first), _words(second)
    if [word.text for word in before] == [word.text for word in after]:
        return Wording(_joined(after), (Piece("kept", _joined(after)),))
    # Its rule for words that are everywhere keeps long texts of few words from taking minutes.
    matcher = SequenceMatcher(None, [word.text for word in before], [word.text for word in after])
    changes = [
        _Change(before[i1:i2], after[j1:j2], tag == "equal") for tag, i1, i2, j1, j2 in matcher.get_opcodes()
    ]
    shared = sum(change.size for change in changes if change.kept and not _is_only_punctuation(change.added))
    shorter, longer = sorted((len(before), len(after)))
    alike = 2 * shared >= _ALIKE * (shorter + longer) or shared >= _HELD * shorter
    related = alike or (shared > 0 and longer <= _FEW)
    return Wording(_joined(after), tuple(_pieces(_calmed(changes))), related)


@dataclass(frozen=True)
class _Word:
    text: str
    spaced: bool


@dataclass(frozen=True)
class _Change:
    """A stretch of the first wording and what stands in its place in the second."""

    left: tuple[_Word, ...]
    added: tuple[_Word, ...]
    kept: bool

    @property
    def size(self) -> int:
        return max(len(self.left), len(self.added))

    def __add__(self, other: _Change) -> _Change:
        return _Change(self.left + other.left, self.added + other.added, False)


def _words(text: str) -> tuple[_Word, ...]:
    found: list[_Word] = []
    for chunk in text.split():
        parts = list(_split(chunk))
        found += [_Word(part, at == 0) for at, part in enumerate(parts)]
    return tuple(found)


def _split(chunk: str) -> Iterator[str]:
    """Words, placeholders and single signs of punctuation of a stretch without spaces."""
    at = 0
    for match in _PLACEHOLDER.finditer(chunk):
        yield from _bare(chunk[at : match.start()])
        yield match[0]
        at = match.end()
    yield from _bare(chunk[at:])


def _bare(chunk: str) -> Iterator[str]:
    """A word without the punctuation around it, and that sign by sign; inside, as in `don't` and `16:9`, it stays."""
    start, end = 0, len(chunk)
    while start < end and _is_punctuation(chunk[start]):
        start += 1
    while end > start and _is_punctuation(chunk[end - 1]):
        end -= 1
    yield from chunk[:start]
    yield from _SIGNS.findall(chunk[start:end])
    yield from chunk[end:]


def _is_punctuation(char: str) -> bool:
    return unicodedata.category(char).startswith("P")


def _is_only_punctuation(words: Sequence[_Word]) -> bool:
    return all(_is_punctuation(char) for word in words for char in word.text)


def _calmed(changes: Sequence[_Change]) -> list[_Change]:
    """The changes with chance matches taken in: a `the` between two long changes holds nothing together."""
    calm: list[_Change] = []
    for change, following in zip(changes, (*changes[1:], None), strict=True):
        by_chance = following is not None and change.kept and change.size == 1 and following.size >= 3
        if calm and ((by_chance and calm[-1].size >= 3) or not (calm[-1].kept or change.kept)):
            calm[-1] += change
        else:
            calm.append(change)
    return calm


def _pieces(changes: Sequence[_Change]) -> Iterator[Piece]:
    for change in changes:
        if change.kept:
            spaced = change.left[0].spaced or change.added[0].spaced
            yield Piece("kept", _joined(change.added), spaced)
            continue
        if change.left:
            yield Piece("left out", _joined(change.left), change.left[0].spaced)
        if change.added:
            yield Piece("added", _joined(change.added), change.added[0].spaced)


def _joined(words: Sequence[_Word]) -> str:
    return "".join((" " if word.spaced and at else "") + word.text for at, word in enumerate(words))


def _shortened(piece: Piece, *, first: bool, last: bool) -> Piece:
    """A kept stretch with only the words beside differences; at both ends there is one on one side alone."""
    words = piece.text.split()
    head = [] if first else words[:_AROUND]
    tail = [] if last else words[-_AROUND:]
    if len(words) <= len(head) + len(tail) + 1:
        return piece
    return replace(piece, text=" ".join((*head, "…", *tail)))


def _marked(piece: Piece) -> str:
    signs = {"kept": ("", ""), "left out": ("[-", "-]"), "added": ("[+", "+]")}[piece.kind]
    return signs[0] + piece.text + signs[1]
