"""What changed, references and measured values in grids: which picture, which colours, what is said instead."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from figures_making import Colour, show
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure
from PIL import Image, ImageDraw

from kontext_lab.errors import ConfigError, NotFound
from kontext_lab.figures import GridPlan, LiveSheet, Mark, change_webp, draw, frame_names, grid, plan_grid
from kontext_lab.figures.value_frames import Frames, ends_of, share_of
from kontext_lab.images.heat_map import heat_map
from kontext_lab.metrics import Comparison, compare
from kontext_lab.results import Output, Results
from kontext_lab.sandbox.painting import RATIO_SIZES, reframe

Make = Callable[..., Results]
BOX = (0.55, 0.5, 0.8, 0.85)
"""Where the edits are: left, top, right, bottom as fractions."""


class Measuring:
    """Compares as a lab does, and counts how often."""

    def __init__(self) -> None:
        self.known = self.compared = 0

    def know(self, _: Results) -> None:
        """Everything is known."""
        self.known += 1

    def comparison(self, output: Output) -> Comparison:
        """Of the picture that was sent."""
        self.compared += 1
        if output.cell.request is None:
            raise NotFound("its references are not at hand")
        return compare(output.cell.request.images, output)


def put(output: Output, picture: Image.Image) -> None:
    """Let a picture be what came."""
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=92)
    output.data, output.preview, output.format = buffer.getvalue(), b"", "jpeg"
    output.width, output.height = picture.size
    output.sha256 = hashlib.sha256(output.data).hexdigest()


def edited(photo: Image.Image, colour: Colour = (20, 200, 60), box: tuple[float, ...] = BOX) -> Image.Image:
    """A copy with a box painted over it."""
    copy = photo.copy()
    sides = (*copy.size, *copy.size)
    ImageDraw.Draw(copy).rectangle([part * side for part, side in zip(box, sides, strict=True)], fill=colour)
    return copy


@pytest.fixture
def edits(results: Make, coffee: Image.Image) -> Results:
    """Two seeds of an edit whose place is known, by a service that is not simulated."""
    made = results(seed=[1, 2], service="https://api.example")
    for output, colour in zip(made.outputs, ((20, 200, 60), (30, 60, 220)), strict=True):
        put(output, edited(coffee, colour))
    made.comparison_source = Measuring()
    return made


def tile_pixels(figure: Figure, plan: GridPlan, column: int = 0) -> np.ndarray:
    """The pixels of the tile in a column, without its edges."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    paper = np.asarray(Image.open(buffer).convert("RGB")).astype(int)
    rect = plan.tiles[column].rect
    dpi = paper.shape[1] / plan.width
    rows = slice(round(rect.top * dpi) + 1, round(rect.bottom * dpi) - 1)
    return paper[rows, round(rect.left * dpi) + 1 : round(rect.right * dpi) - 1]


def inside(pixels: np.ndarray, shrink: float = 0.03) -> np.ndarray:
    """Where the edit was painted."""
    height, width = pixels.shape[:2]
    left, top, right, bottom = BOX
    return pixels[
        round((top + shrink) * height) : round((bottom - shrink) * height),
        round((left + shrink) * width) : round((right - shrink) * width),
    ]


def said(plan: GridPlan) -> str:
    """All words outside tiles."""
    return " ".join(line for label in plan.labels for line in label.lines)


def cards(made: Results, **given: Any) -> list[str]:
    """What a live sheet of these says in place of pictures, tile by tile."""
    plan = plan_grid(made, show="change", **given)
    sheet = LiveSheet(Figure())
    show(sheet, plan)
    found = (tile.card or sheet.previews.get(tile) for tile in plan.tiles)
    return ["" if isinstance(one, Image.Image) else f"{one.heading}: {one.note}" for one in found if one]


# --- what changed ----------------------------------------------------------------------------------------


def test_colour_is_where_the_edit_is(edits: Results) -> None:
    """Inside the painted box every pixel has colour."""
    pixels = tile_pixels(grid(edits, show="change"), plan_grid(edits, show="change"))
    assert np.ptp(inside(pixels), axis=2).min() > 60


