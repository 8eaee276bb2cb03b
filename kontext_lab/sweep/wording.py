"""Placeholders in prompts, word-by-word differences between prompts, and labels cut to a length.

`{animal}` is a placeholder, `{{animal}}` is the text `{animal}`. Only identifiers are placeholders, so that prompts
written as JSON stay unchanged.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from typing import Literal

__all__ = ["Kind", "Piece", "Wording", "compared", "filled", "placeholders", "short_prompt", "shortened"]


_TOKEN = re.compile(r"\{\{(?P<escaped>[^\W\d]\w*)\}\}|\{(?P<name>[^\W\d]\w*)\}")


def placeholders(template: str) -> tuple[str, ...]:
    """The placeholders of a prompt, each once, in order of appearance."""
    found = (match["name"] for match in _TOKEN.finditer(template))
    return tuple(dict.fromkeys(name for name in found if name))


def filled(template: str, words: Mapping[str, str]) -> str:
    """The prompt with its placeholders replaced and its escapes undone.

    Raises:
        KeyError: a placeholder has no word.
    """
    return _TOKEN.sub(
        lambda match: "{" + match["escaped"] + "}" if match["escaped"] else words[match["name"]], template
    )


def short_prompt(prompt: str, length: int = 40) -> str:
    """A prompt's beginning on one line, cut at a word where that is near."""
    line = " ".join(prompt.split())
    if len(line) <= length:
        return line
    cut = line[: length - 1]
    head, space, _ = cut.rpartition(" ")
    return (head if space and len(head) > length // 2 else cut).rstrip(" ,.;:") + "…"


def shortened(
    labels: Sequence[str], room: int | Callable[[str], bool], among: Sequence[str] = ()
) -> list[str]:
    """Labels cut to a room, each with what tells it from the others.

    A cut label keeps its beginning; where another label has the same beginning, it also keeps the places where the
    two differ: `Add a small … with a red hat`. Different labels stay different whatever the room: where no cut tells
    them apart their numbers do, even where these are wider than the room.

    Args:
        labels: one line each.
        room: characters a label may have, or a test whether a text fits.
        among: all labels that are to be told apart, where `labels` are some of them.

    Returns:
        One text a label, in order; equal ones for equal labels.
    """

    def fits(text: str) -> bool:
        return len(text) <= room if isinstance(room, int) else room(text)

    everything = tuple(dict.fromkeys((*among, *labels)))
    made = {label: label for label in dict.fromkeys(labels) if fits(label)}
    used = set(made.values())
    for label in dict.fromkeys(labels):
        if label not in made:
            text = _cut(label, fits, everything)
            if text is None or text in used:
                text = f"…{everything.index(label) + 1}"
            while text in used:
                text += "…"
            made[label] = text
            used.add(text)
    return [made[label] for label in labels]


def _cut(label: str, fits: Callable[[str], bool], everything: Sequence[str]) -> str | None:
    """A label with parts left out that could be no other label with parts left out; None where there is none."""
    places: list[int] = []
    while True:
        pieces = _largest(label, places, fits)
        # Ends rule out nearly all: a pattern takes a hundred times as long.
        near = [one for one in everything if one.startswith(pieces[0]) and one.endswith(pieces[-1])]
        pattern = ".*".join(map(re.escape, pieces))
        rival = next((one for one in near if one != label and re.fullmatch(pattern, one, re.DOTALL)), None)
        if rival is None:
            return "…".join(pieces)
        further = [place for place in _differing(label, rival) if place not in places]
        if not further or len("".join(pieces)) <= len(places):
            return None
        places = sorted([*places, further[0]])


def _differing(label: str, rival: str) -> tuple[int, int]:
    """Where a label first differs from another, and where it last does."""
    last = len(label) - 1
    return min(_alike(label, rival), last), max(0, last - _alike(label[::-1], rival[::-1]))


def _alike(one: str, other: str) -> int:
    """How many characters two texts begin alike."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((at for at, (first, second) in pairs if first != second), min(len(one), len(other)))


def _largest(label: str, places: Sequence[int], fits: Callable[[str], bool]) -> list[str]:
    """The pieces with as many characters as fit."""
    most, over = 0, len(label) + 1
    while over - most > 1:
        kept = (most + over) // 2
        if fits("…".join(_pieces(label, _spans(label, places, kept)))):
            most = kept
        else:
            over = kept
    return _pieces(label, _spans(label, places, most))


def _spans(label: str, places: Sequence[int], kept: int) -> list[tuple[int, int]]:
    """The beginning and the words at some places, about `kept` characters in equal shares."""
    share = kept // (len(places) + 1)
    head = kept - share * len(places)
    space = label.rfind(" ", 0, head)
    spans = [(0, space if head < len(label) and space > head // 2 else head)]
    for place in places:
        start = label.rfind(" ", 0, place) + 1
        if place - start > share // 2:
            start = place - share // 3
        if start > len(label) - share:
            start = max(0, len(label) - share)
            start = max(start, label.find(" ", start, place) + 1)
        if start <= spans[-1][1]:
            spans[-1] = (spans[-1][0], max(spans[-1][1], start + share))
        else:
            spans.append((start, start + share))
    return spans


def _pieces(label: str, spans: Sequence[tuple[int, int]]) -> list[str]:
    """What is kept of a label; the last piece is empty where its end is not."""
    pieces = [label[start:end] for start, end in spans]
    if spans[-1][1] < len(label):
        pieces.append("")
    return [*(piece.rstrip(" ,.;:") for piece in pieces[:-1]), pieces[-1]]


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
    return Wording(_joined(after), tuple(_change_pieces(_calmed(changes))), related)


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


def _change_pieces(changes: Sequence[_Change]) -> Iterator[Piece]:
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
