"""Words around the tiles: the slice shown, page, legend of names, verdicts, meaning of colours. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from kontext_lab.figures import text
from kontext_lab.figures.axis_choice import Choice
from kontext_lab.figures.axis_values import Shot, Values
from kontext_lab.figures.geometry import ColourBar, Label, Rect
from kontext_lab.figures.table import Table
from kontext_lab.figures.value_frames import SCALE, Frames, View
from kontext_lab.images.heat_map import BRIGHTEST, COLOURS
from kontext_lab.results import Output
from kontext_lab.results.labels import FAVOURITE, VERDICT, criterion_of, verdict_key
from kontext_lab.sweep.wording import compared, shortened

__all__ = [
    "VERDICT_SIGNS",
    "Key",
    "key_of",
    "legend_of",
    "mark_of",
    "named_prompts",
    "notes_of",
    "verdicts_of",
    "verdicts_words",
]

_LISTED = 6
_SHORT = 48


def mark_of(shots: Sequence[Shot], live: bool = False) -> str:
    """That pictures are simulated, wherever the sandbox's are among them.

    While pictures arrive, it is said of those that are to come as well: the words stay as they are.
    """
    pictures = [shot for shot in shots if live or any(output.format for output in shot.cell.outputs)]
    simulated = sum(shot.cell.simulated for shot in pictures)
    if not simulated:
        return ""
    part = "" if simulated == len(pictures) else f": {simulated} of {len(pictures)}"
    return f"simulated pictures (sandbox){part}"


def notes_of(
    choice: Choice, table: Table, page: int, pages: int, left_out: str = "", *, live: bool = False
) -> tuple[str, ...]:
    """The caption's parts, those that are needed; a live sheet's pickers say themselves what is picked."""
    notes = []
    if choice.picked and not live:
        notes.append("picked: " + ", ".join(choice.picked))
    if choice.shown:
        named = [
            shortened([value.label for value in (one.value, *one.others)], _SHORT) for one in choice.shown
        ]
        here = ", ".join(f"{one.key} {names[0]}" for one, names in zip(choice.shown, named, strict=True))
        there = "; ".join(_listed(names[1:]) for names in named)
        notes.append(f"shown: {here}; also there: {there} – where={{…}} picks")
    if table.hidden:
        cells = f"{table.hidden} cell" + ("" if table.hidden == 1 else "s")
        notes.append(f"{cells} not shown: several share a place, the first is shown")
    if table.no_reference:
        notes.append(table.no_reference)
    if pages > 1 and not live:
        notes.append(left_out or f"page {page} of {pages}")
        if page < pages and not left_out:
            notes.append(f"next: kl.grid(…, page={page + 1})")
    return tuple(notes)


def named_prompts(values: Values, shots: Sequence[Shot]) -> int:
    """How many prompts a legend has to spell out."""
    present = values.present(shots, "prompt") if any("prompt" in shot.cell.params for shot in shots) else []
    return (
        len(present) if len(present) == 1 else sum(value.full not in ("", value.label) for value in present)
    )


def legend_of(values: Values, shots: Sequence[Shot], title: str) -> tuple[tuple[str, str], ...]:
    """Names of prompts, the first one's text and what the others have of their own; the prompt where all share one."""
    if not any("prompt" in shot.cell.params for shot in shots):
        return ()
    present = values.present(shots, "prompt")
    if len(present) == 1:
        prompt = present[0].full or present[0].label
        return (("prompt", prompt),) if prompt != title else ()
    first = present[0].full or present[0].label
    return tuple(
        (value.label, str(compared(first, value.full)) if at else value.full)
        for at, value in enumerate(present)
        if value.full and value.full != value.label
    )


def _listed(names: Sequence[str]) -> str:
    first = ", ".join(names[:_LISTED])
    return first if len(names) <= _LISTED else f"{first} … ({len(names)})"


_PASS, _FAIL, _STAR = VERDICT_SIGNS = ("✓", "✗", "★")


def verdicts_of(output: Output | None, criterion: str | None = None) -> str:
    """The marks of an output, "" where nobody judged it.

    Args:
        output: of which.
        criterion: the one that counts; None for all: passed where none of them failed.
    """
    given = {} if output is None else output.metrics
    counted = [
        value
        for key, value in given.items()
        if key.startswith(VERDICT)
        and key != verdict_key(FAVOURITE)
        and (criterion is None or key == verdict_key(criterion))
    ]
    sign = "" if not counted else _PASS if all(counted) else _FAIL
    return sign + (_STAR if given.get(verdict_key(FAVOURITE)) == 1 else "")


