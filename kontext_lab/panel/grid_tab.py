"""The tab Grid: cells as they arrive, arranged by what a person picks, looked at closely below."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ipywidgets import VBox

from kontext_lab.figures import GridPlan, Mark, PageSize, Tile
from kontext_lab.panel.axis_pickers import AxisPickers, Know
from kontext_lab.panel.browser import PageFrame
from kontext_lab.panel.canvas import GridCanvas
from kontext_lab.panel.cell_details import verdicts_in_words
from kontext_lab.panel.gestures import FULL
from kontext_lab.panel.inspector import Inspector
from kontext_lab.panel.layouts import plain, show_if
from kontext_lab.panel.planned_results import described, output_at, planned_results
from kontext_lab.panel.planner import Planner
from kontext_lab.panel.session import Session
from kontext_lab.panel.ui_dispatcher import UiDispatcher
from kontext_lab.panel.widgets import Section, TextLine
from kontext_lab.results import Results

if TYPE_CHECKING:
    from kontext_lab.lab.plan import Plan

__all__ = ["Grid", "knower", "make_canvas", "paper_for"]

_REDRAW = 0.05
"""Seconds between two drawings while cells arrive."""

_BESIDE = 70
"""Pixels of the panel's width that its edges and the sheet's margins take."""

_MOST_PLANNED = 400
"""Cells of a plan that are drawn before they are run; a page is never longer anyway."""


class Grid(Section):
    """The grid of the results on show, or of the plan.

    Args:
        session: whose results are shown.
        planner: whose plan is shown while there are none of its own.
        post: the widgets' thread.
        frame: knows size and theme of the page.
        inspector: shown below.
        example: fills the form with one.
        static: a picture in place of the canvas.
    """

    def __init__(
        self,
        session: Session,
        planner: Planner,
        post: UiDispatcher,
        frame: PageFrame,
        inspector: Inspector,
        *,
        example: Callable[[], None],
        static: bool = False,
    ) -> None:
        super().__init__()
        self._session, self._planner, self._post, self._frame = session, planner, post, frame
        self._shown: Results | None = None
        self.hint, self.hovered = TextLine(kind="muted"), TextLine(kind="muted")
        self.hovered.add_class("kl-hovered")
        self.arranging = AxisPickers(self.redraw, knower(post, self))
        self.canvas = make_canvas(post, self, static=static)
        self.canvas.on_hover(self.guarded(self._hover))
        self.canvas.on_select(self.guarded(self._select))
        self.canvas.on_crop(self.guarded(lambda _: self._show_fit()))
        self.fit = self.button("Fit", self.canvas.reset, "Show whole pictures again", small=True)
        self.arranging.lay_out(self.fit)
        self.empty = TextLine(
            "Nothing to show yet: say what to change and give an image; the plan's cells appear here.",
            "muted",
        )
        self.example = self.button("Fill in an example", example, "A prompt, a photograph and three axes")
        self.inspector = inspector
        stage = VBox([self.canvas.widget], **plain(VBox, width="100%"))
        stage.add_class("kl-stage")
        self._stage = stage
        self.fill([self.arranging, self.hint, self.empty, self.example, stage, self.hovered, inspector])
        session.observe(self.watched(self._on_results), names=["results", "state"])
        session.observe(self.watched(lambda _: self._soon()), names="beat")
        session.observe(self.watched(lambda _: self._mark()), names="selection")
        planner.observe(self.watched(self._on_results), names="state")
        inspector.verdicts.criterion.observe(self.watched(lambda _: self._soon()), names="value")
        frame.observe(self.watched(lambda _: self._soon()), names=["width", "dark"])
        self._on_results()

    def _on_results(self, _: object = None) -> None:
        """Results or plan changed: decide which of them is on show."""
        if self._planner.state == "planning" and not self._session.busy:
            return
        results, hint = self._to_show()
        self.hint.say(hint)
        if results is not self._shown:
            self._shown = results
            if results is not None and len(results):
                self.arranging.take(results)
        self._soon()

    def _to_show(self) -> tuple[Results | None, str]:
        """The results, or the plan's cells where they are what comes next."""
        session, plan = self._session, self._planner.plan
        results: Results | None = session.results
        if session.busy or plan is None:
            return results, ""
        if len(plan.decisions) > _MOST_PLANNED:
            many = f"{len(plan.decisions)} cells are too many to draw beforehand: they appear as they arrive."
            return results, many if results is None else f"On show: {results.name}. The plan's {many}"
        if results is not None and _same(plan, results):
            return results, ""
        if results is None or _shares(plan, results):
            return planned_results(plan, results), f"The plan's cells: {plan.requests} to be sent."
        return results, f"On show: {results.name}. Run shows the new sweep's cells."

    def _soon(self) -> None:
        """Draw, but not more often than is worth it."""
        self._post.later(_REDRAW if self._session.busy else 0.0, self.redraw, key=(id(self), "draw"))

    def redraw(self) -> None:
        """Draw what is on show as it is now."""
        results = self._shown
        there = bool(results)
        show_if(there, self._stage, self.arranging)
        # What was typed is not to be written over by an example.
        begun = there or self._planner.plan is not None or self._session.busy
        show_if(not begun, self.empty, self.example)
        show_if(there, self.inspector)
        if results:
            if self._axes_grew(results):
                self.arranging.take(results)
            criterion = self.inspector.verdicts.criterion.value
            plan = self.arranging.plan(paper=paper_for(self._frame), criterion=criterion)
            self.canvas.show(plan, dark=self._frame.dark)
            self._mark()
        self._show_fit()

    def _show_fit(self) -> None:
        show_if(self.canvas.crop != FULL, self.fit)

    def _axes_grew(self, results: Results) -> bool:
        """Whether there is a parameter that the pickers don't know, such as `output` after the first answer."""
        known = {key for _, key in self.arranging.rows.options}
        return not set(results.axes) <= known

    def _mark(self) -> None:
        picked = self._session.selection
        self.canvas.select(*([Mark(picked.cell, picked.number)] if picked is not None else []))

    @property
    def plan(self) -> GridPlan | None:
        """The page that is on show."""
        return self.canvas.plan

    def _hover(self, tile: Tile | None) -> None:
        self.hovered.say(_words(tile) if tile is not None else "")
        show_if(True, self.hovered)  # its line stays free: what is below must not jump

    def _select(self, tile: Tile | None, *_: Any) -> None:
        if tile is not None and tile.cell is not None:
            self._session.pick(output_at(tile.cell, tile.number))

    def step(self, down: int, across: int) -> None:
        """Pick the cell beside the picked one; the first where none is."""
        plan = self.canvas.plan
        tiles = [tile for tile in plan.tiles if tile.cell is not None] if plan is not None else []
        if not tiles:
            return
        picked = self._session.selection
        here = next(
            (tile for tile in tiles if picked is not None and Mark(picked.cell, picked.number).is_on(tile)),
            None,
        )
        if here is None:
            self._select(tiles[0])
            return
        target = _beside(tiles, here, down, across)
        if target is not None:
            self._select(target)


