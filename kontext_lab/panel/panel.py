"""`kl.Panel(lab)`: what a notebook shows, and the same as methods and attributes for the next cell."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from ipywidgets import Layout, VBox

from kontext_lab.errors import ConfigError, SweepError, shown
from kontext_lab.lab import Lab
from kontext_lab.lab.verdicts import check_criterion
from kontext_lab.panel.controller import PanelController
from kontext_lab.panel.planned_results import output_at
from kontext_lab.panel.session import Session
from kontext_lab.panel.ui_dispatcher import UiDispatcher
from kontext_lab.results import Output, Results
from kontext_lab.sweep import Sweep

__all__ = ["Panel"]

_SETTLE = 10.0
"""Seconds that `wait` gives to what is still being shown when everything has run."""

_ROOMS: dict[object, PanelController] = {}


class Panel(VBox):
    """Drives sweeps in a notebook: a form, a plan, a grid that fills, everything that was ever run.

    Panels of labs with the same store in one kernel show the same; a sweep goes on when a page is closed,
    and a panel made anew shows it. While a cell executes, clicks and redraws wait: `wait()` shows what comes.

    Args:
        lab: what runs the sweeps; a `Lab()` of its own where it isn't given.
        sweep: stands in the form at the beginning.
        static: still pictures in place of the interactive grid, for places that can't show it.

    Raises:
        ConfigError: `lab` or `sweep` is none.
        TrackingError: the lab's store can be none.
    """

    def __init__(self, lab: Lab | None = None, sweep: Sweep | None = None, *, static: bool = False) -> None:
        if lab is not None and not isinstance(lab, Lab):
            raise ConfigError(f"lab: {type(lab).__name__} is none, give a kl.Lab()")
        if sweep is not None and not isinstance(sweep, Sweep):
            raise ConfigError(f"sweep: {type(sweep).__name__} is none, give a kl.Sweep, or use panel.load(…)")
        self._rooms = rooms_for(lab or Lab(), static=static)
        super().__init__([self._rooms.frame, self._rooms], layout=Layout(width="100%"))
        self.add_class("kl-panel")
        if sweep is not None:
            self.load(sweep)

    @property
    def lab(self) -> Lab:
        """What runs the next sweep."""
        lab: Lab = self._rooms.session.lab
        return lab

    @property
    def sweep(self) -> Sweep:
        """What stands in the form; setting it puts another one there, as `load` does.

        Raises:
            SweepError: no sweep yet; says what is missing.
        """
        return self._rooms.form.draft.sweep()

    @sweep.setter
    def sweep(self, sweep: Sweep | str | Path) -> None:
        self.load(sweep)

    @property
    def results(self) -> Results:
        """What is on show: of the sweep under way, of the last one, or of the one that was opened."""
        found: Results | None = self._rooms.session.results
        return found if found is not None else Results([])

    @property
    def selection(self) -> Output | None:
        """The output that is picked, or None."""
        found: Output | None = self._rooms.session.selection
        return found

    def load(self, sweep: Sweep | str | Path) -> None:
        """Put a sweep into the form.

        Args:
            sweep: a sweep, the path of a YAML file, or the name or run id of a tracked one.

        Raises:
            SweepError: it is none of these, or can't be read.
            NotFound: no tracked sweep is called that.
        """
        if isinstance(sweep, Sweep):
            self._rooms.put(sweep)
        elif not isinstance(sweep, str | os.PathLike) or not str(sweep).strip():
            raise SweepError(
                f"sweep: {shown(sweep)}, allowed are a kl.Sweep, the path of a YAML file, a name or a run id"
            )
        elif str(sweep).lower().endswith((".yaml", ".yml")):
            self._rooms.put(Sweep.from_yaml(sweep))
        else:
            self._rooms.put(self.lab.load_sweep(str(sweep)))

    def run(self) -> None:
        """Run what stands in the form, as the button does: in the background, after what is under way.

        What is sent is what the plan says, by the lab that is in use now. Where it costs more than the lab's
        `confirm_above`, it asks first: `confirm()` says yes.

        Raises:
            ConfigError: no sweep stands there, or a setting can't be; says why.
            AlreadyRunning: exactly this is under way, or waits.
        """
        self._rooms.bar.run()

    def try_one(self) -> None:
        """Send a single request of what stands in the form."""
        self._rooms.bar.try_one()

    def confirm(self) -> None:
        """Yes to what was asked before paying."""
        self._rooms.bar.confirm()

    def stop(self) -> None:
        """Send nothing more; what is under way is kept."""
        self._rooms.bar.stop()

    def retry_failed(self) -> None:
        """Send the failed cells of what is on show again; asks first where that costs much, like `run`.

        Raises:
            ConfigError: nothing failed, or another service answered then.
            AlreadyRunning: a sweep is under way.
        """
        self._rooms.bar.retry_failed()

    def wait(self, timeout: float | None = None) -> Results:
        """Wait until everything that was asked for has run; meanwhile the panel is kept up to date.

        Args:
            timeout: seconds after which to return anyway.

        Raises:
            ConfigError: called on another thread than the one the panel was made on.
        """
        if timeout is not None and (isinstance(timeout, bool) or not isinstance(timeout, int | float)):
            raise ConfigError(f"timeout: {shown(timeout)}, allowed are seconds, or None")
        if not self._rooms.post.is_owner:
            raise ConfigError("panel.wait: is for the thread that made the panel, which is the notebook's")
        rooms = self._rooms
        if rooms.post.wait(lambda: rooms.idle, timeout):
            rooms.post.wait(lambda: rooms.post.quiet, _SETTLE)
        return self.results

    def select(self, **where: Any) -> Output:
        """Pick the output with these parameters, as a click does.

        Raises:
            NotFound: none or several; names what there is.
            ConfigError: no parameters are given.
        """
        if not where:
            raise ConfigError("select: give parameters, such as panel.select(seed=2)")
        found = self.results.cell(**where)
        output = found if isinstance(found, Output) else output_at(found, found.output.number)
        self._rooms.session.pick(output)
        return output

    def set_verdict(self, criterion: str, verdict: bool) -> None:
        """Pass or fail the picked output on a criterion, as the keys 1 and 0 do; the same again withdraws it.

        Raises:
            ConfigError: the criterion can't be one, or the verdict is none.
            NotFound: nothing is picked.
        """
        if not isinstance(verdict, bool):
            raise ConfigError(f"verdict: {shown(verdict)}, allowed are True and False")
        check_criterion(criterion)
        self._rooms.inspector.verdicts.set_verdict(verdict, criterion)

    def __repr__(self) -> str:
        return f"<Panel: {self._rooms.session.state}, {self.lab!r}>"


def rooms_for(lab: Lab, *, static: bool = False) -> PanelController:
    """The rooms of a lab: those there are for the same store and journal in this kernel, else new ones."""
    found = _ROOMS.get(lab.context.identity)
    if found is None:
        found = _ROOMS[lab.context.identity] = PanelController(Session(lab, UiDispatcher()), static=static)
    elif found.session.lab is not lab:
        found.session.lab = lab  # for what is ordered from now on; what is under way keeps its own
    found.post.attend()
    return found
