"""Results: picking, combining, tables, files; and the state an attempt leads to."""

from __future__ import annotations

import csv
import hashlib
import io
import pickle
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from kontext_lab import errors
from kontext_lab.errors import ConfigError, KontextLabError, NotFound, ServiceError
from kontext_lab.request.attempt import Answer, Attempt, Picture, Reason
from kontext_lab.results import CellResult, Output, Results, State, outcome_of, safe_name, typed_params
from kontext_lab.results.saving import csv_text
from kontext_lab.sweep import Sweep

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
GREY = np.full((4, 6, 3), 128, np.uint8)


def picture(shade: int, form: str = "PNG") -> Picture:
    """A received picture of one shade."""
    buffer = io.BytesIO()
    Image.new("L", (8, 6), shade).save(buffer, format=form)
    data = buffer.getvalue()
    return Picture(data, hashlib.sha256(data).hexdigest(), form.lower(), 8, 6, b"")


def bad(reason: Reason, note: str = "") -> Picture:
    """A picture that did not come."""
    return Picture(reason=reason, note=note)


def done(*pictures: Picture, cost: float = 0.052) -> Attempt:
    """An attempt that brought these."""
    return Attempt("id", Answer(pictures or (picture(9),), cost_usd=cost, latency_s=7.5))


def results(prompt: Any = "Add a bird.", attempts: dict[int, Attempt] | None = None, **given: Any) -> Results:
    """A sweep's results, every cell done with a picture of its own unless told otherwise."""
    if not {"image", "images"} & {*given, *given.get("axes", {})}:
        given["image"] = GREY
    cells = []
    for cell in Sweep(prompt, **given).cells:
        found = CellResult.from_cell(cell, "sandbox", cell.request.fingerprint("sandbox"))
        found.apply((attempts or {}).get(cell.index, done(picture(cell.index))), NOW)
        cells.append(found)
    return Results(cells, name="study")


@pytest.fixture
def grid() -> Results:
    """Two guidance scales × two seeds × two animals."""
    return results(
        "Add a {animal}.", axes={"guidance_scale": [2, 5], "seed": [1, 2], "animal": ["bird", "crab"]}
    )


# --- picking -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "where",
    [
        {"guidance_scale": 5, "seed": 2, "animal": "crab"},
        {"guidance_scale": 5.0, "seed": "2", "animal": "crab"},
        {"guidance_scale": "5", "seed": np.int64(2), "animal": np.str_("crab")},
        {"guidance_scale": np.float32(5), "seed": np.float64(2), "animal": ["crab"]},
        {"guidance_scale": np.array([5]), "seed": pd.Series([2]), "animal": {"crab"}},
        {"guidance_scale": np.array(5), "seed": range(2, 3), "animal": (word for word in ["crab"])},
    ],
)
def test_at(grid: Results, where: dict[str, Any]) -> None:
    """The one cell with these values, however they are spelled."""
    assert grid.cell(**where).title == "g5 s2 crab"


def test_at_output() -> None:
    """With `output=` one output of the cell."""
    found = results(num_images=2, attempts={0: done(picture(1), picture(2))})
    assert found.cell(output=2).number == 2
    assert found.cell(output=np.int64(1)).number == 1


def test_at_says_what_is_open(grid: Results) -> None:
    """Several cells: the error says what else to give."""
    with pytest.raises(NotFound) as caught:
        grid.cell(guidance_scale=5)
    assert str(caught.value) == "4 cells have guidance_scale=5, say more: seed: 1, 2; animal: bird, crab"


def test_at_of_everything_says_what_is_open(grid: Results) -> None:
    """Nothing given: all axes are open."""
    with pytest.raises(
        NotFound, match=r"8 cells have any parameters, say more: guidance_scale: 2, 5; seed: 1, 2;"
    ):
        grid.cell()


