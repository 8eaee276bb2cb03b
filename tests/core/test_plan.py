"""What is done about each cell: the table of states against reuse, in_doubt and retry_failed."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from kontext_lab.lab import plan as planning
from kontext_lab.lab.options import RunOptions
from kontext_lab.lab.plan import Action, Decision, Plan
from kontext_lab.request.attempt import Reason
from kontext_lab.results import State, TrackedCell
from kontext_lab.sweep import Sweep

GREY = np.full((4, 6, 3), 128, np.uint8)
WHEN = datetime(2026, 11, 1, tzinfo=UTC)
BILLED = [str(reason) for reason in Reason]


def study(**given: Any) -> tuple[Sweep, list[str]]:
    """A sweep and its fingerprints."""
    made = Sweep("Add a bird.", GREY, **given)
    return made, [cell.request.fingerprint("sandbox") for cell in made.cells]


def known(
    fingerprint: str, state: State = State.DONE, reason: str = "", run_id: str = "run", index: int = 0
) -> TrackedCell:
    """A tracked cell."""
    return TrackedCell(run_id, "parent", index, fingerprint, state, reason, WHEN)


def decide(
    cells: Any, fingerprints: list[str], *, held: Any = None, not_billed: Any = (), **given: Any
) -> tuple[Decision, ...]:
    """What is decided with these options."""
    known_cells = {"here": given.pop("here"), "anywhere": given.pop("anywhere")}
    return planning.decide(
        cells, fingerprints, RunOptions(**given), held=held or {}, not_billed=not_billed, **known_cells
    )


def actions(decisions: tuple[Decision, ...]) -> list[str]:
    """What is done, cell by cell."""
    return [str(one.action) for one in decisions]


def decided(state: State, reason: str, where: str, **options: Any) -> str:
    """What is done about a single cell that is known here, or elsewhere in the store."""
    made, prints = study()
    found = known(prints[0], state, reason)
    here = {0: found} if where == "here" else {}
    anywhere = {prints[0]: found}
    return actions(decide(made.cells, prints, here=here, anywhere=anywhere, **options))[0]


KEPT = {"here": "keep", "elsewhere": "copy"}


@pytest.mark.parametrize("where", ["here", "elsewhere"])
class TestTableOfStates:
    """The table of design.md: a plain re-run, and one that retries what failed."""

    @pytest.mark.parametrize("retry", [False, True])
    @pytest.mark.parametrize("in_doubt", ["skip", "resend"])
    def test_done(self, where: str, retry: bool, in_doubt: str) -> None:
        """A picture that was paid for is reused, whatever else is asked."""
        assert decided(State.DONE, "", where, retry_failed=retry, in_doubt=in_doubt) == KEPT[where]

    @pytest.mark.parametrize("retry", [False, True])
    @pytest.mark.parametrize(
        "reason", ["400", "401", "403", "404", "413", "429", "500", "503", "unreachable"]
    )
    def test_failed_without_being_billed(self, where: str, retry: bool, reason: str) -> None:
        """A request that failed for free is sent."""
        assert decided(State.FAILED, reason, where, retry_failed=retry) == "send"

    @pytest.mark.parametrize("reason", BILLED)
    def test_billed_without_picture(self, where: str, reason: str) -> None:
        """What was billed without a picture is not bought again unasked."""
        assert decided(State.FAILED, reason, where) == KEPT[where]

    @pytest.mark.parametrize("reason", BILLED)
    def test_billed_without_picture_on_demand(self, where: str, reason: str) -> None:
        """It is where that is asked for."""
        assert decided(State.FAILED, reason, where, retry_failed=True) == "send"

    @pytest.mark.parametrize("retry", [False, True])
    def test_in_doubt(self, where: str, retry: bool) -> None:
        """A lost answer is left, also when failures are retried."""
        assert decided(State.IN_DOUBT, "lost", where, retry_failed=retry) == KEPT[where]

    @pytest.mark.parametrize("retry", [False, True])
    def test_in_doubt_resent(self, where: str, retry: bool) -> None:
        """It is sent again by choice."""
        assert decided(State.IN_DOUBT, "lost", where, retry_failed=retry, in_doubt="resend") == "send"

    @pytest.mark.parametrize("state", [State.SKIPPED, State.CANCELLED, State.WAITING, State.RUNNING])
    def test_never_sent(self, where: str, state: State) -> None:
        """What was not sent is sent."""
        assert decided(state, "", where) == "send"

    @pytest.mark.parametrize("state", list(State))
    def test_reuse_never(self, where: str, state: State) -> None:
        """`never` sends everything anew."""
        assert decided(state, "", where, reuse="never") == "send"


GONE = {"missing": 1, "is_gone": True, "place": "there"}
PART = {"missing": 1, "is_gone": False, "place": "there"}


@pytest.mark.parametrize(
    ("here", "anywhere", "missing", "expected"),
    [
        (GONE, None, "skip", "missing"),
        (GONE, None, "resend", "send"),
        (None, GONE, "skip", "missing"),
        (None, GONE, "resend", "send"),
        (GONE, {}, "skip", "copy"),
        (GONE, {}, "resend", "copy"),
        ({}, GONE, "skip", "keep"),
        ({}, GONE, "resend", "keep"),
        (GONE, PART, "skip", "copy"),
        (PART, None, "skip", "keep"),
        (PART, None, "resend", "send"),
        (None, PART, "skip", "copy"),
    ],
)
def test_missing_pictures(
    here: dict[str, Any] | None, anywhere: dict[str, Any] | None, missing: str, expected: str
) -> None:
    """The cell with most of its pictures stands; one without any is left out, and sent again by choice."""
    made, prints = study()
    own = {} if here is None else {0: replace(known(prints[0], run_id="own"), **here)}
    other = {} if anywhere is None else {prints[0]: replace(known(prints[0], run_id="other"), **anywhere)}
    found = decide(made.cells, prints, here=own, anywhere=other, missing=missing)
    assert [expected] == actions(found)


DOUBT = {"state": State.IN_DOUBT, "reason": "lost"}
BILLED_FAILURE = {"state": State.FAILED, "reason": "moderated"}


@pytest.mark.parametrize("where", ["here", "anywhere", "journal"])
@pytest.mark.parametrize("lost", [GONE, PART], ids=["all", "some"])
@pytest.mark.parametrize(
    ("other", "choices", "sent"),
    [
        (DOUBT, {}, False),
        (DOUBT, {"missing": "resend"}, False),
        (DOUBT, {"missing": "resend", "retry_failed": True}, False),
        (DOUBT, {"missing": "resend", "in_doubt": "resend"}, True),
        (DOUBT, {"in_doubt": "resend"}, False),
        (BILLED_FAILURE, {}, False),
        (BILLED_FAILURE, {"missing": "resend"}, False),
        (BILLED_FAILURE, {"missing": "resend", "retry_failed": True}, True),
        (BILLED_FAILURE, {"retry_failed": True}, False),
    ],
)
def test_missing_pictures_whose_request_was_sent_again(
    where: str, lost: dict[str, Any], other: dict[str, Any], *, choices: dict[str, Any], sent: bool
) -> None:
    """What became of the second request counts as ever: only both choices together pay a third time."""
    made, prints = study()
    gone = replace(known(prints[0], run_id="gone"), **lost)
    second = replace(known(prints[0], run_id="second"), **other)
    if where == "journal" and other is DOUBT:
        found = decide(made.cells, prints, here={}, anywhere={prints[0]: gone}, held={0: second}, **choices)
    elif where == "here":
        found = decide(made.cells, prints, here={0: second}, anywhere={prints[0]: gone}, **choices)
    else:
        found = decide(made.cells, prints, here={0: gone}, anywhere={prints[0]: second}, **choices)
    assert sent is (["send"] == actions(found))


def test_missing_pictures_are_not_counted_as_reused() -> None:
    """The plan tells reused ones from missing ones and says the price of those, each request once."""
    made, prints = study(seed=[1, 1, 2])
    gone = {prints[0]: replace(known(prints[0]), **GONE), prints[2]: known(prints[2])}
    found = Plan(made, "https://api.example", decide(made.cells, prints, here={}, anywhere=gone))
    assert (2, 1, 0, 0.0) == (found.missing, found.reused, found.requests, found.cost)
    assert made.cells[0].request.cost == found.missing_cost
    again = replace(found, decisions=decide(made.cells, prints, here={}, anywhere=gone, missing="resend"))
    assert (0, 1, 1) == (again.missing, again.reused, again.requests)
    assert [True] == ["sent again, for" in line for line in again.warnings if "paid for before" in line]


def test_nothing_known() -> None:
    """A new study is sent whole."""
    made, prints = study(seed="1-3")
    assert actions(decide(made.cells, prints, here={}, anywhere={})) == ["send"] * 3


def test_duplicates_follow() -> None:
    """Equal requests in one sweep are sent once."""
    made, prints = study(seed=[1, 2, 1, 1])
    decisions = decide(made.cells, prints, here={}, anywhere={})
    assert actions(decisions) == ["send", "send", "follow", "follow"]
    assert [one.leader for one in decisions] == [None, None, 0, 0]


def test_duplicates_follow_when_nothing_is_reused() -> None:
    """Also with `never`: once anew is enough."""
    made, prints = study(seed=[1, 1])
    found = decide(made.cells, prints, here={0: known(prints[0])}, anywhere={}, reuse="never")
    assert actions(found) == ["send", "follow"]


def test_duplicates_of_a_kept_cell() -> None:
    """What this run holds at one place is copied to the other, even if nothing else knows it."""
    made, prints = study(seed=[1, 1])
    assert actions(decide(made.cells, prints, here={0: known(prints[0])}, anywhere={})) == ["keep", "copy"]


def test_duplicates_of_a_copied_cell() -> None:
    """What another run holds is copied to both."""
    made, prints = study(seed=[1, 1])
    assert actions(decide(made.cells, prints, here={}, anywhere={prints[0]: known(prints[0])})) == [
        "copy",
        "copy",
    ]


@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        (None, ["send", "send", "follow", "send"]),
        (0, ["leave", "leave", "leave", "leave"]),
        (1, ["send", "leave", "follow", "leave"]),
        (2, ["send", "send", "follow", "leave"]),
        (9, ["send", "send", "follow", "send"]),
    ],
)
def test_limit(limit: int | None, expected: list[str]) -> None:
    """At most so many are sent; followers are free."""
    made, prints = study(seed=[1, 2, 1, 3])
    assert actions(decide(made.cells, prints, here={}, anywhere={}, limit=limit)) == expected


def test_limit_counts_what_is_sent() -> None:
    """Reused cells don't use up the limit."""
    made, prints = study(seed="1-3")
    found = decide(made.cells, prints, here={}, anywhere={prints[0]: known(prints[0])}, limit=1)
    assert actions(found) == ["copy", "send", "leave"]


