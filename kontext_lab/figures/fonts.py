"""Which characters can be drawn: everything else is shown as a box, instead of as a warning.

Figures are set in DejaVu Sans, which comes with matplotlib. Scripts it lacks are drawn with a well-known font
for them where the system has one.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

from matplotlib.font_manager import FontProperties, findfont, fontManager, get_font

__all__ = ["FAMILY", "Lettering"]

FAMILY = "DejaVu Sans"
_BOX = "□"
# Chinese, Japanese and Korean on Linux, macOS and Windows, then symbols.
_HELPERS = (
    "Noto Sans CJK JP",
    "Noto Sans CJK SC",
    "Noto Sans SC",
    "Noto Sans JP",
    "WenQuanYi Micro Hei",
    "Hiragino Sans",
    "PingFang SC",
    "Arial Unicode MS",
    "Yu Gothic",
    "Microsoft YaHei",
    "Malgun Gothic",
    "Noto Emoji",
    "Noto Sans Symbols2",
    "Symbola",
    "Segoe UI Symbol",
    "Segoe UI Emoji",
)


class Lettering:
    """The fonts one figure needs, and its texts with only what these can draw."""

    def __init__(self, texts: Iterable[str]) -> None:
        missing = {ord(char) for line in texts for char in line} - _characters(FAMILY)
        self.families = [FAMILY]
        self._missing = missing
        for helper in _installed() if missing else ():
            found = self._missing & _characters(helper)
            if found:
                self.families.append(helper)
                self._missing = self._missing - found

    def drawable(self, line: str) -> str:
        """The line with a box for every character no font has."""
        return "".join(_BOX if ord(char) in self._missing else char for char in line)


@cache
def _installed() -> tuple[str, ...]:
    known = set(fontManager.get_font_names())
    return tuple(name for name in _HELPERS if name in known)


@cache
def _characters(family: str) -> frozenset[int]:
    path = findfont(FontProperties(family=[family]), fallback_to_default=family == FAMILY)
    return frozenset(get_font(path).get_charmap())
