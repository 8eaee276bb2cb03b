"""`kontext-lab recover`: what is in the journal goes into the store, cut-off sweeps end."""

from __future__ import annotations

from kontext_lab.cli.codes import FAILED, OK, UNDELIVERED
from kontext_lab.cli.saying import say
from kontext_lab.client import key_from_environment
from kontext_lab.lab import Lab

__all__ = ["recover_everything"]


def recover_everything() -> int:
    """Recover every sweep that did not end.

    Returns:
        0 where MLflow has everything now, 4 where something that was sent stays in the journal, 1 where only the
        end of a run could not be recorded, or an answer has to be looked at by a person.
    """
    # With a key the API's log can be asked about lost answers; without one everything else is done.
    with Lab("auto" if key_from_environment() else "sandbox", quiet=True) as lab:
        found = lab.recover()
        if not found:
            say(f"nothing to recover in {lab.journal.folder}")
            return OK
        for one in found:
            run = f" · run {one.run_id[:8]}" if one.run_id else ""
            say(f"{one.line}{run}", err=bool(one.problem))
        if any(one.in_doubt for one in found):
            say("in doubt: sent again only with `kontext-lab run … --in-doubt resend`", err=True)
    kept = sum(one.kept for one in found)
    if kept:
        requests = "1 request stays" if kept == 1 else f"{kept} requests stay"
        say(f"{requests} in {lab.journal.folder}: `kontext-lab recover` tries again", err=True)
        return UNDELIVERED
    return FAILED if any(one.problem for one in found) else OK
