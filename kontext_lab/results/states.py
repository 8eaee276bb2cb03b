"""The states of a cell, and the state that an attempt leads to."""

from __future__ import annotations

from enum import StrEnum

from kontext_lab.errors import BadAnswer, BilledWithoutPicture, InDoubt, Moderated, ServiceError
from kontext_lab.request.attempt import Attempt, BillingOutcome, Reason

__all__ = ["BILLED_REASONS", "MISSING", "PAID_AGAIN", "State", "outcome_by_log", "outcome_of"]

BILLED_REASONS = frozenset(str(reason) for reason in Reason)
"""Reasons of failed cells that were billed."""

MISSING = "missing"
"""The reason of a cell that was paid for before and whose pictures are missing in the store."""

PAID_AGAIN = 'paid for again only with --missing resend, in Python missing="resend"'


class State(StrEnum):
    """State of a cell; every state but `done` comes with a reason.

    Example:
        >>> kl.State("in_doubt").is_finished
        True
    """

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    SKIPPED = "skipped"
    CANCELLED = "cancelled"
    IN_DOUBT = "in_doubt"

    @property
    def is_finished(self) -> bool:
        """True if this run of the sweep has nothing left to do for the cell."""
        return self not in (State.WAITING, State.RUNNING)


def outcome_of(attempt: Attempt) -> tuple[State, str, str]:
    """State, reason and a line for a person after a cell's last attempt.

    The reason is one of `attempt.Reason`, an HTTP status, `unreachable` or `lost`; empty for a cell that is done.
    """
    answer = attempt.answer
    if answer is None:
        error = attempt.error or ServiceError("no answer and no error")
        if isinstance(error, InDoubt):
            return State.IN_DOUBT, "lost", str(error)
        if isinstance(error, BilledWithoutPicture):
            unreadable = Reason.UNREADABLE if isinstance(error, BadAnswer) else Reason.EXPIRED
            reason = Reason.MODERATED if isinstance(error, Moderated) else unreadable
            return State.FAILED, str(reason), str(error)
        return State.FAILED, str(error.status) if error.status else "unreachable", str(error)
    total = len(answer.pictures)
    faulty = {number: picture for number, picture in enumerate(answer.pictures, 1) if picture.reason}
    if answer.reason is None:
        missing = ", ".join(f"output {number} {picture.reason}" for number, picture in faulty.items())
        return State.DONE, "", f"{total - len(faulty)} of {total} pictures: {missing}" if missing else ""
    note = next((picture.note for picture in faulty.values()), "")
    return State.FAILED, str(answer.reason), note or f"billed, but no picture: {answer.reason}"


def outcome_by_log(outcome: BillingOutcome) -> tuple[State, str, str]:
    """State, reason and a line for a person for a request in doubt that the service's log knows."""
    if outcome.billed:
        line = f"billed ${outcome.cost_usd:.3f} by the service's log, its picture is lost"
        return State.IN_DOUBT, "lost", line
    return State.FAILED, "lost", "failed by the service's log: nothing was billed"
