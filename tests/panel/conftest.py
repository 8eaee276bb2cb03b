"""A panel on a lab whose service is a sandbox in the place of the API."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ipywidgets import Widget
from panel_driver import drive, forget_panels

import kontext_lab as kl
from kontext_lab.panel import Panel
from kontext_lab.panel.ui_dispatcher import UiDispatcher


@pytest.fixture(autouse=True)
def panels_end(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Panels, which last as long as a kernel, end with the test: their threads and their widgets."""
    made: list[UiDispatcher] = []
    make = UiDispatcher.__init__

    def noted(post: UiDispatcher, *given: Any) -> None:
        made.append(post)
        make(post, *given)

    monkeypatch.setattr(UiDispatcher, "__init__", noted)
    yield
    for post in made:
        post.close()
    forget_panels()
    Widget.close_all()


@pytest.fixture
def sandbox_lab(store_uri: str) -> Iterator[kl.Lab]:
    """A lab on a sandbox of its own."""
    with kl.Lab("sandbox", quiet=True, measure=False) as made:
        yield made


@pytest.fixture
def panel(lab: kl.Lab) -> Panel:
    """An empty panel, settled."""
    made = Panel(lab)
    made.wait(20)
    return made


@pytest.fixture
def typed(panel: Panel, photo_file: Path) -> Panel:
    """A panel in which a prompt, an image, two seeds and two guidance scales were typed."""
    ui = drive(panel)
    ui.type_prompt("Add a bird.")
    ui.give_image(photo_file)
    ui.axis_field("seed").commit("1-2")
    ui.axis_field("guidance_scale").commit("2, 8")
    panel.wait(20)
    return panel
