"""Ways to pay twice, or for what was not asked for: none of them works."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from panel_driver import button, drive

import kontext_lab as kl
from kontext_lab.errors import AlreadyRunning, ConfigError, SweepError
from kontext_lab.panel import Panel
from kontext_lab.panel.panel import controller_for
from kontext_lab.results import State
from kontext_lab.sandbox import Sandbox
from kontext_lab.tracking import SweepRun


@pytest.fixture
def slow(store_uri: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    """A service that takes its time."""
    with Sandbox(latency=0.4) as running:
        monkeypatch.setenv("AIMLAPI_BASE_URL", running.url)
        monkeypatch.setenv("AIMLAPI_API_KEY", "marked-key-4711")
        yield running


def as_if_real(lab: kl.Lab) -> kl.Lab:
    """The lab, as if the real service answered it."""
    lab.context.connection.name = lab.context.connection.client.service
    return lab


@pytest.fixture
def real(slow: Sandbox, photo_file: Path) -> Panel:
    """A panel on a service that charges, with a sweep of three cells ($0.16) that it asks about."""
    lab = as_if_real(kl.Lab(confirm_above=0.1, quiet=True))
    made = Panel(lab, kl.Sweep("Add a bird.", photo_file, seed="1-3"))
    made.wait(30)
    return made


def seeds_sent(service: Sandbox) -> list[int]:
    """The seeds that were asked for, in order of their numbers."""
    return sorted(int(call.body["seed"]) for call in service.calls)


def type_seeds(panel: Panel, *seeds: int) -> None:
    """Other seeds, typed as a person does."""
    drive(panel).axis_field("seed").value = tuple(map(str, seeds))


@pytest.mark.slow
def test_two_clicks_on_run_are_one_run(real: Panel, slow: Sandbox) -> None:
    """Also where nothing is reused: the second press is no second order."""
    real.lab.context.confirm_above = 10.0
    drive(real).form.more.reuse.value = "never"
    real.wait(30)
    button(real, "Run").click()
    button(real, "Run").click()
    real.wait(60)
    assert [1, 2, 3] == seeds_sent(slow)


@pytest.mark.slow
def test_a_second_press_says_why_nothing_came_of_it(real: Panel) -> None:
    """In one line below the buttons, that stays while cells arrive."""
    real.lab.context.confirm_above = 10.0
    button(real, "Run").click()
    button(real, "Run").click()
    real.wait(60)
    assert drive(real).run_error.endswith("is under way already, it is not sent twice")


def test_trying_one_twice_sends_one(real: Panel, slow: Sandbox) -> None:
    """A double click is one."""
    real.lab.context.confirm_above = 10.0
    button(real, "Try 1 first").click()
    button(real, "Try 1 first").click()
    real.wait(60)
    assert 1 == len(slow.calls)


@pytest.mark.slow
def test_trying_one_then_run_sends_each_once(real: Panel, slow: Sandbox) -> None:
    """Run goes on where the one ends."""
    real.lab.context.confirm_above = 10.0
    real.try_one()
    real.run()
    real.wait(60)
    assert [1, 2, 3] == seeds_sent(slow)


def test_what_was_typed_after_run_was_pressed_is_not_run(real: Panel, slow: Sandbox) -> None:
    """While the plan is being made, a changed form takes the press back, and says so."""
    type_seeds(real, 7)
    real.run()
    type_seeds(real, 7, 8, 9)
    real.wait(30)
    assert [] == slow.calls
    assert "nothing is sent, press it again" in drive(real).run_error


@pytest.mark.slow
def test_yes_runs_exactly_what_was_asked_about(real: Panel, slow: Sandbox) -> None:
    """The sweep of the question, once, whatever is pressed twice."""
    real.run()
    real.confirm()
    real.confirm()
    real.wait(60)
    assert [1, 2, 3] == seeds_sent(slow)


def test_a_question_does_not_outlive_a_form_that_can_not_be_run(real: Panel, slow: Sandbox) -> None:
    """A budget that is none, typed behind it, takes it back."""
    real.run()
    drive(real).form.more.budget.value = "five"
    real.confirm()
    real.wait(30)
    assert ("", []) == (drive(real).question, slow.calls)


def test_no_run_without_the_budget_that_was_meant(real: Panel, slow: Sandbox) -> None:
    """Run is disabled, with the reason, and the method says it."""
    drive(real).form.more.budget.value = "5 dollars"
    real.wait(30)
    assert (True, True) == (
        button(real, "Run").disabled,
        "budget: '5 dollars'" in drive(real).reason,
    )
    with pytest.raises(ConfigError, match="budget"):
        real.run()
    assert [] == slow.calls


def test_megapixels_that_are_none_are_not_run(real: Panel) -> None:
    """What was there before is not what was typed."""
    drive(real).form.more.megapixels.value = "many"
    real.wait(30)
    assert True is button(real, "Run").disabled


@pytest.mark.slow
def test_a_budget_typed_while_running_holds_for_the_next(real: Panel, slow: Sandbox) -> None:
    """The run under way keeps its own; the one behind it has the new one."""
    real.lab.context.confirm_above = 10.0
    real.run()
    type_seeds(real, 11, 12, 13)
    drive(real).form.more.budget.value = "0.06"
    drive(real).wait_for_plan(30)
    real.run()
    counts = real.wait(60).counts
    assert ([1, 2, 3, 11], 2) == (seeds_sent(slow), counts[State.SKIPPED])


@pytest.mark.slow
def test_what_waits_runs_at_the_service_it_was_ordered_at(real: Panel, slow: Sandbox) -> None:
    """Switching to another one meanwhile changes nothing of it, and is asked about again."""
    paid, session = real.lab, drive(real).session
    real.lab.context.confirm_above = 10.0
    real.run()
    drive(real).use_service("sandbox")
    type_seeds(real, 5)
    drive(real).wait_for_plan(30)
    real.run()  # waits; free
    drive(real).use_service("api")
    results = real.wait(60)
    assert (["sandbox"], paid) == ([cell.service for cell in results], session.lab)
    assert [1, 2, 3] == seeds_sent(slow)


def test_a_switched_service_takes_the_question_back(real: Panel) -> None:
    """It was about the other one."""
    real.run()
    drive(real).use_service("sandbox")
    assert "" == drive(real).question


@pytest.mark.slow
def test_a_question_is_asked_again_where_a_run_ends_behind_it(real: Panel, slow: Sandbox) -> None:
    """The plan is made anew; the form is the same, so the question stands, and starts nothing by itself."""
    real.lab.context.confirm_above = 10.0
    real.run()
    real.lab.context.confirm_above = 0.0
    type_seeds(real, 1, 2, 3, 4)
    drive(real).wait_for_plan(30)
    real.run()
    real.wait(60)
    assert "1 request to the real API, ≈ $0.05." == drive(real).question
    assert [1, 2, 3] == seeds_sent(slow)


@pytest.mark.slow
def test_no_more_is_sent_than_was_planned(real: Panel, slow: Sandbox) -> None:
    """Where pictures vanish from the store behind the plan, they are not bought again unasked."""
    real.lab.context.confirm_above = 10.0
    real.run()
    done = real.wait(60)
    plan = drive(real).planner.plan
    for cell in done:
        real.lab.context.tracker.store.client.delete_run(cell.run_id)
    real.run()
    real.wait(60)
    assert (0, [1, 2, 3]) == (plan.requests, seeds_sent(slow))


def test_retry_waits_for_its_price_and_asks(real: Panel, slow: Sandbox) -> None:
    """Pressed at once, it is no way around the question."""
    real.lab.context.confirm_above = 10.0
    slow.script(["moderated"] * 3)
    real.run()
    ui = drive(real)
    ui.wait_for(lambda: ui.session.ends == 1, 60)
    real.lab.context.confirm_above = 0.1
    real.retry_failed()
    real.wait(60)
    assert "3 requests to the real API, ≈ $0.16." == ui.run_bar.question.text
    assert 3 == len(slow.calls)


@pytest.mark.slow
def test_retry_is_refused_while_running(real: Panel) -> None:
    """Its price is not known before the end."""
    real.lab.context.confirm_above = 10.0
    real.run()
    with pytest.raises(AlreadyRunning, match="when it has ended"):
        real.retry_failed()
    real.wait(60)


@pytest.mark.slow
def test_retry_does_not_move_a_sweep_to_another_service(real: Panel, slow: Sandbox) -> None:
    """What failed in the sandbox is not bought from the API."""
    drive(real).use_service("sandbox")
    real.wait(30)
    real.lab.context.connection.box.script(["moderated"] * 3)
    real.run()
    real.wait(60)
    drive(real).use_service("api")
    real.wait(30)
    with pytest.raises(ConfigError, match="the failed cells were sent to sandbox"):
        real.retry_failed()
    assert ("none", []) == (button(real, "Retry failed").layout.display, slow.calls)


def test_resume_asks_as_run_does(real: Panel, slow: Sandbox) -> None:
    """Going on with a sweep is no way around the question."""
    drive(real).run_bar.resume(real.sweep)
    real.wait(30)
    assert ("3 requests to the real API, ≈ $0.16.", []) == (drive(real).question, slow.calls)


@pytest.mark.slow
def test_resume_pays_for_nothing_again(real: Panel, slow: Sandbox) -> None:
    """Whatever the form says about pictures that were paid for: it sends what is missing."""
    real.lab.context.confirm_above = 10.0
    real.try_one()
    real.wait(60)
    drive(real).form.more.reuse.value = "never"
    drive(real).run_bar.resume(real.sweep)
    real.wait(60)
    assert [1, 2, 3] == seeds_sent(slow)


def one_run(panel: Panel) -> SweepRun:
    """The newest sweep of the store."""
    return panel.lab.history()[0]


@pytest.mark.slow
def test_resume_does_not_move_a_sweep_to_another_service(real: Panel, slow: Sandbox) -> None:
    """One of the sandbox is not bought from the API."""
    drive(real).use_service("sandbox")
    real.wait(30)
    real.try_one()
    real.wait(60)
    drive(real).use_service("api")
    with pytest.raises(ConfigError, match="was sent to sandbox"):
        drive(real).history.resume_run(one_run(real))
    assert [] == slow.calls


@pytest.mark.slow
def test_a_resume_is_dropped_where_the_service_is_switched(real: Panel, slow: Sandbox) -> None:
    """Between the press and the reading of the sweep."""
    real.lab.context.confirm_above = 10.0
    real.try_one()
    real.wait(60)
    drive(real).history.resume_run(one_run(real))
    drive(real).use_service("sandbox")
    real.wait(60)
    assert (1, "idle") == (len(slow.calls), drive(real).session.state)
    assert "another service was chosen meanwhile" in drive(real).history.trouble.text


def test_a_new_lab_of_the_same_place_brings_its_own_limits(real: Panel) -> None:
    """A budget that is set where the panel is made anew is the form's, and the next run's."""
    other = as_if_real(kl.Lab(quiet=True, budget=1234567.89, confirm_above=0.5))
    again = Panel(other)
    assert drive(again).controller is drive(real).controller
    assert (1234567.89, 0.5) == (drive(again).form.more.options["budget"], again.lab.context.confirm_above)


def test_a_new_lab_does_not_leave_the_old_ones_other_service(real: Panel) -> None:
    """Switched to, the other service has the new lab's settings."""
    drive(real).use_service("sandbox")
    drive(real).use_service("api")
    ui = controller_for(kl.Lab("sandbox", quiet=True, confirm_above=0.01))
    ui.header.switch.value = "api"
    assert 0.01 == ui.session.lab.context.confirm_above


