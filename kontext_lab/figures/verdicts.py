"""What people said of pictures, as small marks on tiles and a line that explains them. Pure; knows no tracker.

A mark is told apart by its shape first, by its colour second.
"""

from __future__ import annotations

from collections.abc import Iterable

from kontext_lab.results import Output

__all__ = ["FAVOURITE", "VERDICT_SIGNS", "verdicts_of", "verdicts_words"]

FAVOURITE = "favourite"
_KEY = "verdict/"
_PASS, _FAIL, _STAR = VERDICT_SIGNS = ("✓", "✗", "★")


def verdicts_of(output: Output | None, criterion: str | None = None) -> str:
    """The marks of an output, "" where nobody judged it.

    Args:
        output: of which.
        criterion: the one that counts; None for all: passed where none of them failed.
    """
    given = {} if output is None else output.metrics
    counted = [
        value
        for key, value in given.items()
        if key.startswith(_KEY)
        and key != f"{_KEY}{FAVOURITE}"
        and criterion in (None, key.removeprefix(_KEY))
    ]
    sign = "" if not counted else _PASS if all(counted) else _FAIL
    return sign + (_STAR if given.get(f"{_KEY}{FAVOURITE}") == 1 else "")


def verdicts_words(marks: Iterable[str], criterion: str | None = None) -> str:
    """What the marks on tiles mean, and how many there are; "" where there are none."""
    given = [mark for mark in marks if mark]
    on = f" on {criterion}" if criterion else ""
    means = {_PASS: f"passed{on}", _FAIL: f"failed{on}", _STAR: FAVOURITE}
    found = {sign: sum(sign in mark for mark in given) for sign in VERDICT_SIGNS}
    return " · ".join(f"{sign} {means[sign]}: {count}" for sign, count in found.items() if count)
