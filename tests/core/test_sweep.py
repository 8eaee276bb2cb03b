"""Sweeps: cells, placeholders, changed copies, digests, warnings."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kontext_lab.errors import ImageError, SweepError
from kontext_lab.images import load_reference
from kontext_lab.sweep import Sweep
from kontext_lab.sweep.wording import filled, placeholders, short_prompt

GREY = np.full((4, 6, 3), 128, np.uint8)
PROMPT = "Add a {animal}."


def sweep(prompt: Any = "Add a bird.", **given: Any) -> Sweep:
    """One that has the reference that is not given."""
    axes = given.get("axes")
    if not {"image", "images"} & {*given, *(axes if isinstance(axes, dict) else ())}:
        given["image"] = GREY
    return Sweep(prompt, **given)


def params(made: Sweep, *keys: str) -> list[tuple[Any, ...]]:
    """The values of some parameters, cell by cell."""
    return [tuple(cell.params.get(key) for key in keys) for cell in made.cells]


# --- cells ---------------------------------------------------------------------------------------------


def test_no_axes_make_one_cell() -> None:
    """A sweep without axes is one request."""
    assert len(sweep()) == 1


def test_every_combination() -> None:
    """The cells are the product of the axes, the last one fastest."""
    made = sweep(axes={"guidance_scale": [2, 5], "aspect_ratio": ["1:1", "16:9"]})
    assert params(made, "guidance_scale", "aspect_ratio") == [
        (2.0, "1:1"),
        (2.0, "16:9"),
        (5.0, "1:1"),
        (5.0, "16:9"),
    ]


def test_replicates_run_outermost() -> None:
    """All settings at the first seed, then all at the second, wherever the seed axis stands."""
    made = sweep(axes={"guidance_scale": [2, 5], "seed": [1, 2], "num_images": [1, 2]})
    assert [cell.request.seed for cell in made.cells] == [1, 1, 1, 1, 2, 2, 2, 2]


def test_repeats_run_outermost() -> None:
    """So do repeats."""
    made = sweep(axes={"guidance_scale": [2, 5], "repeat": "1-2"})
    assert params(made, "repeat", "guidance_scale") == [(1, 2.0), (1, 5.0), (2, 2.0), (2, 5.0)]


def test_first_repeat_is_a_value() -> None:
    """Where repeats are an axis the first is logged like the others."""
    assert params(sweep(repeat="1-3"), "repeat") == [(1,), (2,), (3,)]


def test_repeats_are_different_requests() -> None:
    """Each repeat is paid for on its own, and none is sent."""
    made = sweep(repeat="1-3")
    assert len({cell.request.fingerprint("sandbox") for cell in made.cells}) == 3
    assert all("repeat" not in cell.request.payload() for cell in made.cells)


def test_field_with_several_values_is_an_axis() -> None:
    """Lists, ranges and text for fields make axes."""
    made = sweep(seed="1-3", guidance_scale=[2, 5], aspect_ratio="1:1,16:9")
    assert {axis.key: len(axis) for axis in made.axes} == {"guidance_scale": 2, "seed": 3, "aspect_ratio": 2}


@pytest.mark.parametrize(
    ("given", "seed"),
    [({}, 1), ({"seed": None}, 1), ({"seed": 7}, 7), ({"seed": np.int64(7)}, 7), ({"seed": "7"}, 7)],
)
def test_seed(given: dict[str, Any], seed: int) -> None:
    """No seed given means seed 1."""
    assert sweep(**given).cells[0].request.seed == seed


def test_random_seed_is_drawn_once() -> None:
    """A random seed is a number from then on, in every copy."""
    made = sweep(seed="random")
    assert (
        made.replace(guidance_scale=[2, 3]).fixed["seed"] == made.fixed["seed"] == made.cells[0].request.seed
    )


def test_random_seeds_differ_between_sweeps() -> None:
    """Each sweep draws its own."""
    assert len({sweep(seed="random").fixed["seed"] for _ in range(5)}) > 1


def test_paired_axes() -> None:
    """Paired values vary together."""
    made = sweep(None, axes={"prompt+guidance_scale": [("a", 2), ("b", 6)], "seed": [1, 2]})
    assert params(made, "prompt", "guidance_scale") == [("a", 2.0), ("b", 6.0)] * 2


def test_named_values() -> None:
    """The name is the label, also of the prompt's cell."""
    made = sweep({"plain": "Add a bird.", "keep": "Add a bird, keep the rest."})
    assert params(made, "prompt.label") == [("plain",), ("keep",)]
    assert [cell.title for cell in made.cells] == ["plain", "keep"]