def test_the_rest_is_grey(edits: Results) -> None:
    """Outside it nearly none has any."""
    pixels = tile_pixels(grid(edits, show="change"), plan_grid(edits, show="change"))
    coloured = np.ptp(pixels, axis=2) > 8
    height, width = coloured.shape
    left, top, right, bottom = BOX
    outside = coloured.copy()
    outside[round((top - 0.03) * height) : round((bottom + 0.03) * height),
            round((left - 0.03) * width) : round((right + 0.03) * width)] = False  # fmt: skip
    assert outside.mean() < 0.001


def test_over_the_reference_its_own_lightness_is_seen(edits: Results, coffee: Image.Image) -> None:
    """Under the glow and around it is what was given to the model."""
    pixels = tile_pixels(grid(edits, show="change"), plan_grid(edits, show="change"))[..., 0]
    grey = np.asarray(coffee.convert("L").resize(pixels.shape[::-1])).astype(float)
    calm = slice(0, round(0.4 * pixels.shape[0]))
    assert np.corrcoef(pixels[calm].ravel(), grey[calm].ravel())[0, 1] > 0.98


def test_over_the_output_what_was_added_is_seen(edits: Results, coffee: Image.Image) -> None:
    """A faint edit shines through its glow; outside it both are the same."""
    put(edits[0].outputs[0], edited(coffee, (150, 70, 40)))
    found = [
        tile_pixels(grid(edits, show="change", over=over), plan_grid(edits, show="change"))
        for over in ("reference", "output")
    ]
    apart = np.abs(found[0] - found[1]).mean(axis=2)
    assert inside(apart).mean() > 3 * apart[: len(apart) // 3].mean()


@pytest.mark.parametrize("ratio", RATIO_SIZES)
def test_a_map_lies_on_what_changed(results: Make, coffee: Image.Image, ratio: str) -> None:
    """At every ratio, over the reference as over the output, within 2 % of the tile."""
    box = (0.45, 0.4, 0.55, 0.6)
    painted, truth = edited(coffee, box=box), edited(Image.new("RGB", coffee.size), (255, 255, 255), box)
    made = results(aspect_ratio=ratio)
    put(made.outputs[0], Image.fromarray(reframe(painted, RATIO_SIZES[ratio])))
    made.comparison_source = Measuring()
    for over, mask in (("reference", np.asarray(truth)), ("output", reframe(truth, RATIO_SIZES[ratio]))):
        plan = plan_grid(made, show="change", over=over)
        glow = np.ptp(tile_pixels(grid(made, show="change", over=over), plan), axis=2) > 60
        assert np.abs(middle(glow) - middle(mask[..., 0] > 127)).max() < 0.02, over
        rect = plan.tiles[0].rect
        assert mask.shape[1] / mask.shape[0] == pytest.approx(rect.width / rect.height, rel=0.01)


def middle(mask: np.ndarray) -> np.ndarray:
    """Of the places that are set: y and x as fractions."""
    return np.array(
        [(places.mean() + 0.5) / side for places, side in zip(mask.nonzero(), mask.shape, strict=True)]
    )


def test_what_the_output_added_is_striped(results: Make, coffee: Image.Image) -> None:
    """Over the output, where it shows more than its reference does."""
    wide = Image.new("RGB", (900, 400), (120, 90, 60))
    wide.paste(coffee.resize((600, 400)), (150, 0))
    made = results(aspect_ratio="21:9")
    put(made.outputs[0], wide)
    made.comparison_source = Measuring()
    pixels = tile_pixels(
        grid(made, show="change", over="output"), plan_grid(made, show="change", over="output")
    )
    assert np.ptp(pixels[:, : pixels.shape[1] // 8]) > 50  # what was added is of one colour


def test_what_is_not_in_the_output_is_striped() -> None:
    """Dark and light, so that it is no place that stayed as it was."""
    seen = np.ones((100, 120), bool)
    seen[:, 60:] = False
    pixels = np.asarray(heat_map(Image.new("RGB", (120, 100), "white"), np.zeros((100, 120)), seen=seen))
    assert 1 == len(np.unique(pixels[:, :50]))
    assert 2 == len(np.unique(pixels[:, 70:]))


def test_a_line_along_the_edge_is_not_striped() -> None:
    """A service stretches by a pixel; that is nothing to tell."""
    seen = np.ones((100, 120), bool)
    seen[-1] = seen[:, 0] = False
    pixels = np.asarray(heat_map(Image.new("RGB", (120, 100), "white"), np.zeros((100, 120)), seen=seen))
    assert 1 == len(np.unique(pixels))


def test_the_scale_is_told(edits: Results) -> None:
    """In Lab distances, with the colours from the faintest to the brightest."""
    plan = plan_grid(edits, show="change")
    assert "change, Lab distance: 0 40 and more" in said(plan)
    assert ["#781c6d", "#fcffa4"] == [plan.bars[0].colours[0], plan.bars[0].colours[-1]]


def test_nothing_of_it_stands_on_other_grids(edits: Results) -> None:
    """Outputs need no key."""
    assert () == plan_grid(edits).bars


def test_colours_glow_from_dark_to_light() -> None:
    """For every kind of colour vision: lightness alone tells more from less."""
    strip = np.linspace(0.5, 40, 64)[None].repeat(8, axis=0)
    light = np.asarray(heat_map(Image.new("L", (64, 8), 128), strip).convert("L"))[0].astype(int)
    assert (np.diff(light[4:]) >= 0).all()


def test_the_sandbox_s_are_marked(results: Make, coffee: Image.Image) -> None:
    """A change map of a simulated picture is one, too."""
    made = results()
    put(made.outputs[0], edited(coffee))
    made.comparison_source = Measuring()
    assert "simulated pictures (sandbox)" in plan_grid(made, show="change").notes


def test_a_part_measures_with_the_same(edits: Results) -> None:
    """`where`, slices and sums hand on what measures."""
    part = edits.sel(seed=1)
    assert [edits.comparison_source] * 3 == [
        part.comparison_source,
        edits[:1].comparison_source,
        (Results([]) + part).comparison_source,
    ]


def test_references_are_brought_first(edits: Results) -> None:
    """Results from a store don't know them until then."""
    grid(edits, show="reference")
    assert 1 == edits.comparison_source.known  # type: ignore[union-attr]


# --- what is said in place of a map ----------------------------------------------------------------------


def test_a_new_picture_says_so(edits: Results) -> None:
    """Noise has nothing of the reference in it."""
    noise = np.random.default_rng(1).integers(0, 255, (400, 600, 3), dtype=np.uint8)
    put(edits[1].outputs[0], Image.fromarray(noise))
    assert ["", "new picture: nothing of the reference is in its place"] == cards(edits)


def test_a_blank_picture_says_so(edits: Results) -> None:
    """One grey shows nothing."""
    put(edits[0].outputs[0], Image.new("RGB", (600, 400), (120, 120, 120)))
    assert "blank: the output shows nothing that could be compared" == cards(edits)[0]


def test_references_that_are_gone_are_named(edits: Results) -> None:
    """As the cell's parameters call them."""
    edits[0].params["image"] = "coffee.jpg"
    edits[0].request = None
    assert "no reference: its reference coffee.jpg is not at hand" == cards(edits)[0]


def test_what_cannot_be_read_says_why(edits: Results) -> None:
    """Damaged bytes are a card, no exception."""
    edits[0].outputs[0].data = b"nothing"
    assert cards(edits)[0].startswith("not compared: ")


def test_a_failed_cell_says_that(results: Make, edits: Results) -> None:
    """As in every other grid."""
    waiting = results(seed=[1, 2], run=False)
    waiting.comparison_source = edits.comparison_source
    assert ["waiting: "] * 2 == cards(waiting)


def test_cards_are_drawn(edits: Results) -> None:
    """Also where there is nothing but them."""
    for cell in edits:
        cell.request = None
    figure = grid(edits, show="change")
    assert sum("no reference" in words.get_text() for words in figure.axes[0].texts) == len(edits)


def test_results_made_by_hand_say_what_they_lack(results: Make) -> None:
    """One line names what has it."""
    with pytest.raises(ConfigError, match=r"^show: 'change' needs .* lab\.run and lab\.load"):
        grid(results(), show="change")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"show": "heat"}, "show: 'heat', allowed are 'output', 'change', 'reference'"),
        ({"over": "both"}, "over: 'both', allowed are 'reference', 'output'"),
        ({"show": ["output"]}, "allowed are 'output', 'change', 'reference'"),
    ],
)
def test_what_there_is_not_is_refused(results: Make, given: dict[str, Any], words: str) -> None:
    """With what is allowed."""
    with pytest.raises(ConfigError) as caught:
        grid(results(), **given)
    assert words in str(caught.value)


