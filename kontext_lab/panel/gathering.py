"""Several sweeps' results as one, for comparing: what they differ in becomes an axis. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from kontext_lab.results import CellResult, Output, Results

__all__ = ["differences", "gathered"]

SWEEP = "sweep"


def gathered(sources: Mapping[str, Results]) -> Results:
    """All cells together.

    Where cells of different sweeps stand at the same parameters, the sweep itself is a parameter, too.

    Args:
        sources: results by what they are called; the names differ.
    """
    seen: dict[tuple[tuple[str, str], ...], str] = {}
    meet = False
    for name, results in sources.items():
        for cell in results:
            place = tuple(sorted((key, str(value)) for key, value in cell.params.items()))
            meet = meet or seen.setdefault(place, name) != name
    cells = [
        _copied(cell, {SWEEP: name} if meet else {}) for name, results in sources.items() for cell in results
    ]
    beside = next((one.beside for one in sources.values() if one.beside is not None), None)
    return Results(cells, name=" + ".join(sources), beside=beside)


def _copied(cell: CellResult, more: Mapping[str, Any]) -> CellResult:
    """A copy with further parameters; its outputs are copies as well, and belong to it."""
    made = replace(cell, params={**cell.params, **more})
    made.outputs = [replace(output, cell=made) for output in cell.outputs]
    return made


def differences(first: Output, second: Output) -> Sequence[tuple[str, str, str]]:
    """The parameters in which two outputs differ: name, and how each has it."""
    one, two = _all(first), _all(second)
    keys = [key for key in dict.fromkeys((*one, *two)) if not key.endswith(".label")]
    return [(key, one.get(key, "–"), two.get(key, "–")) for key in keys if one.get(key) != two.get(key)]


def _all(output: Output) -> dict[str, str]:
    cell = output.cell
    found = {key: str(value) for key, value in cell.params.items()}
    found |= {"service": cell.service}
    if len(cell.outputs) > 1:
        found["output"] = str(output.number)
    if output.width:
        found["size"] = f"{output.width}×{output.height}"
    return found
