"""The main job: a sweep is planned, run, tracked, run again and extended."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import kontext_lab as kl
from kontext_lab.errors import (
    ConfigError,
    ServiceUnavailable,
    SweepError,
    TrackingError,
    Unauthorized,
)
from kontext_lab.results import State
from kontext_lab.runner.retry_policy import Pacing
from kontext_lab.sandbox import FAULTS, Sandbox

MakeSweep = Callable[..., kl.Sweep]


def test_every_cell_is_sent_once_and_done(lab: kl.Lab, api: Sandbox, make_sweep: MakeSweep) -> None:
    """Eight combinations are eight requests and eight done cells."""
    results = lab.run(make_sweep(), progress=False)

    assert {State.DONE: 8} == dict(results.counts)
    assert 8 == len(api.calls)


def test_replicates_are_sent_outermost(lab: kl.Lab, api: Sandbox, make_sweep: MakeSweep) -> None:
    """All settings at the first seed leave before any at the second."""
    lab.run(make_sweep(), progress=False, concurrency=1)

    assert [1, 1, 1, 1, 2, 2, 2, 2] == [call.body["seed"] for call in api.calls]


def test_bytes_are_those_the_service_sent(lab: kl.Lab, api: Sandbox, make_sweep: MakeSweep) -> None:
    """The bytes of every output have the digest the service knows it by."""
    results = lab.run(make_sweep(output_format="png"), progress=False)

    sent = {digest for call in api.calls for digest in call.outputs}
    assert sent == {hashlib.sha256(cell.bytes).hexdigest() for cell in results}


def test_cost_is_what_the_service_billed(lab: kl.Lab, api: Sandbox, make_sweep: MakeSweep) -> None:
    """Results, and this call's spending, add up to the service's own bill."""
    results = lab.run(make_sweep(num_images=2), progress=False)

    assert api.bill == pytest.approx(results.cost)
    assert api.bill == pytest.approx(results.spent)


def test_second_run_sends_nothing(lab: kl.Lab, api: Sandbox, make_sweep: MakeSweep) -> None:
    """The same sweep again reuses every cell, in the same parent run."""
    first = lab.run(make_sweep(), progress=False)
    again = lab.run(make_sweep(), progress=False)

    assert 8 == len(api.calls)
    assert (first.run_id, 0.0) == (again.run_id, again.spent)
    assert [cell.bytes for cell in first] == [cell.bytes for cell in again]


@pytest.mark.slow
def test_extended_sweep_sends_only_new_cells(lab: kl.Lab, api: Sandbox, make_sweep: MakeSweep) -> None:
    """One seed more sends four cells; the other eight are copied at no cost into a new parent."""
    sweep = make_sweep()
    first = lab.run(sweep, progress=False)
    more = lab.run(sweep.replace(seed=[1, 2, 3]), progress=False)

    assert 12 == len(api.calls)
    assert 8 == sum(1 for cell in more if cell.reused_from)
    assert first.run_id != more.run_id
    assert 4 * 0.052 == pytest.approx(more.cost)


@pytest.mark.slow
@pytest.mark.parametrize("loaded", [False, True])
def test_a_sum_keeps_what_was_made_anew_and_joins_what_was_reused(
    loaded: bool, lab: kl.Lab, api: Sandbox, photo_file: Path
) -> None:
    """Two cells, the same two anew, and a longer sweep that reuses them: five pictures, and their whole cost."""
    sweep = kl.Sweep("Add a bird.", photo_file, aspect_ratio="1:1", seed=[1, 2])
    several = [
        lab.run(one, progress=False, **more)
        for one, more in ((sweep, {}), (sweep, {"reuse": "never"}), (sweep.replace(seed=[1, 2, 3]), {}))
    ]
    if loaded:
        several = [lab.load(one.run_id) for one in several]
    old, fresh, longer = several

    assert (5, len(api.calls)) == (len(longer + fresh + old), len(old + fresh + longer))
    assert {"seed": [1, 2], "made": [1, 2]} == (old + fresh).axes
    assert 3 == len(old + longer)
    assert api.bill == pytest.approx((longer + fresh + old).cost)


@pytest.mark.slow
def test_reuse_works_in_another_experiment(lab: kl.Lab, api: Sandbox, make_sweep: MakeSweep) -> None:
    """A cell that was paid for in one experiment is not paid for in another."""
    lab.run(make_sweep(), progress=False)
    with kl.Lab(experiment="another") as other:
        results = other.run(make_sweep(), progress=False)

    assert 8 == len(api.calls)
    assert 8 == sum(1 for cell in results if cell.reused_from)


@pytest.mark.slow
def test_reuse_never_makes_a_new_parent(lab: kl.Lab, api: Sandbox, make_sweep: MakeSweep) -> None:
    """Sending everything anew leaves what was paid for before untouched, in its own run."""
    first = lab.run(make_sweep(), progress=False)
    anew = lab.run(make_sweep(), reuse="never", progress=False)

    assert 16 == len(api.calls)
    assert first.run_id != anew.run_id


def test_equal_requests_are_sent_once(lab: kl.Lab, api: Sandbox, make_sweep: MakeSweep) -> None:
    """Two spellings of one request are two cells and one call."""
    sweep = make_sweep(prompt="Add a bird.", axes={"guidance_scale": [2, 2.0]})
    results = lab.run(sweep, progress=False)

    assert 1 == len(api.calls)
    assert [State.DONE] * len(sweep) == [cell.state for cell in results]
    assert 0.052 == pytest.approx(results.cost)


def test_sandbox_pictures_never_satisfy_a_paid_cell(
    lab: kl.Lab, api: Sandbox, make_sweep: MakeSweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the sandbox made is not reused where another service is asked."""
    lab.run(make_sweep(), progress=False)
    monkeypatch.setenv("AIMLAPI_BASE_URL", "http://127.0.0.1:9")
    with kl.Lab() as paid:
        plan = paid.plan(make_sweep())

    assert (8, 0) == (plan.requests, plan.reused)


