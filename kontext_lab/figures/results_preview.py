"""The small static grid that stands for results in a notebook: a PNG that may be saved with the notebook."""

from __future__ import annotations

import io
import math

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from kontext_lab.figures.geometry import GridPlan
from kontext_lab.figures.grid import draw, new_figure
from kontext_lab.figures.grid_plan import plan_grid
from kontext_lab.figures.sizing import PageSize
from kontext_lab.figures.theme import LIGHT, mixed
from kontext_lab.results import Results

__all__ = ["MAX_BYTES", "preview_png", "small_png"]

MAX_BYTES = 150_000
_TILES = 40
_DPI = 100
_PIXELS = 210_000
"""What all tiles together may have: photographs in 256 colours take about 0.7 bytes a pixel."""
_LEFT_OUT = "{shown} of {all} pictures – kl.grid(results) shows all"


def preview_png(results: Results) -> bytes:
    """A PNG below 150 kB of the first cells, no wider than a notebook."""
    tiles = len(_planned(results, 1.0).tiles)
    side = math.sqrt(_PIXELS / max(tiles, 1)) / _DPI
    data = b""
    # Smaller tiles first; fewer colours only where the pictures are little but noise.
    for shrink, colours in ((1.0, 256), (0.85, 256), (0.72, 256), (0.6, 128), (0.45, 64), (0.3, 32)):
        plan = _planned(results, side * shrink)
        figure = new_figure(Figure, plan, _DPI)
        draw(plan, figure)
        data = _png(_drawn(figure), colours)
        if len(data) <= MAX_BYTES:
            break
    return data


def small_png(figure: Figure, most: int) -> bytes:
    """A figure as it is, as a PNG of at most about so many bytes: first fewer colours, then fewer pixels."""
    picture = _drawn(figure)
    data = _png(picture, 256)
    if len(data) > most:
        data = _png(picture, 64)
    while len(data) > most and min(picture.size) > 100:
        side = max(0.3, 0.95 * math.sqrt(most / len(data)))
        picture = picture.resize((round(picture.width * side), round(picture.height * side)))
        data = _png(picture, 64)
    return data


def _planned(results: Results, largest: float) -> GridPlan:
    return plan_grid(results, per_page=_TILES, left_out=_LEFT_OUT, room=PageSize(8.0, 6.0, largest))


def _drawn(figure: Figure) -> Image.Image:
    # Not savefig: it would follow what a notebook has set for its own files.
    canvas = FigureCanvasAgg(figure)
    canvas.draw()  # type: ignore[no-untyped-call]
    return Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")  # type: ignore[no-untyped-call]


def _png(picture: Image.Image, colours: int) -> bytes:
    tones = _tones()
    own = picture.quantize(colours - len(tones) // 3, method=Image.Quantize.MEDIANCUT)
    palette = Image.new("P", (1, 1))
    palette.putpalette([*tones, *(own.getpalette() or [])[: 3 * colours - len(tones)]])
    # Without dithering: its noise doubles the size of a PNG.
    reduced = np.array(picture.quantize(palette=palette, dither=Image.Dither.NONE))
    # Pillow looks colours up by their upper bits: paper would come out as its greyish neighbour.
    reduced[(np.asarray(picture) == tones[:3]).all(axis=2)] = 0
    small = Image.fromarray(reduced)
    small.putpalette(palette.getpalette() or [])
    buffer = io.BytesIO()
    small.save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()


def _tones() -> list[int]:
    """Red, green and blue of what text is drawn in: photographs would leave no greys in the palette."""
    shades = (
        mixed(LIGHT.paper, ink, step / 6)
        for ink in (LIGHT.text, LIGHT.muted, LIGHT.mark)
        for step in range(7)
    )
    return [round(channel * 255) for shade in shades for channel in shade]
