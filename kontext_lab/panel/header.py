"""The first lines of the panel: service, balance, missing key, and unfinished sweeps."""

from __future__ import annotations

import html
from collections.abc import Sequence
from functools import partial

from ipywidgets import HTML, ToggleButtons, Widget

from kontext_lab.errors import ConfigError, KontextLabError, Unauthorized
from kontext_lab.lab import Lab
from kontext_lab.lab.lab import with_service
from kontext_lab.lab.unfinished import UnfinishedSweep
from kontext_lab.panel.browser import KeyField
from kontext_lab.panel.run_bar import RunBar
from kontext_lab.panel.session import Session
from kontext_lab.panel.widgets import Section, TextLine, close_widgets, plain, row, show_if
from kontext_lab.sweep import Sweep

__all__ = ["Header"]

_SHOWN = 3
"""Number of unfinished sweeps that are listed."""


class Header(Section):
    """Service and balance, a field for a missing key, unfinished sweeps."""

    def __init__(self, session: Session, run_bar: RunBar) -> None:
        super().__init__(session.dispatcher)
        self._session, self._run_bar, self._resuming = session, run_bar, False
        self._labs: dict[str, Lab] = {session.lab.context.service: session.lab}
        self.switch = ToggleButtons(
            options=[("Sandbox", "sandbox"), ("AI/ML API", "api")],
            value=session.lab.context.service,
            tooltips=["Simulated pictures, free", "Real pictures, paid"],
            **plain(ToggleButtons),
        )
        self.switch.add_class("kl-switch")
        self.on_change(self.switch, self._on_switch)
        self.badge, self.notice = HTML(**plain(HTML)), TextLine(kind="warning")
        self.key = KeyField()
        self.key.on_key(self.guarded(lambda key: self.use(with_service(session.lab, "api", key))))
        self.key.on_trouble(self.show)
        self.unfinished = Section()
        title = HTML('<div class="kl-title">Kontext Lab</div>', **plain(HTML))
        self.fill(
            [row(title, self.switch, self.badge, name="kl-head"), self.key, self.notice, self.unfinished]
        )
        self.follow(session, self._on_lab, "lab")
        self.follow(session, self.refresh, "ends")
        self._on_lab()

    def refresh(self) -> None:
        """Ask for the balance and for unfinished sweeps, in the background."""
        lab = self._session.lab

        def ask_balance() -> tuple[bool, str, KontextLabError | None]:
            if lab.simulated:
                return True, "", None
            try:
                left = lab.balance()
            except KontextLabError as error:
                return False, "balance unknown", error
            return False, "balance unknown" if left is None else f"${left:.2f} left", None

        self.background(ask_balance, lambda answer: self._show_account(lab, *answer), key="account")
        self.background(lambda: lab.unfinished, partial(self._show_unfinished, lab), key="unfinished")

    def _on_lab(self) -> None:
        lab = self._session.lab
        if self._labs.get(lab.context.service) is not lab:
            self._labs = {lab.context.service: lab}  # the other service must have the same settings
        show_if(False, self.key)
        self.switch.value = lab.context.service
        self._show_account(lab, lab.context.service == "sandbox", "…", None)
        self.refresh()

    def _show_account(self, lab: Lab, simulated: bool, balance: str, error: KontextLabError | None) -> None:
        if lab is not self._session.lab:
            return  # another service was chosen meanwhile
        text = "Sandbox: simulated pictures, free" if simulated else f"AI/ML API · {balance}"
        kind = "kl-sandbox" if simulated else "kl-api"
        shown = f'<span class="kl-dot"></span>{html.escape(text)}'
        self.badge.value = f'<span class="kl-badge {kind}" role="status">{shown}</span>'
        self.notice.say(str(error or ""), "error")
        if isinstance(error, Unauthorized):
            show_if(True, self.key)

    def _on_switch(self) -> None:
        wanted, lab = self.switch.value, self._session.lab
        if wanted == lab.context.service:
            return
        if wanted not in self._labs and wanted == "api" and not lab.context.has_key:
            self.switch.value = lab.context.service  # it always shows the service in use
            show_if(True, self.key)
            self.notice.say("No API key in the environment: enter one; only this kernel keeps it.", "warning")
            return
        try:
            self.use(self._labs.get(wanted) or with_service(lab, wanted))
        finally:
            self.switch.value = self._session.lab.context.service

    def use(self, lab: Lab) -> None:
        """Use this lab for runs that are started from now on."""
        self._labs[lab.context.service] = lab
        self._session.lab = lab

    def _show_unfinished(self, lab: Lab, sweeps: Sequence[UnfinishedSweep]) -> None:
        if lab is not self._session.lab:
            return  # another service resumes other sweeps
        before = self.unfinished.parts
        rows: list[Widget] = []
        for sweep in sweeps[:_SHOWN]:
            line: Widget = TextLine(f"Unfinished: {sweep.line}", "warning")
            if sweep.here:
                resume = partial(self._resume, lab, sweep)
                tooltip = f"Go on with {sweep.name}"
                line = row(line, self.unfinished.button("Resume", resume, tooltip, small=True))
            rows.append(line)
        if len(sweeps) > _SHOWN:
            rows.append(TextLine(f"… and {len(sweeps) - _SHOWN} more unfinished", "warning"))
        self.unfinished.fill(rows)
        close_widgets(*before)

    def _resume(self, lab: Lab, unfinished: UnfinishedSweep) -> None:
        if self._resuming:
            return  # pressed twice

        def on_read(sweep: Sweep) -> None:
            self._resuming = False
            if lab is not self._session.lab:
                raise ConfigError(f"{unfinished.name}: another service was chosen meanwhile, nothing is sent")
            self._run_bar.resume(sweep)

        def on_error(error: Exception) -> None:
            self._resuming = False
            self.unfinished.show(error)

        self._resuming = True
        self.background(unfinished.sweep, self.unfinished.watched(on_read), on_error)
