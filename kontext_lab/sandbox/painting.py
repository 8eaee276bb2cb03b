"""Finished picture files, with their masks and their mark, from a valid request and its references.

Re-frames the reference to an output size, lets it be edited, stamps the "SANDBOX" mark, encodes, and caches. It must
not know HTTP, money or faults (a black picture is one more kind of picture here).
"""

from __future__ import annotations

import hashlib
import io
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from threading import Condition
from typing import Final

import numpy as np
from cachetools import LRUCache, cached
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from kontext_lab.sandbox.edits import plan_edit
from kontext_lab.sandbox.fetched_references import DecodedReference
from kontext_lab.sandbox.scene import apply_edit
from kontext_lab.sandbox.validation import Generation

__all__ = ["RATIO_SIZES", "Box", "SimulatedPicture", "black_picture", "make_picture", "mark_box", "reframe"]

Box = tuple[int, int, int, int]  # left, top, right, bottom; the last two not included
_JPEG_QUALITY: Final = 92
_MAX_STRETCH: Final = 1.03  # beyond this a reference is cropped, not stretched
RATIO_SIZES: Final = {
    "21:9": (1568, 672),
    "16:9": (1392, 752),
    "4:3": (1184, 880),
    "3:2": (1248, 832),
    "1:1": (1024, 1024),
    "2:3": (832, 1248),
    "3:4": (880, 1184),
    "9:16": (752, 1392),
    "9:21": (672, 1568),
}
_TRAINED_SIDES: Final = [
    *(672, 688, 720, 752, 800, 832, 880, 944, 1024),
    *(1104, 1184, 1248, 1328, 1392, 1456, 1504, 1568),
]


@dataclass(frozen=True, eq=False)
class SimulatedPicture:
    """A finished picture."""

    data: bytes  # the file's bytes
    sha256: str  # digest of the bytes
    content_type: str  # "image/jpeg" or "image/png"
    truth: NDArray[np.bool_]  # mask (height, width) of the edited pixels, without the marks'
    marks: tuple[Box, ...]  # boxes of "SANDBOX" and of the names of stand-ins

    @property
    def mark_mask(self) -> NDArray[np.bool_]:
        """Mask (height, width) of the marks' regions."""
        mask = np.zeros(self.truth.shape, bool)
        for left, top, right, bottom in self.marks:
            mask[top:bottom, left:right] = True
        return mask


# Shared by all sandboxes of a process: the same request makes the same picture whoever asks, and once.


@cached(
    LRUCache(12),
    lambda request, references, seed, variant: (
        replace(request, image_urls=(), num_images=1, seed=seed),
        *(reference.sha256 for reference in references),
        variant,
    ),
    condition=Condition(),
)
def make_picture(
    request: Generation, references: Sequence[DecodedReference], seed: int, variant: int
) -> SimulatedPicture:
    """Make one simulated output of a request: picture number `variant`, from 0."""
    first = references[0]
    framed = _framed(first, output_size(request.aspect_ratio, first.image.size))
    plan = plan_edit(
        request.prompt,
        model=request.model,
        seed=seed,
        variant=variant,
        guidance=request.guidance_scale,
        picture=first.sha256,
    )
    edited, truth = apply_edit(framed, plan, [reference.image for reference in references[1:]])
    marks = _stamp(edited, [reference.stand_in for reference in references if reference.stand_in])
    for left, top, right, bottom in marks:
        truth[top:bottom, left:right] = False
    return _finish(edited, request.output_format, truth, marks)


@cached(LRUCache(8), lambda reference, size: (reference.sha256, size), condition=Condition())
def _framed(reference: DecodedReference, size: tuple[int, int]) -> NDArray[np.uint8]:
    return reframe(reference.image, size)


def black_picture(request: Generation, references: Sequence[DecodedReference]) -> SimulatedPicture:
    """Make the black picture that moderation leaves; every pixel counts as edited."""
    width, height = output_size(request.aspect_ratio, references[0].image.size)
    pixels = np.zeros((height, width, 3), np.uint8)
    return _finish(pixels, request.output_format, np.ones((height, width), bool), ())


def output_size(aspect_ratio: str | None, reference: tuple[int, int]) -> tuple[int, int]:
    """Return width and height of the output: the ratio's size, or the trained size nearest to the reference."""
    if aspect_ratio is not None:
        return RATIO_SIZES[aspect_ratio]
    ratio = reference[0] / reference[1]
    return min(
        zip(_TRAINED_SIDES, reversed(_TRAINED_SIDES), strict=True),
        key=lambda size: (abs(ratio - size[0] / size[1]), size),
    )


