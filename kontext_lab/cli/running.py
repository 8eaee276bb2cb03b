"""`kontext-lab run`: plan, ask, run, say what happened."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from kontext_lab.cli.codes import FAILED, INTERRUPTED, LEFT, OK, STOPPED
from kontext_lab.cli.saying import say
from kontext_lab.errors import ConfigError
from kontext_lab.lab import Lab
from kontext_lab.plan import Plan
from kontext_lab.results import Results, State, writable_folder
from kontext_lab.results.states import MISSING
from kontext_lab.service import wants_sandbox
from kontext_lab.sweep import Sweep

__all__ = ["exit_code", "run_sweep", "tell"]


FAILURES_SHOWN = 5


def run_sweep(
    *,
    sweep_file: Path,
    sandbox: bool,
    budget: float | None,
    concurrency: int,
    limit: int | None,
    reuse: str,
    in_doubt: str,
    missing: str,
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
    sweep = Sweep.from_yaml(sweep_file)
    if not sandbox and wants_sandbox("auto"):
        raise ConfigError(
            "no API key: set AIMLAPI_API_KEY to pay for real pictures, or add --sandbox for simulated ones"
        )
    with Lab("sandbox" if sandbox else "api", concurrency=concurrency, budget=budget) as lab:
        choices = {
            "reuse": reuse,
            "in_doubt": in_doubt,
            "missing": missing,
            "retry_failed": retry_failed,
            "limit": limit,
        }
        plan = lab.plan(sweep, **choices)
        say(json.dumps(plan.as_dict(), indent=2, ensure_ascii=False) if as_json else str(plan))
        if dry_run:
            return 0
        _confirm(plan, lab.confirm_above, yes=yes)
        if out is not None:
            writable_folder(out)
        results = lab.run(sweep, measure=not no_measure, progress=sys.stderr.isatty(), **choices)
        tell(results, lab)
        if out is not None and any(output.sha256 for output in results.outputs):
            say(f"saved in {results.save(out)}")
        return exit_code(results)


def tell(results: Results, lab: Lab) -> None:
    """What happened, in a few lines; what went wrong goes to stderr."""
    say(f"{results.name}: {results.brief}")
    paid = f"paid now ${results.spent:.2f}"
    if results.simulated and results.spent:
        paid = f"paid now $0.00, the sandbox is free (${results.spent:.2f} if it were real)"
    say(f"{paid} · run {results.run_id[:8]} in {lab.tracker.store.shown}")
    bad = [cell for cell in results if cell.state in (State.FAILED, State.IN_DOUBT)]
    for cell in bad[:FAILURES_SHOWN]:
        say(f"  {cell.title}: {cell.state} {cell.reason}: {cell.note}", err=True)
    if len(bad) > FAILURES_SHOWN:
        say(f"  … and {len(bad) - FAILURES_SHOWN} more: kontext-lab show {results.run_id[:8]}", err=True)
    for note in results.notes:
        say(f"  {note}", err=True)
    missing = [cell for cell in results if cell.reason == MISSING]
    if missing:
        say(f"  {len(missing)} missing: {missing[0].note}", err=True)
    if results.counts[State.IN_DOUBT]:
        say("  in doubt: sent again only with --in-doubt resend", err=True)


def exit_code(results: Results) -> int:
    """0 all asked for is done, 1 some failed or in doubt, 3 budget or credits, 130 interrupted."""
    if results.stopped in ("asked", "left"):
        return LEFT if results.stopped == "left" else INTERRUPTED
    if results.stopped == "OutOfCredits" or any(cell.reason == "budget" for cell in results):
        return STOPPED
    # What a limit leaves out was asked for.
    bad = results.counts[State.FAILED] + results.counts[State.IN_DOUBT] + results.counts[State.CANCELLED]
    return FAILED if bad or any(cell.reason == MISSING for cell in results) else OK


def _confirm(plan: Plan, above: float, *, yes: bool) -> None:
    cost = plan.cost if plan.budget is None else min(plan.cost, plan.budget)
    if yes or plan.simulated or cost <= above:
        return
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise ConfigError(f"this costs about ${cost:.2f}: add --yes to pay that, or --budget to limit it")
    click.confirm(f"Pay about ${cost:.2f}?", abort=True)
