"""What one kernel is doing with one lab: the sweep under way, those that wait, the results on show, the cell picked.

Every panel of the same lab looks at the same session, so that a second one, or one made anew, shows the same.
All of it changes on the widgets' thread; runs are started and waited for elsewhere. Knows no widgets.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from traitlets import Any as AnyTrait
from traitlets import HasTraits, Int, Tuple, Unicode

from kontext_lab.errors import AlreadyRunning, NotFound
from kontext_lab.panel.ui_dispatcher import UiDispatcher
from kontext_lab.panel.widgets import error_text
from kontext_lab.results import CellResult, Output, Results

if TYPE_CHECKING:
    from kontext_lab.lab import Lab
    from kontext_lab.lab.plan import Plan
    from kontext_lab.runner import Handle
    from kontext_lab.sweep import Sweep

__all__ = ["QueuedRun", "Session"]

_BATCH = 0.15
"""Seconds over which changed cells are gathered before anybody is told."""


_GOES_ON = ("", "asked", "left", "refused")
"""Why a run ended that leaves those behind it as good as before."""


@dataclass(frozen=True, eq=False)  # a plan of 10,000 cells takes long to compare
class QueuedRun:
    """A run that was asked for, as it was when it was: whatever is chosen later holds for later ones.

    Attributes:
        plan: what to run, as a person saw it.
        lab: runs it.
        inside: the MLflow run that was active, or "".
    """

    plan: Plan
    lab: Lab
    inside: str = ""

    def same_as(self, other: QueuedRun | None) -> bool:
        """True if another run is of the same sweep, by the same lab, with the same options."""
        if other is None or other.lab is not self.lab or other.plan.options != self.plan.options:
            return False
        return other.plan.sweep == self.plan.sweep


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

    def __init__(self, lab: Lab, dispatcher: UiDispatcher) -> None:
        super().__init__(lab=lab)
        self.dispatcher = dispatcher
        self.began = 0.0
        self.changed: tuple[CellResult, ...] = ()
        self._handle: Handle | None = None
        self._stop = threading.Event()
        self._gathered: dict[int, CellResult] = {}
        self._gathering = threading.Lock()

    @property
    def busy(self) -> bool:
        """Whether a run is being started or under way."""
        return self.state != "idle"

    def run(self, plan: Plan, lab: Lab) -> None:
        """Run a plan now, or after what is under way.

        Args:
            plan: what a person saw; at most its requests are sent.
            lab: the lab that made it.

        Raises:
            AlreadyRunning: exactly this is under way or waits; a second press is no second order.
            TrackingError: there can be no store at its address.
        """
        # Of this thread and this moment, which are the notebook's.
        order = QueuedRun(plan, lab, lab.context.active_run_id())
        waits = any(order.same_as(other) for other in self.queue)
        if waits or (self.state in ("starting", "running") and order.same_as(self.order)):
            where = "waits" if waits else "is under way"
            raise AlreadyRunning(f"{plan.sweep.name}: {where} already, it is not sent twice")
        if self.busy:
            self.queue = (*self.queue, order)
        else:
            self._start(order)

    def _start(self, order: QueuedRun) -> None:
        stop = self._stop = threading.Event()
        self.line = ""
        self.order = order
        self.state = "starting"

        def begin() -> Handle | None:
            """Start it, on another thread; None if it was stopped before."""
            if stop.is_set():
                return None
            handle = order.lab.start(order.plan, observers=[self._tell], inside=order.inside)
            if stop.is_set():  # while it was being started: the widgets' thread may be busy for long now
                handle.cancel()
            return handle

        self.dispatcher.background(begin, partial(self._started, order), self._refused, lane="start")

    def _started(self, order: QueuedRun, handle: Handle | None) -> None:
        if handle is None:
            self.line = "stopped before anything was sent"
            self._over("asked")
            return
        self._handle = handle
        # First of all, so that its end is told whatever those who look at it do.
        threading.Thread(
            target=self._watch, args=(handle,), name="kontext-lab panel watch", daemon=True
        ).start()
        self.began = time.monotonic()
        self.sweep = order.plan.sweep
        self.selection = None
        self.results = handle.results
        if self.state == "stopping":
            handle.cancel()
        else:
            self.state = "running"

    def _refused(self, error: Exception) -> None:
        """A run that could not be started."""
        self.line = error_text(error)
        self._over("refused to start")

    def _watch(self, handle: Handle) -> None:
        error: BaseException | None = None
        try:
            handle.wait()
        except BaseException as caught:  # told on the widgets' thread
            error = caught
        self.dispatcher.put(lambda: self._ended(handle, error))

    def _ended(self, handle: Handle, error: BaseException | None) -> None:
        self._handle = None
        self._flush()
        self.line = " · ".join([error_text(error)] if error is not None else handle.results.notes)
        self._over(handle.results.stopped if error is None else "broke off")

    def _over(self, why: str) -> None:
        """A run is over; what waits follows, but not where the reason would hold for it as well."""
        following, rest = self.queue[:1], self.queue[1:]
        if following and why not in _GOES_ON:
            self.line = f"{self.line} · {len(self.queue)} waiting not started"
            following = rest = ()
        self.queue = rest
        self.state = "idle"
        self.ends += 1
        if following:
            self._start(following[0])

    def stop(self) -> None:
        """Send nothing more, and nothing of what waits; what is in flight is kept.

        Once more: don't wait for that either; answers that still come are in the journal, for the next run.
        """
        self._stop.set()
        if self._handle is not None and self.state == "stopping":
            self._handle.leave()
        elif self._handle is not None:
            self._handle.cancel()
        self.queue = ()
        if self.busy:
            self.state = "stopping"

    def show(self, results: Results, sweep: Sweep | None = None) -> None:
        """Put other results on show, as of an earlier sweep.

        Raises:
            AlreadyRunning: a run is under way; its results are on show.
        """
        if self.busy:
            raise AlreadyRunning(
                "a sweep is under way and on show: open this one when it has ended, or compare"
            )
        self.sweep = sweep
        self.selection = None
        self.line = " · ".join(results.notes)
        self.results = results

    @property
    def picked(self) -> Output:
        """The output that is picked, for what needs one.

        Raises:
            NotFound: none is.
        """
        found: Output | None = self.selection
        if found is None:
            raise NotFound("no cell is picked: click one, or use the arrow keys")
        return found

    def pick(self, output: Output | None) -> None:
        """Pick an output, or none."""
        self.selection = output

    def _tell(self, cell: CellResult) -> None:
        """A cell changed; called on the coordinator's thread."""
        with self._gathering:
            self._gathered[id(cell)] = cell
        self.dispatcher.later(_BATCH, self._flush, key=(id(self), "cells"))

    def _flush(self) -> None:
        with self._gathering:
            changed, self._gathered = tuple(self._gathered.values()), {}
        if changed:
            self.changed = changed
            self.beat += 1
        if self._handle is not None:  # what is noticed on the way may be a reason to stop
            self.line = " · ".join(self._handle.results.notes)

    def touch(self, cell: CellResult) -> None:
        """Something about a cell changed that shows: a verdict, a note."""
        self._tell(cell)
