"""How quick the panel is in JupyterLab, as a person at the browser sees it.

    python tests/bench/bench_panel.py [shown | arrival | arrange | typing ...]

Prints, asserts nothing. Needs Debian's chromium. Targets: a panel is on show within 1 s of its cell, a finished cell
within 0.5 s at eight cells a second, other rows and columns of 144 cells within 0.7 s; typing never waits.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from PIL import Image
from skimage import data

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[1] / "browser"))

from jupyter import open_notebook
from panel_driver import CONTROLLER
from panel_page import PanelPage, Workbench, jupyter_server, until, workbench

from kontext_lab.sandbox import Sandbox
from kontext_lab.tracking.store import open_store

# Tells for each place on the canvas when it last changed so much that a person sees it.
_WATCH = """(canvas, spots) => {
  const context = canvas.getContext("2d");
  const read = ([x, y]) => Array.from(context.getImageData(x - 3, y - 3, 6, 6).data);
  const known = spots.map(read);
  window.klChanged = spots.map(() => []);
  clearInterval(window.klWatch);
  window.klWatch = setInterval(() => spots.forEach((spot, at) => {
    const now = read(spot);
    const far = now.reduce((sum, one, place) => sum + Math.abs(one - known[at][place]), 0) / now.length;
    if (far < 12) return;
    known[at] = now;
    window.klChanged[at].push(Date.now());
  }), 16);
}"""
_TOLD = """
import time
told = {}
def _noted(cell, before=ui.session.touch):
    if cell.state == "done":
        told.setdefault(cell.title, time.time() * 1000)
    before(cell)
ui.session.touch = _noted
"""
_LOOP = """
import asyncio, time
gaps = []
async def _ticking():
    last = time.perf_counter()
    while True:
        await asyncio.sleep(0.005)
        now = time.perf_counter()
        gaps.append(now - last - 0.005)
        last = now
