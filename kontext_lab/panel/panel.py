"""`kl.Panel(lab)`: the widget for a notebook, and its buttons as methods for the next cell."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from ipywidgets import Layout, VBox

from kontext_lab.errors import ConfigError, WrongType, shown
from kontext_lab.lab import Lab
from kontext_lab.lab.verdicts import check_criterion
from kontext_lab.panel.controller import PanelController
from kontext_lab.panel.planned_results import output_at
from kontext_lab.panel.session import Session
from kontext_lab.panel.ui_dispatcher import UiDispatcher
from kontext_lab.results import Output, Results
from kontext_lab.sweep import Sweep

__all__ = ["Panel"]

_LAST_UPDATES = 10.0
"""Seconds that `wait` gives to the last updates after everything has run."""

_CONTROLLERS: dict[object, PanelController] = {}
"""By store and journal."""


class Panel(VBox):
    """Runs sweeps in a notebook: a form, its plan, a grid that fills, and everything that was ever run.

    Panels of labs with the same store in one kernel show the same. A sweep goes on when a page is closed; run the
    cell again to see it. While another cell executes, clicks and redraws wait: `wait()` handles them.

    Args:
        lab: runs the sweeps; by default a new `Lab()`.
        sweep: put into the form at the beginning.
        static: still pictures in place of the interactive grid, for pages that can't show it.

    Raises:
        WrongType: `lab` is not a Lab, or `sweep` is not a Sweep.
        TrackingError: the lab's store can't be used.

    Example:
        >>> lab = kl.Lab("sandbox", quiet=True)
        >>> panel = kl.Panel(lab, kl.Sweep("Add a bird.", kl.sample("coffee"), seed="1-2"))
        >>> panel.run()  # as the button Run
        >>> len(panel.wait(60))
        2
        >>> lab.close()
    """

    def __init__(self, lab: Lab | None = None, sweep: Sweep | None = None, *, static: bool = False) -> None:
        if lab is not None and not isinstance(lab, Lab):
            raise WrongType(f"lab must be a kl.Lab, not {type(lab).__name__}")
        if sweep is not None and not isinstance(sweep, Sweep):
            raise WrongType(
                f"sweep must be a kl.Sweep, not {type(sweep).__name__} (panel.load(…) takes files and names)"
            )
        self._controller = controller_for(lab or Lab(), static=static)
        super().__init__([self._controller.frame, self._controller], layout=Layout(width="100%"))
        self.add_class("kl-panel")
        if sweep is not None:
            self.load(sweep)

    @property
    def lab(self) -> Lab:
        """The lab that runs the next sweep."""
        return self._controller.session.lab

    @property
    def sweep(self) -> Sweep:
        """The sweep in the form; can be set, as by `load`.

        Raises:
            SweepError: the form is incomplete; says what is missing.
        """
        return self._controller.form.draft.sweep()

    @sweep.setter
    def sweep(self, sweep: Sweep | str | Path) -> None:
        self.load(sweep)

    @property
    def results(self) -> Results:
        """The results on show: of the running sweep, of the last one, or of the one that was opened."""
        results = self._controller.session.results
        return results if results is not None else Results([])

    @property
    def selection(self) -> Output | None:
        """The picked output, or None."""
        return self._controller.session.selection

    def load(self, sweep: Sweep | str | Path) -> None:
        """Put a sweep into the form.

        Args:
            sweep: a sweep, the path of a YAML file, or the name or run id of a tracked sweep.

        Raises:
            SweepError: it is something else, or can't be read.
            NotFound: there is no tracked sweep of this name.
        """
        if isinstance(sweep, Sweep):
            loaded = sweep
        elif not isinstance(sweep, str | os.PathLike) or not str(sweep).strip():
            raise WrongType(
                f"sweep: {shown(sweep)}, allowed are a kl.Sweep, the path of a YAML file, a name or a run id"
            )
        elif str(sweep).lower().endswith((".yaml", ".yml")):
            loaded = Sweep.from_yaml(sweep)
        else:
            loaded = self.lab.load_sweep(str(sweep))
        self._controller.form.load(loaded)

    def run(self) -> None:
        """Run the sweep in the form in the background, after the running one, like the button Run.

        The requests are those of the plan, sent by the lab in use now. Above the lab's `confirm_above` the panel asks
        first; `confirm()` says yes.

        Raises:
            ConfigError: the form is incomplete or has an error; says which.
            AlreadyRunning: the same sweep is running or waiting.
        """
        self._controller.run_bar.run()

    def try_one(self) -> None:
        """Send a single request of the sweep in the form."""
        self._controller.run_bar.try_one()

    def confirm(self) -> None:
        """Say yes to the question before paying."""
        self._controller.run_bar.confirm()

    def stop(self) -> None:
        """Send nothing more; requests in flight are kept."""
        self._controller.run_bar.stop()

    def retry_failed(self) -> None:
        """Send the failed cells on show again; asks first if that costs much, like `run`.

        Raises:
            ConfigError: nothing failed, or the cells were sent to another service.
            AlreadyRunning: a sweep is running.
        """
        self._controller.run_bar.retry_failed()

    def wait(self, timeout: float | None = None) -> Results:
        """Wait until everything that was asked for has run, and keep the panel up to date meanwhile.

        Args:
            timeout: seconds; None waits without a limit.

        Raises:
            ConfigError: called on another thread than the panel's, or `timeout` is not a number.
        """
        if timeout is not None and (isinstance(timeout, bool) or not isinstance(timeout, int | float)):
            raise WrongType(f"timeout: {shown(timeout)}, allowed are seconds, or None")
        controller = self._controller
        if not controller.dispatcher.is_owner:
            raise ConfigError("panel.wait: call it on the thread that made the panel, the notebook's")
        if controller.dispatcher.wait(lambda: controller.idle, timeout):
            controller.dispatcher.wait(lambda: controller.dispatcher.quiet, _LAST_UPDATES)
        return self.results

    def select(self, **where: Any) -> Output:
        """Pick the output with these parameters, as a click does.

        Raises:
            NotFound: no output has them, or several have; lists the values.
            ConfigError: no parameters are given.
        """
        if not where:
            raise ConfigError("select: give parameters, such as panel.select(seed=2)")
        found = self.results.cell(**where)
        output = found if isinstance(found, Output) else output_at(found, found.output.number)
        self._controller.session.pick(output)
        return output

    def set_verdict(self, criterion: str, verdict: bool) -> None:
        """Pass or fail the picked output on a criterion, as the keys 1 and 0 do; the same again withdraws it.

        Raises:
            ConfigError: the criterion is not allowed, or the verdict is not a bool.
            NotFound: no output is picked.
        """
        if not isinstance(verdict, bool):
            raise WrongType(f"verdict: {shown(verdict)}, allowed are True and False")
        check_criterion(criterion)
        self._controller.inspector.verdicts.set_verdict(verdict, criterion)

    def __repr__(self) -> str:
        return f"<Panel: {self._controller.session.state}, {self.lab!r}>"


def controller_for(lab: Lab, *, static: bool = False) -> PanelController:
    """The controller of a lab's store and journal in this kernel, created if there is none yet."""
    controller = _CONTROLLERS.get(lab.context.identity)
    if controller is None:
        session = Session(lab, UiDispatcher())
        controller = _CONTROLLERS[lab.context.identity] = PanelController(session, static=static)
    elif controller.session.lab is not lab:
        controller.session.lab = lab  # for later runs; the running one keeps its own
    controller.dispatcher.attend()
    return controller
