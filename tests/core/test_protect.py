"""Boxes that an edit should leave alone: what they may be, and that they are no part of what is sent."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from skimage import data

from kontext_lab.errors import SweepError
from kontext_lab.images import load_reference
from kontext_lab.sandbox.painting import RATIO_SIZES, reframe
from kontext_lab.sweep import Sweep

GREY = np.full((4, 6, 3), 128, np.uint8)
FACE = {"face": (0.1, 0.2, 0.5, 0.75)}


def sweep(**given: Any) -> Sweep:
    """A sweep of one cell."""
    return Sweep("Add a bird.", GREY, **given)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ((0, 0, 1, 1), "must be names with boxes"),
        ("face", "must be names with boxes"),
        ({"face": (0, 0, 1)}, "protect 'face' must be x0, y0, x1, y1"),
        ({"face": (0.5, 0, 0.5, 1)}, "left before right"),
        ({"face": (0, 0.8, 1, 0.2)}, "top before bottom"),
        ({"face": (0, 0, 640, 480)}, "fractions from 0 to 1"),
        ({"face": (0, 0, float("nan"), 1)}, "fractions from 0 to 1"),
        ({"face": "left"}, "must be x0, y0, x1, y1"),
        ({"face": (0, 0, 1, 10**400)}, "must be x0, y0, x1, y1"),
        ({"": (0, 0, 1, 1)}, "name must be .*, not ''$"),
        ({"a/b": (0, 0, 1, 1)}, "name must be .*, not 'a/b'$"),
        ({"..": (0, 0, 1, 1)}, "name must be .*, not '..'$"),
        ({3: (0, 0, 1, 1)}, "name must be .*, not 3$"),
        ({"ssim": (0, 0, 1, 1)}, "other than ssim, psnr_db, delta_e"),
        ({f"b{n}": (0, 0, 1, 1) for n in range(21)}, "must be at most 20 boxes, not 21"),
    ],
)
def test_what_no_box_is(given: Any, words: str) -> None:
    """Said in one line, where the sweep is made."""
    with pytest.raises(SweepError, match=words) as caught:
        sweep(protect=given)
    assert 1 == len(str(caught.value).splitlines())


def test_boxes_are_numbers_however_they_were_typed() -> None:
    """Text too, as a file brings it."""
    assert FACE == sweep(protect={"face": ["0.1", "0.2", "0.5", "0.75"]}).protect


def test_the_same_sweep_with_other_boxes_is_the_same_sweep() -> None:
    """Nothing of them is sent, so nothing is paid for again."""
    assert sweep().digest("sandbox") == sweep(protect=FACE).digest("sandbox")


def test_a_changed_copy_keeps_them() -> None:
    """As everything that isn't changed."""
    assert FACE == sweep(protect=FACE).replace(seed="1-3").protect


def test_a_changed_copy_may_have_others() -> None:
    """Or none."""
    assert {} == sweep(protect=FACE).replace(protect=None).protect


def test_fetching_references_keeps_them() -> None:
    """A resolved sweep is the same sweep."""
    made = sweep(protect=FACE)
    assert made == made.with_references(lambda reference: reference)


def test_sweeps_with_other_boxes_are_not_equal() -> None:
    """A panel that is asked to run one of them is not asked for the other."""
    assert sweep() != sweep(protect=FACE)


def test_protect_is_no_placeholder() -> None:
    """`sweep.replace(protect=…)` means boxes."""
    with pytest.raises(SweepError, match="protect"):
        Sweep("Add a {protect}.", GREY, axes={"protect": ["bird"]})


# Several references

CAT, DOG = (
    load_reference(np.full((4, 6, 3), level, np.uint8), name=name)
    for level, name in ((50, "cat"), (90, "dog"))
)
TWO = {"cat": FACE, "dog": {"tail": (0.8, 0.1, 0.9, 0.2)}}


def several(protect: Any = None) -> Sweep:
    """A sweep over two photographs, one request each."""
    return Sweep("Add a bird.", axes={"image": [CAT, DOG]}, protect=protect)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (
            FACE,
            r"boxes belong to one of 2 references, say to which: \{'cat': \{'face': .*references are 'cat', 'dog'",
        ),
        ({"cta": FACE}, "no reference 'cta'; did you mean cat"),
        ({"bird": FACE}, "no reference 'bird'; references are 'cat', 'dog'"),
        ({"cat": FACE, "face": (0, 0, 1, 1)}, "'face': belongs to no reference"),
        ({"cat": {"face": (0, 0, 2, 1)}}, "protect 'cat' 'face' must be .*fractions from 0 to 1"),
        (
            {"cat": {f"b{n}": (0, 0, 1, 1) for n in range(21)}},
            "protect 'cat' must be at most 20 boxes, not 21",
        ),
    ],
)
def test_boxes_name_their_reference(given: Any, words: str) -> None:
    """Where there are several; what is wrong is said in one line."""
    with pytest.raises(SweepError, match=words) as caught:
        several(given)
    assert 1 == len(str(caught.value).splitlines())


