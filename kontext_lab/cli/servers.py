"""The commands `panel`, `sandbox` and `ui`: programs that serve until they are stopped."""

from __future__ import annotations

import importlib.util
import json
import os
import socket
import subprocess
import sys
from contextlib import suppress
from functools import partial
from importlib import resources
from pathlib import Path
from typing import Any

import click

from kontext_lab.cli.output import BAD, OK, say
from kontext_lab.cli.signals import STEP_SECONDS, stop_signals
from kontext_lab.errors import ConfigError

__all__ = ["NOTEBOOK", "panel", "put_notebook", "sandbox", "ui"]

NOTEBOOK = "kontext-lab.ipynb"


@click.command()
@click.option("--port", type=click.IntRange(1, 65535), help="Port for JupyterLab.")
@click.option("--no-browser", is_flag=True, help="Start JupyterLab without opening a browser.")
def panel(port: int | None, no_browser: bool) -> int:
    """Open JupyterLab on a notebook with the panel."""
    if importlib.util.find_spec("jupyterlab") is None:
        raise ConfigError('JupyterLab is not installed: pip install "kontext-lab[lab]"')
    notebook = put_notebook(Path.cwd())
    # The printed address leads to the notebook even if no browser is opened.
    command = [sys.executable, "-m", "jupyterlab", f"--LabApp.default_url=/lab/tree/{notebook.name}"]
    command += [] if port is None else [f"--ServerApp.port={port}"]
    command += ["--no-browser"] if no_browser else []
    # Containers often run as root; JupyterLab refuses that without this flag.
    command += ["--allow-root"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    stops = stop_signals()
    with subprocess.Popen(command) as process, stops.acting_on(process.terminate, process.kill):
        code = None
        while code is None:  # in steps, so that a signal is never missed
            with suppress(subprocess.TimeoutExpired):
                code = process.wait(STEP_SECONDS)
    if stops.first is not None:
        stops.forget()
        return OK  # the usual way to end JupyterLab
    return OK if code == 0 else BAD


def put_notebook(folder: Path) -> Path:
    """Copy the quickstart into a folder, unless its notebook is there already; returns the path."""
    target = folder / NOTEBOOK
    if target.exists():
        say(f"{target.name} is there already: opening it as it is")
        return target
    try:
        target.write_bytes(resources.files("kontext_lab.cli").joinpath("quickstart.ipynb").read_bytes())
    except OSError as error:
        raise ConfigError(f"{target}: can't be written: {error.strerror or error}") from None
    return target


def _read_faults(_context: click.Context, _parameter: click.Parameter, text: str) -> Any:
    """Read faults: a JSON list is a script, a JSON object gives probabilities; a plain name always strikes."""
    if not text.lstrip().startswith(("[", "{")):
        return {text: 1.0}
    try:
        return json.loads(text)
    except ValueError:
        raise click.BadParameter(f"{text!r:.80} is not valid JSON") from None


def _read_prices(_context: click.Context, _parameter: click.Parameter, text: str | None) -> Any:
    """Read a JSON object of prices."""
    if text is None:
        return None
    try:
        return {str(name): float(price) for name, price in json.loads(text).items()}
    except (ValueError, AttributeError, TypeError):
        raise click.BadParameter(
            f"must be a JSON object of model: USD per picture, not {text!r:.80}"
        ) from None


_seconds = partial(click.option, type=click.FloatRange(min=0), metavar="SECONDS")


@click.command(context_settings={"show_default": True})
@click.option("--port", type=click.IntRange(0, 65535), default=8765, help="Port; 0 takes a free one.")
@_seconds("--latency", default=1.0, help="Time from a request to its answer.")
@click.option(
    "--fetch", is_flag=True, help="Load images from public addresses, in place of stand-in photographs."
)
@click.option(
    "--faults",
    default="[]",
    callback=_read_faults,
    metavar="NAME|JSON",
    help="The fault that always strikes; a list with the fault of each request; or probabilities by name.",
)
@click.option("--seed", type=int, default=0, help="Seed of the faults' probabilities.")
@click.option(
    "--prices", callback=_read_prices, metavar="JSON", help='USD per picture by model, as {"model": 0.05}.'
)
@click.option(
    "--balance", type=click.FloatRange(min=0), default=100.0, metavar="USD", help="Credits at the start."
)
@click.option("--key", "keys", multiple=True, metavar="KEY", help="Accept only this key; may be repeated.")
@click.option("--concurrency", type=click.IntRange(min=1), metavar="N", help="Most requests at a time.")
@click.option(
    "--shape",
    type=click.Choice(["legacy", "hybrid", "current"]),
    default="legacy",
    help="Shape of successful answers.",
)
@click.option("--envelope", type=click.Choice(["new", "old"]), default="new", help="Shape of errors.")
@_seconds("--log-delay", default=0.0, help="Time until a request is in the log.")
@_seconds("--url-lifetime", default=3600.0, help="Time for which a picture can be downloaded.")
def sandbox(port: int, keys: tuple[str, ...], **settings: Any) -> int:
    """Serve the sandbox to any client on this machine: simulated pictures, free."""
    from kontext_lab.sandbox import serve

    return serve(port, keys=keys or None, **settings)


@click.command()
@click.option("--port", type=click.IntRange(1, 65535), default=5000, help="Port for MLflow's pages.")
def ui(port: int) -> int:
    """Open MLflow's own pages on the store in use."""
    from kontext_lab.tracking import Tracker

    store = Tracker().store
    if store.web_address:
        say(f"the store is a server, its pages are at {store.web_address}")
        return 0
    with socket.socket() as probe:
        if probe.connect_ex(("127.0.0.1", port)) == 0:
            raise ConfigError(f"port {port} is in use: choose another with --port")
    say(f"{store.shown} at http://127.0.0.1:{port} (Ctrl-C stops it); experiment {store.experiment}")
    environment = {
        "MLFLOW_LOGGING_LEVEL": "WARNING",
        # Without this MLflow starts eight more processes for jobs that no sweep has.
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        **os.environ,
        # Not on the command line, which every user of the machine can read.
        "MLFLOW_BACKEND_STORE_URI": store.uri,
    }
    command = [sys.executable, "-m", "mlflow", "ui", "--port", str(port)]
    if os.name == "posix":
        # MLflow takes this process over, so that a signal to us stops its workers, too.
        sys.stdout.flush()
        os.execve(sys.executable, command, environment)
    return subprocess.run(command, check=False, env=environment).returncode
