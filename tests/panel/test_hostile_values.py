"""Forms, placeholders and copied code under anything that can be typed: what goes in comes out."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

import kontext_lab as kl
from kontext_lab.errors import SweepError
from kontext_lab.images import load_reference
from kontext_lab.panel.code_export import cell_code, sweep_code
from kontext_lab.panel.form_state import FormState, LabelledValue, PlaceholderValues, follow_prompts
from kontext_lab.request import ASPECT_RATIOS
from kontext_lab.results import CellResult
from kontext_lab.sweep.wording import placeholders

PICTURES = [load_reference(np.full((8, 8 + n, 3), 40 * n, np.uint8), name=f"r{n}") for n in range(3)]

texts = st.text(min_size=1, max_size=40).filter(str.strip)
prompts = texts | st.lists(
    st.sampled_from(["a ", "{", "}", "{{", "}}", "{x}", "{y}", "\n", "'", '"', "\\"])
).map("".join)
numbers = st.decimals(1, 20, places=2).map(float)


@st.composite
def sweeps(draw: Any) -> kl.Sweep:
    """Any small sweep."""
    axes: dict[str, Any] = {}
    fixed: dict[str, Any] = {}
    for key, values in (
        ("guidance_scale", numbers),
        ("seed", st.integers(1, 2**40)),
        ("aspect_ratio", st.sampled_from(["match_input", *ASPECT_RATIOS])),
        ("model", st.sampled_from(["pro", "max"])),
        ("safety_tolerance", st.integers(1, 6)),
        ("num_images", st.integers(1, 4)),
        ("repeat", st.integers(1, 9)),
    ):
        how = draw(st.sampled_from(["not", "not", "fixed", "axis"]))
        if how == "fixed":
            fixed[key] = draw(values)
        elif how == "axis":
            axes[key] = draw(st.lists(values, min_size=1, max_size=2, unique=True))
    prompt = draw(prompts)
    for word in placeholders(prompt):
        values = draw(st.lists(texts, min_size=1, max_size=2, unique=True))
        names = draw(st.booleans())
        axes[word] = {f"n{at}": value for at, value in enumerate(values)} if names else values
    given_pictures = draw(st.lists(st.sampled_from(PICTURES), min_size=1, max_size=3, unique_by=id))
    if draw(st.booleans()):
        axes["image"] = given_pictures
    else:
        fixed["images"] = given_pictures
    name = draw(st.none() | texts)
    try:
        return kl.Sweep(prompt, axes=axes, name=name, note=draw(st.just("") | texts), **fixed)
    except SweepError:
        assume(False)
        raise


@given(sweep=sweeps())
@settings(max_examples=120, deadline=None)
def test_any_sweep_goes_through_the_form_unchanged(sweep: kl.Sweep) -> None:
    """So that it goes on in its own run, and nothing is paid for twice."""
    again = FormState.of(sweep).sweep()
    assert (sweep, sweep.digest("sandbox")) == (again, again.digest("sandbox"))


def executed(source: str, sweep: kl.Sweep) -> kl.Sweep:
    """The sweep that copied code runs; its lab is one whose store holds the original."""
    ran: list[kl.Sweep] = []

    def run(made: kl.Sweep) -> Any:
        ran.append(made)
        return [SimpleNamespace(image=None)]

    lab = SimpleNamespace(load_sweep=lambda _: sweep, run=run, plan=lambda _: "")
    head, rest = source.split('lab = kl.Lab("sandbox")\n')
    exec(compile(head + rest, "copied", "exec"), {"lab": lab, "print": lambda *_: None})
    return ran[0]


@given(sweep=sweeps())
@settings(max_examples=120, deadline=None)
def test_the_code_of_any_cell_makes_the_same_request(sweep: kl.Sweep) -> None:
    """Or it says that it can't be written; never another one."""
    cell = sweep.cells[-1]
    fingerprint = cell.request.fingerprint("sandbox")
    try:
        source = cell_code(CellResult.from_cell(cell, "sandbox", fingerprint), "some-run")
    except SweepError:
        return
    (made,) = executed(source, sweep).cells
    assert fingerprint == made.request.fingerprint("sandbox")


@given(sweep=sweeps())
@settings(max_examples=120, deadline=None)
def test_the_code_of_any_sweep_makes_the_same_sweep(sweep: kl.Sweep) -> None:
    """It goes on in the same run."""
    made = executed(sweep_code(sweep, service="sandbox", run_id="some-run"), sweep)
    assert (sweep, sweep.digest("sandbox")) == (made, made.digest("sandbox"))


names = st.sampled_from(["x", "y", "animal", "anim", "z"])


@given(steps=st.lists(st.lists(st.lists(names, max_size=4), min_size=1, max_size=2), max_size=8))
@example(steps=[[["x", "y"]], [["y"]], [["x", "y"]]])
@settings(max_examples=300, deadline=None)
def test_following_placeholders_never_loses_values(steps: Sequence[Sequence[Sequence[str]]]) -> None:
    """Whatever is typed, every value that was given belongs to some name; names in use are those of the prompts."""
    words, given_values = PlaceholderValues(), set()
    for number, step in enumerate(steps):
        templates = [" ".join(f"{{{name}}}" for name in prompt) for prompt in step]
        words = follow_prompts(words, templates)
        assert set(words.names) == {name for prompt in step for name in prompt}
        for name in words.names:
            if not words.used[name]:
                one = LabelledValue(f"{name}{number}")
                words = words.replace(name, [one])
                given_values.add(one)
        held = [value for values in words.values.values() for value in values]
        assert (given_values, len(held)) == (set(held), len(set(held)))


@given(text=st.text(max_size=60))
@settings(max_examples=300, deadline=None)
def test_any_prompt_typed_letter_by_letter_is_read(text: str) -> None:
    """Every beginning of it is a form with or without problems, and raises nothing."""
    draft = FormState(references=((PICTURES[0], ""),))
    for end in range(0, len(text) + 1, 7):
        draft = draft.with_prompts([LabelledValue(text[:end])])
        draft.problems()


@given(
    key=st.sampled_from(["guidance_scale", "seed", "aspect_ratio", "model", "num_images", "repeat"]),
    text=st.text(max_size=12)
    | st.sampled_from(["nan", "inf", "1e999", "9" * 5000, "1-99999999999", "2-8:0"]),
)
@settings(max_examples=300, deadline=None)
def test_any_value_is_taken_or_said(key: str, text: str) -> None:
    """With the field's name, in one line."""
    found = FormState(values={key: (LabelledValue(text),)}).problems().get(key, f"{key}: fine")
    assert (True, 1) == (key in found, len(found.split("\n")))
