"""The panel without a browser: what buttons do and what is shown, by the buttons' clicks and by the methods."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import traitlets
from ipywidgets import HTML
from panel_driver import TABS, button, drive, parts

import kontext_lab as kl
from kontext_lab.errors import ConfigError, NotFound
from kontext_lab.panel import Panel
from kontext_lab.results import State
from kontext_lab.sandbox import Sandbox


def test_a_reference_can_be_taken_away(typed: Panel) -> None:
    """With its button; the sweep is then none, and nothing is said to be wrong with the panel."""
    references = drive(typed).form.references
    away = next(
        one for one in parts(references) if (getattr(one, "tooltip", "") or "").startswith("Take reference")
    )
    away.click()
    typed.wait(20)
    assert ([], "") == (list(references.values), references.trouble.text)


def test_an_empty_panel_says_what_is_missing(panel: Panel) -> None:
    """Run is disabled, with the reason."""
    assert (True, "prompt: is missing, say what to change (and 1 more)") == (
        button(panel, "Run").disabled,
        drive(panel).reason,
    )


def test_the_tabs_are_as_drawn(panel: Panel) -> None:
    """All five, from the first version on."""
    assert ("Grid", "Compare", "Effects", "Rank", "History") == tuple(drive(panel).tabs.titles) == TABS


@pytest.mark.slow
def test_the_plan_follows_what_is_typed(typed: Panel) -> None:
    """Requests, cost and time, without anything sent."""
    assert "2 × 2 = 4 requests · free (≈ $0.21 if it were real)" in drive(typed).plan_line


def test_planning_sends_nothing(typed: Panel, api: Sandbox) -> None:
    """No picture was asked for."""
    assert 0.0 == api.bill


@pytest.mark.slow
def test_run_runs_what_stands_in_the_form(typed: Panel, api: Sandbox) -> None:
    """A click on Run; the progress line keeps its count."""
    button(typed, "Run").click()
    results = typed.wait(60)
    assert (4, "4/4") == (results.counts[State.DONE], drive(typed).progress_line.split(" · ")[0])
    assert api.bill == pytest.approx(results.cost)


@pytest.mark.slow
def test_a_second_run_pays_nothing(typed: Panel, api: Sandbox) -> None:
    """Every cell is reused."""
    typed.run()
    typed.wait(60)
    paid = api.bill
    typed.run()
    typed.wait(60)
    assert paid == api.bill


def test_run_while_the_plan_is_being_made_runs_that_plan(
    panel: Panel, make_sweep: Callable[..., kl.Sweep]
) -> None:
    """Pressed right after typing, it starts as soon as the plan is there."""
    panel.load(make_sweep(axes={"animal": ["bird"], "seed": [1]}))
    panel.run()
    assert 1 == panel.wait(60).counts[State.DONE]


@pytest.mark.slow
def test_run_during_a_run_queues(typed: Panel, api: Sandbox, photo_file: Path) -> None:
    """The second sweep starts when the first has ended."""
    typed.run()
    drive(typed).wait_for(lambda: drive(typed).session.state == "running", 20)
    typed.load(kl.Sweep("Add a crab.", photo_file, name="second"))
    drive(typed).wait_for_plan(20)
    typed.run()
    results = typed.wait(60)
    assert ("second", 5) == (results.name, len(api.calls))


def test_stop_keeps_what_came_and_sends_nothing_more(store_uri: str, photo_file: Path) -> None:
    """The rest is cancelled, and waits for the next run."""
    with kl.Lab("sandbox", concurrency=1, quiet=True) as lab:
        panel = Panel(lab, kl.Sweep("Add a bird.", photo_file, seed="1-8"))
        panel.run()
        drive(panel).wait_for(lambda: panel.results.counts[State.DONE] >= 1, 30)
        button(panel, "Stop").click()
        counts = panel.wait(30).counts
    assert counts[State.DONE] >= 1
    assert 8 == counts[State.DONE] + counts[State.CANCELLED]


def test_stopping_twice_waits_for_nothing(
    store_uri: str, photo_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An answer that does not come keeps nobody; the next panel names what is owed and goes on with it."""
    with Sandbox(latency=8.0) as slow:
        monkeypatch.setenv("AIMLAPI_BASE_URL", slow.url)
        monkeypatch.setenv("AIMLAPI_API_KEY", "marked-key-4711")
        panel = Panel(kl.Lab(quiet=True), kl.Sweep("Add a bird.", photo_file, seed="1-2", name="slow"))
        panel.run()
        drive(panel).wait_for(lambda: slow.in_flight == 2, 30)
        button(panel, "Stop").click()
        button(panel, "Stop").click()
        began = time.monotonic()
        results = panel.wait(30)
        waited = time.monotonic() - began
    assert (True, "left") == (waited < 6, results.stopped)


