"""The lab: wires service, store, journal, runner and results together. The only place that knows all of them.

What people call is in `lab`; how a sweep is started, what a crash left, and how pictures and money are found
again are rooms of their own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kontext_lab.lab.lab import Lab

__all__ = ["Lab"]


def __getattr__(name: str) -> Any:
    if name != "Lab":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    # The other rooms are used without it, and it loads figures, measures and a web server.
    from kontext_lab.lab.lab import Lab  # noqa: PLC0415

    return Lab