def test_a_failed_cell_does_not_stop_the_others(lab: kl.Lab, api: Sandbox, make_sweep: MakeSweep) -> None:
    """A refused request is a result; the seven others are done."""
    api.script([FAULTS["bad_request"]])
    results = lab.run(make_sweep(), progress=False, concurrency=1)

    assert {State.FAILED: 1, State.DONE: 7} == dict(results.counts)
    assert "400" == results[0].reason


def test_failed_cells_are_sent_again_into_the_same_run(
    lab: kl.Lab, api: Sandbox, make_sweep: MakeSweep
) -> None:
    """What failed for nothing is sent by a plain re-run, and its child run is continued."""
    api.script([FAULTS["bad_request"]])
    first = lab.run(make_sweep(), progress=False, concurrency=1)
    again = lab.run(make_sweep(), progress=False)

    assert 9 == len(api.calls)
    assert {State.DONE: 8} == dict(again.counts)
    assert {cell.run_id for cell in first} == {cell.run_id for cell in again}


def test_moderated_pictures_are_not_bought_again_unasked(
    lab: kl.Lab, api: Sandbox, make_sweep: MakeSweep
) -> None:
    """A billed answer without a picture is kept by a plain re-run and sent by retry_failed."""
    api.script([FAULTS["moderated"]])
    first = lab.run(make_sweep(), progress=False, concurrency=1)
    plain = lab.run(make_sweep(), progress=False)
    assert (8, "moderated", "moderated") == (len(api.calls), first[0].reason, plain[0].reason)

    retried = lab.run(make_sweep(), retry_failed=True, progress=False)
    assert {State.DONE: 8} == dict(retried.counts)
    assert api.bill == pytest.approx(retried.cost)


def test_a_retry_is_quiet(
    lab: kl.Lab, api: Sandbox, make_sweep: MakeSweep, capfd: pytest.CaptureFixture[str]
) -> None:
    """Keeping what the first attempt brought shows no bars of MLflow's."""
    api.script(["moderated"])
    lab.run(make_sweep(axes={"seed": [1, 2]}, prompt="Add a bird."), progress=False)
    lab.run(make_sweep(axes={"seed": [1, 2]}, prompt="Add a bird."), progress=False, retry_failed=True)
    assert ("", "") == capfd.readouterr()


