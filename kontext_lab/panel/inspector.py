"""The picked output: at full resolution before and after, its facts, verdicts, and what can be done with it."""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from ipywidgets import HTML, Box, Button, ToggleButton

from kontext_lab.errors import KontextLabError
from kontext_lab.figures import change_webp
from kontext_lab.images.heat_map import BRIGHTEST
from kontext_lab.lab.change_maps import ChangeMaps, on_references
from kontext_lab.lab.lookup import with_requests
from kontext_lab.panel.browser import Viewer
from kontext_lab.panel.cell_details import details_of, facts_of, state_of, title_of
from kontext_lab.panel.layouts import plain, show_if
from kontext_lab.panel.session import Session
from kontext_lab.panel.ui_dispatcher import UiDispatcher
from kontext_lab.panel.verdict_buttons import Verdicts
from kontext_lab.panel.widgets import Section, TextLine, boxed, row
from kontext_lab.results import CellResult, Output, Results

if TYPE_CHECKING:
    from kontext_lab.lab import Lab
    from kontext_lab.metrics import Placement

__all__ = ["Actions", "Inspector"]


@dataclass(frozen=True)
class Actions:
    """What the panel does with the picked output.

    Attributes:
        use_as_reference: makes it a reference in the form.
        use_settings: fills the form with its settings.
        more_seeds: adds seeds to what stands in the form, beginning with its settings.
        copy_code: puts Python that makes it again into the clipboard.
        save: has the browser save its exact bytes.
        pick: picks another output.
    """

    use_as_reference: Callable[[Output], Any]
    use_settings: Callable[[Output], Any]
    more_seeds: Callable[[Output], Any]
    copy_code: Callable[[Output], Any]
    save: Callable[[Output], Any]
    pick: Callable[[Output], Any]


@dataclass(frozen=True)
class _Loaded:
    """What takes time to bring: pictures and the chain."""

    output: Output
    before: bytes | None
    after: bytes | None
    before_name: str
    trouble: str
    placement: Placement | None = None
    answer: str = ""
    chain: tuple[Output, ...] = ()
    edits: tuple[Output, ...] = ()


