"""Decoded pictures kept at hand, so that a live sheet shows any part of them at once. Draws nothing.

A store may be slow – 50 ms a picture over a network –, so `load` and `sharp` may be called in any thread; what
was loaded is held within a limit, the longest unused goes first.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable

import numpy as np
from PIL import Image

from kontext_lab.errors import KontextLabError, NotFound
from kontext_lab.figures.cards import Card, unreadable
from kontext_lab.figures.geometry import Crop, Tile
from kontext_lab.figures.pictures import Pixels, decoded
from kontext_lab.images import PREVIEW_BOX
from kontext_lab.results import Output

__all__ = ["Previews", "cut", "source_of"]

_PREVIEWS, _WHOLE = 140_000_000, 60_000_000
"""Bytes held: of pictures of preview size, and of whole ones."""
_MANY = 170
"""So many previews fit; where a page has more tiles, they are held at half the size."""


def source_of(tile: Tile) -> Hashable:
    """What tells a tile's picture apart from others; None where it has none."""
    if tile.reference is not None:
        return ("reference", tile.reference.digest)
    output = tile.output
    if output is None:
        return None
    if tile.overlay is not None:
        return ("change", tile.overlay.over, output.sha256 or id(output), _references(output))
    return ("output", output.sha256 or id(output))


def cut(picture: Image.Image, size: tuple[int, int], crop: Crop) -> Pixels:
    """A part of a picture, scaled to (width, height) pixels; quick rather than exact."""
    part = (
        crop[0] * picture.width,
        crop[1] * picture.height,
        crop[2] * picture.width,
        crop[3] * picture.height,
    )
    small = picture.resize(size, Image.Resampling.BILINEAR, box=part, reducing_gap=1.5)
    return np.asarray(small, dtype=np.uint8)


class Previews:
    """Decoded pictures by what they are of."""

    def __init__(self, most_bytes: int = _PREVIEWS, most_whole: int = _WHOLE) -> None:
        self._small = _Held(most_bytes)
        self._whole = _Held(most_whole)
        self._failed: dict[Hashable, Card] = {}

    def get(self, tile: Tile) -> Image.Image | Card | None:
        """The preview, or why there is none; None while it is not loaded."""
        source = source_of(tile)
        return self._failed.get(source) or self._small.get(source)

    def load(self, tile: Tile, tiles: int = 1) -> Image.Image | Card:
        """Load and decode a tile's preview; in any thread.

        Args:
            tile: what to load.
            tiles: how many there are to show together.
        """
        held = self.get(tile)
        if held is not None:
            return held
        box = PREVIEW_BOX if tiles <= _MANY else PREVIEW_BOX // 2
        try:
            picture = decoded(tile, box)
        except KontextLabError as error:
            picture = unreadable(error)
        if isinstance(picture, Card):
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
        picture = held if held is not None else decoded(tile, max(_size(tile)))
        if isinstance(picture, Card):
            raise NotFound(picture.heading)
        return picture if held is not None else self._whole.put(source, picture)

    def whole(self, tile: Tile) -> Image.Image | None:
        """The whole picture where it is at hand."""
        return self._whole.get(source_of(tile))

    def is_near(self, tile: Tile) -> bool:
        """Whether loading asks no store: the bytes are in memory."""
        output = tile.output
        if tile.overlay is not None and tile.reference is None:
            return False  # it has to be measured first
        return tile.reference is not None or (output is not None and bool(output.preview or output.data))

    def lacks(self, tile: Tile, size: tuple[int, int], crop: Crop) -> bool:
        """Whether a tile's preview has clearly too few pixels for its place, and the picture has more."""
        held = self.get(tile)
        if not isinstance(held, Image.Image) or held.width >= _size(tile)[0]:
            return False
        return held.width * (crop[2] - crop[0]) < 0.95 * size[0]

    def forgive(self) -> None:
        """What could not be loaded may be tried again."""
        self._failed.clear()


class _Held:
    """Pictures within a limit of bytes; used in several threads."""

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


def _references(output: Output) -> tuple[str, ...]:
    request = output.cell.request
    return tuple(one.digest for one in request.images) if request is not None else ()