def test_a_retry_that_brings_nothing_shows_nothing_old(
    lab: kl.Lab, api: Sandbox, make_sweep: MakeSweep
) -> None:
    """After a moderated picture and a refused retry, the store holds the refusal, no old output, both costs."""
    sweep = make_sweep(prompt="Add a bird.", axes={"seed": [1]}, name="retried")
    api.script([FAULTS["moderated"], FAULTS["too_large"]])
    lab.run(sweep, progress=False)
    lab.run(sweep, retry_failed=True, progress=False)
    loaded = lab.load("retried")

    assert ("413", [], 0.052) == (loaded[0].reason, loaded[0].outputs, pytest.approx(loaded[0].cost))


def test_a_resent_copy_is_no_copy_any_more(lab: kl.Lab, api: Sandbox, make_sweep: MakeSweep) -> None:
    """A cell in doubt that was copied into a longer sweep, then sent again, is that sweep's own."""
    sweep = make_sweep(prompt="Add a bird.", axes={"seed": [1]})
    api.script([FAULTS["cut_after"]])
    lab.run(sweep, progress=False)
    longer = sweep.replace(seed=[1, 2], name="longer")
    copied = lab.run(longer, progress=False)
    assert copied[0].reused_from

    lab.run(longer, in_doubt="resend", progress=False)
    assert ["", ""] == [cell.reused_from for cell in lab.load("longer")]


def test_logged_references_are_those_the_sweep_file_names(
    lab: kl.Lab, photo_file: Path, served_photo: tuple[str, list[str]]
) -> None:
    """With a URL before a picture, each still reads back as itself from the store."""
    other = np.full((40, 60, 3), 99, np.uint8)
    sweep = kl.Sweep("Add a bird.", axes={"image": [served_photo[0], other]}, name="two references")
    lab.run(sweep, progress=False)
    last = lab.load_sweep("two references").cells[1].request.images[0]

    assert (60, 40) == last.sent_size


