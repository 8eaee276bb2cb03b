"""The base of the panel's browser widgets: callbacks for their messages, and for errors in them."""

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
    """These scripts or styles, joined: a widget is one module, and not every page lets a module import another."""
    return "\n".join((STATIC / name).read_text(encoding="utf-8") for name in names)


class Texts(traitlets.Container[tuple[str, ...]]):
    """A trait for a tuple of texts; accepts lists too."""

    klass: type[tuple[str, ...]] = tuple
    _cast_types = (list,)

    def __init__(self) -> None:
        super().__init__(trait=traitlets.Unicode())


class BrowserWidget(anywidget.AnyWidget):
    """A widget whose messages from the browser, and errors in them, reach callbacks.

    ipywidgets prints an exception of a message callback into the output of another cell, or nowhere.
    """

    # The trait that shows a KontextLabError in the widget itself.
    _error_line: ClassVar[str | None] = None

    def __init__(self, **traits: Any) -> None:
        unknown = sorted(set(traits) - set(self.trait_names()))
        if unknown:
            raise TypeError(f"{type(self).__name__} has no {', '.join(unknown)}")
        self._callbacks: dict[str, list[Callable[..., object]]] = {}
        # With a layout of its own: anywidget's views ignore a change to another layout.
        super().__init__(**traits)

    def on_trouble(self, callback: Callable[[Exception], object]) -> None:
        """Have `callback` called with every exception that a message from the browser causes."""
        self._on("trouble", callback)

    def _on(self, event: str, callback: Callable[..., object]) -> None:
        self._callbacks.setdefault(event, []).append(callback)

    def _tell(self, event: str, *arguments: object) -> None:
        for callback in tuple(self._callbacks.get(event, ())):
            callback(*arguments)

    def _handle_custom_msg(self, content: Mapping[str, Any], buffers: Sequence[memoryview]) -> None:
        try:
            self._received(content, buffers)
        except Exception as error:
            if isinstance(error, KontextLabError) and self._error_line:
                setattr(self, self._error_line, str(error))
            elif self._callbacks.get("trouble"):
                self._tell("trouble", error)
            else:
                raise

    def _received(self, content: Mapping[str, Any], buffers: Sequence[memoryview]) -> None:
        """Act on one message from the browser."""
        raise NotImplementedError
