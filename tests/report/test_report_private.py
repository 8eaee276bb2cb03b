"""Reports without references: nothing of what was given to the model leaves the house."""

from __future__ import annotations

import csv
import io
import zipfile
from pathlib import Path

import pytest
from report_making import BLUE, RED, flat, read, refuse, study

import kontext_lab as kl
from kontext_lab.results import Results


@pytest.fixture
def photos(tmp_path: Path) -> list[Path]:
    """Two photographs whose names say too much."""
    files = [tmp_path / "grandmother-at-home.png", tmp_path / "patient 4711.png"]
    for file, colour in zip(files, (RED, BLUE), strict=True):
        flat(colour).save(file)
    return files


@pytest.fixture
def private(photos: list[Path]) -> Results:
    """A sweep over both; one cell was refused in words that name a file."""
    results = study(axes={"image": photos, "seed": [1, 2]})
    refuse(results[3], f"{photos[1]} is refused: patient 4711 shows a face")
    return results


def test_no_reference_pixels(private: Results, tmp_path: Path) -> None:
    """No picture in the page has a reference's colours, and no card names a reference or a change map."""
    page = read(kl.report(private, tmp_path / "study.html", references=False))

    assert 3 == len(page.pixels)
    for colour in (RED, BLUE):
        assert [] == [
            pixel for pixel in page.pixels if max(abs(a - b) for a, b in zip(pixel, colour, strict=True)) < 8
        ]
    assert [([], None)] * 4 == [(card["references"], card["change"]) for card in page.cards]


def test_references_are_there_unless_left_out(private: Results, tmp_path: Path) -> None:
    """The same search finds both of them where they are wanted."""
    page = read(kl.report(private, tmp_path / "study.html"))

    for colour in (RED, BLUE):
        assert 1 == len(
            [
                pixel
                for pixel in page.pixels
                if max(abs(a - b) for a, b in zip(pixel, colour, strict=True)) < 8
            ]
        )


def test_no_names_of_files(private: Results, tmp_path: Path) -> None:
    """Neither names nor paths of references stand in the file; they are called by numbers."""
    path = kl.report(private, tmp_path / "study.html", references=False)
    source = path.read_text(encoding="utf-8")

    assert [] == [word for word in ("grandmother", "4711", "patient", str(tmp_path)) if word in source]
    labels = [
        value[0] for axis in read(path).data["axes"] if axis["key"] == "image" for value in axis["values"]
    ]
    assert ["reference 1", "reference 2"] == labels


def test_no_names_of_files_in_the_zip(private: Results, tmp_path: Path) -> None:
    """The originals' names and their table say nothing of them either."""
    kl.report(private, tmp_path / "a.html", references=False, originals=tmp_path / "o.zip")
    with zipfile.ZipFile(tmp_path / "o.zip") as archive:
        names, table = archive.namelist(), archive.read("index.csv").decode()

    assert [] == [word for word in ("grandmother", "4711", "patient") if word in " ".join(names) + table]
    assert {"reference 1", "reference 2"} == {row["image"] for row in csv.DictReader(io.StringIO(table))}


def test_names_people_gave_are_left_out(tmp_path: Path) -> None:
    """A label of a reference names it as much as its file does."""
    results = study(axes={"image": {"uncle Bob": flat(RED), "aunt Agatha": flat(BLUE)}})
    source = kl.report(results, tmp_path / "a", references=False).read_text(encoding="utf-8")

    assert [] == [word for word in ("Bob", "Agatha") if word in source]


def test_several_references_in_one_request(tmp_path: Path) -> None:
    """Their names are left out, joined or single."""
    results = study(image=None, images=[kl.sample("coffee"), kl.sample("chelsea")], axes={"seed": [1, 2]})
    results[1].note = "chelsea can't be used"
    source = kl.report(results, tmp_path / "a", references=False).read_text(encoding="utf-8")

    assert [] == [word for word in ("coffee", "chelsea") if word in source]


def test_different_references_of_one_name_stay_apart(tmp_path: Path) -> None:
    """Two photographs that are both called picture.png are two references."""
    both = study(image=flat(RED), axes={"seed": [1, 2]}) + study(image=flat(BLUE), axes={"seed": [1, 2]})
    data = read(kl.report(both, tmp_path / "a.html", references=False)).data
    labels = [value[0] for axis in data["axes"] if axis["key"] == "image" for value in axis["values"]]

    assert ["reference 1", "reference 2"] == labels
    assert 4 == len({tuple(card["at"]) for card in data["cards"]})


def test_results_stay_as_they_are(private: Results, tmp_path: Path) -> None:
    """Only the page is without them: the results keep names, requests and outputs."""
    before = [(cell.title, dict(cell.params), cell.request, cell.note) for cell in private]
    kl.report(private, tmp_path / "a.html", references=False)

    assert before == [(cell.title, cell.params, cell.request, cell.note) for cell in private]
    assert [True] * 3 == [output.cell in list(private) for output in private.outputs]


def test_words_of_the_prompt_stay(tmp_path: Path) -> None:
    """What a study is about is kept, also where a file is called by the same word."""
    flat(RED).save(tmp_path / "bird.png")
    page = read(
        kl.report(study("Add a bird.", image=tmp_path / "bird.png"), tmp_path / "a", references=False)
    )

    assert "Add a bird." in page.text


def test_page_says_that_they_are_left_out(tmp_path: Path) -> None:
    """A reader is told why nothing is compared."""
    text = read(kl.report(study(), tmp_path / "a.html", references=False)).text

    assert "References are left out of this page." in text
