"""The wordings of a study and their differences, as text or in a notebook.

Templates are compared, not filled prompts: a `{placeholder}` counts as one word. Knows no figure and no widget.
"""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from kontext_lab.errors import WrongType, shown, visible
from kontext_lab.results.labels import prompt_template
from kontext_lab.results.results import Results
from kontext_lab.sweep import Sweep
from kontext_lab.sweep.wording import Piece, Wording, compared

__all__ = ["Differences", "Prompt", "differences", "marked"]

_TAGS = {"kept": "span", "left out": "del", "added": "ins"}
# Kept words are faint, which works on light and on dark backgrounds.
_STYLES = {"kept": "opacity:0.68", "left out": "opacity:0.85", "added": "font-weight:600"}
_CELL = "text-align:left;vertical-align:top;padding:2px 14px 2px 0;overflow-wrap:anywhere"
_CAPTION = "caption-side:bottom;text-align:left;padding-top:4px;font-size:smaller"


@dataclass(frozen=True)
class Prompt:
    """One wording.

    Attributes:
        name: given by a person, or P1, P2 …
        text: the template, on one line.
        wording: its differences from the first one; None for the first.
    """

    name: str
    text: str
    wording: Wording | None = None

    def __str__(self) -> str:
        return self.text if self.wording is None else str(self.wording)


class Differences(tuple[Prompt, ...]):
    """Wordings in the order of the sweep, each compared with the first."""

    __slots__ = ()

    def __str__(self) -> str:
        if not self:
            return "There are no prompts."
        widest = min(24, max(len(prompt.name) for prompt in self))
        return "\n".join(f"{prompt.name:<{widest}}  {prompt}" for prompt in self)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        if not self:
            return "<div>There are no prompts.</div>"
        rows = []
        for prompt in self:
            body = html.escape(prompt.text)
            if prompt.wording is not None and prompt.wording.related:
                body = "the same words" if prompt.wording.same else marked(prompt.wording.brief)
            rows.append(
                f'<tr><th scope="row" style="{_CELL};white-space:nowrap">{html.escape(prompt.name)}</th>'
                f'<td style="{_CELL}">{body}</td></tr>'
            )
        first = html.escape(self[0].name)
        key = f'<caption style="{_CAPTION}">against {first}: {_KEY}</caption>' if len(self) > 1 else ""
        return f'<table style="border-collapse:collapse;color:inherit">{key}<tbody>{"".join(rows)}</tbody></table>'


def marked(pieces: Sequence[Piece]) -> str:
    """Pieces as escaped HTML: added words underlined and bold, removed ones struck through, kept ones faint."""
    parts = []
    for index, piece in enumerate(pieces):
        tag, space = _TAGS[piece.kind], " " if piece.spaced and index else ""
        parts.append(f'{space}<{tag} style="{_STYLES[piece.kind]}">{html.escape(piece.text)}</{tag}>')
    return "".join(parts)


_KEY = marked((Piece("added", "added"), Piece("left out", "left out"), Piece("kept", "kept")))


def differences(source: Sweep | Results | Mapping[str, str] | Sequence[str]) -> Differences:
    """Compare the wordings of a prompt with the first one, word by word.

    Args:
        source: a sweep or results, whose prompts are compared with their `{placeholders}`; or prompts, in a list
            or by name.

    Returns:
        The wordings, shown as a table in a notebook and printed as text: `[+added+]`, `[-left out-]`.

    Raises:
        WrongType: the source has another type.

    Example:
        >>> kl.differences({"plain": "Add a bird.", "counted": "Add two birds."})
        plain    Add a bird.
        counted  Add [-a bird-] [+two birds+].
    """
    prompts = [(visible(name), visible(text)) for name, text in _prompts(source)]
    first = prompts[0][1] if prompts else ""
    return Differences(
        tuple(
            Prompt(
                name or f"P{number}", " ".join(text.split()), compared(first, text) if number > 1 else None
            )
            for number, (name, text) in enumerate(prompts, 1)
        )
    )


def _prompts(source: object) -> Iterator[tuple[str, str]]:
    """Names, or "", and templates."""
    if isinstance(source, Sweep):
        axis = next((axis for axis in source.axes if "prompt" in axis.keys), None)
        if axis is None:
            yield "prompt", str(source.fixed["prompt"])
        else:
            index = axis.keys.index("prompt")
            texts = [str(entry[index]) for entry in axis.values]
            yield from dict.fromkeys(zip(axis.labels, texts, strict=True))
    elif isinstance(source, Results):
        prompts: dict[tuple[bool, str], tuple[str, str]] = {}
        for cell in source:
            if "prompt" in cell.params:
                name, text = str(cell.params.get("prompt.label", "")), prompt_template(cell)
                prompts.setdefault((bool(name), name or text), (name, text))
        only = "" if len(prompts) > 1 else "prompt"
        yield from ((name or only, text) for name, text in prompts.values())
    elif isinstance(source, Mapping) and all(isinstance(text, str) for text in source.values()):
        yield from ((str(name), text) for name, text in source.items())
    elif isinstance(source, list | tuple) and all(isinstance(text, str) for text in source):
        yield from (("", text) for text in source)
    else:
        raise WrongType(
            "differences() takes a Sweep, Results, a list of prompts, or a dict of prompts by name, "
            f"not {shown(source)} ({type(source).__name__})"
        )
