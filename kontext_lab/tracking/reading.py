"""Runs read back into values: a fingerprint's best cell, a sweep's cells, the list of sweeps, the spending."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from typing import Any

from mlflow.entities import Run
from mlflow.exceptions import MlflowException

from kontext_lab.errors import ImageError, NotFound
from kontext_lab.images import Origin
from kontext_lab.results import CellResult, Output, Spending, Spent, State, TrackedCell, typed_params
from kontext_lab.tracking import layout
from kontext_lab.tracking.artifacts import Artifact
from kontext_lab.tracking.store import Store

__all__ = [
    "SweepRun",
    "cell_of",
    "children",
    "find_run",
    "known_cells",
    "known_of",
    "parents_of",
    "pictures_of",
    "read_spending",
    "run_if_there",
    "search",
    "search_cells",
    "search_listed",
    "sweep_runs",
]

LISTED_PER_QUERY = 500
"""Values in one query's list: MLflow takes about 0.4 s for these."""

PAGE = 1000

_OUTPUT_FACTS = ("sha256", "format", "width", "height", "reason", "note", "phash")
"""Attributes of an output that its run's tag holds under the same name."""

_NO_SUCH_RUN = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")
"""MLflow's codes for a run that isn't there, and for an invalid id."""


@dataclass(frozen=True)
class SweepRun:
    """A sweep as the store remembers it.

    Attributes:
        run_id: the parent run.
        name: the sweep's name.
        service: `sandbox` or the service's origin.
        digest: the same for the same sweep.
        status: MLflow's word: RUNNING, FINISHED, FAILED or KILLED.
        started: when it was first run.
        cells: number of cells.
        counts: cells by state, as last recorded.
        cost: US dollars, as last recorded.
        experiment_id: of its experiment.
        hidden: lists leave it out.
    """

    run_id: str
    name: str
    service: str
    digest: str
    status: str
    started: datetime
    cells: int
    counts: dict[str, int]
    cost: float
    experiment_id: str
    hidden: bool = False

    @classmethod
    def from_run(cls, run: Run) -> SweepRun:
        """Read a parent run."""
        metrics = run.data.metrics
        return cls(
            run_id=run.info.run_id,
            name=run.info.run_name or "",
            service=run.data.tags.get("kontext.service", ""),
            digest=run.data.tags.get("kontext.sweep", ""),
            status=run.info.status,
            started=_time(run.info.start_time),
            cells=int(run.data.params.get("cells", 0)),
            counts={str(state): int(metrics.get(f"cells/{state}", 0)) for state in layout.COUNTED},
            cost=layout.cost_of(metrics),
            experiment_id=run.info.experiment_id,
            hidden=layout.HIDDEN in run.data.tags,
        )


def search(store: Store, experiments: Sequence[str], query: str, **options: Any) -> Iterator[Run]:
    """Every active run that a query finds, page by page."""
    token = None
    while True:
        page = store.client.search_runs(
            list(experiments), filter_string=query, max_results=PAGE, page_token=token, **options
        )
        yield from page
        token = page.token
        if not token:
            return


def search_cells(store: Store, more: str = "") -> Iterator[Run]:
    """Every cell of any experiment; `more` is a further condition on its tags."""
    query = f"tags.`kontext.kind` = 'cell'{' AND ' if more else ''}{more}"
    return search(store, store.experiment_ids(), query)


def search_listed(store: Store, attribute: str, values: Iterable[str]) -> Iterator[Run]:
    """Every active run of any experiment whose `attributes.run_id` or `dataset.digest` is one of the values."""
    wanted = [value for value in dict.fromkeys(values) if value.isalnum()]
    experiments = store.experiment_ids() if wanted else []
    for start in range(0, len(wanted), LISTED_PER_QUERY):
        listed = ",".join(f"'{value}'" for value in wanted[start : start + LISTED_PER_QUERY])
        yield from search(store, experiments, f"{attribute} IN ({listed})")


def run_if_there(store: Store, run_id: str) -> Run | None:
    """A run by its id; None if there is none, or it was deleted."""
    try:
        run: Run = store.client.get_run(run_id)
    except MlflowException as error:
        if error.error_code in _NO_SUCH_RUN:
            return None
        raise
    return run if run.info.lifecycle_stage == "active" else None


