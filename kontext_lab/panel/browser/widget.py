"""What the panel's browser widgets have in common: who hears of their messages, and what becomes of an error there.

ipywidgets prints an exception of a message callback into whatever cell ran last, or nowhere. Here it goes to
whoever asked for it, else it is raised. This module must not know any of the widgets.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import anywidget
import traitlets

from kontext_lab.errors import KontextLabError

__all__ = ["STATIC", "BrowserWidget", "Texts", "source"]

STATIC = Path(__file__).parent / "static"


def source(*names: str) -> str:
    """The scripts or styles of these names, one behind the other: what several widgets share stands before each of them.

    A widget is one module to the browser, and pages differ in where they let a module import another from.
    """
    return "\n".join((STATIC / name).read_text(encoding="utf-8") for name in names)


class Texts(traitlets.Container[tuple[str, ...]]):
    """A trait for a tuple of texts; lists are taken as well."""

    klass: type[tuple[str, ...]] = tuple
    _cast_types = (list,)

    def __init__(self) -> None:
        super().__init__(trait=traitlets.Unicode())


class BrowserWidget(anywidget.AnyWidget):
    """A widget whose messages from the browser reach callbacks, and whose errors reach somebody."""

    # The trait that shows an error of ours (one clear line) in the widget itself.
    _error_line: ClassVar[str | None] = None

    def __init__(self, **traits: Any) -> None:
        unknown = sorted(set(traits) - set(self.trait_names()))
        if unknown:
            raise TypeError(f"{type(self).__name__} has no {', '.join(unknown)}")
        self._callbacks: dict[str, list[Callable[..., object]]] = {}
        # A layout of its own: anywidget's views don't follow where a widget is given another one.
        super().__init__(**traits)

    def on_trouble(self, callback: Callable[[Exception], object]) -> None:
        """Have `callback` called with every exception that a message from the browser led to."""
        self._on("trouble", callback)

    def _on(self, event: str, callback: Callable[..., object]) -> None:
        self._callbacks.setdefault(event, []).append(callback)

    def _tell(self, event: str, *given: object) -> None:
        for callback in tuple(self._callbacks.get(event, ())):
            callback(*given)

    def _handle_custom_msg(self, content: Mapping[str, Any], buffers: Sequence[memoryview]) -> None:
        try:
            self._received(content, buffers)
        except Exception as error:
            self._troubled(error)

    def _troubled(self, error: Exception) -> None:
        if isinstance(error, KontextLabError) and self._error_line:
            setattr(self, self._error_line, str(error))
        elif self._callbacks.get("trouble"):
            self._tell("trouble", error)
        else:
            raise error

    def _received(self, content: Mapping[str, Any], buffers: Sequence[memoryview]) -> None:
        """Act on one message from the browser."""
        raise NotImplementedError
