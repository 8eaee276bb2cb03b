"""What other people's scripts find in MLflow: names, places and values that are fixed."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run
from PIL import Image

import kontext_lab as kl
from kontext_lab.sandbox import Sandbox


class Tracked(NamedTuple):
    """A finished sweep and an extension of it, as MLflow shows them."""

    client: MlflowClient
    parent: Run
    children: list[Run]
    results: kl.Results
    longer: kl.Results
    box: Sandbox


@pytest.fixture(scope="module")
def tracked(
    migrated_store: Path, photo_file: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Tracked]:
    """A sweep of 3 x 2 cells, then the same with a seed more, on a store of this module's own."""
    folder = tmp_path_factory.mktemp("tracked")
    shutil.copy(migrated_store, folder / "mlflow.db")
    uri = f"sqlite:///{folder / 'mlflow.db'}"
    sweep = kl.Sweep(
        "Add a {animal}.",
        photo_file,
        axes={"guidance_scale": "2-8:3", "animal": ["bird", "crab"]},
        aspect_ratio="4:3",
        name="layout",
    )
    with Sandbox() as box, pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIMLAPI_BASE_URL", box.url)
        patch.setenv("AIMLAPI_API_KEY", "marked-key-4711")
        patch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
        with kl.Lab(tracking_uri=uri) as lab:
            results = lab.run(sweep, progress=False)
            longer = lab.run(sweep.replace(seed=[1, 2]), progress=False)
        client = MlflowClient(uri)
        parent = client.get_run(results.run_id)
        yield Tracked(client, parent, children_of(client, parent), results, longer, box)


def children_of(client: MlflowClient, parent: Run) -> list[Run]:
    """The child runs of a parent, as MLflow's own pages find them."""
    query = f"tags.mlflow.parentRunId = '{parent.info.run_id}'"
    return list(client.search_runs([parent.info.experiment_id], query, max_results=100))


def names(client: MlflowClient, run: Run, path: str | None = None) -> set[str]:
    """The artifacts of a run under a path."""
    return {item.path for item in client.list_artifacts(run.info.run_id, path)}


def text_of(tracked: Tracked, run: Run, path: str) -> str:
    """An artifact of a run as text."""
    return Path(tracked.client.download_artifacts(run.info.run_id, path)).read_text(encoding="utf-8")


@pytest.mark.slow
def test_parent_is_a_finished_run_named_after_the_sweep(tracked: Tracked) -> None:
    """The parent has the sweep's name and has ended well."""
    assert ("layout", "FINISHED") == (tracked.parent.info.run_name, tracked.parent.info.status)


def test_parent_tags(tracked: Tracked) -> None:
    """The parent says what it is, which sweep, which service and which version made it."""
    tags = tracked.parent.data.tags
    assert ("sweep", "sandbox") == (tags["kontext.kind"], tags["kontext.service"])
    assert re.fullmatch(r"[0-9a-f]{64}", tags["kontext.sweep"])
    assert kl.__version__ == tags["kontext.version"]


@pytest.mark.slow
def test_parent_params_are_the_fixed_parameters_axes_and_counts(tracked: Tracked) -> None:
    """Fixed parameters as text, axes as JSON, the number of cells; nothing that varies."""
    params = tracked.parent.data.params
    assert {"guidance_scale": [2, 5, 8], "animal": ["bird", "crab"]} == json.loads(params["axes"])
    assert ("6", "4:3", "1", "default") == (
        params["cells"],
        params["aspect_ratio"],
        params["seed"],
        params["output_format"],
    )
    assert "guidance_scale" not in params


def test_parent_metrics_add_up(tracked: Tracked) -> None:
    """Counts and cost of the parent are the sums over its children."""
    metrics = tracked.parent.data.metrics
    assert (6.0, 0.0, 0.0) == (metrics["cells/done"], metrics["cells/failed"], metrics["cells/in_doubt"])
    assert metrics["cost/usd"] == pytest.approx(sum(run.data.metrics["cost/usd"] for run in tracked.children))
    assert 6 * 0.052 == pytest.approx(metrics["cost/usd"])
    assert metrics["time/total_s"] > 0


def test_parent_artifacts(tracked: Tracked) -> None:
    """The sweep file, the references as sent, the grid and the table lie on the parent."""
    assert {"sweep.yaml", "references", "grid.png", "results.csv"} <= names(tracked.client, tracked.parent)
    assert {"references/0.png"} == names(tracked.client, tracked.parent, "references")


