"""Where the panel is shown, where that makes a difference: Colab needs its custom widgets switched on."""

from __future__ import annotations

import sys
from importlib import import_module

__all__ = ["prepare"]

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
