"""Pixels of tiles: decoded, cropped and scaled pictures, change maps over them, and caches of both."""

from __future__ import annotations

import io
import math
import threading
from collections.abc import Callable, Hashable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from cachetools import LRUCache
from numpy.typing import NDArray
from PIL import Image, ImageOps

from kontext_lab.errors import KontextLabError, NotFound
from kontext_lab.figures import text
from kontext_lab.figures.geometry import Crop, PlaceholderCard, Tile, unreadable
from kontext_lab.images import PREVIEW_BOX, Reference, thumbnail
from kontext_lab.images.heat_map import heat_map
from kontext_lab.metrics import in_output
from kontext_lab.results import Output

if TYPE_CHECKING:
    from kontext_lab.metrics import Comparison

__all__ = [
    "Pixels",
    "Previews",
    "change_picture",
    "change_webp",
    "compare_ahead",
    "cut",
    "pixels_of",
    "source_of",
]

Pixels = NDArray[np.uint8]

_THREADS = 2
_PAPER = (60, 60, 60)
_OUTLINED = 8
"""Regions that are outlined at most, the largest."""


def _change_map(tile: Tile, box: int) -> Image.Image | PlaceholderCard:
    """The picture of a tile with an overlay, longest side about `box` pixels at most; else a card with the reason."""
    output, overlay = tile.output, tile.overlay
    if output is None or overlay is None:
        return PlaceholderCard("uncompared", "not compared", "there is no picture")
    try:
        found = overlay.comparison(output)
        card = _incomparable(found)
        if card is not None:
            return card
        box = min(box, max(found.change_map.shape))
        if overlay.over == "output" and found.matrix is not None:
            return _changes_over_output(output, found, box)
        picture = change_picture(output, found, box)
    except KontextLabError as error:
        return PlaceholderCard("uncompared", "not compared", text.clean(str(error)))
    first = output.cell.request.images[0].sent_size if output.cell.request is not None else (0, 0)
    if found.reference and all(first):
        # The tile has the ratio of the first reference; this is another one.
        picture = ImageOps.pad(picture, _within(first, box), color=_PAPER)
    return picture


def _incomparable(found: Comparison) -> PlaceholderCard | None:
    """The card for a comparison without a map; None if there is one."""
    if "blank" in found.flags:
        return PlaceholderCard("uncompared", "blank", "the output shows nothing that could be compared")
    if not found.registered:
        return PlaceholderCard("uncompared", "new picture", "nothing of the reference is in its place")
    return None


def _changes_over_output(output: Output, found: Comparison, box: int) -> Image.Image:
    assert found.matrix is not None
    picture = output.thumbnail(box)
    full = _within(picture.size, max(found.change_map.shape))
    distances, shared = in_output(found.change_map, found.matrix, full)
    compared, _ = in_output(found.seen, found.matrix, full)
    return heat_map(picture, distances, seen=shared & (compared > 0.5), size=_within(picture.size, box))


def _within(size: tuple[int, int], box: int) -> tuple[int, int]:
    scale = box / max(size)
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def change_picture(output: Output, found: Comparison, box: int, *, outlined: int = 0) -> Image.Image:
    """The changes of an output over its reference, longest side at most `box` pixels.

    So many of its regions are outlined, the largest.

    Raises:
        KontextLabError: the reference can't be read.
    """
    request = output.cell.request
    assert request is not None  # else it could not have been compared
    reference = _ground(request.images[found.reference], box)
    boxes = [region.box for region in found.regions[:outlined]]
    return heat_map(reference, found.change_map, seen=found.seen, boxes=boxes, size=reference.size)


@lru_cache(maxsize=8)
def _ground(reference: Reference, box: int) -> Image.Image:
    """A reference in grey, the ground of its change maps."""
    return thumbnail(reference.png, box).convert("L")


def change_webp(output: Output, compare: Callable[[Output], Comparison], box: int = 1024) -> bytes | str:
    """The changes of an output over its reference as a WebP file, for a close look, or a line why there are none.

    Args:
        output: with a picture.
        compare: measures it; may take long.
        box: longest side in pixels at most.
    """
    try:
        found = compare(output)
        card = _incomparable(found)
        if card is not None:
            return f"{card.heading}: {card.note}"
        picture = change_picture(output, found, box, outlined=_OUTLINED)
    except KontextLabError as error:
        return text.clean(str(error))
    buffer = io.BytesIO()
    picture.save(buffer, format="WEBP", quality=88, method=2)
    return buffer.getvalue()


def compare_ahead(tiles: Iterable[Tile]) -> None:
    """Measure the changes that tiles show, several at a time, so that drawing finds them measured."""

    def compare(tile: Tile) -> None:
        with suppress(KontextLabError):  # drawing reports it
            if tile.overlay is not None and tile.output is not None:
                tile.overlay.comparison(tile.output)

    overlaid = [tile for tile in tiles if tile.overlay is not None]
    if len(overlaid) > 1:
        with ThreadPoolExecutor(_THREADS, thread_name_prefix="kontext-lab changes") as pool:
            list(pool.map(compare, overlaid))


def pixels_of(tile: Tile, size: tuple[int, int], crop: Crop) -> Pixels | PlaceholderCard:
    """A tile's picture, scaled to (width, height) pixels; or the card that replaces it.

    Raises:
        KontextLabError: there is no picture, or it could not be loaded.
    """
    # The whole picture must be this large for its part to fill the tile.
    box = math.ceil(max(size[0] / (crop[2] - crop[0]), size[1] / (crop[3] - crop[1])))
    picture = _decoded(tile, box, jpeg=True)
    return picture if isinstance(picture, PlaceholderCard) else cut(picture, size, crop, exact=True)


