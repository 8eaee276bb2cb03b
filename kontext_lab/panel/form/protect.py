"""Boxes drawn on the references: parts that an edit should leave alone, each measured by itself.

The room is made when it is first opened. Nothing of the boxes is sent, so no plan costs more for them.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from ipywidgets import Dropdown

from kontext_lab.images import Boxes, Reference, thumbnail
from kontext_lab.panel.browser import BoxField
from kontext_lab.panel.layouts import plain, show_if
from kontext_lab.panel.ui_dispatcher import UiDispatcher
from kontext_lab.panel.widgets import Section, TextLine, in_words, row

if TYPE_CHECKING:
    from kontext_lab.lab import Lab

__all__ = ["Protect"]

_LONGEST = 1400
"""Pixels of the longer side of what is drawn on: more than a panel shows on a fine screen."""

_FOR = (
    "What an edit should leave alone: how well each box was kept is measured by itself. Nothing of it is sent; "
    "after a change, Run measures the pictures that are there again."
)
_NO_REFERENCE = "Give a reference first: boxes are drawn on it."

Pictures = Sequence[tuple[Reference, str]]
"""References with their names."""


class Protect(Section):
    """The boxes of a sweep.

    Args:
        post: does what takes time elsewhere.
        lab: whose service fetches addresses.
        changed: called after every change by a person.

    Attributes:
        values: of each reference the boxes by their names.
        transfer: what became of boxes when another reference took the place of theirs.
        drawing: where they are drawn; None until it is first opened.
    """

    def __init__(self, post: UiDispatcher, lab: Callable[[], Lab], changed: Callable[[], None]) -> None:
        super().__init__()
        self._post, self._lab, self._changed = post, lab, changed
        self.values: dict[Reference, Boxes] = {}
        self.transfer = TextLine(kind="muted")
        self._pictures: Pictures = ()
        self.drawing: Drawing | None = None
        self.is_open = False
        self.toggle = self.button(
            "", self._toggle, "Draw boxes on the reference that an edit should leave alone", small=True
        )
        self._titled()
        self.fill([self.toggle, self.transfer])

    def put(self, boxes: Mapping[Reference, Boxes], pictures: Pictures) -> None:
        """Put boxes and references in; nobody is told."""
        self.values = dict(boxes)
        self.transfer.say("")
        if self.drawing is not None:
            self.drawing.put(self.values)
        self.take(pictures)

    def take(self, pictures: Pictures) -> None:
        """Have other references to draw on; each keeps its boxes."""
        self._pictures = tuple(pictures)
        self._titled()
        if self.drawing is not None and self.is_open:
            self.drawing.take(self._pictures)

    def _titled(self) -> None:
        count = sum(len(self.values.get(one, {})) for one in dict.fromkeys(one for one, _ in self._pictures))
        what = f"Protect: {count} box{'' if count == 1 else 'es'}" if count else "Protect …"
        self.toggle.description = f"{'▾' if self.is_open else '▸'} {what}"

    def _toggle(self) -> None:
        self.is_open = not self.is_open
        self._titled()
        if self.drawing is None:
            self.drawing = Drawing(self._post, self._lab, self._drawn)
            self.drawing.put(self.values)
            self.fill([self.toggle, self.transfer, self.drawing])
        self.drawing.look_again()
        show_if(self.is_open, self.drawing)
        self.take(self._pictures)

    def _drawn(self, reference: Reference, boxes: Boxes) -> None:
        others = {one: own for one, own in self.values.items() if one != reference}
        self.values = {**others, reference: boxes} if boxes else others
        self.transfer.say("")
        self._titled()
        self._changed()


class Drawing(Section):
    """The picture, the boxes on it, and which picture it is.

    Args:
        post: does what takes time elsewhere.
        lab: whose service fetches addresses.
        changed: called with a reference and its boxes after every change by a person.
    """

    def __init__(
        self, post: UiDispatcher, lab: Callable[[], Lab], changed: Callable[[Reference, Boxes], None]
    ) -> None:
        super().__init__()
        self._post, self._lab, self._changed = post, lab, changed
        self._pictures: Pictures = ()
        self._boxes: Mapping[Reference, Boxes] = {}
        self._drawn_on: Reference | None = None
        self._failed = self._filling = False
        self.field = BoxField()
        self.field.on_trouble(self.show)
        self.field.observe(self.guarded(lambda _: self._told()), names="boxes")
        self.picker = Dropdown(
            description="Drawn on", tooltip="Which reference is shown", **plain(Dropdown, width="auto")
        )
        self.picker.observe(self.guarded(lambda _: self._show_picked()), names="index")
        self.note = TextLine(kind="muted")
        self._choice = row(self.picker)
        self._choice.add_class("kl-arranging")
        self.fill([self.note, self._choice, self.field])

    def put(self, boxes: Mapping[Reference, Boxes]) -> None:
        """Put boxes in, those of each reference; nobody is told."""
        self._boxes = boxes
        self._put_boxes()

    def _put_boxes(self) -> None:
        """The boxes of the reference on show."""
        self._filling = True
        try:
            self.field.put(self._boxes.get(self._drawn_on, {}) if self._drawn_on is not None else {})
        finally:
            self._filling = False

    def _told(self) -> None:
        if not self._filling and self._drawn_on is not None:
            boxes = self.field.values
            self._boxes = {**self._boxes, self._drawn_on: boxes}
            self._changed(self._drawn_on, boxes)

    def look_again(self) -> None:
        """Somebody opens the room: what could not be shown is tried once more."""
        if self._failed:
            self._drawn_on = None

    def take(self, pictures: Pictures) -> None:
        """Offer these references to draw on, and show the one that is picked."""
        self._pictures = pictures
        count = len(pictures)
        several = f" Each of the {count} references has its own boxes." if count > 1 else ""
        self.note.say(f"{_FOR}{several}")
        references = [reference for reference, _ in pictures]
        names = [f"{at}. {name or reference.name}" for at, (reference, name) in enumerate(pictures, 1)]
        self._filling = True
        try:
            if names != list(self.picker.options):
                self.picker.options = names
            # The one that is drawn on stays, also where others come before it.
            kept = [at for at, one in enumerate(references) if one == self._drawn_on]
            self.picker.index = (kept or [0])[0] if names else None
        finally:
            self._filling = False
        show_if(count > 1, self._choice)
        self._show_picked()

    def _show_picked(self) -> None:
        if self._filling:
            return
        if not self._pictures:
            self._drawn_on = None
            self._put_boxes()
            if self.field.message != _NO_REFERENCE:
                self.field.clear(_NO_REFERENCE)
            return
        reference, name = self._pictures[self.picker.index or 0]
        if reference != self._drawn_on:
            self._show_picture(reference, name or reference.name)

    def _show_picture(self, reference: Reference, label: str) -> None:
        self._drawn_on, self._failed = reference, False
        self._put_boxes()
        if not reference.png:
            self.field.clear(f"{label} is given by its address and not fetched yet: fetching it …")
        self._post.background(
            partial(_to_draw_on, reference, self._lab()),
            self.watched(partial(self._read, reference, label)),
            partial(self._unreadable, reference, label),
            key=(id(self), "picture"),
        )

    def _read(self, reference: Reference, label: str, picture: bytes) -> None:
        if reference == self._drawn_on:
            self.field.show(picture, f"reference {label}")

    def _unreadable(self, reference: Reference, label: str, error: Exception) -> None:
        if reference == self._drawn_on:
            self._failed = True
            why = in_words(error).removeprefix("image: ")
            self.field.clear(f"{label} can't be drawn on: {why}")


def _to_draw_on(reference: Reference, lab: Lab) -> bytes:
    """The reference as a JPEG of moderate size; one by address is fetched."""
    png = reference.png or lab.reference(reference.url).png
    buffer = io.BytesIO()
    thumbnail(png, _LONGEST).convert("RGB").save(buffer, format="JPEG", quality=88)
    return buffer.getvalue()
