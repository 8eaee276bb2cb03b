"""The picked output: at full resolution before and after, with its facts, its verdicts and its buttons."""

from __future__ import annotations

import html
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial

from ipywidgets import HTML, Box, ToggleButtons

from kontext_lab.errors import ConfigError, KontextLabError, NotFound
from kontext_lab.figures import change_webp
from kontext_lab.images import Boxes, Reference, load_reference
from kontext_lab.images.heat_map import BRIGHTEST
from kontext_lab.lab import Lab
from kontext_lab.lab.change_maps import ChangeMaps, on_references
from kontext_lab.lab.lookup import with_requests
from kontext_lab.metrics import Placement
from kontext_lab.panel.browser import PageFrame, Viewer
from kontext_lab.panel.cell_details import described, details_html, facts_html, state_text, verdict_texts
from kontext_lab.panel.code_export import cell_code, escaped
from kontext_lab.panel.form import Form
from kontext_lab.panel.form_state import FormState, LabelledValue
from kontext_lab.panel.session import Session
from kontext_lab.panel.sweep_files import Clipboard
from kontext_lab.panel.widgets import Section, TextLine, column, plain, row, show_if, text_field, toggle
from kontext_lab.results import Output, Results
from kontext_lab.results.labels import FAVOURITE, criterion_of, verdict_key
from kontext_lab.sweep import Sweep
from kontext_lab.sweep.cells import transferred

__all__ = ["Inspector"]

_MORE_SEEDS = 4
_HINT = "Pick a cell: click it, or use the arrow keys."
_MAP_LEGEND = (
    f"Brighter = changed more (ΔE 0–{BRIGHTEST:.0f}+). Grey = unchanged, stripes = outside the comparison, "
    "outlines = changed regions."
)


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


@dataclass(frozen=True)
class _Loaded:
    """The pictures of an output, and its relatives."""

    output: Output
    before: bytes | None
    after: bytes | None
    before_name: str
    trouble: str
    placement: Placement | None = None
    answer: str = ""
    ancestors: tuple[Output, ...] = ()
    edits: tuple[Output, ...] = ()


