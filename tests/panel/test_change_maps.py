"""Change maps and measured values in the panel: the pickers of the grid, and the map in the inspector."""

from __future__ import annotations

import io

import numpy as np
import pytest
from panel_driver import drive
from PIL import Image

from kontext_lab.figures import Tile
from kontext_lab.figures.geometry import Overlay, Rect
from kontext_lab.panel import Panel
from kontext_lab.panel.axis_pickers import AxisPickers
from kontext_lab.panel.picture_loader import PictureLoader
from kontext_lab.results import CellResult, Output


@pytest.fixture
def ran(typed: Panel) -> Panel:
    """A panel whose sweep of two guidance scales and two seeds ran, its first cell picked."""
    typed.run()
    typed.wait(60)
    for at, output in enumerate(typed.results.outputs):
        output.metrics = {"change/area": 0.01 * (at + 1), "preserve/ssim": 0.9}
    typed.select(seed=1, guidance_scale=2)
    drive(typed).grid.redraw()
    typed.wait(20)
    return typed


def pickers(panel: Panel) -> AxisPickers:
    """The pickers of the tab Grid."""
    return drive(panel).grid.pickers


def tiles(panel: Panel) -> tuple[Tile, ...]:
    """What is on show."""
    plan = drive(panel).grid.plan
    assert plan is not None
    return plan.tiles


def show(panel: Panel, what: str) -> None:
    """Pick what is shown, and wait for it."""
    pickers(panel).showing.value = what
    panel.wait(60)


@pytest.mark.slow
def test_maps_take_the_places_of_outputs(ran: Panel) -> None:
    """And each is there in the end."""
    show(ran, "change")
    previews = drive(ran).grid.canvas.sheet.previews
    assert all(isinstance(previews.get(tile), Image.Image) for tile in tiles(ran))
    assert all(tile.overlay is not None for tile in tiles(ran))


@pytest.mark.slow
def test_references_take_the_places_of_outputs(ran: Panel) -> None:
    """The cells can still be picked."""
    show(ran, "reference")
    assert all(tile.reference is not None and tile.cell is not None for tile in tiles(ran))


@pytest.mark.slow
def test_results_from_the_store_bring_their_references(ran: Panel) -> None:
    """Off the widgets' thread; until then the outputs stay on show."""
    loaded = drive(ran).session.lab.load(ran.results.name)
    drive(ran).session.results = loaded
    pickers(ran).showing.value = "reference"
    at_once = [tile.reference for tile in tiles(ran)]
    ran.wait(60)
    assert [None] * 4 == at_once
    assert all(tile.reference is not None for tile in tiles(ran))


def test_a_plan_can_be_looked_at_with_any_picker(typed: Panel) -> None:
    """Its cells wait, whatever is to be shown of them."""
    show(typed, "change")
    assert ["waiting"] * 4 == [tile.card.kind for tile in tiles(typed) if tile.card is not None]
    assert "" == drive(typed).grid.trouble.text


def test_measured_values_are_offered(ran: Panel) -> None:
    """How much changed before how well the rest was kept."""
    assert ["–", "change/area", "preserve/ssim"] == [name for _, name in pickers(ran).frames.options]


def test_a_picked_value_frames_its_pictures(ran: Panel) -> None:
    """Each with its own."""
    pickers(ran).frames.value = "change/area"
    ran.wait(20)
    assert {"0.010", "0.020", "0.030", "0.040"} == {
        tile.frame.words for tile in tiles(ran) if tile.frame is not None
    }


def test_a_value_that_is_there_no_more_is_given_up(ran: Panel) -> None:
    """Other results were measured otherwise."""
    pickers(ran).frames.value = "preserve/ssim"
    for output in ran.results.outputs:
        output.metrics = {"change/area": 0.1}
    drive(ran).grid.redraw()
    assert "–" == pickers(ran).frames.value


