"""What is to be said of an output, in words and tables. Pure: markup out of values, everything escaped."""

from __future__ import annotations

import html
import json
from collections.abc import Iterator

from kontext_lab.panel.planned_results import described
from kontext_lab.request import MATCH_INPUT
from kontext_lab.results import CellResult, Output
from kontext_lab.results.labels import VERDICT, criterion_of

__all__ = ["details_of", "facts_of", "measured_in_words", "state_of", "title_of", "verdicts_in_words"]

_WHOLE = ("preserve/ssim", "preserve/psnr_db", "preserve/delta_e")
"""Of everything that did not change; all others are of a box."""


def title_of(cell: CellResult) -> str:
    """What varied for a cell, else its title."""
    return " · ".join(described(cell)) or cell.title


def state_of(output: Output) -> str:
    """Why there is no picture: state and reason, in words."""
    cell = output.cell
    if output.reason:
        return f"{output.reason}: {output.note}" if output.note else output.reason
    return " · ".join(filter(None, (str(cell.state).replace("_", " "), cell.reason)))


def verdicts_in_words(output: Output) -> dict[str, str]:
    """What was said of an output: criterion to `pass` or `fail`."""
    return {
        criterion_of(key): "pass" if value == 1 else "fail"
        for key, value in output.metrics.items()
        if key.startswith(VERDICT)
    }


def facts_of(output: Output, answer: str = "") -> str:
    """Asked for against what came, cost, time: one line of markup.

    Args:
        output: of which.
        answer: what the service answered, as JSON text, where it is at hand.
    """
    cell = output.cell
    parts = [*_size(output), _seed(cell, answer)]
    parts.append(f"${cell.cost:.3f}" + (" simulated" if cell.simulated else ""))
    if cell.latency_s is not None:
        parts.append(f"{cell.latency_s:.1f} s")
    if cell.reused_from:
        parts.append(f"reused from run {cell.reused_from[:8]}")
    if cell.run_id:
        parts.append(f"run {cell.run_id[:8]}")
    lines = [" · ".join(parts), *filter(None, [measured_in_words(output)])]
    return "".join(f'<div class="kl-muted">{html.escape(line)}</div>' for line in lines)


def measured_in_words(output: Output) -> str:
    """How much changed and how well the rest was kept, read together; "" where it was not measured."""
    values = output.metrics
    if values.get("align/registered") == 0:
        return "measured: a new picture, nothing of the reference is in its place"
    if "change/area" not in values:
        return ""
    parts = [f"{values['change/area']:.1%} changed"]
    if "preserve/ssim" in values:
        parts.append(f"the rest kept: similarity {values['preserve/ssim']:.3f}")
    if "preserve/delta_e" in values:
        parts.append(f"colour off by {values['preserve/delta_e']:.1f}")
    boxes = [name for name in sorted(values) if name.startswith("preserve/") and name not in _WHOLE]
    parts += [f"{name.removeprefix('preserve/')} kept: {values[name]:.3f}" for name in boxes]
    if "first/change/area" in values:
        parts.append(f"against the first picture of the chain {values['first/change/area']:.1%} changed")
    flags = [
        name.removeprefix("flag/").replace("_", " ")
        for name, value in values.items()
        if name.startswith("flag/") and value
    ]
    return "measured: " + " · ".join([*parts, *flags])


def _size(output: Output) -> list[str]:
    """The size that came, and the one that was expected where that is another."""
    if not output.width:
        return []
    cell, came = output.cell, (output.width, output.height)
    asked = str(cell.params.get("aspect_ratio", MATCH_INPUT)).replace("_", " ")
    found = [f"{came[0]}×{came[1]} {output.format}", f"ratio {came[0] / came[1]:.3f}, asked for {asked}"]
    expected = cell.request.expected_size if cell.request is not None else (0, 0)
    if expected not in ((0, 0), came):
        found.append(f"expected {expected[0]}×{expected[1]}")
    return found


def _seed(cell: CellResult, answer: str) -> str:
    """The seed that was sent, and the one the service names where that is another."""
    sent = cell.params.get("seed")
    try:
        read = json.loads(answer) if answer else {}
    except ValueError:
        read = {}
    named = read.get("seed") if isinstance(read, dict) else None
    return f"seed {sent}" if named in (None, sent) else f"seed {sent}, the service says {named}"


def _values(cell: CellResult) -> Iterator[tuple[str, str, float]]:
    """Everything that was measured of a cell's outputs, with the output's name where there are several."""
    for output in cell.outputs:
        number = f"output {output.number}" if len(cell.outputs) > 1 else ""
        for name in sorted(output.metrics):
            yield number, name, output.metrics[name]


def details_of(cell: CellResult, answer: str = "") -> str:
    """Every parameter, the request and the answer, folded away."""
    rows = "".join(
        f"<tr><th>{html.escape(key)}</th><td>{html.escape(str(value))}</td></tr>"
        for key, value in cell.params.items()
    )
    parts = [("Parameters", f"<table>{rows}</table>")]
    measured = "".join(
        f"<tr><th>{html.escape(name)}</th><td>{value:.6g}</td><td>{number}</td></tr>"
        for number, name, value in _values(cell)
    )
    if measured:
        parts.append(("Measured", f"<table>{measured}</table>"))
    if cell.request is not None:
        body = json.dumps(cell.request.logged_payload(), indent=1, ensure_ascii=False)
        parts.append(("Request", f"<pre>{html.escape(body)}</pre>"))
    if answer:
        parts.append(("Answer", f"<pre>{html.escape(answer)}</pre>"))
    return "".join(
        f'<details class="kl-details"><summary>{name}</summary>{inside}</details>' for name, inside in parts
    )
