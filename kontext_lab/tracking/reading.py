"""Runs back into values: what is known of a fingerprint, a sweep's cells, the list of sweeps."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from mlflow.entities import Run
from mlflow.exceptions import MlflowException

from kontext_lab.errors import ImageError, NotFound
from kontext_lab.images import Origin
from kontext_lab.results import CellResult, Output, State, TrackedCell, typed_params
from kontext_lab.tracking import assessments, layout
from kontext_lab.tracking.artifacts import Artifact
from kontext_lab.tracking.store import Store

__all__ = [
    "SweepRun",
    "active_run",
    "arrived",
    "cell_of",
    "children",
    "count_in_doubt",
    "count_missing",
    "find_run",
    "known_cells",
    "known_of",
    "parents_of",
    "search",
    "sweep_runs",
    "sweep_with_digest",
    "with_bytes",
]

DIGESTS_PER_QUERY = 500
"""How many fingerprints one search asks for: MLflow takes about 0.4 s for these."""

PAGE = 1000


@dataclass(frozen=True)
class SweepRun:
    """A sweep as the store remembers it.

    Attributes:
        run_id: the parent run.
        name: what the sweep is called.
        service: `sandbox` or the service's origin.
        digest: names the same sweep again.
        status: MLflow's word: RUNNING, FINISHED, FAILED or KILLED.
        started: when it was first run.
        cells: how many cells it has.
        counts: cells by state, as last recorded.
        cost: US dollars, as last recorded.
        experiment_id: where it is.
        artifact_uri: where its artifacts are.
        hidden: a person doesn't want to see it in lists.
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
    artifact_uri: str
    hidden: bool = False

    @classmethod
    def from_run(cls, run: Run) -> SweepRun:
        """Read a parent run."""
        metrics = run.data.metrics
        counted = ("done", "failed", "in_doubt", "skipped", "cancelled")
        return cls(
            run_id=run.info.run_id,
            name=run.info.run_name or "",
            service=run.data.tags.get("kontext.service", ""),
            digest=run.data.tags.get("kontext.sweep", ""),
            status=run.info.status,
            started=_time(run.info.start_time),
            cells=int(run.data.params.get("cells", 0)),
            counts={state: int(metrics.get(f"cells/{state}", 0)) for state in counted},
            cost=layout.cost_of(metrics),
            experiment_id=run.info.experiment_id,
            artifact_uri=run.info.artifact_uri,
            hidden=assessments.HIDDEN in run.data.tags,
        )


def search(store: Store, experiments: Sequence[str], query: str, **options: Any) -> Iterator[Run]:
    """Every active run a query finds, page by page."""
    token = None
    while True:
        page = store.client.search_runs(
            list(experiments), filter_string=query, max_results=PAGE, page_token=token, **options
        )
        yield from page
        token = page.token
        if not token:
            return


def known_cells(
    store: Store, fingerprints: Iterable[str], *, thorough: bool = False
) -> dict[str, TrackedCell]:
    """The best that any experiment of the store knows of each fingerprint: a picture before anything else.

    Args:
        store: where.
        fingerprints: hex sha256 each.
        thorough: look at the bytes of every picture, as `with_bytes` does.

    Raises:
        TrackingError: pictures can't be looked at.
    """
    wanted = list(dict.fromkeys(fingerprints))
    experiments = store.experiment_ids()
    best: dict[str, TrackedCell] = {}
    for start in range(0, len(wanted), DIGESTS_PER_QUERY):
        digests = ",".join(f"'{one[:32]}'" for one in wanted[start : start + DIGESTS_PER_QUERY])
        for run in search(store, experiments, f"dataset.digest IN ({digests})"):
            known = known_of(run)
            if known is not None:
                known = with_bytes(store, run, known, thorough=thorough)
            if known is not None and (
                known.fingerprint not in best or _worth(known) > _worth(best[known.fingerprint])
            ):
                best[known.fingerprint] = known
    return {fingerprint: best[fingerprint] for fingerprint in wanted if fingerprint in best}


