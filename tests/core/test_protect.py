"""Boxes that an edit should leave alone: what they may be, and that they are no part of what is sent."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from kontext_lab.errors import SweepError
from kontext_lab.sweep import Sweep

GREY = np.full((4, 6, 3), 128, np.uint8)
FACE = {"face": (0.1, 0.2, 0.5, 0.75)}


def sweep(**given: Any) -> Sweep:
    """A sweep of one cell."""
    return Sweep("Add a bird.", GREY, **given)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ((0, 0, 1, 1), "allowed are names with boxes"),
        ("face", "allowed are names with boxes"),
        ({"face": (0, 0, 1)}, "protect 'face': .*allowed are x0, y0, x1, y1"),
        ({"face": (0.5, 0, 0.5, 1)}, "left before right"),
        ({"face": (0, 0.8, 1, 0.2)}, "top before bottom"),
        ({"face": (0, 0, 640, 480)}, "fractions from 0 to 1"),
        ({"face": (0, 0, float("nan"), 1)}, "fractions from 0 to 1"),
        ({"face": "left"}, "allowed are x0, y0, x1, y1"),
        ({"face": (0, 0, 1, 10**400)}, "allowed are x0, y0, x1, y1"),
        ({"": (0, 0, 1, 1)}, "name ''"),
        ({"a/b": (0, 0, 1, 1)}, "name 'a/b'"),
        ({"..": (0, 0, 1, 1)}, "name '..'"),
        ({3: (0, 0, 1, 1)}, "name 3"),
        ({"ssim": (0, 0, 1, 1)}, "but not ssim, psnr_db, delta_e"),
        ({f"b{n}": (0, 0, 1, 1) for n in range(21)}, "21 boxes, allowed are 20"),
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
    assert FACE == sweep(protect=FACE).but(seed="1-3").protect


def test_a_changed_copy_may_have_others() -> None:
    """Or none."""
    assert {} == sweep(protect=FACE).but(protect=None).protect


def test_fetching_references_keeps_them() -> None:
    """A resolved sweep is the same sweep."""
    made = sweep(protect=FACE)
    assert made == made.with_references(lambda reference: reference)


def test_sweeps_with_other_boxes_are_not_equal() -> None:
    """A panel that is asked to run one of them is not asked for the other."""
    assert sweep() != sweep(protect=FACE)


def test_protect_is_no_placeholder() -> None:
    """`sweep.but(protect=…)` means boxes."""
    with pytest.raises(SweepError, match="protect"):
        Sweep("Add a {protect}.", GREY, axes={"protect": ["bird"]})