@pytest.mark.parametrize(
    ("where", "says"),
    [
        ({"seed": 9}, "seed=9: no cell has it, there are 1, 2"),
        ({"seed": float("nan")}, "seed=nan: no cell has it, there are 1, 2"),
        ({"seed": True}, "seed=True: no cell has it"),
        ({"seed": None}, "seed=None: no cell has it"),
        ({"seed": 10**5000}, "seed=<int>: no cell has it"),
        ({"seed": b"1"}, "seed=b'1': no cell has it"),
        ({"seed": {"a": 1}}, "seed={'a': 1}: no cell has it"),
        ({"seed": []}, "seed=(): no cell has it"),
        ({"animal": "dog"}, "animal='dog': no cell has it, there are bird, crab"),
        ({"colour": "red"}, "colour: no cell has such a parameter, there are model, prompt, guidance_scale"),
        ({"state": "failed"}, "state='failed': no cell has it, there are done"),
        (
            {"seed": 1, "output": 3, "guidance_scale": 2, "animal": "bird"},
            "g2 s1 bird has 1 output, output=3 is not",
        ),
    ],
)
def test_at_names_what_there_is(grid: Results, where: dict[str, Any], says: str) -> None:
    """No such cell: the error names the values there are, in one line."""
    with pytest.raises(NotFound) as caught:
        grid.cell(**where)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_values_that_are_nowhere_together() -> None:
    """Each value exists, the combination doesn't."""
    found = results(None, axes={"prompt+seed": [("a", 1), ("b", 2)]})
    with pytest.raises(NotFound, match="no cell has prompt='a', seed=2 together"):
        found.sel(prompt="a", seed=2)


def test_at_of_no_results() -> None:
    """Nothing there is said."""
    with pytest.raises(NotFound, match="there are no cells"):
        Results([]).cell()


def test_at_of_duplicates() -> None:
    """Cells that are the same request are one answer."""
    found = results(seed=[1, 1])
    assert found.cell(seed=1) is found[0]


def test_at_of_references() -> None:
    """References are picked by name."""
    found = results(axes={"image": [GREY, GREY + 1]})
    assert found.cell(image="array 2") is found[1]


def test_at_by_name() -> None:
    """Named values are picked by their name as well."""
    found = results({"plain": "Add a bird.", "keep": "Add a bird, keep the rest."})
    assert found.cell(prompt="keep") is found[1]
    assert found.cell(prompt="Add a bird.") is found[0]


@pytest.mark.parametrize("model", ["max", "flux/kontext-max/image-to-image"])
def test_models_by_either_name(model: str) -> None:
    """A model by its short name or full id."""
    found = results(model="pro,max")
    assert found.cell(model=model) is found[1]


def test_first_repeat() -> None:
    """Repeat 1 is found like the others."""
    found = results(repeat="1-3")
    assert (found.axes, found.cell(repeat=1) is found[0]) == ({"repeat": [1, 2, 3]}, True)


def test_words_named_like_arguments() -> None:
    """Even a word called `self` can be picked by."""
    assert results("Add {self}.", axes={"self": ["x", "y"]}).cell(**{"self": "y"}).params["self"] == "y"


def test_where(grid: Results) -> None:
    """The cells with a value; a list means any of its values."""
    assert [len(grid.sel(seed=1)), len(grid.sel(animal=["bird", "crab"], seed=2))] == [4, 4]


def test_where_state() -> None:
    """States and reasons pick too."""
    found = results(seed="1-3", attempts={1: done(bad(Reason.MODERATED))})
    assert [cell.params["seed"] for cell in found.sel(state="failed")] == [2]
    assert [cell.params["seed"] for cell in found.sel(reason="moderated")] == [2]
    assert [cell.params["seed"] for cell in found.sel(state=State.DONE)] == [1, 3]


def test_where_keeps_name_and_run(grid: Results) -> None:
    """A part belongs to the same sweep."""
    grid.run_id = "run"
    part = grid.sel(seed=1)
    assert (part.name, part.run_id) == ("study", "run")


def test_sequence(grid: Results) -> None:
    """Results are a sequence: iteration, places, slices."""
    assert [cell.title for cell in grid[:2]] == ["g2 s1 bird", "g2 s1 crab"]
    assert (type(grid[::2]), len(grid[::2]), grid[-1] is list(grid)[-1], grid[0] in grid) == (
        Results,
        4,
        True,
        True,
    )


