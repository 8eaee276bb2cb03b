"""What tells wordings of a prompt apart: words, punctuation, placeholders; as text and as HTML."""

from __future__ import annotations

import io
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import kontext_lab as kl
from kontext_lab.errors import ConfigError, NotFound
from kontext_lab.results import CellResult, Output, Results
from kontext_lab.sweep.wording import compared, shortened

PLAIN = "Add a {animal} to the foreground of the photo."
KEEP = PLAIN + " Keep everything else as it is."

texts = st.text(max_size=80) | st.lists(st.sampled_from(["a", "the", "{x}", "cat,", "“bird”", "."])).map(
    " ".join
)


def sweep(**axes: object) -> kl.Sweep:
    """A sweep over wordings."""
    return kl.Sweep(image=kl.sample("coffee"), axes=axes)


def results_of(made: kl.Sweep) -> Results:
    """The cells of a sweep, nothing sent."""
    return Results([CellResult.from_cell(cell, "sandbox", cell.title) for cell in made.cells])


@pytest.mark.parametrize(
    ("second", "said"),
    [
        (KEEP, "… of the photo. [+Keep everything else as it is.+]"),
        (PLAIN.replace("photo.", "photo, please."), "… of the photo[+, please+]."),
        (PLAIN.replace("a {animal}", "one {animal}"), "Add [-a-] [+one+] {animal} to the …"),
        (PLAIN.replace("{animal}", "{bird}"), "Add a [-{animal}-] [+{bird}+] to the foreground …"),
        ("Please, " + PLAIN, "[+Please,+] Add a {animal} …"),
        (PLAIN.replace(" the ", "\n the  "), "the same words"),
        ("Remove cup and saucer", "Remove cup and saucer"),
    ],
)
def test_differences_in_words(second: str, said: str) -> None:
    """A wording is told by what it adds and leaves out, with a few words around; one of other words, by itself."""
    assert said == str(compared(PLAIN, second))


def test_a_chance_match_holds_nothing_together() -> None:
    """A single word shared by two long changes is part of the change."""
    found = compared(
        "one two three the four five six end of it all", "red red red the blue blue blue end of it all"
    )
    assert "[-one two three the four five six-] [+red red red the blue blue blue+] end of it all" == str(
        found
    )


def test_scripts_without_spaces_are_compared_sign_by_sign() -> None:
    """Of a Chinese prompt the one other sign is marked."""
    assert "在照片的[-前-][+背+]景添加一只鸟。" == str(
        compared("在照片的前景添加一只鸟。", "在照片的背景添加一只鸟。")
    )


def test_words_keep_what_is_inside_them() -> None:
    """An apostrophe or a colon inside a word does not break it."""
    assert "[-don't-] [+can't+] use 16:9 here" == str(compared("don't use 16:9 here", "can't use 16:9 here"))


@given(texts, texts)
def test_nothing_gets_lost(first: str, second: str) -> None:
    """Kept and left-out words are the first wording, kept and added ones the second, whatever they are."""
    pieces = compared(first, second).pieces
    letters = [
        "".join("".join(piece.text for piece in pieces if piece.kind in kinds).split())
        for kinds in (("kept", "left out"), ("kept", "added"))
    ]
    assert ["".join(first.split()), "".join(second.split())] == letters


@pytest.mark.parametrize("words", ["a", "a b", "a b c d e", "! ?"])
def test_long_prompts_of_few_words_take_no_time(words: str) -> None:
    """The worst of 4000 characters are compared in a moment."""
    first, second = ((words + " ") * 4000)[:4000], ((words[::-1] + " b a ") * 4000)[:4000]
    began = time.perf_counter()
    compared(first, second)
    assert time.perf_counter() - began < 3


def test_a_sweep_tells_its_prompts() -> None:
    """Each prompt of a sweep is told against the first, by its name."""
    made = sweep(prompt={"plain": PLAIN, "keep": KEEP}, animal=["bird", "crab"])
    assert f"plain  {PLAIN}\nkeep   … of the photo. [+Keep everything else as it is.+]" == str(
        kl.differences(made)
    )


def test_results_tell_their_templates() -> None:
    """Of results the templates are compared, not what the words made of them."""
    made = sweep(prompt={"plain": PLAIN, "keep": KEEP}, animal=["bird", "crab"])
    assert str(kl.differences(made)) == str(kl.differences(results_of(made)))


def test_prompts_without_names_are_numbered() -> None:
    """As in a figure, a prompt without a name is P1, P2 …"""
    made = sweep(prompt=["Add a bird.", "Add a red bird."])
    assert ["P1", "P2"] == [prompt.name for prompt in kl.differences(made)]


def test_paired_prompts_are_told_once() -> None:
    """A prompt that stands in several pairs is one prompt."""
    made = sweep(**{"prompt+guidance_scale": [("Add a bird.", 2), ("Add a bird.", 4), ("Add a crab.", 4)]})
    assert ["Add a bird.", "Add a crab."] == [prompt.text for prompt in kl.differences(made)]


