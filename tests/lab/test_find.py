"""Which cell made this picture, and along which cells a chain of edits goes."""

from __future__ import annotations

import io
import itertools
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from mlflow import MlflowClient
from PIL import Image

import kontext_lab as kl
from kontext_lab.cli.main import run_command
from kontext_lab.lab.lookup import find, with_origins
from kontext_lab.sandbox import Sandbox

AXES = {"guidance_scale": [2, 5], "animal": ["bird", "crab"]}


@pytest.fixture
def finished(lab: kl.Lab, make_sweep: Callable[..., kl.Sweep]) -> kl.Results:
    """Four siblings: the same photograph with small edits."""
    return lab.run(make_sweep(name="siblings", axes=AXES), progress=False)


def saved(picture: Image.Image, form: str = "JPEG", **options: object) -> bytes:
    """A picture as a file's bytes."""
    buffer = io.BytesIO()
    picture.save(buffer, format=form, **options)
    return buffer.getvalue()


def test_exact_bytes(lab: kl.Lab, finished: kl.Results) -> None:
    """The very bytes lead to their own cell, and the answer says so."""
    for cell in finished:
        (found,) = find(lab.context.tracker, cell.bytes)
        assert (cell.run_id, "exact", 0.0) == (found.cell.run_id, found.how, found.distance)


def test_the_lab_finds_too(lab: kl.Lab, finished: kl.Results) -> None:
    """`lab.find` is the same, and starts no service."""
    with kl.Lab("sandbox") as looking:
        (found,) = looking.find(finished[0].bytes)
        assert (finished[0].run_id, "<Lab: sandbox") == (found.cell.run_id, repr(looking)[:13])
        assert not looking.context.connected


def test_where_it_is(lab: kl.Lab, finished: kl.Results) -> None:
    """The answer names sweep, run and experiment."""
    (found,) = find(lab.context.tracker, finished[0].bytes)
    assert ("siblings", finished.run_id, "kontext-lab") == (found.sweep, found.sweep_run_id, found.experiment)


@pytest.mark.slow
def test_copies_among_siblings(lab: kl.Lab, finished: kl.Results) -> None:
    """A copy saved again, also a smaller one, leads to its own cell and to none of its siblings."""
    for cell in (finished[0], finished[3]):
        for quality, share in itertools.product((30, 60, 90), (1.0, 0.5, 0.25)):
            size = (round(cell.image.width * share), round(cell.image.height * share))
            found = find(lab.context.tracker, saved(cell.image.resize(size), quality=quality))
            assert [(cell.run_id, "perceptual")] == [(one.cell.run_id, one.how) for one in found]


@pytest.mark.slow
def test_whatever_a_picture_comes_as(lab: kl.Lab, finished: kl.Results, tmp_path: Path) -> None:
    """A path, text, bytes, a PIL picture, an array, an output and a reference are all taken."""
    cell = finished[3]
    file = tmp_path / "from-slack.png"
    cell.image.save(file)
    given = [file, str(file), file.read_bytes(), cell.image, np.asarray(cell.image), cell.outputs[0]]
    found = [find(lab.context.tracker, one)[0] for one in (*given, kl.Sweep("x", file).references[0])]
    assert [cell.run_id] * 7 == [one.cell.run_id for one in found]


def test_pictures_of_nobody(lab: kl.Lab, finished: kl.Results, photo: np.ndarray) -> None:
    """Neither the reference itself nor another photograph is taken for an output."""
    strangers = [photo, *(kl.sample(name) for name in ("chelsea", "astronaut", "rocket"))]
    assert [[], [], [], []] == [find(lab.context.tracker, one) for one in strangers]


@pytest.mark.parametrize(
    ("picture", "complaint"),
    [
        (b"no picture", "is not a picture"),
        ("/nowhere/at-all.png", "no file"),
        ("https://host/picture.png", "is an address"),
        (7, "not int"),
    ],
)
def test_unreadable(lab: kl.Lab, picture: object, complaint: str) -> None:
    """What is no picture is told in one line."""
    with pytest.raises(kl.errors.ImageError, match=complaint) as told:
        find(lab.context.tracker, picture)
    assert "\n" not in str(told.value)


def test_originals_before_copies(
    lab: kl.Lab, finished: kl.Results, make_sweep: Callable[..., kl.Sweep]
) -> None:
    """A reused cell's picture leads to the cell that was paid for."""
    longer = lab.run(make_sweep(name="longer", axes=AXES).replace(seed=[1, 2]), progress=False)
    copy = next(cell for cell in longer if cell.reused_from)
    again = find(lab.context.tracker, saved(copy.image, quality=80))
    exact = find(lab.context.tracker, copy.bytes)
    assert [[copy.reused_from]] * 2 == [[one.cell.run_id for one in found] for found in (exact, again)]


