"""An output described in words and tables. Pure: markup out of values, everything escaped."""

from __future__ import annotations

import html
import json
from collections.abc import Iterable, Sequence
from contextlib import suppress

from kontext_lab.panel.planned_results import described
from kontext_lab.request import MATCH_INPUT
from kontext_lab.results import CellResult, Output
from kontext_lab.results.labels import VERDICT, criterion_of

__all__ = [
    "described",
    "details_html",
    "facts_html",
    "measured_text",
    "state_text",
    "table_html",
    "verdict_texts",
]

_GLOBAL = ("preserve/ssim", "preserve/psnr_db", "preserve/delta_e")
"""Metrics of everything that did not change; the others of their kind are of a box."""


def state_text(output: Output) -> str:
    """State and reason of an output without a picture."""
    cell = output.cell
    if output.reason:
        return f"{output.reason}: {output.note}" if output.note else output.reason
    return " · ".join(filter(None, (str(cell.state).replace("_", " "), cell.reason)))


def verdict_texts(output: Output) -> dict[str, str]:
    """The verdicts on an output: criterion to `pass` or `fail`."""
    return {
        criterion_of(key): "pass" if value == 1 else "fail"
        for key, value in output.metrics.items()
        if key.startswith(VERDICT)
    }


def facts_html(output: Output, answer: str = "") -> str:
    """Size, seed, cost, time and measured values, as lines of HTML; `answer` is the service's answer as JSON, or ""."""
    cell, parts = output.cell, []
    if output.width:
        size = (output.width, output.height)
        ratio = str(cell.params.get("aspect_ratio", MATCH_INPUT)).replace("_", " ")
        parts += [f"{size[0]}×{size[1]} {output.format}", f"ratio {size[0] / size[1]:.3f}, asked for {ratio}"]
        expected = cell.request.expected_size if cell.request is not None else (0, 0)
        if expected not in ((0, 0), size):
            parts.append(f"expected {expected[0]}×{expected[1]}")
    sent, answered = cell.params.get("seed"), None
    with suppress(ValueError, AttributeError):  # not JSON, or not an object
        answered = json.loads(answer).get("seed")
    parts.append(f"seed {sent}" if answered in (None, sent) else f"seed {sent}, the service says {answered}")
    parts.append(f"${cell.cost:.3f}" + (" simulated" if cell.simulated else ""))
    if cell.latency_s is not None:
        parts.append(f"{cell.latency_s:.1f} s")
    if cell.reused_from:
        parts.append(f"reused from run {cell.reused_from[:8]}")
    if cell.run_id:
        parts.append(f"run {cell.run_id[:8]}")
    lines = filter(None, (" · ".join(parts), measured_text(output)))
    return "".join(f'<div class="kl-muted">{html.escape(line)}</div>' for line in lines)


def measured_text(output: Output) -> str:
    """Change and preservation in one line; "" if they were not measured."""
    values = output.metrics
    if values.get("align/registered") == 0:
        return "measured: a new picture that does not line up with the reference"
    if "change/area" not in values:
        return ""
    parts = [f"{values['change/area']:.1%} changed"]
    if "preserve/ssim" in values:
        parts.append(f"the rest kept: similarity {values['preserve/ssim']:.3f}")
    if "preserve/delta_e" in values:
        parts.append(f"colour off by {values['preserve/delta_e']:.1f}")
    boxes = [name for name in sorted(values) if name.startswith("preserve/") and name not in _GLOBAL]
    parts += [f"{name.removeprefix('preserve/')} kept: {values[name]:.3f}" for name in boxes]
    if "first/change/area" in values:
        parts.append(f"against the first picture of the chain {values['first/change/area']:.1%} changed")
    flags = [name for name, value in values.items() if name.startswith("flag/") and value]
    parts += [name.removeprefix("flag/").replace("_", " ") for name in flags]
    return "measured: " + " · ".join(parts)


def table_html(rows: Iterable[Sequence[str]], *, head: str = "", name: str = "") -> str:
    """A table as HTML, each row with a heading; `head` is its first row, `name` its CSS class."""
    lines = []
    for key, *texts in rows:
        cells = "".join(f"<td>{html.escape(text)}</td>" for text in texts)
        lines.append(f"<tr><th>{html.escape(key)}</th>{cells}</tr>")
    return f'<table class="{name}">{head}{"".join(lines)}</table>'


def details_html(cell: CellResult, answer: str = "") -> str:
    """Every parameter, the request and the answer, folded away."""
    parts = [("Parameters", table_html((key, str(value)) for key, value in cell.params.items()))]
    measured = [
        (name, f"{output.metrics[name]:.6g}", f"output {output.number}" if len(cell.outputs) > 1 else "")
        for output in cell.outputs
        for name in sorted(output.metrics)
    ]
    if measured:
        parts.append(("Measured", table_html(measured)))
    if cell.request is not None:
        body = json.dumps(cell.request.logged_payload(), indent=1, ensure_ascii=False)
        parts.append(("Request", f"<pre>{html.escape(body)}</pre>"))
    if answer:
        parts.append(("Answer", f"<pre>{html.escape(answer)}</pre>"))
    return "".join(
        f'<details class="kl-details"><summary>{name}</summary>{content}</details>' for name, content in parts
    )
