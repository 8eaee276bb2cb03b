"""JupyterLab without a screen, for tests: one server for all tests, and notebooks opened and run in it.

def test_something(bench: Workbench) -> None:
    notebook = open_notebook(bench.page(), bench.jupyter, "a.ipynb", ["import kontext_lab as kl", "kl.Panel()"])
    notebook.run_all()
    expect(notebook.output(1).get_by_role("button", name="Run")).to_be_enabled()
"""

from __future__ import annotations

import ast
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
import requests
from playwright.sync_api import Locator, Page, expect

__all__ = ["Jupyter", "Notebook", "open_again", "open_copy", "open_notebook", "running_jupyter"]

_START = 60  # seconds until the server answers, on a busy machine
_RUN = 120_000  # milliseconds until cells have run
# Nothing a first visitor is asked, nothing that looks for news, no cell drawn only when it scrolls into view.
_SETTINGS = {
    "@jupyterlab/apputils-extension/notification": {
        "fetchNews": "false",
        "checkForUpdates": False,
        "doNotDisturbMode": True,
    },
    # What a saved notebook could keep of the widgets, it keeps.
    "@jupyter-widgets/jupyterlab-manager/plugin": {"saveState": True},
    "@jupyterlab/notebook-extension/tracker": {"windowingMode": "none"},
}
# A kernel that is starting says idle, too, before anything can be sent to it.
_READY = """() => {
  const kernel = window.jupyterapp?.shell.currentWidget?.sessionContext?.session?.kernel;
  return kernel?.connectionStatus === "connected" && kernel.status === "idle";
}"""
_ASK = """async (expression) => {
  const kernel = jupyterapp.shell.currentWidget.sessionContext.session.kernel;
  const asked = { code: "", store_history: false, user_expressions: { asked: expression } };
  return (await kernel.requestExecute(asked).done).content.user_expressions.asked;
}"""


@dataclass(frozen=True)
class Jupyter:
    """A running server.

    Attributes:
        url: its address, without a slash at the end.
        root: the folder it serves.
        log: what it and its kernels wrote.
    """

    url: str
    root: Path
    log: Path

    def add_kernel(self, name: str, environment: Mapping[str, str]) -> None:
        """One more kind of kernel, with an environment of its own on top of the server's."""
        _write_kernel(self.root.parent / "data", name, environment)

    def end_kernels(self) -> None:
        """End every kernel that runs."""
        for session in requests.get(f"{self.url}/api/sessions", timeout=20).json():
            requests.delete(f"{self.url}/api/sessions/{session['id']}", timeout=20)


def running_jupyter(folder: Path, settings: dict[str, object] | None = None) -> Iterator[Jupyter]:
    """Start a JupyterLab server whose settings, kernels and notebooks live in `folder`.

    Args:
        folder: empty; the server's notebooks get a folder `notebooks` in it.
        settings: environment that the kernels get on top of the test's own.
    """
    root = folder / "notebooks"
    root.mkdir(parents=True)
    _write_kernel(folder / "data", "python3", {})
    _write_settings(folder / "config" / "lab" / "user-settings")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = folder / "jupyter.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*_command(port), f"--ServerApp.root_dir={root}"],
            stdout=output,
            stderr=output,
            cwd=root,
            env={**os.environ, **_environment(folder), **(settings or {})},
            start_new_session=True,
        )
    jupyter = Jupyter(f"http://127.0.0.1:{port}", root, log)
    try:
        _wait_for(jupyter, process)
        yield jupyter
    finally:
        _stop(jupyter, process)


