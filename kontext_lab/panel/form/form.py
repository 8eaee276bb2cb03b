"""The form as a whole: its parts, the draft they hold together, and marks where something is wrong."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ipywidgets import Box

from kontext_lab.errors import ConfigError, SweepError
from kontext_lab.images import MAX_MEGAPIXELS
from kontext_lab.panel.form.fields import MAIN, AxisField, field_for, words_field
from kontext_lab.panel.form.more import More
from kontext_lab.panel.form.prompt_fields import Prompts
from kontext_lab.panel.form.protect import Protect
from kontext_lab.panel.form.references import ReferenceFields
from kontext_lab.panel.form_state import FormState
from kontext_lab.panel.layouts import laid, plain, show_if
from kontext_lab.panel.placeholders import LabelledValue
from kontext_lab.panel.ui_dispatcher import UiDispatcher
from kontext_lab.panel.widgets import Section, TextLine, closed, row
from kontext_lab.sweep.yaml_file import checked_megapixels

if TYPE_CHECKING:
    from kontext_lab.lab import Lab

__all__ = ["Form"]


class Form(Section):
    """Every field of a sweep.

    Args:
        post: does what takes time elsewhere.
        lab: in use.
        changed: called after every change by a person.

    Attributes:
        draft: what stands in it.
    """

    def __init__(self, post: UiDispatcher, lab: Callable[[], Lab], changed: Callable[[], None]) -> None:
        super().__init__()
        self._told = changed
        self.draft = FormState()
        self.prompts = Prompts(post, self.guarded(self._prompts_changed))
        self.references = ReferenceFields(post, lab, self.guarded(self._changed))
        self.protect = Protect(post, lab, self.guarded(self._changed))
        self.more = More(lab().context.options, self.guarded(self._changed))
        self.fields: dict[str, AxisField] = {key: field_for(key, self.guarded(self._changed)) for key in MAIN}
        self.fields |= self.more.fields
        self.words: dict[str, AxisField] = {}
        self._word_box = Box(**plain(Box, width="100%"))
        self._word_box.add_class("kl-fields")
        main = Box([self.fields[key].field for key in MAIN], **plain(Box, width="100%"))
        main.add_class("kl-fields")
        self.kept = TextLine(kind="muted")
        self.drop_kept = self.button("×", self._drop_kept, "Take the kept axes away", small=True)
        self._more_open = self.button(
            "▸ More", self._toggle_more, "Show or hide the rest of the form", small=True
        )
        self._more_open.layout = laid(width="auto", align_self="flex-start")
        show_if(False, self.more)
        self._kept_row = row(self.kept, self.drop_kept)
        self.fill(
            [
                self.prompts,
                self.references,
                self.protect,
                self._word_box,
                main,
                self._kept_row,
                self._more_open,
                self.more,
            ]
        )
        self.put(self.draft)

    def put(self, draft: FormState) -> None:
        """Put a draft into the form; nobody is told."""
        self.draft = draft
        self.prompts.put(draft.prompts)
        self.references.put(draft.references, combined=draft.combined)
        self.references.max_megapixels = draft.max_megapixels
        self.protect.put(draft.protect, draft.pictures)
        self.more.put(
            name=draft.name, note=draft.note, price=draft.price, max_megapixels=draft.max_megapixels
        )
        for key, field in self.fields.items():
            field.put(draft.values.get(key, ()))
        kept = [f"{axis.key}: {len(axis)} values" for axis in draft.kept]
        self.kept.say(f"kept as they are: {', '.join(kept)}" if kept else "")
        show_if(kept, self._kept_row)
        self._words_laid_out()
        self.mark(draft.problems() | self.problems)

    def _words_laid_out(self) -> None:
        """A field for each placeholder; those that stay are the same widgets."""
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
                fields[name].key, fields[name].field.label = name, f"{{{name}}}"
            else:
                fields[name] = words_field(name, self.guarded(self._changed))
        gone = [field.field for field in spare]
        self.words = fields
        for name, values in used.items():
            if fields[name].values != values:
                fields[name].put(values)
        wanted = tuple(field.field for field in fields.values())
        if self._word_box.children != wanted:
            self._word_box.children = wanted
            closed(*gone)
        show_if(fields, self._word_box)

    def _prompts_changed(self) -> None:
        self.draft = self.draft.prompted(self.prompts.values)
        self._words_laid_out()
        self._changed()

    def _changed(self) -> None:
        """Something was typed: read everything into the draft."""
        words = self.draft.words
        for name, field in self.words.items():
            words = words.replace(name, field.values)
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
            max_megapixels=self._megapixels(),
            protect=self.protect.values,
        )
        self.protect.take(self.draft.pictures)
        self.references.max_megapixels = self.draft.max_megapixels
        self._told()

    def _typed_megapixels(self) -> float:
        text = self.more.megapixels.value.strip()
        return checked_megapixels(text) if text else MAX_MEGAPIXELS

    def _megapixels(self) -> float:
        try:
            return self._typed_megapixels()
        except SweepError:  # nothing is run while it stands there
            return self.draft.max_megapixels

    def _drop_kept(self) -> None:
        prompts = self.draft.prompts or (LabelledValue(""),)
        self.put(replace(self.draft, kept=(), prompts=prompts).prompted(prompts))
        self._told()

    def _toggle_more(self) -> None:
        hidden = self.more.layout.display == "none"
        show_if(hidden, self.more)
        self._more_open.description = "▾ More" if hidden else "▸ More"

    @property
    def options(self) -> dict[str, Any]:
        """How a run is to be done.

        Raises:
            ConfigError: one of them can't be.
        """
        return self.more.options

    def settle(self) -> None:
        """Take in what is still being typed, so that what is run is what is read there.

        Raises:
            SweepError: it can't be; it is marked.
        """
        wrong = [field.settle() for field in (*self.fields.values(), *self.words.values())]
        for line in filter(None, wrong):
            raise SweepError(line)

    @property
    def problems(self) -> dict[str, str]:
        """What is wrong with anything that the draft doesn't hold, by where it stands."""
        found = {"image": self.references.reading} if self.references.reading else {}
        for key, check in (("budget", lambda: self.options), ("megapixels", self._typed_megapixels)):
            try:
                check()
            except (ConfigError, SweepError) as error:
                found[key] = str(error)
        return found

    def mark(self, problems: Mapping[str, str]) -> None:
        """Say at each place what is wrong there. What is merely still empty is said once something is typed."""
        self.prompts.problem.say(self._said("prompt", problems, bool(self.draft.references)))
        begun = any(one.text for one in self.draft.prompts)
        self.references.problem.say("" if self.references.reading else self._said("image", problems, begun))
        for key, field in self.fields.items():
            field.mark(problems.get(key, ""))
        for name, field in self.words.items():
            field.mark(problems.get(f"{{{name}}}", ""))
        for key in ("name", "note", "price", "budget", "megapixels"):
            self.more.problems[key].say(problems.get(key, ""))

    def _said(self, key: str, problems: Mapping[str, str], begun: bool) -> str:
        line = problems.get(key, "")
        return line if begun or "is missing" not in line else ""
