"""Attempts at losing a picture or paying twice: each of these once worked."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

import kontext_lab as kl
from kontext_lab.journal import SweepJournal
from kontext_lab.lab import progress
from kontext_lab.request.attempt import Answer, Attempt, Picture, Reason
from kontext_lab.results import State
from kontext_lab.runner import Budget
from kontext_lab.runner.budget import CircuitBreaker
from kontext_lab.runner.retry_policy import Pacing
from kontext_lab.sandbox import Sandbox
from kontext_lab.tracking import Tracker, writing

PRICE = 0.052


@pytest.fixture
def sweep(photo_file: Path) -> kl.Sweep:
    """Two cells."""
    return kl.Sweep("Add a bird.", photo_file, axes={"seed": [1, 2]}, aspect_ratio="1:1")


@pytest.fixture
def full_store(monkeypatch: pytest.MonkeyPatch) -> Callable[[bool], None]:
    """Makes the disk under the artifacts full, or gives it room again."""
    inner: Callable[..., None] = writing._write_artifacts
    full = [False]

    def write(*args: Any) -> None:
        if full[0]:
            raise OSError(28, "No space left on device")
        inner(*args)

    monkeypatch.setattr(writing, "_write_artifacts", write)
    return lambda now: full.__setitem__(0, now)


class Dying(ThreadPoolExecutor):
    """A pool whose first worker dies right after its job was done; for good if told so."""

    def __init__(self, *, broken: bool) -> None:
        super().__init__(2)
        self._jobs = 0
        self._for_good = broken

    def submit(self, work: Callable[..., Any], /, *args: Any, **options: Any) -> Future[Any]:
        self._jobs += 1
        if self._jobs > 1:
            if self._for_good:
                raise BrokenProcessPool("a child process terminated abruptly")
            return super().submit(work, *args, **options)

        def die() -> None:
            work(*args, **options)
            raise BrokenProcessPool("a child process terminated abruptly")

        return super().submit(die)


class Closing(ThreadPoolExecutor):
    """A pool that its owner shuts down while its first job runs."""

    def submit(self, work: Callable[..., Any], /, *args: Any, **options: Any) -> Future[Any]:
        future = super().submit(work, *args, **options)
        self.shutdown(wait=False)
        return future


# pictures lost


def test_a_cell_sent_again_whose_record_is_cut_off_is_delivered_later(
    lab: kl.Lab, api: Sandbox, sweep: kl.Sweep, quick: Pacing, full_store: Callable[[bool], None]
) -> None:
    """A retried cell has an ended run already: half-written over, it must not pass for delivered."""
    api.script(["moderated"])
    lab.run(sweep, progress=False, pacing=quick, concurrency=1)
    full_store(True)
    lab.run(sweep, progress=False, pacing=quick, retry_failed=True)
    full_store(False)
    results = lab.run(sweep, progress=False, pacing=quick)

    assert ({"done": 2}, 3) == (results.counts, len(api.calls))
    assert api.calls[2].outputs[0] == results[0].output.sha256
    assert pytest.approx(api.bill) == results.cost


def test_a_new_cell_whose_record_is_cut_off_is_delivered_later(
    lab: kl.Lab, api: Sandbox, sweep: kl.Sweep, quick: Pacing, full_store: Callable[[bool], None]
) -> None:
    """Its half-written run is ended as killed, which is no proof of anything either."""
    full_store(True)
    lab.run(sweep, progress=False, pacing=quick)
    full_store(False)
    results = lab.run(sweep, progress=False, pacing=quick)
    assert ({"done": 2}, 2) == (results.counts, len(api.calls))


def test_a_worker_that_dies_with_the_picture_on_its_desk_costs_none(
    lab: kl.Lab, api: Sandbox, sweep: kl.Sweep, quick: Pacing
) -> None:
    """What it wrote down before is taken from there."""
    with Dying(broken=False) as pool:
        results = lab.run(sweep, progress=False, pacing=quick, executor=pool)
    assert ({"done": 2}, 2) == (results.counts, len(api.calls))


def test_a_pool_that_breaks_costs_no_picture(
    lab: kl.Lab, api: Sandbox, sweep: kl.Sweep, quick: Pacing
) -> None:
    """The program itself reads the answer in the attempt folder; nothing more is sent through the pool."""
    with Dying(broken=True) as pool:
        first = lab.run(sweep, progress=False, pacing=quick, executor=pool, concurrency=1)
    assert {"done": 1, "cancelled": 1} == first.counts
    results = lab.run(sweep, progress=False, pacing=quick)
    assert ({"done": 2}, 2) == (results.counts, len(api.calls))


def test_a_pool_that_is_shut_down_before_a_second_download_loses_no_picture(
    lab: kl.Lab, api: Sandbox, sweep: kl.Sweep, quick: Pacing
) -> None:
    """Its host said no once; the next run asks it again instead of giving the picture up."""
    api.script(["download_5xx"])
    with Closing(1) as pool:
        lab.run(sweep, progress=False, pacing=quick, executor=pool, concurrency=1)
    results = lab.run(sweep, progress=False, pacing=quick)
    assert ({"done": 2}, 2) == (results.counts, len(api.calls))


def test_an_unreadable_intent_does_not_cost_the_answer_beside_it(
    lab: kl.Lab, sweep: kl.Sweep, quick: Pacing, full_store: Callable[[bool], None]
) -> None:
    """A folder that nobody can make sense of is kept for a person to look at."""
    full_store(True)
    lab.run(sweep, progress=False, pacing=quick)
    full_store(False)
    for intent in lab.context.journal.folder.glob("*/*/intent.json"):
        intent.write_text("{")
    lab.recover()
    assert 2 == len(list(lab.context.journal.folder.glob("*/*/output-0")))


def test_a_cell_deleted_by_a_person_is_written_anew_by_the_same_lab(
    lab: kl.Lab, sweep: kl.Sweep, quick: Pacing, store_uri: str
) -> None:
    """What it is sent again for reaches the store, not a run in the bin."""
    first = lab.run(sweep, progress=False, pacing=quick)
    MlflowClient(tracking_uri=store_uri).delete_run(first[0].run_id)
    again = lab.run(sweep, progress=False, pacing=quick)
    assert ([], {"done": 2}) == (lab.unfinished, lab.load(again.run_id).counts)


# paid twice


@pytest.mark.parametrize("mishap", [None, "cut_after"])
def test_what_another_sweep_left_in_the_journal_is_not_sent_again(
    lab: kl.Lab,
    api: Sandbox,
    sweep: kl.Sweep,
    *,
    quick: Pacing,
    full_store: Callable[[bool], None],
    mishap: str | None,
) -> None:
    """A larger sweep begins with what the smaller one sent and the store does not know yet."""
    api.script([mishap])
    full_store(True)
    lab.run(sweep, progress=False, pacing=quick, concurrency=1)
    full_store(False)
    results = lab.run(sweep.replace(seed=[1, 2, 3]), progress=False, pacing=quick)
    assert 3 == len(api.calls)
    assert ["in_doubt" if mishap else "done", "done", "done"] == [cell.state for cell in results]


# a stop that doesn't


def test_an_interrupt_while_the_bar_is_drawn_stops_the_sweep(
    lab: kl.Lab, sweep: kl.Sweep, quick: Pacing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C falls where it falls: not only into the waiting."""
    inner, drawn = progress._Display._show_counts, []

    def show(display: Any) -> None:
        drawn.append(1)
        if len(drawn) == 1:
            raise KeyboardInterrupt
        inner(display)

    monkeypatch.setattr(progress._Display, "_show_counts", show)
    assert "asked" == lab.run(sweep.replace(seed="1-30"), progress=False, pacing=quick).stopped


