"""Tabs whose content needs something first: they say what."""

from __future__ import annotations

from kontext_lab.panel.parts import Line, Room

__all__ = ["effects_room"]


def effects_room() -> Room:
    """The tab Effects."""
    return Room(
        [
            Line(
                "Effects need measured pictures: how much each one changed, and how well the rest was kept.",
                "muted",
            )
        ]
    )
