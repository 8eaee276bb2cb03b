"""Building blocks of the panel: text lines, buttons, rows, sections that show the errors of their callbacks.

To ipywidgets every layout and style is a widget of its own, with a message to the page when it is created: two
thirds of a panel's messages. Equal ones are shared here, and never changed.
"""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal, TypeVar

from ipywidgets import HTML, Box, Button, Checkbox, Dropdown, HBox, Layout, Text, ToggleButton, VBox, Widget
from PIL import Image
from traitlets import HasTraits

from kontext_lab.errors import KontextLabError, visible
from kontext_lab.panel.ui_dispatcher import UiDispatcher
from kontext_lab.redaction import get_logger

__all__ = [
    "NO_CHOICE",
    "Section",
    "TextLine",
    "check_field",
    "close_widgets",
    "column",
    "error_text",
    "is_shared",
    "jpeg_tag",
    "picker",
    "plain",
    "row",
    "set_options",
    "shared_layout",
    "show_if",
    "text_field",
    "toggle",
]

log = get_logger(__name__)

T = TypeVar("T")
Kind = Literal["plain", "muted", "warning", "error"]

NO_CHOICE = "–"
"""The option of a picker that stands for nothing."""

_ROLES = {"error": "alert", "warning": "status", "plain": "status", "muted": "note"}


class _SharedLayout(Layout):
    """A layout of several widgets: a widget that needs another one gets another object."""

    def __init__(self, **settings: Any) -> None:
        self._complete = False
        super().__init__(**settings)
        self.settings = settings
        self._complete = True

    def __setattr__(self, name: str, value: Any) -> None:
        if getattr(self, "_complete", False) and name in self.keys:
            raise TypeError(f"layout.{name}: other widgets share this layout, give the widget another one")
        super().__setattr__(name, value)


_LAYOUTS: dict[tuple[tuple[str, Any], ...], _SharedLayout] = {}
_STYLES: dict[type[Widget], Widget] = {}


def shared_layout(**settings: Any) -> Layout:
    """The layout with these settings."""
    key = tuple(sorted(settings.items()))
    layout = _LAYOUTS.get(key)
    if layout is None or layout.comm is None:  # closed, as Widget.close_all() does
        layout = _LAYOUTS[key] = _SharedLayout(**settings)
    return layout


def plain(kind: type[Widget], **settings: Any) -> dict[str, Widget]:
    """Layout with these settings and usual style, as arguments for creating a widget of this kind."""
    arguments: dict[str, Widget] = {"layout": shared_layout(**settings)}
    trait = kind.class_traits().get("style")
    if trait is not None:
        style = _STYLES.get(trait.klass)
        if style is None or style.comm is None:
            style = _STYLES[trait.klass] = trait.klass()
        arguments["style"] = style
    return arguments


def is_shared(part: Widget) -> bool:
    """True if other widgets may use this layout or style too."""
    return isinstance(part, _SharedLayout) or part in _STYLES.values()


def show_if(condition: Any, *widgets: Widget) -> None:
    """Show widgets, or take them off the page."""
    display = None if condition else "none"
    for widget in widgets:
        layout = widget.layout
        if layout.display == display:
            continue
        if isinstance(layout, _SharedLayout):
            widget.layout = shared_layout(**{**layout.settings, "display": display})
        else:
            layout.display = display


def error_text(error: BaseException) -> str:
    """An exception as one line: the package's own as they are, others with the name of their class."""
    if isinstance(error, KontextLabError) and str(error):
        return str(error)
    first = (str(error).strip().splitlines() or [""])[0]
    return f"{type(error).__name__}: {first}" if first else type(error).__name__


class TextLine(HTML):
    """Text in the panel's own type, never markup; hidden while empty."""

    def __init__(self, text: str = "", kind: Kind = "plain") -> None:
        super().__init__(**plain(HTML, margin="0", width="auto"))
        self.add_class("kl-line")
        self.text = ""
        self.kind: Kind = kind
        self.say(text, kind)

    def say(self, text: str, kind: Kind | None = None) -> None:
        """Show another text."""
        self.kind = kind or self.kind
        text = visible(text)  # lone surrogates, as in odd file names, would reach no browser
        self.text = text
        lines = "<br>".join(html.escape(line) for line in text.splitlines())
        self.value = f'<div class="kl-{self.kind}" role="{_ROLES[self.kind]}">{lines}</div>' if text else ""
        show_if(text, self)


def jpeg_tag(picture: Image.Image, alt: str, name: str = "") -> str:
    """A small picture as HTML; its bytes are saved with the notebook."""
    buffer = io.BytesIO()
    picture.convert("RGB").save(buffer, format="JPEG", quality=70)
    data = base64.b64encode(buffer.getvalue()).decode("ascii")
    return f'<img class="{name}" alt="{html.escape(alt)}" src="data:image/jpeg;base64,{data}">'


def row(*children: Widget, wrap: bool = True, name: str = "") -> HBox:
    """Controls beside each other; `name` is a further CSS class."""
    flow = "row wrap" if wrap else "row nowrap"
    box = HBox(list(children), **plain(HBox, flex_flow=flow, align_items="center"))
    box.add_class("kl-row")
    if name:
        box.add_class(name)
    return box


def column(*children: Widget, name: str, **settings: Any) -> Box:
    """Widgets below each other, with a CSS class."""
    box = VBox(list(children), **plain(VBox, **settings))
    box.add_class(name)
    return box


def text_field(
    name: str, placeholder: str, value: str = "", *, on_enter: bool = False, **settings: Any
) -> Text:
    """A line to type into; `on_enter` reports a text once it is entered. The settings are those of its layout."""
    return Text(
        value,
        description=name,
        placeholder=placeholder,
        continuous_update=not on_enter,
        **plain(Text, **settings),
    )


