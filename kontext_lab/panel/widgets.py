"""What every room of the panel is made of: lines of text, buttons, and a place where errors of its callbacks show."""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence
from typing import Any, Literal

from ipywidgets import HTML, Box, Button, HBox, VBox, Widget

from kontext_lab.errors import KontextLabError, visible
from kontext_lab.panel.layouts import is_shared, plain, show_if
from kontext_lab.redaction import get_logger

__all__ = ["Section", "TextLine", "boxed", "button", "closed", "in_words", "row"]

log = get_logger(__name__)

Kind = Literal["plain", "muted", "warning", "error"]

_ROLES = {"error": "alert", "warning": "status", "plain": "status", "muted": "note"}


def in_words(error: BaseException) -> str:
    """An exception as one line: ours as they are, others with the name of their kind."""
    if isinstance(error, KontextLabError) and str(error):
        return str(error)
    first = (str(error).strip().splitlines() or [""])[0]
    return f"{type(error).__name__}: {first}" if first else type(error).__name__


class TextLine(HTML):
    """Text in the panel's own type; hidden while there is none. Never markup."""

    def __init__(self, text: str = "", kind: Kind = "plain") -> None:
        super().__init__(**plain(HTML, margin="0", width="auto"))
        self.add_class("kl-line")
        self.text = ""
        self.kind: Kind = kind
        self.say(text, kind)

    def say(self, text: str, kind: Kind | None = None) -> None:
        """Show other text."""
        self.kind = kind or self.kind
        text = visible(text)  # half characters, as in odd file names, would reach no browser
        self.text = text
        role = _ROLES[self.kind]
        lines = "<br>".join(html.escape(line) for line in text.splitlines())
        self.value = f'<div class="kl-{self.kind}" role="{role}">{lines}</div>' if text else ""
        show_if(text, self)


def button(
    text: str, clicked: Callable[[], Any], tooltip: str = "", *, primary: bool = False, small: bool = False
) -> Button:
    """A button with a name, that calls a function without arguments."""
    made = Button(description=text, tooltip=tooltip, **plain(Button, width="auto"))
    if primary:
        made.button_style = "primary"
    made.add_class("kl-button")
    if small:
        made.add_class("kl-small")
    made.on_click(lambda _: clicked())
    return made


def row(*children: Widget, wrap: bool = True) -> HBox:
    """Controls beside each other."""
    flow = "row wrap" if wrap else "row nowrap"
    made = HBox(list(children), **plain(HBox, flex_flow=flow, align_items="center"))
    made.add_class("kl-row")
    return made


class Section(VBox):
    """One part of the panel. What its callbacks raise is shown at its foot, in one line."""

    def __init__(self, children: Sequence[Widget] = (), **settings: Any) -> None:
        self._trouble: TextLine | None = None
        super().__init__(list(children), **plain(VBox, **settings))
        self.add_class("kl-room")

    @property
    def trouble(self) -> TextLine:
        """The line for what went wrong: few rooms ever need theirs."""
        if self._trouble is None:
            self._trouble = TextLine(kind="error")
            self.fill(self.parts)
        return self._trouble

    def fill(self, children: Sequence[Widget]) -> None:
        """Put other parts into the room."""
        wanted = (*children, *([self._trouble] if self._trouble is not None else []))
        if getattr(self, "children", ()) != wanted:  # the same children set again would be drawn again
            self.children = wanted

    def show(self, error: Exception) -> None:
        """Say what went wrong here."""
        log.debug("shown in the panel", exc_info=error)
        self.trouble.say(in_words(error))

    @property
    def parts(self) -> tuple[Widget, ...]:
        """What it was filled with."""
        return tuple(child for child in self.children if child is not self._trouble)

    def forget_trouble(self) -> None:
        """Take the line away."""
        if self._trouble is not None:
            self._trouble.say("")

    def guarded(self, callback: Callable[..., Any]) -> Callable[..., None]:
        """The callback with its exceptions shown in this room, and the last one's line taken away before."""
        watched = self.watched(callback)

        def call(*given: Any, **named: Any) -> None:
            self.forget_trouble()
            watched(*given, **named)

        return call

    def watched(self, callback: Callable[..., Any]) -> Callable[..., None]:
        """The same for what nobody pressed: a line that is there stays, so that it can be read."""

        def call(*given: Any, **named: Any) -> None:
            try:
                callback(*given, **named)
            except Exception as error:
                self.show(error)

        return call

    def button(self, text: str, clicked: Callable[[], Any], tooltip: str = "", **options: Any) -> Button:
        """A button whose exceptions show here."""
        return button(text, self.guarded(clicked), tooltip, **options)


def closed(*widgets: Widget) -> None:
    """End widgets that are not shown again, with all that is in them: else kernel, page and saved notebook keep them."""
    for widget in widgets:
        closed(*getattr(widget, "children", ()))
        for name in ("layout", "style"):
            part = getattr(widget, name, None)
            if isinstance(part, Widget) and not is_shared(part):
                part.close()
        widget.close()


def boxed(*children: Widget, name: str) -> Box:
    """Parts with a class of their own, for the style sheet."""
    made = VBox(list(children), **plain(VBox))
    made.add_class(name)
    return made
