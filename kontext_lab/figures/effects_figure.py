"""What each axis does to a measured value, as a figure with its sentences: the public call."""

from __future__ import annotations

import base64
import html
from collections.abc import Sequence
from dataclasses import dataclass, field

from kontext_lab.figures.drawing import NotebookFigure
from kontext_lab.figures.effects_drawing import draw_effects
from kontext_lab.figures.effects_panels import NOTEBOOK, plan_effects
from kontext_lab.figures.painter import plain_settings
from kontext_lab.results import Results
from kontext_lab.statistics import Effects, effects_of

__all__ = ["EffectsView", "PointPlace", "effects", "effects_view"]

_DPI = 100.0


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
    """What every axis that varies does to a measured value.

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


def effects_view(numbers: Effects, *, dark: bool = False, width: float = NOTEBOOK) -> EffectsView:
    """Numbers that were computed before, drawn: computing may be done on any thread, drawing on one.

    Args:
        numbers: what to draw.
        dark: on dark paper.
        width: inches; text keeps its size.
    """
    plan = plan_effects(numbers, width)
    with plain_settings():
        figure = NotebookFigure(figsize=(plan.width, plan.height), dpi=_DPI)
    draw_effects(plan, figure, dark=dark)
    places = [PointPlace(one.axis, one.at, one.x / plan.width, one.y / plan.height) for one in plan.spots]
    return EffectsView(numbers, figure, tuple(places))
