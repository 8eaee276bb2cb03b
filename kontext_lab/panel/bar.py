"""Plan, buttons and progress: what a run would cost, how to start and stop it, how far it is."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ipywidgets import HTML, Layout

from kontext_lab.errors import ConfigError
from kontext_lab.panel.parts import Line, Room, row
from kontext_lab.panel.planner import Planner
from kontext_lab.panel.post import Post
from kontext_lab.panel.session import Session
from kontext_lab.results import Results, State

if TYPE_CHECKING:
    from kontext_lab.plan import Plan

__all__ = ["Bar"]

_TICK = 0.5
"""Seconds between two looks at the clock while a sweep runs."""

_WAITING = (
    "Other cells can be executed meanwhile: until they end, clicks and redraws wait, the sweep does not. "
    "panel.wait() shows what comes."
)

_RETRIED = (State.FAILED,)


class Bar(Room):
    """The line of the plan, the buttons, the line of progress.

    Args:
        session: what is run.
        planner: what would be run.
        post: the widgets' thread.
        options: how a run is to be done, as the form says.
    """

    def __init__(
        self, session: Session, planner: Planner, post: Post, options: Callable[[], dict[str, Any]]
    ) -> None:
        super().__init__()
        self._session, self._planner, self._post, self._options = session, planner, post, options
        self._price: float | None = None
        self._asked: tuple[str, Callable[[], None]] | None = None
        self._pressed: Callable[[], None] | None = None
        self.plan, self.warnings, self.reason = Line(), Line(kind="warning"), Line(kind="muted")
        self.run_button = self.button("Run", self.run, "Send what the plan says", primary=True)
        self.one_button = self.button("Try 1 first", self.try_one, "Send a single request of this sweep")
        self.stop_button = self.button("Stop", self.stop, "Send nothing more; what is under way is kept")
        self.retry_button = self.button("Retry failed", self.retry_failed, "Send failed cells again")
        self.retry_price = Line(kind="muted")
        self.question = Line(kind="warning")
        self.yes_button = self.button("Pay and run", self.confirm, "Yes, start it", primary=True)
        self.no_button = self.button("Not now", self.decline, "Start nothing")
        self.meter, self.progress, self.notes = HTML(), Line(), Line(kind="warning")
        self.hint = Line(kind="muted")
        self.meter.layout = Layout(margin="0", width="100%")
        buttons = row(self.run_button, self.one_button, self.stop_button, self.retry_button, self.retry_price)
        self._question_row = row(self.question, self.yes_button, self.no_button)
        self.fill(
            [
                self.plan,
                self.warnings,
                buttons,
                self.reason,
                self._question_row,
                self.meter,
                self.progress,
                self.hint,
                self.notes,
            ]
        )
        session.observe(
            self.guarded(self._on_session), names=["state", "results", "queue", "line", "beat", "ends"]
        )
        planner.observe(self.guarded(self._on_plan), names=["state", "problems"])
        self._show_question()
        self._on_plan()
        self._on_session()

    # What the buttons do.

    def run(self) -> None:
        """Run what stands in the form, after what is under way; asks first where it costs much."""
        self._when_planned(lambda: self._ask_or({}))

    def try_one(self) -> None:
        """Send a single request of it."""
        self._when_planned(lambda: self._ask_or({"limit": 1}))

    def stop(self) -> None:
        """Send nothing more."""
        self._pressed = None
        self.decline()
        self._session.stop()

    def retry_failed(self) -> None:
        """Send the failed cells of the results on show again, also those that were billed without a picture."""
        session = self._session
        if session.sweep is None:
            raise ConfigError("there is nothing to retry: no sweep is on show")
        options = {**self._options(), "retry_failed": True, "reuse": "always"}
        sweep, price = session.sweep, self._price or 0.0
        self._ask_about(price, self._failed, lambda: session.run(sweep, **options))

    def confirm(self) -> None:
        """Yes to what was asked."""
        if self._asked is not None:
            _, start = self._asked
            self.decline()
            start()

    def decline(self) -> None:
        """No to what was asked."""
        self._asked = None
        self._show_question()

    @property
    def waits_for_plan(self) -> bool:
        """Whether something was pressed that starts as soon as the plan is there."""
        return self._pressed is not None

    def _when_planned(self, do: Callable[[], None]) -> None:
        if self._planner.state == "planning":
            self._pressed = do
            self._on_plan()
        elif self._planner.state == "ready":
            do()
        else:
            raise ConfigError(f"nothing is run: {self._why_not()}")

    def _ask_or(self, more: dict[str, Any]) -> None:
        plan, sweep = self._planner.plan, self._planner.sweep
        options = {**self._options(), **more}
        cost = plan.cost if "limit" not in more else plan.cost / max(1, plan.requests)
        count = min(plan.requests, more.get("limit", plan.requests))
        self._ask_about(cost, count, lambda: self._session.run(sweep, **options))

    def _ask_about(self, cost: float, requests: int, start: Callable[[], None]) -> None:
        lab = self._session.lab
        if lab.simulated or cost <= lab.confirm_above:
            start()
            return
        many = "1 request" if requests == 1 else f"{requests} requests"
        self._asked = (f"{many} to the real API, ≈ ${cost:.2f}.", start)
        self._show_question()

    def _show_question(self) -> None:
        self.question.say(self._asked[0] if self._asked else "")
        self._question_row.layout.display = None if self._asked else "none"

    # What is shown.

    def _on_plan(self, _: object = None) -> None:
        planner = self._planner
        if planner.state == "ready":
            self.plan.say(planner.plan.line)
            self.warnings.say("\n".join(planner.plan.warnings))
        elif planner.state == "wrong":
            self.plan.say("")
            self.warnings.say("")
        if self._asked is not None and planner.state != "ready":
            self.decline()  # what was asked about is not what stands there any more
        if planner.state != "planning" and self._pressed is not None:
            pressed, self._pressed = self._pressed, None
            if planner.state == "ready":
                pressed()
        self._show_buttons()

    def _why_not(self) -> str:
        """Why Run can't be pressed; "" where it can."""
        if self._planner.state != "wrong":
            return ""
        problems = list(self._planner.problems.values())
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        return f"{problems[0]}{more}" if problems else "there is no sweep yet"

    def _show_buttons(self) -> None:
        session, why = self._session, self._why_not()
        self.run_button.disabled = self.one_button.disabled = bool(why)
        self.run_button.tooltip = why or (
            "Run after what is under way" if session.busy else "Send what the plan says"
        )
        self.stop_button.disabled = not session.busy and self._pressed is None
        waiting = "making the plan …" if self._planner.state == "planning" else ""
        self.reason.say(why or waiting)
        plan = self._planner.plan
        single = plan is not None and plan.requests > 1
        self.one_button.layout.display = None if single else "none"

    @property
    def _failed(self) -> int:
        results: Results | None = self._session.results
        return 0 if results is None else sum(results.counts[state] for state in _RETRIED)

    def _on_session(self, change: Any = None) -> None:
        session = self._session
        self._show_progress()
        self._show_buttons()
        retry = self._failed > 0 and not session.busy and session.sweep is not None
        self.retry_button.layout.display = None if retry else "none"
        self.retry_price.layout.display = None if retry and self.retry_price.text else "none"
        if retry and change is not None and change["name"] in ("results", "ends"):
            self._find_price()
        if session.busy:
            self._post.later(_TICK, self._tick, key=(id(self), "tick"))

    def _tick(self) -> None:
        if self._session.busy:
            self._show_progress()
            self._post.later(_TICK, self._tick, key=(id(self), "tick"))

    def _find_price(self) -> None:
        """What sending the failed ones again would cost."""
        lab, sweep = self._session.lab, self._session.sweep
        self._price = None
        self.retry_price.say("")
        options = {**self._options(), "retry_failed": True, "reuse": "always"}
        self._post.background(lambda: lab.plan(sweep, **options), self.guarded(self._priced), self.show)

    def _priced(self, plan: Plan) -> None:
        self._price = plan.cost
        money = "free: simulated" if plan.simulated else f"≈ ${plan.cost:.2f}"
        self.retry_price.say(f"{plan.requests} to send, {money}")
        if self.retry_button.layout.display == "none":
            self.retry_price.layout.display = "none"

    def _show_progress(self) -> None:
        session, results = self._session, self._session.results
        words = [_progress_line(results, self._seconds_left())] if results is not None else []
        if session.state == "starting":
            words = ["starting …"]
        elif session.state == "stopping":
            words.append("stopping: waiting for what is under way; Stop once more leaves that to the journal")
        self.hint.say(_WAITING if session.busy else "")
        if session.queue:
            names = ", ".join(order.sweep.name for order in session.queue)
            words.append(f"{len(session.queue)} waiting: {names}")
        self.progress.say(" · ".join(words))
        self.notes.say(session.line)
        self.meter.value = _meter(results) if results is not None and len(results) else ""

    def _seconds_left(self) -> float | None:
        """By what it took so far; None while there is nothing to judge by."""
        session = self._session
        if session.state != "running" or session.results is None:
            return None
        sent = [cell for cell in session.results if not cell.reused_from]
        done = sum(cell.latency_s is not None and cell.state.is_finished for cell in sent)
        left = sum(not cell.state.is_finished for cell in session.results)
        took = time.monotonic() - session.began
        return left * took / done if done and left else None