def test_stop_empties_the_queue(typed: Panel, photo_file: Path) -> None:
    """What waited is not started."""
    typed.run()
    second = kl.Sweep("Add a crab.", photo_file, name="second")
    drive(typed).session.run(typed.lab.plan(second), typed.lab)
    typed.stop()
    assert "second" != typed.wait(60).name


@pytest.fixture
def paid(store_uri: str, photo_file: Path, monkeypatch: pytest.MonkeyPatch) -> Panel:
    """A panel on an API that nobody answers for, with a sweep of three cells."""
    monkeypatch.setenv("AIMLAPI_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AIMLAPI_API_KEY", "marked-key-4711")
    made = Panel(kl.Lab(confirm_above=0.1), kl.Sweep("Add a bird.", photo_file, seed="1-3"))
    made.wait(30)
    return made


@pytest.mark.slow
def test_what_costs_much_is_asked_about_once(paid: Panel) -> None:
    """Nothing is started before the answer."""
    button(paid, "Run").click()
    asked = (drive(paid).question, drive(paid).session.state)
    assert ("3 requests to the real API, ≈ $0.16.", "idle") == asked


def test_a_dead_service_is_told_after_the_yes(paid: Panel) -> None:
    """The question goes, the line says why nothing was sent."""
    paid.run()
    button(paid, "Pay and run").click()
    paid.wait(30)
    bar = drive(paid).run_bar
    assert ("", True) == (bar.question.text, "127.0.0.1:9" in bar.notes.text)


def test_a_changed_form_takes_the_question_back(paid: Panel) -> None:
    """What is asked about is what stands in the form."""
    paid.run()
    drive(paid).axis_field("seed").commit("9")
    paid.wait(30)
    assert "" == drive(paid).question


def test_trying_one_sends_one(typed: Panel, api: Sandbox) -> None:
    """A single request of the sweep; the rest waits."""
    typed.try_one()
    counts = typed.wait(60).counts
    assert (1, 1) == (counts[State.DONE], len(api.calls))


@pytest.mark.slow
def test_retry_failed_is_there_only_with_failures(typed: Panel) -> None:
    """After a run without failures there is nothing to retry."""
    typed.run()
    typed.wait(60)
    assert "none" == button(typed, "Retry failed").layout.display


@pytest.mark.slow
def test_retry_failed_says_its_price_and_sends_them_again(typed: Panel, api: Sandbox) -> None:
    """Also what was billed without a picture, which a plain run leaves."""
    api.script(["moderated"])
    typed.run()
    failed = typed.wait(60).counts[State.FAILED]
    retry, price = button(typed, "Retry failed"), drive(typed).run_bar.retry_price.text
    retry.click()
    counts = typed.wait(60).counts
    assert (1, None, True) == (failed, retry.layout.display and None, price.startswith("1 to send"))
    assert 4 == counts[State.DONE]


