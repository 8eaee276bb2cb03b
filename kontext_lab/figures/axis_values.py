"""Values of the parameters of a figure, their labels, and the choice of parameters for rows and columns. Pure."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from kontext_lab.errors import NotFound, SweepError, meant
from kontext_lab.figures import text
from kontext_lab.results import CellResult, Output, Results, distinct, value_token
from kontext_lab.sweep.axes import value_text
from kontext_lab.sweep.wording import shortened

__all__ = ["OUTPUT", "Choice", "Keys", "Shot", "Value", "Values", "choose", "parameters", "rest", "values_of"]

OUTPUT = "output"
_LONG = 32
"""Prompts with more characters are called P1, P2 … and spelled out below the figure."""

Keys = str | Sequence[str] | None
"""A parameter, several to be nested, none (an empty list), or None: whatever suits."""

_SEVERAL = (list, tuple, set, range)
_LISTED, _SHORT = 6, 60

# Two orders of kinds of parameters. The first to be shown where there are more than two axes:
_WORTH = (
    "guidance_scale",
    "seed",
    "number",
    "word",
    "prompt",
    "image",
    "aspect_ratio",
    "model",
    OUTPUT,
    "repeat",
    "output_format",
)
# Those that read better as rows than as columns: long labels to the left, replicates side by side.
_ROWNESS = (
    "image",
    "prompt",
    "model",
    "aspect_ratio",
    "word",
    "output_format",
    "guidance_scale",
    "number",
    "seed",
    "repeat",
    OUTPUT,
)


@dataclass(frozen=True)
class Shot:
    """One output of one cell, by its number from 1, also while the cell waits for it: the unit that figures place."""

    cell: CellResult
    output: int

    @property
    def picture(self) -> Output | None:
        """The output itself; None before it has arrived."""
        return next((one for one in self.cell.outputs if one.number == self.output), None)

    @property
    def key(self) -> tuple[int, int]:
        """Equal for shots of the same object and output, whatever happens to the cell."""
        return id(self.cell), self.output

    def metric(self, name: str) -> float:
        """A measured value of the output, else of its cell; NaN without one."""
        own = self.picture.metrics if self.picture is not None else {}
        value = own.get(name, self.cell.metrics.get(name))
        return math.nan if value is None else float(value)


@dataclass(frozen=True)
class Value:
    """One value of an axis: a token, equal for equal values, and its label; `full` is the text a label stands for."""

    token: Hashable
    label: str
    full: str = ""


NONE = Value(None, "(none)")
"""For cells without the parameter: a placeholder their prompt doesn't use."""


