"""Sending failed cells again: the price is asked for in advance, and a run never starts at another one."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from kontext_lab.errors import AlreadyRunning, ConfigError
from kontext_lab.panel.form import Form
from kontext_lab.panel.session import Session
from kontext_lab.panel.widgets import Section, TextLine, show_if
from kontext_lab.results import Results, State

if TYPE_CHECKING:
    from kontext_lab.lab import Lab
    from kontext_lab.lab.plan import Plan
    from kontext_lab.sweep import Sweep

__all__ = ["Retry"]

RetryInput = tuple["Lab", "Sweep", dict[str, Any]]
"""Lab, sweep and options of a retry."""


class Retry:
    """Keeps the price of retrying the results on show up to date; `ask` runs a plan, after a question if it costs much.

    Errors are shown in `section`.
    """

    def __init__(
        self,
        session: Session,
        form: Form,
        ask: Callable[[Plan, Lab], None],
        section: Section,
    ) -> None:
        self._session, self._form, self._ask, self._section = session, form, ask, section
        self.price = TextLine(kind="muted")
        self.is_pressed = False
        self._input: RetryInput | None = None
        self._plan: Plan | None = None

    @property
    def is_possible(self) -> bool:
        """True if failed cells are on show that the service in use can repeat."""
        return not self._why_not()

    def _why_not(self) -> str:
        session = self._session
        results: Results | None = session.results
        if results is None or session.sweep is None or not results.counts[State.FAILED]:
            return "there is nothing to retry: no sweep with failed cells is on show"
        services = {cell.service for cell in results}
        if services != {session.lab.context.service_name}:
            where = ", ".join(sorted(services))
            return f"the failed cells were sent to {where}: switch to that service to send them again"
        return ""

    def press(self) -> None:
        """Send failed cells again; asks first if it costs much, once the price is known.

        Raises:
            AlreadyRunning: a run is under way.
            ConfigError: nothing failed, or another service was used.
        """
        if self._session.busy:
            raise AlreadyRunning("a sweep is running: retry failed cells when it has ended")
        why = self._why_not()
        if why:
            raise ConfigError(why)
        if self._input != self._current_input():  # the form's options may have changed
            self._find_price()
        if self._plan is None:
            self.is_pressed = True
        else:
            self._ask_to_run()

    def decline(self) -> None:
        """Forget that it was pressed."""
        self.is_pressed = False

    def follow(self, changed: str | None) -> None:
        """Find the price anew after a trait of the session changed."""
        if changed in ("results", "lab", "state"):
            self._input, self._plan, self.is_pressed = None, None, False
            self.price.say("")
        if changed in ("results", "ends", "lab") and not self._session.busy and self.is_possible:
            self._find_price()
        self._show_price()

    def _show_price(self) -> None:
        show_if(self.price.text and not self._session.busy and self.is_possible, self.price)

    def _current_input(self) -> RetryInput:
        options = {**self._form.options, "retry_failed": True, "reuse": "always"}
        return self._session.lab, self._session.sweep, options

    def _find_price(self) -> None:
        self._plan = None
        self.price.say("")
        current = self._input = self._current_input()
        lab, sweep, options = current

        def on_plan(plan: Plan) -> None:
            if current is not self._input:
                return  # other results are on show by now
            self._plan = plan
            money = "free: simulated" if plan.simulated else f"≈ ${plan.cost:.2f}"
            self.price.say(f"{plan.requests} to send, {money}")
            self._show_price()
            if self.is_pressed:
                self.is_pressed = False
                self._ask_to_run()

        def on_error(error: Exception) -> None:
            if current is self._input:
                self._input, self.is_pressed = None, False
                self._section.show(error)

        self._section.background(lambda: lab.plan(sweep, **options), on_plan, on_error, lane="plan")

    def _ask_to_run(self) -> None:
        plan, current = self._plan, self._input
        if plan is not None and current is not None:
            self._ask(plan, current[0])
