"""What each axis does to a measured value, as a figure with its sentences: the public call."""

from __future__ import annotations

import base64
import html
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import matplotlib as mpl
import numpy as np
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.transforms import Bbox

from kontext_lab.figures import text
from kontext_lab.figures.effects_panels import (
    NAME_POINTS,
    NOTE_POINTS,
    EffectsLayout,
    add_panels,
)
from kontext_lab.figures.effects_tables import add_heat_map, add_shares
from kontext_lab.figures.grid import NotebookFigure
from kontext_lab.figures.painter import settings
from kontext_lab.figures.theme import DARK, LIGHT, Font, Theme, mixed
from kontext_lab.results import Results
from kontext_lab.statistics import Effects, effects_of

__all__ = ["EffectsView", "PointPlace", "effects", "effects_view"]

_DPI = 100.0
_NOTEBOOK, _MARGIN = 9.0, 0.2
"""Inches that a notebook has space for, and around everything."""
_TITLE, _SENTENCE = 11.0, 9.5


@dataclass(frozen=True)
class PointPlace:
    """Where a mean is drawn.

    Attributes:
        axis: of which axis.
        at: of which of its values, from 0.
        x: from the left of the figure, 0 to 1.
        y: from its top, 0 to 1.
    """

    axis: str
    at: int
    x: float
    y: float


@dataclass(frozen=True, repr=False)
class EffectsView:
    """A study of one measured value, to look at and to read.

    Attributes:
        numbers: what was computed.
        figure: a matplotlib figure that belongs to no pyplot; where nothing can be drawn, it says why.
        points: where each mean is on it.
        sentences: the findings and what can't be told.
    """

    numbers: Effects
    figure: NotebookFigure = field(compare=False)
    points: tuple[PointPlace, ...] = ()

    @property
    def sentences(self) -> tuple[str, ...]:
        """The findings and what can't be told, in plain words."""
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
        interaction: two axes whose combinations are shown as a heat map: what is down the side, what is across.
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
    """Numbers that were computed before, drawn: computing may be done on any thread, drawing on one.

    Args:
        numbers: what to draw.
        dark: on dark paper.
        width: inches; text keeps its size.
    """
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
    """Style of the axes, whatever a notebook has set."""
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
    """Add the title, what is drawn, and the panels; the sentences where nothing can be drawn."""
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
    add_shares(layout, effects)
    if effects.interaction is not None:
        add_heat_map(layout, effects, effects.interaction)


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
