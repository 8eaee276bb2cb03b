"""A cell as a store remembers it: what a plan needs to know before anything is paid for again."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from kontext_lab.request.attempt import Reason
from kontext_lab.results.states import State

__all__ = ["BILLED_REASONS", "TrackedCell"]

BILLED_REASONS = frozenset(str(reason) for reason in Reason)


@dataclass(frozen=True)
class TrackedCell:
    """One tracked cell.

    Attributes:
        run_id: its run.
        parent_id: its sweep's run.
        index: its place in that sweep.
        fingerprint: hex sha256.
        state: how it ended.
        reason: why it is not done, or "".
        when: when it ended; for a copy, when the original did.
        cost: US dollars it cost there.
        copied: it was itself reused from another run.
        request_id: of the attempt it stems from, by which the service's log knows it.
        missing: how many of its pictures are definitely not in the store any more.
        is_gone: all of them are missing.
        place: where those that are missing were looked for.
    """

    run_id: str
    parent_id: str
    index: int
    fingerprint: str
    state: State
    reason: str
    when: datetime
    cost: float = 0.0
    copied: bool = False
    request_id: str = ""
    missing: int = 0
    is_gone: bool = False
    place: str = ""

    @property
    def billed_without_picture(self) -> bool:
        """Paid for, but there is no picture: not bought again unasked."""
        return self.state is State.FAILED and self.reason in BILLED_REASONS
