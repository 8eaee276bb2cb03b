"""The tab Effects without a browser: what it offers, what it shows, and the way to a point's cells."""

from __future__ import annotations

import pytest
from panel_driver import drive, parts

import kontext_lab as kl
from kontext_lab.panel import Panel
from kontext_lab.panel.effects_tab import EffectsTab

PNG = b"\x89PNG"


def opened(panel: Panel) -> EffectsTab:
    """The tab, turned to and settled."""
    drive(panel).open_tab("Effects")
    panel.wait(20)
    return drive(panel).effects


@pytest.fixture
def ran(typed: Panel) -> Panel:
    """A panel whose sweep of two guidance scales and two seeds ran, each picture with two values."""
    typed.run()
    for output in typed.wait(60).outputs:
        guidance, seed = output.params["guidance_scale"], output.params["seed"]
        output.metrics.clear()
        output.metrics.update(
            {"change/area": 0.01 * guidance + 0.002 * seed, "preserve/ssim": 0.9 + 0.01 * seed}
        )
    return typed


def labels(tab: EffectsTab) -> list[str]:
    """The texts of the buttons that lead to cells."""
    return [one.description for one in parts(tab.cells) if hasattr(one, "click")]


def test_it_says_what_it_needs(panel: Panel) -> None:
    """As long as nothing is measured."""
    tab = opened(panel)
    assert (True, "none") == ("need measured pictures" in tab.empty.text, tab.chart.layout.display)


def test_what_was_measured_is_offered(ran: Panel) -> None:
    """How much changed stands first."""
    tab = opened(ran)
    assert (["change/area", "preserve/ssim"], "change/area") == (
        [name for name, _ in tab.metric.options],
        tab.metric.value,
    )


def test_figure_and_sentences_are_shown(ran: Panel) -> None:
    """A picture of moderate size, and what it says in words."""
    tab = opened(ran)
    assert PNG == tab.chart.pictures["chart"][:4]
    assert len(tab.chart.pictures["chart"]) < 400_000
    assert "guidance_scale explains" in tab.sentences.value


@pytest.mark.slow
def test_another_value_is_another_figure(ran: Panel) -> None:
    """Picked from the list."""
    tab = opened(ran)
    before = tab.chart.pictures["chart"]
    tab.metric.value = "preserve/ssim"
    ran.wait(20)
    assert (True, True) == (before != tab.chart.pictures["chart"], "preserve/ssim" in tab.sentences.value)


@pytest.mark.slow
def test_two_axes_are_looked_at_together(ran: Panel) -> None:
    """Once both are picked."""
    tab = opened(ran)
    tab.rows.value = "guidance_scale"
    tab.columns.value = "seed"
    ran.wait(20)
    assert tab.numbers is not None
    assert tab.numbers.interaction is not None
    assert ("guidance_scale", "seed") == (tab.numbers.interaction.rows, tab.numbers.interaction.columns)


def test_a_point_leads_to_its_cells(ran: Panel) -> None:
    """A button for each."""
    tab = opened(ran)
    tab.axis.value = "guidance_scale"
    tab.value.value = 1
    assert ["g8 s1", "g8 s2"] == sorted(" ".join(sorted(text.split())) for text in labels(tab))


@pytest.mark.slow
def test_a_cell_is_shown_in_the_grid(ran: Panel) -> None:
    """Picked, in its tab, with the sliders where it stands."""
    tab = opened(ran)
    grid = drive(ran).grid
    grid.pickers.rows.value = grid.pickers.columns.value = "guidance_scale"
    tab.axis.value = "seed"
    tab.value.value = 1
    next(one for one in parts(tab.cells) if hasattr(one, "click")).click()
    ran.wait(20)
    assert ran.selection is not None
    assert (0, 2, 1) == (
        drive(ran).tabs.selected_index,
        ran.selection.params["seed"],
        grid.pickers.sliders["seed"].index,
    )


def test_a_click_on_a_point_shows_its_cells(ran: Panel) -> None:
    """As small pictures, under the names that lead to them."""
    tab = opened(ran)
    place = next(at for at, spot in enumerate(tab.chart.spots) if spot[2].startswith("guidance_scale 8"))
    tab.chart._handle_custom_msg({"type": "pick", "at": place}, [])
    ran.wait(20)
    assert ("guidance_scale", ["g8 s1", "g8 s2"]) == (
        tab.axis.value,
        sorted(" ".join(sorted(text.split())) for text in labels(tab)),
    )
    assert 2 == sum("data:image/jpeg" in str(getattr(one, "value", "")) for one in parts(tab.cells))


