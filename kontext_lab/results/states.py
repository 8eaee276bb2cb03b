"""The states of a cell, and which one an attempt leads to: the table of the README as one function."""

from __future__ import annotations

from enum import StrEnum

from kontext_lab.errors import BadAnswer, BilledWithoutPicture, InDoubt, Moderated, ServiceError
from kontext_lab.request.attempt import Attempt, BillingOutcome, Reason

__all__ = ["MISSING", "PAID_AGAIN", "State", "fate_of", "outcome_of"]

MISSING = "missing"
"""The reason of a cell that was paid for before and whose pictures are not in the store any more."""

PAID_AGAIN = 'paid for again only with --missing resend, in Python missing="resend"'


class State(StrEnum):
    """Where a cell stands; a reason says more wherever it is not done."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    SKIPPED = "skipped"
    CANCELLED = "cancelled"
    IN_DOUBT = "in_doubt"

    @property
    def is_finished(self) -> bool:
        """Whether this run of the sweep is through with the cell."""
        return self not in (State.WAITING, State.RUNNING)


def outcome_of(attempt: Attempt) -> tuple[State, str, str]:
    """State, reason and a line for a person after an attempt that is not repeated.

    The reason is one of `answer.Reason`, an HTTP status, `unreachable` or `lost`; empty where all is well.
    """
    if attempt.answer is None:
        return _after_error(attempt.error or ServiceError("no answer and no error"))
    reasons = [picture for picture in attempt.answer.pictures if picture.reason is not None]
    good = len(attempt.answer.pictures) - len(reasons)
    if attempt.answer.reason is None:
        missing = ", ".join(
            f"output {n} {p.reason}" for n, p in enumerate(attempt.answer.pictures, 1) if p.reason
        )
        return (
            State.DONE,
            "",
            f"{good} of {len(attempt.answer.pictures)} pictures: {missing}" if missing else "",
        )
    note = reasons[0].note if reasons else ""
    return (
        State.FAILED,
        str(attempt.answer.reason),
        note or f"billed, but no picture: {attempt.answer.reason}",
    )


def fate_of(fate: BillingOutcome) -> tuple[State, str, str]:
    """State, reason and a line for a person of a request in doubt whose fate the service's log knows."""
    if fate.billed:
        line = f"billed ${fate.cost_usd:.3f} by the service's log, its picture is lost"
        return State.IN_DOUBT, "lost", line
    return State.FAILED, "lost", "failed by the service's log: nothing was billed"


def _after_error(error: ServiceError) -> tuple[State, str, str]:
    if isinstance(error, InDoubt):
        return State.IN_DOUBT, "lost", str(error)
    if isinstance(error, BilledWithoutPicture):
        return State.FAILED, str(_billed_reason(error)), str(error)
    return State.FAILED, str(error.status) if error.status else "unreachable", str(error)


def _billed_reason(error: BilledWithoutPicture) -> Reason:
    """Billed, also where it was raised: what is paid for is not sent again unasked."""
    if isinstance(error, Moderated):
        return Reason.MODERATED
    return Reason.UNREADABLE if isinstance(error, BadAnswer) else Reason.EXPIRED