def known_of(run: Run) -> TrackedCell | None:
    """What a child run says of its cell; None for one that is no cell or was cut off while being written."""
    tags = run.data.tags
    if tags.get("kontext.kind") != "cell" or run.info.status not in ("FINISHED", "FAILED"):
        return None
    try:
        state = State(tags.get("kontext.state", ""))
    except ValueError:
        return None
    if state is State.DONE and run.info.status != "FINISHED":
        return None
    copied = "kontext.reused_from" in tags
    return TrackedCell(
        run_id=run.info.run_id,
        parent_id=tags.get("mlflow.parentRunId", ""),
        index=int(tags.get("kontext.cell", 0)),
        fingerprint=tags.get("kontext.fingerprint", ""),
        state=state,
        reason=tags.get("kontext.reason", ""),
        when=arrived(run),
        cost=layout.cost_of(run.data.metrics),
        copied=copied,
        # A copy's run may still name an earlier attempt of its own, which is not what it holds.
        request_id="" if copied else tags.get("kontext.request_id", ""),
    )


def with_bytes(store: Store, run: Run, known: TrackedCell, *, thorough: bool = False) -> TrackedCell:
    """The same, knowing how many of its pictures are missing.

    Args:
        store: where.
        run: the cell's.
        known: what it says.
        thorough: read the bytes where they lie on this machine, ask for their sizes where they don't; else only
            look at the sizes of files on this machine.

    Raises:
        TrackingError: they can't be looked at.
    """
    if known.state is not State.DONE:
        return known
    found = pictures(store, run)
    missing = [one for one in found if one.is_missing(thorough=thorough)]
    if not missing:
        return known
    return replace(known, missing=len(missing), is_gone=len(missing) == len(found), place=missing[0].place)


def count_missing(store: Store, most: int) -> tuple[int, int, str]:
    """How many pictures of the newest cells of any experiment are missing.

    Args:
        store: where.
        most: how many cells are looked at.

    Returns:
        The count, how many cells were looked at, and where a picture was looked for.
    """
    order = ["attributes.start_time DESC"]
    query = "tags.`kontext.kind` = 'cell' AND tags.`kontext.state` = 'done'"
    page = store.client.search_runs(store.experiment_ids(), query, max_results=most, order_by=order)
    missing = [one for run in page for one in pictures(store, run) if one.is_missing()]
    return len(missing), len(page), missing[0].place if missing else ""


def sweep_with_digest(store: Store, digest: str) -> Run | None:
    """The newest parent run of the same sweep in our experiment."""
    query = f"tags.`kontext.sweep` = '{digest}' AND tags.`kontext.kind` = 'sweep'"
    found = search(store, [store.experiment_id], query, order_by=["attributes.start_time DESC"])
    return next(found, None)


def active_run(store: Store, run_id: str) -> Run | None:
    """A run by its id; None where there is none, or it was deleted."""
    try:
        run: Run = store.client.get_run(run_id)
    except MlflowException:
        return None
    return run if run.info.lifecycle_stage == "active" else None


def children(store: Store, parent: Run) -> list[Run]:
    """The cells of a sweep that have an outcome, in the order of the sweep."""
    query = f"tags.`mlflow.parentRunId` = '{parent.info.run_id}' AND tags.`kontext.kind` = 'cell'"
    found = list(search(store, [parent.info.experiment_id], query))
    return sorted(found, key=lambda run: (int(run.data.tags.get("kontext.cell", 0)), run.info.start_time))


def sweep_runs(store: Store, *, everywhere: bool = False) -> Iterator[Run]:
    """Parent runs, newest first; of our experiment, or of all."""
    experiments = store.experiment_ids() if everywhere else [store.experiment_id]
    query = "tags.`kontext.kind` = 'sweep'"
    return search(store, experiments, query, order_by=["attributes.start_time DESC"])


def count_in_doubt(store: Store) -> int:
    """Cells of any experiment whose answer was lost; copies of one are not counted again."""
    query = "tags.`kontext.kind` = 'cell' AND tags.`kontext.state` = 'in_doubt'"
    found = search(store, store.experiment_ids(), query)
    return sum(1 for run in found if "kontext.reused_from" not in run.data.tags)


def find_run(store: Store, which: str) -> Run:
    """A sweep's parent run by name, run id, the beginning of one, or `last`.

    Raises:
        NotFound: none, or several; those are listed.
    """
    wanted = which.strip()
    runs = list(sweep_runs(store, everywhere=True))
    if wanted == "last" and runs:
        return max(runs, key=lambda run: run.info.start_time)
    exact = [run for run in runs if wanted in (run.info.run_id, run.info.run_name)]
    prefixed = [run for run in runs if len(wanted) >= 4 and run.info.run_id.startswith(wanted)]
    found = exact or prefixed
    if len(found) == 1:
        return found[0]
    if not found:
        names = ", ".join(repr(run.info.run_name) for run in runs[:5])
        there = f"the latest are {names}" if names else f"experiment {store.experiment} holds none yet"
        raise NotFound(f"no sweep {which!r} in {store.shown}; {there}")
    hits = "; ".join(
        f"{run.info.run_id[:8]} of {_time(run.info.start_time):%d %b %Y %H:%M}" for run in found[:10]
    )
    raise NotFound(f"{len(found)} sweeps are called {which!r}, choose one by its id: {hits}")