@pytest.mark.slow
def test_the_point_whose_cells_are_shown_is_marked(ran: Panel) -> None:
    """Also where it was picked from the lists."""
    tab = opened(ran)
    tab.axis.value = "seed"
    tab.value.value = 1
    assert tab.chart.spots[tab.chart.picked][2].startswith("seed 2")


@pytest.mark.slow
def test_points_have_names(ran: Panel) -> None:
    """For those who can't see the figure: what is there, and of how many outputs."""
    tab = opened(ran)
    assert "guidance_scale 2: 0.023, 2 outputs" in [spot[2] for spot in tab.chart.spots]


def test_a_click_on_no_point_is_none(ran: Panel) -> None:
    """Whatever a page sends."""
    tab = opened(ran)
    for at in (-1, 999, "1", None):
        tab.chart._handle_custom_msg({"type": "pick", "at": at}, [])
    assert -1 < tab.chart.picked < len(tab.chart.spots)


def test_the_figure_is_in_no_saved_notebook(ran: Panel) -> None:
    """It comes to the page as a message."""
    tab = opened(ran)
    assert not any(isinstance(value, bytes) for value in tab.chart.get_state().values())


@pytest.mark.slow
def test_pictures_that_were_not_measured_can_be(typed: Panel) -> None:
    """By a button, which goes away with the last of them."""
    typed.run()
    typed.wait(60)
    tab = opened(typed)
    said = tab.measuring.line.text
    tab.measuring.start.click()
    drive(typed).wait_for(lambda: "change/area" in dict(tab.metric.options), 60)
    drive(typed).wait_for(lambda: not tab.measuring.line.text, 60)
    assert ("4 cells are not measured", "none", "none") == (
        said,
        tab.measuring.start.layout.display,
        tab.measuring.stop.layout.display,
    )
    assert all("change/area" in output.metrics for output in typed.results.outputs)


def test_measuring_can_be_stopped(typed: Panel) -> None:
    """What was measured stays."""
    typed.run()
    typed.wait(60)
    tab = opened(typed)
    tab.measuring.start.click()
    tab.measuring.stop.click()
    typed.wait(60)
    assert None is tab.measuring.start.layout.display or not tab.measuring.line.text


def test_what_cannot_be_measured_is_said(typed: Panel) -> None:
    """Once, and nothing goes on for ever."""
    typed.run()
    typed.wait(60)
    for cell in typed.results:
        cell.request = None
        cell.fingerprint = ""
    tab = opened(typed)
    tab.measuring.start.click()
    drive(typed).wait_for(lambda: "references are not at hand" in tab.measuring.line.text, 60)
    assert "references are not at hand" in tab.measuring.line.text


@pytest.mark.slow
def test_values_that_come_later_are_looked_at(ran: Panel) -> None:
    """While the tab is open, and what was picked stays."""
    tab = opened(ran)
    tab.metric.value = "preserve/ssim"
    ran.wait(20)
    output = ran.results.outputs[0]
    output.metrics["verdict/rest_kept"] = 1.0
    drive(ran).session.touch(output.cell)
    drive(ran).wait_for(lambda: len(tab.metric.options) == 3, 20)
    ran.wait(20)
    assert ("preserve/ssim", "verdict/rest_kept") == (tab.metric.value, tab.metric.options[2][1])


@pytest.mark.slow
def test_other_results_are_other_effects(ran: Panel, lab: kl.Lab) -> None:
    """Also where the value that was picked isn't among theirs."""
    tab = opened(ran)
    other = ran.results.sel(seed=1)
    for output in other.outputs:
        output.metrics = {"preserve/ssim": output.params["guidance_scale"]}
    drive(ran).session.show(other)
    drive(ran).wait_for(lambda: tab.numbers is not None and tab.numbers.n == 2, 20)
    assert tab.numbers is not None
    assert "preserve/ssim" == tab.metric.value == tab.numbers.metric


@pytest.mark.slow
def test_a_dark_page_has_a_dark_figure(ran: Panel) -> None:
    """Drawn anew when the page turns dark."""
    tab = opened(ran)
    before = tab.chart.pictures["chart"]
    drive(ran).frame.dark = True
    assert before != tab.chart.pictures["chart"]


@pytest.mark.slow
def test_sentences_are_text(ran: Panel) -> None:
    """The name of a value is no markup."""
    for output in ran.results.outputs:
        output.metrics["change/<img src=x>"] = float(output.params["seed"])
    tab = opened(ran)
    tab.metric.value = "change/<img src=x>"
    ran.wait(20)
    assert ("<img" in tab.sentences.value, "&lt;img" in tab.sentences.value) == (False, True)
