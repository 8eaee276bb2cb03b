"""Creates and connects all parts of the panel of one session; every panel of that session shows them."""

from __future__ import annotations

import sys
from functools import cached_property
from importlib import import_module
from typing import TypeVar

from ipywidgets import Tab, Widget

from kontext_lab.panel.browser import PageFrame
from kontext_lab.panel.compare_tab import Compare
from kontext_lab.panel.effects_tab import EffectsTab
from kontext_lab.panel.form import Form
from kontext_lab.panel.grid_tab import Grid
from kontext_lab.panel.header import Header
from kontext_lab.panel.history_tab import History
from kontext_lab.panel.inspector import Inspector
from kontext_lab.panel.planner import Planner
from kontext_lab.panel.rank_tab import Rank
from kontext_lab.panel.run_bar import RunBar
from kontext_lab.panel.session import Session
from kontext_lab.panel.sweep_files import Clipboard, Files
from kontext_lab.panel.ui_dispatcher import keep_messages
from kontext_lab.panel.widgets import Section, TextLine, is_shared, plain
from kontext_lab.results import Output

__all__ = ["TABS", "PanelController", "prepare_colab"]

TABS = ("Grid", "Compare", "Effects", "Rank", "History")

_STEPS = {"ArrowLeft": (0, -1), "ArrowRight": (0, 1), "ArrowUp": (-1, 0), "ArrowDown": (1, 0)}
_KEYS = (*_STEPS, "1", "0", "f", "F")
_UNTIL_SHOWN = 1.5
"""Seconds that a panel has to appear in the page before stores are opened."""

_COLAB = "google.colab"
_COLAB_WARNING = (
    "This machine is temporary: MLflow's store and the journal vanish with it. Save pictures in time, or set "
    "MLFLOW_TRACKING_URI and KONTEXT_LAB_HOME to places that stay."
)

AnyTab = TypeVar("AnyTab", bound=Section)


class PanelController(Section):
    """The whole panel."""

    def __init__(self, session: Session, *, static: bool = False) -> None:
        super().__init__(session.dispatcher)
        self.session, self._static = session, static
        dispatcher = session.dispatcher
        dispatcher.hold(_UNTIL_SHOWN)
        dispatcher.on_error = self.show
        self.planner = Planner(dispatcher, lambda: session.lab)
        self.frame = PageFrame(_KEYS)
        self.frame.on_key(self.guarded(self._on_key))
        self.frame.on_shown(self._send_again)
        self.frame.on_shown(dispatcher.release)
        self.frame.on_trouble(self.show)
        self._was_shown = False
        self.form = Form(session, self.planner)
        self.run_bar = RunBar(session, self.planner, self.form)
        self.header = Header(session, self.run_bar)
        self.clipboard = Clipboard(self.frame)
        self.files = Files(session, self.form, self.clipboard)
        self.form.more.fill([*self.form.more.parts, self.files])
        self.inspector = Inspector(session, self.form, self.frame, self.clipboard)
        self.grid = Grid(session, self.planner, self.form, self.frame, self.inspector, static=static)
        self.history = History(session, self.form, self.run_bar, self._show_grid)
        tabs = [self.grid, Section(), Section(), Section(), self.history]
        self.tabs = Tab(tabs, titles=TABS, **plain(Tab))
        self.on_change(self.tabs, self._on_tab, "selected_index")
        session.observe(self.watched(self._on_results), names=["results", "ends", "beat"])
        colab = TextLine(prepare_colab(), "warning")
        self.fill([colab, self.header, self.form, self.run_bar, self.clipboard, self.tabs])
        keep_messages(dispatcher, [self.frame, self])
        self.history.refresh()
        self.form.plan()

    # Tabs that are created when they are first opened, so that the panel appears sooner.

    @cached_property
    def compare(self) -> Compare:
        """The tab Compare."""
        return self._filled(Compare(self.session, self.frame, static=self._static), "Compare")

    @cached_property
    def effects(self) -> EffectsTab:
        """The tab Effects."""
        return self._filled(EffectsTab(self.session, self.frame, self._show_cell), "Effects")

    @cached_property
    def rank(self) -> Rank:
        """The tab Rank."""
        return self._filled(Rank(lambda: self.session.lab, self.dispatcher), "Rank")

    def _filled(self, tab: AnyTab, title: str) -> AnyTab:
        self.tabs.children[TABS.index(title)].fill([tab])
        return tab

    @property
    def tab(self) -> str:
        """The title of the open tab."""
        return TABS[self.tabs.selected_index or 0]

    def _on_tab(self) -> None:
        """Bring the tab that was opened up to date."""
        if self.tab == "History":
            self.history.refresh()
        elif self.tab == "Compare":
            self.compare.background(self.session.lab.history, self.compare.offer)
        elif self.tab == "Effects":
            self.effects.put(self.session.results)
        elif self.tab == "Rank":
            self.rank.put(self.session.results)

    def _on_results(self, change: dict[str, str]) -> None:
        """Bring the open tab up to date; measured values arrive while a sweep runs."""
        if self.tab == "Effects":
            self.effects.update_soon()
        elif self.tab == "Rank" and change["name"] != "beat":
            self.rank.put(self.session.results)

    def _show_grid(self) -> None:
        self.tabs.selected_index = TABS.index("Grid")

    def _show_cell(self, output: Output) -> None:
        self.grid.reveal(output)
        self._show_grid()

    @property
    def idle(self) -> bool:
        """True if nothing that was asked for is still to be run, planned or read."""
        session = self.session
        waiting = self.planner.state == "planning" or self.run_bar.waits_for_plan
        return not (session.busy or session.queue or waiting or self.form.references.reading)

    def _send_again(self) -> None:
        """Send the state of all widgets: a reloaded page misses changes made while it was loading."""
        if not self._was_shown:
            self._was_shown = True
            return
        waiting: list[Widget] = [self]
        while waiting:
            widget = waiting.pop()
            waiting += getattr(widget, "children", ())
            widget.send_state([key for key in widget.keys if not key.startswith("_")])
            if not is_shared(widget.layout):
                widget.layout.send_state("display")

    def _on_key(self, key: str) -> None:
        verdicts = self.inspector.verdicts
        if self.tab == "Rank":
            self.rank.press_key(key)
        elif self.tab != "Grid":
            return
        elif key in _STEPS:
            self.grid.step(*_STEPS[key])
        elif key in ("1", "0"):
            verdicts.guarded(verdicts.set_verdict)(key == "1")
        else:
            verdicts.guarded(verdicts.toggle_favourite)()


def prepare_colab() -> str:
    """Switch Colab's widget manager on, and return a warning; "" elsewhere."""
    if _COLAB not in sys.modules:
        return ""
    import_module(f"{_COLAB}.output").enable_custom_widget_manager()
    return _COLAB_WARNING
