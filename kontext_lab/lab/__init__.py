"""The lab: wires service, store, journal, runner and results together. The only place that knows all of them.

`lab` is the public class, `context` everything its parts share; no part takes the lab itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kontext_lab.lab.lab import Lab

__all__ = ["Lab"]


def __getattr__(name: str) -> Any:
    if name != "Lab":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    # The other modules are used without it, and it loads measures and a web server.
    from kontext_lab.lab.lab import Lab  # noqa: PLC0415

    return Lab
