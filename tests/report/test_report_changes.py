"""Change maps in a report: where edits were measured, what changed glows over the reference in grey."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw
from report_making import picture_of, read, study
from skimage import data

import kontext_lab as kl
from kontext_lab.images.heat_map import heat_map
from kontext_lab.results import Results

BOX = (60, 40, 140, 120)


@pytest.fixture
def edited() -> Results:
    """A photograph with a green box painted into it, measured."""
    photo = Image.fromarray(data.coffee()).resize((384, 256))
    results = study(image=photo, service="https://api.example")
    painted = photo.copy()
    ImageDraw.Draw(painted).rectangle(BOX, fill=(20, 200, 60))
    picture = picture_of(painted)
    output = results[0].outputs[0]
    output.data, output.preview, output.sha256 = picture.data, picture.preview, picture.sha256
    output.width, output.height = picture.width, picture.height
    output.metrics = {"change/area": 0.07}
    return results


def test_map_glows_where_the_edit_is(edited: Results, tmp_path: Path) -> None:
    """Inside the painted box the map has colour, elsewhere it is grey."""
    page = read(kl.report(edited, tmp_path / "study.html"))
    pixels = np.asarray(page.picture(page.cards[0]["change"]).convert("RGB"), dtype=int)
    colour = pixels.max(axis=2) - pixels.min(axis=2)
    scale = pixels.shape[1] / 384
    left, top, right, bottom = (round(edge * scale) for edge in BOX)
    inside = colour[top + 8 : bottom - 8, left + 8 : right - 8]

    assert inside.min() > 60
    assert np.median(colour) < 10


def test_maps_are_not_made_of_what_was_not_measured(edited: Results, tmp_path: Path) -> None:
    """Who measures nothing waits for no maps."""
    edited[0].outputs[0].metrics = {}

    assert read(kl.report(edited, tmp_path / "study.html")).cards[0]["change"] is None


def test_maps_are_left_out_with_the_references(edited: Results, tmp_path: Path) -> None:
    """A map shows the reference: without references there is none."""
    page = read(kl.report(edited, tmp_path / "study.html", references=False))

    assert (None, 1) == (page.cards[0]["change"], len(page.images))


def test_nothing_changed_is_grey() -> None:
    """Where the distance is 0 or unknown, no colour is added."""
    distances = np.zeros((20, 30))
    distances[0, 0] = np.nan
    pixels = np.asarray(heat_map(Image.new("RGB", (300, 200), "red"), distances))

    assert 0 == np.ptp(pixels, axis=2).max()


def test_stronger_changes_are_brighter() -> None:
    """Lightness rises with the distance, over dark and light places alike."""
    distances = np.array([[1.0, 10, 20, 30, 40, 90]])
    for paper in ("black", "white"):
        found = heat_map(Image.new("RGB", (6, 1), paper), distances).convert("L")
        light = list(np.asarray(found)[0].astype(int))[1:]
        assert sorted(light) == light