def reframe(image: Image.Image, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Bring an RGB image to a size as the service does: slightly stretched if near, else cropped to cover."""
    width, height = size
    stretch = (image.width / image.height) / (width / height)
    box: tuple[float, float, float, float] | None = None
    if not 1 / _MAX_STRETCH <= stretch <= _MAX_STRETCH:
        kept_width = min(image.width, image.height * width / height)
        kept_height = min(image.height, image.width * height / width)
        left, top = (image.width - kept_width) / 2, (image.height - kept_height) / 2
        box = (left, top, left + kept_width, top + kept_height)
    return np.asarray(image.resize(size, Image.Resampling.LANCZOS, box=box))


def _finish(
    pixels: NDArray[np.uint8], output_format: str, truth: NDArray[np.bool_], marks: tuple[Box, ...]
) -> SimulatedPicture:
    if output_format == "png":
        data = _png(pixels)
    else:
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "JPEG", quality=_JPEG_QUALITY)
        data = buffer.getvalue()
    return SimulatedPicture(data, hashlib.sha256(data).hexdigest(), f"image/{output_format}", truth, marks)


def _png(pixels: NDArray[np.uint8]) -> bytes:
    """Encode a PNG with one filter for all rows (difference to the left neighbour) and without matching.

    As small as Pillow's fastest and more than twice as quick, which counts when a sweep asks for dozens.
    """
    height, width = pixels.shape[:2]
    flat = pixels.reshape(height, -1)
    rows = np.empty((height, 1 + 3 * width), np.uint8)
    rows[:, 0] = 1
    rows[:, 1:4] = flat[:, :3]
    np.subtract(flat[:, 3:], flat[:, :-3], out=rows[:, 4:])
    packer = zlib.compressobj(1, zlib.DEFLATED, zlib.MAX_WBITS, 9, zlib.Z_HUFFMAN_ONLY)
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", packer.compress(rows.data) + packer.flush()), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in chunks
    )


def mark_box(width: int, height: int) -> Box:
    """Return the box of "SANDBOX" on a picture of a size: left, top, right, bottom."""
    rows, columns = _mark("SANDBOX", width, height)[1].shape
    margin = rows // 2
    return (width - margin - columns, height - margin - rows, width - margin, height - margin)


def _stamp(pixels: NDArray[np.uint8], stand_ins: Sequence[str]) -> tuple[Box, ...]:
    """Write the mark into the lower right corner, and above it a line for each stand-in, in place."""
    height, width = pixels.shape[:2]
    _, top, right, bottom = mark_box(width, height)
    lines = ["SANDBOX"]
    for address in reversed(stand_ins):
        # Host and last part, each shortened in the middle: at most 50 characters.
        host, *parts = address.partition("://")[2].removesuffix("?...").strip("/").split("/")
        kept = [part if len(part) <= 23 else f"{part[:8]}...{part[-12:]}" for part in (host, *parts[-1:])]
        lines.append(f"stand-in for {('/.../' if len(parts) > 1 else '/').join(kept)}")
    boxes = []
    for text in lines:
        paint, cover = _mark(text, width, height)
        box = (right - cover.shape[1], top, right, bottom)
        area = pixels[box[1] : box[3], box[0] : box[2]]
        area[:] = (area * (1 - cover[..., None]) + paint * cover[..., None] + 0.5).astype(np.uint8)
        boxes.append(box)
        top, bottom = top - (bottom - top) - 2, top - 2
    return tuple(boxes)


@lru_cache(maxsize=64)
def _mark(text: str, width: int, height: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Draw a line of the mark for a picture of a size: colour and opacity of white letters on a dark pill."""
    size = max(14, min(height, width) // 42)
    font = ImageFont.load_default(size)
    left, _, right, _ = font.getbbox(text)
    _, top, _, bottom = font.getbbox("SANDBOX")  # all lines are as high
    pad = size * 0.45
    columns, rows = int(right - left + 2.4 * pad), int(bottom - top + 1.5 * pad)
    scale = 3
    pill = Image.new("L", (columns * scale, rows * scale))
    ImageDraw.Draw(pill).rounded_rectangle(
        (0, 0, columns * scale - 1, rows * scale - 1), radius=rows * scale * 0.36, fill=140
    )
    ground = np.asarray(pill.reduce(scale), np.float32) / 255
    letters = Image.new("L", (columns, rows))
    ImageDraw.Draw(letters).text((1.2 * pad - left, 0.75 * pad - top), text, fill=255, font=font)
    written = np.asarray(letters, np.float32) / 255
    cover = np.maximum(ground, written)
    paint = (18 * (1 - written) + 255 * written)[..., None].repeat(3, axis=-1)
    return paint.astype(np.float32), cover.astype(np.float32)
