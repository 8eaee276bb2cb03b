"""The references of the form: added by upload, path, address or from an output; shown small, taken away again."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ipywidgets import HTML, Dropdown, Text, VBox

from kontext_lab.errors import SweepError
from kontext_lab.images import MAX_MEGAPIXELS, Reference, load_reference, thumbnail
from kontext_lab.panel.browser import Upload, UploadField
from kontext_lab.panel.layouts import plain, show_if
from kontext_lab.panel.ui_dispatcher import UiDispatcher
from kontext_lab.panel.widgets import Section, TextLine, closed, row

if TYPE_CHECKING:
    from kontext_lab.lab import Lab

__all__ = ["ReferenceFields"]

_THUMB = 72
_EACH = "one request each"
_TOGETHER = "combined in each request"


class _Shown(VBox):
    """A reference as a small picture with its name, and a button that takes it away."""

    def __init__(self, room: ReferenceFields, reference: Reference, name: str) -> None:
        self.reference = reference
        self.name = name
        label = name or reference.name
        size = f"{reference.sent_size[0]}×{reference.sent_size[1]}" if reference.png else "by address"
        words = f"{html.escape(label)}<br>{size}"
        shown = f'<div class="kl-muted kl-name" title="{html.escape(reference.source)}">{words}</div>'
        picture = HTML(_picture(reference, f"reference {label}") + shown, **plain(HTML))
        away = room.button("×", lambda: room.take_away(self), f"Take reference {label} away", small=True)
        super().__init__([row(picture, away, wrap=False)])
        self.add_class("kl-reference")


class ReferenceFields(Section):
    """The references given.

    Args:
        post: does what takes time elsewhere.
        lab: whose service fetches addresses.
        changed: called after every change by a person.
    """

    def __init__(self, post: UiDispatcher, lab: Callable[[], Lab], changed: Callable[[], None]) -> None:
        super().__init__()
        self._post, self._lab, self._changed = post, lab, changed
        self._shown: list[_Shown] = []
        self._reading: dict[object, str] = {}
        self.max_megapixels = MAX_MEGAPIXELS
        self.upload = UploadField("Upload")
        self.upload.on_upload(self.guarded(self._uploaded))
        self.upload.on_trouble(self.show)
        self.place = Text(
            placeholder="path or URL, then Enter", description="Image", continuous_update=False, **plain(Text)
        )
        self.place.add_class("kl-place")
        self.place.observe(self.guarded(self._typed), names="value")
        self.mode = Dropdown(
            options=[_EACH, _TOGETHER], value=_EACH, description="Several", **plain(Dropdown, width="auto")
        )
        self.mode.observe(lambda _: self._told(), names="value")
        self.problem, self.busy = TextLine(kind="error"), TextLine(kind="muted")
        self._filling = False
        self._row = row(self.place, self.upload)
        self._row.add_class("kl-references")
        self.fill([self._row, self.busy, self.problem])
        self._laid_out()

    @property
    def values(self) -> tuple[tuple[Reference, str], ...]:
        """The references with the names a person gave them."""
        return tuple((one.reference, one.name) for one in self._shown)

    @property
    def combined(self) -> bool:
        """Whether all of them go into each request."""
        return len(self._shown) > 1 and self.mode.value == _TOGETHER

    def put(self, references: Iterable[tuple[Reference, str]], *, combined: bool) -> None:
        """Put references in place of those that are there; nobody is told."""
        self._filling = True
        try:
            self._reading = {}
            self.busy.say("")
            gone = self._shown
            self._shown = [_Shown(self, reference, name) for reference, name in references]
            self.mode.value = _TOGETHER if combined else _EACH
            self._laid_out()
            closed(*gone)
        finally:
            self._filling = False

    def add(self, reference: Reference, name: str = "") -> None:
        """One more reference; the same picture is not added twice."""
        if any(one.reference == reference for one in self._shown):
            raise SweepError(f"image: {reference.name} is there already")
        self._shown.append(_Shown(self, reference, name))
        self._laid_out()
        self._changed()

    def take_away(self, shown: _Shown) -> None:
        """One reference less."""
        self._shown = [one for one in self._shown if one is not shown]
        self._laid_out()
        closed(shown)
        self._changed()

    def load(self, source: Any, name: str | None = None) -> None:
        """Read a reference elsewhere and add it; what is wrong with it is said here."""
        what = name or (str(source) if isinstance(source, str | Path) else "picture")
        token = object()
        self._reading[token] = what
        self.problem.say("")
        lab, most = self._lab(), self.max_megapixels

        def work() -> Reference:
            if isinstance(source, bytes):
                return load_reference(source, max_megapixels=most, name=name)
            return lab.reference(source, max_megapixels=most)

        self._post.background(
            work, self.watched(partial(self._loaded, token)), partial(self._unreadable, token)
        )
        self._busy_changed()

    @property
    def reading(self) -> str:
        """What is being read, in words; "" while nothing is."""
        return f"image: reading {', '.join(self._reading.values())} …" if self._reading else ""

    def _busy_changed(self) -> None:
        self.busy.say(self.reading.removeprefix("image: "))
        self._changed()

    def _loaded(self, token: object, reference: Reference) -> None:
        if self._reading.pop(token, None) is None:
            return  # something else was put into the form meanwhile
        try:
            self.add(reference)
        finally:
            self._busy_changed()

    def _unreadable(self, token: object, error: Exception) -> None:
        if self._reading.pop(token, None) is not None:
            self.show(error)
            self._busy_changed()

    def _uploaded(self, upload: Upload) -> None:
        self.load(upload.data, Path(upload.name).stem or "upload")

    def _typed(self, _: object) -> None:
        text = self.place.value.strip()
        if text:
            self.place.value = ""
            self.load(text)

    def _told(self) -> None:
        self._laid_out()
        if not self._filling:
            self._changed()

    def _laid_out(self) -> None:
        several = len(self._shown) > 1
        show_if(several, self.mode)
        self.mode.description = f"{len(self._shown)} references"  # "3 references", "combined in each request"
        self._row.children = (self.place, self.upload, *self._shown, self.mode)


def _picture(reference: Reference, alt: str) -> str:
    """A thumbnail of a few kilobytes as markup: it is kept with the notebook."""
    if not reference.png:
        return ""
    buffer = io.BytesIO()
    thumbnail(reference.png, _THUMB * 2).convert("RGB").save(buffer, format="JPEG", quality=70)
    data = base64.b64encode(buffer.getvalue()).decode("ascii")
    return f'<img class="kl-thumb" alt="{html.escape(alt)}" src="data:image/jpeg;base64,{data}">'
