"""`kl.rank(results)`: the room Rank by itself, for a notebook cell."""

from __future__ import annotations

from typing import Any

from ipywidgets import Layout, VBox

from kontext_lab.errors import ConfigError, shown
from kontext_lab.lab.store_client import StoreClient
from kontext_lab.panel.browser import PageFrame
from kontext_lab.panel.environment import keep_messages
from kontext_lab.panel.pairing import pairs
from kontext_lab.panel.rank_tab import KEYS, Rank
from kontext_lab.panel.ui_dispatcher import UiDispatcher
from kontext_lab.results import Results
from kontext_lab.statistics import Choice, Scores, Vote
from kontext_lab.statistics.votes import check_rater

__all__ = ["Ranking", "rank"]


def rank(
    results: Results, axis: str | None = None, lab: StoreClient | None = None, rater: str = ""
) -> Ranking:
    """Ask blind which of two pictures is better, and make scores of the answers.

    Pairs differ in one axis, at the same seed and reference. Votes are in MLflow as they are given; what comes of
    them is in `results.to_frame()` as `rank/score` and `rank/score_se`.

    Args:
        results: finished cells that are in MLflow.
        axis: a parameter, or `output`; None for the first that has pairs. Any other can be chosen in the widget.
        lab: whose store has the cells; None for the store that is set.
        rater: who votes.

    Raises:
        ConfigError: an argument that can't be; says what is allowed.
        NotFound: no cell has such a parameter; names what there is.
    """
    if not isinstance(results, Results):
        raise ConfigError(f"rank: {type(results).__name__} is no results, give those of lab.run or lab.load")
    if lab is not None and not isinstance(lab, StoreClient):
        raise ConfigError(f"lab: {type(lab).__name__} is none, give a kl.Lab()")
    if axis is not None:
        if not isinstance(axis, str):
            raise ConfigError(f"axis: {shown(axis)}, allowed is the name of a parameter")
        if len(results):
            pairs(results, axis)  # names the parameters there are
    return Ranking(results, axis or "", lab or StoreClient(None, None), check_rater(rater))


class Ranking(VBox):
    """Two pictures beside each other, and four answers.

    While a cell executes, clicks wait: `wait()` shows what comes.
    """

    def __init__(self, results: Results, axis: str, lab: StoreClient, rater: str) -> None:
        self._post = UiDispatcher()
        self._lab, self._results = lab, results
        self._frame = PageFrame(tuple(KEYS))
        self._room = Rank(lambda: lab, self._post, axis=axis, rater=rater)
        self._post.trouble = self._room.show
        self._frame.on_key(self._room.guarded(self._room.key))
        self._frame.on_trouble(self._room.show)
        super().__init__([self._frame, self._room], layout=Layout(width="100%"))
        self.add_class("kl-panel")
        keep_messages(self._post, [self._frame, self._room])
        self._room.take(results)

    def vote(self, choice: Choice) -> Vote:
        """Answer what is asked, as the buttons do.

        Args:
            choice: `left`, `right`, `both good` or `both bad`.

        Raises:
            NotFound: no pair is on show.
        """
        return self._room.vote(choice)

    def undo(self) -> None:
        """Take back the last vote that was given here."""
        self._room.undo()

    @property
    def votes(self) -> list[Vote]:
        """The votes on these results, by anybody, the oldest first."""
        return list(self._room.ballot.votes)

    def scores(self) -> Scores:
        """Scores of the pictures from all votes, by the digests of their bytes; recorded in MLflow."""
        return self._lab.scores(self._results)

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until what was said is recorded and the next pair is on show; whether it came to that."""
        return self._post.wait(lambda: self._post.quiet, timeout)

    def __repr__(self) -> str:
        done, count = self._room.ballot.progress
        return f"<Ranking: {self._room.ballot.axis or 'no axis'}, {done} of {count} pairs>"

    def _repr_mimebundle_(self, **given: Any) -> Any:
        self._post.attend()
        return super()._repr_mimebundle_(**given)
