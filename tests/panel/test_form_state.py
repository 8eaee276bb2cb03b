"""What stands in the form, read into a sweep and back."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import kontext_lab as kl
from kontext_lab.panel.form_state import FormError, FormState, LabelledValue

ANIMALS = {"animal": ["bird", "crab"]}


@pytest.fixture
def draft(photo_file: Path) -> FormState:
    """A prompt and a reference."""
    return FormState.of(kl.Sweep("Add a bird.", photo_file))


SWEEPS: dict[str, dict[str, object]] = {
    "plain": {},
    "ranges": {"axes": {"seed": "1-3", "guidance_scale": "2-8:3"}},
    "words": {"prompt": "Add a {animal}.", "axes": {"seed": [1, 2], **ANIMALS}},
    "words between": {
        "prompt": "Add a {animal}.",
        "axes": {"seed": [1, 2], **ANIMALS, "aspect_ratio": "1:1,16:9"},
    },
    "named words": {"prompt": "Add a {animal}.", "axes": {"animal": {"small": "bird", "big": "a whale"}}},
    "axis of one": {"axes": {"seed": [7]}},
    "named axis of one": {"axes": {"guidance_scale": {"low": 2}}},
    "prompts": {"prompt": ["one", "two"]},
    "named prompts": {"prompt": None, "axes": {"prompt": {"plain": "one", "keep": "two"}}},
    "pairs": {
        "prompt": None,
        "axes": {"prompt+guidance_scale": [("a {animal}", 2), ("the {animal}", 6)], **ANIMALS},
    },
    "everything fixed": {
        "model": "max",
        "guidance_scale": 3.5,
        "seed": 5,
        "aspect_ratio": "16:9",
        "safety_tolerance": 3,
        "output_format": "png",
        "num_images": 2,
        "price": 0.03,
        "name": "a name",
        "note": "a note",
    },
    "models and repeats": {"axes": {"model": ["pro", "max"], "repeat": "1-3"}},
    "own model": {"model": "other/model", "price": 0.01},
    "boxes": {"protect": {"face": (0.1, 1 / 3, 0.5, 0.75), "left edge": (0, 0, 0.05, 1)}},
}


@pytest.mark.parametrize("given", SWEEPS.values(), ids=SWEEPS.keys())
def test_a_sweep_put_in_and_read_out_is_the_same(given: dict[str, object], photo_file: Path) -> None:
    """Whatever a sweep holds, it goes through the form unchanged, so that it goes on in its own run."""
    sweep = kl.Sweep(**{"prompt": "Add a bird.", "image": photo_file, **given})
    again = FormState.of(sweep).sweep()
    assert (sweep, sweep.digest("sandbox")) == (again, again.digest("sandbox"))


@pytest.mark.parametrize("how", ["one", "each", "named", "combined", "sets"])
def test_references_go_through_unchanged(how: str, photo_file: Path, photo: np.ndarray) -> None:
    """One, several requests, one request with several, and sets of several."""
    a, b = photo_file, photo[:100]
    given: dict[str, object] = {
        "one": {"image": a},
        "each": {"axes": {"image": [a, b]}},
        "named": {"axes": {"image": {"left": a, "right": b}}},
        "combined": {"images": [a, b]},
        "sets": {"axes": {"images": [[a, b], [b, a]]}},
    }[how]
    sweep = kl.Sweep("Add a bird.", **given)
    again = FormState.of(sweep).sweep()
    assert (sweep, sweep.digest("sandbox")) == (again, again.digest("sandbox"))


def test_several_values_are_an_axis_and_one_is_fixed(draft: FormState) -> None:
    """What has one value does not vary."""
    typed = {"seed": (LabelledValue("1"), LabelledValue("2")), "guidance_scale": (LabelledValue("4"),)}
    sweep = replace(draft, values=typed).sweep()
    assert (["seed"], 4.0) == ([axis.key for axis in sweep.axes], sweep.fixed["guidance_scale"])


def test_new_axes_stand_in_the_usual_order(draft: FormState) -> None:
    """Whatever was typed first: guidance scale, seed, aspect ratio, words."""
    several = {
        "aspect_ratio": (LabelledValue("1:1"), LabelledValue("16:9")),
        "seed": (LabelledValue("1"), LabelledValue("2")),
        "guidance_scale": (LabelledValue("2"), LabelledValue("5")),
    }
    with_words = draft.with_prompts([LabelledValue("a {x}")])
    made = replace(
        with_words, words=with_words.words.replace("x", (LabelledValue("bird"),)), values=several
    ).sweep()
    assert ["guidance_scale", "seed", "aspect_ratio", "x"] == [axis.key for axis in made.axes]


WRONG: list[tuple[Callable[[FormState], FormState], str, str]] = [
    (lambda d: d.with_prompts([LabelledValue("")]), "prompt", "is missing"),
    (
        lambda d: d.with_prompts([LabelledValue("x" * 4001)]),
        "prompt",
        "4001 characters, allowed are at most 4000",
    ),
    (lambda d: d.with_prompts([LabelledValue("one"), LabelledValue("")]), "prompt", "prompt 2: is empty"),
    (lambda d: d.with_prompts([LabelledValue("a {x}")]), "{x}", "{x} has no values"),
    (lambda d: d.with_prompts([LabelledValue("a {seed}")]), "{seed}", "has no values"),
    (lambda d: replace(d, references=()), "image", "is missing"),
    (
        lambda d: replace(d, references=d.references * 5, combined=True),
        "image",
        "5 references in one request",
    ),
    (
        lambda d: replace(d, values={"guidance_scale": (LabelledValue("30"),)}),
        "guidance_scale",
        "a number from 1 to 20",
    ),
    (lambda d: replace(d, price="much"), "price", "US dollars"),
    (lambda d: replace(d, name="two\nlines"), "name", "one line"),
]


@pytest.mark.parametrize(
    ("change", "where", "line"), WRONG, ids=[f"{where}: {line}" for _, where, line in WRONG]
)
def test_what_is_wrong_is_said_where_it_stands(
    draft: FormState, change: Callable[[FormState], FormState], where: str, line: str
) -> None:
    """Each problem has its place and its words."""
    with pytest.raises(FormError) as found:
        change(draft).sweep()
    assert line in found.value.problems[where]


def test_too_many_cells_are_a_problem_of_the_whole(draft: FormState) -> None:
    """10,100 cells are no single field's fault."""
    seeds = tuple(LabelledValue(str(seed)) for seed in range(1, 102))
    repeats = tuple(LabelledValue(str(number)) for number in range(1, 101))
    with pytest.raises(FormError) as found:
        replace(draft, values={"seed": seeds, "repeat": repeats}).sweep()
    assert {"": "101 × 100 make 10100 cells, allowed are at most 10000"} == found.value.problems


def test_too_many_values_are_said_at_their_field(draft: FormState) -> None:
    """10,001 seeds are."""
    seeds = tuple(LabelledValue(str(seed)) for seed in range(1, 10_002))
    with pytest.raises(FormError) as found:
        replace(draft, values={"seed": seeds}).sweep()
    assert ["seed"] == list(found.value.problems)


def test_a_word_that_makes_the_prompt_too_long_is_said_at_the_prompt(draft: FormState) -> None:
    """The error of a cell finds its field."""
    long = draft.with_prompts([LabelledValue("a {x} " + "y" * 3990)])
    with pytest.raises(FormError) as found:
        replace(long, words=long.words.replace("x", (LabelledValue("bird" * 10),))).sweep()
    assert ["prompt"] == list(found.value.problems)


def test_the_error_survives_pickling() -> None:
    """As every error of the tree does."""
    error = FormError({"seed": "seed: no"})
    assert {"seed": "seed: no"} == pickle.loads(pickle.dumps(error)).problems
