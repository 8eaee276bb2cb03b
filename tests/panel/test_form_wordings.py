"""What the form says of several prompts: how each differs from the first, never while one is typed."""

from __future__ import annotations

import pytest
from panel_driver import button, drive

import kontext_lab as kl
from kontext_lab.panel import Panel


def told(panel: Panel) -> str:
    """What stands below the prompts, as HTML."""
    panel.wait(20)
    shown = drive(panel).form.prompts._differences
    return "" if shown is None or shown.layout.display == "none" else shown.value


def two(panel: Panel, first: str, second: str, name: str = "") -> None:
    """Type two prompts."""
    button(panel, "+ prompt").click()
    rows = drive(panel).form.prompts.rows
    rows[0].text.value, rows[1].text.value, rows[1].name.value = first, second, name


def test_one_prompt_has_no_differences(typed: Panel) -> None:
    """Below a single prompt nothing stands."""
    assert "" == told(typed)


def test_the_second_prompt_says_what_it_adds(panel: Panel) -> None:
    """What a wording adds is underlined, below the prompts, by its name."""
    two(panel, "Add a bird.", "Add a bird. Keep the rest.", "keep")
    line = told(panel)
    assert "<div>keep: " in line
    assert ">Keep the rest.</ins>" in line


def test_a_copy_says_that_it_is_one(panel: Panel) -> None:
    """A further prompt begins as a copy, and says so until it is changed."""
    two(panel, "Add a bird.", "Add a bird.")
    assert "P2: the same words as the first" in told(panel)


def test_a_prompt_taken_away_takes_its_line_along(panel: Panel) -> None:
    """With one prompt left, there is no line."""
    two(panel, "Add a bird.", "Add a crab.")
    told(panel)
    prompts = drive(panel).form.prompts
    prompts.remove(prompts.rows[1])
    assert "" == told(panel)


def test_prompts_put_into_the_form_are_compared(panel: Panel) -> None:
    """A sweep that is opened brings its differences along."""
    panel.load(kl.Sweep(image=kl.sample("coffee"), prompt=["Add a bird.", "Add two birds."]))
    assert ">two birds</ins>" in told(panel)


def test_what_is_typed_is_no_markup(panel: Panel) -> None:
    """Neither a prompt nor its name makes an element."""
    two(panel, "Add a <i>bird</i>.", "Add one <i>bird</i>\ud800.", "<b>")
    assert not any(tag in told(panel) for tag in ("<i>", "<b>", "\ud800"))


def test_typing_waits_for_no_comparison(panel: Panel, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a prompt is typed nothing is compared; afterwards once."""
    from kontext_lab.panel.form import prompt_fields as module

    calls: list[int] = []
    compare = module._differing
    monkeypatch.setattr(module, "_differing", lambda given: (calls.append(1), compare(given))[1])
    two(panel, "Add a bird.", "A")
    panel.wait(20)
    calls.clear()
    for end in range(1, 12):
        drive(panel).form.prompts.rows[1].text.value = "Add a crab."[:end]
    assert [] == calls
    panel.wait(20)
    assert [1] == calls
