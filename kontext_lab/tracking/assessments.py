"""What is said of pictures once they are there: measured values, verdicts, ranks, notes; and sweeps nobody wants to see.

A verdict is a metric with the output's place as its step: 1 passed, 0 failed, NaN withdrawn. MLflow takes the
latest by step, then by millisecond, so each one is written later than all before it, whatever the clocks say.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from mlflow.entities import Metric, Run, RunTag

from kontext_lab.errors import NotFound
from kontext_lab.results import Output
from kontext_lab.tracking import layout
from kontext_lab.tracking.store import Store

__all__ = [
    "BOOKED",
    "HIDDEN",
    "MEASURED",
    "METRICS",
    "NOTE",
    "RANK",
    "carried",
    "hide",
    "said_of",
    "withdraw",
    "write_given",
    "write_measured",
    "write_note",
]

RANK = "rank/"

BOOKED = ("cost/", "time/", "output/")
"""How the names of values begin that a request brought with it. All others were said of a picture afterwards: each at the step
of its output, NaN where withdrawn."""

MEASURED = ("change/", "preserve/", "align/", "flag/", "first/")
"""How the names of all values begin that `lab.measure` measures; `first/` against the first picture of a chain."""

METRICS = "kontext.metrics"
"""The tag with the recipe that a cell's outputs were measured by: its version, and boxes where there were some."""

NOTE = "mlflow.note.content"
"""The tag that MLflow's own pages show as a run's description."""

HIDDEN = "kontext.hidden"


def write_given(store: Store, run_id: str, values: Mapping[tuple[str, int], float | None]) -> None:
    """Give outputs of a cell values, in place of those they have; None withdraws one.

    Args:
        store: where.
        run_id: the cell's run.
        values: by name and the output's number, from 1.
    """
    histories = {key: store.client.get_metric_history(run_id, key) for key in {key for key, _ in values}}
    metrics = []
    for (key, number), value in values.items():
        history: list[Metric] = histories[key]
        step = number - 1
        last = _latest(history).get(step)
        if value is None and (last is None or math.isnan(last.value)):
            continue
        now = max([layout.milliseconds(), *(one.timestamp + 1 for one in history)])
        metrics.append(Metric(key, math.nan if value is None else value, now, step))
    if metrics:
        store.client.log_batch(run_id, metrics=metrics)


def write_measured(store: Store, run_id: str, values: Mapping[int, Mapping[str, float]], recipe: str) -> None:
    """Write what was measured of a cell's outputs, in place of all that was before: also of earlier boxes.

    Args:
        store: where.
        run_id: the cell's run.
        values: by the output's number, from 1, and by name.
        recipe: by which it was measured.
    """
    before = [key for key in store.client.get_run(run_id).data.metrics if key.startswith(MEASURED)]
    if before:
        given: dict[tuple[str, int], float | None] = {}
        for number, named in values.items():
            given |= {(key, number): named.get(key) for key in (*before, *named)}
        write_given(store, run_id, given)
        store.client.set_tag(run_id, METRICS, recipe)
        return
    now = layout.milliseconds()
    metrics = [
        Metric(key, value, now, number - 1)
        for number, named in values.items()
        for key, value in named.items()
    ]
    store.client.log_batch(run_id, metrics=metrics, tags=[RunTag(METRICS, recipe)])


def said_of(store: Store, run: Run, outputs: int) -> dict[int, dict[str, float]]:
    """What was said of a cell's outputs, by their numbers, without what was withdrawn.

    Args:
        store: where.
        run: the cell's, with its metrics.
        outputs: how many outputs it has: of a single one the run itself says all.
    """
    latest = {key: value for key, value in run.data.metrics.items() if not key.startswith(BOOKED)}
    found: dict[int, dict[str, float]] = {}
    for key, last in latest.items():
        if outputs <= 1:
            steps = {0: last}
        else:
            history = store.client.get_metric_history(run.info.run_id, key)
            steps = {step: metric.value for step, metric in _latest(history).items()}
        for step, value in steps.items():
            if not math.isnan(value):
                found.setdefault(step + 1, {})[key] = value
    return found


def carried(outputs: Iterable[Output], now: int) -> list[Metric]:
    """What was said of some outputs as the metrics of their copies."""
    return [
        Metric(key, value, now, output.number - 1)
        for output in outputs
        for key, value in output.metrics.items()
    ]


def withdraw(store: Store, run: Run, before: float) -> None:
    """Withdraw what was said of pictures that are being written over.

    Args:
        store: where.
        run: the cell's, read just now.
        before: seconds since the epoch at which the new pictures came: what was said later is said of those.
    """
    metrics = [
        # Just after the verdict itself: a second try at writing writes the same once more, and so nothing.
        Metric(key, math.nan, last.timestamp + 1, step)
        for key in run.data.metrics
        if not key.startswith(BOOKED)
        for step, last in _latest(store.client.get_metric_history(run.info.run_id, key)).items()
        if not math.isnan(last.value) and last.timestamp < before * 1000
    ]
    if metrics:
        store.client.log_batch(run.info.run_id, metrics=metrics)


def write_note(store: Store, run_id: str, text: str) -> None:
    """A person's note on a cell, in place of the one it has; none for empty text."""
    if text:
        store.client.set_tag(run_id, NOTE, text)
    else:
        _remove_tag(store, store.client.get_run(run_id), NOTE)


def hide(store: Store, run_id: str, hidden: bool) -> None:
    """Mark a sweep as one that lists leave out, or as one they show.

    Raises:
        NotFound: the run is no sweep.
    """
    run: Run = store.client.get_run(run_id)
    if run.data.tags.get("kontext.kind") != "sweep":
        raise NotFound(f"run {run_id:.40} is no sweep: only sweeps are hidden")
    if hidden:
        store.client.set_tag(run_id, HIDDEN, "true")
    else:
        _remove_tag(store, run, HIDDEN)


def _remove_tag(store: Store, run: Run, name: str) -> None:
    if name in run.data.tags:
        store.client.delete_tag(run.info.run_id, name)


def _latest(history: Iterable[Any]) -> dict[int, Metric]:
    """The last of each step."""
    found: dict[int, Metric] = {}
    for metric in history:
        if metric.step not in found or metric.timestamp > found[metric.step].timestamp:
            found[metric.step] = metric
    return found
