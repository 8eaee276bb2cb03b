"""Measures tracked pictures: with `metrics`, with callables of the user, and in a chain of edits against its first picture.

The values are written to the store first and shown afterwards. Runs on the measuring threads.
"""

from __future__ import annotations

import json
import math
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from kontext_lab import metrics
from kontext_lab.errors import ConfigError, KontextLabError, shown
from kontext_lab.images import Boxes, Origin, Reference, picture_of
from kontext_lab.lab.context import Metric
from kontext_lab.lab.executors import DaemonExecutor
from kontext_lab.lab.lookup import ancestors, with_requests
from kontext_lab.lab.progress import ProgressBar
from kontext_lab.lab.verdicts import check_criterion, put_metrics
from kontext_lab.results import CellResult, Output, Results
from kontext_lab.results.labels import VERDICT
from kontext_lab.tracking import BOOKED, MEASURED, Tracker, write_measured

if TYPE_CHECKING:
    from kontext_lab.metrics import Comparison, PreparedReference

__all__ = ["MeasuredValues", "Measurer", "check_metrics", "comparison_of", "measure"]

FIRST = "first/"
"""Prefix of values that compare with the first picture of a chain of edits."""

_OF_FIRST = ("change/", "preserve/", "align/registered")

_MOST_REFUSED = 3
"""Lines about values of one metric that can't be recorded."""

_ALWAYS = "align/registered"
"""A value that everything measured has."""

_THREADS = 2

_MOST_READY = 16
"""References that are kept ready while a sweep is measured."""


@lru_cache(maxsize=4)
def _ready(reference: Reference) -> PreparedReference:
    """Prepare a reference; the cells of a sweep share theirs."""
    return metrics.prepare_reference(reference)


@dataclass
class MeasuredValues:
    """Measured values of a cell.

    Attributes:
        values: by the output's number and by name.
        trouble: why others could not be measured, a line each.
    """

    values: dict[int, dict[str, float]] = field(default_factory=dict)
    trouble: list[str] = field(default_factory=list)


class Measurer:
    """Measures cells of one store, also with the user's own metrics."""

    def __init__(self, tracker: Tracker, own: Sequence[Metric] = ()) -> None:
        self._tracker = tracker
        self._own = tuple(own)
        self._ready: Callable[[Reference], PreparedReference] = lru_cache(maxsize=_MOST_READY)(
            lambda reference: metrics.prepare_reference(reference)  # noqa: PLW0108 - loads scipy, when the first is measured
        )
        self._firsts: dict[tuple[Origin, ...], Reference | None] = {}
        self._looking = threading.Lock()

    def wants(self, cell: CellResult) -> bool:
        """True if a cell has pictures that were not measured by this recipe and for its boxes."""
        pictures = [output for output in cell.outputs if output.is_picture]
        return any(_ALWAYS not in output.metrics or cell.recipe != _recipe(cell) for output in pictures)

    def measure(self, cell: CellResult) -> MeasuredValues:
        """Measure every picture of a cell; raises nothing that a picture or a metric could cause."""
        measured = MeasuredValues()
        if cell.request is None:
            measured.trouble.append(f"{cell.title}: not measured, its references are not at hand")
            return measured
        first = None
        if cell.parents:
            with self._looking:  # the cells of a sweep mostly stand in one chain
                if cell.parents not in self._firsts:
                    self._firsts[cell.parents] = self._first(cell, measured.trouble)
                first = self._firsts[cell.parents]
        for output in cell.outputs:
            if not output.is_picture:
                continue
            try:
                values = _compared(output, cell.request.images, self._ready, cell.protect).values
                if first is not None:
                    of_first = _compared(output, [first], self._ready).values
                    values |= {
                        f"{FIRST}{name}": value
                        for name, value in of_first.items()
                        if name.startswith(_OF_FIRST)
                    }
                measured.values[output.number] = values | _own_values(output, self._own, measured.trouble)
            except KontextLabError as error:
                measured.trouble.append(f"{cell.title}: not measured: {error}")
        return measured

    def _first(self, cell: CellResult, trouble: list[str]) -> Reference | None:
        """The picture that a chain of edits began with."""
        what = "not measured against the first picture of the chain"
        try:
            chain = ancestors(self._tracker, cell)
            oldest = chain[0].cell if chain else None
            if oldest is not None and not oldest.parents:  # else something in between was deleted
                with_requests(self._tracker, Results([oldest]))
                if oldest.request is not None:
                    return oldest.request.images[0]
            trouble.append(f"{what}: it is not in this store")
        except KontextLabError as error:
            trouble.append(f"{what}: {error}")
        return None

    def record(self, cell: CellResult, measured: MeasuredValues) -> None:
        """Write the values, then show them; those of a cell that isn't tracked are only shown."""
        recipe = _recipe(cell)
        if cell.run_id:
            trouble = f"what was measured of {cell.title} can't be recorded in MLflow"
            self._tracker.call(trouble, write_measured, cell.run_id, measured.values, recipe)
        cell.recipe = recipe
        for output in cell.outputs:
            if (values := measured.values.get(output.number)) is not None:
                put_metrics(output, [name for name in output.metrics if name.startswith(MEASURED)], values)


