"""Measured values as coloured frames around pictures: which colour, which words, and the ends of the scale. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kontext_lab.effects.reading import MODERATED, VERDICT, is_yes_no, measured
from kontext_lab.effects.words import number_words
from kontext_lab.errors import ConfigError, listed, shown
from kontext_lab.figures.geometry import Frame
from kontext_lab.figures.values import Shot
from kontext_lab.results import Results

__all__ = ["SCALE", "Frames", "frame_names", "frames_of"]

# matplotlib's viridis without its ends, which light or dark paper would swallow.
SCALE = ("#443983", "#31688e", "#21918c", "#35b779", "#90d743", "#d8e219")
_YES, _NO = "#0072B2", "#D55E00"
_MOST_DECIMALS = 6


@dataclass(frozen=True)
class Frames:
    """The frames of one value.

    Attributes:
        metric: its name.
        values: of each shot that has one, by the identity of its cell and the number of its output.
        yes_no: whether it is a verdict, or always 0 or 1.
    """

    metric: str
    values: dict[tuple[int, int], float]
    yes_no: bool

    @property
    def ends(self) -> tuple[float, float]:
        """The least and the greatest value."""
        return min(self.values.values()), max(self.values.values())

    def of(self, shot: Shot) -> Frame | None:
        """The frame of a shot; None where it has no such value."""
        value = self.values.get((id(shot.cell), shot.output))
        return None if value is None else Frame(self.colour(value), self.words(value))

    def colour(self, value: float) -> str:
        """From dark to bright, or one of two."""
        if self.yes_no:
            return _YES if value else _NO
        low, high = self.ends
        share = (value - low) / (high - low) if high > low else 0.5
        at = share * (len(SCALE) - 1)
        first = min(int(at), len(SCALE) - 2)
        return _between(SCALE[first], SCALE[first + 1], at - first)

    def words(self, value: float) -> str:
        """The value with as many decimals as tell the least from the greatest; pass or fail, yes or no."""
        if self.yes_no:
            words = ("pass", "fail") if self.metric.startswith(VERDICT) else ("yes", "no")
            return words[0] if value else words[1]
        low, high = self.ends
        apart = high - low
        if apart <= 0:
            return number_words(value)
        decimals = max(0, 1 - math.floor(math.log10(apart)))
        if decimals > _MOST_DECIMALS or abs(value) >= 1e6:
            return number_words(value)
        return f"{value:.{decimals}f}".replace("-", "−")


def frame_names(results: Results) -> tuple[str, ...]:
    """The values that frames can be made of."""
    return tuple(name for name in measured(results) if name != MODERATED)


def frames_of(results: Results, shots: Sequence[Shot], metric: object) -> Frames | None:
    """The frames of some shots; None for no metric, or where none of the shots has it.

    Raises:
        ConfigError: nothing like it was measured; names what was.
    """
    if metric is None:
        return None
    there = frame_names(results)
    if not isinstance(metric, str) or metric not in there:
        pictures = any(output.is_picture for output in results.outputs)
        nothing = (
            "nothing was: lab.measure(results) does it" if pictures else "there is no picture to measure"
        )
        named = f"there are {listed(there, metric)}" if there else nothing
        raise ConfigError(f"frame: {shown(metric)} was not measured; {named}")
    found = {(id(shot.cell), shot.output): _value(shot, metric) for shot in shots}
    values = {place: value for place, value in found.items() if math.isfinite(value)}
    yes_no = is_yes_no(metric, np.array(list(values.values()), dtype=np.float64))
    return Frames(metric, values, yes_no) if values else None


def _value(shot: Shot, metric: str) -> float:
    own = next((output.metrics for output in shot.cell.outputs if output.number == shot.output), {})
    value = own.get(metric, shot.cell.metrics.get(metric))
    return math.nan if value is None else float(value)


def _between(first: str, second: str, share: float) -> str:
    pairs = ((int(first[at : at + 2], 16), int(second[at : at + 2], 16)) for at in (1, 3, 5))
    return "#" + "".join(f"{round(low + (high - low) * share):02x}" for low, high in pairs)
