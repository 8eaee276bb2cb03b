"""A report of results made by hand: what stands in it, and that nothing in it is obeyed."""

from __future__ import annotations

import hashlib
import re
import zipfile
from base64 import b64encode
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from report_making import BLUE, RED, flat, moderate, picture_of, read, refuse, study

import kontext_lab as kl
from kontext_lab.errors import ConfigError
from kontext_lab.results import State

FACE = (0.1, 0.2, 0.5, 0.75)

HOSTILE = 'Add </script><script>alert(1)</script> "quotes" <img src=x onerror=alert(2)> & \u202egnp.exe \u2028 {word}'


def test_page_is_one_file_that_asks_no_network(tmp_path: Path) -> None:
    """No address but `data:` ones stands anywhere a browser would follow it, and the policy forbids all others."""
    page = read(
        kl.report(study(axes={"seed": [1, 2]}, service="https://api.example"), tmp_path / "study.html")
    )

    assert {"data"} == {(image["src"] or "").partition(":")[0] for image in page.images}
    assert set() == {"link", "iframe", "object", "embed", "base", "form", "a"} & set(page.tags)
    policy = next(meta["content"] for meta in page.metas if meta.get("http-equiv"))
    assert "default-src 'none'; img-src data:;" in str(policy)


def test_policy_names_the_script_that_is_there(tmp_path: Path) -> None:
    """The hashes in the policy are those of the style and the script as they stand in the page."""
    source = kl.report(study(), tmp_path / "study.html").read_text(encoding="utf-8")
    for kind in ("style", "script"):
        text = re.search(rf"<{kind}>(.*?)</{kind}>", source, re.DOTALL)
        assert text is not None
        digest = b64encode(hashlib.sha256(text[1].encode()).digest()).decode()
        assert f"{kind}-src &#39;sha256-{digest}&#39;" in source


def test_hostile_prompt_is_text(tmp_path: Path) -> None:
    """Markup in prompts, words, names and notes makes no element, neither in the page nor in its data."""
    plain = read(
        kl.report(study(axes={"seed": [1, 2], "word": ["a", "b"]}, prompt="Add {word}"), tmp_path / "a")
    )
    results = study(
        HOSTILE, axes={"seed": [1, 2], "word": ["<b>bold</b>", "</script><script>alert(3)"]}, name="<i>x"
    )
    results[0].comment = "</p><script>alert(4)</script>"
    results.notes.append("<u>note")
    hostile = read(kl.report(results, tmp_path / "b"))

    assert [tag for tag in plain.tags if tag != "p"] == [tag for tag in hostile.tags if tag != "p"]
    assert ["</p><script>alert(4)</script>", "", "", ""] == [card["comment"] for card in hostile.cards]


def test_marks_that_turn_lines_are_written_out(tmp_path: Path) -> None:
    """A direction mark in a prompt is shown, not obeyed: it stands nowhere in the file."""
    source = kl.report(study(HOSTILE, axes={"word": ["a", "b"]}), tmp_path / "study").read_text(
        encoding="utf-8"
    )

    assert [] == [mark for mark in "\u202e\u2028\u2029" if mark in source]
    assert "\\u202e" in read(tmp_path / "study.html").cards[0]["params"][1][1]


def test_sandbox_pages_say_simulated(tmp_path: Path) -> None:
    """Banner, title, every output's caption and every cost."""
    page = read(kl.report(study(axes={"seed": [1, 2]}), tmp_path / "study.html"))

    assert "Simulated pictures: made by the sandbox, not by the model." in page.text
    captions = [image["alt"] or "" for image in page.images if "seed" in (image["alt"] or "")]
    assert [True, True] == [caption.endswith("(simulated)") for caption in captions]
    assert ["$0.040 (simulated)"] * 2 == [dict(card["facts"])["cost"] for card in page.cards]


def test_real_pages_do_not_say_simulated(tmp_path: Path) -> None:
    """What the real service made is not called simulated."""
    page = read(kl.report(study(service="https://api.example"), tmp_path / "study.html"))

    assert "imulated" not in page.text