def _compared(
    output: Output,
    references: Sequence[Reference],
    ready: Callable[[Reference], PreparedReference],
    protect: Sequence[Boxes] = (),
) -> Comparison:
    """Compare an output with references; the mark that the sandbox writes over its pictures is no edit."""
    covered = []
    if output.cell.simulated:
        from kontext_lab.sandbox import mark_box  # noqa: PLC0415 - loads the web framework

        width, height = output.width, output.height
        left, top, right, bottom = mark_box(width, height)
        covered = [(left / width, top / height, right / width, bottom / height)]
    return metrics.compare([ready(one) for one in references], output, protect=protect, ignore=covered)


def _recipe(cell: CellResult) -> str:
    given = cell.protect[0] if len(cell.protect) == 1 else cell.protect
    boxes = json.dumps(given, sort_keys=True, ensure_ascii=False) if any(cell.protect) else ""
    return f"{metrics.VERSION} {boxes}".strip()


def _own_values(output: Output, own: Sequence[Metric], trouble: list[str]) -> dict[str, float]:
    """Values of the user's metrics; one that fails costs its own values only."""
    values: dict[str, float] = {}
    request = output.cell.request
    references = tuple(picture_of(one) for one in request.images) if own and request is not None else ()
    for metric in own:
        refused, taken = [], {}
        # Whatever a user's own function does, the rest is measured; an exception that ends a thread would end a sweep.
        try:
            returned = metric(references, picture_of(output), request)
            if not isinstance(returned, Mapping):
                raise ConfigError(f"returned {shown(returned)}, allowed is {{name: number}}")
            for key, value in returned.items():
                try:
                    number = _checked(key, value)
                except ConfigError as error:
                    refused.append(str(error))
                    continue
                if math.isfinite(number):
                    taken[key] = number
            values |= taken
        except BaseException as error:
            try:
                refused = [
                    str(error) if isinstance(error, ConfigError) else f"{type(error).__name__}: {error}"
                ]
            except Exception:  # an error that can't be printed
                refused = [type(error).__name__]
        name = getattr(metric, "__name__", type(metric).__name__)
        trouble.extend(f"metric {name}: {line}" for line in refused[:_MOST_REFUSED])
        if len(refused) > _MOST_REFUSED:
            trouble.append(f"metric {name}: {len(refused) - _MOST_REFUSED} more values can't be recorded")
    return values


def _checked(key: Any, value: Any) -> float:
    check_criterion(key, "value's name")
    if key.startswith((*BOOKED, *MEASURED, VERDICT, "rank/")):
        raise ConfigError(f"{shown(key)} is recorded by something else, allowed are other names")
    try:
        if isinstance(value, bool | int | float) or hasattr(value, "__float__"):
            return float(value)
    except Exception:  # an array of several, an integer without end
        pass
    raise ConfigError(f"{shown(key)}: {shown(value)}, allowed are numbers")


def check_metrics(own: object) -> None:
    """Check that these can be metrics of the user."""
    if isinstance(own, str) or not isinstance(own, Sequence) or not all(callable(one) for one in own):
        raise ConfigError(
            f"metrics: {shown(own)}, allowed are callables (references, output, request) -> {{name: float}}"
        )


def measure(
    tracker: Tracker, results: Results, own: Sequence[Metric], *, progress: bool = False
) -> tuple[str, ...]:
    """Measure every picture of some results in place, and record the values.

    Returns:
        Reasons why some could not be measured, a line each, every line once.
    """
    check_metrics(own)
    tracker.store.check_writable()
    cells = [cell for cell in results if any(output.is_picture for output in cell.outputs)]
    if not cells:
        raise ConfigError(f"measure: {results.name or 'these results'}: there is no picture to measure")
    lost = results.missing_line
    cells = [cell for cell in cells if not all(one.is_missing for one in cell.outputs if one.is_picture)]
    with_requests(tracker, results)
    measurer = Measurer(tracker, own)
    trouble: dict[str, None] = {f"not measured: {lost}": None} if lost else {}
    pool = DaemonExecutor(_THREADS, "kontext-lab measure")
    waiting: deque[tuple[CellResult, Future[MeasuredValues]]] = deque()
    with ProgressBar(len(cells), shown=progress, label="measuring") as bar:

        def record_next() -> None:
            cell, future = waiting.popleft()
            measured = future.result()
            trouble.update(dict.fromkeys(measured.trouble))
            if measured.values:
                measurer.record(cell, measured)
            bar.update()

        try:
            for cell in cells:
                waiting.append((cell, pool.submit(measurer.measure, cell)))
                if len(waiting) > 2 * _THREADS:  # a few ahead, so that pictures don't fill the memory
                    record_next()
            while waiting:
                record_next()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)  # an interrupt does not wait
    return tuple(trouble)


def comparison_of(output: Output) -> Comparison:
    """Measure now what an edit changed; the map is kept nowhere."""
    request = output.cell.request
    if request is None:
        raise ConfigError(f"{output.cell.title}: its references are not at hand")
    return _compared(output, request.images, _ready, output.cell.protect)
