"""Draws the plan of an effects figure: one Axes in inches for everything, colours told apart by lightness as well.

No pyplot, no setting left changed.
"""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.collections import LineCollection, PatchCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from kontext_lab.figures.effects_sketch import EffectsPlan, Place
from kontext_lab.figures.painter import Painter, plain_settings, sheet_axes
from kontext_lab.figures.theme import DARK, LIGHT, Colour, Font, Theme, mixed

__all__ = ["draw_effects"]

_CAP = 0.035
"""Inches of half the stroke at the end of an interval."""


def draw_effects(plan: EffectsPlan, figure: Figure, *, dark: bool = False) -> None:
    """Draw a plan; the figure takes the plan's size.

    Args:
        plan: what goes where.
        figure: an empty figure on any canvas.
        dark: on dark paper.
    """
    with plain_settings():
        _Drawing(plan, figure, DARK if dark else LIGHT).draw()


class _Drawing:
    """A plan being drawn."""

    def __init__(self, plan: EffectsPlan, figure: Figure, theme: Theme) -> None:
        self.plan, self.theme = plan, theme
        self.axes = sheet_axes(figure, (plan.width, plan.height), theme, figure.dpi)
        self.painter = Painter(self.axes, theme)
        words = [line for label in plan.labels for line in label.lines]
        self.lettering = Font([*words, *(one.line for one in plan.turned)])

    def draw(self) -> None:
        """Everything, from the lowest to the uppermost."""
        self._boxes()
        self._strokes()
        self._dots()
        self._spots()
        for label in self.plan.labels:
            self.painter.label(label, self.lettering)
        for label, tone in self.plan.on_heat:
            self.painter.label(label, self.lettering, _readable(self._heat(tone)))
        self._turned()

    @property
    def _accent(self) -> str:
        return self.theme.accents[0]

    def _heat(self, tone: float) -> Colour:
        """From near the paper to the full accent: also without colours, more is further from the paper."""
        return mixed(self.theme.paper, self._accent, 0.08 + 0.92 * tone)

    def _boxes(self) -> None:
        tones = {"share": self._accent, "rest": self.theme.line, "empty": self.theme.paper}
        colours = [tones.get(box.kind) or self._heat(box.tone) for box in self.plan.boxes]
        places = [
            Rectangle((box.rect.left, box.rect.top), box.rect.width, box.rect.height)
            for box in self.plan.boxes
        ]
        if places:
            self.axes.add_collection(
                PatchCollection(
                    places, facecolors=colours, edgecolors="none", linewidths=0, antialiased=False
                )
            )

    def _strokes(self) -> None:
        theme = self.theme
        traces = sum(stroke.kind == "trace" for stroke in self.plan.strokes)
        kinds = {
            "ruler": (mixed(theme.paper, theme.line, 0.45), 0.7, 1.0, 0.5),
            "frame": (theme.line, 1.0, 1.0, 0.6),
            "trace": (theme.muted, 0.7, max(0.12, min(0.5, 12 / max(1, traces))), 1.0),
            "mean": (self._accent, 1.1, 0.9, 2.0),
            "chance": (theme.text, 1.2, 1.0, 2.0),
        }
        for kind, (colour, width, alpha, above) in kinds.items():
            places = [stroke.places for stroke in self.plan.strokes if stroke.kind == kind]
            if places:
                self.axes.add_collection(
                    LineCollection(places, colors=[colour], linewidths=width, alpha=alpha, zorder=above),
                    autolim=False,
                )

    def _dots(self) -> None:
        alpha = max(0.25, min(0.65, 60 / max(1, len(self.plan.dots))))
        self._markers(self.plan.dots, 2.6, self.theme.muted, alpha, 1.5)

    def _spots(self) -> None:
        bars: list[list[Place]] = []
        for spot in self.plan.spots:
            if spot.low is not None and spot.high is not None:
                bars.append([(spot.x, spot.low), (spot.x, spot.high)])
                bars += [[(spot.x - _CAP, end), (spot.x + _CAP, end)] for end in (spot.low, spot.high)]
        if bars:
            self.axes.add_collection(
                LineCollection(bars, colors=[self._accent], linewidths=1.4, zorder=3), autolim=False
            )
        self._markers([(spot.x, spot.y) for spot in self.plan.spots], 5.5, self._accent, 1.0, 3.5)

    def _markers(self, places: Sequence[Place], size: float, colour: str, alpha: float, above: float) -> None:
        if places:
            across, down = zip(*places, strict=True)
            edge = self.theme.paper if size > 4 else "none"
            self.axes.add_artist(
                Line2D(
                    across,
                    down,
                    ls="",
                    marker="o",
                    ms=size,
                    mfc=colour,
                    mec=edge,
                    mew=0.8,
                    alpha=alpha,
                    zorder=above,
                )
            )

    def _turned(self) -> None:
        for one in self.plan.turned:
            self.axes.text(
                one.x,
                one.top,
                self.lettering.drawable(one.line),
                fontfamily=self.lettering.families,
                fontsize=one.points,
                color=self.theme.muted,
                rotation=90,
                horizontalalignment="center",
                verticalalignment="top",
                parse_math=False,
            )


def _readable(ground: Colour) -> str:
    """Black or white, whichever is further from a colour (WCAG 2, relative luminance)."""
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in ground]
    light = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return "#000000" if (light + 0.05) ** 2 > 0.05 * 1.05 else "#ffffff"
