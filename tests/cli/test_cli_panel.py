"""`kontext-lab panel`: JupyterLab on a copy of the quickstart."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import venv
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


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the source archive of a fresh clone, and with the wheel that is built from that archive."""
    folder = tmp_path_factory.mktemp("built")
    copy, backend = folder / "clone", folder / "backend"
    subprocess.run(["git", "clone", "-q", str(ROOT), str(copy)], check=True)
    pip = [sys.executable, "-m", "pip"]
    requires = tomllib.loads((copy / "pyproject.toml").read_text(encoding="utf-8"))["build-system"][
        "requires"
    ]
    subprocess.run([*pip, "install", "-q", "--target", str(backend), *requires], check=True)

    def build(kind: str, source: Path) -> None:
        call = f"from setuptools import build_meta; build_meta.build_{kind}({str(folder)!r})"
        environment = {**os.environ, "PYTHONPATH": str(backend)}
        command = [sys.executable, "-W", "ignore", "-c", call]
        subprocess.run(command, cwd=source, env=environment, check=True, capture_output=True)

    build("sdist", copy)
    with tarfile.open(next(folder.glob("*.tar.gz"))) as archive:
        archive.extractall(folder / "unpacked", filter="data")
    build("wheel", next((folder / "unpacked").iterdir()))
    return folder


@pytest.mark.slow
def test_a_wheel_holds_all_files(built: Path) -> None:
    """Every file of the package that git knows but notes for contributors, the notebook as the bytes that it is."""
    with zipfile.ZipFile(next(built.glob("*.whl"))) as wheel:
        packed = {name for name in wheel.namelist() if name.startswith("kontext_lab/")}
        assert QUICKSTART == wheel.read("kontext_lab/cli/quickstart.ipynb")
        described = next(name for name in wheel.namelist() if name.endswith("/METADATA"))
        head, _, body = wheel.read(described).decode("utf-8").partition("\n\n")
    listed = subprocess.run(["git", "ls-files", "kontext_lab"], cwd=ROOT, capture_output=True, check=True)
    known = {name for name in listed.stdout.decode().splitlines() if not name.endswith(".md")}
    assert known == packed
    assert {"kontext_lab/py.typed", "kontext_lab/reports/templates/page.html"} <= packed
    # What a package's page shows is the README.
    assert "Description-Content-Type: text/markdown" in head
    assert (ROOT / "README.md").read_text(encoding="utf-8").strip() == body.strip()


@pytest.mark.slow
def test_an_installed_wheel_works(built: Path, tmp_path: Path) -> None:
    """In an environment of its own, which has the dependencies of this one, the program and the import are the wheel's."""
    fresh = tmp_path / "fresh"
    venv.create(fresh, symlinks=True)
    program = fresh / "bin" / "python"
    wheel = next(built.glob("*.whl"))
    install = ["-m", "pip", "--python", str(program), "install", "-q", "--no-deps", "--no-index", str(wheel)]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    subprocess.run([sys.executable, *install], env=environment, check=True)
    packages = next(fresh.glob("lib/python*/site-packages"))
    # A path in a .pth file adds the packages that lie there, and none of their own .pth files.
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib"), encoding="utf-8")
    call = "import kontext_lab as kl; print(kl.__file__, len(kl.Sweep('A', kl.sample('chelsea'))))"

    def said(*command: str) -> str:
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    assert f"kontext-lab, version {version}" == said(str(fresh / "bin" / "kontext-lab"), "--version")
    assert f"{packages / 'kontext_lab' / '__init__.py'} 1" == said(str(program), "-c", call)
