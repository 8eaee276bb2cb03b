"""The panel: run, watch, judge and compare sweeps in a notebook cell.

Widgets are created and changed on one thread, the kernel's; everything that takes time runs elsewhere, and its result is
handed back by the dispatcher. The panel knows the lab and what it returns, never the service, the store or the journal.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kontext_lab.panel.panel import Panel

__all__ = ["Panel"]


def __getattr__(name: str) -> Any:
    if name == "Panel":
        from kontext_lab.panel.panel import Panel  # noqa: PLC0415 - its parts can be imported without all of it

        return Panel
    raise AttributeError(f"module 'kontext_lab.panel' has no attribute {name!r}")