def cell_of(store: Store, run: Run) -> CellResult:
    """A child run as a cell's result; pictures are loaded when they are asked for."""
    tags = run.data.tags
    try:
        state = State(tags.get("kontext.state", ""))
    except ValueError:
        state = State.FAILED
    cell = CellResult(
        title=run.info.run_name or "",
        params=typed_params(run.data.params),
        swept=tuple(filter(None, tags.get("kontext.swept", "").split(" "))),
        service=tags.get("kontext.service", ""),
        fingerprint=tags.get("kontext.fingerprint", ""),
        state=state,
        reason=tags.get("kontext.reason", ""),
        note=tags.get("kontext.note", ""),
        cost=layout.cost_of(run.data.metrics),
        latency_s=run.data.metrics.get("time/latency_s"),
        run_id=run.info.run_id,
        reused_from=tags.get("kontext.reused_from", ""),
        arrived=arrived(run),
        parents=parents_of(run),
        comment=tags.get(assessments.NOTE, ""),
        recipe=tags.get(assessments.METRICS, ""),
    )
    cell.outputs = [
        _output(store, run, cell, number, facts)
        for number, facts in enumerate(json.loads(tags.get("kontext.outputs", "[]")), 1)
    ]
    said = assessments.said_of(store, run, len(cell.outputs))
    for output in cell.outputs:
        output.metrics.update(said.get(output.number, {}))
    return cell


def _output(store: Store, run: Run, cell: CellResult, number: int, facts: dict[str, Any]) -> Output:
    preview = facts.get("preview", "")
    return Output(
        cell,
        number,
        sha256=facts.get("sha256", ""),
        format=facts.get("format", ""),
        width=facts.get("width", 0),
        height=facts.get("height", 0),
        reason=facts.get("reason", ""),
        note=facts.get("note", ""),
        phash=facts.get("phash", ""),
        load=_artifact(store, run, facts),
        load_preview=Artifact(store.uri, run.info.run_id, run.info.artifact_uri, preview)
        if preview
        else None,
    )


def _artifact(store: Store, run: Run, facts: Mapping[str, Any]) -> Artifact | None:
    """The exact bytes of an output, by what its tag says; None where nothing came."""
    path, sha256, size = facts.get("file", ""), facts.get("sha256", ""), facts.get("bytes", 0)
    return Artifact(store.uri, run.info.run_id, run.info.artifact_uri, path, sha256, size) if path else None


def pictures(store: Store, run: Run) -> list[Artifact]:
    """The bytes of the pictures that a cell's run says it has; none where somebody changed its tag."""
    try:
        outputs = json.loads(run.data.tags.get("kontext.outputs", "[]"))
        found = [_artifact(store, run, facts) for facts in outputs if not facts.get("reason")]
    except (ValueError, AttributeError, TypeError):
        return []
    return [one for one in found if one is not None]


def parents_of(run: Run) -> tuple[Origin, ...]:
    """The outputs a cell's references are; what somebody else wrote into the tag is no link."""
    found = []
    for text in filter(None, run.data.tags.get("kontext.parent_output", "").split(",")):
        try:
            found.append(Origin.parse(text.strip()))
        except ImageError:
            continue
    return tuple(found)


def _worth(known: TrackedCell) -> tuple[int, int, bool, float]:
    """Done, in doubt, billed failures, those whose pictures are gone, the rest; of each whole, original, old ones."""
    rank = {State.DONE: 4, State.IN_DOUBT: 3}.get(known.state, 2 if known.billed_without_picture else 0)
    rank = 1 if known.is_gone else rank
    return rank, -known.missing, not known.copied, -known.when.timestamp()


def arrived(run: Run) -> datetime:
    """When a cell's answer came; of a copy, when the original's did."""
    text = run.data.tags.get("kontext.arrived")
    if text:
        return datetime.fromisoformat(text)
    return _time(run.info.end_time or run.info.start_time)


def _time(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