def test_wrong_key_stops_before_anything_is_recorded(
    store_uri: str, make_sweep: MakeSweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A key the service refuses is one clear error, and no run is left."""
    with Sandbox(keys={"right"}) as box:
        monkeypatch.setenv("AIMLAPI_BASE_URL", box.url)
        monkeypatch.setenv("AIMLAPI_API_KEY", "wrong")
        with kl.Lab() as lab:
            with pytest.raises(Unauthorized):
                lab.run(make_sweep(), progress=False)
            assert [] == lab.history()


def test_no_credits_cancel_the_rest(
    store_uri: str, make_sweep: MakeSweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When credits run out, what is done stays, the rest is cancelled and the sweep says so."""
    with Sandbox(balance=0.11) as box:
        monkeypatch.setenv("AIMLAPI_BASE_URL", box.url)
        monkeypatch.setenv("AIMLAPI_API_KEY", "key")
        with kl.Lab(concurrency=1) as lab:
            results = lab.run(make_sweep(), progress=False)

    assert {State.DONE: 2, State.FAILED: 1, State.CANCELLED: 5} == dict(results.counts)
    assert "OutOfCredits" == results.stopped


def test_dead_host_is_a_clear_error(
    store_uri: str, make_sweep: MakeSweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A host that doesn't answer stops the run before anything is recorded."""
    monkeypatch.setenv("AIMLAPI_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AIMLAPI_API_KEY", "key")
    with kl.Lab() as lab:
        with pytest.raises(ServiceUnavailable, match=r"127\.0\.0\.1"):
            lab.run(make_sweep(), progress=False)
        assert [] == lab.history()


def test_unreachable_store_is_told_before_paying(
    api: Sandbox, make_sweep: MakeSweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tracking server that doesn't answer costs nothing."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    with kl.Lab() as lab, pytest.raises(TrackingError, match=r"doesn.t answer"):
        lab.run(make_sweep(), progress=False)

    assert [] == api.calls


def test_folder_store_is_told_before_paying(
    api: Sandbox, make_sweep: MakeSweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An old folder store is one line that says the way out."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "./mlruns")
    with kl.Lab() as lab, pytest.raises(TrackingError, match=r"sqlite:///mlflow\.db"):
        lab.run(make_sweep(), progress=False)

    assert [] == api.calls


def test_limit_sends_that_many(lab: kl.Lab, api: Sandbox, make_sweep: MakeSweep) -> None:
    """A limit of three sends three; the next run goes on where it stopped."""
    some = lab.run(make_sweep(), limit=3, progress=False)
    assert (3, 5) == (len(api.calls), some.counts[State.SKIPPED])

    rest = lab.run(make_sweep(), progress=False)
    assert (8, some.run_id) == (len(api.calls), rest.run_id)


def test_budget_leaves_the_rest_skipped(lab: kl.Lab, api: Sandbox, make_sweep: MakeSweep) -> None:
    """Only what fits into the budget is sent, and the plan says before how many fit."""
    assert 3 == lab.plan(make_sweep(), budget=0.16).affordable
    results = lab.run(make_sweep(), budget=0.16, progress=False)

    assert (3, 5) == (len(api.calls), results.counts[State.SKIPPED])
    assert {"budget"} == {cell.reason for cell in results if cell.state is State.SKIPPED}


def test_cancel_keeps_what_is_in_flight(
    store_uri: str, make_sweep: MakeSweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stop sends nothing more, and what was under way arrives."""
    with Sandbox(latency=0.5) as box:
        monkeypatch.setenv("AIMLAPI_BASE_URL", box.url)
        monkeypatch.setenv("AIMLAPI_API_KEY", "key")
        with kl.Lab(concurrency=2) as lab:
            handle = lab.start(make_sweep())
            while not box.calls:
                handle.wait(0.02)
            handle.cancel()
            results = handle.wait(30)

        assert handle.done
        assert len(box.calls) == results.counts[State.DONE]
    assert "asked" == results.stopped
    assert 8 == results.counts[State.DONE] + results.counts[State.CANCELLED]


@pytest.mark.parametrize("executor", [ThreadPoolExecutor, ProcessPoolExecutor])
def test_any_executor_runs_a_sweep(
    executor: Callable[..., ThreadPoolExecutor], lab: kl.Lab, api: Sandbox, make_sweep: MakeSweep
) -> None:
    """Threads and processes give the same; a lent executor is not shut down."""
    with executor(2) as lent:
        results = lab.run(make_sweep(), executor=lent, progress=False)
        assert 5 == lent.submit(int, "5").result(10)

    assert {State.DONE: 8} == dict(results.counts)


def test_observers_hear_every_change_in_order(lab: kl.Lab, make_sweep: MakeSweep) -> None:
    """Each cell is told running, then done."""
    heard: dict[str, list[State]] = {}
    handle = lab.start(
        make_sweep(), observers=[lambda cell: heard.setdefault(cell.title, []).append(cell.state)]
    )
    handle.wait(30)

    assert 8 == len(heard)
    assert {(State.RUNNING, State.DONE)} == {tuple(states) for states in heard.values()}


def test_a_broken_observer_costs_no_picture(lab: kl.Lab, make_sweep: MakeSweep) -> None:
    """An observer that raises is logged, and the sweep goes on."""

    def broken(cell: kl.CellResult) -> None:
        raise RuntimeError("display gone")

    assert {State.DONE: 8} == dict(lab.start(make_sweep(), observers=[broken]).wait(30).counts)


def test_edit_is_a_logged_sweep_of_one_cell(lab: kl.Lab, photo_file: object) -> None:
    """`lab.edit` returns the cell, its picture and its run."""
    cell = lab.edit(photo_file, "Add a bird.", seed=3)

    assert (1248, 832) == cell.image.size
    assert 3 == cell.params["seed"]
    assert cell.run_id


def test_an_output_is_a_reference(lab: kl.Lab, photo_file: object) -> None:
    """A result can be edited further, and the request remembers where it came from."""
    first = lab.edit(photo_file, "Add a bird.")
    second = lab.edit(first.output, "Add a crown.")

    assert second.request is not None
    assert first.origin == second.request.images[0].origin


def test_reference_by_url_is_fetched_once_and_sent_as_url(
    lab: kl.Lab, api: Sandbox, served_photo: tuple[str, list[str]]
) -> None:
    """A URL goes out as it is; what it served is frozen, and reused by its content."""
    url, asked = served_photo
    results = lab.run(kl.Sweep("Add a crown.", url), progress=False)

    assert {State.DONE: 1} == dict(results.counts)
    assert ["kontext-lab"] == [agent.split("/")[0] for agent in asked if "kontext-lab" in agent]
    assert 1 == lab.plan(kl.Sweep("Add a crown.", url)).reused


@pytest.mark.parametrize("address", ["foo", "ftp://x", "http://"])
def test_wrong_address_names_the_variable(
    address: str, store_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An address that can't be names the variable and the value."""
    monkeypatch.setenv("AIMLAPI_BASE_URL", address)
    monkeypatch.setenv("AIMLAPI_API_KEY", "key")
    with pytest.raises(ConfigError, match=f"AIMLAPI_BASE_URL: .*{address}"):
        kl.Lab()


def test_more_at_once_than_the_lab_was_made_for(
    lab: kl.Lab, api: Sandbox, make_sweep: MakeSweep, caplog: pytest.LogCaptureFixture
) -> None:
    """A run may be wider than its lab: connections are kept for it, and nothing is grumbled."""
    results = lab.run(make_sweep(), concurrency=8, progress=False)

    assert {State.DONE: 8} == dict(results.counts)
    assert [] == [record.message for record in caplog.records if record.levelname == "WARNING"]


def test_edit_takes_one_cell_only(lab: kl.Lab, api: Sandbox, photo_file: object) -> None:
    """An edit that would be a whole sweep is refused before anything is sent."""
    with pytest.raises(SweepError, match="3 cells"):
        lab.edit(photo_file, "Add a bird.", seed=[1, 2, 3])

    assert [] == api.calls


@pytest.mark.parametrize("given", ["sweep.yaml", None, {"prompt": "x"}])
def test_what_is_no_sweep_is_told(given: object, lab: kl.Lab, api: Sandbox) -> None:
    """A path or a mapping in place of a sweep says what to give."""
    with pytest.raises(SweepError, match=r"kl\.Sweep"):
        lab.run(given)

    assert [] == api.calls


@pytest.mark.slow
def test_a_running_sweep_is_not_started_twice(
    store_uri: str, make_sweep: MakeSweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same sweep started again while it runs is refused, and no cell is paid for twice."""
    with Sandbox(latency=0.5) as box:
        monkeypatch.setenv("AIMLAPI_BASE_URL", box.url)
        monkeypatch.setenv("AIMLAPI_API_KEY", "key")
        with kl.Lab() as lab:
            handle = lab.start(make_sweep())
            with pytest.raises(ConfigError, match="running already"):
                lab.start(make_sweep())
            handle.wait(60)

        assert 8 == len(box.calls)


def test_a_service_that_goes_away_leaves_the_rest_for_later(
    store_uri: str, make_sweep: MakeSweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After three requests that could not be sent, the rest is cancelled, not failed."""
    with Sandbox() as box:
        monkeypatch.setenv("AIMLAPI_BASE_URL", box.url)
        monkeypatch.setenv("AIMLAPI_API_KEY", "key")
        with kl.Lab(concurrency=1) as lab:
            stop_after_two = [
                lambda cell: box.stop() if cell.state is State.DONE and len(box.calls) >= 2 else None
            ]
            sweep = make_sweep(axes={"seed": "1-20"}, prompt="Add a bird.")
            results = lab.start(sweep, observers=stop_after_two, pacing=Pacing(first=0.01)).wait(60)

    # What was in flight when it went away may be in doubt, or have lost its picture.
    assert 3 == sum(1 for cell in results if cell.reason == "unreachable")
    assert results.counts[State.CANCELLED] >= 10
    assert "unreachable" == results.stopped


def test_loaded_results_know_what_was_not_sent(lab: kl.Lab, make_sweep: MakeSweep) -> None:
    """A sweep that a limit cut short is loaded whole: what was not sent is waiting, every axis is there."""
    lab.run(make_sweep(name="cut short"), limit=3, progress=False)
    loaded = lab.load("cut short")

    assert {State.DONE: 3, State.WAITING: 5} == dict(loaded.counts)
    assert [1, 2] == loaded.axes["seed"]
    assert "FINISHED" == lab.history()[0].status


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"executor": 3}, "executor"),
        ({"tracking_uri": 5}, "tracking_uri"),
        ({"experiment": ""}, "experiment"),
        ({"confirm_above": "x"}, "confirm_above"),
        ({"service": "cloud"}, "service"),
    ],
)
def test_wrong_settings_are_named(options: dict[str, object], words: str, store_uri: str) -> None:
    """A setting of the wrong kind names itself where it is given."""
    with pytest.raises(ConfigError, match=words):
        kl.Lab(**options)


def test_a_cell_shows_its_picture_in_a_notebook(lab: kl.Lab, photo_file: object) -> None:
    """A cell's notebook view is its picture, small, with a line that says simulated."""
    shown = lab.edit(photo_file, "Add a bird.")._repr_html_()

    assert "data:image/jpeg;base64," in shown
    assert "simulated" in shown
    assert len(shown) < 200_000


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"concurrency": 0}, "concurrency"),
        ({"budget": -1}, "budget"),
        ({"reuse": "sometimes"}, "reuse"),
        ({"in_doubt": "?"}, "in_doubt"),
        ({"limit": -1}, "limit"),
    ],
)
def test_wrong_options_are_named(
    options: dict[str, object], words: str, lab: kl.Lab, api: Sandbox, make_sweep: MakeSweep
) -> None:
    """An option that can't be names itself, and nothing is sent."""
    with pytest.raises(ConfigError, match=words):
        lab.run(make_sweep(), **options)

    assert [] == api.calls


