"""A panel on a lab whose service is a sandbox in the place of the API."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ipywidgets import Widget

import kontext_lab as kl
import kontext_lab.panel.panel as panels
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
    panels._ROOMS.clear()
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
    rooms = panel._rooms
    rooms.form.prompts.rows[0].text.value = "Add a bird."
    rooms.form.references.place.value = str(photo_file)
    rooms.form.fields["seed"].field.commit("1-2")
    rooms.form.fields["guidance_scale"].field.commit("2, 8")
    panel.wait(20)
    return panel
