"""Prepares the panel's environment: Colab's widget manager, and widget messages on the thread of the widgets.

Since ipykernel 7, JupyterLab sends widget messages to a thread of their own, a subshell. Two threads in one figure or form
corrupt both, so a message to a widget of the panel is handed to the thread that made it. Other widgets are not touched.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any

from ipywidgets import Widget

from kontext_lab.panel.ui_dispatcher import UiDispatcher

__all__ = ["keep_messages", "prepare"]

_COLAB = "google.colab"
_COLAB_WARNING = (
    "This machine is temporary: MLflow's store and the journal vanish with it. Save pictures in time, or set "
    "MLFLOW_TRACKING_URI and KONTEXT_LAB_HOME to places that stay."
)


def keep_messages(dispatcher: UiDispatcher, roots: Sequence[Widget], kernel: Any = None) -> None:
    """Have messages to these widgets, and to all widgets in them, handled on the dispatcher's thread.

    Args:
        dispatcher: of the thread that owns them.
        roots: the outermost widgets.
        kernel: None for the one of this process; without a kernel nothing is done.
    """
    if kernel is None:
        from IPython import get_ipython  # noqa: PLC0415 - without IPython there is no kernel

        kernel = getattr(get_ipython(), "kernel", None)
    handlers = getattr(kernel, "shell_handlers", None)
    if not isinstance(handlers, dict) or "comm_msg" not in handlers:
        return
    before = handlers["comm_msg"]

    def is_ours(model_id: object) -> bool:
        waiting = list(roots)
        while waiting:
            widget = waiting.pop()
            if widget.comm is not None and widget.model_id == model_id:
                return True
            waiting += getattr(widget, "children", ())
        return False

    def comm_msg(stream: Any, ident: Any, message: dict[str, Any]) -> Any:
        if dispatcher.is_owner or not is_ours(message["content"].get("comm_id")):
            return before(stream, ident, message)
        return dispatcher.put(lambda: before(stream, ident, message))

    handlers["comm_msg"] = comm_msg


def prepare() -> str:
    """Prepare the environment for the panel; returns a warning for the person there, or ""."""
    if _COLAB not in sys.modules:
        return ""
    import_module(f"{_COLAB}.output").enable_custom_widget_manager()
    return _COLAB_WARNING
