"""What a figure says: labels, legends, captions, states, and how text is broken."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from figures_making import moderated

from kontext_lab.figures import plan_grid, text
from kontext_lab.request.attempt import Answer, Attempt
from kontext_lab.results import Results, State

Make = Callable[..., Results]
LONG = "Add a small red crab that sits on the rim of the saucer, lit from the left."


def test_short_prompts_are_labels(results: Make) -> None:
    """A short prompt is its own label."""
    assert plan_grid(results(["Add a bird.", "Add a crab."])).rows == (("Add a bird.",), ("Add a crab.",))


def test_long_prompts_are_numbered(results: Make) -> None:
    """A long prompt is called by a number, which the legend explains."""
    plan = plan_grid(results([LONG, "Add a bird."], seed=[1, 2]))
    assert plan.rows == (("P1",), ("Add a bird.",))
    assert plan.legend == (("P1", LONG),)


def test_named_prompts_keep_their_names(results: Make) -> None:
    """A prompt with a name is called by it, and the legend gives the text."""
    plan = plan_grid(
        results(None, axes={"prompt": {"plain": "Add a {animal}.", "long": LONG}, "animal": ["bird"]})
    )
    assert dict(plan.legend) == {"plain": "Add a {animal}.", "long": LONG}


def test_further_prompts_say_what_differs(results: Make) -> None:
    """Of prompts that share most words the legend gives the first, and of the others what they have of their own."""
    plan = plan_grid(
        results(None, axes={"prompt": {"plain": LONG, "keep": LONG + " Keep the rest as it is."}})
    )
    assert plan.legend == (("plain", LONG), ("keep", "… from the left. [+Keep the rest as it is.+]"))


def test_a_single_prompt_is_spelled_out(results: Make) -> None:
    """Where the title is a shortened prompt, the whole one stands below."""
    assert plan_grid(results(LONG)).legend == (("prompt", LONG),)


def test_named_values_show_their_names(results: Make) -> None:
    """Values go by the names a person gave them."""
    plan = plan_grid(results("Add a {animal}.", axes={"animal": {"small": "hermit crab", "large": "whale"}}))
    assert plan.rows == (("small",), ("large",))


def test_references_of_one_name_are_told_apart(results: Make, coffee: object) -> None:
    """Two references with the same name are two values with different labels."""
    other = coffee.crop((0, 0, 300, 300))  # type: ignore[attr-defined]
    plan = plan_grid(results(image=coffee) + results(image=other))
    assert plan.rows == (("picture (1)",), ("picture (2)",))


def test_simulated_pictures_are_called_so(results: Make) -> None:
    """The sandbox's pictures are called simulated, others are not."""
    assert "simulated pictures (sandbox)" in plan_grid(results()).notes
    assert not plan_grid(results(service="https://api.example.com")).notes


def test_some_simulated_pictures_are_counted(results: Make) -> None:
    """Where only some pictures are the sandbox's, the caption counts them."""
    both = results(seed=[1, 2]) + results(seed=[3], service="https://api.example.com")
    assert "simulated pictures (sandbox): 2 of 3" in plan_grid(both).notes


@pytest.mark.parametrize(
    ("state", "reason", "heading"),
    [
        (State.FAILED, "429", "failed · 429"),
        (State.IN_DOUBT, "lost", "in doubt · lost"),
        (State.SKIPPED, "budget", "skipped · budget"),
        (State.CANCELLED, "", "cancelled"),
        (State.WAITING, "", "waiting"),
        (State.RUNNING, "", "running"),
    ],
)
def test_states_say_their_name(results: Make, state: State, reason: str, heading: str) -> None:
    """A cell without a picture says its state and reason."""
    made = results(run=False)
    made[0].end(state, reason)
    card = plan_grid(made).tiles[0].card
    assert card is not None
    assert (heading,) == card.heading_lines


def test_note_is_wrapped_into_the_tile(results: Make) -> None:
    """A failed cell's note is broken to the width of its tile."""
    made = results(run=False, seed=[1, 2, 3, 4], guidance_scale=[2, 5, 8], aspect_ratio="1:1")
    made[0].end(State.FAILED, "429", "too many requests at once; gave up after 6 attempts in 90 s")
    tile = plan_grid(made).tiles[0]
    assert tile.card is not None
    assert len(tile.card.note_lines) >= 2
    assert text.widest(tile.card.note_lines, tile.card.note_points) <= tile.rect.width


def test_small_tiles_keep_the_state(results: Make) -> None:
    """On the smallest tiles state and reason still fit."""
    made = results(run=False, seed="1-20", guidance_scale="1-20", aspect_ratio="1:1")
    made[0].end(State.FAILED, "unreachable", "connection refused")
    tile = plan_grid(made).tiles[0]
    assert tile.card is not None
    assert tile.card.heading_lines == ("failed", "unreachable")
    assert text.widest(tile.card.heading_lines, tile.card.heading_points) <= tile.rect.width


def test_moderated_output_is_marked(results: Make) -> None:
    """A black picture is not shown, its tile says moderated and why."""
    made = results()
    made[0].apply(Attempt("id", Answer((moderated(),))), made[0].arrived)  # type: ignore[arg-type]
    card = plan_grid(made).tiles[0].card
    assert card is not None
    assert (card.kind, card.heading, card.note) == ("moderated", "failed · moderated", "black picture")


def test_moderated_output_among_good_ones(results: Make) -> None:
    """Of a cell's outputs only the moderated one has no picture."""
    made = results(num_images=2)
    made[0].outputs[1].reason, made[0].outputs[1].note = "moderated", "black picture"
    one, other = plan_grid(made).tiles
    assert one.card is None
    assert other.card is not None
    assert other.card.heading == "moderated"


def test_reused_pictures_are_marked(results: Make) -> None:
    """Reused cells are marked, and what the mark means is said once."""
    made = results(seed=[1, 2, 3])
    made[1].reused_from = "abc"
    plan = plan_grid(made, reference=True)
    assert [tile.reused for tile in plan.tiles] == [False, False, True, False]
    assert plan.labels[-1].lines == ("◥ reused from an earlier run: 1 of 3",)


def test_title_can_be_left_out(results: Make) -> None:
    """An empty title leaves none."""
    assert not [label for label in plan_grid(results(), title="").labels if label.role == "title"]


def test_text_is_one_clean_line() -> None:
    """Line ends, control characters and joiners are taken out."""
    assert text.clean("a\n\tb\x00 \u200dc\ufe0f ") == "a b c"


def test_wrapped_lines_fit() -> None:
    """No line is wider than its room, whatever the words."""
    lines = text.wrap("a very-long_word_that_has-no-end_at_all " * 5, 9, 1.0)
    assert text.widest(lines, 9) <= 1.0


def test_wrapped_text_loses_nothing() -> None:
    """All characters of a wrapped text are there."""
    words = "one two, Rindfleischetikettierungsüberwachungsaufgabe three"
    assert words.replace(" ", "") == "".join(text.wrap(words, 9, 0.8)).replace(" ", "")


def test_cut_text_says_so() -> None:
    """Text with too many lines ends in an ellipsis within its room."""
    lines = text.wrap("word " * 50, 9, 1.0, 3)
    assert len(lines) == 3
    assert lines[-1].endswith("…")
    assert text.widest(lines, 9) <= 1.0


def test_one_long_label_does_not_shrink_the_others() -> None:
    """A text that fits at no size leaves the size to those that do."""
    assert text.fitting_size(["bird", "x" * 200], (9, 7), [1.0, 1.0], 2) == 9
