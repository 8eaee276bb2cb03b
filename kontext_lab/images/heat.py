"""A change map as a picture: what changed glows over a picture whose colours step back. Pixels only."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

__all__ = ["BRIGHTEST", "GLOW", "glowing"]

BRIGHTEST = 40.0
"""Lab units at which a change glows brightest: a red thing that became green is 80 to 100 apart, a shadow 5 to 10."""

# From matplotlib's inferno, its dark end left out: lightness rises all along, for every kind of colour vision.
GLOW = ((120, 28, 109), (187, 55, 84), (237, 105, 37), (251, 180, 26), (252, 255, 164))
"""Red, green and blue from the faintest to the brightest change."""

_FAINTEST = 0.45
"""How much of a place that has changed at all is covered: a faint change is to be seen, too."""
_STRIPES = 12
"""Pixels from one stripe to the next where nothing could be compared."""

Box = tuple[float, float, float, float]


def glowing(
    picture: Image.Image,
    distances: NDArray[np.floating],
    *,
    seen: NDArray[np.bool_] | None = None,
    boxes: Sequence[Box] = (),
    size: tuple[int, int] | None = None,
) -> Image.Image:
    """A picture in grey with changes over it.

    Args:
        picture: what is looked at, of any size.
        distances: height × width in the picture's frame, Lab units, 0 where nothing changed.
        seen: of the same shape, where there was anything to compare with; the rest is striped. None for all of it.
        boxes: left, top, right, bottom as fractions of the picture, to be outlined.
        size: width and height of what is returned; None for those of the map.

    Returns:
        An RGB picture.
    """
    width, height = size or (distances.shape[1], distances.shape[0])
    grey = np.asarray(picture.convert("L").resize((width, height)), dtype=np.float32)
    # Greys between a third and two thirds: the brightest glow stands out from all of them.
    paper = np.rint(60 + grey * 0.5).astype(np.uint8)
    shares = np.clip(np.nan_to_num(distances) / BRIGHTEST, 0, 1).astype(np.float32)
    if shares.shape != (height, width):
        smaller = width * height < shares.size
        how = Image.Resampling.BOX if smaller else Image.Resampling.BILINEAR
        shares = np.asarray(Image.fromarray(shares).resize((width, height), how))
    levels = np.rint(shares * 255).astype(np.uint8)
    levels[(levels == 0) & (shares > 0)] = 1
    if seen is not None and not seen.all():
        paper = _striped(paper, seen)
    covered, glow = _tables()
    share = covered[levels][..., None]
    mixed = paper[..., None] * (1 - share) + glow[levels] * share
    return _outlined(Image.fromarray(np.rint(mixed).astype(np.uint8)), boxes)


def _tables() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """By level, 0 to 255: how much of the picture is covered, and with which colour."""
    shares = np.linspace(0, 1, 256)
    covered = np.where(shares > 0, _FAINTEST + (1 - _FAINTEST) * shares, 0.0)
    places = np.linspace(0, 1, len(GLOW))
    glow = np.stack([np.interp(shares, places, channel) for channel in zip(*GLOW, strict=True)], axis=-1)
    return covered.astype(np.float32), glow.astype(np.float32)


def _striped(paper: NDArray[np.uint8], seen: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Darker, with slanting stripes, where nothing is seen."""
    height, width = paper.shape
    mask = Image.fromarray((seen * 255).astype(np.uint8))
    # Blocks of 4: a line of places that are hidden along an edge is nothing to tell.
    there = np.asarray(mask.reduce(4).resize((width, height), Image.Resampling.NEAREST)) > 0
    down, across = np.ogrid[:height, :width]
    stripe = (down + across) % _STRIPES < _STRIPES // 3
    return np.where(there, paper, np.where(stripe, 110, paper // 3)).astype(np.uint8)


def _outlined(picture: Image.Image, boxes: Sequence[Box]) -> Image.Image:
    """White lines around places, on dark ones: seen on any picture."""
    draw = ImageDraw.Draw(picture)
    thick = max(1, round(max(picture.size) / 500))
    for left, top, right, bottom in boxes:
        edges = (
            left * picture.width - thick,
            top * picture.height - thick,
            right * picture.width + thick,
            bottom * picture.height + thick,
        )
        place = [round(edge) for edge in edges]
        draw.rectangle(place, outline=(20, 20, 20), width=thick)
        inside = [place[0] + thick, place[1] + thick, place[2] - thick, place[3] - thick]
        if inside[0] < inside[2] and inside[1] < inside[3]:
            draw.rectangle(inside, outline=(255, 255, 255), width=thick)
    return picture
