"""Objects and cloths that an edit adds: sprites from WebP files, dyed, turned and scaled.

A sprite's opacity is also the ground truth of the edit. This module must not know prompts or places.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops

__all__ = ["CLOTHS", "HUES", "OBJECTS", "Array", "Colour", "Sprite", "draw_sprite"]

Array = NDArray[np.floating[Any]]  # float32 throughout; numpy's types lose track of it
Colour = tuple[int, int, int]

_SAME_HUE: Final = 24  # of 256 steps: parts with a hue this near to the sprite's own are dyed with it


@dataclass(frozen=True)
class Sprite:
    """An object with a file in `sprites/`."""

    paints: tuple[Colour, ...]  # its main colours to choose from; the first is the one in the file
    grounded: bool = True  # true if it stands on the ground and throws a shadow there
    size: float = 1.0  # its size relative to other objects


HUES: Final[tuple[Colour, ...]] = (
    (32, 144, 144),
    (204, 44, 48),
    (128, 70, 184),
    (236, 124, 36),
    (48, 112, 204),
    (64, 148, 84),
)
_CLOTH: Final = Sprite(HUES, grounded=False, size=0.95)
CLOTHS: Final[dict[str, Sprite]] = {"stripes": _CLOTH, "dots": _CLOTH, "checks": _CLOTH, "waves": _CLOTH}
OBJECTS: Final[dict[str, Sprite]] = {
    "bird": Sprite(((62, 132, 200), (206, 66, 54), (232, 186, 52), (72, 156, 108))),
    "crab": Sprite(((224, 84, 48), (52, 130, 158), (196, 56, 92))),
    "butterfly": Sprite(((240, 138, 40), (70, 142, 214), (176, 92, 190)), grounded=False, size=0.95),
    "fish": Sprite(((240, 128, 44), (48, 130, 190), (214, 70, 98)), grounded=False),
    "cat": Sprite(((222, 140, 66), (92, 92, 100), (52, 46, 48))),
    "crown": Sprite(((226, 172, 48), (196, 202, 212), (222, 146, 106)), grounded=False, size=0.92),
    "flower": Sprite(((232, 86, 122), (246, 240, 228), (104, 96, 206))),
    "hat": Sprite(((196, 156, 104), (52, 46, 56), (74, 104, 88)), size=0.92),
    "balloon": Sprite(((214, 46, 58), (38, 130, 206), (244, 178, 40), (66, 164, 98)), grounded=False),
    "star": Sprite(((244, 190, 50), (230, 92, 120), (72, 170, 190)), grounded=False, size=0.85),
    "mushroom": Sprite(((206, 52, 44), (160, 104, 60), (112, 84, 168))),
    "heart": Sprite(((216, 40, 70), (226, 96, 160), (130, 70, 180)), grounded=False, size=0.85),
    "boat": Sprite(((38, 88, 140), (176, 52, 44), (62, 122, 104))),
}


def draw_sprite(name: str, paint: Colour | None, look: int, side: int) -> tuple[Array, Array]:
    """Draw an object or a cloth in a colour, or, if that is None, in one that `look` picks as it does tilt and side.

    Returns:
        Premultiplied colour (side, side, 3) in levels 0-255 and opacity (side, side) in 0-1.
    """
    sheet = _posed(name, paint, look).resize((side, side), Image.Resampling.BICUBIC)
    pixels = np.asarray(sheet.convert("RGBa"), np.float32)
    return pixels[..., :3], pixels[..., 3] / np.float32(255)


@lru_cache(maxsize=24)
def _posed(name: str, paint: Colour | None, look: int) -> Image.Image:
    """The sprite in its colour, tilted by up to 8 degrees, and mirrored for every other `look`."""
    sprite = (OBJECTS | CLOTHS)[name]
    with files("kontext_lab.sandbox").joinpath("sprites", f"{name}.webp").open("rb") as file:
        image = Image.open(file).convert("RGBA")
    image = _dyed(image, sprite.paints[0], paint or sprite.paints[look // 7 % len(sprite.paints)])
    if look // 2048 % 2:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    return image.rotate(8 - look // 64 % 17, Image.Resampling.BICUBIC)


def _dyed(image: Image.Image, own: Colour, paint: Colour) -> Image.Image:
    """Give the parts in a sprite's own colour another one; parts of clearly different hue stay."""
    if own == paint:
        return image
    colour = image.convert("RGB")
    hue, saturation, value = colour.convert("HSV").split()
    (h0, s0, v0), (h1, s1, v1) = (
        np.asarray(Image.new("RGB", (1, 1), tone).convert("HSV"))[0, 0].tolist() for tone in (own, paint)
    )
    levels = range(256)
    dyed = [
        hue.point([(level + h1 - h0) % 256 for level in levels]),
        saturation.point([min(255, level * s1 // s0) for level in levels]),
        value.point([min(255, level * v1 // v0) for level in levels]),
    ]
    same = hue.point([255 * (abs((level - h0 + 128) % 256 - 128) < _SAME_HUE) for level in levels])
    # Pale parts such as a belly keep their colour; highlights fade into it.
    strong = saturation.point([min(255, max(0, round((level / s0 - 0.3) * 1275))) for level in levels])
    result = Image.composite(
        Image.merge("HSV", dyed).convert("RGB"), colour, ImageChops.multiply(same, strong)
    )
    result.putalpha(image.getchannel("A"))
    return result
