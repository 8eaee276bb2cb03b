"""All tiles of a sheet as one block of pixels: drawn in a few milliseconds, however many there are.

An image artist of its own for every tile would be resampled by matplotlib at each drawing, 1 ms apiece.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.artist import Artist

from kontext_lab.figures.geometry import Rect
from kontext_lab.figures.pictures import Pixels

__all__ = ["Mosaic"]


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
