"""Layouts and styles that widgets share.

To ipywidgets every layout and every style is a widget of its own, with a message to the page when it is made: of a
panel that is two of three, and most of the time until it is on show. Alike ones are one here, and never changed.
Knows no room.
"""

from __future__ import annotations

from typing import Any

from ipywidgets import Layout, Widget

__all__ = ["is_shared", "laid", "plain", "show_if"]


class _Shared(Layout):
    """A layout that several widgets have: whoever wants another gives his widget another."""

    def __init__(self, **settings: Any) -> None:
        self._made = False
        super().__init__(**settings)
        self.settings = settings
        self._made = True

    def __setattr__(self, name: str, value: Any) -> None:
        if getattr(self, "_made", False) and name in self.keys:
            raise TypeError(f"layout.{name}: other widgets have this layout too, give the widget another one")
        super().__setattr__(name, value)


_LAYOUTS: dict[tuple[tuple[str, Any], ...], _Shared] = {}
_STYLES: dict[type[Widget], Widget] = {}


def laid(**settings: Any) -> Layout:
    """The layout with these settings."""
    key = tuple(sorted(settings.items()))
    found = _LAYOUTS.get(key)
    if found is None or found.comm is None:  # closed, as Widget.close_all() does
        found = _LAYOUTS[key] = _Shared(**settings)
    return found


def plain(kind: type[Widget], **settings: Any) -> dict[str, Widget]:
    """Layout and style, as arguments for making a widget of this kind: its usual style, and these settings."""
    found: dict[str, Widget] = {"layout": laid(**settings)}
    style = kind.class_traits().get("style")
    if style is not None:
        found["style"] = _style(style.klass)
    return found


def _style(kind: type[Widget]) -> Widget:
    found = _STYLES.get(kind)
    if found is None or found.comm is None:
        found = _STYLES[kind] = kind()
    return found


def show_if(there: Any, *widgets: Widget) -> None:
    """Show widgets, or take them off the page."""
    for widget in widgets:
        layout = widget.layout
        display = None if there else "none"
        if layout.display == display:
            continue
        if isinstance(layout, _Shared):
            widget.layout = laid(**{**layout.settings, "display": display})
        else:
            layout.display = display


def is_shared(part: Widget) -> bool:
    """Whether other widgets have this layout or style too."""
    return isinstance(part, _Shared) or part in _STYLES.values()
