"""Placeholders followed while a prompt is typed."""

from __future__ import annotations

from kontext_lab.panel.form_state import LabelledValue, PlaceholderValues, follow_prompts

BIRD = (LabelledValue("bird"), LabelledValue("crab"))


def typed(*prompts: str, words: PlaceholderValues | None = None) -> PlaceholderValues:
    """The words after these texts stood in the prompt, one after the other."""
    now = words or PlaceholderValues()
    for prompt in prompts:
        now = follow_prompts(now, [prompt])
    return now


def test_a_placeholder_is_there_when_its_brace_closes() -> None:
    """While the brace is open there is none."""
    assert () == typed("Add a {animal").names
    assert ("animal",) == typed("Add a {animal", "Add a {animal}").names


def test_values_stay_while_a_name_is_typed_on() -> None:
    """Each letter renames the placeholder; its values go along."""
    words = typed("a {x}").replace("x", BIRD)
    assert {"xyz": BIRD} == typed("a {xy}", "a {xyz}", words=words).used


def test_values_stay_while_a_brace_is_open() -> None:
    """A name that is retyped inside an open brace comes back with its values."""
    words = typed("a {animal} in {place}").replace("animal", BIRD)
    assert BIRD == typed("a {anim in {place}", "a {creature} in {place}", words=words).used["creature"]


def test_a_name_that_comes_back_has_its_values() -> None:
    """Cutting a placeholder out and pasting it again loses nothing."""
    words = typed("a {animal}").replace("animal", BIRD)
    assert {"animal": BIRD} == typed("a", "a nice {animal}", words=words).used


def test_a_second_name_takes_no_values_from_the_first() -> None:
    """A new placeholder beside another begins empty."""
    words = typed("a {animal}").replace("animal", BIRD)
    assert {"size": (), "animal": BIRD} == typed("a {size} {animal}", words=words).used


def test_renaming_one_of_two_keeps_the_other() -> None:
    """Only the one that was renamed moves."""
    words = typed("a {x} {y}").replace("x", BIRD).replace("y", (LabelledValue("red"),))
    assert {"z": BIRD, "y": (LabelledValue("red"),)} == typed("a {z} {y}", words=words).used


def test_escaped_braces_are_text() -> None:
    """`{{word}}` is no placeholder."""
    assert () == typed("a {{word}}").names


def test_several_prompts_share_placeholders() -> None:
    """A name used in two prompts is one axis."""
    assert ("x", "y") == follow_prompts(PlaceholderValues(), ["a {x}", "b {y} {x}"]).names
