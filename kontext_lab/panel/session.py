"""The state of one lab's panels in one kernel: the sweep that runs, those that wait, results on show, picked output.

All panels of a lab show one session. It changes on the thread of the widgets; runs are started and waited for on others.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from functools import partial

from traitlets import HasTraits, Instance, Int, Tuple, Unicode

from kontext_lab.errors import AlreadyRunning, NotFound
from kontext_lab.lab import Lab
from kontext_lab.lab.plan import Plan
from kontext_lab.panel.ui_dispatcher import UiDispatcher
from kontext_lab.panel.widgets import error_text
from kontext_lab.results import CellResult, Output, Results
from kontext_lab.runner import Handle
from kontext_lab.sweep import Sweep

__all__ = ["QueuedRun", "Session"]

_BATCH = 0.15
"""Seconds over which changed cells are gathered before observers are called."""

_CONTINUE = ("", "asked", "left", "refused")
"""Reasons for the end of a run after which the queue goes on."""


@dataclass(frozen=True, eq=False)  # a plan of 10,000 cells takes long to compare
class QueuedRun:
    """A run that was asked for, of the plan that the person saw; settings that are changed later hold for later runs."""

    plan: Plan
    lab: Lab
    inside: str = ""  # the MLflow run that was active

    def same_as(self, other: QueuedRun | None) -> bool:
        """True if another run is of the same sweep, by the same lab, with the same options."""
        if other is None or other.lab is not self.lab or other.plan.options != self.plan.options:
            return False
        return other.plan.sweep == self.plan.sweep


class Session(HasTraits):
    """The state that panels show."""

    lab = Instance(Lab)  # runs what is started next
    state = Unicode("idle")  # or `starting`, `running`, `stopping`
    order = Instance(QueuedRun, allow_none=True)  # the current or the last run
    results = Instance(Results, allow_none=True)  # on show: of the current run, or of one that was opened
    sweep = Instance(Sweep, allow_none=True)  # of the results, if it is known
    selection = Instance(Output, allow_none=True)  # the picked output
    queue = Tuple()
    line = Unicode("")  # about the last run: why it could not start, or why it stopped
    beat = Int(0)  # number of batches of changed cells; `changed` has the last batch
    ends = Int(0)  # number of runs that ended

    def __init__(self, lab: Lab, dispatcher: UiDispatcher) -> None:
        super().__init__(lab=lab)
        self.dispatcher = dispatcher
        self.began = 0.0
        self.changed: tuple[CellResult, ...] = ()
        self._handle: Handle | None = None
        self._stop = threading.Event()
        self._gathered: dict[int, CellResult] = {}
        self._lock = threading.Lock()

    @property
    def busy(self) -> bool:
        """True while a run is being started or under way."""
        return self.state != "idle"

    def run(self, plan: Plan, lab: Lab) -> None:
        """Run a plan now, or after the current run; at most its requests are sent.

        Raises:
            AlreadyRunning: the same run is under way or waits.
            TrackingError: the lab's store can't be used.
        """
        # The active run is that of the notebook's thread, at this moment.
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
        self.line, self.order, self.state = "", order, "starting"

        def begin() -> Handle | None:
            if stop.is_set():
                return None
            handle = order.lab.start(order.plan, observers=[self.touch], inside=order.inside)
            if stop.is_set():  # the thread of the widgets may be busy for long now
                handle.cancel()
            return handle

        self.dispatcher.background(begin, partial(self._on_started, order), self._on_refused, lane="start")

    def _on_started(self, order: QueuedRun, handle: Handle | None) -> None:
        if handle is None:
            self.line = "stopped before anything was sent"
            self._end("asked")
            return
        self._handle = handle
        # Before observers of the traits below may fail.
        threading.Thread(
            target=self._wait_for_end, args=(handle,), name="kontext-lab panel watch", daemon=True
        ).start()
        self.began = time.monotonic()
        self.sweep, self.selection, self.results = order.plan.sweep, None, handle.results
        if self.state == "stopping":
            handle.cancel()
        else:
            self.state = "running"

    def _on_refused(self, error: Exception) -> None:
        self.line = error_text(error)
        self._end("refused to start")

    def _wait_for_end(self, handle: Handle) -> None:
        error: BaseException | None = None
        try:
            handle.wait()
        except BaseException as caught:  # shown by the thread of the widgets
            error = caught
        self.dispatcher.put(lambda: self._on_ended(handle, error))

    def _on_ended(self, handle: Handle, error: BaseException | None) -> None:
        self._handle = None
        self._flush()
        self.line = " · ".join([error_text(error)] if error is not None else handle.results.notes)
        self._end(handle.results.stopped if error is None else "broke off")

    def _end(self, why: str) -> None:
        """End the current run; start the next one, unless the reason holds for it as well."""
        following, rest = self.queue[:1], self.queue[1:]
        if following and why not in _CONTINUE:
            self.line = f"{self.line} · {len(self.queue)} waiting not started"
            following = rest = ()
        self.queue, self.state = rest, "idle"
        self.ends += 1
        if following:
            self._start(following[0])

    def stop(self) -> None:
        """Send nothing more, and clear the queue; requests in flight are kept.

        A second call doesn't wait for them either: their answers go to the journal, for the next run.
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
        """Show other results, such as those of an earlier sweep; refused while a run is under way."""
        if self.busy:
            raise AlreadyRunning(
                "a sweep is under way and on show: open this one when it has ended, or compare"
            )
        self.sweep, self.selection = sweep, None
        self.line = " · ".join(results.notes)
        self.results = results

    @property
    def picked(self) -> Output:
        """The picked output; a `NotFound` if there is none."""
        if self.selection is None:
            raise NotFound("no cell is picked: click one, or use the arrow keys")
        return self.selection

    def pick(self, output: Output) -> None:
        """Pick an output."""
        self.selection = output

    def touch(self, cell: CellResult) -> None:
        """Report a changed cell, also one with a new verdict or note; callable from any thread."""
        with self._lock:
            self._gathered[id(cell)] = cell
        self.dispatcher.later(_BATCH, self._flush, key=(id(self), "cells"))

    def _flush(self) -> None:
        with self._lock:
            changed, self._gathered = tuple(self._gathered.values()), {}
        if changed:
            self.changed = changed
            self.beat += 1
        if self._handle is not None:  # a note may be a reason to stop the run
            self.line = " · ".join(self._handle.results.notes)