def test_values(grid: Results) -> None:
    """Distinct values, numbers by size, words by appearance."""
    found = results(guidance_scale=[5, 2, 3.5])
    assert (found.values("guidance_scale"), grid.values("animal")) == ([2.0, 3.5, 5.0], ["bird", "crab"])


def test_values_with_default() -> None:
    """`default` stands beside numbers."""
    assert results(guidance_scale=[None, 3]).values("guidance_scale") == ["default", 3.0]


def test_values_of_states() -> None:
    """States have values as well."""
    assert results(seed="1-2", attempts={1: done(bad(Reason.EMPTY))}).values("state") == ["done", "failed"]


def test_axes(grid: Results) -> None:
    """What varies, with its values."""
    assert grid.axes == {"guidance_scale": [2.0, 5.0], "seed": [1, 2], "animal": ["bird", "crab"]}


def test_output_is_an_axis() -> None:
    """Where cells have several outputs."""
    found = results(num_images=2, seed=[1, 2], attempts={n: done(picture(1), picture(2)) for n in (0, 1)})
    assert found.axes == {"seed": [1, 2], "output": [1, 2]}


@pytest.mark.parametrize(
    ("key", "value", "label"),
    [
        ("prompt", "Add a bird.", "plain"),
        ("seed", 2, "2"),
        ("guidance_scale", 2.5, "2.5"),
        ("seed", np.int64(2), "2"),
    ],
)
def test_label(key: str, value: Any, label: str) -> None:
    """The name a person gave, else the value."""
    assert results({"plain": "Add a bird.", "keep": "x"}, seed=[1, 2]).label(key, value) == label


# --- together ------------------------------------------------------------------------------------------


def test_what_combined_sweeps_differ_in_is_an_axis() -> None:
    """Two studies of different aspect ratio can be drawn side by side."""
    both = results(seed=[1, 2], aspect_ratio="1:1") + results(seed=[1, 2], aspect_ratio="16:9")
    assert both.axes == {"seed": [1, 2], "aspect_ratio": ["1:1", "16:9"]}


def test_prompts_that_follow_words_are_no_axis() -> None:
    """Where words make the prompt, the words are the axis."""
    one, two = (results("Add a {animal}.", axes={"animal": [word]}) for word in ("bird", "crab"))
    assert (one + two).axes == {"animal": ["bird", "crab"]}


def test_different_prompts_are_an_axis() -> None:
    """Prompts that differ by themselves are one."""
    assert (results("a") + results("b")).axes == {"prompt": ["a", "b"]}


def test_cells_in_both_count_once() -> None:
    """A cell that is in both is taken once."""
    small, large = results(seed=[1, 2]), results(seed="1-4")
    assert (len(small + large), (small + large).cost) == (4, pytest.approx(4 * 0.052))


def test_done_before_not_done() -> None:
    """The one that is done is taken, whichever side it stands on."""
    failed = results(seed=[1], attempts={0: done(bad(Reason.CORRUPT))})
    good = results(seed=[1])
    assert [(failed + good).counts, (good + failed).counts] == [{State.DONE: 1}] * 2


def test_what_was_made_anew_stays_besides_the_old() -> None:
    """Two cells and the same two again are four, told apart by an axis that says when."""
    old, fresh = results(seed=[1, 2]), results(seed=[1, 2])
    for cell in fresh:
        cell.arrived = NOW + timedelta(days=1)
    both = old + fresh

    assert (4, {"seed": [1, 2], "made": [1, 2]}) == (len(both), both.axes)
    assert NOW + timedelta(days=1) == both.cell(seed=2, made=2).arrived
    assert f"{NOW.astimezone():1 (%d %b %Y %H:%M)}" == both.label("made", 1)
    assert {"seed": [1, 2]} == old.axes


def test_a_picture_of_several_makes_is_asked_for_by_its_time() -> None:
    """One of them is never taken silently."""
    old, fresh = results(seed=[1]), results(seed=[1])
    fresh[0].arrived = NOW + timedelta(days=1)
    with pytest.raises(NotFound, match="say more: made: 1, 2"):
        (old + fresh).cell(seed=1)


