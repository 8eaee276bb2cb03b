"""Measures tracked pictures: how much each edit changed and how well it kept the rest, by `metrics` and by callables of your own.

Runs on threads of its own. What is measured is written to the store first, and shown afterwards.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from tqdm.auto import tqdm

from kontext_lab import metrics
from kontext_lab.errors import ConfigError, KontextLabError, shown
from kontext_lab.images import Reference, picture_of
from kontext_lab.lab.verdicts import check_criterion, noting
from kontext_lab.metrics import Comparison, Measured
from kontext_lab.results import CellResult, Output, Results
from kontext_lab.sandbox import mark_box
from kontext_lab.tracking import BOOKED

if TYPE_CHECKING:
    from kontext_lab.lab.archive import Archive

__all__ = ["OwnMetric", "check_metrics", "comparison_of", "measure"]

OwnMetric = Callable[..., Mapping[str, float]]
"""`(references, output, request) -> {name: float}`: PIL pictures, and the request or None where it isn't known."""

_THREADS = 2

_ready = lru_cache(maxsize=4)(metrics.measured)
"""References made ready; the cells of a sweep share theirs."""


@dataclass
class _Found:
    """What was measured of a cell.

    Attributes:
        values: by the output's number and by name.
        trouble: what could not be, a line each.
    """

    values: dict[int, dict[str, float]] = field(default_factory=dict)
    trouble: list[str] = field(default_factory=list)


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
    cells = [cell for cell in results if any(output.is_picture for output in cell.outputs)]
    if not cells:
        raise ConfigError(f"measure: {results.name or 'these results'}: there is no picture to measure")
    archive.with_requests(results)
    trouble: dict[str, None] = {}
    with tqdm(total=len(cells), disable=not progress, unit="cell", desc="measuring") as bar:
        for cell, found in _measured(cells, own):
            trouble.update(dict.fromkeys(found.trouble))
            if found.values:
                _record(archive, cell, found.values)
            bar.update()
    return tuple(trouble)


def _measured(cells: Sequence[CellResult], own: Sequence[OwnMetric]) -> Iterator[tuple[CellResult, _Found]]:
    """Each cell with what was found, in their order; a few ahead, so that pictures don't fill the memory."""
    ready = lru_cache(maxsize=16)(metrics.measured)
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="kontext-lab measure") as pool:
        waiting: list[tuple[CellResult, Future[_Found]]] = []
        for cell in cells:
            waiting.append((cell, pool.submit(_of_cell, cell, own, ready)))
            if len(waiting) > 2 * _THREADS:
                first, future = waiting.pop(0)
                yield first, future.result()
        for first, future in waiting:
            yield first, future.result()


def _of_cell(cell: CellResult, own: Sequence[OwnMetric], ready: Callable[[Reference], Measured]) -> _Found:
    found = _Found()
    if cell.request is None:
        found.trouble.append(f"{cell.title}: not measured, its references are not at hand")
        return found
    for output in cell.outputs:
        if not output.is_picture:
            continue
        try:
            values = _compared(output, cell.request.images, ready).values
            found.values[output.number] = {**values, **_own_values(output, own, found.trouble)}
        except KontextLabError as error:
            found.trouble.append(f"{cell.title}: not measured: {error}")
    return found


def _compared(
    output: Output, references: Sequence[Reference], ready: Callable[[Reference], Measured]
) -> Comparison:
    covered = []
    if output.cell.simulated:
        width, height = output.width, output.height
        left, top, right, bottom = mark_box(width, height)
        covered = [(left / width, top / height, right / width, bottom / height)]
    return metrics.compare([ready(one) for one in references], output, ignore=covered)


def comparison_of(output: Output) -> Comparison:
    """What an edit changed, measured now: with its map, which is kept nowhere.

    Raises:
        ConfigError: its references are not at hand.
        KontextLabError: a picture can't be read.
    """
    request = output.cell.request
    if request is None:
        raise ConfigError(f"{output.cell.title}: its references are not at hand")
    return _compared(output, request.images, _ready)


def _own_values(output: Output, own: Sequence[OwnMetric], trouble: list[str]) -> dict[str, float]:
    """What the user's metrics say; one that fails costs its own values only."""
    found: dict[str, float] = {}
    request = output.cell.request
    references = tuple(picture_of(one) for one in request.images) if own and request is not None else ()
    for metric in own:
        name = getattr(metric, "__name__", type(metric).__name__)
        try:
            found.update(_checked(metric(references, picture_of(output), request), name))
        except Exception as error:  # whatever somebody's own function does, the rest is measured
            line = str(error) if isinstance(error, ConfigError) else f"{type(error).__name__}: {error}"
            trouble.append(f"metric {name}: {line}")
    return found


def _checked(values: Any, name: str) -> dict[str, float]:
    """A metric's values, if they can be recorded; those that are no numbers are left out."""
    if not isinstance(values, Mapping):
        raise ConfigError(f"returned {shown(values)}, allowed is {{name: number}}")
    found = {}
    for key, value in values.items():
        check_criterion(key)
        if key.startswith((*BOOKED, "verdict/", "rank/")):
            raise ConfigError(f"{shown(key)} is recorded by something else, allowed are other names")
        if isinstance(value, bool | int | float) or hasattr(value, "__float__"):
            number = float(value)
            if math.isfinite(number):
                found[key] = number
        else:
            raise ConfigError(f"{shown(key)}: {shown(value)}, allowed are numbers ({name})")
    return found


def check_metrics(own: object) -> None:
    """Whether these can be metrics of one's own.

    Raises:
        ConfigError: says what is allowed.
    """
    if isinstance(own, str) or not isinstance(own, Sequence) or not all(callable(one) for one in own):
        raise ConfigError(
            f"metrics: {shown(own)}, allowed are callables (references, output, request) -> {{name: float}}"
        )


def _record(archive: Archive, cell: CellResult, values: Mapping[int, Mapping[str, float]]) -> None:
    """Written first, then shown; what isn't tracked is only shown."""
    if cell.run_id:
        archive.tracker.measured(cell, values, metrics.VERSION)
    with noting:
        for output in cell.outputs:
            output.metrics = {**output.metrics, **values.get(output.number, {})}
