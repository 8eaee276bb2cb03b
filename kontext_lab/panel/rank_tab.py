"""Blind ranking: which of two pictures is better, and the scores of the answers; the tab Rank, and `kl.rank`."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from ipywidgets import HTML, Layout, VBox

from kontext_lab.errors import NotFound, WrongType, shown
from kontext_lab.lab import Lab
from kontext_lab.lab.change_maps import on_each_other
from kontext_lab.lab.verdicts import record_vote
from kontext_lab.metrics import Placement
from kontext_lab.panel.browser import PageFrame, Viewer
from kontext_lab.panel.pairs import Match, VoteSession, pairs, rankable, score_table
from kontext_lab.panel.ui_dispatcher import UiDispatcher, keep_messages
from kontext_lab.panel.widgets import Section, TextLine, picker, plain, row, show_if, text_field, toggle
from kontext_lab.results import Results
from kontext_lab.statistics import Choice, Scores, Vote
from kontext_lab.statistics.votes import check_rater

__all__ = ["Rank", "Ranking", "rank"]

_KEYS: Mapping[str, Choice] = {
    "ArrowLeft": "left",
    "ArrowRight": "right",
    "ArrowUp": "both good",
    "ArrowDown": "both bad",
}
_NEEDS = "Ranking needs two finished cells that differ in one axis at the same seed and reference."
_HINT = (
    "Which is better? The two differ only in this axis; their order is random. Keys (click here first): "
    "← left, → right, ↑ both good (half a win each), ↓ both bad (no vote)."
)
_PAUSE = 0.3
"""Seconds after a new pair or a key in which another key is ignored: it was meant for the pair before."""
_REST = 1.0
"""Seconds without a vote before scores are computed and recorded."""

Pictures = tuple[bytes, bytes, Placement | None]
"""The left and the right picture, and their common frame."""


class Rank(Section):
    """Votes on pairs; begins with `axis`, if there is one."""

    def __init__(
        self, lab: Callable[[], Lab], dispatcher: UiDispatcher, *, axis: str = "", rater: str = ""
    ) -> None:
        super().__init__(dispatcher)
        self._lab, self._first_axis, self._pause = lab, axis, _PAUSE
        self.results: Results | None = None
        self.votes = VoteSession(rater)
        self.on_show: Match | None = None
        self._since = self._pressed = 0.0
        self._loaded: dict[Match, Pictures] = {}
        self._loading: set[Match] = set()
        self.axis = picker("Axis", options=())
        self.rater = text_field("Rater", "your name", rater, on_enter=True, width="16em")
        self.on_change(self.axis, self._on_axis)
        self.on_change(self.rater, self._on_rater)
        self.busy, self.empty = TextLine(kind="muted"), TextLine(_NEEDS, "muted")
        self.simulated = TextLine(kind="warning")
        self.viewer = Viewer("side")
        self.viewer.on_trouble(self.show)
        self.buttons = [
            self.button("← Left", partial(self.press, "left"), "The left one is better (arrow left)"),
            self.button("↑ Both good", partial(self.press, "both good"), "Half a win each (arrow up)"),
            self.button("↓ Both bad", partial(self.press, "both bad"), "Counts as no vote (arrow down)"),
            self.button("Right →", partial(self.press, "right"), "The right one is better (arrow right)"),
        ]
        self.undo_button = self.button("Undo", self.undo, "Take back your last vote", small=True)
        self.progress = TextLine()
        self.shown = toggle("Show the scores", "Scores and parameters: no longer blind")
        self.on_change(self.shown, self._show_scores)
        self.table = HTML(**plain(HTML))
        head = row(self.axis, self.rater, name="kl-arranging")
        buttons = row(*self.buttons, self.undo_button, self.progress)
        hint = TextLine(_HINT, "muted")
        self._content = [head, self.simulated, hint, self.viewer, buttons, self.shown, self.table]
        self.fill([self.busy, self.empty, *self._content])
        show_if(False, *self._content)

    # The pairs.

    def put(self, results: Results | None) -> None:
        """Ask about these results; their votes and pairs are read again."""
        if results is not self.results:
            self.votes.forget()
            self.on_show = None
            self._loaded.clear()
        self.results = results
        if results is None or not len(results):
            self.busy.say("")
            self._on_matches(({}, []))
            return
        lab = self._lab()
        self.busy.say("reading the votes …")
        self.background(
            lambda: (rankable(results), lab.votes(results)),
            self._on_matches,
            lane="rank",
            key="put",
            busy=self.busy,
        )

    def _on_matches(self, read: tuple[Mapping[str, list[Match]], list[Vote]]) -> None:
        matches, votes = read
        wanted, self._first_axis = self._first_axis, ""
        self.votes.put(matches, votes, wanted)
        with self.filling():
            self.axis.options = tuple(matches)
            self.axis.value = self.votes.axis or None
        missing = "" if matches else _NEEDS
        if matches and wanted and wanted not in matches:
            missing = (
                f"{wanted}: no two finished pictures differ in it alone; there are {', '.join(matches)}."
            )
        self.empty.say(missing)
        show_if(matches, *self._content)
        simulated = self.results is not None and self.results.simulated
        self.simulated.say("Simulated pictures: made by the sandbox, not by the model." if simulated else "")
        self._ask()

    def _on_axis(self) -> None:
        if self.axis.value:
            self.votes.choose(self.axis.value)
            self._ask()

    def _on_rater(self) -> None:
        self.votes.rater = self.rater.value.strip()
        self.votes.begin()
        self._ask()

    def _ask(self) -> None:
        """Show the current pair, and load it and the next one."""
        wanted = (self.votes.current, self.votes.following)
        self._loaded = {match: pictures for match, pictures in self._loaded.items() if match in wanted}
        for match in wanted:
            if match is not None and match not in self._loaded and match not in self._loading:
                self._load(match)
        self._show_pair()
        self._show_progress()

    def _load(self, match: Match) -> None:
        self._loading.add(match)
        left, right = match.left, match.right
        source = self.results.comparison_source if self.results is not None else None

        def on_loaded(pictures: Pictures) -> None:
            self._loading.discard(match)
            if match in (self.votes.current, self.votes.following):
                self._loaded[match] = pictures
                self._show_pair()

        def on_error(error: Exception) -> None:
            self._loading.discard(match)
            self.show(error)
            self.votes.exclude(match)
            self._ask()

        self.background(
            lambda: (left.bytes, right.bytes, on_each_other(left, right, source)),
            on_loaded,
            on_error,
            lane="rank",
        )

    def _show_pair(self) -> None:
        current = self.votes.current
        if current is None:
            self.on_show = None
            self.viewer.clear("No pair with loadable pictures is left." if self.votes.axis else "")
        elif current != self.on_show and current in self._loaded:
            self.on_show, self._since = current, time.monotonic()
            more = " · simulated" if current.left.cell.simulated or current.right.cell.simulated else ""
            left, right, placement = self._loaded[current]
            self.viewer.show(
                left,
                right,
                left_label=f"left{more}",
                right_label=f"right{more}",
                alt="two pictures to choose from",
                placement=placement,
            )

    def _show_progress(self) -> None:
        done, count = self.votes.progress
        more = " · all seen; more votes make the scores more certain" if count and done == count else ""
        self.progress.say(f"{done} of {count} pairs{more}" if count else "")
        self.undo_button.disabled = not self.votes.can_undo
        for button in self.buttons:
            button.disabled = self.votes.current is None
        if self.shown.value:
            self._show_scores()

    # Votes.

    def press_key(self, key: str) -> None:
        """Vote by an arrow key."""
        if key in _KEYS:
            self.guarded(self.press)(_KEYS[key])

    def press(self, choice: Choice) -> None:
        """Vote by button or key; ignored if it comes too soon to be meant for the pair on show."""
        now = time.monotonic()
        # A key that is held down repeats, and means one vote.
        last, self._pressed = max(self._since, self._pressed), now
        if self.on_show is not None and now - last >= self._pause:
            self.vote(choice)

    def vote(self, choice: Choice) -> Vote:
        """Vote on the pair on show, as `Ranking.vote` does."""
        if self.on_show is None or self.on_show != self.votes.current:
            raise NotFound("no pair is on show yet")
        vote, match = self.votes.give(choice)
        tracker = self._lab().context.tracker
        self._write(lambda: record_vote(tracker, vote, match.left, match.right), vote, self.votes.drop)
        return vote

    def undo(self) -> None:
        """Take back the last vote that was given here, and ask about its pair again."""
        vote, match = self.votes.undo()
        lab = self._lab()
        self._write(lambda: lab.withdraw_vote(vote, match.left, match.right), vote, self.votes.keep)

    def _write(self, write: Callable[[], object], vote: Vote, revert: Callable[[Vote], None]) -> None:
        """Write a vote in the background, and go on to the next pair; an error reverts the vote."""
        results = self.results

        def on_error(error: Exception) -> None:
            revert(vote)
            self._show_progress()
            self.show(error)

        self.background(write, lambda _: self._record_soon(results), on_error, lane="votes")
        self._ask()

    # Scores.

    def _record_soon(self, results: Results | None) -> None:
        """Record the scores of all votes after a pause in voting."""
        if results is None:
            return
        compute = partial(self._lab().scores, results)
        self.dispatcher.later(
            _REST,
            lambda: self.background(compute, lambda _: None, lane="scores", key=f"scores {id(results)}"),
            key=(id(self), "scores", id(results)),
            move=True,
        )

    def _show_scores(self) -> None:
        """Show the table if it is switched on."""
        self.shown.description = "Hide the scores" if self.shown.value else "Show the scores"
        if not self.shown.value:
            self.table.value = ""
            return
        axis, matches, votes = self.votes.axis, self.votes.open, list(self.votes.votes)
        simulated = self.results is not None and self.results.simulated

        def on_table(text: str) -> None:
            if self.shown.value:
                self.table.value = text

        self.background(
            lambda: score_table(axis, matches, votes, simulated=simulated),
            on_table,
            lane="scores",
            key="table",
        )


def rank(results: Results, axis: str | None = None, lab: Lab | None = None, rater: str = "") -> Ranking:
    """Ask blind which of two pictures is better, and compute scores from the answers.

    The pictures of a pair differ in one axis, at the same seed and reference. Votes are written to MLflow as they
    are given; scores appear in `results.to_frame()` as `rank/score` and `rank/score_se`.

    Args:
        results: finished cells that are in MLflow.
        axis: a parameter, or `output`; None for the first that has pairs. The widget offers the others.
        lab: whose store has the cells; None for the store that is set.
        rater: name of the person who votes.

    Raises:
        WrongType: an argument has a type that is not allowed.
        ConfigError: the rater's name is not allowed.
        NotFound: no cell has such a parameter; the message lists the parameters.

    Example:
        >>> with kl.Lab("sandbox", quiet=True) as lab:
        ...     sweep = kl.Sweep("Add a bird.", kl.sample("coffee"), axes={"guidance_scale": [2, 8]})
        ...     results = lab.run(sweep, progress=False)
        ...     ranking = kl.rank(results, lab=lab, rater="ann")
        ...     _ = ranking.wait(20)
        ...     vote = ranking.vote("left")
        ...     _ = ranking.wait(20)
        >>> vote.choice, len(ranking.votes)
        ('left', 1)
    """
    if not isinstance(results, Results):
        raise WrongType(
            f"results must be kl.Results, not {type(results).__name__} (lab.run and lab.load return them)"
        )
    if lab is not None and not isinstance(lab, Lab):
        raise WrongType(f"lab must be a kl.Lab, not {type(lab).__name__}")
    if axis is not None:
        if not isinstance(axis, str):
            raise WrongType(f"axis: {shown(axis)}, give the name of a parameter")
        if len(results):
            pairs(results, axis)  # raises NotFound
    return Ranking(results, axis or "", lab or Lab("sandbox", quiet=True), check_rater(rater))


class Ranking(VBox):
    """Two pictures beside each other, and four answers.

    While a cell executes, clicks wait: `wait()` handles them.
    """

    def __init__(self, results: Results, axis: str, lab: Lab, rater: str) -> None:
        self._dispatcher = UiDispatcher()
        self._lab, self._results = lab, results
        self._frame = PageFrame(tuple(_KEYS))
        self._rank = Rank(lambda: lab, self._dispatcher, axis=axis, rater=rater)
        self._dispatcher.on_error = self._rank.show
        self._frame.on_key(self._rank.guarded(self._rank.press_key))
        self._frame.on_trouble(self._rank.show)
        super().__init__([self._frame, self._rank], layout=Layout(width="100%"))
        self.add_class("kl-panel")
        keep_messages(self._dispatcher, [self._frame, self._rank])
        self._rank.put(results)

    def vote(self, choice: Choice) -> Vote:
        """Vote on the pair on show, as the buttons do.

        Args:
            choice: `left`, `right`, `both good` or `both bad`.

        Raises:
            NotFound: no pair is on show.
        """
        return self._rank.vote(choice)

    def undo(self) -> None:
        """Take back the last vote that was given here."""
        self._rank.undo()

    @property
    def votes(self) -> list[Vote]:
        """All votes on these results, the oldest first."""
        return list(self._rank.votes.votes)

    def scores(self) -> Scores:
        """Scores of the pictures from all votes, by the digests of their bytes; recorded in MLflow."""
        return self._lab.scores(self._results)

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until votes are recorded and the next pair is on show; False after `timeout` seconds."""
        return self._dispatcher.wait(lambda: self._dispatcher.quiet, timeout)

    def __repr__(self) -> str:
        done, count = self._rank.votes.progress
        return f"<Ranking: {self._rank.votes.axis or 'no axis'}, {done} of {count} pairs>"

    def _repr_mimebundle_(self, **options: Any) -> Any:
        self._dispatcher.attend()
        return super()._repr_mimebundle_(**options)