class Values:
    """The values of every parameter of some results, and their names."""

    def __init__(self, results: Results) -> None:
        self.results = results
        shots = []
        for cell in results:
            asked = cell.params.get("num_images")
            expected = asked if isinstance(asked, int) else 1
            shots += [Shot(cell, at) for at in range(1, max(1, len(cell.outputs) or expected) + 1)]
        self.shots = tuple(shots)
        self._found: dict[str, dict[Hashable, Value]] = {}
        self._tokens: dict[tuple[str, int], Hashable] = {}
        self._names: dict[str, dict[Hashable, Hashable]] = {}

    @cached_property
    def keys(self) -> tuple[str, ...]:
        """Everything that may stand on an axis of a figure."""
        known = dict.fromkeys(key for cell in self.results for key in cell.params)
        if known:
            known.update(dict.fromkeys(("repeat", OUTPUT)))
        return tuple(key for key in known if not key.endswith(".label"))

    @cached_property
    def axes(self) -> tuple[str, ...]:
        """The parameters that vary, in the order of the sweep; the number of the output last."""
        found = [key for key in self.results.axes if key != OUTPUT]
        if "image" not in found and len(self.of("image")) > 1:
            # Different pictures of one name, in results of several sweeps.
            found.append("image")
        return (*found, OUTPUT) if len(self.of(OUTPUT)) > 1 else tuple(found)

    def check(self, keys: Sequence[str]) -> None:
        """Check that every key is a parameter, and named once.

        Raises:
            NotFound: no cell has it; names those that exist.
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

    def combination(self, shot: Shot, keys: Sequence[str]) -> tuple[Value, ...]:
        """The values of several parameters for one shot."""
        return tuple(self.value(shot, key) for key in keys)

    def present(self, shots: Sequence[Shot], key: str) -> list[Value]:
        """The values of a parameter among some shots, in the order of all values."""
        tokens = {self._token(shot, key) for shot in shots}
        order = [value for value in self.of(key) if value.token in tokens]
        return [*order, NONE] if None in tokens else order

    def determines(self, shots: Sequence[Shot], keys: Sequence[str], key: str) -> bool:
        """True if equal values of `keys` always go with one value of `key`."""
        seen: dict[tuple[Value, ...], Value] = {}
        return all(
            seen.setdefault(self.combination(shot, keys), self.value(shot, key)) == self.value(shot, key)
            for shot in shots
        )

    def texts_called(self, key: str, name: str) -> list[str]:
        """The parameter's full values that have a name in a figure."""
        wanted = {value.token for value in self.of(key) if name in (value.label, value.full)}
        shots = (shot for shot in self.shots if self._token(shot, key) in wanted)
        return list(dict.fromkeys(str(shot.cell.params[key]) for shot in shots if key in shot.cell.params))

    def _all(self, key: str) -> dict[Hashable, Value]:
        if key not in self._found:
            self._found[key] = {value.token: value for value in self._read(key)}
        return self._found[key]

    def _read(self, key: str) -> Iterator[Value]:
        first: dict[Hashable, Shot] = {}
        for shot in self.shots:
            token = self._token(shot, key)
            if token is not None:
                first.setdefault(token, shot)
        if key == "prompt":
            for number, (token, shot) in enumerate(first.items(), 1):
                name, full = text.clean(_name(token)), text.clean(str(value_token(shot.cell, key)))
                label = name or (f"P{number}" if len(full) > _LONG else full)
                yield Value(token, label, full if name or len(full) > _LONG else "")
            return
        raw = {
            token: shot.output if key == OUTPUT else shot.cell.params.get(key, 1)
            for token, shot in first.items()
        }
        tokens = list(raw)
        if all(isinstance(value, int | float) for value in raw.values()):
            tokens.sort(key=lambda token: float(raw[token]))
        names = (
            _name(token) or str(raw[token] if key == "image" else value_text(key, raw[token]))
            for token in tokens
        )
        labels = distinct([text.clean(name) or "(empty)" for name in names])
        yield from map(Value, tokens, labels)

    def _token(self, shot: Shot, key: str) -> Hashable:
        """Equal for equal values, and for values of one name; None where the shot has no value."""
        if key == OUTPUT:
            return shot.output
        where = (key, id(shot.cell))
        if where not in self._tokens:
            plain = value_token(shot.cell, key)
            if key not in self._names:
                named = f"{key}.label"
                self._names[key] = {
                    value_token(cell, key): ("named", str(cell.params[named]))
                    for cell in self.results
                    if named in cell.params and key in cell.params
                }
            self._tokens[where] = self._names[key].get(plain, plain)
        return self._tokens[where]


def _name(token: Hashable) -> str:
    """The name that a person gave a value, or ""."""
    return str(token[1]) if isinstance(token, tuple) and token[0] == "named" else ""


@dataclass(frozen=True)
class Choice:
    """The content of a figure.

    Attributes:
        rows: parameters down the side, the outermost first.
        columns: parameters across the top, the outermost first.
        sheet: the parameter of a contact sheet, or ""; then rows and columns are empty.
        shots: in the order of the results.
        shown: parameters held at their first value, each with all of its values, that one first.
        picked: parameters and values the caller asked for, in words.
    """

    rows: tuple[str, ...]
    columns: tuple[str, ...]
    sheet: str
    shots: tuple[Shot, ...]
    shown: dict[str, list[Value]]
    picked: tuple[str, ...]

    @property
    def placed(self) -> tuple[str, ...]:
        """Every parameter that has a place of its own."""
        return (*self.rows, *self.columns, *((self.sheet,) if self.sheet else ()))


def choose(values: Values, rows: Keys, columns: Keys, where: Mapping[str, Any] | None) -> Choice:
    """Choose rows, columns and the slice of the other parameters.

    Raises:
        NotFound: no such parameter or value; names those that exist.
        SweepError: a parameter stands twice.
    """
    given_rows, given_columns = _listed(rows, "rows"), _listed(columns, "columns")
    values.check([*(given_rows or ()), *(given_columns or ())])
    shots, picked = _where(values, where)
    varying: list[str] = []
    for key in values.axes:
        # Of parameters that vary together, only the first.
        follows = any(
            values.determines(shots, (other,), key) and values.determines(shots, (key,), other)
            for other in varying
        )
        if len(values.present(shots, key)) > 1 and not follows:
            varying.append(key)
    down, across, sheet = _places(values, varying, given_rows, given_columns)
    placed = [key for key in (*down, *across, sheet) if key]
    shown: dict[str, list[Value]] = {}
    for key in values.axes:
        # A parameter that would put several shots at one place is held at its first value.
        if key not in placed and not values.determines(shots, placed, key):
            shown[key] = values.present(shots, key)
            shots = [shot for shot in shots if values.value(shot, key) == shown[key][0]]
    return Choice(down, across, sheet, tuple(shots), shown, picked)


