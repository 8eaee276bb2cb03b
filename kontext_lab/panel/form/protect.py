"""Boxes drawn on the references: parts that an edit should leave alone, each scored separately. They are never sent."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence

from kontext_lab.images import Boxes, Reference, thumbnail
from kontext_lab.panel.browser import BoxField
from kontext_lab.panel.session import Session
from kontext_lab.panel.widgets import Section, TextLine, error_text, picker, row, show_if

__all__ = ["Protect"]

_LONGEST = 1400
"""Pixels of the longer side of the picture that is drawn on: more than a panel shows on a high-resolution screen."""

_HELP = (
    "Mark areas that the edit should not touch; each is scored separately. Boxes aren't sent to the API; "
    "press Run to score existing pictures again."
)
_NO_REFERENCE = "Give a reference first: boxes are drawn on it."

Pictures = Sequence[tuple[Reference, str]]
"""References with their names."""


class Protect(Section):
    """The boxes of a sweep, by reference and name; calls `changed` after every change by a person."""

    def __init__(self, session: Session, changed: Callable[[], None]) -> None:
        super().__init__(session.dispatcher)
        self._session, self._changed = session, changed
        self.values: dict[Reference, Boxes] = {}
        self.transfer = TextLine(kind="muted")  # about boxes transferred to another reference
        self.pictures: Pictures = ()
        self.drawing: Drawing | None = None  # until it is first opened
        self.is_open = False
        self.toggle = self.button(
            "", self._toggle, "Draw boxes on the reference that an edit should leave alone", small=True
        )
        self._set_title()
        self.fill([self.toggle, self.transfer])

    def put(self, boxes: Mapping[Reference, Boxes], pictures: Pictures) -> None:
        """Replace boxes and references, without calling `changed`."""
        self.values = dict(boxes)
        self.transfer.say("")
        if self.drawing is not None:
            self.drawing.show_boxes()
        self.show_pictures(pictures)

    def show_pictures(self, pictures: Pictures) -> None:
        """Offer these references to draw on; each keeps its boxes."""
        self.pictures = tuple(pictures)
        self._set_title()
        if self.drawing is not None and self.is_open:
            self.drawing.show_pictures()

    def _set_title(self) -> None:
        count = sum(len(self.values.get(one, {})) for one in dict.fromkeys(one for one, _ in self.pictures))
        title = f"Protect: {count} box{'' if count == 1 else 'es'}" if count else "Protect …"
        self.toggle.description = f"{'▾' if self.is_open else '▸'} {title}"

    def _toggle(self) -> None:
        self.is_open = not self.is_open
        self._set_title()
        if self.drawing is None:
            self.drawing = Drawing(self._session, self)
            self.fill([self.toggle, self.transfer, self.drawing])
        self.drawing.retry()
        show_if(self.is_open, self.drawing)
        self.show_pictures(self.pictures)

    def put_boxes(self, reference: Reference, boxes: Boxes) -> None:
        """Replace the boxes of one reference, as a person drew them."""
        others = {one: own for one, own in self.values.items() if one != reference}
        self.values = {**others, reference: boxes} if boxes else others
        self.transfer.say("")
        self._set_title()
        self._changed()


class Drawing(Section):
    """A reference, the boxes on it, and a picker for the reference."""

    def __init__(self, session: Session, protect: Protect) -> None:
        super().__init__(session.dispatcher)
        self._session, self._protect = session, protect
        self._shown: Reference | None = None
        self._failed = False
        self.field = BoxField()
        self.field.on_trouble(self.show)
        self.on_change(self.field, self._on_boxes, "boxes")
        self.picker = picker("Drawn on", "Which reference is shown", ())
        self.on_change(self.picker, self._show_picked, "index")
        self.note = TextLine(kind="muted")
        self._choice = row(self.picker, name="kl-arranging")
        self.fill([self.note, self._choice, self.field])

    def show_boxes(self) -> None:
        """Show the boxes of the reference on show."""
        with self.filling():
            self.field.put(self._protect.values.get(self._shown, {}) if self._shown is not None else {})

    def _on_boxes(self) -> None:
        if self._shown is not None:
            self._protect.put_boxes(self._shown, self.field.values)

    def retry(self) -> None:
        """Load a reference again that could not be loaded."""
        if self._failed:
            self._shown = None

    def show_pictures(self) -> None:
        """Offer the references to draw on, and show the one that is picked."""
        pictures = self._protect.pictures
        count = len(pictures)
        self.note.say(_HELP + (f" Each of the {count} references has its own boxes." if count > 1 else ""))
        references = [reference for reference, _ in pictures]
        names = [f"{at}. {name or reference.name}" for at, (reference, name) in enumerate(pictures, 1)]
        with self.filling():
            if names != list(self.picker.options):
                self.picker.options = names
            # The reference on show stays, also if others come before it.
            kept = [at for at, one in enumerate(references) if one == self._shown]
            self.picker.index = (kept or [0])[0] if names else None
        show_if(count > 1, self._choice)
        self._show_picked()

    def _show_picked(self) -> None:
        if not self._protect.pictures:
            self._shown = None
            self.show_boxes()
            if self.field.message != _NO_REFERENCE:
                self.field.clear(_NO_REFERENCE)
            return
        reference, name = self._protect.pictures[self.picker.index or 0]
        if reference != self._shown:
            self._show_picture(reference, name or reference.name)

    def _show_picture(self, reference: Reference, label: str) -> None:
        self._shown, self._failed = reference, False
        self.show_boxes()
        if not reference.png:
            self.field.clear(f"{label} is given by its address: fetching it …")
        lab = self._session.lab

        def load() -> bytes:
            png = reference.png or lab.reference(reference.url).png
            buffer = io.BytesIO()
            thumbnail(png, _LONGEST).convert("RGB").save(buffer, format="JPEG", quality=88)
            return buffer.getvalue()

        def on_loaded(picture: bytes) -> None:
            if reference == self._shown:
                self.field.show(picture, f"reference {label}")

        def on_error(error: Exception) -> None:
            if reference == self._shown:
                self._failed = True
                self.field.clear(f"{label} can't be drawn on: {error_text(error).removeprefix('image: ')}")

        self.background(load, on_loaded, on_error, key="picture")