def test_named_pairs_label_the_words() -> None:
    """A pair's name labels its prompt, not its numbers."""
    made = sweep(None, axes={"prompt+guidance_scale": {"soft": ("a", 2), "hard": ("b", 6)}})
    assert params(made, "prompt.label", "guidance_scale.label") == [("soft", None), ("hard", None)]


def test_named_references() -> None:
    """References may be named."""
    made = sweep(axes={"image": {"day": GREY, "night": GREY // 4}})
    assert params(made, "image.label", "image") == [("day", "array"), ("night", "array 2")]


def test_references_axis() -> None:
    """One reference a cell."""
    made = sweep(axes={"image": [GREY, GREY + 1]})
    assert [len(cell.request.images) for cell in made.cells] == [1, 1]
    assert len(made.references) == 2


def test_images_axis() -> None:
    """Several references a request."""
    made = sweep(axes={"images": [[GREY, GREY + 1], [GREY]]})
    assert [len(cell.request.images) for cell in made.cells] == [2, 1]


def test_images_are_one_request() -> None:
    """A list of images is one request with all of them."""
    made = sweep(images=[GREY, GREY + 1])
    assert (len(made), len(made.cells[0].request.images)) == (1, 2)


def test_titles() -> None:
    """Readable and short."""
    made = sweep(
        PROMPT, axes={"guidance_scale": [5], "seed": [2], "aspect_ratio": ["1:1"], "animal": ["crab"]}
    )
    assert made.cells[0].title == "g5 s2 1:1 crab"


def test_title_of_an_empty_word() -> None:
    """An empty word is seen."""
    assert sweep(PROMPT, axes={"animal": [""]}).cells[0].title == "(empty)"


def test_duplicates_are_cells() -> None:
    """A value given twice is two cells of one fingerprint; it is sent once."""
    made = sweep(seed=[1, 1, "1"])
    assert (len(made), len({cell.request.fingerprint("s") for cell in made.cells})) == (3, 1)


def test_cost() -> None:
    """The list price of each cell's model and number of pictures."""
    assert sweep(model="pro,max", num_images=[1, 2]).cost == pytest.approx(3 * (0.052 + 0.104))


def test_own_price() -> None:
    """A price given is taken for every cell."""
    assert sweep(model="x/y", price=0.5, seed="1-4").cost == 2.0


# --- placeholders --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("template", "names"),
    [
        ("{animal}", ("animal",)),
        ("{animal} and {animal}", ("animal",)),
        ("{a} {b} {a}", ("a", "b")),
        ("{{animal}}", ()),
        ("{_x1}", ("_x1",)),
        ("{tière} {動物}", ("tière", "動物")),
        ('{"json": {"animal": 1}}', ()),
        ("{} { x } {1} {a-b} {a.b} {a:3} {a!r} {a b}", ()),
        ("{unclosed", ()),
        ("}{", ()),
        ('{"a": "{animal}"}', ("animal",)),
    ],
)
def test_placeholders(template: str, names: tuple[str, ...]) -> None:
    """Identifiers in braces, nothing else."""
    assert placeholders(template) == names


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{animal}!", "crab!"),
        ("{{animal}}", "{animal}"),
        ("{{animal}} {animal}", "{animal} crab"),
        ('{"k": {"animal": 1}}', '{"k": {"animal": 1}}'),
        ("{{}} {{ x }}", "{{}} {{ x }}"),
    ],
)
def test_filled(template: str, text: str) -> None:
    """Words in, escapes undone, other braces as they were."""
    assert filled(template, {"animal": "crab"}) == text


