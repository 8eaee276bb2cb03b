"""The tab Compare: any sweeps and runs of the store in one grid, and any two outputs side by side."""

from __future__ import annotations

import html
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from ipywidgets import HTML, Combobox, VBox

from kontext_lab.errors import KontextLabError, NotFound
from kontext_lab.figures import Mark, Tile
from kontext_lab.lab.change_maps import on_each_other
from kontext_lab.panel.axis_pickers import AxisPickers
from kontext_lab.panel.browser import PageFrame, Viewer
from kontext_lab.panel.gestures import FULL
from kontext_lab.panel.grid_tab import knower, make_canvas, paper_for
from kontext_lab.panel.layouts import plain, show_if
from kontext_lab.panel.planned_results import differences, gathered, output_at
from kontext_lab.panel.session import Session
from kontext_lab.panel.ui_dispatcher import UiDispatcher
from kontext_lab.panel.widgets import Section, TextLine, row
from kontext_lab.results import Output, Results

if TYPE_CHECKING:
    from kontext_lab.lab import Lab
    from kontext_lab.metrics import Placement
    from kontext_lab.tracking import SweepRun

__all__ = ["Compare"]

Pair = tuple[bytes, bytes, "Placement | None"]
"""Two pictures, and their common frame."""

_HINT = "Click a cell for A, another for B; Shift-click changes B."


