"""Loads data for results from the store: thumbnails, requests, cells by place, and chains of edits."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence

from kontext_lab.errors import KontextLabError, NotFound, shown
from kontext_lab.images import PREVIEW_BOX, Origin
from kontext_lab.lab.bound_store import draw_preview
from kontext_lab.results import CellResult, Output, Results
from kontext_lab.sweep import Sweep
from kontext_lab.tracking import SweepRun, Tracker

__all__ = ["ancestors", "cells_of", "edits_of", "thumbnail", "with_requests"]


THUMBNAIL_BYTES = 6000
"""A list shows a hundred of them."""


def thumbnail(tracker: Tracker, run: SweepRun, box: int) -> bytes:
    """A small JPEG of the first picture of a sweep; empty where there is none, or it can't be read."""
    try:
        output = tracker.first_done(run)
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


def cells_of(tracker: Tracker, run_ids: Sequence[str]) -> Results:
    """Cells of any sweeps and experiments by their runs' ids, in this order, each once.

    Raises:
        NotFound: some are none; names them.
    """
    given = [run_ids] if isinstance(run_ids, str) else run_ids
    wanted = list(dict.fromkeys(str(one).strip() for one in given))
    found = tracker.cells_with(wanted)
    missing = [one for one in wanted if one not in found]
    if missing:
        named = ", ".join(shown(one, 40) for one in missing[:5]) + (" …" if len(missing) > 5 else "")
        raise NotFound(f"no cell with {'this run id' if len(missing) == 1 else 'these run ids'}: {named}")
    parents = dict.fromkeys(found[one][1] for one in wanted)
    names = dict.fromkeys(filter(None, (_name(tracker, parent) for parent in list(parents)[:4])))
    return Results(
        [found[one][0] for one in wanted],
        name=" + ".join(names) + (" + …" if len(parents) > 4 else ""),
        draw=draw_preview,
    )


def _name(tracker: Tracker, parent_id: str) -> str:
    return tracker.name_of(parent_id) if parent_id else ""


def with_requests(tracker: Tracker, results: Results) -> Results:
    """Fill in what was sent, where cells were read back from the store; nothing where that can't be known."""
    missing = [cell for cell in results if cell.request is None and cell.fingerprint]
    for sweep in _sweeps_behind(tracker, results, missing) if missing else ():
        for service in {cell.service for cell in missing}:
            requests = {cell.request.fingerprint(service): cell.request for cell in sweep.cells}
            for cell in missing:
                if cell.service == service and cell.request is None and cell.fingerprint in requests:
                    cell.request = requests[cell.fingerprint]
                    cell.protect = sweep.boxes_in(cell.request)
    return results


def _sweeps_behind(tracker: Tracker, results: Results, missing: Sequence[CellResult]) -> Iterator[Sweep]:
    """The results' own sweep, then those of the cells that are still without; each once."""
    seen: set[str] = set()
    if results.run_id:
        seen.add(results.run_id)
        yield from _sweep(tracker, results.run_id)
    open_ones = [cell.run_id for cell in missing if cell.request is None and cell.run_id]
    try:
        parents = [parent for _, parent in tracker.cells_with(open_ones).values()] if open_ones else []
    except KontextLabError:
        return
    for parent in dict.fromkeys(filter(None, parents)):
        if parent not in seen:
            yield from _sweep(tracker, parent)


def _sweep(tracker: Tracker, run_id: str) -> Iterator[Sweep]:
    try:
        sweep = tracker.sweep_of(run_id)
    except KontextLabError:
        return  # its run or its file is gone, or holds what this version can't read
    yield sweep


LONGEST_CHAIN = 50


def ancestors(tracker: Tracker, what: CellResult | Output) -> list[Output]:
    """The outputs a picture was made from, oldest first; along the first parent, where there are several.

    Raises:
        TrackingError: the store can't be read.
    """
    cell = what if isinstance(what, CellResult) else what.cell
    # A cell that is its own ancestor is a tag somebody wrote: the chain ends there.
    seen = {cell.run_id}
    chain: list[Output] = []
    while cell.parents and cell.parents[0].run_id not in seen and len(chain) < LONGEST_CHAIN:
        parent = tracker.output_at(cell.parents[0])
        if parent is None:
            break
        chain.append(parent)
        cell = parent.cell
        seen.add(cell.run_id)
    return chain[::-1]


def edits_of(tracker: Tracker, what: CellResult | Output) -> list[Output]:
    """The pictures made directly from an output, oldest first, in any experiment; no copies.

    Of a reused output also those made from its original: they are the same picture.

    Raises:
        TrackingError: the store can't be read.
    """
    output = what.output if isinstance(what, CellResult) else what
    runs = [run_id for run_id in (output.run_id, output.cell.reused_from) if run_id]
    return tracker.edits_of([Origin(run_id, output.number) for run_id in runs])
