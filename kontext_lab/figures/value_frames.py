"""Coloured frames for measured values, and the views of a grid: outputs, change maps, references. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import numpy as np
from matplotlib.colors import to_hex

from kontext_lab.errors import ConfigError, listed, shown
from kontext_lab.figures.axis_values import Shot, Values
from kontext_lab.figures.geometry import Over, Overlay, PlaceholderCard, Tile, TileFrame
from kontext_lab.figures.theme import mixed
from kontext_lab.images import Reference
from kontext_lab.results import VERDICT, CellResult, ComparisonSource, Results
from kontext_lab.statistics.formatting import number_words
from kontext_lab.statistics.observations import MODERATED, is_yes_no, measured
from kontext_lab.statistics.variance import replicate_spread

__all__ = [
    "SCALE",
    "SHOWS",
    "Frames",
    "Show",
    "View",
    "ends_of",
    "frame_names",
    "frames_of",
    "share_of",
    "view_of",
]


# matplotlib's viridis without its ends, which light or dark paper would swallow.
SCALE = ("#443983", "#31688e", "#21918c", "#35b779", "#90d743", "#d8e219")
_YES, _NO = "#0072B2", "#D55E00"
_MOST_DECIMALS = 6

_NOISE = 4.0
"""Least width of a scale in standard deviations between replicates: 95 % of them lie within."""
_LEAST, _LEAST_UNKNOWN = 0.01, 0.05
"""Least width as a part of the largest value; the same where there are no replicates to tell the noise."""


@dataclass(frozen=True)
class Frames:
    """The frames of one measured value: of each shown shot that has one, by its key, on the scale of the whole sweep."""

    metric: str
    values: dict[tuple[int, int], float]
    yes_no: bool
    ends: tuple[float, float]

    def of(self, shot: Shot) -> TileFrame | None:
        """The frame of a shot; None where it has no such value."""
        value = self.values.get(shot.key)
        return None if value is None else TileFrame(self.colour(value), self.words(value))

    def colour(self, value: float) -> str:
        """The colour of a value: from dark to bright, or one of two."""
        if self.yes_no:
            return _YES if value else _NO
        at = share_of(value, self.ends) * (len(SCALE) - 1)
        first = min(int(at), len(SCALE) - 2)
        return to_hex(mixed(SCALE[first], SCALE[first + 1], at - first))

    def words(self, value: float) -> str:
        """The value with as many decimals as the scale's width asks for; pass or fail, yes or no."""
        if self.yes_no:
            words = ("pass", "fail") if self.metric.startswith(VERDICT) else ("yes", "no")
            return words[0] if value else words[1]
        apart = self.ends[1] - self.ends[0]
        if not 0 < apart < math.inf:
            return number_words(value)
        decimals = max(0, 1 - math.floor(math.log10(apart)))
        if decimals > _MOST_DECIMALS or abs(value) >= 1e6:
            return number_words(value)
        return f"{value:.{decimals}f}".replace("-", "−")


def ends_of(low: float, high: float, noise: float | None) -> tuple[float, float]:
    """The ends of a scale of colours: never stretched over differences that may be noise.

    Args:
        low: the least value.
        high: the greatest.
        noise: standard deviation of the values between replicates; None where it is not known.

    Returns:
        The values themselves; a wider scale around them where they differ by less than 4 standard deviations, or
        by less than 1 % (5 % where the noise is not known) of the greater. It stays above 0, and below 1, where
        the values do.
    """
    largest = max(abs(low), abs(high))
    least = _LEAST_UNKNOWN * largest if noise is None else max(_NOISE * noise, _LEAST * largest)
    if not 0 < high - low < least:
        return low, high
    start = (low + high - least) / 2
    if high <= 1:
        start = min(start, 1 - least)
    if low >= 0:
        start = max(start, 0.0)
    return start, start + least


def share_of(value: float, ends: tuple[float, float]) -> float:
    """The position of a value between the ends of a scale, 0 to 1; 0.5 where they don't differ."""
    apart = ends[1] - ends[0]
    return min(1.0, max(0.0, (value - ends[0]) / apart)) if 0 < apart < math.inf else 0.5


def frame_names(results: Results) -> tuple[str, ...]:
    """The measured values that frames can show."""
    return tuple(name for name in measured(results) if name != MODERATED)


def frames_of(values: Values, shots: Sequence[Shot], metric: object) -> Frames | None:
    """The frames of some shots, on the scale of all; None for no metric, or where none of the shots has it.

    Raises:
        ConfigError: it was not measured; names the values that were.
    """
    if metric is None:
        return None
    results = values.results
    there = frame_names(results)
    if not isinstance(metric, str) or metric not in there:
        pictures = any(output.is_picture for output in results.outputs)
        nothing = (
            "nothing was: lab.measure(results) does it" if pictures else "there is no picture to measure"
        )
        named = f"there are {listed(there, metric)}" if there else nothing
        raise ConfigError(f"frame: {shown(metric)} was not measured; {named}")
    everything = {shot.key: shot.metric(metric) for shot in values.shots}
    finite = {key: value for key, value in everything.items() if math.isfinite(value)}
    framed = {shot.key: finite[shot.key] for shot in shots if shot.key in finite}
    if not framed:
        return None
    yes_no = is_yes_no(metric, np.array(list(finite.values()), dtype=np.float64))
    low, high = min(finite.values()), max(finite.values())
    noise = None if yes_no or low == high else replicate_spread(results, metric)
    return Frames(metric, framed, yes_no, ends_of(low, high, noise))


Show = Literal["output", "change", "reference"]
SHOWS: tuple[Show, ...] = get_args(Show)
_OVERS: tuple[Over, ...] = get_args(Over)


@dataclass(frozen=True)
class View:
    """The content of the places of cells; `comparison_source` is None where no changes are shown."""

    show: Show = "output"
    over: Over = "reference"
    comparison_source: ComparisonSource | None = None

    def size_of(self, cell: CellResult, output: tuple[int, int]) -> tuple[int, int]:
        """Width and height of the picture shown, as far as they are known; `output` if it is the cell's output."""
        first = _first(cell)
        if self.show == "output" or first is None or (self.show, self.over) == ("change", "output"):
            return output
        return first.sent_size

    def on(self, tile: Tile) -> Tile:
        """The tile with the content to show; a tile with a card keeps it."""
        if self.show == "output" or tile.cell is None or tile.card is not None:
            return tile
        reference = _first(tile.cell)
        if reference is None:
            named = tile.cell.params.get("image")
            note = f"its reference {named} is not at hand" if named else "it has none"
            return replace(tile, card=PlaceholderCard("uncompared", "no reference", note).fitted(tile.rect))
        if self.show == "reference" or self.comparison_source is None:
            return replace(tile, reference=reference)
        return replace(tile, overlay=Overlay(self.comparison_source.comparison, self.over))


def view_of(results: Results, show: Any, over: Any) -> View:
    """The view with these names.

    Raises:
        ConfigError: it does not exist, or these results can't be compared; says which can.
    """
    for name, given, allowed in (("show", show, SHOWS), ("over", over, _OVERS)):
        if given not in allowed:
            raise ConfigError(f"{name}: {shown(given)}, allowed are {', '.join(map(repr, allowed))}")
    if show == "change" and results.comparison_source is None:
        raise ConfigError(
            "show: 'change' needs results that know their references, as lab.run and lab.load return them; "
            "these were made otherwise"
        )
    return View(show, over, results.comparison_source if show == "change" else None)


def _first(cell: CellResult) -> Reference | None:
    images = cell.request.images if cell.request is not None else ()
    return images[0] if images and images[0].png else None
