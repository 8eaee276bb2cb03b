"""Assessments of pictures: measured values, verdicts, ranks, notes and votes; and sweeps hidden from lists.

A verdict is a metric with the output's index as its step: 1 passed, 0 failed, NaN withdrawn. MLflow takes the
latest by step, then by millisecond, so each one is written later than all before it, whatever the clocks say.

A vote is a small file of its own under `votes/` of the sweep's run, written once and never changed: people,
kernels and machines never overwrite each other, and a kill costs one vote at most. Withdrawing adds one more file.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path

from mlflow.entities import Metric, Run, RunTag

from kontext_lab.errors import ConfigError, NotFound
from kontext_lab.redaction import get_logger
from kontext_lab.results import Output
from kontext_lab.statistics import Vote
from kontext_lab.tracking import layout
from kontext_lab.tracking.artifacts import fetched, put
from kontext_lab.tracking.reading import search_listed
from kontext_lab.tracking.store import Store

__all__ = [
    "hide",
    "read_votes",
    "withdraw",
    "withdraw_vote",
    "write_given",
    "write_measured",
    "write_note",
    "write_vote",
]

log = get_logger(__name__)

VOTES = "votes"

WITHDRAWS = "withdraws"
"""The key of a file that withdraws a vote; its value is the vote's key."""


def write_given(
    store: Store, run_id: str, values: Mapping[tuple[str, int], float | None], recipe: str = ""
) -> None:
    """Set values of a cell's outputs, by name and the output's number, from 1; None withdraws a value.

    `recipe` is that of measured values.
    """
    known = store.client.get_run(run_id).data.metrics
    histories: dict[str, list[Metric]] = {
        key: store.client.get_metric_history(run_id, key) if key in known else []
        for key in {key for key, _ in values}
    }
    metrics = []
    for (key, number), value in values.items():
        history, step = histories[key], number - 1
        last = layout.latest_by_step(history).get(step)
        if value is None and (last is None or math.isnan(last.value)):
            continue
        now = max([layout.milliseconds(), *(metric.timestamp + 1 for metric in history)])
        metrics.append(Metric(key, math.nan if value is None else value, now, step))
    tags = [RunTag(layout.METRICS, recipe)] if recipe else []
    if metrics or tags:
        store.client.log_batch(run_id, metrics=metrics, tags=tags)


def write_measured(store: Store, run_id: str, values: Mapping[int, Mapping[str, float]], recipe: str) -> None:
    """Write measured values of a cell's outputs, by the output's number and by name, in place of all earlier ones."""
    before = [key for key in store.client.get_run(run_id).data.metrics if key.startswith(layout.MEASURED)]
    given = {(key, number): named.get(key) for number, named in values.items() for key in (*before, *named)}
    write_given(store, run_id, given, recipe)


def withdraw(store: Store, run: Run, before: float) -> None:
    """Withdraw the assessments of a cell's pictures that are being overwritten.

    Those after `before`, the arrival of the new pictures in seconds since the epoch, are the new pictures' own.
    """
    metrics = [
        # Just after the assessment itself: a second try at writing repeats the same metric, which changes nothing.
        Metric(key, math.nan, last.timestamp + 1, step)
        for key in run.data.metrics
        if not key.startswith(layout.BOOKED)
        for step, last in layout.latest_by_step(store.client.get_metric_history(run.info.run_id, key)).items()
        if not math.isnan(last.value) and last.timestamp < before * 1000
    ]
    if metrics:
        store.client.log_batch(run.info.run_id, metrics=metrics)


def write_note(store: Store, run_id: str, text: str) -> None:
    """Set a person's note on a cell; empty text removes it."""
    if text:
        store.client.set_tag(run_id, layout.NOTE, text)
    elif layout.NOTE in store.client.get_run(run_id).data.tags:
        store.client.delete_tag(run_id, layout.NOTE)


def hide(store: Store, run_id: str, hidden: bool) -> None:
    """Hide a sweep from lists, or show it again; NotFound if the run is not a sweep's."""
    tags = store.client.get_run(run_id).data.tags
    if tags.get("kontext.kind") != "sweep":
        raise NotFound(f"run {run_id:.40} is not a sweep: only sweeps can be hidden")
    if hidden:
        store.client.set_tag(run_id, layout.HIDDEN, "true")
    elif layout.HIDDEN in tags:
        store.client.delete_tag(run_id, layout.HIDDEN)


def write_vote(store: Store, vote: Vote, left: Output, right: Output) -> list[str]:
    """Write a vote to the sweeps of both pictures, usually one; returns the sweeps' runs."""
    text = vote.to_json(
        left_output=f"{left.run_id}/{left.number}",
        left_cell=left.cell.title,
        right_output=f"{right.run_id}/{right.number}",
        right_cell=right.cell.title,
    )
    rater = re.sub(r"[^0-9A-Za-z]+", "-", vote.rater).strip("-")[:24]
    return _write_vote_file(store, text, (f"{vote.given_at:%Y%m%dT%H%M%S}", rater, vote.key), left, right)


def withdraw_vote(store: Store, vote: Vote, left: Output, right: Output) -> list[str]:
    """Withdraw a vote on two pictures wherever `write_vote` wrote it; returns the sweeps' runs."""
    now = datetime.now(UTC)
    text = json.dumps({WITHDRAWS: vote.key, "at": now.isoformat()})
    return _write_vote_file(store, text, (f"{now:%Y%m%dT%H%M%S}", "taken-back", vote.key), left, right)


def _write_vote_file(
    store: Store, text: str, name: tuple[str, str, str], left: Output, right: Output
) -> list[str]:
    """Write a file to the sweeps of both pictures; time and rater come first in its name, the key makes it unique."""
    file_name = "-".join(filter(None, name)) + ".json"

    def fill(folder: Path) -> None:
        file = folder / VOTES / file_name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")

    sweeps = _sweeps_of(store, (left.run_id, right.run_id))
    parents = list(dict.fromkeys(sweeps[one] for one in (left.run_id, right.run_id) if one in sweeps))
    for parent_id in parents:
        put(store, store.client.get_run(parent_id), fill)
    return parents


def _sweeps_of(store: Store, run_ids: Iterable[str]) -> dict[str, str]:
    """The sweeps' runs of cells' runs; runs that are gone, or are not cells, are left out."""
    return {
        run.info.run_id: run.data.tags["mlflow.parentRunId"]
        for run in search_listed(store, "attributes.run_id", run_ids)
        if run.data.tags.get("kontext.kind") == "cell" and run.data.tags.get("mlflow.parentRunId")
    }


def read_votes(store: Store, run_ids: Iterable[str]) -> list[Vote]:
    """Every vote on the sweeps that these cells' runs belong to, by any rater; the oldest first.

    Withdrawn votes are left out, and those that were cut off while they were written.
    """
    votes: dict[str, Vote] = {}
    withdrawn: set[str] = set()
    for parent in search_listed(store, "attributes.run_id", _sweeps_of(store, run_ids).values()):
        with fetched(store, parent, VOTES) as folder:
            texts = [file.read_bytes() for file in sorted(folder.glob("*.json"))]
        for text in texts:
            try:
                vote = Vote.from_json(text)
                votes[vote.key] = vote
            except ConfigError:
                try:
                    withdrawn.add(str(json.loads(text)[WITHDRAWS]))
                except (ValueError, KeyError, TypeError, IndexError):
                    log.debug("a vote on run %s can't be read", parent.info.run_id)
    kept = (vote for key, vote in votes.items() if key not in withdrawn)
    return sorted(kept, key=lambda vote: (vote.given_at, vote.key))
