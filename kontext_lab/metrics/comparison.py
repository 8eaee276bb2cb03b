"""One output against its references: how much changed, and how well the rest was kept. Always read together.

A no-op keeps everything; a new picture changes everything: neither number says anything without the other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from kontext_lab.errors import ConfigError
from kontext_lab.images import Box, Boxes, checked_box, picture_of
from kontext_lab.metrics.change import Region, change_map, regions_of
from kontext_lab.metrics.filters import greatest
from kontext_lab.metrics.keypoints import Landmarks, Matrix, landmarks
from kontext_lab.metrics.pixels import Floats, Mask, Pixels, reference_pixels
from kontext_lab.metrics.registration import Alignment, align, framed
from kontext_lab.metrics.texture import Texture, similarity, texture

__all__ = ["FLAGS", "VERSION", "Comparison", "Measured", "compare", "measured"]

VERSION = "2"
"""Of the recipe: values of different versions are not compared with each other."""

FLAGS = ("no-op", "new picture", "blank", "over-edit")

_NO_OP, _OVER = 0.001, 0.5
"""Shares of the picture: less has changed in a no-op, more in an over-edit."""
_PATCH, _NOTICED = 8, 2.3
"""Pixels of a patch's side, and the Lab distance between the mean colours of two that is just noticed (Mahy et al. 1994):
where half of all patches differ by more, the picture was recoloured, though no place stands out."""
_BLANK = 1.0
"""Standard deviation of red, green and blue, in percent, below which a picture shows nothing."""
_HALO = 4
"""Pixels around a change that are neither changed nor kept: shadows, and what encoders smear."""
_MOST_PSNR = 60.0


@dataclass(frozen=True)
class Measured:
    """A reference, made ready once for all its outputs."""

    pixels: Pixels
    marks: Landmarks
    around: Texture


@dataclass(frozen=True, eq=False)
class Comparison:
    """What an edit changed and what it left alone.

    Attributes:
        registered: whether the output could be laid over a reference.
        reference: index of the one it fits best; 0 where it fits none.
        area: share of the picture that changed, 0 to 1; of the part that reference and output both show. 1 where it is not registered.
        strength: mean Lab distance (CIE 1976) over the noise floor inside what changed; 0 where nothing did, NaN where it is not registered.
        regions: what changed, largest first.
        preserve_ssim: mean structural similarity of lightness outside, -1 to 1 (Wang et al. 2004, 7 × 7 windows); NaN where it is not
            registered or nothing is left outside, as are the next two.
        preserve_psnr_db: peak signal-to-noise ratio of lightness outside, dB, at most 60.
        preserve_delta_e: mean Lab distance (CIE 1976) outside.
        protect: for each protected box its mean structural similarity, changed or not; NaN where it is not registered or not shown.
        scale: of the reference within the output's frame: 1 just covers it, more is a closer crop; NaN where it is not registered.
        change_map: height × width, Lab units over the noise floor, 0 where nothing changed; in the reference's frame, longest side 512.
        seen: height × width, the part of the reference that the output shows.
        matrix: 3 × 3, from fractions of the reference to fractions of the output; None where it is not registered.
        flags: of `no-op`, `new picture`, `blank`, `over-edit`. A picture recoloured so slightly that no place stands out has no
            area and is no no-op: `preserve_delta_e` says how far it went.
    """

    registered: bool
    reference: int
    area: float
    strength: float
    regions: tuple[Region, ...]
    preserve_ssim: float
    preserve_psnr_db: float
    preserve_delta_e: float
    scale: float
    change_map: Floats = field(repr=False)
    seen: Mask = field(repr=False)
    flags: tuple[str, ...] = ()
    protect: Mapping[str, float] = field(default_factory=dict)
    matrix: Matrix | None = field(default=None, repr=False)

    @property
    def values(self) -> dict[str, float]:
        """What is logged, by its name; what could not be told is left out."""
        found = {
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
        return {name: round(float(value), 6) for name, value in found.items() if np.isfinite(value)}


def measured(source: Any) -> Measured:
    """A reference made ready, for comparing several outputs with it.

    Raises:
        ImageError: it is no picture.
    """
    if isinstance(source, Measured):
        return source
    pixels = reference_pixels(picture_of(source))
    return Measured(pixels, landmarks(pixels), texture(pixels.lightness))


def compare(
    references: Any,
    output: Any,
    *,
    protect: Boxes | Sequence[Boxes] | None = None,
    ignore: Sequence[Box] = (),
) -> Comparison:
    """Measure what an edit changed and how well it kept the rest.

    Args:
        references: one picture or several – paths, bytes, PIL images, arrays, References, Outputs; the one that fits best counts.
        output: the edited picture.
        protect: boxes x0, y0, x1, y1 as fractions of the reference, by names: how well each was kept is measured by itself;
            of several references the boxes of each, in their order. Those of a reference that fits less well are not measured.
        ignore: boxes of the output, as fractions of it, that are left out: what is written over a picture is no edit.

    Raises:
        ImageError: something is no picture.
        ConfigError: no references, a box that can't be one, or boxes that belong to none of several references.
    """
    several = references if isinstance(references, list | tuple) else [references]
    if not several:
        raise ConfigError("references: there are none, give one or more pictures")
    boxes = _boxes_of_each(protect, len(several))
    covered = [checked_box("ignore", box, ConfigError) for box in ignore]
    ready = [measured(one) for one in several]
    picture = picture_of(output)
    outputs = [framed(picture, one.pixels) for one in ready]
    blank = [_is_blank(one) for one in outputs]
    found = {
        place: alignment
        for place, one in enumerate(ready)
        if not blank[place] and (alignment := _aligned(one, outputs[place], covered)) is not None
    }
    if not found:
        return _new_picture(ready[0], boxes[0], blank=blank[0])
    place = max(found, key=lambda one: found[one].agreement)
    return _compared(place, ready[place], outputs[place].size, found[place], boxes[place])


def _boxes_of_each(protect: Boxes | Sequence[Boxes] | None, count: int) -> list[dict[str, Box]]:
    given = [protect] if isinstance(protect, Mapping) else list(protect or [{}] * count)
    if len(given) != count:
        raise ConfigError(
            f"protect: boxes of {len(given)} reference{'s' if len(given) > 1 else ''}, give those of each of {count}: [{{…}}, {{…}}]"
        )
    return [
        {name: checked_box(f"protect {name!r}", box, ConfigError) for name, box in boxes.items()}
        for boxes in given
    ]


def _aligned(reference: Measured, output: Pixels, covered: Sequence[Box]) -> Alignment | None:
    for box in covered:
        output.seen[_slices(box, output.seen.shape)] = False
    return align(reference.pixels, reference.marks, output)


def _compared(
    place: int, reference: Measured, size: tuple[int, int], alignment: Alignment, boxes: Boxes
) -> Comparison:
    here, seen = reference.pixels, alignment.pixels.seen
    # What isn't seen is not unlike: what is around a place reaches over the border of what is.
    there = np.where(seen, alignment.pixels.lab, here.lab)
    distances = change_map(here, reference.around, there, seen)
    changed = distances > 0
    area = float(changed.sum()) / max(1, int(seen.sum()))
    similar = similarity(reference.around, here.lightness, there[0])
    apart, outside = here.lab - there, seen & ~greatest(changed, _HALO)
    ssim, psnr, delta = _kept(apart, similar, outside)
    same = area < _NO_OP and not _recoloured(apart, outside)
    return Comparison(
        registered=True,
        reference=place,
        area=area,
        strength=float(distances[changed].mean()) if changed.any() else 0.0,
        regions=regions_of(changed),
        preserve_ssim=ssim,
        preserve_psnr_db=psnr,
        preserve_delta_e=delta,
        scale=alignment.scale,
        change_map=distances,
        seen=seen,
        flags=tuple(flag for flag, so in (("no-op", same), ("over-edit", area > _OVER)) if so),
        protect={name: _in_box(similar, seen, box) for name, box in boxes.items()},
        matrix=_in_fractions(alignment.matrix, here.size, size),
    )


def _in_fractions(matrix: Matrix, here: tuple[int, int], there: tuple[int, int]) -> Matrix:
    """A map between the middles of pixels as one between fractions of the pictures."""
    half = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])
    into, out = np.diag([*here, 1.0]), np.diag([1 / there[0], 1 / there[1], 1.0])
    return np.asarray(out @ half @ matrix @ np.linalg.inv(half) @ into)


def _kept(apart: Floats, similar: Floats, outside: Mask) -> tuple[float, float, float]:
    """Structural similarity, peak signal-to-noise ratio in dB and mean Lab distance outside what changed."""
    if not outside.any():
        return (float("nan"),) * 3
    squares = apart**2
    error = float(squares[0][outside].mean()) / 100.0**2
    psnr = _MOST_PSNR if error <= 0 else min(_MOST_PSNR, -10 * float(np.log10(error)))
    distance = np.sqrt(squares.sum(axis=0))[outside].mean()
    return float(similar[outside].mean()), psnr, float(distance)


def _recoloured(apart: Floats, outside: Mask) -> bool:
    """Whether what counts as unchanged has another tone: an encoder's noise has none."""
    height, width = (length // _PATCH for length in outside.shape)
    within = (slice(height * _PATCH), slice(width * _PATCH))
    parts = (height, _PATCH, width, _PATCH)
    whole = outside[within].reshape(parts).all(axis=(1, 3))
    means = [channel[within].reshape(parts).mean(axis=(1, 3))[whole] for channel in apart]
    return bool(whole.any() and np.median(np.linalg.norm(means, axis=0)) > _NOTICED)


def _in_box(similar: Floats, seen: Mask, box: Box) -> float:
    rows, columns = _slices(box, similar.shape)
    inside = seen[rows, columns]
    return float(similar[rows, columns][inside].mean()) if inside.any() else float("nan")


def _new_picture(reference: Measured, boxes: Boxes, *, blank: bool) -> Comparison:
    nothing, shape = float("nan"), reference.pixels.seen.shape
    return Comparison(
        registered=False,
        reference=0,
        area=1.0,
        strength=nothing,
        regions=(),
        preserve_ssim=nothing,
        preserve_psnr_db=nothing,
        preserve_delta_e=nothing,
        scale=nothing,
        change_map=np.zeros(shape, np.float32),
        seen=np.zeros(shape, bool),
        flags=("blank",) if blank else ("new picture",),
        protect=dict.fromkeys(boxes, nothing),
    )


def _is_blank(pixels: Pixels) -> bool:
    return bool(pixels.rgb[::2, ::2].reshape(-1, 3).std(axis=0).max() / 2.55 < _BLANK)


def _slices(box: Box, shape: tuple[int, ...]) -> tuple[slice, slice]:
    height, width = shape[:2]
    x0, y0, x1, y1 = box
    return (
        slice(int(np.floor(y0 * height)), int(np.ceil(y1 * height))),
        slice(int(np.floor(x0 * width)), int(np.ceil(x1 * width))),
    )
