"""kontext_lab: parameter sweeps over FLUX.1 Kontext image editing, tracked in MLflow.

Importing it loads nothing heavy and touches nothing: names arrive when they are first used (PEP 562).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kontext_lab import errors
    from kontext_lab.errors import KontextLabError
    from kontext_lab.figures import effects, grid, grid_pages
    from kontext_lab.figures.effects_figure import EffectsView
    from kontext_lab.images import Reference
    from kontext_lab.images.samples import sample
    from kontext_lab.lab import Lab
    from kontext_lab.lab.lookup import Found
    from kontext_lab.lab.plan import Action, Decision, Plan
    from kontext_lab.lab.recovery import Recovery
    from kontext_lab.lab.unfinished import UnfinishedSweep
    from kontext_lab.metrics import Comparison, compare
    from kontext_lab.panel import Panel
    from kontext_lab.panel.rank_tab import Ranking, rank
    from kontext_lab.reports.builder import report
    from kontext_lab.request import EditRequest
    from kontext_lab.results import CellResult, Output, Results, Spending, State
    from kontext_lab.results.prompts import Differences, differences
    from kontext_lab.runner import Handle
    from kontext_lab.statistics import Scores, Vote
    from kontext_lab.sweep import Sweep
    from kontext_lab.tracking import SweepRun

__all__ = [
    "Action",
    "CellResult",
    "Comparison",
    "Decision",
    "Differences",
    "EditRequest",
    "EffectsView",
    "Found",
    "Handle",
    "KontextLabError",
    "Lab",
    "Output",
    "Panel",
    "Plan",
    "Ranking",
    "Recovery",
    "Reference",
    "Results",
    "Scores",
    "Spending",
    "State",
    "Sweep",
    "SweepRun",
    "UnfinishedSweep",
    "Vote",
    "compare",
    "differences",
    "effects",
    "errors",
    "grid",
    "grid_pages",
    "rank",
    "report",
    "sample",
]

_HOMES = {
    "Action": "lab.plan",
    "CellResult": "results",
    "Comparison": "metrics",
    "Decision": "lab.plan",
    "Differences": "results.prompts",
    "EditRequest": "request",
    "EffectsView": "figures.effects_figure",
    "Found": "lab.lookup",
    "Handle": "runner",
    "KontextLabError": "errors",
    "Lab": "lab",
    "Output": "results",
    "Panel": "panel",
    "Plan": "lab.plan",
    "Ranking": "panel.rank_tab",
    "Recovery": "lab.recovery",
    "Reference": "images",
    "Results": "results",
    "Scores": "statistics",
    "Spending": "results",
    "State": "results",
    "Sweep": "sweep",
    "SweepRun": "tracking",
    "UnfinishedSweep": "lab.unfinished",
    "Vote": "statistics",
    "compare": "metrics",
    "differences": "results.prompts",
    "effects": "figures",
    "grid": "figures",
    "grid_pages": "figures",
    "rank": "panel.rank_tab",
    "report": "reports.builder",
    "sample": "images.samples",
}


def __getattr__(name: str) -> Any:
    if name == "errors":
        return import_module("kontext_lab.errors")
    if name == "__version__":
        return import_module("importlib.metadata").version("kontext-lab")
    if name in _HOMES:
        return getattr(import_module(f"kontext_lab.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'kontext_lab' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted((*__all__, "__version__"))