def knower(post: UiDispatcher, room: Section) -> Know:
    """Has references brought off the widgets' thread; errors show in a room."""

    def know(results: Results, then: Callable[[], None]) -> None:
        comparison_source = results.comparison_source
        if comparison_source is not None:
            post.background(
                lambda: comparison_source.know(results), lambda _: then(), room.show, lane="changes"
            )

    return know


def make_canvas(post: UiDispatcher, room: Section, *, static: bool) -> GridCanvas:
    """A canvas whose timing is the panel's and whose errors show in a room."""
    return GridCanvas(
        static=static,
        later=post.later,
        # A lane of its own: change maps are measured in it, and nothing else is to wait for them.
        background=lambda work, then: post.background(work, then, room.show, lane="pictures"),
        on_trouble=room.show,
    )


def paper_for(frame: PageFrame) -> PageSize:
    """The room tiles have in the page."""
    width = max(3.0, ((frame.width or 1000) - _BESIDE) / GridCanvas.DPI)
    return PageSize(width=width, height=6.0, widest=width)


def _same(plan: Plan, results: Results) -> bool:
    return [one.fingerprint for one in plan.decisions] == [cell.fingerprint for cell in results]


def _shares(plan: Plan, results: Results) -> bool:
    there = {cell.fingerprint for cell in results if cell.fingerprint}
    return any(one.fingerprint in there for one in plan.decisions)


def _beside(tiles: list[Tile], here: Tile, down: int, across: int) -> Tile | None:
    """The nearest tile in a direction."""

    def middle(tile: Tile) -> tuple[float, float]:
        return tile.rect.left + tile.rect.width / 2, tile.rect.top + tile.rect.height / 2

    x, y = middle(here)
    found = []
    for tile in tiles:
        dx, dy = middle(tile)[0] - x, middle(tile)[1] - y
        ahead, aside = (dx * across, abs(dy)) if across else (dy * down, abs(dx))
        if ahead > 0.05:
            found.append((ahead + 4 * aside, tile))
    return min(found, key=lambda one: one[0])[1] if found else None


def _words(tile: Tile) -> str:
    """A tile in words: what it is and, where there is no picture, why."""
    if tile.cell is None:
        return f"reference {tile.reference.name}" if tile.reference is not None else ""
    cell = tile.cell
    parts = described(cell)
    if len(cell.outputs) > 1:
        parts.append(f"output {tile.number}")
    if tile.card is not None:
        parts += [tile.card.heading, cell.note or tile.card.note]
    elif cell.reused_from:
        parts.append("reused")
    said = verdicts_in_words(output_at(cell, tile.number))
    verdicts = [f"{name}: {word}" for name, word in said.items()]
    comment = f"note: {cell.comment}" if cell.comment else ""
    return " · ".join(part for part in (*parts, *verdicts, comment) if part)
