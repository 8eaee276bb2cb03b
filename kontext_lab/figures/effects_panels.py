"""Panels of an effects figure, one per axis, on matplotlib's own axes; and the strips a figure is made of."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import SubFigure
from matplotlib.ticker import MaxNLocator, PercentFormatter, ScalarFormatter

from kontext_lab.figures import text
from kontext_lab.figures.theme import Colour, Font, Theme, mixed
from kontext_lab.statistics import AxisEffect, Effects

__all__ = [
    "BETWEEN",
    "NAME_POINTS",
    "NOTE_POINTS",
    "SMALL_POINTS",
    "EffectsLayout",
    "across",
    "add_panels",
    "upwards",
]

NAME_POINTS, NOTE_POINTS = 9.0, 8.0
SMALL_POINTS = 7.0
_LONG, _MOST_NAMES = 32, 30
"""Characters from which a prompt has a short name where space is scarce; prompts that are spelled out at most."""
_HEIGHT, _GAP, _TICKS = 2.0, 0.36, 0.55
"""Inches of a panel's height, between two panels, and for the words of the scale."""
_NARROWEST, _STRETCH = 1.5, 1.7
_UPWARDS, _MOST_LINES, BETWEEN = 1.5, 4, 0.07
"""Inches of a label that reads upwards; lines of one that reads across; inches between two labels."""
_GOLDEN = 0.618


@dataclass
class FigurePart:
    """A strip of the figure: inches from its top, words, points and colour of each text, and what adds axes."""

    height: float = 0.0
    texts: list[tuple[float, str, float, str]] = field(default_factory=list)
    draw: Callable[[SubFigure], None] | None = None


