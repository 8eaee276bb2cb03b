"""Looking on while another process is at work on a sweep."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from kontext_lab.journal import SweepFacts
from kontext_lab.progress import Bar
from kontext_lab.results import Results
from kontext_lab.tracking import SweepRun

if TYPE_CHECKING:
    from kontext_lab.lab.lab import Lab

__all__ = ["watch_sweep"]

LOOK_SECONDS = 1.0


def watch_sweep(lab: Lab, which: str, *, shown: bool) -> Results:
    """Follow a sweep in the store until no process of this machine is at work on it any more."""
    run = lab.tracker.find(which)
    lock = lab.journal.sweep(_facts(lab, run)).lock
    with Bar(run.cells, shown=shown) as bar:
        while lock.is_taken:
            bar.update(lab.tracker.outcomes(run.run_id) - bar.n)
            time.sleep(LOOK_SECONDS)
        results = lab.load(run.run_id)
        bar.update(sum(1 for cell in results if cell.run_id) - bar.n)
    return results


def _facts(lab: Lab, run: SweepRun) -> SweepFacts:
    return SweepFacts(
        name=run.name,
        digest=run.digest,
        service=run.service,
        base_url="",
        store=lab.tracker.store.shown,
        experiment=lab.tracker.experiment_name(run.experiment_id),
    )
