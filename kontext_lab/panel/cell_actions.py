"""The controls for the picked output: verdicts and a note, and the buttons that reuse, copy or save it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial

from ipywidgets import HTML, ToggleButtons

from kontext_lab.errors import ConfigError, NotFound
from kontext_lab.images import Boxes, Reference, load_reference
from kontext_lab.panel.browser import PageFrame
from kontext_lab.panel.cell_details import verdict_texts
from kontext_lab.panel.code_export import cell_code, escaped
from kontext_lab.panel.form import Form
from kontext_lab.panel.form_state import FormState, LabelledValue
from kontext_lab.panel.session import Session
from kontext_lab.panel.sweep_files import Clipboard
from kontext_lab.panel.widgets import Section, TextLine, plain, row, text_field
from kontext_lab.results import Output
from kontext_lab.results.labels import FAVOURITE, criterion_of, verdict_key
from kontext_lab.sweep import Sweep
from kontext_lab.sweep.cells import transferred

__all__ = ["CellActions", "VerdictButtons"]

_MORE_SEEDS = 4


class VerdictButtons(Section):
    """Pass and fail on a criterion, favourite, note; all of them go into the store."""

    def __init__(self, session: Session) -> None:
        super().__init__(session.dispatcher)
        self._session = session
        names = session.lab.context.criteria
        self.criterion = ToggleButtons(
            options=[(criterion_of(name), name) for name in names],
            tooltips=["1 pass, 0 fail"] * len(names),
            **plain(ToggleButtons),
        )
        self.criterion.add_class("kl-criteria")
        tooltip = "Key {}; press again to withdraw"
        self.passed = self.button("Pass 1", partial(self.set_verdict, True), tooltip.format(1), small=True)
        self.failed = self.button("Fail 0", partial(self.set_verdict, False), tooltip.format(0), small=True)
        self.favourite = self.button(
            "★ F", self.toggle_favourite, "Favourite: key F; press again to withdraw", small=True
        )
        self.given = TextLine(kind="muted")
        self.note = text_field("Note", "a note, then Enter", on_enter=True, width="24em")
        self.fill([row(self.criterion, self.passed, self.failed, self.favourite, self.given), self.note])
        self.on_change(self.note, self._on_note)
        self.on_change(self.criterion, self._refresh)
        self.follow(session, self._refresh, "selection", "beat")
        self._refresh()

    def set_verdict(self, verdict: bool, criterion: str | None = None) -> None:
        """Pass or fail on a criterion, by default the chosen one; the same verdict again withdraws it."""
        name = criterion or self.criterion.value
        if name is None:
            raise ConfigError("there are no criteria: make the lab with kl.Lab(criteria=[…])")
        output = self._session.picked
        before = output.metrics.get(verdict_key(name))
        self._write(output, name, None if before == float(verdict) else verdict)

    def toggle_favourite(self) -> None:
        """Make it a favourite, or not any more."""
        output = self._session.picked
        self._write(output, FAVOURITE, None if output.metrics.get(verdict_key(FAVOURITE)) else True)

    def _write(self, output: Output, criterion: str, verdict: bool | None) -> None:
        lab = self._session.lab
        self.background(
            lambda: lab.set_verdict(output, criterion, verdict), lambda _: self._on_written(output)
        )

    def _on_written(self, output: Output) -> None:
        self._session.touch(output.cell)
        self._refresh()

    def _on_note(self) -> None:
        output, lab, text = self._session.selection, self._session.lab, self.note.value.strip()
        if output is not None and text != output.cell.comment:
            self.background(lambda: lab.annotate(output, text), lambda _: self._on_written(output))

    def _refresh(self) -> None:
        """Show the verdicts on the picked output."""
        output = self._session.selection
        metrics = {} if output is None else output.metrics
        criterion = self.criterion.value  # None if the lab has no criteria
        verdict = metrics.get(verdict_key(criterion)) if criterion else None
        self.passed.button_style = "success" if verdict == 1 else ""
        self.failed.button_style = "danger" if verdict == 0 else ""
        self.favourite.button_style = "warning" if metrics.get(verdict_key(FAVOURITE)) == 1 else ""
        for button in (self.passed, self.failed, self.favourite):
            button.disabled = output is None or not output.is_picture
        self.passed.disabled = self.failed.disabled = self.passed.disabled or criterion is None
        texts = {} if output is None else verdict_texts(output)
        self.given.say(" · ".join(f"{name}: {text}" for name, text in texts.items() if name != FAVOURITE))
        with self.filling():
            self.note.value = output.cell.comment if output is not None else ""


class CellActions(Section):
    """Buttons that do something with the picked output."""

    def __init__(self, session: Session, form: Form, frame: PageFrame, clipboard: Clipboard) -> None:
        super().__init__(session.dispatcher)
        self._session, self._form, self._frame, self._clipboard = session, form, frame, clipboard
        self.link = HTML(**plain(HTML))
        reference = "The next sweep edits this picture, and knows where it came from"
        settings = "Fill the form with this cell's settings; you choose what to vary"
        self.buttons = [
            self.button("Use as reference", self.use_as_reference, reference, small=True),
            self.button("Use these settings", self.use_settings, settings, small=True),
            self.button("+ seeds", self.more_seeds, "This cell's settings with four more seeds", small=True),
            self.button(
                "Copy as code", self.copy_code, "Python that makes exactly this cell again", small=True
            ),
            self.button("Save", self.save, "The exact bytes as a file", small=True),
        ]
        self.fill([row(*self.buttons, self.link)])

    def use_as_reference(self) -> None:
        """Make the output the form's reference; the next sweep knows its parent output."""
        output, boxes = self._session.picked, self._form.draft.protect

        def load() -> tuple[Reference, dict[Reference, Boxes], str]:
            reference = load_reference(output, name=output.cell.title)
            return reference, *transferred(boxes, [reference])

        def put(loaded: tuple[Reference, Mapping[Reference, Boxes], str]) -> None:
            reference, own_boxes, line = loaded
            self._form.put(
                replace(self._form.draft, references=((reference, ""),), combined=False, protect=own_boxes)
            )
            self._form.protect.transfer.say(line)
            self._form.plan()

        self.background(load, put)

    def use_settings(self, **values: tuple[LabelledValue, ...]) -> None:
        """Fill the form with the cell's settings, one value each; `values` replaces some of them."""
        cell = self._session.picked.cell
        request = cell.request
        if request is None:
            raise NotFound(f"{cell.title}: its request is unknown; open its sweep in the tab History")
        fields = {
            name: getattr(request, name)
            for name in type(request).model_fields
            if name not in ("images", "prompt")
            and getattr(request, name) not in (None, 1 if name == "repeat" else None)
        }
        sweep = Sweep(escaped(request.prompt), images=list(request.images), **fields)
        draft = FormState.of(sweep.with_boxes(dict(zip(request.images, cell.protect, strict=False))))
        self._form.put(replace(draft, values={**draft.values, **values}))
        self._form.plan()

    def more_seeds(self) -> None:
        """Fill the form with the cell's settings and further seeds."""
        first = int(self._session.picked.cell.params["seed"])
        self.use_settings(seed=tuple(LabelledValue(str(first + step)) for step in range(_MORE_SEEDS + 1)))

    def copy_code(self) -> None:
        """Copy Python that makes the cell again."""
        cell, lab = self._session.picked.cell, self._session.lab
        self.background(
            lambda: cell_code(cell, lab.context.sweep_run_of(cell.run_id)),
            lambda text: self._clipboard.put(text, "Python"),
        )

    def save(self) -> None:
        """Have the browser save the output's exact bytes."""
        output = self._session.picked
        suffix = {"jpeg": "jpg"}.get(output.format, output.format)
        name = f"{output.cell.title} {output.number}.{suffix}".replace("/", "-").replace(":", "x")
        self.background(
            lambda: output.bytes, lambda data: self._frame.download(name, data, f"image/{output.format}")
        )