@dataclass
class EffectsLayout:
    """Strips of a figure from the top down, and their common style; `width` in inches between the margins.

    Attributes:
        names: short names of long prompts.
        means: axis, number of its value, Axes, x and y of every mean that was drawn.
    """

    width: float
    theme: Theme
    font: Font
    parts: list[FigurePart] = field(default_factory=lambda: [FigurePart()])
    names: dict[str, str] = field(default_factory=dict)
    means: list[tuple[str, int, Axes, float, float]] = field(default_factory=list)
    _spelled: int = 0

    def add_text(self, words: str, points: float, colour: str, below: float = 0.0) -> None:
        """Add words over the whole width, wrapped, and inches of space below them."""
        lines = text.wrap(self.font.drawable(text.clean(words)), points, self.width)
        part = self.parts[-1]
        part.texts.append((part.height, "\n".join(lines), points, colour))
        part.height += text.height(len(lines), points) + below

    def add_axes(self, height: float, draw: Callable[[SubFigure], None], below: float = 0.1) -> None:
        """Add a strip of axes so many inches high, and inches of space below it."""
        self.parts += [FigurePart(height, draw=draw), FigurePart(below)]

    def short_names(self, axis: str, labels: Sequence[str]) -> list[str]:
        """Long prompts as P1, P2 …, as a grid calls them; other labels as they are."""
        if "prompt" not in axis.split("+"):
            return list(labels)
        short = [f"P{at}" if len(label) > _LONG else label for at, label in enumerate(labels, 1)]
        self.names.update({name: label for name, label in zip(short, labels, strict=True) if name != label})
        return short

    def spell_out(self) -> None:
        """Add the prompts behind short names that were not spelled out before."""
        new = list(self.names.items())[self._spelled :]
        self._spelled = len(self.names)
        if not new:
            return
        names, labels = [name for name, _ in new[:_MOST_NAMES]], [label for _, label in new]
        room = self.width - text.widest((f"{name}: " for name in names), NOTE_POINTS)
        lines = max(1, min(6, _MOST_NAMES // len(names)))
        rooms = [room] * len(names)
        shown = text.labelled(labels[: len(names)], NOTE_POINTS, rooms, lines, labels)
        for name, broken in zip(names, shown, strict=True):
            self.add_text(f"{name}: {' '.join(broken)}", NOTE_POINTS, self.theme.muted)
        if len(new) > len(names):
            self.add_text(f"… and {len(new) - len(names)} more prompts", NOTE_POINTS, self.theme.muted)
        self.parts[-1].height += 0.12

    def tone(self, share: float) -> Colour:
        """A colour from near the paper (0) to the full accent (1): lightness alone shows the order."""
        return mixed(self.theme.paper, self.theme.accents[0], 0.08 + 0.92 * share)


@dataclass(frozen=True)
class _Panel:
    """One axis: `places` are x of its values, `limits` x at both edges; labels are "" where there is no space."""

    axis: AxisEffect
    width: float
    places: tuple[float, ...]
    limits: tuple[float, float]
    labels: tuple[str, ...]
    points: float
    upwards: bool

    @property
    def below(self) -> float:
        """Inches that the labels take."""
        if self.upwards:
            return text.widest(self.labels, self.points)
        return text.height(max(label.count("\n") + 1 for label in self.labels), self.points)


def add_panels(layout: EffectsLayout, effects: Effects) -> None:
    """Add a panel for each axis, as many side by side as fit, all on one scale."""
    room = layout.width - _TICKS
    rows: list[list[tuple[AxisEffect, float]]] = [[]]
    for axis in effects.axes:
        widest = text.widest((point.label for point in axis.points), NOTE_POINTS)
        slot = max(0.3, min(widest + BETWEEN, 0.6 if _is_numbers(axis) else 1.2))
        wanted = max(_NARROWEST, text.width(axis.name, NAME_POINTS), len(axis.points) * slot)
        width = min(room, wanted)
        if rows[-1] and sum(one + _GAP for _, one in rows[-1]) + width > room:
            rows.append([])
        rows[-1].append((axis, width))
    first: list[Axes] = []
    for row in rows:
        free = room - _GAP * (len(row) - 1)
        stretch = min(_STRETCH, free / sum(width for _, width in row))
        panels = [_panel(layout, axis, width * stretch, effects.is_rate) for axis, width in row]
        height = text.height(1, NAME_POINTS) + _HEIGHT + max(panel.below for panel in panels) + 0.2
        layout.add_axes(height, partial(_draw_panels, layout, effects, panels, first), 0.2)
        layout.spell_out()


def _is_numbers(axis: AxisEffect) -> bool:
    return all(point.number is not None for point in axis.points)


def _panel(layout: EffectsLayout, axis: AxisEffect, width: float, is_rate: bool) -> _Panel:
    """Decide how labels are written: across, numbers thinned out, long prompts by short names, or upwards."""
    count = len(axis.points)
    numbers = [point.number for point in axis.points if point.number is not None]
    places, limits = tuple(float(at) for at in range(count)), (-0.5, count - 0.5)
    if axis.numeric and numbers[-1] > numbers[0]:
        side = 0.07 * (numbers[-1] - numbers[0])
        places, limits = tuple(numbers), (numbers[0] - side, numbers[-1] + side)
    words = [layout.font.drawable(text.clean(point.label)) for point in axis.points]
    slot = width / count
    points, turned = NOTE_POINTS, False
    if _is_numbers(axis):
        labels = _thinned(words, [width * (x - limits[0]) / (limits[1] - limits[0]) for x in places])
    else:
        side_by_side = across(words, slot - BETWEEN, _MOST_LINES)
        if side_by_side is None:
            words = layout.short_names(axis.name, words)
            side_by_side = across(words, slot - BETWEEN, _MOST_LINES)
        labels, points = side_by_side or (upwards(words, slot, _UPWARDS), SMALL_POINTS)
        turned = side_by_side is None
    if is_rate and not turned:
        # 3 of 4 and 30 of 40 are the same rate.
        trials = [
            f"{round(point.mean * point.n)} of {point.n}" if point.mean is not None else ""
            for point in axis.points
        ]
        if text.widest(trials, points) + BETWEEN <= slot:
            lines = max(label.count("\n") for label in labels)
            labels = [
                label + "\n" * (lines - label.count("\n") + 1) + trial
                for label, trial in zip(labels, trials, strict=True)
            ]
    return _Panel(axis, width, places, limits, tuple(labels), points, turned)


def across(words: Sequence[str], room: float, most: int) -> tuple[list[str], float] | None:
    """Labels side by side, in a few lines of whole words each, and their type size; None where they don't fit."""
    for points in (NOTE_POINTS, SMALL_POINTS):
        broken = [text.wrap(word, points, room) for word in words]
        whole = all(text.width(part, points) <= room for word in words for part in word.split(" "))
        if whole and all(len(lines) <= most for lines in broken):
            return ["\n".join(lines) for lines in broken], points
    return None


def upwards(words: Sequence[str], slot: float, room: float) -> list[str]:
    """Labels cut to so many inches; only every second, third … where slots are narrower than a line."""
    each = max(1, math.ceil(text.height(1, SMALL_POINTS) / slot))
    return [word if at % each == 0 else "" for at, word in enumerate(text.cut(words, SMALL_POINTS, room))]


def _thinned(words: Sequence[str], places: Sequence[float]) -> list[str]:
    """Numbers of which every second, third … is left out until none runs into its neighbour."""
    half = [text.width(word, NOTE_POINTS) / 2 + BETWEEN / 2 for word in words]

    def apart(before: int, after: int) -> bool:
        return places[before] + half[before] <= places[after] - half[after]

    last = len(words) - 1
    for each in range(1, len(words) + 1):
        kept = list(range(0, len(words), each))
        if all(apart(one, two) for one, two in pairwise(kept)):
            break
    if kept[-1] != last and apart(kept[-1], last):
        kept.append(last)
    return [word if at in kept else "" for at, word in enumerate(words)]


def _draw_panels(
    layout: EffectsLayout, effects: Effects, panels: Sequence[_Panel], first: list[Axes], part: SubFigure
) -> None:
    """Draw a row of panels; the scale is that of `first`, which the first row sets."""
    free = layout.width - _TICKS - sum(panel.width + _GAP for panel in panels)
    widths = [panel.width for panel in panels] + ([free] if free > 0.1 else [])
    grid = part.add_gridspec(1, len(widths), width_ratios=widths)
    for at, panel in enumerate(panels):
        axes = part.add_subplot(grid[0, at], sharey=first[0] if first else None)
        first.append(axes)
        title = text.shorten(layout.font.drawable(text.clean(panel.axis.name)), NAME_POINTS, panel.width)
        axes.set_title(title)
        axes.set_xlim(*panel.limits)
        axes.set_xticks(panel.places, panel.labels, size=panel.points, rotation=90 if panel.upwards else 0)
        axes.tick_params(labelleft=at == 0)
        if not effects.is_rate:
            _draw_outputs(layout, axes, panel)
        _draw_means(layout, axes, panel)
    if effects.is_rate:
        first[0].set_ylim(-0.04, 1.04)
        first[0].set_yticks(np.linspace(0, 1, 5))
        first[0].yaxis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=" %"))
    else:
        first[0].yaxis.set_major_locator(MaxNLocator(nbins=6, steps=[1, 2, 2.5, 5, 10]))
        first[0].yaxis.set_major_formatter(ScalarFormatter(useOffset=False))


