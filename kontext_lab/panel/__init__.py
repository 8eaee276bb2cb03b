"""The panel: a sweep driven, watched, judged and compared in a notebook cell.

Rooms of its own for everything a person touches. Widgets are made and changed on one thread, the kernel's;
whatever takes time happens elsewhere and is handed back (`post`). It knows the lab and what that returns; it
never speaks to the service, the store or the journal by itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kontext_lab.panel.panel import Panel

__all__ = ["Panel"]


def __getattr__(name: str) -> Any:
    if name == "Panel":
        from kontext_lab.panel.panel import Panel  # noqa: PLC0415 - parts of it can be had without all of it

        return Panel
    raise AttributeError(f"module 'kontext_lab.panel' has no attribute {name!r}")
