"""What the store knows was spent: every child run of every experiment, page by page."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, date, datetime

from mlflow.entities import Run

from kontext_lab.results import Spending, Spent, State
from kontext_lab.tracking.layout import cost_of
from kontext_lab.tracking.reading import arrived, search, sweep_runs
from kontext_lab.tracking.store import Store

__all__ = ["read_spending"]


@dataclass
class _Sum:
    cells: int = 0
    pictures: int = 0
    usd: float = 0.0
    in_doubt: int = 0


def read_spending(store: Store) -> Spending:
    """US dollars by day, sweep and model, of all experiments; runs deleted in MLflow are not seen."""
    sums: dict[tuple[date, str, str, str], _Sum] = defaultdict(_Sum)
    for run in search(store, store.experiment_ids(), "tags.`kontext.kind` = 'cell'"):
        _add(sums, run)
    names = {run.info.run_id: run.info.run_name or "" for run in sweep_runs(store, everywhere=True)}
    rows = [
        Spent(
            day=day,
            sweep=names.get(run_id, ""),
            run_id=run_id,
            model=model,
            service=service,
            cells=found.cells,
            pictures=found.pictures,
            usd=round(found.usd, 6),
            in_doubt=found.in_doubt,
        )
        for (day, run_id, model, service), found in sums.items()
    ]
    rows.sort(key=lambda row: (-row.day.toordinal(), row.sweep, row.run_id, row.model))
    return Spending(tuple(rows), store.shown)


def _add(sums: dict[tuple[date, str, str, str], _Sum], run: Run) -> None:
    tags, usd = run.data.tags, cost_of(run.data.metrics)
    copied = "kontext.reused_from" in tags
    if copied and not usd:
        return  # a copy is free; what its cell cost before it was one, if anything, stays counted
    # A copy bears the day of its original; what was paid here was paid when its own run was made.
    paid = datetime.fromtimestamp(run.info.start_time / 1000, UTC) if copied else arrived(run)
    key = (
        paid.astimezone().date(),
        tags.get("mlflow.parentRunId", ""),
        run.data.params.get("model", ""),
        tags.get("kontext.service", ""),
    )
    found = sums[key]
    found.cells += 1
    found.usd += usd
    found.pictures += 0 if copied else _pictures(run)
    found.in_doubt += tags.get("kontext.state") == State.IN_DOUBT


def _pictures(run: Run) -> int:
    try:
        outputs = json.loads(run.data.tags.get("kontext.outputs", "[]"))
        return sum(1 for facts in outputs if facts.get("sha256") and not facts.get("reason"))
    except (ValueError, AttributeError, TypeError):
        return 0  # a tag that somebody changed is no reason to hide what was spent