def test_one_prompt_is_told_alone() -> None:
    """A sweep of one prompt has no differences, and says its prompt."""
    assert "prompt  Add a bird." == str(kl.differences(kl.Sweep("Add a bird.", kl.sample("coffee"))))


def test_no_results_have_no_prompts() -> None:
    """Of no cells there is a sentence."""
    assert "There are no prompts." == str(kl.differences(Results([])))


@pytest.mark.parametrize("odd", [3, "Add a bird.", [1, 2], {"a": 1}])
def test_what_has_no_prompts_is_refused(odd: object) -> None:
    """One clear line says what is allowed."""
    with pytest.raises(ConfigError, match="takes a Sweep, Results, a list of prompts"):
        kl.differences(odd)  # type: ignore[arg-type]


def test_html_is_marked_without_colour() -> None:
    """Added words are `ins`, those left out `del`: underlined and struck through, on light and dark alike."""
    page = kl.differences({"a": "Add a bird.", "b": "Add one bird."})._repr_html_()
    assert ("one", "a") == (_inside("ins", page), _inside("del", page))
    assert "color:#" not in page


def test_html_is_escaped() -> None:
    """Neither a name nor a prompt is markup."""
    page = kl.differences(
        {"<b>": "Add <i>a</i> bird.", "<script>": "Add <i>one</i> bird\ud800."}
    )._repr_html_()
    assert not any(tag in page for tag in ("<b>", "<i>", "<script>", "\ud800"))


def _inside(tag: str, page: str) -> str:
    """The text of the last element of a kind: the first one is in the key."""
    return page.rsplit(f"</{tag}>", 1)[0].rsplit(">", 1)[1]


# --- labels that are cut ---------------------------------------------------------------------------------

labels = st.lists(
    st.tuples(
        st.sampled_from(["", "a very long beginning that all of them share, "]),
        st.text(st.sampled_from("ab .…"), max_size=30),
        st.sampled_from(["", " and a very long end that all of them share"]),
    ).map("".join),
    min_size=1,
    max_size=12,
)


@given(labels, st.integers(0, 60))
def test_labels_that_differ_stay_different(given_: list[str], length: int) -> None:
    """Whatever they are and however little room there is; equal ones stay equal."""
    cut = shortened(given_, length)
    assert len(set(given_)) == len(set(zip(given_, cut, strict=True))) == len(set(cut))


@given(labels, st.integers(12, 60))
def test_cut_labels_fit(given_: list[str], length: int) -> None:
    """Also those that are told apart by their numbers; what fits is not cut."""
    for label, cut in zip(given_, shortened(given_, length), strict=True):
        assert len(cut) <= length
        assert cut == label or len(label) > length


@given(labels, st.integers(0, 40))
def test_some_of_the_labels_are_cut_as_all_of_them_are(given_: list[str], length: int) -> None:
    """What is on one page differs from what is on the others."""
    everything = dict(zip(given_, shortened(given_, length), strict=True))
    some = given_[::2]
    assert [everything[label] for label in some] == shortened(some, length, given_) or "…" in given_


def test_what_differs_is_kept() -> None:
    """Beginning, middle or end, in whole words where there is room."""
    same = "a small crab that sits on the rim of the saucer and looks at the "
    assert [
        "a small crab…looks at the cup",
        "a small crab…at the spoon",
        "a small crab…spoon beside th…",
    ] == shortened([f"{same}cup", f"{same}spoon", f"{same}spoon beside the cup"], 29)


ALIKE = [
    f"a small crab that sits on the rim of the saucer and wears a {one}" for one in ("red hat", "blue hat")
]


def test_titles_of_cells_differ() -> None:
    """And so do the names of runs and files that are made of them."""
    made = kl.Sweep(prompt="Add {w}.", image=kl.sample("coffee"), axes={"w": ALIKE, "seed": [1, 2]})
    assert 4 == len({cell.title for cell in made.cells})
    named = kl.Sweep(
        prompt="Add {w}.", image=kl.sample("coffee"), axes={"w": dict(zip(ALIKE, "ab", strict=True))}
    )
    assert 2 == len({cell.title for cell in named.cells})


def test_files_have_names_that_tell_them_apart(tmp_path: Path) -> None:
    """Also where a title is too long for a file name."""
    made = kl.Sweep(
        prompt="Add {u} {v} {w}.",
        image=kl.sample("coffee"),
        axes={"u": [f"{ALIKE[0]} again"], "v": [f"{ALIKE[0]} once more"], "w": ALIKE},
    )
    results = results_of(made)
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, "PNG")
    for cell in results:
        cell.outputs = [Output(cell, 1, data=buffer.getvalue(), sha256="0", format="png")]
    names = [file.stem for file in results.save(tmp_path).glob("*.png")]
    assert 2 == len({name.partition(" ")[2] for name in names})


def test_lists_in_notes_tell_values_apart() -> None:
    """Results that find nothing list what there is."""
    made = kl.Sweep(prompt="Add {w}.", image=kl.sample("coffee"), axes={"w": ALIKE})
    with pytest.raises(NotFound, match=r"red hat.*blue hat"):
        results_of(made).sel(w="bird")
