"""A password field for an API key: the key comes in one message and is not stored.

ipywidgets' Password sends every keystroke as a trait, which a saved notebook keeps. This module must not store, show or
send back a key.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import traitlets

from kontext_lab.errors import ConfigError, KontextLabError
from kontext_lab.panel.browser.widget import STATIC, BrowserWidget

__all__ = ["KeyField"]


class KeyField(BrowserWidget):
    """A password input and a button.

    Attributes:
        status: the line behind it; also shows a `KontextLabError` of an `on_key` callback.
    """

    _esm = STATIC / "key.js"
    _css = STATIC / "key.css"
    _error_line = "status"

    label = traitlets.Unicode("API key").tag(sync=True)
    status = traitlets.Unicode().tag(sync=True)
    disabled = traitlets.Bool(False).tag(sync=True)

    def __init__(self, label: str = "API key", **traits: Any) -> None:
        """Create the field; `label` is shown before it, and is its accessible name."""
        super().__init__(label=label, **traits)

    def on_key(self, callback: Callable[[str], object]) -> None:
        """Have `callback` called with the key when the button is clicked."""
        self._on("key", callback)

    def _received(self, content: Mapping[str, Any], _buffers: Sequence[memoryview]) -> None:
        key = str(content.get("key", "")).strip()
        if content.get("type") != "key" or not key:
            return
        self.status = ""
        try:
            self._tell("key", key)
        except KontextLabError as error:
            # The message of a callback must not show the key.
            raise ConfigError(str(error).replace(key, "…")) from None
