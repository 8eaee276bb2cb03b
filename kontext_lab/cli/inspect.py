"""The commands `doctor`, `list`, `show`, `find`, `costs` and `recover`. None of them sends a paid request."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kontext_lab.cli.output import FAILED, OK, UNDELIVERED, counted, say, say_json
from kontext_lab.errors import KontextLabError, Unauthorized

if TYPE_CHECKING:
    from kontext_lab.results import CellResult
    from kontext_lab.tracking import SweepRun

__all__ = ["costs", "doctor", "find", "list_sweeps", "recover", "show"]

COST_ROWS = 20


@click.command()
def doctor() -> int:
    """Check key, service, balance, store and journal. Free."""
    return max(_check_service(), _check_store(), _check_journal())


def _check_service() -> int:
    from kontext_lab.client import key_from_environment
    from kontext_lab.lab.service import connect

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
    say(f"balance  ${balance:.2f}" if balance is not None else "balance  not stated by the service")
    return 0


def _check_store() -> int:
    from kontext_lab.tracking import Tracker

    try:
        tracker = Tracker()
        count, doubtful = len(tracker.history(hidden=True)), tracker.in_doubt()
        missing, looked_at, address = tracker.missing()
    except KontextLabError as error:
        say(f"store    {error}")
        return 2
    shown = tracker.store.shown + (", read-only" if tracker.store.read_only else "")
    say(f"store    {shown}, experiment {tracker.store.experiment}, {count} sweeps")
    if doubtful:
        say(
            f"         {counted(doubtful, 'request is', 'requests are')} in doubt: sent again only with `kontext-lab run … --in-doubt resend`"
        )
    if missing:
        many = counted(missing, "picture is", "pictures are")
        say(f"         of the newest {looked_at} done cells {many} missing in {address}")
        return FAILED
    return 0


def _check_journal() -> int:
    from kontext_lab.lab import Lab

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


@click.command("list")
@click.option("--all", "everywhere", is_flag=True, help="Include every experiment in the store.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_sweeps(everywhere: bool, as_json: bool) -> int:
    """List the sweeps in the store, newest first."""
    from kontext_lab.tracking import Tracker

    tracker = Tracker()
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


@click.command()
@click.argument("which", metavar="RUN")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--watch", is_flag=True, help="Wait until no other process works on it.")
def show(which: str, as_json: bool, watch: bool) -> int:
    """Show a sweep and its cells. RUN is a name, an id or its beginning, or `last`."""
    from kontext_lab.lab import Lab

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
        if lost:
            sizes += f" ({'picture' if lost == len(cell.outputs) else f'{lost} of its pictures'} missing)"
        more = f"{cell.reason}: {cell.note}" if cell.reason else sizes
        made_from = "".join(f" (from {origin.run_id[:8]}/{origin.output})" for origin in cell.parents)
        line = f"  {cell.title:<{width}}  {cell.state!s:<9}  ${cell.cost:.3f}  {cell.run_id[:8]}  {more}"
        say(line + made_from)
    for note in results.notes:
        say(f"  {note}", err=True)
    return 0


def _fields(thing: object, *names: str) -> dict[str, Any]:
    return {name: getattr(thing, name) for name in names}


def _as_dict(run: SweepRun) -> dict[str, Any]:
    return {
        **_fields(run, "run_id", "name", "service", "status", "cells", "counts", "hidden"),
        "simulated": run.service == "sandbox",
        "started": run.started.isoformat(),
        "cost_usd": run.cost,
    }


def _cell_as_dict(cell: CellResult) -> dict[str, Any]:
    return {
        **_fields(cell, "title", "run_id", "reason", "note", "reused_from", "params"),
        "state": str(cell.state),
        "cost_usd": cell.cost,
        "parents": [str(origin) for origin in cell.parents],
        "outputs": [
            _fields(output, "sha256", "width", "height", "reason") | {"missing": output.is_missing}
            for output in cell.outputs
        ],
    }


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def find(file: Path, as_json: bool) -> int:
    """Find the cell that made a picture, even if the file was saved again or made smaller."""
    from kontext_lab.images import load_reference

    picture = load_reference(file, max_megapixels=0.3)
    from kontext_lab.lab import lookup  # heavy, so only once the file is known to be right
    from kontext_lab.tracking import Tracker

    tracker = Tracker()
    matches = lookup.find(tracker, picture)
    if as_json:
        say_json(
            [
                _fields(match, "how", "distance", "sweep", "sweep_run_id", "experiment")
                | _fields(match.cell, "run_id", "title", "simulated", "reused_from", "params")
                | {"output": match.output.number, "sha256": match.output.sha256}
                for match in matches
            ]
        )
    else:
        for match in matches:
            say(match.line)
    if not matches:
        say(f"no picture like it in {tracker.store.shown}", err=True)
    return OK if matches else FAILED


@click.command()
@click.option("--all", "everything", is_flag=True, help="Show every row, not only the latest.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def costs(everything: bool, as_json: bool) -> int:
    """Show US dollars by day, sweep and model, of every experiment in the store."""
    from kontext_lab.tracking import Tracker

    spending = Tracker().spending()
    if as_json:
        say_json(
            {
                "store": spending.store,
                "total_usd": spending.total,
                "simulated_usd": spending.simulated,
                "in_doubt": spending.in_doubt,
                "rows": [{**spending.as_dict(row), "day": row.day.isoformat()} for row in spending.rows],
            }
        )
        return OK
    say(f"{spending.summary} · {spending.store}")
    for line in spending.lines(None if everything else COST_ROWS):
        say(f"  {line}")
    return OK


@click.command()
def recover() -> int:
    """Recover results that crashes and outages left in the journal, and close cut-off sweeps. Free."""
    # Ends with 0 if MLflow has everything now, with 4 if something that was sent stays in the journal, with 1 if only
    # the end of a run could not be recorded, or if a person has to look at an answer.
    from kontext_lab.client import key_from_environment
    from kontext_lab.lab import Lab

    # With a key the API's log can be asked about lost answers; without one everything else is done.
    with Lab("auto" if key_from_environment() else "sandbox", quiet=True) as lab:
        sweeps = lab.recover()
        if not sweeps:
            say(f"nothing to recover in {lab.context.journal.folder}")
            return OK
        for sweep in sweeps:
            run = f" · run {sweep.run_id[:8]}" if sweep.run_id else ""
            say(f"{sweep.line}{run}", err=bool(sweep.problem))
        if any(sweep.in_doubt for sweep in sweeps):
            say("in doubt: sent again only with `kontext-lab run … --in-doubt resend`", err=True)
    kept = sum(sweep.kept for sweep in sweeps)
    if kept:
        requests = counted(kept, "request stays", "requests stay")
        say(f"{requests} in {lab.context.journal.folder}: `kontext-lab recover` tries again", err=True)
        return UNDELIVERED
    return FAILED if any(sweep.problem for sweep in sweeps) else OK
