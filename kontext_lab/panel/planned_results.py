"""Results for the grid: the planned cells of a sweep with what the store has already, or several sweeps as one. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from kontext_lab.lab.plan import Action, Decision
from kontext_lab.results import CellResult, Output, Results, State
from kontext_lab.results.states import MISSING, PAID_AGAIN
from kontext_lab.sweep.axes import value_text
from kontext_lab.sweep.wording import short_prompt

if TYPE_CHECKING:
    from kontext_lab.lab.plan import Plan
from collections.abc import Sequence
from typing import Any

__all__ = ["described", "differences", "gathered", "output_at", "planned_results"]


def planned_results(plan: Plan, shown: Results | None) -> Results:
    """A plan's cells as results: waiting ones, and pictures of the same requests among those that are on show.

    Args:
        plan: what would be run.
        shown: results at hand, or None.
    """
    at_hand = {
        cell.fingerprint: cell for cell in shown or () if cell.state is State.DONE and cell.fingerprint
    }
    cells = [_planned(one, plan.service, at_hand) for one in plan.decisions]
    return Results(
        cells, name=plan.sweep.name, comparison_source=None if shown is None else shown.comparison_source
    )


def _planned(one: Decision, service: str, at_hand: Mapping[str, CellResult]) -> CellResult:
    cell = CellResult.from_cell(one.cell, service, one.fingerprint)
    there = at_hand.get(one.fingerprint)
    if there is not None:
        cell.state, cell.run_id = there.state, there.run_id
        cell.cost, cell.latency_s, cell.metrics = there.cost, there.latency_s, dict(there.metrics)
        cell.comment = there.comment
        # Copies, so that the outputs on show go on belonging to their own cell.
        cell.outputs = [replace(output, cell=cell) for output in there.outputs]
        return cell
    if one.action is Action.MISSING:
        cell.end(State.SKIPPED, MISSING, PAID_AGAIN)
    elif one.known is not None and one.action is not Action.SEND:
        day = f"{one.known.when.astimezone():%d %b}".lstrip("0")
        if one.known.state is State.DONE:
            cell.reused_from, cell.note = one.known.run_id, f"from {day}"
        else:
            cell.end(one.known.state, one.known.reason, f"left as it is, from {day}")
    elif one.action is Action.RECOVER:
        cell.note = "came before a crash, is logged first"
    elif one.action is Action.FOLLOW:
        cell.note = "the same as another cell, sent once"
    elif one.action is Action.LEAVE:
        cell.note = "beyond the limit"
    return cell


def output_at(cell: CellResult, number: int) -> Output:
    """A cell's output by its number; an empty one where there is none yet."""
    return next((one for one in cell.outputs if one.number == number), None) or Output(cell, max(1, number))


def described(cell: CellResult) -> list[str]:
    """What varied for a cell, a few words for each parameter."""
    found = []
    for key in cell.swept:
        if key in cell.params:
            value = cell.params.get(f"{key}.label") or cell.params[key]
            found.append(f"{key} {short_prompt(value if key == 'image' else value_text(key, value), 60)}")
    return found


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
    comparison_source = next(
        (one.comparison_source for one in sources.values() if one.comparison_source is not None), None
    )
    return Results(cells, name=" + ".join(sources), comparison_source=comparison_source)


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
