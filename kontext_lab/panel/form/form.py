"""The form as a whole: its parts, the state they hold together, its plan, and marks where something is wrong."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ipywidgets import Box

from kontext_lab.errors import ConfigError, SweepError
from kontext_lab.images import MAX_MEGAPIXELS
from kontext_lab.images.samples import sample
from kontext_lab.panel.form.fields import MAIN, AxisField, More
from kontext_lab.panel.form.prompt_fields import PromptFields
from kontext_lab.panel.form.protect import Protect
from kontext_lab.panel.form.references import ReferenceFields
from kontext_lab.panel.form_state import FormState, LabelledValue
from kontext_lab.panel.planner import Planner
from kontext_lab.panel.session import Session
from kontext_lab.panel.widgets import Section, TextLine, close_widgets, plain, row, shared_layout, show_if
from kontext_lab.sweep import Sweep
from kontext_lab.sweep.yaml_file import checked_megapixels

__all__ = ["Form"]


class Form(Section):
    """Every field of a sweep; `draft` is the content."""

    def __init__(self, session: Session, planner: Planner) -> None:
        super().__init__(session.dispatcher)
        self._planner = planner
        self.draft = FormState()
        self._changed = self.guarded(self._read)
        self.prompts = PromptFields(session, self.guarded(self._read_prompts))
        self.references = ReferenceFields(session, self._changed)
        self.protect = Protect(session, self._changed)
        self.more = More(session.lab.context.options, self._changed)
        self.fields = {key: AxisField(key, self._changed, looks) for key, looks in MAIN.items()}
        main = Box(list(self.fields.values()), **plain(Box, width="100%"))
        self.fields |= self.more.fields
        self.words: dict[str, AxisField] = {}
        self._word_box = Box(**plain(Box, width="100%"))
        for box in (main, self._word_box):
            box.add_class("kl-fields")
        self.kept = TextLine(kind="muted")
        self.drop_kept = self.button("×", self._drop_kept, "Take the kept axes away", small=True)
        self._kept_row = row(self.kept, self.drop_kept)
        self._toggle = self.button(
            "▸ More", self._toggle_more, "Show or hide the rest of the form", small=True
        )
        self._toggle.layout = shared_layout(width="auto", align_self="flex-start")
        show_if(False, self.more)
        upper = (self.prompts, self.references, self.protect, self._word_box, main)
        self.fill([*upper, self._kept_row, self._toggle, self.more])
        self.put(self.draft)
        self.follow(planner, self._on_plan, "state", "problems")
        session.observe(self.watched(self._on_lab), names="lab")
        self.follow(session, self.plan, "ends")

    # The content.

    def put(self, draft: FormState) -> None:
        """Replace the content, without making a plan."""
        self.draft = draft
        self.prompts.put(draft.prompts)
        self.references.put(draft.references, combined=draft.combined)
        self.references.max_megapixels = draft.max_megapixels
        self.protect.put(draft.protect, draft.pictures)
        self.more.put(draft)
        for key, field in self.fields.items():
            field.put(draft.values.get(key, ()))
        kept = [f"{axis.key}: {len(axis)} values" for axis in draft.kept]
        self.kept.say(f"kept as they are: {', '.join(kept)}" if kept else "")
        show_if(kept, self._kept_row)
        self._arrange_words()
        self.mark(draft.problems() | self.problems)

    def load(self, sweep: Sweep) -> None:
        """Put a sweep into the form, and plan it."""
        self.put(FormState.of(sweep))
        self.plan()

    def load_example(self) -> None:
        """Put in a small sweep over a photograph of the package."""
        axes = {"guidance_scale": "2-8:3", "seed": [1, 2], "animal": ["bird", "crab"]}
        self.load(Sweep("Add a {animal} to the foreground of the photo.", sample("coffee"), axes=axes))

    def _arrange_words(self) -> None:
        """Show a field for each placeholder; the fields of the placeholders that stay are kept."""
        used = {
            name: values
            for name, values in self.draft.words.used.items()
            if not any(name in axis.keys for axis in self.draft.kept)
        }
        fields: dict[str, AxisField] = {}
        spare = [field for name, field in self.words.items() if name not in used]
        for name in used:
            if name in self.words:
                fields[name] = self.words[name]
            elif spare:  # a placeholder being renamed keeps its field
                fields[name] = spare.pop(0)
                fields[name].rename(name)
            else:
                fields[name] = AxisField(name, self._changed)
        self.words = fields
        for name, values in used.items():
            if fields[name].values != values:
                fields[name].put(values)
        wanted = tuple(fields.values())
        if self._word_box.children != wanted:
            self._word_box.children = wanted
            close_widgets(*spare)
        show_if(fields, self._word_box)

    def _read_prompts(self) -> None:
        self.draft = self.draft.with_prompts(self.prompts.values)
        self._arrange_words()
        self._changed()

    def _read(self) -> None:
        """Read all fields into the draft, and plan it."""
        words = self.draft.words
        for name, field in self.words.items():
            words = words.replace(name, field.values)
        try:
            max_megapixels = self._typed_megapixels()
        except SweepError:  # shown beside the field; nothing is run until it is corrected
            max_megapixels = self.draft.max_megapixels
        self.draft = replace(
            self.draft,
            prompts=self.prompts.values,
            words=words,
            references=self.references.values,
            combined=self.references.combined,
            values={key: field.values for key, field in self.fields.items() if field.values},
            name=self.more.name.value.strip(),
            note=self.more.note.value,
            price=self.more.price.value.strip(),
            max_megapixels=max_megapixels,
            protect=self.protect.values,
        )
        self.protect.show_pictures(self.draft.pictures)
        self.references.max_megapixels = max_megapixels
        self.plan()

    def _typed_megapixels(self) -> float:
        text = self.more.megapixels.value.strip()
        return checked_megapixels(text) if text else MAX_MEGAPIXELS

    def _drop_kept(self) -> None:
        prompts = self.draft.prompts or (LabelledValue(""),)
        self.put(replace(self.draft, kept=()).with_prompts(prompts))
        self.plan()

    def _toggle_more(self) -> None:
        hidden = self.more.layout.display == "none"
        show_if(hidden, self.more)
        self._toggle.description = "▾ More" if hidden else "▸ More"

    # What a run needs.

    def plan(self) -> None:
        """Have a plan made of the content."""
        problems = self.problems
        options = {} if "budget" in problems else self.more.options
        self._planner.request(self.draft, options, problems)

    def _on_lab(self, change: Any) -> None:
        """Another lab has run options of its own."""
        if change["old"] is None or change["new"].context.options != change["old"].context.options:
            self.more.put_options(change["new"].context.options)
        self.plan()

    def settle(self) -> None:
        """Accept texts that are still being typed, so that a run has what the form shows; the first error is raised."""
        errors = [field.settle() for field in (*self.fields.values(), *self.words.values())]
        if any(errors):
            raise SweepError(next(filter(None, errors)))

    # Problems.

    @property
    def problems(self) -> dict[str, str]:
        """Problems by place of everything that is not in the draft."""
        found = {"image": self.references.reading} if self.references.reading else {}
        for key, check in (("budget", lambda: self.more.options), ("megapixels", self._typed_megapixels)):
            try:
                check()
            except (ConfigError, SweepError) as error:
                found[key] = str(error)
        return found

    def _on_plan(self) -> None:
        # While it plans, the planner still has the problems of before.
        if self._planner.state != "planning":
            self.mark(self._planner.problems)

    def mark(self, problems: Mapping[str, str]) -> None:
        """Show each problem at its place; that a field is empty only once something else is typed."""

        def line(key: str, begun: bool) -> str:
            text = problems.get(key, "")
            return text if begun or "is missing" not in text else ""

        self.prompts.problem.say(line("prompt", bool(self.draft.references)))
        begun = any(prompt.text for prompt in self.draft.prompts)
        self.references.problem.say("" if self.references.reading else line("image", begun))
        for key, field in self.fields.items():
            field.mark(problems.get(key, ""))
        for name, field in self.words.items():
            field.mark(problems.get(f"{{{name}}}", ""))
        for key, shown in self.more.problems.items():
            shown.say(problems.get(key, ""))
