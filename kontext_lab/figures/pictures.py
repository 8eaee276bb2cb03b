"""The pixels of a tile: a thumbnail of the size it is drawn at, of the part that is shown. Draws nothing."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from kontext_lab.errors import KontextLabError, NotFound
from kontext_lab.figures.cards import Card
from kontext_lab.figures.changes import changed_picture
from kontext_lab.figures.geometry import Crop, Tile
from kontext_lab.images import thumbnail

__all__ = ["Pixels", "decoded", "pixels_of"]

Pixels = NDArray[np.uint8]


def pixels_of(tile: Tile, size: tuple[int, int], crop: Crop) -> Pixels | Card:
    """A tile's picture, scaled to (width, height) pixels; or what is to be said in its place.

    Raises:
        KontextLabError: there is no picture, or it could not be loaded.
    """
    across, down = crop[2] - crop[0], crop[3] - crop[1]
    # The whole picture must be this large for its part to fill the tile.
    box = math.ceil(max(size[0] / across, size[1] / down))
    picture = _thumbnail(tile, box)
    if isinstance(picture, Card):
        return picture
    part = (
        crop[0] * picture.width,
        crop[1] * picture.height,
        crop[2] * picture.width,
        crop[3] * picture.height,
    )
    small = picture.resize(size, Image.Resampling.LANCZOS, box=part)
    return np.asarray(small, dtype=np.uint8)


def _thumbnail(tile: Tile, box: int) -> Image.Image | Card:
    output = tile.output
    if output is not None and output.data and output.format == "jpeg":
        data = output.data
        # A JPEG is decoded at reduced size: a third of the time a preview takes.
        return decoded(tile, box, lambda: thumbnail(data, box))
    return decoded(tile, box)


def decoded(tile: Tile, box: int, load: Callable[[], Image.Image] | None = None) -> Image.Image | Card:
    """A tile's picture, longest side at most `box` pixels; or what is to be said in its place.

    Args:
        tile: of a reference or an output.
        box: pixels.
        load: brings an output's picture; None for its usual way.

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
            return changed_picture(tile, box)
        return load() if load is not None else output.thumbnail(box)
    except KontextLabError:
        raise
    except Exception as error:  # loading is somebody else's: a store, a disk, a network
        raise NotFound(f"{type(error).__name__}: {error}") from None