@dataclass(frozen=True)
class Notebook:
    """A notebook that stands open in a page, alone.

    Attributes:
        page: the page.
        file: where it is saved.
        cells: how many code cells it has, the spare one not counted.
    """

    page: Page
    file: Path
    cells: int

    def cell(self, number: int) -> Locator:
        """A code cell, counted from 0."""
        return self.page.locator(".jp-Notebook .jp-CodeCell").nth(number)

    def output(self, number: int) -> Locator:
        """The outputs of a code cell."""
        return self.cell(number).locator(".jp-Cell-outputWrapper")

    def run(self, number: int, timeout: float = _RUN) -> None:
        """Run one cell with Shift+Enter and wait until it has ended."""
        self.start(number)
        self.wait_for(number, timeout)

    def start(self, number: int) -> None:
        """Run one cell with Shift+Enter, without waiting for its end."""
        editor = self.cell(number).locator(".cm-content")
        editor.click()
        self.page.keyboard.press("Shift+Enter")

    def run_all(self, timeout: float = _RUN) -> None:
        """Run all cells and wait until the last one has ended."""
        self.command("notebook:run-all-cells")
        self.wait_for(self.cells - 1, timeout)

    def wait_for(self, number: int, timeout: float = _RUN) -> None:
        """Wait until a cell has ended: its prompt shows a number, and no star."""
        prompt = self.cell(number).locator(".jp-InputPrompt").first
        expect(prompt).to_have_text(re.compile(r"\[\d+\]:"), timeout=timeout)

    def value(self, expression: str) -> str:
        """What the kernel prints for an expression, by way of a cell at the end of the notebook."""
        last = self.cells
        editor = self.cell(last).locator(".cm-content")
        editor.click()
        self.page.keyboard.press("ControlOrMeta+A")
        self.page.keyboard.insert_text(f"print('«' + str(({expression})) + '»')")
        before = self.cell(last).locator(".jp-InputPrompt").first.inner_text()
        self.page.keyboard.press("ControlOrMeta+Enter")
        prompt = self.cell(last).locator(".jp-InputPrompt").first
        expect(prompt).not_to_have_text(before, timeout=_RUN)
        self.wait_for(last)
        expect(self.output(last)).to_contain_text("»")
        return re.search("«(.*)»", self.output(last).inner_text(), re.DOTALL)[1]

    def ask(self, expression: str) -> Any:
        """The value of an expression, a literal, without a cell: nothing in the page moves."""
        answer = self.page.evaluate(_ASK, expression)
        assert answer["status"] == "ok", answer
        return ast.literal_eval(answer["data"]["text/plain"])

    def command(self, name: str, arguments: dict[str, object] | None = None) -> None:
        """Have JupyterLab execute one of its commands, without waiting for its end."""
        self.page.evaluate(
            "([name, given]) => { jupyterapp.commands.execute(name, given); }",
            [name, arguments or {}],
        )

    def save(self) -> str:
        """Save the notebook as a person does, and give the text of the file."""
        before = self.file.stat().st_mtime_ns
        self.page.locator(".jp-Notebook").press("Control+s")
        until = time.monotonic() + 30
        while self.file.stat().st_mtime_ns == before:
            assert time.monotonic() < until, "the notebook was not saved"
            self.page.wait_for_timeout(50)
        self.page.wait_for_timeout(200)
        return self.file.read_text(encoding="utf-8")

    def theme(self, name: str) -> None:
        """Choose a theme: `JupyterLab Light` or `JupyterLab Dark`."""
        self.command("apputils:change-theme", {"theme": name})
        dark = "false" if "Dark" in name else "true"
        expect(self.page.locator("body")).to_have_attribute("data-jp-theme-light", dark)

    def reload(self) -> None:
        """Load the page anew; the kernel goes on."""
        self.page.reload()
        self.ready()

    def ready(self) -> None:
        """Wait until the kernel takes what is sent to it."""
        _wait_until_idle(self.page, self.cells + 1)


def open_notebook(
    page: Page, jupyter: Jupyter, name: str, cells: Sequence[str], *, kernel: str = "python3"
) -> Notebook:
    """Write a notebook, open it alone in the page, and wait until its kernel is idle.

    Args:
        page: a blank page.
        jupyter: the server.
        name: the file's name.
        cells: the source of its code cells; an empty one follows, for `Notebook.value`.
        kernel: which kind of kernel runs it.
    """
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in cells])
    return open_copy(page, jupyter, name, notebook, kernel=kernel)


