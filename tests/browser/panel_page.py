"""A panel in a page, for tests: its parts by the names a person reads, its grid as pixels.

bench = Workbench(...)                      # one server and one browser for many notebooks
panel = bench.panel("stop", box)            # a notebook of its own, with a store and a home of its own
panel.fill(prompt="Add a {animal}.", image=photo, animal="bird,crab", Seeds="1-3")
panel.run()
"""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from chromium import running_chromium
from jupyter import Jupyter, Notebook, open_notebook, running_jupyter
from panel_driver import CONTROLLER
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect

from kontext_lab.sandbox import Sandbox

__all__ = ["KEY", "PANEL", "PanelPage", "Workbench", "jupyter_server", "until", "workbench"]

KEY = "marked-key-4711"
PANEL = "import kontext_lab as kl\nlab = kl.Lab(concurrency=2, measure=False)\npanel = kl.Panel(lab)\npanel"
_OWN = ("AIMLAPI", "AIML_", "MLFLOW_", "KONTEXT_", "XDG_")
_COUNTS = re.compile(r"^\d+/\d+ · ")
_PIXELS = """(canvas, [left, top, width, height]) => {
  const scale = canvas.width / canvas.getBoundingClientRect().width;
  const part = [left, top, width, height].map((one) => Math.round(one * scale));
  const { data } = canvas.getContext("2d").getImageData(...part);
  const found = [];
  for (let at = 0; at < data.length; at += 4 * 7) found.push(data[at], data[at + 1], data[at + 2]);
  return found;
}"""


# A busy machine may need a while for what a person sees at once.
expect.set_options(timeout=20_000)


def until(is_so: Callable[[], Any], page: Page, seconds: float = 30.0, *, what: str = "") -> None:
    """Wait until something is so; the page goes on meanwhile."""
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end, what or "it did not come to that"
        page.wait_for_timeout(100)


@dataclass(frozen=True)
class PanelPage:
    """A panel that stands in the output of a cell.

    Attributes:
        notebook: where it is.
        cell: which cell shows it.
    """

    notebook: Notebook
    cell: int = 0

    @property
    def page(self) -> Page:
        """The page it is in."""
        return self.notebook.page

    @property
    def root(self) -> Locator:
        """The panel itself."""
        return self.notebook.output(self.cell).locator(".kl-panel").first

    def ask(self, expression: str) -> Any:
        """The value of an expression in the kernel; the variables are `lab`, `panel`, and `ui` with the panel's parts."""
        return self.notebook.ask(re.sub(r"\bui\.", f"panel.{CONTROLLER}.", expression))

    def button(self, name: str) -> Locator:
        """A button by its text."""
        return self.root.get_by_role("button", name=name, exact=True)

    def tab(self, name: str) -> None:
        """Open a tab."""
        self.root.get_by_role("tab", name=name, exact=True).click()

    # The form.

    def values(self, label: str) -> Locator:
        """What stands in the field of an axis."""
        return self.root.get_by_role("group", name=f"values of {label}", exact=True).locator(".kl-tag-text")

    def type(self, label: str, text: str) -> None:
        """Type values into the field of an axis, and Enter."""
        found = self.root.get_by_role("combobox", name=label, exact=True)
        found.click()
        self.page.keyboard.type(text)
        self.page.keyboard.press("Enter")

    def fill(self, prompt: str, image: Path, **values: str) -> None:
        """Fill the form by hand.

        Args:
            prompt: its placeholders are named in `values` with their braces left out.
            image: given by its path.
            values: for a label of the form, or a placeholder, what is typed; commas separate a placeholder's words.
        """
        self.root.get_by_role("textbox", name="Prompt", exact=True).fill(prompt)
        place = self.root.get_by_role("textbox", name="Image", exact=True)
        place.fill(str(image))
        place.press("Enter")
        expect(self.root.get_by_alt_text(f"reference {image.stem}", exact=False).first).to_be_visible()
        for label, text in values.items():
            if f"{{{label}}}" in prompt:
                for word in text.split(","):
                    self.type(f"{{{label}}}", word)
            else:
                self.type(label.replace("_", " "), text)

    @property
    def plan(self) -> Locator:
        """The line that says what a run would do."""
        return self.root.get_by_role("status").filter(has_text="request")

    # Running.

    @property
    def progress(self) -> Locator:
        """The line that counts."""
        return self.root.get_by_role("status").filter(has_text=_COUNTS)

    def run(self, cells: int) -> None:
        """Press Run once the plan is there, and wait until its cells are on show as a sweep under way."""
        expect(self.plan).to_contain_text(f"{cells} request")
        self.button("Run").click()
        expect(self.progress).to_contain_text(f"/{cells} ")

    def done(self, cells: int, seconds: float = 90.0) -> None:
        """Wait until all cells have ended, and the session is idle."""
        expect(self.progress).to_contain_text(f"{cells}/{cells} ", timeout=seconds * 1000)
        expect(self.button("Stop")).to_be_disabled(timeout=30_000)

    @property
    def ended(self) -> int:
        """How many cells have ended, as the progress line says."""
        return int(self.progress.inner_text().split("/")[0])

    # The grid.

    def stage(self, tab: int = 0) -> Locator:
        """The stage of the tab Grid, or of Compare."""
        return self.root.locator(".kl-stage").nth(tab)

    def tiles(self, part: str = "grid") -> list[tuple[float, float, float, float]]:
        """Left, top, width and height of the pictures' places, in CSS pixels of the canvas."""
        rects = f"[t.rect for t in ui.{part}.canvas.plan.tiles if t.cell is not None]"
        found = self.ask(f"[(r.left * 100, r.top * 100, r.width * 100, r.height * 100) for r in {rects}]")
        return [tuple(map(float, one)) for one in found]

    def pixels(self, tile: tuple[float, float, float, float], tab: int = 0) -> np.ndarray:
        """Some of the pixels that the canvas shows at a place."""
        canvas = self.stage(tab).locator(".jupyter-matplotlib-canvas-div canvas").first
        return np.asarray(canvas.evaluate(_PIXELS, list(tile)), dtype=float)

    def middle(self, tile: tuple[float, float, float, float], tab: int = 0) -> tuple[float, float]:
        """The middle of a tile in the page, scrolled into view."""
        surface = self.stage(tab).locator(".jupyter-matplotlib-canvas-div canvas").last
        left, top, width, height = tile
        # Two thirds down leaves room for what sticks to the top of the page.
        surface.evaluate(
            """(canvas, down) => {
              const scroller = canvas.closest(".jp-WindowedPanel-outer") ?? canvas.closest(".jp-Notebook");
              const at = canvas.getBoundingClientRect().top + down - innerHeight / 2;
              scroller.scrollTop += at;
            }""",
            top + height / 2,
        )
        self.page.wait_for_timeout(100)
        box = surface.bounding_box()
        assert box is not None
        return box["x"] + left + width / 2, box["y"] + top + height / 2

    def click(self, number: int, tab: int = 0, part: str = "grid", button: str = "") -> None:
        """Click a tile."""
        at = self._at_rest(number, tab, part)
        self.page.mouse.move(*at)
        if button:
            self.page.keyboard.down(button)
        self.page.mouse.click(*at)
        if button:
            self.page.keyboard.up(button)

    def _at_rest(self, number: int, tab: int, part: str) -> tuple[float, float]:
        """A tile's middle, once lines above the grid have come and gone."""
        before, at = None, self.middle(self.tiles(part)[number], tab)
        while before != at:
            self.page.wait_for_timeout(700)
            before, at = at, self.middle(self.tiles(part)[number], tab)
        return at

    def differs(self, before: list[np.ndarray], tab: int = 0, part: str = "grid") -> list[bool]:
        """For each tile whether it shows something else than before."""
        now = [self.pixels(tile, tab) for tile in self.tiles(part)]
        return [
            was.shape != new.shape or bool(np.abs(was - new).mean() > 4)
            for was, new in zip(before, now, strict=True)
        ]


