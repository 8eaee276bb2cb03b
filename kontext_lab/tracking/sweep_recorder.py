"""Records one run of a sweep in MLflow: its cells as they come, and its end. One thread writes through it.

A run is complete before it ends, so a run that has ended can be trusted: a run that a crash cut off is still RUNNING.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from mlflow.entities import Dataset, DatasetInput, Metric, Run, RunTag

from kontext_lab.errors import TrackingError
from kontext_lab.request.attempt import Attempt
from kontext_lab.results import CellResult, Results, State, TrackedCell
from kontext_lab.results.states import MISSING
from kontext_lab.tracking import assessments, layout, reading, writing
from kontext_lab.tracking.artifacts import Artifact, fetched, put
from kontext_lab.tracking.store import Store, check_reachable, mlflow_trouble

__all__ = ["ENDED", "SweepRecorder"]

_KEPT_WHEN_COPIED = (
    *("kontext.outputs", "kontext.output_sha256", "kontext.output_phash", "kontext.arrived"),
    *("kontext.reason", "kontext.state", layout.METRICS),
)
"""Tags of a cell that its copies take over."""

_UNSENT = (State.CANCELLED, State.SKIPPED, State.WAITING)

ENDED = ("FINISHED", "FAILED", "KILLED")
"""MLflow's words for a run that is not running."""


class SweepRecorder:
    """The recorder of one run of a sweep.

    Args:
        store: where.
        run_id: the sweep's parent run, just begun.
        children: its cells' runs of earlier times, by place.
        context: user and source tags.
        draw: draws the grid that is logged at the end, as PNG.
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
            writing.keep_earlier(store, run, cell, attempt)
        put(store, run, lambda folder: writing.write_artifacts(folder, cell, attempt, previews))
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
                missing = writing.verified(there, folder) if source.state is State.DONE else ""
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
            writing.settle_cell(self.store, cell.run_id, outcome, cost)

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
                writing.finish_sweep(self.store, results, status, seconds=seconds, grid=grid, table=not quick)
        except TrackingError:
            self.store.end_run(self.run_id)  # the next run sums up; until then nothing is running
            raise