def test_mixed_pages_count_the_simulated(tmp_path: Path) -> None:
    """Where both are together, the banner says how many are simulated."""
    both = study(axes={"seed": [1, 2]}) + study(axes={"seed": [1]}, service="https://api.example")

    assert "2 of 3 cells: Simulated" in read(kl.report(both, tmp_path / "study.html")).text


def test_further_prompts_are_marked_word_by_word(tmp_path: Path) -> None:
    """What a prompt adds to the first one is underlined, what it leaves out struck through; all of it escaped."""
    prompts = {"plain": "Add a <b>bird</b>.", "keep": "Add one <b>bird</b>. Keep the rest."}
    page = kl.report(study(None, axes={"prompt": prompts}), tmp_path / "a").read_text(encoding="utf-8")
    assert (
        "Add <del>a</del> <ins>one</ins> &lt;b&gt;bird&lt;/b&gt;. <ins>Keep the rest.</ins></blockquote>"
        in page
    )


def test_page_tells_prompt_counts_and_costs(tmp_path: Path) -> None:
    """The head says what was asked, how it ended and what it cost."""
    results = study("Put a {word} there.", axes={"word": ["bird", "crab"]}, service="https://api.example")
    refuse(results[1])
    text = read(kl.report(results, tmp_path / "study.html")).text

    assert "Put a {word} there." in text
    assert "2 cells: 1 done, 1 failed · $0.04" in text
    assert "https://api.example" in text


def test_grid_opens_as_the_figure_does(tmp_path: Path) -> None:
    """Rows and columns at first are those that `kl.grid` picks."""
    results = study("A {word}", axes={"seed": [1, 2], "guidance_scale": [2, 5], "word": ["a", "b"]})
    data = read(kl.report(results, tmp_path / "study.html")).data

    assert ("guidance_scale", "seed") == (data["rows"], data["columns"])
    assert ["guidance_scale", "seed", "word"] == sorted(axis["key"] for axis in data["axes"])


def test_cards_know_their_place(tmp_path: Path) -> None:
    """Every card's places name its own values."""
    results = study(axes={"seed": [1, 2], "guidance_scale": [2, 5]})
    data = read(kl.report(results, tmp_path / "study.html")).data
    named = [
        {axis["key"]: axis["values"][at][0] for axis, at in zip(data["axes"], card["at"], strict=True)}
        for card in data["cards"]
    ]

    assert [
        {"seed": str(cell.params["seed"]), "guidance_scale": f"{cell.params['guidance_scale']:g}"}
        for cell in results
    ] == named


def test_every_output_has_a_card(tmp_path: Path) -> None:
    """The number of the output is an axis where cells have several, and each has its own picture."""
    data = read(kl.report(study(num_images=2, axes={"seed": [1, 2]}), tmp_path / "study.html"))

    assert 4 == len({card["picture"] for card in data.cards})
    assert "output" in [axis["key"] for axis in data.data["axes"]]


def test_card_shows_the_outputs_own_pixels(tmp_path: Path) -> None:
    """The picture a card names is the output's, its reference the cell's."""
    results = study(axes={"seed": [1, 2, 3]})
    page = read(kl.report(results, tmp_path / "study.html"))
    for card, cell in zip(page.cards, results, strict=True):
        shown = np.asarray(page.picture(card["picture"]).convert("RGB"), float).mean((0, 1))
        assert np.allclose(np.asarray(cell.image, float).mean((0, 1)), shown, atol=3)
        (reference,) = card["references"]
        assert np.allclose(
            RED, np.asarray(page.picture(reference).convert("RGB"), float).mean((0, 1)), atol=4
        )


def test_card_says_cost_seed_and_sizes(tmp_path: Path) -> None:
    """A closer look tells what was asked for and what came."""
    (card,) = read(kl.report(study(seed=7, aspect_ratio="16:9"), tmp_path / "study.html")).cards
    facts = dict(card["facts"])

    assert ("$0.040 (simulated)", "7", "3.0 s") == (facts["cost"], facts["seed"], facts["time"])
    assert facts["asked for"].startswith("16:9")
    assert "192×128 png, ratio 1.500" == facts["came"]


