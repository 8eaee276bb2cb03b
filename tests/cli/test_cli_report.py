"""`kontext-lab report`: files, sizes, exit codes."""

from __future__ import annotations

import csv
import io
import re
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from cli_parts import Said

import kontext_lab as kl


@pytest.fixture
def tracked(store_uri: str, photo_file: Path) -> kl.Results:
    """A sweep of the sandbox's in the store."""
    with kl.Lab("sandbox", quiet=True) as lab:
        sweep = kl.Sweep("Add a bird.", photo_file, axes={"seed": [1, 2]}, name="my: study")
        return lab.run(sweep, progress=False)


@pytest.mark.slow
def test_report_is_called_as_the_sweep_is(kontext: Callable[..., Said], tracked: kl.Results) -> None:
    """Without --out the file lies in the working folder under a readable name, and its size is told."""
    said = kontext("report", "last")

    assert (0, "") == (said.code, said.err)
    assert Path("my- study.html").exists()
    assert re.search(r"my- study\.html, (\d+ kB|[\d.]+ MB)$", said.out, re.MULTILINE)
    assert "simulated" in said.out


def test_report_without_references_and_with_originals(
    kontext: Callable[..., Said], tracked: kl.Results
) -> None:
    """The options do what they say."""
    said = kontext("report", "my: study", "--out", "a.html", "--no-references", "--originals", "pictures.zip")

    assert 0 == said.code
    assert "left out of this page" in Path("a.html").read_text(encoding="utf-8")
    with zipfile.ZipFile("pictures.zip") as archive:
        assert ["1 s1.jpg", "2 s2.jpg", "index.csv"] == archive.namelist()


def test_bad_file_is_one_line(kontext: Callable[..., Said], tracked: kl.Results) -> None:
    """A folder that isn't there: code 2, one line, nothing loaded or written."""
    said = kontext("report", "last", "--out", "nowhere/a.html")

    assert (2, "") == (said.code, said.out)
    assert said.err.startswith("kontext-lab: report: ")
    assert 1 == len(said.err.splitlines())


def test_unknown_run_is_one_line(kontext: Callable[..., Said], tracked: kl.Results) -> None:
    """A name that no sweep has: code 2, one line."""
    said = kontext("report", "nobody")

    assert (2, 1) == (said.code, len(said.err.splitlines()))


def test_no_table_holds_a_formula(kontext: Callable[..., Said], store_uri: str, photo_file: Path) -> None:
    """Saved, exported, in the report's zip and in MLflow: a word that a spreadsheet would run is text."""
    words = [f"{sign}cmd|' /C calc'!A0" for sign in "=+-@"]
    with kl.Lab("sandbox", quiet=True, measure=False) as lab:
        sweep = kl.Sweep("{word} a bird.", photo_file, axes={"word": {f"={word}": word for word in words}})
        results = lab.run(sweep, progress=False)
        logged = lab.context.tracker.store.client.download_artifacts(results.run_id, "results.csv")
    results.save("saved")
    codes = [
        kontext("export", "last", "exported").code,
        kontext("report", "last", "--originals", "a.zip").code,
    ]
    with zipfile.ZipFile("a.zip") as archive:
        tables = [archive.read("index.csv").decode()]
    tables += [Path(one).read_text("utf-8") for one in (logged, "saved/index.csv", "exported/index.csv")]
    cells = [cell for table in tables for row in csv.reader(io.StringIO(table)) for cell in row]

    assert [0, 0] == codes
    assert 4 * len(words) == sum(cell.startswith("'=") and cell[2] in "=+-@" for cell in cells)
    assert [] == [cell for cell in cells if cell.startswith(("=", "+", "-", "@"))]
