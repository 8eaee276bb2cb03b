"""What `compare` takes and gives: pictures of any kind, several references, boxes, regions, values."""

from __future__ import annotations

import io
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from metrics_making import MIDDLE, box_overlap, encoded, photograph, ready, with_disc
from PIL import Image

from kontext_lab.errors import ConfigError, ImageError
from kontext_lab.images import load_reference
from kontext_lab.metrics import Comparison, compare, prepare_reference

BOXES = {"there": (0.35, 0.35, 0.65, 0.65), "away": (0.0, 0.0, 0.3, 0.3)}
NAMED = {
    "change/area",
    "change/strength",
    "change/regions",
    "align/registered",
    "align/scale",
    "preserve/ssim",
    "preserve/psnr_db",
    "preserve/delta_e",
    "flag/no_op",
    "flag/new_picture",
    "flag/blank",
    "flag/over_edit",
}


@pytest.fixture(scope="module")
def coffee() -> Image.Image:
    """The reference, 3:2."""
    return photograph("coffee")


@pytest.fixture(scope="module")
def disc(coffee: Image.Image) -> Comparison:
    """A red disc in its middle."""
    return compare(ready("coffee"), encoded(with_disc(coffee)), protect=BOXES)


@pytest.fixture(scope="module")
def two() -> Comparison:
    """A large disc and a small one, far apart."""
    edited = with_disc(with_disc(photograph("coffee"), (0.05, 0.1, 0.15, 0.25)), (0.5, 0.4, 0.9, 0.9), "cyan")
    return compare(ready("coffee"), encoded(edited))


def png(picture: Image.Image) -> bytes:
    """A picture as a file's bytes."""
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()


@pytest.mark.parametrize(
    "names", [("coffee", "chelsea", "rocket"), ("chelsea", "coffee"), ("rocket", "chelsea", "coffee")]
)
def test_the_reference_that_fits_is_named(names: tuple[str, ...], coffee: Image.Image) -> None:
    """By its place among those given."""
    found = compare([ready(name) for name in names], encoded(with_disc(coffee)))
    assert (True, names.index("coffee")) == (found.registered, found.reference)


def test_several_references_measure_what_the_fitting_one_does(coffee: Image.Image, disc: Comparison) -> None:
    """The others have no part in the numbers."""
    found = compare(
        [ready("rocket"), ready("coffee")],
        encoded(with_disc(coffee)),
        protect=[{"away": (0, 0, 1, 1)}, BOXES],
    )
    assert disc.values == found.values


def test_boxes_of_one_reference_are_not_measured_on_another(coffee: Image.Image) -> None:
    """Where the output fits the other one."""
    found = compare([ready("rocket"), ready("coffee")], coffee, protect=[BOXES, {}])
    assert {} == found.protect


@pytest.mark.parametrize("boxes", [BOXES, [BOXES], [BOXES] * 3])
def test_boxes_say_to_which_reference_they_belong(boxes: Any, coffee: Image.Image) -> None:
    """One mapping for each, else nobody knows."""
    with pytest.raises(
        ConfigError, match=r"boxes of \d references?, but there are 2 references: give a list"
    ):
        compare([ready("rocket"), ready("coffee")], coffee, protect=boxes)


KINDS = {
    "path": lambda file: file,
    "text": str,
    "bytes": Path.read_bytes,
    "pil": Image.open,
    "uint8": lambda file: np.asarray(Image.open(file)),
    "float": lambda file: np.asarray(Image.open(file)) / 255,
    "reference": load_reference,
    "output": lambda file: SimpleNamespace(bytes=file.read_bytes(), origin=None),
    "prepared": prepare_reference,
    "rgba": lambda file: Image.open(file).convert("RGBA"),
    "list": lambda file: [file],
    "tuple": lambda file: (file,),
}
"""The same picture, in every way that it can be given."""


@pytest.mark.parametrize("kind", KINDS)
def test_references_are_taken_as_they_come(kind: str, coffee: Image.Image, tmp_path: Path) -> None:
    """The same values from a path, bytes, an array, and what the package itself gives."""
    file = tmp_path / "coffee.png"
    file.write_bytes(png(coffee))
    edited = with_disc(coffee)
    assert compare(coffee, edited).values == compare(KINDS[kind](file), edited).values