def test_a_reused_picture_is_one_whatever_its_sweep_calls_it() -> None:
    """A seed that became an axis is the same seed."""
    old, longer = results(seed=1), results(seed=[1])
    assert 1 == len(old + longer)


MOMENTS = [NOW + timedelta(hours=number) for number in range(3)]


@st.composite
def some_results(draw: st.DrawFn) -> Results:
    """A few cells: any of three requests, not done or made at any of three times."""
    cells = []
    for seed in draw(st.lists(st.integers(1, 3), max_size=4)):
        made = CellResult(f"s{seed}", {"seed": seed, "prompt": "x"}, ("seed",), "sandbox", f"request {seed}")
        if draw(st.booleans()):
            made.apply(done(picture(seed)), draw(st.sampled_from(MOMENTS)))
        cells.append(made)
    return Results(cells)


def pictures_of(*several: Results) -> set[tuple[str, datetime | None]]:
    """Which pictures there are: request and time."""
    return {(cell.fingerprint, cell.arrived) for one in several for cell in one if cell.state is State.DONE}


def shown_of(found: Results) -> list[tuple[object, ...]]:
    """All of a result that adding may change."""
    return [(cell.fingerprint, cell.state, cell.arrived, cell.params) for cell in found]


@given(some_results(), some_results(), some_results())
def test_sums_lose_and_double_no_picture(one: Results, two: Results, three: Results) -> None:
    """In any order of adding; what is not done stays where nothing of its request is done."""
    left, right = (one + two) + three, one + (two + three)

    assert shown_of(left) == shown_of(right)
    assert shown_of(left) == shown_of(left + left)
    pictures = [cell for cell in left if cell.state is State.DONE]
    assert pictures_of(one, two, three) == pictures_of(left)
    assert len(pictures_of(left)) == len(pictures)
    assert {cell.fingerprint for each in (one, two, three) for cell in each} == {c.fingerprint for c in left}


def test_names_and_notes_together() -> None:
    """Names are joined, notes kept."""
    one, two = results("a"), results("b")
    two.name, one.notes, two.notes = "other", ["stopped"], ["stopped", "slow"]
    both = one + two
    assert (both.name, both.notes) == ("study + other", ["stopped", "slow"])


def test_adding_something_else() -> None:
    """Only results add up."""
    with pytest.raises(TypeError):
        _ = results() + 1  # type: ignore[operator]


# --- outputs -------------------------------------------------------------------------------------------


def test_bytes_are_exact() -> None:
    """What was received, byte for byte, and the picture in it."""
    found = results(attempts={0: done(picture(77, "JPEG"))})[0]
    assert (found.bytes, found.image.size) == (picture(77, "JPEG").data, (8, 6))


def test_output_is_the_first_good_one() -> None:
    """A moderated first picture doesn't hide the second."""
    found = results(num_images=2, attempts={0: done(bad(Reason.MODERATED), picture(5))})[0]
    assert (found.state, found.output.number, found.note) == (
        State.DONE,
        2,
        "1 of 2 pictures: output 1 moderated",
    )


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        (Reason.MODERATED, errors.Moderated),
        (Reason.EMPTY, errors.BadAnswer),
        (Reason.UNREADABLE, errors.BadAnswer),
        (Reason.CORRUPT, errors.OutputUnavailable),
        (Reason.EXPIRED, errors.OutputUnavailable),
    ],
)
def test_missing_pictures_raise_their_reason(reason: Reason, kind: type[KontextLabError]) -> None:
    """`image` and `bytes` raise the class that says why there is none."""
    cell = results(attempts={0: done(bad(reason, "what happened"))})[0]
    with pytest.raises(kind, match="output 1: what happened"):
        _ = cell.image
    with pytest.raises(kind):
        _ = cell.bytes


def test_picture_of_a_waiting_cell() -> None:
    """A cell without an answer says where it stands."""
    with pytest.raises(NotFound, match="no picture, the cell is waiting"):
        _ = CellResult("s1", {}).image


def test_moderated_bytes_can_be_looked_at() -> None:
    """A black picture is no picture to keep, but its bytes are there."""
    black = picture(0)
    flagged = Picture(black.data, black.sha256, "png", 8, 6, reason=Reason.MODERATED)
    output = results(attempts={0: done(flagged)})[0].outputs[0]
    assert (output.is_picture, output.bytes) == (False, black.data)


