"""The tab Grid: cells as they arrive, arranged by the pickers, with the inspector below."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from kontext_lab.figures import GridPlan, Mark, PageSize, Tile
from kontext_lab.figures.axis_values import Shot, Values
from kontext_lab.panel.axis_pickers import AxisPickers
from kontext_lab.panel.browser import PageFrame
from kontext_lab.panel.canvas import GridCanvas
from kontext_lab.panel.cell_details import verdict_texts
from kontext_lab.panel.form import Form
from kontext_lab.panel.gestures import FULL
from kontext_lab.panel.inspector import Inspector
from kontext_lab.panel.planned_results import described, output_at, planned_results
from kontext_lab.panel.planner import Planner
from kontext_lab.panel.session import Session
from kontext_lab.panel.widgets import Section, TextLine, column, show_if
from kontext_lab.results import Output, Results

__all__ = ["CanvasSection", "Grid"]

_REDRAW = 0.05
"""Seconds between two drawings while cells arrive."""

_MARGIN = 70
"""Pixels of the panel's width beside the tiles."""

_MOST_PLANNED = 400
"""Cells of a plan that are drawn before they are run; a page is never longer."""


class CanvasSection(Section):
    """Pickers, a canvas, and a line about the tile under the pointer: what Grid and Compare have in common."""

    def __init__(self, session: Session, frame: PageFrame, *, static: bool) -> None:
        super().__init__(session.dispatcher)
        self._session, self._frame = session, frame
        self.pickers = AxisPickers(self.redraw, self._load_references)
        # A lane of its own: change maps are measured in it, and nothing else should wait for them.
        background = partial(self.background, lane="pictures")
        self.canvas = GridCanvas(self.dispatcher.later, background, self.show, static=static)
        self.canvas.on_hover(self.guarded(self._on_hover))
        self.canvas.on_select(self.guarded(self._on_select))
        self.canvas.on_crop(self.guarded(lambda _: self._show_fit()))
        self.fit = self.button("Fit", self.canvas.reset, "Show whole pictures again", small=True)
        self.pickers.add_tools(self.fit)
        self.hovered = TextLine(kind="muted")
        self.hovered.add_class("kl-hovered")
        self.stage = column(self.canvas.widget, name="kl-stage", width="100%")
        self.follow(frame, self.redraw_soon, "width", "dark")

    def _load_references(self, results: Results, then: Callable[[], None]) -> None:
        source = results.comparison_source
        if source is not None:
            self.background(lambda: source.know(results), lambda _: then(), lane="changes")

    def redraw_soon(self, seconds: float = _REDRAW) -> None:
        """Draw in a moment; of several requests only one is done."""
        self.dispatcher.later(seconds, self.redraw, key=(id(self), "draw"))

    def redraw(self) -> None:
        """Draw the current state."""
        raise NotImplementedError

    def _draw(self, criterion: str | None = None) -> None:
        width = max(3.0, ((self._frame.width or 1000) - _MARGIN) / GridCanvas.DPI)
        plan = self.pickers.plan(
            page_size=PageSize(width=width, height=6.0, widest=width), criterion=criterion
        )
        self.canvas.show(plan, dark=self._frame.dark)

    def _show_fit(self) -> None:
        show_if(self.canvas.crop != FULL, self.fit)

    def _on_hover(self, tile: Tile | None) -> None:
        self.hovered.say(self._describe(tile) if tile is not None else "")
        show_if(True, self.hovered)  # an empty line stays, so that nothing below moves

    def _describe(self, tile: Tile) -> str:
        raise NotImplementedError

    def _on_select(self, tile: Tile | None, modifiers: Any = ()) -> None:
        raise NotImplementedError


