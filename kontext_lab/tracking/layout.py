"""What a run holds, as plain values: tags, params, metrics, request and answer, laid out under fixed names.

Pure: nothing here talks to the store.
"""

from __future__ import annotations

import html
import json
import re
import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC
from typing import Any

from mlflow.entities import Metric, Param

from kontext_lab.images import Origin
from kontext_lab.request import DEFAULT, FIELDS, decimal_text
from kontext_lab.request.attempt import Attempt
from kontext_lab.results import CellResult, Output, Results
from kontext_lab.sweep import Axis, Sweep
from kontext_lab.sweep.axes import REFERENCE_KEYS, value_text
from kontext_lab.sweep.wording import shortened

__all__ = [
    "cell_metrics",
    "cell_tags",
    "cost_of",
    "milliseconds",
    "note",
    "parent_tag",
    "preview_names",
    "request_facts",
    "response_facts",
    "sweep_params",
    "to_params",
]

_MOST_USD = 1e12
"""More than any sum of costs; MLflow keeps infinity as a number close to the largest there is."""

_MARKDOWN = re.compile(r"[\\`*_\[\]]")

LONGEST_PARAM = 6000
"""MLflow cuts longer ones with a warning; the full text is in request.json."""

LONGEST_TAG = 4000

MOST_BRACKETS = 200
"""An answer needs about ten; what has many may be nested as deeply."""


def sweep_params(sweep: Sweep) -> dict[str, Any]:
    """Parameters of the parent run: the fixed ones, the axes as JSON, the number of cells."""
    fixed = sweep.fixed
    swept = {key for axis in sweep.axes for key in axis.keys}
    params: dict[str, Any] = {
        key: fixed.get(key, sweep.cells[0].params.get(key, DEFAULT)) for key in FIELDS if key not in swept
    }
    if "images" in fixed:
        params["image"] = value_text("images", fixed["images"])
    if "repeat" in fixed:
        params["repeat"] = fixed["repeat"]
    params["axes"] = json.dumps({axis.key: _axis_values(axis) for axis in sweep.axes}, ensure_ascii=False)
    params["cells"] = len(sweep)
    return params


def _axis_values(axis: Axis) -> Any:
    """A list, or a mapping where values have names, as they were given."""
    entries = [
        [_plain(key, part) for key, part in zip(axis.keys, entry, strict=True)]
        if len(axis.keys) > 1
        else _plain(axis.keys[0], entry[0])
        for entry in axis.values
    ]
    return dict(zip(axis.labels, entries, strict=True)) if all(axis.labels) else entries


def _plain(key: str, value: Any) -> Any:
    if key in REFERENCE_KEYS:
        return value_text(key, value)
    return int(value) if isinstance(value, float) and value.is_integer() else value


def to_params(values: Mapping[str, Any]) -> list[Param]:
    """Values as MLflow's params, numbers as plain decimal text."""
    return [Param(key, _text(value)[:LONGEST_PARAM]) for key, value in values.items()]


def _text(value: Any) -> str:
    return decimal_text(value) if isinstance(value, int | float) else str(value)


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
    }
    # Written also where there are none: an earlier attempt at the same cell may have had some.
    tags["kontext.output_sha256"] = ",".join(output.sha256 for output in cell.outputs)
    tags["kontext.output_phash"] = ",".join(output.phash for output in cell.outputs)
    tags["kontext.outputs"] = json.dumps(
        [_output_facts(output, previews.get(output.number)) for output in cell.outputs]
    )
    tags |= parent_tag(cell.parents)
    if cell.arrived:
        tags["kontext.arrived"] = cell.arrived.astimezone(UTC).isoformat()
    if previews:
        tags["mlflow.loggedImages"] = "True"
    return tags


def parent_tag(origins: Iterable[Origin]) -> dict[str, str]:
    """The tag that links a run to the outputs its references are; none where they are none."""
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
    """The names MLflow gives to a picture logged with `key="output"` and a step: the full one and the small.

    Written by hand, since its own call encodes a PNG and a WebP in 107 ms, twice what all else of a cell takes.
    Its pages take WebP for both, so the preview is encoded once, by the worker; a test looks at those pages.
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
        facts = {
            "width": output.width,
            "height": output.height,
            "bytes": len(output.bytes) if output.sha256 else 0,
        }
        step = output.number - 1
        metrics += [
            Metric(f"output/{key}", float(value), now, step) for key, value in facts.items() if output.sha256
        ]
    return metrics


def request_facts(cell: CellResult, attempt: Attempt) -> dict[str, Any]:
    """`request.json`: what was sent, references as digests, no key."""
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
    """`response.json`: what came back, or why nothing did."""
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
    return {
        "simulated": answer.simulated,
        "cost_usd": answer.cost_usd,
        "cost_source": answer.cost_source,
        "seed": answer.seed,
        "headers": dict(answer.headers),
        "body": _readable(answer.raw),
    }


def _readable(raw: str) -> Any:
    """An answer as JSON to look into; as text where it is none, or may be nested deeper than Python can write."""
    try:
        return json.loads(raw) if raw.count("[") + raw.count("{") <= MOST_BRACKETS else raw
    except ValueError:
        return raw


def note(results: Results) -> str:
    """A short summary in markdown; names and prompts are data, so nothing in them is HTML or markdown."""
    lines = [f"**{_escaped(results.name)}**", "", _escaped(results.summary)]
    if results.simulated:
        lines += ["", "Simulated pictures: made by the sandbox, not by the model."]
    axes = [f"- {_escaped(key)}: {_axis_line(results, key)}" for key in results.axes]
    return "\n".join((*lines, "", *axes, "", *(_escaped(note) for note in results.notes))).strip()


def _axis_line(results: Results, key: str, most: int = 12) -> str:
    values: Sequence[Any] = results.values(key)
    labels = [" ".join(results.label(key, value).split()) for value in values]
    shown = [_escaped(label) for label in shortened(labels[:most], 60, labels)]
    return ", ".join(shown) + (f" … {len(values)} in all" if len(values) > most else "")


def _escaped(text: str) -> str:
    """Text as markdown shows it: one line in which nothing is HTML, a link, or a picture from elsewhere."""
    return html.escape(_MARKDOWN.sub(r"\\\g<0>", " ".join(text.split())))


def cost_of(metrics: Mapping[str, float]) -> float:
    """What a run says it cost, in US dollars; 0 where others wrote something that is no amount."""
    cost = float(metrics.get("cost/usd", 0.0))
    return cost if 0 <= cost < _MOST_USD else 0.0


def milliseconds() -> int:
    """Now, as MLflow counts time."""
    return int(time.time() * 1000)
