"""Writing a sweep to MLflow: its parent run, its cells as they come, and its end. One thread writes.

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

from kontext_lab.errors import OutputMissing, TrackingError
from kontext_lab.images import origins_of
from kontext_lab.request.attempt import Attempt
from kontext_lab.results import CellResult, Output, Results, State, TrackedCell
from kontext_lab.results.saving import csv_text
from kontext_lab.results.states import MISSING
from kontext_lab.sweep import Sweep
from kontext_lab.tracking import assessments, layout, reading
from kontext_lab.tracking.artifacts import Artifact, fetch, fetched, names, put
from kontext_lab.tracking.store import Store, check_reachable, mlflow_trouble

__all__ = ["ENDED", "Opening", "SweepRecorder", "make_parent", "reopen_parent", "settle_cell"]

_KEPT_WHEN_COPIED = (
    *("kontext.outputs", "kontext.output_sha256", "kontext.output_phash", "kontext.arrived"),
    *("kontext.reason", "kontext.state", layout.METRICS),
)
"""Tags of a cell that its copies take over."""

_UNSENT = (State.CANCELLED, State.SKIPPED, State.WAITING)

ENDED = ("FINISHED", "FAILED", "KILLED")
"""MLflow's words for a run that is not running."""

PROTECT = "kontext.protect"
"""The tag with the protect boxes of a sweep, as JSON."""


