"""The bar below the form: plan, buttons Run, Stop and Retry failed, and progress."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Any

from ipywidgets import HTML

from kontext_lab.errors import AlreadyRunning, ConfigError
from kontext_lab.lab import Lab
from kontext_lab.lab.plan import Plan
from kontext_lab.panel.form import Form
from kontext_lab.panel.planner import Planner
from kontext_lab.panel.session import Session
from kontext_lab.panel.widgets import Section, TextLine, plain, row, show_if
from kontext_lab.results import Results, State
from kontext_lab.sweep import Sweep

__all__ = ["RunBar", "meter", "progress_line"]

_TICK = 0.5
"""Seconds between two updates of the time left."""

_WAITING = (
    "Other cells can be executed meanwhile: until they end, clicks and redraws wait, the sweep does not. "
    "panel.wait() shows what comes."
)

_RetryInput = tuple["Lab", Sweep, dict[str, Any]]
"""Lab, sweep and options of a retry."""


@dataclass(frozen=True)
class _PressedButton:
    """A button that waits for the plan."""

    text: str
    revision: int  # of the form when it was pressed
    was_asked: bool = False  # a question about it was open


@dataclass(frozen=True)
class _Question:
    """A question before paying, and the button that it is about; None for *Retry failed*."""

    plan: Plan
    lab: Lab
    pressed: _PressedButton | None

    @property
    def line(self) -> str:
        plan = self.plan
        many = "1 request" if plan.requests == 1 else f"{plan.requests} requests"
        return "\n".join((*plan.sources, f"{many} to the real API, ≈ ${plan.cost:.2f}."))


class RunBar(Section):
    """The line of the plan, the buttons, the line of progress."""

    def __init__(self, session: Session, planner: Planner, form: Form) -> None:
        super().__init__(session.dispatcher)
        self._session, self._planner, self._form = session, planner, form
        self._asked: _Question | None = None
        self._pressed: _PressedButton | None = None
        self.plan, self.warnings, self.reason = TextLine(), TextLine(kind="warning"), TextLine(kind="muted")
        self.run_button = self.button("Run", self.run, "Send what the plan says", primary=True)
        self.one_button = self.button("Try 1 first", self.try_one, "Send a single request of this sweep")
        self.stop_button = self.button("Stop", self.stop, "Send nothing more; what is under way is kept")
        self.retry_button = self.button("Retry failed", self.retry_failed, "Send failed cells again")
        self.retry_price = TextLine(kind="muted")
        self._retry_input: _RetryInput | None = None
        self._retry_plan: Plan | None = None
        self._retry_pressed = False
        self.question = TextLine(kind="warning")
        self.yes_button = self.button("Pay and run", self.confirm, "Yes, start it", primary=True)
        self.no_button = self.button("Not now", self.decline, "Start nothing")
        self.meter = HTML(**plain(HTML, margin="0", width="100%"))
        self.progress, self.hint, self.notes = TextLine(), TextLine(kind="muted"), TextLine(kind="warning")
        started = (self.run_button, self.one_button, self.stop_button, self.retry_button)
        buttons = row(*started, self.retry_price)
        self._question_row = row(self.question, self.yes_button, self.no_button)
        upper = (self.plan, self.warnings, buttons, self.reason, self._question_row)
        self.fill([*upper, self.meter, self.progress, self.hint, self.notes])
        traits = ["lab", "state", "results", "queue", "line", "beat", "ends"]
        session.observe(self.watched(self._on_session), names=traits)
        self.follow(planner, self._on_plan, "state", "problems", "revision", "slow")
        self._show_question()
        self._on_plan()
        self._on_session()

    # The buttons.

    def run(self) -> None:
        """Run the sweep in the form, after the current run; asks first if it costs much."""
        self._press("Run")

    def resume(self, sweep: Sweep) -> None:
        """Put a sweep into the form and run it, which sends what is missing; asks first if it costs much."""
        self._form.more.reuse_again()
        self._form.load(sweep)
        self.run()

    def try_one(self) -> None:
        """Send a single request of it."""
        self._press("Try 1 first")

    def stop(self) -> None:
        """Send nothing more."""
        self.decline()
        self._session.stop()

    def retry_failed(self) -> None:
        """Send the failed cells of the results on show again, also those that were billed without a picture."""
        if self._session.busy:
            raise AlreadyRunning("a sweep is running: retry failed cells when it has ended")
        problem = self._retry_problem()
        if problem:
            raise ConfigError(problem)
        if self._retry_input != self._current_retry_input():  # the form's options may have changed
            self._find_retry_price()
        self._retry_pressed = True
        self._act_on_retry_plan()
        self._show_buttons()

    def confirm(self) -> None:
        """Say yes to the question."""
        if self._asked is not None:
            asked = self._asked
            self.decline()
            self._session.run(asked.plan, asked.lab)

    def decline(self) -> None:
        """Say no to the question, and forget the button that was pressed."""
        self._asked, self._pressed, self._retry_pressed = None, None, False
        self._show_question()

    @property
    def waits_for_plan(self) -> bool:
        """True if a button was pressed that acts as soon as the plan is ready."""
        return self._pressed is not None or self._retry_pressed

    def _press(self, button: str) -> None:
        planner = self._planner
        self._form.settle()
        planner.retry()
        if planner.state == "wrong":
            raise ConfigError(f"nothing is run: {self._why_not()}")
        self.decline()
        self._pressed = _PressedButton(button, planner.revision)
        self._on_plan()

    def _run_or_ask(self, plan: Plan, lab: Lab, pressed: _PressedButton | None = None) -> None:
        """Run a plan; ask first if it costs much, or if a question about it was open."""
        was_asked = pressed is not None and pressed.was_asked
        if not was_asked and (lab.simulated or plan.cost <= lab.context.confirm_above):
            self._session.run(plan, lab)
            return
        self._asked = _Question(plan, lab, pressed and replace(pressed, was_asked=True))
        self._show_question()

    def _show_question(self) -> None:
        self.question.say(self._asked.line if self._asked else "")
        show_if(self._asked, self._question_row)

    # The lines.

    def _on_plan(self) -> None:
        planner = self._planner
        plan = planner.plan if planner.state != "wrong" else None
        if planner.state != "planning":
            self.plan.say("\n".join((plan.line, *plan.sources)) if plan is not None else "")
            self.warnings.say("\n".join(plan.warnings) if plan is not None else "")
        self._act_on_plan()
        self._show_buttons()

    def _act_on_plan(self) -> None:
        """Run or ask if a button waits for the plan; a button and a question hold for the form as it was then."""
        planner, asked = self._planner, self._asked
        if asked is not None and asked.pressed is not None and planner.state != "ready":
            self._asked = None
            self._pressed = asked.pressed  # asked again with the new plan, if the form is the same
            self._show_question()
        if self._pressed is None:
            return
        pressed = self._pressed
        if pressed.revision != planner.revision or planner.state == "wrong":
            self._pressed = None
            if not pressed.was_asked and planner.state != "wrong":
                self.trouble.say(
                    f"{pressed.text} was pressed before the form changed: nothing is sent, press it again"
                )
        elif planner.state == "ready":
            self._pressed = None
            plan, wanted = planner.plan, planner.wanted
            if plan is not None and wanted is not None:
                self._run_or_ask(plan if pressed.text == "Run" else plan.head(1), wanted.lab, pressed)

    def _why_not(self) -> str:
        """The reason why Run can't be pressed, or ""."""
        if self._planner.state != "wrong":
            return ""
        problems = list(self._planner.problems.values())
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        return f"{problems[0]}{more}" if problems else "there is no sweep yet"

    def _show_buttons(self) -> None:
        session, why = self._session, self._why_not()
        # If the form has no problem but no plan could be made, a press tries again.
        self.run_button.disabled = self.one_button.disabled = bool(why) and not self._planner.failed
        usual = "Run after what is under way" if session.busy else "Send what the plan says"
        self.run_button.tooltip = why or usual
        self.stop_button.disabled = not session.busy and not self.waits_for_plan
        slow = " the store or the service takes long to answer" if self._planner.slow else ""
        waiting = f"making the plan …{slow}" if self._planner.state == "planning" else ""
        self.reason.say(why or waiting)
        plan = self._planner.plan
        show_if(plan is not None and plan.requests > 1, self.one_button)

    def _on_session(self, change: Any = None) -> None:
        name = None if change is None else change["name"]
        if name in ("results", "lab", "state") and self._asked is not None and self._asked.pressed is None:
            self._asked = None  # other results are on show, or another service would answer
            self._show_question()
        if name in ("results", "lab", "state"):
            self._retry_input, self._retry_plan, self._retry_pressed = None, None, False
            self.retry_price.say("")
        if name in ("results", "ends", "lab") and not self._session.busy and not self._retry_problem():
            self._find_retry_price()
        if name != "beat":
            self._show_retry()
        self._show_progress()
        self._show_buttons()

    # Sending failed cells again: the price is asked for in advance, and a run never starts at another one.

    def _retry_problem(self) -> str:
        """The reason why failed cells on show can't be sent again, or ""."""
        session = self._session
        results = session.results
        if results is None or session.sweep is None or not results.counts[State.FAILED]:
            return "there is nothing to retry: no sweep with failed cells is on show"
        services = {cell.service for cell in results}
        if services != {session.lab.context.service_name}:
            where = ", ".join(sorted(services))
            return f"the failed cells were sent to {where}: switch to that service to send them again"
        return ""

    def _show_retry(self) -> None:
        possible = not self._session.busy and not self._retry_problem()
        show_if(possible, self.retry_button)
        show_if(possible and self.retry_price.text, self.retry_price)

    def _current_retry_input(self) -> _RetryInput:
        sweep = self._session.sweep
        assert sweep is not None  # else there is nothing to retry
        return self._session.lab, sweep, {**self._form.more.options, "retry_failed": True, "reuse": "always"}

    def _find_retry_price(self) -> None:
        self._retry_plan = None
        self.retry_price.say("")
        current = self._retry_input = self._current_retry_input()
        lab, sweep, options = current

        def on_plan(plan: Plan) -> None:
            if current is not self._retry_input:
                return  # other results are on show by now
            self._retry_plan = plan
            money = "free: simulated" if plan.simulated else f"≈ ${plan.cost:.2f}"
            self.retry_price.say(f"{plan.requests} to send, {money}")
            self._show_retry()
            self._act_on_retry_plan()

        def on_error(error: Exception) -> None:
            if current is self._retry_input:
                self._retry_input, self._retry_pressed = None, False
                self.show(error)

        self.background(lambda: lab.plan(sweep, **options), on_plan, on_error, lane="plan")

    def _act_on_retry_plan(self) -> None:
        """Run or ask if *Retry failed* waits for its plan."""
        plan, current = self._retry_plan, self._retry_input
        if self._retry_pressed and plan is not None and current is not None:
            self._retry_pressed = False
            self._run_or_ask(plan, current[0])

    # Progress.

    def _show_progress(self) -> None:
        """Show counts and time left, again and again while a sweep runs."""
        session, results = self._session, self._session.results
        words = [progress_line(results, self._seconds_left())] if results is not None else []
        if session.state == "starting":
            words = ["starting …"]
        elif session.state == "stopping":
            words.append("stopping: waiting for what is under way; Stop once more leaves that to the journal")
        self.hint.say(_WAITING if session.busy else "")
        if session.queue:
            names = ", ".join(order.plan.sweep.name for order in session.queue)
            words.append(f"{len(session.queue)} waiting: {names}")
        self.progress.say(" · ".join(words))
        self.notes.say(session.line)
        self.meter.value = meter(results) if results is not None and len(results) else ""
        if session.busy:
            self.dispatcher.later(_TICK, self._show_progress, key=(id(self), "tick"))

    def _seconds_left(self) -> float | None:
        """Seconds left at the speed so far; None if that is unknown."""
        session = self._session
        if session.state != "running" or session.results is None:
            return None
        sent = [cell for cell in session.results if not cell.reused_from]
        done = sum(cell.latency_s is not None and cell.state.is_finished for cell in sent)
        left = sum(not cell.state.is_finished for cell in session.results)
        took = time.monotonic() - session.began
        return left * took / done if done and left else None


def progress_line(results: Results, seconds: float | None) -> str:
    """Counts, money and seconds left, if they are known."""
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
    if results.measuring and ended == len(results):
        parts.append(f"measuring, {results.measuring} to go")
    return " · ".join(parts)


_METER = (
    (State.DONE, "done"),
    (State.FAILED, "failed"),
    (State.IN_DOUBT, "in-doubt"),
    (State.SKIPPED, "skipped"),
    (State.CANCELLED, "skipped"),
    (State.RUNNING, "running"),
)


def meter(results: Results) -> str:
    """Counts as bars; the line below has them in words."""
    counts = results.counts
    ended = sum(counts[state] for state, _ in _METER[:-1])
    bars = "".join(
        f'<span class="kl-meter-{name}" style="width:{100 * counts[state] / len(results):.2f}%"></span>'
        for state, name in _METER
        if counts[state]
    )
    now = f'aria-valuemin="0" aria-valuemax="{len(results)}" aria-valuenow="{ended}"'
    return f'<div class="kl-meter" role="progressbar" aria-label="cells ended" {now}>{bars}</div>'
