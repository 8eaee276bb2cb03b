"""Colours and fonts of figures, light and dark; state colours are those of Okabe and Ito."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

from matplotlib.colors import to_rgb
from matplotlib.font_manager import FontProperties, findfont, fontManager, get_font

__all__ = ["DARK", "FAMILY", "LIGHT", "STATE_COLOURS", "Font", "Theme", "mixed"]


Colour = tuple[float, float, float]

STATE_COLOURS = {
    "failed": "#D55E00",
    "moderated": "#CC79A7",
    "in_doubt": "#E69F00",
    "running": "#0072B2",
    "skipped": "#56B4E9",
    "cancelled": "#999999",
    "waiting": "#999999",
    "loading": "#999999",
    "uncompared": "#56B4E9",
}
"""Hue of the tile of a cell without a picture, by its kind."""


@dataclass(frozen=True)
class Theme:
    """The colours of a sheet.

    Attributes:
        mark: the mark of simulated pictures.
        accents: frame of a selected tile; frames of A and of B where two are compared.
    """

    paper: str
    text: str
    muted: str
    line: str
    mark: str
    accents: tuple[str, str, str]


LIGHT = Theme(
    paper="#ffffff",
    text="#1f2328",
    muted="#59636e",
    line="#c4ccd4",
    mark="#8a4b00",
    accents=("#0969da", "#0969da", "#c2410c"),
)
DARK = Theme(
    paper="#212121",
    text="#e8eaed",
    muted="#9ea7b1",
    line="#50565d",
    mark="#e9a95b",
    accents=("#4c9cff", "#2f81f7", "#e0702c"),
)


def mixed(first: str, second: str, share: float) -> Colour:
    """A colour between two, `share` (0 to 1) of it the second."""
    red, green, blue = (a + (b - a) * share for a, b in zip(to_rgb(first), to_rgb(second), strict=True))
    return (red, green, blue)


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


class Font:
    """The fonts that the texts of one figure need."""

    def __init__(self, texts: Iterable[str]) -> None:
        self._missing = missing = {ord(char) for line in texts for char in line} - _characters(FAMILY)
        self.families = [FAMILY]
        known = set(fontManager.get_font_names()) if missing else set()
        for helper in (name for name in _HELPERS if name in known):
            found = self._missing & _characters(helper)
            if found:
                self.families.append(helper)
                self._missing -= found

    def drawable(self, line: str) -> str:
        """The line with a box for every character no font has."""
        return "".join(_BOX if ord(char) in self._missing else char for char in line)


@cache
def _characters(family: str) -> frozenset[int]:
    path = findfont(FontProperties(family=[family]), fallback_to_default=family == FAMILY)
    return frozenset(get_font(path).get_charmap())
