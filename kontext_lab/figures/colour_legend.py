"""What colours mean: a line of words and strips of colour for change maps, and one for frames. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

from kontext_lab.figures import text
from kontext_lab.figures.geometry import ColourBar, Label, Rect
from kontext_lab.figures.value_frames import SCALE, Frames, View
from kontext_lab.images.heat_map import BRIGHTEST, COLOURS

__all__ = ["Key", "key_of"]

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