def test_a_copy_stands_in_for_a_deleted_original(
    lab: kl.Lab, finished: kl.Results, make_sweep: Callable[..., kl.Sweep], store_uri: str
) -> None:
    """Copies bear the hash as well: they are found once their original is deleted."""
    longer = lab.run(make_sweep(name="longer", axes=AXES).replace(seed=[1, 2]), progress=False)
    copy = next(cell for cell in longer if cell.reused_from)
    MlflowClient(store_uri).delete_run(copy.reused_from)
    again = find(lab.context.tracker, saved(copy.image, quality=80))
    exact = find(lab.context.tracker, copy.bytes)
    assert [[copy.run_id]] * 2 == [[one.cell.run_id for one in found] for found in (exact, again)]


def test_in_every_experiment(api: Sandbox, lab: kl.Lab, finished: kl.Results) -> None:
    """A picture is found from whatever experiment one works in."""
    with kl.Lab(experiment="another") as other:
        assert ["kontext-lab"] == [one.experiment for one in find(other.context.tracker, finished[0].bytes)]


def test_runs_from_before_there_were_hashes(lab: kl.Lab, finished: kl.Results, store_uri: str) -> None:
    """Without the tag a picture is found by its bytes, and not by its looks."""
    cell = finished[0]
    MlflowClient(store_uri).delete_tag(cell.run_id, "kontext.output_phash")
    found = [find(lab.context.tracker, cell.bytes), find(lab.context.tracker, saved(cell.image, quality=80))]
    assert [[cell.run_id], []] == [[one.cell.run_id for one in hits] for hits in found]


def test_several_outputs(lab: kl.Lab, make_sweep: Callable[..., kl.Sweep]) -> None:
    """Of a cell with several pictures the answer names the right one."""
    cell = lab.run(make_sweep(axes={"animal": ["bird"]}, num_images=2), progress=False)[0]
    (found,) = find(lab.context.tracker, saved(cell.outputs[1].image, quality=80))
    assert (cell.run_id, 2) == (found.cell.run_id, found.output.number)


def test_hashes_come_back(lab: kl.Lab, finished: kl.Results) -> None:
    """A loaded output has the hash it was given when it arrived."""
    loaded = lab.load("siblings")
    assert [one.phash for one in finished.outputs] == [one.phash for one in loaded.outputs]
    assert {64} == {len(one.phash) for one in loaded.outputs}


def test_found_reads_well(lab: kl.Lab, finished: kl.Results) -> None:
    """Its repr says how, which cell, which sweep; a notebook shows the picture."""
    cell = finished[0]
    (exact,), (copy,) = (
        find(lab.context.tracker, cell.bytes),
        find(lab.context.tracker, saved(cell.image, quality=50)),
    )
    assert f"<Found exact: {cell.title} of 'siblings' (the same bytes, simulated)" in repr(exact)
    assert f"<Found perceptual: {cell.title} of 'siblings' (saved again or resized, off by 0.0" in repr(copy)
    assert "data:image/jpeg" in exact._repr_html_()


