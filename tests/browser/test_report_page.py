"""A report in Chromium, opened from the disk with no network: pickers, closer look, keyboard, phone."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from marks import RATIOS, TRUE_SPAN, marked, places, spans
from playwright.sync_api import Locator, Page, expect

import kontext_lab as kl
from kontext_lab.results import Results

sys.path.append(str(Path(__file__).parents[1] / "report"))
from report_making import moderate, study

pytestmark = pytest.mark.browser


@pytest.fixture
def results() -> Results:
    """2 x 2 x 2 cells, one of them moderated, one with all there is to say."""
    made = study("Add a {word}.", axes={"seed": [1, 2], "guidance_scale": [2, 5], "word": ["bird", "crab"]})
    moderate(made.cell(seed=2, guidance_scale=5, word="bird"))
    first = made.cell(seed=1, guidance_scale=2, word="bird")
    first.outputs[0].metrics = {"change/area": 0.03, "verdict/follows_prompt": 1.0}
    first.comment = "<b>nice</b>"
    return made


@pytest.fixture
def errors(page: Page) -> Iterator[list[str]]:
    """What a page complains of: broken rules of its policy, errors of its script."""
    found: list[str] = []
    page.on("console", lambda message: found.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: found.append(str(error)))
    yield found
    assert [] == found


@pytest.fixture
def opened(page: Page, errors: list[str], results: Results, tmp_path: Path) -> Page:
    """The page, from its file, without a network."""
    page.context.set_offline(True)
    page.goto(kl.report(results, tmp_path / "study.html").as_uri())
    return page


def picker(page: Page, name: str) -> Locator:
    """A list to pick from."""
    return page.get_by_role("combobox", name=name, exact=True)


def tiles(page: Page) -> Locator:
    """The grid's cells."""
    return page.locator("#sheet button")


def test_grid_shows_the_first_value_of_the_rest(opened: Page) -> None:
    """Two axes stand on rows and columns, the third is picked from, and the page says what is shown."""
    expect(tiles(opened)).to_have_count(4)
    expect(opened.locator("#hint")).to_contain_text("4 of 8 shown: word bird")
    expect(tiles(opened).nth(3)).to_contain_text("moderated: a black picture came")


def test_pickers_rearrange_the_grid(opened: Page) -> None:
    """An axis put on columns takes its place there; the one that was there can be picked from."""
    picker(opened, "columns").select_option("word")
    expect(opened.get_by_role("columnheader", name="crab")).to_be_visible()
    picker(opened, "seed").select_option("2")

    expect(tiles(opened).first).to_have_attribute("title", "seed 2 · guidance_scale 2 · word bird")


def test_rows_and_columns_change_places(opened: Page) -> None:
    """An axis that is picked for both stands where it was picked last, the other takes the place it left."""
    picker(opened, "rows").select_option("seed")

    expect(picker(opened, "rows")).to_have_value("seed")
    expect(picker(opened, "columns")).to_have_value("guidance_scale")


def test_pictures_are_loaded(opened: Page) -> None:
    """Every picture of the grid is one, of the size that was written."""
    widths = opened.locator("#sheet img").evaluate_all(
        "all => Promise.all(all.map(one => one.decode().then(() => one.naturalWidth)))"
    )

    assert [192] * 3 == widths


def test_a_click_looks_closely(opened: Page) -> None:
    """A cell opens with a divider between reference and output, its facts, verdicts, values and its note as text."""
    tiles(opened).first.click()
    closer = opened.get_by_role("dialog")

    expect(
        closer.get_by_role("slider", name="divider between reference and output (simulated)")
    ).to_be_visible()
    expect(closer.get_by_role("row", name="follows prompt pass")).to_be_visible()
    expect(closer.get_by_role("row", name="change/area 0.03")).to_be_visible()
    expect(closer.get_by_role("row", name="cost $0.040 (simulated)")).to_be_visible()
    expect(closer.get_by_text("<b>nice</b>")).to_be_visible()


def test_divider_follows_the_pointer(opened: Page) -> None:
    """Dragging over the picture moves the divider; what is left of it is the reference."""
    tiles(opened).first.click()
    stage = opened.locator(".stage.paired")
    box = stage.bounding_box()
    assert box is not None
    opened.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + 20)
    opened.mouse.down()
    opened.mouse.move(box["x"] + box["width"] * 0.2, box["y"] + 20)
    opened.mouse.up()

    expect(opened.get_by_role("slider", name="divider between")).to_have_value("20")
    clip = opened.locator(".stage .top").evaluate("node => getComputedStyle(node).clipPath")
    assert "inset(0px 80% 0px 0px)" == clip


@pytest.fixture
def reframed(store_uri: str, tmp_path: Path) -> Path:
    """A report on a marked photograph of 3:2 at all nine ratios."""
    with kl.Lab(service="sandbox", tracking_uri=store_uri, quiet=True) as lab:
        sweep = kl.Sweep("Add a bird.", image=marked(), axes={"aspect_ratio": list(RATIOS)})
        return kl.report(lab.run(sweep, progress=False), tmp_path / "ratios.html", lab=lab)


