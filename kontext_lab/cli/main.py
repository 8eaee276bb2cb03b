"""`kontext-lab`: the commands, and how errors become one line and an exit code."""

from __future__ import annotations

import logging
import os
import sys
import warnings
from pathlib import Path
from typing import Any

import click

from kontext_lab.cli.output import BAD, FAILED, INTERRUPTED, OK, STOPPED, guard_output, say
from kontext_lab.cli.signals import StopSignals
from kontext_lab.errors import KontextLabError, OutOfCredits, Unauthorized
from kontext_lab.redaction import redact_last_resort

__all__ = ["cli", "main"]


def main() -> None:
    """Entry point: runs the command line and leaves with its exit code."""
    # MLflow and Alembic write about their databases; what matters arrives as an error of ours.
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.ERROR)
    # What Pillow thinks of a file's metadata doesn't matter: none of it is sent.
    warnings.filterwarnings("ignore", module=r"PIL\b")
    output = guard_output()
    redact_last_resort()
    stops = StopSignals()
    code = run_command(sys.argv[1:], stops)
    if code == OK and output.lost:
        code = FAILED  # what a script reads is not all there
    if stops.leaving:
        # What is under way belongs to the journal now; leaving the usual way would wait for its answers.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


def run_command(arguments: list[str], stops: StopSignals | None = None) -> int:
    """Run one command line; returns the exit code. No error of ours shows a traceback.

    Args:
        arguments: without the program's name.
        stops: what stop signals do; None for the usual.
    """
    with stops or StopSignals() as active:
        try:
            code = _run_command(arguments, active)
        except KeyboardInterrupt:  # a second one, on the way out
            code = INTERRUPTED
        return active.code(code)


def _run_command(arguments: list[str], stops: StopSignals) -> int:
    try:
        code = cli.main(arguments, prog_name="kontext-lab", standalone_mode=False, obj=stops)
    except click.exceptions.Exit as done:
        return int(done.exit_code)
    except click.ClickException as error:
        say(f"kontext-lab: {' '.join(error.format_message().split())}", err=True)
        return BAD
    except (click.Abort, KeyboardInterrupt):
        if stops.first is None:
            say("not confirmed: nothing was sent", err=True)
            return BAD
        say("interrupted", err=True)
        return INTERRUPTED
    except KontextLabError as error:
        say(f"kontext-lab: {' '.join(str(error).split())}", err=True)
        return _code_of(error)
    return code if isinstance(code, int) else OK


def _code_of(error: KontextLabError) -> int:
    if isinstance(error, Unauthorized):
        return FAILED
    return STOPPED if isinstance(error, OutOfCredits) else BAD


