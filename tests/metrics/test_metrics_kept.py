"""Pictures in which nothing, everything or most changed: what the numbers and the flags say of them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
from metrics_making import (
    NAMES,
    below_a_sky,
    brighter,
    cropped,
    encoded,
    misty,
    photograph,
    ready,
    reframed,
    repainted,
    stretched,
    with_disc,
)
from PIL import Image

from kontext_lab.metrics import compare
from kontext_lab.sandbox.painting import RATIO_SIZES


@pytest.mark.parametrize("ratio", RATIO_SIZES)
@pytest.mark.parametrize("name", NAMES)
def test_a_reframed_copy_is_a_noop(name: str, ratio: str) -> None:
    """Cropped to any ratio and saved as JPEG, nothing was edited."""
    found = compare(ready(name), encoded(reframed(photograph(name), ratio)))
    assert ("no-op",) == found.flags
    assert found.area < 0.001


@pytest.mark.parametrize("by", [0.0, 0.008, 0.02])
@pytest.mark.parametrize("name", NAMES)
def test_a_stretched_copy_is_a_noop(name: str, by: float) -> None:
    """The real service stretches by 0.8 %."""
    found = compare(ready(name), encoded(stretched(photograph(name), by), quality=75))
    assert ("no-op",) == found.flags
    assert found.area < 0.001


@pytest.mark.parametrize("sides", [(0.03, 0, 0.01, 0.02), (0, 0.03, 0.02, 0), (0.02, 0.02, 0.02, 0.02)])
@pytest.mark.parametrize("picture", [misty, below_a_sky, photograph], ids=lambda made: made.__name__)
@pytest.mark.parametrize("name", NAMES)
def test_a_smooth_picture_is_laid_as_exactly(
    name: str, picture: Callable[[str], Image.Image], sides: tuple[float, float, float, float]
) -> None:
    """Cut a little more on one side than on the other and stretched: what has few edges lies no worse for it."""
    found = compare(picture(name), encoded(stretched(cropped(picture(name), sides), -0.02)))
    assert found.registered
    assert found.area < 0.001


@pytest.mark.parametrize("name", NAMES)
def test_a_noop_has_no_regions_and_no_strength(name: str) -> None:
    """Nothing changed, so there is nowhere that it did."""
    found = compare(ready(name), encoded(photograph(name)))
    assert ((), 0.0, 0) == (found.regions, found.strength, int((found.change_map > 0).sum()))


@pytest.mark.parametrize("name", NAMES)
def test_identical_pictures_are_kept_perfectly(name: str) -> None:
    """Similarity 1, the most decibels that are given, no distance."""
    found = compare(ready(name), photograph(name))
    kept = (found.preserve_ssim, found.preserve_psnr_db, found.preserve_delta_e)
    assert pytest.approx((1.0, 60.0, 0.0), abs=1e-3) == kept


@pytest.mark.parametrize(("name", "other"), list(itertools.permutations(NAMES, 2)))
def test_another_photograph_is_a_new_picture(name: str, other: str) -> None:
    """Everything changed, nothing is left to be kept."""
    found = compare(ready(name), encoded(photograph(other).resize((1184, 880))))
    assert (False, ("new picture",), 1.0, ()) == (found.registered, found.flags, found.area, found.regions)


def test_a_new_picture_has_no_preserve_values() -> None:
    """What can't be told is NaN, and is not logged."""
    found = compare(ready("coffee"), photograph("rocket"), protect={"cup": (0.2, 0.2, 0.8, 0.8)})
    untold = [
        found.preserve_ssim,
        found.preserve_psnr_db,
        found.preserve_delta_e,
        found.scale,
        found.protect["cup"],
    ]
    assert all(math.isnan(value) for value in untold)
    assert not [name for name in found.values if name.startswith("preserve/")]


def test_a_new_picture_logs_no_nan() -> None:
    """A store would keep it, and every mean over it would be none."""
    assert all(np.isfinite(list(compare(ready("coffee"), photograph("rocket")).values.values())))


@pytest.mark.parametrize("colour", ["white", "black", "grey", (180, 40, 60)])
def test_an_output_of_one_colour_is_blank(colour: object) -> None:
    """It shows nothing: that is neither an edit nor a new picture."""
    found = compare(ready("coffee"), encoded(Image.new("RGB", (1248, 832), colour)))
    assert (False, ("blank",), 1.0) == (found.registered, found.flags, found.area)


def test_most_of_a_picture_repainted_is_an_overedit() -> None:
    """A third is still in its place, the rest is not."""
    found = compare(ready("coffee"), encoded(repainted(photograph("coffee"), photograph("chelsea"), 0.36)))
    assert (True, ("over-edit",)) == (found.registered, found.flags)
    assert pytest.approx(0.64, abs=0.03) == found.area


def test_what_was_not_repainted_is_found_kept() -> None:
    """Also in an over-edit."""
    found = compare(ready("coffee"), encoded(repainted(photograph("coffee"), photograph("chelsea"), 0.36)))
    assert found.preserve_ssim > 0.95


def test_a_level_more_everywhere_is_a_noop() -> None:
    """No eye and no encoder tells it from its reference."""
    assert ("no-op",) == compare(ready("coffee"), brighter(photograph("coffee"), 1)).flags


def test_a_much_brighter_picture_is_an_overedit() -> None:
    """Nothing moved, and everything looks different."""
    assert ("over-edit",) == compare(ready("coffee"), brighter(photograph("coffee"), 40)).flags


def test_a_slight_shift_of_brightness_shows_in_what_was_kept() -> None:
    """It is below the floor of what counts as changed, and not of what is measured."""
    nearly, same = (compare(ready("coffee"), brighter(photograph("coffee"), levels)) for levels in (10, 0))
    assert nearly.preserve_delta_e > same.preserve_delta_e + 3


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("levels", [10, 20])
def test_a_slightly_brighter_picture_is_no_noop(name: str, levels: int) -> None:
    """No place stands out, and a person would see it at once."""
    assert "no-op" not in compare(ready(name), encoded(brighter(photograph(name), levels))).flags


@pytest.mark.parametrize("name", NAMES)
def test_a_slightly_warmer_picture_is_no_noop(name: str) -> None:
    """Red up and blue down by 4 %."""
    warmer = (np.asarray(photograph(name)) * [1.04, 1.0, 0.96]).clip(0, 255).astype(np.uint8)
    assert "no-op" not in compare(ready(name), encoded(Image.fromarray(warmer))).flags


@pytest.mark.parametrize("name", NAMES)
def test_a_noop_at_another_size_is_one(name: str) -> None:
    """The tone of what was only encoded and scaled is the same."""
    assert ("no-op",) == compare(ready(name), encoded(stretched(photograph(name), 0.008, 2.6), 75)).flags


def test_a_stronger_change_of_the_same_place_is_stronger() -> None:
    """As much changed, but further."""
    coffee = photograph("coffee")
    pale, strong = (
        compare(ready("coffee"), with_disc(coffee, colour=colour)) for colour in ("silver", "cyan")
    )
    assert strong.strength > pale.strength


def test_a_larger_change_is_larger() -> None:
    """The area of a disc is what it is."""
    found = compare(ready("coffee"), encoded(with_disc(photograph("coffee"), (0.25, 0.2, 0.75, 0.8), "cyan")))
    assert pytest.approx(np.pi / 4 * 0.5 * 0.6, rel=0.05) == found.area
