"""Which parameters stand on rows and columns, and what is shown where others vary as well."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from kontext_lab.errors import NotFound, SweepError
from kontext_lab.figures import GridPlan, plan_grid
from kontext_lab.results import Results

Make = Callable[..., Results]
ANIMAL = "Add a {animal}."


def names(plan: GridPlan) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Parameters on rows and on columns."""
    return plan.row_names, plan.column_names


def titles(plan: GridPlan) -> list[str]:
    """The cells shown, by title."""
    return [tile.cell.title for tile in plan.tiles if tile.cell]


def test_guidance_goes_down_and_seeds_across(results: Make) -> None:
    """Of guidance and seed, guidance stands on the rows and the seed on the columns."""
    assert names(plan_grid(results(seed=[1, 2], guidance_scale=[2, 8]))) == (("guidance_scale",), ("seed",))


def test_numbers_come_before_words(results: Make) -> None:
    """With three axes, the two numeric ones are placed."""
    made = results(ANIMAL, axes={"animal": ["bird", "crab"], "seed": [1, 2], "guidance_scale": [2, 5]})
    assert names(plan_grid(made)) == (("guidance_scale",), ("seed",))


def test_prompts_stand_on_rows(results: Make) -> None:
    """Labels as long as prompts have room beside the rows."""
    assert names(plan_grid(results(["Add a bird.", "Add a crab."], guidance_scale=[2, 5]))) == (
        ("prompt",),
        ("guidance_scale",),
    )


def test_rest_shows_its_first_value(results: Make) -> None:
    """Of axes without a place, the first value is shown."""
    made = results(ANIMAL, axes={"animal": ["bird", "crab"], "seed": [1, 2], "guidance_scale": [2, 5]})
    assert all("bird" in title for title in titles(plan_grid(made)))


def test_rest_is_named_in_the_caption(results: Make) -> None:
    """The caption says what is shown, what there is besides, and how to pick."""
    made = results(ANIMAL, axes={"animal": ["bird", "crab"], "seed": [1, 2], "guidance_scale": [2, 5]})
    assert "shown: animal bird; also there: crab – where={…} picks" in plan_grid(made).notes


def test_where_picks(results: Make) -> None:
    """`where` shows the cells with that value, and the caption says so."""
    made = results(ANIMAL, axes={"animal": ["bird", "crab"], "seed": [1, 2], "guidance_scale": [2, 5]})
    plan = plan_grid(made, where={"animal": "crab"})
    assert all("crab" in title for title in titles(plan))
    assert "picked: animal crab" in plan.notes


def test_where_takes_lists(results: Make) -> None:
    """A list means any of its values."""
    plan = plan_grid(results(seed="1-9", guidance_scale=[2, 5]), where={"seed": [2, 4]})
    assert plan.columns == (("2",), ("4",))


def test_where_picks_an_output(results: Make) -> None:
    """`output` picks one of several pictures of a cell."""
    plan = plan_grid(results(num_images=3), where={"output": 2})
    assert [tile.number for tile in plan.tiles] == [2]


def test_where_picks_a_prompt_by_its_code(results: Make) -> None:
    """A prompt is picked by what the figure calls it."""
    made = results(["A long prompt that says very much.", "Another long prompt that says more."], seed=[1, 2])
    plan = plan_grid(made, where={"prompt": "P2"})
    assert {"Another long prompt that says more."} == {
        tile.cell.params["prompt"] for tile in plan.tiles if tile.cell
    }


def test_where_picks_the_first_repeat(results: Make) -> None:
    """The first repeat is picked like any other, though it is not logged."""
    made = results(axes={"repeat": [1, 2, 3]})
    assert len(plan_grid(made, where={"repeat": 1}).tiles) == 1


def test_first_repeat_has_its_place(results: Make) -> None:
    """An axis of repeats starts at 1."""
    assert plan_grid(results(axes={"repeat": [1, 2, 3]})).rows == (("1",), ("2",), ("3",))


def test_unknown_parameter_names_what_there_is(results: Make) -> None:
    """A row that no cell has is an error that lists parameters."""
    with pytest.raises(
        NotFound, match=r"^guidance: no cell has such a parameter, there are .*guidance_scale"
    ):
        plan_grid(results(seed=[1, 2]), rows="guidance")


