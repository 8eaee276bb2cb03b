"""Creates and connects all parts of the panel of one session; every panel of that session shows them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from ipywidgets import Tab

from kontext_lab.errors import ConfigError, NotFound, SweepError
from kontext_lab.images import Boxes, Reference, load_reference
from kontext_lab.images.samples import sample
from kontext_lab.lab.lookup import with_requests
from kontext_lab.panel import code_export
from kontext_lab.panel.browser import PageFrame
from kontext_lab.panel.compare_tab import Compare
from kontext_lab.panel.effects_tab import EffectsRoom, reveal
from kontext_lab.panel.environment import keep_messages, prepare
from kontext_lab.panel.form import Form
from kontext_lab.panel.form_state import FormState
from kontext_lab.panel.grid_tab import Grid
from kontext_lab.panel.header import Header
from kontext_lab.panel.history_tab import History, HistoryVisit
from kontext_lab.panel.inspector import Actions, Inspector
from kontext_lab.panel.layouts import is_shared, plain
from kontext_lab.panel.placeholders import LabelledValue
from kontext_lab.panel.planner import Planner
from kontext_lab.panel.rank_tab import Rank
from kontext_lab.panel.run_bar import RunBar
from kontext_lab.panel.session import Session
from kontext_lab.panel.sweep_files import Clipboard, Files
from kontext_lab.panel.widgets import Section, TextLine
from kontext_lab.results import Output, Results
from kontext_lab.sweep import Sweep
from kontext_lab.sweep.cells import transferred

if TYPE_CHECKING:
    from kontext_lab.tracking import SweepRun

__all__ = ["TABS", "PanelController"]

TABS = ("Grid", "Compare", "Effects", "Rank", "History")

_STEPS = {"ArrowLeft": (0, -1), "ArrowRight": (0, 1), "ArrowUp": (-1, 0), "ArrowDown": (1, 0)}
_KEYS = (*_STEPS, "1", "0", "f", "F")
_MORE_SEEDS = 4
_UNTIL_SHOWN = 1.5
"""Seconds that a panel has for coming into the page before stores are opened."""


class PanelController(Section):
    """The whole panel.

    Args:
        session: what it is about.
        static: pictures in place of canvases.
    """

    def __init__(self, session: Session, *, static: bool = False) -> None:
        super().__init__()
        self.session = session
        self._opening: SweepRun | None = None
        post = self.post = session.post
        post.hold(_UNTIL_SHOWN)
        post.trouble = self.show
        self.planner = Planner(post, lambda: session.lab)
        self.frame = PageFrame(_KEYS)
        self.frame.on_key(self.guarded(self._key))
        self.frame.on_shown(self._tell_anew)
        self.frame.on_shown(post.release)
        self._seen = False
        self.frame.on_trouble(self.show)
        self.place = TextLine(prepare(), "warning")
        self.header = Header(session, post, self.resume)
        self.form = Form(post, lambda: session.lab, self.plan)
        self.bar = RunBar(session, self.planner, post, lambda: self.form.options, self.form.settle)
        self.clipboard = Clipboard(self.frame)
        self.files = Files(self.put, self._drafted, self.copy_sweep, self.clipboard)
        self.form.more.add(self.files)
        self.inspector = Inspector(session, post, self._actions())
        self.grid = Grid(
            session,
            self.planner,
            post,
            self.frame,
            self.inspector,
            example=self.put_example,
            static=static,
        )
        self._static, self._compare_place, self._rank_place = static, Section(), Section()
        self._effects_place = Section()
        self.history = History(session, post, HistoryVisit(self._open, self._resume_run, self._load_run))
        self.tabs = Tab(
            [self.grid, self._compare_place, self._effects_place, self._rank_place, self.history],
            titles=TABS,
            **plain(Tab),
        )
        self.tabs.observe(self.guarded(self._turned), names="selected_index")
        self.planner.observe(self.watched(self._marked), names=["state", "problems"])
        session.observe(self.watched(self._on_lab), names="lab")
        session.observe(self.watched(lambda _: self.plan()), names="ends")
        session.observe(self.watched(lambda _: self._rank_anew()), names=["results", "ends"])
        session.observe(self.watched(lambda _: self._effects_anew()), names=["results", "ends", "beat"])
        self.fill([self.place, self.header, self.form, self.bar, self.clipboard, self.tabs])
        keep_messages(post, [self.frame, self])
        self.history.look()
        self.plan()

    @cached_property
    def compare(self) -> Compare:
        """The tab Compare, made when it is first wanted: a panel is on show the sooner."""
        made = Compare(self.session, self.post, self.frame, static=self._static)
        self._compare_place.fill([made])
        return made

    @cached_property
    def effects(self) -> EffectsRoom:
        """The tab Effects, made when it is first wanted."""
        made = EffectsRoom(self.session, self.frame, self._show_cell)
        self._effects_place.fill([made])
        return made

    def _effects_anew(self) -> None:
        """What is measured comes in as a sweep runs: looked at again where somebody is looking."""
        if TABS[self.tabs.selected_index or 0] == "Effects":
            self.effects.take_soon(lambda: self.session.results)

    def _show_cell(self, output: Output) -> None:
        """An output in the grid: its sliders and page are where it stands."""
        if self.session.results is not None:
            reveal(self.grid, self.session.results, output)
        self.session.pick(output)
        self.tabs.selected_index = TABS.index("Grid")

    @cached_property
    def rank(self) -> Rank:
        """The tab Rank, made when it is first wanted."""
        made = Rank(lambda: self.session.lab, self.post)
        self._rank_place.fill([made])
        return made

    def _rank_anew(self) -> None:
        """What is ranked is what is on show; looked at again where somebody is ranking."""
        if TABS[self.tabs.selected_index or 0] == "Rank":
            self.rank.take(self.session.results)

    def _actions(self) -> Actions:
        return Actions(
            use_as_reference=self.use_as_reference,
            use_settings=self.use_settings,
            more_seeds=self.more_seeds,
            copy_code=self.copy_cell,
            save=self.save_output,
            pick=self._pick,
        )

    @property
    def idle(self) -> bool:
        """Whether nothing that was asked for is still to be run or planned."""
        session, planning = self.session, self.planner.state == "planning"
        waits = bool(planning or self.bar.waits_for_plan or self.form.references.reading)
        return not (session.busy or session.queue or waits)

    # The form.

    def plan(self) -> None:
        """Plan for what stands in the form."""
        problems = self.form.problems
        options = {} if "budget" in problems else self.form.options
        self.planner.look(self.form.draft, options, problems)

    def _on_lab(self, change: Any) -> None:
        """Another lab: how its runs are done is how it was made, not how those of the one before were."""
        if change["old"] is None or change["new"].context.options != change["old"].context.options:
            self.form.more.put_options(change["new"].context.options)
        self.plan()

    def _marked(self, _: object) -> None:
        # While it plans, the planner still names what was wrong before.
        if self.planner.state != "planning":
            self.form.mark(self.planner.problems)

    def put(self, sweep: Sweep) -> None:
        """Put a sweep into the form."""
        self.form.put(FormState.of(sweep))
        self.plan()

    def put_example(self) -> None:
        """Put a small sweep over a photograph that comes along into the form."""
        axes = {"guidance_scale": "2-8:3", "seed": [1, 2], "animal": ["bird", "crab"]}
        photo = sample("coffee")
        self.put(Sweep("Add a {animal} to the foreground of the photo.", photo, axes=axes))

    def resume(self, sweep: Sweep) -> None:
        """Go on with a sweep, which sends what is missing; asks first where that costs much, like Run."""
        self.form.more.reuse_again()
        self.put(sweep)
        self.bar.run()

    def _drafted(self) -> Sweep:
        return self.form.draft.sweep()

    def copy_sweep(self) -> None:
        """The form's sweep as Python into the clipboard."""
        sweep, results = self.form.draft.sweep(), self.session.results
        tracked = self.session.sweep
        # With other boxes it is the same sweep, in the same run.
        same = tracked is not None and tracked.with_boxes(sweep.boxes) == sweep
        run_id = results.run_id if results is not None and same else ""
        service = "sandbox" if self.session.lab.simulated else ""
        self.clipboard.put(code_export.sweep_code(sweep, service=service, run_id=run_id), "Python")

    # What is done with the picked output.

    def use_as_reference(self, output: Output) -> None:
        """Make an output the form's reference; the next sweep knows its parent output."""
        name, boxes = output.cell.title, self.form.draft.protect

        def work() -> tuple[Reference, dict[Reference, Boxes], str]:
            made = load_reference(output, name=name)
            return made, *transferred(boxes, [made])

        self.post.background(work, self.guarded(lambda found: self._put_reference(*found)), self.show)

    def _put_reference(self, reference: Reference, boxes: Mapping[Reference, Boxes], line: str) -> None:
        draft = replace(self.form.draft, references=((reference, ""),), combined=False, protect=boxes)
        self.form.put(draft)
        self.form.protect.transfer.say(line)
        self.plan()

    def use_settings(self, output: Output, **values: tuple[LabelledValue, ...]) -> None:
        """Fill the form with a cell's settings, each with one value; `values` takes the place of some."""
        cell = output.cell
        request = cell.request
        if request is None:
            raise NotFound(f"{cell.title}: its request is not at hand; open its sweep in the tab History")
        fields = {
            name: getattr(request, name)
            for name in (*type(request).model_fields,)
            if name not in ("images", "prompt")
            and getattr(request, name) not in (None, 1 if name == "repeat" else None)
        }
        prompt = code_export.escaped(request.prompt)
        sweep = Sweep(prompt, images=list(request.images), **fields)
        draft = FormState.of(sweep.with_boxes(dict(zip(request.images, cell.protect, strict=False))))
        self.form.put(replace(draft, values={**draft.values, **values}))
        self.plan()

    def more_seeds(self, output: Output) -> None:
        """A cell's settings with further seeds."""
        first = int(output.cell.params["seed"])
        seeds = tuple(LabelledValue(str(first + step)) for step in range(_MORE_SEEDS + 1))
        self.use_settings(output, seed=seeds)

    def copy_cell(self, output: Output) -> None:
        """Python that makes a cell again into the clipboard."""
        cell, lab = output.cell, self.session.lab

        def work() -> str:
            run_id = lab.context.sweep_run_of(cell.run_id)
            return code_export.cell_code(cell, run_id)

        self.post.background(work, self.guarded(lambda text: self.clipboard.put(text, "Python")), self.show)

    def save_output(self, output: Output) -> None:
        """Have the browser save an output's exact bytes."""
        suffix = {"jpeg": "jpg"}.get(output.format, output.format)
        name = f"{output.cell.title} {output.number}.{suffix}".replace("/", "-").replace(":", "x")
        self.post.background(
            lambda: output.bytes,
            self.guarded(lambda data: self.frame.download(name, data, f"image/{output.format}")),
            self.show,
        )

    def _pick(self, output: Output) -> None:
        self.session.pick(output)

    # Earlier sweeps.

    def _open(self, run: SweepRun) -> None:
        lab = self.session.lab
        self._opening = run

        def work() -> tuple[Results, Sweep | None]:
            results = with_requests(lab.context.tracker, lab.load(run.run_id))
            try:
                return results, lab.load_sweep(run.run_id)
            except (SweepError, NotFound):
                return results, None

        def opened(made: tuple[Results, Sweep | None]) -> None:
            if self._opening is not run:
                return  # another one was wished for meanwhile
            self.session.show(*made)
            self.tabs.selected_index = 0

        self.post.background(work, self.history.watched(opened), self.history.show)

    def _load_run(self, run: SweepRun) -> None:
        self._with_sweep(run, self.put)

    def _resume_run(self, run: SweepRun) -> None:
        answering = self.session.lab.context.service_name
        if run.service != answering:
            raise ConfigError(
                f"{run.name}: was sent to {run.service}, not to {answering}: switch to that service to go on with "
                "it, or load it into the form"
            )
        self._with_sweep(run, self.resume)

    def _with_sweep(self, run: SweepRun, do: Callable[[Sweep], None]) -> None:
        lab = self.session.lab
        self._opening = run

        def read(sweep: Sweep) -> None:
            if self._opening is not run:
                return  # another one was wished for meanwhile
            if self.session.lab is not lab:
                raise ConfigError(f"{run.name}: another service was chosen meanwhile, press it again")
            do(sweep)

        self.post.background(
            partial(lab.load_sweep, run.run_id), self.history.watched(read), self.history.show
        )

    def _turned(self, _: object) -> None:
        """A tab was opened: what it lists is read anew."""
        title = TABS[self.tabs.selected_index or 0]
        if title == "History":
            self.history.look()
        elif title == "Compare":
            lab = self.session.lab
            self.post.background(lab.history, self.compare.offer, self.compare.show)
        elif title == "Effects":
            self.effects.take(self.session.results)
        elif title == "Rank":
            self._rank_anew()

    def _tell_anew(self) -> None:
        """Send what every widget is at: a page that is loaded anew misses what changes while it is loading."""
        first, self._seen = not self._seen, True
        waiting: list[Any] = [] if first else [self]
        while waiting:
            widget = waiting.pop()
            waiting += getattr(widget, "children", ())
            widget.send_state([key for key in widget.keys if not key.startswith("_")])
            if not is_shared(widget.layout):
                widget.layout.send_state("display")

    def _key(self, key: str) -> None:
        if TABS[self.tabs.selected_index or 0] == "Rank":
            self.rank.key(key)
        if self.tabs.selected_index != 0:
            return
        if key in _STEPS:
            self.grid.step(*_STEPS[key])
        elif key in ("1", "0"):
            self.inspector.verdicts.guarded(self.inspector.verdicts.set_verdict)(key == "1")
        else:
            self.inspector.verdicts.guarded(self.inspector.verdicts.favour)()
