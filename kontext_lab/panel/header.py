"""The panel's first lines: which service answers and what is left there, and what an earlier time left unfinished."""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ipywidgets import HTML, ToggleButtons, Widget

from kontext_lab.errors import ConfigError, KontextLabError, Unauthorized
from kontext_lab.lab.lab import with_service
from kontext_lab.panel.browser import KeyField
from kontext_lab.panel.layouts import plain, show_if
from kontext_lab.panel.session import Session
from kontext_lab.panel.ui_dispatcher import UiDispatcher
from kontext_lab.panel.widgets import Section, TextLine, closed, row

if TYPE_CHECKING:
    from kontext_lab.lab import Lab
    from kontext_lab.lab.unfinished import UnfinishedSweep
    from kontext_lab.sweep import Sweep

__all__ = ["Header"]

_SHOWN = 3
"""How many unfinished sweeps are named one by one."""


class Header(Section):
    """Service and balance, a key where one is missing, unfinished sweeps.

    Args:
        session: what is run.
        post: the widgets' thread.
        resume: goes on with an unfinished sweep.
    """

    def __init__(self, session: Session, post: UiDispatcher, resume: Callable[[Sweep], None]) -> None:
        super().__init__()
        self._going_on = False
        self._session, self._post, self._resume = session, post, resume
        self._labs: dict[str, Lab] = {session.lab.context.service: session.lab}
        self.switch = ToggleButtons(
            options=[("Sandbox", "sandbox"), ("AI/ML API", "api")],
            value=session.lab.context.service,
            tooltips=["Simulated pictures, free", "Real pictures, paid"],
            **plain(ToggleButtons),
        )
        self.switch.add_class("kl-switch")
        self.switch.observe(self.guarded(self._switched), names="value")
        self.badge, self.notice = HTML(**plain(HTML)), TextLine(kind="warning")
        self.key = KeyField("API key")
        self.key.on_key(self.guarded(self._key_given))
        self.key.on_trouble(self.show)
        self.unfinished = Section()
        title = HTML('<div class="kl-title">Kontext Lab</div>', **plain(HTML))
        head = row(title, self.switch, self.badge)
        head.add_class("kl-head")
        self.fill([head, self.key, self.notice, self.unfinished])
        session.observe(self.watched(self._on_lab), names="lab")
        session.observe(self.watched(lambda _: self.look()), names="ends")
        self._on_lab()

    def look(self) -> None:
        """Look anew at the balance and at what is unfinished; elsewhere, since both may take a while."""
        lab = self._session.lab
        self._post.background(
            lambda: _account(lab), self.watched(self._show_account), self.show, key=(id(self), "account")
        )
        found = self.watched(lambda leftovers: self._show_unfinished(lab, leftovers))
        self._post.background(lambda: lab.unfinished, found, self.show, key=(id(self), "unfinished"))

    def _on_lab(self, _: object = None) -> None:
        lab = self._session.lab
        if self._labs.get(lab.context.service) is not lab:
            self._labs = {lab.context.service: lab}  # another's settings hold for the other service as well
        show_if(False, self.key)
        self.switch.value = lab.context.service
        self._show_account(_Account(lab, lab.context.service == "sandbox", "…"))
        self.look()

    def _show_account(self, account: _Account) -> None:
        if account.lab is not self._session.lab:
            return  # of a service that was switched away from meanwhile
        if account.simulated:
            words, kind = "Sandbox: simulated pictures, free", "kl-sandbox"
        else:
            words, kind = f"AI/ML API · {account.money}", "kl-api"
        shown = f'<span class="kl-dot"></span>{html.escape(words)}'
        self.badge.value = f'<span class="kl-badge {kind}" role="status">{shown}</span>'
        self.notice.say(account.trouble, "error")
        if account.refused:
            show_if(True, self.key)

    def _switched(self, change: dict[str, str]) -> None:
        wanted, lab = change["new"], self._session.lab
        if wanted == lab.context.service:
            return
        if wanted not in self._labs and wanted == "api" and not lab.context.has_key:
            self.switch.value = lab.context.service  # it says what answers, at any time
            show_if(True, self.key)
            self.notice.say(
                "No API key in the environment: give one here; it is kept in this kernel only.", "warning"
            )
            return
        try:
            self.use(self._labs.get(wanted) or with_service(lab, wanted))
        finally:
            self.switch.value = self._session.lab.context.service

    def _key_given(self, key: str) -> None:
        self.use(with_service(self._session.lab, "api", key))

    def use(self, lab: Lab) -> None:
        """Have this lab run what is ordered from now on."""
        self._labs[lab.context.service] = lab
        self._session.lab = lab

    def _show_unfinished(self, lab: Lab, leftovers: Sequence[UnfinishedSweep]) -> None:
        if lab is not self._session.lab:
            return  # some of it is to be gone on with by another service
        gone = self.unfinished.parts
        rows: list[Widget] = [self._unfinished_row(lab, one) for one in leftovers[:_SHOWN]]
        if len(leftovers) > _SHOWN:
            rows.append(TextLine(f"… and {len(leftovers) - _SHOWN} more unfinished", "warning"))
        self.unfinished.fill(rows)
        closed(*gone)

    def _unfinished_row(self, lab: Lab, one: UnfinishedSweep) -> Widget:
        line = TextLine(f"Unfinished: {one.line}", "warning")
        if not one.here:
            return line
        resume = self.unfinished.button(
            "Resume", lambda: self._go_on(lab, one), f"Go on with {one.name}", small=True
        )
        return row(line, resume)

    def _go_on(self, lab: Lab, one: UnfinishedSweep) -> None:
        if self._going_on:
            return  # pressed twice

        def ended() -> None:
            self._going_on = False

        def read(sweep: Sweep) -> None:
            ended()
            if lab is not self._session.lab:
                raise ConfigError(f"{one.name}: another service was chosen meanwhile, nothing is sent")
            self._resume(sweep)

        def trouble(error: Exception) -> None:
            ended()
            self.unfinished.show(error)

        self._going_on = True
        self._post.background(one.sweep, self.unfinished.watched(read), trouble)


@dataclass(frozen=True)
class _Account:
    """What is known of a service."""

    lab: Lab
    simulated: bool
    money: str
    trouble: str = ""
    refused: bool = False


def _account(lab: Lab) -> _Account:
    if lab.simulated:
        return _Account(lab, True, "")
    try:
        left = lab.balance()
    except KontextLabError as error:
        return _Account(lab, False, "balance unknown", str(error), isinstance(error, Unauthorized))
    return _Account(lab, False, "balance unknown" if left is None else f"${left:.2f} left")
