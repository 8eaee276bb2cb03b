"""Loads what a sheet lacks, off the drawing thread: previews first, whole pictures where a zoom asks for them.

A store behind a network takes 50 ms a picture: drawing never waits for it. Knows no widget.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable
from typing import Any

from kontext_lab.figures.geometry import GridPlan, Tile
from kontext_lab.figures.live_sheet import LiveSheet
from kontext_lab.figures.pictures import Pixels, source_of

__all__ = ["Background", "Later", "PictureLoader"]

Later = Callable[[float, Callable[[], object]], object]
"""Calls something after so many seconds, on the thread that owns the widgets."""

Background = Callable[[Callable[[], Any], Callable[[Any], object]], object]
"""Does the first on another thread and hands its value to the second on the owner's."""

_LANES, _EACH = 3, 6
"""Jobs at a time, and pictures in each."""
_MEASURED = 2
"""Jobs at a time of one picture each where they have to be measured: each is shown as soon as it is there."""
_SHARPENED = 36
"""Tiles that are sharpened at most: more of them are too small to gain by it."""


class PictureLoader:
    """Keeps a sheet supplied.

    Args:
        sheet: whose pictures are loaded.
        background: None: nothing is loaded here, the sheet waits for its pictures itself.
        arrived: called when previews have come.
        trouble: told of what went wrong in a job.
    """

    def __init__(
        self,
        sheet: LiveSheet,
        background: Background | None,
        arrived: Callable[[], None],
        trouble: Callable[[Exception], None],
    ) -> None:
        self._sheet, self._background = sheet, background
        self._arrived, self._trouble = arrived, trouble
        self._asked: set[Hashable] = set()
        self._lanes = 0
        self._sharpening = False
        self._again: tuple[Tile | None, Callable[[], bool]] | None = None

    @property
    def is_possible(self) -> bool:
        """Whether there is a thread to load on."""
        return self._background is not None

    def at_hand(self, plan: GridPlan, until: float) -> None:
        """Decode what is in memory, as far as the time reaches: a picture just arrived is shown at once."""
        if self._background is None:
            return
        for tile in self._sheet.missing(plan):
            if time.monotonic() > until:
                return
            if source_of(tile) not in self._asked and self._sheet.previews.is_near(tile):
                self._sheet.load(tile)

    def fetch(self) -> None:
        """Have the missing previews loaded, a few at a time."""
        if self._background is None:
            return
        missing = [tile for tile in self._sheet.missing() if source_of(tile) not in self._asked]
        slow = any(tile.overlay is not None for tile in missing)
        lanes, each = (_MEASURED, 1) if slow else (_LANES, _EACH)
        while missing and self._lanes < lanes:
            job, missing = missing[:each], missing[each:]
            self._asked.update(source_of(tile) for tile in job)
            self._lanes += 1
            self._background(lambda job=job: self._load(job), lambda done, job=job: self._loaded(job, done))  # type: ignore[misc]

    def _load(self, job: list[Tile]) -> Exception | None:
        try:
            for tile in job:
                self._sheet.load(tile)
        except Exception as error:
            return error
        return None

    def _loaded(self, job: list[Tile], done: Exception | None) -> None:
        self._lanes -= 1
        self._asked.difference_update(source_of(tile) for tile in job)
        if done is not None:
            self._trouble(done)
            return
        self.fetch()
        self._arrived()

    def sharpen(self, first: Tile | None, sharper: Callable[[], bool]) -> None:
        """Bring tiles whose previews are too coarse to full resolution.

        Args:
            first: the one that is looked at.
            sharper: called whenever some are; says whether to go on.
        """
        plan = self._sheet.plan
        if self._background is None or plan is None:
            return
        if self._sharpening:
            self._again = (first, sharper)
            return
        coarse = sorted(self._sheet.coarse(), key=lambda tile: first is None or tile.rect != first.rect)
        self._sharpen(coarse[:_SHARPENED], plan, sharper)

    def _sharpen(self, coarse: list[Tile], plan: GridPlan, sharper: Callable[[], bool]) -> None:
        job, rest = coarse[:_EACH], coarse[_EACH:]
        if not job or self._background is None:
            return
        self._sharpening = True

        def work() -> Any:
            try:
                return list(self._sheet.sharpen(job, plan))
            except Exception as error:
                return error

        def then(done: Any) -> None:
            self._sharpening = False
            if isinstance(done, Exception):
                self._trouble(done)
            elif self._placed(done, plan, sharper):
                self._sharpen(rest, plan, sharper)
            if not self._sharpening and self._again is not None:
                again, self._again = self._again, None
                self.sharpen(*again)

        self._background(work, then)

    def _placed(self, done: list[tuple[Tile, Pixels]], plan: GridPlan, sharper: Callable[[], bool]) -> bool:
        """Put pixels in place; whether to go on with what is shown."""
        put = [self._sheet.put(tile, pixels, plan.crop) for tile, pixels in done]
        shown = self._sheet.plan
        same = shown is not None and shown.crop == plan.crop
        return (sharper() if any(put) else True) and same
