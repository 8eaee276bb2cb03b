"""Lookups in the store: sweeps and cells as results, their references, chains of edits, and the cells that made a picture."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from kontext_lab import tracking
from kontext_lab.errors import (
    ImageError,
    KontextLabError,
    NotFound,
    SweepError,
    TrackingError,
    shown,
    visible,
)
from kontext_lab.images import (
    PREVIEW_BOX,
    SAME_PICTURE,
    Origin,
    Reference,
    load_reference,
    perceptual_hash,
    picture_of,
    squares_apart,
)
from kontext_lab.redaction import get_logger
from kontext_lab.results import CellResult, ComparisonSource, Output, Results
from kontext_lab.results.saving import missing_line
from kontext_lab.sweep import Sweep
from kontext_lab.tracking import SweepRun, Tracker

__all__ = [
    "QUERY_MEGAPIXELS",
    "Found",
    "ancestors",
    "derived",
    "draw_grid",
    "draw_preview",
    "find",
    "load_cells",
    "load_results",
    "thumbnail",
    "with_origins",
    "with_requests",
]

log = get_logger(__name__)

THUMBNAIL_BYTES = 6000
"""A list shows a hundred of them."""

QUERY_MEGAPIXELS = 0.3
"""Size at which a picture is compared: previews are smaller still."""

SMALLEST = 96
"""Pixels on the longer side below which siblings can't be told apart any more."""

LONGEST_CHAIN = 50


def draw_preview(results: Results) -> bytes:
    """Draw a small static grid for notebooks, as PNG."""
    from kontext_lab.figures import preview_png  # noqa: PLC0415 - matplotlib loads when something is drawn

    return preview_png(results)


def draw_grid(results: Results) -> bytes:
    """Draw the grid that is logged with a sweep, of many cells its first page; empty if a picture can't be loaded back."""
    from kontext_lab.figures import grid  # noqa: PLC0415 - as above

    buffer = io.BytesIO()
    try:
        # Level 1: half a second less at the end of a sweep, for a tenth more bytes.
        grid(results).savefig(buffer, format="png", pil_kwargs={"compress_level": 1})
    except Exception as error:  # whatever a picture does to a figure, it must not keep a sweep from ending
        log.warning("the grid of %s can't be drawn: %s", results.name, shown(error, 200))
        log.debug("what kept the grid from being drawn", exc_info=True)
        return b""
    return buffer.getvalue()


def load_results(tracker: Tracker, which: str, source: ComparisonSource | None = None) -> Results:
    """Load a sweep's results; see `Lab.load`."""
    run, by_place = tracker.load(which)
    cells = [by_place[place] for place in sorted(by_place)]
    if len(cells) < run.cells:
        try:  # those without an outcome are waiting
            defined = tracker.sweep_of(run.run_id).cells
            cells = [
                by_place.get(cell.index) or CellResult.from_cell(cell, run.service, "") for cell in defined
            ]
        except (SweepError, TrackingError):
            log.debug("the sweep of run %s can't be read", run.run_id)
    results = Results(cells, name=run.name, run_id=run.run_id, draw=draw_preview, comparison_source=source)
    results.notes += filter(None, [results.missing_line])
    return results


def load_cells(tracker: Tracker, run_ids: Sequence[str], source: ComparisonSource | None = None) -> Results:
    """Load cells by their runs' ids; see `Lab.load_cells`."""
    given = [run_ids] if isinstance(run_ids, str) else run_ids
    wanted = list(dict.fromkeys(str(run_id).strip() for run_id in given))
    cells = tracker.call("the MLflow store can't be read", tracking.cells_with, wanted)
    missing = [run_id for run_id in wanted if run_id not in cells]
    if missing:
        named = ", ".join(shown(one, 40) for one in missing[:5]) + (" …" if len(missing) > 5 else "")
        raise NotFound(f"no cell with {'this run id' if len(missing) == 1 else 'these run ids'}: {named}")
    parents = list(dict.fromkeys(cells[run_id][1] for run_id in wanted))
    names = dict.fromkeys(filter(None, (tracker.name_of(parent) for parent in parents[:4] if parent)))
    results = Results(
        [cells[run_id][0] for run_id in wanted],
        name=" + ".join(names) + (" + …" if len(parents) > 4 else ""),
        draw=draw_preview,
        comparison_source=source,
    )
    results.notes += filter(None, [results.missing_line])
    return results