def test_words_are_not_filled_again() -> None:
    """A word that looks like a placeholder stays text."""
    assert filled("{a} {b}", {"a": "{b}", "b": "x"}) == "{b} x"


def test_words_in_prompts() -> None:
    """Each word makes its prompt."""
    assert params(sweep(PROMPT, axes={"animal": ["bird", "crab"]}), "prompt", "animal") == [
        ("Add a bird.", "bird"),
        ("Add a crab.", "crab"),
    ]


def test_unused_placeholders_do_not_multiply() -> None:
    """Words that a prompt doesn't use make no cells of it, and are no parameters of them."""
    made = sweep(["Add a {animal}.", "Add rain."], axes={"animal": ["bird", "crab"]})
    assert sorted(params(made, "prompt", "animal"), key=str) == [
        ("Add a bird.", "bird"),
        ("Add a crab.", "crab"),
        ("Add rain.", None),
    ]


def test_unused_placeholders_do_not_count() -> None:
    """Ten prompts with ten words of their own are a hundred cells, not 10^11."""
    prompts = [f"Add {{word{n}}}." for n in range(10)]
    made = sweep(prompts, axes={f"word{n}": list("abcdefghij") for n in range(10)})
    assert len(made) == 100


def test_unused_words_and_replicates() -> None:
    """Also with replicates outermost every seed holds the same settings."""
    made = sweep(["{a}", "{b}"], axes={"a": ["1", "2"], "b": ["3"], "seed": [1, 2]})
    assert params(made, "seed", "prompt") == [(s, p) for s in (1, 2) for p in ("1", "3", "2")]


def test_json_prompt_stays_text() -> None:
    """A prompt written as JSON needs no escapes."""
    text = '{"edit": {"add": "a bird", "where": ["left", "top"]}}'
    assert sweep(text).cells[0].request.prompt == text


def test_index_follows_the_order() -> None:
    """A cell knows its place."""
    made = sweep(seed="1-3", guidance_scale=[2, 3])
    assert [cell.index for cell in made.cells] == list(range(6))


@pytest.mark.parametrize(
    ("prompt", "short"),
    [
        ("Add a bird.", "Add a bird."),
        ("two\nlines", "two lines"),
        ("x" * 50, "x" * 39 + "…"),
        ("one two three four five six seven eight nine", "one two three four five six seven…"),
    ],
)
def test_short_prompt(prompt: str, short: str) -> None:
    """A beginning on one line."""
    assert short_prompt(prompt) == short


