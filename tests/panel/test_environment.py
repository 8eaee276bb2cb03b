"""Where the panel is shown."""

from __future__ import annotations

import sys
from types import ModuleType

import pytest

from kontext_lab.panel.controller import prepare_colab


def test_elsewhere_nothing_is_said() -> None:
    """JupyterLab, VS Code and scripts need nothing."""
    assert "" == prepare_colab()


def test_colab_gets_its_widgets_switched_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """And is warned that the machine is lent."""
    switched = []
    output = ModuleType("google.colab.output")
    output.enable_custom_widget_manager = lambda: switched.append(True)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "google.colab", ModuleType("google.colab"))
    monkeypatch.setitem(sys.modules, "google.colab.output", output)
    said = prepare_colab()
    assert ([True], True) == (switched, "vanish" in said)
