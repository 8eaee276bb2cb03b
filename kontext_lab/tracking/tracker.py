"""The tracker: one open MLflow store, the sweeps in it, and the beginning of new ones. Any thread may call it."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

import mlflow
from mlflow.entities import Run
from mlflow.tracking.context import registry

from kontext_lab.redaction import masked, redacted
from kontext_lab.results import CellResult, Results, Spending, TrackedCell
from kontext_lab.sweep import Sweep
from kontext_lab.tracking import reading, writing
from kontext_lab.tracking.artifacts import Artifact, fetch, names, put
from kontext_lab.tracking.reading import SweepRun
from kontext_lab.tracking.store import Store, mlflow_trouble, open_store, resolve_uri
from kontext_lab.tracking.writing import ENDED, Opening, SweepRecorder

__all__ = ["Tracker"]

P = ParamSpec("P")
T = TypeVar("T")


class Tracker:
    """One open store and the sweeps in it. If the store can't be used, every method raises a TrackingError.

    Args:
        tracking_uri: as MLflow takes it; None for what is set.
        experiment: a name; None for what is set.

    Raises:
        ConfigError: the experiment can't be used.
    """

    def __init__(self, tracking_uri: str | None = None, experiment: str | None = None) -> None:
        self.store: Store = open_store(tracking_uri, experiment)

    @cached_property
    def _context(self) -> Mapping[str, str]:
        """User and source tags, as MLflow's own context gives them; a repository's address may hold a token."""
        return {key: redacted(str(text)) for key, text in registry.resolve_tags().items()}

    def call(
        self, trouble: str, function: Callable[Concatenate[Store, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Call a function of this package on the store; `trouble` begins the error if MLflow or its database fails."""
        with mlflow_trouble(trouble):
            return function(self.store, *args, **kwargs)

    @staticmethod
    def in_use(tracking_uri: str | None = None) -> str:
        """Return the address of the store that would be opened, absolute, or raise a TrackingError; opens nothing."""
        return resolve_uri(tracking_uri or mlflow.get_tracking_uri())

    @staticmethod
    def shown_in_use(tracking_uri: str | None = None) -> str:
        """Return the same without a password."""
        return masked(Tracker.in_use(tracking_uri))

    def holds(self, run_id: str) -> bool:
        """True if a run is in this store, and was not deleted."""
        with mlflow_trouble("the MLflow store can't be read"):
            return reading.run_if_there(self.store, run_id) is not None

    @staticmethod
    def active_run_id(tracking_uri: str) -> str:
        """Return the run active in the calling thread, if it is in the same store; else ""."""
        active = mlflow.active_run()
        same = active is not None and resolve_uri(mlflow.get_tracking_uri()) == tracking_uri
        return str(active.info.run_id) if active is not None and same else ""

    def known(self, fingerprints: Iterable[str], *, thorough: bool = False) -> dict[str, TrackedCell]:
        """Find the best cell of any experiment for each fingerprint: a picture before anything else.

        `thorough` reads the bytes of every picture; else only the sizes of files on this machine are compared.
        """
        wanted = list(dict.fromkeys(fingerprints))
        best: dict[str, TrackedCell] = {}
        with mlflow_trouble("the MLflow store can't be searched"):
            found = reading.search_listed(self.store, "dataset.digest", (one[:32] for one in wanted))
            for cell in reading.known_cells(self.store, found, thorough=thorough):
                best[cell.fingerprint] = max(
                    best.get(cell.fingerprint, cell), cell, key=lambda one: one.worth
                )
        return {fingerprint: best[fingerprint] for fingerprint in wanted if fingerprint in best}

    def known_here(self, digest: str, *, thorough: bool = False) -> dict[int, TrackedCell]:
        """List the cells in the parent run of the same sweep, by place; empty where there is no such run."""
        with mlflow_trouble("the MLflow store can't be searched"):
            parent = next(reading.sweep_runs(self.store, digest=digest), None)
            found = [] if parent is None else reading.children(self.store, parent)
            return {cell.index: cell for cell in reading.known_cells(self.store, found, thorough=thorough)}

    def check_sources(self, sources: Iterable[TrackedCell]) -> None:
        """Check that the artifacts of cells to be copied can be asked for: one look for each of their sweeps."""
        with mlflow_trouble("the pictures of earlier sweeps can't be reached"):
            for known in {one.parent_id: one for one in sources}.values():
                names(self.store, self.store.client.get_run(known.run_id), "outputs")

    def missing(self, most: int = 1000) -> tuple[int, int, str]:
        """Count the missing pictures of the newest cells; returns the count, the cells looked at, and the place."""
        store, order = self.store, ["attributes.start_time DESC"]
        query = "tags.`kontext.kind` = 'cell' AND tags.`kontext.state` = 'done'"
        with mlflow_trouble("the MLflow store can't be read"):
            page = store.client.search_runs(store.experiment_ids(), query, max_results=most, order_by=order)
            missing = [one for run in page for one in reading.pictures_of(store, run) if one.is_missing()]
            return len(missing), len(page), missing[0].place if missing else ""

    def begin(
        self,
        opening: Opening,
        opened: Callable[[str], None] = lambda _: None,
        draw: Callable[[Results], bytes] = lambda _: b"",
    ) -> SweepRecorder:
        """Make the sweep's parent run, or reopen the one it has; returns its recorder.

        `opened` gets the run's id as soon as there is a run; `draw` draws the grid that is logged at the end, as PNG.
        """
        store = self.store
        with mlflow_trouble("the sweep can't be recorded in MLflow"):
            store.prepare_folder()
            # Never a run that was deleted.
            parent = reading.run_if_there(store, opening.parent_id) if opening.parent_id else None
            if parent is None and not opening.fresh:
                parent = next(reading.sweep_runs(store, digest=opening.digest), None)
            runs: list[Run] = []
            if parent is None:
                run_id = str(writing.make_parent(store, opening, self._context, opened).info.run_id)
            else:
                run_id = str(parent.info.run_id)
                opened(run_id)
                writing.reopen_parent(store, parent, opening)
                runs = reading.children(store, parent)
            children = {int(run.data.tags.get("kontext.cell", 0)): run for run in runs}
            return SweepRecorder(store, run_id, children, self._context, draw)

    def abandon(self, run_id: str) -> bool:
        """End a sweep that was begun and could not be started; returns whether the store knows now."""
        return self.store.end_run(run_id)

    def load(self, which: str) -> tuple[SweepRun, dict[int, CellResult]]:
        """Load a sweep, found as by `find`, and its cells that have an outcome, by place."""
        with mlflow_trouble("the MLflow store can't be read"):
            parent = reading.find_run(self.store, which)
            runs = reading.children(self.store, parent)
            cells = {
                int(run.data.tags.get("kontext.cell", 0)): reading.cell_of(self.store, run) for run in runs
            }
            return SweepRun.from_run(parent), cells

    def in_doubt(self) -> int:
        """Count the cells of any experiment whose answer was lost; copies don't count."""
        with mlflow_trouble("the MLflow store can't be read"):
            runs = reading.search_cells(self.store, "tags.`kontext.state` = 'in_doubt'")
            return sum(1 for run in runs if "kontext.reused_from" not in run.data.tags)

    def outcomes(self, parent_id: str) -> int:
        """Count the cells of a sweep that have an outcome by now."""
        with mlflow_trouble("the MLflow store can't be read"):
            parent: Run = self.store.client.get_run(parent_id)
            return sum(1 for run in reading.children(self.store, parent) if run.info.status in ENDED)

    def find(self, which: str) -> SweepRun:
        """Find a sweep's run by name, run id, the beginning of one, or `last`.

        Raises:
            NotFound: no such sweep, or several, which are then listed.
        """
        with mlflow_trouble("the MLflow store can't be read"):
            return SweepRun.from_run(reading.find_run(self.store, which))

    def log_file(self, run_id: str, name: str, data: bytes) -> None:
        """Put a file made of a sweep into its run, in place of the one of that name."""
        with mlflow_trouble(f"run {run_id[:8]}: {name} can't be recorded in MLflow"):
            run = self.store.client.get_run(run_id)
            put(self.store, run, lambda folder: (folder / name).write_bytes(data))

    def sweep_of(self, which: str) -> Sweep:
        """Load a sweep, found as by `find`, as it was defined.

        Raises:
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
        """List sweeps, newest first; of our experiment, or of the whole store; hidden ones only on demand."""
        with mlflow_trouble("the MLflow store can't be read"):
            runs = (SweepRun.from_run(run) for run in reading.sweep_runs(self.store, everywhere=everywhere))
            return [run for run in runs if hidden or not run.hidden]

    def address(self, run_id: str) -> str:
        """Return the address of a run in MLflow's pages, without a password; "" where there are no pages or no run."""
        web = self.store.web_address
        if not web or not run_id:
            return ""
        with mlflow_trouble(f"run {run_id[:8]} can't be read from MLflow"):
            run = reading.run_if_there(self.store, run_id)
        return "" if run is None else f"{web}/#/experiments/{run.info.experiment_id}/runs/{run_id}"

    def answer_to(self, run_id: str) -> str:
        """Load the answer to a cell's request, as it was logged: the text of its `response.json`."""
        with mlflow_trouble(f"run {run_id[:8]} can't be read from MLflow"):
            root = self.store.client.get_run(run_id).info.artifact_uri
            return Artifact(self.store.uri, run_id, root, "response.json")().decode("utf-8", "replace")

    def spending(self) -> Spending:
        """Add up US dollars by day, sweep and model, of all experiments."""
        with mlflow_trouble("the MLflow store can't be read"):
            return reading.read_spending(self.store)

    def name_of(self, run_id: str) -> str:
        """Return the name of a run; "" where there is no such run."""
        with mlflow_trouble(f"run {run_id[:8]} can't be read from MLflow"):
            run = reading.run_if_there(self.store, run_id)
            return "" if run is None else str(run.info.run_name or "")

    def experiment_name(self, experiment_id: str) -> str:
        """Return the name of an experiment."""
        with mlflow_trouble("the MLflow store can't be read"):
            return str(self.store.client.get_experiment(experiment_id).name)
