"""The small static grid that stands for results in a notebook: a PNG that may be saved with the notebook."""

from __future__ import annotations

import io

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from kontext_lab.figures.drawing import draw, new_figure
from kontext_lab.figures.geometry import GridPlan
from kontext_lab.figures.plan import plan_grid
from kontext_lab.results import Results

__all__ = ["MAX_BYTES", "preview_png"]

MAX_BYTES = 150_000
_TILES = 24
_WIDTH = 860
_COLOURS = (256, 128, 64, 32, 16)
_LEFT_OUT = "{shown} of {all} pictures – kl.grid(results) shows all"


def preview_png(results: Results) -> bytes:
    """A PNG below 150 kB of the first cells, about as wide as a notebook."""
    plan = plan_grid(results, per_page=_TILES, left_out=_LEFT_OUT)
    for width in (_WIDTH, _WIDTH * 0.8, _WIDTH * 0.6, _WIDTH * 0.4):
        picture = _raster(plan, width / max(plan.width, 7.0))
        for colours in _COLOURS:
            data = _png(picture, colours)
            if len(data) <= MAX_BYTES:
                return data
    return data


def _raster(plan: GridPlan, dpi: float) -> Image.Image:
    figure = new_figure(Figure, plan, dpi)
    draw(plan, figure)
    # Not savefig: it would follow what a notebook has set for its own files.
    canvas = FigureCanvasAgg(figure)
    canvas.draw()  # type: ignore[no-untyped-call]
    return Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")  # type: ignore[no-untyped-call]


def _png(picture: Image.Image, colours: int) -> bytes:
    # Without dithering: its noise doubles the size of a PNG.
    reduced = picture.quantize(colours, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    buffer = io.BytesIO()
    reduced.save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()
