"""Placeholders in prompts, and labels cut to a length.

`{animal}` stands for a word, `{{animal}}` for the text `{animal}` itself. Only identifiers are placeholders, so that
prompts written as JSON stay what they are.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

__all__ = ["filled", "placeholders", "short_prompt", "shortened"]

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
