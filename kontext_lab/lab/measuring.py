"""Measures tracked pictures, also weeks later: how much each edit changed and how well it kept the rest.

Runs on threads of its own; a run measures by itself, see `runner.measuring`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from functools import lru_cache
from typing import TYPE_CHECKING

from kontext_lab import metrics
from kontext_lab.errors import ConfigError
from kontext_lab.lab.aside import Aside
from kontext_lab.lab.gauge import Found, Gauge, OwnMetric, check_metrics, compared
from kontext_lab.metrics import Comparison
from kontext_lab.progress import Bar
from kontext_lab.results import CellResult, Output, Results

if TYPE_CHECKING:
    from kontext_lab.lab.archive import Archive

__all__ = ["comparison_of", "measure"]

_THREADS = 2

_ready = lru_cache(maxsize=4)(metrics.measured)
"""References made ready; the cells of a sweep share theirs."""


def measure(
    archive: Archive, results: Results, own: Sequence[OwnMetric], *, progress: bool = False
) -> tuple[str, ...]:
    """Measure every picture of some results, and record it.

    Args:
        archive: whose store they are in.
        results: changed in place: their outputs have `metrics` afterwards.
        own: further metrics.
        progress: show a tqdm bar.

    Returns:
        What could not be measured, a line each; the same line once.

    Raises:
        ConfigError: there is nothing to measure, or a metric that can't be one.
        TrackingError: it can't be recorded.
    """
    check_metrics(own)
    archive.tracker.store.check_writable()
    cells = [cell for cell in results if any(output.is_picture for output in cell.outputs)]
    if not cells:
        raise ConfigError(f"measure: {results.name or 'these results'}: there is no picture to measure")
    lost = results.missing_line
    cells = [cell for cell in cells if not all(one.is_missing for one in cell.outputs if one.is_picture)]
    archive.with_requests(results)
    gauge = Gauge(archive.tracker, own)
    trouble: dict[str, None] = {f"not measured: {lost}": None} if lost else {}
    with Bar(len(cells), shown=progress, label="measuring") as bar:
        for cell, found in _measured(cells, gauge):
            trouble.update(dict.fromkeys(found.trouble))
            if found.values:
                gauge.record(cell, found)
            bar.update()
    return tuple(trouble)


def _measured(cells: Sequence[CellResult], gauge: Gauge) -> Iterator[tuple[CellResult, Found]]:
    """Each cell with what was found, in their order; a few ahead, so that pictures don't fill the memory."""
    pool = Aside(_THREADS, "kontext-lab measure")
    waiting: list[tuple[CellResult, Future[Found]]] = []
    try:
        for cell in cells:
            waiting.append((cell, pool.submit(gauge.measure, cell)))
            if len(waiting) > 2 * _THREADS:
                first, future = waiting.pop(0)
                yield first, future.result()
        for first, future in waiting:
            yield first, future.result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)  # whoever interrupts does not wait


def comparison_of(output: Output) -> Comparison:
    """What an edit changed, measured now: with its map, which is kept nowhere.

    Raises:
        ConfigError: its references are not at hand.
        KontextLabError: a picture can't be read.
    """
    request = output.cell.request
    if request is None:
        raise ConfigError(f"{output.cell.title}: its references are not at hand")
    return compared(output, request.images, _ready, output.cell.protect)