# --- references ------------------------------------------------------------------------------------------


def test_references_stand_in_the_places_of_outputs(edits: Results, coffee: Image.Image) -> None:
    """The pixels of a tile are the reference's."""
    pixels = tile_pixels(grid(edits, show="reference"), plan_grid(edits, show="reference"))
    expected = np.asarray(coffee.resize(pixels.shape[1::-1])).astype(int)
    assert np.abs(inside(pixels) - inside(expected)).mean() < 8


def test_a_reference_can_still_be_picked(edits: Results) -> None:
    """Its tile is the cell's."""
    tiles = plan_grid(edits, show="reference").tiles
    assert [(cell, 1) for cell in edits] == [(tile.cell, tile.number) for tile in tiles]


# --- on a live sheet -------------------------------------------------------------------------------------


def test_tiles_say_that_they_are_measured(edits: Results) -> None:
    """As long as their maps are not there."""
    sheet = LiveSheet(Figure())
    plan = plan_grid(edits, show="change")
    sheet.show(plan)
    card = sheet._faces[0]
    assert ("measuring …", 2) == (getattr(card, "heading", None), len(sheet.missing()))


def test_a_redraw_measures_nothing(edits: Results) -> None:
    """What was loaded is held."""
    sheet = LiveSheet(Figure())
    for dark in (False, True, False):
        show(sheet, plan_grid(edits, show="change"), dark=dark)
    assert 2 == edits.comparison_source.compared  # type: ignore[union-attr]


