"""What is worked out here rather than by a library, since it is quicker, is what the library says."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, strategies
from metrics_making import RATIO_SIZES, misty, photograph, ready, reframed
from PIL import Image, ImageChops
from scipy import ndimage
from skimage.color import rgb2lab
from skimage.metrics import structural_similarity
from skimage.registration import phase_cross_correlation

from kontext_lab.metrics import compare, placed
from kontext_lab.metrics.block_matching import blocks_of, shifts
from kontext_lab.metrics.change import similarity, texture_of
from kontext_lab.metrics.keypoints import affine_map
from kontext_lab.metrics.pixels import Floats, Pixels, reference_pixels, warped


@pytest.fixture(scope="module")
def pixels() -> Pixels:
    """The coffee, 512 × 341."""
    return reference_pixels(photograph("coffee"))


@pytest.fixture(scope="module")
def lightness(pixels: Pixels) -> Floats:
    """Its lightness."""
    return pixels.lightness


def every_colour() -> Pixels:
    """All levels of red, green and blue in steps of 5, and the darkest in steps of 1."""
    levels = np.array([*range(10), *range(10, 256, 5)])
    colours = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(len(levels), -1, 3)
    picture = Image.fromarray(colours.astype(np.uint8))
    return Pixels(picture, np.ones(colours.shape[:2], bool))


def test_colours_are_those_of_scikit_image() -> None:
    """Of every kind, to a hundredth of what can be seen."""
    colours = every_colour()
    expected = rgb2lab(colours.rgb)
    assert np.abs(expected - np.moveaxis(colours.lab, 0, -1)).max() < 0.01


def test_similarity_is_scikit_images(lightness: Floats) -> None:
    """At every place, borders included."""
    other = np.clip(lightness + np.random.default_rng(0).normal(0, 3, lightness.shape), 0, 100)
    other = other.astype(np.float32)
    _, expected = structural_similarity(lightness, other, data_range=100.0, full=True)
    assert np.abs(expected - similarity(texture_of(lightness), lightness, other)).max() < 0.01


def test_the_shifts_of_blocks_are_scikit_images(lightness: Floats) -> None:
    """Each of them, to the eighth of a pixel that both count in; with borders that fade out."""
    there = ndimage.shift(lightness, (2.3, -1.6), order=1, mode="nearest")
    blocks, others = (
        plane - plane.mean(axis=(1, 2), keepdims=True) for plane in (blocks_of(lightness), blocks_of(there))
    )
    along = np.hanning(blocks.shape[1] + 2)[1:-1]
    fading = np.outer(along, along)
    expected = [
        -phase_cross_correlation(one * fading, other * fading, upsample_factor=8, normalization=None)[0][::-1]
        for one, other in zip(blocks, others, strict=True)
    ]
    assert pytest.approx(np.array(expected), abs=1 / 8) == shifts(blocks, others)


def test_smooth_blocks_move_as_far_as_they_did() -> None:
    """Within half a pixel: what goes on from border to border doesn't hold them where they are."""
    plane = Pixels(misty("astronaut"), np.ones((512, 512), bool))
    moved = Pixels(ImageChops.offset(misty("astronaut"), 5, -3), plane.seen)
    found = shifts(blocks_of(plane.detail), blocks_of(moved.detail))
    assert pytest.approx([5, -3], abs=0.5) == np.median(found, axis=0)


def test_a_map_is_found_among_false_pairs() -> None:
    """Two in five of them lead anywhere."""
    rng = np.random.default_rng(0)
    truth = np.array([[1.05, 0.02, -7.0], [-0.01, 1.03, 4.0], [0.0, 0.0, 1.0]])
    here = rng.uniform(0, 500, (60, 2))
    there = here @ truth[:2, :2].T + truth[:2, 2] + rng.normal(0, 0.1, (60, 2))
    there[:24] = rng.uniform(0, 500, (24, 2))
    found = affine_map(here, there, within=0.5, tries=100, fewest=10)
    assert found is not None
    assert np.abs((found - truth) @ [500, 500, 1]).max() < 0.3