ticking = asyncio.ensure_future(_ticking())
"""
_FRAMES = """() => {
  window.klGaps = [];
  let last = performance.now();
  const frame = (now) => { window.klGaps.push(now - last); last = now; window.klFrame = requestAnimationFrame(frame); };
  window.klFrame = requestAnimationFrame(frame);
  window.klEcho = [];
  document.addEventListener("keydown", (event) => {
    const at = event.timeStamp;
    requestAnimationFrame(() => requestAnimationFrame((now) => window.klEcho.push(now - at)));
  }, true);
}"""


def main() -> None:
    """Measure what was asked for, else everything."""
    wanted = sys.argv[1:] or list(_BENCHES)
    with tempfile.TemporaryDirectory() as folder:
        where = Path(folder)
        open_store(f"sqlite:///{where / 'mlflow.db'}", "x").client._tracking_client.store.engine.dispose()
        Image.fromarray(data.coffee()).save(where / "coffee.jpg")
        store = where / "mlflow.db"
        with jupyter_server(where / "jupyter") as jupyter, workbench(jupyter, where, store) as bench:
            for name in wanted:
                _BENCHES[name](bench, where / "coffee.jpg")


def shown(bench: Workbench, _: Path) -> None:
    """From Shift+Enter to buttons on the screen: with the imports to be done, and done."""
    again = [f"kl.Panel(kl.Lab('sandbox', quiet=True, home='home{at}'))" for at in range(3)]
    cold = "import kontext_lab as kl\nkl.Panel(kl.Lab('sandbox', quiet=True))"
    kernel = bench.kernel("shown")
    notebook = open_notebook(bench.page(), bench.jupyter, "shown/a.ipynb", [cold, *again], kernel=kernel)
    took = []
    for cell in range(len(again) + 1):
        notebook.cell(cell).locator(".cm-content").click()
        started = time.perf_counter()
        notebook.page.keyboard.press("Shift+Enter")
        notebook.page.wait_for_function(
            """(at) => [...document.querySelectorAll(".jp-Notebook .jp-CodeCell")[at].querySelectorAll(".kl-panel button")]
              .some((one) => one.textContent === "Run" && one.offsetParent)""",
            arg=cell,
            polling="raf",
        )
        took.append(time.perf_counter() - started)
        notebook.wait_for(cell)
    warm = ", ".join(f"{one:.2f}" for one in took[1:])
    print(f"panel on show: {took[0]:.2f} s with imports, {warm} s without (target 1 s)", flush=True)


def arrival(bench: Workbench, photo: Path) -> None:
    """From the observer to the canvas in the page, at eight cells a second; with pictures measured as they come, and not."""
    for measure in (True, False):
        _arrival(bench, photo, measure=measure)


def _arrival(bench: Workbench, photo: Path, *, measure: bool) -> None:
    choice = f"ui = panel.{CONTROLLER}\nlab = ui.session.lab\nimport dataclasses\nlab.context.options = dataclasses.replace(lab.context.options, measure={measure})\n"
    with Sandbox(latency=0.5) as box:
        panel = bench.panel(f"arrival-{measure}", box, choice + _TOLD)
        panel.notebook.run(1)
        panel.fill("Add a bird.", photo, Seeds="1-8", Guidance="2-8:2")
        panel.page.get_by_role("button", name="▸ More").click()
        concurrency = panel.root.get_by_label("Concurrency", exact=True)
        concurrency.fill("8")
        concurrency.press("Enter")
        until(
            lambda: panel.ask("ui.grid.plan and len(ui.grid.plan.tiles) or 0") >= 32,
            panel.page,
        )
        panel.page.wait_for_timeout(1000)
        watch(panel)
        panel.run(32)
        panel.done(32, 120)
        panel.page.wait_for_timeout(1500)
        titles = panel.ask("[t.cell.title for t in ui.grid.plan.tiles if t.cell is not None]")
        told, changed = panel.ask("told"), panel.page.evaluate("window.klChanged")
    late = [
        min((at for at in times if at >= told[title] - 5), default=float("nan")) - told[title]
        for title, times in zip(titles, changed, strict=True)
    ]
    rate = (len(told) - 1) * 1000 / (max(told.values()) - min(told.values()))
    how = "measured as they come" if measure else "not measured"
    print(f"{rate:.1f} cells a second, {how}; {spread(late)} from told to seen (target 500 ms)", flush=True)


def arrange(bench: Workbench, photo: Path) -> None:
    """Other rows and columns of 144 cells."""
    with Sandbox() as box:
        panel = bench.panel("arrange", box)
        panel.fill("Add a bird.", photo, Seeds="1-12", Guidance="1-9.8:0.8")
        panel.run(144)
        panel.done(144, 300)
        panel.page.wait_for_timeout(3000)
        rows, columns = (panel.root.get_by_role("combobox", name=name).first for name in ("rows", "columns"))
        took, first = [], []
        for picker, key in ((rows, "–"), (columns, "–"), (columns, "guidance_scale"), (rows, "seed")):
            watch(panel)
            started = time.time() * 1000
            picker.select_option(key)
            panel.page.wait_for_timeout(4000)
            times = [at for one in panel.page.evaluate("window.klChanged") for at in one]
            if times:
                first.append(min(times) - started)
                took.append(max(times) - started)
    print(
        f"144 cells arranged anew: first change {spread(first)}, last {spread(took)} (target 700 ms)",
        flush=True,
    )


def typing(bench: Workbench, photo: Path) -> None:
    """Typing into the prompt while a plan of 2000 cells is made."""
    with Sandbox() as box:
        panel = bench.panel("typing", box, _LOOP)
        panel.notebook.run(1)
        panel.fill("Add a bird", photo, Seeds="1-2000")
        until(lambda: "2000" in panel.ask("ui.run_bar.plan.text"), panel.page, 120)
        panel.page.evaluate(_FRAMES)
        panel.ask("gaps.clear()")
        prompt = panel.root.get_by_role("textbox", name="Prompt", exact=True)
        prompt.press("End")
        text = " to the foreground of the photo, as large as a house, and blue"
        for part in text.split(" ")[1:]:
            prompt.press_sequentially(f" {part}", delay=40)
            panel.page.wait_for_timeout(350)  # long enough for a plan to begin
        ended = time.perf_counter()
        until(lambda: panel.ask("ui.form.draft.prompts[0].text").endswith("blue"), panel.page)
        arrived = time.perf_counter() - ended
        until(lambda: panel.ask("ui.planner.state") == "ready", panel.page, 120)
        planned = time.perf_counter() - ended
        gaps, echo = panel.page.evaluate("window.klGaps"), panel.page.evaluate("window.klEcho")
        loop = panel.ask("max(gaps)")
    print(
        f"typing at 2000 cells: echo {spread(echo)}, longest frame {max(gaps):.0f} ms; in the kernel the longest gap "
        f"of the loop {loop * 1000:.0f} ms, text there after {arrived * 1000:.0f} ms, planned after {planned:.1f} s",
        flush=True,
    )


def watch(panel: PanelPage) -> None:
    """From now on note when tiles change on the screen."""
    spots = [[round(left + width / 2), round(top + height / 2)] for left, top, width, height in panel.tiles()]
    canvas = panel.stage().locator(".jupyter-matplotlib-canvas-div canvas").first
    canvas.evaluate(_WATCH, spots)


def spread(milliseconds: list[float]) -> str:
    """Median and greatest."""
    if not milliseconds:
        return "nothing"
    return f"{statistics.median(milliseconds):.0f} ms, at most {max(milliseconds):.0f} ms"


_BENCHES: dict[str, Callable[[Workbench, Path], None]] = {
    "shown": shown,
    "arrival": arrival,
    "arrange": arrange,
    "typing": typing,
}

if __name__ == "__main__":
    main()