def test_a_second_panel_shows_the_same(typed: Panel, lab: kl.Lab) -> None:
    """Of the same lab, or of one made anew in the same kernel."""
    typed.run()
    typed.wait(60)
    other = Panel(kl.Lab(quiet=True))
    assert (typed.results is other.results, typed.sweep == other.sweep) == (True, True)


def test_a_selection_is_there_for_the_next_cell(typed: Panel) -> None:
    """`panel.selection` is the output that is picked."""
    typed.run()
    typed.wait(60)
    picked = typed.select(seed=2, guidance_scale=8)
    assert (picked, 2) == (typed.selection, typed.selection.params["seed"])


def test_arrow_keys_move_through_the_grid(typed: Panel) -> None:
    """From the picked cell to its neighbour."""
    typed.run()
    typed.wait(60)
    typed.select(seed=1, guidance_scale=2)
    drive(typed).press_key("ArrowRight")
    drive(typed).press_key("ArrowDown")
    assert (2, 8) == (typed.selection.params["seed"], typed.selection.params["guidance_scale"])


@pytest.mark.slow
def test_keys_judge_the_picked_output(typed: Panel, lab: kl.Lab) -> None:
    """1 and 0 on the current criterion, F for favourite; all in the store."""
    typed.run()
    typed.wait(60)
    typed.select(seed=1, guidance_scale=2)
    for key in ("1", "f"):
        drive(typed).press_key(key)
        typed.wait(20)
    stored = lab.load("last").cell(seed=1, guidance_scale=2).output.metrics
    assert {"verdict/follows_prompt": 1.0, "verdict/favourite": 1.0} == {
        name: value for name, value in stored.items() if name.startswith("verdict/")
    }


def test_use_as_reference_keeps_where_it_came_from(typed: Panel) -> None:
    """The next sweep knows its parent output."""
    typed.run()
    typed.wait(60)
    picked = typed.select(seed=1, guidance_scale=2)
    drive(typed).actions.use_as_reference()
    typed.wait(20)
    assert [picked.run_id] == [
        reference.origin.run_id for reference in typed.sweep.references if reference.origin
    ]


@pytest.mark.slow
def test_use_these_settings_fills_the_form(typed: Panel) -> None:
    """One value each; the request is the same one, so it costs nothing."""
    typed.run()
    typed.wait(60)
    typed.select(seed=2, guidance_scale=8)
    drive(typed).actions.use_settings()
    typed.wait(20)
    assert (1, 1) == (len(typed.sweep), drive(typed).planner.plan.reused)


def test_more_seeds_vary_the_seed_alone(typed: Panel) -> None:
    """Four more, beginning with its own."""
    typed.run()
    typed.wait(60)
    typed.select(seed=2, guidance_scale=8)
    drive(typed).actions.more_seeds()
    assert [2, 3, 4, 5, 6] == [cell.request.seed for cell in typed.sweep.cells]


@pytest.mark.slow
def test_copied_code_makes_exactly_this_cell(typed: Panel, lab: kl.Lab) -> None:
    """Executed, it sends nothing: the request is known."""
    typed.run()
    typed.wait(60)
    typed.select(seed=2, guidance_scale=8)
    drive(typed).actions.copy_code()
    typed.wait(20)
    found: dict[str, object] = {}
    exec(drive(typed).clipboard.text, found)
    assert typed.selection.cell.fingerprint == found["result"].fingerprint
    assert found["result"].cost == 0.0


def test_copied_sweep_is_the_sweep(typed: Panel) -> None:
    """As Python and as YAML."""
    drive(typed).files.copy_python()
    source = drive(typed).clipboard.text.split("print(lab.plan")[0]
    found: dict[str, object] = {}
    exec(source, found)
    drive(typed).files.copy_yaml()
    Path("copied.yaml").write_text(drive(typed).clipboard.text, encoding="utf-8")
    assert [typed.sweep, typed.sweep] == [found["sweep"], kl.Sweep.from_yaml("copied.yaml")]


