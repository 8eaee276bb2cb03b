"""What one kernel is doing with one lab: the sweep under way, those that wait, the results on show, the cell picked.

Every panel of the same lab looks at the same session, so that a second one, or one made anew, shows the same.
All of it changes on the widgets' thread; runs are started and waited for elsewhere. Knows no widgets.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from traitlets import Any as AnyTrait
from traitlets import HasTraits, Int, Tuple, Unicode

from kontext_lab.panel.post import Post
from kontext_lab.results import CellResult, Output, Results

if TYPE_CHECKING:
    from kontext_lab.lab import Lab
    from kontext_lab.runner import Handle
    from kontext_lab.sweep import Sweep

__all__ = ["Order", "Session"]

_BATCH = 0.15
"""Seconds over which changed cells are gathered before anybody is told."""


@dataclass(frozen=True)
class Order:
    """A run that was asked for.

    Attributes:
        sweep: what to run.
        options: as `lab.run` takes them.
    """

    sweep: Sweep
    options: Mapping[str, Any] = field(default_factory=dict)


class Session(HasTraits):
    """The state that panels show.

    Attributes:
        lab: in use for what is started next.
        state: `idle`, `starting`, `running` or `stopping`.
        order: what is run, or was run last; None before the first.
        results: on show: of the run under way, or of one that was opened; None while there are none.
        sweep: the one the results are of, where it is known.
        selection: the output picked, or None.
        queue: what is run next.
        line: what to say about the last run beyond its counts: why it could not start, what stopped it.
        beat: counts changes of cells; `changed` says which.
        changed: the cells that changed with this beat.
        ends: counts runs that ended.
    """

    lab = AnyTrait()
    state = Unicode("idle")
    order = AnyTrait(None, allow_none=True)
    results = AnyTrait(None, allow_none=True)
    sweep = AnyTrait(None, allow_none=True)
    selection = AnyTrait(None, allow_none=True)
    queue = Tuple()
    line = Unicode("")
    beat = Int(0)
    ends = Int(0)

    def __init__(self, lab: Lab, post: Post) -> None:
        super().__init__(lab=lab)
        self.post = post
        self.began = 0.0
        self.changed: tuple[CellResult, ...] = ()
        self._handle: Handle | None = None
        self._gathered: dict[int, CellResult] = {}
        self._gathering = threading.Lock()

    @property
    def busy(self) -> bool:
        """Whether a run is being started or under way."""
        return self.state != "idle"

    def run(self, sweep: Sweep, **options: Any) -> None:
        """Run a sweep now, or after what is under way.

        Args:
            sweep: what to run.
            **options: as for `lab.run`.
        """
        order = Order(sweep, options)
        if self.busy:
            self.queue = (*self.queue, order)
        else:
            self._start(order)

    def _start(self, order: Order) -> None:
        self.line = ""
        self.order = order
        self.state = "starting"
        lab = self.lab
        inside = lab.active_run_id()  # of this thread, which is the notebook's
        start = partial(lab.start, order.sweep, observers=[self._tell], inside=inside, **order.options)
        self.post.background(start, partial(self._started, order), self._refused)

    def _started(self, order: Order, handle: Handle) -> None:
        self._handle = handle
        self.began = time.monotonic()
        self.sweep = order.sweep
        self.selection = None
        self.results = handle.results
        if self.state == "stopping":  # pressed while it was being started
            handle.cancel()
        else:
            self.state = "running"
        threading.Thread(
            target=self._watch, args=(handle,), name="kontext-lab panel watch", daemon=True
        ).start()

    def _refused(self, error: Exception) -> None:
        """A run that could not be started; those behind it are not sent on after it."""
        waiting = f" · {len(self.queue)} waiting not started" if self.queue else ""
        self.queue = ()
        self.line = f"{error or type(error).__name__}{waiting}"
        self.state = "idle"
        self.ends += 1

    def _watch(self, handle: Handle) -> None:
        error: BaseException | None = None
        try:
            handle.wait()
        except BaseException as caught:  # told on the widgets' thread
            error = caught
        self.post.put(lambda: self._ended(handle, error))

    def _ended(self, handle: Handle, error: BaseException | None) -> None:
        self._flush()
        self._handle = None
        notes = [str(error)] if error is not None else list(handle.results.notes)
        self.line = " · ".join(notes)
        self.state = "idle"
        self.ends += 1
        if self.queue:
            following, *rest = self.queue
            self.queue = tuple(rest)
            self._start(following)

    def stop(self) -> None:
        """Send nothing more, and nothing of what waits; what is in flight is kept.

        Once more: don't wait for that either; answers that still come are in the journal, for the next run.
        """
        self.queue = ()
        if self._handle is not None and self.state == "stopping":
            self._handle.leave()
        elif self._handle is not None:
            self._handle.cancel()
        if self.busy:
            self.state = "stopping"

    def show(self, results: Results, sweep: Sweep | None = None) -> None:
        """Put other results on show, as of an earlier sweep; not while a run is under way."""
        self.sweep = sweep
        self.selection = None
        self.line = ""
        self.results = results

    def pick(self, output: Output | None) -> None:
        """Pick an output, or none."""
        self.selection = output

    def _tell(self, cell: CellResult) -> None:
        """A cell changed; called on the coordinator's thread."""
        with self._gathering:
            self._gathered[id(cell)] = cell
        self.post.later(_BATCH, self._flush, key=(id(self), "cells"))

    def _flush(self) -> None:
        with self._gathering:
            changed, self._gathered = tuple(self._gathered.values()), {}
        if changed:
            self.changed = changed
            self.beat += 1

    def touch(self, cell: CellResult) -> None:
        """Something about a cell changed that shows: a verdict, a note."""
        self._tell(cell)
