"""Shares of the variance as bars, and the heat map of two axes, below the panels of an effects figure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import SubFigure

from kontext_lab.figures import text
from kontext_lab.figures.effects_panels import (
    BETWEEN,
    NAME_POINTS,
    NOTE_POINTS,
    SMALL_POINTS,
    EffectsLayout,
    across,
    upwards,
)
from kontext_lab.figures.theme import Colour
from kontext_lab.figures.value_frames import ends_of, share_of
from kontext_lab.statistics import Effects, Interaction
from kontext_lab.statistics.formatting import percent, value_words

__all__ = ["add_heat_map", "add_shares"]

_BAR, _BAR_ROW, _NAME = 3.6, 0.2, 2.4
"""Inches of a bar of 100 %, of its row, and of names beside bars and rows."""
_WIDEST_FIELD, _TALLEST_FIELD, _ALL_ROWS, _MOST_FIELDS = 0.95, 0.34, 6.8, 40_000


def add_shares(layout: EffectsLayout, effects: Effects) -> None:
    """Add a bar for each axis whose share can be told, the largest first, and one for what is left."""
    axes = sorted((one for one in effects.axes if one.share is not None), key=lambda one: -(one.share or 0.0))
    if effects.residual is None or not axes or any(axis.p is None for axis in axes):
        return
    bars = [(axis.name, axis.share or 0.0, axis.by_chance) for axis in axes]
    bars.append(("interaction and noise", effects.residual, None))
    layout.add_text(f"Share of the variance of {effects.metric}", NAME_POINTS, layout.theme.text)
    layout.add_axes(len(bars) * _BAR_ROW + 0.1, partial(_draw_shares, layout, bars), 0.0)
    note = "Vertical line: the share expected from noise alone."
    layout.add_text(note, SMALL_POINTS, layout.theme.muted, 0.2)


def _draw_shares(
    layout: EffectsLayout, bars: Sequence[tuple[str, float, float | None]], part: SubFigure
) -> None:
    names = text.cut([layout.font.drawable(text.clean(name)) for name, *_ in bars], NOTE_POINTS, _NAME)
    axes = part.add_subplot()
    axes.axis("off")
    # As many inches as the names leave.
    span = (layout.width - text.widest(names, NOTE_POINTS) - 0.2) / _BAR
    axes.set(xlim=(0, span), ylim=(len(bars) - 0.5, -0.5))
    last = len(bars) - 1
    shares = [min(1.0, max(share, 0.0014)) for _, share, _ in bars]
    colours = [layout.theme.line if at == last else layout.theme.accents[0] for at in range(len(bars))]
    axes.barh(range(len(bars)), shares, height=0.65, color=colours)
    for at, (_, share, chance) in enumerate(bars):
        colour = layout.theme.muted if at == last else layout.theme.text
        style: dict[str, Any] = {
            "va": "center",
            "size": NOTE_POINTS,
            "color": colour,
            "textcoords": "offset points",
        }
        axes.annotate(names[at], (0, at), (-6, 0), ha="right", **style)
        axes.annotate(percent(share), (max(shares[at], chance or 0.0), at), (6, 0), **style)
        if chance is not None:
            axes.vlines(chance, at - 0.45, at + 0.45, colors=layout.theme.text, lw=1.2)


def add_heat_map(layout: EffectsLayout, effects: Effects, both: Interaction) -> None:
    """Add the means of two axes together, rows and columns in the order of the grid's."""
    theme = layout.theme
    head = f"{effects.metric}: {both.rows} (down) and {both.columns} (across)"
    layout.add_text(head, NAME_POINTS, theme.text)
    if len(both.row_labels) * len(both.column_labels) > _MOST_FIELDS:
        many = f"{len(both.row_labels)} × {len(both.column_labels)} values are too many for a table."
        layout.add_text(many, NOTE_POINTS, theme.muted)
        return
    rows = text.cut(_names(layout, both.rows, both.row_labels, _NAME), NOTE_POINTS, _NAME)
    room = layout.width - text.widest(rows, NOTE_POINTS) - 0.2
    width = min(_WIDEST_FIELD, room / len(both.column_labels))
    height = min(_TALLEST_FIELD, _ALL_ROWS / len(rows))
    columns = _names(layout, both.columns, both.column_labels, 2 * width)
    side_by_side = across(columns, width - BETWEEN, 3)
    labels, points = side_by_side or (upwards(columns, width, 1.3), SMALL_POINTS)
    above = text.height(max(label.count("\n") + 1 for label in labels), points)
    if side_by_side is None:
        above = text.widest(labels, points)

    def draw(part: SubFigure) -> None:
        free = room - width * len(labels)
        widths = [width * len(labels), *([free] if free > 0.1 else [])]
        axes = part.add_subplot(part.add_gridspec(1, len(widths), width_ratios=widths)[0, 0])
        axes.set_xticks(range(len(labels)), labels, size=points, rotation=0 if side_by_side else 90)
        axes.tick_params(top=False, bottom=False, labeltop=True, labelbottom=False)
        each = max(1, math.ceil(text.height(1, NOTE_POINTS) / height))
        axes.set_yticks(range(0, len(rows), each), rows[::each], size=NOTE_POINTS)
        _draw_fields(layout, effects, both, axes, (width, height))

    layout.add_axes(above + len(rows) * height + 0.5, draw, 0.0)
    counts = sorted({count for line in both.counts for count in line if count})
    values = f"{counts[0]} values" if len(counts) == 1 else f"{counts[0]} to {counts[-1]} values"
    layout.add_text(
        "one value each" if counts == [1] else f"mean of {values} each", SMALL_POINTS, theme.muted, 0.1
    )
    layout.spell_out()


