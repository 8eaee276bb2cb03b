"""The tracker: what the rest of the package sees of MLflow.

One thread writes a sweep through it. What people put onto runs may come from any other: those calls touch no
state here, only single keys in the store.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import mlflow
from mlflow.entities import Run
from mlflow.tracking.context import registry

from kontext_lab.errors import TrackingError
from kontext_lab.images import Origin
from kontext_lab.redaction import masked, redacted
from kontext_lab.request.attempt import Attempt
from kontext_lab.results import CellResult, Output, Results, Spending, State, TrackedCell
from kontext_lab.results.states import MISSING
from kontext_lab.statistics import Vote
from kontext_lab.sweep import Sweep
from kontext_lab.tracking import assessments, reading, search, writing
from kontext_lab.tracking.artifacts import Artifact, fetch, names, put
from kontext_lab.tracking.reading import SweepRun
from kontext_lab.tracking.search import PictureLocation
from kontext_lab.tracking.store import Store, check_reachable, mlflow_trouble, open_store, resolve_uri
from kontext_lab.tracking.writing import Opening, Slot

__all__ = ["Tracker"]

_UNSENT = (State.CANCELLED, State.SKIPPED, State.WAITING)

ENDED = ("FINISHED", "FAILED", "KILLED")
"""MLflow's words for a run that is not running."""


