"""Sweeps in and out of the form as files and as code."""

from __future__ import annotations

import html
import tempfile
from collections.abc import Callable
from pathlib import Path

from ipywidgets import HTML, Text

from kontext_lab.errors import SweepError
from kontext_lab.panel.browser import PageFrame
from kontext_lab.panel.layouts import plain, show_if
from kontext_lab.panel.widgets import Section, TextLine, row
from kontext_lab.sweep import Sweep

__all__ = ["Clipboard", "Files", "yaml_text"]


class Clipboard(Section):
    """What was copied, shown as well, since a browser may refuse its clipboard.

    Args:
        frame: reaches the clipboard.
    """

    def __init__(self, frame: PageFrame) -> None:
        super().__init__()
        self._frame = frame
        self.text = ""
        self.line, self.shown = TextLine(kind="muted"), HTML(**plain(HTML))
        self.away = self.button("×", self.clear, "Take the copied text away", small=True)
        frame.on_copied(self._copied)
        self.clear()

    def put(self, text: str, what: str) -> None:
        """Copy a text and show it."""
        self.text = text
        self._frame.copy(text)
        self.line.say(f"{what}, copied:")
        self.shown.value = f'<pre class="kl-code" tabindex="0">{html.escape(text)}</pre>'
        self.fill([row(self.line, self.away), self.shown])
        show_if(True, self)

    def _copied(self, done: bool) -> None:
        if not done:
            self.line.say("The browser refuses its clipboard: mark the text and copy it.", "warning")

    def clear(self) -> None:
        """Show nothing."""
        self.text = ""
        show_if(False, self)


class Files(Section):
    """Load a sweep from YAML; copy or save the one in the form.

    Args:
        load: puts a sweep into the form.
        sweep: the one that stands in the form.
        copy_code: puts it into the clipboard as Python.
        clipboard: shows what was copied.
    """

    def __init__(
        self,
        load: Callable[[Sweep], None],
        sweep: Callable[[], Sweep],
        copy_code: Callable[[], None],
        clipboard: Clipboard,
    ) -> None:
        super().__init__()
        self._load, self._sweep, self._clipboard = load, sweep, clipboard
        self.path = Text(placeholder="sweep.yaml", description="YAML file", **plain(Text))
        self.done = TextLine(kind="muted")
        buttons = (
            self.button("Load", self.load, "Put the sweep of this file into the form", small=True),
            self.button("Save", self.save, "Write the form's sweep to this file", small=True),
            self.button("Copy as YAML", self.copy_yaml, "The form's sweep as YAML", small=True),
            self.button("Copy as Python", copy_code, "The form's sweep as Python", small=True),
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
        self._load(Sweep.from_yaml(file))
        self.done.say(f"{file} is in the form")

    def save(self) -> None:
        """Write the form to the file; one that is there is not written over."""
        file = self._file()
        if file.exists():
            raise SweepError(f"{file}: is there already, choose another name")
        self._sweep().to_yaml(file)
        self.done.say(f"written to {file.absolute()}")

    def copy_yaml(self) -> None:
        """The form's sweep as YAML into the clipboard."""
        self._clipboard.put(yaml_text(self._sweep()), "YAML for a file in this folder")


def yaml_text(sweep: Sweep) -> str:
    """A sweep as YAML, paths relative to the working folder.

    Raises:
        SweepError: a reference has no file of its own, so that text alone can't hold it.
    """
    for reference in sweep.references:
        if not reference.url and not Path(reference.source).is_file():
            raise SweepError(
                f"image {reference.name}: has no file of its own; Save writes it beside the YAML file"
            )
    with tempfile.NamedTemporaryFile(dir=Path.cwd(), prefix=".kontext-lab-", suffix=".yaml") as file:
        return sweep.to_yaml(file.name).read_text(encoding="utf-8")
