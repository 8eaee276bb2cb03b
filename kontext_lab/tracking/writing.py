"""Sweeps and cells into runs: the calls and their order.

Pictures are logged as the exact bytes received. A run is complete before it ends, so that a run which ended
can be trusted: whatever a crash leaves half-written is still RUNNING.
"""

from __future__ import annotations

import io
import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlflow.entities import Dataset, DatasetInput, Metric, Run, RunTag

from kontext_lab.answer import Attempt
from kontext_lab.images import PREVIEW_BOX, thumbnail
from kontext_lab.results import CellResult, Known, Results, State
from kontext_lab.results.saving import csv_text
from kontext_lab.sweep import Sweep
from kontext_lab.tracking import layout
from kontext_lab.tracking.artifacts import local_folder
from kontext_lab.tracking.reading import cell_of
from kontext_lab.tracking.store import Store

__all__ = ["Opening", "Slot", "copy_cell", "finish_sweep", "log_cell", "make_parent", "reopen_parent"]

_KEPT_WHEN_COPIED = ("outputs", "output_sha256", "arrived", "reason", "note", "state", "seed_reported")


@dataclass(frozen=True)
class Opening:
    """What a sweep's parent run is made from.

    Attributes:
        sweep: with its references fetched.
        service: `sandbox` or the service's origin.
        digest: the sweep's digest for this service.
        version: of this package.
        extends: the parent run whose cells this sweep reuses, or "".
        inside: the run that was active in the caller's thread, or "".
        fresh: make a new parent even where the same sweep has one.
    """

    sweep: Sweep
    service: str
    digest: str
    version: str
    extends: str = ""
    inside: str = ""
    fresh: bool = False


@dataclass(frozen=True)
class Slot:
    """Which child run a cell is written to.

    Attributes:
        parent_id: the sweep's run.
        index: the cell's place in the sweep.
        context: user and source tags.
        existing: the child an earlier attempt at the same cell left, which is continued.
    """

    parent_id: str
    index: int
    context: Mapping[str, str]
    existing: Run | None = None


def make_parent(store: Store, opening: Opening, context: Mapping[str, str]) -> Run:
    """A new parent run with parameters, `sweep.yaml` and the references as they are sent."""
    tags = {
        **context,
        "kontext.kind": "sweep",
        "kontext.sweep": opening.digest,
        "kontext.service": opening.service,
        "kontext.version": opening.version,
    }
    if opening.extends:
        tags["kontext.extends"] = opening.extends
    if opening.inside:
        tags["mlflow.parentRunId"] = opening.inside
    sweep = opening.sweep
    run: Run = store.client.create_run(store.experiment_id, run_name=sweep.name, tags=tags)
    store.client.log_batch(run.info.run_id, params=layout.to_params(layout.sweep_params(sweep)))
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        sweep.to_yaml(folder / "sweep.yaml", self_contained=True)
        references = folder / "references"
        references.mkdir(exist_ok=True)
        for number, reference in enumerate(sweep.references):
            (references / f"{number}.png").write_bytes(reference.png)
        store.client.log_artifacts(run.info.run_id, temporary)
    return run


def reopen_parent(store: Store, run: Run, opening: Opening) -> None:
    """The same sweep continues its parent run."""
    store.client.update_run(run.info.run_id, status="RUNNING", name=opening.sweep.name)


def log_cell(store: Store, slot: Slot, cell: CellResult, attempt: Attempt) -> str:
    """Write a cell that has an outcome as a child run; returns its id.

    Args:
        store: where.
        slot: the child run to write.
        cell: with the attempt applied.
        attempt: how it ended, for request and answer as they were.
    """
    previews = {output.number: layout.preview_names(output) for output in cell.outputs if output.preview}
    tags = {**slot.context, **layout.cell_tags(cell, slot.parent_id, slot.index, previews)}
    if slot.existing is None:
        run_id = _create_child(store, cell, tags)
    else:
        run_id = slot.existing.info.run_id
        _set_aside(store, slot.existing)
        cell.cost += float(slot.existing.data.metrics.get("cost/usd", 0.0))
        store.client.log_batch(run_id, tags=[RunTag(key, text) for key, text in tags.items()])
    metrics, params = layout.cell_metrics(cell, attempt), layout.to_params(cell.params)
    store.client.log_batch(run_id, metrics=metrics, params=params)
    _log_dataset(store, run_id, cell)
    with tempfile.TemporaryDirectory() as temporary:
        _write_artifacts(Path(temporary), cell, attempt, previews)
        store.client.log_artifacts(run_id, temporary)
    store.client.set_terminated(run_id, "FINISHED" if cell.state is State.DONE else "FAILED")
    return run_id