def test_card_has_verdicts_values_and_the_note(tmp_path: Path) -> None:
    """What was measured and said of an output is on its card; what is no number is left out."""
    results = study()
    results[0].outputs[0].metrics = {
        "change/area": 0.0312345,
        "preserve/ssim": float("nan"),
        "verdict/follows_prompt": 1.0,
        "verdict/rest_kept": 0.0,
    }
    results[0].comment = "A nice\nbird."
    page = read(kl.report(results, tmp_path / "study.html"))
    (card,) = page.cards

    assert [["change/area", "0.03123"]] == card["measured"]
    assert [["follows prompt", "pass"], ["rest kept", "fail"]] == card["verdicts"]
    assert ("✗", "A nice\nbird.") == (card["mark"], card["comment"])
    assert "NaN" not in page.source


def test_cells_without_a_picture_say_why(tmp_path: Path) -> None:
    """Failed, moderated, skipped and waiting cells have a card each, with the reason and no picture."""
    results = study(axes={"seed": [1, 2, 3, 4]})
    moderate(results[0])
    refuse(results[1], "prompt: too rude")
    results[2].outputs = []
    results[2].end(State.SKIPPED, "budget", "it did not fit")
    results[3].outputs = []
    results[3].state = State.WAITING
    page = read(kl.report(results, tmp_path / "study.html"))

    assert [
        "moderated: a black picture came",
        "failed 400: prompt: too rude",
        "skipped budget: it did not fit",
        "waiting",
    ] == [card["said"] for card in page.cards]
    assert [None] * 4 == [card["picture"] for card in page.cards]
    assert ["moderated", "failed", "skipped", "waiting"] == [card["kind"] for card in page.cards]
    assert "No cell has a picture; each card says why." in page.text


def test_picture_that_is_gone_says_so(tmp_path: Path) -> None:
    """A picture that can't be loaded any more costs its own card only."""

    def gone() -> bytes:
        raise kl.errors.TrackingError("outputs/0.png is gone")

    results = study(axes={"seed": [1, 2]})
    output = results[0].outputs[0]
    output.preview = b""
    output.release(gone)
    cards = read(kl.report(results, tmp_path / "study.html")).cards

    assert "the picture can't be loaded: outputs/0.png is gone" == cards[0]["said"]
    assert "" == cards[1]["said"]


def test_no_cells_make_a_page(tmp_path: Path) -> None:
    """Results without a cell are a page that says so."""
    assert "There are no cells." in read(kl.report(study()[:0], tmp_path / "study.html")).text


def test_one_cell_makes_a_page(tmp_path: Path) -> None:
    """A single edit has no axis and one card."""
    data = read(kl.report(study(), tmp_path / "study.html")).data

    assert ([], "", "", 1) == (data["axes"], data["rows"], data["columns"], len(data["cards"]))


def test_suffix_is_added(tmp_path: Path) -> None:
    """A name without a suffix becomes an .html file; its path is returned."""
    assert tmp_path / "study.html" == kl.report(study(), tmp_path / "study")


def test_report_is_replaced_whole(workdir: Path) -> None:
    """A second report takes the first one's place and leaves nothing beside it."""
    kl.report(study(), "study.html")
    kl.report(study(axes={"seed": [1, 2]}), "study.html")

    assert ["study.html"] == [file.name for file in workdir.iterdir()]
    assert 2 == len(read(workdir / "study.html").cards)


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("nowhere/study.html", "can't be written"),
        ("study.txt", "must end in .html"),
        (".", "is a folder"),
        ("a\0b.html", "null"),
        (3, "is not a file name"),
    ],
)
def test_bad_paths_are_one_line(path: object, words: str, tmp_path: Path) -> None:
    """A file that can't be is told at once, in one line, by what it is for."""
    with pytest.raises(ConfigError) as error:
        kl.report(study(), tmp_path / path if isinstance(path, str) else path)  # type: ignore[arg-type]

    assert str(error.value).startswith("report: ")
    assert words in str(error.value)
    assert 1 == len(str(error.value).splitlines())


def test_bad_zip_is_told_before_anything_is_written(workdir: Path) -> None:
    """The originals' file is looked at before the report is made."""
    with pytest.raises(ConfigError, match="originals: "):
        kl.report(study(), "study.html", originals="no/o.zip")

    assert [] == list(workdir.iterdir())