def known_of(run: Run) -> TrackedCell | None:
    """The cell of a child run; None for any other run, and for one that was cut off while it was written."""
    tags, status = run.data.tags, run.info.status
    state = tags.get("kontext.state")
    whole = ("FINISHED",) if state == State.DONE else ("FINISHED", "FAILED")
    if tags.get("kontext.kind") != "cell" or status not in whole or state not in tuple(State):
        return None
    copied = "kontext.reused_from" in tags
    return TrackedCell(
        run_id=run.info.run_id,
        parent_id=tags.get("mlflow.parentRunId", ""),
        index=int(tags.get("kontext.cell", 0)),
        fingerprint=tags.get("kontext.fingerprint", ""),
        state=State(state),
        reason=tags.get("kontext.reason", ""),
        when=_arrived(run),
        cost=layout.cost_of(run.data.metrics),
        copied=copied,
        # A copy's run may still name an earlier attempt of its own, which is not what it holds.
        request_id="" if copied else tags.get("kontext.request_id", ""),
    )


def known_cells(store: Store, runs: Iterable[Run], *, thorough: bool = False) -> Iterator[TrackedCell]:
    """The cells among runs, each with the number of its missing pictures.

    `thorough` reads the bytes of every picture; else only the sizes of files on this machine are compared.
    """
    for run in runs:
        cell = known_of(run)
        if cell is not None and cell.state is State.DONE:
            artifacts = pictures_of(store, run)
            missing = [artifact for artifact in artifacts if artifact.is_missing(thorough=thorough)]
            if missing:
                gone = len(missing) == len(artifacts)
                cell = replace(cell, missing=len(missing), is_gone=gone, place=missing[0].place)
        if cell is not None:
            yield cell


def children(store: Store, parent: Run) -> list[Run]:
    """The cells of a sweep that have an outcome, in the order of the sweep."""
    query = f"tags.`mlflow.parentRunId` = '{parent.info.run_id}' AND tags.`kontext.kind` = 'cell'"
    runs = search(store, [parent.info.experiment_id], query)
    return sorted(runs, key=lambda run: (int(run.data.tags.get("kontext.cell", 0)), run.info.start_time))


def sweep_runs(store: Store, *, everywhere: bool = False, digest: str = "") -> Iterator[Run]:
    """Parent runs of our experiment, or of all, the newest first; with a digest, those of one sweep."""
    experiments = store.experiment_ids() if everywhere else [store.experiment_id]
    query = "tags.`kontext.kind` = 'sweep'" + (f" AND tags.`kontext.sweep` = '{digest}'" if digest else "")
    return search(store, experiments, query, order_by=["attributes.start_time DESC"])


def find_run(store: Store, which: str) -> Run:
    """A sweep's parent run by name, run id, the beginning of one, or `last`.

    Raises:
        NotFound: none matches, or several, which are then listed.
    """
    wanted = which.strip()
    runs = list(sweep_runs(store, everywhere=True))
    if wanted == "last" and runs:
        return max(runs, key=lambda run: run.info.start_time)
    exact = [run for run in runs if wanted in (run.info.run_id, run.info.run_name)]
    prefixed = [run for run in runs if len(wanted) >= 4 and run.info.run_id.startswith(wanted)]
    matches = exact or prefixed
    if len(matches) == 1:
        return matches[0]
    if not matches:
        names = ", ".join(repr(run.info.run_name) for run in runs[:5])
        there = f"the latest are {names}" if names else f"experiment {store.experiment} holds none yet"
        raise NotFound(f"no sweep {which!r} in {store.shown}; {there}")
    listed = "; ".join(
        f"{run.info.run_id[:8]} of {_time(run.info.start_time):%d %b %Y %H:%M}" for run in matches[:10]
    )
    raise NotFound(f"{len(matches)} sweeps are called {which!r}, choose one by its id: {listed}")


def cell_of(store: Store, run: Run) -> CellResult:
    """The cell of a child run; its pictures are loaded on demand."""
    tags = run.data.tags
    state = tags.get("kontext.state")
    cell = CellResult(
        title=run.info.run_name or "",
        params=typed_params(run.data.params),
        swept=tuple(filter(None, tags.get("kontext.swept", "").split(" "))),
        service=tags.get("kontext.service", ""),
        fingerprint=tags.get("kontext.fingerprint", ""),
        state=State(state) if state in tuple(State) else State.FAILED,
        reason=tags.get("kontext.reason", ""),
        note=tags.get("kontext.note", ""),
        cost=layout.cost_of(run.data.metrics),
        latency_s=run.data.metrics.get("time/latency_s"),
        run_id=run.info.run_id,
        reused_from=tags.get("kontext.reused_from", ""),
        arrived=_arrived(run),
        parents=parents_of(run),
        comment=tags.get(layout.NOTE, ""),
        recipe=tags.get(layout.METRICS, ""),
    )
    facts_of_outputs = json.loads(tags.get("kontext.outputs", "[]"))
    metrics = _assessments(store, run, len(facts_of_outputs))
    cell.outputs = [
        Output(
            cell,
            number,
            metrics=metrics.get(number, {}),
            load=_artifact(store, run, facts),
            load_preview=_artifact(store, run, {"file": facts.get("preview", "")}),
            **{name: facts[name] for name in _OUTPUT_FACTS if name in facts},
        )
        for number, facts in enumerate(facts_of_outputs, 1)
    ]
    return cell


