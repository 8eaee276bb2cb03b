"""Finding parts of a panel, as a person finds them: by what they are called."""

from __future__ import annotations

from collections.abc import Iterator

from ipywidgets import Widget

from kontext_lab.panel import Panel


def parts(widget: Widget) -> Iterator[Widget]:
    """A widget and everything in it."""
    yield widget
    for child in getattr(widget, "children", ()):
        yield from parts(child)


def button(panel: Panel, text: str) -> Widget:
    """The button of the panel with this text."""
    return next(
        one for one in parts(panel) if getattr(one, "description", "") == text and hasattr(one, "click")
    )