def toggle(text: str, tooltip: str) -> ToggleButton:
    """A button that stays pressed."""
    return ToggleButton(description=text, tooltip=tooltip, **plain(ToggleButton, width="auto"))


def check_field(text: str) -> Checkbox:
    """A box to tick, with its text behind it."""
    return Checkbox(False, description=text, indent=False, **plain(Checkbox, width="auto"))


def picker(name: str, tooltip: str = "", options: Sequence[Any] = ((NO_CHOICE, NO_CHOICE),)) -> Dropdown:
    """A drop-down list, by default without a choice yet."""
    more = {"tooltip": tooltip} if tooltip else {}
    return Dropdown(options=options, description=name, **more, **plain(Dropdown, width="auto"))


def set_options(chosen: Dropdown, options: Sequence[tuple[str, Any]], default: Any = NO_CHOICE) -> None:
    """Give a picker other options; its value stays if it is one of them, else it is the default."""
    if tuple(options) != tuple(chosen.options):
        kept = chosen.value
        chosen.options = options
        chosen.value = kept if kept in [value for _, value in options] else default


class Section(VBox):
    """A part of the panel. An exception of a callback is shown at its foot, in one line."""

    def __init__(self, dispatcher: UiDispatcher | None = None) -> None:
        self._dispatcher = dispatcher
        self._trouble: TextLine | None = None
        self._filling = False
        super().__init__([], **plain(VBox))
        self.add_class("kl-section")

    @property
    def dispatcher(self) -> UiDispatcher:
        """The dispatcher of the widgets' thread."""
        if self._dispatcher is None:
            raise RuntimeError(f"{type(self).__name__} was made without a dispatcher")
        return self._dispatcher

    @property
    def trouble(self) -> TextLine:
        """The line for errors, created when it is first needed."""
        if self._trouble is None:
            self._trouble = TextLine(kind="error")
            self.fill(self.parts)
        return self._trouble

    def fill(self, children: Sequence[Widget]) -> None:
        """Replace the widgets in it."""
        wanted = (*children, *([self._trouble] if self._trouble is not None else []))
        if getattr(self, "children", ()) != wanted:  # the same children set again would be drawn again
            self.children = wanted

    @property
    def parts(self) -> tuple[Widget, ...]:
        """The widgets in it, without the line for errors."""
        return tuple(child for child in self.children if child is not self._trouble)

    def show(self, error: Exception) -> None:
        """Show an error here."""
        log.debug("shown in the panel", exc_info=error)
        self.trouble.say(error_text(error))

    def clear_trouble(self) -> None:
        """Take the error away."""
        if self._trouble is not None:
            self._trouble.say("")

    def guarded(self, callback: Callable[..., Any]) -> Callable[..., None]:
        """The callback with its exceptions shown here; an older error is taken away first."""
        watched = self.watched(callback)

        def call(*arguments: Any, **keywords: Any) -> None:
            self.clear_trouble()
            watched(*arguments, **keywords)

        return call

    def watched(self, callback: Callable[..., Any]) -> Callable[..., None]:
        """The same for callbacks that no click causes: an older error stays readable."""

        def call(*arguments: Any, **keywords: Any) -> None:
            try:
                callback(*arguments, **keywords)
            except Exception as error:
                self.show(error)

        return call

    def button(
        self,
        text: str,
        clicked: Callable[[], Any],
        tooltip: str = "",
        *,
        primary: bool = False,
        small: bool = False,
    ) -> Button:
        """A button that calls a function without arguments; its exceptions are shown here."""
        made = Button(description=text, tooltip=tooltip, **plain(Button, width="auto"))
        if primary:
            made.button_style = "primary"
        made.add_class("kl-button")
        if small:
            made.add_class("kl-small")
        act = self.guarded(clicked)
        made.on_click(lambda _: act())
        return made

    @contextmanager
    def filling(self) -> Iterator[None]:
        """Change controls from Python, without the callbacks of `on_change`."""
        before, self._filling = self._filling, True
        try:
            yield
        finally:
            self._filling = before

    def on_change(self, control: HasTraits, callback: Callable[[], Any], name: str = "value") -> None:
        """Have `callback` called after every change of a control by a person; its exceptions are shown here."""
        guarded = self.guarded(callback)
        control.observe(lambda _: None if self._filling else guarded(), names=name)

    def follow(self, source: HasTraits, callback: Callable[[], Any], *names: str) -> None:
        """Have `callback` called after every change of these traits; its exceptions are shown here."""
        watched = self.watched(callback)
        source.observe(lambda _: watched(), names=list(names))

    def background(
        self,
        work: Callable[[], T],
        then: Callable[[T], Any],
        on_error: Callable[[Exception], Any] | None = None,
        *,
        lane: str = "",
        key: str = "",
        busy: TextLine | None = None,
    ) -> None:
        """Do something on another thread, touching no widget, and hand its value to `then` on the thread of the widgets.

        Lane and key are as in `UiDispatcher.background`, keys by section; `busy` is emptied when the work is done.
        """

        def end(call: Callable[..., Any]) -> Callable[..., None]:
            def finish(outcome: Any) -> None:
                if busy is not None:
                    busy.say("")
                call(outcome)

            return finish

        self.dispatcher.background(
            work,
            end(self.watched(then)),
            end(on_error or self.show),
            lane=lane,
            key=(id(self), key) if key else None,
        )


def close_widgets(*widgets: Widget) -> None:
    """Close widgets with their content, so that neither kernel nor page nor saved notebook keeps them."""
    for widget in widgets:
        close_widgets(*getattr(widget, "children", ()))
        for name in ("layout", "style"):
            part = getattr(widget, name, None)
            if isinstance(part, Widget) and not is_shared(part):
                part.close()
        widget.close()
