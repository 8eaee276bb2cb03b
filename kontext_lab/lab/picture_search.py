"""Which cell made this picture, and which tracked output a reference is."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from PIL import Image

from kontext_lab.errors import ImageError, KontextLabError, visible
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
from kontext_lab.results import CellResult, Output
from kontext_lab.results.saving import missing_line
from kontext_lab.sweep import Sweep

if TYPE_CHECKING:
    from kontext_lab.tracking import Tracker

__all__ = ["QUERY_MEGAPIXELS", "Found", "find", "with_origins"]

log = get_logger(__name__)

QUERY_MEGAPIXELS = 0.3
"""What a picture is compared at: previews are smaller still."""

SMALLEST = 96
"""Pixels on the longer side below which siblings can't be told apart any more."""


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
    """The outputs that a picture is, in any experiment of the store; the best first, none for no such picture.

    The exact bytes are looked for first. Where nobody has those, the same picture: saved again as JPEG or WebP,
    enlarged, or shrunk, but not cropped. That reads every cell of the store, a thousand in about two seconds; outputs
    logged before there were hashes are found by their bytes only.

    Args:
        tracker: the store.
        picture: a path, bytes, PIL image, array, an output, or a reference.

    Raises:
        ImageError: it is no picture, or an address that nobody fetched.
        TrackingError: the store can't be read.
    """
    given = load_reference(picture, max_megapixels=QUERY_MEGAPIXELS)
    if not given.resolved:
        raise ImageError(f"image: {given.source[:80]!r} is an address: save the picture, and give the file")
    if exact := tracker.outputs_with(given.sha256):
        return [_found(tracker, one, "exact", 0.0) for one in exact]
    small = picture_of(given)
    if max(small.size) < SMALLEST:
        return []
    small.thumbnail((PREVIEW_BOX, PREVIEW_BOX))
    alike = _alike(tracker.outputs_like(perceptual_hash(small)), small)
    return [_found(tracker, one, "perceptual", distance) for one, distance in alike]


def _alike(candidates: list[Output], picture: Image.Image) -> list[tuple[Output, float]]:
    """Those that are the same picture by their pixels, the nearest first, and how far they are off at worst."""
    ranked: list[tuple[float, Output, float]] = []
    missing = [one for one in candidates if one.is_missing]
    if missing:
        log.warning("not compared: %s", missing_line(missing, candidates))
    for candidate in candidates:
        try:
            preview = candidate.thumbnail(PREVIEW_BOX)
        except KontextLabError:
            continue  # its picture is gone from the store: nothing to compare with
        worst, overall = squares_apart(picture, preview)
        if worst <= SAME_PICTURE:
            ranked.append((overall, candidate, worst))
    return [(one, worst) for _, one, worst in sorted(ranked, key=lambda entry: entry[0])]


def _found(tracker: Tracker, output: Output, how: Literal["exact", "perceptual"], distance: float) -> Found:
    there = tracker.whereabouts(output.run_id)
    return Found(output, how, round(distance, 6), there.sweep, there.parent_id, there.experiment)


def with_origins(sweep: Sweep, tracker: Tracker) -> Sweep:
    """The sweep whose references know which tracked outputs they are, by their exact bytes.

    Fingerprints and digests stay as they are. Asks the store once for every distinct reference whose bytes are
    known; the same sweep where there is nothing to add.

    Raises:
        TrackingError: the store can't be read.
    """
    open_ones = {one.sha256 for one in sweep.references if one.origin is None and one.sha256}
    asked = {sha256: tracker.origin_of(sha256) for sha256 in sorted(open_ones)}
    known: dict[str, Origin] = {sha256: origin for sha256, origin in asked.items() if origin is not None}
    if not known:
        return sweep

    def linked(reference: Reference) -> Reference:
        return replace(reference, origin=reference.origin or known.get(reference.sha256))

    return sweep.with_references(linked)