@pytest.mark.parametrize("kind", ["path", "bytes", "uint8", "float", "output", "rgba"])
def test_outputs_are_taken_as_they_come(kind: str, coffee: Image.Image, tmp_path: Path) -> None:
    """As references are."""
    file = tmp_path / "edited.png"
    file.write_bytes(png(with_disc(coffee)))
    assert (
        compare(ready("coffee"), Image.open(file)).values
        == compare(ready("coffee"), KINDS[kind](file)).values
    )


@pytest.mark.parametrize("mode", ["P", "L", "LA", "CMYK", "1", "I;16"])
def test_any_colour_mode_is_compared(mode: str, coffee: Image.Image) -> None:
    """Palette, grey, print colours, black and white: laid over itself, each is itself."""
    picture = (
        coffee.convert("L").convert("I").point(lambda level: level * 257).convert(mode)
        if mode == "I;16"
        else coffee.convert(mode)
    )
    found = compare(picture, picture)
    assert (True, ("no-op",)) == (found.registered, found.flags)


def test_a_photograph_that_lies_on_its_side_is_set_upright(coffee: Image.Image) -> None:
    """EXIF says how it was held."""
    buffer = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6
    coffee.transpose(Image.Transpose.ROTATE_90).save(buffer, "JPEG", exif=exif, quality=92)
    assert ("no-op",) == compare(buffer.getvalue(), coffee).flags


@pytest.mark.parametrize("given", [None, 7, b"", b"<html>", "nowhere.png", np.zeros((3, 3, 7)), [[1, 2]]])
@pytest.mark.parametrize("side", ["reference", "output"])
def test_what_is_no_picture_is_an_image_error(side: str, given: Any, coffee: Image.Image) -> None:
    """On either side."""
    with pytest.raises(ImageError):
        compare([given], coffee) if side == "reference" else compare([coffee], given)


@pytest.mark.parametrize("none", [[], ()])
def test_no_references_are_refused(none: Any, coffee: Image.Image) -> None:
    """There is nothing to compare with."""
    with pytest.raises(ConfigError, match="references is empty: give one or more pictures"):
        compare(none, coffee)


def test_an_edit_in_a_protected_box_shows(disc: Comparison) -> None:
    """The box is no longer like its reference."""
    assert disc.protect["there"] < 0.8


def test_an_edit_elsewhere_leaves_a_protected_box_alone(disc: Comparison) -> None:
    """What is left is the encoder's."""
    assert disc.protect["away"] > 0.97


def test_protected_boxes_are_logged_by_name(disc: Comparison) -> None:
    """Beside what is always measured."""
    assert (disc.protect["there"], disc.protect["away"]) == pytest.approx(
        (disc.values["preserve/there"], disc.values["preserve/away"]), abs=1e-6
    )


def test_a_protected_box_that_is_cropped_away_is_not_logged(coffee: Image.Image) -> None:
    """Whether it was kept can't be told."""
    cropped = coffee.crop((200, 0, 600, 400)).resize((1024, 1024))
    assert "preserve/edge" not in compare(ready("coffee"), cropped, protect={"edge": (0, 0, 0.2, 1)}).values


BAD = [
    (0.6, 0.1, 0.4, 0.5),
    (0.1, 0.6, 0.4, 0.5),
    (0.1, 0.1, 0.1, 0.5),
    (-0.1, 0.1, 0.4, 0.5),
    (0.1, 0.1, 1.2, 0.5),
    (10, 10, 200, 200),
    (0.1, 0.1, 0.4),
    (0.1, 0.1, 0.4, float("nan")),
    "face",
    ("a", "b", "c", "d"),
    None,
    0.5,
]


@pytest.mark.parametrize("box", BAD, ids=str)
def test_a_protected_box_that_is_none_is_named(box: Any, coffee: Image.Image) -> None:
    """Turned round, outside, too few numbers, no numbers."""
    with pytest.raises(ConfigError, match=r"protect 'face' must be x0, y0, x1, y1"):
        compare(ready("coffee"), coffee, protect={"face": box})


