"""Geometry as numbers: where tiles and labels go, how large they are, and how they are paged."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace

import pytest
from figures_making import moderated
from PIL import Image

from kontext_lab.errors import SweepError
from kontext_lab.figures import GridPlan, Tile, plan_grid
from kontext_lab.request.attempt import Answer, Attempt
from kontext_lab.results import Results, State

Make = Callable[..., Results]


def overlapping(plan: GridPlan) -> list[tuple[Tile, Tile]]:
    """Pairs of tiles that share some space."""
    return [
        (one, other)
        for one, other in itertools.combinations(plan.tiles, 2)
        if min(one.rect.right, other.rect.right) - max(one.rect.left, other.rect.left) > 1e-6
        and min(one.rect.bottom, other.rect.bottom) - max(one.rect.top, other.rect.top) > 1e-6
    ]


def ratio(tile: Tile) -> float:
    """Width by height."""
    return tile.rect.width / tile.rect.height


SHAPES = {
    "one": {},
    "three": {"seed": [1, 2, 3]},
    "thirty": {"seed": "1-30", "aspect_ratio": "1:1"},
    "matrix": {"seed": "1-12", "guidance_scale": "2-13"},
    "mixed": {"seed": [1, 2], "aspect_ratio": ["21:9", "1:1", "9:21"]},
    "wall": {"aspect_ratio": ["21:9", "16:9", "1:1", "9:16", "9:21"]},
}


@pytest.mark.parametrize("shape", SHAPES)
def test_tiles_do_not_overlap(results: Make, shape: str) -> None:
    """No two tiles share any space."""
    assert overlapping(plan_grid(results(**SHAPES[shape]))) == []


@pytest.mark.parametrize("shape", SHAPES)
def test_tiles_lie_on_the_sheet(results: Make, shape: str) -> None:
    """Every tile lies within the margins."""
    plan = plan_grid(results(**SHAPES[shape]))
    assert all(
        tile.rect.left >= 0.19
        and tile.rect.top >= 0.19
        and tile.rect.right <= plan.width - 0.19
        and tile.rect.bottom <= plan.height - 0.19
        for tile in plan.tiles
    )


@pytest.mark.parametrize("shape", SHAPES)
def test_sheet_is_no_giant(results: Make, shape: str) -> None:
    """A page is no wider than 14.5 and no higher than 20 inches."""
    plan = plan_grid(results(**SHAPES[shape]))
    assert plan.width <= 14.5
    assert plan.height <= 20


@pytest.mark.parametrize("shape", SHAPES)
def test_tiles_keep_their_ratio(results: Make, shape: str) -> None:
    """Every tile has the ratio of its picture."""
    for tile in plan_grid(results(**SHAPES[shape])).tiles:
        assert tile.output is not None
        assert pytest.approx(tile.output.width / tile.output.height) == ratio(tile)


def test_wide_pictures_leave_no_bars(results: Make) -> None:
    """Where all pictures are 21:9, tiles stand as close across as down."""
    plan = plan_grid(results(seed=[1, 2, 3], guidance_scale=[2, 5], aspect_ratio="21:9"))
    first, right, below = (plan.tile(*at) for at in ((0, 0), (0, 1), (1, 0)))
    assert first is not None
    assert right is not None
    assert below is not None
    assert pytest.approx(0.05) == right.rect.left - first.rect.right
    assert pytest.approx(0.05) == below.rect.top - first.rect.bottom


def test_columns_of_tall_pictures_are_narrow(results: Make) -> None:
    """With the aspect ratio on columns, tiles are equally high and columns as wide as their pictures."""
    plan = plan_grid(results(seed=[1, 2], aspect_ratio=["3:2", "9:16"]), rows="seed", columns="aspect_ratio")
    wide, tall = plan.tile(0, 0), plan.tile(0, 1)
    assert wide is not None
    assert tall is not None
    assert pytest.approx(wide.rect.height) == tall.rect.height
    assert tall.rect.width < wide.rect.width / 2


def test_waiting_tiles_have_the_ratio_asked_for(results: Make) -> None:
    """A grid looks the same before and after its pictures arrive."""
    fields = {"seed": [1, 2], "aspect_ratio": ["16:9", "2:3"]}
    before, after = plan_grid(results(run=False, **fields)), plan_grid(results(**fields))
    for old, new in zip(before.tiles, after.tiles, strict=True):
        assert pytest.approx(new.rect.width, abs=0.02) == old.rect.width
        assert pytest.approx(new.rect.height, abs=0.02) == old.rect.height


def test_black_picture_keeps_the_place_asked_for(results: Make) -> None:
    """What moderation leaves has another size, which moves nothing."""
    made = results(seed=[1, 2], aspect_ratio="9:16")
    made[1].apply(Attempt("id", Answer((moderated(),))), made[0].arrived)  # type: ignore[arg-type]
    one, other = plan_grid(made).tiles
    assert pytest.approx(ratio(one), rel=0.01) == ratio(other)


def test_single_axis_is_wrapped(results: Make) -> None:
    """A single axis of thirty values is a contact sheet of several rows, all tiles of one size."""
    plan = plan_grid(results(seed="1-30"))
    assert 3 <= len({tile.row for tile in plan.tiles}) <= 10
    assert len({round(tile.rect.width, 6) for tile in plan.tiles}) == 1


def test_three_stand_in_one_row(results: Make) -> None:
    """Three tiles leave no hole."""
    assert {0} == {tile.row for tile in plan_grid(results(seed=[1, 2, 3])).tiles}


def test_rows_of_a_wall_are_filled(results: Make) -> None:
    """Tiles of different ratios in one row of a contact sheet are equally high."""
    plan = plan_grid(results(aspect_ratio=["21:9", "16:9", "1:1", "9:16", "9:21"]))
    for row in {tile.row for tile in plan.tiles}:
        heights = [tile.rect.height for tile in plan.tiles if tile.row == row]
        assert pytest.approx(heights[0], rel=0.02) == max(heights)


def test_400_cells_fit_a_page(results: Make) -> None:
    """20 × 20 squares are one page of tiles of at least 0.6 inch."""
    plan = plan_grid(results(run=False, seed="1-20", guidance_scale="1-20", aspect_ratio="1:1"))
    assert (plan.pages, len(plan.tiles)) == (1, 400)
    assert min(tile.rect.width for tile in plan.tiles) >= 0.599


def test_pages_hold_everything_once(results: Make) -> None:
    """All pages together show every cell once."""
    made = results(run=False, seed="1-30", guidance_scale=[2, 4, 6, 8])
    pages = [
        plan_grid(made, per_page=20, page=page) for page in range(1, plan_grid(made, per_page=20).pages + 1)
    ]
    titles = [tile.cell.title for plan in pages for tile in plan.tiles if tile.cell]
    assert sorted(cell.title for cell in made) == sorted(titles)
    assert all(len(plan.tiles) <= 20 for plan in pages)


def test_pages_of_a_contact_sheet_hold_everything_once(results: Make) -> None:
    """All pages of a contact sheet together show every cell once."""
    made = results(run=False, seed="1-25")
    seeds = [
        tile.cell.params["seed"]
        for page in (1, 2, 3)
        for tile in plan_grid(made, per_page=10, page=page).tiles
        if tile.cell
    ]
    assert list(range(1, 26)) == seeds


def test_page_is_named(results: Make) -> None:
    """The caption says which page it is."""
    assert "page 2 of 3" in plan_grid(results(run=False, seed="1-25"), per_page=10, page=2).notes


@pytest.mark.parametrize("page", [0, 2, True, "1"])
def test_page_out_of_range(results: Make, page: object) -> None:
    """A page that isn't there is an error in words."""
    with pytest.raises(SweepError, match="there is only page 1"):
        plan_grid(results(seed=[1, 2]), page=page)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "crop",
    [
        (0, 0, 1),
        (0.5, 0, 0.5, 1),
        (0, 0, 1, 1.2),
        (-0.1, 0, 1, 1),
        ("a", 0, 1, 1),
        (float("nan"), 0, 1, 1),
        3,
    ],
)
def test_crop_is_checked(results: Make, crop: object) -> None:
    """A crop that is no part of a picture is an error that says what is allowed."""
    with pytest.raises(SweepError, match=r"crop: .*left < right and top < bottom"):
        plan_grid(results(), crop=crop)  # type: ignore[arg-type]


