"""Tiles and cards as pixels, each rendered once and reused: drawing text is slow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from kontext_lab.figures.geometry import Rect
from kontext_lab.figures.painter import Painter, sheet_axes
from kontext_lab.figures.pictures import Pixels
from kontext_lab.figures.placeholder_cards import PlaceholderCard
from kontext_lab.figures.theme import Theme

__all__ = ["Mosaic", "Stamps"]


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
        self._made: dict[tuple[PlaceholderCard, _Size], Pixels] = {}
        self._bytes = 0
        self._paper: tuple[_Size, FigureCanvasAgg, Axes] | None = None

    def of(self, card: PlaceholderCard, size: tuple[int, int], dpi: float) -> Pixels:
        """A card of so many pixels, on the theme's paper."""
        place = _Size(*size, dpi)
        if (card, place) not in self._made:
            if self._bytes > _MOST_BYTES:
                self._made.clear()
                self._bytes = 0
            self._made[card, place] = self._drawn(card, place)
            self._bytes += self._made[card, place].nbytes
        return self._made[card, place]

    def _drawn(self, card: PlaceholderCard, size: _Size) -> Pixels:
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


class Mosaic(Artist):
    """Pixels of the whole sheet, see-through where no tile lies."""

    def __init__(self, width: int, height: int) -> None:
        super().__init__()
        self.pixels: Pixels = np.zeros((height, width, 4), dtype=np.uint8)

    def paste(self, left: int, top: int, pixels: Pixels) -> None:
        """Put a tile at a place."""
        height, width = (min(pixels.shape[0], len(self.pixels) - top), pixels.shape[1])
        part = self.pixels[top : top + height, left : left + width]
        part[..., :3] = pixels[:height, : part.shape[1]]
        part[..., 3] = 255

    def part(self, left: int, top: int, width: int, height: int) -> Pixels:
        """The pixels at a place, as far as the sheet reaches."""
        return self.pixels[top : top + height, left : left + width]

    def draw(self, renderer: Any) -> None:
        """Draw it from the lower left, as renderers count."""
        context = renderer.new_gc()
        renderer.draw_image(context, 0, 0, self.pixels[::-1])
        context.restore()
        self.stale = False

    @staticmethod
    def place(rect: Rect, dpi: float) -> tuple[int, int, int, int]:
        """Left, top, width and height of a place in pixels, as `kl.grid` snaps it."""
        left, top = round(rect.left * dpi), round(rect.top * dpi)
        right, bottom = max(left + 1, round(rect.right * dpi)), max(top + 1, round(rect.bottom * dpi))
        return left, top, right - left, bottom - top