def test_picture_elsewhere_beats_failure_here() -> None:
    """A good picture anywhere stands for a failed cell."""
    made, prints = study()
    found = decide(
        made.cells,
        prints,
        here={0: known(prints[0], State.FAILED, "moderated", "own")},
        anywhere={prints[0]: known(prints[0], run_id="other")},
    )
    assert [(one.action, one.known.run_id if one.known else "") for one in found] == [(Action.COPY, "other")]


def test_picture_elsewhere_beats_doubt_here() -> None:
    """So it does for one in doubt."""
    made, prints = study()
    found = decide(
        made.cells,
        prints,
        here={0: known(prints[0], State.IN_DOUBT, "lost", "own")},
        anywhere={prints[0]: known(prints[0], run_id="other")},
        in_doubt="resend",
    )
    assert actions(found) == ["copy"]


def test_another_request_at_the_same_place() -> None:
    """What stands at a cell's place counts only if it is the same request."""
    made, prints = study()
    assert actions(decide(made.cells, prints, here={0: known("another")}, anywhere={})) == ["send"]


def test_own_copy_is_kept() -> None:
    """A cell that was copied into this run is kept, not copied again."""
    made, prints = study()
    own = TrackedCell("own", "parent", 0, prints[0], State.DONE, "", WHEN, copied=True)
    found = decide(made.cells, prints, here={0: own}, anywhere={prints[0]: known(prints[0], run_id="other")})
    assert [(one.action, one.known) for one in found] == [(Action.KEEP, own)]


