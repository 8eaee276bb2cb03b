"""The pictures of a page: each once, as WebP small enough that the whole page can be mailed, without metadata."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Callable, Hashable
from dataclasses import dataclass

from PIL import Image

__all__ = ["PAGE_BYTES", "Album", "PagePicture"]

PAGE_BYTES = 12_000_000
"""Bytes of all pictures of a page together, as text: many mail servers refuse more than 20 to 25 MB."""

LEAST_BYTES = 12_000
"""Bytes that each picture may take in any case: below this nothing can be recognised."""

STEPS = ((1024, 82), (896, 80), (768, 78), (640, 74), (512, 70), (384, 64), (320, 52), (256, 40))
"""Longest side in pixels and WebP quality: the first whose bytes fit is taken."""

Load = Callable[[int], Image.Image]
"""Loads a picture whose longest side has at most so many pixels."""


@dataclass(frozen=True)
class PagePicture:
    """A picture of the page, as a `data:` address; its kind is `output`, `reference` or `change`."""

    uri: str
    width: int
    height: int
    caption: str
    kind: str


class Album:
    """The pictures of a page, each known by its index.

    Args:
        expected: about how many there will be; they share the space.
        room: bytes of text for all of them.
    """

    def __init__(self, expected: int, room: int = PAGE_BYTES) -> None:
        # Base64 makes four characters of three bytes.
        self._share = max(LEAST_BYTES, room * 3 // 4 // max(1, expected))
        # Bytes per pixel of the square around a picture: pictures of one study are alike, so the first try usually fits.
        self._lightest = math.inf
        self._indices: dict[Hashable, int] = {}
        self.pictures: list[PagePicture] = []

    def add(self, key: Hashable, load: Load, caption: str, kind: str, *, largest: int = STEPS[0][0]) -> int:
        """Add a picture, unless it is there already; return its index.

        Args:
            key: equal for equal pictures.
            load: loads it; called again for a smaller one if it takes too much space.
            caption: its text.
            kind: `output`, `reference` or `change`.
            largest: its longest side at most, in pixels.

        Raises:
            KontextLabError: raised by `load`; then nothing is added.
        """
        if key not in self._indices:
            picture, data = self._fitted(load, largest)
            uri = "data:image/webp;base64," + base64.b64encode(data).decode("ascii")
            self.pictures.append(PagePicture(uri, *picture.size, caption, kind))
            self._indices[key] = len(self.pictures) - 1
        return self._indices[key]

    def _fitted(self, load: Load, largest: int) -> tuple[Image.Image, bytes]:
        """The picture and its bytes, as large as its share of the space allows."""
        steps = [step for step in STEPS if step[0] <= largest]
        likely = 0.0 if math.isinf(self._lightest) else self._lightest
        picture = None
        for box, quality in steps:
            if likely * box * box > self._share and box != steps[-1][0]:
                continue  # encoding in vain would take as long as everything else
            picture = load(box) if picture is None else picture
            picture.thumbnail((box, box), reducing_gap=2.0)
            buffer = io.BytesIO()
            # Without exif, profile and anything else that Pillow carries along in `info`.
            bare = picture.convert("RGBA" if picture.has_transparency_data else "RGB")
            # Method 2 takes half the time of the default, for 3 % more bytes.
            bare.save(buffer, format="WEBP", quality=quality, method=2, exif=b"", xmp=b"", icc_profile=b"")
            data = buffer.getvalue()
            weight = len(data) / (box * box)
            if len(data) <= self._share:
                self._lightest = min(self._lightest, weight)
                break
            likely = weight
        assert picture is not None  # the last step is always tried
        return picture, data
