"""Measures tracked pictures: with `metrics`, with callables of the user, and in a chain of edits against its first picture.

The values are written to the store first and shown afterwards. Runs on the measuring threads.
"""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from kontext_lab import metrics
from kontext_lab.errors import ConfigError, KontextLabError, shown
from kontext_lab.images import Boxes, Origin, Reference, picture_of
from kontext_lab.lab.daemon_executor import DaemonExecutor
from kontext_lab.lab.lookup import ancestors, with_requests
from kontext_lab.lab.progress import ProgressBar
from kontext_lab.lab.verdicts import check_criterion, noting
from kontext_lab.metrics import Comparison, PreparedReference
from kontext_lab.results import CellResult, Output, Results
from kontext_lab.results.labels import VERDICT
from kontext_lab.sandbox import mark_box
from kontext_lab.tracking import BOOKED, MEASURED, Tracker

if TYPE_CHECKING:
    from kontext_lab.lab.store_client import StoreClient

__all__ = ["MeasuredValues", "Measurer", "OwnMetric", "check_metrics", "compared", "comparison_of", "measure"]


OwnMetric = Callable[..., Mapping[str, float]]
"""`(references, output, request) -> {name: float}`: PIL pictures, and the request or None where it isn't known."""

FIRST = "first/"
"""How the names of values begin that compare with the first picture of a chain of edits."""

_OF_FIRST = ("change/", "preserve/", "align/registered")

_MOST_REFUSED = 3
"""Lines about values of one metric that can't be recorded."""

_ALWAYS = "align/registered"
"""A value that everything measured has."""


@dataclass
class MeasuredValues:
    """What was measured of a cell.

    Attributes:
        values: by the output's number and by name.
        trouble: what could not be, a line each.
    """

    values: dict[int, dict[str, float]] = field(default_factory=dict)
    trouble: list[str] = field(default_factory=list)


class Measurer:
    """Measures cells of one store.

    Args:
        tracker: the store.
        own: further metrics.
        keep: how many references are kept ready at once.
    """

    def __init__(self, tracker: Tracker, own: Sequence[OwnMetric] = (), *, keep: int = 16) -> None:
        self._tracker = tracker
        self._own = tuple(own)
        self._ready: Callable[[Reference], PreparedReference] = lru_cache(maxsize=keep)(
            metrics.prepare_reference
        )
        self._firsts: dict[tuple[Origin, ...], Reference | None] = {}
        self._looking = threading.Lock()

    def wants(self, cell: CellResult) -> bool:
        """Whether a cell has pictures that were not measured by this recipe and for its boxes."""
        pictures = [output for output in cell.outputs if output.is_picture]
        return any(_ALWAYS not in output.metrics or cell.recipe != _recipe(cell) for output in pictures)

    def measure(self, cell: CellResult) -> MeasuredValues:
        """Measure every picture of a cell; raises nothing that a picture or a metric could cause."""
        found = MeasuredValues()
        if cell.request is None:
            found.trouble.append(f"{cell.title}: not measured, its references are not at hand")
            return found
        first = self._first(cell, found.trouble)
        for output in cell.outputs:
            if not output.is_picture:
                continue
            try:
                values = compared(output, cell.request.images, self._ready, cell.protect).values
                if first is not None:
                    values |= _of_first(compared(output, [first], self._ready))
                found.values[output.number] = {**values, **_own_values(output, self._own, found.trouble)}
            except KontextLabError as error:
                found.trouble.append(f"{cell.title}: not measured: {error}")
        return found

    def record(self, cell: CellResult, found: MeasuredValues) -> None:
        """Write what was found, then show it; what isn't tracked is only shown.

        Raises:
            TrackingError: it can't be written; then nothing changes.
        """
        recipe = _recipe(cell)
        if cell.run_id:
            self._tracker.measured(cell, found.values, recipe)
        with noting:
            cell.recipe = recipe
            for output in cell.outputs:
                if (values := found.values.get(output.number)) is not None:
                    said = {
                        key: value for key, value in output.metrics.items() if not key.startswith(MEASURED)
                    }
                    output.metrics = said | values

    def _first(self, cell: CellResult, trouble: list[str]) -> Reference | None:
        """The picture that a chain of edits began with; None where a cell stands in none."""
        if not cell.parents:
            return None
        with self._looking:  # the cells of a sweep mostly stand in one chain
            if cell.parents not in self._firsts:
                self._firsts[cell.parents] = _first_of(self._tracker, cell, trouble)
            return self._firsts[cell.parents]


