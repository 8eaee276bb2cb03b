"""Pixels of tiles: decoded, cropped and scaled pictures, change maps over them, and caches of both."""

from __future__ import annotations

import io
import math
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import lru_cache, partial
from typing import TYPE_CHECKING

import numpy as np
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

__all__ = ["Pixels", "Previews", "change_webp", "compare_ahead", "cut", "pixels_of", "source_of"]

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
        return _incomparable(found) or _map_over_picture(output, found, overlay.over == "output", box)
    except KontextLabError as error:
        return PlaceholderCard("uncompared", "not compared", text.clean(str(error)))


def _incomparable(found: Comparison) -> PlaceholderCard | None:
    """The card for a comparison without a map; None if there is one."""
    if "blank" in found.flags:
        return PlaceholderCard("uncompared", "blank", "the output shows nothing that could be compared")
    if not found.registered:
        return PlaceholderCard("uncompared", "new picture", "nothing of the reference is in its place")
    return None


def _map_over_picture(output: Output, found: Comparison, over_output: bool, box: int) -> Image.Image:
    request = output.cell.request
    assert request is not None  # else it could not have been compared
    height, width = found.change_map.shape
    box = min(box, max(width, height))
    if over_output and found.matrix is not None:
        picture = output.thumbnail(box)
        full = _within(picture.size, max(width, height))
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
    """A reference in grey, the ground of its change maps."""
    return thumbnail(reference.png, box).convert("L")


def _within(size: tuple[int, int], box: int) -> tuple[int, int]:
    scale = box / max(size)
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def change_webp(output: Output, compare: Callable[[Output], Comparison], box: int = 1024) -> bytes | str:
    """The changes of an output over its reference, for a close look: its regions are outlined.

    Args:
        output: with a picture.
        compare: measures it; may take long.
        box: longest side in pixels at most.

    Returns:
        A WebP file, or a line that tells why there is none.
    """
    try:
        found = compare(output)
        card = _incomparable(found)
        if card is not None:
            return f"{card.heading}: {card.note}"
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


def compare_ahead(tiles: Iterable[Tile]) -> None:
    """Measure the changes that tiles show, several at a time, so that drawing finds them measured."""
    overlaid = [tile for tile in tiles if tile.overlay is not None]
    if len(overlaid) > 1:
        with ThreadPoolExecutor(_THREADS, thread_name_prefix="kontext-lab changes") as pool:
            list(pool.map(_compare, overlaid))


def _compare(tile: Tile) -> None:
    with suppress(KontextLabError):  # drawing reports it
        if tile.overlay is not None and tile.output is not None:
            tile.overlay.comparison(tile.output)


def pixels_of(tile: Tile, size: tuple[int, int], crop: Crop) -> Pixels | PlaceholderCard:
    """A tile's picture, scaled to (width, height) pixels; or the card that replaces it.

    Raises:
        KontextLabError: there is no picture, or it could not be loaded.
    """
    # The whole picture must be this large for its part to fill the tile.
    box = math.ceil(max(size[0] / (crop[2] - crop[0]), size[1] / (crop[3] - crop[1])))
    output = tile.output
    load = None
    if output is not None and output.data and output.format == "jpeg":
        # A JPEG is decoded at reduced size: a third of the time a preview takes.
        load = partial(thumbnail, output.data, box)
    picture = _decoded(tile, box, load)
    if isinstance(picture, PlaceholderCard):
        return picture
    small = picture.resize(size, Image.Resampling.LANCZOS, box=_part(picture, crop))
    return np.asarray(small, dtype=np.uint8)


def cut(picture: Image.Image, size: tuple[int, int], crop: Crop) -> Pixels:
    """A part of a picture, scaled to (width, height) pixels; quick rather than exact."""
    small = picture.resize(size, Image.Resampling.BILINEAR, box=_part(picture, crop), reducing_gap=1.5)
    return np.asarray(small, dtype=np.uint8)


def _part(picture: Image.Image, crop: Crop) -> tuple[float, float, float, float]:
    """A crop in pixels."""
    return (
        crop[0] * picture.width,
        crop[1] * picture.height,
        crop[2] * picture.width,
        crop[3] * picture.height,
    )