def test_outputs_come_back(edits: Results) -> None:
    """The picker may go to and fro."""
    sheet = LiveSheet(Figure())
    shown = [
        show(sheet, plan_grid(edits, show=content))  # type: ignore[arg-type]
        for content in ("output", "change", "reference", "output", "output")
    ]
    assert [True, True, True, True, False] == shown


# --- frames ----------------------------------------------------------------------------------------------


@pytest.fixture
def measured(results: Make) -> Results:
    """Four cells, three of them measured."""
    made = results(seed=[1, 2, 3, 4])
    for output, area in zip(made.outputs, (0.01, 0.05, 0.2), strict=False):
        output.metrics = {"change/area": area, "verdict/rest_kept": float(area < 0.1)}
    return made


def frames(made: Results, metric: str) -> list[str]:
    """The words of each tile's frame."""
    plan = plan_grid(made, frame=metric)
    return [tile.frame.words if tile.frame is not None else "" for tile in plan.tiles]


def test_values_stand_on_pictures(measured: Results) -> None:
    """With digits enough to tell them apart; what was not measured is plain."""
    assert ["0.01", "0.05", "0.20", ""] == frames(measured, "change/area")


def test_verdicts_are_words(measured: Results) -> None:
    """Nobody passes with 1.00."""
    assert ["pass", "pass", "fail", ""] == frames(measured, "verdict/rest_kept")


def test_verdicts_are_counted(measured: Results) -> None:
    """The key tells the two colours and how many there are of each."""
    plan = plan_grid(measured, frame="verdict/rest_kept")
    assert "frame: verdict/rest_kept: pass: 2 fail: 1" in said(plan)
    assert 2 == len({bar.colours for bar in plan.bars})


def test_the_frames_scale_is_told(measured: Results) -> None:
    """From the least to the greatest."""
    assert "frame: change/area: 0.01 0.20" in said(plan_grid(measured, frame="change/area"))


def test_frames_are_drawn_in_their_colours(measured: Results) -> None:
    """At the edge of each picture."""
    plan, figure = plan_grid(measured, frame="change/area"), Figure()
    draw(plan, figure)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=200)
    paper = np.asarray(Image.open(buffer).convert("RGB")).astype(int)
    for tile in plan.tiles[:3]:
        assert tile.frame is not None
        wanted = [int(tile.frame.colour[at : at + 2], 16) for at in (1, 3, 5)]
        x, y = round(tile.rect.left * 200), round((tile.rect.top + tile.rect.height / 2) * 200)
        assert np.abs(paper[y, x] - wanted).max() < 12