# --- what can't be -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"prompt": None}, "prompt: is missing"),
        ({"prompt": ""}, "prompt: '', allowed is text"),
        ({"prompt": []}, "axis 'prompt': has no values"),
        ({"prompt": b"a"}, "prompt: b'a', allowed is text"),
        ({"prompt": 3}, "prompt: 3, allowed is text"),
        ({"prompt": Path("a")}, "allowed is text"),
        ({"prompt": "x" * 4001}, "prompt: 4001 characters, allowed"),
        (
            {"prompt": PROMPT},
            'prompt: {animal} has no values: give axes={"animal": […]}, or write {{animal}}',
        ),
        ({"prompt": "{seed}", "seed": [1]}, "prompt: {seed} has the name of a field, choose another word"),
        ({"prompt": "{output}"}, "prompt: {output} has the name of a field"),
        ({"prompt": "{image}"}, "prompt: {image} has the name of a field"),
        ({"prompt": "{" + "a" * 201 + "}"}, "has the name of a field"),
        ({"seed": 0}, "seed: 0, allowed is a whole number from 1"),
        ({"guidance_scale": 21}, "guidance_scale: 21, allowed is a number from 1 to 20"),
        ({"guidance_scale": float("nan")}, "guidance_scale: nan, allowed is"),
        ({"strength": 0.5}, "strength: is not a field of a sweep"),
        ({"animal": ["bird"]}, "animal: is not a field of a sweep; words of the prompt go into axes"),
        (
            {"axes": {"strength": [1]}},
            "axis 'strength': no prompt uses {strength}, and it is not a field; fields are",
        ),
        ({"axes": {"width": [1]}}, "axis 'width': no prompt uses {width}"),
        ({"axes": {"price": [1]}}, "axis 'price': no prompt uses {price}"),
        ({"axes": {3: [1]}}, "axis '3': no prompt uses {3}"),
        ({"axes": {"seed": []}}, "axis 'seed': has no values"),
        ({"axes": [("seed", [1])]}, "axes: [('seed', [1])], allowed is a mapping"),
        ({"axes": "seed"}, "axes: 'seed', allowed is a mapping"),
        ({"axes": {"seed": [1]}, "seed": 2}, "seed: is given as a fixed value and as an axis"),
        ({"axes": {"seed": [1]}, "seed": [2, 3]}, "axis 'seed': stands in more than one axis"),
        ({"axes": {"seed": [1], "seed+repeat": [(1, 1)]}}, "axis 'seed': stands in more than one axis"),
        ({"axes": {"image": [GREY], "images": [[GREY]]}}, "stands in more than one axis"),
        ({"image": GREY, "axes": {"images": [[GREY]]}}, "is given as a fixed value and as an axis"),
        ({"image": GREY, "images": [GREY]}, "image and images are both given"),
        ({"image": [GREY, GREY]}, "image: takes one reference; several in one request are images=[…]"),
        ({"images": GREY}, "images: takes a list of 1 to 4 references"),
        ({"images": []}, "images: 0 references"),
        ({"image": "missing.png"}, "image: no file 'missing.png'"),
        ({"model": "x/y"}, "model: 'x/y' is not in the table (pro, max); give its price"),
        ({"model": "pro,x/y"}, "cell x/y: model: 'x/y' is not in the table"),
        ({"price": [1, 2]}, "price: [1, 2], allowed is US dollars"),
        (
            {"axes": {"seed": range(1, 102), "repeat": range(1, 101)}},
            "101 × 100 make 10100 cells, allowed are at most 10000",
        ),
        ({"name": "a\nb"}, r"name: 'a\nb', allowed is one line"),
        ({"name": " "}, "name: ' ', allowed is one line"),
        ({"name": 3}, "name: 3, allowed is one line"),
        ({"name": "x" * 251}, "allowed is one line of at most 250 characters"),
        ({"name": "\ud800"}, "allowed is one line"),
        ({"note": "\0"}, "note: "),
        ({"max_megapixels": 0}, "max_megapixels: 0, allowed is a number from 0.01 to 100"),
        ({"max_megapixels": float("nan")}, "max_megapixels: nan"),
        ({"max_megapixels": 10**400}, "max_megapixels: 1000"),
        ({"max_megapixels": [1]}, "max_megapixels: [1]"),
        ({"max_megapixels": True}, "max_megapixels: True"),
    ],
)
def test_refused(given: dict[str, Any], says: str, workdir: Path) -> None:
    """One line that says what and where, before anything is sent."""
    with pytest.raises(SweepError) as caught:
        sweep(**given)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "word", ["file", "width", "height", "latency_s", "cost", "state", "run_id", "sha256", "truncated"]
)
def test_words_that_are_columns(word: str) -> None:
    """A word that would hide a column of the results' table is refused."""
    with pytest.raises(SweepError, match="has the name of a field"):
        sweep(f"Add {{{word}}}", axes={word: ["x"]})


def test_no_image() -> None:
    """A reference is needed."""
    with pytest.raises(SweepError, match="image: is missing"):
        Sweep("Add a bird.")


