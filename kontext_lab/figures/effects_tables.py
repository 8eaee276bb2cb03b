"""What stands below the panels: shares of the variance as bars, and two axes together as a heat map. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from kontext_lab.figures import text
from kontext_lab.figures.effects_sketch import Box, Sketch, Stroke, Turned
from kontext_lab.figures.geometry import Label, Rect
from kontext_lab.figures.value_frames import ends_of, share_of
from kontext_lab.statistics import Effects, Interaction
from kontext_lab.statistics.formatting import percent, value_words

__all__ = ["add_heat", "add_shares"]

PlaceholderValues = Callable[[float | None], str]

HEAD_POINTS, POINTS, SMALL = 9.0, 8.0, 7.0
_ROW = 0.2
_BAR = 3.6
_NAME = 2.4
"""Inches that names beside bars and rows may take."""
_WIDEST, _TALLEST, _ALL_ROWS = 0.95, 0.34, 7.0
"""Inches of a field at most, and of all rows together."""
_MOST_FIELDS = 40_000
_TURNED = 1.3
_STEPS = 24


def add_shares(sketch: Sketch, effects: Effects, left: float) -> None:
    """Add a bar for every axis whose share can be told, the largest first, and one for what is left."""
    axes = sorted((one for one in effects.axes if one.share is not None), key=lambda one: -(one.share or 0.0))
    told = [axis for axis in axes if axis.p is not None]
    if effects.residual is None or not told or len(told) < len(axes):
        return
    bars = [(axis.name, axis.share or 0.0, axis.by_chance) for axis in told]
    bars.append(("interplay and chance", effects.residual, None))
    top = sketch.say(f"Share of the variance of {effects.metric}", left, sketch.bottom, HEAD_POINTS) + 0.05
    names = text.cut([text.clean(name) for name, _, _ in bars], POINTS, _NAME)
    start = left + text.widest(names, POINTS) + 0.1
    for at, (name, (_, share, chance)) in enumerate(zip(names, bars, strict=True)):
        y = top + at * _ROW
        last = at == len(bars) - 1
        middle = y + (_ROW - text.height(1, POINTS)) / 2
        sketch.say(name, start - 0.08, middle, POINTS, "note" if last else "value", align="right")
        width = max(0.005, _BAR * min(1.0, share))
        sketch.boxes.append(Box("rest" if last else "share", Rect(start, y + 0.035, width, _ROW - 0.07)))
        if chance is not None:
            x = start + _BAR * chance
            sketch.strokes.append(Stroke("chance", ((x, y + 0.01), (x, y + _ROW - 0.01))))
        edge = max(start + width, start + _BAR * (chance or 0.0)) + 0.08
        sketch.say(percent(share), edge, middle, POINTS, "note" if last else "value")
    words = "Upright line: what an axis with as many values would take by chance alone."
    sketch.bottom = sketch.say(words, left, top + len(bars) * _ROW + 0.04, SMALL, "note") + 0.2


def add_heat(sketch: Sketch, effects: Effects, both: Interaction, left: float) -> None:
    """Add the means of two axes together, rows and columns in the order of the grid's."""
    head = f"{effects.metric}: {both.rows} (down) and {both.columns} (across)"
    lines = text.wrap(text.clean(head), HEAD_POINTS, sketch.width - 2 * left)
    top = sketch.say(lines, left, sketch.bottom, HEAD_POINTS) + 0.06
    if len(both.row_labels) * len(both.column_labels) > _MOST_FIELDS:
        many = f"{len(both.row_labels)} × {len(both.column_labels)} values are too many for a table."
        sketch.bottom = sketch.say(many, left, top, POINTS, "note") + 0.2
        return
    rows = text.cut(_called(sketch, both.rows, both.row_labels, _NAME), POINTS, _NAME)
    start = left + text.widest(rows, POINTS) + 0.1
    width = min(_WIDEST, (sketch.width - left - start) / len(both.column_labels))
    height = min(_TALLEST, _ALL_ROWS / len(rows))
    columns = _called(sketch, both.columns, both.column_labels, 2 * width)
    top = _add_heads(sketch, columns, start, width, top) + 0.04
    for at in range(0, len(rows), _every(text.height(1, POINTS), height)):
        name, middle = rows[at], top + (at + 0.5) * height - text.height(1, POINTS) / 2
        sketch.say(name, start - 0.08, middle, POINTS, "name", align="right")
    words, ends = _in_words(effects, both), _scale(effects, both)
    _add_fields(sketch, words, both, ends, Rect(start, top, width, height))
    sketch.bottom = top + len(rows) * height + 0.08
    _add_key(sketch, [words(end) for end in ends], both, start)
    sketch.spell_out(left)


