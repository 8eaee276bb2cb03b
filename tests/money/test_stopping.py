"""Stop, leave, budget and the alarms: nothing new is sent, nothing that came is lost, the rest can go on."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from mlflow.entities import Run

import kontext_lab as kl
from kontext_lab.errors import AlreadyRunning
from kontext_lab.runner.retry_policy import Pacing
from kontext_lab.sandbox import Fault, Sandbox


@pytest.fixture
def slow(store_uri: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    """A service that takes a second for a picture."""
    yield from _in_the_place_of_the_api(Sandbox(latency=1.0), monkeypatch)


@pytest.fixture
def stuck(store_uri: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    """A service that takes longer for a picture than any test."""
    yield from _in_the_place_of_the_api(Sandbox(latency=600.0), monkeypatch)


def _in_the_place_of_the_api(box: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    with box:
        monkeypatch.setenv("AIMLAPI_BASE_URL", box.url)
        monkeypatch.setenv("AIMLAPI_API_KEY", "marked-key-4711")
        yield box


@pytest.fixture
def sweep(photo_file: Path) -> kl.Sweep:
    """Eight cells."""
    return kl.Sweep("Add a bird.", photo_file, axes={"seed": "1-8"}, aspect_ratio="1:1")


def sent(box: Sandbox, count: int) -> None:
    """Wait until so many requests are under way."""
    until = time.monotonic() + 20
    while box.in_flight < count and time.monotonic() < until:
        time.sleep(0.02)
    assert count == box.in_flight


def test_leaving_does_not_wait(stuck: Sandbox, sweep: kl.Sweep) -> None:
    """What is under way is left unanswered, shown in doubt, and everything else is cancelled."""
    with kl.Lab() as lab:
        handle = lab.start(sweep)
        sent(stuck, 4)
        handle.leave()
        results = handle.wait(20)
        assert (True, 4) == (handle.done, stuck.in_flight)
        assert {"in_doubt": 4, "cancelled": 4} == results.counts


@pytest.mark.slow
def test_answers_that_come_after_leaving_are_delivered_by_the_next_run(
    slow: Sandbox, sweep: kl.Sweep
) -> None:
    """The workers write on; the next run logs what came, pays for the other four only."""
    with kl.Lab() as lab:
        handle = lab.start(sweep)
        sent(slow, 4)
        handle.leave()
        handle.wait()
        results = run_when_free(lab, sweep)
    assert ({"done": 8}, 8) == (results.counts, len(slow.calls))


def run_when_free(lab: kl.Lab, sweep: kl.Sweep) -> kl.Results:
    """Run a sweep as soon as nobody is at work on it."""
    until = time.monotonic() + 20
    while time.monotonic() < until:
        try:
            return lab.run(sweep, progress=False)
        except AlreadyRunning:
            time.sleep(0.1)
    raise AssertionError("the lock is never given back")


def test_a_sweep_that_was_left_is_still_under_way(stuck: Sandbox, sweep: kl.Sweep) -> None:
    """While its requests are in the air, nobody starts it anew."""
    with kl.Lab() as lab:
        handle = lab.start(sweep)
        sent(stuck, 4)
        handle.leave()
        handle.wait()
        with pytest.raises(AlreadyRunning, match="in this process"):
            lab.run(sweep, progress=False)


@pytest.mark.slow
def test_recover_logs_what_came_after_leaving(
    slow: Sandbox, sweep: kl.Sweep, tracked: Callable[..., list[Run]], capsys: pytest.CaptureFixture[str]
) -> None:
    """A new lab names the sweep; `recover` logs its four answers, ends its run, and names nothing any more."""
    with kl.Lab() as lab:
        handle = lab.start(sweep)
        sent(slow, 4)
        handle.leave()
        handle.wait()
        time.sleep(2.0)
    with kl.Lab() as lab:
        told = capsys.readouterr().err
        assert "1 sweep did not end" in told
        assert "4 answers to be logged" in told
        (found,) = lab.recover()
        assert (4, 0, "") == (found.answers, found.in_doubt, found.problem)
        assert [] == lab.recover()
        assert [] == lab.unfinished
    (parent,) = tracked("sweep")
    assert ("KILLED", 4.0) == (parent.info.status, parent.data.metrics["cells/done"])
    assert ["FINISHED"] * 4 == [child.info.status for child in tracked()]
    assert slow.bill == pytest.approx(parent.data.metrics["cost/usd"])


def test_a_stop_ends_what_waits_for_its_next_attempt(api: Sandbox, lab: kl.Lab, sweep: kl.Sweep) -> None:
    """A stop does not wait for retries: they are cancelled, and sent by the next run."""
    api.script(["unavailable"] * 4)
    handle = lab.start(sweep, pacing=Pacing(first=30.0, longest=30.0))
    until = time.monotonic() + 20
    while len(api.calls) < 8 and time.monotonic() < until:
        time.sleep(0.02)
    time.sleep(0.3)
    handle.cancel()
    results = handle.wait(10)

    # Their next attempts would come after that.
    assert handle.done
    assert {"done": 4, "cancelled": 4} == results.counts
    assert {"done": 8} == lab.run(sweep, progress=False).counts


def test_five_billed_without_a_picture_stop_the_sweep(
    api: Sandbox, lab: kl.Lab, sweep: kl.Sweep, quick: Pacing
) -> None:
    """A prompt that is always moderated costs five pictures, not a whole sweep; running on is possible."""
    api.script(["moderated"] * 8)
    results = lab.run(sweep, progress=False, concurrency=1, pacing=quick)
    assert ("billed", {"failed": 5, "cancelled": 3}) == (results.stopped, results.counts)
    assert "5 answers in a row were billed without a picture" in results.notes[0]

    assert {"failed": 8} == lab.run(sweep, progress=False, pause_after=0, pacing=quick).counts


def test_the_same_refusal_five_times_stops_the_sweep(
    api: Sandbox, lab: kl.Lab, sweep: kl.Sweep, quick: Pacing
) -> None:
    """A request that the service refuses alike five times in a row is not sent a hundred times."""
    api.script(["bad_request"] * 8)
    results = lab.run(sweep, progress=False, concurrency=1, pacing=quick)
    assert ("refused", {"failed": 5, "cancelled": 3}) == (results.stopped, results.counts)


def test_mixed_failures_do_not_stop_the_sweep(
    api: Sandbox, lab: kl.Lab, sweep: kl.Sweep, quick: Pacing
) -> None:
    """Only a row of them does."""
    api.script(
        ["moderated", "moderated", "moderated", "moderated", None, "moderated", "moderated", "moderated"]
    )
    results = lab.run(sweep, progress=False, concurrency=1, pacing=quick)
    assert ("", {"done": 1, "failed": 7}) == (results.stopped, results.counts)


def test_the_price_is_corrected_after_the_first_charge(
    store_uri: str, sweep: kl.Sweep, monkeypatch: pytest.MonkeyPatch, quick: Pacing
) -> None:
    """A service that charges more than it announces spends no more than the budget, and the next plan knows."""
    with Sandbox(prices={"flux/kontext-pro/image-to-image": 0.10}) as box:
        monkeypatch.setenv("AIMLAPI_BASE_URL", box.url)
        monkeypatch.setenv("AIMLAPI_API_KEY", "marked-key-4711")
        with kl.Lab(concurrency=1) as lab:
            results = lab.run(sweep, progress=False, budget=0.32, pacing=quick)
            assert {"done": 3, "skipped": 5} == results.counts
            assert box.bill == pytest.approx(0.30)
            assert 0.5 == pytest.approx(lab.plan(sweep).cost)


@pytest.mark.slow
def test_what_is_in_flight_is_kept_when_the_key_is_refused(
    store_uri: str, sweep: kl.Sweep, monkeypatch: pytest.MonkeyPatch, quick: Pacing
) -> None:
    """A 401 in the middle cancels the rest at once; the three under way arrive."""
    # Long enough for four to be under way before the first is answered, however slow the disk.
    with Sandbox(latency=2.0, faults=[Fault("error", status=401, seconds=2.0)]) as box:
        monkeypatch.setenv("AIMLAPI_BASE_URL", box.url)
        monkeypatch.setenv("AIMLAPI_API_KEY", "marked-key-4711")
        with kl.Lab(concurrency=4) as lab:
            results = lab.run(sweep, progress=False, pacing=quick)
    assert ("Unauthorized", {"done": 3, "failed": 1, "cancelled": 4}) == (results.stopped, results.counts)


@pytest.mark.slow
def test_a_service_that_allows_two_at_once(
    store_uri: str, photo_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With sixteen asked for, about two are under way and few are refused; every cell is done."""
    sweep = kl.Sweep("Add a bird.", photo_file, axes={"seed": "1-60"}, aspect_ratio="1:1")
    with Sandbox(latency=0.15, concurrency=2) as box:
        monkeypatch.setenv("AIMLAPI_BASE_URL", box.url)
        monkeypatch.setenv("AIMLAPI_API_KEY", "marked-key-4711")
        with kl.Lab(concurrency=16) as lab:
            results = lab.run(sweep, progress=False, pacing=Pacing(first=0.05))
        refused = [call for call in box.calls if call.status == 429]
    assert {"done": 60} == results.counts
    assert len(refused) <= 12
    assert box.max_in_flight <= 4
