"""A change map as a picture: changes in colour over the picture in grey. Knows pixels only."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from kontext_lab.images.boxes import Box

__all__ = ["BRIGHTEST", "COLOURS", "heat_map"]

BRIGHTEST = 40.0
"""Lab units of the brightest colour: red and green are 80 to 100 apart, a shadow changes 5 to 10."""

# From matplotlib's inferno without its dark end: lightness rises steadily, for every kind of colour vision.
COLOURS = ((120, 28, 109), (187, 55, 84), (237, 105, 37), (251, 180, 26), (252, 255, 164))
"""Red, green and blue from the faintest to the brightest change."""

_FAINTEST = 0.45
"""Opacity of the faintest change, so that it is visible too."""
_STRIPES = 12
"""Pixels from one stripe to the next, where nothing could be compared."""


def heat_map(
    picture: Image.Image,
    distances: NDArray[np.floating],
    *,
    seen: NDArray[np.bool_] | None = None,
    boxes: Sequence[Box] = (),
    size: tuple[int, int] | None = None,
) -> Image.Image:
    """Draw changes over a picture of any size, in grey; returns RGB, of the map's size unless `size` is given.

    Args:
        picture: any picture.
        distances: height × width in the picture's frame, Lab units, 0 where nothing changed.
        seen: of the same shape, the pixels that were compared; the others are striped.
        boxes: outlined in white.
        size: width and height of the result.
    """
    width, height = size or (distances.shape[1], distances.shape[0])
    lightness = np.asarray(picture.convert("L").resize((width, height)), dtype=np.float32)
    # Only medium greys, so that the brightest colour stands out from all of them.
    grey = np.rint(60 + lightness * 0.5).astype(np.uint8)
    shares = np.clip(np.nan_to_num(distances) / BRIGHTEST, 0, 1).astype(np.float32)
    if shares.shape != (height, width):
        smaller = width * height < shares.size
        how = Image.Resampling.BOX if smaller else Image.Resampling.BILINEAR
        shares = np.asarray(Image.fromarray(shares).resize((width, height), how))
    levels = np.rint(shares * 255).astype(np.uint8)
    levels[(levels == 0) & (shares > 0)] = 1
    if seen is not None and not seen.all():
        grey = _striped(grey, seen)
    steps = np.linspace(0, 1, 256)
    opacity = np.where(steps > 0, _FAINTEST + (1 - _FAINTEST) * steps, 0.0).astype(np.float32)
    stops = np.linspace(0, 1, len(COLOURS))
    channels = [np.interp(steps, stops, channel) for channel in zip(*COLOURS, strict=True)]
    alpha = opacity[levels][..., None]
    mixed = grey[..., None] * (1 - alpha) + np.stack(channels, axis=-1).astype(np.float32)[levels] * alpha
    drawn = Image.fromarray(np.rint(mixed).astype(np.uint8))
    draw, thick = ImageDraw.Draw(drawn), max(1, round(max(drawn.size) / 500))
    for left, top, right, bottom in boxes:
        # White lines with a dark border are visible on any picture.
        x0, y0 = round(left * width - thick), round(top * height - thick)
        x1, y1 = round(right * width + thick), round(bottom * height + thick)
        draw.rectangle((x0, y0, x1, y1), outline=(20, 20, 20), width=thick)
        if x1 - x0 > 2 * thick and y1 - y0 > 2 * thick:
            inside = (x0 + thick, y0 + thick, x1 - thick, y1 - thick)
            draw.rectangle(inside, outline=(255, 255, 255), width=thick)
    return drawn


def _striped(grey: NDArray[np.uint8], seen: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Darken the pixels that were not compared, and draw slanting stripes over them."""
    height, width = grey.shape
    mask = Image.fromarray((seen * 255).astype(np.uint8))
    # In blocks of 4, so that a line of hidden pixels along an edge is not striped.
    there = np.asarray(mask.reduce(4).resize((width, height), Image.Resampling.NEAREST)) > 0
    down, across = np.ogrid[:height, :width]
    stripe = (down + across) % _STRIPES < _STRIPES // 3
    return np.where(there, grey, np.where(stripe, 110, grey // 3)).astype(np.uint8)