def test_marks_coincide_under_the_divider(page: Page, errors: list[str], reframed: Path) -> None:
    """At every ratio a thing stands in one place in reference and output, and neither is out of shape."""
    page.goto(reframed.as_uri())
    for at, ratio in enumerate(RATIOS):
        tiles(page).nth(at).click()
        stage, slider = page.locator(".stage.paired"), page.get_by_role("slider", name="divider between")
        found = []
        for value in ("100", "0"):
            slider.fill(value)
            found.append(places(stage.screenshot()))
        page.keyboard.press("Escape")
        assert np.abs(found[0] - found[1]).max() < 0.02, ratio
        assert [TRUE_SPAN] * 2 == pytest.approx([spans(one) for one in found], rel=0.03), ratio


def test_failed_cell_says_why_closely(opened: Page) -> None:
    """A cell without a picture opens with its reason and what it was made from."""
    tiles(opened).nth(3).click()
    closer = opened.get_by_role("dialog")

    expect(closer.get_by_text("moderated: a black picture came")).to_be_visible()
    expect(closer.get_by_alt_text("reference")).to_be_visible()


def test_keyboard_is_enough(opened: Page) -> None:
    """Arrows walk through the grid, Enter opens, arrows go on to the next cell, Escape closes."""
    tiles(opened).first.focus()
    opened.keyboard.press("ArrowRight")
    opened.keyboard.press("ArrowDown")
    expect(tiles(opened).nth(3)).to_be_focused()
    opened.keyboard.press("ArrowUp")
    opened.keyboard.press("Enter")
    title = opened.locator("#closer-title")
    expect(title).to_have_text("seed 2 · guidance_scale 2 · word bird")
    opened.get_by_role("button", name="Next cell").focus()
    opened.keyboard.press("ArrowLeft")
    expect(title).to_have_text("seed 1 · guidance_scale 2 · word bird")
    opened.keyboard.press("Escape")

    expect(opened.get_by_role("dialog")).to_be_hidden()


def test_values_stand_below_pictures(opened: Page) -> None:
    """A measured value can be shown below every picture; what was not measured says so."""
    picker(opened, "below").select_option("change/area")

    assert ["0.03", "not measured", "not measured", ""] == opened.locator(".under").all_text_contents()


def test_references_can_be_shown_in_the_grid(opened: Page) -> None:
    """The grid shows what was given, also where nothing came of it."""
    picker(opened, "show").select_option("reference")

    expect(opened.locator("#sheet img")).to_have_count(4)


def test_every_control_has_a_name(opened: Page) -> None:
    """Nothing that can be operated is nameless."""
    tiles(opened).first.click()
    nameless = opened.evaluate(
        """() => [...document.querySelectorAll("button, select, input")].filter((node) =>
          !(node.getAttribute("aria-label") || node.textContent.trim() || node.labels?.[0]?.textContent.trim())).length"""
    )

    assert 0 == nameless


@pytest.mark.parametrize("width", [360, 1300])
def test_page_is_no_wider_than_the_window(opened: Page, width: int) -> None:
    """Neither on a phone nor on a wide screen does the page scroll sideways, the closer look included."""
    opened.set_viewport_size({"width": width, "height": 800})
    assert width >= opened.evaluate("document.documentElement.scrollWidth")
    tiles(opened).first.click()
    closer = opened.locator("#closer")

    assert closer.evaluate("node => node.scrollWidth <= node.clientWidth")


def test_without_scripts_all_pictures_stand_there(
    page: Page, errors: list[str], results: Results, tmp_path: Path
) -> None:
    """Where a mail program runs no scripts, pictures and reasons are there one after the other."""
    browser = page.context.browser
    assert browser is not None
    plain = browser.new_context(java_script_enabled=False).new_page()
    plain.goto(kl.report(results, tmp_path / "study.html").as_uri())

    expect(plain.locator(".gallery img")).to_have_count(8)  # seven outputs, one reference
    expect(plain.get_by_text("a black picture came")).to_be_visible()


def test_hostile_texts_run_nothing(page: Page, errors: list[str], tmp_path: Path) -> None:
    """Markup in prompts and words stays text in the grid, in pickers and in the closer look."""
    bad = "<img src=x onerror=\"document.title='got'\"></script><script>document.title='got'</script>"
    results = study("Add {word}", axes={"word": [bad, "crab"], "seed": [1, 2]}, name="quiet")
    results[0].comment = bad
    page.goto(kl.report(results, tmp_path / "study.html").as_uri())
    tiles(page).first.click()

    expect(page.get_by_role("dialog")).to_contain_text("onerror")
    assert "quiet (simulated)" == page.title()
