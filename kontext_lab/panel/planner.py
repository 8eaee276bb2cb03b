"""Follows what stands in the form with a plan, on another thread: typing never waits for it. Sends nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from traitlets import Any as AnyTrait
from traitlets import Dict, HasTraits, Unicode

from kontext_lab.panel.draft import Draft, DraftError
from kontext_lab.panel.parts import in_words
from kontext_lab.panel.post import Post

if TYPE_CHECKING:
    from kontext_lab.lab import Lab
    from kontext_lab.plan import Plan
    from kontext_lab.sweep import Sweep

__all__ = ["Planner"]

_REST = 0.3
"""Seconds without a change before a plan is made."""


class Planner(HasTraits):
    """The plan for what stands in the form.

    Attributes:
        state: `planning`, `ready` or `wrong`; what is read belongs together when it is not `planning`.
        plan: the newest, or None where there is none.
        sweep: the newest, or None.
        problems: what is wrong by where it stands in the form; "" for the whole.
    """

    state = Unicode("wrong")
    plan = AnyTrait(None, allow_none=True)
    sweep = AnyTrait(None, allow_none=True)
    problems = Dict()

    def __init__(self, post: Post, lab: Callable[[], Lab]) -> None:
        super().__init__()
        self._post = post
        self._lab = lab
        self._wanted: tuple[Draft, Mapping[str, Any]] | None = None
        self._at_work = False

    def look(self, draft: Draft, options: Mapping[str, Any], *, rest: float = _REST) -> None:
        """Plan for this, once nothing changed for a while; what is wrong with single fields is known at once."""
        self._wanted = (draft, dict(options))
        problems = draft.problems()
        if problems:
            self._wanted = None
            self._tell("wrong", None, None, problems)
            return
        self.state = "planning"
        self._post.later(rest, self._begin, key=(id(self), "plan"), move=True)

    def _begin(self) -> None:
        if self._wanted is None or self._at_work:
            return
        (draft, options), self._wanted, self._at_work = self._wanted, None, True
        lab = self._lab()

        def work() -> tuple[Sweep, Plan]:
            sweep = draft.sweep()
            return sweep, lab.plan(sweep, **options)

        self._post.background(work, self._planned, self._failed)

    def _planned(self, made: tuple[Sweep, Plan]) -> None:
        sweep, plan = made
        self._end(lambda: self._tell("ready", plan, sweep, {}))

    def _failed(self, error: Exception) -> None:
        found = error.problems if isinstance(error, DraftError) else {"": in_words(error)}
        self._end(lambda: self._tell("wrong", None, None, found))

    def _end(self, tell: Callable[[], None]) -> None:
        """Say what came, unless the form has changed meanwhile: then plan for that."""
        self._at_work = False
        if self._wanted is not None:
            self._begin()
        elif self.state == "planning":
            tell()

    def _tell(self, state: str, plan: Plan | None, sweep: Sweep | None, problems: Mapping[str, str]) -> None:
        with self.hold_trait_notifications():
            self.plan, self.sweep, self.problems = plan, sweep, dict(problems)
            self.state = state
