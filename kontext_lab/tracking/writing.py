"""Writing sweeps and cells into runs: the calls and their order.

Pictures are logged as the exact bytes received. A run is complete before it ends, so a run that has ended can be
trusted: a run that a crash cut off is still RUNNING.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from mlflow.entities import Dataset, DatasetInput, Metric, Run, RunTag

from kontext_lab.errors import OutputMissing
from kontext_lab.images import origins_of
from kontext_lab.request.attempt import Attempt
from kontext_lab.results import CellResult, Output, Results, State, TrackedCell
from kontext_lab.results.saving import csv_text
from kontext_lab.sweep import Sweep
from kontext_lab.tracking import assessments, layout
from kontext_lab.tracking.artifacts import Artifact, fetch, fetched, names, put
from kontext_lab.tracking.reading import cell_of
from kontext_lab.tracking.store import Store

__all__ = [
    "Opening",
    "Slot",
    "copy_cell",
    "finish_sweep",
    "log_cell",
    "make_parent",
    "reopen_parent",
    "settle_cell",
]

Opened = Callable[[Run], None]
"""Called with a child run as soon as it exists, so that a second try at writing finds it."""

PROTECT = "kontext.protect"
"""The tag with the protect boxes of a sweep, as JSON."""

_KEPT_WHEN_COPIED = ("outputs", "output_sha256", "output_phash", "arrived", "reason", "state")


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


@dataclass(frozen=True)
class Slot:
    """The child run that a cell is written to.

    Attributes:
        parent_id: the sweep's run.
        index: the cell's index in the sweep.
        context: user and source tags.
        existing: the child run of an earlier attempt at the same cell, which is continued.
    """

    parent_id: str
    index: int
    context: Mapping[str, str]
    existing: Run | None = None


def make_parent(
    store: Store, opening: Opening, context: Mapping[str, str], opened: Callable[[str], None]
) -> Run:
    """Make a parent run with parameters, `sweep.yaml` and the references as they are sent.

    Args:
        store: the store.
        opening: its ingredients.
        context: user and source tags.
        opened: called with its id as soon as it exists.
    """
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


def log_cell(store: Store, slot: Slot, cell: CellResult, attempt: Attempt, opened: Opened) -> None:
    """Write a cell that has an outcome to its child run, and end the run.

    Args:
        store: the store.
        slot: the child run.
        cell: with the attempt applied.
        attempt: the last one, for request and answer as they were.
        opened: called with the child run before anything else is written to it.
    """
    previews = {output.number: layout.preview_names(output) for output in cell.outputs if output.preview}
    tags = layout.cell_tags(cell, slot.parent_id, slot.index, previews)
    before = slot.existing
    ended = before is not None and before.info.status in ("FINISHED", "FAILED")
    # The tags of a run that has ended are trusted: they change only when the new artifacts are there.
    run = _open_child(store, slot, cell, {} if ended else tags)
    run_id = run.info.run_id
    opened(run)
    if before is not None:
        now = store.client.get_run(run_id)  # people write assessments at any time
        assessments.withdraw(store, now, before=(cell.arrived or datetime.now(UTC)).timestamp())
        cell.comment = now.data.tags.get(layout.NOTE, "")
    if ended:
        _keep_earlier(store, run, cell, attempt)
    _log_dataset(store, run_id, cell)
    put(store, run, lambda folder: _write_artifacts(folder, cell, attempt, previews))
    # The request's id comes last: a run that has it allows the journal to give up what it holds of that request.
    tags = {**(tags if ended else {}), "kontext.request_id": attempt.client_request_id}
    store.client.log_batch(
        run_id,
        metrics=layout.cell_metrics(cell, attempt),
        params=layout.to_params(cell.params),
        tags=[RunTag(key, text) for key, text in tags.items()],
    )
    store.client.set_terminated(run_id, "FINISHED" if cell.state is State.DONE else "FAILED")


def _keep_earlier(store: Store, run: Run, cell: CellResult, attempt: Attempt) -> None:
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


def copy_cell(store: Store, slot: Slot, cell: CellResult, source: TrackedCell, opened: Opened) -> None:
    """Write a cell that was paid for elsewhere to a child run of its own, at no cost, and end the run.

    Raises:
        OutputMissing: its pictures are missing in the store; nothing is written.
    """
    original: Run = store.client.get_run(source.run_id)
    there = cell_of(store, original)
    with fetched(store, original) as folder:
        missing = _verified(there, folder) if source.state is State.DONE else ""
        if missing:
            there.note = "; ".join(filter(None, (there.note, missing)))
        run = _copied_facts(store, slot, cell, original, there=there, opened=opened)
        if folder.is_dir():
            earlier = shutil.ignore_patterns("earlier")
            put(store, run, lambda place: shutil.copytree(folder, place, dirs_exist_ok=True, ignore=earlier))
    store.client.set_terminated(run.info.run_id, original.info.status)
    cell.take(cell_of(store, store.client.get_run(run.info.run_id)))


def _copied_facts(
    store: Store, slot: Slot, cell: CellResult, original: Run, *, there: CellResult, opened: Opened
) -> Run:
    """Write a copy's run without its artifacts."""
    kept = {
        f"kontext.{key}": text
        for key in _KEPT_WHEN_COPIED
        if (text := original.data.tags.get(f"kontext.{key}")) is not None
    }
    tags = {
        **layout.parent_tag(there.parents),
        **layout.cell_tags(cell, slot.parent_id, slot.index, {}),
        **kept,
        "kontext.note": there.note[: layout.LONGEST_TAG],
        "kontext.reused_from": original.info.run_id,
        "mlflow.loggedImages": "True",
    }
    if there.comment:
        tags[layout.NOTE] = there.comment
    if layout.METRICS in original.data.tags:
        tags[layout.METRICS] = original.data.tags[layout.METRICS]
    run = _open_child(store, slot, cell, tags)
    run_id = run.info.run_id
    opened(run)
    if slot.existing is not None:
        assessments.withdraw(store, store.client.get_run(run_id), before=time.time())
    now = layout.milliseconds()
    # The cost of earlier attempts at this very cell stays counted; the copy itself is free.
    earlier = layout.cost_of(slot.existing.data.metrics) if slot.existing else 0.0
    values = {**original.data.metrics, "cost/usd": earlier}
    metrics = [Metric(key, value, now, 0) for key, value in values.items() if key.startswith(layout.BOOKED)]
    metrics += [
        Metric(key, value, now, output.number - 1)
        for output in there.outputs
        for key, value in output.metrics.items()
    ]
    store.client.log_batch(run_id, metrics=metrics, params=layout.to_params(cell.params))
    _log_dataset(store, run_id, cell)
    return run


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
    states = (State.DONE, State.FAILED, State.IN_DOUBT, State.SKIPPED, State.CANCELLED)
    values = {f"cells/{state}": float(counts[state]) for state in states}
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