def test_crop_changes_the_ratio(results: Make) -> None:
    """A tile has the ratio of the part it shows."""
    plan = plan_grid(results(aspect_ratio="1:1"), crop=(0, 0.5, 1, 1))
    assert pytest.approx(2.0) == ratio(plan.tiles[0])


@pytest.mark.parametrize(
    ("name", "value"), [("per_page", 0), ("per_page", 1.5), ("cell_inches", 0), ("cell_inches", float("nan"))]
)
def test_sizes_are_checked(results: Make, name: str, value: float) -> None:
    """Sizes that cannot be are errors that name the argument."""
    with pytest.raises(SweepError, match=f"{name}: "):
        plan_grid(results(), **{name: value})  # type: ignore[arg-type]


def test_cell_inches_set_the_size(results: Make) -> None:
    """A square tile has the side asked for."""
    plan = plan_grid(results(seed=[1, 2], guidance_scale=[2, 5], aspect_ratio="1:1"), cell_inches=1.5)
    assert {1.5} == {round(tile.rect.width, 6) for tile in plan.tiles}


def test_nothing_to_show_is_said() -> None:
    """No cells are a small sheet with one sentence."""
    plan = plan_grid(Results([], name="empty"))
    assert plan.labels[-1].lines == ("There are no cells to show.",)
    assert plan.height < 1