@pytest.mark.parametrize(
    "option",
    [
        {"budget": "5"},
        {"limit": "1"},
        {"concurrency": "4"},
        {"measure": "yes"},
        {"reuse": 1},
        {"executor": 3},
    ],
    ids=str,
)
def test_options_of_a_wrong_type_are_type_errors(
    option: dict[str, Any], lab: kl.Lab, make_sweep: MakeSweep
) -> None:
    """As Python's own are."""
    with pytest.raises(TypeError, match=f"{next(iter(option))} must be"):
        lab.plan(make_sweep(), **option)


@pytest.mark.parametrize("amount", [False, True, -1.0, float("nan")])
def test_an_amount_to_ask_from_is_a_number(amount: float) -> None:
    """US dollars, 0 or more."""
    with pytest.raises(ConfigError, match="confirm_above must be US dollars"):
        kl.Lab("sandbox", confirm_above=amount, quiet=True)


def test_a_missing_url_reference_is_a_sweep_error(lab: kl.Lab, api: Sandbox) -> None:
    """A reference that can't be fetched is told before anything is sent."""
    with pytest.raises(SweepError):
        lab.plan(kl.Sweep("Add a bird.", f"{api.url}/nothing-here.png"))


def test_a_plan_is_run_as_it_was_seen(lab: kl.Lab, api: Sandbox, make_sweep: MakeSweep) -> None:
    """Its options hold, and no more than its requests are sent."""
    plan = lab.plan(make_sweep(prompt="Add a bird.", axes={"seed": "1-3"}), measure=False)
    results = lab.run(plan.head(1), progress=False)
    assert {"done": 1, "skipped": 2} == {state: count for state, count in results.counts.items() if count}
    assert ["", "limit", "limit"] == [cell.reason for cell in results]
    assert 1 == len(api.calls)
    again = lab.start(plan).wait()  # one is reused by now
    assert ({"done": 3}, 3) == (again.counts, len(api.calls))
    assert not any(name.startswith("change/") for output in again.outputs for name in output.metrics)


