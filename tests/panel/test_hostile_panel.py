"""Things that go wrong around a panel: each is said in one line where it belongs, nothing is lost, the panel goes on."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from ipywidgets import HTML, Widget
from panel_driver import button, drive, parts

import kontext_lab as kl
from kontext_lab.errors import AlreadyRunning, ConfigError, KontextLabError, NotFound, SweepError
from kontext_lab.panel import Panel
from kontext_lab.results import State
from kontext_lab.sandbox import Sandbox

KEY = "typed-key-0815-not-to-be-seen"

ODD = "<b onclick=x>&amp;\ud800\udcff\x00\x1b[31m\u202e"


def texts_of(panel: Panel) -> str:
    """Everything that the panel's widgets hold, as it would be saved with a notebook."""
    return "".join(json.dumps(one.get_state(), default=repr) for one in parts(panel))


def markup_of(panel: Panel) -> str:
    """What stands in the panel as markup."""
    return "".join(one.value for one in parts(panel) if isinstance(one, HTML))


# A panel in use.


def test_a_typed_key_is_kept_nowhere_that_is_saved_or_shown(
    store_uri: str, box: Sandbox, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """No trait, repr, attribute, log line or error has it."""
    monkeypatch.setenv("AIMLAPI_BASE_URL", box.url)
    caplog.set_level(logging.DEBUG)
    panel = Panel(kl.Lab("sandbox", quiet=True))
    header = drive(panel).header
    header.switch.value = "api"
    header.key._handle_custom_msg({"type": "key", "key": KEY}, [])
    panel.wait(30)
    seen = "".join(
        (
            texts_of(panel),
            repr(panel),
            repr(vars(panel)),
            repr(vars(header)),
            repr(vars(panel.lab)),
            caplog.text,
        )
    )
    assert ("api", False) == (panel.lab.context.service, KEY in seen)


def test_a_key_that_can_not_be_sent_is_said_without_it(
    store_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Behind the field."""
    panel = Panel(kl.Lab("sandbox", quiet=True))
    drive(panel).use_service("api")
    drive(panel).header.key._handle_custom_msg({"type": "key", "key": KEY + "\nschlüssel"}, [])
    panel.wait(30)
    said = drive(panel).header.key.status + drive(panel).header.trouble.text
    assert (True, False, "sandbox") == (bool(said), KEY in texts_of(panel), panel.lab.context.service)


def test_the_switch_says_what_answers(store_uri: str) -> None:
    """While a key is asked for, that is the sandbox still."""
    panel = Panel(kl.Lab("sandbox", quiet=True))
    header = drive(panel).header
    header.switch.value = "api"
    assert ("sandbox", None) == (header.switch.value, header.key.layout.display)


def test_a_refused_key_can_be_given_anew(store_uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The field is there again, the line says why."""
    with Sandbox(keys={"the-right-key"}) as strict:
        monkeypatch.setenv("AIMLAPI_BASE_URL", strict.url)
        panel = Panel(kl.Lab("sandbox", quiet=True))
        header = drive(panel).header
        header.switch.value = "api"
        header.key._handle_custom_msg({"type": "key", "key": "the-wrong-key"}, [])
        panel.lab.context.connection.name = (
            panel.lab.context.connection.client.service
        )  # as if it were no sandbox
        header.refresh()
        panel.wait(30)
        assert (None, True) == (header.key.layout.display, "key" in header.notice.text)
        header.key._handle_custom_msg({"type": "key", "key": "the-right-key"}, [])
        panel.wait(30)
    assert ("none", "") == (header.key.layout.display, header.notice.text)


def test_no_odd_text_becomes_markup(typed: Panel) -> None:
    """In a sweep's name, a note, a prompt, a value and a search; with control and half characters."""
    ui = drive(typed)
    ui.type_prompt(f"Add {ODD} {{animal}}.")
    ui.form.words["animal"].value = (ODD, "bird")
    ui.form.more.name.value = "<i>name</i>"
    ui.form.more.note.value = ODD
    ui.give_image(f"/no/{ODD}.png")
    typed.wait(30)
    assert [] == [bad for bad in ("<b onclick", "<i>name") if bad in markup_of(typed)]
    shown = "".join(one.value for one in parts(typed) if isinstance(one, HTML))
    assert shown.encode("utf-8")


def test_an_upload_that_is_no_picture_is_said_beside_the_image(panel: Panel) -> None:
    """Whatever its name."""
    references = drive(panel).form.references
    references.load(b"GIF89a but not really", ODD)
    panel.wait(20)
    assert references.trouble.text.startswith("image (bytes): is not a picture")
    assert 1 == len(references.trouble.text.splitlines())


def test_one_unreadable_reference_does_not_hide_behind_a_good_one(panel: Panel, photo_file: Path) -> None:
    """Its line stays when the other has been read."""
    references = drive(panel).form.references
    references.load(b"no picture", "bad")
    references.load(str(photo_file))
    panel.wait(20)
    assert (1, True) == (len(references.values), bool(references.trouble.text))


def test_a_prompt_of_4001_characters_is_said_beside_it(typed: Panel) -> None:
    """And Run is disabled, with the reason."""
    drive(typed).type_prompt("x" * 4001)
    line = "prompt: 4001 characters, allowed are at most 4000"
    assert (line, True) == (drive(typed).form.prompts.problem.text, button(typed, "Run").disabled)


def test_10001_cells_are_said_and_the_form_goes_on(typed: Panel) -> None:
    """Fewer of them are planned again."""
    form = drive(typed).form
    form.fields["seed"].value = tuple(str(seed) for seed in range(1, 5002))
    typed.wait(30)
    said = drive(typed).reason
    form.fields["seed"].value = ("1",)
    typed.wait(30)
    assert ("2 × 5001 make 10002 cells" in said, False) == (True, button(typed, "Run").disabled)


@pytest.mark.slow
def test_no_credits_are_said_and_nothing_follows(typed: Panel, api: Sandbox, photo_file: Path) -> None:
    """What waits behind is not started into the same trouble."""
    api.script(["out_of_credits"] * 8)
    typed.run()
    second = kl.Sweep("Add a crab.", photo_file, name="second")
    drive(typed).session.run(typed.lab.plan(second), typed.lab)
    typed.wait(60)
    notes = drive(typed).run_bar.notes.text
    assert (True, True) == ("credits" in notes, "1 waiting not started" in notes)


# The session.


@pytest.mark.slow
def test_a_sweep_opened_late_does_not_take_the_place_of_a_run(typed: Panel) -> None:
    """It was asked for before Run; the cells on show are those that arrive."""
    typed.run()
    typed.wait(60)
    (run, *_) = typed.lab.history()
    drive(typed).axis_field("seed").value = ("8", "9")
    drive(typed).wait_for_plan(30)
    drive(typed).history.open_run(run)
    drive(typed).session.run(typed.lab.plan(typed.sweep), typed.lab)
    results = typed.wait(60)
    assert {8, 9} == {cell.params["seed"] for cell in results}


def test_results_are_not_replaced_while_a_run_is_under_way(typed: Panel) -> None:
    """One line says what to do."""
    typed.run()
    with pytest.raises(AlreadyRunning, match="when it has ended, or compare"):
        drive(typed).session.show(kl.Results([]))
    typed.wait(60)


@pytest.mark.slow
def test_a_run_that_fails_to_start_leaves_the_panel_idle(typed: Panel) -> None:
    """Its line says why; the next run is possible."""
    session = drive(typed).session
    session.run(replace(typed.lab.plan(typed.sweep), service="another"), typed.lab)
    typed.wait(30)
    assert ("idle", True) == (session.state, "the plan is for another" in session.line)
    typed.run()
    assert 4 == typed.wait(60).counts[State.DONE]


def test_a_run_under_way_is_told_although_somebody_who_looks_on_fails(typed: Panel) -> None:
    """An observer that raises does not leave the session running for ever."""
    session = drive(typed).session

    def fails(_: object) -> None:
        raise ZeroDivisionError("looking on")

    session.observe(fails, names="results")
    typed.run()
    typed.wait(60)
    assert "idle" == session.state


def test_a_run_goes_on_while_nobody_waits(typed: Panel) -> None:
    """As while a cell executes: afterwards its end is told."""
    typed.run()
    drive(typed).wait_for(lambda: drive(typed).session.state == "running", 30)
    results = typed.results
    began = time.monotonic()
    while not all(cell.state.is_finished for cell in results) and time.monotonic() - began < 60:
        time.sleep(0.05)
    assert ("running", 4) == (drive(typed).session.state, results.counts[State.DONE])
    typed.wait(30)
    assert "idle" == drive(typed).session.state


def test_a_closed_lab_opens_again(typed: Panel) -> None:
    """Closing it ends connections, not the panel."""
    typed.lab.close()
    typed.run()
    assert 4 == typed.wait(60).counts[State.DONE]


@pytest.mark.slow
def test_a_store_that_breaks_in_the_middle_keeps_the_pictures(
    typed: Panel, api: Sandbox, workdir: Path
) -> None:
    """One line says so; nothing is paid for twice when the store is back."""
    typed.run()
    drive(typed).wait_for(lambda: drive(typed).session.state == "running", 30)
    typed.lab.context.tracker.store.client._tracking_client.store.engine.dispose()
    whole = (workdir / "mlflow.db").read_bytes()
    (workdir / "mlflow.db").write_bytes(b"no database any more" * 1000)
    typed.wait(120)
    said = drive(typed).session.line
    typed.lab.context.tracker.store.client._tracking_client.store.engine.dispose()
    (workdir / "mlflow.db").write_bytes(whole)
    typed.run()
    typed.wait(120)
    assert (True, 4) == (bool(said), len(api.calls))


def test_planning_goes_on_beside_a_store_that_hangs(typed: Panel, monkeypatch: pytest.MonkeyPatch) -> None:
    """Threads that wait for its history keep neither plan nor run."""
    hang = threading.Event()
    ui = drive(typed)
    for _ in range(8):
        ui.dispatcher.background(lambda: hang.wait(60), lambda _: None)
    ui.axis_field("seed").value = ("3",)
    planned = ui.wait_for(lambda: ui.planner.state == "ready", 20)
    typed.run()
    ui.wait_for(lambda: ui.session.state == "idle", 60)
    hang.set()
    assert (True, 2) == (planned, typed.results.counts[State.DONE])


def test_a_price_of_other_results_is_not_shown(typed: Panel, api: Sandbox) -> None:
    """What was asked about before something else came on show is dropped when it arrives."""
    api.script(["moderated"])
    typed.run()
    typed.wait(60)
    run_bar = drive(typed).run_bar
    run_bar._find_retry_price()
    drive(typed).session.show(kl.Results([]))
    typed.wait(20)
    assert ("", "none") == (run_bar.retry_price.text, button(typed, "Retry failed").layout.display)


@pytest.mark.slow
def test_parts_that_are_taken_away_are_closed(typed: Panel, make_sweep: Callable[..., kl.Sweep]) -> None:
    """Neither kernel nor saved notebook keeps them: putting sweeps in again and again leaves nothing behind."""
    from ipywidgets.widgets.widget import _instances

    one, other = make_sweep(), kl.Sweep(["one", "two"], typed.sweep.references[0])

    def both() -> int:
        for sweep in (one, other):
            typed.load(sweep)
            typed.wait(20)
        return len(_instances)

    both()
    before = both()
    assert before == both()


def test_making_the_panel_again_makes_no_second_one(typed: Panel) -> None:
    """A cell that is executed again adds a box around the same parts, and no threads."""
    threads = threading.active_count()
    again = [Panel(typed.lab) for _ in range(5)]
    assert (True, True) == (
        all(drive(one).controller is drive(typed).controller for one in again),
        threading.active_count() <= threads + 1,
    )


def test_a_lab_without_criteria_has_a_panel(store_uri: str) -> None:
    """Favourites and notes are there; a verdict says what is missing."""
    with kl.Lab("sandbox", quiet=True, criteria=(), measure=False) as lab:
        panel = Panel(lab)
        with pytest.raises(ConfigError, match="there are no criteria"):
            drive(panel).inspector.verdicts.set_verdict(True)


# The panel as an interface.


WRONG: list[tuple[Callable[[Panel], object], type[KontextLabError], str]] = [
    (lambda panel: panel.load(5), SweepError, "sweep: 5, allowed are"),
    (lambda panel: panel.load(None), SweepError, "sweep: None, allowed are"),
    (lambda panel: panel.load(" "), SweepError, "allowed are"),
    (lambda panel: panel.load("nowhere.yaml"), KontextLabError, "nowhere.yaml"),
    (lambda panel: panel.load("no such sweep"), NotFound, "no such sweep"),
    (lambda panel: panel.wait("long"), ConfigError, "timeout: 'long'"),
    (lambda panel: panel.select(), ConfigError, "give parameters"),
    (lambda panel: panel.select(seed=object()), KontextLabError, "seed"),
    (lambda panel: panel.set_verdict("follows prompt", "yes"), ConfigError, "verdict: 'yes'"),
    (lambda panel: panel.set_verdict(5, True), ConfigError, "criterion: 5"),
    (lambda panel: panel.set_verdict("follows prompt", True), NotFound, "no cell is picked"),
    (lambda panel: panel.run(), ConfigError, "nothing is run: prompt: is missing"),
    (lambda panel: panel.try_one(), ConfigError, "nothing is run"),
    (lambda panel: panel.retry_failed(), ConfigError, "nothing to retry"),
    (lambda panel: panel.sweep, SweepError, "prompt: is missing"),
    (lambda panel: Panel(panel.lab, sweep="a"), ConfigError, "sweep must be a kl.Sweep, not str"),  # type: ignore[arg-type]
    (lambda _: Panel("lab"), ConfigError, "lab must be a kl.Lab, not str"),  # type: ignore[arg-type]
]


@pytest.mark.parametrize(("do", "kind", "line"), WRONG, ids=[line for _, _, line in WRONG])
def test_what_can_not_be_is_said_in_one_line(
    panel: Panel, do: Callable[[Panel], object], kind: type[KontextLabError], line: str
) -> None:
    """With an error of ours, that names what is allowed."""
    with pytest.raises(kind) as found:
        do(panel)
    assert (True, 1) == (line in str(found.value), len(str(found.value).splitlines()))


def test_waiting_is_for_the_panels_own_thread(panel: Panel) -> None:
    """Widgets are touched on one thread only."""
    errors: list[BaseException] = []

    def other() -> None:
        try:
            panel.wait()
        except ConfigError as error:
            errors.append(error)

    thread = threading.Thread(target=other)
    thread.start()
    thread.join()
    assert 1 == len(errors)


def test_no_panel_is_needed_to_stop_and_decline(panel: Panel) -> None:
    """What has nothing to do does nothing."""
    panel.stop()
    panel.confirm()
    assert (0, None) == (len(panel.wait(5)), panel.selection)


def test_widgets_are_all_widgets(panel: Panel) -> None:
    """Every part has a state that can be written as JSON."""
    states = [json.dumps(one.get_state(), default=repr) for one in parts(panel) if isinstance(one, Widget)]
    assert len(states) > 50
