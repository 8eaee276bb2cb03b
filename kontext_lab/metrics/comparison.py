"""One output against its references: how much changed, and how well the rest was kept. Read both together.

An edit that did nothing keeps everything and a new picture changes everything: neither number means anything alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy import ndimage

from kontext_lab.errors import ConfigError, many
from kontext_lab.images import Box, Boxes, checked_box, picture_of
from kontext_lab.metrics.change import Region, Texture, change_map, regions_of, similarity, texture_of
from kontext_lab.metrics.keypoints import Keypoints, keypoints_of
from kontext_lab.metrics.pixels import Floats, Mask, Pixels, reference_pixels
from kontext_lab.metrics.placement import Matrix
from kontext_lab.metrics.registration import Alignment, align, resized_to_reference

__all__ = ["FLAGS", "VERSION", "Comparison", "PreparedReference", "compare", "prepare_reference"]

VERSION = "2"
"""Version of the recipe: values of different versions are not compared with each other."""

FLAGS = ("no-op", "new picture", "blank", "over-edit")

_NO_OP, _OVER = 0.001, 0.5
"""Changed shares of the picture: a no-op is below the first, an over-edit above the second."""
_PATCH, _NOTICED = 8, 2.3
"""Side of a patch in pixels, and the just noticeable Lab distance between the mean colours of two (Mahy et al. 1994): if half
of all patches differ by more, the picture was recoloured, though no single pixel stands out."""
_BLANK = 1.0
"""Standard deviation of red, green and blue, in percent, below which a picture is blank."""
_HALO = 4
"""Pixels around a change that count neither as changed nor as kept: shadows, and the blur of encoders."""
_MOST_PSNR = 60.0
_NAN = float("nan")


@dataclass(frozen=True)
class PreparedReference:
    """A reference with everything that is computed once for all its outputs."""

    pixels: Pixels
    keypoints: Keypoints
    texture: Texture


@dataclass(frozen=True, eq=False)
class Comparison:
    """The result of comparing an output with its references. Defaults are the values of an output that matches none.

    Attributes:
        registered: whether the output could be aligned with a reference.
        change_map: height × width, Lab units over the noise floor, 0 where nothing changed; in the reference's frame, longest side 512.
        seen: height × width, the part of the reference that the output shows.
        reference: index of the reference it fits best; 0 if it fits none.
        area: share of the picture that changed, 0 to 1; of the part that reference and output both show.
        strength: mean Lab distance (CIE 1976) over the noise floor inside the change; 0 if nothing changed, NaN if not registered.
        regions: the parts that changed, largest first.
        preserve_ssim: mean structural similarity of lightness outside the change, -1 to 1 (Wang et al. 2004, 7 × 7 windows);
            NaN if not registered or if nothing is left outside, like the next two.
        preserve_psnr_db: peak signal-to-noise ratio of lightness outside the change, dB, at most 60.
        preserve_delta_e: mean Lab distance (CIE 1976) outside the change.
        scale: scale of the reference within the output's frame: 1 just covers it, more is a closer crop; NaN if not registered.
        flags: of `no-op`, `new picture`, `blank`, `over-edit`. A picture that was recoloured too slightly for any area to stand
            out has area 0 but is not a no-op: `preserve_delta_e` says how far it went.
        protect: mean structural similarity of each protected box, changed or not; NaN if not registered or not shown.
        matrix: 3 × 3, from fractions of the reference to fractions of the output; None if not registered.
    """

    registered: bool
    change_map: Floats = field(repr=False)
    seen: Mask = field(repr=False)
    reference: int = 0
    area: float = 1.0
    strength: float = _NAN
    regions: tuple[Region, ...] = ()
    preserve_ssim: float = _NAN
    preserve_psnr_db: float = _NAN
    preserve_delta_e: float = _NAN
    scale: float = _NAN
    flags: tuple[str, ...] = ()
    protect: Mapping[str, float] = field(default_factory=dict)
    matrix: Matrix | None = field(default=None, repr=False)

    @property
    def values(self) -> dict[str, float]:
        """The values that are logged, by name; without those that are NaN."""
        named = {
            "change/area": self.area,
            "change/strength": self.strength,
            "change/regions": float(len(self.regions)),
            "align/registered": float(self.registered),
            "align/scale": self.scale,
            "preserve/ssim": self.preserve_ssim,
            "preserve/psnr_db": self.preserve_psnr_db,
            "preserve/delta_e": self.preserve_delta_e,
            **{f"preserve/{name}": value for name, value in self.protect.items()},
            **{
                f"flag/{flag.replace(' ', '_').replace('-', '_')}": float(flag in self.flags)
                for flag in FLAGS
            },
        }
        return {name: round(float(value), 6) for name, value in named.items() if np.isfinite(value)}


def prepare_reference(source: Any) -> PreparedReference:
    """Prepare a picture for comparing several outputs with it; `compare` takes the result in its place."""
    if isinstance(source, PreparedReference):
        return source
    pixels = reference_pixels(picture_of(source))
    return PreparedReference(pixels, keypoints_of(pixels), texture_of(pixels.lightness))


def compare(
    references: Any,
    output: Any,
    *,
    protect: Boxes | Sequence[Boxes] | None = None,
    ignore: Sequence[Box] = (),
) -> Comparison:
    """Measure how much an edit changed and how well it kept the rest.

    Args:
        references: one picture or several – paths, bytes, PIL images, arrays, References, Outputs; the one that fits best counts.
        output: the edited picture.
        protect: boxes x0, y0, x1, y1 as fractions of the reference, by names: each is scored separately. For several references
            the boxes of each, in their order; those of a reference that fits less well are not scored.
        ignore: boxes of the output, as fractions of it, that are left out, such as a label written over it.

    Raises:
        ImageError: something is not a picture.
        ConfigError: no references, an invalid box, or boxes that don't say which of several references they belong to.

    Example:
        >>> photo = kl.sample("coffee").image
        >>> edited = photo.copy()
        >>> edited.paste((200, 30, 30), (250, 150, 330, 230))  # a red square
        >>> comparison = kl.compare(photo, edited)
        >>> comparison.registered, len(comparison.regions), round(comparison.area, 2)
        (True, 1, 0.03)
        >>> comparison.preserve_ssim > 0.99
        True
    """
    several = references if isinstance(references, list | tuple) else [references]
    if not several:
        raise ConfigError("references is empty: give one or more pictures")
    boxes = _boxes_of_each(protect, len(several))
    ignored = [checked_box("ignore", box, ConfigError) for box in ignore]
    prepared = [prepare_reference(one) for one in several]
    picture = picture_of(output)
    outputs = [resized_to_reference(picture, one.pixels) for one in prepared]
    blank = [pixels.rgb[::2, ::2].reshape(-1, 3).std(axis=0).max() / 2.55 < _BLANK for pixels in outputs]
    alignments: dict[int, Alignment] = {}
    for index, (reference, pixels) in enumerate(zip(prepared, outputs, strict=True)):
        for box in ignored:
            pixels.seen[_slices(box, pixels.seen.shape)] = False
        alignment = None if blank[index] else align(reference.pixels, reference.keypoints, pixels)
        if alignment is not None:
            alignments[index] = alignment
    if not alignments:
        shape = prepared[0].pixels.seen.shape
        return Comparison(
            registered=False,
            change_map=np.zeros(shape, np.float32),
            seen=np.zeros(shape, bool),
            flags=("blank",) if blank[0] else ("new picture",),
            protect=dict.fromkeys(boxes[0], _NAN),
        )
    best = max(alignments, key=lambda index: alignments[index].agreement)
    return _compared(best, prepared[best], outputs[best].size, alignments[best], boxes[best])


def _boxes_of_each(protect: Boxes | Sequence[Boxes] | None, count: int) -> list[dict[str, Box]]:
    several = [protect] if isinstance(protect, Mapping) else list(protect or [{}] * count)
    if len(several) != count:
        raise ConfigError(
            f"protect has boxes of {many(len(several), 'reference')}, but there are {count} references: "
            "give a list with the boxes of each, [{…}, {…}]"
        )
    return [
        {name: checked_box(f"protect {name!r}", box, ConfigError) for name, box in boxes.items()}
        for boxes in several
    ]


def _compared(
    index: int, prepared: PreparedReference, size: tuple[int, int], alignment: Alignment, boxes: Boxes
) -> Comparison:
    reference, seen = prepared.pixels, alignment.pixels.seen
    # Pixels that are not seen count as equal: the neighbourhoods of visible ones extend over them.
    output = np.where(seen, alignment.pixels.lab, reference.lab)
    distances = change_map(reference, prepared.texture, output, seen)
    changed = distances > 0
    area = float(changed.sum()) / max(1, int(seen.sum()))
    similar = similarity(prepared.texture, reference.lightness, output[0])
    apart, outside = reference.lab - output, seen & ~ndimage.maximum_filter(changed, 2 * _HALO + 1)
    ssim, psnr, delta_e = _kept(apart, similar, outside)
    protected = {}
    for name, box in boxes.items():
        part = _slices(box, seen.shape)
        protected[name] = float(similar[part][seen[part]].mean()) if seen[part].any() else _NAN
    # From a map between pixel centres to one between fractions of the pictures.
    half = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])
    into, out = np.diag([*reference.size, 1.0]), np.diag([1 / size[0], 1 / size[1], 1.0])
    flags = {"no-op": area < _NO_OP and not _is_recoloured(apart, outside), "over-edit": area > _OVER}
    return Comparison(
        registered=True,
        change_map=distances,
        seen=seen,
        reference=index,
        area=area,
        strength=float(distances[changed].mean()) if changed.any() else 0.0,
        regions=regions_of(changed),
        preserve_ssim=ssim,
        preserve_psnr_db=psnr,
        preserve_delta_e=delta_e,
        scale=alignment.scale,
        flags=tuple(flag for flag, raised in flags.items() if raised),
        protect=protected,
        matrix=np.asarray(out @ half @ alignment.matrix @ np.linalg.inv(half) @ into),
    )


def _kept(apart: Floats, similar: Floats, outside: Mask) -> tuple[float, float, float]:
    """Structural similarity, peak signal-to-noise ratio in dB and mean Lab distance outside the change."""
    if not outside.any():
        return _NAN, _NAN, _NAN
    squares = apart**2
    error = float(squares[0][outside].mean()) / 100.0**2
    psnr = _MOST_PSNR if error <= 0 else min(_MOST_PSNR, -10 * float(np.log10(error)))
    return float(similar[outside].mean()), psnr, float(np.sqrt(squares.sum(axis=0))[outside].mean())


def _is_recoloured(apart: Floats, outside: Mask) -> bool:
    """True if the unchanged part has another tone: the noise of an encoder has none."""
    height, width = (length // _PATCH for length in outside.shape)
    within = (slice(height * _PATCH), slice(width * _PATCH))
    parts = (height, _PATCH, width, _PATCH)
    whole = outside[within].reshape(parts).all(axis=(1, 3))
    means = [channel[within].reshape(parts).mean(axis=(1, 3))[whole] for channel in apart]
    return bool(whole.any() and np.median(np.linalg.norm(means, axis=0)) > _NOTICED)


def _slices(box: Box, shape: tuple[int, ...]) -> tuple[slice, slice]:
    height, width = shape[:2]
    x0, y0, x1, y1 = box
    return (
        slice(int(np.floor(y0 * height)), int(np.ceil(y1 * height))),
        slice(int(np.floor(x0 * width)), int(np.ceil(x1 * width))),
    )
