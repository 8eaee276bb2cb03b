"""Sweeps that a panel drives while things happen to it: stopped, reloaded, closed, its kernel killed."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from jupyter import Notebook, open_again
from panel_page import PanelPage, Workbench, until
from playwright.sync_api import expect

from kontext_lab.sandbox import Sandbox

pytestmark = [pytest.mark.browser, pytest.mark.slow]

PRICE = 0.052
SENT = "sum(1 for _ in lab.load('last') if _.state == 'done')"


@pytest.fixture
def box() -> Iterator[Sandbox]:
    """A sandbox in the place of the API that takes its time."""
    with Sandbox(latency=0.5) as running:
        yield running


def started(bench: Workbench, name: str, box: Sandbox, photo: Path, *more: str) -> PanelPage:
    """A panel with twelve cells under way."""
    panel = bench.panel(name, box, *more)
    panel.fill("Add a bird.", photo, Seeds="1-12")
    panel.run(12)
    return panel


def tracked(panel: PanelPage) -> float:
    """What the store says was spent."""
    return float(panel.ask("sum(run.cost for run in lab.history())"))


def test_cells_arrive_one_after_the_other(bench: Workbench, box: Sandbox, photo_file: Path) -> None:
    """The count rises and the grid changes while the sweep runs; nothing is on stderr."""
    panel = started(bench, "arrive", box, photo_file)
    counts, frames = set(), set()

    def watched() -> bool:
        counts.add(panel.ended)
        frames.add(panel.stage().locator("canvas").first.evaluate("canvas => canvas.toDataURL().length"))
        return panel.ended == 12

    until(watched, panel.page, 60)
    panel.done(12)
    assert len(counts) > 3, counts
    assert len(frames) > 3, frames
    expect(panel.notebook.page.locator('[data-mime-type="application/vnd.jupyter.stderr"]')).to_have_count(0)


def test_stop_and_run_again(bench: Workbench, box: Sandbox, photo_file: Path) -> None:
    """Stop in the middle keeps what was under way; Run again sends the rest; everything is paid once."""
    panel = started(bench, "stop", box, photo_file)
    until(lambda: panel.ended >= 3, panel.page)
    panel.button("Stop").click()
    expect(panel.progress).to_contain_text("cancelled")
    expect(panel.button("Stop")).to_be_disabled()
    sent = len(box.calls)
    assert 3 <= sent < 12
    panel.run(12)
    panel.done(12)
    assert 12 == len(box.calls)
    assert pytest.approx(12 * PRICE) == box.bill
    assert pytest.approx(box.bill) == tracked(panel)


def test_reload_in_the_middle(bench: Workbench, box: Sandbox, photo_file: Path) -> None:
    """The page loaded anew shows the form, counts on and shows the grid."""
    panel = started(bench, "reload", box, photo_file)
    until(lambda: panel.ended >= 2, panel.page)
    panel.notebook.save()
    panel.notebook.reload()
    expect(panel.progress).to_contain_text("/12 ")
    expect(panel.root.get_by_role("textbox", name="Prompt", exact=True)).to_have_value("Add a bird.")
    expect(panel.values("Seeds")).to_have_count(12)
    panel.done(12)
    assert 12 == len(box.calls)
    until(lambda: all(panel.pixels(tile).std() > 20 for tile in panel.tiles()), panel.page)


def test_closing_the_page_stops_nothing(bench: Workbench, box: Sandbox, photo_file: Path) -> None:
    """With no page open the sweep goes on to its end; a new page shows it done."""
    panel = started(bench, "close", box, photo_file)
    panel.notebook.save()
    page = bench.another_page()
    panel.page.close()
    until(lambda: len(box.calls) == 12 and not box.in_flight, page, 60)
    again = PanelPage(open_again(page, bench.jupyter, panel.notebook))
    again.done(12)
    assert 12 == again.ask(SENT)


def test_a_second_panel(bench: Workbench, box: Sandbox, photo_file: Path) -> None:
    """Another cell with a panel of the same lab shows the same sweep under way, and the same picked cell."""
    panel = started(bench, "second", box, photo_file, "kl.Panel(lab)")
    panel.notebook.run(1)
    second = PanelPage(panel.notebook, 1)
    expect(second.progress).to_contain_text("/12 ")
    expect(second.values("Seeds")).to_have_count(12)
    panel.done(12)
    second.done(12)
    second.click(2)
    until(lambda: panel.ask("panel.selection is not None"), panel.page)
    title = panel.ask("panel.selection.cell.title")
    for one in (panel, second):
        expect(one.root.get_by_alt_text(f"{title}, output 1", exact=True)).to_be_visible()


def test_a_busy_kernel(bench: Workbench, box: Sandbox, photo_file: Path) -> None:
    """While another cell executes the sweep goes on, and afterwards the panel catches up."""
    panel = started(bench, "busy", box, photo_file, "import time; time.sleep(3)")
    before = len(box.calls)
    panel.notebook.run(1)
    assert len(box.calls) - before >= 4
    until(lambda: panel.ended >= len(box.calls) - 4, panel.page, 10)
    panel.done(12)


def test_wait_shows_what_comes(bench: Workbench, box: Sandbox, photo_file: Path) -> None:
    """While `panel.wait()` blocks a cell, counts and grid go on; it returns the results."""
    panel = started(bench, "wait", box, photo_file, "len(panel.wait())")
    panel.notebook.start(1)
    prompt = panel.notebook.cell(1).locator(".jp-InputPrompt").first
    expect(prompt).to_have_text("[*]:")
    counts = set()

    def watched() -> bool:
        counts.add(panel.ended)
        return prompt.inner_text() != "[*]:"

    until(watched, panel.page, 60)
    assert len(counts) > 3, counts
    expect(panel.notebook.output(1)).to_contain_text("12")
    panel.done(12)


def test_a_killed_kernel(bench: Workbench, box: Sandbox, photo_file: Path) -> None:
    """A kernel killed in the middle: the new one names the sweep first, Resume ends it, no cell is paid twice."""
    panel = started(bench, "kill", box, photo_file)
    until(lambda: panel.ended >= 3, panel.page)
    panel.notebook.save()
    os.kill(panel.ask("__import__('os').getpid()"), signal.SIGKILL)
    restarted(panel.notebook)
    panel.notebook.run(0)
    expect(panel.root.get_by_text("Unfinished:", exact=False).first).to_be_visible()
    panel.button("Resume").first.click()
    panel.done(12)
    assert list(range(1, 13)) == sorted(call.body["seed"] for call in box.calls)
    assert pytest.approx(box.bill) == tracked(panel)


def restarted(notebook: Notebook) -> None:
    """Wait until the server has made a new kernel in the place of the dead one, and say yes to what is told of it."""
    notebook.page.locator(".jp-Dialog .jp-mod-accept").first.click()
    notebook.ready()
