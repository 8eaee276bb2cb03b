"""A store that was moved, renamed or copied: its pictures are found beside the database, and nowhere else."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

import kontext_lab as kl
from kontext_lab.errors import OutputMissing, TrackingError
from kontext_lab.results import State
from kontext_lab.tracking import artifact_location
from kontext_lab.tracking.store import open_store, resolve_uri

NAMES = ["b", "with blanks", "größer", "a%20b", "100%", "a#b", "a?b", "a;b&c", "日本"]


@pytest.fixture
def a(migrated_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with a store, the working folder."""
    folder = tmp_path / "a"
    folder.mkdir()
    shutil.copy(migrated_store, folder / "mlflow.db")
    monkeypatch.chdir(folder)
    return folder


def enter(folder: Path, monkeypatch: pytest.MonkeyPatch) -> kl.Lab:
    """A lab of somebody who works in a folder."""
    monkeypatch.chdir(folder)
    return kl.Lab("sandbox", measure=False, quiet=True)


def moved(a: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder under another name."""
    monkeypatch.chdir(a.parent)
    return a.rename(a.parent / name)


def sweep(photo_file: Path, seeds: str = "1-2") -> kl.Sweep:
    """A sweep over the photograph."""
    return kl.Sweep("Add a bird.", photo_file, axes={"seed": seeds}, name=f"seeds {seeds}")


def pictures(results: kl.Results) -> list[bytes]:
    """The exact bytes of all pictures."""
    return [output.bytes for output in results.outputs]


def run(lab: kl.Lab, *given: object, **options: object) -> kl.Results:
    """Run a sweep without a bar."""
    return lab.run(sweep(*given), progress=False, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", NAMES)
def test_renamed(a: Path, name: str, photo_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a renamed folder a sweep goes on with the pictures it has, in that folder."""
    with enter(a, monkeypatch) as lab:
        before = pictures(run(lab, photo_file))
    b = moved(a, name, monkeypatch)
    with enter(b, monkeypatch) as lab:
        results = run(lab, photo_file, "1-3")
        assert {State.DONE: 3} == dict(results.counts)
        assert before == pictures(lab.load("seeds 1-3"))[:2]
        assert [] == lab.load("last").missing
    assert not a.exists()
    assert 5 == len(list((b / "mlartifacts" / "kontext-lab").glob("*/artifacts/outputs/0.jpg")))


@pytest.mark.parametrize("name", NAMES)
def test_made_in_a_folder_of_any_name(
    a: Path, name: str, photo_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A store works in folders of any name, and is found from there."""
    folder = moved(a, name, monkeypatch)
    with enter(folder, monkeypatch) as lab:
        before = pictures(run(lab, photo_file))
    again = moved(folder, "plain", monkeypatch)
    with enter(again, monkeypatch) as lab:
        assert before == pictures(lab.load("last"))


def test_old_folder_stays_away(a: Path, photo_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reports, tables, votes and notes of old runs are written where the store is; one process does all of it."""
    with enter(a, monkeypatch) as lab:
        run(lab, photo_file)
    b = moved(a, "b", monkeypatch)
    with enter(b, monkeypatch) as lab:
        results = lab.load("last")
        kl.report(results, b / "page.html", lab=lab)
        lab.vote(results[0], results[1], "left", "anna")
        lab.set_verdict(results[0], "favourite", True)
        assert 1 == len(lab.votes(results))
        assert "seeds 1-2" == lab.load_sweep("last").name
        run(lab, photo_file)
    assert not a.exists()
    assert 1 == len(list(b.glob("mlartifacts/kontext-lab/*/artifacts/report.html")))


def test_mlflow_finds_them_too(a: Path, photo_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """MLflow's own record names the new place, for every run."""
    with enter(a, monkeypatch) as lab:
        run(lab, photo_file)
    b = moved(a, "b", monkeypatch)
    with enter(b, monkeypatch) as lab:
        store = lab.context.tracker.store
    client = MlflowClient(store.uri)
    place = (b / "mlartifacts" / "kontext-lab").as_uri()
    assert place == client.get_experiment(store.experiment_id).artifact_location
    recorded = [one.info.artifact_uri for one in client.search_runs([store.experiment_id])]
    assert [True] * 3 == [uri.startswith(f"{place}/") for uri in recorded]


def test_copy_and_original_are_two_stores(a: Path, photo_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy neither reads nor writes the folder it was copied from, within one process."""
    with enter(a, monkeypatch) as lab:
        run(lab, photo_file)
    b = a.parent / "b"
    shutil.copytree(a, b)
    for file in a.glob("mlartifacts/**/0.jpg"):
        file.write_bytes(b"")
    before = sorted(a.rglob("*"))
    with enter(b, monkeypatch) as lab:
        results = lab.load("last")
        assert [True, True] == [len(data) > 1000 for data in pictures(results)]
        kl.report(results, b / "page.html", lab=lab)
        run(lab, photo_file, "1-3")
    assert before == sorted(a.rglob("*"))
    with enter(a, monkeypatch) as lab:
        assert 2 == len(lab.load("last").missing)
        assert a in Path(lab.load("last").outputs[0].load.place).parents  # type: ignore[union-attr]


def test_database_without_its_pictures(a: Path, photo_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A database that was moved alone does not take pictures from the old folder: they are missing, and it says so."""
    with enter(a, monkeypatch) as lab:
        run(lab, photo_file)
    b = a.parent / "b"
    b.mkdir()
    (a / "mlflow.db").rename(b / "mlflow.db")
    with enter(b, monkeypatch) as lab:
        results = lab.load("last")
    assert 2 == len(results.missing)
    assert f"2 of 2 pictures are missing in {b / 'mlartifacts' / 'kontext-lab'}" in results.notes
    with pytest.raises(OutputMissing, match=r"outputs/0\.jpg is missing, looked for in"):
        _ = results[0].bytes


def test_pictures_brought_after_their_database(
    a: Path, photo_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pictures that are moved beside the database later are there again."""
    with enter(a, monkeypatch) as lab:
        before = pictures(run(lab, photo_file))
    b = a.parent / "b"
    b.mkdir()
    (a / "mlflow.db").rename(b / "mlflow.db")
    with enter(b, monkeypatch) as lab:
        lab.load("last")
        (a / "mlartifacts").rename(b / "mlartifacts")
        assert before == pictures(lab.load("last"))


def test_folder_reached_through_a_link(a: Path, photo_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store opened through a link is the same store: nothing in it is corrected."""
    with enter(a, monkeypatch) as lab:
        run(lab, photo_file)
    recorded = records(a / "mlflow.db")
    link = a.parent / "link"
    link.symlink_to(a)
    open_store(f"sqlite:///{link / 'mlflow.db'}", None)
    (a.parent / "other").mkdir()
    file_link = a.parent / "other" / "mlflow.db"
    file_link.symlink_to(a / "mlflow.db")
    store = open_store(f"sqlite:///{file_link}", "another")
    assert recorded == [one for one in records(a / "mlflow.db") if "another" not in one]
    location_of = store.client.get_experiment(store.experiment_id).artifact_location
    assert (a / "mlartifacts" / "another").as_uri() == location_of


def test_pictures_on_another_disk_behind_a_link(
    a: Path, photo_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A linked folder of pictures that leads nowhere is out of reach, not gone; nothing is sent."""
    disk = a.parent / "disk"
    disk.mkdir()
    (a / "mlartifacts").symlink_to(disk)
    with enter(a, monkeypatch) as lab:
        run(lab, photo_file)
        disk.rename(a.parent / "unmounted")
        with pytest.raises(TrackingError, match="can't be reached"):
            run(lab, photo_file, "1-3", missing="resend")
        (a.parent / "unmounted").rename(disk)
        assert 3 == len(run(lab, photo_file, "1-3").outputs)


def test_two_processes_correct_it_once(a: Path, photo_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Several that open a moved store at one moment leave one right record."""
    with enter(a, monkeypatch) as lab:
        run(lab, photo_file)
    b = moved(a, "b", monkeypatch)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(artifact_location.correct, [b / "mlflow.db"] * 16))
    place = (b / "mlartifacts" / "kontext-lab").as_uri()
    assert {place} == {record[: len(place)] for record in records(b / "mlflow.db")}


def test_read_only_database_says_where_its_pictures_are(
    a: Path, photo_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A moved database that can't be written is left as it is, and the right places are told."""
    with enter(a, monkeypatch) as lab:
        run(lab, photo_file)
    connect = sqlite3.connect

    def read_only(file: Path, **given: Any) -> sqlite3.Connection:
        # A superuser may write to any file, so its mode would prove nothing.
        return connect(f"{file.as_uri()}?mode=ro", uri=True, **given)

    monkeypatch.setattr(artifact_location.sqlite3, "connect", read_only)
    stayed = artifact_location.correct(a / "mlflow.db")
    b = moved(a, "b", monkeypatch)
    folders = [(folder / "mlartifacts" / "kontext-lab").as_uri() for folder in (a, b)]
    assert [] == stayed
    assert tuple(folders) in artifact_location.correct(b / "mlflow.db")


def test_correction_is_whole_or_not_at_all(
    a: Path, photo_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A correction that fails on the way leaves the record as it was."""
    with enter(a, monkeypatch) as lab:
        run(lab, photo_file)
    b = moved(a, "b", monkeypatch)
    with closing(sqlite3.connect(b / "mlflow.db")) as connection:
        connection.execute("CREATE TRIGGER no BEFORE UPDATE ON runs BEGIN SELECT RAISE(ABORT, 'no'); END")
        connection.commit()
    before = records(b / "mlflow.db")
    with pytest.raises(TrackingError):
        open_store(f"sqlite:///{b / 'mlflow.db'}", None)
    assert before == records(b / "mlflow.db")


def records(file: Path) -> list[str]:
    """Every place of artifacts that a database records, but that of MLflow's own experiment."""
    with closing(sqlite3.connect(file)) as connection:
        experiments = "SELECT artifact_location FROM experiments WHERE experiment_id != 0 AND name != 'made-for-migrations'"
        rows = (*connection.execute(experiments), *connection.execute("SELECT artifact_uri FROM runs"))
        return [uri for (uri,) in rows]


@pytest.mark.parametrize(
    "place", ["s3://bucket/pictures", "mlflow-artifacts:/7", "{tmp}/own-folder", "file://{tmp}/own-folder"]
)
def test_other_experiments_are_left_as_they_are(
    a: Path, place: str, photo_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An experiment of somebody's own in the same database keeps its place."""
    uri = f"sqlite:///{a / 'mlflow.db'}"
    client = MlflowClient(uri)
    own = client.create_experiment("own", artifact_location=place.format(tmp=a.parent))
    run_id = client.create_run(own).info.run_id
    before = client.get_experiment(own).artifact_location, client.get_run(run_id).info.artifact_uri
    with enter(a, monkeypatch) as lab:
        run(lab, photo_file)
    b = moved(a, "b", monkeypatch)
    with enter(b, monkeypatch) as lab:
        lab.load("last")
        client = MlflowClient(lab.context.tracker.store.uri)
    assert before == (client.get_experiment(own).artifact_location, client.get_run(run_id).info.artifact_uri)


def test_experiment_of_the_notebook_beside_the_database(
    a: Path, photo_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sweeps in an experiment that MLflow made in the working folder are found after a move as well."""
    MlflowClient(f"sqlite:///{a / 'mlflow.db'}").create_experiment("mine")
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "mine")
    with enter(a, monkeypatch) as lab:
        before = pictures(run(lab, photo_file))
    b = moved(a, "b", monkeypatch)
    with enter(b, monkeypatch) as lab:
        assert before == pictures(run(lab, photo_file, "1-3"))[:2]
    assert not a.exists()


@pytest.mark.parametrize("relative", ["/etc", "../outside", "x/../../outside", ""])
def test_path_in_the_tag_never_leads_out(
    a: Path, relative: str, photo_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tag that leads out of the database's folder corrects nothing."""
    with enter(a, monkeypatch) as lab:
        run(lab, photo_file)
        store = lab.context.tracker.store
        store.client.set_experiment_tag(store.experiment_id, artifact_location.RELATIVE, relative)
    before = records(a / "mlflow.db")
    b = moved(a, "b", monkeypatch)
    open_store(f"sqlite:///{b / 'mlflow.db'}", None)
    assert before == records(b / "mlflow.db")


def test_folder_elsewhere_that_is_gone_is_not_made_again(
    a: Path, photo_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An experiment whose folder elsewhere isn't there is refused before anything is sent; the folder stays away."""
    own = tmp_path / "elsewhere" / "pictures"
    own.parent.mkdir()
    MlflowClient(f"sqlite:///{a / 'mlflow.db'}").create_experiment("own", artifact_location=own.as_uri())
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "own")
    with enter(a, monkeypatch) as lab:
        run(lab, photo_file)
        assert own.is_dir()
        shutil.rmtree(own)
        with pytest.raises(TrackingError, match="can't be reached"):
            run(lab, photo_file, "1-3")
        with pytest.raises(TrackingError, match="is missing: mount its disk"):
            run(lab, photo_file, "8-9")
    assert not own.exists()


def test_store_moved_under_a_lab_is_not_made_again(
    a: Path, photo_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lab that had the store open writes nothing to the place it left."""
    with enter(a, monkeypatch) as lab:
        results = run(lab, photo_file)
        moved(a, "b", monkeypatch)
        with pytest.raises(TrackingError, match="is gone"):
            lab.context.tracker.log_file(results.run_id, "report.html", b"page")
    assert not a.exists()


@pytest.mark.parametrize("name", NAMES)
def test_address_is_read_as_it_was_written(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A working folder of any name is named by an address that leads to it, however often it is resolved."""
    (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / name)
    uri = resolve_uri("sqlite:///mlflow.db")
    assert uri == resolve_uri(uri)
    from kontext_lab.tracking.database import database_file

    assert tmp_path / name / "mlflow.db" == database_file(uri)