class Inspector(Section):
    """One output in detail."""

    def __init__(self, session: Session, form: Form, frame: PageFrame, clipboard: Clipboard) -> None:
        super().__init__(session.dispatcher)
        self._session = session
        self._loaded: _Loaded | None = None
        self.viewer = Viewer("slider")
        self.viewer.on_trouble(self.show)
        over = "Show what changed over the grey reference, in place of the picture before"
        self.change_map = toggle("Change map", over)
        self.on_change(self.change_map, self._show_map)
        self.map_line, self.title = TextLine(kind="muted"), TextLine()
        self.facts, self.details = HTML(**plain(HTML)), HTML(**plain(HTML))
        self.state_line = TextLine(kind="warning")
        self.verdicts = VerdictButtons(session)
        self.actions = CellActions(session, form, frame, clipboard)
        self.chain = Section()
        maps = row(self.change_map, self.map_line)
        self._about = [self.verdicts, self.actions, maps, self.facts, self.chain, self.details]
        # Beside each other if the page is wide enough, else below.
        self.description = column(self.title, self.state_line, *self._about, name="kl-about")
        both = Box([column(self.viewer, name="kl-seen"), self.description], **plain(Box))
        both.add_class("kl-inspector")
        self.fill([both])
        self.follow(session, self._on_selection, "selection")
        self.follow(session, self._on_beat, "beat")
        self._on_selection()

    def _on_beat(self) -> None:
        picked = self._session.selection
        if picked is None or picked.cell not in self._session.changed:
            return
        current = next((one for one in picked.cell.outputs if one.number == picked.number), picked)
        if current is not picked:
            self._session.pick(current)  # the cell has its picture now
        else:
            self._show_title(picked)
            if not self.viewer.pictures:
                self._load(picked)

    def _on_selection(self) -> None:
        output = self._session.selection
        self._loaded = None
        self.map_line.say("")
        show_if(output is not None, self.description, *self._about)
        if output is None:
            self.title.say("")
            self.state_line.say("")
            self.viewer.clear(_HINT)
            return
        cell = output.cell
        self._show_title(output)
        self.facts.value = facts_html(output)
        self.details.value = details_html(cell)
        for button in (*self.actions.buttons, self.change_map):
            button.disabled = not output.is_picture
        url = html.escape(self._session.lab.context.tracker.address(cell.run_id)) if cell.run_id else ""
        link = f'<a class="kl-link" target="_blank" rel="noopener" href="{url}">Open in MLflow</a>'
        self.actions.link.value = link if url else ""
        self._load(output)

    def _show_title(self, output: Output) -> None:
        cell = output.cell
        number = f" · output {output.number}" if len(cell.outputs) > 1 else ""
        simulated = " · simulated picture (sandbox)" if cell.simulated else ""
        title = " · ".join(described(cell)) or cell.title
        self.title.say(f"{title}{number}{simulated}")
        state = " · ".join(filter(None, (state_text(output), cell.note)))
        self.state_line.say(state if cell.note or not output.is_picture else "")

    def _load(self, output: Output) -> None:
        if not output.is_picture and not output.cell.request:
            self.viewer.clear(state_text(output))
        lab, results = self._session.lab, self._session.results
        self.background(lambda: _load(lab, results, output), self._on_loaded)

    def _on_loaded(self, loaded: _Loaded) -> None:
        output = loaded.output
        if output is not self._session.selection:
            return  # another one was picked meanwhile
        self.clear_trouble()
        self._loaded = loaded
        self._show_pictures(loaded)
        self._show_map()
        if loaded.trouble:
            self.trouble.say(loaded.trouble)
        self.facts.value = facts_html(output, loaded.answer)
        self.details.value = details_html(output.cell, loaded.answer)
        parts = []
        for text, outputs in (("made from", loaded.ancestors), ("edited on", loaded.edits)):
            if outputs:
                parts.append(TextLine(f"{text}:", "muted"))
            for relative in outputs[:8]:
                pick = partial(self._session.pick, relative)
                parts.append(self.chain.button(relative.cell.title, pick, "Show it", small=True))
        self.chain.fill([row(*parts)] if parts else [])

    def _show_pictures(self, loaded: _Loaded, change: bytes | None = None) -> None:
        output = loaded.output
        if loaded.after is None and loaded.before is None:
            self.viewer.clear(loaded.trouble or state_text(output))
            return
        self.viewer.mode = "slider" if loaded.before and loaded.after else "single"
        name = f"{output.cell.title}, output {output.number}"
        self.viewer.show(
            (change or loaded.before) if loaded.after else None,
            loaded.after or loaded.before,
            left_label=f"change map over {loaded.before_name}" if change else loaded.before_name,
            right_label="output" if loaded.after else f"{loaded.before_name} · {state_text(output)}",
            alt=f"change map of {name}" if change else name,
            placement=loaded.placement,
        )

    def _show_map(self) -> None:
        """Show the change map if it is switched on, else the picture before."""
        loaded = self._loaded
        if loaded is None:
            return
        if not self.change_map.value:
            if self.viewer.left_label != loaded.before_name:
                self._show_pictures(loaded)
            self.map_line.say("")
            return
        if loaded.before is None or loaded.after is None:
            self.map_line.say("a change map needs a reference and an output")
            return
        self.map_line.say("measuring …")
        results = self._session.results
        source = (results.comparison_source if results is not None else None) or ChangeMaps()
        self.background(
            lambda: change_webp(loaded.output, source.comparison),
            partial(self._on_map, loaded),
            lane="changes",
            key="map",
        )

    def _on_map(self, loaded: _Loaded, picture: bytes | str) -> None:
        if loaded is not self._loaded or not self.change_map.value:
            return  # another one was picked meanwhile
        if isinstance(picture, str):
            self.map_line.say(picture)
        else:
            self._show_pictures(loaded, picture)
            self.map_line.say(_MAP_LEGEND)


def _load(lab: Lab, results: Results | None, output: Output) -> _Loaded:
    """Load everything that takes time; touches no widget."""
    cell = output.cell
    if cell.request is None and results is not None and cell in list(results):
        with_requests(lab.context.tracker, results)
    before, placement = cell.request.images[0] if cell.request is not None else None, None
    after, trouble = None, ""
    if output.is_picture:
        try:
            after = output.bytes
            source = results.comparison_source if results is not None else None
            placed = on_references(output, source)
            registered = (one for one in placed if one[1].registered)
            before, placement = next(registered, placed[0] if placed else (before, None))
        except KontextLabError as error:
            trouble = str(error)
    answer = ""
    ancestors: tuple[Output, ...] = ()
    edits: tuple[Output, ...] = ()
    try:
        answer = lab.context.tracker.answer_to(cell.run_id) if cell.run_id else ""
        ancestors = tuple(lab.ancestors(output)) if cell.parents else ()
        edits = tuple(lab.derived(output)) if cell.run_id and output.is_picture else ()
    except KontextLabError as error:
        ancestors, edits, trouble = (), (), trouble or str(error)
    png = before.png or None if before is not None else None
    name = "" if before is None else f"reference {before.name}"
    return _Loaded(output, png, after, name, trouble, placement, answer, ancestors, edits)
