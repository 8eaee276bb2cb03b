"""What a page says, as plain values: texts as a reader sees them, pictures as places in an album. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kontext_lab.sweep.wording import Piece

if TYPE_CHECKING:
    from kontext_lab.metrics import Placement

__all__ = ["Fact", "Page", "PageAxis", "PageCard", "PagePrompt", "PageValue", "Plot"]


@dataclass(frozen=True)
class Fact:
    """A line of a table: what it is called, and what it is."""

    name: str
    text: str


@dataclass(frozen=True)
class PagePrompt:
    """A prompt in full.

    Attributes:
        name: the name the axis gives it; "" where there is only one.
        text: with placeholders where words vary.
        pieces: the same word by word, with what the first prompt has in its place; empty for the first one, and where
            they share too little.
    """

    name: str
    text: str
    pieces: tuple[Piece, ...] = ()


@dataclass(frozen=True)
class PageValue:
    """A value of an axis: how it is shown, and the whole text where that only stands for it, else ""."""

    label: str
    full: str = ""


@dataclass(frozen=True)
class PageAxis:
    """A parameter that varies, to be put on rows or columns or to be picked from."""

    key: str
    values: tuple[PageValue, ...]


@dataclass(frozen=True)
class PageCard:
    """One output of one cell, or the reason why there is none.

    Attributes:
        place: for every axis of the page the place of its value; None where the cell has no such parameter.
        title: what tells it apart, in words.
        kind: `done`, or what its tile is coloured by: `failed`, `moderated`, `in_doubt` …
        said: why there is no picture, "" where there is one.
        mark: verdicts as signs, for the tile.
        simulated: whether the sandbox made it.
        picture: its place in the album, or None.
        references: places of what was given to the model, in their order.
        placements: of each of them with the output, or None.
        change: place of the change map, or None.
        facts: cost, seed, sizes …
        params: every parameter.
        measured: values that were measured.
        verdicts: criterion and `pass` or `fail`.
        comment: a person's note.
    """

    place: tuple[int | None, ...]
    title: str
    kind: str = "done"
    said: str = ""
    mark: str = ""
    simulated: bool = False
    picture: int | None = None
    references: tuple[int, ...] = ()
    placements: tuple[Placement | None, ...] = ()
    change: int | None = None
    facts: tuple[Fact, ...] = ()
    params: tuple[Fact, ...] = ()
    measured: tuple[Fact, ...] = ()
    verdicts: tuple[Fact, ...] = ()
    comment: str = ""


@dataclass(frozen=True)
class Plot:
    """A drawn figure, and what it says in words.

    Attributes:
        title: what it is about.
        picture: PNG or SVG; empty where only the sentences stand.
        sentences: what can be told from it, and what can't.
        dark: the same on dark paper, for those who read on it; or empty.
    """

    title: str
    picture: bytes = b""
    sentences: tuple[str, ...] = ()
    dark: bytes = b""


@dataclass(frozen=True)
class Page:
    """A whole report.

    Attributes:
        title: the sweep's name.
        summary: counts and money in a line.
        simulated: what is said of simulated pictures, "" where there are none.
        facts: when, which service, which parameters.
        prompts: every prompt in full.
        notes: lines a person should read.
        axes: what varies.
        rows: the axis that stands down the side at first, or "".
        columns: the one across the top, or "".
        cards: every output.
        change: what is said of change maps, where there are any.
        plots: effects.
    """

    title: str
    summary: str = ""
    simulated: str = ""
    facts: tuple[Fact, ...] = ()
    prompts: tuple[PagePrompt, ...] = ()
    notes: tuple[str, ...] = ()
    axes: tuple[PageAxis, ...] = ()
    rows: str = ""
    columns: str = ""
    cards: tuple[PageCard, ...] = ()
    change: str = "change map"
    plots: tuple[Plot, ...] = ()

    def as_data(self) -> Mapping[str, Any]:
        """What the script in the page works on: names as short as they are long in number."""
        return {
            "axes": [
                {"key": axis.key, "values": [[value.label, value.full] for value in axis.values]}
                for axis in self.axes
            ],
            "rows": self.rows,
            "columns": self.columns,
            "change": self.change,
            "cards": [_card(card) for card in self.cards],
        }


def _card(card: PageCard) -> Mapping[str, Any]:
    return {
        "at": card.place,
        "title": card.title,
        "kind": card.kind,
        "said": card.said,
        "mark": card.mark,
        "simulated": card.simulated,
        "picture": card.picture,
        "references": card.references,
        "frames": [
            one
            and {
                "size": one.size,
                "layers": [one.first, one.second],
                "registered": one.registered,
                "note": one.note,
            }
            for one in card.placements
        ],
        "change": card.change,
        "facts": _pairs(card.facts),
        "params": _pairs(card.params),
        "measured": _pairs(card.measured),
        "verdicts": _pairs(card.verdicts),
        "comment": card.comment,
    }


def _pairs(facts: tuple[Fact, ...]) -> list[tuple[str, str]]:
    return [(fact.name, fact.text) for fact in facts]
