"""What the live grid costs, beside a figure with an Axes for each cell that is rebuilt every time.

    python tests/bench/bench_grid.py [CELLS ...]

Prints seconds for grids of 4, 36, 144 and 400 cells. Pictures are photographs of the real size, previews are
decoded from bytes in memory. The plain way shows the same previews.
"""

from __future__ import annotations

import hashlib
import io
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image
from skimage import data

from kontext_lab.figures import GridPlan, LiveSheet, PageSize, plan_grid
from kontext_lab.images import examine
from kontext_lab.request.attempt import Answer, Attempt, Picture
from kontext_lab.results import CellResult, Results
from kontext_lab.sweep import Cell, Sweep

_AXES = {4: ("2-5:3", "1-2"), 36: ("1-6", "1-6"), 144: ("1-9.8:0.8", "1-12"), 400: ("1-10:0.5", "1-21")}
_ROOM = PageSize(12.4, 6.6)
_NOW = datetime(2025, 11, 1, tzinfo=UTC)


def main() -> None:
    """Measure and print."""
    print(
        f"{'cells':>5} {'tiles':>5}  " + " ".join(f"{name:>10}" for name in (*_OURS, "plain", "plain/crop"))
    )
    for cells in [int(one) for one in sys.argv[1:]] or sorted(_AXES):
        results = made(cells)
        ours = measured(results)
        plain = min(seconds(lambda results=results: plain_way(results)) for _ in range(2))
        ratio = plain / (ours["crop"] + ours["canvas"])
        row = " ".join(f"{value:10.3f}" for value in (*ours.values(), plain))
        print(f"{cells:>5} {len(page(results).tiles):>5}  {row} {ratio:9.1f}x")


_OURS = ("plan", "first", "rearrange", "one tile", "crop", "canvas")


def measured(results: Results) -> dict[str, float]:
    """Seconds of each step; `rearrange` is everything that a change of rows and columns takes."""
    figure = Figure(dpi=100)
    canvas = FigureCanvasAgg(figure)
    sheet = LiveSheet(figure)
    plan = page(results)

    def shown() -> None:
        sheet.show(plan)
        for tile in sheet.missing():
            sheet.load(tile)
        sheet.show(plan)

    first = seconds(shown)
    canvas.draw()

    def rearranged() -> None:
        sheet.show(page(results, rows="seed", columns="guidance_scale"))
        canvas.draw()

    rearrange = seconds(rearranged)
    sheet.show(plan)
    waiting = CellResult(
        results[0].title, results[0].params, results[0].swept, "sandbox", request=results[0].request
    )
    one = page(Results([waiting, *results[1:]]))
    return {
        "plan": seconds(lambda: page(results)),
        "first": first,
        "rearrange": rearrange,
        "one tile": seconds(lambda: sheet.show(one)),
        "crop": seconds(lambda: sheet.show(replace(plan, crop=(0.2, 0.2, 0.7, 0.7)))),
        "canvas": seconds(canvas.draw),
    }


def page(results: Results, **options: str) -> GridPlan:
    """The first page, as a panel plans it."""
    return plan_grid(results, title="", live=True, room=_ROOM, **options)  # type: ignore[arg-type]


def plain_way(results: Results) -> None:
    """An Axes for each cell, everything made anew."""
    tiles = [tile for tile in page(results).tiles if tile.output is not None]
    columns = max(tile.column for tile in tiles) + 1
    rows = max(tile.row for tile in tiles) + 1
    figure = Figure(figsize=(12.4, 8), dpi=100)
    canvas = FigureCanvasAgg(figure)
    for tile in tiles:
        axes = figure.add_subplot(rows, columns, tile.row * columns + tile.column + 1)
        axes.imshow(np.asarray(tile.output.thumbnail(512)))
        axes.set_axis_off()
    canvas.draw()


def seconds(act: Callable[[], object]) -> float:
    """How long something takes."""
    started = time.perf_counter()
    act()
    return time.perf_counter() - started


def made(cells: int) -> Results:
    """A finished sweep of different photographs."""
    guidance, seeds = _AXES[cells]
    photo = Image.fromarray(data.coffee())
    axes = {"guidance_scale": guidance, "seed": seeds}
    sweep = Sweep(prompt="Add a bird.", image=photo, axes=axes)
    results = []
    for cell in sweep.cells:
        result = CellResult.from_cell(cell, "sandbox", cell.request.fingerprint("sandbox"))
        result.apply(Attempt("id", Answer((picture(cell, photo),), cost_usd=0.05)), _NOW)
        results.append(result)
    return Results(results, name=sweep.name)


def picture(cell: Cell, photo: Image.Image) -> Picture:
    """The photograph, moved a little for each cell."""
    pixels = np.roll(np.asarray(photo.resize(cell.request.expected_size)), cell.index * 7 % 200, 1)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=90)
    found = examine(buffer.getvalue())
    digest = hashlib.sha256(buffer.getvalue()).hexdigest()
    return Picture(buffer.getvalue(), digest, found.format, found.width, found.height, found.preview)


if __name__ == "__main__":
    main()
