"""A change map as a picture: what changed glows over the reference, whose colours step back. Pixels only."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

__all__ = ["BRIGHTEST", "glowing"]

BRIGHTEST = 40.0
"""Lab units at which a change glows brightest: a red thing that became green is 80 to 100 apart, a shadow 5 to 10."""

_FAINTEST = 0.45
"""How much of a place that has changed at all is covered: a faint change is to be seen, too."""

# From matplotlib's inferno, its dark end left out: lightness rises all along, for every kind of colour vision.
_STOPS = ((120, 28, 109), (187, 55, 84), (237, 105, 37), (251, 180, 26), (252, 255, 164))


def glowing(reference: Image.Image, distances: NDArray[np.floating]) -> Image.Image:
    """The reference in grey with its changes over it.

    Args:
        reference: of any size.
        distances: height × width in the reference's frame, Lab units, 0 where nothing changed.

    Returns:
        An RGB picture of the map's size.
    """
    height, width = distances.shape
    grey = np.asarray(reference.convert("L").resize((width, height)), dtype=np.float64)
    # Greys between a third and two thirds: the brightest glow stands out from all of them.
    paper = np.repeat((60 + grey * 0.5)[..., None], 3, axis=2)
    share = np.clip(np.nan_to_num(distances) / BRIGHTEST, 0, 1)
    cover = np.where(share > 0, _FAINTEST + (1 - _FAINTEST) * share, 0.0)[..., None]
    places = np.linspace(0, 1, len(_STOPS))
    glow = np.stack([np.interp(share, places, channel) for channel in zip(*_STOPS, strict=True)], axis=-1)
    return Image.fromarray(np.rint(paper * (1 - cover) + glow * cover).astype(np.uint8))