def _listed(keys: Keys, what: str) -> tuple[str, ...] | None:
    if keys is None or isinstance(keys, str):
        return keys if keys is None else (keys,)
    if not isinstance(keys, Sequence) or not all(isinstance(key, str) for key in keys):
        raise SweepError(f"{what}: {keys!r:.60}, allowed is the name of a parameter or a list of names")
    return tuple(keys)


def _where(values: Values, where: Mapping[str, Any] | None) -> tuple[list[Shot], tuple[str, ...]]:
    if where is None:
        return list(values.shots), ()
    if not isinstance(where, Mapping):
        raise SweepError(f"where: {where!r:.60}, allowed is a mapping such as {{'seed': 1}}")
    wanted: dict[str, Any] = {}
    tokens: dict[str, set[Hashable]] = {}
    labels: dict[str, set[str]] = {}
    for key, given in where.items():
        several = list(given) if isinstance(given, _SEVERAL) else [given]
        if several and all(isinstance(one, Value) for one in several):
            values.check([key])  # values of an axis, as `values_of` returns them
            tokens[key] = {one.token for one in several}
        elif key in (OUTPUT, "repeat"):
            # Results know no outputs one by one, and an unset repeat is the first.
            labels[key] = {str(one) for one in several}
            there = [value.label for value in values.of(key)]
            if there and labels[key].isdisjoint(there):
                raise NotFound(f"{key}={given!r}: no cell has it, there are {', '.join(there)}")
        elif key == "prompt" and isinstance(given, str):
            # A prompt may also be picked by its name in the figure.
            wanted[key] = values.texts_called(key, given) or given
        else:
            wanted[key] = given
    kept = {id(cell) for cell in values.results.sel(**wanted)}
    shots = [
        shot
        for shot in values.shots
        if id(shot.cell) in kept
        and all(values.value(shot, key).label in labels[key] for key in labels)
        and all(values.value(shot, key).token in tokens[key] for key in tokens)
    ]
    words = []
    for key, asked in where.items():
        several = list(asked) if isinstance(asked, _SEVERAL) else [asked]
        names = [text.clean(one.label if isinstance(one, Value) else str(one)) for one in several]
        words.append(f"{key} {text.first_few(shortened(names, _SHORT), _LISTED)}")
    return shots, tuple(words)


def _places(
    values: Values, varying: Sequence[str], rows: tuple[str, ...] | None, columns: tuple[str, ...] | None
) -> tuple[tuple[str, ...], tuple[str, ...], str]:
    """Rows, columns and the contact sheet's parameter."""

    def kind(key: str) -> str:
        if key in _WORTH:
            return key
        numbers = all(value.label.replace(".", "", 1).isdigit() for value in values.of(key))
        return "number" if numbers else "word"

    free = [key for key in varying if key not in (*(rows or ()), *(columns or ()))]
    best = sorted(free, key=lambda key: _WORTH.index(kind(key)))
    if rows is None and columns is None:
        if len(best) < 2:
            return (), (), best[0] if best else ""
        down, across = sorted(best[:2], key=lambda key: _ROWNESS.index(kind(key)))
        return (down,), (across,), ""
    if rows is None:
        return tuple(best[:1]), columns or (), ""
    return rows, tuple(best[:1]) if columns is None else columns, ""


def parameters(results: Results) -> list[str]:
    """The parameters for rows or columns: everything with at least two values, swept ones first."""
    values = Values(results)
    keys = dict.fromkeys((*values.axes, *values.keys))
    return [key for key in keys if len(values.present(values.shots, key)) > 1]


def values_of(results: Results, key: str) -> list[tuple[str, Value]]:
    """The values of a parameter as labels and as `where={key: …}` takes them, in the order of an axis.

    Raises:
        NotFound: no cell has the parameter; names those that exist.
    """
    values = Values(results)
    values.check([key])
    return [(value.label, value) for value in values.present(values.shots, key)]


def rest(results: Results, rows: Sequence[str], columns: Sequence[str]) -> list[str]:
    """The parameters that still have to be picked, so that every place of a grid holds one picture.

    Those that follow from the others – paired values – are left out.
    """
    values = Values(results)
    placed = [key for key in (*rows, *columns) if key in values.keys]
    found: list[str] = []
    for key in values.axes:
        if key not in placed and not values.determines(values.shots, (*placed, *found), key):
            found.append(key)
    return found
