"""Measures how much an edit changed and how well it kept the rest, from pictures alone. Knows no sweep and no store.

Its names arrive when they are first used (PEP 562): scipy and scikit-image take a second to load.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kontext_lab.metrics.change import Region
    from kontext_lab.metrics.comparison import (
        VERSION,
        Comparison,
        PreparedReference,
        compare,
        prepare_reference,
    )
    from kontext_lab.metrics.placement import Placement, boxes_in_output, in_output, placed

__all__ = [
    "VERSION",
    "Comparison",
    "Placement",
    "PreparedReference",
    "Region",
    "boxes_in_output",
    "compare",
    "in_output",
    "placed",
    "prepare_reference",
]

_MODULES = {
    "Region": "change",
    **dict.fromkeys(("Placement", "boxes_in_output", "in_output", "placed"), "placement"),
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES.get(name, 'comparison')}"), name)
