"""Results for the grid: the planned cells of a sweep with stored pictures, or several sweeps merged. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from kontext_lab.lab.plan import Action, Decision, Plan
from kontext_lab.results import CellResult, Output, Results, State
from kontext_lab.results.states import MISSING, PAID_AGAIN
from kontext_lab.sweep.axes import value_text
from kontext_lab.sweep.wording import short_prompt

__all__ = ["described", "differences", "merged", "output_at", "planned_results"]

_NOTES = {
    Action.RECOVER: "came before a crash, is logged first",
    Action.FOLLOW: "the same as another cell, sent once",
    Action.LEAVE: "beyond the limit",
}


def planned_results(plan: Plan, shown: Results | None) -> Results:
    """A plan's cells as results: waiting ones, and finished ones if the results on show have the same request."""
    finished = {
        cell.fingerprint: cell for cell in shown or () if cell.state is State.DONE and cell.fingerprint
    }
    cells = [
        _planned(decision, plan.service, finished.get(decision.fingerprint)) for decision in plan.decisions
    ]
    source = None if shown is None else shown.comparison_source
    return Results(cells, name=plan.sweep.name, comparison_source=source)


def _planned(decision: Decision, service: str, finished: CellResult | None) -> CellResult:
    cell = CellResult.from_cell(decision.cell, service, decision.fingerprint)
    if finished is not None:
        cell.state, cell.run_id = finished.state, finished.run_id
        cell.cost, cell.latency_s, cell.metrics = finished.cost, finished.latency_s, dict(finished.metrics)
        cell.comment = finished.comment
        # Copies, so that the outputs on show still belong to their own cell.
        cell.outputs = [replace(output, cell=cell) for output in finished.outputs]
        return cell
    known = decision.known
    if decision.action is Action.MISSING:
        cell.end(State.SKIPPED, MISSING, PAID_AGAIN)
    elif known is not None and decision.action is not Action.SEND:
        day = f"{known.when.astimezone():%d %b}".lstrip("0")
        if known.state is State.DONE:
            cell.reused_from, cell.note = known.run_id, f"from {day}"
        else:
            cell.end(known.state, known.reason, f"left as it is, from {day}")
    else:
        cell.note = _NOTES.get(decision.action, cell.note)
    return cell


def output_at(cell: CellResult, number: int) -> Output:
    """A cell's output by its number; an empty one if it has not come yet."""
    return next((one for one in cell.outputs if one.number == number), None) or Output(cell, max(1, number))


def described(cell: CellResult) -> list[str]:
    """The swept parameters of a cell, a few words each."""
    values = {
        key: cell.params.get(f"{key}.label") or cell.params[key] for key in cell.swept if key in cell.params
    }
    return [
        f"{key} {short_prompt(value if key == 'image' else value_text(key, value), 60)}"
        for key, value in values.items()
    ]


def merged(sources: Mapping[str, Results]) -> Results:
    """The cells of several results; the sweep becomes a parameter too if two have cells with the same parameters."""
    seen: dict[tuple[tuple[str, str], ...], str] = {}
    overlap = False
    for name, results in sources.items():
        for cell in results:
            params = tuple(sorted((key, str(value)) for key, value in cell.params.items()))
            overlap = overlap or seen.setdefault(params, name) != name
    cells = []
    for name, results in sources.items():
        for cell in results:
            copy = replace(cell, params={**cell.params, **({"sweep": name} if overlap else {})})
            copy.outputs = [replace(output, cell=copy) for output in cell.outputs]
            cells.append(copy)
    comparison_sources = (one.comparison_source for one in sources.values())
    source = next((one for one in comparison_sources if one is not None), None)
    return Results(cells, name=" + ".join(sources), comparison_source=source)


def differences(first: Output, second: Output) -> Sequence[tuple[str, str, str]]:
    """The parameters in which two outputs differ: name, and the value of each."""

    def all_values(output: Output) -> dict[str, str]:
        cell = output.cell
        values = {key: str(value) for key, value in cell.params.items()} | {"service": cell.service}
        if len(cell.outputs) > 1:
            values["output"] = str(output.number)
        if output.width:
            values["size"] = f"{output.width}×{output.height}"
        return values

    one, two = all_values(first), all_values(second)
    keys = [key for key in dict.fromkeys((*one, *two)) if not key.endswith(".label")]
    return [(key, one.get(key, "–"), two.get(key, "–")) for key in keys if one.get(key) != two.get(key)]