def test_reference_errors_keep_their_class() -> None:
    """A reference that can't be read stays an ImageError."""
    with pytest.raises(ImageError, match="axis 'image', value 2"):
        sweep(axes={"image": [GREY, b"text"]})


def test_largest_sweep() -> None:
    """Ten thousand cells are allowed."""
    assert len(sweep(axes={"seed": range(1, 101), "repeat": range(1, 101)})) == 10_000


# --- changed copies ------------------------------------------------------------------------------------


def keys(made: Sweep) -> dict[str, int]:
    """The axes and how many values each has."""
    return {axis.key: len(axis) for axis in made.axes}


BASE = {"axes": {"guidance_scale": [2, 5], "seed": [1, 2], "animal": ["bird", "crab"]}}


@pytest.mark.parametrize(
    ("changes", "axes"),
    [
        ({}, {"guidance_scale": 2, "seed": 2, "animal": 2}),
        ({"seed": "1-16"}, {"guidance_scale": 2, "seed": 16, "animal": 2}),
        ({"seed": range(1, 4)}, {"guidance_scale": 2, "seed": 3, "animal": 2}),
        ({"seed": np.arange(1, 4)}, {"guidance_scale": 2, "seed": 3, "animal": 2}),
        ({"seed": 7}, {"guidance_scale": 2, "animal": 2}),
        ({"seed": None}, {"guidance_scale": 2, "animal": 2}),
        ({"aspect_ratio": "1:1,16:9"}, {"guidance_scale": 2, "seed": 2, "animal": 2, "aspect_ratio": 2}),
        ({"animal": ["dog", "cat", "cow"]}, {"guidance_scale": 2, "seed": 2, "animal": 3}),
        ({"animal": "dog"}, {"guidance_scale": 2, "seed": 2, "animal": 1}),
        ({"animal": 3}, {"guidance_scale": 2, "seed": 2, "animal": 1}),
        ({"animal": np.array(["x", "y", "z"])}, {"guidance_scale": 2, "seed": 2, "animal": 3}),
        ({"animal": {"a": "dog"}}, {"guidance_scale": 2, "seed": 2, "animal": 1}),
        ({"prompt": "Rain.", "animal": None}, {"guidance_scale": 2, "seed": 2}),
        ({"prompt": "Rain.", "axes": {"animal": None}}, {"guidance_scale": 2, "seed": 2}),
        ({"axes": {"seed": None}}, {"guidance_scale": 2, "animal": 2}),
        (
            {"axes": {"seed": "1-3", "repeat": [1, 2]}},
            {"guidance_scale": 2, "seed": 3, "animal": 2, "repeat": 2},
        ),
        ({"axes": {"seed+guidance_scale": [(1, 2)]}}, {"animal": 2, "seed+guidance_scale": 1}),
        ({"axes": {" seed ": [5]}}, {"guidance_scale": 2, "seed": 1, "animal": 2}),
        ({"prompt": ["{animal}!", "{animal}?"]}, {"guidance_scale": 2, "seed": 2, "animal": 2, "prompt": 2}),
    ],
)
def test_but(changes: dict[str, Any], axes: dict[str, int]) -> None:
    """A value fixes, several make an axis in its old place, None removes."""
    assert keys(sweep(PROMPT, **BASE).replace(**changes)) == axes


@pytest.mark.parametrize(
    ("changes", "count"),
    [
        ({"image": GREY + 9}, 1),
        ({"images": [GREY, GREY + 9]}, 2),
        ({"image": GREY + 9, "max_megapixels": 1}, 1),
    ],
)
def test_but_another_image(changes: dict[str, Any], count: int) -> None:
    """The reference is replaced, whichever way it was given before."""
    for before in (sweep(), sweep(images=[GREY, GREY + 1]), sweep(axes={"image": [GREY, GREY + 1]})):
        made = before.replace(**changes)
        assert (len(made), len(made.cells[0].request.images)) == (1, count)


