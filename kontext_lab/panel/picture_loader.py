"""Loads pictures that a sheet lacks, off the drawing thread: a store behind a network takes 50 ms for each."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable
from functools import partial
from typing import Any

from kontext_lab.figures.geometry import GridPlan, Tile
from kontext_lab.figures.live_sheet import LiveSheet
from kontext_lab.figures.pictures import source_of

__all__ = ["Background", "Later", "PictureLoader"]

Later = Callable[[float, Callable[[], object]], object]
"""Calls a function after some seconds, on the thread of the widgets."""

Background = Callable[[Callable[[], Any], Callable[[Any], object]], object]
"""Calls the first function on another thread and hands its value to the second on the thread of the widgets."""

_JOBS, _JOB_SIZE = 3, 6
"""Jobs at a time, and pictures in each."""
_MEASURING_JOBS = 2
"""Jobs at a time, with one picture each, if pictures must be measured: each is shown as soon as it is ready."""
_MOST_SHARPENED = 36
"""Tiles that are sharpened at most: with more of them, each is too small to gain by it."""


class PictureLoader:
    """Supplies a sheet with pictures; calls `on_loaded` for new previews, `on_trouble` for an exception of a job."""

    def __init__(
        self,
        sheet: LiveSheet,
        background: Background,
        on_loaded: Callable[[], None],
        on_trouble: Callable[[Exception], None],
    ) -> None:
        self._sheet, self._background = sheet, background
        self._on_loaded, self._on_trouble = on_loaded, on_trouble
        self._requested: set[Hashable] = set()
        self._jobs = 0
        self._sharpening = False
        self._next: tuple[Tile | None, Callable[[], bool]] | None = None

    def load_cached(self, plan: GridPlan, until: float) -> None:
        """Decode pictures that are in memory until a moment of the monotonic clock, so that they show at once."""
        for tile in self._sheet.missing(plan):
            if time.monotonic() > until:
                return
            if source_of(tile) not in self._requested and self._sheet.previews.is_near(tile):
                self._sheet.load(tile)

    def fetch(self) -> None:
        """Load the missing previews, a few at a time."""
        missing = [tile for tile in self._sheet.missing() if source_of(tile) not in self._requested]
        measured = any(tile.overlay is not None for tile in missing)
        jobs, size = (_MEASURING_JOBS, 1) if measured else (_JOBS, _JOB_SIZE)
        while missing and self._jobs < jobs:
            job, missing = missing[:size], missing[size:]
            self._requested.update(source_of(tile) for tile in job)
            self._jobs += 1
            self._background(partial(self._load, job), partial(self._on_job, job))

    def _load(self, job: list[Tile]) -> Exception | None:
        try:
            for tile in job:
                self._sheet.load(tile)
        except Exception as error:
            return error
        return None

    def _on_job(self, job: list[Tile], error: Exception | None) -> None:
        self._jobs -= 1
        self._requested.difference_update(source_of(tile) for tile in job)
        if error is not None:
            self._on_trouble(error)
            return
        self.fetch()
        self._on_loaded()

    def sharpen(self, first: Tile | None, show: Callable[[], bool]) -> None:
        """Load the full resolution of coarse tiles, that under the pointer first, while `show` says to go on."""
        plan = self._sheet.plan
        if plan is None:
            return
        if self._sharpening:
            self._next = (first, show)
            return
        coarse = sorted(self._sheet.coarse(), key=lambda tile: first is None or tile.rect != first.rect)
        self._sharpen(coarse[:_MOST_SHARPENED], plan, show)

    def _sharpen(self, coarse: list[Tile], plan: GridPlan, show: Callable[[], bool]) -> None:
        job, rest = coarse[:_JOB_SIZE], coarse[_JOB_SIZE:]
        if not job:
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
                self._on_trouble(done)
            else:
                placed = [self._sheet.put(tile, pixels, plan.crop) for tile, pixels in done]
                current = self._sheet.plan
                go_on = show() if any(placed) else True
                if go_on and current is not None and current.crop == plan.crop:
                    self._sharpen(rest, plan, show)
            if not self._sharpening and self._next is not None:
                following, self._next = self._next, None
                self.sharpen(*following)

        self._background(work, then)
