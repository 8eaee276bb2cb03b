"""What a tile says where there is no picture to show: the state in a word, the reason, a short note. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from kontext_lab.errors import OutputMissing
from kontext_lab.figures import text
from kontext_lab.results import CellResult, State

__all__ = ["PlaceholderCard", "card_of", "fitted", "unreadable"]

_SIZES = (8.0, 7.5, 7.0, 6.5, 6.0, 5.5)
_NOTE_SIZES = (7.5, 7.0, 6.5, 6.0)
_PADDING = 0.07
_MODERATED = "moderated"


@dataclass(frozen=True)
class PlaceholderCard:
    """Words in place of a picture.

    Attributes:
        kind: names its colour: a state, or `moderated`.
        heading: the state and the reason.
        note: the same in a sentence, or "".
        heading_lines: the heading as it fits the tile.
        note_lines: as much of the note as fits the tile.
        heading_points: its type size.
        note_points: its type size.
    """

    kind: str
    heading: str
    note: str = ""
    heading_lines: tuple[str, ...] = ()
    note_lines: tuple[str, ...] = ()
    heading_points: float = _SIZES[0]
    note_points: float = _NOTE_SIZES[0]


def card_of(cell: CellResult, number: int) -> PlaceholderCard | None:
    """What to say about an output, or None where there is a picture to show."""
    if cell.state is State.WAITING and cell.reused_from:
        return PlaceholderCard("waiting", "reused", _note(cell.note, "reused"))
    if cell.state is not State.DONE:
        heading = " · ".join(part for part in (cell.state.replace("_", " "), cell.reason) if part)
        kind = cell.reason if cell.reason == _MODERATED else str(cell.state)
        return PlaceholderCard(kind, heading, _note(cell.note, cell.reason))
    output = next((output for output in cell.outputs if output.number == number), None)
    if output is None:
        return PlaceholderCard("failed", "no picture", "the answer held none")
    if output.is_picture and output.format:
        return None
    kind = output.reason if output.reason == _MODERATED else "failed"
    return PlaceholderCard(kind, output.reason or "no picture", _note(output.note, output.reason))


def unreadable(error: Exception) -> PlaceholderCard:
    """What to say where a picture exists but could not be loaded."""
    heading = "missing" if isinstance(error, OutputMissing) else "not loaded"
    return PlaceholderCard("failed", heading, text.clean(str(error)))


def fitted(card: PlaceholderCard, width: float, height: float) -> PlaceholderCard:
    """The card's words broken to fit a tile of so many inches."""
    room, high = (max(side - 2 * min(_PADDING, side / 20), 0.1) for side in (width, height))
    points = text.fitting_size((card.heading,), _SIZES, (room,), 2)
    most = max(1, int(high / text.height(1, points)))
    heading: tuple[str, ...] = (card.heading,)
    if text.width(card.heading, points) > room:
        # State and reason on lines of their own.
        parts = card.heading.split(" · ")
        heading = tuple(line for part in parts for line in text.wrap(part, points, room, 2))[:most]
    left = high - text.height(len(heading), points) - 0.02
    note_points = text.fitting_size((card.note,), _NOTE_SIZES, (room,), 4)
    lines = min(5, int(left / text.height(1, note_points)))
    # A line of two words says nothing: a tile this small leaves the note to the table.
    readable = width >= 0.9 and lines >= 1 and card.note
    note = text.wrap(card.note, note_points, room, lines) if readable else ()
    return PlaceholderCard(card.kind, card.heading, card.note, heading, note, points, note_points)


def _note(note: str, reason: str) -> str:
    """The note on one line, unless it only repeats the reason."""
    line = text.clean(note)
    return "" if line.lower() == reason.lower() else line
