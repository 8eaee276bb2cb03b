"""The tab History: the sweeps in the store, to open, resume, put into the form, or hide."""

from __future__ import annotations

import base64
import html
from collections.abc import Callable, Sequence
from functools import partial

from ipywidgets import HTML, Widget

from kontext_lab.errors import ConfigError, NotFound, SweepError
from kontext_lab.lab.lookup import thumbnail, with_requests
from kontext_lab.panel.form import Form
from kontext_lab.panel.run_bar import RunBar
from kontext_lab.panel.session import Session
from kontext_lab.panel.widgets import (
    Section,
    TextLine,
    check_field,
    close_widgets,
    plain,
    row,
    show_if,
    text_field,
)
from kontext_lab.results import Results
from kontext_lab.sweep import Sweep
from kontext_lab.tracking import SweepRun

__all__ = ["History"]

_PER_PAGE = 8


class History(Section):
    """Past sweeps, newest first."""

    def __init__(self, session: Session, form: Form, run_bar: RunBar, show_grid: Callable[[], None]) -> None:
        super().__init__(session.dispatcher)
        self._session, self._form, self._run_bar, self._show_grid = session, form, run_bar, show_grid
        self.runs: list[SweepRun] = []
        self._page = 0
        self._wanted: SweepRun | None = None
        self._thumbnails: dict[str, bytes] = {}
        self._descriptions: dict[str, HTML] = {}
        self._rows: dict[object, Widget] = {}
        self.search = text_field("Search", "name, service or run id")
        self.simulated, self.hidden = check_field("show simulated"), check_field("show hidden")
        for control in (self.search, self.simulated):
            self.on_change(control, partial(self._show_page, 0))
        self.on_change(self.hidden, self.refresh)
        refresh = self.button("Refresh", self.refresh, "Read the store again", small=True)
        self.line = TextLine("reading the store …", "muted")
        self.back = self.button("‹", lambda: self._show_page(self._page - 1), "Newer sweeps", small=True)
        self.ahead = self.button("›", lambda: self._show_page(self._page + 1), "Older sweeps", small=True)
        controls = (self.search, self.simulated, self.hidden, refresh, self.back, self.line, self.ahead)
        self._head = row(*controls, name="kl-short-labels")
        self.fill([self._head])
        self.follow(session, self.refresh, "ends")

    # The list.

    def refresh(self) -> None:
        """Read the store again."""
        lab, hidden = self._session.lab, self.hidden.value

        def on_error(error: Exception) -> None:
            self.line.say("")
            self.show(error)

        self.background(lambda: lab.history(hidden=hidden), self._on_runs, on_error, key="look")

    def _on_runs(self, runs: Sequence[SweepRun]) -> None:
        self.clear_trouble()
        self.runs = list(runs)
        self._show_page(self._page)

    @property
    def listed(self) -> list[SweepRun]:
        """The runs that match the search; simulated ones are hidden by default once there are real ones."""
        words = self.search.value.lower().split()
        real = [run for run in self.runs if run.service != "sandbox"]
        return [
            run
            for run in (self.runs if self.simulated.value or not real else real)
            if all(word in f"{run.name} {run.service} {run.run_id}".lower() for word in words)
        ]

    def _show_page(self, page: int) -> None:
        listed = self.listed
        pages = max(1, -(-len(listed) // _PER_PAGE))
        self._page = min(max(0, page), pages - 1)
        shown = listed[self._page * _PER_PAGE : (self._page + 1) * _PER_PAGE]
        # Without real sweeps the simulated ones are listed anyway.
        show_if(any(run.service != "sandbox" for run in self.runs), self.simulated)
        others = len(self.runs) - len(listed)
        more = f" · {others} more not listed" if others else ""
        where = f" · page {self._page + 1} of {pages}" if pages > 1 else ""
        self.line.say(f"{len(listed)} sweep{'' if len(listed) == 1 else 's'}{where}{more}")
        show_if(pages > 1, self.back, self.ahead)
        self.back.disabled, self.ahead.disabled = self._page == 0, self._page == pages - 1
        before, self._rows = self._rows, {}
        for run in shown:
            # An unchanged row stays: a click on it would get lost if it were created again.
            key = (run.run_id, run.name, run.status, run.hidden, run.cost, *run.counts.items())
            self._rows[key] = before.pop(key, None) or self._row(run)
        self.fill([self._head, *self._rows.values()])
        close_widgets(*before.values())
        missing = [run for run in shown if run.run_id not in self._thumbnails]
        if missing:
            tracker = self._session.lab.context.tracker
            self.background(
                lambda: {run.run_id: thumbnail(tracker, run) for run in missing}, self._on_thumbnails
            )

    def _on_thumbnails(self, thumbnails: dict[str, bytes]) -> None:
        """Put pictures into the rows on show."""
        self._thumbnails |= thumbnails
        for run in self.runs:
            if run.run_id in thumbnails and run.run_id in self._descriptions:
                self._descriptions[run.run_id].value = _described(run, thumbnails[run.run_id])

    def _row(self, run: SweepRun) -> Widget:
        description = _described(run, self._thumbnails.get(run.run_id, b""))
        shown = self._descriptions[run.run_id] = HTML(description, **plain(HTML, flex="1 1 20em"))
        unsent = sum(run.counts.values()) - run.counts["done"] - run.counts["failed"] - run.counts["in_doubt"]
        actions = [("Open", self.open_run), ("Resume", self.resume_run), ("Load into form", self.load_run)]
        if not unsent and run.status != "KILLED":
            del actions[1]
        actions.append(("Unhide" if run.hidden else "Hide", partial(self.hide, hidden=not run.hidden)))
        buttons = [
            self.button(text, partial(act, run), f"{text}: {run.name}", small=True) for text, act in actions
        ]
        return row(shown, *buttons, name="kl-history-row")

    # The buttons of a row.

    def hide(self, run: SweepRun, *, hidden: bool = True) -> None:
        """Leave a sweep out of the list, or bring it back; nothing is deleted."""
        lab = self._session.lab
        self.background(lambda: lab.hide(run.run_id, hidden), lambda _: self.refresh())

    def open_run(self, run: SweepRun) -> None:
        """Show a sweep's results in the grid."""
        lab = self._session.lab
        self._wanted = run

        def read() -> tuple[Results, Sweep | None]:
            results = with_requests(lab.context.tracker, lab.load(run.run_id))
            try:
                return results, lab.load_sweep(run.run_id)
            except (SweepError, NotFound):
                return results, None

        def on_read(loaded: tuple[Results, Sweep | None]) -> None:
            if self._wanted is run:  # else another one was chosen meanwhile
                self._session.show(*loaded)
                self._show_grid()

        self.background(read, on_read)

    def load_run(self, run: SweepRun) -> None:
        """Put a sweep into the form."""
        self._read_sweep(run, self._form.load)

    def resume_run(self, run: SweepRun) -> None:
        """Run a sweep again, which sends what is missing."""
        service = self._session.lab.context.service_name
        if run.service != service:
            raise ConfigError(
                f"{run.name}: was sent to {run.service}, not to {service}: switch to that service to go on with "
                "it, or load it into the form"
            )
        self._read_sweep(run, self._run_bar.resume)

    def _read_sweep(self, run: SweepRun, then: Callable[[Sweep], None]) -> None:
        lab = self._session.lab
        self._wanted = run

        def on_read(sweep: Sweep) -> None:
            if self._wanted is not run:
                return  # another one was chosen meanwhile
            if self._session.lab is not lab:
                raise ConfigError(f"{run.name}: another service was chosen meanwhile, press it again")
            then(sweep)

        self.background(partial(lab.load_sweep, run.run_id), on_read)


def _described(run: SweepRun, thumbnail: bytes) -> str:
    """A sweep as HTML: its picture, name and figures."""
    counts = [f"{count} {state.replace('_', ' ')}" for state, count in run.counts.items() if count]
    money = f"${run.cost:.2f}" + (" simulated (sandbox)" if run.service == "sandbox" else "")
    cells = f"{run.cells} cell{'' if run.cells == 1 else 's'}"
    facts = " · ".join((f"{run.started.astimezone():%d %b %Y %H:%M}", cells, *counts, money, run.run_id[:8]))
    picture = '<span class="kl-thumb kl-no-thumb"></span>'
    if thumbnail:
        kind = "webp" if thumbnail[8:12] == b"WEBP" else "jpeg"
        data = base64.b64encode(thumbnail).decode("ascii")
        picture = f'<img class="kl-thumb" alt="" src="data:image/{kind};base64,{data}">'
    name = f"<b>{html.escape(run.name)}</b>"
    return f'<div class="kl-history">{picture}<div>{name}<div class="kl-muted">{html.escape(facts)}</div></div></div>'
