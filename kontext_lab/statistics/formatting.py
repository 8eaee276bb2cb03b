"""Numbers and names as text in a sentence: three digits, per cent, few exponents."""

from __future__ import annotations

from collections.abc import Sequence

from kontext_lab.errors import many
from kontext_lab.request import decimal_text
from kontext_lab.statistics.effects import Effects
from kontext_lab.sweep.wording import shortened

__all__ = ["counted", "named", "number_words", "percent", "value_words"]

_LONGEST = 40


def number_words(value: float, digits: int = 3) -> str:
    """Format a number with three significant digits, or another count of them: 0.0613, 34.2, 1230; −0 is 0."""
    if value == 0:
        return "0"
    if not 1e-6 <= abs(value) < 1e15:
        return f"{value:.2e}"
    rounded = float(f"{value:.{digits}g}")
    return decimal_text(round(value) if abs(value) >= 10**digits else rounded).replace("-", "−")


def percent(share: float) -> str:
    """Format a share, 0 to 1, in whole per cent; never rounds a part to 0 % or 100 %."""
    if 1e-9 < share < 0.005:
        return "under 1 %"
    if 0.995 <= share < 1 - 1e-9:
        return "over 99 %"
    return f"{round(100 * share)} %"


def value_words(effects: Effects, value: float) -> str:
    """Format a value of the metric; rates in per cent."""
    return percent(value) if effects.is_rate else number_words(value)


def counted(count: int, word: str) -> str:
    """A count and its word, with "one" in words."""
    return f"one {word}" if count == 1 else many(count, word)


def named(labels: Sequence[str]) -> dict[str, str]:
    """Short names of values for a sentence; shortened so that they still differ."""
    short = zip(labels, shortened(labels, _LONGEST), strict=True)
    return {label: f"“{text}”" if " " in text else text for label, text in short}