def test_logged_sweep_file_reads_back_to_the_same_cells(tracked: Tracked, tmp_path: Path) -> None:
    """`sweep.yaml` with its references has the fingerprints of what was run."""
    for part in ("sweep.yaml", "references"):
        tracked.client.download_artifacts(tracked.parent.info.run_id, part, str(tmp_path))
    sweep = kl.Sweep.from_yaml(tmp_path / "sweep.yaml")
    assert [cell.fingerprint for cell in tracked.results] == [
        cell.request.fingerprint("sandbox") for cell in sweep.cells
    ]


def test_note_is_a_summary_that_says_simulated(tracked: Tracked) -> None:
    """The parent's note counts cells and money, and says that the pictures are simulated."""
    note = tracked.parent.data.tags["mlflow.note.content"]
    assert "6 cells: 6 done" in note
    assert "imulated" in note


def test_every_cell_is_a_child(tracked: Tracked) -> None:
    """N of N cells are child runs with readable names."""
    assert {"g2 bird", "g2 crab", "g5 bird", "g5 crab", "g8 bird", "g8 crab"} == {
        run.info.run_name for run in tracked.children
    }
    assert {"FINISHED"} == {run.info.status for run in tracked.children}


def test_child_tags(tracked: Tracked) -> None:
    """A child says kind, state, service, fingerprint and the digest of its picture."""
    for run in tracked.children:
        tags = run.data.tags
        assert ("cell", "done", "sandbox") == (
            tags["kontext.kind"],
            tags["kontext.state"],
            tags["kontext.service"],
        )
        assert re.fullmatch(r"[0-9a-f]{64}", tags["kontext.fingerprint"])
        assert re.fullmatch(r"[0-9a-f]{64}", tags["kontext.output_sha256"])
        assert "kontext.reason" in tags


def test_child_params_are_every_field(tracked: Tracked) -> None:
    """Every request field, fixed or swept, and every placeholder is a param."""
    expected = {
        *("model", "prompt", "guidance_scale", "seed", "aspect_ratio"),
        *("safety_tolerance", "output_format", "num_images", "animal"),
    }
    for run in tracked.children:
        assert expected <= set(run.data.params)


def test_numbers_are_plain_decimal_text(tracked: Tracked) -> None:
    """`params.guidance_scale = '5'` finds the cells of guidance 5."""
    found = tracked.client.search_runs([tracked.parent.info.experiment_id], "params.guidance_scale = '5'")
    ours = [run for run in found if run.data.tags["mlflow.parentRunId"] == tracked.parent.info.run_id]
    assert {"g5 bird", "g5 crab"} == {run.info.run_name for run in ours}


def test_child_metrics(tracked: Tracked) -> None:
    """Latency, cost and the picture's size are metrics."""
    metrics = tracked.children[0].data.metrics
    assert (1184.0, 880.0, 0.052) == (metrics["output/width"], metrics["output/height"], metrics["cost/usd"])
    assert metrics["output/bytes"] > 10_000
    assert metrics["time/latency_s"] > 0


def test_output_artifact_is_the_exact_bytes(tracked: Tracked) -> None:
    """`outputs/0.jpg` has the digest that the service knows its picture by."""
    sent = {digest for call in tracked.box.calls for digest in call.outputs}
    for run in tracked.children:
        data = Path(tracked.client.download_artifacts(run.info.run_id, "outputs/0.jpg")).read_bytes()
        digest = hashlib.sha256(data).hexdigest()
        assert run.data.tags["kontext.output_sha256"] == digest
        assert digest in sent


def test_request_json_has_digests_and_no_picture_data(tracked: Tracked) -> None:
    """The request is logged whole, with references as digests."""
    request = json.loads(text_of(tracked, tracked.children[0], "request.json"))
    assert "data:" not in json.dumps(request)
    assert request["body"]["image_url"] == [f"sha256:{request['references'][0]['digest']}"]
    assert ([300, 200], [300, 200]) == (
        request["references"][0]["original_size"],
        request["references"][0]["sent_size"],
    )


