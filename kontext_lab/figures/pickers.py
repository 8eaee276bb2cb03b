"""What a person can pick from: parameters for rows and columns, and values of the rest. Pure, no widgets.

Values are handed out as what `where` takes, so that each picks exactly itself: also of prompts with long texts,
of pictures with one name, and where a cell lacks the parameter.
"""

from __future__ import annotations

from collections.abc import Sequence

from kontext_lab.figures.choosing import determines
from kontext_lab.figures.values import Value, Values
from kontext_lab.results import Results

__all__ = ["parameters", "rest", "values_of"]


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