def test_unknown_value_names_what_there_is(results: Make) -> None:
    """A value that no cell has is an error that lists values."""
    with pytest.raises(NotFound, match="seed=7: no cell has it, there are 1, 2"):
        plan_grid(results(seed=[1, 2]), where={"seed": 7})


def test_unknown_output_names_what_there_is(results: Make) -> None:
    """An output that no cell has is an error that lists outputs."""
    with pytest.raises(NotFound, match="output=4: no cell has it, there are 1, 2"):
        plan_grid(results(num_images=2), where={"output": 4})


def test_parameter_stands_once(results: Make) -> None:
    """The same parameter on rows and columns is an error."""
    with pytest.raises(SweepError, match="seed: stands more than once"):
        plan_grid(results(seed=[1, 2]), rows="seed", columns="seed")


@pytest.mark.parametrize("rows", [3, [1, 2], {"seed": 1}])
def test_rows_are_names(results: Make, rows: object) -> None:
    """Anything but names of parameters is an error."""
    with pytest.raises(SweepError, match="rows: "):
        plan_grid(results(seed=[1, 2]), rows=rows)  # type: ignore[arg-type]


def test_nested_rows(results: Make) -> None:
    """A list of parameters nests rows, the first outermost."""
    made = results(ANIMAL, axes={"animal": ["bird", "crab"], "seed": [1, 2], "guidance_scale": [2, 5]})
    plan = plan_grid(made, rows=["animal", "guidance_scale"])
    assert plan.rows == (("bird", "2"), ("bird", "5"), ("crab", "2"), ("crab", "5"))


def test_paired_values_share_a_label(results: Make) -> None:
    """Parameters that vary together are one axis, and its label names both."""
    made = results(
        None, axes={"prompt+guidance_scale": [("Add a bird.", 2), ("Add a crab.", 6)], "seed": [1, 2]}
    )
    plan = plan_grid(made)
    assert plan.rows == (("Add a bird. · guidance_scale 2",), ("Add a crab. · guidance_scale 6",))
    assert len(plan.tiles) == 4


def test_word_a_prompt_does_not_use(results: Make) -> None:
    """Cells without a placeholder have a column of their own, and combinations that don't exist are empty."""
    made = results([ANIMAL, "Remove the spoon."], axes={"animal": ["bird", "crab"]})
    plan = plan_grid(made, rows="prompt", columns="animal")
    assert plan.columns == (("bird",), ("crab",), ("(none)",))
    assert {(0, 0), (0, 1), (1, 2)} == {(tile.row, tile.column) for tile in plan.tiles}


def test_prompt_with_words_is_one_row(results: Make) -> None:
    """A prompt is one value, whatever word fills it."""
    plan = plan_grid(results([ANIMAL, "Draw a {animal}."], axes={"animal": ["bird", "crab"]}))
    assert plan.rows == ((ANIMAL,), ("Draw a {animal}.",))


def test_outputs_are_an_axis(results: Make) -> None:
    """Several pictures of a cell stand side by side."""
    plan = plan_grid(results(num_images=3, seed=[1, 2]))
    assert names(plan) == (("seed",), ("output",))
    assert [tile.number for tile in plan.tiles] == [1, 2, 3, 1, 2, 3]


def test_outputs_have_places_before_they_arrive(results: Make) -> None:
    """A waiting cell holds places for all its pictures."""
    assert len(plan_grid(results(run=False, num_images=3)).tiles) == 3


def test_first_of_several_at_one_place(results: Make) -> None:
    """Where results of two runs share places, the first is shown and the caption counts the others."""
    both = results(seed=[1, 2]) + results(seed=[1, 2], service="https://api.example.com")
    plan = plan_grid(both)
    assert len(plan.tiles) == 2
    assert any(note.startswith("2 cells not shown") for note in plan.notes)


def test_numbers_are_in_order_of_size(results: Make) -> None:
    """Numeric values are sorted, however they were given."""
    plan = plan_grid(results(seed=[3, 1, 2], guidance_scale=[10, 9.5]))
    assert plan.rows == (("9.5",), ("10",))
    assert plan.columns == (("1",), ("2",), ("3",))
