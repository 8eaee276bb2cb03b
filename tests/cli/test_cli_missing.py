"""The command line on a store that was moved, and on one whose pictures are missing."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cli_parts import Said

from kontext_lab.sandbox import Sandbox

SWEEP = "name: s\nprompt: Add a bird.\nimage: photo.jpg\naspect_ratio: 1:1\naxes:\n  seed: {}\n"


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    """A sandbox that the environment names as the API."""
    with Sandbox() as box:
        monkeypatch.setenv("AIMLAPI_BASE_URL", box.url)
        monkeypatch.setenv("AIMLAPI_API_KEY", "marked-key-4711")
        yield box


@pytest.fixture
def folder(migrated_store: Path, photo_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder `a`, with a sweep of two cells and an empty default store."""
    made = tmp_path / "a"
    made.mkdir()
    shutil.copy(migrated_store, made / "mlflow.db")
    shutil.copy(photo_file, made / "photo.jpg")
    (made / "sweep.yaml").write_text(SWEEP.format("1-2"))
    monkeypatch.chdir(made)
    return made


@pytest.fixture
def ran(folder: Path, kontext: Callable[..., Said], api: Sandbox) -> Path:
    """The same once it ran; the sweep file has a cell more now."""
    assert 0 == kontext("run", "sweep.yaml", "--no-measure").code
    (folder / "sweep.yaml").write_text(SWEEP.format("1-3"))
    assert 2 == len(api.calls)
    return folder


@pytest.fixture
def lost(ran: Path) -> Path:
    """The same without one of the two pictures."""
    first = min(ran.glob("mlartifacts/kontext-lab/*/artifacts/outputs/0.jpg"))
    first.unlink()
    return ran


def test_renamed_folder(
    ran: Path, kontext: Callable[..., Said], api: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a renamed folder a longer sweep has all its pictures, the old folder stays away, nothing is missing."""
    b = ran.parent / "b"
    monkeypatch.chdir(ran.parent)
    ran.rename(b)
    monkeypatch.chdir(b)
    said = kontext("run", "sweep.yaml", "--no-measure", "--out", "pics")
    assert (0, "", True) == (said.code, said.err, "3 done (2 reused)" in said.out)
    assert ["1 s1.jpg", "2 s2.jpg", "3 s3.jpg", "index.csv"] == sorted(
        one.name for one in Path("pics").iterdir()
    )
    assert [(0, ""), (0, "")] == [
        kontext(*words)[::2] for words in (("report", "last"), ("export", "last", "more"))
    ]
    assert 0 == kontext("doctor").code
    assert (3, False) == (len(api.calls), ran.exists())


def test_run_leaves_out_what_is_missing(lost: Path, kontext: Callable[..., Said], api: Sandbox) -> None:
    """It ends with 1, names the price and the way out, and saves the rest."""
    said = kontext("run", "sweep.yaml", "--no-measure", "--out", "pics")
    assert (1, 3) == (said.code, len(api.calls))
    assert "1 cell was paid for before and left out: its pictures are missing in" in said.out
    assert "sent again only with --missing resend" in said.out
    assert "≈ $0.05" in said.out
    assert "1 missing: " in said.err
    assert 2 == len(list(Path("pics").glob("*.jpg")))


def test_run_pays_again_by_choice(lost: Path, kontext: Callable[..., Said], api: Sandbox) -> None:
    """With --missing resend it is sent with the rest, one line says so, and all are done."""
    said = kontext("run", "sweep.yaml", "--no-measure", "--missing", "resend")
    assert (0, 4) == (said.code, len(api.calls))
    assert 1 == said.out.count(
        "1 cell was paid for before and sent again, for free (≈ $0.05 if it were real)"
    )
    assert 0 == kontext("report", "last").code


def test_dry_run_tells_programs(lost: Path, kontext: Callable[..., Said]) -> None:
    """The plan as JSON counts what is missing, and its price."""
    facts = json.loads(kontext("run", "sweep.yaml", "--dry-run", "--json").out)
    assert (1, 1, 1) == (facts["missing"], facts["reused"], facts["requests"])
    assert 0.05 < facts["missing_cost_usd"] < 0.06


@pytest.mark.parametrize(
    "words", [("report", "last"), ("export", "last", "pics")], ids=lambda words: words[0]
)
def test_what_is_written_lacks_something(
    lost: Path, words: tuple[str, ...], kontext: Callable[..., Said], caplog: pytest.LogCaptureFixture
) -> None:
    """Report and export end with 1 and say how many pictures are missing, and where."""
    said = kontext(*words)
    place = lost / "mlartifacts" / "kontext-lab"
    assert 1 == said.code
    assert f"1 of 2 pictures is missing in {place}" in said.err + caplog.text


def test_show_says_which(lost: Path, kontext: Callable[..., Said]) -> None:
    """Each cell without its picture says so, also to programs."""
    said = kontext("show", "last")
    assert (1, True) == (said.out.count("(picture missing)"), "1 of 2 pictures is missing in" in said.err)
    facts = json.loads(kontext("show", "last", "--json").out)
    assert [1, 1] == [
        sum(one["outputs"][0]["missing"] is wanted for one in facts["results"]) for wanted in (True, False)
    ]


def test_check_counts(lost: Path, kontext: Callable[..., Said]) -> None:
    """The store's line says how many pictures are missing, and where; it ends with 1."""
    said = kontext("doctor")
    place = lost / "mlartifacts" / "kontext-lab"
    assert (1, True) == (said.code, f"of the newest 2 done cells 1 picture is missing in {place}" in said.out)


def test_list_names_a_store_without_pictures(ran: Path, kontext: Callable[..., Said]) -> None:
    """Where the whole folder is missing the list says so."""
    assert "" == kontext("list").err
    shutil.rmtree(ran / "mlartifacts")
    assert (
        f"pictures are missing: there is no folder {ran / 'mlartifacts' / 'kontext-lab'}"
        in kontext("list").err
    )