@dataclass
class Workbench:
    """A JupyterLab server and a browser, for notebooks of which each has its own kernel, store and home.

    Attributes:
        jupyter: the server.
        browser: its pages open in it.
        folder: where stores and homes are made.
        store: a migrated, empty one, to copy.
        errors: what browsers' consoles and pages said went wrong.
    """

    jupyter: Jupyter
    browser: Browser
    folder: Path
    store: Path
    errors: list[str] = field(default_factory=list)
    context: BrowserContext | None = None

    def page(self, width: int = 1300, height: int = 1100) -> Page:
        """A new page of this size in pixels; earlier ones are closed."""
        if self.context is not None:
            self.context.close()
        self.context = self.browser.new_context(viewport={"width": width, "height": height})
        return self.another_page()

    def another_page(self) -> Page:
        """A page beside those that are open."""
        assert self.context is not None
        page = self.context.new_page()
        page.set_default_timeout(30_000)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        return page

    def kernel(self, name: str, box: Sandbox | None = None, settings: Mapping[str, str] | None = None) -> str:
        """A kind of kernel with a store and a home of its own.

        Args:
            name: of its folder.
            box: stands in the place of the API, with a key in the environment; else the lab makes its own.
            settings: more of the environment.
        """
        home = self.folder / name
        home.mkdir()
        shutil.copy(self.store, home / "mlflow.db")
        environment = {
            "MLFLOW_TRACKING_URI": f"sqlite:///{home / 'mlflow.db'}",
            "KONTEXT_LAB_HOME": str(home / "journal"),
        }
        if box is not None:
            environment |= {"AIMLAPI_BASE_URL": box.url, "AIMLAPI_API_KEY": KEY}
        self.jupyter.add_kernel(name, environment | dict(settings or {}))
        return name

    def panel(
        self, name: str, box: Sandbox | None = None, *more: str, settings: Mapping[str, str] | None = None
    ) -> PanelPage:
        """A notebook whose first cell made a panel, on show.

        Args:
            name: of notebook, kernel and folder.
            box: in the API's place.
            more: further cells, not run.
            settings: more of the environment.
        """
        kernel = self.kernel(name, box, settings)
        notebook = open_notebook(
            self.page(), self.jupyter, f"{name}/{name}.ipynb", [PANEL, *more], kernel=kernel
        )
        notebook.run(0)
        panel = PanelPage(notebook)
        expect(panel.button("Run")).to_be_visible()
        return panel


@contextmanager
def jupyter_server(folder: Path) -> Iterator[Jupyter]:
    """A JupyterLab server without the settings of the person who runs the tests.

    Args:
        folder: empty.
    """
    with pytest.MonkeyPatch.context() as patch:
        for name in [one for one in os.environ if one.startswith(_OWN)]:
            patch.delenv(name)
        patch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
        patch.setenv("NO_PROXY", "127.0.0.1,localhost")
        servers = running_jupyter(folder)
        jupyter = next(servers)
    try:
        yield jupyter
    finally:
        servers.close()


@contextmanager
def workbench(jupyter: Jupyter, folder: Path, store: Path) -> Iterator[Workbench]:
    """A browser beside a server; afterwards the kernels end.

    Args:
        jupyter: the server.
        folder: where stores and homes are made.
        store: a migrated, empty one, to copy.
    """
    try:
        with running_chromium() as browser:
            yield Workbench(jupyter, browser, folder, store)
    finally:
        jupyter.end_kernels()
