"""The contents of runs as plain values: tags, params, metrics, request and answer, under fixed names. Pure."""

from __future__ import annotations

import html
import json
import re
import time
import uuid
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import UTC
from typing import Any

from mlflow.entities import Metric, Param

from kontext_lab.images import Origin
from kontext_lab.request import DEFAULT, FIELDS, decimal_text
from kontext_lab.request.attempt import Attempt
from kontext_lab.results import CellResult, Output, Results, State
from kontext_lab.sweep import Sweep
from kontext_lab.sweep.axes import REFERENCE_KEYS, value_text
from kontext_lab.sweep.wording import shortened

__all__ = [
    "BOOKED",
    "COUNTED",
    "HIDDEN",
    "MEASURED",
    "METRICS",
    "NOTE",
    "cell_metrics",
    "cell_tags",
    "cost_of",
    "latest_by_step",
    "milliseconds",
    "note",
    "parent_tag",
    "preview_names",
    "request_facts",
    "response_facts",
    "sweep_params",
    "to_params",
]

BOOKED = ("cost/", "time/", "output/")
"""Prefixes of values that a request brought with it. All others are assessments: each at the step of its output, NaN
if withdrawn."""

MEASURED = ("change/", "preserve/", "align/", "flag/", "first/")
"""Prefixes of the values that `lab.measure` measures; `first/` against the first picture of a chain."""

METRICS = "kontext.metrics"
"""The tag with the recipe of a cell's measured values: its version, and boxes if there are any."""

NOTE = "mlflow.note.content"
"""The tag that MLflow's own pages show as a run's description."""

HIDDEN = "kontext.hidden"

_MOST_USD = 1e12
"""More than any sum of costs; MLflow keeps infinity as a number close to the largest there is."""

_MARKDOWN = re.compile(r"[\\`*_\[\]]")

LONGEST_PARAM = 6000
"""MLflow cuts longer ones with a warning; the full text is in request.json."""

LONGEST_TAG = 4000

COUNTED = (State.DONE, State.FAILED, State.IN_DOUBT, State.SKIPPED, State.CANCELLED)
"""The states whose cells the parent run counts, as `cells/<state>`."""

LISTED_VALUES = 12
"""Most values of an axis that a summary lists."""

MOST_BRACKETS = 200
"""An answer needs about ten; one with many may be nested as deeply."""


def sweep_params(sweep: Sweep) -> dict[str, Any]:
    """Parameters of the parent run: the fixed ones, the axes as JSON, the number of cells."""

    def written(key: str, value: Any) -> Any:
        if key in REFERENCE_KEYS:
            return value_text(key, value)
        return int(value) if isinstance(value, float) and value.is_integer() else value

    fixed = sweep.fixed
    swept = {key for axis in sweep.axes for key in axis.keys}
    params: dict[str, Any] = {
        key: fixed.get(key, sweep.cells[0].params.get(key, DEFAULT)) for key in FIELDS if key not in swept
    }
    if "images" in fixed:
        params["image"] = value_text("images", fixed["images"])
    if "repeat" in fixed:
        params["repeat"] = fixed["repeat"]
    params["axes"] = json.dumps({axis.key: axis.written(written) for axis in sweep.axes}, ensure_ascii=False)
    params["cells"] = len(sweep)
    return params


def to_params(values: Mapping[str, Any]) -> list[Param]:
    """Values as MLflow's params, numbers as plain decimal text."""
    texts = {
        key: decimal_text(value) if isinstance(value, int | float) else str(value)
        for key, value in values.items()
    }
    return [Param(key, text[:LONGEST_PARAM]) for key, text in texts.items()]


def cell_tags(
    cell: CellResult, parent_id: str, index: int, previews: Mapping[int, tuple[str, str]]
) -> dict[str, str]:
    """The tags by which a cell is found and read back."""
    tags = {
        "mlflow.parentRunId": parent_id,
        "kontext.kind": "cell",
        "kontext.cell": str(index),
        "kontext.swept": " ".join(cell.swept),
        "kontext.fingerprint": cell.fingerprint,
        "kontext.service": cell.service,
        "kontext.state": str(cell.state),
        "kontext.reason": cell.reason,
        "kontext.note": cell.note[:LONGEST_TAG],
        # Written also without outputs: an earlier attempt at the same cell may have had some.
        "kontext.output_sha256": ",".join(output.sha256 for output in cell.outputs),
        "kontext.output_phash": ",".join(output.phash for output in cell.outputs),
        "kontext.outputs": json.dumps([_output_facts(one, previews.get(one.number)) for one in cell.outputs]),
        **parent_tag(cell.parents),
    }
    if cell.arrived:
        tags["kontext.arrived"] = cell.arrived.astimezone(UTC).isoformat()
    if previews:
        tags["mlflow.loggedImages"] = "True"
    return tags


def parent_tag(origins: Iterable[Origin]) -> dict[str, str]:
    """The tag that links a run to the outputs that its references are; empty if none of them is an output."""
    linked = ",".join(str(origin) for origin in origins)
    return {"kontext.parent_output": linked} if linked else {}


