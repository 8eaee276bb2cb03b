"""Sets up the panel's surroundings: Colab's widget manager, and messages in the widgets' own thread.

Since ipykernel 7, JupyterLab sends widget messages to a thread of their own, a subshell. Two threads in one figure or form
corrupt both, so a message to a widget of the panel is handed to the thread that made it. Other widgets are not touched.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from importlib import import_module
from typing import Any

from ipywidgets import Widget

from kontext_lab.panel.ui_dispatcher import UiDispatcher

__all__ = ["keep_messages", "prepare"]


def keep_messages(post: UiDispatcher, roots: Sequence[Widget], kernel: Any = None) -> None:
    """Have messages to these widgets, and to all that are in them, handled on the post's thread.

    Args:
        post: of the thread that owns them.
        roots: the outermost of them.
        kernel: None for the one this process is; where it is none, nothing needs to be done.
    """
    handlers = getattr(kernel or _kernel(), "shell_handlers", None)
    if not isinstance(handlers, dict) or "comm_msg" not in handlers:
        return
    before = handlers["comm_msg"]

    def comm_msg(stream: Any, ident: Any, message: dict[str, Any]) -> Any:
        if post.is_owner or not _is_in(roots, message["content"].get("comm_id")):
            return before(stream, ident, message)
        return post.put(lambda: before(stream, ident, message))

    handlers["comm_msg"] = comm_msg


def _kernel() -> Any:
    from IPython import get_ipython  # noqa: PLC0415 - where there is no IPython, there is no kernel

    return getattr(get_ipython(), "kernel", None)


def _is_in(roots: Sequence[Widget], model_id: object) -> bool:
    return any(one.comm is not None and one.model_id == model_id for one in _tree(roots))


def _tree(widgets: Sequence[Widget]) -> Iterator[Widget]:
    for widget in widgets:
        yield widget
        yield from _tree(getattr(widget, "children", ()))


_COLAB = "google.colab"

_FORGETS = (
    "This machine is lent: MLflow's store and the journal vanish with it. Save pictures before it goes, or set "
    "MLFLOW_TRACKING_URI and KONTEXT_LAB_HOME to places that stay."
)


def prepare() -> str:
    """Make the place ready for the panel; returns what a person there should know, or ""."""
    if _COLAB not in sys.modules:
        return ""
    output = import_module(f"{_COLAB}.output")
    output.enable_custom_widget_manager()
    return _FORGETS