def copy_cell(store: Store, slot: Slot, cell: CellResult, source: Known) -> str:
    """Write a cell that was paid for elsewhere as a child run of its own, at no cost; returns its id."""
    original: Run = store.client.get_run(source.run_id)
    kept = {
        f"kontext.{key}": text
        for key in _KEPT_WHEN_COPIED
        if (text := original.data.tags.get(f"kontext.{key}")) is not None
    }
    tags = {
        **slot.context,
        **layout.cell_tags(cell, slot.parent_id, slot.index, {}),
        **kept,
        "kontext.reused_from": source.run_id,
        "mlflow.loggedImages": "True",
    }
    if slot.existing is None:
        run_id = _create_child(store, cell, tags)
    else:
        run_id = slot.existing.info.run_id
        store.client.log_batch(run_id, tags=[RunTag(key, text) for key, text in tags.items()])
    now = layout.milliseconds()
    metrics = {**original.data.metrics, "cost/usd": 0.0}
    store.client.log_batch(
        run_id,
        metrics=[Metric(key, value, now, 0) for key, value in metrics.items()],
        params=layout.to_params(cell.params),
    )
    _log_dataset(store, run_id, cell)
    folder = local_folder(original.info.artifact_uri)
    if folder is not None and folder.is_dir():
        store.client.log_artifacts(run_id, str(folder))
    else:
        with tempfile.TemporaryDirectory() as temporary:
            store.client.log_artifacts(run_id, store.client.download_artifacts(source.run_id, "", temporary))
    store.client.set_terminated(run_id, original.info.status)
    copied = cell_of(store, store.client.get_run(run_id))
    cell.take(copied)
    return run_id


def finish_sweep(store: Store, results: Results, status: str, *, seconds: float, grid: bytes) -> None:
    """Counts, cost, table, figure and a short note on the parent run; then it ends."""
    counts = results.counts
    states = (State.DONE, State.FAILED, State.IN_DOUBT, State.SKIPPED, State.CANCELLED)
    values = {f"cells/{state}": float(counts[state]) for state in states}
    values |= {"cost/usd": results.cost, "time/total_s": round(seconds, 3)}
    now = layout.milliseconds()
    store.client.log_batch(
        results.run_id,
        metrics=[Metric(key, value, now, 0) for key, value in values.items()],
        tags=[RunTag("mlflow.note.content", layout.note(results))],
    )
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        (folder / "results.csv").write_text(csv_text(results.frame), encoding="utf-8")
        if grid:
            (folder / "grid.png").write_bytes(grid)
        store.client.log_artifacts(results.run_id, temporary)
    store.client.set_terminated(results.run_id, status)


def _create_child(store: Store, cell: CellResult, tags: Mapping[str, str]) -> str:
    run: Run = store.client.create_run(store.experiment_id, run_name=cell.title[:250], tags=dict(tags))
    return str(run.info.run_id)


def _set_aside(store: Store, existing: Run) -> None:
    """What an earlier attempt brought was paid for: kept under `earlier/`, before it is written over."""
    run_id = existing.info.run_id
    names = [item.path for item in store.client.list_artifacts(run_id)]
    kept = [name for name in ("outputs", "response.json") if name in names]
    if not kept or existing.data.tags.get("kontext.state") == State.WAITING:
        return
    number = (
        sum(1 for item in store.client.list_artifacts(run_id, "earlier")) + 1 if "earlier" in names else 1
    )
    with tempfile.TemporaryDirectory() as temporary:
        for name in kept:
            store.client.download_artifacts(run_id, name, temporary)
        store.client.log_artifacts(run_id, temporary, f"earlier/{number}")


def _log_dataset(store: Store, run_id: str, cell: CellResult) -> None:
    """The fingerprint as a dataset's digest: the one thing MLflow searches for in lists."""
    source = json.dumps({"service": cell.service, "fingerprint": cell.fingerprint})
    dataset = Dataset(name="request", digest=cell.fingerprint[:32], source_type="kontext", source=source)
    store.client.log_inputs(run_id, [DatasetInput(dataset, [])])


def _write_artifacts(
    folder: Path, cell: CellResult, attempt: Attempt, previews: Mapping[int, tuple[str, str]]
) -> None:
    (folder / "outputs").mkdir()
    (folder / "images").mkdir()
    for output in cell.outputs:
        if output.sha256:
            (folder / "outputs" / output.file_name).write_bytes(output.data)
        if output.number in previews:
            full, small = previews[output.number]
            (folder / full).write_bytes(_png(output.preview))
            (folder / small).write_bytes(output.preview)
    _write_json(folder / "request.json", layout.request_facts(cell, attempt))
    _write_json(folder / "response.json", layout.response_facts(attempt))
    for empty in ("outputs", "images"):
        if not any((folder / empty).iterdir()):
            (folder / empty).rmdir()


def _png(preview: bytes) -> bytes:
    buffer = io.BytesIO()
    # Level 1: a quarter of the time of the default for a tenth more bytes.
    thumbnail(preview, PREVIEW_BOX).save(buffer, format="PNG", compress_level=1)
    return buffer.getvalue()


def _write_json(path: Path, facts: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(facts, indent=2, ensure_ascii=False, default=str), encoding="utf-8")