def test_an_exception_in_a_callback_is_shown_where_it_was_raised(typed: Panel) -> None:
    """Never swallowed, never a traceback."""
    button(typed, "Load").click()
    assert "YAML file: give its path" == drive(typed).files.trouble.text


def test_an_unreadable_image_is_said_beside_the_image(panel: Panel) -> None:
    """One clear line; the panel goes on."""
    drive(panel).give_image("nowhere.png")
    panel.wait(20)
    assert "image: no file 'nowhere.png'" == drive(panel).form.references.trouble.text


def test_a_dead_service_is_said_and_nothing_is_lost(typed: Panel, api: Sandbox) -> None:
    """The form stays, the line says what is wrong."""
    sweep = typed.sweep
    api.stop()
    typed.run()
    typed.wait(60)
    assert "4/4" not in drive(typed).progress_line
    assert (sweep, True) == (typed.sweep, bool(drive(typed).session.line))


@pytest.mark.slow
def test_a_wrong_key_is_said(typed: Panel, api: Sandbox) -> None:
    """In the line about the run."""
    api.script(["unauthorized"] * 4)
    typed.run()
    typed.wait(60)
    assert "key" in drive(typed).run_bar.notes.text


@pytest.mark.slow
def test_html_in_a_prompt_is_text(typed: Panel) -> None:
    """Nowhere in the panel does it become markup."""
    drive(typed).type_prompt("<img src=x onerror=alert(1)>")
    typed.wait(20)
    typed.run()
    typed.wait(60)
    typed.select(seed=1, guidance_scale=2)
    typed.wait(20)
    drive(typed).open_tab("History")
    typed.wait(20)
    assert [] == [one for one in parts(typed) if isinstance(one, HTML) and "<img src=x" in one.value]


@pytest.fixture
def touched_elsewhere(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Widgets' traits that were set on another thread than the test's."""
    from ipywidgets import Widget

    here, found = threading.get_ident(), []
    before = Widget.notify_change

    def watched(self: Widget, change: traitlets.Bunch) -> None:
        if threading.get_ident() != here:
            found.append(f"{type(self).__name__}.{change['name']}")
        before(self, change)

    monkeypatch.setattr(Widget, "notify_change", watched)
    return found


@pytest.mark.slow
def test_no_widget_is_touched_off_the_widgets_thread(touched_elsewhere: list[str], typed: Panel) -> None:
    """While a sweep runs, is looked at and compared."""
    typed.run()
    typed.wait(60)
    typed.select(seed=1, guidance_scale=2)
    drive(typed).open_tab("Compare")
    drive(typed).compare.add_shown()
    drive(typed).open_tab("History")
    typed.wait(20)
    assert [] == touched_elsewhere


def test_panels_take_labs_only(store_uri: str) -> None:
    """One line says what it takes."""
    with pytest.raises(ConfigError, match=r"lab must be a kl\.Lab, not str"):
        Panel("sandbox")  # type: ignore[arg-type]


@pytest.mark.slow
def test_picking_what_is_not_there_names_what_is(typed: Panel) -> None:
    """As `results.at` does."""
    typed.run()
    typed.wait(60)
    with pytest.raises(NotFound, match="seed=9: no cell has it"):
        typed.select(seed=9, guidance_scale=2)


def test_setting_the_sweep_puts_it_into_the_form(panel: Panel, make_sweep: Callable[..., kl.Sweep]) -> None:
    """The way back from `panel.sweep`."""
    panel.sweep = make_sweep()
    assert make_sweep() == panel.sweep


@pytest.mark.slow
def test_a_verdict_leaves_request_and_answer_in_view(typed: Panel) -> None:
    """What was unfolded stays as it is."""
    typed.run()
    typed.wait(60)
    typed.select(seed=1, guidance_scale=2)
    typed.wait(20)
    before = drive(typed).inspector.details.value
    typed.set_verdict("rest kept", True)
    typed.wait(20)
    assert "<summary>Answer</summary>" in before
    assert before == drive(typed).inspector.details.value
