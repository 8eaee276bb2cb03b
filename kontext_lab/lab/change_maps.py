"""Change maps and placements for figures, panel and report: computed on demand, cached in memory within a bound."""

from __future__ import annotations

import io
import threading
from collections.abc import Hashable
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from cachetools import LRUCache

from kontext_lab import metrics
from kontext_lab.errors import KontextLabError
from kontext_lab.lab.lookup import with_requests
from kontext_lab.lab.measurer import comparison_of
from kontext_lab.results import ComparisonSource, Output, Results

if TYPE_CHECKING:
    from kontext_lab.images import Reference
    from kontext_lab.metrics import Comparison, Placement
    from kontext_lab.tracking import Tracker

__all__ = ["ChangeMapCache", "ChangeMaps", "on_each_other", "on_references"]

_STEP = 0.25
"""Lab units between two levels of a map that is held: up to 63.75 in all, where a change long glows brightest."""
_MOST_BYTES = 24_000_000
"""Of maps; one takes 5 to 30 kB."""


class ChangeMapCache:
    """Comparisons within a limit of bytes, the longest unused goes first; used in several threads."""

    def __init__(self, most: int = _MOST_BYTES) -> None:
        self._held: LRUCache[Hashable, tuple[Comparison, bytes]] = LRUCache(most, lambda held: len(held[1]))
        self._lock = threading.Lock()

    def get(self, key: Hashable) -> Comparison | None:
        """Return a comparison, its map in steps of a quarter of a Lab unit; None for an unknown key."""
        with self._lock:
            if key not in self._held:
                return None
            comparison, packed = self._held[key]
        with np.load(io.BytesIO(packed)) as maps:
            return replace(comparison, change_map=maps["levels"] * np.float32(_STEP), seen=maps["seen"])

    def put(self, key: Hashable, comparison: Comparison) -> Comparison:
        """Keep a comparison; returns it as `get` does from now on."""
        steps = np.nan_to_num(comparison.change_map) / _STEP
        # What changed at all stays more than nothing.
        levels = np.where(steps > 0, np.clip(np.rint(steps), 1, 255), 0).astype(np.uint8)
        buffer = io.BytesIO()
        np.savez_compressed(buffer, levels=levels, seen=comparison.seen)
        nothing = np.zeros((0, 0), np.float32)
        without = replace(comparison, change_map=nothing, seen=nothing.astype(bool))
        with self._lock, suppress(ValueError):  # one that is larger than the limit is not kept
            self._held[key] = without, buffer.getvalue()
        return replace(comparison, change_map=levels * np.float32(_STEP))

    def __len__(self) -> int:
        return len(self._held)


_HELD = ChangeMapCache()


class ChangeMaps:
    """References and change maps of a lab's results; see `results.ComparisonSource`.

    Args:
        tracker: reads requests; None where they are known in any case.
    """

    def __init__(self, tracker: Tracker | None = None, held: ChangeMapCache = _HELD) -> None:
        self._tracker, self._held = tracker, held

    def know(self, results: Results) -> None:
        """Fill in the requests, where they can be known."""
        if self._tracker is not None:
            with_requests(self._tracker, results)

    def comparison(self, output: Output) -> Comparison:
        """Return what an edit changed; at once where that was asked before.

        Raises:
            ConfigError: its references are not at hand.
            KontextLabError: a picture can't be read.
        """
        request, key = output.cell.request, None
        if request is not None and output.sha256:
            key = (output.sha256, output.cell.service, tuple(one.digest for one in request.images))
        found = self._held.get(key) if key else None
        if found is None:
            found = comparison_of(output)
            found = self._held.put(key, found) if key else found
        return found

    def __reduce__(self) -> tuple[type[ChangeMaps], tuple[()]]:
        # Pickled results keep the known requests, an open store does not come along.
        return (ChangeMaps, ())


def on_references(
    output: Output, comparison_source: ComparisonSource | None
) -> list[tuple[Reference, Placement]]:
    """List an output's references, each with the frame that it shares with the output; one at most is registered.

    Without its cell's request there are none.
    """
    request, size = output.cell.request, (output.width, output.height)
    if request is None or not output.is_picture or not all(size):
        return []
    found = _measured(output, comparison_source)
    return [
        (
            one,
            metrics.placed(one.sent_size, size, found.matrix if found and place == found.reference else None),
        )
        for place, one in enumerate(request.images)
        if one.png and all(one.sent_size)
    ]


def on_each_other(
    first: Output, second: Output, comparison_source: ComparisonSource | None
) -> Placement | None:
    """Lay two outputs on each other: by the reference they share, else by what they have in common; None without sizes."""
    size, other = (first.width, first.height), (second.width, second.height)
    if not all((*size, *other)):
        return None
    comparison_source = comparison_source or ChangeMaps()
    comparison_source.know(Results([first.cell, second.cell]))
    maps = []
    for output in (first, second):
        found = _measured(output, comparison_source)
        if found is not None and found.matrix is not None and output.cell.request is not None:
            maps.append((output.cell.request.images[found.reference].digest, found.matrix))
    if len(maps) == 2 and maps[0][0] == maps[1][0]:
        return metrics.placed(size, other, maps[1][1] @ np.linalg.inv(maps[0][1]))
    try:
        return metrics.placed(size, other, metrics.compare(first, second).matrix)
    except KontextLabError:
        return metrics.placed(size, other, None)


def _measured(output: Output, comparison_source: ComparisonSource | None) -> Comparison | None:
    try:
        return (comparison_source or ChangeMaps()).comparison(output)
    except KontextLabError:
        return None  # loading the picture tells what is wrong with it
