"""`kontext-lab`: the group of commands; errors become one line and an exit code."""

from __future__ import annotations

import logging
import os
import sys
import warnings

import click

from kontext_lab.cli import demo, export, inspect, run, servers
from kontext_lab.cli.output import BAD, FAILED, INTERRUPTED, OK, STOPPED, guard_output, say
from kontext_lab.cli.signals import StopSignals
from kontext_lab.errors import KontextLabError, OutOfCredits, Unauthorized
from kontext_lab.redaction import redact_last_resort

__all__ = ["cli", "main"]


def main() -> None:
    """Run the command line and leave with its exit code."""
    # MLflow and Alembic log about their databases; real trouble arrives as an error of ours.
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.ERROR)
    # Pillow's warnings about a file's metadata don't matter: none of it is sent.
    warnings.filterwarnings("ignore", module=r"PIL\b")
    files = guard_output()
    redact_last_resort()
    stops = StopSignals()
    code = run_command(sys.argv[1:], stops)
    if code == OK and any(file.lost for file in files):
        code = FAILED  # a script did not get everything
    if stops.leaving:
        # Requests under way belong to the journal now; leaving the usual way would wait for their answers.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


def run_command(arguments: list[str], stops: StopSignals | None = None) -> int:
    """Run one command line, without the program's name; returns the exit code. No error of ours shows a traceback."""
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
        if isinstance(error, Unauthorized):
            return FAILED
        return STOPPED if isinstance(error, OutOfCredits) else BAD
    return code if isinstance(code, int) else OK


@click.group(
    invoke_without_command=True,
    subcommand_metavar="COMMAND [ARGS]...",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100, "show_default": True},
)
@click.version_option(package_name="kontext-lab", prog_name="kontext-lab")
@click.pass_context
def cli(context: click.Context) -> int:
    """Parameter sweeps over FLUX.1 Kontext image editing, every call tracked in MLflow."""
    if context.invoked_subcommand is not None:
        return OK
    say(context.get_help(), err=True)  # stream and code are those of click's own programs
    return BAD


for _command in (
    demo.demo,
    run.run,
    inspect.recover,
    inspect.doctor,
    servers.panel,
    servers.sandbox,
    inspect.list_sweeps,
    inspect.show,
    inspect.find,
    inspect.costs,
    export.measure,
    export.export,
    export.report,
    servers.ui,
):
    cli.add_command(_command)