def open_copy(
    page: Page, jupyter: Jupyter, name: str, notebook: nbformat.NotebookNode, *, kernel: str = "python3"
) -> Notebook:
    """The same with a notebook that was read elsewhere; what it says of its kernel is replaced."""
    count = sum(cell.cell_type == "code" for cell in notebook.cells)
    notebook.cells.append(nbformat.v4.new_code_cell(""))
    notebook.metadata["kernelspec"] = {"name": kernel, "display_name": kernel, "language": "python"}
    file = jupyter.root / name
    file.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, file)
    return open_again(page, jupyter, Notebook(page, file, count))


def open_again(page: Page, jupyter: Jupyter, notebook: Notebook) -> Notebook:
    """A notebook that is there, in this page; its kernel is the one it had, where that still runs."""
    page.goto(f"{jupyter.url}/doc/tree/{notebook.file.relative_to(jupyter.root)}", timeout=60_000)
    _wait_until_idle(page, notebook.cells + 1)
    return Notebook(page, notebook.file, notebook.cells)


def _wait_until_idle(page: Page, cells: int) -> None:
    expect(page.locator(".jp-Notebook .jp-CodeCell")).to_have_count(cells, timeout=60_000)
    # A dialog in the way is a question with a good default.
    dialog = page.locator(".jp-Dialog .jp-mod-accept")
    until = time.monotonic() + 60
    # The page's own indicator says idle before there is a kernel.
    while not page.evaluate(_READY):
        assert time.monotonic() < until, "no kernel became idle"
        if dialog.count():
            dialog.first.click()
        page.wait_for_timeout(50)


def _command(port: int) -> list[str]:
    options = {
        "ServerApp.token": "",
        "ServerApp.password": "",
        "ServerApp.disable_check_xsrf": "True",
        "ServerApp.port": str(port),
        "ServerApp.port_retries": "0",
        "ServerApp.ip": "127.0.0.1",
        "ServerApp.terminals_enabled": "False",
        "ServerApp.log_level": "WARN",
        "LabApp.expose_app_in_browser": "True",
        "LabApp.news_url": "",
        "IdentityProvider.token": "",
        "LanguageServerManager.autodetect": "False",
    }
    flags = [f"--{name}={value}" for name, value in options.items()]
    return [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", *flags]


def _environment(folder: Path) -> dict[str, str]:
    return {
        "HOME": str(folder),
        "IPYTHONDIR": str(folder / "ipython"),
        "JUPYTER_CONFIG_DIR": str(folder / "config"),
        "JUPYTER_DATA_DIR": str(folder / "data"),
        "JUPYTER_RUNTIME_DIR": str(folder / "runtime"),
        "JUPYTERLAB_SETTINGS_DIR": str(folder / "config" / "lab" / "user-settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(folder / "config" / "lab" / "workspaces"),
        "MPLBACKEND": "",
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",
    }


def _write_kernel(data: Path, name: str, environment: Mapping[str, str]) -> None:
    # This Python, whatever kernels the machine has.
    folder = data / "kernels" / name
    folder.mkdir(parents=True)
    argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    spec = {"argv": argv, "display_name": name, "language": "python", "env": dict(environment)}
    (folder / "kernel.json").write_text(json.dumps(spec))


def _write_settings(folder: Path) -> None:
    for name, values in _SETTINGS.items():
        file = folder / f"{name}.jupyterlab-settings"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(values))


def _wait_for(jupyter: Jupyter, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + _START
    while True:
        try:
            if requests.get(f"{jupyter.url}/api/status", timeout=2).ok:
                return
        except requests.ConnectionError:
            pass
        assert process.poll() is None, jupyter.log.read_text()
        assert time.monotonic() < until, jupyter.log.read_text()
        time.sleep(0.2)


def _stop(jupyter: Jupyter, process: subprocess.Popen[bytes]) -> None:
    # Asked politely it ends its kernels, too.
    try:
        requests.post(f"{jupyter.url}/api/shutdown", timeout=10)
        process.wait(20)
    except (requests.RequestException, subprocess.TimeoutExpired):
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(20)