def test_but_images_as_an_axis() -> None:
    """A fixed reference gives way to an axis of them, and back."""
    made = sweep().replace(axes={"image": [GREY, GREY + 1]})
    assert (len(made), len(made.replace(image=GREY))) == (2, 1)


def test_but_of_nothing_is_equal() -> None:
    """A copy without changes is the same sweep."""
    made = sweep(PROMPT, **BASE, name="study", note="why", num_images=2)
    assert made.replace() == made


def test_but_leaves_the_original_alone() -> None:
    """The sweep itself doesn't change."""
    made = sweep(seed="1-2")
    made.replace(seed="1-16", name="other")
    assert (len(made), made.given_name) == (2, "")


def test_but_keeps_what_was_paid_for() -> None:
    """An extended study holds all requests of the smaller one."""
    small = sweep(PROMPT, **BASE)
    large = small.replace(seed="1-16")
    prints = [{cell.request.fingerprint("s") for cell in one.cells} for one in (small, large)]
    assert prints[0] < prints[1]


def test_but_name_and_note() -> None:
    """The options change as well."""
    made = sweep(name="a").replace(name="b", note="c")
    assert (made.name, made.note) == ("b", "c")


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"prompt": "Rain."}, "axis 'animal': no prompt uses {animal}"),
        ({"strength": 3}, "axis 'strength': no prompt uses"),
        ({"axes": [("seed", [1])]}, "axes: [('seed', [1])], allowed is a mapping"),
        (
            {"max_megapixels": 0.5},
            "max_megapixels: changes how references are prepared, give the image as well",
        ),
        ({"seed": []}, "axis 'seed': has no values"),
    ],
)
def test_but_refused(changes: dict[str, Any], says: str) -> None:
    """A changed copy is checked like a new sweep."""
    with pytest.raises(SweepError) as caught:
        sweep(PROMPT, **BASE).replace(**changes)
    assert says in str(caught.value)


# --- digests, equality ---------------------------------------------------------------------------------


def test_digest_in_two_processes(photo_file: Path) -> None:
    """Two processes that build the same sweep get the same digest and fingerprints."""
    code = (
        "from kontext_lab.sweep import Sweep\n"
        f"s = Sweep('Add a {{animal}}.', {str(photo_file)!r}, seed='1-3', axes={{'animal': {{'b': 'bird', 'c': 'crab'}}}})\n"
        "print(s.digest('sandbox'), *(c.request.fingerprint('sandbox') for c in s.cells))"
    )
    runs = [
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60,
            env={"PYTHONHASHSEED": hash_seed},
        ).stdout
        for hash_seed in ("1", "2")
    ]  # fmt: skip
    here = Sweep(PROMPT, photo_file, seed="1-3", axes={"animal": {"b": "bird", "c": "crab"}})
    prints = [cell.request.fingerprint("sandbox") for cell in here.cells]
    assert runs == [" ".join([here.digest("sandbox"), *prints]) + "\n"] * 2


@pytest.mark.parametrize(
    "changes",
    [
        {"prompt": "Add the {animal}."},
        {"seed": "1-3"},
        {"image": GREY + 1},
        {"guidance_scale": 3},
        {"model": "max"},
        {"axes": {"animal": ["crab", "bird"]}},
        {"axes": {"animal": {"a": "bird", "b": "crab"}}},
        {"repeat": 2},
    ],
)
def test_digest_of_a_changed_sweep(changes: dict[str, Any]) -> None:
    """Whatever changes the cells or their labels changes the digest."""
    made = sweep(PROMPT, **BASE)
    assert made.digest("sandbox") != made.replace(**changes).digest("sandbox")


@pytest.mark.parametrize("changes", [{}, {"name": "x"}, {"note": "x"}, {"price": 0.1}, {"seed": [1.0, "2"]}])
def test_digest_of_the_same_sweep(changes: dict[str, Any]) -> None:
    """Names, notes, prices and spellings don't."""
    made = sweep(PROMPT, **BASE)
    assert made.digest("sandbox") == made.replace(**changes).digest("sandbox")