@dataclass(frozen=True)
class Opening:
    """The ingredients of a sweep's parent run.

    Attributes:
        sweep: with its references fetched.
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


class SweepRecorder:
    """The recorder of one run of a sweep.

    Args:
        store: where.
        run_id: the sweep's parent run, just begun.
        children: its cells' runs of earlier times, by place.
        context: user and source tags.
        draw: draws the grid that is logged at the end, as PNG.

    Attributes:
        finished: True once `finish` has ended the run, or failed to.
    """

    def __init__(
        self,
        store: Store,
        run_id: str,
        children: Mapping[int, Run],
        context: Mapping[str, str],
        draw: Callable[[Results], bytes],
    ) -> None:
        self.store, self.run_id = store, run_id
        self._children, self._context, self._draw = dict(children), context, draw
        self._ended: set[int] = set()
        self.finished = False

    def reachable(self) -> bool:
        """True if the store can be spoken to at all; quick, and raises nothing."""
        try:
            check_reachable(self.store.uri, opened=True)
        except TrackingError:
            return False
        return True

    def has_outcome(self, place: int, request_id: str, *, answered: bool) -> bool:
        """True if a cell holds the whole outcome of an attempt.

        One that was answered, and is written as in doubt, was written before its answer came.
        """
        run = self._children.get(place)
        known = None if run is None else reading.known_of(run)
        if known is None or known.request_id != request_id:
            return False
        return not (answered and known.state is State.IN_DOUBT and not known.cost)

    def log(self, place: int, cell: CellResult, attempt: Attempt) -> None:
        """Write a cell that was sent, and end its run; its bytes are then loaded from the store when asked for."""
        with mlflow_trouble(f"cell {cell.title} can't be recorded in MLflow"):
            self._log(place, cell, attempt)
            self._ended.add(place)
            root = self._children[place].info.artifact_uri
            for output in cell.outputs:
                if output.sha256:
                    path, size = f"outputs/{output.file_name}", len(output.bytes)
                    output.release(Artifact(self.store.uri, cell.run_id, root, path, output.sha256, size))

    def _log(self, place: int, cell: CellResult, attempt: Attempt) -> None:
        previews = {output.number: layout.preview_names(output) for output in cell.outputs if output.preview}
        tags = layout.cell_tags(cell, self.run_id, place, previews)
        before = self._earlier(place)
        ended = before is not None and before.info.status in ("FINISHED", "FAILED")
        # The tags of a run that has ended are trusted: they change only when the new artifacts are there.
        run = self._open_child(place, cell, before, {} if ended else tags)
        store, run_id = self.store, run.info.run_id
        if before is not None:
            now = store.client.get_run(run_id)  # people write assessments at any time
            assessments.withdraw(store, now, before=(cell.arrived or datetime.now(UTC)).timestamp())
            cell.comment = now.data.tags.get(layout.NOTE, "")
        if ended:
            _keep_earlier(store, run, cell, attempt)
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

    def copy(self, place: int, cell: CellResult, source: TrackedCell) -> None:
        """Write a cell that was paid for elsewhere to a run of its own, at no cost, and fill the cell from it.

        Raises:
            OutputMissing: its pictures are missing in the store; nothing is written.
        """
        store = self.store
        with mlflow_trouble(f"cell {cell.title} can't be copied in MLflow"):
            original: Run = store.client.get_run(source.run_id)
            there = reading.cell_of(store, original)
            with fetched(store, original) as folder:
                missing = _verified(there, folder) if source.state is State.DONE else ""
                there.note = "; ".join(filter(None, (there.note, missing)))
                run = self._copy_facts(place, cell, original, there)
                if folder.is_dir():
                    earlier = shutil.ignore_patterns("earlier")
                    put(
                        store, run, lambda to: shutil.copytree(folder, to, dirs_exist_ok=True, ignore=earlier)
                    )
            store.client.set_terminated(run.info.run_id, original.info.status)
            cell.take(reading.cell_of(store, store.client.get_run(run.info.run_id)))
            self._ended.add(place)

    def _copy_facts(self, place: int, cell: CellResult, original: Run, there: CellResult) -> Run:
        """Write a copy's run without its artifacts."""
        tags = {
            **layout.parent_tag(there.parents),
            **layout.cell_tags(cell, self.run_id, place, {}),
            **{key: original.data.tags[key] for key in _KEPT_WHEN_COPIED if key in original.data.tags},
            "kontext.note": there.note[: layout.LONGEST_TAG],
            "kontext.reused_from": original.info.run_id,
            "mlflow.loggedImages": "True",
        }
        if there.comment:
            tags[layout.NOTE] = there.comment
        store, before = self.store, self._earlier(place)
        run = self._open_child(place, cell, before, tags)
        if before is not None:
            assessments.withdraw(store, store.client.get_run(run.info.run_id), before=time.time())
        now = layout.milliseconds()
        # The cost of earlier attempts at this very cell stays counted; the copy itself is free.
        values = {**original.data.metrics, "cost/usd": layout.cost_of(before.data.metrics) if before else 0.0}
        metrics = [
            Metric(key, value, now, 0) for key, value in values.items() if key.startswith(layout.BOOKED)
        ]
        metrics += [
            Metric(key, value, now, output.number - 1)
            for output in there.outputs
            for key, value in output.metrics.items()
        ]
        store.client.log_batch(run.info.run_id, metrics=metrics, params=layout.to_params(cell.params))
        return run

    def _earlier(self, place: int) -> Run | None:
        """The child run of an earlier attempt at a cell; read anew if this recorder wrote to it."""
        run = self._children.get(place)
        return self.store.client.get_run(run.info.run_id) if run and place in self._ended else run

    def _open_child(self, place: int, cell: CellResult, before: Run | None, tags: Mapping[str, str]) -> Run:
        """The child run of a cell: that of an earlier attempt, or a new one that has its tags from the start."""
        client, run = self.store.client, before
        if run is None:
            tags = {**self._context, **tags}
            run = client.create_run(self.store.experiment_id, run_name=cell.title[:250], tags=tags)
        elif tags:
            client.log_batch(run.info.run_id, tags=[RunTag(key, text) for key, text in tags.items()])
        self._children[place] = run  # at once, so that a second try at writing finds it
        cell.run_id = str(run.info.run_id)
        # The fingerprint as a dataset's digest: MLflow searches lists of digests, but not of tags.
        source = json.dumps({"service": cell.service, "fingerprint": cell.fingerprint})
        dataset = Dataset(name="request", digest=cell.fingerprint[:32], source_type="kontext", source=source)
        client.log_inputs(cell.run_id, [DatasetInput(dataset, [])])
        return run

    def settle(self, cell: CellResult, outcome: tuple[State, str, str], cost: float) -> None:
        """Write what became of a cell in doubt: state, reason, note, and US dollars it cost after all."""
        with mlflow_trouble(f"run {cell.run_id[:8]} can't be recorded in MLflow"):
            settle_cell(self.store, cell.run_id, outcome, cost)

    def take(self, cell: CellResult, run_id: str) -> None:
        """Fill a cell from its own run, where the same sweep was run before."""
        with mlflow_trouble(f"cell {cell.title} can't be read from MLflow"):
            known = {run.info.run_id: run for run in list(self._children.values())}
            run = known.get(run_id) or self.store.client.get_run(run_id)
            cell.take(reading.cell_of(self.store, run))

    def finish(self, results: Results, *, stopped: bool, seconds: float, quick: bool = False) -> None:
        """Sum up on the parent run and end it: FINISHED, FAILED where a cell did, KILLED where it stopped.

        `quick` leaves out table and figure, which take longer than all else.
        """
        counts = results.counts
        failed = counts[State.FAILED] + counts[State.IN_DOUBT]
        failed += sum(1 for cell in results if cell.reason == MISSING)
        # Cells beyond a limit were left out by choice: no reason to call the run killed.
        through = ("limit", MISSING)
        unsent = sum(1 for cell in results if cell.state in _UNSENT and cell.reason not in through)
        status = "KILLED" if stopped or unsent else "FAILED" if failed else "FINISHED"
        grid = b"" if quick else self._draw(results)
        try:
            with mlflow_trouble("the sweep's end can't be recorded in MLflow"):
                # Children that a crash cut off, and that this run had no reason to go on with, are not running.
                for place, run in self._children.items():
                    if run.info.status not in ENDED and place not in self._ended:
                        self.store.client.set_terminated(run.info.run_id, "KILLED")
                finish_sweep(self.store, results, status, seconds=seconds, grid=grid, table=not quick)
        except TrackingError:
            self.store.end_run(self.run_id)  # the next run sums up; until then nothing is running
            self.finished = True
            raise
        self.finished = True


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


def _verified(there: CellResult, folder: Path) -> str:
    """Check a cell's pictures in a folder, byte for byte; returns a note on missing ones, OutputMissing if all are."""
    missing: dict[int, OutputMissing] = {}
    pictures = [output for output in there.outputs if output.is_picture]
    artifacts = {one.number: one.load for one in pictures if isinstance(one.load, Artifact)}
    for number, artifact in artifacts.items():
        try:
            artifact.read(folder)
        except OutputMissing as error:
            missing[number] = error
    if missing and len(missing) == len(artifacts):
        raise next(iter(missing.values()))
    return f"missing in the store: output {', '.join(map(str, missing))}" if missing else ""


def _write_artifacts(
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