@click.group(
    invoke_without_command=True,
    subcommand_metavar="COMMAND [ARGS]...",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(package_name="kontext-lab", prog_name="kontext-lab")
@click.pass_context
def cli(context: click.Context) -> int:
    """Parameter sweeps over FLUX.1 Kontext image editing, every call tracked in MLflow."""
    if context.invoked_subcommand is not None:
        return OK
    say(context.get_help(), err=True)  # stream and code are those of click's own programs
    return BAD


@cli.command()
@click.option("--out", type=click.Path(path_type=Path), default=Path("kontext-lab-demo"), show_default=True)
def demo(out: Path) -> int:
    """Run a small sweep on the sandbox: simulated pictures, free, no key needed."""
    from kontext_lab.cli.demo import run_demo  # noqa: PLC0415 - commands load what they need

    return run_demo(out)


@cli.command()
@click.argument("sweep_file", metavar="SWEEP.yaml", type=click.Path(path_type=Path))
@click.option("--sandbox", is_flag=True, help="Simulated pictures, free; also where a key is set.")
@click.option("--budget", type=click.FloatRange(min=0), metavar="USD", help="Spend at most this much.")
@click.option(
    "--concurrency", type=click.IntRange(1, 64), default=4, show_default=True, help="Requests at once."
)
@click.option("--limit", type=click.IntRange(min=0), metavar="N", help="Send at most N requests.")
@click.option(
    "--reuse",
    type=click.Choice(["always", "never"]),
    default="always",
    show_default=True,
    help="Take pictures that were paid for before.",
)
@click.option(
    "--in-doubt",
    type=click.Choice(["skip", "resend"]),
    default="skip",
    show_default=True,
    help="Requests whose answer was lost.",
)
@click.option(
    "--missing",
    type=click.Choice(["skip", "resend"]),
    default="skip",
    show_default=True,
    help="Cells that were paid for and whose pictures are not in the store any more.",
)
@click.option("--retry-failed", is_flag=True, help="Send those again that were billed without a picture.")
@click.option("--no-measure", is_flag=True, help="Measure nothing.")
@click.option("--dry-run", is_flag=True, help="Show the plan and its cost, send nothing.")
@click.option("--json", "as_json", is_flag=True, help="With --dry-run: the plan as JSON.")
@click.option("--yes", is_flag=True, help="Don't ask before paying.")
@click.option(
    "--out", type=click.Path(path_type=Path), metavar="DIR", help="Save pictures and index.csv there."
)
def run(**options: Any) -> int:
    """Run a sweep; run it again to continue it. What was paid for is never paid for again."""
    from kontext_lab.cli.run import run_sweep  # noqa: PLC0415 - commands load what they need

    return run_sweep(**options)


@cli.command()
def recover() -> int:
    """Log what crashes and outages left in the journal, end cut-off sweeps. Sends nothing, costs nothing."""
    from kontext_lab.cli.inspect import recover_everything  # noqa: PLC0415 - commands load what they need

    return recover_everything()


@cli.command()
def doctor() -> int:
    """Key, service, balance, store and journal, one line each. Free."""
    from kontext_lab.cli.inspect import check_setup  # noqa: PLC0415 - commands load what they need

    return check_setup()


@cli.command()
@click.option("--port", type=click.IntRange(1, 65535), help="Of JupyterLab.")
@click.option("--no-browser", is_flag=True, help="Start JupyterLab without opening a browser.")
def panel(port: int | None, no_browser: bool) -> int:
    """Open JupyterLab on a notebook with the panel."""
    from kontext_lab.cli.jupyter import open_panel  # noqa: PLC0415 - commands load what they need

    return open_panel(port=port, browser=not no_browser)


@cli.command()
@click.option("--port", type=click.IntRange(0, 65535), default=8765, show_default=True)
@click.option("--latency", type=click.FloatRange(min=0), default=1.0, show_default=True, metavar="SECONDS")
@click.option(
    "--fetch", is_flag=True, help="Load images from public addresses, in place of stand-in photographs."
)
def sandbox(port: int, latency: float, fetch: bool) -> int:
    """Serve the sandbox for any client, on this machine only: simulated pictures, free."""
    from kontext_lab.sandbox import serve  # noqa: PLC0415 - commands load what they need

    return serve(port, latency=latency, fetch=fetch)


@cli.command("list")
@click.option("--all", "everywhere", is_flag=True, help="Of every experiment in the store.")
@click.option("--json", "as_json", is_flag=True)
def list_sweeps(everywhere: bool, as_json: bool) -> int:
    """The sweeps in the store, newest first."""
    from kontext_lab.cli.inspect import list_runs  # noqa: PLC0415 - commands load what they need

    return list_runs(everywhere=everywhere, as_json=as_json)


@cli.command()
@click.argument("which", metavar="RUN")
@click.option("--json", "as_json", is_flag=True)
@click.option("--watch", is_flag=True, help="Wait while another process is at work on it.")
def show(which: str, as_json: bool, watch: bool) -> int:
    """One sweep and its cells. RUN is a name, an id or its beginning, or `last`."""
    from kontext_lab.cli.inspect import show_run  # noqa: PLC0415 - commands load what they need

    return show_run(which, as_json=as_json, watch=watch)


@cli.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True)
def find(file: Path, as_json: bool) -> int:
    """Which cell made this picture; also where it was saved again or made smaller."""
    from kontext_lab.cli.find import find_file  # noqa: PLC0415 - commands load what they need

    return find_file(file, as_json=as_json)


@cli.command()
@click.option("--all", "everything", is_flag=True, help="Every row, not only the latest.")
@click.option("--json", "as_json", is_flag=True)
def costs(everything: bool, as_json: bool) -> int:
    """US dollars by day, sweep and model, of every experiment in the store."""
    from kontext_lab.cli.costs import show_costs  # noqa: PLC0415 - commands load what they need

    return show_costs(everything=everything, as_json=as_json)


@cli.command()
@click.argument("which", metavar="RUN")
def measure(which: str) -> int:
    """Measure what a sweep's edits changed and what they kept; into MLflow. Free."""
    from kontext_lab.cli.measure import measure_run  # noqa: PLC0415 - commands load what they need

    return measure_run(which)


@cli.command()
@click.argument("which", metavar="RUN")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
def export(which: str, folder: Path) -> int:
    """Save a sweep's pictures, the exact bytes, and index.csv."""
    from kontext_lab.cli.inspect import export_run  # noqa: PLC0415 - commands load what they need

    return export_run(which, folder)


@cli.command()
@click.argument("which", metavar="RUN")
@click.option("--out", type=click.Path(path_type=Path), metavar="FILE", help="Else called as the sweep is.")
@click.option("--no-references", is_flag=True, help="Leave out what was given to the model.")
@click.option(
    "--originals", type=click.Path(path_type=Path), metavar="FILE.zip", help="The exact bytes, besides."
)
def report(which: str, out: Path | None, no_references: bool, originals: Path | None) -> int:
    """One page of a sweep that opens anywhere: pictures, pickers, numbers. Also put into its run."""
    from kontext_lab.cli.report import write_report  # noqa: PLC0415 - commands load what they need

    return write_report(which, out=out, references=not no_references, originals=originals)


@cli.command()
@click.option("--port", type=click.IntRange(1, 65535), default=5000, show_default=True)
def ui(port: int) -> int:
    """Open MLflow's own pages on the store in use."""
    from kontext_lab.cli.inspect import serve_ui  # noqa: PLC0415 - commands load what they need

    return serve_ui(port)
