"""What was spent: US dollars by day, sweep and model. Simulated money stands apart and is never added to real."""

from __future__ import annotations

import html
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Spending", "Spent"]

ROWS_SHOWN = 14
"""Rows of the table in a notebook; `frame` has them all."""

_COLUMNS = ("day", "sweep", "run_id", "model", "service", "simulated", "cells", "pictures", "usd", "in_doubt")


@dataclass(frozen=True)
class Spent:
    """What one sweep spent on one model on one day.

    Attributes:
        day: of the answers, in this machine's time zone.
        sweep: the sweep's name.
        run_id: its run.
        model: the model's full id.
        service: `sandbox` or the service's origin.
        cells: how many were sent; what was reused isn't among them.
        pictures: how many came back, to look at.
        usd: US dollars billed; simulated ones for the sandbox.
        in_doubt: cells whose answer was lost: they may have been billed besides.
    """

    day: date
    sweep: str
    run_id: str
    model: str
    service: str
    cells: int
    pictures: int
    usd: float
    in_doubt: int

    @property
    def simulated(self) -> bool:
        """Whether this is the sandbox's money."""
        return self.service == "sandbox"


@dataclass(frozen=True, repr=False)
class Spending:
    """All that a store knows was spent.

    Attributes:
        rows: by day, sweep and model, the latest first.
        store: where this was read.
    """

    rows: tuple[Spent, ...]
    store: str = ""

    def to_frame(self) -> pd.DataFrame:
        """A pandas table with every row; `simulated` says whose dollars they are."""
        import pandas as pd  # noqa: PLC0415 - only who asks for a table pays for pandas

        return pd.DataFrame([self.as_dict(row) for row in self.rows], columns=list(_COLUMNS))

    @staticmethod
    def as_dict(row: Spent) -> dict[str, Any]:
        """A row as plain values."""
        return {name: getattr(row, name) for name in _COLUMNS}

    @property
    def total(self) -> float:
        """Real US dollars."""
        return _sum(row for row in self.rows if not row.simulated)

    @property
    def simulated(self) -> float:
        """US dollars the sandbox's pictures would have cost."""
        return _sum(row for row in self.rows if row.simulated)

    @property
    def in_doubt(self) -> int:
        """Cells of the real service whose answer was lost: they may have been billed besides."""
        return sum(row.in_doubt for row in self.rows if not row.simulated)

    def by(self, key: str) -> dict[Any, float]:
        """Real US dollars by one column: `day`, `sweep`, `run_id`, `model` or `service`."""
        sums: dict[Any, float] = defaultdict(float)
        for row in self.rows:
            if not row.simulated:
                sums[getattr(row, key)] += row.usd
        return {value: round(usd, 6) for value, usd in sums.items()}

    @property
    def summary(self) -> str:
        """One line: real money, what is in doubt, and simulated money apart."""
        parts = [f"${self.total:.2f} spent"]
        if self.in_doubt:
            parts.append(f"{self.in_doubt} in doubt, which may have been billed besides")
        if self.simulated:
            parts.append(f"${self.simulated:.2f} simulated (sandbox, free)")
        return " · ".join(parts)

    def lines(self, most: int | None = None) -> Iterator[str]:
        """The table as text, a line a row; with `most`, the latest and a line on the rest."""
        shown = self.rows[:most]
        width = max((len(row.model) for row in shown), default=0)
        for row in shown:
            doubt = f"  {row.in_doubt} in doubt" if row.in_doubt else ""
            simulated = "  simulated" if row.simulated else ""
            yield (
                f"{row.day:%d %b %Y}  ${row.usd:>8.2f}  {row.pictures:>5} pictures  {row.run_id[:8]}  "
                f"{row.model:<{width}}  {row.sweep}{simulated}{doubt}"
            )
        if len(shown) < len(self.rows):
            yield f"… and {len(self.rows) - len(shown)} more"

    def __len__(self) -> int:
        return len(self.rows)

    def __repr__(self) -> str:
        return f"<Spending: {self.summary}>"

    def _repr_html_(self) -> str:
        body = "".join(_html_row(_shown(row)) for row in self.rows[:ROWS_SHOWN])
        rest = len(self.rows) - ROWS_SHOWN
        more = f"<div>… and {rest} more rows in <code>.to_frame()</code></div>" if rest > 0 else ""
        head = _html_row(("day", "sweep", "model", "cells", "pictures", "US dollars", "in doubt"), "th")
        table = f"<table>{head}{body}</table>" if self.rows else ""
        return f"<div><b>{html.escape(self.summary)}</b>{table}{more}</div>"


def _shown(row: Spent) -> Sequence[str]:
    money = f"{row.usd:.2f}" + (" simulated" if row.simulated else "")
    return (
        f"{row.day:%d %b %Y}",
        row.sweep,
        row.model,
        str(row.cells),
        str(row.pictures),
        money,
        str(row.in_doubt or ""),
    )


def _html_row(texts: Sequence[str], tag: str = "td") -> str:
    return "<tr>" + "".join(f"<{tag}>{html.escape(text)}</{tag}>" for text in texts) + "</tr>"


def _sum(rows: Iterator[Spent]) -> float:
    return round(sum(row.usd for row in rows), 6)
