"""Edits whose every pixel is known: pasted ones, and those that the sandbox makes."""

from __future__ import annotations

import numpy as np
import pytest
from metrics_making import (
    NAMES,
    Mask,
    encoded,
    overlap,
    pasted,
    photograph,
    ready,
    reframed,
    scaled,
    stretched,
)

from kontext_lab.metrics import Comparison, compare
from kontext_lab.sandbox.fetched_references import DecodedReference
from kontext_lab.sandbox.painting import RATIO_SIZES, make_picture
from kontext_lab.sandbox.validation import Generation

PROMPTS = (
    "Add a bird to the foreground.",
    "Add a crab.",
    "Add a cat on the right.",
    "Add a red balloon in the sky.",
    "Add a yellow hat.",
    "Add a green star on the left.",
    "Add a blue square.",
    "Remove the cup.",
    "Make it night.",
    "Make the sky purple.",
    "Turn it into an oil painting.",
    "Replace the background with a beach.",
    "Write hello.",
)
Case = tuple[float, str]


def judged(cases: list[Case]) -> str:
    """What the test says if it fails: the worst first."""
    return "worst: " + "; ".join(f"{found:.2f} {what}" for found, what in sorted(cases)[:8])


def median(cases: list[Case]) -> float:
    """Of the overlaps."""
    return float(np.median([found for found, _ in cases]))


def found_again(comparison: Comparison, truth: Mask) -> float:
    """How well the changed pixels are those that were edited, of the part that is seen; 0 if it was not laid over."""
    if not comparison.registered:
        return 0.0
    return overlap(comparison.change_map > 0, truth & comparison.seen)


def size_of(comparison: Comparison) -> tuple[int, int]:
    """Width and height that it was measured at."""
    height, width = comparison.change_map.shape
    return width, height


@pytest.mark.slow
def test_pasted_edits_are_found_in_stretched_pictures() -> None:
    """Re-encoded, enlarged, and up to 2 % taller."""
    rng = np.random.default_rng(0)
    cases: list[Case] = []
    for number in range(24):
        name, by = NAMES[number % 4], rng.uniform(0, 0.02)
        edited, truth = pasted(rng, photograph(name))
        comparison = compare(ready(name), encoded(stretched(edited, by)))
        found = found_again(comparison, scaled(truth, size_of(comparison)))
        cases.append((found, f"{name} {100 * by:.1f} % ({number})"))
    assert median(cases) >= 0.8, judged(cases)


@pytest.mark.slow
def test_pasted_edits_are_found_in_reframed_pictures() -> None:
    """At all nine ratios, re-encoded."""
    rng = np.random.default_rng(1)
    cases: list[Case] = []
    for number in range(27):
        name, ratio = NAMES[number % 4], list(RATIO_SIZES)[number % 9]
        edited, truth = pasted(rng, photograph(name))
        output = encoded(reframed(edited, ratio))
        comparison = compare(ready(name), output)
        found = found_again(comparison, scaled(truth, size_of(comparison)))
        cases.append((found, f"{name} {ratio} ({number})"))
    assert median(cases) >= 0.8, judged(cases)


@pytest.mark.slow
def test_the_sandboxs_edits_are_found() -> None:
    """A hundred random requests of all nine ratios, without the mark that every simulated picture bears."""
    rng = np.random.default_rng(2)
    cases: list[Case] = []
    for number in range(100):
        name, ratio = NAMES[number % 4], list(RATIO_SIZES)[number % 9]
        prompt = PROMPTS[rng.integers(len(PROMPTS))]
        request = Generation(
            model="flux/kontext-pro/image-to-image",
            prompt=prompt,
            image_urls=(),
            aspect_ratio=ratio,
            guidance_scale=float(rng.uniform(1, 10)),
            output_format=("jpeg", "png")[number % 2],
        )
        made = make_picture(request, [DecodedReference(name, photograph(name))], int(rng.integers(1e6)), 0)
        height, width = made.truth.shape
        ((left, top, right, bottom),) = made.marks
        covered = (left / width, top / height, right / width, bottom / height)
        comparison = compare(ready(name), made.data, ignore=[covered])
        found = found_again(comparison, framed_back(made.truth, name, size_of(comparison)))
        cases.append((found, f"{name} {ratio} {prompt!r} guidance {request.guidance_scale:.1f}"))
    assert median(cases) >= 0.8, judged(cases)


def framed_back(truth: Mask, name: str, size: tuple[int, int]) -> Mask:
    """The truth of a re-framed output in the frame of its reference."""
    picture = photograph(name)
    ratio = truth.shape[1] / truth.shape[0]
    box = (0.0, 0.0, 1.0, 1.0)
    if not 1 / 1.03 <= picture.width / picture.height / ratio <= 1.03:
        across = min(1.0, picture.height * ratio / picture.width)
        down = min(1.0, picture.width / ratio / picture.height)
        box = ((1 - across) / 2, (1 - down) / 2, (1 + across) / 2, (1 + down) / 2)
    left, top, right, bottom = (round(part * side) for part, side in zip(box, (*size, *size), strict=True))
    found = np.zeros((size[1], size[0]), bool)
    found[top:bottom, left:right] = scaled(truth, (right - left, bottom - top))
    return found
