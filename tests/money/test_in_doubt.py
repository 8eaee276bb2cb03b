"""Answers that were lost: asked about, shown, counted, and sent again only by choice."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from mlflow.entities import Run

import kontext_lab as kl
from kontext_lab.lab.worker import Worker
from kontext_lab.runner.retry_policy import Pacing
from kontext_lab.sandbox import Fault, Sandbox

PRICE = 0.052


@pytest.fixture(params=[1.0])
def slow_log(
    request: pytest.FixtureRequest, store_uri: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Sandbox]:
    """A service that writes its log a moment after it delivered, as the real one does."""
    with Sandbox(log_delay=request.param) as box:
        monkeypatch.setenv("AIMLAPI_BASE_URL", box.url)
        monkeypatch.setenv("AIMLAPI_API_KEY", "marked-key-4711")
        yield box


@pytest.fixture
def sweep(photo_file: Path) -> kl.Sweep:
    """Four cells."""
    return kl.Sweep("Add a bird.", photo_file, axes={"seed": [1, 2, 3, 4]}, aspect_ratio="1:1")


def run(sweep: kl.Sweep, quick: Pacing, **options: object) -> kl.Results:
    """One run in a lab of its own, one request at a time."""
    with kl.Lab(concurrency=1) as lab:
        return lab.run(sweep, progress=False, pacing=quick, **options)


@pytest.mark.parametrize("slow_log", [600.0], indirect=True)
def test_a_missing_row_proves_nothing(slow_log: Sandbox, sweep: kl.Sweep, quick: Pacing) -> None:
    """While the log shows nothing, the cell is in doubt and a plain re-run sends nothing."""
    slow_log.script(["cut_after"])
    assert [1, 3] == [run(sweep, quick).counts[state] for state in ("in_doubt", "done")]
    again = run(sweep, quick)
    assert (4, "in_doubt", 0.0) == (len(slow_log.calls), again[0].state, again[0].cost)


@pytest.mark.slow
def test_a_charge_that_shows_later_is_counted(
    slow_log: Sandbox, sweep: kl.Sweep, quick: Pacing, tracked: Callable[..., list[Run]]
) -> None:
    """The next run finds the charge in the log: counted in the store and in the results, once, sent no more."""
    slow_log.script(["cut_after"])
    run(sweep, quick)
    time.sleep(1.1)
    results = [run(sweep, quick) for _ in range(2)][-1]

    assert ("in_doubt", PRICE) == (results[0].state, results[0].cost)
    assert "billed $0.052 by the service's log" in results[0].note
    assert slow_log.bill == pytest.approx(sum(child.data.metrics["cost/usd"] for child in tracked()))
    assert 4 == len(slow_log.calls)


@pytest.mark.slow
@pytest.mark.parametrize("slow_log", [3.0], indirect=True)  # longer than a run takes on a busy machine
def test_a_failure_that_shows_later_is_sent_again(slow_log: Sandbox, sweep: kl.Sweep, quick: Pacing) -> None:
    """What failed by the log was free: the next run sends it without being asked to."""
    slow_log.script([Fault("lost", billed=False, seconds=0.05)])
    assert "in_doubt" == run(sweep, quick)[0].state
    time.sleep(3.1)
    results = run(sweep, quick)

    assert {"done": 4} == results.counts
    assert slow_log.bill == pytest.approx(4 * PRICE)


@pytest.mark.slow
def test_the_log_is_asked_while_the_sweep_goes_on(slow_log: Sandbox, photo_file: Path, quick: Pacing) -> None:
    """A failure that shows up during a long sweep is sent again by that very sweep."""
    slow_log.script([Fault("lost", billed=False, seconds=0.05)])
    sweep = kl.Sweep("Add a bird.", photo_file, axes={"seed": "1-30"}, aspect_ratio="1:1")
    pacing = Pacing(first=0.01, asks=(0.3, 1.3))
    with kl.Lab(concurrency=1) as lab:
        # An observer that takes its time makes the sweep last.
        handle = lab.start(sweep, pacing=pacing, observers=[lambda _: time.sleep(0.03)])
        results = handle.wait()
    assert {"done": 30} == results.counts


@pytest.mark.slow
@pytest.mark.parametrize("slow_log", [600.0], indirect=True)
def test_a_doubt_that_joins_others_is_asked_about_as_often(
    slow_log: Sandbox, sweep: kl.Sweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second answer is lost when the log was asked twice about the first: three questions are about it too."""
    slow_log.script([Fault("lost", seconds=0.05), Fault("lost", seconds=0.8), Fault("slow", seconds=4.0)])
    asked: list[int] = []
    ask = Worker.ask
    monkeypatch.setattr(Worker, "ask", lambda worker, sent: asked.append(len(sent)) or ask(worker, sent))
    with kl.Lab(concurrency=3, measure=False) as lab:
        lab.run(sweep, progress=False, pacing=Pacing(first=0.01, asks=(0.3, 0.3, 0.3)))
    assert 3 + len(["at the end of the run"]) == asked.count(2)


@pytest.mark.slow
def test_resending_is_a_choice(slow_log: Sandbox, sweep: kl.Sweep, quick: Pacing) -> None:
    """`in_doubt="resend"` sends what is in doubt, and what was billed twice is no more than that."""
    slow_log.script(["cut_after"])
    run(sweep, quick)
    results = run(sweep, quick, in_doubt="resend")

    assert {"done": 4} == results.counts
    assert slow_log.bill == pytest.approx(5 * PRICE)


def test_the_plan_names_what_is_in_doubt(slow_log: Sandbox, sweep: kl.Sweep, quick: Pacing) -> None:
    """Before anything is paid, the plan counts the doubts."""
    slow_log.script(["cut_after"])
    run(sweep, quick)
    with kl.Lab() as lab:
        plan = lab.plan(sweep)
    assert (1, 0) == (plan.in_doubt, plan.requests)
    assert any("1 in doubt" in warning for warning in plan.warnings)


def test_in_doubt_counts_as_spent(slow_log: Sandbox, sweep: kl.Sweep, quick: Pacing) -> None:
    """A lost answer keeps its share of the budget: of two that fit, one more is sent."""
    slow_log.script(["cut_after"])
    results = run(sweep, quick, budget=2 * PRICE)
    assert [("in_doubt", "lost"), ("done", ""), ("skipped", "budget"), ("skipped", "budget")] == [
        (cell.state, cell.reason) for cell in results
    ]


def test_what_failed_for_nothing_gives_its_money_back(api: Sandbox, sweep: kl.Sweep, quick: Pacing) -> None:
    """A refused request leaves its share of the budget to another cell."""
    api.script(["bad_request"])
    results = run(sweep, quick, budget=2 * PRICE)
    assert ["failed", "done", "done", "skipped"] == [cell.state for cell in results]
    assert api.bill == pytest.approx(2 * PRICE)
