"""Verdicts on the picked output: pass and fail on a criterion, favourites, a note; all of them into the store."""

from __future__ import annotations

from functools import partial
from typing import Any

from ipywidgets import Text, ToggleButtons

from kontext_lab.panel.cell_details import verdicts_in_words
from kontext_lab.panel.layouts import plain
from kontext_lab.panel.session import Session
from kontext_lab.panel.ui_dispatcher import UiDispatcher
from kontext_lab.panel.widgets import Section, TextLine, row
from kontext_lab.results import Output
from kontext_lab.results.labels import FAVOURITE, criterion_of, verdict_key

__all__ = ["Verdicts"]

_TIP = "Key {}; once more withdraws"


class Verdicts(Section):
    """What a person says of the picked output.

    Args:
        session: whose selection is judged.
        post: writes elsewhere.
    """

    def __init__(self, session: Session, post: UiDispatcher) -> None:
        super().__init__()
        self._session, self._post, self._filling = session, post, False
        names = session.lab.context.criteria
        self.criterion = ToggleButtons(
            options=[(criterion_of(name), name) for name in names],
            tooltips=["1 pass, 0 fail"] * len(names),
            **plain(ToggleButtons),
        )
        self.criterion.add_class("kl-criteria")
        self.passed = self.button("1 pass", partial(self.set_verdict, True), _TIP.format(1), small=True)
        self.failed = self.button("0 fail", partial(self.set_verdict, False), _TIP.format(0), small=True)
        self.favourite = self.button("F favourite", self.favour, _TIP.format("F"), small=True)
        self.given = TextLine(kind="muted")
        self.comment = Text(
            placeholder="a note, then Enter",
            description="Note",
            continuous_update=False,
            **plain(Text, width="24em"),
        )
        self.fill([row(self.criterion, self.passed, self.failed, self.favourite, self.given), self.comment])
        self.comment.observe(self.guarded(self._commented), names="value")
        self.criterion.observe(self.guarded(lambda _: self.follow()), names="value")
        session.observe(self.watched(lambda _: self.follow()), names=["selection", "beat"])
        self.follow()

    def set_verdict(self, verdict: bool, criterion: str | None = None) -> None:
        """Pass or fail on the current criterion; the same once more withdraws it."""
        name = criterion or self.criterion.value
        output = self._session.picked
        before = output.metrics.get(verdict_key(name))
        self._give(output, name, None if before == float(verdict) else verdict)

    def favour(self) -> None:
        """A favourite, or not any more."""
        output = self._session.picked
        self._give(output, FAVOURITE, None if output.metrics.get(verdict_key(FAVOURITE)) else True)

    def _give(self, output: Output, criterion: str, verdict: bool | None) -> None:
        lab = self._session.lab
        self._post.background(
            lambda: lab.set_verdict(output, criterion, verdict), lambda _: self._given(output), self.show
        )

    def _given(self, output: Output) -> None:
        self._session.touch(output.cell)
        self.follow()

    def _commented(self, change: dict[str, Any]) -> None:
        if self._filling or self._session.selection is None:
            return
        output, lab, text = self._session.picked, self._session.lab, change["new"].strip()
        if text != output.cell.comment:
            self._post.background(
                lambda: lab.annotate(output, text), lambda _: self._given(output), self.show
            )

    def follow(self) -> None:
        """Show what was said of the picked output."""
        output: Output | None = self._session.selection
        given = {} if output is None else output.metrics
        now = given.get(verdict_key(self.criterion.value))
        self.passed.button_style = "success" if now == 1 else ""
        self.failed.button_style = "danger" if now == 0 else ""
        self.favourite.button_style = "warning" if given.get(verdict_key(FAVOURITE)) == 1 else ""
        for button in (self.passed, self.failed, self.favourite):
            button.disabled = output is None or not output.is_picture
        said = {} if output is None else verdicts_in_words(output)
        self.given.say(" · ".join(f"{name}: {word}" for name, word in said.items() if name != FAVOURITE))
        self._filling = True
        self.comment.value = output.cell.comment if output is not None else ""
        self._filling = False
