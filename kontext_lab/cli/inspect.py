"""The commands `doctor`, `list`, `show`, `export`, `recover` and `ui`. None of them sends a paid request."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kontext_lab.cli.output import FAILED, OK, UNDELIVERED, say, say_json
from kontext_lab.client import key_from_environment
from kontext_lab.errors import ConfigError, KontextLabError, Unauthorized
from kontext_lab.lab.service import connect
from kontext_lab.results import checked_folder

if TYPE_CHECKING:
    from kontext_lab.tracking import SweepRun, Tracker

__all__ = ["check_setup", "export_run", "list_runs", "recover_everything", "serve_ui", "show_run"]


def check_setup() -> int:
    """One line each for key, service, balance, store and journal; the exit code of the worst."""
    codes = [_check_service(), _check_store(), _check_journal()]
    return max(codes)


def list_runs(*, everywhere: bool, as_json: bool) -> int:
    """The sweeps in the store, newest first."""
    tracker = _tracker()
    runs = tracker.history(everywhere=everywhere, hidden=everywhere)
    if as_json:
        say_json([_as_dict(run) for run in runs])
        return 0
    if not runs:
        say(f"no sweeps yet in {tracker.store.shown}, experiment {tracker.store.experiment}")
        return 0
    for run in runs:
        done = f"{run.counts.get('done', 0)}/{run.cells}"
        simulated = "  simulated" if run.service == "sandbox" else ""
        hidden = "  hidden" if run.hidden else ""
        where = f"  [{tracker.experiment_name(run.experiment_id)}]" if everywhere else ""
        say(
            f"{run.run_id[:8]}  {run.started.astimezone():%d %b %Y %H:%M}  {done:>9}  "
            f"${run.cost:>8.2f}  {run.status.lower():<8}  {run.name}{simulated}{hidden}{where}"
        )
    if tracker.store.absent_folder:
        say(f"pictures are missing: there is no folder {tracker.store.absent_folder}", err=True)
    return 0


def show_run(which: str, *, as_json: bool, watch: bool = False) -> int:
    """One sweep and its cells; with `watch` once no other process is at work on it any more."""
    from kontext_lab.lab import Lab  # noqa: PLC0415 - `list` does without figures and measures

    lab = Lab("sandbox")
    tracker = lab.context.tracker
    results = lab.watch(which, progress=sys.stderr.isatty()) if watch else lab.load(which)
    run = tracker.find(results.run_id)
    if as_json:
        listed = [_cell_as_dict(cell) for cell in results]
        say_json({**_as_dict(run), "results": listed})
        return 0
    say(f"{run.name}\n{results.brief}")
    say(f"run {run.run_id} · {run.status.lower()} · {tracker.store.shown} · {tracker.store.experiment}")
    for key in results.axes:
        values = [results.label(key, value) for value in results.values(key)]
        say(f"  {key}: {', '.join(values[:12])}{' …' if len(values) > 12 else ''}")
    width = max((len(cell.title) for cell in results), default=0)
    for cell in results:
        sizes = " ".join(f"{output.width}x{output.height}" for output in cell.outputs if output.width)
        sizes += " (reused)" if cell.reused_from else ""
        lost = sum(output.is_missing for output in cell.outputs)
        sizes += (
            f" ({'picture' if lost == len(cell.outputs) else f'{lost} of its pictures'} missing)"
            if lost
            else ""
        )
        more = f"{cell.reason}: {cell.note}" if cell.reason else sizes
        made_from = "".join(f" (from {origin.run_id[:8]}/{origin.output})" for origin in cell.parents)
        line = f"  {cell.title:<{width}}  {cell.state!s:<9}  ${cell.cost:.3f}  {cell.run_id[:8]}  {more}"
        say(line + made_from)
    for note in results.notes:
        say(f"  {note}", err=True)
    return 0


def export_run(which: str, folder: Path) -> int:
    """The exact bytes of a sweep's pictures, and a table."""
    checked_folder(folder)
    from kontext_lab.lab import Lab  # noqa: PLC0415 - as in `run`

    results = Lab("sandbox").load(which)
    told = len(results.notes)
    target = results.save(folder)
    # What could not be saved is named by a warning, and by a note more.
    lost = len(results.missing) or len(results.notes) - told
    count = sum(1 for output in results.outputs if output.sha256) - lost
    say(f"{count} pictures and index.csv in {target}")
    return FAILED if lost else OK


def serve_ui(port: int) -> int:
    """MLflow's own pages on the store in use."""
    store = _tracker().store
    if store.web_address:
        say(f"the store is a server, its pages are at {store.web_address}")
        return 0
    with socket.socket() as probe:
        if probe.connect_ex(("127.0.0.1", port)) == 0:
            raise ConfigError(f"port {port} is in use: choose another with --port")
    say(f"{store.shown} at http://127.0.0.1:{port} (Ctrl-C stops it); experiment {store.experiment}")
    environment = {
        "MLFLOW_LOGGING_LEVEL": "WARNING",
        # Else MLflow starts eight more processes for jobs that no sweep has, and its first page comes later.
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        **os.environ,
        # Not on the command line, which every user of the machine can read.
        "MLFLOW_BACKEND_STORE_URI": store.uri,
    }
    command = [sys.executable, "-m", "mlflow", "ui", "--port", str(port)]
    if os.name == "posix":
        # MLflow takes this process over, so that whatever stops us stops its workers.
        sys.stdout.flush()
        os.execve(sys.executable, command, environment)
    return subprocess.run(command, check=False, env=environment).returncode


