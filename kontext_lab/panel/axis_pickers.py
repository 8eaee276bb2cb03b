"""Rows, columns, sliders and page for a set of results: what a person picked, and the plan of a page from it.

Shared by the grid and by Compare.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ipywidgets import Box, Checkbox, Dropdown, SelectionSlider, Widget

from kontext_lab import figures
from kontext_lab.figures.geometry import GridPlan
from kontext_lab.figures.grid_plan import plan_grid
from kontext_lab.figures.sizing import PageSize
from kontext_lab.figures.value_frames import SHOWS, Show
from kontext_lab.panel.layouts import plain, show_if
from kontext_lab.panel.widgets import Section, TextLine, closed, row
from kontext_lab.results import Results
from kontext_lab.results.labels import VERDICT
from kontext_lab.sweep.wording import shortened

__all__ = ["AxisPickers", "Know"]

Know = Callable[[Results, Callable[[], None]], object]

_NONE = "–"
_LONGEST = 28


@dataclass
class _Known:
    """Of which results references were asked for, and of which they have come as far as they can."""

    asked: Results | None = None
    results: Results | None = None


class AxisPickers(Section):
    """Pickers for what stands where.

    Args:
        changed: called after every change by a person.
        know: has the references of results brought on another thread, and calls what it is given when they are there;
            None where they are known.
    """

    def __init__(self, changed: Callable[[], None], know: Know | None = None) -> None:
        super().__init__()
        self._changed, self._filling = self.guarded(changed), False
        self._results: Results | None = None
        self._know, self._known = know, _Known()
        self.rows, self.columns = _picker("rows"), _picker("columns")
        self.showing = Dropdown(
            options=SHOWS,
            value=SHOWS[0],
            description="show",
            tooltip="The outputs, where they differ from their references, or the references",
            **plain(Dropdown, width="auto"),
        )
        self.framing = _picker("frame")
        self.framing.tooltip = "A measured value as a coloured frame"
        self.reference = Checkbox(
            False, description="reference", indent=False, **plain(Checkbox, width="auto")
        )
        self.back = self.button("‹", lambda: self.turn(-1), "Page before", small=True)
        self.ahead = self.button("›", lambda: self.turn(1), "Next page", small=True)
        self.page_line = TextLine(kind="muted")
        self.sliders: dict[str, SelectionSlider] = {}
        self._chosen: dict[str, str] = {}
        self._slider_box = Box(**plain(Box, flex_flow="row wrap"))
        self._slider_box.add_class("kl-sliders")
        self.page, self.pages = 1, 1
        self.tools: list[Widget] = []
        for picker in (self.rows, self.columns):
            picker.observe(lambda _: self._picked(), names="value")
        for other in (self.reference, self.showing, self.framing):
            other.observe(lambda _: self._told(), names="value")
        self.add_class("kl-arranging")
        self.lay_out()

    def lay_out(self, *tools: Widget) -> None:
        """Put the pickers in a line, with further tools behind them."""
        pages = row(self.back, self.page_line, self.ahead)
        self._pages_row = pages
        views = (self.showing, self.framing, self.reference)
        self.fill([row(self.rows, self.columns, *views, pages, *tools), self._slider_box])

    def take(self, results: Results) -> None:
        """Arrange these results; what was picked stays where it is possible."""
        keys = figures.parameters(results)
        before = (self.rows.value, self.columns.value)
        known = {key for _, key in self.rows.options} - {_NONE}
        self._results = results
        self._filling = True
        try:
            for picker in (self.rows, self.columns):
                options = [(_NONE, _NONE), *zip(shortened(keys, _LONGEST), keys, strict=True)]
                if tuple(options) != tuple(picker.options):
                    kept = picker.value
                    picker.options = options
                    picker.value = kept if kept in keys else _NONE
            # Of a sweep about other things, what suited the one before says nothing.
            if not known <= set(keys) or not any(key in keys for key in before):
                self._picked_by_itself(results)
            self._make_sliders()
        finally:
            self._filling = False

    def _picked_by_itself(self, results: Results) -> None:
        plan = plan_grid(results, title="")
        keys = figures.parameters(results)
        for picker, names in ((self.rows, plan.row_names), (self.columns, plan.column_names)):
            picker.value = names[0] if len(names) == 1 and names[0] in keys else _NONE
        if not plan.column_names and len(plan.row_names) == 1:
            self.rows.value = _NONE  # a contact sheet: one parameter, wrapped

    def _keys(self) -> tuple[list[str] | None, list[str] | None]:
        """Rows and columns as figures take them; None for both where a contact sheet suits."""
        rows = [] if self.rows.value == _NONE else [self.rows.value]
        columns = [] if self.columns.value == _NONE else [self.columns.value]
        if rows == columns:
            columns = []
        if not rows and not columns and self._wraps():
            return None, None
        return rows, columns

    def _wraps(self) -> bool:
        """Whether there is one parameter at most: it fills a contact sheet."""
        return self._results is not None and len(figures.rest(self._results, [], [])) < 2

    def _make_sliders(self) -> None:
        """A slider for every parameter that has no place."""
        if self._results is None:
            return
        rows, columns = self._keys()
        rest = [] if rows is None else figures.rest(self._results, rows, columns or [])
        made: dict[str, SelectionSlider] = {}
        for key in rest:
            values = figures.values_of(self._results, key)
            if len(values) > 1:
                made[key] = self._slider(key, values)
        gone = [one for key, one in self.sliders.items() if made.get(key) is not one]
        self.sliders = made
        self._slider_box.children = tuple(made.values())
        closed(*gone)
        show_if(made, self._slider_box)

    def _slider(self, key: str, values: list[tuple[str, Any]]) -> SelectionSlider:
        labels = [label for label, _ in values]
        # A slider needs labels that differ.
        options = list(zip(shortened(labels, _LONGEST), range(len(labels)), strict=True))
        chosen = self._chosen.get(key)
        at = labels.index(chosen) if chosen in labels else 0
        before = self.sliders.get(key)
        if before is not None and tuple(before.options) == tuple(options):
            return before
        slider = SelectionSlider(
            options=options,
            index=at,
            description=shortened([key], _LONGEST)[0],
            continuous_update=True,
            tooltip=f"{key}: which of {len(values)} values is shown",
            **plain(SelectionSlider, width="auto", min_width="16em"),
        )
        slider.kl_values = values

        def moved(change: dict[str, Any]) -> None:
            self._chosen[key] = labels[change["new"]]
            self._told()

        slider.observe(moved, names="index")
        return slider

    def _picked(self) -> None:
        if self._filling:
            return
        self._filling = True
        try:
            self._make_sliders()
        finally:
            self._filling = False
        self._told()

    def _told(self) -> None:
        if not self._filling:
            self.page = 1
            self._changed()

    def turn(self, by: int) -> None:
        """Another page."""
        self.page = min(max(1, self.page + by), self.pages)
        self._changed()

    @property
    def where(self) -> dict[str, Any]:
        """What the sliders stand at."""
        return {key: slider.kl_values[slider.index][1] for key, slider in self.sliders.items()}

    def plan(self, *, paper: PageSize | None = None, criterion: str | None = None) -> GridPlan:
        """The page that was picked, with the verdicts on a criterion."""
        results = self._results
        if results is None:
            return plan_grid(Results([]), title="")
        rows, columns = self._keys()
        self._offer_frames(results)
        show, frame = self._view(results), self.framing.value

        def made(page: int) -> GridPlan:
            return plan_grid(
                results,
                rows,
                columns,
                self.where or None,
                reference=self.reference.value,
                page=page,
                title="",
                room=paper,
                live=True,
                criterion=criterion,
                show=show,
                frame=None if frame == _NONE else frame,
            )

        plan = made(1) if self.page == 1 else self._page_or_last(made)
        self.page, self.pages = plan.page, plan.pages
        self.page_line.say(f"page {plan.page} of {plan.pages}" if plan.pages > 1 else "")
        show_if(plan.pages > 1, self._pages_row)
        self.back.disabled, self.ahead.disabled = plan.page == 1, plan.page == plan.pages
        return plan

    def _offer_frames(self, results: Results) -> None:
        """The values there are by now; the one that was picked stays as long as it is among them."""
        names = sorted(figures.frame_names(results), key=_worth)
        options = [(_NONE, _NONE), *((name, name) for name in names)]
        if tuple(options) == tuple(self.framing.options):
            return
        before, self._filling = self._filling, True
        try:
            kept = self.framing.value
            self.framing.options = options
            self.framing.value = kept if kept in names else _NONE
        finally:
            self._filling = before

    def _view(self, results: Results) -> Show:
        """What is to be shown, once all that takes has come; the outputs until then."""
        wanted: Show = self.showing.value
        if wanted == "output" or (wanted == "change" and results.comparison_source is None):
            return "output"
        lacking = any(cell.request is None for cell in results) and results.comparison_source is not None
        if not lacking or self._know is None or self._known.results is results:
            return wanted
        if self._known.asked is not results:
            self._known.asked = results
            self._know(results, lambda: self._came(results))
        return "output"

    def _came(self, results: Results) -> None:
        self._known.results = results
        self._changed()

    def _page_or_last(self, made: Callable[[int], GridPlan]) -> GridPlan:
        """The page asked for; where there are fewer now, the last."""
        pages = made(1).pages
        return made(min(self.page, pages))


def _worth(name: str) -> tuple[int, str]:
    """How much and how well first, then what people said, then the rest."""
    groups = ("change/area", "change/", "preserve/", VERDICT, "rank/")
    return next((at for at, group in enumerate(groups) if name.startswith(group)), len(groups)), name


def _picker(name: str) -> Dropdown:
    return Dropdown(options=[(_NONE, _NONE)], value=_NONE, description=name, **plain(Dropdown, width="auto"))
