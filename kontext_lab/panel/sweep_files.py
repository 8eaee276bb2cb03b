"""Sweeps as files and as code: the file controls of the form, and the text that was copied."""

from __future__ import annotations

import html
import tempfile
from pathlib import Path

from ipywidgets import HTML

from kontext_lab.errors import SweepError
from kontext_lab.panel.browser import PageFrame
from kontext_lab.panel.code_export import sweep_code
from kontext_lab.panel.form import Form
from kontext_lab.panel.session import Session
from kontext_lab.panel.widgets import Section, TextLine, plain, row, show_if, text_field
from kontext_lab.sweep import Sweep

__all__ = ["Clipboard", "Files"]


class Clipboard(Section):
    """The text that was copied, shown as well because a browser may refuse its clipboard."""

    def __init__(self, frame: PageFrame) -> None:
        super().__init__()
        self._frame = frame
        self.text = ""
        self.line, self.shown = TextLine(kind="muted"), HTML(**plain(HTML))
        close = self.button("×", self.clear, "Take the copied text away", small=True)
        self.fill([row(self.line, close), self.shown])
        frame.on_copied(self._on_copied)
        self.clear()

    def put(self, text: str, name: str) -> None:
        """Copy a text and show it."""
        self.text = text
        self._frame.copy(text)
        self.line.say(f"{name}, copied:")
        self.shown.value = f'<pre class="kl-code" tabindex="0">{html.escape(text)}</pre>'
        show_if(True, self)

    def _on_copied(self, done: bool) -> None:
        if not done:
            self.line.say("The browser refuses its clipboard: select the text and copy it.", "warning")

    def clear(self) -> None:
        """Show nothing."""
        self.text = ""
        show_if(False, self)


class Files(Section):
    """Load a sweep from YAML; copy or save the one in the form."""

    def __init__(self, session: Session, form: Form, clipboard: Clipboard) -> None:
        super().__init__()
        self._session, self._form, self._clipboard = session, form, clipboard
        self.path = text_field("YAML file", "sweep.yaml")
        self.done = TextLine(kind="muted")
        buttons = (
            self.button("Load", self.load, "Put the sweep of this file into the form", small=True),
            self.button("Save", self.save, "Write the form's sweep to this file", small=True),
            self.button("Copy as YAML", self.copy_yaml, "The form's sweep as YAML", small=True),
            self.button("Copy as Python", self.copy_python, "The form's sweep as Python", small=True),
        )
        self.fill([row(self.path, *buttons), self.done])

    def _file(self) -> Path:
        text = self.path.value.strip()
        if not text:
            raise SweepError("YAML file: give its path")
        return Path(text)

    def load(self) -> None:
        """Read the file into the form."""
        file = self._file()
        self._form.load(Sweep.from_yaml(file))
        self.done.say(f"{file} is in the form")

    def save(self) -> None:
        """Write the form's sweep to the file; an existing file is not overwritten."""
        file = self._file()
        if file.exists():
            raise SweepError(f"{file}: exists already, choose another name")
        self._form.draft.sweep().to_yaml(file)
        self.done.say(f"written to {file.absolute()}")

    def copy_yaml(self) -> None:
        """Copy the form's sweep as YAML, with paths relative to the working folder."""
        sweep = self._form.draft.sweep()
        for reference in sweep.references:
            if not reference.url and not Path(reference.source).is_file():
                raise SweepError(
                    f"image {reference.name}: has no file of its own; Save writes it beside the YAML file"
                )
        with tempfile.NamedTemporaryFile(dir=Path.cwd(), prefix=".kontext-lab-", suffix=".yaml") as file:
            text = sweep.to_yaml(file.name).read_text(encoding="utf-8")
        self._clipboard.put(text, "YAML for a file in this folder")

    def copy_python(self) -> None:
        """Copy the form's sweep as Python."""
        sweep, tracked, results = self._form.draft.sweep(), self._session.sweep, self._session.results
        # A sweep with other boxes is the same sweep, in the same run.
        same = tracked is not None and tracked.with_boxes(sweep.boxes) == sweep
        run_id = results.run_id if results is not None and same else ""
        service = "sandbox" if self._session.lab.simulated else ""
        self._clipboard.put(sweep_code(sweep, service=service, run_id=run_id), "Python")
