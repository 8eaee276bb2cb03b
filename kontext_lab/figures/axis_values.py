"""What a parameter's value is, cell by cell, and how it is called: the values of one axis of a figure.

A figure places single pictures, so its unit is the shot: one output of one cell. Knows nothing of places
and sizes.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from kontext_lab.errors import NotFound, SweepError, meant
from kontext_lab.figures import text
from kontext_lab.results import CellResult, Results, distinct, value_token
from kontext_lab.sweep.axes import value_text

__all__ = ["Shot", "Value", "Values"]

OUTPUT = "output"
_LONG = 32
"""Prompts with more characters are called P1, P2 … and spelled out below the figure."""


@dataclass(frozen=True)
class Shot:
    """One output of one cell, also while the cell is still waiting for it."""

    cell: CellResult
    output: int


@dataclass(frozen=True)
class Value:
    """One value of an axis: what tells it apart, and what it is called.

    Attributes:
        token: equal for equal values.
        label: how it is shown.
        full: the whole text where the label only stands for it, else "".
    """

    token: Hashable
    label: str
    full: str = ""


NONE = Value(None, "(none)")
"""For cells without the parameter: a placeholder their prompt doesn't use."""


class Values:
    """The values of every parameter of some results, and their names."""

    def __init__(self, results: Results) -> None:
        self.results = results
        self.shots = tuple(_shots(results))
        self._found: dict[str, dict[Hashable, Value]] = {}
        self._texts: dict[tuple[str, int], Hashable] = {}

    @cached_property
    def keys(self) -> tuple[str, ...]:
        """Everything that may stand on an axis of a figure."""
        known = dict.fromkeys(key for cell in self.results for key in cell.params)
        if known:
            known.update(dict.fromkeys(("repeat", OUTPUT)))
        return tuple(key for key in known if not key.endswith(".label"))

    @cached_property
    def axes(self) -> tuple[str, ...]:
        """What varies, in the order of the sweep; the number of the output last."""
        found = [key for key in self.results.axes if key != OUTPUT]
        if "image" not in found and len(self.of("image")) > 1:
            # Different pictures of one name, in results of several sweeps.
            found.append("image")
        return (*found, OUTPUT) if len(self.of(OUTPUT)) > 1 else tuple(found)

    def check(self, keys: Sequence[str]) -> None:
        """Every key is a parameter, and named once.

        Raises:
            NotFound: no cell has it; names what there is.
            SweepError: it is named twice.
        """
        for key in keys:
            if self.keys and key not in self.keys:
                there = f"there are {', '.join(self.keys)}; {meant(key, self.keys)}"
                raise NotFound(f"{key}: no cell has such a parameter, {there.rstrip(' ;')}")
            if keys.count(key) > 1:
                raise SweepError(f"{key}: stands more than once in rows and columns")

    def of(self, key: str) -> list[Value]:
        """All values of a parameter: numbers by size, others in order of appearance, a missing one last."""
        return list(self._all(key).values())

    def value(self, shot: Shot, key: str) -> Value:
        """The value of a parameter for one shot."""
        token = self._token(shot, key)
        return self._all(key)[token] if token is not None else NONE

    def present(self, shots: Sequence[Shot], key: str) -> list[Value]:
        """The values of a parameter among some shots, in the order of all values."""
        tokens = {self._token(shot, key) for shot in shots}
        order = [value for value in self.of(key) if value.token in tokens]
        return [*order, NONE] if None in tokens else order

    def texts_called(self, key: str, name: str) -> list[str]:
        """The parameter's full values that go by a name in a figure."""
        wanted = {value.token for value in self.of(key) if name in (value.label, value.full)}
        shots = (shot for shot in self.shots if self._token(shot, key) in wanted)
        return list(dict.fromkeys(str(shot.cell.params[key]) for shot in shots if key in shot.cell.params))

    def _all(self, key: str) -> dict[Hashable, Value]:
        if key not in self._found:
            self._found[key] = {value.token: value for value in self._read(key)}
        return self._found[key]

    def _read(self, key: str) -> Iterator[Value]:
        raw: dict[Hashable, Any] = {}
        for shot in self.shots:
            token = self._token(shot, key)
            if token is not None and token not in raw:
                raw[token] = shot.output if key == OUTPUT else shot.cell.params.get(key, 1)
        tokens = list(raw)
        if all(isinstance(value, int | float) for value in raw.values()):
            tokens.sort(key=lambda token: float(raw[token]))
        if key == "prompt":
            yield from _prompts(tokens, {token: self._named(key, token) for token in tokens})
        else:
            yield from _numbered([(token, self._called(key, token, raw[token])) for token in tokens])

    def _token(self, shot: Shot, key: str) -> Hashable:
        """What tells values apart; None where the shot has none."""
        if key == OUTPUT:
            return shot.output
        where = (key, id(shot.cell))
        if where not in self._texts:
            plain = value_token(shot.cell, key)
            self._texts[where] = self._names(key).get(plain, plain)
        return self._texts[where]

    def _names(self, key: str) -> dict[Hashable, Hashable]:
        """Values that a person named, by what tells them apart otherwise: the name holds them together."""
        cache = self.__dict__.setdefault("_name_cache", {})
        if key not in cache:
            named = f"{key}.label"
            cache[key] = {
                value_token(cell, key): ("named", str(cell.params[named]))
                for cell in self.results
                if named in cell.params and key in cell.params
            }
        found: dict[Hashable, Hashable] = cache[key]
        return found

    def _named(self, key: str, token: Hashable) -> tuple[str, str]:
        """The name of a value, or "", and its whole text."""
        if not _is_named(token):
            return "", str(token)
        first = next(shot for shot in self.shots if self._token(shot, key) == token)
        return str(token[1]), str(value_token(first.cell, key))  # type: ignore[index]  # a pair, see _names

    def _called(self, key: str, token: Hashable, value: Any) -> str:
        name = token[1] if _is_named(token) else value_text(key, value) if key != "image" else value  # type: ignore[index]
        return text.clean(str(name)) or "(empty)"


def _is_named(token: Hashable) -> bool:
    return isinstance(token, tuple) and token[0] == "named"


def _shots(results: Results) -> Iterator[Shot]:
    for cell in results:
        asked = cell.params.get("num_images")
        expected = asked if isinstance(asked, int) else 1
        for number in range(1, max(1, len(cell.outputs) or expected) + 1):
            yield Shot(cell, number)


def _prompts(tokens: Sequence[Hashable], named: dict[Hashable, tuple[str, str]]) -> Iterator[Value]:
    for number, token in enumerate(tokens, 1):
        name, full = (text.clean(part) for part in named[token])
        if name:
            yield Value(token, name, full)
        elif len(full) > _LONG:
            yield Value(token, f"P{number}", full)
        else:
            yield Value(token, full)


def _numbered(pairs: Sequence[tuple[Hashable, str]]) -> Iterator[Value]:
    """Values whose labels differ."""
    labels = distinct([label for _, label in pairs])
    for (token, _), label in zip(pairs, labels, strict=True):
        yield Value(token, label)