@pytest.mark.parametrize("stop", ["cancel", "leave"])
def test_what_queues_in_a_small_pool_is_not_sent_after_a_stop(
    store_uri: str, sweep: kl.Sweep, quick: Pacing, monkeypatch: pytest.MonkeyPatch, stop: str
) -> None:
    """One worker and eight requests at once: seven have not left yet, and never do."""
    with Sandbox(latency=0.5) as box, ThreadPoolExecutor(1) as pool:
        monkeypatch.setenv("AIMLAPI_BASE_URL", box.url)
        monkeypatch.setenv("AIMLAPI_API_KEY", "marked-key-4711")
        with kl.Lab(concurrency=4) as lab:
            handle = lab.start(sweep.replace(seed="1-8"), pacing=quick, executor=pool)
            until = time.monotonic() + 10
            while not box.in_flight and time.monotonic() < until:
                time.sleep(0.01)
            getattr(handle, stop)()
            results = handle.wait(20)
            pool.shutdown()
        assert (1, 7) == (len(box.calls), results.counts[State.CANCELLED])


def test_answers_that_are_lost_one_after_another_stop_the_sweep(
    lab: kl.Lab, api: Sandbox, sweep: kl.Sweep, quick: Pacing
) -> None:
    """A proxy that cuts every answer off costs five pictures, not a night's."""
    api.script(["cut_after"] * 8)
    results = lab.run(sweep.replace(seed="1-8"), progress=False, pacing=quick, concurrency=1)
    assert {"in_doubt": 5, "cancelled": 3} == results.counts


# money that is not counted