def test_what_is_no_results_is_told(tmp_path: Path) -> None:
    """A list of cells is no results."""
    with pytest.raises(ConfigError, match=r"results must be kl\.Results, not list"):
        kl.report([study()[0]], tmp_path / "study.html")  # type: ignore[arg-type]


def test_originals_are_the_exact_bytes(tmp_path: Path) -> None:
    """The .zip holds what `save` writes: readable names, exact bytes, the table."""
    results = study(axes={"seed": [1, 2]})
    kl.report(results, tmp_path / "study.html", originals=tmp_path / "originals")
    results.save(tmp_path / "folder")

    with zipfile.ZipFile(tmp_path / "originals.zip") as archive:
        packed = {name: archive.read(name) for name in archive.namelist()}
    assert {file.name: file.read_bytes() for file in (tmp_path / "folder").iterdir()} == packed


def test_named_references_are_called_by_name(tmp_path: Path) -> None:
    """Two photographs on an axis are two references, each on its own cells."""
    results = study(axes={"image": {"red one": flat(RED), "blue one": flat((30, 60, 190))}})
    page = read(kl.report(results, tmp_path / "study.html"))

    assert ["red one", "blue one"] == [value[0] for value in page.data["axes"][0]["values"]]
    assert 2 == len({tuple(card["references"]) for card in page.cards})


@pytest.mark.slow
@pytest.mark.parametrize(
    ("boxes", "words"),
    [
        ([{"face": FACE}, {}], "protected face"),
        ([{"face": FACE}, {"tail": FACE}], "protected cat: face; dog: tail"),
    ],
)
def test_protected_boxes_are_named(boxes: list[dict[str, Any]], words: str, tmp_path: Path) -> None:
    """By their references, where several have some."""
    results = study(axes={"image": {"cat": flat(RED), "dog": flat(BLUE)}})
    for cell, own in zip(results, boxes, strict=True):
        cell.protect = (own,)

    assert words in read(kl.report(results, tmp_path / "study.html")).text


@pytest.mark.slow
def test_144_cells_can_be_mailed(tmp_path: Path) -> None:
    """144 cells of the worst pictures there are stay below 15 MB."""
    results = study(axes={"seed": "1-12", "guidance_scale": "1-12"})
    noise = np.random.default_rng(1)
    small = [
        picture_of(Image.fromarray(noise.integers(0, 255, (600, 800, 3), dtype=np.uint8))) for _ in range(3)
    ]
    for place, output in enumerate(results.outputs):
        picture = small[place % 3]
        output.data, output.preview, output.sha256 = picture.data, picture.preview, f"{place:064d}"
    path = kl.report(results, tmp_path / "study.html")

    assert 15_000_000 > path.stat().st_size


def test_effects_stand_below_the_grid(tmp_path: Path) -> None:
    """Where something was measured or judged, the page has its figure, light and dark, and its sentences."""
    results = study(axes={"seed": [1, 2, 3], "guidance_scale": [2, 5]})
    for cell in results:
        cell.outputs[0].metrics = {
            "change/area": 0.01 * cell.params["guidance_scale"],
            "verdict/rest_kept": 1.0,
        }
    page = read(kl.report(results, tmp_path / "study.html"))
    drawn = [image["alt"] for image in page.images if "id" not in image]

    assert ["change/area, described below", "verdict/rest_kept, described below"] == drawn
    assert 2 == page.tags.count("source")
    assert "guidance_scale explains 100 % of change/area" in page.text


def test_effects_of_simulated_pictures_say_so(tmp_path: Path) -> None:
    """Every sentence about simulated pictures begins with that."""
    results = study(axes={"seed": [1, 2, 3], "guidance_scale": [2, 5]})
    for cell in results:
        cell.outputs[0].metrics = {"change/area": 0.01 * cell.params["seed"]}
    page = read(kl.report(results, tmp_path / "study.html"))

    assert "Effects (simulated)" in page.text
    assert "Simulated: seed explains" in page.text


def test_one_measured_cell_has_no_effects(tmp_path: Path) -> None:
    """A single edit has nothing to compare: no empty figure."""
    results = study()
    results[0].outputs[0].metrics = {"change/area": 0.1}

    assert "Effects" not in read(kl.report(results, tmp_path / "study.html")).text