def _assessments(store: Store, run: Run, outputs: int) -> dict[int, dict[str, float]]:
    """The values of a cell's outputs, by the outputs' numbers, without withdrawn ones."""
    values: dict[int, dict[str, float]] = defaultdict(dict)
    for key, last in run.data.metrics.items():
        if key.startswith(layout.BOOKED):
            continue
        steps = {0: last}
        if outputs > 1:  # for a single one the run itself holds the latest values
            history = store.client.get_metric_history(run.info.run_id, key)
            steps = {step: metric.value for step, metric in layout.latest_by_step(history).items()}
        for step, value in steps.items():
            if not math.isnan(value):
                values[step + 1][key] = value
    return values


def _artifact(store: Store, run: Run, facts: Mapping[str, Any]) -> Artifact | None:
    """The exact bytes of an output, by its facts in the run's tag; None if nothing came."""
    path, sha256, size = facts.get("file", ""), facts.get("sha256", ""), facts.get("bytes", 0)
    return Artifact(store.uri, run.info.run_id, run.info.artifact_uri, path, sha256, size) if path else None


def pictures_of(store: Store, run: Run) -> list[Artifact]:
    """The bytes of a cell's pictures by the tag of its run; none if a person has damaged the tag."""
    try:
        outputs = json.loads(run.data.tags.get("kontext.outputs", "[]"))
        artifacts = [_artifact(store, run, facts) for facts in outputs if not facts.get("reason")]
    except (ValueError, AttributeError, TypeError):
        return []
    return [artifact for artifact in artifacts if artifact is not None]


def parents_of(run: Run) -> tuple[Origin, ...]:
    """The outputs that a cell's references are; foreign text in the tag is left out."""
    origins = []
    for text in filter(None, run.data.tags.get("kontext.parent_output", "").split(",")):
        try:
            origins.append(Origin.parse(text.strip()))
        except ImageError:
            continue
    return tuple(origins)


def read_spending(store: Store) -> Spending:
    """US dollars by day, sweep and model, of all experiments; runs deleted in MLflow are not seen."""
    sums: dict[tuple[date, str, str, str], dict[str, Any]] = defaultdict(
        lambda: {"cells": 0, "pictures": 0, "usd": 0.0, "in_doubt": 0}
    )
    for run in search_cells(store):
        tags, usd = run.data.tags, layout.cost_of(run.data.metrics)
        copied = "kontext.reused_from" in tags
        if copied and not usd:
            continue  # a copy is free; the cost of earlier attempts at the same cell stays counted
        # A copy bears the day of its original; its own attempts were paid for when its own run was made.
        paid = _time(run.info.start_time) if copied else _arrived(run)
        parent_id, service = tags.get("mlflow.parentRunId", ""), tags.get("kontext.service", "")
        row = sums[paid.astimezone().date(), parent_id, run.data.params.get("model", ""), service]
        row["cells"] += 1
        row["usd"] += usd
        row["pictures"] += 0 if copied else len(pictures_of(store, run))
        row["in_doubt"] += tags.get("kontext.state") == State.IN_DOUBT
    names = {run.info.run_id: run.info.run_name or "" for run in sweep_runs(store, everywhere=True)}
    rows = [
        Spent(day, names.get(run_id, ""), run_id, model, service, **{**row, "usd": round(row["usd"], 6)})
        for (day, run_id, model, service), row in sums.items()
    ]
    rows.sort(key=lambda row: (-row.day.toordinal(), row.sweep, row.run_id, row.model))
    return Spending(tuple(rows), store.shown)


def _arrived(run: Run) -> datetime:
    """The moment a cell's answer came; for a copy, the original's."""
    text = run.data.tags.get("kontext.arrived")
    return datetime.fromisoformat(text) if text else _time(run.info.end_time or run.info.start_time)


def _time(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
