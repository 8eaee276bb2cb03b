"""The bar below the form: plan, buttons Run, Stop and Retry failed, and progress."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

from ipywidgets import HTML

from kontext_lab.errors import ConfigError
from kontext_lab.panel.form import Form
from kontext_lab.panel.planner import Planner
from kontext_lab.panel.retry import ConfirmPrompt, PressedButton, Retry
from kontext_lab.panel.session import Session
from kontext_lab.panel.widgets import Section, TextLine, plain, row, show_if
from kontext_lab.results import Results, State
from kontext_lab.sweep import Sweep

__all__ = ["RunBar", "meter", "progress_line"]


_TICK = 0.5
"""Seconds between two looks at the clock while a sweep runs."""

_WAITING = (
    "Other cells can be executed meanwhile: until they end, clicks and redraws wait, the sweep does not. "
    "panel.wait() shows what comes."
)


class RunBar(Section):
    """The line of the plan, the buttons, the line of progress.

    Args:
        session: what is run.
        planner: what would be run.
        form: has the run options.
    """

    def __init__(self, session: Session, planner: Planner, form: Form) -> None:
        super().__init__()
        self._session, self._planner, self._form = session, planner, form
        self._asked: ConfirmPrompt | None = None
        self._pressed: PressedButton | None = None
        self.plan, self.warnings, self.reason = TextLine(), TextLine(kind="warning"), TextLine(kind="muted")
        self.run_button = self.button("Run", self.run, "Send what the plan says", primary=True)
        self.one_button = self.button("Try 1 first", self.try_one, "Send a single request of this sweep")
        self.stop_button = self.button("Stop", self.stop, "Send nothing more; what is under way is kept")
        self.retry_button = self.button("Retry failed", self.retry_failed, "Send failed cells again")
        self.retrying = Retry(session, form, self._ask_about, self.show)
        self.question = TextLine(kind="warning")
        self.yes_button = self.button("Pay and run", self.confirm, "Yes, start it", primary=True)
        self.no_button = self.button("Not now", self.decline, "Start nothing")
        self.meter, self.progress, self.notes = (
            HTML(**plain(HTML, margin="0", width="100%")),
            TextLine(),
            TextLine(kind="warning"),
        )
        self.hint = TextLine(kind="muted")
        buttons = row(
            self.run_button, self.one_button, self.stop_button, self.retry_button, self.retrying.price
        )
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
            self.watched(self._on_session), names=["lab", "state", "results", "queue", "line", "beat", "ends"]
        )
        planner.observe(self.watched(self._on_plan), names=["state", "problems", "revision", "slow"])
        self._show_question()
        self._on_plan()
        self._on_session()

    # What the buttons do.

    def run(self) -> None:
        """Run what stands in the form, after what is under way; asks first where it costs much."""
        self._press("Run")

    def resume(self, sweep: Sweep) -> None:
        """Put a sweep into the form and run it, which sends what is missing; asks first where it costs much."""
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
        self.retrying.press()
        self._show_buttons()

    def confirm(self) -> None:
        """Yes to what was asked."""
        if self._asked is not None:
            asked = self._asked
            self.decline()
            self._session.run(asked.plan, asked.lab)

    def decline(self) -> None:
        """No to what was asked, and to what was pressed and is not asked yet."""
        self._asked, self._pressed = None, None
        self.retrying.decline()
        self._show_question()

    @property
    def waits_for_plan(self) -> bool:
        """Whether something was pressed that starts as soon as the plan is there."""
        return self._pressed is not None or self.retrying.is_pressed

    def _press(self, button: str) -> None:
        planner = self._planner
        self._form.settle()
        planner.again()
        if planner.state == "wrong":
            raise ConfigError(f"nothing is run: {self._why_not()}")
        self.decline()
        self._pressed = PressedButton(button, planner.revision)
        self._on_plan()

    def _ask_about(self, asked: ConfirmPrompt, *, always: bool = False) -> None:
        if not always and (asked.lab.simulated or asked.plan.cost <= asked.lab.context.confirm_above):
            self._session.run(asked.plan, asked.lab)
            return
        self._asked = asked
        self._show_question()

    def _show_question(self) -> None:
        self.question.say(self._asked.line if self._asked else "")
        show_if(self._asked, self._question_row)

    # What is shown.

    def _on_plan(self, _: object = None) -> None:
        planner = self._planner
        plan = planner.plan if planner.state != "wrong" else None
        if planner.state != "planning":
            self.plan.say("\n".join((plan.line, *plan.sources)) if plan is not None else "")
            self.warnings.say("\n".join(plan.warnings) if plan is not None else "")
        self._follow_the_plan()
        self._show_buttons()

    def _follow_the_plan(self) -> None:
        """What was pressed or asked holds for the form as it was then, and for no other."""
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
                    f"{pressed.button} was pressed before the form changed: nothing is sent, press it again"
                )
        elif planner.state == "ready":
            self._pressed = None
            plan, wanted = planner.plan, planner.wanted
            if plan is not None and wanted is not None:
                chosen = plan if pressed.button == "Run" else plan.head(1)
                question = ConfirmPrompt(chosen, wanted.lab, replace(pressed, was_asked=True))
                # No run begins while its question is open.
                self._ask_about(question, always=pressed.was_asked)

    def _why_not(self) -> str:
        """Why Run can't be pressed; "" where it can."""
        if self._planner.state != "wrong":
            return ""
        problems = list(self._planner.problems.values())
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        return f"{problems[0]}{more}" if problems else "there is no sweep yet"

    def _show_buttons(self) -> None:
        session, why = self._session, self._why_not()
        # Where merely no plan could be made, a press tries again.
        self.run_button.disabled = self.one_button.disabled = bool(why) and not self._planner.failed
        self.run_button.tooltip = why or (
            "Run after what is under way" if session.busy else "Send what the plan says"
        )
        self.stop_button.disabled = not session.busy and not self.waits_for_plan
        slow = " the store or the service takes long to answer" if self._planner.slow else ""
        waiting = f"making the plan …{slow}" if self._planner.state == "planning" else ""
        self.reason.say(why or waiting)
        plan = self._planner.plan
        single = plan is not None and plan.requests > 1
        show_if(single, self.one_button)

    def _on_session(self, change: Any = None) -> None:
        name = None if change is None else change["name"]
        if name in ("results", "lab", "state") and self._asked is not None and self._asked.pressed is None:
            self._asked = None  # what failed there is not on show any more, or another service would answer
            self._show_question()
        self.retrying.follow(name)
        if name != "beat":
            there = not self._session.busy and self.retrying.is_possible
            show_if(there, self.retry_button)
        self._show_progress()
        self._show_buttons()
        if self._session.busy:
            self._session.dispatcher.later(_TICK, self._tick, key=(id(self), "tick"))

    def _tick(self) -> None:
        if self._session.busy:
            self._show_progress()
            self._session.dispatcher.later(_TICK, self._tick, key=(id(self), "tick"))

    def _show_progress(self) -> None:
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


def progress_line(results: Results, seconds: float | None) -> str:
    """Counts, money and time left.

    Args:
        results: of the run.
        seconds: left, or None where nobody knows.
    """
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
