"""The plan for the content of the form, made on another thread: typing never waits for it. Sends nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from traitlets import Bool, Dict, HasTraits, Int, Unicode

from kontext_lab.errors import SweepError
from kontext_lab.lab import Lab
from kontext_lab.lab.plan import Plan
from kontext_lab.panel.form_state import FormError, FormState
from kontext_lab.panel.ui_dispatcher import UiDispatcher
from kontext_lab.panel.widgets import error_text

__all__ = ["PlanRequest", "Planner"]

_REST = 0.3
"""Seconds without a change before a plan is made."""

_SLOW = 20.0
"""Seconds after which a plan counts as slow, and a newer one no longer waits for it."""


@dataclass(frozen=True)
class PlanRequest:
    """Form, run options and lab that a plan is made of."""

    draft: FormState
    options: Mapping[str, Any]
    lab: Lab = field(repr=False)


class Planner(HasTraits):
    """The plan for the content of the form; its attributes belong together unless `state` is `planning`."""

    state = Unicode("wrong")  # or `planning`, `ready`
    revision = Int(0)  # number of changes of `wanted`
    slow = Bool(False)
    problems = Dict()  # by their places in the form; "" for the whole

    def __init__(self, dispatcher: UiDispatcher, lab: Callable[[], Lab]) -> None:
        super().__init__()
        self._dispatcher, self._lab = dispatcher, lab
        # No traits: those are compared at every change, and a plan of 10,000 cells takes long for that.
        self.plan: Plan | None = None
        self.wanted: PlanRequest | None = None
        self.failed = False  # no plan could be made of a form without problems, as without a store
        self._next: PlanRequest | None = None
        self._current: PlanRequest | None = None

    def request(self, draft: FormState, options: Mapping[str, Any], problems: Mapping[str, str]) -> None:
        """Make a plan once nothing has changed for a while; `problems` are those of anything outside the draft."""
        new = PlanRequest(draft, dict(options), self._lab())
        found = draft.problems() | dict(problems)
        with self.hold_trait_notifications():
            if new != self.wanted:
                self.wanted = new
                self.revision += 1
                self.slow = False
            self._next = None if found else self.wanted
            if found:
                self._finish("wrong", None, found)
            else:
                self.state = "planning"
        if not found:
            self._dispatcher.later(_REST, self._begin, key=(id(self), "plan"), move=True)

    def retry(self) -> None:
        """Make the plan again if that failed."""
        if self.failed:
            self.failed, self._next = False, self.wanted
            self.state = "planning"
            self._begin()

    def _begin(self) -> None:
        if self._next is None or self._current is not None:
            return
        wanted, self._next = self._next, None
        self._current = wanted

        def on_error(error: Exception) -> None:
            if isinstance(error, SweepError):
                problems = error.problems if isinstance(error, FormError) else {"": str(error)}
                self._on_answer(wanted, "wrong", None, problems)
            else:
                self._on_answer(wanted, "failed", None, {"": error_text(error)})

        def on_slow() -> None:
            """Let newer plans go ahead; this one is still taken if it comes and is still wanted."""
            if self._current is wanted:
                self._current = None
                self.slow = True
                self._begin()

        self._dispatcher.background(
            lambda: wanted.lab.plan(wanted.draft.sweep(), **wanted.options),
            lambda plan: self._on_answer(wanted, "ready", plan, {}),
            on_error,
            lane="plan",
        )
        self._dispatcher.later(_SLOW, on_slow, key=(id(self), "slow"), move=True)

    def _on_answer(
        self, wanted: PlanRequest, state: str, plan: Plan | None, problems: Mapping[str, str]
    ) -> None:
        """Publish a plan, unless the form has changed meanwhile; then make the next one."""
        if self._current is wanted:
            self._current = None
            self._dispatcher.forget((id(self), "slow"))
        if wanted is self.wanted and self._next is None and self.state == "planning":
            self._finish(state, plan, problems)
        self._begin()

    def _finish(self, state: str, plan: Plan | None, problems: Mapping[str, str]) -> None:
        with self.hold_trait_notifications():
            self.plan, self.problems, self.failed = plan, dict(problems), state == "failed"
            self.state, self.slow = ("wrong" if self.failed else state), False
