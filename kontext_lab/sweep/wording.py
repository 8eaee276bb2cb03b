"""Placeholders in prompts, word-by-word differences between prompts, and labels cut to a length.

`{animal}` is a placeholder, `{{animal}}` is the text `{animal}`. Only identifiers are placeholders, so that prompts
written as JSON stay unchanged.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from functools import partial
from itertools import takewhile
from typing import Literal

__all__ = ["Kind", "Piece", "Wording", "compared", "filled", "placeholders", "short_prompt", "shortened"]

_TOKEN = re.compile(r"\{\{(?P<escaped>[^\W\d]\w*)\}\}|\{(?P<name>[^\W\d]\w*)\}")


def placeholders(template: str) -> tuple[str, ...]:
    """The placeholders of a prompt, each once, in order of appearance."""
    found = (match["name"] for match in _TOKEN.finditer(template))
    return tuple(dict.fromkeys(name for name in found if name))


def filled(template: str, words: Mapping[str, str]) -> str:
    """The prompt with its placeholders replaced and its escapes undone."""
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
    """Labels cut to a width, each with the words that distinguish it from the others, in order.

    A cut label keeps its beginning; if another label has the same beginning, it also keeps the places where the two
    differ: `Add a small … with a red hat`. Different labels stay different at any width: if no cut distinguishes them,
    they become numbers, even if these are wider.

    Args:
        labels: one line each.
        room: largest number of characters, or a function that is True for a text that fits.
        among: all labels to be distinguished, if `labels` are some of them.
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
    """A label with parts left out that matches no other label; None if there is no such text."""
    places: list[int] = []
    while True:
        # As many characters as fit.
        chosen = partial(_pieces, label, tuple(places))
        sizes = range(1, len(label) + 1)
        pieces = chosen(bisect_left(sizes, True, key=lambda kept: not fits("…".join(chosen(kept)))))
        # The ends exclude nearly all labels: a pattern takes a hundred times as long.
        near = [other for other in everything if other.startswith(pieces[0]) and other.endswith(pieces[-1])]
        pattern = ".*".join(map(re.escape, pieces))
        rivals = (other for other in near if other != label and re.fullmatch(pattern, other, re.DOTALL))
        rival = next(rivals, None)
        if rival is None:
            return "…".join(pieces)
        # Where the label first differs from its rival, and where it last does.
        last = len(label) - 1
        first_place = min(_shared_start(label, rival), last)
        last_place = max(0, last - _shared_start(label[::-1], rival[::-1]))
        further = [place for place in (first_place, last_place) if place not in places]
        if not further or len("".join(pieces)) <= len(places):
            return None
        places = sorted([*places, further[0]])


