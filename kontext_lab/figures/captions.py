"""Text around the tiles: title, caption, legend of names, meaning of verdicts and colours. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from kontext_lab.figures import text
from kontext_lab.figures.axis_values import Choice, Shot, Value, Values
from kontext_lab.figures.geometry import Block, ColourBar, Label, Rect, Role, Tile
from kontext_lab.figures.sizing import even
from kontext_lab.figures.table import Table
from kontext_lab.figures.value_frames import SCALE, Frames, View
from kontext_lab.images.heat_map import BRIGHTEST, COLOURS
from kontext_lab.results import Output
from kontext_lab.results.labels import FAVOURITE, VERDICT, criterion_of, verdict_key
from kontext_lab.sweep.wording import compared, shortened

__all__ = [
    "LINE_LIMIT",
    "MOST_LINES",
    "POINTS",
    "VERDICT_SIGNS",
    "colour_key",
    "header",
    "legend",
    "legend_entries",
    "mark_of",
    "marks_of",
    "notes_of",
    "spelled_out",
    "verdicts_of",
    "verdicts_words",
]

LINE_LIMIT, MOST_LINES = 30, 6
"""Lines of a legend, and of one of its texts; further names go to another page, or are left to the table."""
POINTS, _TITLE_POINTS = 8.5, 11.5
_LISTED = 6
_SHORT = 48


def mark_of(shots: Sequence[Shot], live: bool = False) -> str:
    """The mark of simulated pictures, wherever the sandbox's are among them.

    On a live sheet it counts the pictures that are still to come: the text stays as it is while they arrive.
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
    """The parts of the caption that are needed; beside a live sheet, its pickers show the slice and the page."""
    notes = []
    if choice.picked and not live:
        notes.append("picked: " + ", ".join(choice.picked))
    if choice.shown:
        named = {
            key: shortened([value.label for value in there], _SHORT) for key, there in choice.shown.items()
        }
        here = ", ".join(f"{key} {names[0]}" for key, names in named.items())
        there = "; ".join(text.first_few(others, _LISTED) for _, *others in named.values())
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


def header(title: str, mark: str, notes: Sequence[str], room: float) -> Block:
    """Title, mark and notes, one below the other."""
    labels: list[Label] = []
    top = 0.0
    parts: list[tuple[Role, str, float, int]] = [
        ("title", title, _TITLE_POINTS, 1),
        ("mark", mark, POINTS, 1),
        ("note", " · ".join(notes), POINTS, 4),
    ]
    for role, words, points, most in parts:
        if words:
            labels.append(Label(text.wrap(words, points, room, most), 0.0, top, points, role))
            top = labels[-1].bottom + 0.02
    return Block(room, top + 0.01 if labels else 0.0, labels=tuple(labels))


def spelled_out(values: Values, shots: Sequence[Shot]) -> list[Value]:
    """The prompts that a legend has to spell out: a single one, or all whose label only stands for them."""
    present = values.present(shots, "prompt") if any("prompt" in shot.cell.params for shot in shots) else []
    return present if len(present) == 1 else [one for one in present if one.full not in ("", one.label)]


def legend_entries(values: Values, shots: Sequence[Shot], title: str) -> tuple[tuple[str, str], ...]:
    """Names of prompts, the first one's text and its difference from the others; a single prompt in full."""
    named = spelled_out(values, shots)
    if not named:
        return ()
    first, *others = values.present(shots, "prompt")
    words = first.full or first.label
    if not others:
        return (("prompt", words),) if words != title else ()
    return tuple(
        (value.label, value.full if value == first else str(compared(words, value.full))) for value in named
    )


