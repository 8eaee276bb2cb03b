"""Drives a panel by plain names: the only module of the tests that knows its private parts.

panel = kl.Panel(lab)
drive(panel).type_prompt("Add a bird.")
drive(panel).button("Run").click()
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from ipywidgets import Widget

import kontext_lab.panel.panel as panels
from kontext_lab.panel import Panel
from kontext_lab.panel.controller import TABS, PanelController
from kontext_lab.panel.rank_tab import Rank, Ranking
from kontext_lab.panel.ui_dispatcher import UiDispatcher

__all__ = [
    "CONTROLLER",
    "TABS",
    "Driver",
    "button",
    "drive",
    "ending_panels",
    "forget_panels",
    "parts",
    "ranking_parts",
]

CONTROLLER = "_controller"
"""The attribute of a panel that has all its parts, for expressions that another process evaluates."""


def ending_panels(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """End all panels that are made meanwhile: their threads and their widgets last as long as a kernel."""
    dispatchers: list[UiDispatcher] = []
    make = UiDispatcher.__init__

    def noted(dispatcher: UiDispatcher, *given: Any) -> None:
        dispatchers.append(dispatcher)
        make(dispatcher, *given)

    monkeypatch.setattr(UiDispatcher, "__init__", noted)
    yield
    for dispatcher in dispatchers:
        dispatcher.close()
    # Work in the background may start a sandbox, which is stopped after this.
    for thread in threading.enumerate():
        if thread.name.startswith("kontext-lab panel"):
            thread.join(10)
    forget_panels()
    Widget.close_all()


def parts(widget: Widget) -> Iterator[Widget]:
    """A widget and everything in it."""
    yield widget
    for child in getattr(widget, "children", ()):
        yield from parts(child)


def button(panel: Panel, text: str) -> Widget:
    """The button of the panel with this text."""
    return next(
        one for one in parts(panel) if getattr(one, "description", "") == text and hasattr(one, "click")
    )


class Driver:
    """The parts of a panel, and the actions of a person.

    Attributes:
        controller: of the panel; panels of one store share it.
    """

    def __init__(self, controller: PanelController) -> None:
        self.controller = controller
        self.session, self.planner = controller.session, controller.planner
        self.dispatcher, self.frame = controller.dispatcher, controller.frame
        self.header, self.form, self.run_bar = controller.header, controller.form, controller.run_bar
        self.grid, self.inspector, self.history = controller.grid, controller.inspector, controller.history
        self.clipboard, self.files, self.tabs = controller.clipboard, controller.files, controller.tabs

    # Tabs that are made when they are first opened.

    @property
    def compare(self) -> Any:
        """The tab Compare."""
        return self.controller.compare

    @property
    def effects(self) -> Any:
        """The tab Effects."""
        return self.controller.effects

    @property
    def rank(self) -> Any:
        """The tab Rank."""
        return self.controller.rank

    def has_made(self, tab: str) -> bool:
        """True if one of these tabs exists."""
        return tab in vars(self.controller)

    # Waiting.

    def wait_for(self, until: Callable[[], bool], seconds: float | None = None) -> bool:
        """Handle the panel's callbacks until something is true."""
        return self.dispatcher.wait(until, seconds)

    def wait_for_plan(self, seconds: float = 30) -> bool:
        """Handle the panel's callbacks until a plan of the form is ready."""
        return self.wait_for(lambda: self.planner.state == "ready", seconds)

    # The form.

    def type_prompt(self, text: str) -> None:
        """Replace the first prompt."""
        self.form.prompts.rows[0].text.value = text

    def give_image(self, source: object) -> None:
        """Type a path or an address as image."""
        self.form.references.source.value = str(source)

    def axis_field(self, key: str) -> Any:
        """The field for the values of an axis."""
        return self.form.fields[key]

    def read_form(self) -> None:
        """Have the form read its fields, as after a change by a person."""
        self.form._read()

    def write_note(self, text: str) -> None:
        """Replace the note of the sweep."""
        self.form.more.note.value = text

    # Header, bar, tabs, keys.

    def button(self, text: str) -> Widget:
        """The button with this text."""
        return button(self.controller, text)

    def use_service(self, name: str) -> None:
        """Switch to `sandbox` or `api`."""
        self.header.switch.value = name

    @property
    def plan_line(self) -> str:
        """The line of the plan."""
        return self.run_bar.plan.text

    @property
    def question(self) -> str:
        """The question before paying, or ""."""
        return self.run_bar.question.text

    @property
    def progress_line(self) -> str:
        """The line of progress."""
        return self.run_bar.progress.text

    @property
    def reason(self) -> str:
        """The reason why Run can't be pressed, or ""."""
        return self.run_bar.reason.text

    @property
    def run_error(self) -> str:
        """The error of the run bar, or ""."""
        return self.run_bar.trouble.text

    def open_tab(self, title: str) -> None:
        """Open a tab."""
        self.tabs.selected_index = TABS.index(title)

    def press_key(self, key: str) -> None:
        """Press a key while the panel has the focus."""
        self.frame._tell("key", key)

    # The grid, and the picked output.

    def hover(self, tile: Any) -> None:
        """Point at a tile, or at none."""
        self.grid._on_hover(tile)

    def click(self, tile: Any) -> None:
        """Click a tile."""
        self.grid._on_select(tile)

    @property
    def actions(self) -> Any:
        """The buttons for the picked output."""
        return self.inspector.actions


def drive(panel: Panel) -> Driver:
    """The driver of a panel."""
    return Driver(getattr(panel, CONTROLLER))


def forget_panels() -> None:
    """Forget the panels of this process, as a new kernel would."""
    panels._CONTROLLERS.clear()


def ranking_parts(ranking: Ranking) -> tuple[Rank, UiDispatcher]:
    """The section of `kl.rank`, and its dispatcher."""
    return ranking._rank, ranking._dispatcher