def test_at_finds_a_tile(results: Make) -> None:
    """A point on the sheet leads to its tile."""
    plan = plan_grid(results(seed=[1, 2]))
    tile = plan.tiles[1]
    assert tile is plan.at(tile.rect.left + 0.1, tile.rect.top + 0.1)
    assert plan.at(0.01, 0.01) is None


def test_one_reference_stands_before_the_rows(results: Make) -> None:
    """The reference of all cells is a first column of its own."""
    plan = plan_grid(results(seed=[1, 2], guidance_scale=[2, 5]), reference=True)
    held = [tile for tile in plan.tiles if tile.reference]
    assert [(tile.row, tile.column) for tile in held] == [(0, -1), (1, -1)]
    assert any(label.lines == ("reference",) for label in plan.labels)


def test_references_of_columns_stand_above_them(results: Make, coffee: Image.Image) -> None:
    """With images on the columns, each reference stands above its column."""
    images = {"whole": coffee, "half": coffee.crop((0, 0, 300, 400))}
    plan = plan_grid(results(axes={"image": images, "seed": [1, 2]}), columns="image", reference=True)
    held = {tile.column: tile.reference for tile in plan.tiles if tile.reference}
    for tile in plan.tiles:
        if tile.cell and tile.cell.request:
            assert tile.cell.request.images[0] is held[tile.column]


def test_reference_stands_in_front_of_a_sheet(results: Make) -> None:
    """A contact sheet begins with the reference, on every page."""
    made = results(run=False, seed="1-25")
    for page in (1, 2, 3):
        assert plan_grid(made, reference=True, per_page=10, page=page).tiles[0].reference


def test_missing_references_are_said(results: Make) -> None:
    """Results that hold no references say so and show the rest."""
    made = results(seed=[1, 2])
    made[0].request = None
    plan = plan_grid(made, reference=True)
    assert "the references are not held by these results" in plan.notes
    assert len(plan.tiles) == 2


def test_group_labels_span_their_group(results: Make) -> None:
    """The label of an outer column stands in the middle of its columns."""
    made = results(
        "Add a {animal}.", axes={"animal": ["bird", "crab"], "seed": [1, 2], "guidance_scale": [2, 5]}
    )
    plan = plan_grid(made, columns=["animal", "seed"])
    first, last = plan.tile(0, 0), plan.tile(0, 1)
    label = next(label for label in plan.labels if label.lines == ("bird",))
    assert first is not None
    assert last is not None
    assert pytest.approx((first.rect.left + last.rect.right) / 2) == label.x


def test_plan_is_a_value(results: Make) -> None:
    """The same results give an equal plan."""
    made = results(seed=[1, 2], guidance_scale=[2, 5])
    assert plan_grid(made) == replace(plan_grid(made))


def test_states_keep_their_places(results: Make) -> None:
    """A failed cell's tile stands where its picture would."""
    made = results(seed=[1, 2])
    before = plan_grid(made).tiles[1].rect
    made[1].outputs = []
    made[1].end(State.FAILED, "429", "too many requests")
    assert pytest.approx(before.left, abs=0.02) == plan_grid(made).tiles[1].rect.left


def test_something_else_than_results_is_a_type_error() -> None:
    """It names what to give."""
    with pytest.raises(TypeError, match=r"results must be kl\.Results, not list"):
        plan_grid([1])  # type: ignore[arg-type]