def test_response_json_is_what_came(tracked: Tracked) -> None:
    """The answer is logged with its ids and says that it is simulated."""
    response = json.loads(text_of(tracked, tracked.children[0], "response.json"))
    assert response["simulated"] is True
    assert response["headers"]["x-client-request-id"].startswith("kl-")
    assert response["body"]["images"][0]["url"].startswith("http")


def test_preview_is_named_as_mlflow_names_keyed_images(tracked: Tracked) -> None:
    """The preview's files have the names that MLflow's own `log_image(key=…)` makes, but for the suffix."""
    run = tracked.client.create_run(tracked.parent.info.experiment_id)
    tracked.client.log_image(
        run.info.run_id, Image.new("RGB", (8, 8)), key="output", step=0, synchronous=True
    )
    theirs = {_without_ids(path) for path in names(tracked.client, run, "images")}
    tracked.client.delete_run(run.info.run_id)

    assert theirs == {_without_ids(path) for path in names(tracked.client, tracked.children[0], "images")}
    assert "True" == tracked.children[0].data.tags["mlflow.loggedImages"]


def _without_ids(path: str) -> str:
    return re.sub(r"timestamp\+\d+\+[0-9a-f-]{36}", "timestamp+T+ID", path).replace(".png", ".webp")


def test_preview_is_at_most_512_pixels(tracked: Tracked) -> None:
    """The preview for MLflow's grid is small."""
    run = tracked.children[0]
    for path in names(tracked.client, run, "images"):
        with Image.open(tracked.client.download_artifacts(run.info.run_id, path)) as preview:
            assert 512 == max(preview.size)


def test_dataset_digest_is_the_fingerprint_s_beginning(tracked: Tracked) -> None:
    """A list query over dataset digests finds cells by fingerprint."""
    wanted = [cell.fingerprint for cell in tracked.results][:2]
    listed = ",".join(f"'{one[:32]}'" for one in wanted)
    found = tracked.client.search_runs([tracked.parent.info.experiment_id], f"dataset.digest IN ({listed})")
    assert set(wanted) == {run.data.tags["kontext.fingerprint"] for run in found}
    assert {"request"} == {run.inputs.dataset_inputs[0].dataset.name for run in found}


def test_user_and_source_are_mlflow_s(tracked: Tracked) -> None:
    """User and source tags are what MLflow's own context gives, on parent and children."""
    from mlflow.tracking.context.registry import resolve_tags

    for run in (tracked.parent, *tracked.children):
        assert resolve_tags()["mlflow.user"] == run.data.tags["mlflow.user"]
        assert "mlflow.source.name" in run.data.tags


def test_changed_sweep_has_a_parent_of_its_own_with_all_children(tracked: Tracked) -> None:
    """With a seed more there are 12 children: six reused at no cost, and it says what it extends."""
    parent = tracked.client.get_run(tracked.longer.run_id)
    children = children_of(tracked.client, parent)
    reused = [run for run in children if "kontext.reused_from" in run.data.tags]

    assert (12, 6) == (len(children), len(reused))
    assert {0.0} == {run.data.metrics["cost/usd"] for run in reused}
    assert tracked.parent.info.run_id == parent.data.tags["kontext.extends"]
    assert 6 * 0.052 == pytest.approx(parent.data.metrics["cost/usd"])


def test_reused_child_has_the_pictures_and_names_its_origin(tracked: Tracked) -> None:
    """A reused child holds its own copy of the exact bytes."""
    for cell in (cell for cell in tracked.longer if cell.reused_from):
        data = Path(tracked.client.download_artifacts(cell.run_id, "outputs/0.jpg")).read_bytes()
        origin = tracked.client.get_run(cell.reused_from)
        assert hashlib.sha256(data).hexdigest() == origin.data.tags["kontext.output_sha256"]


def test_artifacts_lie_beside_the_database(tracked: Tracked) -> None:
    """For SQLite the artifacts are where the database file is."""
    database = Path(tracked.client.tracking_uri.removeprefix("sqlite:///"))
    assert tracked.parent.info.artifact_uri.startswith((database.parent / "mlartifacts").as_uri())


def test_the_key_is_nowhere_in_the_store(tracked: Tracked) -> None:
    """Neither the database nor any artifact holds the key."""
    folder = Path(tracked.client.tracking_uri.removeprefix("sqlite:///")).parent
    assert [] == [
        path for path in folder.rglob("*") if path.is_file() and b"marked-key-4711" in path.read_bytes()
    ]
