"""Spent US dollars by day, sweep and model. Simulated money is kept apart and never added to real money."""

from __future__ import annotations

import html
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Spending", "Spent"]

ROWS_SHOWN = 14
"""Most rows of the table in a notebook; `to_frame()` has all rows."""

_COLUMNS = ("day", "sweep", "run_id", "model", "service", "simulated", "cells", "pictures", "usd", "in_doubt")


@dataclass(frozen=True)
class Spent:
    """The spending of one sweep on one model on one day.

    Attributes:
        day: of the answers, in this machine's time zone.
        sweep: the sweep's name.
        run_id: its run.
        model: the model's full id.
        service: `sandbox` or the service's origin.
        cells: number of cells sent, without reused ones.
        pictures: number of pictures that came back.
        usd: US dollars billed; simulated ones for the sandbox.
        in_doubt: cells whose answer was lost; they may have been billed as well.
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
        """True if this is the sandbox's money."""
        return self.service == "sandbox"


@dataclass(frozen=True, repr=False)
class Spending:
    """All spending that a store has recorded.

    Attributes:
        rows: by day, sweep and model, the latest first.
        store: the store that was read.
    """

    rows: tuple[Spent, ...]
    store: str = ""

    def to_frame(self) -> pd.DataFrame:
        """A pandas table with every row; `simulated` marks the sandbox's dollars."""
        import pandas as pd  # noqa: PLC0415 - only a table needs pandas

        return pd.DataFrame([self.as_dict(row) for row in self.rows], columns=list(_COLUMNS))

    @staticmethod
    def as_dict(row: Spent) -> dict[str, Any]:
        """A row as plain values."""
        return {name: getattr(row, name) for name in _COLUMNS}

    @property
    def total(self) -> float:
        """Real US dollars."""
        return round(sum(row.usd for row in self.rows if not row.simulated), 6)

    @property
    def simulated(self) -> float:
        """Simulated US dollars: the price of the sandbox's pictures."""
        return round(sum(row.usd for row in self.rows if row.simulated), 6)

    @property
    def in_doubt(self) -> int:
        """Cells of the real service whose answer was lost: they may have been billed as well."""
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
        """One line: real money, cells in doubt, and simulated money apart."""
        parts = [f"${self.total:.2f} spent"]
        if self.in_doubt:
            parts.append(f"{self.in_doubt} in doubt, which may have been billed as well")
        if self.simulated:
            parts.append(f"${self.simulated:.2f} simulated (sandbox, free)")
        return " · ".join(parts)

    def lines(self, most: int | None = None) -> Iterator[str]:
        """The table as text, one line per row; with `most`, only the latest rows and a line on the rest."""
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
        titles = ("day", "sweep", "model", "cells", "pictures", "US dollars", "in doubt")
        lines: list[tuple[str, ...]] = [titles] if self.rows else []
        for row in self.rows[:ROWS_SHOWN]:
            money = f"{row.usd:.2f}" + (" simulated" if row.simulated else "")
            day, counts = f"{row.day:%d %b %Y}", (str(row.cells), str(row.pictures))
            lines.append((day, row.sweep, row.model, *counts, money, str(row.in_doubt or "")))
        rest = len(self.rows) - ROWS_SHOWN
        more = f"<div>… and {rest} more rows in <code>.to_frame()</code></div>" if rest > 0 else ""
        body = ""
        for line, texts in enumerate(lines):
            tag = "td" if line else "th"
            body += f"<tr>{''.join(f'<{tag}>{html.escape(text)}</{tag}>' for text in texts)}</tr>"
        table = f"<table>{body}</table>" if lines else ""
        return f"<div><b>{html.escape(self.summary)}</b>{table}{more}</div>"
