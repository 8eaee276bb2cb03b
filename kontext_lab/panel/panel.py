"""`kl.Panel(lab)`: what a notebook shows, and the same as methods and attributes for the next cell."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ipywidgets import Layout, VBox

from kontext_lab.errors import ConfigError
from kontext_lab.lab import Lab
from kontext_lab.panel.post import Post
from kontext_lab.panel.rooms import Rooms
from kontext_lab.panel.session import Session
from kontext_lab.panel.shelf import output_at
from kontext_lab.results import Output, Results
from kontext_lab.sweep import Sweep

__all__ = ["Panel"]

_SETTLE = 3.0
"""Seconds that `wait` gives to what is still being shown when everything has run."""

_ROOMS: dict[object, Rooms] = {}


class Panel(VBox):
    """Drives sweeps in a notebook: a form, a plan, a grid that fills, everything that was ever run.

    Panels of labs with the same store in one kernel show the same; a sweep goes on when a page is closed,
    and a panel made anew shows it. While a cell executes, clicks and redraws wait: `wait()` shows what comes.

    Args:
        lab: what runs the sweeps; a `Lab()` of its own where it isn't given.
        sweep: stands in the form at the beginning.
        static: still pictures in place of the interactive grid, for places that can't show it.

    Raises:
        ConfigError: `lab` is none.
    """

    def __init__(self, lab: Lab | None = None, sweep: Sweep | None = None, *, static: bool = False) -> None:
        if lab is not None and not isinstance(lab, Lab):
            raise ConfigError(f"lab: {type(lab).__name__} is none, give a kl.Lab()")
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
        """
        if isinstance(sweep, Sweep):
            self._rooms.put(sweep)
        elif Path(sweep).suffix in (".yaml", ".yml"):
            self._rooms.put(Sweep.from_yaml(sweep))
        else:
            self._rooms.put(self.lab.load_sweep(str(sweep)))

    def run(self) -> None:
        """Run what stands in the form, as the button does: in the background, after what is under way.

        Where it costs more than the lab's `confirm_above`, it asks first: `confirm()` says yes.
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
        """Send the failed cells of what is on show again."""
        self._rooms.bar.retry_failed()

    def wait(self, timeout: float | None = None) -> Results:
        """Wait until everything that was asked for has run; meanwhile the panel is kept up to date.

        Args:
            timeout: seconds after which to return anyway.
        """
        rooms = self._rooms
        if rooms.post.wait(lambda: rooms.idle, timeout):
            rooms.post.wait(lambda: rooms.post.quiet, _SETTLE)
        return self.results

    def select(self, **where: Any) -> Output:
        """Pick the output with these parameters, as a click does.

        Raises:
            NotFound: none or several; names what there is.
        """
        found = self.results.at(**where)
        output = found if isinstance(found, Output) else output_at(found, found.output.number)
        self._rooms.session.pick(output)
        return output

    def judge(self, criterion: str, verdict: bool) -> None:
        """Pass or fail the picked output on a criterion, as the keys 1 and 0 do; the same again withdraws it."""
        self._rooms.inspector.judge(verdict, criterion)

    def __repr__(self) -> str:
        return f"<Panel: {self._rooms.session.state}, {self.lab!r}>"


def rooms_for(lab: Lab, *, static: bool = False) -> Rooms:
    """The rooms of a lab: those there are for the same store and journal in this kernel, else new ones."""
    found = _ROOMS.get(lab.place)
    if found is None:
        found = _ROOMS[lab.place] = Rooms(Session(lab, Post()), static=static)
    elif not found.session.busy and found.session.lab is not lab:
        found.session.lab = lab
    return found