class Compare(Section):
    """Sweeps beside each other.

    Args:
        session: whose lab's store is read.
        post: the widgets' thread.
        frame: knows size and theme of the page.
        static: a picture in place of the canvas.
    """

    def __init__(
        self, session: Session, post: UiDispatcher, frame: PageFrame, *, static: bool = False
    ) -> None:
        super().__init__()
        self._session, self._post, self._frame = session, post, frame
        self.sources: dict[str, Results] = {}
        self.results: Results | None = None
        self.first: Output | None = None
        self.second: Output | None = None
        self._names: dict[str, str] = {}
        self.which = Combobox(
            placeholder="a sweep's name, or the id of any run",
            description="Add",
            **plain(Combobox, width="30em"),
        )
        add = self.button("Add", self.add_typed, "Add this sweep or run to the grid", small=True)
        on_show = self.button(
            "Add what is on show", self.add_shown, "Add the results of the tab Grid", small=True
        )
        self._list, self.busy = Section(), TextLine(kind="muted")
        self.arranging = AxisPickers(self.redraw, knower(post, self))
        self.canvas = make_canvas(post, self, static=static)
        self.canvas.on_select(self.guarded(self._select))
        self.canvas.on_hover(self.guarded(self._hover))
        self.canvas.on_crop(self.guarded(lambda _: self._show_fit()))
        self.fit = self.button("Fit", self.canvas.reset, "Show whole pictures again", small=True)
        self.arranging.lay_out(self.fit)
        self.hint, self.hovered = TextLine(_HINT, "muted"), TextLine(kind="muted")
        self.hovered.add_class("kl-hovered")
        self.viewer = Viewer("side")
        self.viewer.on_trouble(self.show)
        self.table = HTML(**plain(HTML))
        self._stage = VBox([self.canvas.widget], **plain(VBox))
        self._stage.add_class("kl-stage")
        self._shown_parts = [self.arranging, self.hint, self._stage, self.hovered, self.viewer, self.table]
        self.empty = TextLine(
            "Add two or more sweeps, or single runs: what they differ in becomes an axis.", "muted"
        )
        adding = row(self.which, add, on_show)
        adding.add_class("kl-short-labels")
        self.fill([adding, self.busy, self._list, self.empty, *self._shown_parts])
        frame.observe(self.guarded(lambda _: self._soon()), names=["width", "dark"])
        self._laid_out()

    def offer(self, runs: Sequence[SweepRun]) -> None:
        """The sweeps that can be picked by name."""
        names = [run.name for run in runs]
        self._names = {
            (f"{run.name} ({run.run_id[:8]})" if names.count(run.name) > 1 else run.name): run.run_id
            for run in runs
        }
        self.which.options = tuple(self._names)

    def add_typed(self) -> None:
        """Add what stands in the field."""
        text = self.which.value.strip()
        if not text:
            raise NotFound("name a sweep, or give the id of a run")
        self.add(text)
        self.which.value = ""

    def add_shown(self) -> None:
        """Add the results of the tab Grid."""
        results = self._session.results
        if results is None or not len(results):
            raise NotFound("there is nothing on show in the tab Grid")
        self._put(results.name or "on show", results)

    def add(self, which: str) -> None:
        """Add a sweep by name or run id, or a single cell by its run id."""
        self.busy.say(f"reading {which} …")
        lab, run_id = self._session.lab, self._names.get(which, which)
        self._post.background(
            lambda: _read(lab, run_id), self.guarded(partial(self._added, which)), self._unread
        )

    def _added(self, which: str, results: Results) -> None:
        self.busy.say("")
        self._put(which, results)

    def _unread(self, error: Exception) -> None:
        self.busy.say("")
        self.show(error)

    def _put(self, name: str, results: Results) -> None:
        self.sources[name] = results
        self._gather()

    def take_away(self, name: str) -> None:
        """One sweep less."""
        self.sources.pop(name, None)
        self._gather()

    def _gather(self) -> None:
        self.results = gathered(self.sources) if self.sources else None
        self.first = self.second = None
        if self.results is not None:
            self.arranging.take(self.results)
        self._laid_out()
        self._show_pair()
        self.redraw()

    def _laid_out(self) -> None:
        listed = [
            row(
                TextLine(f"{name}: {len(results)} cells"),
                self.button("×", partial(self.take_away, name), f"Take {name} away", small=True),
            )
            for name, results in self.sources.items()
        ]
        self._list.fill([row(*listed)] if listed else [])
        for part in self._shown_parts:
            show_if(self.sources, part)
        show_if(not self.sources, self.empty)

    def _soon(self) -> None:
        self._post.later(0.05, self.redraw, key=(id(self), "draw"))

    def redraw(self) -> None:
        """Draw the page that is picked."""
        if self.results is None:
            return
        plan = self.arranging.plan(paper=paper_for(self._frame))
        self.canvas.show(plan, dark=self._frame.dark)
        self._mark()
        self._show_fit()

    def _show_fit(self) -> None:
        show_if(self.canvas.crop != FULL, self.fit)

    def _mark(self) -> None:
        pair = (("A", self.first), ("B", self.second))
        self.canvas.select(*(Mark(one.cell, one.number, name) for name, one in pair if one is not None))

    def _hover(self, tile: Tile | None) -> None:
        cell = tile.cell if tile is not None else None
        self.hovered.say("" if cell is None else f"{cell.title} · {cell.state}")
        show_if(True, self.hovered)

    def _select(self, tile: Tile | None, modifiers: Any = ()) -> None:
        if tile is None or tile.cell is None:
            return
        self.pick(output_at(tile.cell, tile.number), as_second="shift" in modifiers)

    def pick(self, output: Output, *, as_second: bool = False) -> None:
        """Take an output for A, or for B where A is there and B is not, or where it is asked for."""
        if as_second or (self.first is not None and self.second is None):
            self.second = output
        else:
            self.first, self.second = output, None
        self._mark()
        self._show_pair()

    def _show_pair(self) -> None:
        first, second = self.first, self.second
        if first is None or second is None:
            self.viewer.clear(_HINT if self.results is not None else "")
            self.table.value = ""
            return
        self.table.value = _table(differences(first, second))
        comparison_source = self.results.comparison_source if self.results is not None else None
        self._post.background(
            lambda: (first.bytes, second.bytes, on_each_other(first, second, comparison_source)),
            self.guarded(partial(self._show_both, first, second)),
            self.show,
        )

    def _show_both(self, first: Output, second: Output, both: Pair) -> None:
        if (first, second) == (self.first, self.second):
            names = [
                f"{name} · {one.cell.title}" + (" · simulated" if one.cell.simulated else "")
                for name, one in (("A", first), ("B", second))
            ]
            left, right, placement = both
            self.viewer.show(
                left,
                right,
                left_label=names[0],
                right_label=names[1],
                alt=" against ".join(names),
                placement=placement,
            )


def _read(lab: Lab, which: str) -> Results:
    """A sweep's results, or a single cell's."""
    try:
        return lab.load(which)
    except NotFound as error:
        try:
            return lab.load_cells([which])
        except KontextLabError:
            raise error from None


def _table(rows: Sequence[tuple[str, str, str]]) -> str:
    if not rows:
        return '<div class="kl-muted">A and B have the same parameters.</div>'
    cells = "".join(
        f"<tr><th>{html.escape(key)}</th><td>{html.escape(one)}</td><td>{html.escape(two)}</td></tr>"
        for key, one, two in rows
    )
    return f'<table class="kl-differences"><tr><th></th><th>A</th><th>B</th></tr>{cells}</table>'