@pytest.mark.parametrize("reason", BILLED)
def test_billed_reasons(reason: str) -> None:
    """The reasons that were billed are known as such."""
    assert known("x", State.FAILED, reason).billed_without_picture


@pytest.mark.parametrize(
    ("state", "reason"), [(State.DONE, "moderated"), (State.FAILED, "400"), (State.IN_DOUBT, "lost")]
)
def test_other_reasons(state: State, reason: str) -> None:
    """Others are not."""
    assert not known("x", state, reason).billed_without_picture


# --- the plan as a whole -------------------------------------------------------------------------------


def plan(**options: Any) -> Plan:
    """Of four seeds, the first in the store."""
    made, prints = study(seed="1-4")
    found = decide(made.cells, prints, here={}, anywhere={prints[0]: known(prints[0])})
    chosen = {name: options.pop(name) for name in ("budget", "concurrency") if name in options}
    return Plan(made, "https://api.aimlapi.com", found, RunOptions(**chosen), **options)


def test_counts_and_cost() -> None:
    """What is sent is counted and priced."""
    found = plan()
    assert (found.requests, found.reused, found.cost, found.oldest) == (3, 1, 0.156, WHEN)


def test_price_of_the_service() -> None:
    """The service's own price replaces the table's, a sweep's own replaces both."""
    made = plan(prices={"flux/kontext-pro/image-to-image": 0.1})
    own, prints = study(price=0.5)
    other = Plan(own, "x", decide(own.cells, prints, here={}, anywhere={}), prices=made.prices)
    assert (made.cost, other.cost) == (0.3, 0.5)


