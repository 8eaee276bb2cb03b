"""Edits of the real service: what a person sees in them is what is measured."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
from metrics_making import box_overlap, cropped, encoded
from PIL import Image

from kontext_lab.metrics import Comparison, PreparedReference, compare, prepare_reference

EDITS = Path(__file__).parents[2].parent / "shared" / "real-edits"
SEEN = {"bird": (0.51, 0.68, 0.77, 0.96), "crown": (0.54, 0.03, 0.73, 0.28)}
"""Where a person sees the edit, as its README says."""

pytestmark = pytest.mark.skipif(
    not EDITS.is_dir(), reason=f"no real edits: they belong beside the repository, in {EDITS}"
)


@cache
def reference(name: str) -> PreparedReference:
    """A reference that was sent."""
    return prepare_reference(EDITS / name)


@cache
def edit(name: str) -> Comparison:
    """An edit of the dinosaur, measured."""
    return compare(reference("t-rex.png"), EDITS / f"pro_{name}.jpg")


@pytest.mark.parametrize("name", SEEN)
def test_what_was_added_is_nearly_all_that_changed(name: str) -> None:
    """The largest region has 85 % of it."""
    assert edit(name).regions[0].share >= 0.85


@pytest.mark.parametrize("name", SEEN)
def test_the_largest_region_is_where_a_person_sees_the_edit(name: str) -> None:
    """Their boxes overlap by 60 %."""
    assert box_overlap(edit(name).regions[0].box, SEEN[name]) >= 0.6


@pytest.mark.parametrize("name", SEEN)
def test_a_small_addition_changes_a_small_part(name: str) -> None:
    """At most 6 % of the picture, and something."""
    assert 0.01 <= edit(name).area <= 0.06


def test_two_wings_are_two_regions() -> None:
    """One on each side of the head."""
    left, right = sorted(region.box for region in edit("wings").regions)
    assert left[2] < right[0]


@pytest.mark.parametrize("name", ["bird", "crown", "wings"])
def test_what_was_left_alone_is_found_kept(name: str) -> None:
    """Outside the edit the real service keeps the scene, re-encoded."""
    found = edit(name)
    assert found.preserve_ssim >= 0.9
    assert found.preserve_psnr_db >= 28
    assert found.preserve_delta_e <= 4


AGAIN: dict[str, Callable[[Image.Image], Image.Image]] = {
    "squeezed": lambda picture: picture.resize((picture.width, round(0.98 * picture.height))),
    "half as large": lambda picture: picture.resize((picture.width // 2, picture.height // 2)),
    "cropped all around": lambda picture: cropped(picture, (0.01, 0.01, 0.01, 0.01)),
    "cropped at two sides": lambda picture: cropped(picture, (0.005, 0.004, 0, 0)),
    "encoded again": lambda picture: encoded(picture, 60),
}
"""What may have been done to an edit besides."""

again = pytest.mark.parametrize("way", AGAIN)


def edit_again(name: str, way: str) -> Comparison:
    """An edit of the dinosaur that was framed or encoded otherwise, measured."""
    return compare(reference("t-rex.png"), AGAIN[way](Image.open(EDITS / f"pro_{name}.jpg").convert("RGB")))


@again
@pytest.mark.parametrize("name", SEEN)
def test_another_framing_is_no_change(name: str, way: str) -> None:
    """The edit is where it was, and as large."""
    found = edit_again(name, way)
    assert box_overlap(found.regions[0].box, SEEN[name]) >= 0.6
    assert found.area == pytest.approx(edit(name).area, abs=0.005)


@again
@pytest.mark.parametrize("name", ["turn", "mug", "replace"])
def test_a_new_picture_stays_one(name: str, way: str) -> None:
    """By no thin margin."""
    assert (False, ("new picture",)) == (edit_again(name, way).registered, edit_again(name, way).flags)


@pytest.mark.parametrize("name", ["turn", "mug"])
def test_a_new_picture_is_not_laid_over_its_reference(name: str) -> None:
    """Neither another view nor a print of it on something else."""
    assert (False, 1.0, ()) == (edit(name).registered, edit(name).area, edit(name).regions)


@pytest.mark.parametrize("names", [("t-rex.png", "blue-mug.jpg"), ("blue-mug.jpg", "t-rex.png")])
def test_a_picture_made_of_two_is_neither(names: tuple[str, str]) -> None:
    """The print on the mug matches a reference in points, and is refused."""
    found = compare([reference(name) for name in names], EDITS / "pro_mug.jpg")
    assert (False, ("new picture",)) == (found.registered, found.flags)


def test_a_repainted_scene_is_no_local_edit() -> None:
    """Composition alone doesn't make it one: nearly everything was painted anew."""
    found = edit("replace")
    assert not found.registered or found.area > 0.3


def test_a_repainted_scene_is_no_noop() -> None:
    """Whatever else it is."""
    assert "no-op" not in edit("replace").flags
