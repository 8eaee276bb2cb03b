"""Chains of edits in the store: the output a reference was, and what was made from an output.

Along the tag `kontext.parent_output`, which names outputs as `<run id>/<number>`, several parted by commas.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from mlflow.entities import Run
from mlflow.exceptions import MlflowException

from kontext_lab.images import Origin
from kontext_lab.results import CellResult, Output, State
from kontext_lab.tracking.reading import SweepRun, cell_of, known_of, parents_of, search
from kontext_lab.tracking.store import Store

__all__ = ["cells_with", "edits_of", "first_done", "output_at", "run_if_there"]

IDS_PER_QUERY = 500
"""How many runs one search asks for by their ids."""

_MISSING = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")
"""MLflow's words for a run that isn't there, and for an id that can't be one."""


def run_if_there(store: Store, run_id: str) -> Run | None:
    """A run by its id; None where there is none, or it was deleted. A store that is away is told."""
    try:
        run: Run = store.client.get_run(run_id)
    except MlflowException as error:
        if error.error_code in _MISSING:
            return None
        raise
    return run if run.info.lifecycle_stage == "active" else None


def output_at(store: Store, origin: Origin) -> Output | None:
    """The output that an origin names; None where it isn't there any more."""
    run = run_if_there(store, origin.run_id)
    if run is None or run.data.tags.get("kontext.kind") != "cell":
        return None
    outputs = cell_of(store, run).outputs
    return outputs[origin.output - 1] if origin.output <= len(outputs) else None


def edits_of(store: Store, origins: Iterable[Origin]) -> list[Output]:
    """The pictures that were made directly from any of these outputs, in any experiment, the oldest first; no copies."""
    wanted = set(origins)
    found: dict[str, Run] = {}
    for origin in wanted:
        query = f"tags.`kontext.kind` = 'cell' AND tags.`kontext.parent_output` LIKE '%{origin}%'"
        for run in search(store, store.experiment_ids(), query):
            # `…/1` is the beginning of `…/12` as well.
            if wanted & set(parents_of(run)) and known_of(run) and "kontext.reused_from" not in run.data.tags:
                found[run.info.run_id] = run
    ordered = sorted(found.values(), key=lambda run: (run.info.start_time, run.info.run_id))
    return [output for run in ordered for output in cell_of(store, run).outputs if output.is_picture]


def cells_with(store: Store, run_ids: Sequence[str]) -> dict[str, tuple[CellResult, str]]:
    """Cells of any experiment by their runs' ids, each with its sweep's run; those that are none are left out."""
    wanted = [one for one in dict.fromkeys(run_ids) if one.isalnum()]
    experiments = store.experiment_ids()
    found: dict[str, tuple[CellResult, str]] = {}
    for start in range(0, len(wanted), IDS_PER_QUERY):
        listed = ",".join(f"'{one}'" for one in wanted[start : start + IDS_PER_QUERY])
        for run in search(store, experiments, f"attributes.run_id IN ({listed})"):
            if run.data.tags.get("kontext.kind") == "cell":
                found[run.info.run_id] = cell_of(store, run), run.data.tags.get("mlflow.parentRunId", "")
    return found


def first_done(store: Store, sweep: SweepRun) -> Output | None:
    """A picture of the cell of a sweep that was done first; one look at the store."""
    query = f"tags.`mlflow.parentRunId` = '{sweep.run_id}' AND tags.`kontext.state` = '{State.DONE}'"
    page = store.client.search_runs(
        [sweep.experiment_id], query, max_results=1, order_by=["attributes.start_time ASC"]
    )
    output = cell_of(store, page[0]).output if page else None
    return output if output is not None and output.is_picture else None