def test_digest_by_service() -> None:
    """A simulated study is another one than a real one."""
    assert sweep().digest("sandbox") != sweep().digest("https://api.aimlapi.com")


def test_digest_before_a_url_is_fetched() -> None:
    """There is none."""
    with pytest.raises(SweepError, match="before it was fetched"):
        sweep(image="https://h.example/a.png").digest("sandbox")


def test_resolve(photo_file: Path) -> None:
    """Every URL is fetched once and frozen, wherever it stands."""
    asked: list[str] = []

    def fetch(url: str) -> bytes:
        asked.append(url)
        return photo_file.read_bytes()

    one, two = "https://h.example/a.jpg", "https://h.example/b.jpg"
    made = sweep(axes={"images": [[one, two], [one]], "seed": [1, 2]}).resolve(fetch)
    assert (sorted(asked), all(found.resolved for found in made.references)) == ([one, two], True)
    assert made.resolve(fetch) is made
    assert len(made.digest("sandbox")) == 64


def test_resolve_keeps_the_rest(photo_file: Path) -> None:
    """Name, note, price and drawn seeds stay."""
    before = sweep(image="https://h.example/a.jpg", seed="random", name="n", note="o", price=1)
    after = before.resolve(lambda _: photo_file.read_bytes())
    assert (after.fixed["seed"], after.name, after.note, after.cost) == (before.fixed["seed"], "n", "o", 1.0)


def test_pickles() -> None:
    """A sweep reaches other processes whole."""
    made = sweep(PROMPT, **BASE)
    assert pickle.loads(pickle.dumps(made)) == made


def test_equality() -> None:
    """Equal by value, and no key."""
    assert sweep(seed="1-2") == sweep(seed=[1, 2])
    assert sweep(seed="1-2") != sweep(seed="1-3")
    assert sweep() != "a sweep"
    with pytest.raises(TypeError, match="unhashable"):
        hash(sweep())


def test_default_spelled_out_is_left_out() -> None:
    """`default` for a field is the field not given."""
    assert sweep(guidance_scale="default", num_images="") == sweep()


def test_name_is_made_of_the_prompt() -> None:
    """A sweep without a name has a readable one."""
    assert sweep(PROMPT, **BASE).name == "Add a {animal}."


def test_repr() -> None:
    """Name, axes, cells and cost in a line."""
    assert repr(sweep(seed="1-2", name="n")) == "<Sweep 'n': seed[2], 2 cells, $0.10>"


def test_axis_of_another_sweep() -> None:
    """An axis is taken over as it is."""
    made = sweep(seed="1-4")
    assert keys(sweep(axes={"seed": made.axes[0]})) == {"seed": 4}


# --- warnings ------------------------------------------------------------------------------------------


def test_no_warnings() -> None:
    """An ordinary sweep has none."""
    assert sweep(seed="1-3", aspect_ratio="1:1,16:9").warnings == ()


def test_ratios_of_one_size() -> None:
    """Two ratios that give the same picture size are named with it."""
    image = np.zeros((768, 1024), np.uint8)
    assert sweep(image=image, aspect_ratio="match_input,4:3").warnings == (
        "aspect ratios match_input and 4:3 give one size, 1184x880",
    )


def test_ignored_axis() -> None:
    """An axis that the model is known to ignore is named with what is known."""
    assert sweep(safety_tolerance="1-3").warnings == (
        "safety_tolerance is an axis, but on pro values above 2 may do nothing when references are given",
    )


def test_long_prompt() -> None:
    """A prompt of more than about 512 tokens is cut by the model."""
    (warning,) = sweep("word " * 500).warnings
    assert warning == "a prompt has about 650 tokens: the model cuts at 512"


def test_prompt_just_short_enough() -> None:
    """Below that there is no warning."""
    assert sweep("word " * 390).warnings == ()


def test_origin_is_kept() -> None:
    """A reference taken from an output keeps where it came from."""
    reference = load_reference(GREY)
    assert sweep(image=reference).references == (reference,)