def test_a_nearly_upright_map_is_upright() -> None:
    """What is turned by less than can be told is not turned."""
    rng = np.random.default_rng(0)
    here = rng.uniform(0, 500, (40, 2))
    found = affine_map(here, 1.01 * here + rng.normal(0, 0.1, (40, 2)), within=0.5, tries=100, fewest=4)
    assert found is not None
    assert (0.0, 0.0) == (found[0, 1], found[1, 0])


def test_pairs_on_a_line_give_no_map() -> None:
    """Any number of maps would do."""
    line = np.column_stack([np.arange(20.0), np.arange(20.0)])
    assert affine_map(line, line, within=0.5, tries=50, fewest=4) is None


@pytest.mark.parametrize("turn", [0.0, 1e-9])
def test_a_map_is_followed_the_same_upright_or_not(turn: float, pixels: Pixels) -> None:
    """By a box brought to a size, and place by place: within a level or two of scipy's."""
    matrix = np.array([[1.02, turn, -3.3], [turn, 0.99, 2.4], [0.0, 0.0, 1.0]])
    laid = warped(pixels, matrix, pixels.size)
    rows = ndimage.affine_transform(
        pixels.lightness, np.diag([0.99, 1.02]), (2.4, -3.3), order=3, mode="nearest"
    )
    inside = laid.seen & ~ndimage.maximum_filter(~laid.seen, 7)
    assert inside.mean() > 0.9
    assert np.abs(rows - laid.lightness)[inside].mean() < 0.6


def test_what_a_map_takes_outside_is_not_seen(pixels: Pixels) -> None:
    """The left 100 columns of the frame, and no others."""
    laid = warped(pixels, np.array([[1.0, 0.0, -100.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]), pixels.size)
    assert (0, 412) == (laid.seen[:, :100].sum(), laid.seen.sum(axis=1).min())


def corners(affine: tuple[float, ...]) -> np.ndarray:
    """Left, top, right and bottom of an upright picture in its frame."""
    a, _, _, d, x, y = affine
    return np.array([x, y, x + a, y + d])


@pytest.mark.parametrize("ratio", RATIO_SIZES)
def test_a_frame_holds_both_pictures_where_they_overlap(ratio: str) -> None:
    """The reference is as large as its sent part says, to half a percent, and nothing reaches over the frame."""
    output = reframed(photograph("coffee"), ratio)
    found = placed((600, 400), output.size, compare(ready("coffee"), output).matrix)
    whole = np.array([*found.size, *found.size])
    left, top, right, bottom = corners(found.first) / whole
    assert (right - left) * found.size[0] / ((bottom - top) * found.size[1]) == pytest.approx(1.5, rel=0.01)
    assert max(right - left, bottom - top) == pytest.approx(1, abs=0.005)
    assert ((corners(found.second) / whole).round(3) >= 0).all()
    assert ("" if ratio == "3:2" else "striped: not part of this picture") == found.note


SIDES = strategies.tuples(strategies.integers(16, 4000), strategies.integers(16, 4000))


@given(SIDES, SIDES)
def test_what_is_not_registered_keeps_its_shape(first: tuple[int, int], second: tuple[int, int]) -> None:
    """Both are centred, of one area, undistorted, and whole but for a sliver."""
    found = placed(first, second, None)
    for size, affine in ((first, found.first), (second, found.second)):
        left, top, right, bottom = corners(affine)
        assert (right - left) / (bottom - top) == pytest.approx(size[0] / size[1], rel=0.001)
        assert (right - left) * (bottom - top) == pytest.approx(second[0] * second[1], rel=0.001)
        assert (left + right, top + bottom) == pytest.approx(found.size, rel=0.001)
    assert "not aligned: each picture is shown whole" == found.note


def test_slivers_make_no_frame_larger() -> None:
    """A reference that reaches half a percent over its output is cut off there."""
    found = placed((600, 400), (600, 400), np.diag([1.005, 1.005, 1.0]))
    assert ((600, 400), "") == (found.size, found.note)
