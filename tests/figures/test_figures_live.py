"""The live sheet: what is redrawn and what is not, marks, pictures that come late, sharpening."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from figures_making import moderated, show
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from skimage import data

from kontext_lab.figures import (
    LiveSheet,
    Mark,
    PageSize,
    Previews,
    grid,
    parameters,
    plan_grid,
    rest,
    values_of,
)
from kontext_lab.figures.geometry import GridPlan, Tile
from kontext_lab.figures.painter import whole_pixels
from kontext_lab.results import Output, Results, State

Make = Callable[..., Results]
AXES = {"guidance_scale": [2, 5], "seed": [1, 2]}


@pytest.fixture
def sheet() -> LiveSheet:
    """An empty sheet on an Agg canvas."""
    figure = Figure(dpi=100)
    FigureCanvasAgg(figure)
    return LiveSheet(figure)


def pixels(sheet: LiveSheet) -> np.ndarray:
    """What the sheet looks like."""
    sheet.figure.canvas.draw()
    return np.asarray(sheet.figure.canvas.buffer_rgba())[..., :3].astype(int)


def part(sheet: LiveSheet, tile: Tile) -> np.ndarray:
    """The pixels of one tile."""
    left, top, width, height = whole_pixels(tile.rect, sheet.figure.dpi)
    return pixels(sheet)[top : top + height, left : left + width]


def artists(sheet: LiveSheet) -> set[int]:
    """What lies on the sheet."""
    return {id(artist) for artist in sheet.figure.axes[0].get_children()}


def live(results: Results, **options: object) -> GridPlan:
    """A plan for a live sheet."""
    return plan_grid(results, title="", live=True, **options)  # type: ignore[arg-type]


def without_preview(results: Results, load: Callable[[], bytes]) -> None:
    """Let a store hold the previews."""
    for output in results.outputs:
        output.data = output.preview = b""
        output.load_preview = load


def test_looks_like_a_grid(results: Make, sheet: LiveSheet) -> None:
    """A live sheet shows what `kl.grid` draws of the same results."""
    made = results(axes=AXES)
    show(sheet, plan_grid(made))
    figure = grid(made, dpi=100)
    FigureCanvasAgg(figure).draw()
    drawn = np.asarray(figure.canvas.buffer_rgba())[..., :3].astype(int)
    assert np.abs(pixels(sheet) - drawn).mean() < 0.5


def test_the_same_again_changes_nothing(results: Make, sheet: LiveSheet) -> None:
    """The same plan again says that nothing changed, so nothing has to be drawn."""
    made = results(axes=AXES)
    assert show(sheet, live(made))
    assert not show(sheet, live(made))


def test_an_arrival_redraws_one_tile(results: Make, sheet: LiveSheet) -> None:
    """When a picture arrives its tile changes, the others and the words stay."""
    waiting, done = results(axes=AXES, run=False), results(axes=AXES)
    plan = live(waiting)
    show(sheet, plan)
    before, seen = pixels(sheet), artists(sheet)
    waiting[1].take(done[1])
    assert show(sheet, live(waiting))
    changed = np.argwhere((pixels(sheet) != before).any(axis=2))
    rect = next(tile.rect for tile in plan.tiles if tile.cell is waiting[1])
    left, top, width, height = whole_pixels(rect, 100)
    assert (changed.min(axis=0) >= (top, left)).all()
    assert (changed.max(axis=0) < (top + height, left + width)).all()
    assert seen == artists(sheet)


def test_nothing_moves_when_pictures_arrive(results: Make) -> None:
    """Tiles lie where they lay while their cells were waiting."""
    waiting, done = live(results(axes=AXES, run=False)), live(results(axes=AXES))
    assert [tile.rect for tile in waiting.tiles] == [tile.rect for tile in done.tiles]


@pytest.mark.parametrize(
    "state", [State.RUNNING, State.FAILED, State.IN_DOUBT, State.SKIPPED, State.CANCELLED]
)
def test_states_look_different(results: Make, sheet: LiveSheet, state: State) -> None:
    """A cell that waits looks different from one in any other state."""
    made = results(axes=AXES, run=False)
    made[0].state = state
    plan = live(made)
    show(sheet, plan)
    other, waiting = (part(sheet, plan.tiles[at])[:290, :440] for at in (0, 3))
    assert np.abs(other - waiting).max() > 20


def test_a_reused_cell_says_so_before_it_runs(results: Make) -> None:
    """A planned cell whose pictures are known from an earlier run says so."""
    made = results(axes=AXES, run=False)
    made[0].reused_from, made[0].note = "abc", "paid for on 1 Nov"
    card = live(made).tiles[0].card
    assert card is not None
    assert ("reused", "paid for on 1 Nov") == (card.heading, card.note)


def test_a_crop_shows_another_part_of_all(results: Make, sheet: LiveSheet, noisy: Make) -> None:
    """At another crop every picture changes, and the words stay as they are."""
    made = noisy(axes=AXES)
    plan = live(made)
    show(sheet, plan)
    before, seen = [part(sheet, tile) for tile in plan.tiles], artists(sheet)
    show(sheet, replace(plan, crop=(0.1, 0.1, 0.4, 0.4)))
    assert [True] * 4 == [
        bool((part(sheet, tile) != old).any()) for tile, old in zip(plan.tiles, before, strict=True)
    ]
    assert seen == artists(sheet)


def test_another_size_rebuilds(results: Make, sheet: LiveSheet) -> None:
    """A plan of another geometry is drawn anew, at its own size."""
    show(sheet, live(results(axes=AXES)))
    plan = live(results(axes={"seed": "1-9"}))
    assert show(sheet, plan)
    assert pytest.approx((plan.width, plan.height), abs=0.02) == tuple(sheet.figure.get_size_inches())


def test_a_mark_survives_a_rebuild(results: Make, sheet: LiveSheet) -> None:
    """What was selected is framed again on a page laid out differently."""
    made = results(axes=AXES)
    show(sheet, live(made))
    sheet.select(Mark(made[2]))
    plan = live(made, rows="seed", columns="guidance_scale", page_size=PageSize(6, 4))
    show(sheet, plan)
    tile = next(tile for tile in plan.tiles if tile.cell is made[2])
    assert np.abs(part(sheet, tile)[40, 0] - (9, 105, 218)).max() < 30


def test_a_mark_follows_its_cell_from_plan_to_run(results: Make) -> None:
    """A selected cell of the plan stays selected when the run's cell takes its place."""
    planned, run = results(axes=AXES, run=False), results(axes=AXES)
    for cell in planned:
        cell.fingerprint = ""
    tiles = live(run).tiles
    assert [run[2]] == [tile.cell for tile in tiles if Mark(planned[2]).is_on(tile)]