def test_released_bytes_come_back() -> None:
    """Bytes may leave memory and be loaded again."""
    output = results(attempts={0: done(picture(3))})[0].outputs[0]
    output.release(lambda: b"loaded")
    assert output.bytes == b"loaded"


def test_thumbnail() -> None:
    """A small version fits its box."""
    assert results()[0].output.thumbnail(4).size == (4, 3)


def test_origin() -> None:
    """Where a tracked output lies; none before it is tracked."""
    cell = results()[0]
    before, cell.run_id = cell.origin, "run"
    assert (before, cell.origin.run_id if cell.origin else "") == (None, "run")


def test_cost_is_shared() -> None:
    """Each output costs its share."""
    cell = results(num_images=2, attempts={0: done(picture(1), picture(2), cost=0.1)})[0]
    assert [output.cost for output in cell.outputs] == [0.05, 0.05]


def test_typed_params() -> None:
    """Logged text becomes the values it was."""
    texts = {
        "guidance_scale": "2.5",
        "seed": str(10**30),
        "num_images": "default",
        "animal": "3",
        "repeat": "2",
    }
    assert typed_params(texts) == {
        "guidance_scale": 2.5,
        "seed": 10**30,
        "num_images": "default",
        "animal": "3",
        "repeat": 2,
    }


# --- tables and files ----------------------------------------------------------------------------------


def test_frame() -> None:
    """One row per output, and one for a cell without."""
    found = results(
        num_images=2, seed="1-3", attempts={0: done(picture(1), picture(2)), 1: done(picture(1), bad(Reason.EMPTY)),
                                            2: Attempt("id", error=errors.RequestRefused("no", 400))},
    )  # fmt: skip
    frame = found.to_frame()
    assert frame[["seed", "output", "state", "reason"]].astype(object).where(
        frame.notna(), None
    ).to_numpy().tolist() == [
        [1, 1.0, "done", None],
        [1, 2.0, "done", None],
        [2, 1.0, "done", None],
        [2, 2.0, "done", "empty"],
        [3, None, "failed", "400"],
    ]


def test_frame_adds_up() -> None:
    """Costs in the table are the costs of the cells."""
    found = results(num_images=2, seed="1-3", attempts={n: done(picture(1), picture(2)) for n in range(3)})
    assert found.to_frame()["cost"].sum() == pytest.approx(found.cost)


def test_frame_of_nothing() -> None:
    """No cells, no rows."""
    assert len(Results([]).to_frame()) == 0


def test_save(tmp_path: Path) -> None:
    """Exact bytes under readable names, and a table that names them."""
    found = results(
        seed="1-2", num_images=2, attempts={0: done(picture(1), picture(2)), 1: done(bad(Reason.EMPTY))}
    )
    folder = found.save(tmp_path / "new" / "folder")
    assert sorted(path.name for path in folder.iterdir()) == ["1 s1 1.png", "1 s1 2.png", "index.csv"]
    assert (folder / "1 s1 2.png").read_bytes() == picture(2).data
    with (folder / "index.csv").open(encoding="utf-8", newline="") as file:
        assert [row["file"] for row in csv.DictReader(file)] == ["1 s1 1.png", "1 s1 2.png", ""]


def test_save_nothing(tmp_path: Path) -> None:
    """Results without cells save a table without rows."""
    assert (Results([]).save(tmp_path / "empty") / "index.csv").exists()