def test_command(
    lab: kl.Lab, finished: kl.Results, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """`find FILE` ends with 0 and a line, or with 1 and says that there is none."""
    file, stranger = tmp_path / "picture.jpg", tmp_path / "stranger.png"
    file.write_bytes(finished[1].bytes)
    Image.effect_noise((256, 256), 80).save(stranger)
    capfd.readouterr()
    codes = [run_command(["find", str(file)]), run_command(["find", str(stranger)])]
    out, err = capfd.readouterr()
    assert ([0, 1], 1) == (codes, len(out.splitlines()))
    assert finished[1].title in out
    assert f"no picture like it in {lab.context.tracker.store.shown}" in err


def test_command_as_json(
    lab: kl.Lab, finished: kl.Results, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """With --json other programs read how, where and which parameters."""
    file = tmp_path / "picture.jpg"
    file.write_bytes(finished[1].bytes)
    capfd.readouterr()
    run_command(["find", str(file), "--json"])
    (found,) = json.loads(capfd.readouterr().out)
    assert (finished[1].run_id, "exact", "siblings") == (found["run_id"], found["how"], found["sweep"])
    assert finished[1].params["animal"] == found["params"]["animal"]


def chained(lab: kl.Lab, sweep: kl.Sweep) -> tuple[kl.Results, MlflowClient]:
    """A sweep run with its references linked to the outputs they are."""
    return lab.run(with_origins(sweep, lab.context.tracker), progress=False), MlflowClient(
        lab.context.tracker.store.uri
    )


def parent_outputs(client: MlflowClient, *run_ids: str) -> list[str]:
    """The tag of some runs."""
    return [client.get_run(one).data.tags.get("kontext.parent_output", "") for one in run_ids]


@pytest.mark.slow
@pytest.mark.parametrize("given", ["output", "bytes", "path"])
def test_a_reference_that_is_an_output_is_linked(
    lab: kl.Lab, finished: kl.Results, tmp_path: Path, given: str
) -> None:
    """Sweep and cell name the output they start from, however it was given."""
    first = finished[2]
    file = tmp_path / "saved.jpg"
    file.write_bytes(first.bytes)
    image = {"output": first.outputs[0], "bytes": first.bytes, "path": file}[given]
    second, client = chained(lab, kl.Sweep("Add a hat.", image, seed=[1, 2]))
    tags = parent_outputs(client, second.run_id, *(cell.run_id for cell in second))
    assert [f"{first.run_id}/1"] * 3 == tags


def test_a_reference_by_url_is_linked(
    lab: kl.Lab, served_photo: tuple[str, list[str]], photo_file: Path, store_uri: str
) -> None:
    """What an address serves is known again by its bytes."""
    made = lab.edit(photo_file, "Add a crab.", aspect_ratio="1:1")
    client = MlflowClient(store_uri)
    # As if the address served that output: the store knows its bytes.
    served = kl.Sweep("Add a hat.", served_photo[0]).resolve(lambda _: made.bytes)
    assert [made.run_id] == [
        one.origin.run_id for one in with_origins(served, lab.context.tracker).references if one.origin
    ]
    assert client.get_run(made.run_id).info.status == "FINISHED"


def test_swept_references_are_linked_on_their_cells_only(lab: kl.Lab, finished: kl.Results) -> None:
    """Where the reference varies, each cell has its own link and the sweep none."""
    one, other = finished[0], finished[1]
    second, client = chained(lab, kl.Sweep("Add a hat.", axes={"image": [one.bytes, other.bytes]}))
    assert [""] == parent_outputs(client, second.run_id)
    linked = [f"{cell.run_id}/1" for cell in (one, other)]
    assert linked == parent_outputs(client, *(cell.run_id for cell in second))


def test_several_references_in_one_request(lab: kl.Lab, finished: kl.Results, photo_file: Path) -> None:
    """A comma list, in the order of the references; what is no output isn't in it."""
    one, other = finished[0], finished[1]
    images = [other.bytes, photo_file, one.outputs[0]]
    second, client = chained(lab, kl.Sweep("Put these together.", images=images))
    assert [f"{other.run_id}/1,{one.run_id}/1"] == parent_outputs(client, second[0].run_id)


@pytest.mark.slow
def test_links_are_read_back(lab: kl.Lab, finished: kl.Results) -> None:
    """A loaded cell knows its parents, and so does one just run and one that was reused."""
    first = finished[2]
    second, _ = chained(lab, kl.Sweep("Add a hat.", first.bytes, seed=[1, 2], name="second"))
    longer, _ = chained(lab, kl.Sweep("Add a hat.", first.bytes, seed=[1, 2, 3], name="longer"))
    cells = (*second, *longer, *lab.load("second"), *lab.load("longer"))
    assert {(first.outputs[0].origin,)} == {cell.parents for cell in cells}


def test_links_survive_the_sweep_file(lab: kl.Lab, finished: kl.Results) -> None:
    """A sweep loaded from the store knows its references' origins, and is the same sweep."""
    second, _ = chained(lab, kl.Sweep("Add a hat.", finished[2].bytes, name="second"))
    loaded = lab.load_sweep("second")
    assert [second[0].parents[0]] == [one.origin for one in loaded.references]
    assert lab.run(loaded, progress=False).run_id == second.run_id


def test_fingerprints_know_nothing_of_links(lab: kl.Lab, finished: kl.Results) -> None:
    """The same bytes are the same request, linked or not."""
    plain = kl.Sweep("Add a hat.", finished[2].bytes)
    linked = with_origins(plain, lab.context.tracker)
    assert ([None], [True]) == (
        [one.origin for one in plain.references],
        [one.origin is not None for one in linked.references],
    )
    assert plain == linked
    assert plain.digest("sandbox") == linked.digest("sandbox")
    assert plain.cells[0].request.fingerprint("sandbox") == linked.cells[0].request.fingerprint("sandbox")


def test_nothing_to_link_leaves_the_sweep(lab: kl.Lab, photo: np.ndarray, photo_file: Path) -> None:
    """Where no reference is an output, it is the very same sweep."""
    sweep = kl.Sweep("Add a hat.", axes={"image": [photo, photo_file]})
    assert with_origins(sweep, lab.context.tracker) is sweep


def test_somebody_elses_text_in_the_tag_is_no_link(lab: kl.Lab, finished: kl.Results, store_uri: str) -> None:
    """What cannot be an output's name is left out when a cell is read."""
    MlflowClient(store_uri).set_tag(finished[0].run_id, "kontext.parent_output", "see <b>notes</b>,abc/2, /1")
    assert ["abc/2"] == [str(one) for one in lab.load("siblings")[0].parents]


def test_show_tells_where_a_cell_comes_from(
    lab: kl.Lab, finished: kl.Results, capfd: pytest.CaptureFixture[str]
) -> None:
    """`show` names the output each cell starts from."""
    chained(lab, kl.Sweep("Add a hat.", finished[2].bytes, name="second"))
    capfd.readouterr()
    run_command(["show", "second"])
    assert f"(from {finished[2].run_id[:8]}/1)" in capfd.readouterr().out