@pytest.mark.slow
def test_a_run_stopped_while_it_starts_goes_no_further(real: Panel, slow: Sandbox) -> None:
    """Stop holds although its start is under way."""
    real.lab.context.confirm_above = 10.0
    type_seeds(real, *range(1, 41))
    real.wait(30)
    real.run()
    real.stop()
    results = real.wait(60)
    assert len(slow.calls) <= 4
    assert 0 == results.counts[State.WAITING]


def test_run_is_not_possible_while_a_reference_is_read(real: Panel, photo: object, tmp_path: Path) -> None:
    """What would be sent is not settled yet; afterwards it is."""
    from PIL import Image

    Image.fromarray(photo).rotate(90).save(tmp_path / "turned.png")  # type: ignore[arg-type]
    drive(real).give_image(tmp_path / "turned.png")
    with pytest.raises(ConfigError, match=r"reading .*turned.png"):
        real.run()
    real.wait(30)
    assert (6, False) == (len(real.sweep), button(real, "Run").disabled)


def test_a_reference_read_late_joins_no_other_sweep(
    real: Panel, photo_file: Path, make_sweep: Callable[..., kl.Sweep]
) -> None:
    """A sweep put into the form meanwhile stays as it is."""
    drive(real).give_image(photo_file)
    other = make_sweep()
    real.load(other)
    real.wait(30)
    assert other == real.sweep