def test_select_none_takes_the_frame_away(results: Make, sheet: LiveSheet) -> None:
    """Without marks the sheet looks as it did before the first."""
    made = results(axes=AXES)
    show(sheet, live(made))
    before = pixels(sheet)
    sheet.select(Mark(made[0], 1, "A"), Mark(made[1], 1, "B"))
    sheet.select()
    assert (before == pixels(sheet)).all()


def test_missing_are_named(results: Make, sheet: LiveSheet) -> None:
    """Tiles whose pictures are not loaded are named, and say that they are being loaded."""
    made = results(axes=AXES)
    plan = live(made)
    assert 4 == len(sheet.missing(plan))
    sheet.show(plan)
    assert part(sheet, plan.tiles[0]).std() < 30
    for tile in sheet.missing():
        sheet.load(tile)
    assert [] == sheet.missing()
    assert sheet.show(plan)


def test_what_cannot_be_loaded_says_why(results: Make, sheet: LiveSheet) -> None:
    """A store that fails leaves a card with its words, and the other tiles are drawn."""
    made = results(axes=AXES)

    def fail() -> bytes:
        raise OSError("the store is away")

    without_preview(made, fail)
    plan = live(made)
    show(sheet, plan)
    found = sheet.previews.get(plan.tiles[0])
    assert "OSError: the store is away" == getattr(found, "note", "")


def test_previews_stay_within_their_limit(results: Make) -> None:
    """Of more pictures than there is room for, the longest unused go."""
    made = results(axes=AXES)
    previews = Previews(most_bytes=300 * 200 * 3 * 2)
    tiles = live(made).tiles
    for tile in tiles:
        previews.load(tile)
    held = [previews.get(tile) is not None for tile in tiles]
    assert (False, True) == (held[0], held[-1])


def test_sharpening_shows_full_resolution(results: Make, sheet: LiveSheet) -> None:
    """Zoomed in further than previews reach, tiles are coarse until their own pixels are put in place."""
    made = results(axes={"seed": [1]})
    output = made[0].outputs[0]
    # The preview is a quarter of the picture.
    output.preview = thumbnail_bytes(output)
    plan = replace(live(made), crop=(0.25, 0.25, 0.375, 0.375))
    show(sheet, plan)
    assert [plan.tiles[0]] == sheet.coarse()
    for tile, sharp in sheet.sharpen(sheet.coarse(), plan):
        assert sheet.put(tile, sharp, plan.crop)
    assert [] == sheet.coarse()


