"""`kontext-lab costs`: what was spent, real money and simulated money apart."""

from __future__ import annotations

from kontext_lab.cli.output import say, say_json
from kontext_lab.results import Spending
from kontext_lab.tracking import Tracker

__all__ = ["show_costs"]

ROWS_SHOWN = 20


def show_costs(*, everything: bool, as_json: bool) -> int:
    """US dollars by day, sweep and model, of every experiment in the store."""
    spending = Tracker().spending()
    if as_json:
        say_json(_as_dict(spending))
        return 0
    say(f"{spending.summary} · {spending.store}")
    for line in spending.lines(None if everything else ROWS_SHOWN):
        say(f"  {line}")
    return 0


def _as_dict(spending: Spending) -> dict[str, object]:
    return {
        "store": spending.store,
        "total_usd": spending.total,
        "simulated_usd": spending.simulated,
        "in_doubt": spending.in_doubt,
        "rows": [{**Spending.as_dict(row), "day": row.day.isoformat()} for row in spending.rows],
    }
