"""The placeholders of prompts as they are typed: each has values, which stay with it while it is renamed. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from kontext_lab.sweep.wording import placeholders

__all__ = ["LabelledValue", "PlaceholderValues", "follow"]


@dataclass(frozen=True)
class LabelledValue:
    """A value as it is typed, and the name a person gave it, or ""."""

    text: str
    name: str = ""

    def __str__(self) -> str:
        return self.name or self.text


Values = tuple[LabelledValue, ...]


@dataclass(frozen=True)
class PlaceholderValues:
    """The placeholders in use and the values of all there ever were.

    Attributes:
        names: in use, in order of appearance.
        values: by name; names that are not in use any more may come back.
        gap: where a name was lost last, and which: one that appears there is the same one, renamed.
    """

    names: tuple[str, ...] = ()
    values: Mapping[str, Values] = field(default_factory=dict)
    gap: tuple[int, str] | None = None

    @property
    def used(self) -> dict[str, Values]:
        """The values of the names in use."""
        return {name: self.values.get(name, ()) for name in self.names}

    def replace(self, name: str, values: Iterable[LabelledValue]) -> PlaceholderValues:
        """The same with other values for one name."""
        return replace(self, values={**self.values, name: tuple(values)})


def follow(words: PlaceholderValues, prompts: Iterable[str]) -> PlaceholderValues:
    """The words after the prompts changed.

    A name that takes the place of another is that one renamed, and takes its values along: at once, or where
    a brace was open in between. A name that was there before has the values it had.
    """
    names = tuple(dict.fromkeys(name for prompt in prompts for name in placeholders(prompt)))
    values = dict(words.values)
    lost = [(at, name) for at, name in enumerate(words.names) if name not in names]
    new = [(at, name) for at, name in enumerate(names) if name not in words.names]
    gap = lost[-1] if lost else words.gap
    for at, name in new:
        before = _before(at, lost, words.gap)
        if before is not None and not values.get(name) and values.get(before):
            values[name] = values.pop(before)
            gap = None
        values.setdefault(name, ())
    return PlaceholderValues(names, values, gap)


def _before(at: int, lost: list[tuple[int, str]], gap: tuple[int, str] | None) -> str | None:
    """The name that stood at a place until now."""
    here = next((name for place, name in lost if place == at), None)
    if here is None and len(lost) == 1:
        here = lost[0][1]
    return here if here is not None or gap is None or gap[0] != at else gap[1]
