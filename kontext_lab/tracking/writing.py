"""Writing a sweep's parent run, and the artifacts of its cells: pictures are logged as the exact bytes received."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from mlflow.entities import Metric, Run, RunTag

from kontext_lab.errors import OutputMissing
from kontext_lab.images import origins_of
from kontext_lab.request.attempt import Attempt
from kontext_lab.results import CellResult, Output, Results, State
from kontext_lab.results.saving import csv_text
from kontext_lab.sweep import Sweep
from kontext_lab.tracking import layout
from kontext_lab.tracking.artifacts import Artifact, fetch, names, put
from kontext_lab.tracking.store import Store

__all__ = [
    "Opening",
    "finish_sweep",
    "keep_earlier",
    "make_parent",
    "reopen_parent",
    "settle_cell",
    "verified",
    "write_artifacts",
]

PROTECT = "kontext.protect"
"""The tag with the protect boxes of a sweep, as JSON."""


@dataclass(frozen=True)
class Opening:
    """The ingredients of a sweep's parent run.

    Attributes:
        sweep: with its references fetched.
        service: `sandbox` or the service's origin.
        digest: the sweep's digest for this service.
        version: of this package.
        extends: the parent run whose cells this sweep reuses, or "".
        inside: the run that was active in the caller's thread, or "".
        fresh: make a new parent even if the same sweep has one.
        parent_id: the parent run to continue, if it still exists.
    """

    sweep: Sweep
    service: str
    digest: str
    version: str
    extends: str = ""
    inside: str = ""
    fresh: bool = False
    parent_id: str = ""


def make_parent(
    store: Store, opening: Opening, context: Mapping[str, str], opened: Callable[[str], None]
) -> Run:
    """Make a parent run with parameters, `sweep.yaml` and the references; `opened` gets its id as soon as it exists."""
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
    # The outputs that every cell starts from: the sweep's fixed references.
    tags |= layout.parent_tag(origins_of(sweep.fixed.get("images", ())))
    if sweep.protect:
        tags[PROTECT] = json.dumps(sweep.protect, sort_keys=True, ensure_ascii=False)
    run: Run = store.client.create_run(store.experiment_id, run_name=sweep.name, tags=tags)
    opened(str(run.info.run_id))
    store.client.log_batch(run.info.run_id, params=layout.to_params(layout.sweep_params(sweep)))
    _put_sweep(store, run, sweep)
    return run


def reopen_parent(store: Store, run: Run, opening: Opening) -> None:
    """Continue the parent run of the same sweep."""
    if "sweep.yaml" not in names(store, run):
        _put_sweep(store, run, opening.sweep)
    store.client.update_run(run.info.run_id, status="RUNNING", name=opening.sweep.name)
    for key, text in layout.parent_tag(origins_of(opening.sweep.fixed.get("images", ()))).items():
        if run.data.tags.get(key) != text:
            store.client.set_tag(run.info.run_id, key, text)
    # The digest leaves the boxes out: the tag shows that they have changed.
    protect = json.dumps(opening.sweep.protect, sort_keys=True, ensure_ascii=False)
    if run.data.tags.get(PROTECT, "{}") != protect:
        _put_sweep(store, run, opening.sweep)
        store.client.set_tag(run.info.run_id, PROTECT, protect)


def _put_sweep(store: Store, run: Run, sweep: Sweep) -> None:
    put(store, run, lambda folder: sweep.to_yaml(folder / "sweep.yaml", self_contained=True))


def keep_earlier(store: Store, run: Run, cell: CellResult, attempt: Attempt) -> None:
    """Keep what an earlier attempt at the same cell brought, under `earlier/`, and count its cost."""
    before = layout.cost_of(run.data.metrics)
    if run.data.tags.get("kontext.request_id") == attempt.client_request_id:
        cell.cost = before  # all but its end was written
        return
    there = names(store, run)
    kept = [name for name in ("outputs", "response.json") if name in there]
    if kept:
        number = len(names(store, run, "earlier")) + 1 if "earlier" in there else 1

        def fill(folder: Path) -> None:
            for name in kept:
                fetch(store, run, name, folder / "earlier" / str(number))

        put(store, run, fill)
    # Counted from the attempt, so that a second try at writing counts it once.
    cell.cost = (attempt.answer.cost_usd if attempt.answer else 0.0) + before
    copied = "kontext.reused_from"
    # Looked up anew: a first try at writing may have come this far.
    if copied in run.data.tags and copied in store.client.get_run(run.info.run_id).data.tags:
        store.client.delete_tag(run.info.run_id, copied)


def settle_cell(store: Store, run_id: str, outcome: tuple[State, str, str], cost: float) -> None:
    """Record the outcome of a cell in doubt: state, reason, note, and its cost in US dollars, if it was billed."""
    before = layout.cost_of(store.client.get_run(run_id).data.metrics)
    names = ("kontext.state", "kontext.reason", "kontext.note")
    store.client.log_batch(
        run_id,
        metrics=[Metric("cost/usd", round(before + cost, 6), layout.milliseconds(), 0)],
        tags=[RunTag(name, str(text)) for name, text in zip(names, outcome, strict=True)],
    )


def finish_sweep(
    store: Store, results: Results, status: str, *, seconds: float, grid: bytes, table: bool = True
) -> None:
    """Write counts, cost, table, figure and a short note to the parent run, and end it."""
    counts = results.counts
    values = {f"cells/{state}": float(counts[state]) for state in layout.COUNTED}
    values["cost/usd"] = results.cost
    if seconds:
        values["time/total_s"] = round(seconds, 3)
    now = layout.milliseconds()
    store.client.log_batch(
        results.run_id,
        metrics=[Metric(key, value, now, 0) for key, value in values.items()],
        tags=[RunTag(layout.NOTE, layout.note(results))],
    )
    files: dict[str, bytes] = {}
    if table:
        files["results.csv"] = csv_text(results.to_frame()).encode("utf-8")
    if grid:
        files["grid.png"] = grid
    if files:
        run = store.client.get_run(results.run_id)
        put(store, run, lambda folder: [(folder / name).write_bytes(data) for name, data in files.items()])
    store.client.set_terminated(results.run_id, status)


def verified(there: CellResult, folder: Path) -> str:
    """Check the pictures of a cell in a folder of its artifacts, byte for byte; returns a note on missing ones.

    Raises:
        OutputMissing: all of them are missing.
    """
    missing: dict[int, OutputMissing] = {}
    artifacts = {
        output.number: output.load
        for output in there.outputs
        if output.is_picture and isinstance(output.load, Artifact)
    }
    for number, artifact in artifacts.items():
        try:
            artifact.read(folder)
        except OutputMissing as error:
            missing[number] = error
    if missing and len(missing) == len(artifacts):
        raise next(iter(missing.values()))
    return f"missing in the store: output {', '.join(map(str, missing))}" if missing else ""


def write_artifacts(
    folder: Path, cell: CellResult, attempt: Attempt, previews: Mapping[int, tuple[str, str]]
) -> None:
    """Write pictures, previews, `request.json` and `response.json` of a cell into a folder."""
    for output in cell.outputs:
        if output.sha256:
            file = folder / "outputs" / output.file_name
            file.parent.mkdir(parents=True, exist_ok=True)
            _write_output(file, output)
        for name in previews.get(output.number, ()):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(output.preview)
    documents = {"request": layout.request_facts(cell, attempt), "response": layout.response_facts(attempt)}
    for name, facts in documents.items():
        text = json.dumps(facts, indent=2, ensure_ascii=False, default=str)
        # Half a character, which an answer may hold, is written the way JSON escapes it.
        (folder / f"{name}.json").write_bytes(text.encode("utf-8", "backslashreplace"))


def _write_output(file: Path, output: Output) -> None:
    """Write the exact bytes; a file of the journal that holds them becomes the artifact, synced as it is."""
    if output.kept_at:
        file.unlink(missing_ok=True)
        try:
            os.link(output.kept_at, file)
            # The journal's file is its owner's alone; an artifact is as open as its folder.
            file.chmod(file.parent.stat().st_mode & 0o666)
            return
        except OSError:  # another file system, or one without links
            file.unlink(missing_ok=True)
    file.write_bytes(output.bytes)
