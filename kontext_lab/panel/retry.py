"""Sending failed cells again: what it would cost, found out beforehand, and never started at another price.

Knows one widget: the line of the price.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from kontext_lab.errors import AlreadyRunning, ConfigError
from kontext_lab.panel.layouts import show_if
from kontext_lab.panel.session import Session
from kontext_lab.panel.ui_dispatcher import UiDispatcher
from kontext_lab.panel.widgets import TextLine
from kontext_lab.results import Results, State

if TYPE_CHECKING:
    from kontext_lab.lab import Lab
    from kontext_lab.lab.plan import Plan
    from kontext_lab.sweep import Sweep

__all__ = ["ConfirmPrompt", "Retry", "RetryRequest"]

Wish = tuple["Lab", "Sweep", dict[str, Any]]
"""What would run which sweep again, and how."""


@dataclass(frozen=True)
class RetryRequest:
    """A button that was pressed.

    Attributes:
        button: its text.
        revision: of the form in that moment.
        was_asked: whether a question about it stood open.
    """

    button: str
    revision: int
    was_asked: bool = False


@dataclass(frozen=True)
class ConfirmPrompt:
    """What is asked before paying.

    Attributes:
        plan: what a yes starts.
        lab: the lab that made it.
        pressed: the button it is about, where it is about the form.
    """

    plan: Plan
    lab: Lab
    pressed: RetryRequest | None = None

    @property
    def line(self) -> str:
        """The question itself."""
        many = "1 request" if self.plan.requests == 1 else f"{self.plan.requests} requests"
        return "\n".join((*self.plan.sources, f"{many} to the real API, ≈ ${self.plan.cost:.2f}."))


class Retry:
    """Follows the results on show with the price of sending what failed again.

    Args:
        session: whose results.
        post: the widgets' thread.
        options: how a run is to be done, as the form says.
        ask: asks before paying, where it costs much.
        trouble: told of what went wrong.
    """

    def __init__(
        self,
        session: Session,
        post: UiDispatcher,
        options: Callable[[], dict[str, Any]],
        ask: Callable[[ConfirmPrompt], None],
        trouble: Callable[[Exception], None],
    ) -> None:
        self._session, self._post, self._options = session, post, options
        self._ask, self._trouble = ask, trouble
        self.price = TextLine(kind="muted")
        self.is_pressed = False
        self._wish: Wish | None = None
        self._plan: Plan | None = None

    @property
    def is_possible(self) -> bool:
        """Whether there is something to retry."""
        return not self._why_not()

    def _why_not(self) -> str:
        session = self._session
        results: Results | None = session.results
        if results is None or session.sweep is None or not results.counts[State.FAILED]:
            return "there is nothing to retry: no sweep with failed cells is on show"
        services = {cell.service for cell in results}
        if services != {session.lab.context.service_name}:
            where = ", ".join(sorted(services))
            return f"what failed was sent to {where}: switch to that service to send it again"
        return ""

    def press(self) -> None:
        """Send them again; asks first where it costs much, once the price is known.

        Raises:
            AlreadyRunning: not before the run under way has ended.
            ConfigError: there is nothing, or it is another service's.
        """
        if self._session.busy:
            raise AlreadyRunning("a sweep is under way: what failed can be sent again when it has ended")
        why = self._why_not()
        if why:
            raise ConfigError(why)
        if self._wish != self._wanted():  # the form's options may have changed
            self._find_price()
        if self._plan is None:
            self.is_pressed = True
        else:
            self._go_on()

    def decline(self) -> None:
        """Forget that it was pressed."""
        self.is_pressed = False

    def follow(self, changed: str | None) -> None:
        """The session changed: the price is that of what is on show now, at the service in use now."""
        if changed in ("results", "lab", "state"):
            self._wish, self._plan, self.is_pressed = None, None, False
            self.price.say("")
        if changed in ("results", "ends", "lab") and not self._session.busy and self.is_possible:
            self._find_price()
        self._show_price()

    def _show_price(self) -> None:
        there = bool(self.price.text) and not self._session.busy and self.is_possible
        show_if(there, self.price)

    def _wanted(self) -> Wish:
        options = {**self._options(), "retry_failed": True, "reuse": "always"}
        return self._session.lab, self._session.sweep, options

    def _find_price(self) -> None:
        self._plan = None
        self.price.say("")
        wish = self._wish = self._wanted()
        lab, sweep, options = wish
        self._post.background(
            lambda: lab.plan(sweep, **options),
            partial(self._priced, wish),
            partial(self._unpriced, wish),
            lane="plan",
        )

    def _priced(self, wish: Wish, plan: Plan) -> None:
        if wish is not self._wish:
            return  # of what was on show before
        self._plan = plan
        money = "free: simulated" if plan.simulated else f"≈ ${plan.cost:.2f}"
        self.price.say(f"{plan.requests} to send, {money}")
        self._show_price()
        if self.is_pressed:
            self.is_pressed = False
            try:
                self._go_on()
            except Exception as error:
                self._trouble(error)

    def _unpriced(self, wish: Wish, error: Exception) -> None:
        if wish is self._wish:
            self._wish, self.is_pressed = None, False
            self._trouble(error)

    def _go_on(self) -> None:
        plan, wish = self._plan, self._wish
        if plan is not None and wish is not None:
            self._ask(ConfirmPrompt(plan, wish[0]))