def _decoded(
    tile: Tile, box: int, load: Callable[[], Image.Image] | None = None
) -> Image.Image | PlaceholderCard:
    """A tile's picture, longest side at most `box` pixels; or the card that replaces it.

    Args:
        tile: of a reference or an output.
        box: pixels.
        load: returns an output's picture; None for its thumbnail.

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
        return load() if load is not None else output.thumbnail(box)
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
    """Decoded pictures by `source_of` their tiles."""

    def __init__(self, most_bytes: int = _PREVIEWS, most_whole: int = _WHOLE) -> None:
        self._small = _Held(most_bytes)
        self._whole = _Held(most_whole)
        self._failed: dict[Hashable, PlaceholderCard] = {}

    def get(self, tile: Tile) -> Image.Image | PlaceholderCard | None:
        """The preview, or a card with the reason why there is none; None while it is not loaded."""
        source = source_of(tile)
        return self._failed.get(source) or self._small.get(source)

    def load(self, tile: Tile, tiles: int = 1) -> Image.Image | PlaceholderCard:
        """Load and decode a tile's preview; in any thread.

        Args:
            tile: of the picture.
            tiles: number of tiles shown together.
        """
        held = self.get(tile)
        if held is not None:
            return held
        box = PREVIEW_BOX if tiles <= _MANY else PREVIEW_BOX // 2
        try:
            picture = _decoded(tile, box)
        except KontextLabError as error:
            picture = unreadable(error)
        if isinstance(picture, PlaceholderCard):
            self._failed[source_of(tile)] = picture
            return picture
        return self._small.put(source_of(tile), picture)

    def sharp(self, tile: Tile) -> Image.Image:
        """The whole picture, decoded at full resolution; in any thread.

        Raises:
            KontextLabError: it could not be loaded.
        """
        source = source_of(tile)
        held = self._whole.get(source)
        picture = held if held is not None else _decoded(tile, max(_size(tile)))
        if isinstance(picture, PlaceholderCard):
            raise NotFound(picture.heading)
        return picture if held is not None else self._whole.put(source, picture)

    def whole(self, tile: Tile) -> Image.Image | None:
        """The whole picture where it is at hand."""
        return self._whole.get(source_of(tile))

    def is_near(self, tile: Tile) -> bool:
        """True if loading asks no store: the bytes are in memory."""
        output = tile.output
        if tile.overlay is not None and tile.reference is None:
            return False  # it has to be measured first
        return tile.reference is not None or (output is not None and bool(output.preview or output.data))

    def lacks(self, tile: Tile, size: tuple[int, int], crop: Crop) -> bool:
        """True if a tile's preview has clearly too few pixels for its place, and the picture has more."""
        held = self.get(tile)
        if not isinstance(held, Image.Image) or held.width >= _size(tile)[0]:
            return False
        return held.width * (crop[2] - crop[0]) < 0.95 * size[0]

    def forgive(self) -> None:
        """Let pictures that could not be loaded be tried again."""
        self._failed.clear()


class _Held:
    """A cache of pictures within a limit of bytes; for several threads."""

    def __init__(self, most: int) -> None:
        self._most, self._bytes = most, 0
        self._held: OrderedDict[Hashable, Image.Image] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, source: Hashable) -> Image.Image | None:
        with self._lock:
            if source in self._held:
                self._held.move_to_end(source)
            return self._held.get(source)

    def put(self, source: Hashable, picture: Image.Image) -> Image.Image:
        with self._lock:
            old = self._held.pop(source, None)
            self._bytes += _weight(picture) - (_weight(old) if old is not None else 0)
            self._held[source] = picture
            while self._bytes > self._most and len(self._held) > 1:
                self._bytes -= _weight(self._held.popitem(last=False)[1])
        return picture


def _weight(picture: Image.Image) -> int:
    return 3 * picture.width * picture.height


def _size(tile: Tile) -> tuple[int, int]:
    """Pixels of the picture itself."""
    if tile.reference is not None:
        return tile.reference.sent_size
    if tile.overlay is not None:
        return (0, 0)  # a map has no more than its preview
    output = tile.output
    return (output.width, output.height) if output is not None else (0, 0)
