"""The wordings of a study and what tells them apart, to read as text or in a notebook.

Templates are compared, not what became of them: a `{placeholder}` is one word, whatever fills it. Knows no
figure and no widget; the page's text is escaped here.
"""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from kontext_lab.errors import ConfigError, shown, visible
from kontext_lab.results.labels import prompt_template
from kontext_lab.results.results import Results
from kontext_lab.sweep import Sweep
from kontext_lab.sweep.wording import Piece, Wording, compared

__all__ = ["Differences", "Prompt", "differences", "marked"]

_TAGS = {"kept": "span", "left out": "del", "added": "ins"}
# Words that are kept are grey by being faint, which holds on light and on dark paper.
_STYLES = {"kept": "opacity:0.68", "left out": "opacity:0.85", "added": "font-weight:600"}
_CELL = "text-align:left;vertical-align:top;padding:2px 14px 2px 0;overflow-wrap:anywhere"
_CAPTION = "caption-side:bottom;text-align:left;padding-top:4px;font-size:smaller"


@dataclass(frozen=True)
class Prompt:
    """One wording.

    Attributes:
        name: what a person called it, or P1, P2 …
        text: the template, on one line.
        wording: how it differs from the first one; None for the first.
    """

    name: str
    text: str
    wording: Wording | None = None

    def __str__(self) -> str:
        return self.text if self.wording is None else str(self.wording)


@dataclass(frozen=True, repr=False)
class Differences:
    """Wordings, each but the first against the first.

    Attributes:
        prompts: in the order of the sweep.
    """

    prompts: tuple[Prompt, ...]

    def __iter__(self) -> Iterator[Prompt]:
        return iter(self.prompts)

    def __len__(self) -> int:
        return len(self.prompts)

    def __str__(self) -> str:
        if not self:
            return "There are no prompts."
        widest = min(24, max(len(prompt.name) for prompt in self))
        return "\n".join(f"{prompt.name:<{widest}}  {prompt}" for prompt in self)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        if not self:
            return "<div>There are no prompts.</div>"
        rows = "".join(
            f'<tr><th scope="row" style="{_CELL};white-space:nowrap">{html.escape(prompt.name)}</th>'
            f'<td style="{_CELL}">{_body(prompt)}</td></tr>'
            for prompt in self
        )
        first = html.escape(self.prompts[0].name)
        key = f'<caption style="{_CAPTION}">against {first}: {_KEY}</caption>' if len(self) > 1 else ""
        return f'<table style="border-collapse:collapse;color:inherit">{key}<tbody>{rows}</tbody></table>'


def _body(prompt: Prompt) -> str:
    if prompt.wording is None or not prompt.wording.related:
        return html.escape(prompt.text)
    return "the same words" if prompt.wording.same else marked(prompt.wording.brief)


def marked(pieces: Sequence[Piece]) -> str:
    """Pieces as escaped HTML: added words underlined and bold, those left out struck through, kept ones faint."""
    parts = []
    for at, piece in enumerate(pieces):
        tag, space = _TAGS[piece.kind], " " if piece.spaced and at else ""
        parts.append(f'{space}<{tag} style="{_STYLES[piece.kind]}">{html.escape(piece.text)}</{tag}>')
    return "".join(parts)


_KEY = marked((Piece("added", "added"), Piece("left out", "left out"), Piece("kept", "kept")))


def differences(source: Sweep | Results | Mapping[str, str] | Sequence[str]) -> Differences:
    """How wordings of a prompt differ from the first one, word by word.

    Args:
        source: a sweep or results, whose prompts are compared with their `{placeholders}`; or prompts, in a list
            or by name.

    Returns:
        What reads well in a notebook, and as text when it is printed: `[+added+]`, `[-left out-]`.

    Raises:
        ConfigError: it is none of these.
    """
    found = [(visible(name), visible(text)) for name, text in _prompts(source)]
    first = found[0][1] if found else ""
    return Differences(
        tuple(
            Prompt(
                name or f"P{number}", " ".join(text.split()), compared(first, text) if number > 1 else None
            )
            for number, (name, text) in enumerate(found, 1)
        )
    )


def _prompts(source: object) -> Iterator[tuple[str, str]]:
    """Names, or "", and templates."""
    if isinstance(source, Sweep):
        yield from _of_sweep(source)
    elif isinstance(source, Results):
        yield from _of_results(source)
    elif isinstance(source, Mapping) and all(isinstance(text, str) for text in source.values()):
        yield from ((str(name), text) for name, text in source.items())
    elif isinstance(source, list | tuple) and all(isinstance(text, str) for text in source):
        yield from (("", text) for text in source)
    else:
        raise ConfigError(
            f"differences: {shown(source)}, allowed are a sweep, results, or prompts in a list or by name"
        )


def _of_sweep(sweep: Sweep) -> Iterator[tuple[str, str]]:
    axis = next((axis for axis in sweep.axes if "prompt" in axis.keys), None)
    if axis is None:
        yield "prompt", str(sweep.fixed["prompt"])
        return
    at = axis.keys.index("prompt")
    pairs = ((label, str(entry[at])) for label, entry in zip(axis.labels, axis.values, strict=True))
    yield from dict.fromkeys(pairs)


def _of_results(results: Results) -> Iterator[tuple[str, str]]:
    found: dict[tuple[str, str], tuple[str, str]] = {}
    for cell in results:
        if "prompt" in cell.params:
            name, text = str(cell.params.get("prompt.label", "")), prompt_template(cell)
            found.setdefault(("name", name) if name else ("text", text), (name, text))
    yield from (
        found.values() if len(found) > 1 else ((name or "prompt", text) for name, text in found.values())
    )
