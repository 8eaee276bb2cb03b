"""Cards as pixels, each drawn once: a hundred waiting cells say the same, and text is what takes long to draw."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from kontext_lab.figures.cards import Card
from kontext_lab.figures.geometry import Rect
from kontext_lab.figures.painting import Painter, sheet_axes
from kontext_lab.figures.pictures import Pixels
from kontext_lab.figures.theme import Theme

__all__ = ["Stamps"]

_MOST_BYTES = 32_000_000


@dataclass(frozen=True)
class _Size:
    """Pixels, and how many of them an inch has."""

    width: int
    height: int
    dpi: float


class Stamps:
    """Cards of one theme, by what they say and how large they are."""

    def __init__(self, theme: Theme) -> None:
        self._theme = theme
        self._made: dict[tuple[Card, _Size], Pixels] = {}
        self._bytes = 0
        self._paper: tuple[_Size, FigureCanvasAgg, Axes] | None = None

    def of(self, card: Card, size: tuple[int, int], dpi: float) -> Pixels:
        """A card of so many pixels, on the theme's paper."""
        place = _Size(*size, dpi)
        if (card, place) not in self._made:
            if self._bytes > _MOST_BYTES:
                self._made.clear()
                self._bytes = 0
            self._made[card, place] = self._drawn(card, place)
            self._bytes += self._made[card, place].nbytes
        return self._made[card, place]

    def _drawn(self, card: Card, size: _Size) -> Pixels:
        canvas, axes = self._sheet(size)
        rect = Rect(0.0, 0.0, size.width / size.dpi, size.height / size.dpi)
        parts = Painter(axes, self._theme).card(rect, card)
        canvas.draw()  # type: ignore[no-untyped-call]
        drawn = np.array(canvas.buffer_rgba(), dtype=np.uint8)  # type: ignore[no-untyped-call]
        for part in parts:
            part.remove()
        return drawn[..., :3]

    def _sheet(self, size: _Size) -> tuple[FigureCanvasAgg, Axes]:
        """A scratch sheet: most tiles of a page are equally large."""
        if self._paper is None or self._paper[0] != size:
            figure = Figure(dpi=size.dpi)
            canvas = FigureCanvasAgg(figure)
            inches = (size.width / size.dpi, size.height / size.dpi)
            self._paper = (size, canvas, sheet_axes(figure, inches, self._theme, size.dpi))
        return self._paper[1:]