def test_a_plan_that_no_longer_holds_is_refused(lab: kl.Lab, api: Sandbox, make_sweep: MakeSweep) -> None:
    """Where pictures vanish from the store behind it, no cell is left out unsaid, and nothing is sent."""
    for cell in lab.run(make_sweep(prompt="Add a bird.", axes={"seed": "1-2"}), progress=False):
        assert cell.run_id
    plan = lab.plan(make_sweep(prompt="Add a bird.", axes={"seed": "1-3"}))
    assert 1 == plan.requests
    for decision in plan.decisions:
        if decision.known is not None:
            lab.context.tracker.store.client.delete_run(decision.known.run_id)
    with pytest.raises(ConfigError, match="2 more cells need a request than the plan showed: plan again"):
        lab.run(plan, progress=False)
    assert 2 == len(api.calls)


def test_a_plan_has_its_options_already(lab: kl.Lab, make_sweep: MakeSweep) -> None:
    """Others beside it are refused, and so is the plan of another service."""
    plan = lab.plan(make_sweep())
    with pytest.raises(ConfigError, match=r"a plan has its options already: give budget to lab\.plan"):
        lab.run(plan, budget=1.0)
    with pytest.raises(ConfigError, match="the plan is for elsewhere, this lab uses"):
        lab.start(replace(plan, service="elsewhere"))
