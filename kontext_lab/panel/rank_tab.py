"""The tab Rank: which of two pictures is better, asked blind, and the scores that come of it.

A vote is shown as given at once and written elsewhere; the next pair's pictures are there before it is asked
about. Knows no grid and no form: `kl.rank` shows the same room by itself.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from ipywidgets import HTML, Dropdown, Text, ToggleButton

from kontext_lab.errors import NotFound
from kontext_lab.lab.change_maps import on_each_other
from kontext_lab.lab.verdicts import record
from kontext_lab.metrics import Placement
from kontext_lab.panel.browser import Viewer
from kontext_lab.panel.layouts import plain, show_if
from kontext_lab.panel.pairing import Match, rankable
from kontext_lab.panel.score_table import standings
from kontext_lab.panel.ui_dispatcher import UiDispatcher
from kontext_lab.panel.vote_session import Sides, VoteSession
from kontext_lab.panel.widgets import Section, TextLine, row
from kontext_lab.results import Results
from kontext_lab.statistics import Choice, Vote

if TYPE_CHECKING:
    from kontext_lab.lab.store_client import StoreClient

__all__ = ["KEYS", "Rank"]

KEYS: Mapping[str, Choice] = {
    "ArrowLeft": "left",
    "ArrowRight": "right",
    "ArrowUp": "both good",
    "ArrowDown": "both bad",
}

_NEEDS = "Ranking needs two finished cells that differ in one axis at the same seed and reference."

_HINT = (
    "Which one is better? Everything but the axis is the same; which of the two stands left is drawn by lot. Once you "
    "have clicked here: ← left, → right, ↑ both good (half a win each way), ↓ both bad (no vote)."
)

_PAUSE = 0.3
"""Seconds within which nobody judges two pictures: what is pressed sooner was meant for the pair before."""

_REST = 1.0
"""Seconds without a vote after which scores are worked out and recorded."""

Pictures = tuple[bytes, bytes, Placement | None]
"""Of the left and the right one, and their common frame."""


class Rank(Section):
    """Votes on pairs.

    Args:
        lab: gives the store in use.
        post: the widgets' thread.
        axis: which to begin with, or "".
        rater: who votes, or "".
        pause: seconds after a pair came on show, or a key was pressed, in which a press is passed over.
    """

    def __init__(
        self,
        lab: Callable[[], StoreClient],
        post: UiDispatcher,
        *,
        axis: str = "",
        rater: str = "",
        pause: float = _PAUSE,
    ) -> None:
        super().__init__()
        self._lab, self._post, self._first_axis, self._pause = lab, post, axis, pause
        self.results: Results | None = None
        self.ballot = VoteSession(rater)
        self.on_show: Sides | None = None
        self._since = self._pressed = 0.0
        self._loaded: dict[Sides, Pictures] = {}
        self._loading: set[Sides] = set()
        self._filling = False
        self.axis = Dropdown(description="Axis", **plain(Dropdown, width="auto"))
        self.rater = Text(
            rater,
            description="Rater",
            placeholder="your name",
            continuous_update=False,
            **plain(Text, width="16em"),
        )
        self.axis.observe(self.guarded(self._axis_chosen), names="value")
        self.rater.observe(self.guarded(self._rater_named), names="value")
        self.busy, self.empty = TextLine(kind="muted"), TextLine(_NEEDS, "muted")
        self.hint, self.simulated = TextLine(_HINT, "muted"), TextLine(kind="warning")
        self.viewer = Viewer("side")
        self.viewer.on_trouble(self.show)
        self.buttons = [
            self.button("← Left", partial(self.press, "left"), "The left one is better (arrow left)"),
            self.button("↑ Both good", partial(self.press, "both good"), "Half a win each way (arrow up)"),
            self.button("↓ Both bad", partial(self.press, "both bad"), "Counts as no vote (arrow down)"),
            self.button("Right →", partial(self.press, "right"), "The right one is better (arrow right)"),
        ]
        self.undo_button = self.button("Undo", self.undo, "Take back your last vote", small=True)
        self.progress = TextLine()
        self.shown = ToggleButton(
            description="Show the scores",
            tooltip="Scores and parameters: no longer blind",
            **plain(ToggleButton, width="auto"),
        )
        self.shown.observe(self.guarded(lambda _: self._score()), names="value")
        self.table = HTML(**plain(HTML))
        self._lay_out()

    def _lay_out(self) -> None:
        head = row(self.axis, self.rater)
        head.add_class("kl-arranging")
        votes = row(*self.buttons, self.undo_button, self.progress)
        self._parts = [head, self.simulated, self.hint, self.viewer, votes, self.shown, self.table]
        self.fill([self.busy, self.empty, *self._parts])
        show_if(False, *self._parts)

    # What is asked about.

    def take(self, results: Results | None) -> None:
        """Ask about these results; the votes on them are read anew, and the pairs that came since are there."""
        if results is not self.results:
            self.ballot.forget()
            self.on_show = None
            self._loaded.clear()
        self.results = results
        if results is None or not len(results):
            self._taken(({}, []))
            return
        lab = self._lab()
        self.busy.say("reading the votes …")
        self._post.background(
            lambda: (rankable(results), lab.votes(results)),
            self.watched(self._taken),
            self._unread,
            lane="rank",
            key=(id(self), "take"),
        )

    def _unread(self, error: Exception) -> None:
        self.busy.say("")
        self.show(error)

    def _taken(self, found: tuple[Mapping[str, list[Match]], list[Vote]]) -> None:
        self.busy.say("")
        matches, votes = found
        self.ballot.take(matches, votes, self._first_axis)
        self._fill_axes()
        self.empty.say(self._what_is_missing())
        show_if(matches, *self._parts)
        simulated = self.results is not None and self.results.simulated
        self.simulated.say("Simulated pictures: made by the sandbox, not by the model." if simulated else "")
        self._ask()

    def _fill_axes(self) -> None:
        self._filling = True
        self.axis.options = tuple(self.ballot.matches)
        self.axis.value = self.ballot.axis or None
        self._filling = False

    def _what_is_missing(self) -> str:
        wanted, self._first_axis = self._first_axis, ""
        if not self.ballot.matches:
            return _NEEDS
        if wanted and wanted not in self.ballot.matches:
            return f"{wanted}: no two finished pictures differ in it alone; there are {', '.join(self.ballot.matches)}."
        return ""

    def _axis_chosen(self, change: dict[str, Any]) -> None:
        if not self._filling and change["new"]:
            self.ballot.choose(change["new"])
            self._ask()

    def _rater_named(self, change: dict[str, Any]) -> None:
        self.ballot.rater = change["new"].strip()
        self.ballot.begin()
        self._ask()

    def _ask(self) -> None:
        """Put the pair that is asked about on show, and fetch the next one's pictures."""
        ballot = self.ballot
        self._loaded = {one: had for one, had in self._loaded.items() if one in (ballot.now, ballot.ahead)}
        for sides in (ballot.now, ballot.ahead):
            if sides is not None and sides not in self._loaded and sides not in self._loading:
                self._load(sides)
        self._show_pair()
        self._tell()

    def _load(self, sides: Sides) -> None:
        self._loading.add(sides)
        left, right = sides.left, sides.right
        comparison_source = self.results.comparison_source if self.results is not None else None
        self._post.background(
            lambda: (left.bytes, right.bytes, on_each_other(left, right, comparison_source)),
            self.watched(partial(self._came, sides)),
            partial(self._missing, sides),
            lane="rank",
        )

    def _came(self, sides: Sides, pictures: Pictures) -> None:
        self._loading.discard(sides)
        if sides in (self.ballot.now, self.ballot.ahead):
            self._loaded[sides] = pictures
            self._show_pair()

    def _missing(self, sides: Sides, error: Exception) -> None:
        """A pair whose pictures can't be had is asked about no more."""
        self._loading.discard(sides)
        self.show(error)
        self.ballot.lose(sides)
        self._ask()

    def _show_pair(self) -> None:
        now = self.ballot.now
        if now is None:
            self.on_show = None
            self.viewer.clear(
                "There is no pair left whose pictures can be shown." if self.ballot.axis else ""
            )
        elif now != self.on_show and now in self._loaded:
            self.on_show, self._since = now, time.monotonic()
            more = " · simulated" if now.left.cell.simulated or now.right.cell.simulated else ""
            left, right, placement = self._loaded[now]
            self.viewer.show(
                left,
                right,
                left_label=f"left{more}",
                right_label=f"right{more}",
                alt="two pictures to choose from",
                placement=placement,
            )

    def _tell(self) -> None:
        done, count = self.ballot.progress
        more = " · all seen, further votes make the scores surer" if count and done == count else ""
        self.progress.say(f"{done} of {count} pairs{more}" if count else "")
        self.undo_button.disabled = not self.ballot.can_undo
        for button in self.buttons:
            button.disabled = self.ballot.now is None
        if self.shown.value:
            self._score()

    # What is said.

    def key(self, key: str) -> None:
        """An arrow key was pressed while this room is open."""
        if key in KEYS:
            self.guarded(self.press)(KEYS[key])

    def press(self, choice: Choice) -> None:
        """Vote by button or key; passed over where it came too soon to be meant for the pair on show."""
        now = time.monotonic()
        # A key that is held down comes again and again, and means one vote.
        last, self._pressed = max(self._since, self._pressed), now
        if self.on_show is not None and now - last >= self._pause:
            self.vote(choice)

    def vote(self, choice: Choice) -> Vote:
        """Vote on the pair on show.

        Args:
            choice: `left`, `right`, `both good` or `both bad`.

        Raises:
            NotFound: no pair is on show.
            ConfigError: there is no such choice, or the rater's name can't be one.
        """
        if self.on_show is None or self.on_show != self.ballot.now:
            raise NotFound("no pair is on show yet")
        vote, sides = self.ballot.give(choice)
        lab, results = self._lab(), self.results
        self._post.background(
            lambda: record(lab.tracker, vote, sides.left, sides.right),
            lambda _: self._rate_soon(results),
            partial(self._not_recorded, vote),
            lane="votes",
        )
        self._ask()
        return vote

    def _not_recorded(self, vote: Vote, error: Exception) -> None:
        """What is counted was recorded."""
        self.ballot.drop(vote)
        self._tell()
        self.show(error)

    def undo(self) -> None:
        """Take back the last vote that was given here, and ask about its pair again."""
        vote, sides = self.ballot.undo()
        lab, results = self._lab(), self.results
        self._post.background(
            lambda: lab.take_back(vote, sides.left, sides.right),
            lambda _: self._rate_soon(results),
            partial(self._not_taken_back, vote),
            lane="votes",
        )
        self._ask()

    def _not_taken_back(self, vote: Vote, error: Exception) -> None:
        self.ballot.keep(vote)
        self._tell()
        self.show(error)

    # What comes of it.

    def _rate_soon(self, results: Results | None) -> None:
        key = (id(self), "rate", id(results))
        self._post.later(_REST, lambda: self._rate(results), key=key, move=True)

    def _rate(self, results: Results | None) -> None:
        """Record the scores of all votes, once people pause."""
        if results is not None:
            lab = self._lab()
            key = (id(self), "rate", id(results))
            self._post.background(
                lambda: lab.scores(results), lambda _: None, self.show, lane="scores", key=key
            )

    def _score(self) -> None:
        """The table, where it is wanted."""
        self.shown.description = "Hide the scores" if self.shown.value else "Show the scores"
        if not self.shown.value:
            self.table.value = ""
            return
        ballot = self.ballot
        axis, matches, votes = ballot.axis, ballot.open, list(ballot.votes)
        simulated = self.results is not None and self.results.simulated
        self._post.background(
            lambda: standings(axis, matches, votes, simulated=simulated),
            self.watched(self._put_table),
            self.show,
            lane="scores",
            key=(id(self), "table"),
        )

    def _put_table(self, text: str) -> None:
        if self.shown.value:
            self.table.value = text