# --- hints ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("values", ["2-8:3", [2, 5], {"low": 2}, 5])
@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("guidance", "guidance_scale"),
        ("seeds", "seed"),
        ("Seed", "seed"),
        ("aspect ratio", "aspect_ratio"),
        ("ratio", "aspect_ratio"),
        ("format", "output_format"),
        ("animals", "animal"),
    ],
)
def test_an_axis_nearly_right_is_answered_with_the_right_one(name: str, near: str, values: Any) -> None:
    """Whatever its values are: a name is looked at before they are."""
    with pytest.raises(SweepError, match=rf"^axis '{name}': .*did you mean {near}\?"):
        Sweep("Add a {animal}.", GREY, axes={name: values, "animal": ["bird"]})


def test_an_axis_nearly_right_in_a_changed_copy() -> None:
    """`but` answers the same."""
    with pytest.raises(SweepError, match=r"did you mean guidance_scale\?"):
        Sweep("Add a bird.", GREY).replace(guidance="2-8:3")


@pytest.mark.parametrize(
    ("name", "allowed"),
    [("art style", "art_style"), ("a.b", "a_b"), ("1st", "_1st"), ("art-style", "art_style")],
)
def test_a_placeholder_that_can_be_none_is_told(name: str, allowed: str) -> None:
    """With an axis of its name: names are identifiers."""
    with pytest.raises(SweepError, match=rf"letters, digits and _.*write {{{allowed}}}"):
        Sweep(f"In {{{name}}}.", GREY, axes={name: ["ink"]})


def test_a_placeholder_in_other_letters_is_told() -> None:
    """`{Animal}` is not `{animal}`."""
    with pytest.raises(SweepError, match=r"axis 'animal': .*did you mean Animal\?"):
        Sweep("Add a {Animal}.", GREY, axes={"animal": ["bird"]})


def test_braces_that_look_like_a_placeholder_are_warned_of() -> None:
    """They are sent as they stand; what is JSON is not warned of."""
    (line,) = Sweep('In {art style}. {"a": 1} {b: c} {}', GREY).warnings
    assert line.startswith("{art style} is sent as it stands")


def test_prompts_that_can_be_read_once_are_read_once() -> None:
    """A look at the names takes no value away."""
    sweep = Sweep(image=GREY, axes={"prompt": (one for one in ["a {x}", "b {x}"]), "x": ["1"]})
    assert 2 == len(sweep)


# --- digits --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "values"),
    [
        (np.arange(1, 1.5, 0.1), [1, 1.1, 1.2, 1.3, 1.4]),
        ([1.2, *np.arange(1.1, 1.3, 0.1)], [1.2, 1.1]),
        (np.linspace(1, 20.000000000000004, 3), [1, 10.5, 20]),
        ([0.1 + 1.1, 1.23456789], [1.2, 1.23457]),
    ],
)
def test_guidance_scales_have_six_digits(given: Any, values: list[float]) -> None:
    """What arithmetic leaves behind is neither sent nor paid for beside the number that was meant."""
    sweep = Sweep("x", GREY, axes={"guidance_scale": given})
    assert values == [cell.request.payload()["guidance_scale"] for cell in sweep.cells]


def test_arithmetic_leaves_the_fingerprint() -> None:
    """1.1 + 0.1 is the request of 1.2, fixed and on an axis."""
    plain, fixed = (Sweep("x", GREY, guidance_scale=value) for value in (1.2, 1.1 + 0.1))
    swept = Sweep("x", GREY, axes={"guidance_scale": [1.1 + 0.1]})
    assert 1 == len({sweep.cells[0].request.fingerprint("sandbox") for sweep in (plain, fixed, swept)})


def test_seeds_keep_all_digits() -> None:
    """Whole numbers are never rounded."""
    assert [3959063143] == [cell.request.seed for cell in Sweep("x", GREY, seed=3959063143).cells]
