"""The tab History: the sweeps in the store, to open, go on with, put into the form, or hide."""

from __future__ import annotations

import base64
import html
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from ipywidgets import HTML, Checkbox, Text, Widget

from kontext_lab.lab.lookup import thumbnail
from kontext_lab.panel.layouts import plain, show_if
from kontext_lab.panel.session import Session
from kontext_lab.panel.ui_dispatcher import UiDispatcher
from kontext_lab.panel.widgets import Section, TextLine, closed, row

if TYPE_CHECKING:
    from kontext_lab.lab import Lab
    from kontext_lab.tracking import SweepRun

__all__ = ["History", "HistoryVisit"]

_PER_PAGE = 8


@dataclass(frozen=True)
class HistoryVisit:
    """What can be done with an earlier sweep; each is given its run.

    Attributes:
        open: puts its results on show.
        resume: runs it again, which sends what is missing.
        load: puts it into the form.
    """

    open: Callable[[SweepRun], None]
    resume: Callable[[SweepRun], None]
    load: Callable[[SweepRun], None]


class History(Section):
    """Past sweeps, newest first.

    Args:
        session: whose lab's store is shown.
        post: the widgets' thread.
        visit: what the buttons do.
    """

    def __init__(self, session: Session, post: UiDispatcher, visit: HistoryVisit) -> None:
        super().__init__()
        self._session, self._post, self._visit = session, post, visit
        self.runs: list[SweepRun] = []
        self._page = 0
        self._thumbnails: dict[str, bytes] = {}
        self._words: dict[str, HTML] = {}
        self._rows: dict[object, Widget] = {}
        self.search = Text(placeholder="name, service or run id", description="Search", **plain(Text))
        self.simulated = Checkbox(
            False, description="show simulated", indent=False, **plain(Checkbox, width="auto")
        )
        self.hidden = Checkbox(
            False, description="show hidden", indent=False, **plain(Checkbox, width="auto")
        )
        for control in (self.search, self.simulated):
            control.observe(self.guarded(lambda _: self._show(0)), names="value")
        self.hidden.observe(self.guarded(lambda _: self.look()), names="value")
        self.refresh = self.button("Refresh", self.look, "Read the store again", small=True)
        self.line = TextLine("reading the store …", "muted")
        self.back = self.button("‹", lambda: self._show(self._page - 1), "Newer sweeps", small=True)
        self.ahead = self.button("›", lambda: self._show(self._page + 1), "Older sweeps", small=True)
        controls = row(
            self.search, self.simulated, self.hidden, self.refresh, self.back, self.line, self.ahead
        )
        controls.add_class("kl-short-labels")
        self._head = [controls]
        self.fill(self._head)
        session.observe(self.watched(lambda _: self.look()), names="ends")

    def look(self) -> None:
        """Read the store anew."""
        lab, hidden = self._session.lab, self.hidden.value
        self._post.background(
            lambda: lab.history(hidden=hidden), self.guarded(self._read), self._unread, key=(id(self), "look")
        )

    def _read(self, runs: Sequence[SweepRun]) -> None:
        self.runs = list(runs)
        self.forget_trouble()
        self._show(self._page)

    def _unread(self, error: Exception) -> None:
        self.line.say("")
        self.show(error)

    @property
    def _real(self) -> list[SweepRun]:
        return [run for run in self.runs if run.service != "sandbox"]

    @property
    def listed(self) -> list[SweepRun]:
        """Those that are asked for; simulated ones step back once there are real ones."""
        words = self.search.value.lower().split()
        real = self._real
        runs = self.runs if self.simulated.value or not real else real
        return [
            run
            for run in runs
            if all(word in f"{run.name} {run.service} {run.run_id}".lower() for word in words)
        ]

    def _show(self, page: int) -> None:
        listed = self.listed
        pages = max(1, -(-len(listed) // _PER_PAGE))
        self._page = min(max(0, page), pages - 1)
        shown = listed[self._page * _PER_PAGE : (self._page + 1) * _PER_PAGE]
        # While there is nothing but simulated ones, they are on show, and there is nothing to choose.
        show_if(self._real, self.simulated)
        behind = len(self.runs) - len(self.listed)
        more = f" · {behind} more not listed" if behind else ""
        where = f" · page {self._page + 1} of {pages}" if pages > 1 else ""
        self.line.say(f"{len(listed)} sweep{'' if len(listed) == 1 else 's'}{where}{more}")
        for button in (self.back, self.ahead):
            show_if(pages > 1, button)
        self.back.disabled, self.ahead.disabled = self._page == 0, self._page == pages - 1
        before, self._rows = self._rows, {}
        for run in shown:
            # The same row where nothing changed: one made anew would lose a click on the old one.
            key = (run.run_id, run.name, run.status, run.hidden, run.cost, *run.counts.items())
            self._rows[key] = before.pop(key, None) or self._row(run)
        self.fill([*self._head, *self._rows.values()])
        closed(*before.values())
        missing = [run for run in shown if run.run_id not in self._thumbnails]
        if missing:
            lab = self._session.lab
            self._post.background(lambda: _thumbnails(lab, missing), self.guarded(self._got), self.show)

    def _got(self, thumbnails: dict[str, bytes]) -> None:
        """Put pictures into the rows that are there."""
        self._thumbnails |= thumbnails
        for run in self.runs:
            if run.run_id in thumbnails and run.run_id in self._words:
                self._words[run.run_id].value = _described(run, thumbnails[run.run_id])

    def _row(self, run: SweepRun) -> Widget:
        words = HTML(_described(run, self._thumbnails.get(run.run_id, b"")), **plain(HTML, flex="1 1 20em"))
        unsent = sum(run.counts.values()) - run.counts["done"] - run.counts["failed"] - run.counts["in_doubt"]
        parts = [words, self._button("Open", partial(self._visit.open, run), run)]
        if unsent or run.status == "KILLED":
            parts.append(self._button("Resume", partial(self._visit.resume, run), run))
        parts.append(self._button("Load into form", partial(self._visit.load, run), run))
        text = "Unhide" if run.hidden else "Hide"
        parts.append(self._button(text, partial(self.hide, run, not run.hidden), run))
        self._words[run.run_id] = words
        made = row(*parts)
        made.add_class("kl-history-row")
        return made

    def _button(self, text: str, act: Callable[[], None], run: SweepRun) -> Widget:
        return self.button(text, act, f"{text}: {run.name}", small=True)

    def hide(self, run: SweepRun, hidden: bool = True) -> None:
        """Leave a sweep out of the list, or bring it back; nothing is deleted."""
        lab = self._session.lab
        self._post.background(lambda: lab.hide(run.run_id, hidden), lambda _: self.look(), self.show)


def _thumbnails(lab: Lab, runs: Sequence[SweepRun]) -> dict[str, bytes]:
    return {run.run_id: thumbnail(lab.context.tracker, run) for run in runs}


def _described(run: SweepRun, thumbnail: bytes) -> str:
    """A sweep in a few words and a picture."""
    counts = [f"{count} {state.replace('_', ' ')}" for state, count in run.counts.items() if count]
    simulated = run.service == "sandbox"
    money = f"${run.cost:.2f}" + (" simulated (sandbox)" if simulated else "")
    facts = " · ".join(
        (f"{run.started.astimezone():%d %b %Y %H:%M}", f"{run.cells} cells", *counts, money, run.run_id[:8])
    )
    picture = '<span class="kl-thumb kl-no-thumb"></span>'
    if thumbnail:
        kind = "webp" if thumbnail[8:12] == b"WEBP" else "jpeg"
        data = base64.b64encode(thumbnail).decode("ascii")
        picture = f'<img class="kl-thumb" alt="" src="data:image/{kind};base64,{data}">'
    name = f"<b>{html.escape(run.name)}</b>"
    return f'<div class="kl-history">{picture}<div>{name}<div class="kl-muted">{html.escape(facts)}</div></div></div>'
