"""Outputs in the store by digest, by likeness, and along chains of edits.

Chains follow the tag `kontext.parent_output`, which names outputs as `<run id>/<number>`, separated by commas.
Only tags are read: pictures that look alike are candidates, and the caller compares pixels.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from mlflow.entities import Run

from kontext_lab.images import Origin, bits_apart
from kontext_lab.results import CellResult, Output, State
from kontext_lab.tracking.reading import (
    SweepRun,
    cell_of,
    known_of,
    parents_of,
    run_if_there,
    search_cells,
    search_listed,
)
from kontext_lab.tracking.store import Store

__all__ = [
    "PictureLocation",
    "cells_with",
    "edits_of",
    "first_done",
    "origin_of",
    "output_at",
    "outputs_like",
    "outputs_with",
    "whereabouts",
]

CANDIDATES = 16
"""Most pictures that look alike: among siblings, a copy's own picture was never behind the fourth."""

MOST_BITS = 64
"""Of 256: a picture saved again, or shrunk to a quarter, stays below 14, a smooth one of 100 pixels below 44."""

_SHA256 = re.compile(r"[0-9a-f]{64}")

RunOutput = tuple[Run, int]
"""A child run, and the number of one of its outputs."""


class PictureLocation(NamedTuple):
    """The location of a cell in the store: the name and the run of its sweep, and the name of the experiment."""

    sweep: str
    parent_id: str
    experiment: str


def whereabouts(store: Store, run_id: str) -> PictureLocation:
    """The sweep and the experiment that a cell's run belongs to."""
    run = store.client.get_run(run_id)
    parent_id = run.data.tags.get("mlflow.parentRunId", "")
    parent = store.client.get_run(parent_id) if parent_id else None
    experiment = str(store.client.get_experiment(run.info.experiment_id).name)
    return PictureLocation((parent.info.run_name or "") if parent else "", parent_id, experiment)


def outputs_with(store: Store, sha256: str) -> list[Output]:
    """The outputs whose exact bytes have this digest, in any experiment: originals, the oldest first."""
    return [cell_of(store, run).outputs[number - 1] for run, number in _places_with(store, sha256)]


def origin_of(store: Store, sha256: str) -> Origin | None:
    """The output whose exact bytes have this digest; of several, the oldest that is not a copy."""
    places = _places_with(store, sha256)
    return next((Origin(run.info.run_id, number, sha256) for run, number in places), None)


def _places_with(store: Store, sha256: str) -> list[RunOutput]:
    if not _SHA256.fullmatch(sha256):
        return []
    runs = search_cells(store, f"tags.`kontext.output_sha256` LIKE '%{sha256}%'")
    return _originals((run, number) for run in runs for number, digest, _ in _hashes(run) if digest == sha256)


def outputs_like(store: Store, phash: str) -> list[Output]:
    """The outputs of any experiment that look most like a perceptual hash, the nearest first.

    Reads every cell. Outputs logged before there were hashes are left out.
    """
    nearest: dict[str, tuple[int, list[RunOutput]]] = {}
    for run in search_cells(store):
        for number, sha256, own in _hashes(run):
            bits = bits_apart(phash, own) if sha256 and own else None
            if bits is not None and bits <= MOST_BITS:
                nearest.setdefault(sha256, (bits, []))[1].append((run, number))
        if len(nearest) > 4 * CANDIDATES:  # not every run of a large store is kept in memory
            nearest = dict(sorted(nearest.items(), key=lambda item: item[1][0])[:CANDIDATES])
    groups = sorted(nearest.values(), key=lambda group: group[0])[:CANDIDATES]
    places = (place for _, found in groups for place in _originals(found))
    return [cell_of(store, run).outputs[number - 1] for run, number in places]


def _hashes(run: Run) -> Iterator[tuple[int, str, str]]:
    """Number, digest and perceptual hash of each output of a cell; nothing of one that a crash cut off."""
    tags = run.data.tags
    if tags.get("kontext.kind") == "cell" and run.info.status in ("FINISHED", "FAILED"):
        digests = tags.get("kontext.output_sha256", "").split(",")
        hashes = tags.get("kontext.output_phash", "").split(",")
        hashes += [""] * (len(digests) - len(hashes))
        yield from zip(range(1, len(digests) + 1), digests, hashes, strict=False)


def _originals(places: Iterable[RunOutput]) -> list[RunOutput]:
    """The places of one picture without copies, the oldest first; the oldest copy if there are only copies."""
    ordered = sorted(places, key=lambda place: (place[0].info.start_time, place[1]))
    originals = [place for place in ordered if "kontext.reused_from" not in place[0].data.tags]
    return originals or ordered[:1]


def output_at(store: Store, origin: Origin) -> Output | None:
    """The output that an origin names; None if it isn't there any more."""
    run = run_if_there(store, origin.run_id)
    if run is None or run.data.tags.get("kontext.kind") != "cell":
        return None
    outputs = cell_of(store, run).outputs
    return outputs[origin.output - 1] if origin.output <= len(outputs) else None


def edits_of(store: Store, origins: Iterable[Origin]) -> list[Output]:
    """The pictures made directly from any of these outputs, in any experiment, the oldest first; no copies."""
    wanted = set(origins)
    runs: dict[str, Run] = {}
    for origin in wanted:
        for run in search_cells(store, f"tags.`kontext.parent_output` LIKE '%{origin}%'"):
            # `…/1` is the beginning of `…/12` as well.
            if wanted & set(parents_of(run)) and known_of(run) and "kontext.reused_from" not in run.data.tags:
                runs[run.info.run_id] = run
    ordered = sorted(runs.values(), key=lambda run: (run.info.start_time, run.info.run_id))
    return [output for run in ordered for output in cell_of(store, run).outputs if output.is_picture]


def cells_with(store: Store, run_ids: Sequence[str]) -> dict[str, tuple[CellResult, str]]:
    """Cells of any experiment by the ids of their runs, each with its sweep's run; other runs are left out."""
    return {
        run.info.run_id: (cell_of(store, run), run.data.tags.get("mlflow.parentRunId", ""))
        for run in search_listed(store, "attributes.run_id", run_ids)
        if run.data.tags.get("kontext.kind") == "cell"
    }


def first_done(store: Store, sweep: SweepRun) -> Output | None:
    """A picture of the cell of a sweep that was done first, by one query."""
    query = f"tags.`mlflow.parentRunId` = '{sweep.run_id}' AND tags.`kontext.state` = '{State.DONE}'"
    page = store.client.search_runs(
        [sweep.experiment_id], query, max_results=1, order_by=["attributes.start_time ASC"]
    )
    output = cell_of(store, page[0]).output if page else None
    return output if output is not None and output.is_picture else None