def test_a_colour_means_the_same_on_every_page(results: Make) -> None:
    """The scale is that of all that is shown, not of one page."""
    made = results(seed=list(range(1, 9)))
    for at, output in enumerate(made.outputs):
        output.metrics = {"change/area": at / 100}
    pages = [said(plan_grid(made, frame="change/area", per_page=4, page=page)) for page in (1, 2)]
    assert all("0.000 0.070" in page for page in pages)


def study(results: Make, value: Callable[[dict[str, Any]], float], **fields: Any) -> Results:
    """Cells with one value each."""
    made = results(**fields)
    for output in made.outputs:
        output.metrics = {"change/area": value(output.cell.params)}
    return made


def colours(plan: GridPlan) -> list[str]:
    """Of the frames."""
    return [tile.frame.colour for tile in plan.tiles if tile.frame is not None]


def test_a_colour_means_the_same_after_a_slider_moved(results: Make) -> None:
    """The scale is that of the sweep, whatever part of it is shown."""
    made = study(
        results,
        lambda p: 0.1 * p["guidance_scale"] + 0.001 * p["seed"],
        seed=[1, 2, 3],
        guidance_scale=[1, 2, 5],
        aspect_ratio=["1:1", "3:2"],
    )
    whole = {
        (tile.cell.params["guidance_scale"], tile.cell.params["seed"]): tile.frame.colour
        for tile in plan_grid(made, rows="guidance_scale", columns="seed", frame="change/area").tiles
        if tile.cell is not None and tile.frame is not None
    }
    for at in (1, 2, 5):
        plan = plan_grid(made, [], "seed", {"guidance_scale": at, "aspect_ratio": "1:1"}, frame="change/area")
        assert [whole[at, seed] for seed in (1, 2, 3)] == colours(plan)
        assert "frame: change/area: 0.10 0.50" in said(plan)


def test_colours_are_not_stretched_over_the_noise_between_seeds(results: Make) -> None:
    """Where settings differ by less than seeds do, the scale is four standard deviations wide."""
    made = study(
        results,
        lambda p: 0.5 + 0.1 * (-1) ** p["seed"],
        seed=[1, 2],
        guidance_scale=[1, 2, 5],
    )
    # The standard deviation of two values is their distance by the root of two.
    low, high = 0.5 - 2 * 0.2 / 2**0.5, 0.5 + 2 * 0.2 / 2**0.5
    assert f"frame: change/area: {low:.2f} {high:.2f}" in said(plan_grid(made, frame="change/area"))


@pytest.mark.parametrize(("low", "high"), [(0.11024, 0.11099), (0.9990, 0.9999), (0.0, 0.0), (-3.0, -3.001)])
def test_without_replicates_a_scale_is_a_few_per_cent_wide(low: float, high: float) -> None:
    """It holds the values, and stays on the side of 0 and 1 where they are."""
    low, high = sorted((low, high))
    start, end = ends_of(low, high, None)
    assert start <= low <= high <= end
    assert end - start >= 0.0499 * max(abs(low), abs(high))
    assert (start >= 0) == (low >= 0)
    assert (end <= 1) == (high <= 1)


@given(
    st.floats(allow_nan=False, allow_infinity=False),
    st.floats(allow_nan=False, allow_infinity=False),
    st.none() | st.floats(0, allow_nan=False, allow_infinity=False),
)
def test_any_values_have_a_scale(one: float, other: float, noise: float | None) -> None:
    """Whatever they are, they have a place on it and words."""
    low, high = sorted((one, other))
    ends = ends_of(low, high, noise)
    assert 0 <= share_of(low, ends) <= share_of(high, ends) <= 1
    frames = Frames("own/value", {(0, 0): low, (0, 1): high}, False, ends)
    assert all(frames.colour(value).startswith("#") and frames.words(value) for value in (low, high))


def test_digits_match_the_scale(results: Make) -> None:
    """Five digits to tell noise apart are none."""
    made = study(results, lambda p: 0.11024 + 0.00025 * p["guidance_scale"], guidance_scale=[1, 2, 3, 4])
    assert ["0.1105", "0.1107", "0.1110", "0.1112"] == frames(made, "change/area")


