"""`kontext-lab recover`: what is in the journal goes into the store, cut-off sweeps end."""

from __future__ import annotations

from kontext_lab.cli.saying import say
from kontext_lab.client import key_from_environment
from kontext_lab.lab import Lab

__all__ = ["recover_everything"]


def recover_everything() -> int:
    """Recover every sweep that did not end; 0 where everything was delivered, 1 where something is left."""
    # With a key the API's log can be asked about lost answers; without one everything else is done.
    with Lab("auto" if key_from_environment() else "sandbox", quiet=True) as lab:
        found = lab.recover()
        if not found:
            say(f"nothing to recover in {lab.journal.folder}")
            return 0
        for one in found:
            run = f" · run {one.run_id[:8]}" if one.run_id else ""
            say(f"{one.line}{run}", err=bool(one.problem))
        if any(one.in_doubt for one in found):
            say("in doubt: sent again only with `kontext-lab run … --in-doubt resend`", err=True)
    return 1 if any(one.problem for one in found) else 0
