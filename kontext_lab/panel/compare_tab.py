"""The tab Compare: any sweeps and runs of the store in one grid, and any two outputs side by side."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from ipywidgets import HTML, Combobox

from kontext_lab.errors import KontextLabError, NotFound
from kontext_lab.figures import Mark, Tile
from kontext_lab.lab.change_maps import on_each_other
from kontext_lab.metrics import Placement
from kontext_lab.panel.browser import PageFrame, Viewer
from kontext_lab.panel.cell_details import table_html
from kontext_lab.panel.grid_tab import CanvasSection
from kontext_lab.panel.planned_results import differences, merged, output_at
from kontext_lab.panel.session import Session
from kontext_lab.panel.widgets import Section, TextLine, plain, row, show_if
from kontext_lab.results import Output, Results
from kontext_lab.tracking import SweepRun

__all__ = ["Compare"]

_HINT = "Click a cell for A, another for B; Shift-click changes B."


class Compare(CanvasSection):
    """Several sweeps in one grid."""

    def __init__(self, session: Session, frame: PageFrame, *, static: bool = False) -> None:
        super().__init__(session, frame, static=static)
        self.sources: dict[str, Results] = {}
        self.results: Results | None = None
        self.first: Output | None = None
        self.second: Output | None = None
        self._run_ids: dict[str, str] = {}
        self.which = Combobox(
            placeholder="a sweep's name, or the id of any run",
            description="Add",
            **plain(Combobox, width="30em"),
        )
        add = self.button("Add", self.add_typed, "Add this sweep or run to the grid", small=True)
        add_shown = self.button(
            "Add what is on show", self.add_shown, "Add the results of the tab Grid", small=True
        )
        self._list, self.busy = Section(), TextLine(kind="muted")
        self.viewer = Viewer("side")
        self.viewer.on_trouble(self.show)
        self.table = HTML(**plain(HTML))
        hint = TextLine(_HINT, "muted")
        self._content = [self.pickers, hint, self.stage, self.hovered, self.viewer, self.table]
        self.empty = TextLine(
            "Add two or more sweeps, or single runs: the parameters in which they differ become axes.",
            "muted",
        )
        head = row(self.which, add, add_shown, name="kl-short-labels")
        self.fill([head, self.busy, self._list, self.empty, *self._content])
        self._list_sources()

    # The sweeps in it.

    def offer(self, runs: Sequence[SweepRun]) -> None:
        """Offer sweeps by name."""
        names = [run.name for run in runs]
        self._run_ids = {
            (f"{run.name} ({run.run_id[:8]})" if names.count(run.name) > 1 else run.name): run.run_id
            for run in runs
        }
        self.which.options = tuple(self._run_ids)

    def add_typed(self) -> None:
        """Add the sweep in the field."""
        text = self.which.value.strip()
        if not text:
            raise NotFound("give the name of a sweep, or the id of a run")
        self.add(text)
        self.which.value = ""

    def add_shown(self) -> None:
        """Add the results of the tab Grid."""
        results = self._session.results
        if results is None or not len(results):
            raise NotFound("the tab Grid has no results")
        self._put(results.name or "on show", results)

    def add(self, which: str) -> None:
        """Add a sweep by name or run id, or a single cell by its run id."""
        self.busy.say(f"reading {which} …")
        lab, run_id = self._session.lab, self._run_ids.get(which, which)

        def read() -> Results:
            results: Results
            try:
                results = lab.load(run_id)
            except NotFound as error:
                try:
                    results = lab.load_cells([run_id])
                except KontextLabError:
                    raise error from None
            return results

        self.background(read, partial(self._put, which), busy=self.busy)

    def _put(self, name: str, results: Results) -> None:
        self.sources[name] = results
        self._merge()

    def remove(self, name: str) -> None:
        """Remove a sweep."""
        self.sources.pop(name, None)
        self._merge()

    def _merge(self) -> None:
        self.results = merged(self.sources) if self.sources else None
        self.first = self.second = None
        if self.results is not None:
            self.pickers.put(self.results)
        self._list_sources()
        self._show_pair()
        self.redraw()

    def _list_sources(self) -> None:
        listed = [
            row(
                TextLine(f"{name}: {len(results)} cells"),
                self.button("×", partial(self.remove, name), f"Take {name} away", small=True),
            )
            for name, results in self.sources.items()
        ]
        self._list.fill([row(*listed)] if listed else [])
        show_if(self.sources, *self._content)
        show_if(not self.sources, self.empty)

    # The grid, and the pair.

    def redraw(self) -> None:
        """Draw the chosen page."""
        if self.results is not None:
            self._draw()
            self._mark()
            self._show_fit()

    def _mark(self) -> None:
        pair = (("A", self.first), ("B", self.second))
        self.canvas.select(*(Mark(one.cell, one.number, name) for name, one in pair if one is not None))

    def _describe(self, tile: Tile) -> str:
        return "" if tile.cell is None else f"{tile.cell.title} · {tile.cell.state}"

    def _on_select(self, tile: Tile | None, modifiers: Any = ()) -> None:
        if tile is not None and tile.cell is not None:
            self.pick(output_at(tile.cell, tile.number), as_second="shift" in modifiers)

    def pick(self, output: Output, *, as_second: bool = False) -> None:
        """Make an output A; make it B if A is set and B is not, or on request."""
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
        rows = differences(first, second)
        table = table_html(rows, head="<tr><th></th><th>A</th><th>B</th></tr>", name="kl-differences")
        self.table.value = table if rows else '<div class="kl-muted">A and B have the same parameters.</div>'
        source = self.results.comparison_source if self.results is not None else None

        def load() -> tuple[bytes, bytes, Placement | None]:
            return first.bytes, second.bytes, on_each_other(first, second, source)

        def show(loaded: tuple[bytes, bytes, Placement | None]) -> None:
            if (first, second) != (self.first, self.second):
                return  # other outputs were picked meanwhile
            names = [
                f"{name} · {one.cell.title}" + (" · simulated" if one.cell.simulated else "")
                for name, one in (("A", first), ("B", second))
            ]
            left, right, placement = loaded
            alt = " against ".join(names)
            self.viewer.show(
                left, right, left_label=names[0], right_label=names[1], alt=alt, placement=placement
            )

        self.background(load, show)
