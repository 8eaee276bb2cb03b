"""The pictures of a page: each once, as WebP small enough that the page as a whole can be mailed.

Knows pixels and sizes only. What a picture is of, its caption says; metadata stays behind.
"""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Callable, Hashable
from dataclasses import dataclass

from PIL import Image

__all__ = ["PAGE_BYTES", "Album", "PagePicture"]

PAGE_BYTES = 12_000_000
"""What all pictures of a page may take together, as text: many mail servers refuse more than 20 to 25 MB."""

LEAST_BYTES = 12_000
"""However many pictures there are, each may take this much: below it nothing can be recognised."""

STEPS = ((1024, 82), (896, 80), (768, 78), (640, 74), (512, 70), (384, 64), (320, 52), (256, 40))
"""Longest side in pixels and WebP quality: the first whose bytes fit is taken."""

Load = Callable[[int], Image.Image]
"""Gives a picture whose longest side is at most so many pixels."""


@dataclass(frozen=True)
class PagePicture:
    """A picture of the page.

    Attributes:
        uri: a `data:` address.
        width: pixels.
        height: pixels.
        caption: what it shows.
        kind: `output`, `reference` or `change`.
    """

    uri: str
    width: int
    height: int
    caption: str
    kind: str


class Album:
    """Takes pictures in and knows each by its place.

    Args:
        expected: about how many there will be: they share what room there is.
        room: bytes of text for all of them.
    """

    def __init__(self, expected: int, room: int = PAGE_BYTES) -> None:
        # Base64 makes four characters of three bytes.
        self._share = max(LEAST_BYTES, room * 3 // 4 // max(1, expected))
        # Bytes per pixel of the square around a picture: pictures of one study are alike, so the first try fits.
        self._lightest = math.inf
        self._places: dict[Hashable, int] = {}
        self.pictures: list[PagePicture] = []

    def add(self, key: Hashable, load: Load, caption: str, kind: str, *, largest: int = STEPS[0][0]) -> int:
        """The place of a picture; one that is there already is not loaded again.

        Args:
            key: equal for equal pictures.
            load: gives it, and is asked for smaller ones where it takes too much room.
            caption: what it shows.
            kind: `output`, `reference` or `change`.
            largest: its longest side at most, in pixels.

        Raises:
            KontextLabError: what `load` raises; then nothing is added.
        """
        if key not in self._places:
            picture, data = self._fitted(load, largest)
            uri = "data:image/webp;base64," + base64.b64encode(data).decode("ascii")
            self.pictures.append(PagePicture(uri, *picture.size, caption, kind))
            self._places[key] = len(self.pictures) - 1
        return self._places[key]

    def _fitted(self, load: Load, largest: int) -> tuple[Image.Image, bytes]:
        """The picture and its bytes, as large as its share allows."""
        steps = [step for step in STEPS if step[0] <= largest]
        likely = 0.0 if math.isinf(self._lightest) else self._lightest
        picture = None
        for box, quality in steps:
            if likely * box * box > self._share and box != steps[-1][0]:
                continue  # a try costs as long as all else
            picture = load(box) if picture is None else picture
            picture.thumbnail((box, box), reducing_gap=2.0)
            data = _encoded(picture, quality)
            weight = len(data) / (box * box)
            if len(data) <= self._share:
                self._lightest = min(self._lightest, weight)
                break
            likely = weight
        assert picture is not None  # the last step is always tried
        return picture, data


def _encoded(picture: Image.Image, quality: int) -> bytes:
    buffer = io.BytesIO()
    # Without exif, profile and the rest: what Pillow carries along in `info` is not handed on.
    bare = picture.convert("RGBA" if picture.has_transparency_data else "RGB")
    # Method 2: half the time of the default, for 3 % more bytes.
    bare.save(buffer, format="WEBP", quality=quality, method=2, exif=b"", xmp=b"", icc_profile=b"")
    return buffer.getvalue()