def test_save_odd_words(tmp_path: Path) -> None:
    """No word leads out of the folder or ends as a name no system takes."""
    words = [
        "../../up",
        "/etc/passwd",
        "a:b",
        "CON",
        "..",
        "😀" * 200,
        "x" * 500,
        "tab\tand\nline",
        "a\\b",
        " ",
        "nul.",
    ]
    found = results("Add {word}.", axes={"word": words})
    folder = found.save(tmp_path / "deep" / "out")
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["out"]
    assert len(list(folder.glob("*.png"))) == len(words)
    assert all(path.parent == folder for path in tmp_path.rglob("*.png"))


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("g5 s2 1:1 crab", "g5 s2 1-1 crab"),
        ("../up", "-up"),
        ("a/b\\c", "a-b-c"),
        ("", "unnamed"),
        ("...", "unnamed"),
        ("tab\tnul\0esc\x1b", "tab-nul-esc-"),
        ('what? "this" <that> | *', "what- -this- -that- - -"),
    ],
)
def test_safe_name(text: str, name: str) -> None:
    """Readable, and a name on every system."""
    found = safe_name(text)
    assert not set(found) & set('/\\:*?"<>|\0\x1b')
    assert found == name


def test_safe_name_is_short_in_bytes() -> None:
    """Also in scripts of four bytes a letter."""
    assert len(safe_name("😀" * 300).encode()) <= 200


def test_save_where_it_can_not(tmp_path: Path) -> None:
    """A folder that can't be made is one line."""
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="can't be written"):
        results().save(tmp_path / "file" / "folder")


@pytest.mark.parametrize("folder", [None, 3, "~nobody-of-this-name/x"])
def test_save_where_nothing_is(folder: Any) -> None:
    """Something else than a folder is refused."""
    with pytest.raises(ConfigError, match="is not the name of a folder"):
        results().save(folder)


def test_save_name_with_a_null_byte(tmp_path: Path) -> None:
    """So is a name no file system takes."""
    with pytest.raises(ConfigError, match="can't be written"):
        results().save(f"{tmp_path}/a\0b")


@pytest.mark.parametrize(
    "formula", ["=1+1", "+1", "-1", "@x", "\t=1", "\r=1", "\n=1", "＝1", '=HYPERLINK("x")']
)
def test_formulas_are_neutral(formula: str, tmp_path: Path) -> None:
    """No word becomes a formula in a spreadsheet."""
    folder = results("Add {word}.", axes={"word": [formula]}).save(tmp_path / "out")
    with (folder / "index.csv").open(encoding="utf-8", newline="") as file:
        (row,) = csv.DictReader(file)
    assert row["word"] == "'" + formula.replace("\r", "\n")


@pytest.mark.parametrize("value", ["a=1", "", "bird", "'x"])
def test_other_text_stays(value: str) -> None:
    """Ordinary text and numbers are written as they are."""
    text = csv_text(pd.DataFrame([{"word": value, "number": -1.5, "none": None}]))
    assert list(csv.reader(io.StringIO(text)))[1] == [value, "-1.5", ""]


# --- shown ---------------------------------------------------------------------------------------------


def test_repr(grid: Results) -> None:
    """Counts, money, what to do next."""
    assert repr(grid) == (
        "<Results 'study': 8 cells: 8 done · $0.42 (simulated) · compare with kl.grid(results)>"
    )


@pytest.mark.parametrize(
    ("state", "reason", "says"),
    [
        (State.CANCELLED, "asked", "run the same sweep again to send the rest"),
        (State.SKIPPED, "budget", "run the same sweep again to send the rest"),
        (State.IN_DOUBT, "lost", 'in doubt: sent again only with lab.run(sweep, in_doubt="resend")'),
        (State.FAILED, "400", "results.sel(state='failed') lists the failed cells"),
    ],
)
def test_summary_says_what_to_do(state: State, reason: str, says: str) -> None:
    """Whatever did not work has a next step."""
    found = results(seed="1-2")
    found[0].end(state, reason)
    assert found.summary.endswith(says)


def test_summary_counts_reused() -> None:
    """Reused cells are counted."""
    found = results(seed="1-2")
    found[0].reused_from = "run"
    assert "2 cells: 2 done (1 reused)" in found.summary


def test_html_is_escaped() -> None:
    """A name or note is text, not markup, in a notebook."""
    found = results()
    found.name, found.notes = "<script>alert(1)</script>", ["<b>&"]
    html = found._repr_html_()
    assert ("<script>" in html, "<b>&<" in html, "&lt;script&gt;" in html, "&lt;b&gt;&amp;" in html) == (
        False,
        False,
        True,
        True,
    )