def _called(sketch: Sketch, axis: str, labels: Sequence[str], room: float) -> list[str]:
    """The values of an axis, long prompts by short names where they would be cut."""
    words = [text.clean(label) for label in labels]
    return words if text.widest(words, POINTS) <= room else sketch.called(axis, words)


def _add_heads(sketch: Sketch, words: Sequence[str], start: float, width: float, top: float) -> float:
    """The columns' values, across where they fit; returns where they end below."""
    room = width - 0.05
    broken = [text.wrap(word, POINTS, room) for word in words]
    whole = all(text.width(part, POINTS) <= room for word in words for part in word.split(" "))
    if whole and all(len(lines) <= 3 for lines in broken):
        below = top + max(text.height(len(lines), POINTS) for lines in broken)
        for at, lines in enumerate(broken):
            x = start + (at + 0.5) * width
            sketch.say(lines, x, below - text.height(len(lines), POINTS), POINTS, "name", align="center")
        return below
    each = _every(text.height(1, SMALL), width)
    shown = [word if at % each == 0 else "" for at, word in enumerate(text.cut(words, SMALL, _TURNED))]
    below = top + text.widest(shown, SMALL)
    for at, line in enumerate(shown):
        if line:
            x = start + (at + 0.5) * width
            sketch.turned.append(Turned(line, x, below - text.width(line, SMALL), SMALL))
    return below


def _every(line: float, field: float) -> int:
    """Every how many fields one has room for a line: its label stands for the others."""
    return max(1, math.ceil(line / field))


def _in_words(effects: Effects, both: Interaction) -> PlaceholderValues:
    """Writes means, all with as many decimals, enough to tell the least from the greatest; "" where there is none."""
    low, high = _ends(both)
    largest, apart = max(abs(low), abs(high)), high - low
    decimals = 2 - math.floor(math.log10(largest)) if largest else 0
    if 0 < apart < math.inf:
        decimals = max(decimals, 1 - math.floor(math.log10(apart)))

    def words(mean: float | None) -> str:
        if mean is None:
            return ""
        plain = not effects.is_rate and 0 <= decimals <= 6
        return f"{mean:.{decimals}f}".replace("-", "−") if plain else value_words(effects, mean)

    return words


def _ends(both: Interaction) -> tuple[float, float]:
    there = [mean for line in both.means for mean in line if mean is not None]
    return min(there), max(there)


def _scale(effects: Effects, both: Interaction) -> tuple[float, float]:
    """The ends of the colours: all or nothing for rates, else never less apart than what seeds do to a mean."""
    if effects.is_rate:
        return 0.0, 1.0
    fewest = min(count for line in both.counts for count in line if count)
    noise = effects.seed.spread / math.sqrt(fewest) if effects.seed is not None else None
    return ends_of(*_ends(both), noise)


def _add_fields(
    sketch: Sketch, in_words: PlaceholderValues, both: Interaction, ends: tuple[float, float], first: Rect
) -> None:
    """The fields of the table; their words only where all of them fit."""
    words = [[in_words(mean) for mean in line] for line in both.means]
    wide = text.widest((word for line in words for word in line), POINTS)
    fits = wide <= first.width - 0.06 and text.height(1, POINTS) <= first.height
    for row, line in enumerate(both.means):
        for column, mean in enumerate(line):
            rect = first.moved(column * first.width, row * first.height)
            middle = rect.left + rect.width / 2
            top = rect.top + (rect.height - text.height(1, POINTS)) / 2
            if mean is None:
                sketch.boxes.append(Box("empty", rect))
                if fits:
                    sketch.say("–", middle, top, POINTS, "note", align="center")
                continue
            tone = share_of(mean, ends)
            sketch.boxes.append(Box("heat", rect, tone))
            if fits:
                label = Label((words[row][column],), middle, top, POINTS, "value", "center")
                sketch.on_heat.append((label, tone))


def _add_key(sketch: Sketch, words: Sequence[str], both: Interaction, start: float) -> None:
    """What the tones mean, and of how many values a mean is."""
    top = sketch.bottom
    x = start + text.width(words[0], SMALL) + 0.06
    sketch.say(words[0], start, top, SMALL, "note")
    step = 1.2 / _STEPS
    for at in range(_STEPS):
        rect = Rect(x + at * step, top + 0.01, step, text.height(1, SMALL) - 0.02)
        sketch.boxes.append(Box("heat", rect, at / (_STEPS - 1)))
    x += 1.2 + 0.06
    sketch.say(words[1], x, top, SMALL, "note")
    counts = sorted({count for line in both.counts for count in line if count})
    each = f"{counts[0]} values" if len(counts) == 1 else f"{counts[0]} to {counts[-1]} values"
    said = "one value each" if counts == [1] else f"mean of {each} each"
    sketch.bottom = sketch.say(said, x + text.width(words[1], SMALL) + 0.25, top, SMALL, "note") + 0.15