def test_pixels_of_another_crop_are_not_put(results: Make, sheet: LiveSheet) -> None:
    """What was sharpened for a crop that is no longer shown is dropped."""
    made = results(axes={"seed": [1]})
    plan = live(made)
    show(sheet, plan)
    ((tile, sharp),) = sheet.sharpen(plan.tiles, plan)
    show(sheet, replace(plan, crop=(0.0, 0.0, 0.5, 0.5)))
    assert not sheet.put(tile, sharp, plan.crop)


def test_a_live_page_is_no_wider_than_its_room(results: Make) -> None:
    """For however many cells, a page keeps to the width it is given."""
    made = results(axes={"guidance_scale": "1-10:0.5", "seed": "1-16"}, run=False)
    assert live(made, page_size=PageSize(8, 6)).width <= 8.4 + 0.01


def thumbnail_bytes(output: Output) -> bytes:
    """A preview of a quarter of the output's pixels a side."""
    buffer = io.BytesIO()
    small = output.image.resize((output.width // 4, output.height // 4))
    small.save(buffer, "PNG")
    return buffer.getvalue()


def test_parameters_are_those_that_vary(results: Make) -> None:
    """Pickers offer what has two values at least, what was swept first."""
    made = results("Add a {animal}.", axes={**AXES, "animal": ["bird", "crab"]}, aspect_ratio="1:1")
    assert ["guidance_scale", "seed", "animal"] == parameters(made)


def test_outputs_can_stand_on_rows(results: Make) -> None:
    """Several pictures a request are a parameter, also before there is an answer."""
    made = results(axes={"seed": [1, 2]}, num_images=2, run=False)
    assert ["seed", "output"] == parameters(made)
    assert ["1", "2"] == [label for label, _ in values_of(made, "output")]


def test_rest_is_what_has_no_place(results: Make) -> None:
    """Every independent parameter that stands nowhere needs a slider."""
    made = results("Add a {animal}.", axes={**AXES, "animal": ["bird", "crab"]})
    assert ["animal"] == rest(made, ["guidance_scale"], ["seed"])
    assert ["seed", "animal"] == rest(made, ["guidance_scale"], [])


def test_paired_parameters_need_one_slider(results: Make) -> None:
    """What follows from a parameter with a place needs no slider."""
    made = results(
        prompt=None, axes={"prompt+guidance_scale": [("Add a.", 2), ("Add b.", 6)], "seed": [1, 2]}
    )
    assert ["seed"] == rest(made, ["guidance_scale"], [])


@pytest.mark.parametrize("key", ["prompt", "animal", "seed"])
def test_a_value_picks_exactly_itself(results: Make, key: str) -> None:
    """The cells that the values of a parameter pick are all there are, each once."""
    long = "Add a {animal} to the left foreground of this very long photo, and keep everything else."
    made = results(
        prompt=None, axes={"prompt": [long, "Add a {animal}."], "animal": ["bird", "crab"], "seed": [1, 2]}
    )
    picks = [ids_picked(made, key, value) for _, value in values_of(made, key)]
    assert [4, 4] == [len(some) for some in picks]
    assert {id(cell) for cell in made} == picks[0] | picks[1]


def ids_picked(results: Results, key: str, value: object) -> set[int]:
    """The cells that are shown where one value is picked."""
    rows = [one for one in ("prompt", "animal", "seed") if one != key]
    return {id(tile.cell) for tile in live(results, rows=rows, columns=[], where={key: value}).tiles}


def test_sliders_leave_nothing_to_say(results: Make) -> None:
    """With every remaining parameter picked, a live sheet's caption is silent about them."""
    made = results(
        "Add a {animal}.", axes={**AXES, "animal": ["bird", "crab"]}, service="https://api.example"
    )
    where = {key: values_of(made, key)[0][1] for key in rest(made, ["guidance_scale"], ["seed"])}
    plan = live(made, rows="guidance_scale", columns="seed", where=where)
    assert ((), 4) == (plan.notes, len(plan.tiles))


def test_moderated_cells_say_so(results: Make) -> None:
    """An output held back by moderation is a card of its own kind."""
    made = results(axes={"seed": [1]})
    made[0].outputs = [Output.from_picture(made[0], 1, moderated())]
    card = live(made).tiles[0].card
    assert card is not None
    assert "moderated" == card.kind


def test_sweeps_of_other_pictures_are_told_apart(results: Make) -> None:
    """Different references of one name are picked one by one."""
    one = results(axes={"seed": [1]}, image=data.coffee())
    two = results(axes={"seed": [1]}, image=data.astronaut())
    both = one + two
    assert [1, 1] == [len(live(both, where={"image": value}).tiles) for _, value in values_of(both, "image")]
