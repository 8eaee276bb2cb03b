"""The numbers of a study as frozen values, for figures, sentences and tests. Computes nothing."""

from __future__ import annotations

from dataclasses import dataclass, field

from kontext_lab.errors import ConfigError, shown
from kontext_lab.results import Output

__all__ = ["AxisEffect", "Difference", "Effects", "Interaction", "Point", "SeedSensitivity", "Trace"]


@dataclass(frozen=True)
class Point:
    """The measured values at one value of an axis.

    Attributes:
        label: the value as shown.
        full: the whole text of a prompt, else "".
        number: the value itself if the axis is numeric, else None.
        n: number of outputs with a measured value.
        mean: their mean, or None without any; for yes/no values the rate, 0 to 1.
        spread: their standard deviation (n - 1), or None with fewer than two.
        low: lower end of the 95 % interval of the mean, or None if it can't be computed.
        high: upper end.
        values: the single measured values, in the order of the results.
        outputs: the outputs they belong to, in the same order.
    """

    label: str
    full: str
    number: float | None
    n: int
    mean: float | None
    spread: float | None
    low: float | None
    high: float | None
    values: tuple[float, ...] = field(default=(), repr=False)
    outputs: tuple[Output, ...] = field(default=(), repr=False, compare=False)


@dataclass(frozen=True)
class Difference:
    """The difference between two values of an axis within the same blocks, all other settings equal.

    Attributes:
        first: label of one value.
        second: label of the other.
        mean: mean of second minus first over matched pairs.
        low: lower end of the 95 % interval, or None if it can't be computed.
        high: upper end.
        pairs: number of matched pairs.
        blocks: number of their blocks.
        more_seeds: about how many more seeds would confirm a difference of this size (80 % power, 5 % error); 0 if there
            are enough, None if it can't be estimated.
    """

    first: str
    second: str
    mean: float
    low: float | None
    high: float | None
    pairs: int
    blocks: int
    more_seeds: int | None

    @property
    def is_clear(self) -> bool:
        """True if the interval excludes zero."""
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)


@dataclass(frozen=True)
class Trace:
    """One block along an axis: the mean at each value of the axis, None if nothing was measured."""

    label: str
    means: tuple[float | None, ...]


@dataclass(frozen=True)
class AxisEffect:
    """The effect of one axis.

    Attributes:
        name: a parameter, or several joined by `+` that vary together.
        points: one per value: numbers by size, others in the order of the sweep.
        differences: between values, matched; empty for axes that only repeat a setting.
        traces: one line per block.
        numeric: whether the values are numbers on a scale.
        blocked_by: the axes that blocks are made of, such as `seed` and `image`; intervals resample these blocks.
        replicate: whether it only repeats a setting: seeds, repeats, outputs of a cell.
        share: of the variance, 0 to 1 (η²); None if it can't be separated from other axes, or nothing varies.
        by_chance: expected share of an axis with as many values and no effect; None without residual degrees of freedom.
        p: p-value of the F-test; None without residual degrees of freedom.
    """

    name: str
    points: tuple[Point, ...]
    differences: tuple[Difference, ...]
    traces: tuple[Trace, ...]
    blocked_by: tuple[str, ...]
    numeric: bool
    replicate: bool
    share: float | None
    by_chance: float | None
    p: float | None

    @property
    def measured(self) -> tuple[Point, ...]:
        """The points at which something was measured."""
        return tuple(point for point in self.points if point.n)

    def difference(self, first: str, second: str) -> Difference:
        """The difference between two values by their labels, whichever way round they are kept.

        Raises:
            ConfigError: they were not compared; names the values that were.
        """
        for one in self.differences:
            if (one.first, one.second) == (first, second):
                return one
        there = ", ".join(f"{one.first} – {one.second}" for one in self.differences[:12]) or "none"
        raise ConfigError(
            f"difference: {shown(first)} – {shown(second)} was not compared on {self.name}; there are {there}"
        )


@dataclass(frozen=True)
class Interaction:
    """Means over the combinations of two axes.

    Attributes:
        rows: the axis down the side.
        columns: the axis across.
        row_labels: its values in order.
        column_labels: the other's.
        means: row by row; None if nothing was measured.
        counts: number of values of each mean.
        share: of the variance, 0 to 1, that the combination explains beyond the sum of both axes; None if it can't be
            estimated.
        p: p-value of the F-test; None without residual degrees of freedom.
    """

    rows: str
    columns: str
    row_labels: tuple[str, ...]
    column_labels: tuple[str, ...]
    means: tuple[tuple[float | None, ...], ...]
    counts: tuple[tuple[int, ...], ...]
    share: float | None
    p: float | None


@dataclass(frozen=True)
class SeedSensitivity:
    """The spread over seeds at the same settings.

    Attributes:
        spread: standard deviation over seeds at the same settings, pooled over settings.
        total: standard deviation of all values.
        settings: number of settings with two seeds or more.
        seeds: number of seeds.
        split: for yes/no values, number of settings at which seeds disagree.
    """

    spread: float
    total: float
    settings: int
    seeds: int
    split: int


@dataclass(frozen=True, repr=False)
class Effects:
    """The effects of the axes of a sweep on one measured value.

    Attributes:
        metric: its name.
        name: of the sweep.
        n: number of values.
        units: number of cells or outputs that could have one.
        unit: `cell`, or `output` if cells have several.
        simulated: number of values of the sandbox's pictures.
        is_rate: whether the values are yes/no, so that means are rates.
        mean: of all values, or None.
        axes: those that vary, in the order of the sweep.
        residual: share of the variance that no axis explains by itself: interactions and noise.
        seed: the spread over seeds at the same settings, or None if it can't be estimated.
        interaction: of the two named axes, or None.
        missing: reasons for missing values, and their counts.
        seeds: number of seeds that have values.
        balanced: whether every combination of values was measured equally often.
        apart: axes whose effects can't be separated from others.
        idle: axes that change nothing in any picture.
        sentences: the findings and their limits, in plain words.
    """

    metric: str
    name: str
    n: int
    units: int
    unit: str
    simulated: int
    is_rate: bool
    mean: float | None
    axes: tuple[AxisEffect, ...]
    residual: float | None
    seed: SeedSensitivity | None
    interaction: Interaction | None
    missing: tuple[tuple[str, int], ...]
    seeds: int
    balanced: bool
    apart: tuple[str, ...]
    idle: tuple[str, ...]
    sentences: tuple[str, ...] = ()

    def axis(self, name: str) -> AxisEffect:
        """One axis by its name.

        Raises:
            ConfigError: no such axis varies; names those that do.
        """
        for one in self.axes:
            if one.name == name:
                return one
        there = ", ".join(one.name for one in self.axes) or "none"
        raise ConfigError(f"axis: {shown(name)} does not vary here; there are {there}")

    def __repr__(self) -> str:
        return f"<Effects on {self.metric}: {' '.join(self.sentences)}>"
