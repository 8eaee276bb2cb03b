"""`kontext-lab panel`: JupyterLab on a copy of the quickstart."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from kontext_lab.cli.main import run_command
from kontext_lab.cli.servers import NOTEBOOK, put_notebook
from kontext_lab.cli.signals import STOP_SIGNALS

ROOT = Path(__file__).parents[2]
QUICKSTART = (ROOT / "notebooks" / "quickstart.ipynb").read_bytes()


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch, workdir: Path) -> list[list[str]]:
    """The commands that would have been started."""
    commands: list[list[str]] = []

    begin = subprocess.Popen

    def note(command: list[str]) -> subprocess.Popen[bytes]:
        commands.append(command)
        return begin([sys.executable, "-c", ""])

    monkeypatch.setattr("kontext_lab.cli.servers.subprocess.Popen", note)
    return commands


def test_the_notebook_is_a_copy_of_the_quickstart(workdir: Path) -> None:
    """The same bytes."""
    assert QUICKSTART == put_notebook(workdir).read_bytes()


def test_a_notebook_that_is_there_stays_as_it_is(workdir: Path) -> None:
    """What a person made of it is opened."""
    (workdir / NOTEBOOK).write_text("mine")
    assert "mine" == put_notebook(workdir).read_text()


def test_jupyterlab_is_opened_on_it(started: list[list[str]]) -> None:
    """With this Python, on the port that was asked for."""
    assert 0 == run_command(["panel", "--port", "8899", "--no-browser"])
    address = f"--LabApp.default_url=/lab/tree/{NOTEBOOK}"
    expected = [sys.executable, "-m", "jupyterlab", address, "--ServerApp.port=8899", "--no-browser"]
    assert expected == started[0][:6]


@pytest.mark.parametrize("number", STOP_SIGNALS)
def test_a_stop_ends_jupyterlab_in_order(
    number: int, workdir: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It is asked to end, so that it ends its kernels as well; 0, as a server is ended by a stop."""
    ended = tmp_path / "ended"
    child = (
        "import os, pathlib, signal, sys, time\n"
        f"signal.signal(signal.SIGTERM, lambda *_: sys.exit(pathlib.Path({str(ended)!r}).touch()))\n"
        f"os.kill(os.getppid(), {int(number)})\n"
        "time.sleep(60)\n"
    )
    begin = subprocess.Popen
    monkeypatch.setattr(
        "kontext_lab.cli.servers.subprocess.Popen", lambda _: begin([sys.executable, "-c", child])
    )
    assert (0, True) == (run_command(["panel", "--no-browser"]), ended.exists())


def test_without_jupyterlab_one_line_says_what_to_install(
    started: list[list[str]],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    workdir: Path,
) -> None:
    """Nothing is started, nothing is written."""
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "jupyterlab" else found(name)
    )
    code = run_command(["panel"])
    assert (2, 'kontext-lab: JupyterLab is not installed: pip install "kontext-lab[lab]"\n', []) == (
        code,
        capfd.readouterr().err,
        list(workdir.iterdir()),
    )


@pytest.mark.slow
def test_a_wheel_holds_the_notebook_the_scripts_and_the_sprites(tmp_path: Path) -> None:
    """What is installed without a clone can open the panel."""
    copy = tmp_path / "clone"
    subprocess.run(["git", "clone", "-q", str(ROOT), str(copy)], check=True)
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(tmp_path), str(copy)]
    subprocess.run(command, check=True)
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        names = wheel.namelist()
        assert QUICKSTART == wheel.read("kontext_lab/cli/quickstart.ipynb")
    scripts = {path.name for path in (ROOT / "kontext_lab/panel/browser/static").iterdir()}
    assert scripts == {Path(name).name for name in names if "/static/" in name}
    sprites = {path.name for path in (ROOT / "kontext_lab/sandbox/sprites").iterdir()}
    assert sprites == {Path(name).name for name in names if "/sprites/" in name}
