"""Placeholders in prompts: `{animal}` stands for a word, `{{animal}}` for the text `{animal}` itself.

Only identifiers are placeholders, so that prompts written as JSON stay what they are.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

__all__ = ["filled", "placeholders", "short_prompt"]

_TOKEN = re.compile(r"\{\{(?P<escaped>[^\W\d]\w*)\}\}|\{(?P<name>[^\W\d]\w*)\}")


def placeholders(template: str) -> tuple[str, ...]:
    """The placeholders of a prompt, each once, in order of appearance."""
    found = (match["name"] for match in _TOKEN.finditer(template))
    return tuple(dict.fromkeys(name for name in found if name))


def filled(template: str, words: Mapping[str, str]) -> str:
    """The prompt with its placeholders replaced and its escapes undone.

    Raises:
        KeyError: a placeholder has no word.
    """
    return _TOKEN.sub(
        lambda match: "{" + match["escaped"] + "}" if match["escaped"] else words[match["name"]], template
    )


def short_prompt(prompt: str, length: int = 40) -> str:
    """A prompt's beginning on one line, cut at a word where that is near."""
    line = " ".join(prompt.split())
    if len(line) <= length:
        return line
    cut = line[: length - 1]
    head, space, _ = cut.rpartition(" ")
    return (head if space and len(head) > length // 2 else cut).rstrip(" ,.;:") + "…"