def thumbnail(tracker: Tracker, run: SweepRun, box: int = 96) -> bytes:
    """Make a small JPEG of the first picture of a sweep; empty if it has none, or it can't be read."""
    try:
        output = tracker.call("the MLflow store can't be read", tracking.first_done, run)
        if output is None:
            return b""
        # Above this the whole picture would have to be fetched.
        picture = output.thumbnail(max(1, min(box, PREVIEW_BOX)))
    except KontextLabError:
        return b""
    data = b""
    for quality in (80, 60, 40, 20):
        buffer = io.BytesIO()
        picture.convert("RGB").save(buffer, format="JPEG", quality=quality, optimize=True)
        data = buffer.getvalue()
        if len(data) < THUMBNAIL_BYTES:
            break
    return data


def with_requests(tracker: Tracker, results: Results) -> Results:
    """Fill in the requests of cells that were read back from the store, where their sweep can still be read."""
    seen: set[str] = set()

    def fill(run_id: str) -> None:
        """Fill in the requests of one sweep."""
        if not run_id or run_id in seen:
            return
        seen.add(run_id)
        try:
            sweep = tracker.sweep_of(run_id)
        except KontextLabError:
            return  # its run or its file is gone, or holds what this version can't read
        for service in {cell.service for cell in missing}:
            requests = {cell.request.fingerprint(service): cell.request for cell in sweep.cells}
            for cell in missing:
                if cell.service == service and cell.request is None and cell.fingerprint in requests:
                    cell.request = requests[cell.fingerprint]
                    cell.protect = sweep.boxes_in(cell.request)

    missing = [cell for cell in results if cell.request is None and cell.fingerprint]
    if missing:
        fill(results.run_id)
    left = [cell.run_id for cell in missing if cell.request is None and cell.run_id]
    try:
        found = tracker.call("the MLflow store can't be read", tracking.cells_with, left) if left else {}
        parents = [parent for _, parent in found.values()]
    except KontextLabError:
        return results
    for parent in parents:
        fill(parent)
    return results


def ancestors(tracker: Tracker, what: CellResult | Output) -> list[Output]:
    """List the outputs a picture was made from, oldest first; along the first parent, where there are several."""
    cell = what if isinstance(what, CellResult) else what.cell
    # A cell that is its own ancestor is a tag somebody wrote: the chain ends there.
    seen = {cell.run_id}
    chain: list[Output] = []
    while cell.parents and cell.parents[0].run_id not in seen and len(chain) < LONGEST_CHAIN:
        parent = tracker.call("the MLflow store can't be read", tracking.output_at, cell.parents[0])
        if parent is None:
            break
        chain.append(parent)
        cell = parent.cell
        seen.add(cell.run_id)
    return chain[::-1]


def derived(tracker: Tracker, what: CellResult | Output) -> list[Output]:
    """List the pictures made directly from an output, oldest first, in any experiment; no copies.

    Of a reused output also those made from its original: they are the same picture.
    """
    output = what.output if isinstance(what, CellResult) else what
    runs = [run_id for run_id in (output.run_id, output.cell.reused_from) if run_id]
    origins = [Origin(run_id, output.number) for run_id in runs]
    return tracker.call("the MLflow store can't be searched", tracking.edits_of, origins)