def _names(layout: EffectsLayout, axis: str, labels: Sequence[str], room: float) -> list[str]:
    """The values of an axis, long prompts by short names where they would be cut."""
    words = [layout.font.drawable(text.clean(label)) for label in labels]
    return words if text.widest(words, NOTE_POINTS) <= room else layout.short_names(axis, words)


def _draw_fields(
    layout: EffectsLayout, effects: Effects, both: Interaction, axes: Axes, size: tuple[float, float]
) -> None:
    """Draw the fields and what their colours mean; words in the fields only where all of them fit."""
    there = [mean for line in both.means for mean in line if mean is not None]
    low, high = min(there), max(there)
    ends = (0.0, 1.0)
    if not effects.is_rate:
        # Never less apart than what seeds do to a mean.
        fewest = min(count for line in both.counts for count in line if count)
        noise = effects.seed.spread / math.sqrt(fewest) if effects.seed is not None else None
        ends = ends_of(low, high, noise)
    largest, apart = max(abs(low), abs(high)), high - low
    decimals = 2 - math.floor(math.log10(largest)) if largest else 0
    if 0 < apart < math.inf:
        decimals = max(decimals, 1 - math.floor(math.log10(apart)))

    def in_words(mean: float) -> str:
        """All with as many decimals, enough to tell the least from the greatest."""
        plain = not effects.is_rate and 0 <= decimals <= 6
        return f"{mean:.{decimals}f}".replace("-", "−") if plain else value_words(effects, mean)

    shares = np.array(
        [[math.nan if mean is None else share_of(mean, ends) for mean in line] for line in both.means]
    )
    colours = LinearSegmentedColormap.from_list("effects", [layout.tone(0.0), layout.tone(1.0)])
    image = axes.imshow(
        shares, cmap=colours, vmin=0, vmax=1, aspect="auto", interpolation="nearest", label="heat map"
    )
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    width, height = size
    fits = text.widest(map(in_words, there), NOTE_POINTS) <= width - 0.06
    if fits and text.height(1, NOTE_POINTS) <= height:
        for (row, column), share in np.ndenumerate(shares):
            mean = both.means[row][column]
            words = "–" if mean is None else in_words(mean)
            colour = layout.theme.muted if mean is None else _readable(layout.tone(share))
            axes.text(column, row, words, size=NOTE_POINTS, color=colour, ha="center", va="center")
    shrink = min(1.0, 1.5 / (width * shares.shape[1]))
    key = axes.figure.colorbar(
        image,
        ax=axes,
        location="bottom",
        anchor=(0.0, 0.0),
        shrink=shrink,
        aspect=14,
        pad=0.1 / (height * len(shares)),
    )
    key.outline.set_visible(False)
    key.set_ticks([0, 1], labels=[in_words(end) for end in ends], size=SMALL_POINTS)


def _readable(ground: Colour) -> str:
    """Black or white, whichever is further from a colour (WCAG 2, relative luminance)."""
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in ground]
    light = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return "#000000" if (light + 0.05) ** 2 > 0.05 * 1.05 else "#ffffff"