def test_each_cell_has_the_boxes_of_its_reference() -> None:
    """And nothing of the others'."""
    made = several(TWO)
    assert TWO == made.protect
    assert [(TWO["cat"],), (TWO["dog"],)] == [made.boxes_in(cell.request) for cell in made.cells]


def test_references_of_one_request_have_their_own() -> None:
    """In their order; one without boxes has none."""
    made = Sweep("Join both.", images=[CAT, DOG], protect={"dog": TWO["dog"]})
    assert ({}, TWO["dog"]) == made.boxes_in(made.cells[0].request)


def test_a_label_is_a_references_name() -> None:
    """As everywhere else."""
    made = Sweep("Add.", axes={"image": {"Minka": CAT, "Rex": DOG}}, protect={"Rex": FACE})
    assert {DOG: FACE} == made.boxes


def test_references_of_one_name_are_numbered() -> None:
    """Arrays have no name of their own."""
    other = np.full((4, 6, 3), 9, np.uint8)
    assert ["array", "array 2"] == list(Sweep("Add.", images=[GREY, other]).reference_names.values())


def test_the_long_form_of_a_single_reference_is_the_short_one() -> None:
    """Both say the same."""
    assert sweep(protect=FACE) == sweep(protect={"array": FACE})


@pytest.mark.parametrize("self_contained", [False, True])
def test_a_file_holds_boxes_by_reference(tmp_path: Path, self_contained: bool) -> None:
    """Read back, they belong to the same ones."""
    made = several(TWO)
    again = Sweep.from_yaml(made.to_yaml(tmp_path / "two.yaml", self_contained=self_contained))
    assert TWO == again.protect


# Chains


@pytest.mark.parametrize("ratio", RATIO_SIZES)
def test_boxes_follow_their_reference_into_its_output(ratio: str) -> None:
    """At every ratio a box marks the same thing, within 2 %; the sweep says what became of it."""
    photo = Image.fromarray(data.coffee())
    box = (0.42, 0.3, 0.58, 0.6)
    white = Image.new("L", photo.size)
    white.paste(255, tuple(round(part * side) for part, side in zip(box, photo.size * 2, strict=True)))
    made = Sweep("Add a bird.", photo, protect={"cup": box, "edge": (0, 0, 0.02, 0.02)})
    output = Image.fromarray(reframe(photo, RATIO_SIZES[ratio]))
    moved = made.replace(image=output)
    rows, columns = np.nonzero(reframe(white.convert("RGB"), RATIO_SIZES[ratio])[..., 0] > 127)
    width, height = output.size
    truth = (
        columns.min() / width,
        rows.min() / height,
        (columns.max() + 1) / width,
        (rows.max() + 1) / height,
    )
    assert truth == pytest.approx(moved.protect["cup"], abs=0.02)
    lost = "" if "edge" in moved.protect else "; dropped, since the new reference doesn't show them: edge"
    names = ", ".join(moved.protect)
    assert f"protect: moved to their place in the new reference: {names}{lost}" == moved.warnings[0]
    assert bool(lost) == (ratio != "3:2")


def test_boxes_are_dropped_where_another_picture_takes_the_place() -> None:
    """None is measured on a cheek; a line says so."""
    moved = Sweep("Add a bird.", data.coffee(), protect=FACE).replace(image=data.astronaut())
    assert {} == moved.protect
    assert ("protect: dropped, since the new reference doesn't show them: face",) == moved.warnings


def test_boxes_stay_beside_a_reference_that_is_added() -> None:
    """Its own are none."""
    made = Sweep("Add a bird.", CAT, protect=FACE).replace(axes={"image": [CAT, DOG]})
    assert ({"cat": FACE}, ()) == (made.protect, made.warnings)


def test_what_became_of_boxes_is_still_said_once_references_were_fetched() -> None:
    """A plan makes the sweep anew."""
    moved = Sweep("Add a bird.", CAT, protect=FACE).replace(image=DOG)
    assert moved.warnings == moved.with_references(lambda one: one).warnings != ()
