"""`kontext-lab panel`: JupyterLab on a notebook with the panel in it."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from contextlib import suppress
from importlib import resources
from pathlib import Path

from kontext_lab.cli.output import BAD, OK, say
from kontext_lab.cli.signals import STEP_SECONDS, stop_signals
from kontext_lab.errors import ConfigError

__all__ = ["NOTEBOOK", "open_panel", "put_notebook"]

NOTEBOOK = "kontext-lab.ipynb"


def open_panel(*, port: int | None, browser: bool) -> int:
    """Put the notebook into the working folder, if it isn't there yet, and open JupyterLab on it."""
    if importlib.util.find_spec("jupyterlab") is None:
        raise ConfigError('JupyterLab is not installed: pip install "kontext-lab[lab]"')
    notebook = put_notebook(Path.cwd())
    # Its address, also where no browser is opened, then leads to the notebook.
    command = [sys.executable, "-m", "jupyterlab", f"--LabApp.default_url=/lab/tree/{notebook.name}"]
    command += [] if port is None else [f"--ServerApp.port={port}"]
    command += [] if browser else ["--no-browser"]
    # In a container one often is; JupyterLab would refuse without being told.
    command += ["--allow-root"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    stops = stop_signals()
    with subprocess.Popen(command) as process, stops.acting_on(_Server(process)):
        code = _wait(process)
    if stops.first is not None:
        stops.forget()
        return OK  # as JupyterLab is ended
    return OK if code == 0 else BAD


def _wait(process: subprocess.Popen[bytes]) -> int:
    while True:
        with suppress(subprocess.TimeoutExpired):
            return process.wait(STEP_SECONDS)


class _Server:
    """JupyterLab as a process that ends in order, its kernels with it, or at once."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    def cancel(self) -> None:
        self._process.terminate()

    def leave(self) -> None:
        self._process.kill()


def put_notebook(folder: Path) -> Path:
    """The notebook in a folder: a copy of the quickstart, or what a person made of it there.

    Raises:
        ConfigError: it can't be written.
    """
    target = folder / NOTEBOOK
    if target.exists():
        say(f"{target.name} is there already: opening it as it is")
        return target
    try:
        target.write_bytes(resources.files("kontext_lab.cli").joinpath("quickstart.ipynb").read_bytes())
    except OSError as error:
        raise ConfigError(f"{target}: can't be written: {error.strerror or error}") from None
    return target