@pytest.mark.slow
def test_compare_measures_as_well(ran: Panel) -> None:
    """What was gathered hands on what measures."""
    drive(ran).open_tab("Compare")
    ran.wait(20)
    compare = drive(ran).compare
    compare.add_shown()
    compare.pickers.showing.value = "change"
    ran.wait(60)
    plan = compare.canvas.plan
    assert plan is not None
    assert all(tile.overlay is not None for tile in plan.tiles)


def test_maps_are_measured_one_by_one() -> None:
    """Each is shown as soon as it is there, and no more than two are under way."""
    jobs: list[object] = []

    class Sheet:
        """Five maps are missing."""

        def missing(self) -> list[Tile]:
            """All of them, each time."""
            return [_overlaid(at) for at in range(5)]

    fetching = PictureLoader(Sheet(), lambda work, _: jobs.append(work), lambda: None, lambda _: None)  # type: ignore[arg-type]
    fetching.fetch()
    assert 2 == len(jobs)


def _overlaid(at: int) -> Tile:
    cell = CellResult(str(at), {})
    cell.outputs = [Output(cell, 1, sha256=str(at), format="jpeg")]
    return Tile(0, at, Rect(at, 0, 1, 1), cell, 1, overlay=Overlay(lambda _: None))  # type: ignore[arg-type, return-value]


# --- the inspector ---------------------------------------------------------------------------------------


def left(panel: Panel) -> Image.Image:
    """The picture before, decoded."""
    return Image.open(io.BytesIO(drive(panel).inspector.viewer.pictures["left"]))


def test_the_map_takes_the_place_of_the_picture_before(ran: Panel) -> None:
    """In grey with colour where something changed; the output stays where it is."""
    inspector = drive(ran).inspector
    after = inspector.viewer.pictures["right"]
    inspector.change_map.value = True
    ran.wait(30)
    spread = np.ptp(np.asarray(left(ran).convert("RGB")).astype(int), axis=2)
    assert spread.max() > 100
    assert np.median(spread) < 10
    assert after == inspector.viewer.pictures["right"]
    assert inspector.viewer.left_label.startswith("change map over reference ")


def test_switched_off_the_reference_is_back(ran: Panel) -> None:
    """With its label."""
    inspector = drive(ran).inspector
    before = (inspector.viewer.pictures["left"], inspector.viewer.left_label)
    inspector.change_map.value = True
    ran.wait(30)
    inspector.change_map.value = False
    assert before == (inspector.viewer.pictures["left"], inspector.viewer.left_label)
    assert "" == inspector.map_line.text


@pytest.mark.slow
def test_it_stays_on_for_the_next_cell(ran: Panel) -> None:
    """Who looks at changes goes on doing so."""
    inspector = drive(ran).inspector
    inspector.change_map.value = True
    ran.wait(30)
    first = inspector.viewer.pictures["left"]
    ran.select(seed=2, guidance_scale=8)
    ran.wait(30)
    assert inspector.viewer.left_label.startswith("change map over ")
    assert first != inspector.viewer.pictures["left"]


def test_what_cannot_be_compared_is_said(ran: Panel) -> None:
    """Beside the button, and the reference stays."""
    inspector = drive(ran).inspector
    buffer = io.BytesIO()
    Image.new("RGB", (300, 200), (90, 90, 90)).save(buffer, "PNG")
    output = ran.selection
    output.load, output.data, output.sha256 = None, buffer.getvalue(), "0" * 64
    inspector.change_map.value = True
    ran.wait(30)
    assert "blank: the output shows nothing that could be compared" == inspector.map_line.text
    assert inspector.viewer.left_label.startswith("reference ")


def test_a_cell_without_a_picture_has_no_map(typed: Panel) -> None:
    """The button rests."""
    typed.wait(20)
    tile = tiles(typed)[0]
    drive(typed).click(tile)
    assert drive(typed).inspector.change_map.disabled
