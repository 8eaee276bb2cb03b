"""Photographs, edits pasted into them whose place is known, and what a service does to a picture on its way."""

from __future__ import annotations

import io
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter
from skimage import data

from kontext_lab.metrics import PreparedReference, prepare_reference
from kontext_lab.sandbox.painting import RATIO_SIZES, reframe

NAMES = ("coffee", "chelsea", "astronaut", "rocket")
MIDDLE = (0.4, 0.4, 0.6, 0.6)
"""Where a disc lies unless told otherwise: fractions of width and height."""

Mask = NDArray[np.bool_]


@cache
def photograph(name: str) -> Image.Image:
    """A real photograph, half a megapixel or less."""
    return Image.fromarray(np.asarray(getattr(data, name)())[..., :3])


@cache
def ready(name: str) -> PreparedReference:
    """The same as a reference, made ready once for all tests."""
    return prepare_reference(photograph(name))


def encoded(picture: Image.Image, quality: int = 90) -> Image.Image:
    """A picture saved as JPEG and read again."""
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=quality)
    return Image.open(io.BytesIO(buffer.getvalue())).convert("RGB")


def stretched(picture: Image.Image, by: float, enlarged: float = 1.3) -> Image.Image:
    """A picture enlarged, and a little more in height than in width."""
    size = (round(picture.width * enlarged), round(picture.height * enlarged * (1 + by)))
    return picture.resize(size, Image.Resampling.LANCZOS)


def with_disc(
    picture: Image.Image, box: tuple[float, float, float, float] = MIDDLE, colour: Any = (200, 30, 30)
) -> Image.Image:
    """A copy with a disc painted over it."""
    copy = picture.copy()
    size = (*picture.size, *picture.size)
    ImageDraw.Draw(copy).ellipse([part * side for part, side in zip(box, size, strict=True)], fill=colour)
    return copy


def repainted(picture: Image.Image, other: Image.Image, kept: float) -> Image.Image:
    """Another picture laid over all but the left part."""
    copy = picture.copy()
    left = round(kept * picture.width)
    copy.paste(other.resize(picture.size).crop((left, 0, *picture.size)), (left, 0))
    return copy


def brighter(picture: Image.Image, levels: int) -> Image.Image:
    """Every channel of every pixel some levels up."""
    return Image.fromarray(np.clip(np.asarray(picture).astype(int) + levels, 0, 255).astype(np.uint8))


def gradient(width: int = 800, height: int = 600) -> Image.Image:
    """A smooth sky: no corner, no edge."""
    down = np.linspace(0, 1, height)[:, None] + np.zeros((1, width))
    sky = np.stack([100 + 80 * down, 140 + 60 * down, 200 + 40 * down], axis=-1)
    return Image.fromarray(sky.astype(np.uint8))


def misty(name: str) -> Image.Image:
    """A photograph without anything sharp in it."""
    return photograph(name).filter(ImageFilter.GaussianBlur(6))


def below_a_sky(name: str) -> Image.Image:
    """A photograph whose upper two thirds are a smooth sky."""
    picture = photograph(name).copy()
    picture.paste(gradient(picture.width, round(0.65 * picture.height)), (0, 0))
    return picture


def cropped(picture: Image.Image, sides: tuple[float, float, float, float]) -> Image.Image:
    """What is left within left, top, right and bottom, fractions of width and height from their own sides."""
    left, top, right, bottom = sides
    width, height = picture.size
    box = (left * width, top * height, (1 - right) * width, (1 - bottom) * height)
    return picture.crop(tuple(round(side) for side in box))


def noise(seed: int = 0, size: tuple[int, int] = (640, 480)) -> Image.Image:
    """Every pixel by chance."""
    width, height = size
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8))


def pasted(rng: np.random.Generator, picture: Image.Image) -> tuple[Image.Image, Mask]:
    """A photograph with a disc, a box or a jagged shape pasted in, of one colour or of another photograph.

    Returns:
        The edited picture, and where it was edited: height × width.
    """
    mask = _shape(rng, picture.size)
    if rng.random() < 0.6:
        other = photograph(NAMES[rng.integers(len(NAMES))])
        paint = other.resize(picture.size).rotate(int(rng.integers(360)))
    else:
        paint = Image.new("RGB", picture.size, tuple(int(level) for level in rng.integers(0, 255, 3)))
    soft = mask.filter(ImageFilter.GaussianBlur(1))
    return Image.composite(paint, picture, soft), np.asarray(mask) > 127


def _shape(rng: np.random.Generator, size: tuple[int, int]) -> Image.Image:
    width, height = size
    mask = Image.new("L", size, 0)
    draw = ImageDraw.Draw(mask)
    side = rng.uniform(0.12, 0.35) * min(size)
    x, y = rng.uniform(0.3, 0.7) * width, rng.uniform(0.3, 0.7) * height
    box = (x - side / 2, y - side * rng.uniform(0.3, 0.6), x + side / 2, y + side / 2)
    kind = rng.integers(3)
    if kind == 0:
        draw.ellipse(box, fill=255)
    elif kind == 1:
        draw.rectangle(box, fill=255)
    else:
        turns = np.sort(rng.uniform(0, 2 * np.pi, 9))
        reach = side * rng.uniform(0.3, 0.6, 9)
        corners = zip(x + np.cos(turns) * reach, y + np.sin(turns) * reach, strict=True)
        draw.polygon([(float(across), float(down)) for across, down in corners], fill=255)
    return mask


def scaled(mask: Mask, size: tuple[int, int]) -> Mask:
    """A mask at another size, width × height."""
    picture = Image.fromarray(mask.astype(np.uint8) * 255)
    return np.asarray(picture.resize(size, Image.Resampling.BILINEAR)) > 127


def overlap(one: Mask, other: Mask) -> float:
    """Intersection over union of two masks; 1 where both are empty."""
    either = int((one | other).sum())
    return int((one & other).sum()) / either if either else 1.0


def box_overlap(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    """Intersection over union of two boxes."""
    width = max(0.0, min(one[2], other[2]) - max(one[0], other[0]))
    height = max(0.0, min(one[3], other[3]) - max(one[1], other[1]))
    both = width * height
    return both / (
        (one[2] - one[0]) * (one[3] - one[1]) + (other[2] - other[0]) * (other[3] - other[1]) - both
    )


def reframed(picture: Image.Image, ratio: str) -> Image.Image:
    """A picture brought to one of the service's nine ratios, cropped to cover."""
    return Image.fromarray(reframe(picture, RATIO_SIZES[ratio]))
