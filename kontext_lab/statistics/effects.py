"""The numbers of a study as plain frozen values: what is drawn, told and tested. Computes nothing."""

from __future__ import annotations

from dataclasses import dataclass, field

from kontext_lab.errors import ConfigError, shown
from kontext_lab.results import Output

__all__ = ["AxisEffect", "Difference", "Effects", "Interaction", "Point", "SeedSensitivity", "Trace"]


@dataclass(frozen=True)
class Point:
    """What was measured at one value of an axis.

    Attributes:
        label: how the value is shown.
        full: the whole text of a prompt, else "".
        number: the value itself where the axis is numeric, else None.
        n: how many outputs have a measured value here.
        mean: of these, or None where there are none; of yes/no values the rate, 0 to 1.
        spread: their standard deviation (n - 1 below), or None with fewer than two.
        low: lower end of the 95 % interval of the mean, or None where none can be given.
        high: upper end.
        values: the single measured values, in the order of the results.
        outputs: whose they are, in the same order.
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
    """How two values of an axis differ within the same blocks, all other settings equal.

    Attributes:
        first: label of one value.
        second: label of the other.
        mean: mean of second minus first over matched pairs.
        low: lower end of the 95 % interval, or None where none can be given.
        high: upper end.
        pairs: how many matched pairs there are.
        blocks: in how many blocks.
        more_seeds: about how many more seeds would tell them apart (80 % power, 5 % error), if the difference is
            as large as it looks; 0 where there are enough, None where it can't be told.
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
        """Whether the interval leaves out zero."""
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)


@dataclass(frozen=True)
class Trace:
    """One block along an axis: the mean at each of the axis's values, None where nothing was measured."""

    label: str
    means: tuple[float | None, ...]


@dataclass(frozen=True)
class AxisEffect:
    """What one axis does.

    Attributes:
        name: a parameter, or several joined by `+` that vary together.
        points: one per value: numbers by size, others in the order of the sweep.
        differences: between values, matched; none for axes that only repeat a setting.
        traces: one line per block.
        numeric: whether the values are numbers with a scale.
        blocked_by: the axes that blocks are made of, such as `seed` and `image`; intervals resample these blocks.
        replicate: whether it only repeats a setting: seeds, repeats, outputs of a cell.
        share: of the variance, 0 to 1 (η²); None where it can't be told apart from other axes, or nothing varies.
        by_chance: the share that as many values would take on average if the axis did nothing; None where there is
            nothing left to compare with.
        p: of the F-test that it does nothing, or None where there is nothing left to compare with.
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
            ConfigError: there is none; says between which values there are.
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
        means: row by row; None where nothing was measured.
        counts: how many values each mean is of.
        share: of the variance, 0 to 1, that is in the combination beyond the sum of both axes; None where it can't be
            told.
        p: of the F-test that there is nothing beyond the sum, or None where nothing is left to compare with.
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
    """How different the outputs of different seeds are at the same settings.

    Attributes:
        spread: standard deviation over seeds at the same settings, pooled over settings.
        total: standard deviation of all values.
        settings: at how many settings there are two seeds or more.
        seeds: how many seeds there are.
        split: of yes/no values, at how many settings the seeds do not agree.
    """

    spread: float
    total: float
    settings: int
    seeds: int
    split: int


@dataclass(frozen=True, repr=False)
class Effects:
    """What the axes of a sweep do to one measured value.

    Attributes:
        metric: its name.
        name: of the sweep.
        n: how many values there are.
        units: how many there could be.
        unit: what is counted: `cell`, or `output` where cells have several.
        simulated: how many of the values are of the sandbox's pictures.
        is_rate: whether the values are yes/no, and means are rates.
        mean: of all values, or None.
        axes: those that vary, in the order of the sweep.
        residual: the share of the variance that no axis explains by itself: interplay of axes, and chance.
        seed: how much seeds do at the same settings, or None where nothing can be said.
        interaction: of the two axes that were named, or None.
        missing: why there is no value, and how often.
        seeds: how many seeds there are values of.
        balanced: whether every combination of values was measured equally often.
        apart: axes that can't be told apart from others.
        idle: axes that change nothing in any picture.
        sentences: the findings and what can't be told, in plain words.
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
