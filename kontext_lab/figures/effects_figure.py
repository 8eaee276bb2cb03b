"""Effects of axes on a measured value as a figure: its parts, and the public calls."""

from __future__ import annotations

import base64
import html
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, cast

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import SubFigure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.transforms import Bbox

from kontext_lab.figures import text
from kontext_lab.figures.effects_panels import (
    BETWEEN,
    NAME_POINTS,
    NOTE_POINTS,
    SMALL_POINTS,
    EffectsLayout,
    across,
    add_panels,
    upwards,
)
from kontext_lab.figures.grid import NotebookFigure
from kontext_lab.figures.painter import settings
from kontext_lab.figures.theme import DARK, LIGHT, Colour, Font, Theme, mixed
from kontext_lab.figures.value_frames import ends_of, share_of
from kontext_lab.results import Results
from kontext_lab.statistics import Effects, Interaction, effects_of
from kontext_lab.statistics.formatting import percent, value_words

__all__ = ["EffectsView", "PointPlace", "effects", "effects_view"]

_DPI = 100.0
_NOTEBOOK, _MARGIN = 9.0, 0.2
"""Inches that a notebook has space for, and around everything."""
_TITLE, _SENTENCE = 11.0, 9.5
_BAR, _BAR_ROW, _NAME = 3.6, 0.2, 2.4
"""Inches of a bar of 100 %, of its row, and of names beside bars and rows."""
_WIDEST_FIELD, _TALLEST_FIELD, _ALL_ROWS, _MOST_FIELDS = 0.95, 0.34, 6.8, 40_000


@dataclass(frozen=True)
class PointPlace:
    """The position of a mean, by its axis and the index of its value: from the left and the top of the figure, 0 to 1."""

    axis: str
    at: int
    x: float
    y: float


@dataclass(frozen=True, repr=False)
class EffectsView:
    """A study of one measured value, as a figure and in sentences.

    Attributes:
        numbers: the computed effects.
        figure: a matplotlib figure outside pyplot; where nothing can be drawn, it says why.
        points: position of each mean on it.
        sentences: the findings and their limits.
    """

    numbers: Effects
    figure: NotebookFigure = field(compare=False)
    points: tuple[PointPlace, ...] = ()

    @property
    def sentences(self) -> tuple[str, ...]:
        """The findings and their limits, in plain words."""
        return self.numbers.sentences

    def __repr__(self) -> str:
        return "\n".join(self.sentences)

    def _repr_png_(self) -> bytes:
        return self.figure._repr_png_()

    def _repr_html_(self) -> str:
        encoded = base64.b64encode(self._repr_png_()).decode("ascii")
        name = html.escape(f"{self.numbers.metric}: what each axis does")
        picture = f'<img alt="{name}" style="max-width:100%" src="data:image/png;base64,{encoded}"/>'
        lines = "".join(f"<li>{html.escape(sentence)}</li>" for sentence in self.sentences)
        return f"<div>{picture}<ul>{lines}</ul></div>"


def effects(
    results: Results, metric: str, *, interaction: Sequence[str] | None = None, dark: bool = False
) -> EffectsView:
    """Effect of every axis that varies on a measured value.

    One panel per axis, all on one scale: means with 95 % intervals over the same seeds and references, single
    outputs as dots, each seed as a thin line; yes/no values as rates. Below, the share of the variance that each axis
    explains, and the means of two axes together.

    Args:
        results: of one sweep, or of several together.
        metric: such as `change/area`, `preserve/ssim`, `verdict/follows_prompt`; `moderated` for how often the service
            refused to show a picture.
        interaction: two axes whose combinations are shown as a heat map: down the side, and across.
        dark: on dark paper.

    Returns:
        Numbers, figure and sentences; where there is nothing to draw, a figure that says why.

    Raises:
        ConfigError: others were measured and this one was not, or `interaction` is not two axes that vary.

    Example:
        >>> with kl.Lab("sandbox", quiet=True) as lab:
        ...     results = lab.run(kl.Sweep("Add a bird.", kl.sample("coffee"), axes={"seed": [1, 2]}), progress=False)
        >>> view = kl.effects(results, "change/area")
        >>> view.figure.savefig("effects.png")
    """
    return effects_view(effects_of(results, metric, interaction=interaction), dark=dark)