def _draw_outputs(layout: EffectsLayout, axes: Axes, panel: _Panel) -> None:
    """Draw single outputs as dots beside their value, and blocks as thin lines."""
    axis, muted = panel.axis, layout.theme.muted
    span = panel.limits[1] - panel.limits[0]
    reach = min(0.06 * span, 0.5 * min((b - a for a, b in pairwise(panel.places)), default=span))
    pairs = [
        (x + ((at + 1) * _GOLDEN % 1 - 0.5) * reach, value)
        for point, x in zip(axis.points, panel.places, strict=True)
        for at, value in enumerate(point.values)
    ]
    alpha = max(0.25, min(0.65, 15 / max(1, len(pairs))))
    dots: dict[str, Any] = {"ms": 2.6, "mec": "none", "color": muted, "alpha": alpha, "label": "outputs"}
    axes.plot(*zip(*pairs, strict=True), "o", **dots)
    lines = [
        [(x, mean) for x, mean in zip(panel.places, trace.means, strict=True) if mean is not None]
        for trace in axis.traces
    ]
    # The line of a single block would be that of the means, and seeds have no order to go along.
    if len(lines) > 1 and not axis.replicate:
        alpha = max(0.12, min(0.5, 12 / len(lines)))
        blocks = LineCollection(lines, colors=muted, linewidths=0.7, alpha=alpha, label="blocks")
        axes.add_collection(blocks)


def _draw_means(layout: EffectsLayout, axes: Axes, panel: _Panel) -> None:
    """Draw means and their intervals; a mean need not be in the middle of its interval."""
    accent = layout.theme.accents[0]
    drawn = [
        (at, x, point)
        for at, (x, point) in enumerate(zip(panel.places, panel.axis.points, strict=True))
        if point.n
    ]
    ends = [(x, one.low, one.high) for _, x, one in drawn if one.low is not None and one.high is not None]
    if ends:
        x, low, high = (np.array(side) for side in zip(*ends, strict=True))
        bars: dict[str, Any] = {"elinewidth": 1.4, "capsize": 2.5, "capthick": 1.4, "zorder": 3}
        axes.errorbar(x, (low + high) / 2, (high - low) / 2, fmt="none", ecolor=accent, **bars)
    means = [(at, x, point.mean) for at, x, point in drawn if point.mean is not None]
    axes.plot(
        [x for _, x, _ in means],
        [mean for *_, mean in means],
        "o-" if panel.axis.numeric else "o",
        color=accent,
        lw=1.1,
        ms=5.5,
        mec=layout.theme.paper,
        mew=0.8,
        zorder=3.5,
        clip_on=False,
        label="means",
    )
    layout.means += [(panel.axis.name, at, axes, x, mean) for at, x, mean in means]
