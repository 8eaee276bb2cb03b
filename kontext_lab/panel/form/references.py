"""The references of the form: added by upload, path, address or from an output."""

from __future__ import annotations

import html
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

from ipywidgets import HTML, VBox

from kontext_lab.errors import SweepError
from kontext_lab.images import MAX_MEGAPIXELS, Reference, load_reference, thumbnail
from kontext_lab.panel.browser import Upload, UploadField
from kontext_lab.panel.session import Session
from kontext_lab.panel.widgets import (
    Section,
    TextLine,
    close_widgets,
    jpeg_tag,
    picker,
    plain,
    row,
    show_if,
    text_field,
)

__all__ = ["ReferenceFields"]

_THUMBNAIL = 144
_EACH = "one request each"
_TOGETHER = "combined in each request"


class _ReferenceCard(VBox):
    """A reference: a small picture, its name, and a button that removes it."""

    def __init__(self, owner: ReferenceFields, reference: Reference, name: str) -> None:
        self.reference, self.name = reference, name
        label = name or reference.name
        size, picture = "by address", ""
        if reference.png:
            size = f"{reference.sent_size[0]}×{reference.sent_size[1]}"
            picture = jpeg_tag(thumbnail(reference.png, _THUMBNAIL), f"reference {label}", name="kl-thumb")
        text = f"{html.escape(label)}<br>{size}"
        title = f'<div class="kl-muted kl-name" title="{html.escape(reference.source)}">{text}</div>'
        remove = owner.button("×", lambda: owner.remove(self), f"Take reference {label} away", small=True)
        super().__init__([row(HTML(picture + title, **plain(HTML)), remove, wrap=False)])
        self.add_class("kl-reference")


class ReferenceFields(Section):
    """The references; calls `changed` after every change by a person."""

    def __init__(self, session: Session, changed: Callable[[], None]) -> None:
        super().__init__(session.dispatcher)
        self._session, self._changed = session, changed
        self.cards: list[_ReferenceCard] = []
        self._reading: dict[object, str] = {}
        self.max_megapixels = MAX_MEGAPIXELS
        self.upload = UploadField()
        self.upload.on_upload(self.guarded(self._on_upload))
        self.upload.on_trouble(self.show)
        self.source = text_field("Image", "path or URL, then Enter", on_enter=True)
        self.source.add_class("kl-place")
        self.on_change(self.source, self._on_source)
        self.mode = picker("Several", options=[_EACH, _TOGETHER])
        self.on_change(self.mode, self._on_mode)
        self.problem, self.busy = TextLine(kind="error"), TextLine(kind="muted")
        self._row = row(name="kl-references")
        self.fill([self._row, self.busy, self.problem])
        self._arrange()

    @property
    def values(self) -> tuple[tuple[Reference, str], ...]:
        """The references with the names a person gave them."""
        return tuple((card.reference, card.name) for card in self.cards)

    @property
    def combined(self) -> bool:
        """True if all of them go into each request."""
        return len(self.cards) > 1 and self.mode.value == _TOGETHER

    def put(self, references: Iterable[tuple[Reference, str]], *, combined: bool) -> None:
        """Replace the references, without calling `changed`."""
        with self.filling():
            self._reading = {}
            self.busy.say("")
            removed = self.cards
            self.cards = [_ReferenceCard(self, reference, name) for reference, name in references]
            self.mode.value = _TOGETHER if combined else _EACH
            self._arrange()
            close_widgets(*removed)

    def add(self, reference: Reference) -> None:
        """Add a reference; the same picture is not added twice."""
        if any(card.reference == reference for card in self.cards):
            raise SweepError(f"image: {reference.name} is there already")
        self.cards.append(_ReferenceCard(self, reference, ""))
        self._arrange()
        self._changed()

    def remove(self, card: _ReferenceCard) -> None:
        """Remove a reference."""
        self.cards = [other for other in self.cards if other is not card]
        self._arrange()
        close_widgets(card)
        self._changed()

    def load(self, source: Any, name: str | None = None) -> None:
        """Read a reference in the background and add it; errors are shown here."""
        token = object()
        self._reading[token] = name or (str(source) if isinstance(source, str | Path) else "picture")
        self.problem.say("")
        lab, most = self._session.lab, self.max_megapixels

        def read() -> Reference:
            if isinstance(source, bytes):
                return load_reference(source, max_megapixels=most, name=name)
            reference: Reference = lab.reference(source, max_megapixels=most)
            return reference

        self.background(read, partial(self._on_read, token), partial(self._on_unreadable, token))
        self._reading_changed()

    @property
    def reading(self) -> str:
        """A line about the references that are being read, or ""."""
        return f"image: reading {', '.join(self._reading.values())} …" if self._reading else ""

    def _reading_changed(self) -> None:
        self.busy.say(self.reading.removeprefix("image: "))
        self._changed()

    def _on_read(self, token: object, reference: Reference) -> None:
        if self._reading.pop(token, None) is None:
            return  # other references were put into the form meanwhile
        try:
            self.add(reference)
        finally:
            self._reading_changed()

    def _on_unreadable(self, token: object, error: Exception) -> None:
        if self._reading.pop(token, None) is not None:
            self.show(error)
            self._reading_changed()

    def _on_upload(self, upload: Upload) -> None:
        self.load(upload.data, Path(upload.name).stem or "upload")

    def _on_source(self) -> None:
        text = self.source.value.strip()
        if text:
            self.source.value = ""
            self.load(text)

    def _on_mode(self) -> None:
        self._arrange()
        self._changed()

    def _arrange(self) -> None:
        show_if(len(self.cards) > 1, self.mode)
        self.mode.description = f"{len(self.cards)} references"  # "3 references", "combined in each request"
        self._row.children = (self.source, self.upload, *self.cards, self.mode)
