"""The panel's first lines: which service answers and what is left there, and what an earlier time left unfinished."""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ipywidgets import HTML, ToggleButtons, Widget

from kontext_lab.errors import KontextLabError
from kontext_lab.panel.browser import KeyField
from kontext_lab.panel.parts import Line, Room, row
from kontext_lab.panel.post import Post
from kontext_lab.panel.session import Session

if TYPE_CHECKING:
    from kontext_lab.lab import Lab
    from kontext_lab.lab.leftovers import Leftover
    from kontext_lab.sweep import Sweep

__all__ = ["Header"]

_SHOWN = 3
"""How many unfinished sweeps are named one by one."""


class Header(Room):
    """Service and balance, a key where one is missing, unfinished sweeps.

    Args:
        session: what is run.
        post: the widgets' thread.
        resume: goes on with an unfinished sweep.
    """

    def __init__(self, session: Session, post: Post, resume: Callable[[Sweep], None]) -> None:
        super().__init__()
        self._session, self._post, self._resume = session, post, resume
        self._labs: dict[str, Lab] = {session.lab.service_name: session.lab}
        self.switch = ToggleButtons(
            options=[("Sandbox", "sandbox"), ("AI/ML API", "api")],
            value=session.lab.service_name,
            tooltips=["Simulated pictures, free", "Real pictures, paid"],
        )
        self.switch.add_class("kl-switch")
        self.switch.observe(self.guarded(self._switched), names="value")
        self.badge, self.notice = HTML(), Line(kind="warning")
        self.key = KeyField("API key")
        self.key.on_key(self.guarded(self._key_given))
        self.key.on_trouble(self.show)
        self.unfinished = Room()
        title = HTML('<div class="kl-title">Kontext Lab</div>')
        head = row(title, self.switch, self.badge)
        head.add_class("kl-head")
        self.fill([head, self.key, self.notice, self.unfinished])
        session.observe(self.guarded(self._on_lab), names="lab")
        session.observe(self.guarded(lambda _: self.look()), names="ends")
        self._on_lab()

    def look(self) -> None:
        """Look anew at the balance and at what is unfinished; elsewhere, since both may take a while."""
        lab = self._session.lab
        self._post.background(lambda: _account(lab), self.guarded(self._show_account), self.show)
        self._post.background(lab.leftovers, self.guarded(self._show_unfinished), self.show)

    def _on_lab(self, _: object = None) -> None:
        lab = self._session.lab
        self._labs[lab.service_name] = lab
        self.key.layout.display = "none"
        self.switch.value = lab.service_name
        self._show_account(_Account(lab, lab.service_name == "sandbox", "…"))
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

    def _switched(self, change: dict[str, str]) -> None:
        wanted = change["new"]
        if wanted == self._session.lab.service_name:
            self.key.layout.display = "none"
            return
        if wanted not in self._labs and wanted == "api" and not self._session.lab.has_key:
            self.key.layout.display = None
            self.notice.say(
                "No API key in the environment: give one here; it is kept in this kernel only.", "warning"
            )
            return
        self.use(self._labs.get(wanted) or self._session.lab.on(wanted))

    def _key_given(self, key: str) -> None:
        self.use(self._session.lab.on("api", key=key))

    def use(self, lab: Lab) -> None:
        """Have this lab run what is started next."""
        self._session.lab = lab

    def _show_unfinished(self, leftovers: Sequence[Leftover]) -> None:
        rows: list[Widget] = [self._unfinished_row(one) for one in leftovers[:_SHOWN]]
        if len(leftovers) > _SHOWN:
            rows.append(Line(f"… and {len(leftovers) - _SHOWN} more unfinished", "warning"))
        self.unfinished.fill(rows)

    def _unfinished_row(self, one: Leftover) -> Widget:
        line = Line(f"Unfinished: {one.line}", "warning")
        if not one.here:
            return line
        resume = self.unfinished.button(
            "Resume", lambda: self._go_on(one), f"Go on with {one.name}", small=True
        )
        return row(line, resume)

    def _go_on(self, one: Leftover) -> None:
        self._post.background(one.sweep, self.guarded(self._resume), self.show)


@dataclass(frozen=True)
class _Account:
    """What is known of a service."""

    lab: Lab
    simulated: bool
    money: str
    trouble: str = ""


def _account(lab: Lab) -> _Account:
    if lab.simulated:
        return _Account(lab, True, "")
    try:
        left = lab.balance()
    except KontextLabError as error:
        return _Account(lab, False, "balance unknown", str(error))
    return _Account(lab, False, "balance unknown" if left is None else f"${left:.2f} left")
