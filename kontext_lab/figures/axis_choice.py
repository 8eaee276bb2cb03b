"""Chooses the parameters on rows and columns, and the slice of the other parameters. Pure."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kontext_lab.errors import NotFound, SweepError
from kontext_lab.figures import text
from kontext_lab.figures.axis_values import OUTPUT, Shot, Value, Values
from kontext_lab.results import Results
from kontext_lab.sweep.wording import shortened

__all__ = ["Choice", "Keys", "Shown", "choose", "determines", "parameters", "rest", "values_of"]


Keys = str | Sequence[str] | None
"""A parameter, several to be nested, none (an empty list), or None: whatever suits."""

_SEVERAL = (list, tuple, set, range)
_LISTED, _SHORT = 6, 60

# Two orders over kinds of parameters. What is worth showing first where there are more than two axes:
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
# … and what reads better as a row than as a column: long labels to the left, replicates side by side.
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
class Shown:
    """A parameter of which only one value is shown.

    Attributes:
        key: its name.
        value: what is shown.
        others: what there is besides.
    """

    key: str
    value: Value
    others: tuple[Value, ...]


@dataclass(frozen=True)
class Choice:
    """What a figure shows.

    Attributes:
        rows: parameters down the side, the outermost first.
        columns: parameters across the top, the outermost first.
        sheet: the parameter of a contact sheet, or ""; then rows and columns are empty.
        shots: what is shown, in the order of the results.
        shown: parameters held at their first value.
        picked: parameters and values the caller asked for, in words.
    """

    rows: tuple[str, ...]
    columns: tuple[str, ...]
    sheet: str
    shots: tuple[Shot, ...]
    shown: tuple[Shown, ...]
    picked: tuple[str, ...]

    @property
    def placed(self) -> tuple[str, ...]:
        """Every parameter that has a place of its own."""
        return (*self.rows, *self.columns, *((self.sheet,) if self.sheet else ()))


def choose(values: Values, rows: Keys, columns: Keys, where: Mapping[str, Any] | None) -> Choice:
    """Decide what stands where.

    Raises:
        NotFound: no such parameter or value; names what there is.
        SweepError: a parameter stands twice.
    """
    given_rows, given_columns = _listed(rows, "rows"), _listed(columns, "columns")
    values.check([*(given_rows or ()), *(given_columns or ())])
    shots, picked = _where(values, where)
    varying = _independent(values, shots)
    down, across, sheet = _places(values, varying, given_rows, given_columns)
    kept, shown = _first_values(values, shots, (*down, *across, sheet))
    return Choice(down, across, sheet, tuple(kept), tuple(shown), picked)


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
    wanted = dict(where)
    # Results know no outputs one by one, and an unset repeat is the first.
    exact = {key: _exact(wanted.pop(key)) for key in list(wanted) if _is_exact(wanted[key])}
    values.check(list(exact))
    own = {key: _asked(values, key, wanted.pop(key)) for key in (OUTPUT, "repeat") if key in wanted}
    if isinstance(wanted.get("prompt"), str):
        # A prompt may also be picked by what the figure calls it.
        wanted["prompt"] = values.texts_called("prompt", wanted["prompt"]) or wanted["prompt"]
    kept = {id(cell) for cell in values.results.sel(**wanted)}
    shots = [
        shot
        for shot in values.shots
        if id(shot.cell) in kept
        and all(values.value(shot, key).label in own[key] for key in own)
        and all(values.value(shot, key).token in exact[key] for key in exact)
    ]
    return shots, tuple(f"{key} {_words(where[key])}" for key in where)


def _is_exact(wanted: Any) -> bool:
    """Whether a value of an axis itself is asked for, as pickers hand them out."""
    several = list(wanted) if isinstance(wanted, _SEVERAL) else [wanted]
    return bool(several) and all(isinstance(one, Value) for one in several)


def _exact(wanted: Any) -> set[Hashable]:
    several = wanted if isinstance(wanted, _SEVERAL) else (wanted,)
    return {one.token for one in several if isinstance(one, Value)}


def _asked(values: Values, key: str, wanted: Any) -> set[str]:
    """The labels of the values asked for, one at least of which is there."""
    asked = {str(one) for one in (wanted if isinstance(wanted, _SEVERAL) else [wanted])}
    there = [value.label for value in values.of(key)]
    if there and not asked & set(there):
        raise NotFound(f"{key}={wanted!r}: no cell has it, there are {', '.join(there)}")
    return asked


def _words(wanted: Any) -> str:
    several = list(wanted) if isinstance(wanted, _SEVERAL) else [wanted]
    names = [text.clean(one.label if isinstance(one, Value) else str(one)) for one in several]
    more = f" … ({len(names)})" if len(names) > _LISTED else ""
    return ", ".join(shortened(names, _SHORT)[:_LISTED]) + more


def _independent(values: Values, shots: Sequence[Shot]) -> list[str]:
    """What varies among the shots; of parameters that vary together, only the first."""
    found: list[str] = []
    for key in values.axes:
        if len(values.present(shots, key)) > 1 and not any(
            determines(values, shots, (other,), key) and determines(values, shots, (key,), other)
            for other in found
        ):
            found.append(key)
    return found


def determines(values: Values, shots: Sequence[Shot], keys: Sequence[str], key: str) -> bool:
    """Whether equal values of `keys` always go with one value of `key`."""
    seen: dict[tuple[Value, ...], Value] = {}
    return all(
        seen.setdefault(tuple(values.value(shot, one) for one in keys), values.value(shot, key))
        == values.value(shot, key)
        for shot in shots
    )


def _places(
    values: Values, varying: Sequence[str], rows: tuple[str, ...] | None, columns: tuple[str, ...] | None
) -> tuple[tuple[str, ...], tuple[str, ...], str]:
    """Rows, columns and the contact sheet's parameter."""
    free = [key for key in varying if key not in (*(rows or ()), *(columns or ()))]
    best = sorted(free, key=lambda key: _WORTH.index(_kind(values, key)))
    if rows is None and columns is None:
        if len(best) < 2:
            return (), (), best[0] if best else ""
        down, across = sorted(best[:2], key=lambda key: _ROWNESS.index(_kind(values, key)))
        return (down,), (across,), ""
    if rows is None:
        return tuple(best[:1]), columns or (), ""
    return rows, tuple(best[:1]) if columns is None else columns, ""


