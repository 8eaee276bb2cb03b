"""A panel on a lab whose service is a sandbox in the place of the API."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from panel_driver import drive, ending_panels

import kontext_lab as kl
from kontext_lab.panel import Panel


@pytest.fixture(autouse=True)
def panels_end(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Panels end with the test."""
    yield from ending_panels(monkeypatch)


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