def _tracker() -> Tracker:
    from kontext_lab.tracking import Tracker  # noqa: PLC0415 - heavy, so after what can be wrong with the words

    return Tracker()


def _check_service() -> int:
    if key_from_environment() is None:
        say("key      none: set AIMLAPI_API_KEY for real pictures; the sandbox needs none")
        return 0
    say("key      found in the environment")
    try:
        connection = connect("api")
        connection.client.ping()
        simulated = " (a sandbox: simulated pictures)" if connection.simulated else ""
        say(f"service  {connection.client.service} answers{simulated}")
        balance = connection.client.balance()
    except Unauthorized as error:
        say(f"balance  {error}")
        return 1
    except KontextLabError as error:
        say(f"service  {error}")
        return 2
    say(f"balance  ${balance:.2f}" if balance is not None else "balance  the service doesn't tell")
    return 0


def _check_store() -> int:
    try:
        tracker = _tracker()
        count, doubtful = len(tracker.history(hidden=True)), tracker.in_doubt()
        missing, looked_at, place = tracker.missing()
    except KontextLabError as error:
        say(f"store    {error}")
        return 2
    shown = tracker.store.shown + (", read-only" if tracker.store.read_only else "")
    say(f"store    {shown}, experiment {tracker.store.experiment}, {count} sweeps")
    if doubtful:
        many = "1 request is" if doubtful == 1 else f"{doubtful} requests are"
        say(f"         {many} in doubt: sent again only with `kontext-lab run … --in-doubt resend`")
    if missing:
        many = "1 picture is" if missing == 1 else f"{missing} pictures are"
        say(f"         of the newest {looked_at} done cells {many} missing in {place}")
        return FAILED
    return 0


def _check_journal() -> int:
    from kontext_lab.lab import Lab  # noqa: PLC0415 - as in `show`

    try:
        with Lab("sandbox", quiet=True) as lab:
            folder, lines = lab.context.journal.folder, lab.unfinished
    except KontextLabError as error:
        say(f"journal  {error}")
        return 2
    say(f"journal  {folder}, {len(lines) or 'no'} unfinished sweep{'' if len(lines) == 1 else 's'}")
    for line in lines:
        say(f"         {line}: `kontext-lab recover`")
    return 0


def _as_dict(run: SweepRun) -> dict[str, Any]:
    return {
        "run_id": run.run_id,
        "name": run.name,
        "service": run.service,
        "simulated": run.service == "sandbox",
        "status": run.status,
        "started": run.started.isoformat(),
        "cells": run.cells,
        "counts": run.counts,
        "cost_usd": run.cost,
        "hidden": run.hidden,
    }


def _cell_as_dict(cell: Any) -> dict[str, Any]:
    return {
        "title": cell.title,
        "run_id": cell.run_id,
        "state": str(cell.state),
        "reason": cell.reason,
        "note": cell.note,
        "cost_usd": cell.cost,
        "reused_from": cell.reused_from,
        "parents": [str(origin) for origin in cell.parents],
        "params": cell.params,
        "outputs": [
            {
                "sha256": output.sha256,
                "width": output.width,
                "height": output.height,
                "reason": output.reason,
                "missing": output.is_missing,
            }
            for output in cell.outputs
        ],
    }


def recover_everything() -> int:
    """Recover every sweep that did not end.

    Returns:
        0 where MLflow has everything now, 4 where something that was sent stays in the journal, 1 where only the
        end of a run could not be recorded, or an answer has to be looked at by a person.
    """
    from kontext_lab.lab import Lab  # noqa: PLC0415 - as in `show`

    # With a key the API's log can be asked about lost answers; without one everything else is done.
    with Lab("auto" if key_from_environment() else "sandbox", quiet=True) as lab:
        found = lab.recover()
        if not found:
            say(f"nothing to recover in {lab.context.journal.folder}")
            return OK
        for one in found:
            run = f" · run {one.run_id[:8]}" if one.run_id else ""
            say(f"{one.line}{run}", err=bool(one.problem))
        if any(one.in_doubt for one in found):
            say("in doubt: sent again only with `kontext-lab run … --in-doubt resend`", err=True)
    kept = sum(one.kept for one in found)
    if kept:
        requests = "1 request stays" if kept == 1 else f"{kept} requests stay"
        say(f"{requests} in {lab.context.journal.folder}: `kontext-lab recover` tries again", err=True)
        return UNDELIVERED
    return FAILED if any(one.problem for one in found) else OK