def _progress_line(results: Results, seconds: float | None) -> str:
    counts = results.counts
    ended = sum(1 for cell in results if cell.state.is_finished and cell.state is not State.CANCELLED)
    parts = [f"{ended}/{len(results)}", f"${results.spent or results.cost:.2f}"]
    if results.simulated:
        parts[1] += " (simulated)"
    if seconds is not None:
        parts.append(f"{seconds:.0f} s left" if seconds < 90 else f"{seconds / 60:.0f} min left")
    parts += [f"{counts[State.FAILED]} failed", f"{counts[State.IN_DOUBT]} in doubt"]
    parts += [f"{counts[state]} {state}" for state in (State.CANCELLED, State.SKIPPED) if counts[state]]
    reused = sum(1 for cell in results if cell.reused_from)
    if reused:
        parts.append(f"{reused} reused")
    return " · ".join(parts)


_METER = (
    (State.DONE, "done"),
    (State.FAILED, "failed"),
    (State.IN_DOUBT, "in-doubt"),
    (State.SKIPPED, "skipped"),
    (State.CANCELLED, "skipped"),
    (State.RUNNING, "running"),
)


def _meter(results: Results) -> str:
    """How far it is, as bars; the words are in the line below."""
    counts = results.counts
    ended = sum(counts[state] for state, _ in _METER[:-1])
    bars = "".join(
        f'<span class="kl-meter-{name}" style="width:{100 * counts[state] / len(results):.2f}%"></span>'
        for state, name in _METER
        if counts[state]
    )
    now = f'aria-valuemin="0" aria-valuemax="{len(results)}" aria-valuenow="{ended}"'
    return f'<div class="kl-meter" role="progressbar" aria-label="cells ended" {now}>{bars}</div>'