def test_html_of_a_name_with_quotes() -> None:
    """No name leaves the attribute it stands in."""
    found = Results(list(results()), name='" onerror="alert(1)', draw=lambda _: b"png")
    assert 'onerror="' not in found._repr_html_()


def test_html_holds_the_drawing() -> None:
    """The picture that was drawn is in it."""
    found = Results(list(results()), name="n", draw=lambda _: b"png")
    assert 'src="data:image/png;base64,cG5n"' in found._repr_html_()


def test_html_without_cells() -> None:
    """Nothing is drawn of nothing."""
    assert "<img" not in Results([], name="n", draw=lambda _: b"png")._repr_html_()


def test_pickles(grid: Results) -> None:
    """Results can be kept in a file."""
    copy = pickle.loads(pickle.dumps(grid))
    assert [cell.title for cell in copy] == [cell.title for cell in grid]


# --- states --------------------------------------------------------------------------------------------


def _error(kind: type[ServiceError], status: int | None) -> Attempt:
    return Attempt("id", error=kind("what happened", status))


@pytest.mark.parametrize(
    ("attempt", "state", "reason"),
    [
        (_error(errors.RequestRefused, 400), State.FAILED, "400"),
        (_error(errors.RequestRefused, 413), State.FAILED, "413"),
        (_error(errors.Unauthorized, 401), State.FAILED, "401"),
        (_error(errors.OutOfCredits, 403), State.FAILED, "403"),
        (_error(errors.ModelWithdrawn, 404), State.FAILED, "404"),
        (_error(errors.RateLimited, 429), State.FAILED, "429"),
        (_error(errors.ServiceUnavailable, 503), State.FAILED, "503"),
        (_error(errors.ServiceUnavailable, None), State.FAILED, "unreachable"),
        (_error(errors.InDoubt, None), State.IN_DOUBT, "lost"),
        (_error(errors.InDoubt, 504), State.IN_DOUBT, "lost"),
        (_error(errors.Moderated, 200), State.FAILED, "moderated"),
        (_error(errors.BadAnswer, 200), State.FAILED, "unreadable"),
        (_error(errors.OutputUnavailable, 404), State.FAILED, "expired"),
        (_error(ServiceError, 418), State.FAILED, "418"),
        (Attempt("id"), State.FAILED, "unreachable"),
        (done(), State.DONE, ""),
        (done(picture(1), bad(Reason.EMPTY)), State.DONE, ""),
        (Attempt("id", Answer(())), State.FAILED, "empty"),
        *((done(bad(reason)), State.FAILED, str(reason)) for reason in Reason),
        (done(bad(Reason.MODERATED), bad(Reason.EMPTY)), State.FAILED, "moderated"),
    ],
)
def test_outcome(attempt: Attempt, state: State, reason: str) -> None:
    """The table of states: what happened, state, reason; and a line wherever it is not plainly done."""
    found = outcome_of(attempt)
    assert found[:2] == (state, reason)
    assert bool(found[2]) == (
        found[0] is not State.DONE or len(attempt.answer.pictures if attempt.answer else ()) > 1
    )


@pytest.mark.parametrize(
    ("state", "finished"),
    [(state, state not in (State.WAITING, State.RUNNING)) for state in State],
)
def test_finished(state: State, finished: bool) -> None:
    """Waiting and running are not finished, everything else is."""
    assert state.is_finished == finished


def test_apply_takes_the_answer_over() -> None:
    """Cost, latency, time and outputs come from the attempt."""
    cell = results(attempts={0: done(picture(1), cost=0.04)})[0]
    assert (cell.cost, cell.latency_s, cell.arrived, len(cell.outputs)) == (0.04, 7.5, NOW, 1)


def test_take_keeps_title_and_parameters() -> None:
    """An outcome from a store is taken over, the cell stays itself."""
    mine, theirs = results(seed=[1])[0], results(seed=[2])[0]
    theirs.run_id, theirs.reused_from = "run", "first"
    mine.take(theirs)
    assert (mine.title, mine.params["seed"], mine.run_id, mine.reused_from) == ("s1", 1, "run", "first")
    assert isinstance(mine.outputs[0], Output)
    assert mine.outputs[0].cell is mine