@dataclass(frozen=True, repr=False)
class Found:
    """A tracked output that a picture is, or is a copy of.

    Attributes:
        output: the output.
        how: `exact`: the same bytes; `perceptual`: the same picture, saved again or resized.
        distance: how far the worst part of the picture is off, 0 to 1; 0 for the same bytes.
        sweep: the name of its sweep.
        sweep_run_id: that sweep's run.
        experiment: the name of the experiment it is in.
    """

    output: Output
    how: Literal["exact", "perceptual"]
    distance: float
    sweep: str
    sweep_run_id: str
    experiment: str

    @property
    def cell(self) -> CellResult:
        """The cell that made it."""
        return self.output.cell

    @property
    def line(self) -> str:
        """One line: how it was found, cell, sweep, runs."""
        how = (
            "the same bytes" if self.how == "exact" else f"saved again or resized, off by {self.distance:.3f}"
        )
        several = f", output {self.output.number}" if len(self.cell.outputs) > 1 else ""
        simulated = ", simulated" if self.cell.simulated else ""
        simulated += ", missing in the store" if self.output.is_missing else ""
        return visible(
            f"{self.cell.title}{several} of {self.sweep!r} ({how}{simulated}) · run {self.output.run_id[:8]} "
            f"of {self.sweep_run_id[:8]} in {self.experiment}"
        )

    def __repr__(self) -> str:
        return f"<Found {self.how}: {self.line}>"

    def _repr_html_(self) -> str:
        return self.output._repr_html_()


def find(tracker: Tracker, picture: Any) -> list[Found]:
    """Find the outputs that a picture is, in any experiment of the store, the best match first.

    The exact bytes are looked for first. If nothing has those, the same picture: saved again as JPEG or WebP,
    enlarged, or shrunk, but not cropped. That reads every cell of the store, a thousand in about two seconds.
    """

    def found(output: Output, how: Literal["exact", "perceptual"], distance: float) -> Found:
        location = tracker.call("the MLflow store can't be read", tracking.whereabouts, output.run_id)
        return Found(output, how, round(distance, 6), location.sweep, location.parent_id, location.experiment)

    given = load_reference(picture, max_megapixels=QUERY_MEGAPIXELS)
    if not given.resolved:
        raise ImageError(f"image: {given.source[:80]!r} is an address: save the picture, and give the file")
    if exact := tracker.call("the MLflow store can't be searched", tracking.outputs_with, given.sha256):
        return [found(output, "exact", 0.0) for output in exact]
    small = picture_of(given)
    if max(small.size) < SMALLEST:
        return []
    small.thumbnail((PREVIEW_BOX, PREVIEW_BOX))
    candidates = tracker.call(
        "the MLflow store can't be searched", tracking.outputs_like, perceptual_hash(small)
    )
    if missing := [output for output in candidates if output.is_missing]:
        log.warning("not compared: %s", missing_line(missing, candidates))
    alike: list[tuple[float, Output, float]] = []
    for candidate in candidates:
        try:
            preview = candidate.thumbnail(PREVIEW_BOX)
        except KontextLabError:
            continue  # its picture is gone from the store: nothing to compare with
        worst, overall = squares_apart(small, preview)
        if worst <= SAME_PICTURE:
            alike.append((overall, candidate, worst))
    alike.sort(key=lambda entry: entry[0])
    return [found(output, "perceptual", worst) for _, output, worst in alike]


def with_origins(sweep: Sweep, tracker: Tracker) -> Sweep:
    """Return the sweep with its references knowing which tracked outputs they are, by their exact bytes.

    Fingerprints and digests stay as they are. Asks the store once for every distinct reference whose bytes are known.
    """
    wanted = {one.sha256 for one in sweep.references if one.origin is None and one.sha256}
    origins = {
        sha256: tracker.call("the MLflow store can't be searched", tracking.origin_of, sha256)
        for sha256 in sorted(wanted)
    }
    if not any(origins.values()):
        return sweep

    def linked(reference: Reference) -> Reference:
        return replace(reference, origin=reference.origin or origins.get(reference.sha256))

    return sweep.with_references(linked)
