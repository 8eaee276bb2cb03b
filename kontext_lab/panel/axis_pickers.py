"""Pickers for rows, columns, sliders and page of a grid, and the plan of the page that they choose."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ipywidgets import Box, SelectionSlider, Widget

from kontext_lab import figures
from kontext_lab.figures.geometry import GridPlan
from kontext_lab.figures.grid_plan import plan_grid
from kontext_lab.figures.sizing import PageSize
from kontext_lab.figures.value_frames import SHOWS, Show
from kontext_lab.panel.widgets import (
    NO_CHOICE,
    Section,
    TextLine,
    check_field,
    close_widgets,
    picker,
    plain,
    row,
    set_options,
    show_if,
)
from kontext_lab.results import Results
from kontext_lab.results.labels import VERDICT
from kontext_lab.sweep.wording import shortened

__all__ = ["AxisPickers"]

_LONGEST = 28


class AxisPickers(Section):
    """Pickers for the arrangement of a grid; calls `changed` after every change by a person."""

    def __init__(
        self,
        changed: Callable[[], None],
        load_references: Callable[[Results, Callable[[], None]], object] | None = None,
    ) -> None:
        super().__init__()
        self._changed = changed
        self._results: Results | None = None
        self._load_references = load_references  # calls its second argument when they are loaded
        self._requested: Results | None = None
        self._complete: Results | None = None
        self.rows, self.columns = picker("rows"), picker("columns")
        views = "The outputs, their differences from the references, or the references"
        self.showing = picker("show", views, SHOWS)
        self.frames = picker("frame", "A measured value as a coloured frame")
        self.reference = check_field("reference")
        self.back = self.button("‹", lambda: self.turn(-1), "Page before", small=True)
        self.ahead = self.button("›", lambda: self.turn(1), "Next page", small=True)
        self.page_line = TextLine(kind="muted")
        self._pages_row = row(self.back, self.page_line, self.ahead)
        self.sliders: dict[str, SelectionSlider] = {}
        self._chosen: dict[str, str] = {}
        self._slider_box = Box(**plain(Box, flex_flow="row wrap"))
        self._slider_box.add_class("kl-sliders")
        self.page, self.pages = 1, 1
        for choice in (self.rows, self.columns):
            self.on_change(choice, self._on_axis)
        for control in (self.reference, self.showing, self.frames):
            self.on_change(control, self._on_change)
        self.add_class("kl-arranging")
        self.add_tools()

    def add_tools(self, *tools: Widget) -> None:
        """Put further controls behind the pickers."""
        views = (self.showing, self.frames, self.reference)
        self.fill([row(self.rows, self.columns, *views, self._pages_row, *tools), self._slider_box])

    def put(self, results: Results) -> None:
        """Arrange these results; choices stay if they are possible."""
        keys = figures.parameters(results)
        before = (self.rows.value, self.columns.value)
        known = {key for _, key in self.rows.options} - {NO_CHOICE}
        self._results = results
        with self.filling():
            for choice in (self.rows, self.columns):
                labels = shortened(keys, _LONGEST)
                set_options(choice, [(NO_CHOICE, NO_CHOICE), *zip(labels, keys, strict=True)])
            # Choices for a sweep with other parameters do not suit this one.
            if not known <= set(keys) or not any(key in keys for key in before):
                self._choose_axes(results, keys)
            self._make_sliders()

    def _choose_axes(self, results: Results, keys: list[str]) -> None:
        plan = plan_grid(results, title="")
        for choice, names in ((self.rows, plan.row_names), (self.columns, plan.column_names)):
            choice.value = names[0] if len(names) == 1 and names[0] in keys else NO_CHOICE
        if not plan.column_names and len(plan.row_names) == 1:
            self.rows.value = NO_CHOICE  # a contact sheet: one parameter, wrapped

    def _axes(self) -> tuple[list[str] | None, list[str] | None]:
        """Rows and columns as figures take them; None for both if a contact sheet shows at most one parameter."""
        rows = [] if self.rows.value == NO_CHOICE else [self.rows.value]
        columns = [] if self.columns.value == NO_CHOICE else [self.columns.value]
        if rows == columns:
            columns = []
        if rows or columns or self._results is None or len(figures.rest(self._results, [], [])) > 1:
            return rows, columns
        return None, None

    def _make_sliders(self) -> None:
        """Make a slider for every parameter that is neither rows nor columns."""
        if self._results is None:
            return
        rows, columns = self._axes()
        rest = [] if rows is None else figures.rest(self._results, rows, columns or [])
        sliders: dict[str, SelectionSlider] = {}
        for key in rest:
            values = figures.values_of(self._results, key)
            if len(values) > 1:
                sliders[key] = self._slider(key, values)
        removed = [slider for key, slider in self.sliders.items() if sliders.get(key) is not slider]
        self.sliders = sliders
        self._slider_box.children = tuple(sliders.values())
        close_widgets(*removed)
        show_if(sliders, self._slider_box)

    def _slider(self, key: str, values: list[tuple[str, Any]]) -> SelectionSlider:
        labels = [label for label, _ in values]
        # A slider needs labels that differ.
        options = list(zip(shortened(labels, _LONGEST), range(len(labels)), strict=True))
        before = self.sliders.get(key)
        if before is not None and tuple(before.options) == tuple(options):
            return before
        chosen = self._chosen.get(key)
        slider = SelectionSlider(
            options=options,
            index=labels.index(chosen) if chosen in labels else 0,
            description=shortened([key], _LONGEST)[0],
            continuous_update=True,
            tooltip=f"{key}: which of {len(values)} values is shown",
            **plain(SelectionSlider, width="auto", min_width="16em"),
        )
        slider.kl_values = values

        def on_move() -> None:
            self._chosen[key] = labels[slider.index]
            self._on_change()

        self.on_change(slider, on_move, "index")
        return slider

    def _on_axis(self) -> None:
        with self.filling():
            self._make_sliders()
        self._on_change()

    def _on_change(self) -> None:
        self.page = 1
        self._changed()

    def turn(self, pages: int) -> None:
        """Turn pages."""
        self.page = min(max(1, self.page + pages), self.pages)
        self._changed()

    @property
    def where(self) -> dict[str, Any]:
        """The values of the sliders."""
        return {key: slider.kl_values[slider.index][1] for key, slider in self.sliders.items()}

    def plan(self, *, page_size: PageSize | None = None, criterion: str | None = None) -> GridPlan:
        """The plan of the chosen page, with the verdicts on a criterion."""
        results = self._results
        if results is None:
            return plan_grid(Results([]), title="")
        rows, columns = self._axes()
        self._offer_frames(results)
        show, frame = self._view(results), self.frames.value

        def planned(page: int) -> GridPlan:
            return plan_grid(
                results,
                rows,
                columns,
                self.where or None,
                reference=self.reference.value,
                page=page,
                title="",
                page_size=page_size,
                live=True,
                criterion=criterion,
                show=show,
                frame=None if frame == NO_CHOICE else frame,
            )

        plan = planned(1)
        if self.page > 1 and plan.pages > 1:
            plan = planned(min(self.page, plan.pages))
        self.page, self.pages = plan.page, plan.pages
        self.page_line.say(f"page {plan.page} of {plan.pages}" if plan.pages > 1 else "")
        show_if(plan.pages > 1, self._pages_row)
        self.back.disabled, self.ahead.disabled = plan.page == 1, plan.page == plan.pages
        return plan

    def _offer_frames(self, results: Results) -> None:
        """Offer the values measured so far: changes first, then preservation, verdicts, ranks and the rest."""
        groups = ("change/area", "change/", "preserve/", VERDICT, "rank/")

        def rank(name: str) -> tuple[int, str]:
            return next((at for at, group in enumerate(groups) if name.startswith(group)), len(groups)), name

        names = sorted(figures.frame_names(results), key=rank)
        with self.filling():
            set_options(self.frames, [(NO_CHOICE, NO_CHOICE), *((name, name) for name in names)])

    def _view(self, results: Results) -> Show:
        """The chosen view once everything for it is loaded; the outputs until then."""
        wanted: Show = self.showing.value
        source = results.comparison_source
        if wanted == "output" or (wanted == "change" and source is None):
            return "output"
        missing = source is not None and any(cell.request is None for cell in results)
        if not missing or self._load_references is None or self._complete is results:
            return wanted

        def on_loaded() -> None:
            self._complete = results
            self._changed()

        if self._requested is not results:
            self._requested = results
            self._load_references(results, on_loaded)
        return "output"