def _first_of(tracker: Tracker, cell: CellResult, trouble: list[str]) -> Reference | None:
    try:
        chain = ancestors(tracker, cell)
        oldest = chain[0].cell if chain else None
        if oldest is not None and not oldest.parents:  # else something in between was deleted
            with_requests(tracker, Results([oldest]))
            if oldest.request is not None:
                return oldest.request.images[0]
    except KontextLabError as error:
        trouble.append(f"not measured against the first picture of the chain: {error}")
        return None
    trouble.append("not measured against the first picture of the chain: it is not in this store")
    return None


def compared(
    output: Output,
    references: Sequence[Reference],
    ready: Callable[[Reference], PreparedReference],
    protect: Sequence[Boxes] = (),
) -> Comparison:
    """An output against references; what the sandbox writes over its pictures is no edit."""
    covered = []
    if output.cell.simulated:
        width, height = output.width, output.height
        left, top, right, bottom = mark_box(width, height)
        covered = [(left / width, top / height, right / width, bottom / height)]
    return metrics.compare([ready(one) for one in references], output, protect=protect, ignore=covered)


def _of_first(comparison: Comparison) -> dict[str, float]:
    return {
        f"{FIRST}{name}": value for name, value in comparison.values.items() if name.startswith(_OF_FIRST)
    }


def _recipe(cell: CellResult) -> str:
    given = cell.protect[0] if len(cell.protect) == 1 else cell.protect
    boxes = json.dumps(given, sort_keys=True, ensure_ascii=False) if any(cell.protect) else ""
    return f"{metrics.VERSION} {boxes}".strip()


def _own_values(output: Output, own: Sequence[OwnMetric], trouble: list[str]) -> dict[str, float]:
    """What the user's metrics say; one that fails costs its own values only."""
    found: dict[str, float] = {}
    request = output.cell.request
    references = tuple(picture_of(one) for one in request.images) if own and request is not None else ()
    for metric in own:
        name = getattr(metric, "__name__", type(metric).__name__)
        try:
            values, refused = _taken(metric(references, picture_of(output), request))
        # Whatever somebody's own function does, the rest is measured; what ends a thread here would end a sweep.
        except BaseException as error:
            values, refused = {}, [_said(error)]
        found.update(values)
        trouble.extend(f"metric {name}: {line}" for line in refused[:_MOST_REFUSED])
        if len(refused) > _MOST_REFUSED:
            trouble.append(f"metric {name}: {len(refused) - _MOST_REFUSED} more values can't be recorded")
    return found


def _taken(values: Any) -> tuple[dict[str, float], list[str]]:
    """What can be recorded of a metric's values, without those that are no numbers; and why the others can't."""
    if not isinstance(values, Mapping):
        raise ConfigError(f"returned {shown(values)}, allowed is {{name: number}}")
    found, refused = {}, []
    for key, value in values.items():
        try:
            number = _checked(key, value)
        except ConfigError as error:
            refused.append(str(error))
            continue
        if math.isfinite(number):
            found[key] = number
    return found, refused


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


def _said(error: BaseException) -> str:
    """An error in a line, also one that can't tell itself."""
    try:
        return str(error) if isinstance(error, ConfigError) else f"{type(error).__name__}: {error}"
    except Exception:
        return type(error).__name__


def check_metrics(own: object) -> None:
    """Whether these can be metrics of one's own.

    Raises:
        ConfigError: says what is allowed.
    """
    if isinstance(own, str) or not isinstance(own, Sequence) or not all(callable(one) for one in own):
        raise ConfigError(
            f"metrics: {shown(own)}, allowed are callables (references, output, request) -> {{name: float}}"
        )


_THREADS = 2

_ready = lru_cache(maxsize=4)(metrics.prepare_reference)
"""References made ready; the cells of a sweep share theirs."""


def measure(
    archive: StoreClient, results: Results, own: Sequence[OwnMetric], *, progress: bool = False
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
    measurer = Measurer(archive.tracker, own)
    trouble: dict[str, None] = {f"not measured: {lost}": None} if lost else {}
    with ProgressBar(len(cells), shown=progress, label="measuring") as bar:
        for cell, found in _measured(cells, measurer):
            trouble.update(dict.fromkeys(found.trouble))
            if found.values:
                measurer.record(cell, found)
            bar.update()
    return tuple(trouble)


def _measured(cells: Sequence[CellResult], measurer: Measurer) -> Iterator[tuple[CellResult, MeasuredValues]]:
    """Each cell with what was found, in their order; a few ahead, so that pictures don't fill the memory."""
    pool = DaemonExecutor(_THREADS, "kontext-lab measure")
    waiting: list[tuple[CellResult, Future[MeasuredValues]]] = []
    try:
        for cell in cells:
            waiting.append((cell, pool.submit(measurer.measure, cell)))
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