class Grid(CanvasSection):
    """The grid of the results on show, or of the plan."""

    def __init__(
        self,
        session: Session,
        planner: Planner,
        form: Form,
        frame: PageFrame,
        inspector: Inspector,
        *,
        static: bool = False,
    ) -> None:
        super().__init__(session, frame, static=static)
        self._planner = planner
        self._shown: Results | None = None
        self.hint = TextLine(kind="muted")
        self.empty = TextLine(
            "Nothing to show yet: enter a prompt and add an image; the cells of the plan appear here.",
            "muted",
        )
        self.example = self.button(
            "Fill in an example", form.load_example, "A prompt, a photograph and three axes"
        )
        self.inspector = inspector
        upper = (self.pickers, self.hint, self.empty, self.example)
        self.fill([*upper, self.stage, self.hovered, inspector])
        self.follow(session, self._on_results, "results", "state")
        self.follow(session, self.redraw_soon, "beat")
        self.follow(session, self._mark, "selection")
        self.follow(planner, self._on_results, "state")
        self.follow(inspector.verdicts.criterion, self.redraw_soon, "value")
        self._on_results()

    def redraw_soon(self, seconds: float = _REDRAW) -> None:
        """Draw in a moment; at once between runs."""
        super().redraw_soon(seconds if self._session.busy else 0.0)

    def _on_results(self) -> None:
        """Choose between results and plan after one of them changed."""
        if self._planner.state == "planning" and not self._session.busy:
            return
        results, hint = self._results_to_show()
        self.hint.say(hint)
        if results is not self._shown:
            self._shown = results
            if results is not None and len(results):
                self.pickers.put(results)
        self.redraw_soon()

    def _results_to_show(self) -> tuple[Results | None, str]:
        """The results, or the plan's cells if they belong to it; and a line about that."""
        session = self._session
        results, plan = session.results, self._planner.plan
        if session.busy or plan is None:
            return results, ""
        planned = [decision.fingerprint for decision in plan.decisions]
        if len(planned) > _MOST_PLANNED:
            many = f"{len(planned)} cells are too many to draw in advance: they appear as they arrive."
            return results, many if results is None else f"On show: {results.name}. The plan's {many}"
        shown = [cell.fingerprint for cell in results] if results is not None else []
        if results is not None and planned == shown:
            return results, ""
        if results is None or set(planned) & {fingerprint for fingerprint in shown if fingerprint}:
            return planned_results(plan, results), f"The plan's cells: {plan.requests} to be sent."
        return results, f"On show: {results.name}. Run shows the new sweep's cells."

    def redraw(self) -> None:
        """Draw the current state of what is on show."""
        results = self._shown
        show_if(results, self.stage, self.pickers, self.inspector)
        # An example must not overwrite what was typed.
        empty = not results and self._planner.plan is None and not self._session.busy
        show_if(empty, self.empty, self.example)
        if results:
            # A parameter such as `output` may appear after the first answer.
            if not set(results.axes) <= {key for _, key in self.pickers.rows.options}:
                self.pickers.put(results)
            self._draw(self.inspector.verdicts.criterion.value)
            self._mark()
        self._show_fit()

    def _mark(self) -> None:
        picked = self._session.selection
        self.canvas.select(*([Mark(picked.cell, picked.number)] if picked is not None else []))

    @property
    def plan(self) -> GridPlan | None:
        """The plan of the page on show."""
        return self.canvas.plan

    def _on_select(self, tile: Tile | None, modifiers: Any = ()) -> None:  # noqa: ARG002 - Compare's
        if tile is not None and tile.cell is not None:
            self._session.pick(output_at(tile.cell, tile.number))

    def step(self, down: int, across: int) -> None:
        """Pick the nearest cell in a direction; the first one if none is picked."""
        tiles = [tile for tile in self.plan.tiles if tile.cell is not None] if self.plan is not None else []
        if not tiles:
            return
        picked = self._session.selection
        mark = Mark(picked.cell, picked.number) if picked is not None else None
        here = next((tile for tile in tiles if mark is not None and mark.is_on(tile)), None)
        if here is None:
            self._on_select(tiles[0])
            return

        def middle(tile: Tile) -> tuple[float, float]:
            return tile.rect.left + tile.rect.width / 2, tile.rect.top + tile.rect.height / 2

        x, y = middle(here)
        ahead = []
        for tile in tiles:
            dx, dy = middle(tile)[0] - x, middle(tile)[1] - y
            forward, sideways = (dx * across, abs(dy)) if across else (dy * down, abs(dx))
            if forward > 0.05:
                ahead.append((forward + 4 * sideways, tile))
        if ahead:
            self._on_select(min(ahead, key=lambda pair: pair[0])[1])

    def reveal(self, output: Output) -> None:
        """Turn sliders and pages to an output, and pick it."""
        results = self._session.results
        if results is not None:
            values, shot = Values(results), Shot(output.cell, output.number)
            for key, slider in self.pickers.sliders.items():
                token = values.value(shot, key).token
                found = [at for at, (_, value) in enumerate(slider.kl_values) if value.token == token]
                slider.index = found[0] if found else slider.index
            mark = Mark(output.cell, output.number)
            self.pickers.page = 1
            self.redraw()
            # The grid may show something else, such as a plan of other cells.
            while (
                self.plan is not None
                and not any(mark.is_on(tile) for tile in self.plan.tiles)
                and self.pickers.page < self.pickers.pages
            ):
                self.pickers.turn(1)
        self._session.pick(output)

    def _describe(self, tile: Tile) -> str:
        """A tile in words, with the reason if it has no picture."""
        cell = tile.cell
        if cell is None:
            return f"reference {tile.reference.name}" if tile.reference is not None else ""
        parts = described(cell)
        if len(cell.outputs) > 1:
            parts.append(f"output {tile.number}")
        if tile.card is not None:
            parts += [tile.card.heading, cell.note or tile.card.note]
        elif cell.reused_from:
            parts.append("reused")
        verdicts = verdict_texts(output_at(cell, tile.number))
        parts += [f"{name}: {text}" for name, text in verdicts.items()]
        if cell.comment:
            parts.append(f"note: {cell.comment}")
        return " · ".join(filter(None, parts))