def verdicts_words(marks: Iterable[str], criterion: str | None = None) -> str:
    """What the marks on tiles mean, and how many there are; "" where there are none."""
    given = [mark for mark in marks if mark]
    on = f" on {criterion_of(criterion)}" if criterion else ""
    means = {_PASS: f"passed{on}", _FAIL: f"failed{on}", _STAR: FAVOURITE}
    found = {sign: sum(sign in mark for mark in given) for sign in VERDICT_SIGNS}
    return " · ".join(f"{sign} {means[sign]}: {count}" for sign, count in found.items() if count)


_POINTS = 8.5
_STRIP, _SWATCH, _HIGH, _SPACE = 1.2, 0.16, 0.1, 0.07
_LEADING = 0.04
_DOT = "· "


@dataclass
class Key:
    """Words and strips, measured from their own top left.

    Attributes:
        labels: the words.
        bars: the strips.
        height: inches that all lines take.
    """

    labels: list[Label] = field(default_factory=list)
    bars: list[ColourBar] = field(default_factory=list)
    height: float = 0.0


@dataclass(frozen=True)
class _Strip:
    """Colours, and the words right before and behind them."""

    colours: tuple[str, ...]
    low: str = ""
    high: str = ""

    @property
    def wide(self) -> float:
        return _STRIP if len(self.colours) > 1 else _SWATCH


Piece = str | _Strip


def key_of(view: View, frames: Frames | None, metric: str | None, room: float) -> Key:
    """What the colours of a figure mean.

    Args:
        view: what tiles show.
        frames: what is around them, or None.
        metric: what should be around them, or None.
        room: inches that a line may take.
    """
    key = Key()
    for pieces in (_change_pieces(view), _frame_pieces(frames, metric)):
        if pieces:
            _lay(key, pieces, room)
    return key


def _change_pieces(view: View) -> list[Piece]:
    if view.show == "reference":
        return ["shown: the references in the places of their outputs"]
    if view.show != "change":
        return []
    glow = tuple(f"#{red:02x}{green:02x}{blue:02x}" for red, green, blue in COLOURS)
    strip = _Strip(glow, "0", f"{BRIGHTEST:.0f} and more")
    return [
        "change, Lab distance:",
        strip,
        f"{_DOT}grey: as it was · striped: not compared · over the {view.over}",
    ]


def _frame_pieces(frames: Frames | None, metric: str | None) -> list[Piece]:
    if metric is None:
        return []
    if frames is None:
        return [f"frame: {metric}, measured on none of these"]
    low, high = frames.ends
    if frames.yes_no:
        found: list[Piece] = [f"frame: {frames.metric}:"]
        for value in (1.0, 0.0):
            count = sum(one == value for one in frames.values.values())
            found.append(_Strip((frames.colour(value),), "", f"{frames.words(value)}: {count}"))
        return found
    if frames.same:
        return [
            f"frame: {frames.metric}:",
            _Strip((frames.colour(low),), "", f"{frames.words(low)} everywhere"),
        ]
    return [f"frame: {frames.metric}:", _Strip(SCALE, frames.words(low), frames.words(high))]


def _lay(key: Key, pieces: list[Piece], room: float) -> None:
    """A line of them, or several where they are too long."""
    x, high = 0.0, text.height(1, _POINTS)
    for piece in pieces:
        wide = _wide(piece)
        if x and x + wide > room:
            x, key.height = 0.0, key.height + high
        if isinstance(piece, _Strip):
            _lay_strip(key, piece, x)
        else:
            lines = text.wrap(piece if x else piece.removeprefix(_DOT), _POINTS, room, 3)
            key.labels.append(Label(lines, x, key.height, _POINTS, "note"))
            key.height += high * (len(lines) - 1)
        x += wide + _SPACE
    key.height += high + _LEADING


def _lay_strip(key: Key, strip: _Strip, x: float) -> None:
    """The words stand at the strip itself, whatever room others may have thought they take."""
    left = x + (text.width(strip.low, _POINTS) + _SPACE if strip.low else 0.0)
    middle = (text.height(1, _POINTS) - _HIGH) / 2 + 0.01
    key.bars.append(ColourBar(Rect(left, key.height + middle, strip.wide, _HIGH), strip.colours))
    if strip.low:
        key.labels.append(Label((strip.low,), left - _SPACE, key.height, _POINTS, "note", "right"))
    if strip.high:
        key.labels.append(Label((strip.high,), left + strip.wide + _SPACE, key.height, _POINTS, "note"))


def _wide(piece: Piece) -> float:
    if isinstance(piece, str):
        return text.width(piece, _POINTS)
    words = [one for one in (piece.low, piece.high) if one]
    return piece.wide + sum(text.width(one, _POINTS) + _SPACE for one in words)
