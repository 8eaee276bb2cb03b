"""What the panel looks like, as far as it can be told without a browser."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from panel_driver import button, drive, parts

import kontext_lab as kl
from kontext_lab.figures.grid_plan import plan_grid
from kontext_lab.figures.sizing import PageSize
from kontext_lab.panel import Panel
from kontext_lab.panel.axis_pickers import AxisPickers
from kontext_lab.panel.ui_dispatcher import UiDispatcher, keep_messages
from kontext_lab.results import CellResult, Results


def planned(photo: Path, **axes: Any) -> Results:
    """The waiting cells of a sweep."""
    sweep = kl.Sweep("Add a bird.", photo, axes=axes)
    return Results([CellResult.from_cell(cell, "sandbox", str(cell.index)) for cell in sweep.cells])


def test_another_sweeps_parameters_are_picked_anew(photo_file: Path) -> None:
    """Rows and columns of the sweep before suit it no more."""
    pickers = AxisPickers(lambda: None)
    pickers.put(planned(photo_file, aspect_ratio=["1:1", "16:9"], seed="1-3"))
    pickers.put(planned(photo_file, guidance_scale="1-6", seed="1-12"))
    assert ("guidance_scale", "seed") == (pickers.rows.value, pickers.columns.value)


def test_what_was_picked_stays_where_a_parameter_comes_along(photo_file: Path) -> None:
    """A person's choice is kept as long as it is possible."""
    pickers = AxisPickers(lambda: None)
    pickers.put(planned(photo_file, guidance_scale="1-2", seed="1-3"))
    pickers.rows.value, pickers.columns.value = "seed", "guidance_scale"
    pickers.put(planned(photo_file, guidance_scale="1-2", seed="1-3", aspect_ratio=["1:1", "16:9"]))
    assert ("seed", "guidance_scale") == (pickers.rows.value, pickers.columns.value)


def test_long_values_of_a_slider_are_told_apart(photo_file: Path) -> None:
    """By the words in which they differ, not by a number."""
    words = [f"a small crab that sits on the rim of the saucer and wears a {hat}" for hat in ("cap", "crown")]
    sweep = kl.Sweep("Add {w}.", photo_file, axes={"w": words, "seed": [1, 2], "guidance_scale": [1, 2]})
    pickers = AxisPickers(lambda: None)
    pickers.put(Results([CellResult.from_cell(cell, "sandbox", cell.title) for cell in sweep.cells]))
    pickers.rows.value, pickers.columns.value = "seed", "guidance_scale"
    (slider,) = pickers.sliders.values()
    assert ["cap", "crown"] == [label.rpartition(" ")[2] for label, _ in slider.options]


def test_the_prompts_have_names_for_screen_readers(panel: Panel) -> None:
    """Also where only their own names are seen."""
    button(panel, "+ prompt").click()
    rows = drive(panel).form.prompts.rows
    assert ["Prompt 1", "Prompt 2"] == [row.text.description for row in rows]


def test_the_number_of_references_is_said_beside_what_becomes_of_them(panel: Panel, photo_file: Path) -> None:
    """`2 references`, `combined in each request`."""
    references = drive(panel).form.references
    references.add(kl.sample("coffee"))
    references.add(kl.sample("chelsea"))
    assert "2 references" == references.mode.description


def test_a_value_being_typed_stays_marked_when_a_plan_comes(typed: Panel) -> None:
    """What is wrong as it stands there is not unsaid by what is right elsewhere."""
    field = drive(typed).form.fields["seed"]
    field.pending = "abc"
    drive(typed).form.mark({})
    assert field.error.startswith("seed: 'abc'")


def test_a_fields_problem_is_said_without_where_it_is(panel: Panel) -> None:
    """It stands beside the field."""
    field = drive(panel).form.fields["seed"]
    field.mark("axis 'seed', value 1: seed: 'x', allowed is a whole number from 1")
    assert "seed: 'x', allowed is a whole number from 1" == field.error


def test_the_example_does_not_write_over_what_was_typed(typed: Panel) -> None:
    """The button for it is there only in an empty panel."""
    assert "none" == drive(typed).grid.example.layout.display


def test_the_line_of_what_is_pointed_at_keeps_its_place(typed: Panel) -> None:
    """What is below must not jump when the pointer leaves."""
    grid = drive(typed).grid
    drive(typed).hover(None)
    assert grid.hovered.layout.display is None


def test_nothing_is_said_of_a_cell_before_one_is_picked(typed: Panel) -> None:
    """It takes no space either."""
    assert "none" == drive(typed).inspector.description.layout.display


def test_a_note_is_among_the_words_of_what_is_pointed_at(typed: Panel) -> None:
    """Verdicts and notes are shown everywhere."""
    grid = drive(typed).grid
    typed.run()
    typed.wait(30)
    tile = grid.plan.tiles[0]
    tile.cell.comment = "too dark"
    drive(typed).hover(tile)
    assert grid.hovered.text.endswith("note: too dark")


@pytest.mark.slow
def test_a_verdict_is_seen_on_the_grid_at_once(typed: Panel) -> None:
    """On the criterion that is chosen."""
    typed.run()
    typed.wait(30)
    typed.select(seed=1, guidance_scale=2)
    typed.set_verdict("follows prompt", True)
    typed.wait(10)
    assert ["✓", "", "", ""] == sorted((tile.verdicts for tile in drive(typed).grid.plan.tiles), reverse=True)


@pytest.mark.parametrize("width", [5.0, 10.3])
def test_a_live_sheet_is_no_wider_than_its_paper(photo_file: Path, width: float) -> None:
    """But for its narrow margin."""
    plan = plan_grid(
        planned(photo_file, guidance_scale="1-6", seed="1-12"),
        page_size=PageSize(width=width, height=6.0, widest=width),
        live=True,
    )
    assert plan.width <= width + 0.1


class Kernel:
    """A kernel's table of what handles its messages."""

    def __init__(self) -> None:
        self.threads: list[str] = []
        self.shell_handlers = {"comm_msg": lambda *_: self.threads.append(threading.current_thread().name)}

    def sent(self, model_id: str) -> None:
        """A message to a widget, handled on a subshell as JupyterLab has it."""
        message = {"content": {"comm_id": model_id, "data": {}}}
        subshell = threading.Thread(
            target=lambda: self.shell_handlers["comm_msg"](None, None, message), name="subshell"
        )
        subshell.start()
        subshell.join(5)


def test_messages_to_the_panel_are_handled_on_its_own_thread(panel: Panel) -> None:
    """Two threads in one figure spoil it."""
    kernel, post = Kernel(), UiDispatcher()
    keep_messages(post, [panel], kernel)
    kernel.sent(button(panel, "Run").model_id)
    post.deliver()
    assert [threading.current_thread().name] == kernel.threads


def test_messages_to_other_widgets_keep_their_ways(panel: Panel) -> None:
    """A subshell is of use to whoever reckons with it."""
    kernel, post = Kernel(), UiDispatcher()
    keep_messages(post, [panel], kernel)
    kernel.sent("of another")
    assert ["subshell"] == kernel.threads


def test_every_button_says_what_it_does(panel: Panel) -> None:
    """To a pointer that rests on it, and to a screen reader."""
    nameless = [
        one.description
        for one in parts(panel)
        if hasattr(one, "click") and not (one.tooltip or one.description)
    ]
    assert [] == nameless