class Tracker:
    """One open store and the sweeps in it.

    Args:
        tracking_uri: as MLflow takes it; None for what is set.
        experiment: a name; None for what is set.

    Raises:
        TrackingError: the store can't be used.
        ConfigError: the experiment can't be.
    """

    def __init__(self, tracking_uri: str | None = None, experiment: str | None = None) -> None:
        self.store: Store = open_store(tracking_uri, experiment)
        self._children: dict[tuple[str, int], Run] = {}
        self._ended: set[tuple[str, int]] = set()
        self._context: dict[str, str] | None = None

    @staticmethod
    def in_use(tracking_uri: str | None = None) -> str:
        """The address of the store that would be opened, absolute; opens nothing.

        Raises:
            TrackingError: it can be none.
        """
        return resolve_uri(tracking_uri or mlflow.get_tracking_uri())

    @staticmethod
    def shown_in_use(tracking_uri: str | None = None) -> str:
        """The same without a password."""
        return masked(Tracker.in_use(tracking_uri))

    def holds(self, run_id: str) -> bool:
        """Whether a run is in this store, and was not deleted."""
        with mlflow_trouble("the MLflow store can't be read"):
            return reading.run_if_there(self.store, run_id) is not None

    @staticmethod
    def active_run_id(tracking_uri: str) -> str:
        """The run active in the calling thread, if it is in the same store; else ""."""
        active = mlflow.active_run()
        same = active is not None and resolve_uri(mlflow.get_tracking_uri()) == tracking_uri
        return str(active.info.run_id) if active is not None and same else ""

    def reachable(self) -> bool:
        """Whether the store can be spoken to at all; quick, and raises nothing."""
        try:
            check_reachable(self.store.uri, opened=True)
        except TrackingError:
            return False
        return True

    def known(self, fingerprints: Iterable[str], *, thorough: bool = False) -> dict[str, TrackedCell]:
        """The best any experiment of the store knows of each fingerprint.

        Args:
            fingerprints: hex sha256 each.
            thorough: look at the bytes of every picture; else only at the sizes of files on this machine.

        Raises:
            TrackingError: the store can't be searched, or pictures can't be looked at.
        """
        with mlflow_trouble("the MLflow store can't be searched"):
            return reading.known_cells(self.store, fingerprints, thorough=thorough)

    def known_here(self, digest: str, *, thorough: bool = False) -> dict[int, TrackedCell]:
        """What the parent run of the same sweep holds, by the cell's place; empty where there is none."""
        with mlflow_trouble("the MLflow store can't be searched"):
            parent = reading.sweep_with_digest(self.store, digest)
            found = [] if parent is None else reading.children(self.store, parent)
            known = ((run, reading.known_of(run)) for run in found)
            return {
                one.index: reading.with_bytes(self.store, run, one, thorough=thorough)
                for run, one in known
                if one is not None
            }

    def check_sources(self, sources: Iterable[TrackedCell]) -> None:
        """See that the artifacts of cells to be copied can be asked for: one look for each of their sweeps.

        Raises:
            TrackingError: they can't be.
        """
        with mlflow_trouble("the pictures of earlier sweeps can't be reached"):
            for known in {one.parent_id: one for one in sources}.values():
                names(self.store, self.store.client.get_run(known.run_id), "outputs")

    def missing(self, most: int = 1000) -> tuple[int, int, str]:
        """How many pictures of the newest cells are missing, how many cells were looked at, and where."""
        with mlflow_trouble("the MLflow store can't be read"):
            return reading.count_missing(self.store, most)

    def begin(self, opening: Opening, opened: Callable[[str], None] = lambda _: None) -> str:
        """Make the sweep's parent run, or reopen the one it has; returns its id.

        Args:
            opening: what it is made from.
            opened: told of its id as soon as there is a run, so that one half made can be ended.
        """
        with mlflow_trouble("the sweep can't be recorded in MLflow"):
            self.store.prepare_folder()
            parent = self._parent(opening)
            if parent is None:
                parent = writing.make_parent(self.store, opening, self.context, opened)
            else:
                opened(str(parent.info.run_id))
                writing.reopen_parent(self.store, parent, opening)
                self._forget(parent.info.run_id)
                for run in reading.children(self.store, parent):
                    place = int(run.data.tags.get("kontext.cell", 0))
                    self._children[(parent.info.run_id, place)] = run
            return str(parent.info.run_id)

    def _forget(self, parent_id: str) -> None:
        """What is remembered of a sweep's cells: a person may have deleted one meanwhile."""
        for key in [key for key in list(self._children) if key[0] == parent_id]:
            del self._children[key]
            self._ended.discard(key)

    def _parent(self, opening: Opening) -> Run | None:
        """The run to go on with: never one that was deleted."""
        if opening.parent_id:
            found = reading.run_if_there(self.store, opening.parent_id)
            if found is not None:
                return found
        return None if opening.fresh else reading.sweep_with_digest(self.store, opening.digest)

    def has_outcome(self, parent_id: str, index: int, request_id: str, *, answered: bool) -> bool:
        """Whether a cell of a sweep begun here holds the whole outcome of an attempt.

        One that was answered, and is written as in doubt, was written before its answer came.
        """
        run = self._children.get((parent_id, index))
        known = None if run is None else reading.known_of(run)
        if known is None or known.request_id != request_id:
            return False
        return not (answered and known.state is State.IN_DOUBT and not known.cost)

    def log(self, parent_id: str, index: int, cell: CellResult, attempt: Attempt) -> None:
        """Write a cell that was sent; its bytes are then loaded from the store when asked for."""
        with mlflow_trouble(f"cell {cell.title} can't be recorded in MLflow"):
            opened = self._opened(parent_id, index, cell)
            writing.log_cell(self.store, self._slot(parent_id, index), cell, attempt, opened)
            self._ended.add((parent_id, index))
            root = self._children[(parent_id, index)].info.artifact_uri
            for output in cell.outputs:
                if output.sha256:
                    path, size = f"outputs/{output.file_name}", len(output.bytes)
                    output.release(Artifact(self.store.uri, cell.run_id, root, path, output.sha256, size))

    def copy(self, parent_id: str, index: int, cell: CellResult, source: TrackedCell) -> None:
        """Write a cell that is reused from another run, and take over what that run holds."""
        with mlflow_trouble(f"cell {cell.title} can't be copied in MLflow"):
            opened = self._opened(parent_id, index, cell)
            writing.copy_cell(self.store, self._slot(parent_id, index), cell, source, opened)
            self._ended.add((parent_id, index))

    def settle(self, run_id: str, outcome: tuple[State, str, str], cost: float) -> None:
        """Write what became of a cell in doubt: state, reason, note, and US dollars it cost after all."""
        with mlflow_trouble(f"run {run_id[:8]} can't be recorded in MLflow"):
            writing.settle_cell(self.store, run_id, outcome, cost)

    def _opened(self, parent_id: str, index: int, cell: CellResult) -> writing.Opened:
        def remember(run: Run) -> None:
            self._children[(parent_id, index)] = run
            cell.run_id = str(run.info.run_id)

        return remember

    def _slot(self, parent_id: str, index: int) -> Slot:
        existing = self._children.get((parent_id, index))
        if existing is not None and (parent_id, index) in self._ended:
            # Written before by this very tracker: what it remembers is the run as it was made.
            existing = self.store.client.get_run(existing.info.run_id)
        return Slot(parent_id, index, self.context, existing)

    def take(self, cell: CellResult, run_id: str) -> None:
        """Fill a cell from its own run, where the same sweep was run before."""
        with mlflow_trouble(f"cell {cell.title} can't be read from MLflow"):
            known = {run.info.run_id: run for run in list(self._children.values())}
            run = known.get(run_id) or self.store.client.get_run(run_id)
            cell.take(reading.cell_of(self.store, run))

    def finish(
        self, results: Results, *, stopped: bool, seconds: float, grid: bytes, table: bool = True
    ) -> None:
        """Sum up on the parent run and end it: FINISHED, FAILED where a cell did, KILLED where it stopped."""
        counts = results.counts
        failed = counts[State.FAILED] + counts[State.IN_DOUBT]
        failed += sum(1 for cell in results if cell.reason == MISSING)
        # What a limit left out was asked for: no reason to call the run killed.
        through = ("limit", MISSING)
        unsent = sum(1 for cell in results if cell.state in _UNSENT and cell.reason not in through)
        status = "KILLED" if stopped or unsent else "FAILED" if failed else "FINISHED"
        with mlflow_trouble("the sweep's end can't be recorded in MLflow"):
            self._end_orphans(results.run_id)
            writing.finish_sweep(self.store, results, status, seconds=seconds, grid=grid, table=table)

    def abandon(self, parent_id: str) -> bool:
        """A sweep that was begun and could not be started is not running; returns whether the store knows now."""
        with suppress(TrackingError), mlflow_trouble("the sweep's end can't be recorded in MLflow"):
            self.store.client.set_terminated(parent_id, "KILLED")
            return True
        return False

    def _end_orphans(self, parent_id: str) -> None:
        """Children that a crash cut off, and that this run had no reason to go on with, are not running."""
        # A copy: another sweep of the same lab may be adding its own just now.
        for (parent, index), run in list(self._children.items()):
            cut_off = run.info.status not in ENDED and (parent, index) not in self._ended
            if parent == parent_id and cut_off:
                self.store.client.set_terminated(run.info.run_id, "KILLED")

    def load(self, which: str) -> tuple[SweepRun, dict[int, CellResult]]:
        """A sweep and its cells that have an outcome, by place, from the store alone.

        Args:
            which: a name, a run id, the beginning of one, or `last`.

        Raises:
            NotFound: none, or several, which are then listed.
        """
        with mlflow_trouble("the MLflow store can't be read"):
            parent = reading.find_run(self.store, which)
            runs = reading.children(self.store, parent)
            cells = {
                int(run.data.tags.get("kontext.cell", 0)): reading.cell_of(self.store, run) for run in runs
            }
            return SweepRun.from_run(parent), cells

    def in_doubt(self) -> int:
        """How many requests are in doubt, in the whole store."""
        with mlflow_trouble("the MLflow store can't be read"):
            return reading.count_in_doubt(self.store)

    def outcomes(self, parent_id: str) -> int:
        """How many cells of a sweep have an outcome by now."""
        with mlflow_trouble("the MLflow store can't be read"):
            parent: Run = self.store.client.get_run(parent_id)
            return sum(1 for run in reading.children(self.store, parent) if run.info.status in ENDED)

    def find(self, which: str) -> SweepRun:
        """A sweep's run by name, run id, the beginning of one, or `last`.

        Raises:
            NotFound: none, or several, which are then listed.
        """
        with mlflow_trouble("the MLflow store can't be read"):
            return SweepRun.from_run(reading.find_run(self.store, which))

    def log_file(self, run_id: str, name: str, data: bytes) -> None:
        """Put a file made of a sweep into its run, in place of the one of that name."""
        with mlflow_trouble(f"run {run_id[:8]}: {name} can't be recorded in MLflow"):
            run = self.store.client.get_run(run_id)
            put(self.store, run, lambda folder: (folder / name).write_bytes(data))

    def sweep_of(self, which: str) -> Sweep:
        """A sweep as it was defined, from its parent run.

        Raises:
            NotFound: none, or several, which are then listed.
            SweepError: its file can't be read any more.
        """
        with (
            mlflow_trouble(f"sweep {which}: sweep.yaml can't be loaded"),
            tempfile.TemporaryDirectory() as folder,
        ):
            parent = reading.find_run(self.store, which)
            for part in ("sweep.yaml", "references"):
                fetch(self.store, parent, part, Path(folder))
            return Sweep.from_yaml(Path(folder) / "sweep.yaml", own=True).replace(name=parent.info.run_name)

    def history(self, *, everywhere: bool = False, hidden: bool = False) -> list[SweepRun]:
        """Sweeps, newest first; of our experiment, or of the whole store; hidden ones only if asked for."""
        with mlflow_trouble("the MLflow store can't be read"):
            runs = (SweepRun.from_run(run) for run in reading.sweep_runs(self.store, everywhere=everywhere))
            return [run for run in runs if hidden or not run.hidden]

    def write_verdict(self, output: Output, key: str, verdict: bool | None) -> None:
        """Write a verdict on an output under `verdict/<criterion>`; None withdraws it."""
        with mlflow_trouble(f"the verdict on {output.cell.title} can't be recorded in MLflow"):
            assessments.write_verdict(self.store, output.run_id, output.number, key, verdict)

    def measured(self, cell: CellResult, values: Mapping[int, Mapping[str, float]], recipe: str) -> None:
        """Write what was measured of a cell's outputs, by their numbers and by name."""
        with mlflow_trouble(f"what was measured of {cell.title} can't be recorded in MLflow"):
            assessments.write_measured(self.store, cell.run_id, values, recipe)

    def vote(self, vote: Vote, left: Output, right: Output) -> bool:
        """Write a vote on two outputs onto their sweeps; False where neither is in the store."""
        with mlflow_trouble("the vote can't be recorded in MLflow"):
            return bool(assessments.write_vote(self.store, vote, left, right))

    def take_back(self, vote: Vote, left: Output, right: Output) -> None:
        """Take back a vote on two outputs."""
        with mlflow_trouble("the vote can't be taken back in MLflow"):
            assessments.withdraw_vote(self.store, vote, left, right)

    def votes(self, run_ids: Iterable[str]) -> list[Vote]:
        """Every vote on the sweeps of these cells, by anybody; the oldest first."""
        with mlflow_trouble("the votes can't be read from MLflow"):
            return assessments.read_votes(self.store, run_ids)

    def rate(self, cell: CellResult, values: Mapping[tuple[str, int], float | None]) -> None:
        """Write what votes make of a cell's outputs, by `rank/…` and the output's number; None withdraws."""
        with mlflow_trouble(f"the scores of {cell.title} can't be recorded in MLflow"):
            assessments.write_given(self.store, cell.run_id, values)

    def annotate(self, cell: CellResult, text: str) -> None:
        """Write a person's note on a cell; empty text removes it."""
        with mlflow_trouble(f"the note on {cell.title} can't be recorded in MLflow"):
            assessments.write_note(self.store, cell.run_id, text)

    def hide(self, run_id: str, hidden: bool) -> None:
        """Leave a sweep out of lists, or show it again.

        Raises:
            NotFound: the run is no sweep.
        """
        with mlflow_trouble(f"run {run_id:.40} can't be {'hidden' if hidden else 'shown again'} in MLflow"):
            assessments.hide(self.store, run_id, hidden)

    def output_at(self, origin: Origin) -> Output | None:
        """The output that an origin names; None where it isn't there any more."""
        with mlflow_trouble(f"run {origin.run_id[:8]} can't be read from MLflow"):
            return search.output_at(self.store, origin)

    def edits_of(self, origins: Iterable[Origin]) -> list[Output]:
        """The pictures made directly from any of these outputs, the oldest first; no copies."""
        with mlflow_trouble("the MLflow store can't be searched"):
            return search.edits_of(self.store, origins)

    def cells_with(self, run_ids: Sequence[str]) -> dict[str, tuple[CellResult, str]]:
        """Cells of any experiment by their runs' ids, each with its sweep's run; others are left out."""
        with mlflow_trouble("the MLflow store can't be read"):
            return search.cells_with(self.store, run_ids)

    def first_done(self, run: SweepRun) -> Output | None:
        """A picture of the cell of a sweep that was done first; None where there is none."""
        with mlflow_trouble(f"run {run.run_id[:8]} can't be read from MLflow"):
            return search.first_done(self.store, run)

    def address(self, run_id: str, experiment_id: str = "") -> str:
        """Where MLflow's pages show a run, without name or password; "" where there are no pages or no run."""
        web = self.store.web_address
        if not web or not run_id:
            return ""
        if not experiment_id:
            with mlflow_trouble(f"run {run_id[:8]} can't be read from MLflow"):
                run = reading.run_if_there(self.store, run_id)
            experiment_id = "" if run is None else run.info.experiment_id
        return f"{web}/#/experiments/{experiment_id}/runs/{run_id}" if experiment_id else ""

    def outputs_with(self, sha256: str) -> list[Output]:
        """The outputs of any experiment whose exact bytes have this digest."""
        with mlflow_trouble("the MLflow store can't be searched"):
            return search.outputs_with(self.store, sha256)

    def outputs_like(self, phash: str) -> list[Output]:
        """The few outputs of any experiment that look most like this hash, the nearest first."""
        with mlflow_trouble("the MLflow store can't be searched"):
            return search.outputs_like(self.store, phash)

    def whereabouts(self, run_id: str) -> PictureLocation:
        """The sweep and the experiment that a cell's run belongs to."""
        with mlflow_trouble(f"run {run_id[:8]} can't be read from MLflow"):
            return search.whereabouts(self.store, run_id)

    def origin_of(self, sha256: str) -> Origin | None:
        """The output whose exact bytes have this digest, or None."""
        with mlflow_trouble("the MLflow store can't be searched"):
            return search.origin_of(self.store, sha256)

    def answer_to(self, run_id: str) -> str:
        """What came back for a cell, as it was logged: the text of its `response.json`."""
        with mlflow_trouble(f"run {run_id[:8]} can't be read from MLflow"):
            root = self.store.client.get_run(run_id).info.artifact_uri
            return Artifact(self.store.uri, run_id, root, "response.json")().decode("utf-8", "replace")

    def spending(self) -> Spending:
        """US dollars by day, sweep and model, of all experiments."""
        with mlflow_trouble("the MLflow store can't be read"):
            return reading.read_spending(self.store)

    def name_of(self, run_id: str) -> str:
        """What a run is called; "" where there is none."""
        with mlflow_trouble(f"run {run_id[:8]} can't be read from MLflow"):
            run = reading.run_if_there(self.store, run_id)
            return "" if run is None else str(run.info.run_name or "")

    def experiment_name(self, experiment_id: str) -> str:
        """What an experiment of the store is called."""
        with mlflow_trouble("the MLflow store can't be read"):
            return str(self.store.client.get_experiment(experiment_id).name)

    @property
    def context(self) -> Mapping[str, str]:
        """User and source tags, as MLflow's own context gives them; a repository's address may hold a token."""
        if self._context is None:
            self._context = {key: redacted(str(text)) for key, text in registry.resolve_tags().items()}
        return self._context