def effects_view(numbers: Effects, *, dark: bool = False, width: float = _NOTEBOOK) -> EffectsView:
    """Draw effects that were computed before, so many inches wide: computing may be done on any thread, drawing on one."""
    theme = DARK if dark else LIGHT
    labels = (point.label for axis in numbers.axes for point in axis.points)
    names = (axis.name for axis in numbers.axes)
    font = Font([text.clean(" ".join((numbers.metric, numbers.name, *names, *labels, *numbers.sentences)))])
    layout = EffectsLayout(width - 2 * _MARGIN, theme, font)
    _add_parts(layout, numbers)
    heights = [max(part.height, 0.01) for part in layout.parts]
    height = sum(heights) + 2 * _MARGIN
    with settings():
        mpl.rcdefaults()
        mpl.rcParams.update(_settings(theme, font))
        figure = NotebookFigure(figsize=(width, height), dpi=_DPI, layout="constrained")
        inside = (_MARGIN / width, _MARGIN / height, 1 - 2 * _MARGIN / width, 1 - 2 * _MARGIN / height)
        engine = cast(ConstrainedLayoutEngine, figure.get_layout_engine())
        engine.set(rect=inside, w_pad=0.08, h_pad=0.04, wspace=0, hspace=0)
        strips = figure.subfigures(len(heights), 1, height_ratios=heights, squeeze=False)[:, 0]
        for strip, part in zip(strips, layout.parts, strict=True):
            for top, words, points, colour in part.texts:
                y = 1 - top / part.height
                strip.text(0, y, words, size=points, color=colour, va="top", linespacing=text.LEADING)
            if part.draw is not None:
                part.draw(strip)
        engine.execute(figure)
    figure.set_layout_engine("none")
    for axes in figure.axes:
        # The solver's last digits differ from time to time, and so would pixels.
        axes.set_position(Bbox(np.round(axes.get_position().get_points(), 6)))
    pixels = figure.bbox.size
    places = []
    for axis, at, axes, x, y in layout.means:
        across, up = axes.transData.transform((x, y)) / pixels
        places.append(PointPlace(axis, at, float(across), float(1 - up)))
    return EffectsView(numbers, figure, tuple(places))


def _settings(theme: Theme, font: Font) -> dict[Any, Any]:
    """Style of the axes, independent of a notebook's settings."""
    return {
        "font.family": font.families,
        "text.parse_math": False,
        "text.color": theme.text,
        "figure.facecolor": theme.paper,
        "axes.facecolor": theme.paper,
        "axes.edgecolor": theme.line,
        "axes.spines.left": False,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "axes.grid.axis": "y",
        "axes.axisbelow": True,
        "axes.ymargin": 0.06,
        "axes.titlelocation": "left",
        "axes.titlesize": NAME_POINTS,
        "axes.titlepad": 5,
        "grid.color": mixed(theme.paper, theme.line, 0.45),
        "grid.linewidth": 0.7,
        "xtick.major.size": 0,
        "ytick.major.size": 0,
        "xtick.labelcolor": theme.muted,
        "ytick.labelcolor": theme.muted,
        "ytick.labelsize": 7.5,
    }