@pytest.mark.parametrize(
    ("budget", "fit"), [(None, 3), (0, 0), (0.051, 0), (0.052, 1), (0.104, 2), (0.156, 3), (9, 3)]
)
def test_affordable(budget: float | None, fit: int) -> None:
    """How many requests fit into the budget."""
    assert plan(budget=budget).affordable == fit


def test_budget_warning() -> None:
    """The plan says before how many fit."""
    assert plan(budget=0.11).warnings == ("$0.11 of budget: 2 of 3 requests fit, the rest is skipped",)


def test_balance_warning() -> None:
    """And when the account holds too little."""
    assert plan(balance=0.1).warnings == ("$0.16 is more than the $0.10 left on the account",)


def test_line() -> None:
    """One line for a person."""
    assert plan(concurrency=3).line == "4 requests · 1 reused (of 1 Nov) · 3 to send · ≈ $0.16 · ≈ 10 s"


def test_oldest() -> None:
    """The oldest reused picture dates the plan."""
    made, prints = study(seed="1-2")
    old = TrackedCell("old", "p", 0, prints[1], State.DONE, "", WHEN - timedelta(days=9))
    found = decide(made.cells, prints, here={}, anywhere={prints[0]: known(prints[0]), prints[1]: old})
    assert Plan(made, "x", found).oldest == WHEN - timedelta(days=9)


def test_html_is_escaped() -> None:
    """A sweep's name is text in a notebook."""
    made, prints = study(name="<script>")
    assert "<script>" not in Plan(made, "x", decide(made.cells, prints, here={}, anywhere={}))._repr_html_()


def test_other_stores_are_named() -> None:
    """What was paid for in another store is told, with the way to it."""
    lines = plan(other_stores={"sqlite:////data/mlflow.db": 2}).warnings
    assert (
        "2 of these 3 were paid for in that other store sqlite:////data/mlflow.db: "
        "set MLFLOW_TRACKING_URI to use it",
    ) == lines


def test_other_stores_are_no_matter_for_the_sandbox() -> None:
    """Nobody paid for simulated pictures."""
    assert () == replace(plan(other_stores={"sqlite:////data/mlflow.db": 2}), service="sandbox").warnings


def test_the_head_of_a_plan() -> None:
    """The first requests are sent, the others and their copies are left out."""
    made, prints = study(seed=[1, 2, 2, 3])
    whole = Plan(made, "x", decide(made.cells, prints, here={}, anywhere={}))
    head = whole.head(1)
    assert [Action.SEND, Action.LEAVE, Action.LEAVE, Action.LEAVE] == [one.action for one in head.decisions]
    assert (1, 0.052) == (head.requests, head.cost)
    assert whole.decisions == whole.head(3).decisions
