"""The part of a lab that needs only the store: loading, finding, judging and comparing tracked results.

Opens no service and starts no sandbox.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kontext_lab.errors import SweepError, TrackingError
from kontext_lab.lab import lookup, verdicts
from kontext_lab.lab.bound_store import draw_preview
from kontext_lab.lab.change_maps import ChangeMaps
from kontext_lab.lab.picture_search import Found, find
from kontext_lab.lab.services import Lazy
from kontext_lab.results import CellResult, Output, Results, Spending
from kontext_lab.statistics import Choice, Scores, Vote
from kontext_lab.sweep import Sweep
from kontext_lab.tracking import SweepRun, Tracker

__all__ = ["StoreClient"]


class StoreClient:
    """What is in the store, and what people say of it.

    Args:
        tracking_uri: MLflow's store; None for what MLflow has set.
        experiment: its name; None for the notebook's, the environment's, else `kontext-lab`.
    """

    def __init__(self, tracking_uri: str | None, experiment: str | None) -> None:
        self._tracking_uri, self._experiment = tracking_uri, experiment
        self._store = Lazy(lambda: Tracker(tracking_uri, experiment))

    @property
    def tracker(self) -> Tracker:
        """The store in use; opened at the first call, once, whichever threads ask for it.

        Raises:
            TrackingError: it can't be.
        """
        return self._store.get()

    @property
    def store_shown(self) -> str:
        """The address of the store in use, without a password; opens nothing.

        Raises:
            TrackingError: it can be none.
        """
        opened = self._store.made
        return Tracker.shown_in_use(self._tracking_uri) if opened is None else opened.store.shown

    def active_run_id(self) -> str:
        """The MLflow run that is active in the calling thread, if it is in the store in use; else "".

        A sweep that is started on another thread is put inside it with `start(…, inside=…)`.
        """
        opened = self._store.made
        uri = Tracker.in_use(self._tracking_uri) if opened is None else opened.store.uri
        return Tracker.active_run_id(uri)

    def load(self, which: str) -> Results:
        """A sweep's results from the store alone.

        Args:
            which: its name, run id, the beginning of that, or `last`.

        Raises:
            NotFound: none, or several, which are then listed.
        """
        run, found = self.tracker.load(str(which))
        cells = [found[place] for place in sorted(found)]
        if len(cells) < run.cells:
            cells = self._with_unsent(run, found)
        results = Results(
            cells,
            name=run.name,
            run_id=run.run_id,
            draw=draw_preview,
            comparison_source=ChangeMaps(self.tracker),
        )
        results.notes += filter(None, [results.missing_line])
        return results

    def _with_unsent(self, run: SweepRun, found: dict[int, CellResult]) -> list[CellResult]:
        """The cells of a sweep, with those that have no outcome yet as waiting."""
        try:
            defined = self.tracker.sweep_of(run.run_id).cells
        except (SweepError, TrackingError):
            return [found[place] for place in sorted(found)]  # its file is gone: what there is
        return [found.get(cell.index) or CellResult.from_cell(cell, run.service, "") for cell in defined]

    def load_sweep(self, which: str) -> Sweep:
        """The sweep as it was defined, from the store alone.

        Raises:
            NotFound: none, or several, which are then listed.
            SweepError: its file can't be read any more.
        """
        return self.tracker.sweep_of(str(which))

    def cells(self, run_ids: Sequence[str]) -> Results:
        """Cells of any sweeps and experiments by their own runs' ids, in this order: for comparing any runs.

        Raises:
            NotFound: some are no cells; names them.
        """
        found = lookup.cells_of(self.tracker, run_ids)
        found.comparison_source = ChangeMaps(self.tracker)
        found.notes += filter(None, [found.missing_line])
        return found

    def with_requests(self, results: Results) -> Results:
        """The same results, their cells knowing what was sent, so that references can be shown.

        What was loaded from the store doesn't know it until then; nothing is filled in where the sweep's file
        is gone.
        """
        return lookup.with_requests(self.tracker, results)

    def history(self, *, everywhere: bool = False, hidden: bool = False) -> list[SweepRun]:
        """The sweeps of this experiment, newest first.

        Args:
            everywhere: those of the whole store.
            hidden: also those that were hidden.
        """
        return self.tracker.history(everywhere=everywhere, hidden=hidden)

    def hide(self, run_id: str, hidden: bool = True) -> None:
        """Leave a sweep out of `history` and `kontext-lab list`, or show it again; nothing of it is deleted.

        Raises:
            NotFound: the run is no sweep.
        """
        self.tracker.hide(run_id, hidden)

    def thumbnail(self, run: SweepRun, box: int = 96) -> bytes:
        """A small JPEG of the first picture of a sweep, longest side `box` pixels; empty where there is none."""
        return lookup.thumbnail(self.tracker, run, box)

    def address(self, what: CellResult | Output | SweepRun | Results) -> str:
        """Where MLflow's pages show the run of something; "" where the store has no web address, or it no run.

        Raises:
            TrackingError: the store can't be asked.
        """
        experiment_id = what.experiment_id if isinstance(what, SweepRun) else ""
        return self.tracker.address(what.run_id, experiment_id)

    def find(self, picture: Any) -> list[Found]:
        """The cells that made a picture, in any experiment of the store; the best first, none where nobody did.

        Args:
            picture: a path, bytes, PIL image, array or output; also of a copy that was saved again or resized.

        Raises:
            ImageError: it can't be read.
        """
        return find(self.tracker, picture)

    def spending(self) -> Spending:
        """US dollars by day, sweep and model, of every experiment in the store; simulated ones apart."""
        return self.tracker.spending()

    def set_verdict(self, what: CellResult | Output, criterion: str, verdict: bool | None) -> None:
        """Say whether a picture passes on a criterion; in MLflow as `verdict/<criterion>`, also on later copies.

        May be called on any thread, also while the sweep is under way.

        Args:
            what: an output; of a cell, its `output`.
            criterion: one of `criteria`, `favourite`, or any name that MLflow takes.
            verdict: True, False, or None to withdraw it.

        Raises:
            ConfigError: the criterion can't be a metric's name.
            NotFound: there is no picture, or its cell isn't in the store yet.
            TrackingError: it can't be recorded; then nothing changes.
        """
        verdicts.set_verdict(self.tracker, what, criterion, verdict)

    def annotate(self, what: CellResult | Output, text: str) -> None:
        """Put a note on a cell, `.comment`, which MLflow shows as the run's description; "" removes it.

        Raises:
            ConfigError: more than 5000 characters.
            NotFound: the cell isn't in the store yet.
            TrackingError: it can't be recorded; then nothing changes.
        """
        verdicts.annotate(self.tracker, what, text)

    def vote(
        self, left: CellResult | Output, right: CellResult | Output, choice: Choice, rater: str = ""
    ) -> Vote:
        """Record which of two pictures is better, under `votes/` of their sweep in MLflow.

        May be called on any thread, and by several people and kernels at once. `scores` makes numbers of votes.

        Args:
            left: an output; of a cell, its `output`.
            right: another one.
            choice: `left`, `right`, `both good` (half a win each way) or `both bad` (no vote).
            rater: who says so.

        Raises:
            ConfigError: there is no such choice, or both are the same picture.
            NotFound: there is no picture, or it isn't in this store.
            TrackingError: it can't be recorded.
        """
        return verdicts.give(self.tracker, left, right, choice, rater)

    def votes(self, results: Results) -> list[Vote]:
        """Every vote on two pictures among these, by anybody, the oldest first; also votes on originals of copies."""
        return verdicts.votes_on(self.tracker, results)

    def take_back(self, vote: Vote, left: CellResult | Output, right: CellResult | Output) -> None:
        """Take back a vote on these two pictures; it stays on file, and counts no more."""
        verdicts.take_back(self.tracker, vote, left, right)

    def scores(self, results: Results) -> Scores:
        """Bradley-Terry scores from all votes on these sweeps; in MLflow as `rank/score` and `rank/score_se`.

        Also on the outputs' `metrics`, and so in `results.to_frame()`. What nobody voted on has no score.

        Raises:
            TrackingError: they can't be read or recorded.
        """
        return verdicts.rate(self.tracker, results)

    def ancestors(self, what: CellResult | Output) -> list[Output]:
        """The outputs a picture was made from, oldest first: the chain of edits it stands in, up to 50.

        Follows the first reference where a request had several; ends where an output is not in the store.
        """
        return lookup.ancestors(self.tracker, what)

    def edits_of(self, what: CellResult | Output) -> list[Output]:
        """The pictures made directly from an output, oldest first, in any experiment; no copies."""
        return lookup.edits_of(self.tracker, what)

    def sweep_run_of(self, cell: CellResult) -> str:
        """The id of the run of the sweep that a tracked cell belongs to, or ""."""
        return self.tracker.whereabouts(cell.run_id).parent_id if cell.run_id else ""

    def answer_to(self, cell: CellResult) -> str:
        """What the service answered to a tracked cell's request, as JSON text; "" where it isn't tracked.

        Raises:
            TrackingError: it can't be read.
        """
        return self.tracker.answer_to(cell.run_id) if cell.run_id else ""