def _output_facts(output: Output, preview: tuple[str, str] | None) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "file": f"outputs/{output.file_name}" if output.sha256 else "",
        "sha256": output.sha256,
        "bytes": len(output.bytes) if output.sha256 else 0,
        "phash": output.phash,
        "format": output.format,
        "width": output.width,
        "height": output.height,
        "reason": output.reason,
        "note": output.note[:300],
        "preview": preview[1] if preview else "",
    }
    return {key: value for key, value in facts.items() if value}


def preview_names(output: Output) -> tuple[str, str]:
    """MLflow's names for a picture logged with `key="output"` and a step: the full one and the small one.

    MLflow's own call encodes a PNG and a WebP in 107 ms, twice the rest of a cell's time. Its pages take WebP for
    both, so the preview is encoded once, by the worker.
    """
    stem = f"images/output+step+{output.number - 1}+timestamp+{milliseconds()}+{uuid.uuid4()}"
    return f"{stem}.webp", f"{stem}+compressed.webp"


def cell_metrics(cell: CellResult, attempt: Attempt) -> list[Metric]:
    """Money, time and size; those of an output at its own step."""
    now = milliseconds()
    values = {"cost/usd": cell.cost}
    if attempt.answer is not None:
        values["time/latency_s"] = round(attempt.answer.latency_s, 3)
    metrics = [Metric(key, value, now, 0) for key, value in {**values, **cell.metrics}.items()]
    for output in cell.outputs:
        if output.sha256:
            facts = {"width": output.width, "height": output.height, "bytes": len(output.bytes)}
            step = output.number - 1
            metrics += [Metric(f"output/{key}", float(value), now, step) for key, value in facts.items()]
    return metrics


def request_facts(cell: CellResult, attempt: Attempt) -> dict[str, Any]:
    """The contents of `request.json`: the request with references as digests, without a key."""
    request = cell.request
    if request is None:
        return {"client_request_id": attempt.client_request_id}
    return {
        "client_request_id": attempt.client_request_id,
        "service": cell.service,
        "fingerprint": cell.fingerprint,
        "params": cell.params,
        "expected_size": list(request.expected_size),
        "body": request.logged_payload(),
        "references": [
            {
                "name": reference.name,
                "digest": reference.digest,
                "url": reference.address or None,
                "sha256": reference.sha256,
                "origin": str(reference.origin) if reference.origin else None,
                "original_size": list(reference.original_size),
                "sent_size": list(reference.sent_size),
            }
            for reference in request.images
        ],
    }


def response_facts(attempt: Attempt) -> dict[str, Any]:
    """The contents of `response.json`: the answer, or the reason why there is none."""
    if attempt.answer is None:
        error = attempt.error
        return {
            "error": type(error).__name__,
            "message": str(error),
            "status": error.status if error else None,
            "request_id": error.request_id if error else None,
            "body": error.body if error else "",
        }
    answer = attempt.answer
    body: Any = answer.raw
    # An answer nested deeper than Python can write, or one that is not JSON, stays text.
    if answer.raw.count("[") + answer.raw.count("{") <= MOST_BRACKETS:
        with suppress(ValueError):
            body = json.loads(answer.raw)
    return {
        "simulated": answer.simulated,
        "cost_usd": answer.cost_usd,
        "cost_source": answer.cost_source,
        "seed": answer.seed,
        "headers": dict(answer.headers),
        "body": body,
    }


def note(results: Results) -> str:
    """A short summary in markdown; names and prompts are data, so they contain no HTML and no markdown."""
    lines = [f"**{_escaped(results.name)}**", "", _escaped(results.summary)]
    if results.simulated:
        lines += ["", "Simulated pictures: made by the sandbox, not by the model."]
    lines.append("")
    for key in results.axes:
        labels = [" ".join(results.label(key, value).split()) for value in results.values(key)]
        texts = [_escaped(label) for label in shortened(labels[:LISTED_VALUES], 60, labels)]
        more = f" … {len(labels)} in all" if len(labels) > LISTED_VALUES else ""
        lines.append(f"- {_escaped(key)}: {', '.join(texts)}{more}")
    return "\n".join((*lines, "", *(_escaped(note) for note in results.notes))).strip()


def _escaped(text: str) -> str:
    """Text as one line of markdown without HTML, links, or pictures from elsewhere."""
    return html.escape(_MARKDOWN.sub(r"\\\g<0>", " ".join(text.split())))


def cost_of(metrics: Mapping[str, float]) -> float:
    """The recorded cost of a run in US dollars; 0 if another program recorded something that is not an amount."""
    cost = float(metrics.get("cost/usd", 0.0))
    return cost if 0 <= cost < _MOST_USD else 0.0


def milliseconds() -> int:
    """The current time as MLflow counts it."""
    return int(time.time() * 1000)


def latest_by_step(history: Iterable[Metric]) -> dict[int, Metric]:
    """The latest metric of each step."""
    latest: dict[int, Metric] = {}
    for metric in history:
        if metric.step not in latest or metric.timestamp > latest[metric.step].timestamp:
            latest[metric.step] = metric
    return latest