def cut(picture: Image.Image, size: tuple[int, int], crop: Crop, *, exact: bool = False) -> Pixels:
    """A part of a picture, scaled to (width, height) pixels; quick, unless it has to be exact."""
    width, height = picture.size
    part = (crop[0] * width, crop[1] * height, crop[2] * width, crop[3] * height)
    how = Image.Resampling.LANCZOS if exact else Image.Resampling.BILINEAR
    small = picture.resize(size, how, box=part, reducing_gap=None if exact else 1.5)
    return np.asarray(small, dtype=np.uint8)


def _decoded(tile: Tile, box: int, *, jpeg: bool = False) -> Image.Image | PlaceholderCard:
    """A tile's picture, longest side at most `box` pixels; or the card that replaces it.

    With `jpeg`, one that is in memory is decoded at reduced size, in a third of the time that its preview takes.

    Raises:
        KontextLabError: there is no picture, or it could not be loaded.
    """
    if tile.reference is not None:
        return thumbnail(tile.reference.png, box)
    output = tile.output
    if output is None:
        raise NotFound("there is no picture")
    try:
        if tile.overlay is not None:
            return _change_map(tile, box)
        if jpeg and output.data and output.format == "jpeg":
            return thumbnail(output.data, box)
        return output.thumbnail(box)
    except KontextLabError:
        raise
    except Exception as error:  # a store, a disk or a network may raise anything
        raise NotFound(f"{type(error).__name__}: {error}") from None


_PREVIEWS, _WHOLE = 140_000_000, 60_000_000
"""Bytes held: of pictures of preview size, and of whole ones."""
_MANY = 170
"""The number of previews that fit; where a page has more tiles, they are held at half the size."""


def source_of(tile: Tile) -> Hashable:
    """The key of a tile's picture; None where it has none."""
    if tile.reference is not None:
        return ("reference", tile.reference.digest)
    output = tile.output
    if output is None:
        return None
    if tile.overlay is not None:
        request = output.cell.request
        references = tuple(one.digest for one in request.images) if request is not None else ()
        return ("change", tile.overlay.over, output.sha256 or id(output), references)
    return ("output", output.sha256 or id(output))


class Previews:
    """Decoded pictures by `source_of` their tiles, within limits of bytes; for several threads."""

    def __init__(self, most_bytes: int = _PREVIEWS) -> None:
        self._small: LRUCache[Hashable, Image.Image] = LRUCache(most_bytes, getsizeof=_bytes)
        self._whole: LRUCache[Hashable, Image.Image] = LRUCache(_WHOLE, getsizeof=_bytes)
        self._failed: dict[Hashable, PlaceholderCard] = {}
        self._lock = threading.Lock()

    def get(self, tile: Tile) -> Image.Image | PlaceholderCard | None:
        """The preview, or a card with the reason why there is none; None while it is not loaded."""
        source = source_of(tile)
        with self._lock:
            return self._failed.get(source) or self._small.get(source)

    def load(self, tile: Tile, tiles: int = 1) -> Image.Image | PlaceholderCard:
        """Load and decode a tile's preview, one of so many that are shown together; in any thread."""
        held = self.get(tile)
        if held is not None:
            return held
        box = PREVIEW_BOX if tiles <= _MANY else PREVIEW_BOX // 2
        try:
            picture = _decoded(tile, box)
        except KontextLabError as error:
            picture = unreadable(error)
        with self._lock:
            if isinstance(picture, PlaceholderCard):
                self._failed[source_of(tile)] = picture
            else:
                self._small[source_of(tile)] = picture
        return picture

    def sharp(self, tile: Tile) -> Image.Image:
        """The whole picture, decoded at full resolution; in any thread.

        Raises:
            KontextLabError: it could not be loaded.
        """
        held = self.whole(tile)
        if held is not None:
            return held
        picture = _decoded(tile, max(_size(tile)))
        if isinstance(picture, PlaceholderCard):
            raise NotFound(picture.heading)
        with self._lock, suppress(ValueError):  # larger than all that may be held
            self._whole[source_of(tile)] = picture
        return picture

    def whole(self, tile: Tile) -> Image.Image | None:
        """The whole picture where it is at hand."""
        with self._lock:
            return self._whole.get(source_of(tile))

    def is_near(self, tile: Tile) -> bool:
        """True if loading asks no store: the bytes are in memory."""
        if tile.reference is not None:
            return True
        output = tile.output
        # A change map has to be measured first.
        return tile.overlay is None and output is not None and bool(output.preview or output.data)

    def lacks(self, tile: Tile, size: tuple[int, int], crop: Crop) -> bool:
        """True if a tile's preview has clearly too few pixels for its place, and the picture has more."""
        held = self.get(tile)
        if not isinstance(held, Image.Image) or held.width >= _size(tile)[0]:
            return False
        return held.width * (crop[2] - crop[0]) < 0.95 * size[0]

    def forgive(self) -> None:
        """Let pictures that could not be loaded be tried again."""
        with self._lock:
            self._failed.clear()


def _bytes(picture: Image.Image) -> int:
    return 3 * picture.width * picture.height


def _size(tile: Tile) -> tuple[int, int]:
    """Pixels of the picture itself."""
    if tile.reference is not None:
        return tile.reference.sent_size
    output = tile.output
    # A change map has no more pixels than its preview.
    return (output.width, output.height) if output is not None and tile.overlay is None else (0, 0)