def test_a_value_that_can_not_be_read_is_not_left_out(real: Panel, slow: Sandbox) -> None:
    """It stands in its field, so nothing is run without it."""
    drive(real).axis_field("guidance_scale").commit("2-8:x")
    real.wait(30)
    with pytest.raises(SweepError, match="Guidance: "):
        real.run()
    assert [] == slow.calls


@pytest.mark.slow
def test_a_value_that_is_still_being_typed_counts(real: Panel, slow: Sandbox) -> None:
    """Run is what is read in the form, also before Enter."""
    real.lab.context.confirm_above = 10.0
    drive(real).axis_field("guidance_scale").pending = "7"
    real.run()
    results = real.wait(60)
    assert {7.0} == {cell.params["guidance_scale"] for cell in results}


def test_a_value_typed_for_another_sweep_joins_no_other(real: Panel) -> None:
    """What is put into the form is what it was."""
    sweep = real.sweep
    drive(real).axis_field("guidance_scale").pending = "7"
    real.load(sweep)
    drive(real).form.settle()
    assert sweep == real.sweep


@pytest.mark.slow
def test_pictures_from_elsewhere_are_named_before_they_are_sent(
    slow: Sandbox, photo_file: Path, workdir: Path
) -> None:
    """A sweep file that leads out of its folder is told by the plan and by the question."""
    (workdir / "sweep.yaml").write_text(f"prompt: Add a bird.\nimage: {photo_file}\nseed: 1-3\n")
    lab = as_if_real(kl.Lab(confirm_above=0.1, quiet=True))
    panel = Panel(lab, kl.Sweep.from_yaml("sweep.yaml"))
    panel.wait(30)
    bar, named = drive(panel).run_bar, f"sends 1 file from outside the sweep file's folder: {photo_file}"
    planned = bar.plan.text.splitlines()[1:]
    panel.run()
    panel.wait(30)

    assert [named] == planned
    assert f"{named}\n3 requests to the real API, ≈ $0.16." == bar.question.text
    assert [] == slow.calls