def _shared_start(text: str, other: str) -> int:
    """Number of characters with which both texts begin."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(text, other, strict=False)))


def _pieces(label: str, places: Sequence[int], kept: int) -> list[str]:
    """The beginning and the words at some places, about `kept` characters in equal shares.

    The last piece is empty if the label's end is not among them.
    """
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
    pieces = [label[start:end] for start, end in spans]
    if spans[-1][1] < len(label):
        pieces.append("")
    return [*(piece.rstrip(" ,.;:") for piece in pieces[:-1]), pieces[-1]]


Kind = Literal["kept", "left out", "added"]

_PLACEHOLDER = re.compile(r"(\{+[^\W\d]\w*\}+)")
# Scripts that put no spaces between words are compared sign by sign.
_SIGNS = re.compile(r"[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff]|[^\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff]+")

_AROUND = 3
"""Kept words that are shown beside a difference."""

_ALIKE, _HELD = 0.35, 0.75
"""Two wordings are shown by their differences if they share this part of both, or the longer one holds this part of the
shorter; else nearly everything would be a difference."""

_FEW = 8
"""Among so few words, a single shared one is enough."""


@dataclass(frozen=True)
class Piece:
    """A stretch of words of both wordings, of the first alone or of the second alone; `spaced` if a space precedes it."""

    kind: Kind
    text: str
    spaced: bool = True


@dataclass(frozen=True)
class Wording:
    """Difference between two wordings.

    Attributes:
        text: the second wording, on one line.
        pieces: both in one: words kept, words of the first left out, words added.
        related: True if they share enough words for the differences to be useful.
    """

    text: str
    pieces: tuple[Piece, ...]
    related: bool = True

    @property
    def same(self) -> bool:
        """True if the words are the same."""
        return all(piece.kind == "kept" for piece in self.pieces)

    @property
    def brief(self) -> tuple[Piece, ...]:
        """The pieces with long kept stretches shortened by `…`; the whole text, as added, if little is shared."""
        if not self.related:
            return (Piece("added", self.text),)
        pieces = []
        for number, piece in enumerate(self.pieces):
            words = piece.text.split()
            # Only the words beside differences; at both ends there is a difference on one side alone.
            head = [] if number == 0 else words[:_AROUND]
            tail = [] if number == len(self.pieces) - 1 else words[-_AROUND:]
            if piece.kind == "kept" and len(words) > len(head) + len(tail) + 1:
                pieces.append(replace(piece, text=" ".join((*head, "…", *tail))))
            else:
                pieces.append(piece)
        return tuple(pieces)

    def __str__(self) -> str:
        """One line of plain text: `[-left out-]`, `[+added+]`."""
        if self.same:
            return "the same words"
        if not self.related:
            return self.text
        line = ""
        for piece in self.brief:
            before, after = {"kept": ("", ""), "left out": ("[-", "-]"), "added": ("[+", "+]")}[piece.kind]
            line += f"{' ' if piece.spaced and line else ''}{before}{piece.text}{after}"
        return line


def compared(first: str, second: str) -> Wording:
    """Compare a wording with the first one, word by word (difflib's longest matching stretches)."""
    before, after = _words(first), _words(second)
    plain_before, plain_after = [word.strip() for word in before], [word.strip() for word in after]
    if plain_before == plain_after:
        return Wording(_joined(after), (Piece("kept", _joined(after)),))
    # difflib's rule for popular words keeps long texts of few words from taking minutes.
    matcher = SequenceMatcher(None, plain_before, plain_after)
    changes = [
        _Change(before[i1:i2], after[j1:j2], tag == "equal") for tag, i1, i2, j1, j2 in matcher.get_opcodes()
    ]
    shared = sum(
        change.size
        for change in changes
        if change.kept and not all(map(_is_punctuation, "".join(change.added).replace(" ", "")))
    )
    shorter, longer = sorted((len(before), len(after)))
    alike = 2 * shared >= _ALIKE * (shorter + longer) or shared >= _HELD * shorter
    related = alike or (shared > 0 and longer <= _FEW)
    pieces: list[Piece] = []
    for change in _without_chance_matches(changes):
        if change.kept:
            spaced = change.left[0].startswith(" ") or change.added[0].startswith(" ")
            pieces.append(Piece("kept", _joined(change.added), spaced))
            continue
        sides: tuple[tuple[Kind, list[str]], ...] = (("left out", change.left), ("added", change.added))
        pieces += [Piece(kind, _joined(words), words[0].startswith(" ")) for kind, words in sides if words]
    return Wording(_joined(after), tuple(pieces), related)


@dataclass(frozen=True)
class _Change:
    """A stretch of the first wording and its replacement in the second."""

    left: list[str]
    added: list[str]
    kept: bool

    @property
    def size(self) -> int:
        return max(len(self.left), len(self.added))

    def __add__(self, other: _Change) -> _Change:
        return _Change(self.left + other.left, self.added + other.added, False)


def _words(text: str) -> list[str]:
    """Words, placeholders and single punctuation marks; a space before each that follows one in the text.

    Punctuation inside a word, as in `don't` and `16:9`, stays.
    """
    words: list[str] = []
    for chunk in text.split():
        parts: list[str] = []
        for at, piece in enumerate(_PLACEHOLDER.split(chunk)):
            if at % 2:  # every second one is a placeholder
                parts.append(piece)
                continue
            marks = "".join(filter(_is_punctuation, piece))
            word = piece.strip(marks)
            before = piece.index(word)
            parts += [*piece[:before], *_SIGNS.findall(word), *piece[before + len(word) :]]
        words += [f" {parts[0]}", *parts[1:]]
    return words


def _is_punctuation(char: str) -> bool:
    return unicodedata.category(char).startswith("P")


def _without_chance_matches(changes: Sequence[_Change]) -> list[_Change]:
    """The changes, with chance matches merged into them: a `the` between two long changes means nothing."""
    calm: list[_Change] = []
    for change, following in zip(changes, (*changes[1:], None), strict=True):
        by_chance = following is not None and change.kept and change.size == 1 and following.size >= 3
        if calm and ((by_chance and calm[-1].size >= 3) or not (calm[-1].kept or change.kept)):
            calm[-1] += change
        else:
            calm.append(change)
    return calm


def _joined(words: Sequence[str]) -> str:
    return "".join(words).removeprefix(" ")
