"""Outputs in the store by what they are: by the digest of their exact bytes, or by how alike they look.

Reads tags only. What looks alike is a list of candidates: whoever asks compares pixels.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from mlflow.entities import Run

from kontext_lab.images import Origin, bits_apart
from kontext_lab.results import Output
from kontext_lab.tracking.reading import cell_of, search
from kontext_lab.tracking.store import Store

__all__ = ["PictureLocation", "origin_of", "outputs_like", "outputs_with", "whereabouts"]

CANDIDATES = 16
"""How many pictures are worth a closer look: among siblings, a copy's own picture was never behind the fourth."""

MOST_BITS = 64
"""Of 256: a picture saved again, or shrunk to a quarter, stays below 14, a smooth one of 100 pixels below 44."""

_SHA256 = re.compile(r"[0-9a-f]{64}")

Place = tuple[Run, int]
"""A child run, and the number of one of its outputs."""


@dataclass(frozen=True)
class PictureLocation:
    """Where a cell is in the store.

    Attributes:
        sweep: the name of its sweep.
        parent_id: the sweep's run.
        experiment: the name of the experiment.
    """

    sweep: str
    parent_id: str
    experiment: str


def whereabouts(store: Store, run_id: str) -> PictureLocation:
    """The sweep and the experiment that a cell's run belongs to."""
    run = store.client.get_run(run_id)
    parent_id = run.data.tags.get("mlflow.parentRunId", "")
    parent = store.client.get_run(parent_id) if parent_id else None
    return PictureLocation(
        sweep=(parent.info.run_name or "") if parent else "",
        parent_id=parent_id,
        experiment=str(store.client.get_experiment(run.info.experiment_id).name),
    )


def outputs_with(store: Store, sha256: str) -> list[Output]:
    """The outputs whose exact bytes have this digest, in any experiment: originals, the oldest first."""
    return [_output(store, place) for place in _with_digest(store, sha256)]


def origin_of(store: Store, sha256: str) -> Origin | None:
    """The output whose exact bytes have this digest; of several, the oldest that was not reused."""
    for run, number in _with_digest(store, sha256):
        return Origin(run.info.run_id, number, sha256)
    return None


def outputs_like(store: Store, phash: str) -> list[Output]:
    """The few outputs of any experiment that look most like a hash, the nearest first; every cell is looked at.

    Outputs logged before there were hashes are not among them.
    """
    nearest: dict[str, tuple[int, list[Place]]] = {}
    for run in search(store, store.experiment_ids(), "tags.`kontext.kind` = 'cell'"):
        for number, sha256, own in _hashes(run):
            bits = bits_apart(phash, own)
            if bits is not None and bits <= MOST_BITS:
                nearest.setdefault(sha256, (bits, []))[1].append((run, number))
        if len(nearest) > 4 * CANDIDATES:  # not every run of a large store is kept in memory
            nearest = _nearest(nearest)
    groups = (places for _, places in _nearest(nearest).values())
    return [_output(store, place) for places in groups for place in _originals(places)]


def _nearest(found: dict[str, tuple[int, list[Place]]]) -> dict[str, tuple[int, list[Place]]]:
    return dict(sorted(found.items(), key=lambda item: item[1][0])[:CANDIDATES])


def _with_digest(store: Store, sha256: str) -> list[Place]:
    if not _SHA256.fullmatch(sha256):
        return []
    query = f"tags.`kontext.output_sha256` LIKE '%{sha256}%'"
    places = [
        (run, number)
        for run in search(store, store.experiment_ids(), query)
        if _is_whole(run)
        for number, one in enumerate(_listed(run, "output_sha256"), 1)
        if one == sha256
    ]
    return _originals(places)


def _hashes(run: Run) -> Iterator[tuple[int, str, str]]:
    """Number, digest and hash of each output that has them."""
    hashes = _listed(run, "output_phash")
    if any(hashes) and _is_whole(run):
        digests = _listed(run, "output_sha256")
        for number, (sha256, phash) in enumerate(zip(digests, hashes, strict=False), 1):
            if sha256 and phash:
                yield number, sha256, phash


def _listed(run: Run, name: str) -> list[str]:
    return str(run.data.tags.get(f"kontext.{name}", "")).split(",")


def _is_whole(run: Run) -> bool:
    """Not one that a crash cut off while it was written."""
    return run.data.tags.get("kontext.kind") == "cell" and run.info.status in ("FINISHED", "FAILED")


def _originals(places: Iterable[Place]) -> list[Place]:
    """The same picture's places without copies, the oldest first; the oldest copy where there are only those."""
    ordered = sorted(places, key=lambda place: (place[0].info.start_time, place[1]))
    first = [place for place in ordered if "kontext.reused_from" not in place[0].data.tags]
    return first or ordered[:1]


def _output(store: Store, place: Place) -> Output:
    run, number = place
    return cell_of(store, run).outputs[number - 1]