def _open_child(store: Store, slot: Slot, cell: CellResult, tags: Mapping[str, str]) -> Run:
    """The child run of a cell: that of an earlier attempt, or a new one that has its tags from the start."""
    if slot.existing is not None:
        if tags:
            store.client.log_batch(
                slot.existing.info.run_id, tags=[RunTag(key, text) for key, text in tags.items()]
            )
        return slot.existing
    created: Run = store.client.create_run(
        store.experiment_id, run_name=cell.title[:250], tags={**slot.context, **tags}
    )
    return created


def _verified(there: CellResult, folder: Path) -> str:
    """Check that the pictures of a cell are the exact bytes that were logged; returns a note on missing ones.

    Args:
        there: the cell as the store has it.
        folder: of its artifacts, on this machine.

    Raises:
        OutputMissing: all of them are missing.
    """
    trouble: dict[int, OutputMissing] = {}
    pictures = {
        output.number: output.load
        for output in there.outputs
        if output.is_picture and isinstance(output.load, Artifact)
    }
    for number, artifact in pictures.items():
        try:
            artifact.read(folder)
        except OutputMissing as error:
            trouble[number] = error
    if trouble and len(trouble) == len(pictures):
        raise next(iter(trouble.values()))
    return f"missing in the store: output {', '.join(map(str, trouble))}" if trouble else ""


def _log_dataset(store: Store, run_id: str, cell: CellResult) -> None:
    """Log the fingerprint as a dataset's digest: MLflow searches lists of digests, but not of tags."""
    source = json.dumps({"service": cell.service, "fingerprint": cell.fingerprint})
    dataset = Dataset(name="request", digest=cell.fingerprint[:32], source_type="kontext", source=source)
    store.client.log_inputs(run_id, [DatasetInput(dataset, [])])


def _write_artifacts(
    folder: Path, cell: CellResult, attempt: Attempt, previews: Mapping[int, tuple[str, str]]
) -> None:
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
