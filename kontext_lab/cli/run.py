"""`kontext-lab run`: plan, ask, run, report the outcome."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from kontext_lab.cli.output import FAILED, INTERRUPTED, OK, STOPPED, UNDELIVERED, say, say_json
from kontext_lab.cli.signals import stop_signals
from kontext_lab.errors import ConfigError, KontextLabError

if TYPE_CHECKING:
    from kontext_lab.lab import Lab
    from kontext_lab.lab.options import Reuse, SkipOrResend
    from kontext_lab.lab.plan import Plan
    from kontext_lab.results import Results

__all__ = ["exit_code", "report_outcome", "run", "run_and_wait"]


FAILURES_SHOWN = 5
PATH = click.Path(path_type=Path)
SKIP_OR_RESEND = click.Choice(["skip", "resend"])


@click.command()
@click.argument("sweep_file", metavar="SWEEP.yaml", type=PATH)
@click.option("--sandbox", is_flag=True, help="Use simulated pictures, free, even if a key is set.")
@click.option("--budget", type=click.FloatRange(min=0), metavar="USD", help="Spend at most this much.")
@click.option("--concurrency", type=click.IntRange(1, 64), default=4, help="Send this many requests at once.")
@click.option("--limit", type=click.IntRange(min=0), metavar="N", help="Send at most N requests.")
@click.option(
    "--reuse",
    type=click.Choice(["always", "never"]),
    default="always",
    help="Reuse pictures that were paid for before.",
)
@click.option(
    "--in-doubt", type=SKIP_OR_RESEND, default="skip", help="Skip or resend requests whose answer was lost."
)
@click.option(
    "--missing",
    type=SKIP_OR_RESEND,
    default="skip",
    help="Skip or resend paid cells whose pictures are no longer in the store.",
)
@click.option("--retry-failed", is_flag=True, help="Resend requests that were billed without a picture.")
@click.option("--no-measure", is_flag=True, help="Skip the measurements.")
@click.option("--dry-run", is_flag=True, help="Show the plan and its cost; send nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print the plan as JSON (with --dry-run).")
@click.option("--yes", is_flag=True, help="Don't ask before paying.")
@click.option("--out", type=PATH, metavar="DIR", help="Save pictures and index.csv in a folder.")
def run(
    *,
    sweep_file: Path,
    sandbox: bool,
    budget: float | None,
    concurrency: int,
    limit: int | None,
    reuse: Reuse,
    in_doubt: SkipOrResend,
    missing: SkipOrResend,
    retry_failed: bool,
    no_measure: bool,
    dry_run: bool,
    as_json: bool,
    yes: bool,
    out: Path | None,
) -> int:
    """Run a sweep, or continue it. Nothing that was paid for is paid for again."""
    from kontext_lab.lab.service import wants_sandbox
    from kontext_lab.results import checked_folder, writable_folder
    from kontext_lab.sweep import Sweep

    if as_json and not dry_run:
        raise ConfigError("--json goes with --dry-run")
    if out is not None:
        checked_folder(out)
    sweep = Sweep.from_yaml(sweep_file)
    if not sandbox and wants_sandbox("auto"):
        raise ConfigError(
            "no API key: set AIMLAPI_API_KEY to pay for real pictures, or add --sandbox for simulated ones"
        )
    from kontext_lab.lab import Lab  # heavy, so only once the arguments are known to be right

    with Lab("sandbox" if sandbox else "api", concurrency=concurrency, budget=budget) as lab:
        plan = lab.plan(
            sweep,
            fetch=not dry_run,
            reuse=reuse,
            in_doubt=in_doubt,
            missing=missing,
            retry_failed=retry_failed,
            limit=limit,
            measure=not no_measure,
        )
        if as_json:
            say_json(plan.as_dict())
        else:
            say(plan)
        if dry_run:
            return 0
        _confirm(plan, lab.context.confirm_above, yes=yes)
        if out is not None:
            writable_folder(out)
        results = run_and_wait(lab, plan)
        report_outcome(results, lab)
        saved = True
        if out is not None and any(output.sha256 for output in results.outputs):
            try:
                say(f"saved in {results.save(out)}")
            except KontextLabError as error:
                again = f"`kontext-lab export {results.run_id[:8]} DIR` does it later"
                say(f"  not saved: {error}; {again}", err=True)
                saved = False
        # Last of all: a hint that must not scroll away.
        if results.undelivered_line:
            say(results.undelivered_line, err=True)
        code = exit_code(results)
        return FAILED if code == OK and not saved else code


def run_and_wait(lab: Lab, plan: Plan) -> Results:
    """Run a plan. The first stop signal waits for requests under way, the second leaves at once."""
    from kontext_lab.lab.launch import prepare_run
    from kontext_lab.lab.progress import follow

    handle = prepare_run(lab.context, plan, {})
    with stop_signals().acting_on(handle.cancel, handle.leave):
        return follow(handle, shown=sys.stderr.isatty())


def report_outcome(results: Results, lab: Lab) -> None:
    """Print the outcome of a run in a few lines; failures go to stderr."""
    from kontext_lab.results import State
    from kontext_lab.results.states import MISSING

    say(f"{results.name}: {results.brief}")
    paid = f"paid now ${results.spent:.2f}"
    if results.simulated and results.spent:
        paid = f"paid now $0.00, the sandbox is free (${results.spent:.2f} if it were real)"
    say(f"{paid} · run {results.run_id[:8]} in {lab.context.tracker.store.shown}")
    bad = [cell for cell in results if cell.state in (State.FAILED, State.IN_DOUBT)]
    for cell in bad[:FAILURES_SHOWN]:
        say(f"  {cell.title}: {cell.state} {cell.reason}: {cell.note}", err=True)
    if len(bad) > FAILURES_SHOWN:
        say(f"  … and {len(bad) - FAILURES_SHOWN} more: kontext-lab show {results.run_id[:8]}", err=True)
    for note in results.notes:
        if note != results.undelivered_line:
            say(f"  {note}", err=True)
    missing = [cell for cell in results if cell.reason == MISSING]
    if missing:
        say(f"  {len(missing)} missing: {missing[0].note}", err=True)
    if results.counts[State.IN_DOUBT]:
        say("  in doubt: sent again only with --in-doubt resend", err=True)


def exit_code(results: Results) -> int:
    """Return the exit code of a run that no signal stopped. If several apply, the first of these.

    Returns:
        130: stopped by a person.
        3: stopped by budget or credits.
        4: paid for and safe in the journal, but not in MLflow; or MLflow does not know how the run ended.
        1: a cell failed, is in doubt, was not sent though no limit left it out, or is kept nowhere.
        0: everything that was asked for is done and in MLflow.
    """
    from kontext_lab.results import State
    from kontext_lab.results.states import MISSING

    if results.stopped in ("asked", "left"):
        return INTERRUPTED
    if results.stopped == "OutOfCredits" or any(cell.reason == "budget" for cell in results):
        return STOPPED
    # "Safe in the journal" would be untrue of pictures that are kept nowhere.
    if results.undelivered or (results.unended and not results.unkept):
        return UNDELIVERED
    counts = results.counts
    # Cells left out by a limit were left out on request.
    bad = counts[State.FAILED] + counts[State.IN_DOUBT] + counts[State.CANCELLED] + results.unkept
    return FAILED if bad or any(cell.reason == MISSING for cell in results) else OK


def _confirm(plan: Plan, above: float, *, yes: bool) -> None:
    """Ask before paying more than the limit; raises `click.Abort` unless the answer is yes."""
    cost = plan.cost if plan.options.budget is None else min(plan.cost, plan.options.budget)
    if yes or plan.simulated or cost <= above:
        return
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise ConfigError(f"this costs about ${cost:.2f}: add --yes to pay that, or --budget to limit it")
    say("\n".join((*plan.sources, f"Pay about ${cost:.2f}? [y/N]: ")), end="")
    if stop_signals().read_line().strip().lower() not in ("y", "yes"):
        raise click.Abort
