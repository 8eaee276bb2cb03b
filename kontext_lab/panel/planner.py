"""Follows what stands in the form with a plan, on another thread: typing never waits for it. Sends nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from traitlets import Bool, Dict, HasTraits, Int, Unicode

from kontext_lab.errors import SweepError
from kontext_lab.panel.form_state import FormError, FormState
from kontext_lab.panel.ui_dispatcher import UiDispatcher
from kontext_lab.panel.widgets import error_text

if TYPE_CHECKING:
    from kontext_lab.lab import Lab
    from kontext_lab.lab.plan import Plan
    from kontext_lab.sweep import Sweep

__all__ = ["PlanRequest", "Planner"]

_REST = 0.3
"""Seconds without a change before a plan is made."""

_PATIENCE = 20.0
"""Seconds after which something is said about a plan that doesn't come, and a newer one waits for it no longer."""


@dataclass(frozen=True)
class PlanRequest:
    """What is planned for: everything that a run would be made of.

    Attributes:
        draft: the form's.
        options: how the run is to be done.
        lab: what would run it.
    """

    draft: FormState
    options: Mapping[str, Any]
    lab: Lab = field(repr=False)


class Planner(HasTraits):
    """The plan for what stands in the form.

    Attributes:
        state: `planning`, `ready` or `wrong`; what is read belongs together when it is not `planning`.
        plan: the newest, or None where there is none.
        wanted: what it is for, or would be.
        revision: counts changes of what is wanted: with the same number, it is the same.
        slow: whether a plan takes unusually long.
        problems: what is wrong by where it stands in the form; "" for the whole.
        failed: whether no plan could be made although nothing is wrong with the form, as without a store.
    """

    state = Unicode("wrong")
    revision = Int(0)
    slow = Bool(False)
    problems = Dict()

    def __init__(self, post: UiDispatcher, lab: Callable[[], Lab]) -> None:
        super().__init__()
        self._post = post
        self._lab = lab
        # No traits: those are compared at every change, and a plan of 10,000 cells takes long for that.
        self.plan: Plan | None = None
        self.wanted: PlanRequest | None = None
        self.failed = False
        self._next: PlanRequest | None = None
        self._at_work: PlanRequest | None = None

    @property
    def sweep(self) -> Sweep | None:
        """What the plan is for, its references fetched: what is run is what was planned."""
        return None if self.plan is None else self.plan.sweep

    def look(
        self,
        draft: FormState,
        options: Mapping[str, Any],
        problems: Mapping[str, str] | None = None,
        *,
        rest: float = _REST,
    ) -> None:
        """Plan for this, once nothing changed for a while; what is wrong with single fields is known at once.

        Args:
            draft: what stands in the form.
            options: how the run is to be done.
            problems: what is wrong with anything that is not in the draft.
            rest: seconds to wait for further changes.
        """
        new = PlanRequest(draft, dict(options), self._lab())
        found = draft.problems() | dict(problems or {})
        with self.hold_trait_notifications():
            if new != self.wanted:
                self.wanted = new
                self.revision += 1
                self.slow = False
            self._next = None if found else self.wanted
            if found:
                self._tell("wrong", None, found)
            else:
                self.state = "planning"
        if not found:
            self._post.later(rest, self._begin, key=(id(self), "plan"), move=True)

    def again(self) -> None:
        """Plan once more for the same, where that failed: what was away may be back."""
        if self.failed:
            self.failed, self._next = False, self.wanted
            self.state = "planning"
            self._begin()

    def _begin(self) -> None:
        if self._next is None or self._at_work is not None:
            return
        wanted, self._next = self._next, None
        self._at_work = wanted

        def work() -> Plan:
            return wanted.lab.plan(wanted.draft.sweep(), **wanted.options)

        self._post.background(
            work,
            lambda plan: self._came(wanted, "ready", plan, {}),
            lambda error: self._failed(wanted, error),
            lane="plan",
        )
        self._post.later(_PATIENCE, lambda: self._slow(wanted), key=(id(self), "slow"), move=True)

    def _failed(self, wanted: PlanRequest, error: Exception) -> None:
        if isinstance(error, SweepError):
            problems = error.problems if isinstance(error, FormError) else {"": str(error)}
            self._came(wanted, "wrong", None, problems)
        else:
            self._came(wanted, "failed", None, {"": error_text(error)})

    def _slow(self, wanted: PlanRequest) -> None:
        """A plan doesn't come: newer ones go ahead, this one is taken if it comes and is still asked for."""
        if self._at_work is wanted:
            self._at_work = None
            self.slow = True
            self._begin()

    def _came(self, wanted: PlanRequest, state: str, plan: Plan | None, problems: Mapping[str, str]) -> None:
        """Say what came, unless the form has changed meanwhile: then plan for that."""
        if self._at_work is wanted:
            self._at_work = None
            self._post.forget((id(self), "slow"))
        if wanted is self.wanted and self._next is None and self.state == "planning":
            self._tell(state, plan, problems)
        self._begin()

    def _tell(self, state: str, plan: Plan | None, problems: Mapping[str, str]) -> None:
        with self.hold_trait_notifications():
            self.plan, self.problems, self.failed = plan, dict(problems), state == "failed"
            self.state, self.slow = ("wrong" if self.failed else state), False