def test_one_value_everywhere_is_said(results: Make) -> None:
    """No scale from a number to itself."""
    made = results(seed=[1, 2])
    for output in made.outputs:
        output.metrics = {"change/area": 0.25}
    assert "frame: change/area: 0.25 everywhere" in said(plan_grid(made, frame="change/area"))


def test_what_is_no_number_has_no_frame(measured: Results) -> None:
    """Never NaN on a picture."""
    measured.outputs[0].metrics["change/area"] = float("nan")
    assert ["", "0.05", "0.20", ""] == frames(measured, "change/area")


def test_a_value_on_none_of_what_is_shown(measured: Results) -> None:
    """A sentence in place of a scale."""
    plan = plan_grid(measured, where={"seed": 4}, frame="change/area")
    assert "frame: change/area, measured on none of these" in said(plan)


def test_an_unknown_value_names_what_there_is(measured: Results) -> None:
    """One line."""
    with pytest.raises(ConfigError, match=r"frame: 'change/aera' was not measured; there are change/area, "):
        grid(measured, frame="change/aera")


def test_nothing_measured_names_the_way(results: Make) -> None:
    """`lab.measure` does it."""
    with pytest.raises(ConfigError, match=r"nothing was: lab\.measure\(results\)"):
        grid(results(), frame="change/area")


def test_nothing_to_measure_names_no_way(results: Make) -> None:
    """Where no picture is, none can be measured."""
    with pytest.raises(ConfigError, match="there is no picture to measure"):
        grid(results(run=False), frame="change/area")


def test_values_of_whole_cells_count(results: Make) -> None:
    """As in `results.to_frame()`."""
    made = results(seed=[1, 2])
    for at, cell in enumerate(made):
        cell.metrics["own/speed"] = at
    assert ("own/speed",) == frame_names(made)
    assert ["no", "yes"] == frames(made, "own/speed")


def test_144_values_are_legible_or_left_out(results: Make) -> None:
    """None is smaller than five points, and none wider than two thirds of its picture."""
    made = results(seed=list(range(1, 13)), guidance_scale=[1 + 0.5 * at for at in range(12)])
    for at, output in enumerate(made.outputs):
        output.metrics = {"change/area": at / 1000}
    figure = grid(made, frame="change/area")
    sizes = {words.get_fontsize() for words in figure.axes[0].texts if words.get_text().startswith("0.0")}
    assert min(sizes) >= 5


def test_a_live_sheet_follows_values(measured: Results) -> None:
    """They come after the pictures."""
    sheet = LiveSheet(Figure())
    show(sheet, plan_grid(measured, frame="change/area"))
    before = show(sheet, plan_grid(measured, frame="change/area"))
    measured.outputs[3].metrics["change/area"] = 0.1
    assert [False, True] == [before, show(sheet, plan_grid(measured, frame="change/area"))]


def test_a_picked_picture_keeps_its_value_s_colour(measured: Results) -> None:
    """What shows that it is picked lies within, and has no hue."""
    sheet = LiveSheet(Figure())
    plan = plan_grid(measured, frame="change/area")
    show(sheet, plan)
    sheet.select(Mark(measured[0]))
    (rect, (tone, _, within)), *_ = sheet._layers["marks"][0]
    assert (plan.tiles[0].rect, "#1f2328", True) == (rect, tone, within)


# --- close up --------------------------------------------------------------------------------------------


def test_a_map_close_up_is_a_picture(edits: Results) -> None:
    """As large as the reference, its region outlined in white."""
    data = change_webp(edits[0].outputs[0], Measuring().comparison)
    assert isinstance(data, bytes)
    picture = Image.open(io.BytesIO(data))
    pixels = np.asarray(picture.convert("RGB"))
    # Neither the glow nor the grey is ever white.
    assert ((600, 400), True) == (picture.size, (pixels.min(axis=2) > 200).sum() > 50)


def test_a_map_close_up_says_why_there_is_none(edits: Results) -> None:
    """A line."""
    put(edits[0].outputs[0], Image.new("RGB", (600, 400), (120, 120, 120)))
    said_ = change_webp(edits[0].outputs[0], Measuring().comparison)
    assert "blank: the output shows nothing that could be compared" == said_
