"""kontext_lab: parameter sweeps over FLUX.1 Kontext image editing, tracked in MLflow.

Importing it loads nothing heavy and touches nothing: names arrive when they are first used (PEP 562).
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kontext_lab import errors
    from kontext_lab.errors import KontextLabError
    from kontext_lab.figures import effects, grid, grid_pages
    from kontext_lab.images import Reference
    from kontext_lab.images.samples import sample
    from kontext_lab.lab import Lab
    from kontext_lab.lab.report_builder import report
    from kontext_lab.metrics import Comparison, compare
    from kontext_lab.panel import Panel
    from kontext_lab.panel.rank_tab import rank
    from kontext_lab.request import EditRequest
    from kontext_lab.results import CellResult, Output, Results, State
    from kontext_lab.results.prompts import differences
    from kontext_lab.sweep import Sweep

__all__ = [
    "CellResult",
    "Comparison",
    "EditRequest",
    "KontextLabError",
    "Lab",
    "Output",
    "Panel",
    "Reference",
    "Results",
    "State",
    "Sweep",
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
    "CellResult": "results",
    "Comparison": "metrics",
    "EditRequest": "request",
    "KontextLabError": "errors",
    "Lab": "lab",
    "Output": "results",
    "Panel": "panel",
    "Reference": "images",
    "Results": "results",
    "State": "results",
    "Sweep": "sweep",
    "compare": "metrics",
    "differences": "results.prompts",
    "effects": "figures",
    "grid": "figures",
    "grid_pages": "figures",
    "rank": "panel.rank_tab",
    "report": "lab.report_builder",
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


class _Package(ModuleType):
    """Lets a function have the name of a room: that the room is imported doesn't put it in the function's place."""

    def __setattr__(self, name: str, value: object) -> None:
        if not (name in _HOMES and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