def legend(entries: Sequence[tuple[str, str]], marks: str, room: float, *, live: bool) -> Block:
    """Names and their texts with hanging indents, many short ones in two columns; and the meaning of marks."""
    labels: list[Label] = []
    if len(entries) > LINE_LIMIT:
        more = len(entries) - LINE_LIMIT + 1
        entries = [*entries[: LINE_LIMIT - 1], ("…", f"and {more} more: results.to_frame() has them")]
    if entries:
        names, texts = zip(*entries, strict=True)
        widest = min(text.widest(names, POINTS), room / 4)
        indent = widest + 0.12
        columns = 2 if len(entries) > 8 and text.widest(texts, POINTS) < room / 2 - indent - 0.2 else 1
        most = min(MOST_LINES, max(1, LINE_LIMIT // len(entries)))
        short = text.labelled(names, POINTS, [widest] * len(names), 1)
        lines = text.labelled(texts, POINTS, [room - indent] * len(texts), most)
        # The others are shown by their difference from the first.
        lines[0] = text.wrap(texts[0], POINTS, room - indent, MOST_LINES)
        for column, run in enumerate(even(len(entries), math.ceil(len(entries) / columns))):
            left, top = column * room / 2, 0.0
            for at in run:
                labels.append(Label(short[at], left, top, POINTS, "name"))
                labels.append(Label(lines[at], left + indent, top, POINTS, "legend"))
                top = labels[-1].bottom + 0.03
    height = max((label.bottom + 0.03 for label in labels), default=0.0)
    # On a live sheet the line is kept free: the first verdict must not move the page below the sheet.
    if marks or live:
        words = text.wrap(marks, POINTS, room, 2) if marks else (" ",)
        labels.append(Label(words, 0.0, height, POINTS, "note"))
        height = labels[-1].bottom + 0.03
    return Block(room, height, labels=tuple(labels))


_PASS, _FAIL, _STAR = VERDICT_SIGNS = ("✓", "✗", "★")


def verdicts_of(output: Output | None, criterion: str | None = None) -> str:
    """The signs of an output's verdicts, "" without any; passed where none failed, or on the criterion if one is given."""
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
    """The meaning and the number of each sign on tiles; "" without any."""
    given = [mark for mark in marks if mark]
    on = f" on {criterion_of(criterion)}" if criterion else ""
    means = {_PASS: f"passed{on}", _FAIL: f"failed{on}", _STAR: FAVOURITE}
    found = {sign: sum(sign in mark for mark in given) for sign in VERDICT_SIGNS}
    return " · ".join(f"{sign} {means[sign]}: {count}" for sign, count in found.items() if count)


def marks_of(tiles: Sequence[Tile], criterion: str | None) -> str:
    """The meaning of the small marks on tiles."""
    reused = sum(tile.reused for tile in tiles)
    cells = sum(tile.cell is not None for tile in tiles)
    words = f"◥ reused from an earlier run: {reused} of {cells}" if reused else ""
    missing = sum(tile.output is not None and tile.output.is_missing for tile in tiles)
    gone = f"missing in the store, shown as previews: {missing} of {cells}" if missing else ""
    verdicts = verdicts_words((tile.verdicts for tile in tiles), criterion)
    return " · ".join(part for part in (words, gone, verdicts) if part)


_STRIP, _SWATCH, _HIGH, _SPACE = 1.2, 0.16, 0.1, 0.07
_LEADING = 0.04
_DOT = "· "


@dataclass(frozen=True)
class _Strip:
    """Colours, and the words right before and behind them."""

    colours: tuple[str, ...]
    low: str = ""
    high: str = ""

    @property
    def width(self) -> float:
        """Inches of the colours."""
        return _STRIP if len(self.colours) > 1 else _SWATCH


_Piece = str | _Strip


def colour_key(view: View, frames: Frames | None, metric: str | None, room: float) -> Block:
    """The meaning of a figure's colours, in lines of at most `room` inches."""
    labels: list[Label] = []
    bars: list[ColourBar] = []
    top, high = 0.0, text.height(1, POINTS)
    for pieces in (_change_pieces(view), _frame_pieces(frames, metric)):
        x = 0.0
        for piece in pieces:
            ends = (piece.low, piece.high) if isinstance(piece, _Strip) else ()
            wide = text.width(piece, POINTS) if isinstance(piece, str) else piece.width
            wide += sum(text.width(one, POINTS) + _SPACE for one in ends if one)
            if x and x + wide > room:
                x, top = 0.0, top + high
            if isinstance(piece, _Strip):
                # The words stand at the strip itself, even if a line is measured wider than it is.
                left = x + (text.width(piece.low, POINTS) + _SPACE if piece.low else 0.0)
                rect = Rect(left, top + (high - _HIGH) / 2 + 0.01, piece.width, _HIGH)
                bars.append(ColourBar(rect, piece.colours))
                if piece.low:
                    labels.append(Label((piece.low,), left - _SPACE, top, POINTS, "note", "right"))
                if piece.high:
                    labels.append(Label((piece.high,), rect.right + _SPACE, top, POINTS, "note"))
            else:
                lines = text.wrap(piece if x else piece.removeprefix(_DOT), POINTS, room, 3)
                labels.append(Label(lines, x, top, POINTS, "note"))
                top += high * (len(lines) - 1)
            x += wide + _SPACE
        top += high + _LEADING if pieces else 0.0
    return Block(room, top, labels=tuple(labels), bars=tuple(bars))


def _change_pieces(view: View) -> list[_Piece]:
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


def _frame_pieces(frames: Frames | None, metric: str | None) -> list[_Piece]:
    if metric is None:
        return []
    if frames is None:
        return [f"frame: {metric}, measured on none of these"]
    low, high = frames.ends
    found: list[_Piece] = [f"frame: {frames.metric}:"]
    if frames.yes_no:
        for value in (1.0, 0.0):
            count = sum(one == value for one in frames.values.values())
            found.append(_Strip((frames.colour(value),), "", f"{frames.words(value)}: {count}"))
    elif low == high:
        found.append(_Strip((frames.colour(low),), "", f"{frames.words(low)} everywhere"))
    else:
        found.append(_Strip(SCALE, frames.words(low), frames.words(high)))
    return found