def _add_parts(layout: EffectsLayout, effects: Effects) -> None:
    """Add title, legend and panels; only the sentences where nothing can be drawn."""
    name = f" · {effects.name}" if effects.name else ""
    title = text.shorten(text.clean(effects.metric + name), _TITLE, layout.width)
    layout.add_text(title, _TITLE, layout.theme.text)
    if effects.simulated:
        whole = effects.n or effects.units
        part = "" if effects.simulated == whole else f": {effects.simulated} of {whole}"
        layout.add_text(f"simulated pictures (sandbox){part}", NOTE_POINTS, layout.theme.mark)
    if effects.n and effects.axes:
        layout.add_text(_legend(effects), NOTE_POINTS, layout.theme.muted)
    layout.parts[-1].height += 0.12
    if not any(len(axis.measured) > 1 for axis in effects.axes):
        for sentence in effects.sentences:
            layout.add_text(sentence, _SENTENCE, layout.theme.text, 0.06)
        return
    add_panels(layout, effects)
    _add_shares(layout, effects)
    if effects.interaction is not None:
        _add_heat_map(layout, effects, effects.interaction)


def _legend(effects: Effects) -> str:
    """Names of what is drawn."""
    values = f"{effects.n} value" + ("" if effects.n == 1 else "s")
    if effects.is_rate:
        return f"{values} · point and bar: rate with its 95 % interval (Wilson)"
    blocked = next((axis.blocked_by for axis in effects.axes if not axis.replicate), ())
    block = f" · thin line: the same {' and '.join(blocked)}" if blocked else ""
    sure = any(point.low is not None for axis in effects.axes for point in axis.points)
    interval = " with its 95 % interval" if sure else " (no intervals: there is nothing to resample)"
    return f"{values} · dot: one output{block} · point{' and bar' if sure else ''}: mean{interval}"


def _add_shares(layout: EffectsLayout, effects: Effects) -> None:
    """Add a bar for each axis whose share is known, the largest first, and one for the rest."""
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


def _add_heat_map(layout: EffectsLayout, effects: Effects, both: Interaction) -> None:
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
    """Draw the fields and a key of their colours; words in the fields only where all of them fit."""
    there = [mean for line in both.means for mean in line if mean is not None]
    low, high = min(there), max(there)
    in_words = _field_words(effects, low, high)
    ends = (0.0, 1.0)
    if not effects.is_rate:
        # Never less apart than means differ between seeds by chance.
        fewest = min(count for line in both.counts for count in line if count)
        noise = effects.seed.spread / math.sqrt(fewest) if effects.seed is not None else None
        ends = ends_of(low, high, noise)
    shares = np.array(
        [[math.nan if mean is None else share_of(mean, ends) for mean in line] for line in both.means]
    )
    colours = LinearSegmentedColormap.from_list("effects", [layout.tone(0.0), layout.tone(1.0)])
    style: dict[str, Any] = {"aspect": "auto", "interpolation": "nearest", "label": "heat map"}
    image = axes.imshow(shares, cmap=colours, vmin=0, vmax=1, **style)
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
    style = {"location": "bottom", "anchor": (0.0, 0.0), "aspect": 14, "pad": 0.1 / (height * len(shares))}
    shrink = min(1.0, 1.5 / (width * shares.shape[1]))
    key = axes.figure.colorbar(image, ax=axes, shrink=shrink, **style)
    key.outline.set_visible(False)
    key.set_ticks([0, 1], labels=[in_words(end) for end in ends], size=SMALL_POINTS)


def _field_words(effects: Effects, low: float, high: float) -> Callable[[float], str]:
    """A formatter of means: all with as many decimals, enough to tell the least from the greatest."""
    largest, apart = max(abs(low), abs(high)), high - low
    decimals = 2 - math.floor(math.log10(largest)) if largest else 0
    if 0 < apart < math.inf:
        decimals = max(decimals, 1 - math.floor(math.log10(apart)))
    if effects.is_rate or not 0 <= decimals <= 6:
        return partial(value_words, effects)
    return lambda mean: f"{mean:.{decimals}f}".replace("-", "−")


def _readable(ground: Colour) -> str:
    """Black or white, whichever is further from a colour (WCAG 2, relative luminance)."""
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in ground]
    light = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return "#000000" if (light + 0.05) ** 2 > 0.05 * 1.05 else "#ffffff"
