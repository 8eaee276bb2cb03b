"""Sweeps that a panel drives while things happen to it: stopped, reloaded, closed, its kernel killed.

All in one notebook, a sweep a test; the prompt tells them apart.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from jupyter import open_again
from panel_page import PanelPage, Workbench, until
from playwright.sync_api import expect

from kontext_lab.sandbox import Sandbox

pytestmark = [pytest.mark.browser, pytest.mark.slow]

CELLS = 8
SECOND, SLEEPING, WAITING = 1, 2, 3
_MORE = ("kl.Panel(lab)", "import time; time.sleep(3)", "len(panel.wait())")


@dataclass
class RunningPanel:
    """The panel that all tests of this file use, and the service behind it.

    Attributes:
        panel: in the page that is open now.
        box: in the place of the API; it takes its time.
        before: how many requests it had when the test began.
    """

    panel: PanelPage
    box: Sandbox
    before: int = 0

    @property
    def sent(self) -> list[int]:
        """The seeds of the requests of this test, in order."""
        return sorted(call.body["seed"] for call in self.box.calls[self.before :])

    def start(self, prompt: str) -> PanelPage:
        """Run a sweep of eight cells that nobody paid for yet."""
        self.before = len(self.box.calls)
        self.panel.root.get_by_role("textbox", name="Prompt", exact=True).fill(prompt)
        expect(self.panel.plan).to_contain_text(f"{CELLS} requests · free")
        self.panel.run(CELLS)
        until(lambda: self.panel.ask("panel.sweep.name == panel.results.name"), self.panel.page)
        return self.panel


@pytest.fixture(scope="module")
def opened(bench: Workbench, photo_file: Path) -> Iterator[RunningPanel]:
    """A panel with an image and eight seeds."""
    with Sandbox(latency=0.5) as box:
        panel = bench.panel("runs", box, *_MORE)
        panel.fill("Add a bird.", photo_file, Seeds=f"1-{CELLS}")
        yield RunningPanel(panel, box)


@pytest.fixture
def running(opened: RunningPanel) -> RunningPanel:
    """The same, with nothing under way."""
    until(lambda: opened.panel.ask("ui.idle"), opened.panel.page, 60)
    return opened


def test_cells_arrive_one_after_the_other(running: RunningPanel) -> None:
    """The count rises and the grid changes while the sweep runs; nothing is on stderr."""
    panel, counts, frames = running.start("Add a red bird."), set(), set()

    def watched() -> bool:
        counts.add(panel.ended)
        frames.add(panel.stage().locator("canvas").first.evaluate("canvas => canvas.toDataURL().length"))
        return panel.ended == CELLS

    until(watched, panel.page, 60)
    panel.done(CELLS)
    assert len(counts) > 3, counts
    assert len(frames) > 3, frames
    expect(panel.page.locator('[data-mime-type="application/vnd.jupyter.stderr"]')).to_have_count(0)


def test_stop_and_run_again(running: RunningPanel) -> None:
    """Stop in the middle keeps what was under way; Run again sends the rest; everything is paid once."""
    panel = running.start("Add a green bird.")
    until(lambda: panel.ended >= 2, panel.page)
    panel.button("Stop").click()
    expect(panel.progress).to_contain_text("cancelled")
    expect(panel.button("Stop")).to_be_disabled()
    assert 2 <= len(running.sent) < CELLS
    expect(panel.plan).to_contain_text("reused")
    panel.run(CELLS)
    panel.done(CELLS)
    # What was written down and had not left yet is in doubt as well, and not sent unasked.
    doubtful = panel.ask("[cell.params['seed'] for cell in panel.results if cell.state == 'in_doubt']")
    assert sorted(set(running.sent)) == sorted(running.sent)
    assert set(range(1, CELLS + 1)) == {*running.sent, *doubtful}
    assert pytest.approx(running.box.bill) == panel.ask("sum(run.cost for run in lab.history())")


def test_a_second_panel(running: RunningPanel) -> None:
    """Another cell with a panel of the same lab shows the same sweep under way, and the same picked cell."""
    panel = running.start("Add a blue bird.")
    panel.notebook.run(SECOND)
    second = PanelPage(panel.notebook, SECOND)
    expect(second.progress).to_contain_text(f"/{CELLS} ")
    expect(second.values("Seeds")).to_have_count(CELLS)
    panel.done(CELLS)
    second.done(CELLS)
    second.click(2)
    until(lambda: panel.ask("panel.selection is not None"), panel.page)
    title = panel.ask("panel.selection.cell.title")
    for one in (panel, second):
        expect(one.root.get_by_alt_text(f"{title}, output 1", exact=True)).to_be_visible()


def test_a_busy_kernel(running: RunningPanel) -> None:
    """While another cell executes the sweep goes on, and afterwards the panel catches up."""
    panel = running.start("Add a grey bird.")
    before = len(running.sent)
    panel.notebook.run(SLEEPING)
    after = len(running.sent)
    assert after - before >= 4
    until(lambda: panel.ended >= after - 2, panel.page, 10)
    panel.done(CELLS)


def test_wait_shows_what_comes(running: RunningPanel) -> None:
    """While `panel.wait()` blocks a cell, counts go on; it returns the results."""
    panel, counts = running.start("Add a pink bird."), set()
    panel.notebook.start(WAITING)
    prompt = panel.notebook.cell(WAITING).locator(".jp-InputPrompt").first
    expect(prompt).to_have_text("[*]:")

    def watched() -> bool:
        counts.add(panel.ended)
        return prompt.inner_text() != "[*]:"

    until(watched, panel.page, 60)
    assert len(counts) > 3, counts
    expect(panel.notebook.output(WAITING)).to_contain_text(str(CELLS))


def test_reload_in_the_middle(running: RunningPanel) -> None:
    """The page loaded anew shows the form, counts on and shows the grid."""
    panel = running.start("Add a white bird.")
    until(lambda: panel.ended >= 1, panel.page)
    panel.notebook.save()
    panel.notebook.reload()
    expect(panel.progress).to_contain_text(f"/{CELLS} ")
    prompt = panel.root.get_by_role("textbox", name="Prompt", exact=True)
    expect(prompt).to_have_value("Add a white bird.")
    expect(panel.values("Seeds")).to_have_count(CELLS)
    panel.done(CELLS)
    assert list(range(1, CELLS + 1)) == running.sent
    until(lambda: all(panel.pixels(tile).std() > 20 for tile in panel.tiles()), panel.page)


def test_closing_the_page_stops_nothing(running: RunningPanel, bench: Workbench) -> None:
    """With no page open the sweep goes on to its end; a new page shows it done."""
    panel = running.start("Add a black bird.")
    panel.notebook.save()
    page = bench.another_page()
    panel.page.close()
    until(lambda: len(running.sent) == CELLS and not running.box.in_flight, page, 60)
    running.panel = PanelPage(open_again(page, bench.jupyter, panel.notebook))
    running.panel.done(CELLS)
    assert [True] * CELLS == running.panel.ask("[cell.state == 'done' for cell in lab.load('last')]")


def test_a_killed_kernel(running: RunningPanel) -> None:
    """A kernel killed in the middle: the new one names the sweep first, Resume ends it, no cell is paid twice."""
    panel = running.start("Add a brown bird.")
    until(lambda: panel.ended >= 2, panel.page)
    panel.notebook.save()
    os.kill(panel.ask("__import__('os').getpid()"), signal.SIGKILL)
    # The server makes a new one by itself; the page says so.
    panel.page.locator(".jp-Dialog .jp-mod-accept").first.click()
    panel.notebook.ready()
    panel.notebook.run(0)
    expect(panel.root.get_by_text("Unfinished:", exact=False).first).to_be_visible()
    panel.button("Resume").first.click()
    panel.done(CELLS)
    # A kill right before a request leaves is no proof that it did not: that one stays in doubt.
    doubtful = panel.ask("[cell.params['seed'] for cell in lab.load('last') if cell.state == 'in_doubt']")
    assert list(range(1, CELLS + 1)) == sorted({*running.sent, *doubtful})
    assert len(set(running.sent)) == len(running.sent)
    assert pytest.approx(running.box.bill) == panel.ask("sum(run.cost for run in lab.history())")
