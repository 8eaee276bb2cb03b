"""A tile's change map: what an output changed, glowing over its reference or over itself. Draws nothing."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import lru_cache
from typing import TYPE_CHECKING

from PIL import Image, ImageOps

from kontext_lab.errors import KontextLabError
from kontext_lab.figures import text
from kontext_lab.figures.geometry import Tile
from kontext_lab.figures.placeholder_cards import PlaceholderCard
from kontext_lab.images import Reference, thumbnail
from kontext_lab.images.heat_map import heat_map
from kontext_lab.results import Output

if TYPE_CHECKING:
    from kontext_lab.metrics import Comparison

__all__ = ["change_webp", "changed_picture", "compare_ahead", "incomparable"]

_THREADS = 2
_PAPER = (60, 60, 60)
_OUTLINED = 8
"""Regions that are outlined at most, the largest."""


def changed_picture(tile: Tile, box: int) -> Image.Image | PlaceholderCard:
    """The picture of a tile with an overlay, longest side about `box` pixels at most; else why there is none."""
    output, overlay = tile.output, tile.overlay
    if output is None or overlay is None:
        return PlaceholderCard("uncompared", "not compared", "there is no picture")
    try:
        found = overlay.comparison(output)
        return incomparable(found) or _drawn(output, found, overlay.over == "output", box)
    except KontextLabError as error:
        return PlaceholderCard("uncompared", "not compared", text.clean(str(error)))


def incomparable(found: Comparison) -> PlaceholderCard | None:
    """What to say where there is no map to show; None where there is."""
    if "blank" in found.flags:
        return PlaceholderCard("uncompared", "blank", "the output shows nothing that could be compared")
    if not found.registered:
        return PlaceholderCard("uncompared", "new picture", "nothing of the reference is in its place")
    return None


def change_webp(output: Output, compare: Callable[[Output], Comparison], box: int = 1024) -> bytes | str:
    """What an output changed over its reference, its regions outlined: to be looked at closely.

    Args:
        output: of which.
        compare: measures it; may take long.
        box: pixels of the longest side at most.

    Returns:
        A WebP file, or a line that says why there is none.
    """
    try:
        found = compare(output)
        why = incomparable(found)
        if why is not None:
            return f"{why.heading}: {why.note}"
        request = output.cell.request
        assert request is not None  # else it could not have been compared
        reference = thumbnail(request.images[found.reference].png, box)
    except KontextLabError as error:
        return text.clean(str(error))
    boxes = [region.box for region in found.regions[:_OUTLINED]]
    picture = heat_map(reference, found.change_map, seen=found.seen, boxes=boxes, size=reference.size)
    buffer = io.BytesIO()
    picture.save(buffer, format="WEBP", quality=88, method=2)
    return buffer.getvalue()


def _drawn(output: Output, found: Comparison, over_output: bool, box: int) -> Image.Image:
    request = output.cell.request
    assert request is not None  # else it could not have been compared
    height, width = found.change_map.shape
    box = min(box, max(width, height))
    if over_output and found.matrix is not None:
        picture = output.thumbnail(box)
        full = _within(picture.size, max(width, height))
        from kontext_lab.metrics import in_output  # noqa: PLC0415 - loads scipy

        distances, shared = in_output(found.change_map, found.matrix, full)
        compared, _ = in_output(found.seen, found.matrix, full)
        return heat_map(picture, distances, seen=shared & (compared > 0.5), size=_within(picture.size, box))
    reference = _grey(request.images[found.reference], box)
    picture = heat_map(reference, found.change_map, seen=found.seen, size=_within((width, height), box))
    first = request.images[0].sent_size
    if found.reference and all(first):
        # The tile has the ratio of the first reference; this is another one.
        picture = ImageOps.pad(picture, _within(first, box), color=_PAPER)
    return picture


@lru_cache(maxsize=8)
def _grey(reference: Reference, box: int) -> Image.Image:
    """A reference as all its cells need it."""
    return thumbnail(reference.png, box).convert("L")


def _within(size: tuple[int, int], box: int) -> tuple[int, int]:
    scale = box / max(size)
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def compare_ahead(tiles: Iterable[Tile]) -> None:
    """Measure what tiles show, several at a time, so that drawing finds it done."""
    wanted = [(tile.overlay, tile.output) for tile in tiles if tile.overlay is not None]
    if len(wanted) < 2:
        return

    def measured(job: tuple[object, Output | None]) -> None:
        overlay, output = job
        with suppress(KontextLabError):  # drawing says what was wrong
            overlay.comparison(output)  # type: ignore[attr-defined]

    with ThreadPoolExecutor(_THREADS, thread_name_prefix="kontext-lab changes") as pool:
        list(pool.map(measured, wanted))