@pytest.mark.parametrize("box", BAD, ids=str)
def test_an_ignored_box_that_is_none_is_refused(box: Any, coffee: Image.Image) -> None:
    """By the same rule."""
    with pytest.raises(ConfigError, match=r"ignore must be x0, y0, x1, y1"):
        compare(ready("coffee"), coffee, ignore=[box])


def test_what_lies_in_an_ignored_box_is_no_edit(coffee: Image.Image) -> None:
    """Something is written over the picture."""
    assert ("no-op",) == compare(
        ready("coffee"), encoded(with_disc(coffee)), ignore=[(0.38, 0.38, 0.62, 0.62)]
    ).flags


def test_an_ignored_box_is_of_the_output(coffee: Image.Image) -> None:
    """Of a square cropped from the middle: the corner is another one than the reference's."""
    output = with_disc(coffee.crop((100, 0, 500, 400)), (0.8, 0.8, 1.0, 1.0))
    assert ("no-op",) == compare(ready("coffee"), output, ignore=[(0.78, 0.78, 1.0, 1.0)]).flags


def test_a_box_that_covers_all_leaves_nothing_to_lay_over(coffee: Image.Image) -> None:
    """No error, and no numbers."""
    assert not compare(ready("coffee"), coffee, ignore=[(0, 0, 1, 1)]).registered


def test_regions_are_boxes_of_the_reference(disc: Comparison) -> None:
    """As fractions, also where the output is of another size."""
    assert box_overlap(disc.regions[0].box, MIDDLE) > 0.9


def test_regions_come_largest_first(two: Comparison) -> None:
    """The large disc before the small one."""
    assert [True, True] == [
        box_overlap(region.box, box) > 0.85
        for region, box in zip(two.regions, [(0.5, 0.4, 0.9, 0.9), (0.05, 0.1, 0.15, 0.25)], strict=True)
    ]


def test_shares_of_the_regions_are_of_all_that_changed(two: Comparison) -> None:
    """They sum to one."""
    assert pytest.approx(1.0) == sum(region.share for region in two.regions)


def test_every_region_is_a_box_within_the_picture(two: Comparison) -> None:
    """Left before right, top before bottom."""
    for region in two.regions:
        x0, y0, x1, y1 = region.box
        assert 0 <= x0 < x1 <= 1
        assert 0 <= y0 < y1 <= 1


def test_the_area_is_that_of_the_change_map(two: Comparison) -> None:
    """Of the part that is seen."""
    assert pytest.approx((two.change_map > 0).sum() / two.seen.sum()) == two.area


def test_the_strength_is_the_mean_of_the_change_map(two: Comparison) -> None:
    """Where something changed."""
    assert pytest.approx(float(two.change_map[two.change_map > 0].mean())) == two.strength


def test_the_change_map_is_in_the_references_frame(coffee: Image.Image) -> None:
    """Its longest side 512, whatever the output's ratio."""
    found = compare(ready("coffee"), coffee.crop((100, 0, 500, 400)).resize((1024, 1024)))
    assert ((341, 512), (341, 512)) == (found.change_map.shape, found.seen.shape)


def test_what_is_not_seen_has_not_changed(coffee: Image.Image) -> None:
    """The sides that a square leaves out."""
    found = compare(ready("coffee"), encoded(with_disc(coffee).crop((100, 0, 500, 400)).resize((1024, 1024))))
    assert 0 == found.change_map[~found.seen].sum()


def test_values_have_the_names_that_are_promised(disc: Comparison) -> None:
    """And those of protected boxes."""
    assert NAMED | {"preserve/there", "preserve/away"} == set(disc.values)


def test_values_are_plain_rounded_floats(disc: Comparison) -> None:
    """Not numpy's: they go into stores and JSON."""
    assert {float} == {type(value) for value in disc.values.values()}
    assert [round(value, 6) for value in disc.values.values()] == list(disc.values.values())


def test_the_same_pictures_give_the_same_values(coffee: Image.Image, disc: Comparison) -> None:
    """Nothing is left to chance."""
    assert disc.values == compare(prepare_reference(coffee), encoded(with_disc(coffee)), protect=BOXES).values