class Inspector(Section):
    """One output, looked at closely.

    Args:
        session: whose selection is shown.
        post: the widgets' thread.
        actions: what the buttons do.
    """

    def __init__(self, session: Session, post: UiDispatcher, actions: Actions) -> None:
        super().__init__()
        self._session, self._post = session, post
        self.viewer = Viewer("slider")
        self.viewer.clear("Pick a cell: click it, or use the arrow keys.")
        self.viewer.on_trouble(self.show)
        self.change_map = ToggleButton(
            value=False,
            description="Change map",
            tooltip="What changed, over the reference in grey, in the place of the picture before",
            **plain(ToggleButton, width="auto"),
        )
        self.change_map.observe(self.guarded(lambda _: self._bring_map()), names="value")
        self.map_line = TextLine(kind="muted")
        self._shown: _Loaded | None = None
        self.title, self.facts, self.details = TextLine(), HTML(**plain(HTML)), HTML(**plain(HTML))
        self.note_line = TextLine(kind="warning")
        self.verdicts = Verdicts(session, post)
        self.address = HTML(**plain(HTML))
        self.chain = Section()
        self._buttons = [self._action(text, name, tip, actions) for text, name, tip in _BUTTONS]
        self._pick = actions.pick
        self._about = [
            self.verdicts,
            row(*self._buttons, self.address),
            row(self.change_map, self.map_line),
            self.facts,
            self.chain,
            self.details,
        ]
        # Beside each other where the page is wide enough, else below.
        self._words = boxed(self.title, self.note_line, *self._about, name="kl-about")
        both = Box([boxed(self.viewer, name="kl-seen"), self._words], **plain(Box))
        both.add_class("kl-inspector")
        self.fill([both])
        session.observe(self.watched(self._on_selection), names="selection")
        session.observe(self.watched(self._on_beat), names="beat")
        self._on_selection()

    def _action(self, text: str, name: str, tip: str, actions: Actions) -> Button:
        def act() -> None:
            getattr(actions, name)(self._session.picked)

        return self.button(text, act, tip, small=True)

    # What is shown.

    def _on_beat(self, _: object) -> None:
        picked: Output | None = self._session.selection
        if picked is None or picked.cell not in self._session.changed:
            return
        fresh = next((one for one in picked.cell.outputs if one.number == picked.number), picked)
        if fresh is not picked:
            self._session.pick(fresh)  # the cell that was waited for has its picture
        else:
            self._show_title(picked)
            if not self.viewer.pictures:
                self._bring(picked)

    def _on_selection(self, _: object = None) -> None:
        output: Output | None = self._session.selection
        self._shown = None
        self.map_line.say("")
        for part in (self._words, *self._about):
            show_if(output is not None, part)
        if output is None:
            self.title.say("")
            self.note_line.say("")
            self.viewer.clear("Pick a cell: click it, or use the arrow keys.")
            return
        cell = output.cell
        self._show_title(output)
        self.facts.value = facts_of(output)
        self.details.value = details_of(cell)
        has_picture = output.is_picture
        for made in self._buttons:
            made.disabled = not has_picture
        self.change_map.disabled = not has_picture
        self._show_address(cell)
        self._bring(output)

    def _show_title(self, output: Output) -> None:
        cell = output.cell
        number = f" · output {output.number}" if len(cell.outputs) > 1 else ""
        simulated = " · simulated picture (sandbox)" if cell.simulated else ""
        self.title.say(f"{title_of(cell)}{number}{simulated}")
        self.note_line.say(
            " · ".join(filter(None, (state_of(output), cell.note)))
            if cell.note or not output.is_picture
            else ""
        )

    def _show_address(self, cell: CellResult) -> None:
        where = self._session.lab.context.tracker.address(cell.run_id) if cell.run_id else ""
        link = f'<a class="kl-link" target="_blank" rel="noopener" href="{html.escape(where, quote=True)}">Open in MLflow</a>'
        self.address.value = link if where else ""

    def _bring(self, output: Output) -> None:
        if not output.is_picture and not output.cell.request:
            self.viewer.clear(state_of(output))
        lab, results = self._session.lab, self._session.results
        self._post.background(lambda: _load(lab, results, output), self.guarded(self._brought), self.show)

    def _brought(self, loaded: _Loaded) -> None:
        output = loaded.output
        if output is not self._session.selection:
            return  # another was picked meanwhile
        self._shown = loaded
        self._show_pictures(loaded)
        self._bring_map()
        if loaded.trouble:
            self.trouble.say(loaded.trouble)
        self.facts.value = facts_of(output, loaded.answer)
        self.details.value = details_of(output.cell, loaded.answer)
        self._show_chain(loaded)

    def _show_pictures(self, loaded: _Loaded, change: bytes | None = None) -> None:
        output = loaded.output
        if loaded.after is None and loaded.before is None:
            self.viewer.clear(loaded.trouble or state_of(output))
            return
        self.viewer.mode = "slider" if loaded.before and loaded.after else "single"
        about = f"{output.cell.title}, output {output.number}"
        self.viewer.show(
            (change or loaded.before) if loaded.after else None,
            loaded.after or loaded.before,
            left_label=f"change map over {loaded.before_name}" if change else loaded.before_name,
            right_label="output" if loaded.after else f"{loaded.before_name} · {state_of(output)}",
            alt=f"change map of {about}" if change else about,
            placement=loaded.placement,
        )

    def _bring_map(self) -> None:
        """The change map, where it is wanted; the picture before, where it is not."""
        loaded = self._shown
        if loaded is None:
            return
        if not self.change_map.value:
            if self.viewer.left_label != loaded.before_name:
                self._show_pictures(loaded)
            self.map_line.say("")
            return
        if loaded.before is None or loaded.after is None:
            self.map_line.say("there are no two pictures to compare")
            return
        self.map_line.say("measuring …")
        results = self._session.results
        comparison_source = (results.comparison_source if results is not None else None) or ChangeMaps()
        self._post.background(
            lambda: change_webp(loaded.output, comparison_source.comparison),
            self.guarded(partial(self._mapped, loaded)),
            self.show,
            lane="changes",
            key=(id(self), "map"),
        )

    def _mapped(self, loaded: _Loaded, made: bytes | str) -> None:
        if loaded is not self._shown or not self.change_map.value:
            return  # another was picked meanwhile
        if isinstance(made, str):
            self.map_line.say(made)
            return
        self._show_pictures(loaded, made)
        self.map_line.say(_MAP_WORDS)

    def _show_chain(self, loaded: _Loaded) -> None:
        """What it was made from, and what was made of it."""
        parts = []
        for words, outputs in (("made from", loaded.chain), ("edited on", loaded.edits)):
            if outputs:
                parts.append(TextLine(f"{words}:", "muted"))
                parts += [
                    self.chain.button(one.cell.title, partial(self._pick, one), "Look at it", small=True)
                    for one in outputs[:8]
                ]
        self.chain.fill([row(*parts)] if parts else [])


_MAP_WORDS = (
    f"the brighter, the further from the reference: Lab distances up to {BRIGHTEST:.0f} and more; "
    "grey: as it was; striped: not compared; outlined: the changed regions"
)
_BUTTONS: Sequence[tuple[str, str, str]] = (
    (
        "Use as reference",
        "use_as_reference",
        "The next sweep edits this picture, and knows where it came from",
    ),
    (
        "Use these settings",
        "use_settings",
        "Fill the form with this cell's settings; you choose what to vary",
    ),
    ("+ seeds", "more_seeds", "This cell's settings with four more seeds"),
    ("Copy as code", "copy_code", "Python that makes exactly this cell again"),
    ("Save", "save", "The exact bytes as a file"),
)


def _load(lab: Lab, results: Results | None, output: Output) -> _Loaded:
    """Everything that takes time; touches no widget."""
    cell = output.cell
    if cell.request is None and results is not None and cell in list(results):
        with_requests(lab.context.tracker, results)
    before, placement = cell.request.images[0] if cell.request is not None else None, None
    after, trouble = None, ""
    if output.is_picture:
        try:
            after = output.bytes
            comparison_source = results.comparison_source if results is not None else None
            laid = on_references(output, comparison_source)
            registered = (one for one in laid if one[1].registered)
            before, placement = next(registered, laid[0] if laid else (before, None))
        except KontextLabError as error:
            trouble = str(error)
    answer = ""
    try:
        answer = lab.context.tracker.answer_to(cell.run_id) if cell.run_id else ""
        chain = tuple(lab.ancestors(output)) if cell.parents else ()
        edits = tuple(lab.derived(output)) if cell.run_id and output.is_picture else ()
    except KontextLabError as error:
        chain, edits, trouble = (), (), trouble or str(error)
    picture = before.png or None if before is not None else None
    name = "" if before is None else f"reference {before.name}"
    return _Loaded(output, picture, after, name, trouble, placement, answer, chain, edits)
