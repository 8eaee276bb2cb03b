"""Colours of a figure, light and dark. States in Okabe and Ito's tones, told apart by their words as well."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["DARK", "LIGHT", "STATE_COLOURS", "Theme", "mixed"]

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
    """The tones everything is drawn in.

    Attributes:
        paper: the sheet.
        text: what is read first.
        muted: names of axes, captions.
        line: brackets of groups, edges.
        mark: what is said about the pictures' origin.
        accents: frames of what is selected; of A and of B where two are compared.
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
    start, end = _channels(first), _channels(second)
    red, green, blue = (a + (b - a) * share for a, b in zip(start, end, strict=True))
    return (red, green, blue)


def _channels(colour: str) -> Colour:
    red, green, blue = (int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5))
    return (red, green, blue)