@pytest.mark.slow
def test_a_charge_known_only_when_the_cell_is_sent_again_is_counted(
    store_uri: str,
    sweep: kl.Sweep,
    quick: Pacing,
    monkeypatch: pytest.MonkeyPatch,
    tracked: Callable[..., list[Run]],
) -> None:
    """The first request was billed after all, says the log: both are in the store's sum."""
    with Sandbox(log_delay=0.5) as box:
        monkeypatch.setenv("AIMLAPI_BASE_URL", box.url)
        monkeypatch.setenv("AIMLAPI_API_KEY", "marked-key-4711")
        box.script(["cut_after"])
        with kl.Lab(concurrency=1) as lab:
            lab.run(sweep, progress=False, pacing=quick)
            time.sleep(0.6)
            lab.run(sweep, progress=False, pacing=quick, in_doubt="resend")
    assert pytest.approx(box.bill) == sum(child.data.metrics["cost/usd"] for child in tracked())


def test_a_partial_answer_does_not_teach_a_lower_price(sweep: kl.Sweep) -> None:
    """Two of four pictures, half the price: the next request is reserved for in full all the same."""
    request = sweep.cells[0].request
    prices: dict[str, float] = {request.model: PRICE}
    half = Answer((Picture(), Picture(reason=Reason.EMPTY)), cost_usd=PRICE / 4, cost_source="header")
    Budget(1.0, prices).learn(request, Attempt("kl-1", half))
    assert {request.model: PRICE} == prices


# runs that stay running, and waits that don't end


def broken_call(*_: Any) -> Any:
    """A mistake in a program."""
    raise ZeroDivisionError


def test_a_close_that_fails_ends_the_waiting(
    lab: kl.Lab, sweep: kl.Sweep, quick: Pacing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever goes wrong at the very end is raised; nobody waits for ever, and the lock is given back."""

    def fail(self: SweepJournal) -> bool:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as broken:
        broken.setattr(SweepJournal, "end", fail)
        handle = lab.start(sweep, pacing=quick)
        with pytest.raises(PermissionError):
            handle.wait(20)
    assert {"done": 2} == lab.run(sweep, progress=False, pacing=quick).counts


def test_a_grid_that_cannot_be_drawn_leaves_nothing_running(
    lab: kl.Lab, sweep: kl.Sweep, quick: Pacing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A figure is no reason for a sweep not to end."""
    monkeypatch.setattr("kontext_lab.figures.grid", broken_call)
    lab.run(sweep, progress=False, pacing=quick)
    assert ["FINISHED"] == [run.status for run in lab.history()]


def test_a_mistake_is_told_when_its_run_has_ended(
    lab: kl.Lab, sweep: kl.Sweep, quick: Pacing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long the store takes over that: who catches the error finds nothing running."""
    abandon = Tracker.abandon

    def slowly(tracker: Tracker, parent_id: str) -> None:
        time.sleep(0.5)
        abandon(tracker, parent_id)

    monkeypatch.setattr(CircuitBreaker, "record", broken_call)
    monkeypatch.setattr(Tracker, "abandon", slowly)
    with pytest.raises(ZeroDivisionError):
        lab.run(sweep, progress=False, pacing=quick)
    assert ["KILLED"] == [run.status for run in lab.history()]


def test_a_mistake_in_the_coordinator_leaves_nothing_running(
    lab: kl.Lab, sweep: kl.Sweep, quick: Pacing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its run is ended, its answers stay in the journal, the next run has them."""
    with monkeypatch.context() as broken:
        broken.setattr(CircuitBreaker, "record", broken_call)
        with pytest.raises(ZeroDivisionError):
            lab.run(sweep, progress=False, pacing=quick)
    assert ["KILLED"] == [run.status for run in lab.history()]
    until = time.monotonic() + 10
    while not lab.unfinished and time.monotonic() < until:
        time.sleep(0.02)
    assert {"done": 2} == lab.run(sweep, progress=False, pacing=quick).counts


@pytest.mark.slow
def test_a_script_that_ends_while_its_sweep_runs_ends_the_sweep_in_order(
    store_uri: str, monkeypatch: pytest.MonkeyPatch, tracked: Callable[..., list[Run]], photo_file: Path
) -> None:
    """What is in flight is kept and logged, the rest is left for later, nothing is left running."""
    with Sandbox(latency=2.0) as box:
        monkeypatch.setenv("AIMLAPI_BASE_URL", box.url)
        monkeypatch.setenv("AIMLAPI_API_KEY", "marked-key-4711")
        script = (
            "import time, kontext_lab as kl\n"
            f"sweep = kl.Sweep('Add a bird.', {str(photo_file)!r}, axes={{'seed': '1-8'}})\n"
            "kl.Lab(concurrency=2).start(sweep)\n"
            "time.sleep(1)"
        )
        command = [sys.executable, "-c", script]
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
        assert 2 == len(box.calls), done.stderr
    assert [("KILLED", 2.0)] == [
        (run.info.status, run.data.metrics["cells/done"]) for run in tracked("sweep")
    ]
