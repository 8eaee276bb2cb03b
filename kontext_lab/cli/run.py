"""`kontext-lab run`: plan, ask, run, say what happened."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from kontext_lab.cli.output import FAILED, INTERRUPTED, OK, STOPPED, UNDELIVERED, say, say_json, stopped_by
from kontext_lab.cli.signals import stop_signals
from kontext_lab.errors import ConfigError, KontextLabError
from kontext_lab.lab.options import Doubts, GivenOptions, Missing, Reuse
from kontext_lab.lab.plan import Plan
from kontext_lab.lab.service import wants_sandbox
from kontext_lab.results import Results, State, checked_folder, writable_folder
from kontext_lab.results.states import MISSING
from kontext_lab.sweep import Sweep

if TYPE_CHECKING:
    from kontext_lab.lab import Lab

__all__ = ["exit_code", "run_and_wait", "run_sweep", "tell", "tell_undelivered"]


FAILURES_SHOWN = 5


def run_sweep(
    *,
    sweep_file: Path,
    sandbox: bool,
    budget: float | None,
    concurrency: int,
    limit: int | None,
    reuse: Reuse,
    in_doubt: Doubts,
    missing: Missing,
    retry_failed: bool,
    no_measure: bool,
    dry_run: bool,
    as_json: bool,
    yes: bool,
    out: Path | None,
) -> int:
    """Run one sweep file; returns the exit code."""
    if as_json and not dry_run:
        raise ConfigError("--json goes with --dry-run")
    if out is not None:
        checked_folder(out)
    sweep = Sweep.from_yaml(sweep_file)
    if not sandbox and wants_sandbox("auto"):
        raise ConfigError(
            "no API key: set AIMLAPI_API_KEY to pay for real pictures, or add --sandbox for simulated ones"
        )
    from kontext_lab.lab import Lab  # noqa: PLC0415 - heavy, so after what can be wrong with the words

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
        tell(results, lab)
        saved = out is None or _saved(results, out)
        tell_undelivered(results)
        code = exit_code(results, stop_signals().first)
        return FAILED if code == OK and not saved else code


def run_and_wait(lab: Lab, plan: Plan) -> Results:
    """Run a plan that stop signals stop: the first keeps what is under way, the second leaves."""
    from kontext_lab.lab.launch import prepare_run  # noqa: PLC0415 - heavy, so after what can be wrong with the words
    from kontext_lab.lab.progress import follow  # noqa: PLC0415 - as above

    handle = prepare_run(lab.context, plan, GivenOptions())
    with stop_signals().acting_on(handle):
        return follow(handle, shown=sys.stderr.isatty())


def _saved(results: Results, out: Path) -> bool:
    """Save what there is; what can't be saved costs a line, since it is paid for and kept."""
    if not any(output.sha256 for output in results.outputs):
        return True
    try:
        say(f"saved in {results.save(out)}")
    except KontextLabError as error:
        again = f"`kontext-lab export {results.run_id[:8]} DIR` does it later"
        say(f"  not saved: {error}; {again}", err=True)
        return False
    return True


def tell(results: Results, lab: Lab) -> None:
    """What happened, in a few lines; what went wrong goes to stderr."""
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


def tell_undelivered(results: Results) -> None:
    """The last line, where MLflow lacks something: what it lacks, and the way out."""
    if results.undelivered_line:
        say(results.undelivered_line, err=True)


def exit_code(results: Results, signal: int | None = None) -> int:
    """How a run ended. Where several apply, the first of these.

    Args:
        results: the run's.
        signal: the number of the first one that asked the command to stop, or None.

    Returns:
        128 + signal: stopped by it; 130 as well where a person stopped it otherwise.
        3: stopped by budget or credits.
        4: paid for and safe in the journal, but not in MLflow; or MLflow does not know how the run ended.
        1: a cell failed, is in doubt, was not sent though no limit left it out, or is kept nowhere.
        0: all that was asked for is done and in MLflow.
    """
    if signal is not None:
        return stopped_by(signal)
    if results.stopped in ("asked", "left"):
        return INTERRUPTED
    if results.stopped == "OutOfCredits" or any(cell.reason == "budget" for cell in results):
        return STOPPED
    # Of what is kept nowhere, "safe in the journal" would be untrue.
    if results.undelivered or (results.unended and not results.unkept):
        return UNDELIVERED
    counts = results.counts
    # What a limit leaves out was asked for.
    bad = counts[State.FAILED] + counts[State.IN_DOUBT] + counts[State.CANCELLED] + results.unkept
    return FAILED if bad or any(cell.reason == MISSING for cell in results) else OK


def _confirm(plan: Plan, above: float, *, yes: bool) -> None:
    cost = plan.cost if plan.options.budget is None else min(plan.cost, plan.options.budget)
    if yes or plan.simulated or cost <= above:
        return
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise ConfigError(f"this costs about ${cost:.2f}: add --yes to pay that, or --budget to limit it")
    say("\n".join((*plan.sources, f"Pay about ${cost:.2f}? [y/N]: ")), end="")
    if stop_signals().read_line().strip().lower() not in ("y", "yes"):
        raise click.Abort
