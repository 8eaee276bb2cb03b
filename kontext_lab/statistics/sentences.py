"""The findings of a study and their limits in plain sentences. Computes nothing new.

Each sentence about simulated pictures begins with that, since sentences are quoted one by one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from kontext_lab.errors import many
from kontext_lab.statistics.effects import AxisEffect, Difference, Effects, Interaction
from kontext_lab.statistics.formatting import counted, named, number_words, percent, value_words

__all__ = ["describe"]

ENOUGH_SEEDS = 5
_MOST_AXES = 4
_MOST_SEEDS = 1000
_CHANCE = 0.05


def describe(effects: Effects, idle: Sequence[str] = ()) -> tuple[str, ...]:
    """Describe a study, the findings first; `idle` are sentences about axes that change nothing."""
    whole = effects.n or effects.units
    mark = ""
    if effects.simulated:
        part = f" ({effects.simulated} of {whole})" if effects.simulated < whole else ""
        mark = f"{'Partly simulated' if part else 'Simulated'}{part}: "
    return tuple(mark + sentence for sentence in (*_findings(effects), *idle, *_limits(effects)))


def _findings(effects: Effects) -> Iterator[str]:
    if not effects.n:
        yield _nothing(effects)
        return
    mean = f"{effects.metric} is {value_words(effects, effects.mean or 0.0)}"
    if not effects.axes:
        yield f"Nothing varies: {mean}, and there is nothing to compare it with."
        return
    if effects.residual is None:
        single = effects.n == 1
        which = (
            f"the one {effects.unit} that has a value" if single else f"all {many(effects.n, effects.unit)}"
        )
        yield f"{mean} in {which}: there is no difference to explain."
        return
    yield _shares(effects)
    axes = sorted((one for one in effects.axes if not one.replicate), key=lambda axis: -(axis.share or 0.0))
    for axis in axes[:_MOST_AXES]:
        yield _contrast(effects, axis)
    seed, both = effects.seed, effects.interaction
    if seed is not None and effects.is_rate:
        yield f"Seeds disagree at {seed.split} of {many(seed.settings, 'setting')}."
    elif seed is not None:
        yield (
            f"The standard deviation of {effects.metric} over seeds at the same settings is {number_words(seed.spread)}; "
            f"over all pictures it is {number_words(seed.total)}."
        )
    if both is not None:
        estimated = both.share is not None and both.p is not None
        reason = "can't be estimated: it takes several pictures of each combination"
        explains = f"explains {_share(both)}" if estimated else reason
        yield f"The interaction of {both.rows} and {both.columns} {explains}."


def _nothing(effects: Effects) -> str:
    if not effects.units:
        return f"There are no cells, so {effects.metric} has no values."
    reasons = {reason for reason, _ in effects.missing}
    if "not measured" in reasons:
        return f"{effects.metric} was not measured yet: call lab.measure(results) to measure the existing pictures."
    if "not judged" in reasons:
        return f"{effects.metric}: no picture has a verdict yet."
    return f"{effects.metric}: no {effects.unit} has a value."


def _share(part: AxisEffect | Interaction) -> str:
    chance = " (within chance)" if part.p is not None and part.p > _CHANCE else ""
    return f"{percent(part.share or 0.0)}{chance}"


def _shares(effects: Effects) -> str:
    """The share of each axis, the largest first."""
    if all(one.replicate for one in effects.axes):
        vary = "vary" if len(effects.axes) > 1 else "varies"
        return f"Only {' and '.join(one.name for one in effects.axes)} {vary}, so there are no settings to compare."
    axes = sorted((one for one in effects.axes if one.share is not None), key=lambda one: -(one.share or 0.0))
    if not axes or any(one.p is None for one in axes):
        return (
            f"How much of {effects.metric} each axis explains can't be estimated without replicates: every combination has "
            "a single picture."
        )
    first, *others = axes[:_MOST_AXES]
    parts = [f"{first.name} explains {_share(first)} of {effects.metric}"]
    parts += [f"{one.name} {_share(one)}" for one in others]
    if len(axes) > _MOST_AXES:
        parts.append(f"{many(len(axes) - _MOST_AXES, 'axis', 'axes')} less")
    return "; ".join(parts) + f"; {percent(effects.residual or 0.0)} is interaction and noise."


def _contrast(effects: Effects, axis: AxisEffect) -> str:
    """The difference between the ends of a scale, or between the two values furthest apart."""
    if len(axis.measured) < 2:
        return f"{axis.name}: only {counted(len(axis.measured), 'value')} of it was measured."
    ends = (axis.measured[0].label, axis.measured[-1].label)
    scale = [one for one in axis.differences if axis.numeric and (one.first, one.second) == ends]
    found = scale or sorted(axis.differences, key=lambda one: -abs(one.mean))[:1]
    if not found:
        return f"{axis.name}: no two of its values were measured with all other settings equal."
    apart, several = found[0], len(axis.differences) > 1 and not scale
    chosen = f", the largest of {len(axis.differences)} differences" if several else ""
    names = named([point.label for point in axis.points])
    ordered = (apart.second, apart.first) if apart.mean >= 0 else (apart.first, apart.second)
    high, low = (names[label] for label in ordered)
    pairs = many(apart.pairs, "matched pair")
    if len(axis.blocked_by) == 1 and "+" not in axis.blocked_by[0]:
        pairs += f" over {counted(apart.blocks, axis.blocked_by[0])}"
    elif axis.blocked_by:
        pairs += f" in {many(apart.blocks, 'block')} ({' and '.join(axis.blocked_by)})"
    if apart.mean == 0:
        return f"{effects.metric} is the same at {axis.name} {high} as at {low} ({pairs}){chosen}."
    size = (
        f"{number_words(100 * abs(apart.mean), 2)} points"
        if effects.is_rate
        else number_words(abs(apart.mean), 2)
    )
    return (
        f"{effects.metric} is {size} higher at {axis.name} {high} than at {low}{chosen}: "
        f"{_interval(effects, apart, pairs)}."
    )


def _interval(effects: Effects, apart: Difference, pairs: str) -> str:
    """Interval of a difference, and the seeds that would make it clear."""
    if apart.low is None or apart.high is None:
        return f"{pairs}, too few for an interval"
    scale = (100 if effects.is_rate else 1) * (1 if apart.mean >= 0 else -1)
    low, high = (number_words(end, 2) for end in sorted((scale * apart.low, scale * apart.high)))
    interval = f"95 % interval {low} to {high}, {pairs}"
    if apart.is_clear:
        return interval
    more = ""
    if apart.more_seeds:
        needed = f"about {counted(apart.more_seeds, 'more seed')}"
        if apart.more_seeds > _MOST_SEEDS:
            needed = f"more than {_MOST_SEEDS} more seeds"
        more = f"; {needed} would confirm a difference of this size"
    return f"{interval}, so it may be noise{more}"


def _limits(effects: Effects) -> Iterator[str]:
    """The limits of the findings."""
    if effects.n and effects.residual is not None:
        if effects.seeds < ENOUGH_SEEDS and not all(axis.replicate for axis in effects.axes):
            narrow = not effects.is_rate and any(axis.blocked_by == ("seed",) for axis in effects.axes)
            more = ", and intervals from so few are too narrow" if narrow else ""
            yield (
                'There is only one seed: seed="1-5" would show how much the results depend on it.'
                if effects.seeds == 1
                else f"{effects.seeds} seeds are no proof: other seeds may give other results{more}."
            )
        if effects.metric.startswith("rank/"):
            yield "Scores come from pairs: they say nothing about an axis for which no pair was shown, whatever its share."
        for name in (one.name for one in effects.axes if "+" in one.name):
            yield f"{' and '.join(name.split('+'))} always vary together, so their effects can't be separated."
        if effects.apart:
            yield f"The share of {', '.join(effects.apart)} can't be separated from other axes."
        if not effects.balanced:
            yield (
                "Not balanced: some combinations were measured more often than others, so each share is what an axis "
                "explains beyond the others."
            )
    unsaid = {reason for reason, _ in effects.missing} - {"not measured", "not judged"}
    if effects.missing and (effects.n or unsaid):
        lost = sum(count for _, count in effects.missing)
        reasons = ", ".join(f"{count} {reason}" for reason, count in effects.missing)
        have = "has" if lost == 1 else "have"
        yield f"{lost} of {many(effects.units, effects.unit)} {have} no value: {reasons}."