def _kind(values: Values, key: str) -> str:
    if key in _WORTH:
        return key
    return "number" if all(value.label.replace(".", "", 1).isdigit() for value in values.of(key)) else "word"


def _first_values(
    values: Values, shots: Sequence[Shot], placed: Sequence[str]
) -> tuple[list[Shot], list[Shown]]:
    """The shots at the first value of every parameter that would put several at one place."""
    kept, shown = list(shots), []
    keys = [key for key in placed if key]
    for key in values.axes:
        if key in keys or determines(values, kept, keys, key):
            continue
        first, *others = values.present(kept, key)
        shown.append(Shown(key, first, tuple(others)))
        kept = [shot for shot in kept if values.value(shot, key) == first]
    return kept, shown


def parameters(results: Results) -> list[str]:
    """What can stand on rows or columns: everything with at least two values, what was swept first."""
    values = Values(results)
    keys = dict.fromkeys((*values.axes, *values.keys))
    return [key for key in keys if len(values.present(values.shots, key)) > 1]


def values_of(results: Results, key: str) -> list[tuple[str, Value]]:
    """The values of a parameter as labels and as what `where={key: …}` takes, in the order of an axis.

    Raises:
        NotFound: no cell has the parameter; names what there is.
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
        if key not in placed and not determines(values, values.shots, (*placed, *found), key):
            found.append(key)
    return found
